"""``exec``: another process in a running container.

Attached without a terminal, the runtime is our child and the process has our own stdio: nothing stands between.
With a terminal, or detached, a monitor holds the session, so it can be left and outlives the CLI.
Each session has a directory ``<rundir>/exec/ID`` for as long as it runs.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files, process
from pypod.engine import exec_spec, names, rootless, runtime_stderr, runtimes
from pypod.engine.container import Container, State, observe
from pypod.errors import BadState, MonitorError, reason
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from pypod.engine.exec_spec import ExecOptions


def execute(context: Context, container: Container, options: ExecOptions) -> tuple[int, str]:
    """Run the command; its exit code (0 for a detached one that was started), and the session's id.

    Raises BadState (255) if the container does not run, CommandNotFound, CommandNotExecutable, RuntimeFailed.
    """
    state = running(container)
    if state.cgroup_manager != "disabled":
        from pypod.engine import cgroup_home

        cgroup_home.enter(context)
    rootless.enter_user(context)
    session = names.random_id()
    directory = f"{container.rundir}/exec/{session}"
    files.make_directory(directory)
    try:
        spec = exec_spec.process(container, state, options)
        files.replace(directory + "/process.json", fastjson.dumps(spec).encode())
        if options.tty or options.detach:
            # Only a session with a monitor pays for what it takes to start one.
            from pypod.engine import exec_session

            code = exec_session.run(context, container, state, options, session, directory)
        else:
            code = _direct(context, container, state, options, session, directory)
    finally:
        if not options.detach:
            files.remove_tree(directory)
    if options.events and not options.detach:
        from pypod.engine import events

        events.container(context, container, "exec_died", exit_code=code, execID=session)
    return code, session


def running(container: Container) -> State:
    """The state of a container in which a process can be started. Raises BadState (255)."""
    state = observe(container)
    if state.status not in ("running", "stopping"):
        raise BadState("can only create exec sessions on running containers: container state improper", code=255)
    return state


def sessions(container: Container) -> list[str]:
    """The ids of the sessions that run."""
    place = container.rundir + "/exec"
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return []
    return [name for name in names if _runs(f"{place}/{name}")]


def _runs(directory: str) -> bool:
    """Not if its monitor and its process are known and both gone: they were killed, and nobody took it away."""
    try:
        return any(proc.start_time(int(files.read(f"{directory}/{name}"))) for name in ("conmon.pid", "pid"))
    except (OSError, ValueError):
        return True  # at its start, or without a monitor


def cleanup(context: Context, container: Container, session: str) -> None:
    """What the exit command of a detached session does."""
    if session.isalnum():
        from conmon import exits

        directory = f"{container.rundir}/exec/{session}"
        ended = exits.read(f"{directory}/exit/{container.id}") or exits.read(f"{directory}/exit/{session}")
        files.remove_tree(directory)
        from pypod.engine import events

        events.container(
            context, container, "exec_died", exit_code=None if ended is None else ended[0], execID=session
        )


def _direct(
    context: Context, container: Container, state: State, options: ExecOptions, session: str, directory: str
) -> int:
    runtime = runtimes.of(context, container, state.runtime, state.cgroup_manager)
    log = directory + "/oci-log"
    argv = runtime.exec_argv(
        container.id,
        process_file=directory + "/process.json",
        pid_file=directory + "/pid",
        log_path=log,
        preserve_fds=options.preserve_fds,
    )
    keep = [(fd, fd) for fd in range(3, 3 + options.preserve_fds)]
    from pypod.engine import terminal

    on_terminal = any(os.isatty(fd) for fd in (0, 1, 2))
    runtime_pid = 0

    def passed_on(number: int) -> None:
        # The runtime passes it on to the process. What a terminal sends it gets itself, as one of our group.
        if runtime_pid and not (on_terminal and number in terminal.KEYS):
            try:
                os.kill(runtime_pid, number)
            except ProcessLookupError:
                pass

    def tell() -> None:
        # While the runtime works: that costs nobody any time.
        if options.events:
            from pypod.engine import events

            events.container(context, container, "exec", execID=session)

    gate = runtime.name == "runc"
    try:
        with terminal.Signals(passed_on, None):
            stdin = None if options.interactive else -1
            if gate:
                pipe, theirs = os.pipe2(os.O_CLOEXEC)
                try:
                    runtime_pid = process.spawn(argv, stdin=stdin, stderr=theirs, keep=keep)
                except OSError:
                    os.close(pipe)
                    raise
                finally:
                    os.close(theirs)
                tell()
                code = runtime_stderr.wait(runtime_pid, pipe, directory + "/pid", process.wait)
            else:
                runtime_pid = process.spawn(argv, stdin=stdin, keep=keep)
                tell()
                code = process.wait(runtime_pid)
            runtime_pid = 0
    except OSError as error:
        raise MonitorError(f"cannot start the runtime {argv[0]}: {reason(error)}") from None
    if code and not os.path.exists(directory + "/pid"):
        raise runtime.failure("", log_path=log)
    return code
