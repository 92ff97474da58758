"""An exec session with a monitor of its own: on a terminal, or detached."""

from __future__ import annotations

import conmon
from conmon import spawn as monitors
from pypod.base import files
from pypod.engine import attach, events, exit_command, runtimes, start
from pypod.errors import MonitorError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container, State
    from pypod.engine.context import Context
    from pypod.engine.exec_spec import ExecOptions


def run(
    context: Context, container: Container, state: State, options: ExecOptions, session: str, directory: str
) -> int:
    """Start the session in ``directory`` and stay with it unless it is detached; its exit code.

    Raises RuntimeFailed and its kin, MonitorError.
    """
    runtime = runtimes.of(context, container, state.runtime, state.cgroup_manager)
    monitor = start.monitor_path(context)
    monitor_options = monitors.MonitorOptions(
        monitor=monitor,
        ours=monitor == conmon.MONITOR,
        id=container.id,
        cuuid=session,
        name=container.name,
        bundle=directory,
        runtime=state.runtime,
        runtime_args=runtime.global_args(directory + "/oci-log"),
        exit_dir=directory + "/exit",
        conmon_pidfile=directory + "/conmon.pid",
        container_pidfile=directory + "/pid",
        log_path="none",
        terminal=options.tty,
        stdin=options.interactive,
        exec_process_spec=directory + "/process.json",
        exec_attach=not options.detach,
        exit_command=exit_command.cleanup_exec(context, container.id, session) if options.detach else [],
    )
    files.make_directory(directory + "/exit")
    try:
        started = monitors.spawn(monitor_options, env=start.monitor_environment(context))
    except OSError as error:
        raise MonitorError(f"cannot start the monitor {monitor}: {reason(error)}") from None
    if options.detach:
        if started.pid <= 0:
            files.remove_tree(directory)
            raise runtime.failure(started.message, log_path=directory + "/oci-log")
        events.container(context, container, "exec", execID=session)
        return 0
    streams = attach.Streams(stdin=0 if options.interactive else -1, stdout=1, stderr=1 if options.tty else 2)
    how = attach.stay(
        container,
        state,
        streams,
        bundle=directory,
        tty=options.tty,
        detach_keys=attach.choose_detach_keys(context, options.detach_keys),
        sig_proxy=False,
        begin=started.go,
    )
    if started.pid <= 0:
        raise runtime.failure(started.message, log_path=directory + "/oci-log")
    events.container(context, container, "exec", execID=session)
    if how == "detached":
        return 0
    return int(started.read_exit_status()) & 0xFF
