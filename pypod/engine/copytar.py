"""Tar streams for ``cp``: entries out of stdin, entries to stdout."""

from __future__ import annotations

import os
import stat
import tarfile

from pypod.engine.copytree import Entry
from pypod.errors import BadArchive, PypodError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any

_XATTR = "SCHILY.xattr."
_BLOCK = 1 << 20
_KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.CONTTYPE: stat.S_IFREG,
    tarfile.GNUTYPE_SPARSE: stat.S_IFREG,
    tarfile.LNKTYPE: stat.S_IFREG,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


def clean(name: str) -> str:
    """An archive's name as a relative path. Raises BadArchive if it climbs out."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadArchive(f"cannot extract archive: entry {name!r} leads out of the destination")
    return "/".join(parts)


def read(stream: IO[bytes]) -> Iterator[Entry]:
    """The entries of a tar, compressed or not. Raises BadArchive."""
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for info in archive:
                kind = _KINDS.get(info.type)
                if kind is None:
                    raise BadArchive(f"cannot extract archive: entry {info.name!r} has unknown type {info.type!r}")
                yield Entry(
                    path=clean(info.name),
                    mode=kind | info.mode & 0o7777,
                    uid=info.uid,
                    gid=info.gid,
                    mtime_ns=int(info.mtime * 1_000_000_000),
                    size=info.size if kind == stat.S_IFREG else 0,
                    target=info.linkname if kind == stat.S_IFLNK else "",
                    hardlink=clean(info.linkname) if info.type == tarfile.LNKTYPE else None,
                    device=os.makedev(info.devmajor, info.devminor) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
                    xattrs={
                        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
                        for key, value in info.pax_headers.items()
                        if key.startswith(_XATTR + "user.") or key == _XATTR + "security.capability"
                    },
                    data=_data(archive, info) if kind == stat.S_IFREG and info.type != tarfile.LNKTYPE else None,
                )
                archive.members = []  # type: ignore[attr-defined]
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise BadArchive(f"cannot extract archive: {error}") from None
    except OSError as error:
        raise BadArchive(f"cannot extract archive: {reason(error)}") from None


def _data(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], Iterator[tuple[int, bytes]]]:
    def chunks() -> Iterator[tuple[int, bytes]]:
        stream: Any = archive.fileobj
        # A sparse entry may claim terabytes of nothing: only its data, which lies in one piece, is read.
        sparse: list[tuple[int, int]] | None = getattr(info, "sparse", None)
        try:
            stream.seek(info.offset_data)  # forwards only: it is a pipe
            for start, length in sparse if sparse is not None else [(0, info.size)]:
                position = start
                while position < start + length:
                    chunk = stream.read(min(_BLOCK, start + length - position))
                    if not chunk:
                        raise BadArchive(f"cannot extract archive: {info.name!r}: unexpected end of data")
                    yield position, chunk
                    position += len(chunk)
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise BadArchive(f"cannot extract archive: {info.name!r}: {error}") from None

    return chunks


class _Holes:
    """A file for tarfile to read: the chunks of an entry with its holes as zeroes, exactly ``size`` bytes."""

    def __init__(self, entry: Entry) -> None:
        self._chunks = entry.data() if entry.data is not None else iter(())
        self._size = entry.size
        self._position = 0
        self._next: tuple[int, bytes] | None = None

    def read(self, count: int) -> bytes:
        count = min(count, self._size - self._position)
        out = bytearray()
        while len(out) < count:
            if self._next is None:
                self._next = next(self._chunks, (self._size, b""))
            offset, chunk = self._next
            here = self._position + len(out)
            if here < offset:
                out += bytes(min(offset, self._position + count) - here)
                continue
            part = chunk[here - offset : here - offset + count - len(out)]
            if part:
                out += part
            else:
                # This chunk is used up; a file that has shrunk meanwhile is filled with zeroes.
                self._next = None if offset < self._size else (self._size + 1, b"")
        self._position += len(out)
        return bytes(out)


def write(entries: Iterator[Entry], stream: IO[bytes], rename: str) -> None:
    """A tar of the entries, whose top is called ``rename`` ("" for "./"). Raises PypodError."""
    try:
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for entry in entries:
                name = "/".join(part for part in (rename, entry.path) if part) or "."
                info = tarfile.TarInfo(name)
                info.mode = stat.S_IMODE(entry.mode)
                info.uid, info.gid = entry.uid, entry.gid
                info.mtime = entry.mtime_ns // 1_000_000_000
                info.pax_headers = {
                    _XATTR + key: value.decode("utf-8", "surrogateescape") for key, value in entry.xattrs.items()
                }
                source: Any = None
                kind = stat.S_IFMT(entry.mode)
                if entry.hardlink is not None:
                    info.type = tarfile.LNKTYPE
                    info.linkname = "/".join(part for part in (rename, entry.hardlink) if part)
                elif kind == stat.S_IFREG:
                    info.size = entry.size
                    source = _Holes(entry)
                elif kind == stat.S_IFLNK:
                    info.type, info.linkname = tarfile.SYMTYPE, entry.target
                elif kind == stat.S_IFDIR:
                    info.type = tarfile.DIRTYPE
                else:
                    info.type = {
                        stat.S_IFCHR: tarfile.CHRTYPE,
                        stat.S_IFBLK: tarfile.BLKTYPE,
                        stat.S_IFIFO: tarfile.FIFOTYPE,
                    }[kind]
                    info.devmajor, info.devminor = os.major(entry.device), os.minor(entry.device)
                archive.addfile(info, source)
    except OSError as error:
        raise PypodError(f"cannot write the archive: {reason(error)}") from None
