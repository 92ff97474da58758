"""``pod start``, ``stop``, ``kill``, ``pause``, ``unpause``: something done to each container of a pod."""

from __future__ import annotations

import os

from pypod.engine import container as containers
from pypod.engine import events, pods, start
from pypod.engine import stop as stopping
from pypod.errors import NoSuchContainer, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.pods import Pod
    from storage.store import Store


class Failures(PypodError):
    """What went wrong with some of a pod's containers: ``errors``, the first of them being this one's message."""

    def __init__(self, errors: Sequence[PypodError]) -> None:
        super().__init__(errors[0].message, hint=errors[0].hint, code=errors[0].code)
        self.errors = list(errors)


def _each(found: Sequence[Container], action: Callable[[Container], object]) -> None:
    """Raises Failures, after all had their turn."""
    errors = _tried(found, action)
    if errors:
        raise Failures(errors)


def _tried(found: Sequence[Container], action: Callable[[Container], object]) -> list[PypodError]:
    """What went wrong."""
    errors = []
    for item in found:
        try:
            action(item)
        except NoSuchContainer:
            continue  # removed meanwhile
        except PypodError as error:
            errors.append(error)
    return errors


def start_all(context: Context, store: Store, pod: Pod) -> None:
    """The infra container, then the init containers to their end, then the others; what runs already is left alone.

    Raises Failures, PypodError.
    """
    members = pods.members(context, store, pod.id)
    if any(item.config.init_type for item in members):
        from pypod.engine import pod_init

        _each([item for item in members if item.config.infra], lambda item: _start(context, store, item))
        pod_init.run(context, store, members)
        members = [item for item in members if not item.config.init_type]
    _each(members, lambda item: _start(context, store, item))
    events.pod(context, "start", pod.id, pod.name)


def _start(context: Context, store: Store, container: Container) -> None:
    if containers.observe(container).status != "paused":
        start.start_detached(context, store, container)


def stop_all(
    context: Context, store: Store, pod: Pod, *, timeout: int | None = None, remove: bool = True, quiet: bool = False
) -> None:
    """All members at once, so that the slow ones are waited for together, then the infra container.

    ``timeout`` in seconds, each container's own if None. --rm containers are gone then, unless ``remove`` is off.
    Raises Failures.
    """

    def end(item: Container) -> None:
        stopping.stop(context, store, item, timeout=timeout, remove=remove, quiet=quiet)

    found = pods.members(context, store, pod.id)
    others = [item for item in found if not item.config.infra]
    errors = _tried(others, end) if len(others) == 1 else _together(others, end)
    errors += _tried([item for item in found if item.config.infra], end)
    if errors:
        raise Failures(errors)
    events.pod(context, "stop", pod.id, pod.name)


def _together(found: Sequence[Container], action: Callable[[Container], object]) -> list[PypodError]:
    """Each in a process of its own: namespaces are a process's. What went wrong."""
    children = []
    for item in found:
        if not containers.observe(item).live and not item.config.restarts:
            continue
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            children.append((pid, reader))
            continue
        code = 0
        try:
            action(item)
        except NoSuchContainer:
            pass
        except PypodError as error:
            os.write(writer, error.message.encode("utf-8", "surrogateescape")[:4000])
            code = error.code
        except BaseException:
            code = 1
        finally:
            os._exit(code)
    errors: list[PypodError] = []
    for pid, reader in children:
        message = os.read(reader, 4096).decode("utf-8", "surrogateescape")
        os.close(reader)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            errors.append(PypodError(message or "cannot stop a container: interrupted", code=code))
    return errors


def kill_all(context: Context, store: Store, pod: Pod, number: int) -> None:
    """A signal to all that run. Raises Failures."""
    found = pods.members(context, store, pod.id)
    running = [item for item in found if containers.observe(item).status in ("running", "paused", "stopping")]
    _each(running, lambda item: stopping.kill(context, item, number))
    events.pod(context, "kill", pod.id, pod.name)


def pause_all(context: Context, store: Store, pod: Pod) -> None:
    """Freeze all that run. Raises Failures."""
    found = [item for item in pods.members(context, store, pod.id) if containers.observe(item).status == "running"]
    _each(found, lambda item: stopping.pause(context, item))
    events.pod(context, "pause", pod.id, pod.name)


def unpause_all(context: Context, store: Store, pod: Pod) -> bool:
    """Thaw all that are frozen; whether there were any. Raises Failures."""
    found = [item for item in pods.members(context, store, pod.id) if containers.observe(item).status == "paused"]
    _each(found, lambda item: stopping.unpause(context, item))
    if found:
        events.pod(context, "unpause", pod.id, pod.name)
    return bool(found)
