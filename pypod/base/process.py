"""Start a program without the import cost of ``subprocess`` (8 ms)."""

from __future__ import annotations

import os

from pypod.base import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# Those of stdin, stdout and stderr that the caller had closed; they are /dev/null now.
closed: set[int] = set()

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@record.record
class Finished:
    """How a program ended: its exit status (128+N for signal N) and what it wrote."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def message(self) -> str:
        return self.stderr.decode("utf-8", "replace").strip()


def find(name: str, places: Sequence[str] = ()) -> str | None:
    """The first executable called ``name`` in ``places``, then on PATH (with the sbin directories added)."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else None
    path = os.environ.get("PATH", "") + ":" + DEFAULT_PATH
    for directory in (*places, *path.split(":")):
        candidate = f"{directory}/{name}"
        if directory and os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    return None


def exit_status(wait_status: int) -> int:
    """waitpid's status as a shell shows it: the exit code, or 128+N after signal N."""
    code = os.waitstatus_to_exitcode(wait_status)
    return 128 - code if code < 0 else code


def wait(pid: int) -> int:
    """Wait for a child and give its exit status as a shell shows it."""
    return exit_status(os.waitpid(pid, 0)[1])


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    keep: Sequence[tuple[int, int]] = (),
    new_session: bool = False,
) -> int:
    """posix_spawn ``argv`` (its first word is a path) and return the pid.

    ``stdin``, ``stdout``, ``stderr`` are descriptors, -1 for /dev/null, None to inherit. ``keep`` lists
    (descriptor here, number there). The signal mask is emptied and SIGPIPE restored. Raises OSError.
    """
    actions: list[Any] = []
    for number, source in ((0, stdin), (1, stdout), (2, stderr)):
        if source == -1:
            actions.append((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0))
        elif source is not None:
            actions.append((os.POSIX_SPAWN_DUP2, source, number))
    for source, number in keep:
        actions.append((os.POSIX_SPAWN_DUP2, source, number))
    sigpipe, sigint, sigxfsz = 13, 2, 25
    return os.posix_spawn(
        argv[0],
        list(argv),
        os.environ if env is None else env,
        file_actions=actions,
        setsigmask=(),
        setsigdef=(sigpipe, sigint, sigxfsz),
        setsid=new_session,
    )


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",
    stdin: int | None = None,
    keep: Sequence[tuple[int, int]] = (),
) -> Finished:
    """Run ``argv`` to its end, with ``input`` (at most a pipe's 64 KiB) or descriptor ``stdin`` as its stdin.

    Raises OSError if it cannot be started.
    """
    import select

    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    in_read = -1
    if input:
        in_read, in_write = os.pipe2(os.O_CLOEXEC)
        os.write(in_write, input)
        os.close(in_write)
    try:
        pid = spawn(
            argv, env=env, stdin=in_read if stdin is None else stdin, stdout=out_write, stderr=err_write, keep=keep
        )
    except OSError:
        os.close(out_read)
        os.close(err_read)
        raise
    finally:
        os.close(out_write)
        os.close(err_write)
        if in_read >= 0:
            os.close(in_read)
    chunks: dict[int, list[bytes]] = {out_read: [], err_read: []}
    poll = select.poll()
    for fd in chunks:
        poll.register(fd, select.POLLIN)
    left = 2
    while left:
        for fd, _ in poll.poll():
            chunk = os.read(fd, 65536)
            chunks[fd].append(chunk)
            if not chunk:
                poll.unregister(fd)
                left -= 1
    os.close(out_read)
    os.close(err_read)
    return Finished(status=wait(pid), stdout=b"".join(chunks[out_read]), stderr=b"".join(chunks[err_read]))
