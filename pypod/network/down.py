"""The way down, from a stored status alone: whoever set the network up may be gone."""

from __future__ import annotations

import os

from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SIGKILL = 9


def end_process(pid: int, started: int) -> None:
    """Kill a program of ours and wait until it has gone, its ports with it. Another process of that pid is spared.

    SIGKILL, as pasta is pid 1 of a pid namespace of its own and neither program has anything to tidy up.
    """
    if not proc.alive(pid, started):
        _reap(pid)
        return
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # The descriptor pins the process; only now is it known which one it is.
        if proc.alive(pid, started):
            try:
                os.kill(pid, _SIGKILL)
            except ProcessLookupError:
                pass
            import select

            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(5000)
    finally:
        os.close(fd)
    _reap(pid)


def _reap(pid: int) -> None:
    if pid > 0:
        try:
            os.waitpid(pid, os.WNOHANG)
        except OSError:
            pass  # not a child of ours


def remove_files(paths: list[str]) -> None:
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass


def teardown(status: Mapping[str, Any]) -> None:
    """See ``pypod.network.teardown``."""
    end_process(int(status.get("relay_pid") or 0), int(status.get("relay_start") or 0))
    end_process(int(status.get("pid") or 0), int(status.get("pid_start") or 0))
    if status["driver"] == "bridge":
        from pypod.network import bridge

        bridge.teardown(status)
    else:
        remove_files(list(status.get("files") or ()))
