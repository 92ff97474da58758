"""Places in a layer's blob from which reading can go on later: what is known there of sums and decompressor.

A *mark* is set between two pieces as they are read; the thread that hashes adds the sum's state when it comes by, and
the decompressor the first place behind the mark where it could go on. Then the mark is a checkpoint.
"""

from __future__ import annotations

from pypod.base.record import record
from storage import inflate, sha256, stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

EVERY = 1 << 20  # bytes of a blob between two marks
_FLUSH = b"\0\0\xff\xff"  # where parallel gzip ends a block: at a byte, with nothing held back (RFC 1951, 3.2.4)
_FIRST_FLUSH = 3 << 19  # bytes within which such a blob has one: blocks are of 1 MiB


@record
class Checkpoint:
    """``offset``: where to read on in the blob, whose bytes before that have ``sum`` (sha256.Sha256.state).

    The decompressor, of ``kind``, goes on at ``between``: its ``given`` bytes are the content before that. Of plain
    layers ``between`` has the numbers only.
    """

    kind: int
    offset: int
    sum: bytes
    between: inflate.Between


def supported(kind: int) -> bool:
    """Whether a blob that is compressed so has such places."""
    return sha256.available() and (kind == stream.PLAIN or (kind == stream.GZIP and inflate.available()))


class _Mark:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.sum = b""
        self.between: inflate.Between | None = None


class _Flushes(stream.Source):
    """What ``source`` has, where ``wanted`` says so only up to a flush point first; ``reached`` is told of that when
    what is before it has been dealt with.
    """

    def __init__(self, source: stream.Source, wanted: Callable[[], bool], reached: Callable[[int], None]) -> None:
        super().__init__(source.read)
        self._wanted = wanted
        self._reached = reached
        self._taken = 0
        self._at_point = False
        self._rest = b""

    def read(self, count: int) -> bytes:
        if self._at_point:
            self._at_point = False
            self._reached(self._taken)
        data, self._rest = self._rest or super().read(count), b""
        if self._wanted() and (end := data.rfind(_FLUSH) + len(_FLUSH)) >= len(_FLUSH):
            data, self._rest = data[:end], data[end:]
            self._at_point = True
        self._taken += len(data)
        return data


class Tracker:
    """Follows one blob from its beginning or from ``start``; ``last`` is the newest checkpoint."""

    def __init__(self, kind: int, start: Checkpoint | None = None) -> None:
        self.kind = kind
        self._start = start
        self._sum = sha256.Sha256(start.sum if start is not None else b"")
        self._next = (start.offset if start is not None else 0) + EVERY
        self._waiting: _Mark | None = None  # for the decompressor
        self._whole: list[_Mark] = []

    @property
    def last(self) -> Checkpoint | None:
        for mark in reversed(self._whole):
            if mark.sum and mark.between is not None:
                return Checkpoint(kind=self.kind, offset=mark.offset, sum=mark.sum, between=mark.between)
        return self._start

    def mark(self, offset: int) -> _Mark | None:
        """A mark for the piece that begins at ``offset``, if it is time; it goes to ``update`` before it."""
        if offset < self._next or self._waiting is not None:
            return None
        self._next = offset + EVERY
        mark = _Mark(offset)
        if self.kind == stream.PLAIN:
            mark.between = inflate.Between(taken=offset, given=offset)
            self._keep(mark)
        else:
            self._waiting = mark
        return mark

    def _keep(self, mark: _Mark) -> None:
        self._whole = [*self._whole[-8:], mark]  # the sums of some are still on their way

    def update(self, item: Any) -> None:
        """The next bytes of the blob, or a mark. In the thread that hashes."""
        if isinstance(item, _Mark):
            item.sum = self._sum.state()
        else:
            self._sum.update(item)

    def hexdigest(self) -> str:
        return self._sum.hexdigest()

    def content(self, source: stream.Source, before: Iterable[bytes] = ()) -> Iterator[bytes]:
        """All that the blob decompresses to: ``before``, the content up to ``start``, and then what comes from
        ``source``, which stands at ``start``'s offset.
        """
        window = b""
        for piece in before:
            window = (window + piece if len(piece) < inflate.WINDOW else piece)[-inflate.WINDOW :]
            yield piece
        if self.kind == stream.PLAIN:
            yield from stream.chunks(source, stream.PLAIN)
        elif self._start is None and _FLUSH in source.peek(_FIRST_FLUSH):
            yield from self._flushed(source)
        else:
            yield from self._blocks(source, window)

    def _placed(self, between: inflate.Between) -> None:
        """The mark that waits has its place."""
        assert self._waiting is not None
        self._waiting.between = between
        self._keep(self._waiting)
        self._waiting = None

    def _flushed(self, source: stream.Source) -> Iterator[bytes]:
        """By the fastest decompressor there is, which stops nowhere by itself: at the flush points of the blob."""
        whole = stream.CHUNK * 4  # a piece of this size may not be the last that the bytes before give
        given = size = 0

        def reached(taken: int) -> None:
            if size < whole and self._waiting is not None:
                self._placed(inflate.Between(taken=taken, given=given))

        for piece in stream.chunks(_Flushes(source, lambda: self._waiting is not None, reached), stream.GZIP):
            size = len(piece)
            given += size
            yield piece

    def _blocks(self, source: stream.Source, window: bytes) -> Iterator[bytes]:
        """By zlib, which stops between two blocks wherever it is asked to."""
        start = self._start.between if self._start is not None else None
        one = inflate.Inflater(start, window)
        skip = start.taken - self._start.offset if self._start is not None and start is not None else 0
        try:
            while data := source.read(stream.CHUNK):
                if skip:
                    cut = min(skip, len(data))
                    skip -= cut
                    data = data[cut:]
                one.wanted = self._waiting is not None
                yield from one.feed(data)
                if one.place is not None and self._waiting is not None:
                    self._placed(one.place)
                    one.place = None
            one.finish()
        except (ValueError, MemoryError) as error:
            raise stream.broken(stream.GZIP, error) from None
        finally:
            one.close()
