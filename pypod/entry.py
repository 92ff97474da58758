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
    from typing import NoReturn


def _leave(code: int) -> NoReturn:
    """Flush and go; a reader that has gone away is not an error."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code & 0xFF)


def _report(message: str, hint: str = "") -> None:
    text = f"Error: {message}\n" + (f"Hint: {hint}\n" if hint else "")
    try:
        os.write(2, text.encode("utf-8", "surrogateescape"))
    except OSError:
        pass


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
            _report(error.message, error.hint)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    except RecursionError:
        _report("input is nested too deeply")
        return 125
    except OSError as error:
        if "--log-level=debug" in argv:
            raise
        what = f" {error.filename}" if error.filename else ""
        _report(f"cannot use{what}: {reason(error)}" if what else reason(error))
        return 125


def main() -> NoReturn:
    """Entry point of the ``pypod`` command."""
    argv = sys.argv[1:]
    if argv == ["--version"] or argv == ["-v"]:
        from pypod import __version__

        os.write(1, f"pypod version {__version__}\n".encode())
        os._exit(0)
    _leave(run(argv))
