"""Root file systems to make images of, without a registry."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

from support import box

DIRECTORIES = ("dev", "etc", "home", "mnt", "opt", "proc", "run", "srv", "sys", "usr", "usr/bin", "usr/sbin", "var")
PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
)
GROUP = "root:x:0:\nwheel:x:10:user\nuser:x:1000:\nnobody:x:65534:\n"


def busybox(path: Path) -> Path:
    """A tar of a 2 MB system: busybox-static and a link for each of its applets."""
    binary = Path(box.need("busybox", "busybox-static"))
    applets = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, kind: bytes, mode: int, data: bytes = b"", link: str = "", owner: int = 0) -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(data)
            entry.uid = entry.gid = owner
            archive.addfile(entry, io.BytesIO(data))

        for directory in ("bin", "sbin", *DIRECTORIES):
            add(directory, tarfile.DIRTYPE, 0o755)
        add("root", tarfile.DIRTYPE, 0o700)
        add("home/user", tarfile.DIRTYPE, 0o755, owner=1000)
        add("tmp", tarfile.DIRTYPE, 0o1777)
        add("var/tmp", tarfile.DIRTYPE, 0o1777)
        add("bin/busybox", tarfile.REGTYPE, 0o755, binary.read_bytes())
        for applet in sorted(set(applets) - {"busybox"}):
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        add("etc/passwd", tarfile.REGTYPE, 0o644, PASSWD.encode())
        add("etc/group", tarfile.REGTYPE, 0o644, GROUP.encode())
        add("etc/notes", tarfile.REGTYPE, 0o644, b"not a program\n")
    path.chmod(0o644)
    return path


def unpack(archive: Path, directory: Path) -> Path:
    """The root file system as a directory, for ``--rootfs``."""
    directory.mkdir(parents=True)
    subprocess.run(["tar", "-C", directory, "-xf", archive], check=True)
    return directory


def mirrors() -> list[str]:
    """The mirror of Debian 12 that apt uses here, in a list; none if apt does not know one."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    return [line.split()[0] for line in listed if line.split()[1:] == ["bookworm"]][:1]


def debian(path: Path) -> Path:
    """A tar of Debian 12, made by mmdebstrap from the mirror that apt uses here."""
    if path.exists():
        return path
    program = box.need("mmdebstrap")
    partial = path.with_suffix(".part")
    with open(partial, "wb") as output:
        done = subprocess.run(
            [program, "--variant=minbase", "--quiet", "bookworm", "-", *mirrors()],
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=420,
            check=False,
        )
    if done.returncode:
        box.missing(f"mmdebstrap failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
    partial.chmod(0o644)
    partial.rename(path)
    return path


def tar_of(*members: tuple[str, bytes, int]) -> bytes:
    """An archive of files (name, content, mode); a name that ends in / is a directory."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, mode in members:
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.mode, entry.size = mode, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def docker_archive(path: Path, layers: list[bytes], name: str) -> Path:
    """What ``docker save`` writes."""
    sums = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = {
        "created": "2024-01-02T03:04:05Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": sums},
    }
    files = {"config.json": json.dumps(config).encode()}
    files |= {f"{number}/layer.tar": layer for number, layer in enumerate(layers)}
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).encode()
    path.write_bytes(tar_of(*((name, content, 0o644) for name, content in files.items())))
    path.chmod(0o644)
    return path
