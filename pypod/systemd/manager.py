"""Asking a manager about units, or to act on them, by systemctl(1), which waits for jobs and knows how they ended."""

from __future__ import annotations

import os

from pypod.base import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class ManagerError(Exception):
    """There is no manager, it refused, or the job failed; the text says why."""


def systemctl(words: Sequence[str], *, user: bool, runtime_dir: str = "") -> str:
    """What systemctl says: of the system's manager, or of a ``user``'s, to which the user's runtime directory leads
    ("": as the environment has it).

    The caller is not in a user namespace: the bus asks for its uid. Raises ManagerError.
    """
    program = process.find("systemctl")
    if program is None:
        raise ManagerError("there is no systemctl")
    argv = [program, *(["--user"] if user else []), *words]
    env = dict(os.environ)
    if user and runtime_dir:
        env["XDG_RUNTIME_DIR"] = runtime_dir
    try:
        done = process.run(argv, env=env)
    except OSError as error:
        raise ManagerError(f"cannot start {program}: {error.strerror}") from None
    if done.status:
        raise ManagerError(done.message.strip().split("\n")[0] or f"systemctl exited {done.status}")
    return done.stdout.decode("utf-8", "replace")
