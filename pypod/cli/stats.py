"""``stats``: what containers use, once or again and again."""

from __future__ import annotations

import os
import time

from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import rootless, stats, top
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.container import Container
    from pypod.engine.stats import Usage

HEADINGS = {
    "ID": "ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET IO",
    "BlockIO": "BLOCK IO",
    "PIDS": "PIDS",
    "UpTime": "CPU TIME",
    "AVGCPU": "AVG CPU %",
}
_MORE = {
    "MemUsageBytes": "MEM USAGE / LIMIT",
    "AvgCPU": "AVG CPU %",
    "ContainerID": "ID",
    "PIDs": "PIDS",
    "CPU": "CPU %",
}


def run(invocation: Invocation) -> int:
    options = invocation.options
    given = sum((options["all"], options["latest"], bool(invocation.args)))
    if given > 1:
        raise UsageError("--all, --latest and containers cannot be used together")
    if options["interval"] < 1:
        raise UsageError("invalid interval, must be a positive number greater zero")
    context, store = targets.open_engine(invocation)

    def chosen() -> list[Container]:
        if options["latest"]:
            return [containers.latest(context, store)]
        if invocation.args:
            return [containers.find(context, store, word) for word in invocation.args]
        found = containers.every(context, store)
        if options["all"]:
            return found
        return [one for one, state in containers.observed(context, store, found) if state.status == "running"]

    def left() -> list[Container]:
        if not named:
            return chosen()
        return [one for one in first if os.path.exists(one.userdata)]

    named = bool(invocation.args or options["latest"])
    first = chosen()  # a name that is none is an error at once
    rootless.enter_user(context)
    watch(
        (lambda: first) if options["no_stream"] else left,
        template=options["format"],
        full=options["no_trunc"],
        interval=0 if options["no_stream"] else options["interval"],
        reset=not options["no_reset"],
        on=named,
    )
    return 0


def watch(
    chosen: Callable[[], Sequence[Container]],
    *,
    template: str | None,
    full: bool,
    interval: int,
    reset: bool,
    on: bool,
) -> None:
    """Show a round every ``interval`` seconds (0: one round), until nothing is left ``on`` what was named."""
    meter = stats.Meter()
    show = _shower(template, full)
    clear = reset and interval and os.isatty(1)
    while True:
        rows = [meter.measure(container) for container in chosen()]
        if on and not rows:
            return
        if clear:
            output.write("\033[2J\033[1;1H")
        show(rows)
        output.flush()
        if not interval:
            return
        time.sleep(interval)


def _shower(template: str | None, full: bool) -> Callable[[list[Usage]], None]:
    if template is None:
        return lambda rows: output.table(list(HEADINGS.values()), [list(fields(one, full).values()) for one in rows])
    if output.is_json(template):
        return lambda rows: output.json([as_json(one, full) for one in rows], 1)
    from pypod.cli.gotemplate import Struct

    def show(rows: list[Usage]) -> None:
        shown = [Struct(fields(one, full), "*containers.containerStats", _raw(one)) for one in rows]
        output.templated(template, shown, HEADINGS | _MORE)

    return show


def fields(one: Usage, full: bool) -> dict[str, Any]:
    """What a row shows, by the fields of a template, in the order of HEADINGS."""
    sample = one.sample
    return {
        "ID": one.id if full else one.id[:12],
        "Name": one.name,
        "CPUPerc": f"{one.cpu:.2f}%",
        "MemUsage": _pair(sample.memory, sample.limit),
        "MemPerc": f"{one.memory:.2f}%",
        "NetIO": _pair(sample.received, sample.sent),
        "BlockIO": _pair(sample.read, sample.written),
        "PIDS": str(sample.pids),
        "UpTime": top.go_duration(sample.cpu),
        "AVGCPU": f"{one.average:.2f}%",
    }


def _raw(one: Usage) -> dict[str, Any]:
    """More fields: the numbers behind."""
    sample = one.sample
    return {
        "ContainerID": one.id,
        "CPU": one.cpu,
        "AvgCPU": one.average,
        "CPUNano": sample.cpu,
        "SystemNano": sample.when,
        "MemLimit": sample.limit,
        "MemUsageBytes": memory(one),
        "NetInput": sample.received,
        "NetOutput": sample.sent,
        "BlockInput": sample.read,
        "BlockOutput": sample.written,
        "PIDs": sample.pids,
        "Up": top.go_duration(sample.cpu),
        "Duration": sample.cpu,
    }


def memory(one: Usage) -> str:
    """The memory and its limit in powers of 1024."""
    return f"{_binary(one.sample.memory)} / {_binary(one.sample.limit)}"


def as_json(one: Usage, full: bool) -> dict[str, Any]:
    """A row with podman's keys."""
    shown = fields(one, full)
    return {
        "id": shown["ID"],
        "name": shown["Name"],
        "cpu_time": shown["UpTime"],
        "cpu_percent": shown["CPUPerc"],
        "avg_cpu": shown["AVGCPU"],
        "mem_usage": shown["MemUsage"],
        "mem_percent": shown["MemPerc"],
        "net_io": shown["NetIO"],
        "block_io": shown["BlockIO"],
        "pids": shown["PIDS"],
    }


def _pair(one: int, other: int) -> str:
    from pypod.base import units

    return f"{units.size(one, space=False, digits=4)} / {units.size(other, space=False, digits=4)}"


def _binary(count: float) -> str:
    """Bytes in powers of 1024, as Go's units.BytesSize."""
    index = 0
    names = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    while count >= 1024 and index < len(names) - 1:
        count /= 1024
        index += 1
    return f"{count:.4g}{names[index]}"
