"""What is known of a container's health: ``healthcheck.log`` beside its configuration, in podman's form.

Three more keys nobody is shown: ``Startup`` and ``Passed`` hold how far the startup check has come, ``Told`` that
systemd knows of the first success.
"""

from __future__ import annotations

from pypod.base import files
from pypod.base.locks import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.config import HealthCheck
    from pypod.engine.container import Container, State

TIMER = "PYPOD_TIMER"  # in the environment of a run that systemd's timer starts: the name of that timer

_ENTRIES = 5


def _read(container: Container) -> dict[str, Any]:
    try:
        found = files.read_json(container.userdata + "/healthcheck.log")
    except (OSError, ValueError):
        found = None
    if isinstance(found, dict) and isinstance(found.get("Status"), str):
        return found
    return {"Status": "starting", "FailingStreak": 0, "Log": None}


def shown(container: Container) -> dict[str, Any]:
    """Status, FailingStreak and Log, as podman shows them."""
    log = _read(container)
    return {key: log.get(key) for key in ("Status", "FailingStreak", "Log")}


def status(container: Container, state: State) -> str:
    """starting, healthy or unhealthy of a running container; "" without a health check."""
    if container.config.healthcheck is None or state.status not in ("running", "paused"):
        return ""
    return str(_read(container)["Status"])


def in_startup(container: Container, check: HealthCheck) -> bool:
    """Whether the startup check is still to pass."""
    return bool(check.startup_test) and not _read(container).get("Passed")


def begin(container: Container) -> None:
    """The container is about to run: its health is not known yet. What its last runs said stays to be read."""
    log = {"Status": "starting", "FailingStreak": 0, "Log": _read(container).get("Log")}
    files.replace_json(container.userdata + "/healthcheck.log", log)


def interval(container: Container) -> int:
    """Nanoseconds between the runs of the check that is due; 0: nothing runs by itself."""
    check = container.config.healthcheck
    if check is None or not check.interval or (check.startup_test and not check.startup_interval):
        return 0
    return check.startup_interval if in_startup(container, check) else check.interval


def add(container: Container, check: HealthCheck, startup: bool, counts: bool, entry: dict[str, Any]) -> str:
    """Add one result; what follows from it: "", ``unhealthy``, or ``passed`` or ``restart`` of the startup check.

    A failure that does not count, as the container is only starting, is written down and changes nothing.
    """
    with FileLock(container.rundir + "/healthcheck.lock"):
        log = _read(container)
        log["Log"] = [*(log["Log"] or []), entry][-_ENTRIES:]
        failed = entry["ExitCode"] != 0
        if startup:
            outcome = _add_startup(log, check, failed)
        else:
            outcome = _add_regular(log, check, failed, counts)
        files.replace_json(container.userdata + "/healthcheck.log", log)
    return outcome


def newly_healthy(container: Container) -> bool:
    """Whether it is healthy for the first time since its start; true once."""
    with FileLock(container.rundir + "/healthcheck.lock"):
        log = _read(container)
        if log["Status"] != "healthy" or log.get("Told"):
            return False
        log["Told"] = True
        files.replace_json(container.userdata + "/healthcheck.log", log)
    return True


def _add_regular(log: dict[str, Any], check: HealthCheck, failed: bool, counts: bool) -> str:
    if not failed:
        log["FailingStreak"], log["Status"] = 0, "healthy"
    elif counts:
        log["FailingStreak"] = int(log["FailingStreak"] or 0) + 1
        if log["FailingStreak"] >= check.retries:
            log["Status"] = "unhealthy"
    return "unhealthy" if failed and log["Status"] == "unhealthy" else ""


def _add_startup(log: dict[str, Any], check: HealthCheck, failed: bool) -> str:
    count = log.setdefault("Startup", {"Failures": 0, "Successes": 0})
    kind = "Failures" if failed else "Successes"
    count[kind] += 1
    if failed:
        return "restart" if check.startup_retries and count[kind] >= check.startup_retries else ""
    if count[kind] < check.startup_success:
        return ""
    log["Passed"] = True
    return "passed"
