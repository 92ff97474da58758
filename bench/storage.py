"""The store beside podman's, in pairs: load, save, commit, rmi and the first run with an id mapping of its own.

    make bench-storage
    bench/storage.py [--rounds 3] [--mode rootless|root|both] [--images small,big] [--places tmpfs,ext4] [--json]

``small`` is one layer of 20,000 files in 1,000 directories, ``big`` one of a random file of 1 GiB, plain or gzip'ed.
Every sequence of commands has a fresh file system, tmpfs or ext4 in a loop device, and the programs take turns.
pypod flushes what it writes to disk, podman does not. Needs root (for the
file systems), podman, runc and busybox-static.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import Sample, Stopwatch, Tool, box, call, find_runtime, images, install, median, new_tool, users

# (command, image, place) → the most that pypod's wall time may be of podman's. "" stands for any.
BARS = {
    ("load", "big", ""): 0.25,
    ("load", "big.gz", ""): 0.25,
    ("load", "small", "tmpfs"): 0.35,
    ("load", "small", "ext4"): 0.8,
    ("save", "", ""): 0.5,
    ("commit", "", ""): 0.5,
    ("rmi", "", ""): 0.3,
    ("keep-id", "", ""): 0.5,
}
MEMORY_BAR = 100.0  # MiB
WAIT_BAR = 50.0  # ms that `images` waits during a load
NAME = "localhost/bench:1"
BIG = 1 << 30


class Gzip:
    """A file that compresses what is written to it; random data at level 0 would not be inflated at all."""

    def __init__(self, out: io.BufferedWriter) -> None:
        self._out = out
        self._zip = zlib.compressobj(1, zlib.DEFLATED, 31)

    def write(self, data: bytes) -> int:
        self._out.write(self._zip.compress(data))
        return len(data)

    def close(self) -> None:
        self._out.write(self._zip.flush())


def layer(base: Path, kind: str) -> tuple[Path, str]:
    """The layer's archive and its diffID: busybox, and the data below /data."""
    path = base / f"{kind}.layer"
    with open(images.busybox(base / "bb.tar"), "rb") as source, open(path, "wb") as out:
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            with tarfile.open(fileobj=source) as system:
                for entry in system:
                    archive.addfile(entry, system.extractfile(entry) if entry.isreg() else None)
            for name, data in contents(kind):
                entry = tarfile.TarInfo(name)
                entry.mtime = 1_700_000_000
                if data is None:
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
                else:
                    entry.size = data.seek(0, io.SEEK_END)
                    data.seek(0)
                    archive.addfile(entry, data)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return path, digest.hexdigest()


def contents(kind: str) -> Iterator[tuple[str, io.BytesIO | io.BufferedReader | None]]:
    yield "data", None
    if kind == "big":
        with tempfile.TemporaryFile(dir="/var/tmp") as file:
            for _ in range(BIG >> 20):
                file.write(os.urandom(1 << 20))
            yield "data/random", file  # type: ignore[misc]
        return
    words = b" ".join(b"%d" % (number * 7919 % 10007) for number in range(2000))
    for directory in range(1000):
        yield f"data/d{directory:04}", None
        for number in range(20):
            start = (directory * 20 + number) % 700
            yield f"data/d{directory:04}/file{number:02}", io.BytesIO(words[start : start + 4400])


