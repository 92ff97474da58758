"""Start a monitor, ours or conmon 2.x, and hear what it has to say.

The monitor forks: its parent, the launcher, is our child and leaves at once. Three pipes lead to it, whose numbers
are in its environment (conmon's protocol): it starts at a byte on the start pipe, tells of the attach socket on the
attach pipe (exec sessions only), and of the container's pid, or of a failure, on the sync pipe.
"""

from __future__ import annotations

import fcntl
import os

from conmon import MONITOR
from pypod.base import fastjson, process
from pypod.base.record import record
from pypod.errors import MonitorError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Callable, Iterable, Mapping
else:
    import _socket

SYNC_TIMEOUT = 240  # seconds, as podman waits
MESSAGE_ROOM = 1 << 16  # bytes: a message can be 49 KiB, and a packet's rest would be lost


@record
class MonitorOptions:
    """What the monitor is told. Empty means the flag is left out; sizes in bytes, times in seconds."""

    monitor: str = MONITOR  # the program
    ours: bool = True  # whether it knows the flags that real conmon lacks
    id: str
    cuuid: str = ""  # of an exec session; the id otherwise
    name: str = ""
    bundle: str
    runtime: str
    runtime_args: list[str] = []
    runtime_opts: list[str] = []
    exit_dir: str = ""
    persist_dir: str = ""
    conmon_pidfile: str = ""
    container_pidfile: str
    log_path: str = "none"  # DRIVER[:PATH]
    log_size_max: int = 0
    log_max_files: int = 0  # ours: how many rotated files are kept; 0: one
    log_tag: str = ""
    log_labels: list[str] = []  # ours and conmon >= 2.2: KEY=value
    log_level: str = ""
    syslog: bool = False
    no_sync_log: bool = False
    terminal: bool = False
    stdin: bool = False
    leave_stdin_open: bool = False
    exit_command: list[str] = []  # the program and its arguments
    exit_delay: int = 0
    exit_command_lock: str = ""  # ours: see the monitor's exit.c
    health_command: list[str] = []  # ours: what attach.set_health_interval lets it run
    attach_grace: int | None = None  # ours: ms after which a client that takes nothing is dropped; -1: never
    socket_dir: str = ""  # "": the attach socket is <bundle>/attach itself
    timeout: int = 0
    systemd_cgroup: bool = False
    no_new_keyring: bool = False
    no_pivot: bool = False
    sdnotify_socket: str = ""
    exec_process_spec: str = ""  # makes it an exec session
    exec_attach: bool = False
    restore: str = ""  # directory of a checkpoint


def argv(options: MonitorOptions) -> list[str]:
    """The monitor's command line."""
    words = [options.monitor, "--api-version", "1", "-c", options.id, "-u", options.cuuid or options.id]
    words += ["-r", options.runtime, "-b", options.bundle, "-p", options.container_pidfile, "-l", options.log_path]
    values = (
        ("-n", options.name),
        ("-P", options.conmon_pidfile),
        ("--exit-dir", options.exit_dir),
        ("--persist-dir", options.persist_dir),
        ("--log-tag", options.log_tag),
        ("--log-level", options.log_level),
        ("--socket-dir-path", options.socket_dir),
        ("--sdnotify-socket", options.sdnotify_socket),
        ("--exec-process-spec", options.exec_process_spec),
        ("--restore", options.restore),
    )
    numbers = (
        ("--log-size-max", options.log_size_max),
        ("--exit-delay", options.exit_delay),
        ("--timeout", options.timeout),
    )
    flags = (
        ("--full-attach", not options.socket_dir),
        ("--syslog", options.syslog),
        ("--no-sync-log", options.no_sync_log),
        ("--terminal", options.terminal),
        # A terminal takes input anyhow; with this, too, conmon takes none after its first client has gone.
        ("--stdin", options.stdin and not options.terminal),
        ("--leave-stdin-open", options.leave_stdin_open),
        ("--systemd-cgroup", options.systemd_cgroup),
        ("--no-new-keyring", options.no_new_keyring),
        ("--no-pivot", options.no_pivot),
        ("--exec", bool(options.exec_process_spec)),
        ("--exec-attach", options.exec_attach),
    )
    for flag, value in values:
        if value:
            words += [flag, value]
    for flag, number in numbers:
        if number:
            words += [flag, str(number)]
    words += [flag for flag, given in flags if given]
    if options.ours:
        if options.log_max_files:
            words += ["--log-max-files", str(options.log_max_files)]
        if options.attach_grace is not None:
            words += ["--attach-grace", str(options.attach_grace)]
        if options.exit_command_lock:
            words += ["--exit-command-lock", options.exit_command_lock]
        if options.health_command:
            words += ["--health-command", options.health_command[0]]
            for word in options.health_command[1:]:
                words += ["--health-command-arg", word]
        for label in options.log_labels:
            words += ["--log-label", label]
    for word in options.runtime_args:
        words += ["--runtime-arg", word]
    for word in options.runtime_opts:
        words += ["--runtime-opt", word]
    if options.exit_command:
        words += ["--exit-command", options.exit_command[0]]
        for word in options.exit_command[1:]:
            words += ["--exit-command-arg", word]
    return words


