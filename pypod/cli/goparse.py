"""Go templates, parsed into tuples: ("text", ...), ("action", pipe), ("if", pipe, then, else) and so on.

A pipe is (commands, declared names, is assignment, start, end); a command is a tuple of operands; an operand ends
with the positions of its source, for error messages.
"""

from __future__ import annotations

from pypod.cli import gofuncs
from pypod.cli.gofmt import quote
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLANK = " \t\r\n"
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_KEYWORDS = frozenset(("if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"))


class Parser:
    """A cursor over the template's text; inside {{ }} it reads words, outside it looks for the next {{."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.trim = False  # the text that follows loses its leading blanks
        self.names = ["$"]
        self.depth = 0
        self.loops = 0

    def bad(self, message: str) -> UsageError:
        line = self.text.count("\n", 0, self.at) + 1
        return UsageError(f"template: format:{line}: {message}")

    def whole(self) -> list[Any]:
        """The nodes of the whole text.

        Raises UsageError with line and cause.
        """
        return self.block(())[0]

    def block(self, ends: tuple[str, ...]) -> tuple[list[Any], str]:
        """Nodes up to one of the keywords ``ends``, or to the end of the text if there are none."""
        self.depth += 1
        if self.depth > 100:
            raise self.bad("nested too deeply")
        nodes: list[Any] = []
        while True:
            start = self.text.find("{{", self.at)
            plain = self.text[self.at : start if start >= 0 else len(self.text)]
            if self.trim:
                plain = plain.lstrip(_BLANK)
                self.trim = False
            if start < 0:
                if ends:
                    self.at = len(self.text)
                    raise self.bad("unexpected EOF")
                if plain:
                    nodes.append(("text", plain))
                self.depth -= 1
                return nodes, ""
            self.at = start + 2
            if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] in tuple(_BLANK):
                plain = plain.rstrip(_BLANK)
                self.at += 2
            if plain:
                nodes.append(("text", plain))
            if self.text.startswith("/*", self.at):
                self.comment()
                continue
            word = self.keyword()
            if word in ends:
                self.depth -= 1
                return nodes, word
            nodes.append(self.node(word))

    def comment(self) -> None:
        end = self.text.find("*/", self.at)
        if end < 0:
            raise self.bad("unclosed comment")
        self.at = end + 2
        self.close()

    def node(self, word: str) -> tuple[Any, ...]:
        if word == "":
            pipe = self.pipeline()
            self.close()
            return ("action", pipe)
        if word in ("break", "continue"):
            if not self.loops:
                raise self.bad(f"{{{{{word}}}}} outside {{{{range}}}}")
            self.close()
            return (word,)
        if word in ("if", "with", "range"):
            return self.control(word)
        if word in ("end", "else"):
            raise self.bad(f"unexpected {{{{{word}}}}}")
        raise self.bad(f"{{{{{word}}}}} is not supported")

    def control(self, word: str) -> tuple[Any, ...]:
        depth = len(self.names)
        pipe = self.pipeline(loop=word == "range")
        self.close()
        if word == "range":
            self.loops += 1
        body, end = self.block(("end", "else"))
        if word == "range":
            self.loops -= 1
        other: list[Any] = []
        if end == "else":
            chained = self.keyword()
            if chained in ("if", "with") and chained == word:
                other = [self.control(chained)]
                del self.names[depth:]
                return (word, pipe, body, other)
            if chained:
                raise self.bad(f"unexpected {chained} in else")
            self.close()
            other, _ = self.block(("end",))
        self.close()
        del self.names[depth:]
        return (word, pipe, body, other)

    def blanks(self) -> bool:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in _BLANK:
            self.at += 1
        return self.at > start

    def close(self) -> None:
        """Take the }} that ends an action, and note whether it trims."""
        self.blanks()
        if self.closing() and self.text.startswith("-}}", self.at):
            self.trim = True
            self.at += 3
        elif self.text.startswith("}}", self.at):
            self.at += 2
        elif self.at >= len(self.text):
            raise self.bad("unclosed action")
        else:
            raise self.bad(f"unexpected {quote(self.text[self.at : self.at + 1])} in operand")

    def closing(self) -> bool:
        return self.text.startswith("}}", self.at) or (
            self.text.startswith("-}}", self.at) and self.text[self.at - 1 : self.at] in tuple(_BLANK)
        )

    def word(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in _WORD:
            self.at += 1
        return self.text[start : self.at]

    def keyword(self) -> str:
        """The keyword at the cursor, taken; "" if there is none."""
        self.blanks()
        start = self.at
        word = self.word()
        if word in _KEYWORDS:
            return word
        self.at = start
        return ""

    def pipeline(self, *, loop: bool = False, inner: bool = False) -> tuple[Any, ...]:
        """(commands, declared names, is assignment, start, end)."""
        self.blanks()
        start = self.at
        names, assign = self.declaration(loop)
        commands: list[Any] = []
        while True:
            commands.append(self.command(inner))
            self.blanks()
            if not self.text.startswith("|", self.at):
                break
            self.at += 1
        if not assign:
            self.names.extend(names)
        return (commands, names, assign, start, self.at)

    def declaration(self, loop: bool) -> tuple[tuple[str, ...], bool]:
        start = self.at
        found: list[str] = []
        while self.text.startswith("$", self.at):
            self.at += 1
            found.append("$" + self.word())
            self.blanks()
            if loop and len(found) == 1 and self.text.startswith(",", self.at):
                self.at += 1
                self.blanks()
                continue
            if self.text.startswith(":=", self.at):
                self.at += 2
                return tuple(found), False
            if self.text.startswith("=", self.at):
                self.at += 1
                for name in found:
                    if name not in self.names:
                        raise self.bad(f'undefined variable "{name}"')
                return tuple(found), True
            break
        self.at = start
        return (), False

    def command(self, inner: bool) -> tuple[Any, ...]:
        operands: list[Any] = []
        while True:
            self.blanks()
            if self.at >= len(self.text):
                raise self.bad("unclosed action")
            if self.closing() or self.text[self.at] == "|" or (inner and self.text[self.at] == ")"):
                break
            operands.append(self.operand())
            if self.at < len(self.text) and self.text[self.at] not in _BLANK + "|)" and not self.closing():
                raise self.bad(f"unexpected {quote(self.text[self.at])} after operand")
        if not operands:
            raise self.bad("missing value for command")
        return tuple(operands)

    def fields(self) -> tuple[str, ...]:
        """.A.B at the cursor."""
        found = []
        while self.text.startswith(".", self.at) and self.text[self.at + 1 : self.at + 2] in _WORD - {""}:
            self.at += 1
            found.append(self.word())
        return tuple(found)

    def operand(self) -> tuple[Any, ...]:
        text, start = self.text, self.at
        char = text[start]
        if char == ".":
            names = self.fields()
            if names:
                return ("field", names, start, self.at)
            if text[start + 1 : start + 2].isdecimal():
                return self.number()
            self.at += 1
            return ("dot", start, self.at)
        if char == "$":
            self.at += 1
            name = "$" + self.word()
            if name not in self.names:
                raise self.bad(f'undefined variable "{name}"')
            return ("variable", name, self.fields(), start, self.at)
        if char == "(":
            self.at += 1
            self.depth += 1
            if self.depth > 100:
                raise self.bad("nested too deeply")
            pipe = self.pipeline(inner=True)
            self.blanks()
            if not text.startswith(")", self.at):
                raise self.bad("unclosed left paren")
            self.at += 1
            self.depth -= 1
            return ("chain", pipe, self.fields(), start, self.at)
        if char in "\"`'":
            return self.literal(char)
        if char in "+-" or char.isdecimal():
            return self.number()
        word = self.word()
        if not word:
            raise self.bad(f"unexpected {quote(char)} in operand")
        if word in ("true", "false"):
            return ("constant", word == "true", start, self.at)
        if word == "nil":
            return ("constant", None, start, self.at)
        if word not in gofuncs.FUNCTIONS and word not in ("and", "or"):
            raise self.bad(f'function "{word}" not defined')
        return ("function", word, start, self.at)

    def number(self) -> tuple[Any, ...]:
        start = self.at
        if self.text[self.at] in "+-":
            self.at += 1
        while self.at < len(self.text) and (self.text[self.at] in _WORD or self.text[self.at] == "."):
            self.at += 1
        text = self.text[start : self.at]
        try:
            value: int | float = int(text, 0)
        except ValueError:
            try:
                value = float(text)
            except ValueError:
                raise self.bad(f"bad number syntax: {quote(text)}") from None
        return ("constant", value, start, self.at)

    def literal(self, mark: str) -> tuple[Any, ...]:
        start = self.at
        end = start + 1
        while end < len(self.text) and self.text[end] != mark:
            if self.text[end] == "\n" and mark != "`":
                break
            end += 2 if self.text[end] == "\\" and mark != "`" else 1
        if self.text[end : end + 1] != mark:
            raise self.bad("unterminated quoted string")
        body = self.text[start + 1 : end]
        self.at = end + 1
        if mark == "`":
            return ("constant", body, start, self.at)
        try:
            value = gofuncs.unquote(body)
        except ValueError:
            raise self.bad(f"invalid syntax in {self.text[start : self.at]}") from None
        if mark == "'":
            if len(value) != 1:
                raise self.bad("malformed character constant")
            return ("constant", ord(value), start, self.at)
        return ("constant", value, start, self.at)
