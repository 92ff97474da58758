"""``container checkpoint`` and ``container restore``: processes to disk by criu, and back."""

from __future__ import annotations

import time

from pypod.cli import output, targets
from pypod.engine import checkpoint, rootless
from pypod.engine import container as containers
from pypod.engine import restore as restoring
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.container import Container

# What an archive is needed for.
_EXPORTED = ("ignore_rootfs", "ignore_volumes")
_IMPORTED = ("import_previous", "ignore_rootfs", "ignore_volumes", "name", "pod", "publish")


def run(invocation: Invocation) -> int:
    """``container checkpoint``."""
    options = invocation.options
    if options["compress"] not in ("gzip", "none", "zstd"):
        raise UsageError(f"selected compression algorithm ({options['compress']}) must be one of gzip, none, zstd")
    if options["with_previous"] and options["pre_checkpoint"]:
        raise UsageError("--with-previous can not be used with --pre-checkpoint")
    _needs(options, _EXPORTED, options["export"], "--export")
    if options["create_image"]:
        raise UsageError("--create-image is not supported", hint="--export makes an archive")
    if options["export"] and (options["all"] or len(invocation.args) > 1):
        raise UsageError("--export takes one container: its archive has room for no other")
    context, store = targets.open_engine(invocation)
    checkpoint.check_host(context, "checkpointing")
    wanted = checkpoint.Wanted(
        keep=options["keep"],
        leave_running=options["leave_running"],
        tcp_established=options["tcp_established"],
        file_locks=options["file_locks"],
        pre=options["pre_checkpoint"],
        previous=options["with_previous"],
        export=options["export"] or "",
        compress=options["compress"],
        ignore_rootfs=options["ignore_rootfs"],
        ignore_volumes=options["ignore_volumes"],
    )
    report = _Report("podman_checkpoint_duration", options["print_stats"])
    chosen = targets.choose(invocation, context, store, states=("running",))

    def work(container: Container) -> None:
        report.add(checkpoint.checkpoint(context, store, container, wanted))

    return report.end(targets.each(chosen, work, quiet=options["print_stats"]))


def restore(invocation: Invocation) -> int:
    """``container restore``."""
    options = invocation.options
    _needs(options, _IMPORTED, options["import"], "--import")
    if options["name"] and options["tcp_established"]:
        raise UsageError("--tcp-established cannot be used with --name")
    if not (invocation.args or options["all"] or options["latest"] or options["import"]):
        raise UsageError("you must provide at least one name or id")
    if options["import"] and (invocation.args or options["all"] or options["latest"]):
        raise UsageError("cannot use --import with a container: the archive names its own")
    if options["pod"]:
        raise UsageError("--pod is not supported: containers of pods cannot be checkpointed")
    context, store = targets.open_engine(invocation)
    checkpoint.check_host(context, "restoring")
    wanted = restoring.Wanted(
        keep=options["keep"],
        tcp_established=options["tcp_established"],
        tcp_close=options["tcp_close"],
        file_locks=options["file_locks"],
        source=options["import"] or "",
        previous=options["import_previous"] or "",
        name=options["name"] or "",
        publish=list(options["publish"]),
        ignore_rootfs=options["ignore_rootfs"],
        ignore_volumes=options["ignore_volumes"],
        ignore_static_ip=options["ignore_static_ip"],
        ignore_static_mac=options["ignore_static_mac"],
    )
    report = _Report("podman_restore_duration", options["print_stats"])
    if wanted.source:
        rootless.enter_user(context)
        made, statistics = restoring.import_archive(context, store, wanted)
        report.add(statistics)
        if not options["print_stats"]:
            output.line(made.id)
        return report.end(0)
    chosen = targets.choose(invocation, context, store, states=("exited",))
    if options["all"]:
        chosen = [one for one in chosen if one.container and containers.observe(one.container).checkpointed]

    def work(container: Container) -> None:
        report.add(restoring.restore(context, store, container, wanted))

    return report.end(targets.each(chosen, work, quiet=options["print_stats"]))


def _needs(options: dict[str, Any], keys: tuple[str, ...], archive: str | None, flag: str) -> None:
    for key in keys:
        if options[key] and not archive:
            raise UsageError(f"--{key.replace('_', '-')} can only be used with {flag}")


class _Report:
    """What --print-stats prints: times in microseconds."""

    def __init__(self, total: str, wanted: bool) -> None:
        self.total = total
        self.wanted = wanted
        self.begin = time.monotonic()
        self.found: list[dict[str, Any]] = []

    def add(self, statistics: dict[str, Any]) -> None:
        self.found.append(statistics)

    def end(self, code: int) -> int:
        if self.wanted:
            took = int((time.monotonic() - self.begin) * 1e6)
            output.json({self.total: took, "container_statistics": self.found})
        return code
