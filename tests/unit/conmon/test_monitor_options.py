"""The monitor's command line, by GOption's rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conmon._conmon import ffi, lib


class Parsed:
    def __init__(self, *words: str | bytes) -> None:
        self.keep = [
            ffi.new("char[]", word if isinstance(word, bytes) else word.encode()) for word in ("conmon", *words)
        ]
        self.argv = ffi.new("char *[]", self.keep)
        self.items = ffi.new("struct option_item[]", len(self.keep) + 1)
        self.options = ffi.new("struct options *")
        buffer = ffi.new("char[]", 256)
        failed = lib.options_parse(self.options, len(self.keep), self.argv, self.items, buffer, 256)
        self.error = ffi.string(buffer).decode("utf-8", "replace") if failed else ""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.options, name)
        if isinstance(value, int):
            return value
        return None if value == ffi.NULL else ffi.string(value)

    def values(self, which: int) -> list[bytes]:
        at = ffi.new("int *")
        result = []
        while (value := lib.options_next(self.options, which, at)) != ffi.NULL:
            result.append(ffi.string(value))
        return result

    def check(self) -> str | None:
        message = lib.options_check(self.options, ffi.new("int *"))
        if message == ffi.NULL:
            message = lib.options_check_rest(self.options)
        return None if message == ffi.NULL else ffi.string(message).decode()


def test_forms() -> None:
    parsed = Parsed("--cid", "a", "--name=b=c", "-l", "none", "-it", "--log-size-max", "0x10", "-T", "010", "-u", "")
    assert not parsed.error
    assert (parsed.cid, parsed.name, parsed.stdin_open, parsed.terminal) == (b"a", b"b=c", 1, 1)
    assert (parsed.log_size_max, parsed.timeout, parsed.cuuid) == (16, 8, b"")


def test_the_stray_1_of_podman_and_other_words_are_ignored() -> None:
    parsed = Parsed("--api-version", "1", "-c", "a", "word", "-", "--", "--name", "x")
    assert not parsed.error and parsed.api_version == 1 and parsed.cid == b"a" and parsed.name is None


def test_the_last_scalar_wins_and_lists_add_up() -> None:
    words = ["--cid", "a", "-c", "b"]
    for word in ("container", "cleanup", "--flag"):
        words += ["--exit-command-arg", word]
    words += ["--runtime-arg=--log", "--runtime-arg", "--restore-arg", "--restore-arg", "-x"]
    parsed = Parsed(*words)
    assert parsed.cid == b"b"
    assert parsed.values(lib.LIST_EXIT_ARG) == [b"container", b"cleanup", b"--flag"]
    assert parsed.values(lib.LIST_RUNTIME_ARG) == [b"--log", b"--restore-arg"]
    assert parsed.values(lib.LIST_RUNTIME_OPT) == [b"-x"]


def test_bytes_that_are_no_utf8() -> None:
    assert Parsed(b"-n", b"caf\xe9").name == b"caf\xe9"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--foo"], "Unknown option --foo"),
        (["--ci", "x"], "Unknown option --ci"),
        (["-xi"], "Unknown option -xi"),
        (["-ix"], "Unknown option -ix"),
        (["--cid"], "Missing argument for --cid"),
        (["-lfoo"], "Missing argument for -l"),
        (["-lfoo", "x"], "Unknown option -lfoo"),
        (["-lb", "x"], "Error parsing option -b"),
        (["--timeout", "x"], "Cannot parse integer value “x” for --timeout"),
        (["-T", ""], "Cannot parse integer value “” for -T"),
        (["--timeout=99999999999"], "Integer value “99999999999” for --timeout out of range"),
        (
            ["--log-size-max=99999999999999999999"],
            "Integer value “99999999999999999999” for --log-size-max out of range",
        ),
    ],
)
def test_errors(words: Sequence[str], error: str) -> None:
    assert Parsed(*words).error == error


BASE = ["-c", "a", "-u", "b", "-r", "/bin/true", "-l", "none"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "conmon: Container ID not provided. Use --cid"),
        (["-c", "a", "--log-level", "zz"], "No such log level"),
        (["-c", "a", "-e", "--restore", "x"], "Cannot use 'exec' and 'restore' at the same time"),
        (["-c", "a", "--exec-attach"], "Attach can only be specified with exec"),
        (["-c", "a", "-e", "--exec-attach"], "Attach can only be specified for a non-legacy exec session"),
        (["-c", "a"], "Container UUID not provided. Use --cuuid"),
        (["-c", "a", "-e", "--api-version"], "Container UUID not provided. Use --cuuid"),
        (["-c", "a", "-u", "b"], "Runtime path not provided. Use --runtime"),
        ([*BASE, "-e"], "Exec process spec path not provided. Use --exec-process-spec"),
        ([*BASE, "--exit-delay", "-1"], "Delay before invoking exit command must be greater than or equal to 0"),
        (
            [*BASE, "--log-rotate", "--log-max-files", "0"],
            "log-max-files must be greater than 0 when log rotation is enabled",
        ),
        (["-c", "a", "-e", "-r", "x", "--exec-process-spec", "y"], None),
        (BASE, None),
    ],
)
def test_checks(words: Sequence[str], message: str | None) -> None:
    assert Parsed(*words).check() == message


@pytest.mark.parametrize(
    ("label", "good"), [("A_1=x", True), ("A=", True), ("a=x", False), ("A", False), ("A=b=c", False)]
)
def test_labels(label: str, good: bool) -> None:
    assert (Parsed(*BASE, "--log-label", label).check() is None) == good


@given(st.lists(st.binary(max_size=12).filter(lambda word: b"\0" not in word), max_size=12))
def test_any_words_parse_or_are_refused(words: list[bytes]) -> None:
    parsed = Parsed(*words)
    if not parsed.error:
        parsed.check()
        for which in range(6):
            assert all(value in word for value in parsed.values(which) for word in [b"\n".join(words)])
