"""``run``, ``start --attach`` and ``attach``: stay with a container, and clean up after it."""

from __future__ import annotations

from pypod.engine import attach, cleanup, delete, events, rootless
from pypod.engine import container as containers
from pypod.engine import start as starting
from pypod.engine.container import State
from pypod.errors import BadState, NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.attach import Streams
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


def run_attached(
    context: Context,
    store: Store,
    container: Container,
    streams: Streams,
    *,
    detach_keys: str = attach.DEFAULT_DETACH_KEYS,
    sig_proxy: bool = True,
    preserve_fds: int = 0,
    remove_on_failure: bool = False,
) -> int:
    """Start the container with this process's stdio connected; its exit code, or 0 if the user detached.

    ``remove_on_failure``: a --rm container that cannot be started goes, as it was made for this. Raises PypodError.
    """
    config = container.config
    exit_lock = cleanup.ExitLock(container)
    before = state = State()
    began = False
    try:
        starting.start_needs(context, store, container)
        with container.lock:
            before, state = _prepare(context, store, container, preserve_fds)
            # A container that restarts is the exit command's to restart: then we only watch.
            if not config.restarts:
                exit_lock.acquire()

        def begin() -> None:
            nonlocal began
            with container.lock:
                # Another command may have started it meanwhile, or ended it.
                if containers.observe(container).status == "initialized":
                    starting.start_or_abandon(context, store, container, state, before)
                    events.container(context, container, "attach")
                began = True

        how = attach.stay(
            container,
            state,
            streams,
            bundle=container.userdata,
            tty=config.terminal,
            detach_keys=detach_keys,
            sig_proxy=sig_proxy,
            begin=begin,
        )
        if how == "detached":
            return 0
        code = attach.exit_code(context, container, state)
        if exit_lock.held:
            try:
                with container.lock:
                    _clean(context, store, container)
            except NoSuchContainer:
                pass  # who stopped it has removed it, too
            exit_lock.done()
        return code
    except BaseException:
        # Not only errors: ^C before the container runs ends the attempt as well.
        if not began:
            _give_up(context, store, container, state, before, remove=remove_on_failure and config.auto_remove)
            exit_lock.done()
        raise
    finally:
        exit_lock.release()


def _give_up(
    context: Context, store: Store, container: Container, state: State, before: State, *, remove: bool
) -> None:
    try:
        with container.lock:
            starting.take_down(context, store, container, state, before)
            if remove and not containers.observe(container).live:
                delete.delete(context, store, container)
    except NoSuchContainer:
        pass


def _prepare(context: Context, store: Store, container: Container, preserve_fds: int) -> tuple[State, State]:
    """The state before, and the state with a created process. The caller holds the lock."""
    before = containers.observe(container)
    starting.startable(container, before)
    if before.unclean:
        cleanup.enter(context, before)
        before = cleanup.finish(context, store, container)
    if before.status == "initialized":
        cleanup.enter(context, before)
        return before, before
    starting.enter(context, store, container)
    return before, starting.initialize(context, store, container, before, preserve_fds=preserve_fds)


def _clean(context: Context, store: Store, container: Container) -> None:
    if cleanup.goes(container, cleanup.finish(context, store, container)):
        delete.delete(context, store, container)


def run_detached(context: Context, store: Store, container: Container, *, preserve_fds: int = 0) -> None:
    """Start a container just made and leave it to its monitor. Raises PypodError; a --rm container is then gone."""
    try:
        starting.start_detached(context, store, container, preserve_fds=preserve_fds)
    except BaseException:
        if container.config.auto_remove:
            _give_up(context, store, container, State(), State(), remove=True)
        raise


def attach_running(context: Context, container: Container, detach_keys: str, sig_proxy: bool, no_stdin: bool) -> int:
    """``attach``: the exit code of the container, or 0 if the user detached. Raises BadState if it does not run."""
    state = containers.observe(container)
    if state.status != "running":
        raise BadState("you can only attach to running containers")
    if container.config.log_driver in attach.PASSTHROUGH:
        raise BadState(
            f"this container is using the '{container.config.log_driver}' log driver, cannot attach: its streams are"
            " those of the command that started it"
        )
    rootless.enter_user(context)
    config = container.config
    events.container(context, container, "attach")
    streams = attach.choose_streams([], interactive=config.stdin and not no_stdin, terminal=config.terminal)
    how = attach.stay(
        container,
        state,
        streams,
        bundle=container.userdata,
        tty=config.terminal,
        detach_keys=detach_keys,
        sig_proxy=sig_proxy,
        begin=lambda: None,
    )
    return 0 if how == "detached" else attach.exit_code(context, container, state)


def remove_image(store: Store, container: Container) -> None:
    """``run --rmi``: the image goes too, unless something uses it. Raises PypodError."""
    from pypod.errors import InUse

    if container.config.image_id:
        try:
            store.delete_image(container.config.image_id)
        except InUse:
            pass
