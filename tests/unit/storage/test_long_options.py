"""Mounts whose options are longer than a page, as kernels before 6.5 and fuse-overlayfs take them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import box

SCRIPT = """
import os, sys
from storage import overlay, overlay_mount
home, count, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
os.makedirs(home + "/l")
lower = []
for number in range(count):
    os.makedirs(f"{home}/{number}/diff")
    link = overlay.new_link()
    os.symlink(f"../{number}/diff", f"{home}/l/{link}")
    open(f"{home}/{number}/diff/f{number}", "w").close()
    lower.insert(0, f"{home}/l/{link}")
for name in ("upper", "work", "merged"):
    os.mkdir(f"{home}/{name}")
places = f"{home}/upper", f"{home}/work"
gone = os.path.join(home, "gone")
os.mkdir(gone)
os.chdir(gone)
os.rmdir(gone)  # a working directory that nobody comes back to
if how == "fuse":
    overlay_mount._fuse(overlay_mount.process.find("fuse-overlayfs"), f"{home}/merged", lower, *places, "")
else:
    overlay_mount._old_native(home, f"{home}/merged", lower, *places, ["userxattr"], "nodev")
open(f"{home}/merged/new", "w").close()
print(len(os.listdir(f"{home}/merged")), os.listdir(f"{home}/upper"))
overlay_mount.unmount(f"{home}/merged")
"""


# To look at layers together where the kernel has no detached overlays, or no overlays at all.
VIEW = """
import os, sys
from storage import overlay_mount
home, how = sys.argv[1], sys.argv[3]
def broken(*_):
    raise OSError(22, "Invalid argument")
if how != "new":
    overlay_mount._detached = broken
if how == "fuse":
    overlay_mount._old_native = broken
for number in range(3):
    os.makedirs(f"{home}/{number}/diff")
    open(f"{home}/{number}/diff/f{number}", "w").close()
before = {path: os.lstat(path) for path, _, _ in os.walk(home)}
root = overlay_mount.view(home, [f"{home}/{number}/diff" for number in range(3)])
print(sorted(os.listdir(f"/proc/self/fd/{root}")), os.listdir(f"{home}/0/diff"))
assert {path: os.lstat(path)[:6] for path, _, _ in os.walk(home)} == {path: old[:6] for path, old in before.items()}
"""


def mounted(path: Path, count: int, how: str, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces")
    argv = [unshare, "-Urm", sys.executable, "-c", script, str(path / "overlay"), str(count), how]
    return subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=60, cwd="/", env=box.python_environment()
    )


@pytest.mark.parametrize(
    "count",
    [
        3,  # absolute paths fit
        100,  # relative ones do
        500,  # only numbers do
    ],
)
def test_the_old_way(tmp_path: Path, count: int) -> None:
    done = mounted(tmp_path, count, "old")
    assert (done.stdout, done.stderr) == (f"{count + 1} ['new']\n", "")


def test_one_layer_too_many(tmp_path: Path) -> None:
    done = mounted(tmp_path, 501, "old")
    assert done.returncode == 1 and "OSError: [Errno 22]" in done.stderr


@pytest.mark.skipif(shutil.which("fuse-overlayfs") is None, reason="fuse-overlayfs is not installed")
def test_fuse(tmp_path: Path) -> None:
    done = mounted(tmp_path, 120, "fuse")
    assert (done.stdout, done.stderr) == ("121 ['new']\n", "")


@pytest.mark.parametrize("how", ["new", "old", "fuse"])
def test_layers_are_looked_at_together(tmp_path: Path, how: str) -> None:
    if how == "fuse" and shutil.which("fuse-overlayfs") is None:
        pytest.skip("fuse-overlayfs is not installed")
    done = mounted(tmp_path, 3, how, VIEW)
    assert (done.stdout, done.stderr) == ("['f0', 'f1', 'f2'] ['f0']\n", "")
