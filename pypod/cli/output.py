"""The only writer of stdout: lines, tables, JSON, and Go templates."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

# podman's tabwriter: columns are at least 12 wide, with 2 blanks between them.
_LEAST, _GAP = 12, 2


def write(text: str) -> None:
    """Write to stdout; buffered until the process ends or ``flush``."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def data(content: bytes) -> None:
    """Write bytes as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)


def line(text: str) -> None:
    """Write one line."""
    write(text + "\n")


def flush() -> None:
    """Hand over what was written so far: before waiting, and before another process writes."""
    sys.stdout.flush()


def redirect(path: str) -> None:
    """Send what follows to a file (--out).

    Raises UsageError.
    """
    import os

    from pypod.errors import UsageError, reason

    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(f"cannot write to --out {path}: {reason(error)}") from None
    os.dup2(fd, 1)
    os.close(fd)


def columns(rows: Iterable[Sequence[str]], *, least: int = _LEAST, gap: int = _GAP) -> str:
    """Rows as aligned columns, each with its line end. The last cell of a row is not padded."""
    rows = list(rows)
    widths: list[int] = []
    for row in rows:
        for index, cell in enumerate(row[:-1]):
            if index == len(widths):
                widths.append(least)
            if len(cell) + gap > widths[index]:
                widths[index] = len(cell) + gap
    out = []
    for row in rows:
        out.append("".join([cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]))
        out.append(row[-1] if row else "")
        out.append("\n")
    return "".join(out)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, noheading: bool = False) -> None:
    """Print a table; a blank cell keeps its column. What would steer the terminal is shown as an escape."""
    shown = [[cell if cell.isprintable() else _visible(cell) for cell in row] for row in rows]
    write(columns(shown if noheading else [header, *shown]))


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def json(value: Any, indent: int = 4) -> None:
    """Print one JSON document."""
    from pypod.base import gojson

    line(gojson.text(value, indent))


def is_json(template: str | None) -> bool:
    """Whether --format asks for JSON: ``json``, ``{{json .}}`` and its spellings."""
    return template is not None and template.strip() in (
        "json",
        "{{json .}}",
        "{{ json .}}",
        "{{json . }}",
        "{{ json . }}",
    )


def unescape(template: str) -> str:
    r"""``\t`` and ``\n`` of a shell word are a tab and a line end."""
    return template.replace("\\t", "\t").replace("\\n", "\n")


def _tabbed(template: str) -> str:
    """Blanks between the fields of a table divide columns, as podman has it; those within {{ }} don't."""
    first, *rest = template.split("{{")
    pieces = [first.replace(" ", "\t")]
    for piece in rest:
        field, end, text = piece.partition("}}")
        pieces.append(f"{field}{end}" + text.replace(" ", "\t"))
    return "{{".join(pieces)


def templated(
    template: str, rows: Sequence[Any], headers: dict[str, str] | None = None, *, noheading: bool = False
) -> None:
    """Print ``rows`` through a Go template, one line each; ``table TEMPLATE`` aligns them below headings.

    ``headers`` maps fields to headings; others are made from the field's name. Raises UsageError.
    """
    from pypod.cli import gotemplate

    text = unescape(template)
    tabular = text == "table" or text.startswith("table ")
    if tabular:
        text = _tabbed(text[6:].lstrip(" "))
    parsed = gotemplate.parse(text)
    lines = [parsed.render(row) for row in rows]
    if tabular and not noheading:
        lines.insert(0, parsed.render(gotemplate.Headers(headers or {})))
    if tabular:
        write(columns([item.split("\t") for item in lines]))
        return
    for item in lines:
        write(item if item.endswith("\n") and text.endswith("\n") else item + "\n")


def rendered(template: str, value: Any) -> None:
    """Print one value through a Go template, with a line end (info, version, inspect)."""
    from pypod.cli import gotemplate

    text = gotemplate.parse(unescape(template)).render(value)
    write(text if text.endswith("\n") else text + "\n")
