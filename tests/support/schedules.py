"""Random schedules for the monitor: a writer, clients that come, stall and go, rotation, signals; and what must hold.

``PYTHONPATH=tests python -m support.schedules --seed N`` runs the schedule of a seed again; ``--count M`` those from
N on.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import mmap
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.schedule_plans import (
    ECHO,
    END,
    ERR,
    GO,
    HOLD,
    OUT,
    OVER,
    TERM_DEFAULT,
    TERMINATED,
    ClientPlan,
    Plan,
    make,
)

ID = "abcdef0123456789" * 4
LIMIT = 20.0  # seconds for a schedule: a hang
PACKET = 8193
CSRC = Path(__file__).resolve().parents[1] / "csrc"
LAST_WORD = re.compile(
    rb"\n\[conmon: (\d+) bytes of output were not delivered here: this client was too slow\]\n", re.DOTALL
)


class Fault(Exception):
    """Something that must not happen."""


def build(directory: Path) -> tuple[Path, Path]:
    """The runtime and the writer, compiled into a directory."""
    programs = []
    for name in ("runtime", "writer"):
        program = directory / name
        subprocess.run(["cc", "-O1", "-Wall", "-Wextra", CSRC / f"{name}.c", "-o", program], check=True)
        programs.append(program)
    return programs[0], programs[1]


class Client:
    """A client as it goes."""

    def __init__(self, plan: ClientPlan) -> None:
        self.plan = plan
        self.sock: socket.socket | None = None
        self.process = 0
        self.got = {2: bytearray(), 3: bytearray()}
        self.packets = 0
        self.reading_from = 0.0
        self.sends = list(plan.sends)
        self.sent: list[bytes] = []
        self.ends = plan.ends
        self.shut = False  # our end of the input
        self.refused = False  # the monitor's
        self.state = "to come"  # connected, left, eof, reset, late

    def take(self) -> bool:
        """Read one packet; whether the connection goes on."""
        assert self.sock is not None
        try:
            packet = self.sock.recv(PACKET)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            self.state = "reset"
            self.drop()
            return False
        if not packet:
            self.state = "eof"
            self.drop()
            return False
        self.got[packet[0]] += packet[1:]
        self.packets += 1
        return True

    def drop(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def send(self) -> None:
        assert self.sock is not None
        try:
            self.sock.send(self.sends[0][1])
            self.sent.append(self.sends[0][1])
        except BlockingIOError:
            return
        except OSError:
            self.refused = True
            self.sends.clear()
            return
        self.sends.pop(0)

    def end_input(self) -> None:
        assert self.sock is not None
        self.ends = -1.0
        self.shut = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)


class Descriptors:
    """What a monitor that nobody is attached to has open, by the kind of monitor; found out once for each."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[tuple[object, ...], Counter[str]] = {}


def kinds(pid: int) -> Counter[str]:
    """The open descriptors of a process by kind; none of one that has ended."""
    result: Counter[str] = Counter()
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        return result
    for fd in names:
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            result["file" if target.startswith("/") else target.split(":[")[0]] += 1
    return result


