"""``pypod`` as a test sees it: one user, one store, one command at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from support.terminal import Terminal
from support.users import User

TIMEOUT = 60.0
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """How a command ended. ``out`` and ``err`` are text; bytes that are not UTF-8 are surrogates."""

    argv: list[str]
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def ok(self) -> Result:
        """This result; the test fails if the command did."""
        assert self.code == 0, f"{' '.join(self.argv)} exited {self.code}\nstdout: {self.out}\nstderr: {self.err}"
        return self

    def fails(self, code: int, *words: str) -> Result:
        """This result, having the exit code and one line on stderr that says each of ``words``.

        A hint may follow on a line of its own, and progress may precede; a traceback never.
        """
        shown = f"{' '.join(self.argv)} exited {self.code}\nstdout: {self.out}\nstderr: {self.err}"
        assert self.code == code, shown
        assert "Traceback" not in self.err, shown
        errors = [line for line in self.err.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, shown
        progress = (
            "Copying ",
            "Writing ",
            "Downloading ",
            "Mapping the ids ",
            "Getting image ",
            "Trying to pull ",
        )
        assert len([line for line in self.err.splitlines() if not line.startswith(progress)]) <= 2, shown
        for word in words:
            assert word.lower() in self.err.lower(), f"no {word!r} in: {shown}"
        return self


class Pypod:
    """Calls the installed program as ``user``, with a graphroot and runroot of its own.

    ``pypod("run", "--rm", image, "true")`` gives a Result; ``popen`` a running process; ``terminal`` one on a tty.
    """

    def __init__(
        self,
        program: Path | str,
        user: User,
        *,
        graphroot: Path | None,
        runroot: Path | None,
        options: tuple[str, ...] = (),
        mode: str = "",
    ) -> None:
        self.program = str(program)
        self.user = user
        self.graphroot = graphroot
        self.runroot = runroot
        self.options = options
        self.mode = mode
        self.cwd = user.home
        self.containers_made: list[str] = []

    @property
    def rootless(self) -> bool:
        return self.user.uid != 0

    def with_options(self, *options: str) -> Pypod:
        """The same with more global options."""
        return Pypod(
            self.program,
            self.user,
            graphroot=self.graphroot,
            runroot=self.runroot,
            options=(*self.options, *options),
            mode=self.mode,
        )

    def argv(self, *args: str | Path) -> list[str]:
        """The whole command line."""
        places: list[str] = []
        if self.graphroot:
            places += ["--root", str(self.graphroot)]
        if self.runroot:
            places += ["--runroot", str(self.runroot)]
        return [self.program, *places, *self.options, *map(str, args)]

    def environment(self, env: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """A login's environment changed by ``env``; a value of None removes the variable."""
        found = self.user.environment()
        for name, value in (env or {}).items():
            if value is None:
                found.pop(name, None)
            else:
                found[name] = value
        return found

    def popen(
        self,
        *args: str | Path,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a command; ``options`` are subprocess.Popen's. stdin is empty and stdout and stderr are pipes."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("start_new_session", True)
        process: subprocess.Popen[bytes] = subprocess.Popen(
            self.argv(*args), env=self.environment(env), cwd=cwd or self.cwd, **self.user.popen_options(), **options
        )
        return process

    def __call__(
        self,
        *args: str | Path,
        input: str | bytes | None = None,
        timeout: float = TIMEOUT,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        tty: bool = False,
    ) -> Result:
        """Run a command to its end. With ``tty`` it gets a terminal, and ``out`` is what that showed."""
        argv = self.argv(*args)
        if tty:
            with self.terminal(*args, env=env) as terminal:
                if input:
                    terminal.send(input)
                code = terminal.wait(timeout)
                return Result(argv, _shell_code(code), terminal.output.decode(errors="surrogateescape"), "")
        data = input.encode() if isinstance(input, str) else input
        process = self.popen(*args, env=env, cwd=cwd, stdin=subprocess.DEVNULL if data is None else subprocess.PIPE)
        try:
            out, err = process.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            try:
                # Something else may keep the pipes open: don't wait for their end.
                out, err = process.communicate(timeout=5)
            except subprocess.TimeoutExpired as still:
                out, err = still.stdout or b"", still.stderr or b""
            raise AssertionError(
                f"{' '.join(argv)}: still running after {timeout} s\nstdout: {out!r}\nstderr: {err!r}"
            ) from None
        return Result(
            argv,
            _shell_code(process.returncode),
            out.decode(errors="surrogateescape"),
            err.decode(errors="surrogateescape"),
        )

    def terminal(
        self, *args: str | Path, rows: int = 24, columns: int = 80, env: Mapping[str, str | None] | None = None
    ) -> Terminal:
        """Start a command on a terminal of its own."""
        return Terminal(
            self.argv(*args),
            user=self.user,
            env=self.environment(env),
            rows=rows,
            columns=columns,
            cwd=self.cwd,
        )

    def as_user(self, *argv: str | Path, timeout: float = TIMEOUT, input: bytes | None = None) -> Result:
        """Run another program as this user (podman, say)."""
        done = subprocess.run(
            [str(item) for item in argv],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            env=self.environment(),
            cwd=self.cwd,
            timeout=timeout,
            check=False,
            **self.user.popen_options(),
        )
        return Result(
            [str(item) for item in argv],
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )

    # What tests ask again and again.

    def inspect(self, name: str) -> dict[str, Any]:
        """The inspect record of one container (or of an image)."""
        found = self("inspect", name).ok().json
        assert len(found) == 1
        record: dict[str, Any] = found[0]
        return record

    def state(self, name: str) -> str:
        status: str = self.inspect(name)["State"]["Status"]
        return status

    def pid(self, name: str) -> int:
        """The host pid of the container's process."""
        return int(self.inspect(name)["State"]["Pid"])

    def monitor(self, name: str) -> int:
        """The host pid of the container's monitor."""
        return int(self.inspect(name)["State"]["ConmonPid"])

    def names(self) -> list[str]:
        return self("ps", "-a", "--format", "{{.Names}}").ok().lines

    def exists(self, name: str) -> bool:
        found = self("container", "exists", name)
        assert found.code in (0, 1), found
        return found.code == 0

    def wait_state(self, name: str, *states: str, timeout: float = 20) -> str:
        """Wait until the container is in one of ``states``."""
        until(lambda: self.state(name) in states, timeout, f"{name} to be {' or '.join(states)}")
        return self.state(name)

    def wait_gone(self, name: str, timeout: float = 20) -> None:
        until(lambda: not self.exists(name), timeout, f"{name} to be gone")

    def wait_log(self, name: str, text: str, timeout: float = 20) -> str:
        """Wait until the container's log holds ``text``."""
        until(lambda: text in self("logs", name).ok().out, timeout, f"{text!r} in the log of {name}")
        return self("logs", name).ok().out


def _shell_code(code: int) -> int:
    return 128 - code if code < 0 else code


def until(condition: Callable[[], T], timeout: float, what: str) -> T:
    """Call ``condition`` until it gives something true; that value."""
    end = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.05)


def cmdline(pid: int) -> list[str]:
    """The arguments of a process, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").rstrip("\0").split("\0")
    except OSError:
        return []


def parent(pid: int) -> int:
    """The parent of a process. Raises OSError if it is gone."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children(pid: int) -> list[int]:
    """The direct children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if parent(int(entry)) == pid:
                    found.append(int(entry))
            except OSError:
                pass
    return found


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
