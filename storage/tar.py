"""A streaming reader of tar archives (tar(5): ustar, pax, GNU, star, v7) that keeps every byte between the payloads.

``tarfile`` neither hands out the raw headers, which tar-split needs, nor bounds what a hostile header may claim.
"""

from __future__ import annotations

from pypod.errors import BadArchive
from storage import limits as limiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.stream import Buffer, FileBuffer

BLOCK = 512
_ZERO = bytes(BLOCK)

_EXPONENT = frozenset(b"0123456789.e+-")

_FILES = (b"\0", b"7", b"0")
REGULAR, LINK, SYMLINK, CHARACTER, DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


class Entry:
    """One member. ``segment`` is everything in the archive since the previous payload, up to this one."""

    __slots__ = (
        "name",
        "kind",
        "mode",
        "uid",
        "gid",
        "size",
        "stored",
        "mtime",
        "target",
        "major",
        "minor",
        "xattrs",
        "sparse",
        "segment",
    )

    def __init__(self) -> None:
        self.name = b""
        self.kind = REGULAR
        self.mode = self.uid = self.gid = 0
        self.size = 0  # of the file, in bytes
        self.stored = 0  # of the payload in the archive; differs for sparse files only
        self.mtime = 0  # nanoseconds
        self.target = b""
        self.major = self.minor = 0
        self.xattrs: dict[bytes, bytes] = {}
        self.sparse: list[tuple[int, int]] | None = None  # (offset, length) of the stored pieces
        self.segment = b""


def show(name: bytes) -> str:
    """A name as it may stand in a message: one line, printable."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:200])


def number(field: bytes, what: str) -> int:
    """A numeric header field: octal, or base 256 (GNU)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        if field[0] & 0x40:  # negative
            value -= 1 << (len(field) * 8 - 1)
        return value
    text = field.strip(b" \0")
    end = text.find(b"\0")
    if end >= 0:
        text = text[:end].strip()
    if not text:
        return 0
    if not all(0x30 <= c <= 0x37 for c in text):
        raise BadArchive(f"broken archive: {what} in a tar header is not a number")
    return int(text, 8)


