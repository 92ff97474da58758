"""``--dry-run`` of ``run`` and ``create``: what would be done, for people or as one JSON object."""

from __future__ import annotations

from pypod.base import gojson
from pypod.base.record import to_json
from pypod.cli import output, pull
from pypod.engine import dry_run
from pypod.engine import pull as pulling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from pypod.engine.dry_deeds import Mount
    from pypod.engine.dry_run import Outcome
    from storage.store import Store


def show(invocation: Invocation, context: Context, store: Store, *, preserve_fds: int = 0) -> int:
    """Print it. Raises the PypodError that the command itself would raise."""
    image, *command = invocation.args
    outcome = dry_run.plan(
        context,
        store,
        image,
        command,
        invocation.options,
        ["pypod", *invocation.argv],
        starts=invocation.command == "run",
        sources=lambda policy: pulling.sources(image, pull.request(invocation.options, policy=policy)),
        preserve_fds=preserve_fds,
    )
    if invocation.options["dry_run"] == "json":
        output.json(_json(invocation.command, outcome), 2)
    else:
        output.write(_text(outcome))
    return 0


def _json(command: str, outcome: Outcome) -> dict[str, Any]:
    return {
        "Command": command,
        "Id": outcome.id,
        "Name": outcome.name,
        "Image": outcome.image,
        "ImageID": outcome.image_id,
        "Actions": [{"Do": one.do, "What": one.what, "Name": one.name} for one in outcome.actions],
        "Mounts": [{key.capitalize(): value for key, value in to_json(one).items()} for one in outcome.mounts],
        "Spec": outcome.spec or None,
        "Monitor": outcome.monitor,
        "Runtime": outcome.runtime,
        "Network": {
            "Mode": outcome.network,
            "Steps": [{"What": one.what, "Argv": one.argv, "Input": one.input} for one in outcome.network_steps],
        },
        "Unknown": outcome.unknown,
        "Error": outcome.error,
    }


def _text(outcome: Outcome) -> str:
    found = []
    if outcome.id:
        found += [f"Container {outcome.name} ({outcome.id[:12]})"]
    found += ["Would do:", *(f"  {one.do} {one.what} {one.name}" for one in outcome.actions)]
    if outcome.unknown:
        found += [f"No more is known: {outcome.unknown}"]
    if outcome.error:
        found += [f"Its start would fail: {outcome.error}"]
    if outcome.spec:
        found += ["Mounts by pypod, in order:"]
        for mount in outcome.mounts:
            found += _mount(mount)
        found += ["Mounts by the runtime, in order:"]
        for item in outcome.spec["mounts"]:
            found.append(f"  {item['type']} {item['source']} on {item['destination']}{_options(item['options'])}")
        found += ["Monitor:", f"  {_shell(outcome.monitor)}"]
        found += ["Runtime:", *(f"  {_shell(argv)}" for argv in outcome.runtime)]
        found += [f"Network {outcome.network}:" if outcome.network_steps else f"Network {outcome.network}"]
        for step in outcome.network_steps:
            found.append(f"  {step.what}")
            found += [f"    {_shell(step.argv)}"] if step.argv else []
            if step.input is not None:
                found += _indented(gojson.text(step.input, 2), "    ")
        found += ["OCI config:", *_indented(gojson.text(outcome.spec, 2), "  ")]
    return "".join(f"{line}\n" for line in found)


def _mount(mount: Mount) -> list[str]:
    by = f" by {mount.program}" if mount.program else ""
    found = [f"  {mount.type} {mount.source} on {mount.target}{_options(mount.options)}{by}"]
    found += [f"    lower {path}" for path in mount.lower]
    found += [f"    upper {mount.upper}"] if mount.upper else []
    return found + ([f"    work {mount.work}"] if mount.work else [])


def _options(options: Sequence[str]) -> str:
    return f" ({','.join(options)})" if options else ""


def _indented(text: str, by: str) -> list[str]:
    return [by + line for line in text.splitlines()]


def _shell(argv: Sequence[str]) -> str:
    import shlex

    return shlex.join(argv)
