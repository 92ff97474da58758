"""gzip (RFC 1952) that can be taken up in the middle: zlib's inflate, stopped between two blocks of deflate.

Where a block ends, all that a decompressor must know is the position, the bits of the last byte that belong to the
next block, and the last 32 KiB of what has come out (zlib's examples/zran.c).
"""

from __future__ import annotations

import ctypes

from pypod.base.record import record
from storage import libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

WINDOW = 1 << 15  # bytes: how far back deflate refers
_OUT = 1 << 18  # bytes that come out at once
_OK, _END, _BUFFER = 0, 1, -5
_NO_FLUSH, _BLOCK = 0, 5
_GZIP, _RAW = 31, -15
_LAST, _BETWEEN = 64, 128  # in data_type: in the last block of a stream, between two blocks


class _Stream(ctypes.Structure):
    """z_stream (zlib.h)."""

    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )


@record
class Between:
    """A place between two blocks: bytes of gzip before it, bytes that came out before it, and the ``bits`` (0 to 7)
    highest bits of the last byte, ``last``, which belong to the block behind it.
    """

    taken: int
    given: int
    bits: int = 0
    last: int = 0


def _declare(library: Any) -> None:
    library.zlibVersion.restype = ctypes.c_char_p
    library.inflateSetDictionary.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint]


def _load() -> Any:
    return libraries.load("libz.so.1", _declare)


def available() -> bool:
    """Whether this machine has the zlib that Python itself uses nearly everywhere."""
    return _load() is not None


class Inflater:
    """Decompresses gzip of several members. ``start`` and ``window`` (the last bytes that came out before it): where
    to go on. ``wanted`` set to True has ``place`` set at the next place where one could.
    """

    def __init__(self, start: Between | None = None, window: bytes = b"") -> None:
        self._z = _load()
        self._stream = _Stream()
        self._out = ctypes.create_string_buffer(_OUT)
        self.wanted = False
        self.place: Between | None = None
        self._taken = start.taken if start else 0  # before the piece that is being fed
        self._given = start.given if start else 0
        self._raw = start is not None  # the member's header was before: its trailer is ours to skip
        self._trailer = 0
        self._open = False
        self._begin(_RAW if start else _GZIP)
        if start is not None:
            if start.bits:
                self._z.inflatePrime(ctypes.byref(self._stream), start.bits, start.last >> (8 - start.bits))
            if window:
                self._z.inflateSetDictionary(ctypes.byref(self._stream), window, len(window))
        self._between = False  # members

    def _begin(self, kind: int) -> None:
        self.close()
        result = self._z.inflateInit2_(
            ctypes.byref(self._stream), kind, self._z.zlibVersion(), ctypes.sizeof(self._stream)
        )
        if result != _OK:
            raise MemoryError
        self._open = True

    def close(self) -> None:
        """Give back zlib's memory."""
        if self._open:
            self._z.inflateEnd(ctypes.byref(self._stream))
            self._open = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out of the next bytes. Raises ValueError where they are no gzip."""
        stream = self._stream
        start = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        out = ctypes.addressof(self._out)
        at = 0
        while at < len(data):
            if self._trailer:
                step = min(self._trailer, len(data) - at)
                self._trailer -= step
                at += step
                continue
            if self._between:
                if not data[at]:  # padding
                    at += 1
                    continue
                self._begin(_GZIP)
                self._between = False
            stream.next_in, stream.avail_in = start + at, len(data) - at
            while True:
                stream.next_out, stream.avail_out = out, _OUT
                result = self._z.inflate(ctypes.byref(stream), _BLOCK if self.wanted else _NO_FLUSH)
                at = len(data) - stream.avail_in
                got = _OUT - stream.avail_out
                self._given += got
                if got:
                    yield ctypes.string_at(out, got)
                if result == _END:
                    self._between = True
                    self._trailer = 8 if self._raw else 0
                    self._raw = False
                    break
                if result not in (_OK, _BUFFER):
                    raise ValueError((stream.msg or b"broken data").decode("ascii", "replace"))
                if self.wanted and stream.data_type & (_BETWEEN | _LAST) == _BETWEEN and at:
                    bits = stream.data_type & 7
                    self.place = Between(taken=self._taken + at, given=self._given, bits=bits, last=data[at - 1])
                    self.wanted = False
                elif not stream.avail_in and got < _OUT:
                    break
        self._taken += len(data)

    def finish(self) -> None:
        """After the last byte. Raises ValueError if there should be more."""
        if self._taken and (not self._between or self._trailer):
            raise ValueError("it ends in the middle of the data")
