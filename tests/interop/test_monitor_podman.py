"""Real podman with our monitor beside the same podman with its own conmon: the same results, or better.

Each scenario runs on both at once, and what podman says is compared: exit codes, stdout, stderr, and states. Names
begin with ``@`` and stand for one container of each side.

The same against podman 5: test_podman5.py.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import conmon
from support import box
from support.runner import Pypod, alive, cmdline, until
from support.terminal import Terminal
from support.users import User

IMAGE = "localhost/bb:1"
# Limits that may be set here: podman's own need CAP_SYS_RESOURCE.
CONF = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'
STATE = (
    "{{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.ExitCode}} {{.State.OOMKilled}}"
    " {{if .State.Pid}}pid{{end}} {{.State.Error}} {{.RestartCount}}"
)
NOISE = ("is not a shared mount", "CNI config file")  # of podman's stderr, depending on the machine
Said = tuple[int, str, str]


def as_one_user(mode: str) -> pytest.MarkDecorator:
    """The other user's is the same, and podman is slow: PYPOD_TEST_PODMAN=all runs both."""
    modes = [mode] if os.environ.get("PYPOD_TEST_PODMAN") != "all" else ["root", "rootless"]
    return pytest.mark.parametrize("mode", modes, indirect=True)


class Side:
    """podman with one monitor."""

    def __init__(self, name: str, pypod: Pypod, monitor: str, conf: Path) -> None:
        self.name = name
        self.pypod = pypod
        self.monitor = monitor
        self.env = {**pypod.environment(), "CONTAINERS_CONF": str(conf)}
        self.heard: list[Said] = []

    @property
    def ours(self) -> bool:
        return self.name == "ours"

    def argv(self, *args: str) -> list[str]:
        places = ["--root", str(self.pypod.graphroot), "--runroot", str(self.pypod.runroot)]
        places += ["--storage-driver", "overlay", "--runtime", box.runtime(), "--cgroup-manager", "cgroupfs"]
        places += ["--events-backend", "file", "--conmon", self.monitor]
        return [box.need("podman"), *places, *(word.replace("@", self.name + "-") for word in args)]

    def plain(self, text: str) -> str:
        """The text without what differs between any two runs."""
        lines = [line for line in text.splitlines(keepends=True) if not any(noise in line for noise in NOISE)]
        text = "".join(lines).replace(self.name + "-", "@")
        text = re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", "ID", text)
        text = re.sub(r'time="[^"]*"|\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)', "TIME", text)
        return re.sub(r"container_linux.go:\d+|PID \d+|pid \d+", "PID", text)

    def raw(self, *args: str, input: str | None = None, env: dict[str, str] | None = None, shell: str = "") -> Said:
        """Run podman; with ``shell``, by a shell that has its command line as $@."""
        argv = self.argv(*args)
        if shell:
            argv = ["sh", "-c", shell, "sh", *argv]
        done = subprocess.run(
            argv,
            env={**self.env, **(env or {})},
            cwd=self.pypod.cwd,
            stdin=subprocess.DEVNULL if input is None else None,
            input=None if input is None else input.encode(),
            capture_output=True,
            timeout=60,
            check=False,
            **self.pypod.user.popen_options(),
        )
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def __call__(self, *args: str, **options: Any) -> Said:
        """The same, to be compared with what the other side hears."""
        code, out, err = self.raw(*args, **options)
        said = code, self.plain(out), self.plain(err)
        self.heard.append(said)
        return said

    def run(self, *args: str, **options: Any) -> Said:
        return self("run", "--network", "none", *args, **options)

    def start(self, name: str, *options: str, script: str = "sleep 600") -> None:
        """A detached container."""
        code, _, err = self.run("-d", "--name", name, *options, IMAGE, "sh", "-c", script)
        assert code == 0, err

    def get(self, name: str, template: str) -> str:
        code, out, err = self.raw("container", "inspect", "-f", template, name)
        assert code == 0, err
        return out.strip()

    def state(self, name: str) -> str:
        """The state, to be compared."""
        found = self.get(name, STATE)
        self.heard.append((0, found, ""))
        return found

    def until(self, name: str, state: str) -> str:
        """Wait for a state, and compare."""
        until(lambda: self.get(name, "{{.State.Status}}") == state, 20, f"{name} to be {state}")
        return self.state(name)

    def until_log(self, name: str, text: str) -> None:
        until(lambda: text in self.raw("logs", name)[1], 20, f"{text!r} in the log of {name}")

    def terminal(self, *args: str) -> Terminal:
        return Terminal(self.argv(*args), user=self.pypod.user, env=self.env, rows=33, columns=77, cwd=self.pypod.cwd)

    def note(self, *values: object) -> None:
        """Something else to be compared."""
        self.heard.append((0, repr(values), ""))