def archive(base: Path, kind: str) -> Path:
    """A docker-archive of one layer."""
    target = base / f"{kind}.tar"
    if target.exists():
        return target
    source, diff_id = layer(base, kind.removesuffix(".gz"))
    name = "layer.tar"
    if kind.endswith(".gz"):
        compressed = base / "layer.gz"
        with open(source, "rb") as file, open(compressed, "wb") as out:
            zipper = Gzip(out)
            while piece := file.read(1 << 20):
                zipper.write(piece)
            zipper.close()
        source.unlink()
        source = compressed
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "bench"}],
        }
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [NAME], "Layers": [name]}]).encode()
    with tarfile.open(target, "w") as out_archive:
        for entry_name, data in ((config_name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(entry_name)
            entry.size = len(data)
            out_archive.addfile(entry, io.BytesIO(data))
        out_archive.add(source, name)
    source.unlink()
    target.chmod(0o644)
    return target


@contextmanager
def file_system(base: Path, kind: str, user: users.User) -> Iterator[Path]:
    """A fresh one, mounted at a short path and given to the user."""
    place = Path(tempfile.mkdtemp(prefix="f", dir=base))
    backing = base / f"{place.name}.img"
    try:
        if kind == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8G", "tmpfs", place], check=True)
        else:
            with open(backing, "wb") as file:
                file.truncate(8 << 30)
            subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0", backing], check=True)
            subprocess.run(["mount", "-o", "loop", backing, place], check=True)
        place.chmod(0o755)
        (place / "w").mkdir()
        (place / "w").chmod(0o755)
        if user.switch:
            os.chown(place / "w", user.uid, user.gid)
        yield place / "w"
    finally:
        subprocess.run(["umount", "-l", place], check=False)
        place.rmdir()
        backing.unlink(missing_ok=True)


class Bench:
    """All rounds for one kind of user."""

    def __init__(self, base: Path, user: users.User, programs: dict[str, str], runtime: str) -> None:
        self.base = base
        self.user = user
        self.programs = programs
        self.runtime = runtime
        self.samples: dict[tuple[str, str, str], dict[str, list[Sample]]] = {}
        self.waits: list[float] = []
        self.idle: list[float] = []

    def measured(self, key: tuple[str, str, str], tool: Tool, watch: Stopwatch, *words: str) -> None:
        sample = watch([*tool.prefix, *words])
        self.samples.setdefault(key, {"pypod": [], "podman": []})[tool.name].append(sample)

    def sequence(self, name: str, place: str, image: str) -> None:
        """Everything that one program does on one fresh file system."""
        source = str(archive(self.base, image))
        with file_system(self.base, place, self.user) as directory:
            tool = new_tool(name, self.programs[name], directory / "s", self.user, self.runtime)
            watch = Stopwatch(self.user)
            try:
                call(tool, self.user, "images")  # podman makes its pause process
                self.measured(("load", image, place), tool, watch, "load", "-q", "-i", source)
                if not image.endswith(".gz"):
                    self.measured(("save", image, place), tool, watch, "save", "-q", "-o", f"{directory}/o", NAME)
                    os.unlink(directory / "o")
                    call(tool, self.user, "run", "--name", "c", *tool.run_flags, NAME, "cp", "-a", "/data", "/copy")
                    self.measured(("commit", image, place), tool, watch, "commit", "-q", "c", "localhost/new:1")
                    call(tool, self.user, "rm", "c")
                    call(tool, self.user, "rmi", "localhost/new:1")
                self.measured(("rmi", image, place), tool, watch, "rmi", NAME)
                if self.user.switch and not image.endswith(".gz"):
                    call(tool, self.user, "load", "-q", "-i", source)
                    words = ["run", "--rm", "--userns", "keep-id", *tool.run_flags, NAME, "true"]
                    self.measured(("keep-id", image, place), tool, watch, *words)
            finally:
                watch.close()
                if name == "podman" and self.user.switch:
                    call(tool, self.user, "system", "migrate")  # its pause process holds the file system

    def wait(self) -> None:
        """How long `images` takes while a load is at work, and without."""
        source = str(archive(self.base, "big"))
        with file_system(self.base, "ext4", self.user) as directory:
            tool = new_tool("pypod", self.programs["pypod"], directory / "s", self.user, self.runtime)
            watch, other = Stopwatch(self.user), Stopwatch(self.user)
            try:
                self.idle += [watch([*tool.prefix, "images"]).wall * 1000 for _ in range(10)]
                loading = threading.Thread(target=other, args=([*tool.prefix, "load", "-q", "-i", source],))
                loading.start()
                while loading.is_alive():
                    self.waits.append(watch([*tool.prefix, "images"]).wall * 1000)
                    time.sleep(0.02)
                loading.join()
            finally:
                watch.close()
                other.close()

    def rows(self) -> list[dict[str, object]]:
        result: list[dict[str, object]] = []
        for (command, image, place), found in self.samples.items():
            ours, theirs = found["pypod"], found["podman"]
            bar = next(
                value for (a, b, c), value in BARS.items() if a == command and b in ("", image) and c in ("", place)
            )
            result.append(
                {
                    "mode": "rootless" if self.user.switch else "root",
                    "command": command,
                    "image": image,
                    "place": place,
                    "pypod_s": round(median(ours, "wall"), 3),
                    "podman_s": round(median(theirs, "wall"), 3),
                    "ratio": round(median(ours, "wall") / median(theirs, "wall"), 3),
                    "bar": bar,
                    "pypod_mib": round(max(item.memory for item in ours), 1),
                    "podman_mib": round(max(item.memory for item in theirs), 1),
                }
            )
        return result


def show(rows: list[dict[str, object]]) -> bool:
    """Print the table. Whether every bar is held."""
    held = True
    print(f"{'':38}{'pypod s':>9}{'podman s':>10}{'ratio':>8}{'bar':>7}{'MiB':>14}")
    for row in rows:
        good = float(str(row["ratio"])) <= float(str(row["bar"])) and float(str(row["pypod_mib"])) <= MEMORY_BAR
        held = held and good
        title = f"{row['mode']:9} {row['command']:8} {row['image']:7} {row['place']}"
        memory = f"{row['pypod_mib']}/{row['podman_mib']}"
        print(
            f"{title:38}{row['pypod_s']:>9}{row['podman_s']:>10}{row['ratio']:>8}{row['bar']:>7}{memory:>14}"
            + ("  ok" if good else "  missed")
        )
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pypod", default="", help="a pypod that every user may run (default: a copy)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs per sequence (default 3)")
    parser.add_argument("--mode", choices=("root", "rootless", "both"), default="both")
    parser.add_argument("--images", default="small,big,big.gz")
    parser.add_argument("--places", default="tmpfs,ext4")
    parser.add_argument("--no-wait", action="store_true", help="leave out `images` during a load")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar is missed")
    options = parser.parse_args()
    if not box.ROOT:
        parser.error("this benchmark mounts file systems: run it as root")
    podman = shutil.which("podman", path=box.PATH)
    if podman is None:
        parser.error("podman is not installed")
    base = Path(tempfile.mkdtemp(prefix="pb", dir="/var/tmp"))
    base.chmod(0o755)
    rows: list[dict[str, object]] = []
    try:
        programs = {"pypod": options.pypod or str(install.install(base / "app")), "podman": podman}
        for mode in ["rootless", "root"] if options.mode == "both" else [options.mode]:
            user = users.root() if mode == "root" else users.create()
            try:
                bench = Bench(base, user, programs, find_runtime())
                for image in options.images.split(","):
                    for place in options.places.split(","):
                        for number in range(options.rounds):
                            for name in ("pypod", "podman") if number % 2 else ("podman", "pypod"):
                                bench.sequence(name, place, image)
                            print(".", end="", file=sys.stderr, flush=True)
                if not options.no_wait:
                    bench.wait()
                rows += bench.rows()
                if bench.waits:
                    idle, busy = statistics.median(bench.idle), statistics.median(bench.waits)
                    print(
                        f"\n{mode}: images {idle:.0f} ms alone, {busy:.0f} ms during a load (median of "
                        f"{len(bench.waits)}, longest {max(bench.waits):.0f}); bar: {WAIT_BAR:.0f} ms more",
                        file=sys.stderr,
                    )
            finally:
                if user.switch:
                    users.remove(user)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    held = show(rows)
    return 0 if held or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
