"""``pull``: images out of registries, archives and directories."""

from __future__ import annotations

from pypod.cli import output, progress, targets
from pypod.engine import pull as pulling
from pypod.errors import PypodError, UsageError
from pypod.oci import platform as platforms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.oci.platform import Platform


def run(invocation: Invocation) -> int:
    options = invocation.options
    wanted = request(options, policy=options["policy"], all_tags=options["all_tags"])
    if options["all_tags"]:
        for name in invocation.args:
            if ":" in name.rpartition("/")[2]:
                raise UsageError("tag can't be used with --all-tags/-a", code=125)
    context, store = targets.open_engine(invocation)
    code = 0
    for name in invocation.args:
        try:
            with progress.watch(quiet=options["quiet"], form=options["progress"]) as seen:
                images = pulling.pull(context, store, name, wanted, seen)
        except PypodError as error:
            targets.complain(error)
            code = error.code
            continue
        for image in images:
            output.line(image.id)
        output.flush()
    return code


def request(options: Mapping[str, Any], *, policy: str, all_tags: bool = False) -> pulling.Request:
    """What the flags of pull, run and create say.

    Raises UsageError, PypodError.
    """
    from pypod.cli import registry_settings, shortname_prompt

    if options.get("decryption_key"):
        raise UsageError("--decryption-key is not supported: encrypted images cannot be pulled", code=125)
    return pulling.Request(
        settings=registry_settings.of(options),
        policy=policy,
        platform=platform(options),
        all_tags=all_tags,
        signature_policy=options.get("signature_policy") or "",
        choose=shortname_prompt.chooser(),
    )


def platform(options: Mapping[str, Any]) -> Platform | None:
    """What --platform, --os, --arch and --variant ask for, None if none of them is given.

    Raises UsageError.
    """
    given = [options.get(key) or "" for key in ("platform", "os", "arch", "variant")]
    if not any(given):
        return None
    return platforms.wanted(platform=given[0], os=given[1], architecture=given[2], variant=given[3])