class Both:
    def __init__(self, ours: Side, theirs: Side) -> None:
        self.sides = (ours, theirs)

    def __call__(self, scenario: Callable[[Side], object]) -> None:
        """Run the scenario on both sides at once; they hear the same."""
        for side in self.sides:
            side.heard.clear()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(scenario, self.sides))
        ours, theirs = (side.heard for side in self.sides)
        assert ours == theirs


@pytest.fixture(scope="module")
def both(mode: str, who: User, base: Path, busybox_tar: Path) -> Iterator[Both]:
    box.need("podman")
    place = Path(tempfile.mkdtemp(prefix="m", dir=base))
    place.chmod(0o755)
    for name in ("g", "r"):
        (place / name).mkdir(mode=0o700)
        if who.switch:
            os.chown(place / name, who.uid, who.gid)
    monitor = place / "conmon"  # the clone may be where this user may not go
    shutil.copy(conmon.MONITOR, monitor)
    monitor.chmod(0o755)
    conf = place / "containers.conf"
    conf.write_text(CONF)
    pypod = Pypod("pypod", who, graphroot=place / "g", runroot=place / "r", mode=mode)
    ours = Side("ours", pypod, str(monitor), conf)
    code, _, err = ours.raw("import", "-q", str(busybox_tar), IMAGE)
    assert code == 0, err
    yield Both(ours, Side("theirs", pypod, box.need("conmon"), conf))
    ours.raw("pod", "rm", "-f", "-a", "-t", "0")
    ours.raw("rm", "-f", "-a", "-t", "0")
    if pypod.rootless:
        ours.raw("system", "migrate")  # ends its pause process
    shutil.rmtree(place, ignore_errors=True)


def test_run(both: Both) -> None:
    def scenario(side: Side) -> None:
        assert side.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")
        assert side.run("--rm", "-i", IMAGE, "cat", input="a\nb")[:2] == (0, "a\nb")
        assert side.run("--rm", IMAGE, "nosuch")[0] == 127
        assert side.run("--rm", IMAGE, "/etc")[0] == 126
        # A shell as the first process ignores what it sends to itself; its child does not.
        assert side.run("--rm", "--init", IMAGE, "sh", "-c", "kill -9 $$")[0] == 137
        shell = 'exec "$@" 3<<END\nfrom outside\nEND\n'
        assert (
            side.run("--rm", "--preserve-fds", "1", IMAGE, "sh", "-c", "cat <&3", shell=shell)[1] == "from outside\n"
        )

    both(scenario)


def test_run_with_a_terminal(both: Both) -> None:
    def scenario(side: Side) -> None:
        # The size comes by a fifo: either monitor may be later than the container.
        script = "until stty size 2>/dev/null | grep '33 77'; do sleep 0.1; done; read a; echo got $a; exit 4"
        with side.terminal("run", "--rm", "-it", "--network", "none", IMAGE, "sh", "-c", script) as terminal:
            terminal.expect("33 77\r\n")
            terminal.send("word\n")
            terminal.expect("got word\r\n")
            side.note(terminal.wait(), terminal.output)

    both(scenario)


