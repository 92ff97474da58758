"""Make a container anew by the command that made it: on the image that its name means now, in place of the old one.

For containers that no unit of systemd's makes. Each step is a command of our own: one process can enter the user
namespace but once, and what fails half-way is undone as anybody would undo it by hand.
"""

from __future__ import annotations

import os
import time

from pypod.base import process
from pypod.base.text import show
from pypod.engine import container as containers
from pypod.engine import exit_command, health_log
from pypod.errors import NotFound, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.create_command import CreateCommand

    Dissect = Callable[[Sequence[str]], CreateCommand]

# Of the old command these are ours to say.
_OURS = ("attach", "cidfile", "detach", "name", "pod", "pod_id_file", "pull", "quiet", "replace", "rmi", "sig_proxy")
_GRACE = 3.0  # seconds that a container without a health check has to run before it counts as up
_LOOK = 0.1


def call(context: Context, *words: str, shared: Sequence[str] | None = None) -> str:
    """One command of ours on the same store; what it printed.

    ``shared``: global flags instead of those that lead to the same places. Raises PypodError.
    """
    flags = exit_command.global_flags(context) if shared is None else shared
    done = process.run([*exit_command.program(), *flags, *words])
    if done.status:
        lines = [line.removeprefix("Error: ") for line in done.message.splitlines() if line.startswith("Error: ")]
        raise PypodError(lines[0] if lines else f"pypod {words[0]} exited {done.status}")
    return done.stdout.decode("utf-8", "replace").strip()


def came_up(context: Context, find: Callable[[], Container]) -> str:
    """Wait until the container that ``find`` finds is up: healthy, if it has a health check, or else alive for some
    seconds, or ended well. "", or why it is not.
    """
    end = time.monotonic() + _GRACE
    check = None
    identity = ""
    while True:
        try:
            container = find()
        except NotFound:
            return "it is gone"
        if identity and container.id != identity:
            return "it ended, and was started again"
        identity = container.id
        state = containers.observe(container)
        if state.restarts:  # by its restart policy
            return "it ended, and was started again"
        if state.status == "exited" or state.unclean:
            return "" if state.exit_code == 0 else f"it exited with {state.exit_code}"
        if check is None and container.config.healthcheck is not None:
            check = container.config.healthcheck
            if health_log.interval(container):
                runs = (check.retries + 1) * (check.interval + check.timeout)
                startup = (check.startup_retries + check.startup_success) * (
                    check.startup_interval + check.startup_timeout
                )
                end = time.monotonic() + _GRACE + (check.start_period + runs + startup) / 1e9
            else:
                check = None
        if check is not None:
            health = health_log.status(container, state)
            if health in ("healthy", "unhealthy"):
                return "" if health == "healthy" else "it is unhealthy"
        if time.monotonic() > end:
            return "" if check is None else "it did not become healthy"
        time.sleep(_LOOK)


def recreate(context: Context, container: Container, dissect: Dissect) -> tuple[str, Callable[[], None]]:
    """Put a new container in the place of ``container``: "" or why it could not be started, and what undoes it.

    The new one may yet fail: then call that, when the image of before has its name back, and otherwise ``settle``.
    Raises PypodError if it was not begun, or if the undoing fails. Who is interrupted meanwhile undoes it, too.
    """
    command = _command(context, container, dissect)
    name, aside = container.name, f"{container.name}-{container.id[:12]}"
    kept = not container.config.auto_remove

    def undo() -> None:
        call(context, "rm", "-f", "--ignore", "-t", "0", name)
        if kept:
            call(context, "rename", aside, name)
            _renew_cidfile(container, container.id)
            call(context, "start", name)
        else:
            _renew_cidfile(container, "")
            call(context, *command)

    call(context, "stop", name)
    if kept:
        try:
            call(context, "rename", name, aside)
        except BaseException:
            call(context, "start", container.id)
            raise
    try:
        _renew_cidfile(container, "")
        call(context, *command)
    except PypodError as error:
        return error.message, undo
    except BaseException:
        undo()
        raise
    return "", undo


def settle(context: Context, container: Container) -> None:
    """The new container stays: remove the old one. Raises PypodError."""
    call(context, "rm", "-f", "--ignore", container.id)


def _command(context: Context, container: Container, dissect: Dissect) -> list[str]:
    config = container.config
    if not config.create_command:
        raise PypodError(f"cannot make {container.name} anew: it is not known by which command it was made")
    made = dissect(config.create_command)
    if made.path == "pod create":
        raise PypodError(f"cannot make {container.name} anew: it was made with its pod")
    words = ["run", "-d", "-q", "--name", container.name, "--pull", "never"]
    if config.pod:
        words += ["--pod", config.pod]
    if made.value("cidfile"):
        words += ["--cidfile", str(made.value("cidfile"))]
    return [*words, *made.without(_OURS), *made.rest]


def _renew_cidfile(container: Container, identity: str) -> None:
    """Take the id file away, or give it back."""
    path = container.config.cidfile
    if not path:
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise PypodError(f"cannot remove container id file {show(path)}: {error.strerror}") from None
    if identity:
        from pypod.engine import create

        create.write_id(path, identity, "container")
