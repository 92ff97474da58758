"""Where the tests write: a fresh file system in a loop device, which root makes for a session, or else /var/tmp.

On a root file system that is large and long in use, making a small file can take as long as twenty on a fresh one,
and a flush a hundred times as long. Most of what the tests did was to wait for that. It is ext4 all the same.
PYPOD_TEST_PLACE names a directory to write in instead, and what is left there to look at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support import box

VARIABLE = "PYPOD_TEST_PLACE"
# Then comes the process that made it; and, if it is no file system, a dot and what it is. Short: sockets lie below,
# and podman takes 50 bytes of a runroot.
PREFIX = "/var/tmp/pt-"
SIZE = 24 << 30  # at most; blocks are taken when they are written


def place() -> Path:
    """A directory of this session that everybody may write in."""
    return Path(os.environ.get(VARIABLE) or "/var/tmp")


def block_device() -> str:
    """A whole disk of this host, of which tests only say how fast it may be; skips where there is none."""
    for name in sorted(os.listdir("/sys/block")):
        path = Path("/dev") / name
        if not name.startswith(("loop", "zram")) and path.is_block_device():
            return str(path)
    box.missing("this host has no disk")
    raise AssertionError


def make() -> Path | None:
    """Make the file system and have everything that knows TMPDIR use it; None where that cannot be done.

    For the first process of a session: its children inherit it.
    """
    tool = shutil.which("mke2fs", path=box.PATH)
    if os.environ.get(VARIABLE) or not box.ROOT or tool is None:
        return None
    sweep()
    made = Path(f"{PREFIX}{os.getpid()}")
    image = Path(f"{made}.ext4")
    try:
        made.mkdir()
        with open(image, "wb") as file:
            free = os.statvfs(image)
            file.truncate(min(SIZE, free.f_bavail * free.f_frsize // 2))
        options = ["-q", "-F", "-t", "ext4", "-m", "0", "-E", "nodiscard,lazy_itable_init=1"]
        for command in (
            [tool, *options, image],
            ["mount", "-o", "loop,nobarrier,noinit_itable", image, made],
        ):
            subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        remove(made)
        return None
    finally:
        image.unlink(missing_ok=True)  # it goes with the mount
    (made / "lost+found").rmdir()
    made.chmod(0o1777)
    os.environ[VARIABLE] = os.environ["TMPDIR"] = str(made)
    tempfile.tempdir = None
    return made


def remove(made: Path) -> None:
    """Take a file system that ``make`` has made away, with all that is in it."""
    subprocess.run(["umount", "-l", made], capture_output=True, check=False)
    try:
        made.rmdir()
    except OSError:
        pass


def sweep() -> None:
    """Remove what killed sessions have left."""
    for found in Path(PREFIX).parent.glob(Path(PREFIX).name + "*"):
        owner, dot, _ = found.name.removeprefix(Path(PREFIX).name).partition(".")
        if not owner.isdigit() or os.path.exists(f"/proc/{owner}"):
            continue
        if not dot:
            remove(found)
        elif found.is_dir():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)
