"""YAML as Kubernetes has it, out of files that nobody trusts, and back.

PyYAML's safe parser makes the nodes; they become plain values here, so that no tag makes an object, and so that
aliases, which may stand for more than any memory holds, are counted as what they stand for. Words are read as Go's
YAML reads them for Kubernetes: ``12:30`` and ``2024-01-02`` are text, ``0644`` is octal, ``yes`` is a bool.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from pypod.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml import SafeDumper as _Dumper
else:
    _Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

SIZE = 4 << 20  # bytes of text
DEPTH = 64  # of nesting, aliases followed
VALUES = 200_000  # with aliases followed; 64 characters of text count as one more

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*|0o?[0-7]+|0x[0-9a-fA-F]+)")
# Text that no reader takes for anything else is written without quotes.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./:=@+-]*( [A-Za-z0-9_./=@+-]+)*")
_WORDS = frozenset("y n yes no on off true false null nan inf".split())


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document of a file: ``number`` counts from 1, ``line`` is where it begins."""

    number: int
    line: int
    value: Any


class _Budget:
    def __init__(self, number: int) -> None:
        self.number = number
        self.left = VALUES

    def take(self, node: yaml.Node) -> None:
        text = len(node.value) // 64 if isinstance(node, yaml.ScalarNode) else 0
        self.left -= 1 + text
        if self.left < 0:
            raise UsageError(
                f"YAML document {self.number} has more than {VALUES} values once its aliases are followed"
            )


def documents(content: bytes) -> list[Document]:
    """All documents that are not empty. Raises UsageError for what is not YAML, too large, or not plain data."""
    if len(content) > SIZE:
        raise UsageError(f"YAML of {len(content)} bytes is too large: {SIZE} are allowed")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"YAML is not UTF-8 text: byte {error.start}") from None
    try:
        _measure(text)
        return [
            Document(number=number, line=_line(node), value=value)
            for number, node in enumerate(yaml.compose_all(text, _Loader), 1)
            if (value := _value(node, _Budget(number), (), "")) is not None
        ]
    except yaml.YAMLError as error:
        raise UsageError(f"YAML cannot be read: {_cause(error)}") from None
    except RecursionError:
        raise UsageError("YAML is nested too deeply") from None


def _measure(text: str) -> None:
    """Look at the stream of events, which needs no stack, before anything is built of it. Raises UsageError."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH:
                raise UsageError(f"YAML is nested more than {DEPTH} levels deep at line {_line(event)}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(node: yaml.Node | yaml.Event) -> int:
    return node.start_mark.line + 1 if node.start_mark is not None else 1


def _cause(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "invalid"
        return f"line {mark.line + 1}: {said}" if mark is not None else str(said)
    return " ".join(str(error).split())


def _value(node: yaml.Node, budget: _Budget, above: tuple[yaml.Node, ...], path: str) -> Any:
    """A node as a plain value; ``above`` are the nodes that it is in."""
    budget.take(node)
    where = f"YAML document {budget.number}: {path or 'the document'}"
    if node in above:
        raise UsageError(f"{where}: an alias of what it is in")
    if len(above) > DEPTH:
        raise UsageError(f"{where}: nested more than {DEPTH} levels deep")
    inside = (*above, node)
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        result: dict[str, Any] = {}
        for key, item in _pairs(node, budget, inside, where):
            if key in result:
                raise UsageError(f"{where}: {key} is given twice")
            result[key] = _value(item, budget, inside, f"{path}.{key}" if path else key)
        return result
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_value(item, budget, inside, f"{path}[{index}]") for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, where)
    raise UsageError(f"{where}: tag {node.tag} makes no plain data")


def _pairs(
    node: yaml.MappingNode, budget: _Budget, above: tuple[yaml.Node, ...], where: str
) -> Iterator[tuple[str, yaml.Node]]:
    """The keys and values of a mapping; what ``<<`` merges in gives way to the mapping's own."""
    own = []
    merged: dict[str, yaml.Node] = {}
    for key, item in node.value:
        if key.tag != _TAG + "merge":
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"{where}: a key must be a word")
            own.append((str(key.value), item))
            continue
        for source in item.value if isinstance(item, yaml.SequenceNode) else [item]:
            if not isinstance(source, yaml.MappingNode):
                raise UsageError(f"{where}: << takes mappings")
            budget.take(source)  # merging nothing over and over takes time too
            if source in above or len(above) > DEPTH:
                raise UsageError(f"{where}: << of what it is in")
            for name, value in _pairs(source, budget, (*above, source), where):
                budget.take(value)
                merged.setdefault(name, value)
    names = {name for name, _ in own}
    yield from own
    yield from ((name, item) for name, item in merged.items() if name not in names)


def _scalar(node: yaml.ScalarNode, where: str) -> Any:
    text = str(node.value)
    kind = node.tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    if kind == "int":
        plain = text.replace("_", "")
        if _INTEGER.fullmatch(plain) and len(plain) < 40:
            digits = plain.lstrip("+-")
            octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in "xXoO"
            number = int(digits, 8 if octal else 0)
            return -number if plain[0] == "-" else number
        return text
    if kind == "float":
        try:
            real = float(text.replace("_", ""))
        except ValueError:
            return text
        return real if math.isfinite(real) else text
    if kind in ("str", "timestamp", "binary", "value", "merge"):
        return text
    raise UsageError(f"{where}: tag {node.tag} makes no plain data")


class _Writer(_Dumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(writer: Any, text: str) -> Any:
    style = None
    if "\n" in text and _block(text):
        style = "|"
    elif text.lower() in _WORDS or not _PLAIN.fullmatch(text):
        style = '"'
    return writer.represent_scalar(_TAG + "str", text, style=style)


def _block(text: str) -> bool:
    """Whether a block of lines holds the text as it is."""
    lines = text.split("\n")
    return bool(lines[0]) and all(line.isprintable() and line == line.strip(" ") for line in lines)


_Writer.add_representer(str, _text)


def write(values: list[dict[str, Any]]) -> str:
    """Documents as YAML, keys in the order of the alphabet."""
    return "---\n".join(
        yaml.dump(value, Dumper=_Writer, default_flow_style=False, allow_unicode=True, width=4096, sort_keys=True)
        for value in values
    )
