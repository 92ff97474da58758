"""Pulls beside podman's, in pairs, from a real registry on the loopback.

    make bench-registry
    bench/registry.py [--rounds 3] [--mode rootless|root|both] [--images small,big] [--places tmpfs,ext4] [--tls]

The images are those of bench/storage.py, pushed by skopeo, which compresses them. Each pull has a fresh file system;
pypod flushes what it writes to disk, podman does not. Needs root, podman, skopeo, runc, docker-registry and
busybox-static.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Sample, Stopwatch, Tool, box, call, find_runtime, install, median, new_tool, users

from storage import MEMORY_BAR, archive, file_system, show  # bench/storage.py
from support.registry import Registry

BAR = 0.5


class Bench:
    """All rounds for one kind of user."""

    def __init__(self, base: Path, user: users.User, programs: dict[str, str], registry: Registry, tls: bool) -> None:
        self.base, self.user, self.programs, self.registry = base, user, programs, registry
        self.flags = ["--cert-dir", str(registry.certs_dir)] if tls else ["--tls-verify=false"]
        self.samples: dict[tuple[str, str, str], dict[str, list[Sample]]] = {}

    def measured(self, key: tuple[str, str, str], tool: Tool, watch: Stopwatch, *words: str) -> None:
        sample = watch([*tool.prefix, *words])
        self.samples.setdefault(key, {"pypod": [], "podman": []})[tool.name].append(sample)

    def sequence(self, name: str, place: str, image: str) -> None:
        """What one program does on one fresh file system."""
        source = f"{self.registry.host}/{image}:1"
        with file_system(self.base, place, self.user) as directory:
            tool = new_tool(name, self.programs[name], directory / "s", self.user, find_runtime())
            watch = Stopwatch(self.user)
            try:
                call(tool, self.user, "images")  # podman makes its pause process
                self.measured(("pull", image, place), tool, watch, "pull", "-q", *self.flags, source)
            finally:
                watch.close()
                if name == "podman" and self.user.switch:
                    call(tool, self.user, "system", "migrate")  # its pause process holds the file system

    def rows(self) -> list[dict[str, object]]:
        return [
            {
                "mode": "rootless" if self.user.switch else "root",
                "command": command,
                "image": image,
                "place": place,
                "pypod_s": round(median(found["pypod"], "wall"), 3),
                "podman_s": round(median(found["podman"], "wall"), 3),
                "ratio": round(median(found["pypod"], "wall") / median(found["podman"], "wall"), 3),
                "bar": BAR,
                "pypod_mib": round(max(item.memory for item in found["pypod"]), 1),
                "podman_mib": round(max(item.memory for item in found["podman"]), 1),
            }
            for (command, image, place), found in self.samples.items()
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pypod", default="", help="a pypod that every user may run (default: a copy)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs per sequence (default 3)")
    parser.add_argument("--mode", choices=("root", "rootless", "both"), default="both")
    parser.add_argument("--images", default="small,big")
    parser.add_argument("--places", default="tmpfs,ext4")
    parser.add_argument("--tls", action="store_true", help="by TLS")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--strict", action="store_true", help=f"exit 1 if a bar or {MEMORY_BAR:.0f} MiB are missed")
    options = parser.parse_args()
    if not box.ROOT:
        parser.error("this benchmark mounts file systems: run it as root")
    podman, skopeo = (shutil.which(name, path=box.PATH) for name in ("podman", "skopeo"))
    if podman is None or skopeo is None:
        parser.error("podman or skopeo is not installed")
    base = Path(tempfile.mkdtemp(prefix="pb", dir="/var/tmp"))
    base.chmod(0o755)
    rows: list[dict[str, object]] = []
    try:
        programs = {"pypod": options.pypod or str(install.install(base / "app")), "podman": podman}
        with Registry(tls=options.tls) as registry:
            for image in options.images.split(","):
                made = archive(base, image)
                target = f"docker://{registry.host}/{image}:1"
                flags = ["--dest-cert-dir", registry.certs_dir] if options.tls else ["--dest-tls-verify=false"]
                subprocess.run([skopeo, "copy", "-q", *flags, f"docker-archive:{made}", target], check=True)
                made.unlink()
            for mode in ["rootless", "root"] if options.mode == "both" else [options.mode]:
                user = users.root() if mode == "root" else users.create()
                try:
                    bench = Bench(base, user, programs, registry, options.tls)
                    for image in options.images.split(","):
                        for place in options.places.split(","):
                            for number in range(options.rounds):
                                for name in ("pypod", "podman") if number % 2 else ("podman", "pypod"):
                                    bench.sequence(name, place, image)
                                print(".", end="", file=sys.stderr, flush=True)
                    rows += bench.rows()
                finally:
                    if user.switch:
                        users.remove(user)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(file=sys.stderr)
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    held = show(rows)
    return 0 if held or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