class Run:
    """One schedule, carried out."""

    def __init__(
        self, plan: Plan, place: Path, runtime: Path, writer: Path, monitor: str, fresh: Descriptors
    ) -> None:
        self.plan, self.place, self.runtime, self.writer, self.monitor = plan, place, runtime, writer, monitor
        self.fresh = fresh
        self.bundle, self.exits, self.log = place / "b", place / "x", place / "log"
        self.clients = [Client(client) for client in plan.clients]
        self.pid = self.monitor_pid = self.pidfd = -1
        self.sync: socket.socket | None = None
        self.start_pipe: socket.socket | None = None
        self.killed = self.signalled = False
        self.renamed = 0
        self.reopens = list(plan.reopens)
        self.signals = sorted(plan.signals)
        self.kill_at = plan.kill
        self.looked = not plan.look

    # Setting up.

    def words(self) -> list[str]:
        plan, place = self.plan, self.place
        words = [
            self.monitor,
            "--api-version",
            "1",
            "-c",
            ID,
            "-u",
            ID,
            "-r",
            str(self.runtime),
            "-b",
            str(self.bundle),
        ]
        words += ["-p", f"{place}/pid", "-P", f"{place}/conmon.pid", "--exit-dir", str(self.exits), "--full-attach"]
        words += ["--exit-command", str(self.writer), "--exit-command-arg", "append"]
        words += ["--exit-command-arg", f"{place}/ended", "--attach-grace", str(plan.grace), "--no-sync-log"]
        for driver in plan.drivers:
            path = {"none": "none", "full": "k8s-file:/dev/full"}.get(driver, f"{driver}:{self.path(driver)}")
            words += ["-l", path]
        if plan.limit:
            words += ["--log-size-max", str(plan.limit)]
        words += ["--log-max-files", str(plan.max_files)]
        words += ["--log-rotate"] * plan.rotate_flag + ["-t"] * plan.terminal + ["-i"] * plan.stdin
        words += ["--leave-stdin-open"] * plan.leave_open
        if plan.exec:
            words += ["-e", "--exec-process-spec", "/dev/null"]
        if plan.exec == "attached":
            words += ["--exec-attach"]
        return words

    def path(self, driver: str) -> Path:
        return self.log if driver == "k8s-file" else self.log.with_suffix(".json")

    def write_plan(self) -> None:
        plan = self.plan
        path = self.place / "plan"
        flat = [number for op in plan.ops for number in op]
        head = struct.pack(f"=4I{len(flat)}I", len(plan.ops), plan.term, plan.status, len(plan.out), *flat)
        path.write_bytes(head + plan.out + plan.err)
        report = os.open(f"{path}.report", os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(report, mmap.PAGESIZE)
        self.report = mmap.mmap(report, mmap.PAGESIZE)
        os.close(report)

    def value(self, name: str) -> int:
        names = ("go", "ready", "op", "held", "terminated", "echo_at", "echoed", "out", "err", "input_ended")
        return int(struct.unpack_from("=I", self.report, 4 * names.index(name))[0])

    def allow(self, what: int) -> None:
        struct.pack_into("=I", self.report, 0, max(what, self.value("go")))

    def start(self) -> None:
        self.bundle.mkdir()
        self.exits.mkdir()
        self.write_plan()
        env = {"TZ": "UTC", "TMPDIR": str(self.place), "FAKE_PROGRAM": str(self.writer), "FAKE_RAW": "1"}
        env["WRITER_PLAN"] = f"{self.place}/plan"
        # For a monitor that is built with sanitizers, whose stderr is /dev/null.
        env["ASAN_OPTIONS"] = f"log_path={self.place}/found:handle_sigill=1"
        attached = self.plan.exec == "attached"
        names = ["SYNC", "START", "ATTACH"] if attached else ["SYNC"]
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in names]
        actions: list[tuple[int, ...]] = []
        moved = []
        for index, (name, (_, theirs)) in enumerate(zip(names, pairs, strict=True)):
            moved.append(fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 200))
            actions.append((os.POSIX_SPAWN_DUP2, moved[-1], 3 + index))
            env[f"_OCI_{name}PIPE"] = str(3 + index)
            theirs.close()
        words = self.words()
        try:
            launcher = os.posix_spawn(words[0], words, env, file_actions=actions, setsigmask=(), setsigdef=(13,))
        finally:
            for fd in moved:
                os.close(fd)
        self.sync = pairs[0][0]
        self.sync.settimeout(LIMIT)
        if attached:
            self.start_pipe = pairs[1][0]
            self.start_pipe.send(b"x")
        if os.waitpid(launcher, 0)[1]:
            raise Fault("the launcher failed")
        self.monitor_pid = int((self.place / "conmon.pid").read_text())
        self.pidfd = os.pidfd_open(self.monitor_pid)
        if attached:
            with pairs[2][0] as ready:
                ready.settimeout(LIMIT)
                if json.loads(ready.recv(4096))["data"] != 0:
                    raise Fault("the attach socket is not ready")
        else:
            self.hear_pid()

    def hear_pid(self) -> None:
        assert self.sync is not None
        message = json.loads(self.sync.recv(65536) or b'{"data": -2}')
        self.pid = message["data"]
        if self.pid <= 0:
            raise Fault(f"create failed: {message}")

    # Going on.

    def connect(self, client: Client) -> None:
        client.state = "connected"
        if client.plan.pace == "process":
            words = [str(self.writer), "client", str(self.bundle)]
            client.process = os.posix_spawn(words[0], words, {})
            return
        fd = os.open(self.bundle, os.O_PATH | os.O_DIRECTORY)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.settimeout(LIMIT)
            sock.connect(f"/proc/self/fd/{fd}/attach")
        except OSError:
            sock.close()
            client.state = "late"
            return
        finally:
            os.close(fd)
        sock.setblocking(False)
        client.sock = sock

    def leave(self, client: Client) -> None:
        client.state = "left"
        if client.process:
            os.kill(client.process, signal.SIGKILL)
            os.waitpid(client.process, 0)
            client.process = 0
        client.drop()

    def advance(self, client: Client, now: float) -> float:
        """What is due for a client; when to look again."""
        plan = client.plan
        if client.state == "to come":
            if now < plan.at:
                return plan.at
            self.connect(client)
        if client.state != "connected":
            return now + 10
        if plan.gone >= 0 and now >= plan.gone:
            self.leave(client)
            return now + 10
        times = [plan.gone] if plan.gone >= 0 else []
        if client.sock is not None and client.sends:
            if now >= client.sends[0][0] and self.value("ready"):
                client.send()
            times += [max(send[0], now + 0.001) for send in client.sends[:1]]
        elif client.sock is not None and client.ends >= 0:
            if now >= client.ends:
                client.end_input()
            else:
                times.append(client.ends)
        if client.sock is not None and self.reads(client) and client.reading_from > now:
            times.append(client.reading_from)
        return min(times, default=now + 10)

    def reads(self, client: Client) -> bool:
        return client.plan.pace != "stall" or client.packets < client.plan.packets

    def took(self, client: Client, now: float) -> None:
        plan = client.plan
        if plan.pace == "slow" and client.packets < 200:
            client.reading_from = now + plan.rest
        elif plan.pace == "pause" and client.packets == plan.packets:
            client.reading_from = now + plan.rest

    def control(self) -> None:
        if self.plan.renames and self.log_is_missing():
            return  # the container has ended, and the monitor gives its clients the rest
        if self.plan.renames:
            self.renamed += 1
            for driver in self.plan.drivers:
                if driver in ("k8s-file", "json-file"):
                    path = self.path(driver)
                    path.rename(f"{path}.old{self.renamed}")
        try:
            fd = os.open(self.bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK)
            with open(fd, "wb", buffering=0) as fifo:
                fifo.write(b"2 0 0\n")
        except OSError:
            return  # the monitor has ended meanwhile
        end = time.monotonic() + 5
        while self.plan.renames and self.log_is_missing():
            # Twice in one turn of the monitor's loop would take the first file's name away.
            if time.monotonic() > end or self.ended() or (self.exits / ID).exists():
                break
            time.sleep(0.0005)

    def log_is_missing(self) -> bool:
        files = [self.path(driver) for driver in self.plan.drivers if driver in ("k8s-file", "json-file")]
        return not all(path.exists() for path in files)

    def ended(self) -> bool:
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def actions(self, now: float) -> float:
        """What is due for the monitor and the container."""
        if self.reopens and now >= self.reopens[0]:
            self.reopens.pop(0)
            if not self.ended() and (self.bundle / "ctl").exists():
                self.control()
        if self.signals and now >= self.signals[0][0]:
            self.signalled = True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, self.signals.pop(0)[1])
        if 0 <= self.kill_at <= now and self.pid > 0:
            self.kill_at = -1.0
            # The pid can be another's only if the exit file is there.
            if not (self.exits / ID).exists():
                self.killed = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
        times = self.reopens[:1] + [at for at, _ in self.signals[:1]] + ([self.kill_at] if self.kill_at >= 0 else [])
        return min(times, default=now + 10)

    def go_on(self, began: float) -> None:
        """Until the monitor has ended."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        watched: dict[int, Client] = {}
        while True:
            now = time.monotonic() - began
            if now > LIMIT:
                raise Fault(f"hang: {self.describe()}")
            due = self.actions(now)
            for client in self.clients:
                due = min(due, self.advance(client, now))
            self.permissions(now)
            now = time.monotonic() - began
            wanted = {
                c.sock.fileno(): c
                for c in self.clients
                if c.sock is not None and self.reads(c) and now >= c.reading_from
            }
            for fd in watched.keys() - wanted.keys():
                poll.unregister(fd)
            for fd in wanted.keys() - watched.keys():
                poll.register(fd, select.POLLIN)
            watched = wanted
            wait = min(due - now, 0.005 if self.value("go") < END else 0.1)
            for fd, _ in poll.poll(max(0, int(wait * 1000 + 0.9))):
                if fd == self.pidfd:
                    return
                client = watched[fd]
                client.take()
                if client.sock is None:
                    poll.unregister(fd)
                    del watched[fd]
                else:
                    self.took(client, now)

    def permissions(self, now: float) -> None:
        """Let the writer go on."""
        if self.value("go") >= END:
            return
        if self.value("go") < GO:
            if all(client.state != "to come" for client in self.clients if client.plan.at <= 0):
                self.allow(GO)
            return
        busy = any(c.state == "to come" or (c.sock is not None and (c.sends or c.ends >= 0)) for c in self.clients)
        if not busy or now > 3:
            self.allow(OVER)
        if not busy and self.value("held") == END:
            if not self.looked:
                self.looked = True
                self.look()
            self.allow(END)

    def look(self) -> None:
        """The monitor has no more open than it needs."""
        plan = self.plan
        key = (plan.terminal, plan.stdin, bool(plan.exec), plan.drivers)
        with self.fresh.lock:
            if key not in self.fresh.known:
                self.fresh.known[key] = self.calibrate()
        echoes = any(kind == ECHO for kind, _ in plan.ops)
        room = 3000 if plan.terminal else 30000
        if not echoes and sum(len(data) for client in self.clients for data in client.sent) > room:
            return  # what a client that has gone had sent may still wait for room
        end = time.monotonic() + 5
        while True:
            allowed = self.fresh.known[key].copy()
            allowed["socket"] += sum(c.sock is not None or c.process > 0 for c in self.clients)
            found = kinds(self.monitor_pid)
            if not found - allowed or self.ended():
                return
            if time.monotonic() > end:
                raise Fault(f"descriptors: {found - allowed} too many")
            time.sleep(0.002)

    def calibrate(self) -> Counter[str]:
        plan = Plan(-1, terminal=self.plan.terminal, stdin=self.plan.stdin, drivers=self.plan.drivers)
        plan.exec = "exec" if self.plan.exec else ""
        plan.ops = [(HOLD, GO)]
        place = self.place / "fresh"
        place.mkdir()
        run = Run(plan, place, self.runtime, self.writer, self.monitor, self.fresh)
        try:
            run.start()
            seen: list[Counter[str]] = []
            while len(seen) < 10 or seen[-10:] != seen[-1:] * 10:
                seen.append(kinds(run.monitor_pid))
                time.sleep(0.01)
            run.go_on(time.monotonic())
            return seen[-1]
        finally:
            run.close()

    def finish(self) -> None:
        """Who is still connected reads the rest."""
        for client in self.clients:
            if client.process:
                self.leave(client)
            if client.sock is None:
                continue
            client.sock.settimeout(LIMIT)
            try:
                while client.take():
                    pass
            except TimeoutError:
                raise Fault("a client does not see the end") from None

    def describe(self) -> str:
        words = [f"monitor {self.monitor_pid}", "exit file" if (self.exits / ID).exists() else "no exit file"]
        for name in ("go", "ready", "op", "held", "echo_at", "echoed", "out", "err"):
            words.append(f"{name}={self.value(name)}")
        words.append(f"of {len(self.plan.ops)} ops")
        words += [f"client {client.state} {client.packets}" for client in self.clients]
        with contextlib.suppress(OSError):
            words.append(Path(f"/proc/{self.monitor_pid}/syscall").read_text().strip())
        return ", ".join(words)

    # What must be true.

    def check(self) -> None:
        self.check_end()
        for driver in self.plan.drivers:
            if driver in ("k8s-file", "json-file"):
                self.check_log(driver)
        truth = self.truth()
        for number, client in enumerate(self.clients):
            try:
                self.check_client(client, truth)
                self.check_input(number, client)
            except Fault as fault:
                raise Fault(f"client {number}: {fault}") from None

    def check_end(self) -> None:
        plan = self.plan
        if os.listdir(self.exits) != [ID]:
            raise Fault(f"exit directory: {os.listdir(self.exits)}")
        status = int((self.exits / ID).read_text())
        possible = {TERMINATED} if self.value("terminated") else {plan.status}
        if self.killed:
            possible |= {137, TERMINATED, plan.status}
        if self.signalled and plan.term == TERM_DEFAULT:
            possible |= {143, 130}
        if self.signalled and not self.value("ready"):
            possible |= {143, 130}
        if status not in possible:
            raise Fault(f"exit status {status}, not {possible}")
        if plan.exec:
            assert self.sync is not None
            told = json.loads(self.sync.recv(65536) or b'{"data": "nothing"}')["data"]
            if told != status:
                raise Fault(f"told {told}, status {status}")
        if (self.place / "ended").stat().st_size != 1:
            raise Fault("the exit command did not run exactly once")
        left = [name for name in os.listdir(self.bundle) if name not in ("ctl", "winsz")]
        left += [name for name in os.listdir(self.place) if "conmon-term" in name or name.endswith(".tmp")]
        if left:
            raise Fault(f"left behind: {left}")

    @property
    def uncertain(self) -> bool:
        """Whether the container's last write may have been cut short, so that the report is a lower bound."""
        died = self.killed or (self.signalled and self.plan.term == TERM_DEFAULT)
        return died and self.value("op") < len(self.plan.ops)

    def files(self, driver: str) -> list[Path]:
        path = self.path(driver)
        names = [f"{path}.old{number}" for number in range(1, self.renamed + 1)]
        numbers = [int(m[1]) for p in path.parent.iterdir() if (m := re.fullmatch(path.name + r"\.(\d+)", p.name))]
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            raise Fault(f"rotated files {sorted(numbers)}")
        names += [f"{path}.{number}" for number in sorted(numbers, reverse=True)]
        return [p for p in [*map(Path, names), path] if p.exists()]

    def check_log(self, driver: str) -> None:
        joined: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        for path in self.files(driver):
            data = path.read_bytes()
            if data and not data.endswith(b"\n"):
                raise Fault(f"{path.name} ends in the middle of a line")
            lines = data.split(b"\n")[:-1]
            for stream, text in k8s_entries(lines) if driver == "k8s-file" else json_entries(lines):
                joined[stream].append(text)
        logged = {name: b"".join(parts) for name, parts in joined.items()}
        for name, expected in self.written().items():
            self.compare(f"{driver} {name}", logged[name], *expected)
        self.logged = logged

    def written(self) -> dict[str, tuple[bytes, int, int]]:
        """What the writer has written, or was to write, on each stream; how much at least, and at most."""
        plan = self.plan
        streams = self.sequence()
        result = {}
        for name, (data, least, index) in streams.items():
            most = least + (plan.ops[index][1] if index < len(plan.ops) and plan.ops[index][0] <= ERR else 0)
            if self.uncertain and not plan.terminal:
                kind = {"stdout": OUT, "stderr": ERR}[name]
                if index < len(plan.ops) and plan.ops[index][0] not in (kind, ECHO):
                    most = least
                if index < len(plan.ops) and plan.ops[index][0] == ECHO and name == "stdout":
                    most = least + 65536
            if plan.terminal:
                # The kernel makes each newline two bytes.
                whole, done = data.replace(b"\n", b"\r\n"), len(data[:least].replace(b"\n", b"\r\n"))
                # A terminal takes a large write in pieces, of which only the whole is reported.
                result[name] = whole, done, done + 2 * (most - least) if self.uncertain else done
                if index < len(plan.ops) and plan.ops[index][0] == ECHO and self.uncertain:
                    result[name] = whole, done, done + 2 * 65536
            else:
                result[name] = data, least, most if self.uncertain else least
        return result

    def sequence(self) -> dict[str, tuple[bytes, int, int]]:
        """By stream: the bytes, how many of them are reported as written, and at which op the writer was."""
        plan = self.plan
        out, err, op = self.value("out"), self.value("err"), self.value("op")
        echo = b""
        with contextlib.suppress(FileNotFoundError):
            echo = (self.place / "plan.echo").read_bytes()
        at = self.value("echo_at")
        if not plan.terminal:
            whole = plan.out[:at] + echo + plan.out[at:] if echo else plan.out
            return {"stdout": (whole, out, op), "stderr": (plan.err, err, op)}
        parts, places = [], [0, 0]
        for kind, value in plan.ops:
            if kind in (OUT, ERR):
                data = (plan.out, plan.err)[kind]
                parts.append(data[places[kind] : places[kind] + value])
                places[kind] += value
            elif kind == ECHO:
                parts.append(echo)
        return {"stdout": (b"".join(parts), out + err, op), "stderr": (b"", 0, op)}

    def compare(self, what: str, found: bytes, whole: bytes, least: int, most: int) -> None:
        if whole[: len(found)] == found and least <= len(found) <= most:
            return
        if not whole.startswith(found):
            at = next((i for i, (a, b) in enumerate(zip(found, whole, strict=False)) if a != b), len(whole))
            raise Fault(
                f"{what}: differs at {at} of {len(found)} (written {least}): {found[at : at + 60]!r}, not "
                f"{whole[at : at + 60]!r}"
            )
        raise Fault(f"{what}: {len(found)} bytes, written {least} to {most}")

    def truth(self) -> dict[int, bytes] | None:
        """What clients must have been sent; None if nobody knows."""
        if "k8s-file" in self.plan.drivers or "json-file" in self.plan.drivers:
            return {2: self.logged["stdout"], 3: self.logged["stderr"]}
        written = self.written()
        if any(least != most for _, least, most in written.values()):
            return None
        return {tag: written[name][0][: written[name][1]] for tag, name in ((2, "stdout"), (3, "stderr"))}

    def check_client(self, client: Client, truth: dict[int, bytes] | None) -> None:
        if client.state in ("to come", "late") or client.plan.pace == "process":
            return
        if client.state == "reset":
            raise Fault("connection reset")
        got = {tag: bytes(data) for tag, data in client.got.items()}
        tag = 2 if self.plan.terminal else 3
        found = None
        if client.state == "eof" and got[tag].endswith(b" were not delivered here: this client was too slow]\n"):
            at = got[tag].rindex(b"\n[conmon: ")
            found = LAST_WORD.fullmatch(got[tag][at:])
            got[tag] = got[tag][:at]
        if truth is None:
            return
        for stream, data in got.items():
            if not (truth[stream].endswith(data) if client.state == "eof" and not found else data in truth[stream]):
                raise Fault(f"stream {stream}: {len(data)} of {len(truth[stream])} bytes are no piece of it")
        if client.plan.at > 0:
            return
        total = sum(map(len, truth.values()))
        have = sum(map(len, got.values()))
        for stream, data in got.items():
            if not truth[stream].startswith(data):
                raise Fault(f"stream {stream}: the beginning is missing")
        if found and not 0 < int(found[1]) <= total - have:
            raise Fault(f"{have} bytes and {int(found[1])} missed of {total}")
        if found and client.plan.pace == "stall" and int(found[1]) != total - have:
            # It read on only when all was over, so the marker came last.
            raise Fault(f"{have} bytes and {int(found[1])} missed are not {total}")
        if client.state == "eof" and not found and have != total:
            raise Fault(f"{have} of {total} bytes and no word about it")

    def check_input(self, number: int, client: Client) -> None:
        """What the container read of a client's input is its beginning, in whole packets."""
        if not client.sent:
            return
        echo = b""
        with contextlib.suppress(FileNotFoundError):
            echo = (self.place / "plan.echo").read_bytes()
        at = 0
        missing = False
        for data in client.sent:
            found = echo.find(data, at)
            if found >= 0 and missing:
                raise Fault("input has a hole")
            if found < 0:
                missing = True
            else:
                at = found + len(data)
        alone = sum(bool(other.sent) for other in self.clients) == 1 and not self.plan.exec
        whole = client.shut and not client.sends and client.state == "eof" and client.plan.gone < 0
        came_alone = not any(other.state != "to come" for other in self.clients if other is not client)
        if missing and alone and came_alone and whole and self.value("input_ended"):
            raise Fault("input is missing")

    def close(self) -> None:
        for client in self.clients:
            if client.process:
                self.leave(client)
            client.drop()
        for sock in (self.sync, self.start_pipe):
            if sock is not None:
                sock.close()
        if self.pidfd >= 0 and not self.ended():
            # By our own handle; the container goes first.
            if self.pid > 0 and self.is_ours(self.pid):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        if self.pidfd >= 0:
            os.close(self.pidfd)

    def is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return f"{self.place}/plan".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        return False

    def whole(self) -> None:
        """Raises Fault."""
        self.logged: dict[str, bytes] = {}
        try:
            self.start()
            began = time.monotonic()
            if self.start_pipe is not None:
                for client in self.clients:
                    self.advance(client, 0.0)
                self.start_pipe.send(b"x")
                self.hear_pid()
            self.go_on(began)
            self.finish()
            self.check()
        except (OSError, ValueError, KeyError) as error:
            import traceback

            raise Fault(f"{error!r}\n{traceback.format_exc()}") from error
        finally:
            self.close()
            self.sanitized()

    def sanitized(self) -> None:
        reports = "\n".join(path.read_text(errors="replace") for path in self.place.glob("found*"))
        if reports:
            raise Fault(reports)


