"""A user has 200 keys (/proc/sys/kernel/keys/maxkeys): more containers than that run only if they take none."""

import shutil
from pathlib import Path

from support import box
from support.runner import Pypod


def keys(uid: int) -> int:
    """How many keys the user's processes have (/proc/key-users, the second column)."""
    for line in Path("/proc/key-users").read_text().splitlines():
        words = line.split()
        if words[0] == f"{uid}:":
            return int(words[2].split("/")[0])
    return 0


def test_containers_and_sessions_take_no_keys(pypod: Pypod, image: str) -> None:
    if not pypod.rootless:
        return  # root has a million
    # crun refuses a hybrid cgroup v1 tree.
    runtimes = [name for name in ("crun", "runc") if shutil.which(name, path=box.PATH)]
    for runtime in runtimes if box.cgroup2() else [box.runtime()]:
        chosen = pypod.with_options("--runtime", runtime)
        before = keys(pypod.user.uid)
        for number in range(3):
            chosen("run", "-d", "--network", "none", "--name", f"{runtime}{number}", image, "sleep", "1000").ok()
            chosen("exec", "-d", f"{runtime}{number}", "sleep", "999").ok()
        assert keys(pypod.user.uid) - before < 3
