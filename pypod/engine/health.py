"""``healthcheck run``: one run of a container's health check, and what follows from it (podman-healthcheck-run(1)).

The results are kept in the container's ``healthcheck.log`` in podman's form; ``ps`` and ``inspect`` read it there.
"""

from __future__ import annotations

import os
import time

from pypod.base import files, times
from pypod.base.locks import FileLock
from pypod.engine import container as containers
from pypod.engine import exec_spec, execute, ps_view
from pypod.engine.container import Container, State
from pypod.errors import BadState, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.config import HealthCheck
    from pypod.engine.context import Context
    from storage.store import Store

_LOG_ENTRIES = 5
_LOG_OUTPUT = 500  # bytes of each entry
_KILL = 9


def run(context: Context, store: Store, container: Container) -> bool:
    """Run the check once and write down how it went; whether it passed.

    Carries out --health-on-failure when the container has become unhealthy. Raises BadState if there is no check or
    the container does not run.
    """
    check = container.config.healthcheck
    if check is None or not check.test or check.test[0] == "NONE":
        raise BadState(f"container {container.id} has no defined healthcheck")
    state = containers.observe(container)
    if state.status != "running":
        raise BadState(f"container {container.id} is not running")
    started = times.now()
    code, output = _execute(context, container, check)
    log = _record(container, check, state, started, code, output)
    if log["Status"] == "unhealthy":
        _act(context, store, container, check.on_failure)
    return code == 0


def _command(check: HealthCheck) -> list[str]:
    if check.test[0] == "CMD":
        return list(check.test[1:])
    if check.test[0] == "CMD-SHELL":
        return ["/bin/sh", "-c", " ".join(check.test[1:])]
    return list(check.test)


def _execute(context: Context, container: Container, check: HealthCheck) -> tuple[int, str]:
    """The exit code of the check and what it wrote; -1 if it took longer than it may."""
    import select

    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        code = 125
        try:
            os.dup2(write, 1)
            os.dup2(write, 2)
            code, _ = execute.execute(context, container, exec_spec.ExecOptions(command=_command(check)))
        except PypodError as error:
            os.write(2, error.message.encode("utf-8", "surrogateescape"))
            code = error.code
        finally:
            os._exit(code & 0xFF)
    os.close(write)
    deadline = time.monotonic() + check.timeout / 1e9 if check.timeout else float("inf")
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
    return (-1, text or f"the check took longer than {check.timeout / 1e9:g} s") if late else (status, text)


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


def _record(
    container: Container, check: HealthCheck, state: State, started: int, code: int, output: str
) -> dict[str, Any]:
    """Add one result to the log and say what the container's health is now."""
    path = container.userdata + "/healthcheck.log"
    with FileLock(container.rundir + "/healthcheck.lock"):
        log = ps_view.health_log(container)
        entries = list(log.get("Log") or [])
        entries.append(
            {
                "Start": times.rfc3339(started),
                "End": times.rfc3339(times.now()),
                "ExitCode": code,
                "Output": output,
            }
        )
        streak, status = int(log.get("FailingStreak") or 0), str(log["Status"])
        if code == 0:
            streak, status = 0, "healthy"
        elif started >= state.started_at + check.start_period:
            # Failures while the container starts do not count.
            streak += 1
            if streak >= check.retries:
                status = "unhealthy"
        log = {"Status": status, "FailingStreak": streak, "Log": entries[-_LOG_ENTRIES:]}
        files.replace_json(path, log)
    return log


def _act(context: Context, store: Store, container: Container, action: str) -> None:
    """--health-on-failure."""
    from pypod.engine import stop

    if action == "kill":
        stop.kill(context, container, _KILL)
    elif action == "stop":
        stop.stop(context, store, container)
    elif action == "restart":
        from pypod.engine import start

        stop.stop(context, store, container, remove=False)
        start.start_detached(context, store, container)
