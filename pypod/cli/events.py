"""``events``: what happens to containers, images, volumes, networks, pods and secrets, as it happens."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import events_read
from pypod.engine.context import open_context
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    since, until = targets.period(options["since"], options["until"])
    show = _shower(options["format"], short=not options["no_trunc"])
    tests = events_read.tests(options["filter"])
    follow = options["stream"] and not options["no_stream"]
    context = open_context(invocation.globals)
    for event in events_read.read(
        context, since=since, until=until, follow=follow, everything=not follow, tests=tests
    ):
        output.line(show(event))
        if follow:
            output.flush()
    return 0


def _shower(template: str | None, *, short: bool) -> Callable[[dict[str, Any]], str]:
    if template is None:
        return lambda event: events_read.line(event, short=short)
    if output.is_json(template):
        from pypod.base import gojson

        return lambda event: gojson.text(events_read.report(event), 0)
    if template == "table" or template.startswith("table "):
        raise UsageError("events are no table: each is shown as it comes", hint="--format '{{.Status}} {{.Name}}'")
    from pypod.cli import gotemplate

    text = output.unescape(template)
    parsed = gotemplate.parse(text)
    return lambda event: parsed.render(_struct(event)).removesuffix("\n")


def _struct(event: dict[str, Any]) -> Any:
    """The fields of a template: those of the JSON, and more names for some."""
    from pypod.cli.gotemplate import Struct

    shown = {"ID": "", "Image": "", "Name": "", "Attributes": {}, "ContainerExitCode": 0, **events_read.report(event)}
    shown["Attributes"] = shown["Attributes"] or {}
    more = {"Network": event.get("network", ""), "HealthStatus": event.get("health_status", "")}
    more |= {"PodID": event.get("PodID", ""), "ToHumanReadable": events_read.line(event)}
    return Struct(shown, "*events.Event", more)
