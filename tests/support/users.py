"""The two kinds of user that pypod serves: root, and one without any privilege."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import disk
from support.box import PATH

PREFIX = "pypodtest"


@dataclass(frozen=True)
class User:
    """Who runs a command: ids, home and a clean environment."""

    name: str
    uid: int
    gid: int
    home: str
    runtime_dir: str
    switch: bool = False  # root runs commands as this user
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What a login would set, and nothing of the tests' own environment."""
        env = {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "PATH": PATH,
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        if self.runtime_dir:
            env["XDG_RUNTIME_DIR"] = self.runtime_dir
        return env | self.env

    def popen_options(self) -> dict[str, Any]:
        """The arguments of subprocess.Popen that make the child this user's."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": [self.gid]}


def _retry(argv: list[str]) -> None:
    """Run an account tool; /etc/passwd may be locked by another session for a moment."""
    for attempt in range(10):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if "lock" not in done.stderr or attempt == 9:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        time.sleep(0.3)


def root() -> User:
    return User(name="root", uid=0, gid=0, home="/root", runtime_dir="")


def myself() -> User:
    me = pwd.getpwuid(os.getuid())
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    return User(name=me.pw_name, uid=me.pw_uid, gid=me.pw_gid, home=me.pw_dir, runtime_dir=runtime_dir)


def create(suffix: str = "") -> User:
    """A new user with subordinate ids and a runtime directory, named after this process."""
    name = f"{PREFIX}{os.getpid()}{suffix}"
    _retry(["useradd", "-m", "-s", "/bin/bash", "-b", str(disk.place()), name])
    entry = pwd.getpwnam(name)
    runtime_dir = Path(f"/run/user/{entry.pw_uid}")
    runtime_dir.parent.mkdir(mode=0o755, exist_ok=True)
    runtime_dir.mkdir(mode=0o700, exist_ok=True)
    os.chown(runtime_dir, entry.pw_uid, entry.pw_gid)
    os.chmod(entry.pw_dir, 0o711)
    if os.path.exists("/dev/net/tun"):
        os.chmod("/dev/net/tun", 0o666)  # as udev does; a machine without udev leaves it to root
    return User(
        name=name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        home=entry.pw_dir,
        runtime_dir=str(runtime_dir),
        switch=True,
    )


def subordinate_ids(name: str, file: str = "/etc/subuid") -> list[tuple[int, int]]:
    """The (first, count) ranges of a user."""
    found = []
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            owner, first, count = (line.strip().split(":") + ["", "", ""])[:3]
            if owner == name and first.isdigit() and count.isdigit():
                found.append((int(first), int(count)))
    return found


def processes_of(user: User) -> list[int]:
    """The processes that run with this user's id or one of its subordinate ids."""
    ranges = [(user.uid, 1), *subordinate_ids(user.name)]
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            status = Path(f"/proc/{entry}/status").read_text()
        except OSError:
            continue
        ids = re.search(r"^Uid:\s+(\d+)\s+(\d+)", status, re.MULTILINE)
        if ids and any(first <= int(ids.group(2)) < first + count for first, count in ranges):
            found.append(int(entry))
    return found


def remove(user: User) -> None:
    """End the user's processes and remove all that it owned."""
    for _ in range(50):
        pids = processes_of(user)
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    shutil.rmtree(f"/run/user/{user.uid}", ignore_errors=True)
    for place in (f"/tmp/storage-run-{user.uid}", f"/var/tmp/containers-user-{user.uid}"):  # podman's and buildah's
        shutil.rmtree(place, ignore_errors=True)
    Path(f"/dev/shm/libpod_rootless_lock_{user.uid}").unlink(missing_ok=True)  # podman's
    shutil.rmtree(user.home, ignore_errors=True)
    subprocess.run(["userdel", "-r", user.name], capture_output=True, check=False)


def sweep() -> None:
    """Remove the users of earlier sessions that were killed before they could."""
    for entry in pwd.getpwall():
        owner = entry.pw_name.removeprefix(PREFIX).rstrip("b")
        if entry.pw_name.startswith(PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            remove(User(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir, runtime_dir=""))
