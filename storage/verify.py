"""Is a layer still what its archive said? Its tar-split knows every file's name, size and CRC-64.

Only what the archive defines is compared: not the times and owners of directories that it merely implies, not what
overlayfs or an id mapping adds.
"""

from __future__ import annotations

import binascii
import os

from pypod.errors import StorageError, reason
from pypod.linux import syscalls
from storage import overlay, tarsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from storage.records import Layer
    from storage.store import Store

_SHOWN = 5  # of a broken layer's files
_DIRECTORY, _REGULAR, _LINK = 0o040000, 0o100000, 0o120000


class _Tree:
    """The files of one layer, below one or several directories; names are resolved as inside a container."""

    def __init__(self, directories: Sequence[str]) -> None:
        self._roots = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in directories]
        self._parents = [(b"\0", -1)] * len(self._roots)  # the last one opened, as most entries are in the same

    def _parent(self, number: int, path: bytes) -> int:
        known, fd = self._parents[number]
        if known == path:
            return fd
        if fd >= 0:
            os.close(fd)
        self._parents[number] = (path, -1)
        try:
            fd = syscalls.openat2(self._roots[number], os.fsdecode(path) or ".", os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return -1
        self._parents[number] = (path, fd)
        return fd

    def find(self, name: bytes) -> tuple[int, os.stat_result] | None:
        """The directory that holds ``name``, and the status of what is there; None if there is nothing."""
        parent, _, base = name.rpartition(b"/")
        for number in range(len(self._roots)):
            fd = self._parent(number, parent)
            if fd >= 0:
                try:
                    return fd, os.stat(base, dir_fd=fd, follow_symlinks=False)
                except OSError:
                    continue
        return None

    def holds(self, directory: bytes) -> bool:
        return any(self._parent(number, directory) >= 0 for number in range(len(self._roots)))

    def close(self) -> None:
        for fd in (*self._roots, *(fd for _, fd in self._parents if fd >= 0)):
            os.close(fd)


class _Hash:
    """The digest of the archive as it is rebuilt, and its size."""

    def __init__(self) -> None:
        import hashlib

        self.sum = hashlib.sha256()
        self.size = 0

    def add(self, data: bytes) -> None:
        self.sum.update(data)
        self.size += len(data)


class _Check:
    """One layer on its way through its tar-split."""

    def __init__(self, tree: _Tree, quick: bool, vfs: bool, loose: bool) -> None:
        self.tree = tree
        self.hash = None if quick else _Hash()
        self.vfs = vfs
        self.loose = loose  # another program keeps the kinds of files: what is a device here may be a file there
        self.faults: list[tuple[bytes, str]] = []
        self.whiteouts: set[bytes] = set()
        self._header = b""
        self._sparse = False

    def record(self, item: dict[str, Any]) -> None:
        if item["type"] == 2:
            data = binascii.a2b_base64(item.get("payload") or "")
            if self.hash is not None:
                self.hash.add(data)
            self._header = (self._header + data)[-512:]
            self._sparse = self._sparse or b"GNU.sparse" in data
            return
        header, sparse = self._header, self._sparse
        self._header, self._sparse = b"", False
        name = os.path.normpath(tarsplit.name_of(item)).lstrip(b"/")
        kind = header[156:157] if len(header) == 512 else b"?"
        if name in (b"", b".") or name == b".." or name.startswith(b"../") or kind == b"g":
            return
        size = item.get("size") or 0
        parent, _, base = name.rpartition(b"/")
        if base.startswith(b".wh."):
            self._whiteout(parent, base)
            return
        found = self.tree.find(name)
        if found is None:
            if kind not in b"34" or not (self.loose or overlay.in_user_namespace()):
                self.faults.append((name, "is missing"))
            return
        directory, status = found
        fault = self._fault(kind, status, size, sparse or kind == b"S" or _header_size(header) != size)
        if fault:
            self.faults.append((name, fault))
        elif size and self.hash is not None:
            self._content(directory, base, name, item, size)

    def _whiteout(self, parent: bytes, base: bytes) -> None:
        if base.startswith(b".wh..wh.") or self.vfs:
            return
        prefix = parent + b"/" if parent else b""
        name = prefix + base[4:]
        self.whiteouts.add(name)
        if self.tree.find(name) is None and self.tree.find(prefix + base) is None and self.tree.holds(parent):
            self.faults.append((prefix + base, "is missing"))

    def _fault(self, kind: bytes, status: os.stat_result, size: int, any_size: bool) -> str:
        mode = status.st_mode & 0o170000
        if size or kind in (b"0", b"\0", b"7", b"S"):
            if mode != _REGULAR:
                return "is not a regular file"
            if status.st_size != size and (size or not any_size):
                return f"has {status.st_size} bytes instead of {size}"
        elif self.loose:
            return ""
        elif kind == b"5" and mode != _DIRECTORY:
            return "is not a directory"
        elif kind == b"2" and (mode != _LINK or not status.st_size):
            return "is not a symbolic link"
        elif kind == b"1" and mode == _DIRECTORY:
            return "is a directory"
        return ""

    def _content(self, directory: int, base: bytes, name: bytes, item: dict[str, Any], size: int) -> None:
        assert self.hash is not None
        crc = total = 0
        try:
            fd = os.open(base, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            try:
                while data := os.read(fd, tarsplit.PIECE):
                    crc = tarsplit.crc64(data, crc)
                    total += len(data)
                    self.hash.add(data)
            finally:
                os.close(fd)
        except OSError as error:
            self.faults.append((name, f"cannot be read: {reason(error)}"))
            return
        if total != size or crc.to_bytes(8, "big") != binascii.a2b_base64(item.get("payload") or ""):
            self.faults.append((name, "has been changed"))

    def told(self) -> list[str]:
        """The faults that no later entry of the archive explains, a line each."""
        left = [(name, text) for name, text in self.faults if not self._hidden(name)]
        lines = [f"{os.fsdecode(name)} {text}" for name, text in left[:_SHOWN]]
        if len(left) > _SHOWN:
            lines.append(f"{len(left) - _SHOWN} more of its files are damaged")
        return lines

    def _hidden(self, name: bytes) -> bool:
        while name:
            if name in self.whiteouts:
                return True
            name = name.rpartition(b"/")[0]
        return False


def _header_size(header: bytes) -> int:
    """The size in an entry's header; -1 if it is not a plain number."""
    try:
        return int(header[124:136].strip(b" \0") or b"0", 8)
    except ValueError:
        return -1


def layer(store: Store, item: Layer, *, quick: bool) -> list[str]:
    """What is wrong with the files of an image's layer, a line for each; none if it is sound.

    ``quick`` compares names, kinds and sizes; else every byte is read, and the whole archive's digest compared.
    Layers without an archive (containers') have nothing to compare with.
    """
    if not item.diff_digest or item.raw.get("toc-digest"):
        return []
    directory = store.files_path(item.home, item.id)
    split = store.tar_split(item)
    if os.path.exists(f"{os.path.dirname(directory)}/composefs-data"):
        return []
    try:
        tree = _Tree([directory, *_below(store, item, directory)])
    except (OSError, StorageError) as error:
        return [error.message if isinstance(error, StorageError) else f"its files: {reason(error)}"]
    check = _Check(tree, quick, store.driver == "vfs", bool(store.mount_program))
    try:
        seen = False
        for record in tarsplit.records(split):
            check.record(record)
            seen = True
        if not seen:
            return ["its tar-split is empty"]
    except OSError as error:
        return [f"its tar-split: {reason(error)}"]
    except (StorageError, KeyError, TypeError, ValueError) as error:
        return [f"its tar-split is damaged: {error}"]
    finally:
        tree.close()
    lines = check.told()
    if check.hash is not None and not lines and not check.faults:
        found = "sha256:" + check.hash.sum.hexdigest()
        if item.diff_digest.startswith("sha256:") and found != item.diff_digest:
            lines.append(f"it gives the digest {found} instead of {item.diff_digest}")
        elif item.diff_size > 0 and check.hash.size != item.diff_size:
            lines.append(f"it has {check.hash.size} bytes instead of {item.diff_size}")
    return lines


def _below(store: Store, item: Layer, directory: str) -> list[str]:
    """Where else a layer's files may be: a copy with other owners keeps them in ``diff1`` and below."""
    if not (item.raw.get("uidmap") or item.raw.get("gidmap")) or store.driver == "vfs":
        return []
    found: list[str] = []
    while os.path.isdir(more := f"{directory}{len(found) + 1}"):
        found.append(more)
    return [*found, *store.lower_directories(item.id)]
