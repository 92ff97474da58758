"""The files of an image archive or OCI layout directory, by name.

Archives name their parts in an index that may stand anywhere, so a file is read in place. Of what cannot be read
twice (a pipe, a compressed archive) the layers are unpacked as they come, see ``staged``.
"""

from __future__ import annotations

import os
import stat

from pypod.base.text import show
from pypod.errors import BadArchive, PypodError, StorageError, reason
from pypod.oci import image_document
from storage import limits as limiting
from storage import stream, tar
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from storage.progress import Progress
    from storage.staged import Staged
    from storage.store import Store


class Parts:
    """The files of an archive or directory, by name."""

    limits = limiting.DEFAULT

    def find(self, name: str) -> tuple[stream.Read, int] | None:
        """How to read a file, until the next is asked for, and its size in bytes; None if there is none."""
        raise NotImplementedError

    def open(self, name: str) -> tuple[stream.Read, int]:
        """Raises BadArchive if there is none."""
        found = self.find(name)
        if found is None:
            raise BadArchive(f"broken archive: {show(name)} is not in it")
        return found

    def staged(self, name: str) -> Staged | None:
        """The layer that this file has become already while the archive was read."""
        return None

    def bytes(self, name: str) -> bytes:
        """A manifest, an index or a config.

        Raises BadArchive.
        """
        read, size = self.open(name)
        what = show(name)
        limiting.check(self.limits, "max_manifest_size", size, what)
        pieces = []
        total = 0
        while piece := read(stream.CHUNK):
            pieces.append(piece)
            total += len(piece)  # a directory's file may grow meanwhile
            limiting.check(self.limits, "max_manifest_size", total, what)
        return b"".join(pieces)

    def json(self, name: str) -> Any:
        return image_document.read(self.bytes(name), name)

    def close(self) -> None:
        pass


class Index(Parts):
    """What stands where in a tar archive of images."""

    def __init__(self, fd: int, limits: limiting.Limits) -> None:
        self.limits = limits
        self._fd = fd
        self._files: dict[str, tuple[int, int]] = {}  # name -> offset in the file behind ``fd``, size
        self._links: dict[str, str] = {}

    def note(self, entry: tar.Entry, offset: int) -> int:
        """Remember an entry whose content is at ``offset``; how many bytes of it there are."""
        name = clean(entry.name)
        self._files.pop(name, None)
        self._links.pop(name, None)
        if entry.kind == tar.REGULAR and entry.sparse is None:
            self._files[name] = (offset, entry.size)
            return entry.size
        if entry.kind == tar.SYMLINK:
            target = os.fsdecode(entry.target)
            self._links[name] = clean(os.fsencode(os.path.join(os.path.dirname(name), target)))
        elif entry.kind == tar.LINK:
            self._links[name] = clean(entry.target)
        return 0

    def final(self, name: str) -> str:
        """The name to which the links of the archive lead."""
        try:
            name = clean(os.fsencode(name))
        except UnicodeEncodeError:
            return ""  # half a character, which JSON can write
        for _ in range(8):
            if name not in self._links:
                break
            name = self._links[name]
        return name

    def find(self, name: str) -> tuple[stream.Read, int] | None:
        found = self._files.get(self.final(name))
        return found and (stream.section(self._fd, *found), found[1])

    def close(self) -> None:
        os.close(self._fd)


class Archive(Index):
    """A tar file that can be read in place."""

    def __init__(self, fd: int, limits: limiting.Limits = limiting.DEFAULT) -> None:
        super().__init__(fd, limits)
        size = os.fstat(fd).st_size
        buffer = stream.FileBuffer(fd, size)
        for entry in tar.Reader(buffer, limits, "max_archive_files"):
            if buffer.offset + self.note(entry, buffer.offset) > size:
                raise BadArchive("broken archive: it ends in the middle of a file")


def clean(name: bytes) -> str:
    """An entry's name as a path without ``.``, ``..`` and a slash in front."""
    return os.path.normpath("/" + os.fsdecode(name)).lstrip("/")


class Directory(Parts):
    """An OCI layout directory."""

    def __init__(self, path: str, limits: limiting.Limits = limiting.DEFAULT) -> None:
        self.limits = limits
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise PypodError(f"cannot read {path}: {reason(error)}") from None
        self._open = -1

    def find(self, name: str) -> tuple[stream.Read, int] | None:
        from pypod.linux import syscalls

        self._done()
        if "\0" in name:
            return None
        try:
            fd = syscalls.openat2(self._fd, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except (FileNotFoundError, UnicodeEncodeError):
            return None
        except OSError as error:
            raise BadArchive(f"cannot read {show(name)}: {reason(error)}") from None
        self._open = fd
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise BadArchive(f"cannot read {show(name)}: it is not a file")
        return stream.reader_of(fd), found.st_size

    def _done(self) -> None:
        if self._open >= 0:
            os.close(self._open)
            self._open = -1

    def close(self) -> None:
        self._done()
        os.close(self._fd)


def _spool(store: Store, source: stream.Source, kind: int) -> int:
    """The decompressed content of ``source`` in a nameless file.

    Raises StorageError.
    """
    from storage.trash import Staging

    store.prepare()
    with Staging(store.home) as staging:
        try:
            fd = os.open(f"{staging.path}/archive", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.unlink(f"{staging.path}/archive")
        except OSError as error:
            raise StorageError(f"cannot make a temporary file in {store.home}: {reason(error)}") from None
    try:
        pieces = stream.chunks(source, kind)
        for piece in limiting.watched(pieces, source, store.limits, "the archive"):
            view = memoryview(piece)
            while view:
                view = view[os.write(fd, view) :]
    except OSError as error:
        os.close(fd)
        raise StorageError(f"cannot keep the archive in {store.home}: {reason(error)}") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_parts(store: Store, source: str, progress: Progress = SILENT) -> Parts:
    """An archive's parts: ``source`` is a path, an http(s) URL, or "-" for stdin.

    Raises PypodError, BadArchive, StorageError.
    """
    from storage import archive

    if source.startswith(("http://", "https://")):
        return _opened(store, stream.Source(archive.open_source(source)[0]), progress)
    if source != "-" and os.path.isdir(source):
        return Directory(source, store.limits)
    if source == "-":
        archive.check_stdin()
        fd = os.dup(0)
    else:
        try:
            fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise PypodError(f"cannot read {source}: {reason(error)}") from None
    try:
        seekable = _seekable(fd)
        if seekable and stream.compression_of(os.pread(fd, 6, 0)) == stream.PLAIN:
            kept = os.dup(fd)
        else:
            if seekable:
                os.lseek(fd, 0, os.SEEK_SET)
            return _opened(store, stream.Source(stream.reader_of(fd)), progress)
    except OSError as error:
        raise BadArchive(f"cannot read the archive: {reason(error)}") from None
    finally:
        os.close(fd)
    return _archive(store, kept)


def _opened(store: Store, source: stream.Source, progress: Progress) -> Index:
    """The parts of an archive that can be read only once."""
    if store.driver != "vfs":
        from storage import staged

        return staged.opened(store, source, progress)
    # A layer of vfs begins as a copy of the one below, which is not known yet.
    return _archive(store, _spool(store, source, stream.compression_of(source.peek(6))))


def _archive(store: Store, fd: int) -> Archive:
    try:
        return Archive(fd, store.limits)
    except BaseException:
        os.close(fd)
        raise


def _seekable(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)