def test_life(both: Both) -> None:
    """Detached, its log, exec in all its forms, kill, stop, start again, restart, remove."""

    def scenario(side: Side) -> None:
        # 10 is what it ends with at TERM; USR1 is heard.
        script = "trap 'echo usr1' USR1; trap 'exit 10' TERM; echo up; echo err >&2; while :; do sleep 0.05; done"
        side.start("@c", script=script)
        side.until_log("@c", "up")
        side("logs", "@c")
        assert side.state("@c").startswith("running true false 0 false pid")
        monitor = int(Path(side.get("@c", "{{.ConmonPidFile}}")).read_text())
        assert side.get("@c", "{{.State.ConmonPid}}") == str(monitor)
        assert os.path.samefile(f"/proc/{monitor}/exe", side.monitor) or cmdline(monitor)[0] == side.monitor
        for status in (0, 42):
            assert side("exec", "@c", "sh", "-c", f"echo o; echo e >&2; exit {status}") == (status, "o\n", "e\n")
        assert side("exec", "@c", "nosuch")[0] == 127
        assert side("exec", "-i", "@c", "cat", input="in")[1] == "in"
        assert side("exec", "-d", "@c", "touch", "/made")[0] == 0
        until(lambda: side.raw("exec", "@c", "test", "-e", "/made")[0] == 0, 10, "the detached exec")
        with side.terminal("exec", "-it", "@c", "sh", "-c", "stty size; exit 5") as terminal:
            terminal.expect("33 77\r\n")
            side.note(terminal.wait(), terminal.output)
        side("kill", "-s", "USR1", "@c")
        side.until_log("@c", "usr1")
        side("stop", "-t", "10", "@c")
        assert side.state("@c").startswith("exited false false 10 false")
        assert not alive(monitor)
        side("start", "@c")
        side.state("@c")
        side("restart", "-t", "10", "@c")
        assert side.state("@c").startswith("running")
        until(lambda: side.raw("logs", "@c")[1].count("up") == 3, 10, "the third start")
        side("kill", "@c")
        assert side("wait", "@c")[1] == "137\n"
        assert side.until("@c", "exited").startswith("exited false false 137 false")
        side("logs", "@c")
        side("rm", "@c")

    both(scenario)


@as_one_user("rootless")
def test_ends(both: Both) -> None:
    """stop that needs SIGKILL, a time limit, --rm, a restart policy."""

    def scenario(side: Side) -> None:
        side.start("@gone", "--rm", script="sleep 0.2")
        side.start("@again", "--restart", "on-failure:2", script="echo turn; exit 6")
        side.start("@deaf", script="trap '' TERM; sleep 600")
        assert side.run("--name", "@limit", "--timeout", "1", IMAGE, "sh", "-c", "echo first; sleep 600")[0] == 255
        side.state("@limit")
        side("logs", "@limit")
        side("stop", "-t", "1", "@deaf")
        assert side.state("@deaf").startswith("exited false false 137 false")
        until(lambda: side.raw("container", "exists", "@gone")[0] == 1, 20, "it to be removed")
        until(lambda: side.get("@again", "{{.State.Status}} {{.RestartCount}}") == "exited 2", 20, "its end")
        side.state("@again")
        side("logs", "@again")
        side.raw("rm", "@deaf", "@limit", "@again")

    both(scenario)


def test_attach(both: Both) -> None:
    def scenario(side: Side) -> None:
        side.start("@in", "-i", script="read a; echo got $a; echo err >&2; exit 5")
        code, out, err = side("attach", "@in", input="word\n")
        assert (out.strip(), err) == ("got word", "err\n")  # podman 4 ends with 0, podman 5 with the status
        side.until("@in", "exited")
        assert side("start", "-a", "-i", "@in", input="more\n")[:2] == (5, "got more\n")
        side.start("@tty", "-it", script="while read a; do echo got $a; done")
        for word in ("one", "two"):
            # One key: podman wants the bytes of a sequence in a read each.
            with side.terminal("attach", "--detach-keys", "ctrl-x", "@tty") as terminal:
                terminal.send(word + "\n")
                terminal.expect(f"got {word}\r\n")
                terminal.send(b"\x18")
                side.note(terminal.wait())
        assert side.state("@tty").startswith("running")
        with side.terminal("attach", "@tty") as terminal:
            terminal.send("three\n")
            terminal.expect("got three\r\n")
            terminal.send(b"\x04")  # the end of its input
            side.note(terminal.wait())
        side.until("@tty", "exited")
        side("logs", "@tty")
        side.raw("rm", "@in", "@tty")

    both(scenario)


