"""``volume export`` and ``volume import``: a volume as a tar archive. Rare, so it may import what it likes."""

from __future__ import annotations

import os
import sys
import tarfile

from pypod.base import files
from pypod.engine import volumes
from pypod.errors import PypodError, reason
from storage import archive, extract, overlay, stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from pypod.engine.volumes import Volume


def pack(context: Context, volume: Volume, path: str) -> None:
    """Write an archive to ``path``, or to stdout for "". Raises PypodError."""
    try:
        target = open(path, "wb") if path else sys.stdout.buffer
        try:
            with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as made:
                made.add(volumes.mountpoint(context, volume.name), arcname=".")
            target.flush()
        finally:
            if path:
                target.close()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PypodError(f"cannot export volume {volume.name}: {error.filename or path}: {reason(error)}") from None


def unpack(context: Context, volume: Volume, source: str) -> None:
    """Put an archive (a path, "-" for stdin, or a URL) into a volume, over what is there.

    The archive may be hostile: it is unpacked as an image's layer is. Raises BadArchive, StorageError, PypodError.
    """
    read, fd = archive.open_source(source)
    staging = f"{context.volume_path}/{volume.name}/.import-{os.urandom(6).hex()}"
    try:
        whole = stream.Source(read)
        pieces = stream.chunks(whole, stream.compression_of(whole.peek(8)))
        with volumes.lock(context, volume.name):
            os.mkdir(staging, 0o700)
            extract.Extractor(
                volumes.mountpoint(context, volume.name),
                tar_split=staging + "/split",
                shadow=staging + "/replaced",
                in_user_namespace=overlay.in_user_namespace(),
                whiteouts="keep",
            ).run(pieces)
    except OSError as error:
        raise PypodError(f"cannot import volume {volume.name}: {error.filename or source}: {reason(error)}") from None
    finally:
        files.remove_tree(staging)
        if fd >= 0:
            os.close(fd)
