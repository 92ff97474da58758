"""How systemd itself reads Exec lines, paths and names of units: its own functions, called as its load-fragment.c and
execute.c call them.

They are in libsystemd-shared, which comes with the package systemd; no manager has to run.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from support import box

_CUNESCAPE, _UNQUOTE = 1 << 1, 1 << 5  # ExtractFlags, src/basic/extract-word.h


class _Specifier(ctypes.Structure):
    _fields_ = [("specifier", ctypes.c_char), ("lookup", ctypes.c_void_p), ("data", ctypes.c_void_p)]


_LOOKUP = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_char, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
)
_libc = ctypes.CDLL(None)
_libc.strdup.restype = ctypes.c_void_p
_libc.strdup.argtypes = [ctypes.c_char_p]


@functools.cache
def library() -> ctypes.CDLL:
    """libsystemd-shared; a test that asks for it is skipped, or fails, where there is none."""
    for directory in ("/usr/lib/systemd", *Path("/usr/lib").glob("*/systemd")):
        for path in sorted(Path(directory).glob("libsystemd-shared-*.so")):
            return ctypes.CDLL(str(path))
    box.missing("libsystemd-shared is not installed (package systemd)")
    raise AssertionError("unreachable")


def is_unit(name: str) -> bool:
    """Whether a unit can have this name (unit_name_is_valid, of any kind)."""
    lib = library()
    lib.unit_name_is_valid.restype = ctypes.c_bool
    return bool(lib.unit_name_is_valid(name.encode(), 7))


def can_alias(alias: str, unit: str) -> bool:
    """Whether a link of the one name to the other names the same unit."""
    lib = library()
    return int(lib.unit_validate_alias_symlink_or_warn(7, f"/u/{alias}".encode(), f"/u/{unit}".encode())) == 0


def listed_paths(setting: str, values: dict[str, str] | None = None) -> list[str]:
    """The paths of RequiresMountsFor= (config_parse_unit_requires_mounts_for)."""
    lib = library()
    at = ctypes.c_char_p(joined(setting))
    found: list[str] = []
    word = ctypes.c_void_p()
    while lib.extract_first_word(ctypes.byref(at), ctypes.byref(word), None, _UNQUOTE) > 0:
        found.append(_specifiers(lib, ctypes.cast(word, ctypes.c_char_p).value or b"", values or {}).decode())
    return found


def joined(setting: str) -> bytes:
    """The value of a setting as one line: systemd.syntax(7), a backslash before the newline."""
    result = ""
    for number, line in enumerate(setting.split("\n")):
        if number and line.lstrip()[:1] in ("#", ";"):
            continue  # a comment
        result += line[:-1] + " " if line.endswith("\\") else line
    return result.encode("utf-8", "surrogateescape")


def exec_words(setting: str, values: dict[str, str] | None = None) -> list[list[bytes]]:
    """The commands of an Exec line, each as its arguments. ``values`` are those of specifiers: {"t": "/run"}."""
    lib = library()
    at = ctypes.c_char_p(joined(setting))
    commands: list[list[bytes]] = [[]]
    while True:
        rest = (at.value or b"").lstrip(b" \t\n\r")
        at = ctypes.c_char_p(rest)
        if rest == b";" or rest.startswith((b"; ", b";\t")):
            commands.append([])
            at = ctypes.c_char_p(rest[1:])
            continue
        word = ctypes.c_void_p()
        found = lib.extract_first_word(ctypes.byref(at), ctypes.byref(word), None, _CUNESCAPE | _UNQUOTE)
        assert found >= 0, f"systemd cannot read {rest!r}: {found}"
        if not found:
            break
        text = ctypes.cast(word, ctypes.c_char_p).value
        assert text is not None
        commands[-1].append(_specifiers(lib, text, values or {}))
    return [_variables(lib, words) for words in commands]


def _specifiers(lib: ctypes.CDLL, text: bytes, values: dict[str, str]) -> bytes:
    def lookup(letter: bytes, _data: int, _root: bytes, _user: int, result: ctypes._Pointer[ctypes.c_void_p]) -> int:
        result[0] = _libc.strdup(values[letter.decode()].encode())
        return 0

    function = _LOOKUP(lookup)
    table = (_Specifier * (len(values) + 1))()
    for place, letter in enumerate(values):
        table[place] = _Specifier(letter.encode(), ctypes.cast(function, ctypes.c_void_p), None)
    result = ctypes.c_char_p()
    code = lib.specifier_printf(
        ctypes.c_char_p(text), ctypes.c_size_t(1 << 20), table, None, None, ctypes.byref(result)
    )
    assert code >= 0, f"systemd cannot expand {text!r}: {code}"
    return result.value or b""


def _variables(lib: ctypes.CDLL, words: list[bytes]) -> list[bytes]:
    """What ``$`` means, with no variable set."""
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    lib.replace_env_argv.restype = ctypes.POINTER(ctypes.c_char_p)
    result = lib.replace_env_argv(argv, (ctypes.c_char_p * 1)(None))
    found: list[bytes] = []
    while (item := result[len(found)]) is not None:
        found.append(item)
    return found


def environment_words(setting: str, values: dict[str, str] | None = None) -> list[bytes]:
    """The assignments of an Environment= line (config_parse_environ)."""
    lib = library()
    at = ctypes.c_char_p(joined(setting))
    found: list[bytes] = []
    while True:
        word = ctypes.c_void_p()
        got = lib.extract_first_word(ctypes.byref(at), ctypes.byref(word), None, _CUNESCAPE | _UNQUOTE)
        assert got >= 0, f"systemd cannot read {setting!r}"
        if not got:
            return found
        found.append(_specifiers(lib, ctypes.cast(word, ctypes.c_char_p).value or b"", values or {}))
