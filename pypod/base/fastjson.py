"""JSON without the import cost of the ``json`` package (5 ms, most of it ``re``).

CPython's C scanner and encoder are used directly; where an interpreter lacks them the ``json`` package serves.
Output and errors are those of ``json``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class BadJson(ValueError):
    """The text is not JSON; the message says where."""


def decode(data: bytes | bytearray) -> str:
    """The text of a JSON document, without the byte order mark that some editors write.

    Raises BadJson.
    """
    try:
        return str(data, "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8 at byte {error.start}") from None


try:
    import _json as _c

    c: Any = _c
except ImportError:
    c = None


if c is not None:

    class _Scanner:
        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        memo: dict[str, str] = {}

        @staticmethod
        def parse_constant(text: str) -> float:
            raise BadJson(f"{text} is not JSON")

        parse_string = staticmethod(c.scanstring)

    _scan = c.make_scanner(_Scanner())

    def scan(text: str, start: int) -> tuple[Any, int]:
        """The value that begins at ``start``, and where it ends; what follows may be anything.

        Raises BadJson.
        """
        try:
            found: tuple[Any, int] = _scan(text, start)
            return found
        except StopIteration as stop:
            raise BadJson(f"Expecting value at character {stop.value}") from None
        except RecursionError:
            raise BadJson("nested too deeply") from None
        except SystemError:
            # The C scanner cannot build its error unless json.decoder is loaded: only bad input pays for that.
            import json

            try:
                return json.JSONDecoder().raw_decode(text, start)
            except ValueError as error:
                raise BadJson(str(error)) from None
        except BadJson:
            raise
        except ValueError as error:
            raise BadJson(str(error)) from None

    def loads(text: str | bytes) -> Any:
        """Parse one JSON document.

        Raises BadJson.
        """
        if isinstance(text, (bytes, bytearray)):
            text = decode(text)
        value, end = scan(text, len(text) - len(text.lstrip(" \t\n\r")))
        if text[end:].strip(" \t\n\r"):
            raise BadJson(f"Extra data at character {end}")
        return value

    def _default(value: object) -> Any:
        fields = getattr(value, "__record_fields__", None)
        if fields is not None:
            return value.__dict__
        raise TypeError(f"{type(value).__name__} is not JSON")

    def dumps(value: object, *, indent: int = 0, sort_keys: bool = False) -> str:
        """Write one JSON document, compact, or indented by ``indent`` blanks per level."""
        if indent:
            import json

            return json.dumps(value, indent=indent, sort_keys=sort_keys, default=_default)
        encoder = c.make_encoder({}, _default, c.encode_basestring_ascii, None, ":", ",", sort_keys, False, False)
        return "".join(encoder(value, 0))

else:
    import json

    def scan(text: str, start: int) -> tuple[Any, int]:
        """The value that begins at ``start``, and where it ends; what follows may be anything.

        Raises BadJson.
        """
        try:
            return json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise BadJson(str(error)) from None

    def loads(text: str | bytes) -> Any:
        """Parse one JSON document.

        Raises BadJson.
        """
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadJson(str(error)) from None

    def _default(value: object) -> Any:
        if hasattr(type(value), "__record_fields__"):
            return value.__dict__
        raise TypeError(f"{type(value).__name__} is not JSON")

    def dumps(value: object, *, indent: int = 0, sort_keys: bool = False) -> str:
        """Write one JSON document, compact, or indented by ``indent`` blanks per level."""
        separators = None if indent else (",", ":")
        return json.dumps(value, indent=indent or None, sort_keys=sort_keys, default=_default, separators=separators)
