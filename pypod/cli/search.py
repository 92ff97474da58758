"""``search``: images in registries."""

from __future__ import annotations

from pypod.cli import output
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.registry.settings import Settings

HEADINGS = {"Name": "NAME", "Description": "DESCRIPTION"}


def run(invocation: Invocation) -> int:
    from pypod.cli import registry_settings
    from pypod.engine import search

    options = invocation.options
    [term] = invocation.args
    settings = registry_settings.of(options)
    if options["list_tags"]:
        if options["filter"]:
            raise UsageError("filters are not applicable to list tags result", code=125)
        return _tags(term, settings, options)
    found = search.search(term, settings, limit=options["limit"] or 0, filters=options["filter"])
    template = options["format"]
    rows = [
        {
            "Index": item.index,
            "Name": item.name,
            "Description": item.description if options["no_trunc"] else search.shortened(item.description),
            "Stars": item.stars,
            "Official": item.official,
            "Automated": item.automated,
            "Tag": "",
        }
        for item in found
    ]
    if output.is_json(template):
        output.json(rows)
        return 0
    if template is None:
        names = ["Name", "Description"]
        if options["compatible"]:
            names += ["Stars", "Official", "Automated"]
        if rows:
            cells = [[str(row[name]) for name in names] for row in rows]
            output.table([name.upper() for name in names], cells)
        return 0
    from pypod.cli.gotemplate import Struct

    output.templated(template, [Struct(row, "images.searchReport") for row in rows], HEADINGS)
    return 0


def _tags(term: str, settings: Settings, options: Mapping[str, Any]) -> int:
    from pypod.engine import search

    name, tags = search.tags(term, settings, limit=options["limit"] or 0)
    template = options["format"]
    if output.is_json(template):
        output.json([{"Name": name, "Tags": tags}])
    elif template is None:
        output.table(["NAME", "TAG"], [[name, tag] for tag in tags])
    else:
        from pypod.cli.gotemplate import Struct

        listed = [Struct({"Name": name, "Tag": tag}, "images.searchReport") for tag in tags]
        output.templated(template, listed, HEADINGS)
    return 0
