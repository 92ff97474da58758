"""zstd:chunked: an ordinary zstd stream, with a table from which single files can be read."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import zstandard
from archives import directory, entry, oci_layout, pack

from pypod.oci.reference import normalise
from storage import load, squeeze, stream
from storage.outgoing import Outgoing
from storage.store import Store

LARGE = os.urandom(3 << 20) + bytes(3 << 20)


def packed(store: Store, tmp_path: Path, layer: bytes) -> tuple[bytes, dict[str, str]]:
    source = oci_layout(tmp_path / "source", [layer], "x:1", compress=False)
    [(image, _)] = load.load(store, str(source), normalise=normalise)
    out = Outgoing(store, image)
    notes: dict[str, str] = {}
    pieces = iter([layer[at : at + 70_000] for at in range(0, len(layer), 70_000)])
    data = b"".join(squeeze.packed(out, out.layers[0][0], pieces, squeeze.Packing(format="zstd:chunked"), notes))
    at = 0

    def read(count: int) -> bytes:
        nonlocal at
        at += count
        return data[at - count : at]

    assert b"".join(stream.chunks(stream.Source(read), stream.ZSTD)) == layer
    return data, notes


def unpack(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def test_files_are_found_by_the_table(store: Store, tmp_path: Path) -> None:
    layer = pack(directory("d", 0o1755), (entry("d/f"), b"hello"), (entry("empty"), b""), (entry("large"), LARGE))
    data, notes = packed(store, tmp_path, layer)
    footer = struct.unpack("<7Q", data[-64:-8])
    assert data[-8:] == b"GNUlInUx" and data[-72:-64] == struct.pack("<II", 0x184D2A50, 64)
    prefix = "io.github.containers.zstd-chunked."
    assert notes[prefix + "manifest-position"] == ":".join(map(str, footer[:4]))
    assert notes[prefix + "tarsplit-position"] == ":".join(map(str, footer[4:]))
    table = data[footer[0] : footer[0] + footer[1]]
    assert notes[prefix + "manifest-checksum"] == "sha256:" + hashlib.sha256(table).hexdigest()
    document: dict[str, Any] = json.loads(unpack(table))
    split = data[footer[4] : footer[4] + footer[5]]
    assert document["tarSplitDigest"] == "sha256:" + hashlib.sha256(split).hexdigest()
    assert len(unpack(split)) == footer[6]
    files = {item["name"]: item for item in document["entries"]}
    assert list(files) == ["d/", "d/f", "empty", "large"]
    assert files["d/"]["type"] == "dir" and files["d/"]["mode"] == 0o1755
    assert "digest" not in files["empty"] and "size" not in files["empty"]
    for name, content in (("d/f", b"hello"), ("large", LARGE)):
        item = files[name]
        assert (item["type"], item["size"]) == ("reg", len(content))
        assert unpack(data[item["offset"] : item["endOffset"]]) == content
        assert item["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()


def test_names_twice_cannot_be_described(store: Store, tmp_path: Path) -> None:
    _, notes = packed(store, tmp_path, pack((entry("f"), b"1"), (entry("f"), b"2")))
    assert notes == {}
