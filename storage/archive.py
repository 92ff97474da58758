"""``import``: a root file system's archive becomes an image of one layer."""

from __future__ import annotations

import os

from pypod.base import process, times
from pypod.errors import BadArchive, PypodError, reason
from pypod.oci import digest as digests
from pypod.oci import manifest, platform
from storage import records, stream
from storage.commit import Commit
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store


def open_source(source: str, opener: Callable[[str], stream.Read] | None = None) -> tuple[stream.Read, int]:
    """How to read a path, "-" for stdin, or an http(s) URL; and the descriptor to close, -1 for none.

    Raises PypodError.
    """
    if source == "-":
        check_stdin()
        return stream.reader_of(0), -1
    if source.startswith(("http://", "https://")):
        return (opener or _fetch)(source), -1
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PypodError(f"cannot read {source}: {reason(error)}") from None
    if os.path.isdir(source):
        os.close(fd)
        raise PypodError(f"cannot read {source}: Is a directory")
    return stream.reader_of(fd), fd


def check_stdin() -> None:
    """Raise PypodError if there is nothing to read from: no archive is not an empty one."""
    if 0 in process.closed:
        raise PypodError("cannot read standard input: it is closed")


def _fetch(url: str) -> stream.Read:
    import http.client
    import urllib.error
    import urllib.request

    try:
        response = urllib.request.urlopen(url, timeout=60)
    except (OSError, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(error, urllib.error.HTTPError):
            cause = f"HTTP status {error.code} {error.reason}"
        raise PypodError(f"cannot fetch {url}: {cause}") from None

    def read(count: int) -> bytes:
        try:
            data: bytes = response.read(count)
        except (OSError, http.client.HTTPException) as error:
            raise BadArchive(f"cannot fetch {url}: {error}") from None
        if not data and (left := getattr(response, "length", 0)):
            raise BadArchive(f"cannot fetch {url}: the connection closed {left} bytes before the end")
        return data

    return read


def import_tarball(
    store: Store,
    source: str,
    *,
    names: Sequence[str] = (),
    config: dict[str, Any] | None = None,
    message: str = "",
    os_name: str = "linux",
    arch: str = "",
    variant: str = "",
    created: int | None = None,
    opener: Callable[[str], stream.Read] | None = None,
) -> Image:
    """Make an image of an archive: tar, or tar compressed by gzip, zstd, xz or bzip2, told by its content.

    ``names`` are complete references; ``config`` is the image-spec's "config" object; ``created`` in nanoseconds
    since 1970. Raises BadArchive, StorageError, PypodError; nothing stays behind then.
    """
    read, fd = open_source(source, opener)
    try:
        return import_stream(
            store,
            read,
            names=names,
            config=config,
            message=message,
            os_name=os_name,
            arch=arch,
            variant=variant,
            created=created,
        )
    finally:
        if fd >= 0:
            os.close(fd)


def import_stream(
    store: Store,
    read: stream.Read,
    *,
    names: Sequence[str] = (),
    config: dict[str, Any] | None = None,
    message: str = "",
    os_name: str = "linux",
    arch: str = "",
    variant: str = "",
    created: int | None = None,
    progress: Progress = SILENT,
    size: int = -1,
) -> Image:
    """See ``import_tarball``. ``size`` is how many bytes ``read`` will give, -1 if nobody knows."""
    from pypod.base import fastjson

    if not arch:
        own = platform.here()
        arch, variant = own.architecture, own.variant
    when = records.now() if created is None else times.since_1970(created)
    with Commit(store) as commit:
        layer = commit.add(read, progress=progress, what="Copying layer", total=size)
        digest = layer["diff-digest"]
        document: dict[str, Any] = {"created": when, "architecture": arch}
        if variant:
            document["variant"] = variant
        document["os"] = os_name
        document["config"] = config or {}
        document["rootfs"] = {"type": "layers", "diff_ids": [digest]}
        document["history"] = [
            {
                "created": when,
                "created_by": f"/bin/sh -c #(nop) ADD file:{digest[7:]} in /",
                "comment": message or "imported from tarball",
            }
        ]
        content = fastjson.dumps(document).encode()
        config_digest = digests.of(content)
        described = {
            "schemaVersion": 2,
            "config": {
                "mediaType": manifest.OCI_CONFIG,
                "digest": config_digest,
                "size": len(content),
            },
            "layers": [
                {
                    # In the store layers are as they were unpacked: uncompressed.
                    "mediaType": manifest.OCI_LAYER,
                    "digest": digest,
                    "size": layer["diff-size"],
                }
            ],
        }
        with Writing(progress, config_digest):
            return commit.finish(
                config=content, manifests=[fastjson.dumps(described).encode()], names=names, created=when
            )
