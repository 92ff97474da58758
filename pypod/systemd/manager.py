"""Asking a manager to do something with a unit, by systemctl(1), which waits for the job and knows how it ended."""

from __future__ import annotations

import os

from pypod.base import process


class ManagerError(Exception):
    """systemd refused, or the job failed; the text says why."""


def restart(unit: str, *, user: bool, runtime_dir: str) -> None:
    """Restart ``unit`` of the system's manager or of a ``user``'s, whose runtime directory leads to it.

    The caller is not in a user namespace: the bus asks for its uid. Raises ManagerError.
    """
    program = process.find("systemctl")
    if program is None:
        raise ManagerError("there is no systemctl")
    argv = [program, *(["--user"] if user else []), "restart", "--", unit]
    env = dict(os.environ)
    if user:
        env["XDG_RUNTIME_DIR"] = runtime_dir
    try:
        done = process.run(argv, env=env)
    except OSError as error:
        raise ManagerError(f"cannot start {program}: {error.strerror}") from None
    if done.status:
        raise ManagerError(done.message.strip().split("\n")[0] or f"systemctl exited {done.status}")
