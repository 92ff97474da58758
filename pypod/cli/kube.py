"""``kube play``, ``kube down``, ``kube generate``."""

from __future__ import annotations

import os

from pypod.base import report
from pypod.cli import output, targets
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from pypod.engine.kube_down import Downed
    from pypod.engine.kube_play import Played, Request
    from pypod.kube.objects import File
    from storage.store import Store


def play(invocation: Invocation) -> int:
    flags = invocation.options
    if flags["down"]:
        return down(invocation)
    stays = flags["wait"] or flags["service_container"]
    if flags["force"] and not stays:
        raise UsageError("--force may be specified only with --down or --wait")
    if flags["context_dir"] is not None and not flags["build"]:
        raise UsageError("--build must be specified when using --context-dir option")
    if stays and not flags["start"]:
        raise UsageError("--wait and --start=false contradict each other")
    from pypod.cli.late import Late, Puller
    from pypod.engine import kube_play

    request = _request(flags, invocation.args)
    context, store = targets.open_engine(invocation)
    _build(context, store, request, flags)
    with Late(quiet=flags["quiet"]) as seen:
        played = kube_play.play(
            context,
            store,
            request,
            ["pypod", *invocation.argv],
            puller=Puller(flags, seen),
            progress=seen,
        )
    for text in played.warnings:
        report.warning(text)
    _show(played)
    output.flush()
    if not stays:
        return 0
    if flags["service_container"]:
        kube_play.tell_systemd()
    return _wait(context, store, played, force=flags["force"], failing=flags["service_exit_code_propagation"])


def _build(context: Context, store: Store, request: Request, flags: dict[str, Any]) -> None:
    from pypod.engine import kube_build
    from pypod.kube import read

    directory = os.path.abspath(flags["context_dir"] or ".")
    if not os.path.isdir(directory):
        raise UsageError(f"--context-dir {directory} is not a directory")
    kube_build.build_images(
        context, store, read.file(request.content), flags["build"], directory, quiet=flags["quiet"]
    )


def _read(paths: Sequence[str]) -> bytes:
    """All files as one, with more documents."""
    from pypod.engine import kube_play

    return b"\n---\n".join([kube_play.read_file(path) for path in paths])


def _request(flags: dict[str, Any], paths: Sequence[str]) -> Request:
    from pypod.engine import kube_play, option_engine
    from pypod.kube.translate import Wishes

    networks = tuple(flags["network"])
    return kube_play.Request(
        content=_read(paths),
        config_maps={name: kube_play.read_file(name) for name in flags["configmap"]},
        wishes=Wishes(
            pod_prefix=not flags["no_pod_prefix"],
            seccomp_root=os.path.abspath(flags["seccomp_profile_root"]),
            annotations=option_engine.pairs(flags["annotation"], "annotation"),
            userns=flags["userns"] or "",
            networks=networks,
            default_network=kube_play.NETWORK,
            no_hosts=flags["no_hosts"],
            no_hostname=flags["no_hostname"],
            log_driver=flags["log_driver"] or "",
            log_options=tuple(flags["log_opt"]),
            publish=tuple(flags["publish"]),
            publish_all=flags["publish_all"],
            token=os.urandom(3).hex(),
        ),
        start=flags["start"],
        replace=flags["replace"],
        addresses=flags["ip"],
        macs=flags["mac_address"],
    )


def _show(played: Played) -> None:
    """What was made, as podman lists it."""
    _list("Volumes:", played.volumes)
    _list("Secrets:", played.secrets)
    for pod in played.pods:
        output.line("Pod:")
        output.line(pod.id)
        if pod.containers:
            _list("Container:" if len(pod.containers) == 1 else "Containers:", pod.containers)
            output.line("")


def _list(heading: str, words: Sequence[str]) -> None:
    if words:
        output.line(heading)
        for word in words:
            output.line(word)


def _wait(context: Context, store: Store, played: Played, *, force: bool, failing: str) -> int:
    """``failing``: all, any or none, of the containers, makes this fail."""
    from pypod.engine import kube_down, kube_play

    codes: list[int] = []
    try:
        codes = kube_play.wait(context, store, played)
    finally:
        done = kube_down.down(context, store, played.file, force=force)
        _show_down(done)
    if done.errors:
        return 125
    failed = [code for code in codes if code]
    if (failing == "any" and failed) or (failing == "all" and failed and len(failed) == len(codes)):
        return failed[0]
    return 0


def down(invocation: Invocation) -> int:
    from pypod.engine import kube_down
    from pypod.kube import read

    file: File = read.file(_read(invocation.args))
    context, store = targets.open_engine(invocation)
    done = kube_down.down(context, store, file, force=invocation.options["force"])
    _show_down(done)
    return 125 if done.errors else 0


def _show_down(done: Downed) -> None:
    output.line("Pods stopped:")
    for word in done.stopped:
        output.line(word)
    output.line("Pods removed:")
    for word in done.removed:
        output.line(word)
    _list("Secrets removed:", done.secrets)
    _list("Volumes removed:", done.volumes)
    output.flush()
    for error in done.errors:
        targets.complain(error)


def generate(invocation: Invocation) -> int:
    from pypod import __version__
    from pypod.engine import kube_generate
    from pypod.kube import yamltext

    flags = invocation.options
    path = flags["filename"]
    if path and os.path.lexists(path):
        raise UsageError(f'cannot write to "{path}"; file exists')
    if flags["replicas"] is not None and flags["type"] != "deployment":
        raise UsageError("--replicas can only be set when --type is set to deployment")
    context, store = targets.open_engine(invocation)
    made = kube_generate.generate(
        context,
        store,
        invocation.args,
        kube_generate.Form(
            kind=flags["type"],
            service=flags["service"],
            replicas=1 if flags["replicas"] is None else flags["replicas"],
        ),
    )
    for text in made.warnings:
        report.warning(text)
    heading = (
        "# Save the output of this file and use kubectl create -f to import\n"
        f"# it into Kubernetes.\n#\n# Created with pypod-{__version__}\n"
    )
    text = heading + yamltext.write(made.documents)
    if not path:
        output.write(text)
        return 0
    from pypod.base import files

    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            files.write_all(fd, text.encode("utf-8", "surrogateescape"))
        finally:
            os.close(fd)
    except OSError as error:
        raise PypodError(f"cannot write to {path}: {reason(error)}") from None
    return 0
