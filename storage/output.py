"""Where saved images go: a tar archive on a file or pipe, or a directory of files."""

from __future__ import annotations

import hashlib
import os
import stat

from pypod.base import files
from pypod.errors import PypodError, StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

_MODE = 0o444  # of the members, as podman's


class File:
    """``path`` ("-": standard output), written beside it and renamed when all is there; a pipe or device directly.

    A context manager: leaving it by an exception leaves what was at ``path`` before.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        self._temporary = ""

    def __enter__(self) -> File:
        try:
            if self.path == "-":
                self.fd = os.dup(1)
                return self
            target = os.path.realpath(self.path)
            try:
                found = os.stat(self.path)
            except FileNotFoundError:
                found = None
            if found and not stat.S_ISREG(found.st_mode):
                if os.path.samestat(found, os.fstat(1)):
                    self.fd = os.dup(1)  # /dev/stdout: a pipe may be another user's, and a socket has no name
                else:
                    self.fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
                return self
            self.path = target
            directory, name = os.path.split(target)
            self._temporary = f"{directory}/.{name[:200]}.{os.urandom(4).hex()}.tmp"
            self.fd = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise PypodError(f"cannot write {self.path}: {reason(error)}") from None
        return self

    @property
    def seekable(self) -> bool:
        return bool(self._temporary)

    def write(self, data: bytes) -> None:
        """Raises PypodError."""
        try:
            files.write_all(self.fd, data)
        except BrokenPipeError:
            raise  # who reads has had enough, which is no error of ours
        except OSError as error:
            shown = "to standard output" if self.path == "-" else self.path
            raise PypodError(f"cannot write {shown}: {reason(error)}") from None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._temporary:
                os.fsync(self.fd)
                os.rename(self._temporary, self.path)
                self._temporary = ""
                files.sync_directory(os.path.dirname(self.path))
        except OSError as error:
            raise PypodError(f"cannot write {self.path}: {reason(error)}") from None
        finally:
            if self.fd >= 0:
                os.close(self.fd)
            if self._temporary:
                try:
                    os.unlink(self._temporary)
                except OSError:
                    pass


class Output:
    """The parts of a saved image, by name."""

    def add(self, name: str, data: bytes) -> None:
        raise NotImplementedError

    def stream(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """A part of ``size`` bytes."""
        raise NotImplementedError

    def blob(self, place: Callable[[str], str], pieces: Iterable[bytes]) -> tuple[str, int]:
        """A part whose name is ``place`` of its digest; the digest and the size, known at its end only."""
        raise NotImplementedError

    def link(self, name: str, target: str) -> None:
        raise NotImplementedError

    def directory(self, name: str) -> None:
        raise NotImplementedError


def _header(name: str, size: int, kind: bytes = b"0", mode: int = _MODE, target: str = "") -> bytes:
    """One block, as Go writes it; a size of 8 GiB and more in GNU's form, for which there is room."""
    length = b"%011o\0" % size if size < 1 << 33 else (1 << 95 | size).to_bytes(12, "big")
    start = name.encode().ljust(100, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2 + length + b"00000000000\0"
    end = kind + target.encode().ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    return start + b"%06o\0 " % (sum(start) + sum(end) + 256) + end


class Archive(Output):
    """A tar stream. ``scratch`` gives the name of a new file to keep a blob in that a pipe must wait for."""

    def __init__(self, file: File, scratch: Callable[[], str]) -> None:
        self._file = file
        self._scratch = scratch

    def add(self, name: str, data: bytes) -> None:
        self.stream(name, len(data), (data,))

    def stream(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        self._file.write(_header(name, size))
        self._content(size, pieces)

    def _content(self, size: int, pieces: Iterable[bytes]) -> None:
        left = size
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                break
            self._file.write(piece)
        if left:
            raise StorageError(f"cannot save a layer: it has not the {size} bytes that its record says")
        self._file.write(bytes(-size % 512))

    def blob(self, place: Callable[[str], str], pieces: Iterable[bytes]) -> tuple[str, int]:
        sum = hashlib.sha256()
        size = 0
        if self._file.seekable:
            fd = self._file.fd
            start = os.lseek(fd, 0, os.SEEK_CUR)
            self._file.write(bytes(512))
            for piece in pieces:
                sum.update(piece)
                size += len(piece)
                self._file.write(piece)
            self._file.write(bytes(-size % 512))
            digest = f"sha256:{sum.hexdigest()}"
            os.pwrite(fd, _header(place(digest), size), start)
            return digest, size
        try:
            with open(self._scratch(), "w+b", buffering=0) as kept:
                os.unlink(kept.name)
                for piece in pieces:
                    sum.update(piece)
                    size += len(piece)
                    files.write_all(kept.fileno(), piece)
                kept.seek(0)
                digest = f"sha256:{sum.hexdigest()}"
                self.stream(place(digest), size, iter(lambda: kept.read(1 << 20), b""))
        except OSError as error:
            raise StorageError(f"cannot keep a layer until its digest is known: {reason(error)}") from None
        return digest, size

    def link(self, name: str, target: str) -> None:
        self._file.write(_header(name, 0, b"2", 0, target))

    def directory(self, name: str) -> None:
        self._file.write(_header(name.rstrip("/") + "/", 0, b"5", 0o755))

    def end(self) -> None:
        self._file.write(bytes(1024))


class Directory(Output):
    """Files in a directory, each of them there at once and whole.

    A context manager: leaving it by an exception takes away what was not there before.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._made: list[str] = []
        self._make(path)

    def __enter__(self) -> Directory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for path in reversed(self._made) if kind else ():
            try:
                if os.path.isdir(path):
                    os.rmdir(path)
                else:
                    os.unlink(path)
            except OSError:
                pass  # somebody else has put something there

    def add(self, name: str, data: bytes) -> None:
        self.stream(name, len(data), (data,))

    def stream(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        path = f"{self.path}/{name}"
        new = not os.path.lexists(path)
        with File(path) as file:
            for piece in pieces:
                file.write(piece)
        if new:
            self._made.append(path)

    def blob(self, place: Callable[[str], str], pieces: Iterable[bytes]) -> tuple[str, int]:
        sum = hashlib.sha256()
        size = 0
        # The name is known at the end only.
        file = File(f"{self.path}/blob-{os.urandom(4).hex()}")
        with file:
            for piece in pieces:
                sum.update(piece)
                size += len(piece)
                file.write(piece)
            digest = f"sha256:{sum.hexdigest()}"
            file.path = os.path.realpath(f"{self.path}/{place(digest)}")
            new = not os.path.lexists(file.path)
        if new:
            self._made.append(file.path)
        return digest, size

    def directory(self, name: str) -> None:
        self._make(f"{self.path}/{name}")

    def _make(self, path: str) -> None:
        wanted = []
        place = os.path.abspath(path)
        while not os.path.isdir(place) and place != "/":
            wanted.append(place)
            place = os.path.dirname(place)
        try:
            for directory in reversed(wanted):
                os.makedirs(directory, exist_ok=True)
                self._made.append(directory)
        except OSError as error:
            raise PypodError(f"cannot write {path}: {reason(error)}") from None
