"""Connect this process's stdio to a container, and stay until it ends or the user detaches."""

from __future__ import annotations

import os
import time

from pypod.base.record import record
from pypod.engine import cleanup, ended, stop, terminal
from pypod.engine.container import Container, State, observe, read_exit_file, stored_state
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.engine.context import Context

# The log drivers with which the container has the streams of the command that starts it: nothing to attach to.
PASSTHROUGH = ("passthrough", "passthrough-tty")
PATIENCE = 1000  # ms: with a runtime whose process does not become the container's
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"


@record
class Streams:
    """Which descriptors take part; -1 for none."""

    stdin: int = -1
    stdout: int = 1
    stderr: int = 2


def choose_streams(wanted: list[str], *, interactive: bool, terminal: bool) -> Streams:
    """From --attach/-a and --interactive. Without -a: stdout and stderr, and stdin if interactive."""
    names = {name.lower() for name in wanted}
    unknown = names - {"stdin", "stdout", "stderr"}
    if unknown:
        from pypod.errors import UsageError

        raise UsageError(
            f'invalid stream "{sorted(unknown)[0]}" for --attach - must be one of stdin, stdout, or stderr:'
            " invalid argument"
        )
    return Streams(
        stdin=0 if (interactive if not names else "stdin" in names) else -1,
        stdout=1 if not names or "stdout" in names else -1,
        stderr=2 if (not names or "stderr" in names) and not terminal else (1 if terminal else -1),
    )


def choose_detach_keys(context: Context, given: str | None) -> str:
    """--detach-keys, else containers.conf's, else podman's. Raises UsageError while nothing has been made yet."""
    keys = context.engine.get("detach_keys") if given is None else given
    if keys is None:
        return DEFAULT_DETACH_KEYS
    from conmon import attach as client

    client.parse_detach_keys(str(keys))
    return str(keys)


def _program(pid: int) -> tuple[int, int] | None:
    """What a process executes; None if that cannot be known."""
    try:
        status = os.stat(f"/proc/{pid}/exe")
    except OSError:
        return None
    return status.st_dev, status.st_ino


def stay(
    container: Container,
    state: State,
    streams: Streams,
    *,
    bundle: str,
    tty: bool,
    detach_keys: str,
    sig_proxy: bool,
    begin: Callable[[], None],
) -> str:
    """Connect to the attach socket in ``bundle``, call ``begin``, and relay until "eof" or "detached".

    Signals are passed to ``state``'s process if ``sig_proxy``. Raises MonitorError.
    """
    from conmon import attach as client

    connection = None if container.config.log_driver in PASSTHROUGH else client.Client(bundle)

    def resized() -> None:
        now = terminal.size(0)
        if now is not None and connection is not None:
            connection.resize(*now)

    # Until the command runs the process is the runtime's, and would die of them.
    early: list[int] | None = []
    runtimes = _program(state.pid) if sig_proxy and state.status != "running" else None

    def passed_on(number: int) -> None:
        nonlocal runtimes
        if early is not None:
            early.append(number)
            return
        # The runtime's `start` returns a moment before the process executes the command.
        patience = PATIENCE
        while runtimes is not None and patience and _program(state.pid) == runtimes:
            time.sleep(0.001)
            patience -= 1
        runtimes = None
        try:
            stop.send(container, state, number)
        except PypodError:
            pass

    try:
        on_resize = resized if tty and os.isatty(0) else None
        with terminal.Signals(passed_on if sig_proxy else None, on_resize):
            if on_resize is not None:
                resized()
            begin()
            waiting, early = early, None
            for number in waiting or ():
                passed_on(number)
            if connection is None:
                cleanup.wait_for_end(container, state)
                return "eof"
            with terminal.RawTerminal((0 if os.isatty(0) else 1) if tty else -1):
                return connection.relay(
                    stdin_fd=streams.stdin,
                    stdout_fd=streams.stdout,
                    stderr_fd=streams.stderr,
                    detach_keys=detach_keys,
                    tty=tty,
                )
    finally:
        if connection is not None:
            connection.close()


def exit_code(context: Context, container: Container, state: State) -> int:
    """The code with which an attached container ended, once it has. 255 if nobody can know it."""
    cleanup.wait_for_end(container, state)
    found = read_exit_file(container)
    if found is not None:
        return found[0] & 0xFF
    # Somebody has cleaned up already, and may have removed it or started it again.
    final = stored_state(container)
    if final.status != "exited":
        known = ended.lookup(context, container.id)
        if known is not None:
            return known & 0xFF
        final = observe(container)
    return (final.exit_code if final.status == "exited" else -1) & 0xFF


def check_descriptors(count: int) -> None:
    """Raise UsageError unless descriptors 3 to 2+``count`` are open, to be handed on."""
    from pypod.errors import UsageError

    for fd in range(3, 3 + count):
        try:
            os.fstat(fd)
        except OSError:
            raise UsageError(
                f"file descriptor {fd} is not available - the preserve-fds option requires that file"
                " descriptors must be passed"
            ) from None
