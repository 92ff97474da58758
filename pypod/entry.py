"""The console script: from argv to an exit code, and nothing else.

The order matters for speed: ``--version`` is answered before anything is imported, the garbage collector never runs
in a process that lives for milliseconds, and the process leaves without tearing the interpreter down.
"""

from __future__ import annotations

import gc
import os
import sys

gc.disable()

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
    from typing import NoReturn

    from pypod.errors import PypodError
else:
    import _signal


class Terminated(BaseException):
    """SIGTERM or SIGHUP came: as after ^C, what is half made is taken down on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _terminated(number: int, _: FrameType | None) -> None:
    raise Terminated(number)


def _catch_signals() -> None:
    for number in (_signal.SIGHUP, _signal.SIGTERM):
        if _signal.getsignal(number) == _signal.SIG_DFL:  # nohup(1) ignores SIGHUP, and that is to stay so
            _signal.signal(number, _terminated)
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:  # see __main__.py
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _open_standard_streams() -> None:
    """Where the caller has closed stdin, stdout or stderr, no file of ours may get that number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)
            from pypod.base import process

            process.closed.add(fd)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)


def _keep_descriptors() -> None:
    """What the caller left open is not for the programs that we start: a monitor would hold it for days."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if fd > 2 and os.get_inheritable(fd):
                os.set_inheritable(fd, False)
        except OSError:
            continue  # the listing's own


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass


def _leave(code: int) -> NoReturn:
    """Flush and go; a reader that has gone away is not an error."""
    _flush()
    os._exit(code & 0xFF)


def _die(number: int) -> NoReturn:
    """End as the signal would have ended us, which the caller may want to know."""
    _flush()
    _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _report(error: PypodError) -> None:
    from pypod.base import report

    report.error(error)


def run(argv: list[str]) -> int:
    """The exit code of one command line."""
    from pypod.errors import PypodError, reason

    try:
        from pypod.cli.main import main as dispatch

        code = dispatch(argv)
        sys.stdout.flush()
        return code
    except PypodError as error:
        if error.message:
            _report(error)
        return error.code
    except KeyboardInterrupt:
        _die(_signal.SIGINT)
    except Terminated as signal:
        _die(signal.number)
    except BrokenPipeError:
        return 141
    except RecursionError:
        _report(PypodError("input is nested too deeply"))
        return 125
    except ValueError as error:
        if "integer string conversion" not in str(error):
            raise
        _report(PypodError("a number in the input has too many digits"))
        return 125
    except OSError as error:
        if "--log-level=debug" in argv:
            raise
        what = f" {error.filename}" if error.filename else ""
        _report(PypodError(f"cannot use{what}: {reason(error)}" if what else reason(error)))
        return 125


def main() -> NoReturn:
    """Entry point of the ``pypod`` command."""
    _open_standard_streams()
    argv = sys.argv[1:]
    if argv == ["--version"] or argv == ["-v"]:
        from pypod import version_line

        os.write(1, f"{version_line()}\n".encode())
        os._exit(0)
    _keep_descriptors()
    from pypod import errors  # noqa: F401  (loaded while a signal still ends us as any other program)

    try:
        _catch_signals()
        code = run(argv)
    except KeyboardInterrupt:
        _die(_signal.SIGINT)
    except Terminated as signal:
        _die(signal.number)
    _leave(code)
