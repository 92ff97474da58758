"""Go's text/template, as far as --format uses it (https://pkg.go.dev/text/template, without define and template).

``parse(text).render(value)``. Values are what JSON has, and

- ``Struct``, a dict whose keys are fields: an unknown field is an error, while a map that lacks a key says "<no
  value>". Fields match without regard to case, because podman's JSON says ``Id`` where its Go type says ``ID``;
- any object with ``go_field(name)``, which computes fields when they are asked for, and ``go_json()``;
- ``Time``, a string that prints as Go prints times.

Functions: Go's own (and or not eq ne lt le gt ge len index slice print printf println) and podman's (json join
split lower upper title truncate pad).
"""

from __future__ import annotations

from pypod.cli import gofuncs, goparse
from pypod.cli.gofmt import show, type_name
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_MOST_STEPS = 1_000_000


class Struct(dict[str, "Any"]):
    """A JSON object whose keys are the fields of a Go struct called ``go_type``.

    ``hidden`` has more fields, which the JSON leaves out.
    """

    def __init__(self, values: dict[str, Any], go_type: str, hidden: dict[str, Any] | None = None) -> None:
        super().__init__(values)
        self.go_type = go_type
        self.hidden = hidden or {}

    def go_field(self, name: str) -> Any:
        """The field; KeyError if there is none."""
        if name in self:
            return self[name]
        lower = name.lower()
        for values in (self, self.hidden):
            for key, value in values.items():
                if key.lower() == lower:
                    return value
        raise KeyError(name)


class Time(str):
    """RFC 3339 text that a template prints as Go's Time.String does."""

    def __new__(cls, text: str) -> Time:
        return super().__new__(cls, text)

    def go_show(self) -> str:
        from pypod.base import times, units

        try:
            return units.timestamp(times.parse_rfc3339(str(self)))
        except ValueError:
            return str(self)


class Headers(str):
    """The row of headings above a table: every field is its own heading, "CreatedAt" being "CREATED AT"."""

    headings: dict[str, str]

    def __new__(cls, headings: dict[str, str], text: str = "") -> Headers:
        made = super().__new__(cls, text)
        made.headings = headings
        return made

    def go_field(self, name: str) -> Headers:
        return Headers(self.headings, self.headings.get(name) or heading(name))


def heading(field: str) -> str:
    """The words of a field's name in capitals: "CreatedAt" is "CREATED AT", "IPAddress" "IP ADDRESS"."""
    out = ""
    for at, char in enumerate(field):
        before = field[at - 1 : at]
        after = field[at + 1 : at + 2]
        if at and char.isupper() and (before.islower() or (after.islower() and before.isupper())):
            out += " "
        out += char.upper()
    return out


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Template:
    """A parsed template."""

    def __init__(self, text: str, nodes: list[Any]) -> None:
        self.text = text
        self.nodes = nodes

    def render(self, value: Any) -> str:
        """The text for one value.

        Raises UsageError in Go's words.
        """
        run = _Run(self.text, value)
        try:
            run.walk(self.nodes, value)
        except RecursionError:
            raise UsageError("template: nested too deeply") from None
        return "".join(run.out)


