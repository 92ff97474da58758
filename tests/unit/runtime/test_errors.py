"""What a runtime says becomes an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.errors import CommandNotExecutable, CommandNotFound, NotFound, RuntimeFailed
from pypod.runtime import Runtime, errors
from pypod.runtime.choice import choose

RUNC = "runc create failed: unable to start container process: "


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        (RUNC + 'exec: "x": executable file not found in $PATH', CommandNotFound, 127),
        (RUNC + 'exec: "/x": stat /x: no such file or directory', CommandNotFound, 127),
        (RUNC + 'exec: "/etc": is a directory', CommandNotExecutable, 126),
        (RUNC + 'exec: "/etc/passwd": permission denied', CommandNotExecutable, 126),
        ("executable file `x` not found in $PATH: No such file or directory", CommandNotFound, 127),
        ("open executable: Permission denied", CommandNotExecutable, 126),
        ("mount `/x` to `/y`: No such file or directory", RuntimeFailed, 125),
        (RUNC + 'error mounting "/a" to rootfs at "/b": mount /a:/b: permission denied', RuntimeFailed, 125),
        ("write file `/proc/thread-self/attr/exec`: No such file or directory", RuntimeFailed, 125),
        ("writing file `/sys/fs/cgroup/x/cgroup.procs`: Permission denied", RuntimeFailed, 125),
        ("", RuntimeFailed, 125),
    ],
)
def test_codes(message: str, kind: type[RuntimeFailed], code: int) -> None:
    found = errors.failure("runc", message)
    assert type(found) is kind
    assert found.code == code


def test_podmans_words() -> None:
    found = errors.failure("runc", RUNC + 'exec: "x": executable file not found in $PATH')
    assert found.message == (
        'runc: runc create failed: unable to start container process: exec: "x": executable file not found in $PATH:'
        " OCI runtime attempted to invoke a command that was not found"
    )


def test_log_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [{"level": "warning", "msg": "w"}, {"level": "error", "msg": "the cause"}, {"level": "info", "msg": "i"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + "not json\n")
    assert errors.last_error(str(log)) == "the cause"
    assert errors.last_error(str(tmp_path / "none")) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('time="2026" level=error msg="exec: \\"x\\": gone"', 'exec: "x": gone'),
        ('{"msg": "m", "level": "error"}', "m"),
        ("2026-01-01T00:00:00Z: plain\n", "2026-01-01T00:00:00Z: plain"),
        ("", ""),
    ],
)
def test_stderr(text: str, message: str) -> None:
    assert errors.from_text(text) == message


@given(st.text())
def test_any_text_is_an_error(text: str) -> None:
    assert errors.failure("crun", errors.from_text(text)).code in (125, 126, 127)


def test_arguments() -> None:
    runtime = Runtime("/usr/bin/crun", "/run/x", cgroup_manager="systemd")
    assert runtime.global_args("/l") == [
        "--log-format=json",
        "--log",
        "/l",
        "--root",
        "/run/x",
        "--cgroup-manager=systemd",
    ]
    assert Runtime("/usr/sbin/runc", cgroup_manager="systemd").global_args() == ["--systemd-cgroup"]
    assert Runtime("/usr/sbin/runc", cgroup_manager="disabled").global_args() == []
    argv = runtime.exec_argv("c", process_file="/p", pid_file="/pid", preserve_fds=2)
    assert argv[-8:] == ["exec", "--process", "/p", "--pid-file", "/pid", "--preserve-fds", "2", "c"]


def test_missing_runtime() -> None:
    with pytest.raises(NotFound, match="nonexistent"):
        choose("nonexistent-runtime")
    with pytest.raises(NotFound):
        Runtime("/nonexistent/runc").state("x")


def test_a_runtime_that_fails(tmp_path: Path) -> None:
    program = tmp_path / "bad"
    program.write_text("#!/bin/sh\necho 'something broke' >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(RuntimeFailed, match="bad: something broke"):
        Runtime(str(program)).start("c")
