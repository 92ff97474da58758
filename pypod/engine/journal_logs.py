"""The log of a container whose driver is journald, read by journalctl as ``conmon.logs`` reads a file.

Entries are found by CONTAINER_ID_FULL. Source: systemd's "Journal Export Format", and conmon for the fields.
"""

from __future__ import annotations

import time

from pypod.engine import journalctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conmon.logs import Entry

_FIELDS = "MESSAGE,PRIORITY,CONTAINER_PARTIAL_MESSAGE"
_ERROR = 3  # syslog's priority; the monitor gives it to stderr, 6 to stdout
_CURSOR, _TIME = b"__CURSOR", b"__REALTIME_TIMESTAMP"
# How often nothing may come after the end of a container until its log is known to be complete: the journal is told
# by datagrams, and may be behind.
_QUIET = 5


def read(identity: str, *, tail: int = -1, since: int = 0, until: int = 0) -> Iterator[Entry]:
    """The entries of a log: the last ``tail`` lines if that is not negative, between two times in ns (0: no bound).

    Raises NotFound without journalctl, PypodError if that fails.
    """
    if tail >= 0:
        yield from (entry for _, entry in _last(identity, tail, since, until))
        return
    for fields in _entries(identity, since, until, []):
        if fields is not None:
            yield _entry(fields)


def follow(
    identity: str, ended: Callable[[], bool], *, tail: int = -1, since: int = 0, until: int = 0
) -> Iterator[Entry]:
    """As ``read``, and then what is added, until the container has ``ended`` and nothing more of it comes."""
    words = ["--follow", "--lines=all"]
    if tail >= 0:
        found = _last(identity, tail, since, until)
        yield from (entry for _, entry in found)
        cursor = found[-1][0] if found else ""
        if not found:  # go on behind what there is
            for fields in _entries(identity, 0, 0, ["--lines=1"]):
                cursor = fields[_CURSOR].decode() if fields else cursor
        words += ["--after-cursor=" + cursor] if cursor else []
    quiet = 0
    for fields in _entries(identity, since if tail < 0 else 0, until, words):
        if fields is not None:
            quiet = 0
            yield _entry(fields)
            continue
        if until and time.time_ns() > until:
            return
        quiet = quiet + 1 if quiet or ended() else 0
        if quiet >= _QUIET:
            return


def _last(identity: str, wanted: int, since: int, until: int) -> list[tuple[str, Entry]]:
    """The last lines, each entry with its cursor. Pieces count with the line that they belong to."""
    result: list[tuple[str, Entry]] = []
    begun: set[str] = set()
    for fields in _entries(identity, since, until, ["--reverse"]) if wanted else ():
        if fields is None:
            continue
        entry = _entry(fields)
        if not entry[2] or entry[1] not in begun:
            if not wanted:
                break
            wanted -= 1
            begun.add(entry[1])
        result.append((fields[_CURSOR].decode(), entry))
    result.reverse()
    return result


def _entries(identity: str, since: int, until: int, words: list[str]) -> Iterator[dict[bytes, bytes] | None]:
    """The fields of each entry; None when nothing has come for a while."""
    words = [*words, "--output=export", f"--output-fields={_FIELDS}"]
    words += [f"--{name}=@{at // 1000 / 1e6:.6f}" for name, at in (("since", since), ("until", until)) if at]
    data = b""
    for piece in journalctl.chunks([*words, f"CONTAINER_ID_FULL={identity}"], "the log"):
        if not piece:
            yield None
            continue
        data += piece
        at = 0
        while True:
            fields, end = parse(data, at)
            if end < 0:
                break
            at = end
            if b"MESSAGE" in fields and _TIME in fields:
                yield fields
        data = data[at:]


def parse(data: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The fields of the entry that begins at an offset, and the offset behind it; -1 if it is not complete yet."""
    fields: dict[bytes, bytes] = {}
    while True:
        newline = data.find(b"\n", at)
        if newline < 0:
            return fields, -1
        line = data[at:newline]
        at = newline + 1
        if not line:
            return fields, at
        name, equals, value = line.partition(b"=")
        if not equals:  # the name alone: its value follows with its length before it, as it need not be text
            end = at + 8 + int.from_bytes(data[at : at + 8], "little")
            if end + 1 > len(data):
                return fields, -1
            value = data[at + 8 : end]
            at = end + 1
        fields[name] = value


def _entry(fields: dict[bytes, bytes]) -> Entry:
    priority = fields.get(b"PRIORITY", b"6")
    stream = "stderr" if priority.isdigit() and int(priority) <= _ERROR else "stdout"
    piece = fields.get(b"CONTAINER_PARTIAL_MESSAGE") == b"true"
    seconds, micros = divmod(int(fields[_TIME]), 1_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros:06d}000Z"
    # conmon leaves the newline of a line in its message.
    return stamp, stream, piece, fields[b"MESSAGE"].removesuffix(b"\n")
