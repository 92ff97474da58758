"""The attach socket, standard input, the terminal and the control fifo; and our client of them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conmon import attach
from pypod.errors import MonitorError, UsageError
from support.monitor_box import Box, alive, everything, readable, until

WAIT_FOR_GO = "until [ -e $TMPDIR/go ]; do sleep 0.01; done; "


def go(box: Box) -> None:
    (box.place / "go").touch()


def test_every_client_gets_everything(box: Box) -> None:
    box.start(WAIT_FOR_GO + "echo out; echo err >&2; seq 1 10000")
    socks = [box.connect() for _ in range(5)]
    until(lambda: len(os.listdir(f"/proc/{box.pid}/fd")) >= 5)
    time.sleep(0.05)
    go(box)
    expected = b"out\n" + b"".join(b"%d\n" % number for number in range(1, 10001))
    for sock in socks:
        assert everything(sock) == (expected, b"err\n")


def test_input_and_its_end(box: Box) -> None:
    box.start("cat; echo over", stdin=True)
    with box.connect() as sock:
        for _ in range(100):
            sock.send(b"x" * 30000)
            if readable(sock):
                break
        # More than the pipes hold: somebody has to read.
        reader: list[tuple[bytes, bytes]] = []
        thread = threading.Thread(target=lambda: reader.append(everything(sock)))
        thread.start()
        sock.send(b"end")
        sock.shutdown(socket.SHUT_WR)
        thread.join(20)
    assert reader[0][0].endswith(b"endover\n")
    assert box.exit_code() == 0


def test_leave_stdin_open(box: Box) -> None:
    box.start("read a; echo $a; read b; echo $b", stdin=True, leave_stdin_open=True)
    with box.connect() as sock:
        sock.send(b"first\n")
    until(lambda: box.log.read_bytes())
    with box.connect() as sock:
        sock.send(b"second\n")
        assert everything(sock)[0] == b"second\n"
    assert box.exit_code() == 0


def test_an_onlooker_that_goes_does_not_end_the_input(box: Box) -> None:
    box.start("cat", stdin=True)
    with box.connect() as writer:
        writer.send(b"a\n")
        assert writer.recv(8193) == b"\2a\n"
        box.connect().close()
        time.sleep(0.1)
        writer.send(b"b\n")
        assert writer.recv(8193) == b"\2b\n"
        writer.shutdown(socket.SHUT_WR)
        assert everything(writer) == (b"", b"")


def test_input_ends_with_the_last_of_two_writers(box: Box) -> None:
    box.start("cat", stdin=True)
    with box.connect() as first, box.connect() as second:
        for writer in (first, second):
            writer.send(b"a\n")
            assert (first.recv(8193), second.recv(8193)) == (b"\2a\n", b"\2a\n")
        first.shutdown(socket.SHUT_WR)
        assert not readable(second, 0.1)
        second.send(b"b\n")
        assert (first.recv(8193), second.recv(8193)) == (b"\2b\n", b"\2b\n")
        second.shutdown(socket.SHUT_WR)
        assert everything(first) == everything(second) == (b"", b"")
    assert box.exit_code() == 0


def test_what_is_sent_after_stdin_was_closed_costs_no_processor_time(box: Box) -> None:
    box.start("exec 0</dev/null; echo ready; sleep 600", stdin=True)
    with box.connect() as sock:
        until(lambda: box.log.read_bytes())
        for _ in range(10):
            sock.send(b"x" * 1000)
        time.sleep(0.1)
        before = cpu(box.pid)
        time.sleep(0.5)
        assert cpu(box.pid) - before < 0.1


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().split(") ")[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_no_reset_when_input_was_never_read(box: Box) -> None:
    """close(2) with unread input would make the client lose the output that is queued for it."""
    for turn in range(5):
        (box.place / "go").unlink(missing_ok=True)
        for path in box.exits.iterdir():
            path.unlink()
        box.start(WAIT_FOR_GO + "head -c 50000 /dev/zero", stdin=True, log_path="none")
        with box.connect() as sock:
            sock.setblocking(False)
            try:
                while True:
                    sock.send(b"x" * 30000)
            except BlockingIOError:
                pass
            sock.settimeout(20)
            go(box)
            assert len(everything(sock)[0]) == 50000, turn
        box.exit_code()


def test_a_stalled_client_delays_neither_log_nor_exit(box: Box) -> None:
    box.start(WAIT_FOR_GO + "seq 1 300000; echo last", attach_grace=1000)
    stalled, good = box.connect(), box.connect()
    time.sleep(0.1)
    go(box)
    out, _ = everything(good)
    assert out.endswith(b"300000\nlast\n") and out.count(b"\n") == 300001
    assert box.exit_code() == 0
    assert box.entries()[-1] == ("stdout", "F", b"last")
    assert len(box.entries()) == 300001
    box.gone()
    got, err = everything(stalled)  # what it was sent before it was cut off
    assert out.startswith(got)
    assert missed(err) == len(out) - len(got)
    good.close()
    stalled.close()


def missed(last_word: bytes) -> int:
    """The number of bytes that a client is said to have missed."""
    found = re.fullmatch(
        rb"\n\[conmon: (\d+) bytes of output were not delivered here: this client was too slow\]\n", last_word
    )
    assert found is not None, last_word
    return int(found[1])


def test_a_client_that_was_cut_is_told_what_it_missed(box: Box) -> None:
    box.start(WAIT_FOR_GO + "seq 1 100000; rm $TMPDIR/go; " + WAIT_FOR_GO + "echo over", attach_grace=1000)
    stalled, good = box.connect(), box.connect()
    time.sleep(0.05)
    go(box)
    expected = b"".join(b"%d\n" % number for number in range(1, 100001))
    seen = b""
    while len(seen) < len(expected):
        packet = good.recv(8193)
        assert packet
        seen += packet[1:]
    until(lambda: not (box.place / "go").exists())
    # The container lives and writes nothing: the marker comes as soon as there is room for it, then the end.
    got, err = everything(stalled)
    assert expected.startswith(got)
    assert missed(err) == len(expected) - len(got) > 0
    with pytest.raises(BrokenPipeError):
        stalled.send(b"x")
    go(box)
    assert everything(good) == (b"over\n", b"")
    assert box.exit_code() == 0


def test_with_a_terminal_the_last_word_comes_on_stdout(box: Box) -> None:
    box.start(WAIT_FOR_GO + "stty -opost; seq 1 200000", attach_grace=100, terminal=True)
    with box.connect() as sock:
        time.sleep(0.05)
        go(box)
        box.gone()
        out, err = everything(sock)
    got, _, rest = out.partition(b"\n[")
    assert missed(b"\n[" + rest) == 1288895 - len(got) and not err


def test_a_writer_that_was_cut_gives_no_more_input(box: Box) -> None:
    """Its end is one like another: the container would wait for it for ever."""
    box.start(WAIT_FOR_GO + "seq 1 200000; cat", attach_grace=100, stdin=True)
    with box.connect() as sock:
        sock.send(b"last\n")
        time.sleep(0.05)
        go(box)
        assert box.exit_code() == 0
    assert box.entries()[-1] == ("stdout", "F", b"last")


def test_places_of_clients_that_were_cut_are_for_others(box: Box) -> None:
    box.start(WAIT_FOR_GO + "seq 1 100000; rm $TMPDIR/go; " + WAIT_FOR_GO + "echo over", attach_grace=50)
    stalled = []
    for _ in range(64):
        stalled.append(box.connect())
        time.sleep(0.002)
    time.sleep(0.1)
    go(box)
    until(lambda: not (box.place / "go").exists() and box.log.read_bytes().endswith(b" 100000\n"))
    with box.connect() as one, box.connect() as two:
        go(box)
        assert everything(one) == everything(two) == (b"over\n", b"")
    box.gone()
    for sock in stalled:
        out, err = everything(sock)
        assert 588895 <= len(out) + missed(err) <= 588900
        sock.close()


def test_a_little_progress_is_progress(box: Box) -> None:
    """A full socket is called writable when three quarters of it are empty: this client takes longer for that."""
    box.start(WAIT_FOR_GO + "seq 1 100000; echo last", attach_grace=600)
    with box.connect() as sock:
        time.sleep(0.05)
        go(box)
        time.sleep(0.1)
        got = b""
        for _ in range(12):
            got += sock.recv(8193)[1:]
            time.sleep(0.1)
        out, err = everything(sock)
    assert (got + out).endswith(b"100000\nlast\n") and not err
    assert len(got + out) == 588900


def test_what_is_left_in_a_large_pipe_reaches_those_who_read(box: Box) -> None:
    fill = "import fcntl, os; fcntl.fcntl(1, 1031, 1 << 20); os.write(1, bytes(1 << 20)); os.kill(os.getpid(), 9)"
    box.start(WAIT_FOR_GO + f"exec {sys.executable} -c '{fill}'", attach_grace=2000)
    with box.connect() as sock, box.connect() as stalled:
        time.sleep(0.05)
        os.kill(box.pid, signal.SIGSTOP)
        go(box)
        until(lambda: not alive(int((box.place / "pid").read_text())))
        os.kill(box.pid, signal.SIGCONT)
        out, err = everything(sock)
        assert len(out) == 1 << 20 and not err
        out, err = everything(stalled)
        assert len(out) + missed(err) == 1 << 20
    assert box.exit_code() == 137


def test_an_onlooker_that_goes_before_there_was_input(box: Box) -> None:
    box.start("cat", stdin=True)
    with box.connect() as writer:
        box.connect().close()
        time.sleep(0.1)
        writer.send(b"b\n")
        assert writer.recv(8193) == b"\2b\n"
        writer.shutdown(socket.SHUT_WR)
        assert everything(writer) == (b"", b"")


def test_an_end_without_input_ends_the_input(box: Box) -> None:
    box.start("cat", stdin=True)
    with box.connect() as reader, box.connect() as sock:
        time.sleep(0.05)
        sock.shutdown(socket.SHUT_WR)
        assert everything(reader) == (b"", b"")


def test_input_of_two_clients_takes_turns(box: Box) -> None:
    """Each packet fills the pipe, so there is always one client that waits."""
    read = "dd bs=32768 count=1 iflag=fullblock 2>/dev/null | tr -s ab; sleep 0.001; "
    box.start(WAIT_FOR_GO + f"for i in $(seq 60); do {read}done; echo", stdin=True)

    def pump(sock: socket.socket, packet: bytes) -> None:
        try:
            while True:
                sock.send(packet)
        except OSError:
            pass  # the container has ended

    with box.connect() as one, box.connect() as two:
        threads = [
            threading.Thread(target=pump, args=(one, b"a" * 65536)),
            threading.Thread(target=pump, args=(two, b"b" * 65536)),
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        go(box)
        for thread in threads:
            thread.join()
    assert box.exit_code() == 0
    order = b"".join(text for _, _, text in box.entries())
    assert order.count(b"ab") > 10 and order.count(b"ba") > 10


def test_input_behind_an_empty_packet_costs_no_output(box: Box) -> None:
    for _ in range(5):
        for path in (box.place / "go", *box.exits.iterdir()):
            path.unlink(missing_ok=True)
        box.start(WAIT_FOR_GO + "head -c 50000 /dev/zero", stdin=True, log_path="none")
        with box.connect() as sock:
            for packet in (b"", b"x", b"", b"y"):
                sock.send(packet)
            time.sleep(0.02)
            go(box)
            assert len(everything(sock)[0]) == 50000
        box.exit_code()


def test_without_descriptors_clients_wait(box: Box) -> None:
    box.start(WAIT_FOR_GO + "echo x")
    with box.connect() as first:
        time.sleep(0.05)
        # The lowest number that is free is above the limit.
        used = len(os.listdir(f"/proc/{box.pid}/fd"))
        limits = resource.prlimit(box.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(box.pid, resource.RLIMIT_NOFILE, (used, limits[1]))
        waiting = [box.connect() for _ in range(3)]
        before = cpu(box.pid)
        time.sleep(0.6)
        assert cpu(box.pid) - before < 0.1
        resource.prlimit(box.pid, resource.RLIMIT_NOFILE, limits)
        until(lambda: len(os.listdir(f"/proc/{box.pid}/fd")) >= used + 3)
        go(box)
        for sock in (first, *waiting):
            assert everything(sock) == (b"x\n", b"")
            sock.close()


def test_the_exit_file_does_not_wait_for_a_client(box: Box) -> None:
    box.start(WAIT_FOR_GO + "head -c 3000000 /dev/zero", attach_grace=1000)
    with box.connect():
        time.sleep(0.1)
        (box.place / "before").touch()
        go(box)
        assert box.exit_code() == 0


def test_a_slow_client_that_makes_progress_loses_nothing(box: Box) -> None:
    box.start(WAIT_FOR_GO + "seq 1 100000", attach_grace=3000)
    with box.connect() as sock:
        time.sleep(0.05)
        go(box)
        got = bytearray()
        count = 0
        while packet := sock.recv(8193):
            got += packet[1:]
            count += 1
            if count % 10 == 0:
                time.sleep(0.02)
    assert bytes(got) == b"".join(b"%d\n" % number for number in range(1, 100001))


def test_patience_without_end(box: Box) -> None:
    box.start(WAIT_FOR_GO + "head -c 2000000 /dev/zero", attach_grace=-1)
    with box.connect() as sock:
        time.sleep(0.05)
        go(box)
        time.sleep(0.3)
        assert len(everything(sock)[0]) == 2000000


def test_more_clients_than_there_is_room_for(box: Box) -> None:
    box.start(WAIT_FOR_GO + "echo x")
    socks = []
    for _ in range(70):
        socks.append(box.connect())
        time.sleep(0.002)
    time.sleep(0.1)
    go(box)
    outs = [everything(sock)[0] for sock in socks]
    assert outs.count(b"x\n") == 64 and outs.count(b"") == 6


def test_clients_that_come_and_go(box: Box) -> None:
    box.start("cat", stdin=True, leave_stdin_open=True)
    for number in range(200):
        with box.connect() as sock:
            if number % 3:
                sock.send(b"%d\n" % number)
    with box.connect() as sock:
        sock.send(b"last\n")
        while b"last" not in sock.recv(8193):
            pass
    assert len(os.listdir(f"/proc/{box.pid}/fd")) < 30


def test_terminal(box: Box) -> None:
    box.start("tty; stty size; read x; echo got $x; stty size", terminal=True, stdin=True)
    sock = box.connect()
    until(lambda: box.log.read_bytes().count(b"\n") == 2)
    assert attach.send_resize(str(box.bundle), 33, 99)
    time.sleep(0.05)
    sock.send(b"word\n")
    out, err = everything(sock)
    assert b"word\r\ngot word\r\n33 99\r\n" in out and err == b""
    assert box.entries()[0][2].startswith(b"/dev/pts/")
    assert not [name for name in os.listdir(box.place) if "conmon-term" in name]


def test_a_size_that_comes_before_the_terminal(box: Box) -> None:
    held = box.place / "held"  # the runtime, while the ctl fifo is there already
    held.write_text(f'#!/bin/sh\nuntil [ -e {box.place}/go ]; do sleep 0.01; done\nexec {box.runtime} "$@"\n')
    held.chmod(0o755)

    def resize() -> None:
        until(lambda: attach.send_resize(str(box.bundle), 7, 8))
        (box.place / "go").touch()

    thread = threading.Thread(target=resize)
    thread.start()
    box.start("stty size", terminal=True, runtime=str(held))
    thread.join()
    box.exit_code()
    assert box.entries()[0][2] == b"7 8\r"


def test_a_bundle_and_a_tmpdir_with_long_names(box: Box) -> None:
    deep = box.place / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    box.start("read x; echo $x", bundle=str(deep), terminal=True, env={"TMPDIR": str(deep)})
    sock = attach.connect(str(deep))
    sock.settimeout(20)
    sock.send(b"x\n")
    assert b"x\r\n" in everything(sock)[0]  # type: ignore[arg-type]


def test_the_container_may_close_its_terminal_and_open_it_again(box: Box) -> None:
    box.start("t=$(tty); exec 0<&- 1>&- 2>&-; sleep 0.3; exec 1>$t; echo back", terminal=True)
    box.exit_code()
    assert ("stdout", "F", b"back\r") in box.entries()


# Our client.


def test_connect_to_nothing(box: Box) -> None:
    with pytest.raises(MonitorError, match="cannot attach to the monitor in .*: No such file or directory"):
        attach.connect(str(box.bundle))
    assert not attach.send_resize(str(box.bundle), 1, 1)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("", b""), ("a", b"a"), ("ctrl-[,Z", b"\x1bZ"), ("ctrl-@,ctrl-_", b"\0\x1f")],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert attach.parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-P", "ab", "ctrl-p,", "é", "ctrl-pp"])
def test_bad_detach_keys(text: str) -> None:
    with pytest.raises(UsageError, match="invalid detach keys"):
        attach.parse_detach_keys(text)


@given(st.text("ab", min_size=1, max_size=4), st.lists(st.text("abc", max_size=5), max_size=6))
def test_detach_keys_are_found_wherever_input_is_cut(keys: str, pieces: list[str]) -> None:
    watcher = attach.DetachKeys(keys.encode())
    passed, found = b"", False
    for piece in pieces:
        more, found = watcher.feed(piece.encode())
        passed += more
        if found:
            break
    whole = "".join(pieces)
    assert found == (keys in whole)
    if found:
        assert passed == whole[: whole.index(keys)].encode()
    else:
        assert passed + watcher.rest() == whole.encode()


RELAY = """
import sys
from conmon import attach
how = attach.relay(attach.connect(sys.argv[1]), stdin_fd=0, tty=bool(sys.argv[2:]))
print(how, file=open(sys.argv[1] + "/how", "w"))
"""


def client(box: Box, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", RELAY, str(box.bundle), *arguments], env=env, **more)


def test_relay(box: Box) -> None:
    box.start("cat; echo err >&2", stdin=True)
    data = os.urandom(3_000_000)
    process = client(box, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(data, timeout=60)
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
    assert err == b"err\n" and (box.bundle / "how").read_text() == "eof\n"


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_relay_to_a_reader_that_rests(box: Box, kind: str) -> None:
    """A pager, say: the container is not held up, and nothing is lost."""
    box.start(WAIT_FOR_GO + "seq 1 1000000", attach_grace=1000)
    expected = b"".join(b"%d\n" % number for number in range(1, 1000001))
    if kind == "pipe":
        ours, theirs = os.pipe()
    elif kind == "file":
        theirs = os.open(box.place / "out", os.O_RDWR | os.O_CREAT)
        ours = os.open(box.place / "out", os.O_RDONLY)
    else:
        pair = socket.socketpair()
        ours, theirs = pair[0].detach(), pair[1].detach()
    process = client(box, stdin=subprocess.DEVNULL, stdout=theirs)
    os.close(theirs)
    until(lambda: sockets(process.pid) >= (2 if kind == "socket" else 1))
    go(box)
    assert box.exit_code() == 0
    time.sleep(0.2)
    if kind == "file":
        assert process.wait(20) == 0
    got = bytearray()
    while data := os.read(ours, 65536):
        got += data
    assert bytes(got) == expected
    assert process.wait(20) == 0
    os.close(ours)


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
        except OSError:
            pass
    return count


def test_relay_whose_reader_goes(box: Box) -> None:
    box.start("yes")
    process = client(box, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(4) == b"y\ny\n"
    process.stdout.close()
    assert b"BrokenPipeError" in process.stderr.read()
    process.stderr.close()
    process.wait(20)


def test_relay_with_a_terminal_and_detach_keys(box: Box) -> None:
    box.start("read x; echo got $x; read x", terminal=True, stdin=True)
    master, slave = os.openpty()
    mode = termios.tcgetattr(slave)
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[0] &= ~(termios.IXON | termios.ICRNL)
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    process = client(box, "tty", stdin=slave, stdout=slave)
    os.close(slave)
    os.write(master, b"hello\n")
    seen = b""
    while b"got hello" not in seen:
        assert select.select([master], [], [], 20)[0]
        seen += os.read(master, 1000)
    os.write(master, b"\x10")
    time.sleep(0.05)
    os.write(master, b"\x11")
    assert process.wait(20) == 0
    assert (box.bundle / "how").read_text() == "detached\n"
    os.close(master)
    assert not list(box.exits.iterdir())


def test_relay_leaves_the_mode_of_shared_descriptors_alone(box: Box) -> None:
    box.start("echo x")
    ours, theirs = os.pipe()
    process = client(box, stdin=subprocess.DEVNULL, stdout=theirs)
    process.wait(20)
    assert not fcntl.fcntl(theirs, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(ours)
    os.close(theirs)


def test_who_connects_before_a_short_session_starts_hears_all_of_it(box: Box) -> None:
    for number in range(30):
        started = box.start(
            f"echo {number}", exec_process_spec="/dev/null", exec_attach=True, cuuid="session", log_path="none"
        )
        with box.connect() as sock:
            started.go()
            assert everything(sock) == (b"%d\n" % number, b"")
        assert started.read_exit_status() == 0


@given(st.lists(st.one_of(st.binary(max_size=50), st.none()), max_size=30))
def test_spool(steps: list[bytes | None]) -> None:
    saved, attach.SPOOL = attach.SPOOL, 80
    try:
        spool = attach.Spool()
        put = taken = b""
        for step in steps:
            if step is None:
                taken += spool.take()
            else:
                spool.append(memoryview(step))
                put += step
        while spool.end:
            taken += spool.take()
        os.close(spool.fd)
        assert taken == put
    finally:
        attach.SPOOL = saved


def test_the_next_monitor_may_start_as_soon_as_the_exit_file_is_there(box: Box) -> None:
    for number in range(20):
        for path in box.exits.iterdir():
            path.unlink()
        box.start(f"read x; echo $x {number}", stdin=True, log_path="none")
        with box.connect() as sock:
            sock.send(b"turn\n")
            assert everything(sock)[0] == b"turn %d\n" % number
        assert box.exit_code() == 0


def test_whoever_comes_at_the_end_sees_the_end_and_no_reset(box: Box) -> None:
    def come() -> None:
        while True:
            try:
                socks.append(box.connect())
            except MonitorError:
                return

    for _ in range(15):
        for path in box.exits.iterdir():
            path.unlink()
        socks: list[socket.socket] = []
        box.start("true", log_path="none")
        threads = [threading.Thread(target=come) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for sock in socks:
            with sock:
                assert everything(sock) == (b"", b"")
        box.gone()