def k8s_entries(lines: list[bytes]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        if line[35:36] != b" " or line[43:44] not in b"FP" or line[44:45] != b" ":
            raise Fault(f"no log line: {line[:80]!r}")
        yield line[36:42].decode(), line[45:] + (b"\n" if line[43:44] == b"F" else b"")


def json_entries(lines: list[bytes]) -> Iterator[tuple[str, bytes]]:
    for line in lines:
        value = json.loads(line)
        yield value["stream"], value["log"].encode()


class Bench:
    """Carries out schedules, several at once."""

    def __init__(self, place: Path, monitor: str, width: int = 8) -> None:
        self.place, self.monitor, self.width = place, monitor, width
        self.runtime, self.writer = build(place)
        self.fresh = Descriptors()
        self.faults: list[str] = []

    def one(self, seed: int) -> str:
        """Nothing, or what is wrong."""
        place = Path(tempfile.mkdtemp(prefix=f"{seed}-", dir=self.place))
        plan = make(seed)
        try:
            Run(plan, place, self.runtime, self.writer, self.monitor, self.fresh).whole()
        except Fault as fault:
            return f"{fault}\n{plan}"
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return ""

    def many(self, first: int, count: int, enough: Callable[[], bool]) -> int:
        """Schedules from a seed on, until there are ``count`` or it is ``enough``; how many."""
        lock = threading.Lock()
        left = iter(range(first, first + count))
        done = 0

        def work() -> None:
            nonlocal done
            while not enough() and len(self.faults) < 20:
                with lock:
                    seed = next(left, None)
                if seed is None:
                    return
                fault = self.one(seed)
                with lock:
                    done += 1
                    if fault:
                        self.faults.append(fault)

        with ThreadPoolExecutor(self.width) as pool:
            for future in [pool.submit(work) for _ in range(self.width)]:
                future.result()
        return done


def main() -> int:
    import conmon

    parser = argparse.ArgumentParser(description="Run random schedules of the monitor.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="the most that this may take")
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--monitor", default=conmon.MONITOR)
    parser.add_argument("--show", action="store_true", help="say what each schedule is")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="schedules-") as place:
        bench = Bench(Path(place), options.monitor, options.width)
        if options.show:
            for seed in range(options.seed, options.seed + options.count):
                print(make(seed))
        done = bench.many(options.seed, options.count, lambda: time.monotonic() - began > options.seconds)
    for fault in bench.faults:
        print(fault)
    print(f"{done} schedules in {time.monotonic() - began:.1f} s, {len(bench.faults)} with faults")
    return 1 if bench.faults else 0


if __name__ == "__main__":
    sys.exit(main())
