"""The image that the package carries: one static program, and the files that say who root is."""

from __future__ import annotations

from pypod.base import files
from pypod.engine import images
from pypod.errors import NoSuchImage, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.records import Image
    from storage.store import Store

_TIME = 1_767_225_600  # 2026-01-01: the same bytes give the same image everywhere
_PASSWD = b"root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"


def _member(name: str, content: bytes, mode: int, kind: bytes = b"0") -> bytes:
    """One entry of a ustar archive (POSIX pax(1))."""
    fields = [
        name.encode().ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % len(content),
        b"%011o\0" % _TIME,
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\x0000",
        b"root".ljust(32, b"\0"),
        b"root".ljust(32, b"\0"),
        b"0000000\0",
        b"0000000\0",
    ]
    header = b"".join(fields).ljust(512, b"\0")
    header = header[:148] + b"%06o\0 " % sum(header) + header[156:]
    return header + content + bytes(-len(content) % 512)


def archive(program: bytes) -> bytes:
    """The layer's tar archive."""
    members = [
        _member("etc/", b"", 0o755, b"5"),
        _member("etc/group", _GROUP, 0o644),
        _member("etc/passwd", _PASSWD, 0o644),
        _member("hello", program, 0o755),
        _member("tmp/", b"", 0o1777, b"5"),
    ]
    return b"".join(members) + bytes(1024)


def make(store: Store) -> Image:
    """Put the image into the store.

    Raises NoSuchImage if the package was built without the program, StorageError.
    """
    from storage import archive as archives

    path = images.embedded_program()
    try:
        program = files.read(path)
    except OSError as error:
        raise NoSuchImage(
            f"{images.EMBEDDED}: the program of this image is not in the package: {path}: {reason(error)}"
        ) from None
    data = memoryview(archive(program))
    place = 0

    def read(count: int) -> bytes:
        nonlocal place
        piece = bytes(data[place : place + count])
        place += len(piece)
        return piece

    return archives.import_stream(
        store,
        read,
        names=[images.EMBEDDED],
        config={
            "Cmd": ["/hello"],
            "Labels": {"org.opencontainers.image.title": "hello"},
        },
        message="carried by the package",
        created=_TIME * 1_000_000_000,
    )
