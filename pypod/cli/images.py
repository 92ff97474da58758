"""``images``: list images."""

from __future__ import annotations

import time

from pypod.base import units
from pypod.cli import output, targets
from pypod.engine import images
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.images import Summary

HEADINGS = {
    "Created": "CREATED",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedTime": "CREATED AT",
    "ID": "IMAGE ID",
    "Id": "IMAGE ID",
    "ParentId": "PARENT ID",
    "ReadOnly": "READ ONLY",
    "RepoDigests": "REPO DIGESTS",
    "RepoTags": "REPO TAGS",
    "SharedSize": "SHARED SIZE",
    "VirtualSize": "VIRTUAL SIZE",
}


def run(invocation: Invocation) -> int:
    options = invocation.options
    template = options["format"]
    if options["quiet"] and template is not None:
        raise UsageError("quiet and format are mutually exclusive")
    name = invocation.args[0] if invocation.args else ""
    _, store = targets.open_engine(invocation)
    found = images.summaries(
        store,
        everything=options["all"],
        name=name,
        filters=options["filter"],
        sort=options["sort"],
        full=template is not None,
    )
    full = options["no_trunc"]
    if options["quiet"]:
        for item in found:
            output.line(_id(item, full))
        return 0
    if output.is_json(template):
        # One object for each name, as podman has it.
        output.json([images.as_json(item) for item in found for _ in item.image.names or [""]])
        return 0
    now = time.time_ns()
    if template is not None:
        rows = [Fields(item, name, full, now) for item in found for name in item.image.names or ["<none>"]]
        output.templated(template, rows, HEADINGS, noheading=options["noheading"])
        return 0
    _table(found, options, now)
    return 0


def _id(item: Summary, full: bool) -> str:
    return f"sha256:{item.image.id}" if full else item.image.id[:12]


def _table(found: list[Summary], options: dict[str, Any], now: int) -> None:
    header = ["REPOSITORY", "TAG"]
    if options["digests"]:
        header.append("DIGEST")
    header += ["IMAGE ID", "CREATED", "SIZE"]
    if options["history"]:
        header.append("HISTORY")
    read_only = any(item.image.read_only for item in found)
    if read_only:
        header.append("R/O")
    cells = []
    for item in found:
        created, size = units.ago(item.created, now), units.size(item.size)
        for name in item.image.names or ["<none>"]:
            row = list(images.split_name(name))
            if options["digests"]:
                row.append(item.image.digest or "<none>")
            row += [_id(item, options["no_trunc"]), created, size]
            if options["history"]:
                row.append(_history(item))
            if read_only:
                row.append("true" if item.image.read_only else "false")
            cells.append(row)
    output.table(header, cells, noheading=options["noheading"])


def _history(item: Summary) -> str:
    return ", ".join(item.image.names_history) or "<none>"


class Fields:
    """The fields of one name of one image in a template."""

    go_type = "images.imageReporter"
    go_fields = (
        "Containers Created CreatedAt CreatedSince CreatedTime Dangling Digest History ID Id Labels Names ParentId"
        " ReadOnly RepoDigests RepoTags Repository SharedSize Size Tag VirtualSize"
    ).split()

    def __init__(self, item: Summary, name: str, full: bool, now: int) -> None:
        self.item = item
        self.name = name
        self.full = full
        self.now = now

    def go_json(self) -> dict[str, Any]:
        return images.as_json(self.item)

    def go_field(self, name: str) -> Any:
        """The field; KeyError if there is none."""
        item, image = self.item, self.item.image
        simple: dict[str, Any] = {
            "Containers": item.containers,
            "Dangling": item.dangling,
            "Digest": image.digest,
            "ID": _id(item, self.full),
            "Id": image.id,
            "Labels": item.labels or {},
            "Names": image.names,
            "ParentId": item.parent,
            "ReadOnly": image.read_only,
            "RepoTags": image.names,
            "SharedSize": 0,
            "VirtualSize": item.size,
        }
        if name in simple:
            return simple[name]
        if name in ("Repository", "Tag"):
            return images.split_name(self.name)[0 if name == "Repository" else 1]
        if name in ("Created", "CreatedSince"):
            return units.ago(item.created, self.now)
        if name in ("CreatedAt", "CreatedTime"):
            return units.timestamp(item.created // 1_000_000_000 * 1_000_000_000)
        if name == "Size":
            return units.size(item.size)
        if name == "History":
            return _history(item)
        if name == "RepoDigests":
            return images.repo_digests(image)
        raise KeyError(name)