def runtime_argv(options: MonitorOptions) -> list[str]:
    """The command by which the monitor lets the runtime make the container: as csrc/runtime.c builds it.

    For who wants to show it. The monitor chooses the name of its console socket.
    """
    words = [options.runtime]
    if options.systemd_cgroup:
        words.append("--systemd-cgroup")
    words += [*options.runtime_args, "create", "--bundle", options.bundle, "--pid-file", options.container_pidfile]
    if options.no_pivot:
        words.append("--no-pivot")
    if options.no_new_keyring:
        words.append("--no-new-keyring")
    words += options.runtime_opts
    if options.terminal:
        words += ["--console-socket", "SOCKET"]
    return [*words, options.id]


class Started:
    """A monitor that has been started.

    ``pid`` is the container's, or the exec session's, first process; -1 if the runtime failed, and then
    ``message`` is what the runtime or the monitor said. Until ``go`` both are unset in an attached exec session.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.message = ""
        self._sync: _socket.socket | None = None
        self._start: _socket.socket | None = None

    def go(self) -> None:
        """Let the process of an attached exec session start, now that its attach socket is connected.

        Raises MonitorError.
        """
        if self._start is not None:
            try:
                self._start.send(b"\0")
            except OSError:
                pass  # it died: the sync pipe says why, or ends
            self._start.close()
            self._start = None
            self._read_pid()

    def read_exit_status(self) -> int:
        """Wait for the end of an exec session: its exit status, -1 after a timeout.

        Raises MonitorError if the monitor dies first.
        """
        if self._sync is None:
            raise MonitorError("this monitor does not report an exit status")
        try:
            self._sync.settimeout(None)
            number, self.message = _message(self._sync)
        finally:
            self.close()
        return number

    def close(self) -> None:
        """Give up the pipes."""
        for end in (self._sync, self._start):
            if end is not None:
                end.close()
        self._sync = self._start = None

    def _read_pid(self) -> None:
        assert self._sync is not None
        self._sync.settimeout(SYNC_TIMEOUT)
        try:
            self.pid, self.message = _message(self._sync)
        except BaseException:
            self.close()
            raise
        if self.pid <= 0:
            self.close()


def _message(sync: _socket.socket) -> tuple[int, str]:
    """One line of the sync pipe: the number and the text that comes with it.

    The text is what a runtime wrote: it need not be UTF-8.
    """
    try:
        data = sync.recv(MESSAGE_ROOM)
    except TimeoutError:
        raise MonitorError(f"the monitor said nothing for {SYNC_TIMEOUT} seconds") from None
    except OSError as error:
        raise MonitorError(f"cannot hear the monitor: {reason(error)}") from None
    if not data:
        raise MonitorError("the monitor ended without a word")
    try:
        value = fastjson.loads(data.decode("utf-8", "replace"))
        number = value["data"]
        message = value.get("message", "")
    except (fastjson.BadJson, KeyError, TypeError, AttributeError):
        raise MonitorError(f"cannot understand the monitor: {data[:200]!r}") from None
    if type(number) is not int or type(message) is not str:
        raise MonitorError(f"cannot understand the monitor: {data[:200]!r}")
    return number, message.strip()


def _pair() -> tuple[_socket.socket, _socket.socket]:
    """A connected pair whose packets stay whole: our end and the monitor's."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)


