"""Read a container's log file, in CRI's format ("k8s-file") or Docker's ("json-file"); each line may be of either.

A line of CRI is ``TIME STREAM TAG TEXT``; TAG is F for a line that ended there, P for a piece whose rest follows in
the stream's next entry. Docker's is an object with ``log``, ``stream`` and ``time``; a piece lacks the newline. When
the file has reached its size it becomes ``PATH.1``, the one before ``PATH.2`` and so on; conmon 2.1 has no such files
and loses what was in it.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    # time as written (RFC 3339), "stdout" or "stderr", whether it is only a piece, the text without newline
    Entry = tuple[str, str, bool, bytes]

BLOCK = 1 << 16  # bytes
POLL = 0.1  # seconds between two looks while following


def parse(line: bytes) -> Entry | None:
    """One line of the file without its newline; None if it is not an entry."""
    if line[:1] == b"{":
        return _parse_json(line)
    parts = line.split(b" ", 3)
    if len(parts) < 4 or parts[2] not in (b"F", b"P") or parts[1] not in (b"stdout", b"stderr"):
        return None
    return parts[0].decode("ascii", "replace"), parts[1].decode(), parts[2] == b"P", parts[3]


def _parse_json(line: bytes) -> Entry | None:
    try:
        value = fastjson.loads(line)
    except ValueError:
        return None
    text, stream, when = (value.get(key) for key in ("log", "stream", "time"))
    if not isinstance(text, str) or not isinstance(when, str) or stream not in ("stdout", "stderr"):
        return None
    raw = text.encode("utf-8", "replace")
    piece = raw[-1:] != b"\n"
    return when, stream, piece, raw if piece else raw[:-1]


def rotated(path: str) -> list[str]:
    """The files of a log that exist, the oldest first."""
    result = []
    number = 1
    while os.path.exists(f"{path}.{number}"):
        result.append(f"{path}.{number}")
        number += 1
    result.reverse()
    if os.path.exists(path):
        result.append(path)
    return result


def _open(path: str) -> list[int]:
    """Descriptors of a log's files, the oldest first; a rotation meanwhile shows none of them twice."""
    fds = []
    seen = set()
    for name in rotated(path):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        inode = os.fstat(fd).st_ino
        if inode in seen:
            os.close(fd)
        else:
            seen.add(inode)
            fds.append(fd)
    return fds


def _lines(fd: int, at: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines from offset ``at`` on, each with the offset behind it."""
    rest = b""
    while data := os.pread(fd, BLOCK, at):
        at += len(data)
        *lines, rest = (rest + data).split(b"\n")
        offset = at - len(rest) - sum(map(len, lines)) - len(lines)
        for line in lines:
            offset += len(line) + 1
            yield offset, line


def _backwards(fd: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines from the end of a file to its beginning, each with the offset at which it begins."""
    position = os.fstat(fd).st_size
    data = b""
    while position > 0 and b"\n" not in data:  # what is behind the last newline is no line yet
        size = min(BLOCK, position)
        position -= size
        data = os.pread(fd, size, position)
    data = data[: data.rfind(b"\n") + 1]
    while data:
        lines = data.split(b"\n")
        lines.pop()
        at = position + len(data)
        for line in reversed(lines if position == 0 else lines[1:]):
            at -= len(line) + 1
            yield at, line
        if position == 0:
            return
        size = min(BLOCK, position)
        position -= size
        data = os.pread(fd, size, position) + lines[0] + b"\n"


class _Tail:
    """Counts a log's lines from its end. Pieces count with the line that they belong to."""

    def __init__(self, wanted: int) -> None:
        self.left = wanted
        self.begun: set[str] = set()
        self.full = False

    def takes(self, line: bytes) -> bool:
        """Whether the entry before those seen belongs to the tail."""
        entry = parse(line)
        if entry is None:
            return True
        _, stream, piece, _ = entry
        if not piece or stream not in self.begun:
            if self.left == 0:
                self.full = True
                return False
            self.left -= 1
            self.begun.add(stream)
        return True

    def start(self, fd: int) -> int:
        """The offset at which the tail begins in a file; ``full`` says that older files have no part in it."""
        begin = os.fstat(fd).st_size
        for at, line in _backwards(fd):
            if not self.takes(line):
                break
            begin = at
        return begin


def _starts(fds: list[int], wanted: int) -> list[tuple[int, int]]:
    """Which of a log's files to read, and from where."""
    if wanted < 0:
        return [(fd, 0) for fd in fds]
    tail = _Tail(wanted)
    result: list[tuple[int, int]] = []
    for fd in reversed(fds):
        result.append((fd, tail.start(fd)))
        if tail.full:
            break
    result.reverse()
    return result


def _select(lines: Iterable[bytes], since: int, until: int) -> Iterator[Entry]:
    """The entries among the lines that lie between two times."""
    for line in lines:
        entry = parse(line)
        if entry is None:
            continue  # a crash can leave a torn line
        if since or until:
            try:
                at = times.parse_rfc3339(entry[0])
            except (ValueError, IndexError):
                continue
            if at < since:
                continue
            if until and at > until:
                return
        yield entry


def read(path: str, *, tail: int = -1, since: int = 0, until: int = 0) -> Iterator[Entry]:
    """The entries of a log: the last ``tail`` lines if that is not negative, between two times in ns (0: no bound).

    A log that does not exist has none. Raises OSError.
    """
    fds = _open(path)
    try:
        for fd, at in _starts(fds, tail):
            yield from _select((line for _, line in _lines(fd, at)), since, until)
    finally:
        for fd in fds:
            os.close(fd)


def follow(
    path: str, ended: Callable[[], bool], *, tail: int = -1, since: int = 0, until: int = 0
) -> Iterator[Entry]:
    """As ``read``, and then what is added, until the container has ``ended`` and its log has been read.

    Rotations are followed. ``until`` in the past ends it at once. Raises OSError.
    """
    import time

    fds = _open(path)
    starts = _starts(fds, tail)
    for fd, at in starts[:-1]:
        yield from _select((line for _, line in _lines(fd, at)), since, until)
    current, at = starts[-1] if starts else (-1, 0)
    for fd in fds:
        if fd != current:
            os.close(fd)
    try:
        while True:
            over = ended() or (until != 0 and times.now() > until)
            if current < 0:
                try:
                    current = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    pass
            while current >= 0:
                for offset, line in _lines(current, at):
                    at = offset
                    yield from _select((line,), since, until)
                following = _successor(path, current)
                if following < 0:
                    break
                # Complete by now: the monitor renames a file before it writes to the next.
                yield from _select((line for _, line in _lines(current, at)), since, until)
                os.close(current)
                current, at = following, 0
            if over:
                return
            time.sleep(POLL)
    finally:
        if current >= 0:
            os.close(current)


def _successor(path: str, fd: int) -> int:
    """The file that came after the open one by rotation; -1 if it is still the newest, or the newest is missing."""
    mine = os.fstat(fd)
    names = rotated(path)
    result = names[-1] if names else ""
    for older, newer in zip(names, names[1:], strict=False):
        if os.path.exists(older) and os.path.samestat(os.stat(older), mine):
            result = newer
    try:
        found = os.open(result, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    if os.path.samestat(os.fstat(found), mine):
        os.close(found)
        return -1
    return found
