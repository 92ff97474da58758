"""Archives for the tests of the store: good ones, and ones that no honest program writes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

ME = (os.getuid(), os.getgid())


def entry(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, mode
    info.uid, info.gid = ME
    info.mtime = 1_700_000_000
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    return entry(name, tarfile.DIRTYPE, mode)


def pack(*members: tuple[tarfile.TarInfo, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of entries, each alone or with its content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layer(*names: str) -> bytes:
    """A layer with one file for each name, which contains its name."""
    return pack(*((entry(name), name.encode()) for name in names))


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def config(*diff_ids: str, **more: object) -> bytes:
    document = {
        "created": "2024-01-02T03:04:05Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/a"]},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created_by": f"step {number}"} for number in range(len(diff_ids))],
        **more,
    }
    return json.dumps(document).encode()


def docker_archive(path: Path, layers: list[bytes], names: list[str], **wrong: object) -> Path:
    """What ``docker save`` writes. ``wrong`` replaces parts: config (bytes), manifest (bytes), missing (a layer)."""
    document = wrong.get("config") or config(*(digest(item) for item in layers))
    assert isinstance(document, bytes)
    files = {"config.json": document}
    for number, data in enumerate(layers):
        if wrong.get("missing") != number:
            files[f"{number}/layer.tar"] = data
    manifest = [
        {
            "Config": "config.json",
            "RepoTags": names,
            "Layers": [f"{number}/layer.tar" for number in range(len(layers))],
        }
    ]
    text = wrong.get("manifest", json.dumps(manifest).encode())
    assert isinstance(text, bytes)
    files["manifest.json"] = text
    path.write_bytes(pack(*((entry(name), data) for name, data in files.items())))
    return path


def oci_layout(path: Path, layers: list[bytes], name: str = "", *, compress: bool = True, **wrong: object) -> Path:
    """An OCI layout directory. ``wrong``: blob (digest: bytes to put instead), size, diff_ids, index."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, object]:
        key = digest(data)
        (blobs / key[7:]).write_bytes(data)
        return {"mediaType": kind, "digest": key, "size": len(data)}

    ending = "tar+gzip" if compress else "tar"
    descriptors = [
        put(gzip.compress(item, mtime=0) if compress else item, f"application/vnd.oci.image.layer.v1.{ending}")
        for item in layers
    ]
    diff_ids = wrong.get("diff_ids") or [digest(item) for item in layers]
    assert isinstance(diff_ids, list)
    manifest = {
        "schemaVersion": 2,
        "config": put(config(*diff_ids), "application/vnd.oci.image.config.v1+json"),
        "layers": [{**item, **({"size": wrong["size"]} if "size" in wrong else {})} for item in descriptors],
    }
    own = put(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    if name:
        own["annotations"] = {"org.opencontainers.image.ref.name": name}
    (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (path / "index.json").write_text(json.dumps(wrong.get("index") or {"schemaVersion": 2, "manifests": [own]}))
    return path


def tree(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a directory: mode, size, and content of regular files; lock files and markers left out."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in [*names, *files]:
            full = Path(directory) / name
            shown = str(full.relative_to(path))
            if name.endswith(".lock") or name == ".has-mount-program":
                continue
            status = full.lstat()
            content = full.read_bytes() if full.is_file() and not full.is_symlink() else b""
            found[shown] = (status.st_mode, 0 if full.is_dir() else status.st_size, content)
    return found
