"""``import conmon``: the client, the exit files, and the example of the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import conmon
from conmon import attach, exits
from pypod.errors import MonitorError
from pypod.linux import proc
from support.box import python_environment
from support.monitor_box import ID, Box

DOCUMENTATION = Path(__file__).resolve().parents[3] / "docs" / "monitor.md"


def test_parts_are_loaded_when_they_are_used() -> None:
    code = (
        "import sys, conmon; assert not [name for name in sys.modules if name.startswith('conmon.')];"
        "assert conmon.attach.PACKET and conmon.exits.read and conmon.logs.read and conmon.spawn.spawn;"
        "assert 'conmon._conmon' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/", env=python_environment())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        conmon.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("package", ["conmon", "pypod", "storage"])
def test_types_are_shipped(package: str) -> None:
    assert (Path(conmon.__file__).parents[1] / package / "py.typed").exists()


def test_the_example_of_the_documentation(tmp_path: Path, runtime: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    bundle, state = tmp_path / "bundle", tmp_path / "state"
    bundle.mkdir()
    state.mkdir()
    # The runtime of the tests starts the container with `create`; there is nothing left to do for `start`.
    wrapper = tmp_path / "runtime"
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = start ] || exec {runtime} "$@"\n')
    wrapper.chmod(0o755)
    places = f"bundle, state, runtime = {str(bundle)!r}, {str(state)!r}, {str(wrapper)!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", places + example],
        env={**python_environment(), "FAKE_SCRIPT": "cat; echo bye >&2; exit 7"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sorted(lines[:2]) == [r"stderr b'bye\n'", r"stdout b'hello\n'"]
    assert lines[2] == "status 7"
    assert sorted(lines[3:]) == ["stderr b'bye'", "stdout b'hello'"]


def test_client(box: Box) -> None:
    box.start("read a; echo got $a; cat >/dev/null; echo end >&2", stdin=True)
    with attach.Client(str(box.bundle)) as client:
        assert client.fileno() >= 0
        with pytest.raises(TimeoutError):
            client.receive(0.01)
        client.send(b"x\n")
        assert client.receive(20) == ("stdout", b"got x\n")
        client.send(b"y" * (attach.INPUT * 3 + 1))
        client.close_input()
        assert list(client) == [("stderr", b"end\n")]
        assert client.receive(20) is None
    assert box.exit_code() == 0
    box.gone()
    with pytest.raises(MonitorError, match="cannot attach"):
        attach.Client(str(box.bundle))


def test_client_detaches_and_another_comes(box: Box) -> None:
    box.start("while read a; do echo $a; done", stdin=True, leave_stdin_open=True)
    for word in (b"one\n", b"two\n"):
        with attach.Client(str(box.bundle)) as client:
            client.send(word)
            assert client.receive(20) == ("stdout", word)
    with attach.Client(str(box.bundle)) as client:
        os.kill(int((box.place / "pid").read_text()), 9)
        assert list(client) == []
        with pytest.raises(MonitorError, match="cannot send input"):
            for _ in range(1000):
                client.send(b"z")


def test_client_of_a_terminal(box: Box) -> None:
    box.start("while :; do read a; stty size; done", terminal=True, stdin=True)
    with attach.Client(str(box.bundle)) as client:
        assert client.resize(33, 77)
        got = b""
        # The size and the input come by different ways.
        while b"33 77" not in got:
            client.send(b"\n")
            output = client.receive(20)
            assert output is not None and output[0] == "stdout"
            got += output[1]
    os.kill(int((box.place / "pid").read_text()), 9)
    box.gone()
    assert not attach.send_resize(str(box.bundle), 1, 1)


def test_read_of_exit_files(tmp_path: Path) -> None:
    file = tmp_path / "x"
    assert exits.read(str(file)) is None
    file.write_text("-1")
    assert exits.read(str(file)) == (-1, file.stat().st_ctime_ns)
    file.write_text("nothing")
    assert exits.read(str(file)) is None
    assert not exits.oom_killed(str(tmp_path), "/nowhere")
    (tmp_path / "oom").touch()
    assert exits.oom_killed("/nowhere", str(tmp_path))


def test_wait_for_the_end(box: Box) -> None:
    box.start("read a; exit 9", stdin=True, persist_dir=str(box.place))
    file, monitor = str(box.exits / ID), box.pid
    start = proc.start_time(monitor)
    assert exits.wait(file, monitor, start, timeout_ms=10) is None
    assert exits.wait(file, timeout_ms=10) is None
    threading.Timer(0.1, lambda: attach.Client(str(box.bundle)).close_input()).start()
    ended = exits.wait(file, monitor, start)
    assert ended is not None and ended[0] == 9
    assert exits.wait(str(box.place / "exit"), monitor, start) == exits.read(str(box.place / "exit"))
    assert exits.wait(file) == ended


def test_wait_ends_with_the_monitor(box: Box) -> None:
    box.start("sleep 600")
    file, monitor = str(box.exits / ID), box.pid
    start = proc.start_time(monitor)
    threading.Timer(0.1, os.kill, (monitor, 9)).start()
    assert exits.wait(file, monitor, start) is None
    assert exits.wait(file, monitor, start) is None
    assert exits.wait(file, monitor, start + 1) is None
    with pytest.raises(OSError):
        exits.wait("/nowhere/x", monitor, start)
