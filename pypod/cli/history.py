"""``history``: how an image came to be."""

from __future__ import annotations

import time

from pypod.base import fastjson, times, units
from pypod.cli import output, targets
from pypod.engine import image_view
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.image_view import Step

HEADINGS = {"CreatedBy": "CREATED BY", "CreatedAt": "CREATED AT", "CreatedSince": "CREATED"}


def run(invocation: Invocation) -> int:
    options = invocation.options
    template = options["format"]
    if options["quiet"] and template is not None:
        raise UsageError("quiet and format are mutually exclusive")
    _, store = targets.open_engine(invocation)
    steps = image_view.history(store, store.find_image(invocation.args[0]))
    full = options["no_trunc"]
    if output.is_json(template):
        output.line(fastjson.dumps([_json(step) for step in steps]))
    elif options["quiet"]:
        for step in steps:
            output.line(_id(step, full))
    elif template is not None:
        output.templated(template, [Fields(step, full, options["human"]) for step in steps], HEADINGS)
    else:
        rows = [Fields(step, full, options["human"]) for step in steps]
        names = ("ID", "Created", "CreatedBy", "Size", "Comment")
        output.table(
            ["ID", "CREATED", "CREATED BY", "SIZE", "COMMENT"],
            [[str(row.go_field(name)) for name in names] for row in rows],
        )
    return 0


def _id(step: Step, full: bool) -> str:
    return step.id if full or step.id.startswith("<") else step.id[:12]


def _nanoseconds(step: Step) -> int:
    try:
        return times.parse_rfc3339(step.created) if step.created else 0
    except ValueError:
        return 0


def _json(step: Step) -> dict[str, Any]:
    result: dict[str, Any] = {
        "id": step.id,
        "created": step.created or times.NEVER,
        "CreatedBy": step.created_by,
        "size": step.size,
        **({"comment": step.comment} if step.comment else {}),
        "Created": times.rfc3339(_nanoseconds(step))[:19] + "Z",
    }
    if step.tags and step.id.startswith("<"):
        result["tags"] = step.tags
    return result


class Fields:
    """The fields of one step in a template."""

    go_type = "images.historyReporter"
    go_fields = "Comment Created CreatedAt CreatedBy CreatedSince ID Size Tags".split()

    def __init__(self, step: Step, full: bool, human: bool) -> None:
        self.step = step
        self.full = full
        self.human = human

    def go_json(self) -> dict[str, Any]:
        return _json(self.step)

    def go_field(self, name: str) -> Any:
        """The field; KeyError if there is none."""
        step = self.step
        when = _nanoseconds(step)
        if name == "ID":
            return _id(step, self.full)
        if name in ("Created", "CreatedSince"):
            if not self.human and name == "Created":
                return times.rfc3339(when)[:19] + "Z"
            return units.ago(when, time.time_ns())
        if name == "CreatedAt":
            return units.timestamp(when // 1_000_000_000 * 1_000_000_000)
        if name == "CreatedBy":
            text = step.created_by
            return text if self.full or len(text) <= 45 else text[:42] + "..."
        if name == "Size":
            return units.size(step.size) if self.human else step.size
        if name == "Comment":
            return step.comment if self.full or len(step.comment) <= 45 else step.comment[:42] + "..."
        if name == "Tags":
            return step.tags
        raise KeyError(name)
