"""The signatures of an image, kept as containers/storage's users keep them.

All of a manifest's stand behind one another in the big data ``signature-HEX`` (HEX: of the manifest's digest), and
once more in ``signatures`` for the manifest that the image has; the record's metadata says where one ends.
"""

from __future__ import annotations

import hashlib

from pypod.base import fastjson
from pypod.errors import StorageError
from storage import images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from storage.records import Image

_LAST, _ALL = "signature-sizes", "signatures-sizes"


def big_data(manifest: str, signatures: Sequence[bytes]) -> list[tuple[str, bytes, str]]:
    """The big data (key, bytes, digest) of the signatures of the manifest with this digest; none without any."""
    if not signatures:
        return []
    content = b"".join(signatures)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return [(key, content, digest) for key in ("signatures", f"signature-{manifest.partition(':')[2]}")]


def metadata(manifest: str, signatures: Sequence[bytes], old: str = "") -> str:
    """The metadata of an image's record that had ``old``; what else stands there stays."""
    known: Any = None
    try:
        known = fastjson.loads(old) if old else {}
    except fastjson.BadJson:
        pass  # it is ours to write anew
    if not isinstance(known, dict):
        known = {}
    sizes = [len(item) for item in signatures]
    others = known.get(_ALL)
    result: dict[str, Any] = {_LAST: sizes} if sizes else {}
    result |= {key: value for key, value in known.items() if key not in (_LAST, _ALL)}
    result[_ALL] = {**(others if isinstance(others, dict) else {}), manifest: sizes}
    return fastjson.dumps(result)


def read(image: Image, manifest: str = "") -> list[bytes]:
    """The signatures of an image's manifest, of the one with the digest ``manifest`` if it has several.

    Raises StorageError.
    """
    manifest = manifest or image.manifest_digest
    key = f"signature-{manifest.partition(':')[2]}"
    try:
        document = fastjson.loads(image.metadata) if image.metadata else {}
        sizes = (document.get(_ALL) or {}).get(manifest) or []
        if not sizes and manifest == image.manifest_digest:
            key, sizes = "signatures", document.get(_LAST) or []
        if not sizes:
            return []
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise ValueError
    except (ValueError, TypeError, AttributeError):  # BadJson is a ValueError
        raise StorageError(f"cannot read the signatures of image {image.id[:12]}: broken metadata") from None
    content = images.data(image, key)
    if sum(sizes) != len(content):
        raise StorageError(f"cannot read the signatures of image {image.id[:12]}: {key} has another size") from None
    result = []
    for size in sizes:
        result.append(content[:size])
        content = content[size:]
    return result