def _string(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def _sum_is_right(block: bytes) -> bool:
    try:
        wanted = number(block[148:156], "checksum")
    except BadArchive:
        return False
    rest = block[:148] + b"        " + block[156:]
    unsigned = sum(rest)
    if unsigned == wanted:
        return True
    return wanted == unsigned - 256 * sum(1 for c in rest if c > 127)  # some old writers summed signed chars


def _pax_records(data: bytes) -> list[tuple[bytes, bytes]]:
    result = []
    while data:
        digits, blank, _ = data[:20].partition(b" ")
        if not blank or not digits.isdigit():
            if not data.strip(b"\0"):
                break
            raise BadArchive("broken archive: a pax record has no length")
        length = int(digits)
        line = data[len(digits) + 1 : length]
        if length > len(data) or not line.endswith(b"\n"):
            raise BadArchive("broken archive: a pax record is cut off")
        key, equals, value = line[:-1].partition(b"=")
        if not equals:
            raise BadArchive("broken archive: a pax record has no value")
        result.append((key, value))
        data = data[length:]
    return result


def _decimal(value: bytes, what: str) -> int:
    if not value.isdigit() or len(value) > 19:
        raise BadArchive(f"broken archive: {what} in a pax header is not a number")
    return int(value)


def _time(value: bytes) -> int:
    """Seconds with a fraction, in nanoseconds."""
    whole, _, fraction = value.partition(b".")
    sign = -1 if whole.startswith(b"-") else 1
    whole = whole.lstrip(b"-")
    if not whole.isdigit() or (fraction and not fraction.isdigit()) or len(whole) > 12:
        if _EXPONENT.issuperset(value) and len(value) < 32:
            try:
                return round(float(value) * 1e9)  # Python's tarfile writes 1e-05
            except (ValueError, OverflowError):
                pass
        raise BadArchive("broken archive: a time in a pax header is not a number")
    return sign * (int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0"))


class Reader:
    """Iterate over the entries; take each one's payload with ``payload`` before the next; what is left is skipped."""

    def __init__(
        self,
        buffer: Buffer | FileBuffer,
        limits: limiting.Limits = limiting.DEFAULT,
        counted: str = "max_layer_entries",
    ) -> None:
        """``counted`` is the limit of the number of entries."""
        self._buffer = buffer
        self._limits = limits
        self._counted = counted
        self._most: int = getattr(limits, counted)
        self._raw: list[bytes] = []
        self._left = 0  # of the current payload
        self._pad = 0
        self._extended = 0  # bytes of the headers that extend the present entry's
        self._global: dict[bytes, bytes] = {}
        self.count = 0

    def _block(self) -> bytes:
        block = self._buffer.exactly(BLOCK)
        self._raw.append(block)
        return block

    def _blob(self, size: int, most: str, what: str) -> bytes:
        """The content of a header that extends the next one; ``most`` is the limit of its size."""
        if size < 0:
            raise BadArchive(f"broken archive: {what} of {size} bytes")
        limiting.check(self._limits, most, size, what)
        self._extended += size
        limiting.check(self._limits, "max_pax_size", self._extended, "an entry's extended header")
        whole = -(-size // BLOCK) * BLOCK
        data = self._buffer.exactly(whole)
        self._raw.append(data)
        if len(data) < size:
            raise BadArchive("broken archive: it ends in the middle of a header")
        return data[:size]

    def payload(self) -> Iterator[memoryview]:
        """The bytes of the current entry."""
        while self._left:
            data = self._buffer.some(self._left)
            if not data:
                raise BadArchive("broken archive: it ends in the middle of a file")
            self._left -= len(data)
            yield data

    def exactly(self, count: int) -> bytes:
        """``count`` bytes of the current entry's payload."""
        data = self._buffer.exactly(min(count, self._left))
        self._left -= len(data)
        if len(data) < count:
            raise BadArchive("broken archive: it ends in the middle of a file")
        return data

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def trailer(self) -> Iterator[bytes]:
        """After the last entry: the end blocks and all that follows them."""
        if self._raw:
            yield b"".join(self._raw)
            self._raw = []
        while data := self._buffer.exactly(1 << 18):
            yield data

    def next(self) -> Entry | None:
        """The next entry, None at the end.

        Raises BadArchive.
        """
        if self._left:
            if not self._buffer.skip(self._left):
                raise BadArchive("broken archive: it ends in the middle of a file")
            self._left = 0
        if self._pad:
            padding = self._buffer.exactly(self._pad)
            self._raw.append(padding)
            self._pad = 0
        long_name = long_target = None
        pax: dict[bytes, bytes] = {}
        sparse_pairs: list[tuple[bytes, bytes]] = []
        extended = False
        self._extended = 0
        while True:
            block = self._block()
            if len(block) < BLOCK:
                if block.strip(b"\0"):
                    raise BadArchive("broken archive: it ends in the middle of a header")
                if extended:
                    raise BadArchive("broken archive: it ends after an extended header")
                return None
            if block == _ZERO:
                return None
            if not _sum_is_right(block):
                if not self.count and not extended:
                    raise BadArchive("not an archive: no tar header at its beginning")
                raise BadArchive("broken archive: a tar header has a wrong checksum")
            kind = block[156:157]
            size = number(block[124:136], "size")
            if kind == b"L":
                long_name = _string(self._blob(size, "max_name_length", "a name"))
            elif kind == b"K":
                long_target = _string(self._blob(size, "max_name_length", "a link target"))
            elif kind in (b"x", b"X"):
                records = _pax_records(self._blob(size, "max_pax_size", "a pax header"))
                sparse_pairs = [item for item in records if item[0].startswith(b"GNU.sparse.")]
                pax.update(records)
            elif kind == b"g":
                self._global.update(_pax_records(self._blob(size, "max_pax_size", "a pax header")))
                total = sum(len(key) + len(value) for key, value in self._global.items())
                limiting.check(self._limits, "max_pax_size", total, "the global header")
            else:
                break
            extended = True
        self.count += 1
        if self._most and self.count > self._most:
            raise limiting.exceeded("an archive", self._counted, self._most)
        return self._entry(block, kind, size, {**self._global, **pax}, long_name, long_target, sparse_pairs)

    def _entry(
        self,
        block: bytes,
        kind: bytes,
        size: int,
        pax: dict[bytes, bytes],
        long_name: bytes | None,
        long_target: bytes | None,
        sparse_pairs: list[tuple[bytes, bytes]],
    ) -> Entry:
        entry = Entry()
        name = _string(block[:100])
        magic = block[257:263]
        if magic == b"ustar\0" and block[345:346] != b"\0":
            prefix = _string(block[345:476] if block[508:512] == b"tar\0" else block[345:500])
            if prefix:
                name = prefix + b"/" + name
        if long_name is not None:
            name = long_name
        sparse_name = pax.get(b"GNU.sparse.name") if sparse_pairs and kind in _FILES else None
        entry.name = sparse_name or pax.get(b"path") or name
        target = long_target if long_target is not None else _string(block[157:257])
        entry.target = pax.get(b"linkpath") or target
        entry.mode = number(block[100:108], "mode") & 0o7777
        entry.uid = _decimal(pax[b"uid"], "uid") if pax.get(b"uid") else number(block[108:116], "uid")
        entry.gid = _decimal(pax[b"gid"], "gid") if pax.get(b"gid") else number(block[116:124], "gid")
        if pax.get(b"mtime"):
            entry.mtime = _time(pax[b"mtime"])
        else:
            entry.mtime = number(block[136:148], "time") * 1_000_000_000
        if pax.get(b"size"):
            size = _decimal(pax[b"size"], "size")
        if magic[:5] == b"ustar":
            entry.major, entry.minor = number(block[329:337], "device"), number(block[337:345], "device")
        for key, value in pax.items():
            if key.startswith(b"SCHILY.xattr."):
                entry.xattrs[key[13:]] = value
        shown = show(entry.name)
        if not entry.name or b"\0" in entry.name:
            raise BadArchive("broken archive: an entry has no name")
        if b"\0" in entry.target:
            raise BadArchive(f"broken archive: {shown}: a zero byte in its link target")
        if any(b"\0" in key for key in entry.xattrs):
            raise BadArchive(f"broken archive: {shown}: a zero byte in an attribute's name")
        limiting.check(self._limits, "max_name_length", len(entry.name), f"the name {shown}")
        limiting.check(self._limits, "max_name_length", len(entry.target), f"the link target of {shown}")
        small = (entry.uid, entry.gid, entry.major, entry.minor)
        if size < 0 or abs(entry.mtime) > 1 << 62 or not all(0 <= value < 1 << 32 for value in small):
            raise BadArchive(f"broken archive: {shown}: a negative or too big number in its header")
        entry.stored = size
        if kind in _FILES:
            kind = DIRECTORY if kind == b"\0" and entry.name.endswith(b"/") else REGULAR
        elif kind == b"S":
            self._gnu_sparse(entry, block)
            kind = REGULAR
        elif kind not in (LINK, SYMLINK, CHARACTER, DEVICE, DIRECTORY, FIFO):
            raise BadArchive(f"cannot read the archive: {shown}: unknown tar entry type {kind!r}")
        if kind != REGULAR:
            entry.stored = 0  # these have no payload, whatever their headers say (Go's reader agrees)
        entry.kind = kind
        entry.size = entry.stored if entry.sparse is None else entry.size
        if kind != REGULAR:
            entry.size = 0
        self._left = entry.stored
        self._pad = -entry.stored % BLOCK
        if sparse_pairs and kind == REGULAR:
            self._pax_sparse(entry, pax, sparse_pairs)
        entry.segment = b"".join(self._raw)
        self._raw = []
        return entry

    def _gnu_sparse(self, entry: Entry, block: bytes) -> None:
        """The old GNU format: pieces in the header and in extension blocks."""
        pieces: list[tuple[int, int]] = []
        area, extended = block[386:482], block[482]
        entry.size = number(block[483:495], "size")
        while True:
            for start in range(0, len(area), 24):
                if not area[start]:
                    break
                pieces.append(
                    (number(area[start : start + 12], "offset"), number(area[start + 12 : start + 24], "size"))
                )
            if not extended:
                break
            more = self._block()
            if len(more) < BLOCK:
                raise BadArchive("broken archive: it ends in the middle of a header")
            area, extended = more[:504], more[504]
            if len(pieces) > 1 << 20:
                raise BadArchive(f"broken archive: {show(entry.name)}: too many sparse pieces")
        entry.sparse = self._checked(entry, pieces)

    def _pax_sparse(self, entry: Entry, pax: dict[bytes, bytes], pairs: list[tuple[bytes, bytes]]) -> None:
        """The three pax formats of GNU tar: 0.0, 0.1 and 1.0 (its map stands at the payload's beginning)."""
        pieces: list[tuple[int, int]] = []
        entry.size = _decimal(pax.get(b"GNU.sparse.realsize") or pax.get(b"GNU.sparse.size") or b"0", "size")
        if pax.get(b"GNU.sparse.major") == b"1":
            text = b""

            def value() -> int:
                nonlocal text
                while b"\n" not in text:
                    more = self.exactly(BLOCK)
                    self._raw.append(more)
                    text += more
                    if len(text) > 1 << 22:
                        raise BadArchive(f"broken archive: {show(entry.name)}: too many sparse pieces")
                line, _, text = text.partition(b"\n")
                return _decimal(line, "sparse map")

            count = value()
            if count > 1 << 20:
                raise BadArchive(f"broken archive: {show(entry.name)}: too many sparse pieces")
            for _ in range(count):
                offset = value()
                pieces.append((offset, value()))
            entry.stored = self._left
        elif b"GNU.sparse.map" in pax:
            numbers = [_decimal(word, "sparse map") for word in pax[b"GNU.sparse.map"].split(b",") if word]
            pieces = list(zip(numbers[::2], numbers[1::2], strict=False))
        else:
            offsets = [_decimal(v, "sparse map") for k, v in pairs if k == b"GNU.sparse.offset"]
            lengths = [_decimal(v, "sparse map") for k, v in pairs if k == b"GNU.sparse.numbytes"]
            pieces = list(zip(offsets, lengths, strict=False))
            if not pieces and b"GNU.sparse.size" not in pax and b"GNU.sparse.realsize" not in pax:
                entry.size = entry.stored
                return
        entry.sparse = self._checked(entry, pieces)

    def _checked(self, entry: Entry, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
        limiting.check(self._limits, "max_sparse_size", entry.size, f"the sparse file {show(entry.name)}")
        end = total = 0
        for offset, length in pieces:
            if offset < end or length < 0:
                raise BadArchive(f"broken archive: {show(entry.name)}: its sparse map is out of order")
            end = offset + length
            total += length
        if end > entry.size or total != entry.stored:
            raise BadArchive(f"broken archive: {show(entry.name)}: its sparse map does not fit its size")
        return pieces
