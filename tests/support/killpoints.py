"""Kill pypod at a system call, and say whether its store is before or after what it was doing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storage import check
from storage.store import Store
from support import box, leaks
from support.runner import Pypod, Result
from support.users import User

SOURCE = Path(__file__).resolve().parents[1] / "csrc" / "killpoint.c"
_RANDOM = re.compile(r"[0-9a-f]{64}|[A-Z2-7]{26}|(?<=-)[0-9a-f]{12}(?![0-9a-f])")
_KEPT = (".lock", ".has-mount-program", "pypod/ended", "pypod/ended.old", "pypod/synced", "pypod/holders")


def build(directory: Path) -> Path:
    """The program that kills (tests/csrc/killpoint.c)."""
    program = directory / "killpoint"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", SOURCE, "-o", program], check=True)
    return program


def bench(base: Path, name: str, program: Path, who: User, mode: str) -> Bench:
    """An empty store of a user's in a directory of its own; only root can trace what is set-uid."""
    if not box.ROOT:
        pytest.skip("needs root, to trace set-uid programs")
    place = base / name
    place.mkdir(mode=0o755)
    pypod = Pypod(program, who, graphroot=place / "g", runroot=place / "r", mode=mode)
    for path in (place / "g", place / "r"):
        path.mkdir(mode=0o700)
        os.chown(path, who.uid, who.gid)
    return Bench(pypod, build(place), place)


@dataclass(frozen=True)
class Visible:
    """What users see of a store: names of images, with their ids, and of containers."""

    images: frozenset[str]
    containers: frozenset[str]


@dataclass
class Tally:
    """What a series of kills has shown."""

    points: int = 0
    visited: int = 0
    before: int = 0
    after: int = 0
    left: int = 0  # kills that left something for the next command or a repair
    podman: int = 0  # states that podman has looked at
    faults: list[str] = field(default_factory=list)


class Bench:
    """One store that is put back to its beginning before each kill."""

    def __init__(self, pypod: Pypod, killer: Path, place: Path) -> None:
        self.pypod = pypod
        self.killer = killer
        self.place = place
        self.graphroot, self.runroot = place / "g", place / "r"
        self.report = place / "report"
        self.last: list[str] = []

    def store(self) -> Store:
        return Store(str(self.graphroot), str(self.runroot), rootless=self.pypod.rootless)

    def keep(self, name: str) -> None:
        """Remember the store as it is."""
        self._copy("g", f"{name}-g")
        self._copy("r", f"{name}-r")

    def restore(self, name: str) -> None:
        self._copy(f"{name}-g", "g")
        self._copy(f"{name}-r", "r")

    def _copy(self, source: str, target: str) -> None:
        shutil.rmtree(self.place / target, ignore_errors=True)
        subprocess.run(["cp", "-a", "-T", self.place / source, self.place / target], check=True)

    def killed(self, number: int, *args: str | Path) -> int:
        """Run a command that is killed at its call of this number (0 for none); its exit code."""
        who = []
        if self.pypod.user.switch:
            who = ["-u", str(self.pypod.user.uid), "-g", str(self.pypod.user.gid)]
        when = ["-n", str(number)] if number else []
        done = subprocess.run(
            [self.killer, *who, *when, "-o", self.report, *self.pypod.argv(*args)],
            env=self.pypod.environment(),
            cwd=self.pypod.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        self.last = self.report.read_text(errors="replace").splitlines()
        return done.returncode

    def visible(self, *, ids: bool = True) -> Visible:
        """Without ``ids`` only the images that have names count, and nothing but these."""
        store = self.store()
        if ids:
            images = [f"{name} {image.id}" for image in store.images() for name in image.names or [""]]
        else:
            images = [name for image in store.images() for name in image.names]
        return Visible(frozenset(images), frozenset(name for item in store.containers() for name in item.names))

    def damage(self) -> list[str]:
        """What is broken of what is visible; not what belongs to nobody."""
        return [item.line for item in check.damaged(self.store(), quick=False)]

    def leftovers(self, patience: float = 0) -> list[str]:
        """What belongs to nobody; large trees are removed in the background, which gets ``patience`` seconds."""
        end = time.monotonic() + patience
        while (left := self._leftovers()) and time.monotonic() < end:
            time.sleep(0.05)
        return left

    def _leftovers(self) -> list[str]:
        store = self.store()
        left = [*check.leftovers(store), *check.unused_layers(store, 0)]
        left += [place for place in (f"{store.home}/tempdirs", f"{store.layers_dir}/tmp") if os.path.isdir(place)]
        known = {item.id for item in store.containers()}
        for name in ("creating", "exits"):
            place = f"{self.runroot}/pypod/{name}"
            if os.path.isdir(place):
                left += [f"{place}/{item}" for item in os.listdir(place) if item not in known]
        return left

    def shape(self) -> Counter[str]:
        """All that is in the store, without the files of layers; what is random in names is the same in all."""
        found: Counter[str] = Counter()
        for root in (self.graphroot, self.runroot):
            for directory, names, files in os.walk(root):
                short = directory.removeprefix(str(self.place))
                if re.search(r"overlay/[0-9a-f]{64}$|/holders$", short):
                    names[:] = files[:] = []
                found.update(
                    _RANDOM.sub("X", f"{short}/{name}") for name in (*names, *files) if not name.endswith(_KEPT)
                )
        return Counter({name: count for name, count in found.items() if not name.endswith(_KEPT)})

    def podman_complains(self) -> list[str]:
        """What podman says of the store as it is. It leaves files of its own there: restore it then."""
        said = []
        for args in (
            ("images", "-a", "--digests"),
            ("ps", "-a", "--external"),
            ("image", "inspect", "localhost/t:1"),
        ):
            done = self.pypod.as_user(
                "podman", "--root", self.graphroot, "--runroot", self.runroot, "--storage-driver", "overlay", *args
            )
            words = ("not known", "corrupt", "damaged", "unexpected end")
            if done.code or any(word in done.err for word in words):
                said.append(f"podman {args[0]}: {done.code} {done.err.strip()}")
        return said

    def end(self) -> None:
        """End all that still runs on this store."""
        leaks.end_processes(str(self.graphroot.parent))

    def repair(self) -> Result:
        return self.pypod("system", "check", "--repair", "-m", "0s")
