"""What journalctl prints, as it comes: the reader of events and of logs that are in systemd's journal."""

from __future__ import annotations

import os

from pypod.base import process
from pypod.errors import NotFound, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE = 200  # ms until the reader is told that nothing came


def chunks(words: Sequence[str], what: str) -> Iterator[bytes]:
    """The output of journalctl with the arguments ``words``, in pieces; b"" when nothing has come for a while.

    journalctl ends with the iterator. ``what`` cannot be read, say the errors. Raises NotFound without journalctl,
    PypodError if that fails.
    """
    import select

    program = process.find("journalctl")
    if program is None:
        raise NotFound(f"cannot read {what} from the journal: there is no journalctl")
    pipe, theirs = os.pipe2(os.O_CLOEXEC)
    pid = process.spawn([program, "--quiet", "--all", "--no-pager", *words], stdin=-1, stdout=theirs)
    os.close(theirs)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    ended = False
    try:
        while True:
            if not poll.poll(PATIENCE):
                yield b""
                continue
            data = os.read(pipe, 1 << 16)
            if not data:
                ended = True
                break
            yield data
    finally:
        os.close(pipe)
        if not ended:
            os.kill(pid, 15)
        code = process.wait(pid)
    if code:
        raise PypodError(f"cannot read {what} from the journal: journalctl failed with {code}")
