"""A directory tree becomes a tar stream: the changes of a layer, or a whole root file system.

The walk is in C (csrc/pack*.c): names in the order of their bytes, ustar headers with pax records where they are
needed, so that the same tree always gives the same bytes. A container may write meanwhile: what vanishes is left
out, what grows is cut at the size that its header has, what shrinks is filled with zeros (``shrunk`` counts such
files), so the archive is always whole. Sockets cannot be in an archive and are left out, as podman does.
"""

from __future__ import annotations

import os

from pypod.errors import StorageError, reason
from storage._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Map = Sequence[Sequence[int]]  # [id in the container, id on disk, how many]

CHUNK = 1 << 20


class Pack:
    """A tar stream; ``read`` it to the end, or ``close`` it. A context manager."""

    def __init__(self, pack: Any) -> None:
        self._pack = pack
        self._buffer = ffi.new("char[]", CHUNK)
        self.size = 0  # bytes given out so far

    def read(self, count: int = CHUNK) -> bytes:
        """Up to ``count`` bytes, as many as there are; b"" at the end.

        Raises StorageError, which names the file as the container sees it.
        """
        if self._pack is None:
            raise ValueError("read from a closed archive")
        got = lib.st_pack_read(self._pack, self._buffer, min(count, CHUNK))
        if got < 0:
            from pypod.base.text import show

            where, _, cause = ffi.string(lib.st_pack_message(self._pack)).rpartition(b": ")
            raise StorageError(f"cannot pack /{show(where).strip('/')}: {show(cause)}")
        self.size += got
        return bytes(ffi.buffer(self._buffer, got))

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data

    @property
    def shrunk(self) -> int:
        """How many files were shorter in the end than at the beginning: something wrote to the tree meanwhile."""
        return int(lib.st_pack_shrunk(self._pack)) if self._pack is not None else 0

    @property
    def sockets(self) -> int:
        """How many sockets were left out."""
        return int(lib.st_pack_sockets(self._pack)) if self._pack is not None else 0

    def close(self) -> None:
        pack, self._pack = self._pack, None
        if pack is not None:
            lib.st_pack_close(pack)

    def __enter__(self) -> Pack:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def open_tree(
    path: str,
    *,
    lowers: Sequence[str] | None = None,
    parent: str | None = None,
    userns: bool = False,
    uid_map: Map = (),
    gid_map: Map = (),
    one_file_system: bool = False,
    fuse: bool = False,
) -> Pack:
    """The archive of the directory ``path``.

    With ``lowers`` (nearest first, may be empty) it is the upper directory of an overlay: whiteouts and opaque
    directories become ``.wh.NAME`` and ``.wh..wh..opq`` (image-spec, layer.md); ``userns`` says that the overlay
    keeps its attributes in ``user.overlay.*``, ``fuse`` that fuse-overlayfs mounts it, whose own attributes count
    then. With ``parent`` it is what differs from that whole tree, as for a vfs
    layer ("" for an empty one). Otherwise it is the whole tree. The maps are the container's: the archive has the ids
    in the container. With ``one_file_system`` what is mounted in the tree stays empty. Raises StorageError.
    """
    flags = lib.ST_PACK_USERNS if userns else 0
    below: Sequence[str] = ()
    if lowers is not None:
        flags |= lib.ST_PACK_UPPER
        below = lowers
    elif parent:
        flags |= lib.ST_PACK_CHANGES
        below = (parent,)
    if fuse:
        flags |= lib.ST_PACK_FUSE
    if one_file_system:
        flags |= lib.ST_PACK_ONE_FS
    fds: list[int] = []
    error = ffi.new("int *")
    try:
        for directory in (path, *below):
            fds.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        uids, gids = _ranges(uid_map), _ranges(gid_map)
        pack = lib.st_pack_open(fds[0], fds[1:], len(below), uids, len(uids), gids, len(gids), flags, error)
    except OSError as problem:
        raise StorageError(f"cannot pack {path}: {reason(problem)}") from None
    finally:
        for fd in fds:
            os.close(fd)
    if pack == ffi.NULL:
        raise StorageError(f"cannot pack {path}: {os.strerror(-error[0])}")
    return Pack(pack)


def _ranges(map: Map) -> Any:
    result = ffi.new("struct st_idrange[]", len(map))
    for number, (inside, outside, count) in enumerate(map):
        result[number].inside, result[number].outside, result[number].count = inside, outside, count
    return result
