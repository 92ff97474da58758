"""A real terminal emulator: tmux, with one window in which pypod runs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from types import TracebackType

from support import box
from support.runner import Pypod, Result, until


class Tmux:
    """``pypod ARGS`` in a window of ``rows`` x ``columns``; the server ends with the context."""

    def __init__(self, pypod: Pypod, *args: str | Path, rows: int = 24, columns: int = 80) -> None:
        self.pypod = pypod
        self.program = box.need("tmux")
        self.server = f"pypodtest{os.getpid()}{pypod.mode}"
        command = shlex.join(pypod.argv(*args))
        size = ["-x", str(columns), "-y", str(rows)]
        self("-f", "/dev/null", "new-session", "-d", *size, command).ok()

    def __call__(self, *words: str) -> Result:
        """One tmux command, as pypod's user."""
        return self.pypod.as_user(self.program, "-L", self.server, *words)

    def screen(self) -> str:
        return self("capture-pane", "-p").out

    def shows(self, *texts: str, timeout: float = 20) -> None:
        """Wait until the screen has all ``texts``."""
        try:
            until(lambda: all(text in self.screen() for text in texts), timeout, f"{texts} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.screen()}") from None

    def types(self, line: str) -> None:
        """Type a line and Enter."""
        self("send-keys", "-l", line).ok()
        self("send-keys", "Enter").ok()

    def key(self, name: str) -> None:
        """Press one key by tmux's name: C-c, Up."""
        self("send-keys", name).ok()

    def resize(self, rows: int, columns: int) -> None:
        self("resize-window", "-x", str(columns), "-y", str(rows)).ok()

    def ends(self, timeout: float = 20) -> None:
        """Wait until the command has ended, and with it the session."""
        until(lambda: self("has-session").code != 0, timeout, "the session to end")

    def __enter__(self) -> Tmux:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self("kill-server")