def test_logs(both: Both) -> None:
    def scenario(side: Side) -> None:
        side.start("@f", script="echo one; echo err >&2; sleep 1; printf two")
        code, out, err = side.raw("logs", "-f", "@f")
        side.note(code, out, err)
        assert (code, out.split(), err) == (0, ["one", "two"], "err\n")
        side.until("@f", "exited")
        for number, driver in enumerate(("none", "json-file", "passthrough")):
            assert side.run("--name", f"@d{number}", "--log-driver", driver, IMAGE, "echo", "x")[0] == 0
            side("logs", f"@d{number}")
        # Its own conmon throws away what it had when the limit is reached.
        side.run("--name", "@big", "--log-opt", "max-size=16kb", IMAGE, "seq", "1000", "1499")
        path = Path(side.get("@big", "{{.HostConfig.LogConfig.Path}}"))
        older = path.with_name(path.name + ".1")
        text = (older.read_text() if older.exists() else "") + path.read_text()
        lines = [int(line.split()[3]) for line in text.splitlines()]
        if side.ours:
            assert lines == list(range(1000, 1500))
            # What podman shows is what fits: it reads no rotated files.
            assert side.raw("logs", "@big")[1].split() == path.read_text().split()[3::4]
        else:
            assert len(lines) < 500
        side.raw("rm", "@f", "@d0", "@d1", "@d2", "@big")

    both(scenario)


@as_one_user("root")
def test_pod(both: Both) -> None:
    def scenario(side: Side) -> None:
        infra = ["--infra-image", IMAGE, "--infra-command", "sleep 600"]
        assert side("pod", "create", "--name", "@pod", "--network", "none", *infra)[0] == 0
        side("run", "-d", "--pod", "@pod", "--name", "@p1", IMAGE, "sh", "-c", "echo in pod; sleep 600")
        assert side("run", "--rm", "--pod", "@pod", IMAGE, "sh", "-c", "exit 9")[0] == 9
        side("pod", "ps", "--filter", "name=@pod", "--format", "{{.Name}} {{.Status}} {{.NumberOfContainers}}")
        side.until_log("@p1", "in pod")
        side("pod", "stop", "-t", "0", "@pod")
        assert side.until("@p1", "exited").startswith("exited false false 137")
        side("pod", "start", "@pod")
        side.until("@p1", "running")
        side("pod", "rm", "-f", "-t", "0", "@pod")
        assert side.raw("container", "exists", "@p1")[0] == 1

    both(scenario)


@as_one_user("rootless")
def test_health(both: Both) -> None:
    def scenario(side: Side) -> None:
        command = ["--health-cmd", "test -e /healthy", "--health-interval", "disable", "--health-retries", "1"]
        side.start("@h", *command, script="touch /healthy; echo up; sleep 600")
        side.until_log("@h", "up")
        assert side("healthcheck", "run", "@h")[0] == 0
        side.note(side.get("@h", "{{.State.Healthcheck.Status}}"))
        side("exec", "@h", "rm", "/healthy")
        assert side("healthcheck", "run", "@h")[0] == 1
        side.note(side.get("@h", "{{.State.Healthcheck.Status}}"))
        side("rm", "-f", "-t", "0", "@h")

    both(scenario)


@as_one_user("root")
def test_notify(both: Both, base: Path) -> None:
    """sd_notify, from podman for the monitor and from the container through the monitor."""

    def scenario(side: Side) -> None:
        with tempfile.TemporaryDirectory(prefix="n", dir=base) as place:
            os.chmod(place, 0o755)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.bind(place + "/s")
                os.chmod(place + "/s", 0o777)
                sock.settimeout(20)
                env = {"NOTIFY_SOCKET": place + "/s"}
                side.run("-d", "--name", "@n1", "--sdnotify", "conmon", IMAGE, "sleep", "600", env=env)
                pid = side.get("@n1", "{{.State.ConmonPid}}")
                assert sorted(sock.recv(4096).decode().split()) == [f"MAINPID={pid}", "READY=1"]
                side.run("-d", "--name", "@n2", "--sdnotify", "container", IMAGE, "sleep", "600", env=env)
                assert sock.recv(4096).startswith(b"MAINPID=")
                bundle = os.path.dirname(side.get("@n2", "{{.OCIConfigPath}}"))
                directory = os.open(bundle + "/notify", os.O_PATH)  # the whole path may be too long for an address
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                    client.connect(f"/proc/self/fd/{directory}/notify.sock")
                    client.send(b"MAINPID=1\nREADY=1")
                os.close(directory)
                assert sock.recv(4096).strip() == b"READY=1"
                side.raw("rm", "-f", "-t", "0", "@n1", "@n2")

    both(scenario)
