"""``pod stats``: what the containers of pods use, once or again and again."""

from __future__ import annotations

import os
import time

from pypod.cli import output, stats, targets
from pypod.engine import container as containers
from pypod.engine import pods, rootless
from pypod.engine import stats as meters
from pypod.errors import NoSuchPod, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.stats import Usage
    from storage.store import Store

HEADINGS = {
    "Pod": "POD",
    "CID": "CID",
    "Name": "NAME",
    "CPU": "CPU %",
    "MemUsage": "MEM USAGE/ LIMIT",
    "Mem": "MEM %",
    "NetIO": "NET IO",
    "BlockIO": "BLOCK IO",
    "PIDS": "PIDS",
}
# podman's JSON has them in this order.
_KEYS = ("CPU", "MemUsage", "MemUsageBytes", "Mem", "NetIO", "BlockIO", "PIDS", "Pod", "CID", "Name")
_INTERVAL = 5  # seconds
_NOTHING = "-- / --"


def run(invocation: Invocation) -> int:
    options = invocation.options
    if sum((options["all"], options["latest"], bool(invocation.args))) > 1:
        raise UsageError("--all, --latest and arguments cannot be used together")
    context, store = targets.open_engine(invocation)
    wanted = _wanted(invocation, context)
    rootless.enter_user(context)
    meter = meters.Meter()
    clear = not options["no_reset"] and not options["no_stream"] and os.isatty(1)
    while True:
        rows = [_row(item, meter.measure(item)) for item in _members(context, store, wanted)]
        if clear:
            output.write("\033[2J\033[1;1H")
        _show(rows, options["format"])
        output.flush()
        if options["no_stream"] or (wanted and not rows):
            return 0
        time.sleep(_INTERVAL)


def _wanted(invocation: Invocation, context: Context) -> list[str]:
    """The ids of the pods that were named; [] for all of them. Raises NoSuchPod."""
    if invocation.options["latest"]:
        return [pods.latest(context).id]
    try:
        return [pods.find(context, word).id for word in invocation.args]
    except NoSuchPod as error:
        raise NoSuchPod(f"unable to get list of pods: {error.message}") from None


def _members(context: Context, store: Store, wanted: list[str]) -> list[Container]:
    found = pods.by_pod(containers.every(context, store))
    ids = wanted or [pod.id for pod in pods.every(context)]
    return [item for identity in ids for item in found.get(identity, ())]


def _row(container: Container, usage: Usage) -> dict[str, Any]:
    runs = usage.sample.when > 0
    shown = stats.fields(usage, False)
    disk = usage.sample.read or usage.sample.written
    return {
        "CPU": shown["CPUPerc"] if runs else "--",
        "MemUsage": shown["MemUsage"] if runs else _NOTHING,
        "MemUsageBytes": stats.memory(usage) if runs else _NOTHING,
        "Mem": shown["MemPerc"] if runs else "--",
        "NetIO": shown["NetIO"] if runs else _NOTHING,
        "BlockIO": shown["BlockIO"] if disk else _NOTHING,
        "PIDS": shown["PIDS"] if runs else "--",
        "Pod": container.config.pod[:12],
        "CID": container.id[:12],
        "Name": container.name,
    }


def _show(rows: list[dict[str, Any]], template: str | None) -> None:
    if template is None:
        output.table(list(HEADINGS.values()), [[row[name] for name in HEADINGS] for row in rows])
        return
    if output.is_json(template):
        output.json([{key: row[key] for key in _KEYS} for row in rows], 5)
        return
    from pypod.cli.gotemplate import Struct

    shown = [Struct(row, "types.PodStatsReport") for row in rows]
    output.templated(template, shown, HEADINGS | {"MemUsageBytes": "MEM USAGE/ LIMIT"})
