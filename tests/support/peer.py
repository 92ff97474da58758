"""The real podman beside a Pypod: as the same user, on a store of its own with the same image."""

from __future__ import annotations

import shutil
from pathlib import Path

from support import box
from support.runner import Pypod, Result


class Podman:
    """Calls podman as a Pypod is called. ``close`` removes its containers and its store."""

    def __init__(self, pypod: Pypod, archive: Path, image: str = "localhost/bb:1") -> None:
        assert pypod.graphroot
        self.pypod = pypod
        self.program = box.need("podman")
        self.place = pypod.graphroot.parent
        self("import", archive, image).ok()

    def argv(self, *args: str | Path) -> list[str]:
        # Without a storage.conf rootless podman 4.3 would take vfs; without systemd there is no journal.
        places = ["--root", f"{self.place}/podman-g", "--runroot", f"{self.place}/podman-r"]
        more = ["--storage-driver", "overlay", "--runtime", box.runtime(), "--cgroup-manager", "cgroupfs"]
        return [self.program, *places, *more, "--events-backend", "file", *map(str, args)]

    def __call__(self, *args: str | Path, timeout: float = 90, input: bytes | None = None) -> Result:
        return self.pypod.as_user(*self.argv(*args), timeout=timeout, input=input)

    @property
    def limits(self) -> list[str]:
        """What ``run`` and ``create`` need where root may not raise limits."""
        if self.pypod.rootless or box.may_raise_rlimits():
            return []
        return ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]

    def close(self) -> None:
        for _ in range(2):  # the first leaves what others depended on
            self("rm", "-f", "-a", "-t", "0")
        if self.pypod.rootless:
            self("unshare", "rm", "-rf", f"{self.place}/podman-g", f"{self.place}/podman-r")
            self("system", "migrate")  # ends its pause process
        for name in ("podman-g", "podman-r"):
            shutil.rmtree(self.place / name, ignore_errors=True)