def spawn(
    options: MonitorOptions,
    *,
    env: Mapping[str, str],
    keep_fds: Iterable[int] = (),
    meanwhile: Callable[[], object] | None = None,
    before_start: Callable[[int], None] | None = None,
) -> Started:
    """Start a monitor with ``env`` and wait until the container is created (or its attach socket is there).

    ``keep_fds`` stay open in it, under their numbers; they should be 3, 4, …. ``meanwhile`` is called while the
    runtime is at work, ``before_start`` with the pid of a monitor that waits: the time to move it to another cgroup.
    Raises MonitorError if it cannot be started or answers wrongly; ``Started.pid`` tells that the runtime failed.
    """
    keep = [(fd, fd) for fd in keep_fds]
    first = max([2, *(fd for fd, _ in keep)]) + 1
    names = ["_OCI_SYNCPIPE", "_OCI_STARTPIPE"]
    if options.exec_attach:
        names.append("_OCI_ATTACHPIPE")
    pairs = [_pair() for _ in names]
    variables = dict(env)
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    started = Started()
    attach = None
    try:
        # First to numbers above the target range: dup2 must not overwrite a pipe that is still to be moved.
        moved = []
        for index, (name, (_, theirs)) in enumerate(zip(names, pairs, strict=True)):
            high = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, first + len(names))
            moved.append(high)
            keep.append((high, first + index))
            variables[name] = str(first + index)
        try:
            # With "passthrough" the container has our streams.
            inner = (None, None, None) if options.log_path.startswith("passthrough") else (-1, -1, error_write)
            launcher = process.spawn(
                argv(options), env=variables, stdin=inner[0], stdout=inner[1], stderr=inner[2], keep=keep
            )
        except OSError as error:
            raise MonitorError(f"cannot start the monitor {options.monitor}: {reason(error)}") from None
        finally:
            for fd in moved:
                os.close(fd)
            for _, theirs in pairs:
                theirs.close()
            os.close(error_write)
            error_write = -1
        started._sync, started._start = pairs[0][0], pairs[1][0]
        attach = pairs[2][0] if options.exec_attach else None
        if before_start is not None:
            before_start(launcher)
        try:
            pairs[1][0].send(b"\0")
        except OSError:
            pass  # it has ended already: see below
        status = process.wait(launcher)
        if status:
            raise MonitorError(_why(options, started._sync, error_read, status))
        if attach is not None:
            attach.settimeout(SYNC_TIMEOUT)
            try:
                ready = _message(attach)[0]
            except MonitorError:
                ready = -1
            if ready < 0:
                # The session ended before its socket was there: the sync pipe has the reason.
                started._read_pid()
                raise MonitorError(started.message or "the monitor has no attach socket")
        else:
            pairs[1][0].close()
            started._start = None
            if meanwhile is not None:
                meanwhile()
            started._read_pid()
            if not options.exec_process_spec:
                started.close()
        return started
    except BaseException:
        started.close()
        for ours, _ in pairs:
            ours.close()
        raise
    finally:
        if attach is not None:
            attach.close()
        os.close(error_read)
        if error_write >= 0:
            os.close(error_write)


def _why(options: MonitorOptions, sync: _socket.socket | None, error_fd: int, status: int) -> str:
    """Why the launcher failed: what the monitor says on its sync pipe, or else on stderr."""
    text = ""
    if sync is not None:
        sync.setblocking(False)
        try:
            text = _message(sync)[1]
        except MonitorError:
            pass
    if not text:
        os.set_blocking(error_fd, False)
        try:
            text = os.read(error_fd, 4096).decode("utf-8", "replace").strip()
        except OSError:
            pass
    return f"the monitor {options.monitor} failed: {text or f'exit status {status}'}"
