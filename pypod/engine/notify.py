"""--sdnotify: what systemd is told of a container that one of its units starts, and by whom.

| mode      | main process        | READY=1 is sent                                           |
|-----------|---------------------|-----------------------------------------------------------|
| conmon    | the monitor, by us  | by us, when the container has been started                |
| container | the monitor, by us  | by the container, on a socket that the monitor relays     |
| healthy   | the monitor, by us  | by the run of the health check that is the first to pass  |
| ignore    | nobody says         | by nobody                                                 |
"""

from __future__ import annotations

from pypod.errors import reason
from pypod.systemd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.container import Container, State

_DIRECTORY = "/run/notify"
VARIABLE = f"NOTIFY_SOCKET={_DIRECTORY}/notify.sock"
_PATIENCE = 5.0  # seconds


def mount(container: Container) -> dict[str, Any]:
    """The mount that brings the monitor's socket into the container."""
    from pypod.oci import spec

    return spec.mount(_DIRECTORY, "bind", container.userdata + "/notify", ("bind", "rprivate"))


def main_process(container: Container, state: State) -> None:
    """Before the container's process runs: it may say READY at once, and that is the monitor's word."""
    if container.config.sdnotify != "conmon":
        _send(container, state, f"MAINPID={state.conmon_pid}")


def started(container: Container, state: State) -> None:
    """The container's process runs."""
    if container.config.sdnotify == "conmon":
        _send(container, state, f"MAINPID={state.conmon_pid}\nREADY=1")


def healthy(container: Container, state: State) -> None:
    """The health check has passed. The caller, a child of the monitor, ends soon."""
    _send(container, state, "READY=1", patience=_PATIENCE)


def _send(container: Container, state: State, text: str, *, patience: float = 0.0) -> None:
    """A container runs whether or not somebody is told of it."""
    try:
        notify.send(state.notify_socket, text, patience=patience)
    except OSError as error:
        from pypod.base import report

        report.warning(f"cannot tell systemd of container {container.name} at {state.notify_socket}: {reason(error)}")
