"""How much an archive may claim: bombs stop here, long before the disk is full or the memory gone.

The defaults let every honest image pass, also one of 100 GB. Each can be set: ``--storage-opt pypod.NAME=VALUE`` or
``[pypod]`` in containers.conf. 0 means no limit.
"""

from __future__ import annotations

from pypod.base.record import record
from pypod.errors import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.stream import Source


@record
class Limits:
    """Sizes in bytes, the rest are numbers of things."""

    max_layer_size: int = 1 << 40  # one layer, uncompressed
    max_layer_entries: int = 10_000_000  # of one layer's archive
    max_layers: int = 500  # of one image: what one overlay mount can stack
    max_expansion: int = 200  # times its compressed size that data may grow to ...
    max_expansion_from: int = 4 << 30  # ... once it has this uncompressed size: a file of zeros is no bomb yet
    max_manifest_size: int = 4 << 20  # a manifest, an index or a config (podman has the same limit)
    max_archive_files: int = 100_000  # of an archive of images: manifests, configs, layers
    max_name_length: int = 4096  # a path in an archive or a link's target; the kernel takes no longer ones
    max_pax_size: int = 1 << 20  # what extends one entry's header (Go's reader: 1 MiB for each of its headers)
    max_sparse_size: int = 1 << 40  # a sparse file, its holes included


DEFAULT = Limits()

# What a message calls a limit's unit.
_COUNTED = {
    "max_layer_entries": "entries",
    "max_layers": "layers",
    "max_archive_files": "files",
    "max_expansion": "times its compressed size",
}


def exceeded(what: str, name: str, limit: int) -> BadArchive:
    """The error for ``what`` (a name that can be shown, or the kind of thing) that passes the limit ``name``."""
    return BadArchive(
        f"cannot unpack the archive: {what} has more than the limit of {limit} {_COUNTED.get(name, 'bytes')}",
        hint=f"if you trust it, --storage-opt pypod.{name}=N raises the limit, 0 takes it away",
    )


def check(limits: Limits, name: str, value: int, what: str) -> None:
    """Raises BadArchive if ``value`` is more than the limit ``name``."""
    limit: int = getattr(limits, name)
    if limit and value > limit:
        raise exceeded(what, name, limit)


def watched(
    pieces: Iterator[bytes], source: Source, limits: Limits, what: str, size_name: str = ""
) -> Iterator[bytes]:
    """``pieces``, the decompressed content of ``source``, until they are more than what is allowed.

    ``size_name`` is the limit for their sum, "" for none but that of expansion. Raises BadArchive.
    """
    size_limit: int = getattr(limits, size_name) if size_name else 0
    ratio, floor = limits.max_expansion, limits.max_expansion_from
    total = 0
    for piece in pieces:
        total += len(piece)
        if size_limit and total > size_limit:
            raise exceeded(what, size_name, size_limit)
        if ratio and total > floor and total > ratio * source.size:
            raise exceeded(what, "max_expansion", ratio)
        yield piece
