"""``system df``: how much space things take."""

from __future__ import annotations

import time

from pypod.base import times, units
from pypod.cli import output, targets
from pypod.cli.gotemplate import Struct
from pypod.engine import disk_usage, images
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.disk_usage import Line, Report


def run(invocation: Invocation) -> int:
    template = invocation.options["format"]
    verbose = invocation.options["verbose"]
    as_json = output.is_json(template)
    if verbose and template is not None and not as_json:
        raise UsageError("cannot combine --format and --verbose flags", hint="--format json may be combined")
    context, store = targets.open_engine(invocation)
    report = disk_usage.report(context, store)
    if verbose and as_json:
        output.json(report.json())
    elif verbose:
        _verbose(report)
    elif template is not None and template.strip() == "json":
        output.json([_json(line) for line in report.lines()])
    elif as_json:
        # Docker's spelling: a line for each, and its clients look for the one of a build cache that we don't have.
        for line in (*report.lines(), disk_usage.Line(kind="Build Cache", total=0, active=0, size=0, reclaimable=0)):
            output.json(_json(line), 0)
    elif template is not None:
        output.templated(template, [Struct(_json(line), "system.dfSummary") for line in report.lines()])
    else:
        rows = [
            [line.kind, str(line.total), str(line.active), _size(line.size), _reclaimable(line)]
            for line in report.lines()
        ]
        output.table(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"], rows)
    return 0


def _size(count: int) -> str:
    return units.size(count, space=False, digits=4)


def _reclaimable(line: Line) -> str:
    return f"{_size(line.reclaimable)} ({line.percent}%)"


def _json(line: Line) -> dict[str, Any]:
    return {
        "Type": line.kind,
        "Total": line.total,
        "Active": line.active,
        "RawSize": line.size,
        "RawReclaimable": line.reclaimable,
        "TotalCount": line.total,
        "Size": _size(line.size),
        "Reclaimable": _reclaimable(line),
    }


def _verbose(report: Report) -> None:
    now = time.time_ns()
    output.line("Images space usage:\n")
    output.table(
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"],
        [
            [
                repository,
                tag,
                item.image.id[:12],
                units.duration(now - images.created_at(item.image)),
                _size(item.size),
                _size(item.shared),
                _size(item.size - item.shared),
                str(item.containers),
            ]
            for item, repository, tag in disk_usage.rows(report.images)
        ],
    )
    output.line("\nContainers space usage:\n")
    output.table(
        ["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"],
        [
            [
                item.container.id[:12],
                item.container.config.image_id[:12],
                " ".join(disk_usage.command(item)),
                str(item.volumes),
                _size(item.size),
                units.duration(now - times.parse_rfc3339(item.container.record.created)),
                item.state.status,
                item.container.name,
            ]
            for item in report.containers
        ],
    )
    output.line("\nLocal Volumes space usage:\n")
    output.table(
        ["VOLUME NAME", "LINKS", "SIZE"],
        [[item.name, str(item.links), _size(item.size)] for item in report.volumes],
    )
    if report.images.copies:
        output.line("\nMapped copies space usage:\n")
        output.table(
            ["IMAGE ID", "LAYER", "SIZE", "ACTIVE"],
            [
                [item.image.id[:12], item.layer[:12], _size(item.size), "true" if item.active else "false"]
                for item in report.images.copies
            ],
        )
    if report.leftovers:
        output.line("\nLeftovers (pypod system check --repair removes them):\n")
        output.table(["PATH", "SIZE"], [[path, _size(size)] for path, size in report.leftovers])
