"""``healthcheck run``: one run of a container's health check, and what follows from it (podman-healthcheck-run(1)).

Whoever has the timer (``health_timer``) calls it at the interval, and kills it when the container ends: what is to
come after that is the exit command's to do. The results are kept by ``health_log``.
"""

from __future__ import annotations

import os
import time

from pypod.base import files, times
from pypod.engine import container as containers
from pypod.engine import events, exec_spec, execute, health_log
from pypod.engine.container import Container
from pypod.errors import BadState, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.config import HealthCheck
    from pypod.engine.context import Context
    from storage.store import Store

_LOG_OUTPUT = 500  # bytes of each entry
_KILL = 9


def run(context: Context, store: Store, container: Container) -> bool:
    """Run the check once, or the startup check until that has passed, and write down how it went; whether it passed.

    Carries out --health-on-failure when the container is unhealthy. Raises BadState if there is no check or the
    container does not run (any more): then nothing is written down.
    """
    check = container.config.healthcheck
    if check is None or not check.test or check.test[0] == "NONE":
        raise BadState(f"container {container.id} has no defined healthcheck")
    state = containers.observe(container)
    if state.status != "running":
        raise BadState(f"container {container.id} is not running")
    startup = health_log.in_startup(container, check)
    test, timeout = (check.startup_test, check.startup_timeout) if startup else (check.test, check.timeout)
    started = times.now()
    code, output = _execute(context, container, _command(test), timeout)
    now = containers.observe(container)
    if now.status != "running" or now.pid != state.pid:
        # It ended or was paused meanwhile, which says nothing of its health.
        raise BadState(f"container {container.id} is not running")
    entry = {"Start": times.rfc3339(started), "End": times.rfc3339(times.now()), "ExitCode": code, "Output": output}
    # Failures while the container starts do not count.
    counts = started >= state.started_at + check.start_period
    outcome = health_log.add(container, check, startup, counts, entry)
    if context.engine.get("healthcheck_events", True) is not False:
        events.container(context, container, "health_status", health=health_log.status(container, now))
    if now.notify_socket and container.config.sdnotify == "healthy" and os.getppid() == now.conmon_pid:
        # systemd hears us only as the monitor's child, and not if somebody else called.
        from pypod.engine import notify

        if health_log.newly_healthy(container):
            notify.healthy(container, now)
    _follow(context, store, container, check, outcome)
    return code == 0


def _command(test: list[str]) -> list[str]:
    if test[0] == "CMD":
        return list(test[1:])
    if test[0] == "CMD-SHELL":
        return ["/bin/sh", "-c", " ".join(test[1:])]
    return list(test)


def _execute(context: Context, container: Container, command: list[str], timeout: int) -> tuple[int, str]:
    """The exit code of the check and what it wrote; -1 if it took longer than it may."""
    import select

    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        code = 125
        try:
            os.dup2(write, 1)
            os.dup2(write, 2)
            code, _ = execute.execute(context, container, exec_spec.ExecOptions(command=command, events=False))
        except PypodError as error:
            os.write(2, error.message.encode("utf-8", "surrogateescape"))
            code = error.code
        finally:
            os._exit(code & 0xFF)
    os.close(write)
    deadline = time.monotonic() + timeout / 1e9 if timeout else float("inf")
    poll = select.poll()
    poll.register(read, select.POLLIN)
    output = b""
    late = False
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            late = True
            break
        if poll.poll(None if left == float("inf") else int(left * 1000) + 1):
            chunk = os.read(read, 65536)
            if not chunk:
                break
            output = (output + chunk)[:_LOG_OUTPUT]
    os.close(read)
    # The runtime and the command are killed; our own child lives to clean up the session.
    ended, wait_status = os.waitpid(pid, os.WNOHANG if late else 0)
    while not ended:
        for one in reversed(_descendants(pid)):
            try:
                os.kill(one, _KILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
        ended, wait_status = os.waitpid(pid, os.WNOHANG)
    status = os.waitstatus_to_exitcode(wait_status)
    text = output.decode("utf-8", "replace")
    return (-1, text or f"the check took longer than {timeout / 1e9:g} s") if late else (status, text)


def _descendants(pid: int) -> list[int]:
    """The children of a process, and theirs, parents first (proc_pid_task(5))."""
    found: list[int] = []
    pending = [pid]
    while pending:
        one = pending.pop()
        for place in _threads(one):
            try:
                children = [int(word) for word in files.read(place + "/children").split()]
            except OSError:
                continue
            found += children
            pending += children
    return found


def _threads(pid: int) -> list[str]:
    try:
        return [f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def _follow(context: Context, store: Store, container: Container, check: HealthCheck, outcome: str) -> None:
    """What follows from a result, --health-on-failure above all."""
    if outcome == "passed":
        from pypod.engine import health_timer

        health_timer.next_check(context, container)
    elif outcome == "restart":
        _act(context, store, container, "restart")
    elif outcome == "unhealthy" and check.on_failure != "none":
        _act(context, store, container, check.on_failure)


def _act(context: Context, store: Store, container: Container, action: str) -> None:
    from pypod.engine import stop

    if action == "kill":
        stop.kill(context, container, _KILL)
    elif action == "stop":
        stop.stop(context, store, container)
    elif action == "restart":
        if stop.end_for_restart(context, container):
            return
        from pypod.engine import start

        stop.stop(context, store, container, remove=False)
        start.start_detached(context, store, container)
