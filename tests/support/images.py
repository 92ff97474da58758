"""Root file systems to make images of, without a registry."""

from __future__ import annotations

import io
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


def debian(path: Path) -> Path:
    """A tar of Debian 12, made by mmdebstrap from the mirror that apt uses here."""
    if path.exists():
        return path
    program = box.need("mmdebstrap")
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    mirrors = [line.split()[0] for line in listed if line.split()[1:] == ["bookworm"]]
    partial = path.with_suffix(".part")
    with open(partial, "wb") as output:
        done = subprocess.run(
            [program, "--variant=minbase", "--quiet", "bookworm", "-", *mirrors[:1]],
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
