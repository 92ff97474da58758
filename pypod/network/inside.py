"""Work in another network namespace, in a child: a rootless user who has entered one cannot come back."""

from __future__ import annotations

import os

from pypod.base import process
from pypod.errors import NetworkError, reason
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping, Sequence
else:
    import _signal

_NS_GET_NSTYPE = 0xB703  # ioctl_ns(2)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_FIRST_FD = 64  # descriptors to pass are moved above it first, so that no dup2 overwrites one that is still to come


def open_namespace(path: str) -> int:
    """The network namespace of that file, as a descriptor; -1 if there is none.

    A file on which a namespace was mounted that is gone with its mount namespace is an empty one.
    """
    import fcntl

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        if fcntl.ioctl(fd, _NS_GET_NSTYPE) == syscalls.CLONE_NEWNET:
            return fd
    except OSError:
        pass
    os.close(fd)
    return -1


def call(work: Callable[[], bytes], netns: int = -1) -> bytes:
    """What ``work`` gives, done in the network namespace ``netns`` (-1: ours).

    Raises NetworkError with the words of the error that it raised.
    """
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            try:
                if netns >= 0:
                    syscalls.setns(netns, syscalls.CLONE_NEWNET)
                answer, code = work(), 0
            except OSError as error:
                answer = reason(error).encode()
            except BaseException as error:
                answer = str(error).encode()
            while answer:
                answer = answer[os.write(out_write, answer) :]
        finally:
            os._exit(code)
    os.close(out_write)
    answer = _drain(out_read)
    if process.wait(child):
        raise NetworkError(answer.decode("utf-8", "replace") or "a helper process died")
    return answer


def run(
    argv: Sequence[str],
    prepare: Callable[[], Sequence[tuple[int, int]]],
    *,
    input: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> process.Finished:
    """Run ``argv`` to its end in a child that has called ``prepare``: it enters namespaces, and says what to pass as
    (descriptor, number there).

    The program's working directory is "/". Raises NetworkError if ``prepare`` fails, OSError if ``argv`` does not
    start.
    """
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(4)]
    (in_read, in_write), (out_read, out_write), (err_read, err_write), (bad_read, bad_write) = pipes
    caller = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            _execute(caller, argv, prepare, (in_read, out_write, err_write), env)
        except BaseException as error:
            number = error.errno or 0 if isinstance(error, OSError) else 0
            os.write(bad_write, f"{number} {reason(error) if isinstance(error, OSError) else error}".encode()[:4000])
        finally:
            os._exit(127)
    for fd in (in_read, out_write, err_write, bad_write):
        os.close(fd)
    try:
        while input:
            input = input[os.write(in_write, input) :]
    except BrokenPipeError:
        pass  # it says why on stderr
    os.close(in_write)
    bad = _drain(bad_read)
    # netavark's and aardvark-dns's words are few: neither pipe fills before the other is read.
    out, err = _drain(out_read), _drain(err_read)
    status = process.wait(child)
    if bad:
        code, _, text = bad.decode("utf-8", "replace").partition(" ")
        if code != "0":
            raise OSError(int(code), text)
        raise NetworkError(text)
    return process.Finished(status=status, stdout=out, stderr=err)


def _execute(
    caller: int,
    argv: Sequence[str],
    prepare: Callable[[], Sequence[tuple[int, int]]],
    stdio: Sequence[int],
    env: Mapping[str, str] | None,
) -> None:
    import fcntl

    # With us goes our lock: another call must not come while this one is at work.
    syscalls.prctl(_PR_SET_PDEATHSIG, _signal.SIGKILL)
    if os.getppid() != caller:
        return
    os.setsid()
    os.chdir("/")
    keep = [(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD), number) for fd, number in prepare()]
    keep += [(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD), number) for number, fd in enumerate(stdio)]
    for fd, number in keep:
        os.dup2(fd, number)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT):
        _signal.signal(number, _signal.SIG_DFL)
    os.execve(argv[0], list(argv), os.environ if env is None else env)


def _drain(fd: int) -> bytes:
    chunks = []
    while chunk := os.read(fd, 65536):
        chunks.append(chunk)
    os.close(fd)
    return b"".join(chunks)