class _Run:
    """One rendering: the variables in scope and the output so far."""

    def __init__(self, text: str, value: Any) -> None:
        self.text = text
        self.out: list[str] = []
        self.variables: list[list[Any]] = [["$", value]]
        self.steps = 0

    def fail(self, node: tuple[Any, ...], message: str) -> UsageError:
        start, end = node[-2], node[-1]
        line = self.text.count("\n", 0, start) + 1
        column = start - (self.text.rfind("\n", 0, start) + 1)
        source = self.text[start:end].strip()
        return UsageError(f'template: format:{line}:{column}: executing "format" at <{source}>: {message}')

    def walk(self, nodes: list[Any], dot: Any) -> None:
        for node in nodes:
            kind = node[0]
            if kind == "text":
                self.out.append(node[1])
            elif kind == "action":
                value = self.pipeline(node[1], dot)
                if not node[1][1]:
                    self.out.append(_show(value))
            elif kind == "break":
                raise _Break
            elif kind == "continue":
                raise _Continue
            else:
                depth = len(self.variables)
                try:
                    if kind == "range":
                        self.range(node, dot)
                    else:
                        value = self.pipeline(node[1], dot)
                        if gofuncs.truth(value):
                            self.walk(node[2], value if kind == "with" else dot)
                        else:
                            self.walk(node[3], dot)
                finally:
                    del self.variables[depth:]

    def range(self, node: tuple[Any, ...], dot: Any) -> None:
        names = node[1][1]
        bare = (node[1][0], (), False, *node[1][3:])
        value = self.pipeline(bare, dot)
        pairs: list[tuple[Any, Any]]
        if isinstance(value, dict) and not hasattr(value, "go_field"):
            pairs = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, (list, tuple)):
            pairs = list(enumerate(value))
        elif value is None:
            pairs = []
        elif isinstance(value, int) and not isinstance(value, bool) and value <= _MOST_STEPS:
            pairs = [(n, n) for n in range(value)]
        else:
            raise self.fail(node[1], f"range can't iterate over {_show(value)}")
        if not pairs:
            self.walk(node[3], dot)
            return
        for key, item in pairs:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                raise self.fail(node[1], "too many iterations")
            depth = len(self.variables)
            if len(names) == 1:
                self.declare(node[1], (names[0],), item)
            elif names:
                self.declare(node[1], (names[0],), key)
                self.declare(node[1], (names[1],), item)
            try:
                self.walk(node[2], item)
            except _Break:
                return
            except _Continue:
                continue
            finally:
                del self.variables[depth:]

    def declare(self, pipe: tuple[Any, ...], names: tuple[str, ...], value: Any) -> None:
        for name in names:
            if pipe[2]:  # an assignment
                for entry in reversed(self.variables):
                    if entry[0] == name:
                        entry[1] = value
                        break
            else:
                self.variables.append([name, value])

    def pipeline(self, pipe: tuple[Any, ...], dot: Any) -> Any:
        commands, names = pipe[0], pipe[1]
        value: Any = None
        for index, command in enumerate(commands):
            value = self.command(command, dot, [value] if index else [])
        if names:
            self.declare(pipe, names, value)
        return value

    def command(self, command: tuple[Any, ...], dot: Any, final: list[Any]) -> Any:
        first, *rest = command
        kind = first[0]
        if kind == "function":
            name = first[1]
            if name in ("and", "or"):
                return self.shortcut(name, rest, dot, final, first)
            arguments = [self.operand(item, dot) for item in rest] + final
            return self.call(gofuncs.FUNCTIONS[name], arguments, first)
        if kind in ("field", "variable", "chain"):
            if rest or final:
                return self.operand(first, dot, [self.operand(item, dot) for item in rest] + final)
            return self.operand(first, dot)
        if rest or final:
            raise self.fail(first, f"can't give argument to non-function {self.text[first[-2] : first[-1]].strip()}")
        return self.operand(first, dot)

    def shortcut(self, name: str, rest: list[Any], dot: Any, final: list[Any], node: tuple[Any, ...]) -> Any:
        if not rest and not final:
            raise self.fail(node, f"wrong number of args for {name}: want at least 1 got 0")
        value: Any = None
        for item in rest:
            value = self.operand(item, dot)
            if gofuncs.truth(value) is (name == "or"):
                return value
        return final[0] if final else value

    def call(self, function: Callable[..., Any], arguments: list[Any], node: tuple[Any, ...]) -> Any:
        try:
            return function(*arguments)
        except gofuncs.Bad as error:
            raise self.fail(node, str(error)) from None
        except TypeError:
            name = self.text[node[-2] : node[-1]].strip()
            raise self.fail(node, f"wrong number or type of args for {name}: got {len(arguments)}") from None

    def operand(self, node: tuple[Any, ...], dot: Any, arguments: list[Any] | None = None) -> Any:
        kind = node[0]
        if kind == "constant":
            return node[1]
        if kind == "dot":
            return dot
        if kind == "field":
            return self.chain(node, dot, node[1], arguments)
        if kind == "variable":
            for name, value in reversed(self.variables):
                if name == node[1]:
                    return self.chain(node, value, node[2], arguments)
            raise self.fail(node, f'undefined variable "{node[1]}"')
        if kind == "chain":
            return self.chain(node, self.pipeline(node[1], dot), node[2], arguments)
        return self.command((node,), dot, [])

    def chain(self, node: tuple[Any, ...], value: Any, names: tuple[str, ...], arguments: list[Any] | None) -> Any:
        for index, name in enumerate(names):
            value = self.field(node, value, name)
            last = index == len(names) - 1
            if callable(value):
                value = self.call(value, arguments or [] if last else [], node)
            elif last and arguments:
                raise self.fail(node, f"{name} has arguments but cannot be invoked as function")
        if not names and arguments:
            raise self.fail(node, "can't give argument to non-function")
        return value

    def field(self, node: tuple[Any, ...], value: Any, name: str) -> Any:
        getter = getattr(value, "go_field", None)
        if getter is not None:
            try:
                return getter(name)
            except KeyError:
                pass
            known = [*value, *getattr(value, "hidden", ())] if isinstance(value, dict) else value.go_fields
            raise _with_hint(self.fail(node, f"can't evaluate field {name} in type {_type(value)}"), name, known)
        if isinstance(value, dict):
            return value.get(name)
        if value is None:
            raise self.fail(node, f"nil pointer evaluating interface {{}}.{name}")
        raise self.fail(node, f"can't evaluate field {name} in type {_type(value)}")


def _type(value: Any) -> str:
    return getattr(value, "go_type", "") or type_name(value)


def _with_hint(error: UsageError, name: str, known: Iterable[str]) -> UsageError:
    import difflib

    # A field's name begins with a capital, whatever the key of the JSON does.
    lower = {item.lower(): item[:1].upper() + item[1:] for item in known}
    close = difflib.get_close_matches(name.lower(), list(lower), 3, 0.6)
    if close:
        error.hint = "did you mean " + ", ".join("." + lower[item] for item in close) + "?"
    return error


def _show(value: Any) -> str:
    if hasattr(value, "go_show"):
        return str(value.go_show())
    if hasattr(value, "go_json") and not isinstance(value, dict):
        value = value.go_json()
    return show(value)


def parse(text: str) -> Template:
    """Parse a template.

    Raises UsageError with line and cause.
    """
    return Template(text, goparse.Parser(text).whole())
