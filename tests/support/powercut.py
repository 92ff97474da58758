"""Power cuts: a store on ext4 in a file, and copies of that file as they are at one moment.

The file lies on another file system, which is frozen while it is copied: so the copy is of one moment, and nothing of
what the store's file system has not written yet is in it. A mount of the copy is what a machine finds that lost its
power then. Run as ``unshare -m python -m support.powercut JOB.json``: all mounts and loop devices end with it.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pypod.errors import PypodError
from storage import check, mend
from storage.store import Store

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
SIZE = 200 << 20


def run(*argv: str | Path) -> None:
    subprocess.run([str(item) for item in argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def mount(image: Path, target: Path) -> None:
    """Mount a file on a loop device that goes with the mount; the machine may lack the device's node."""
    target.mkdir(exist_ok=True)
    for _ in range(20):
        done = subprocess.run(["losetup", "-f"], capture_output=True, text=True, check=False)
        device = done.stdout.strip()
        if device and not os.path.exists(device):
            os.mknod(device, 0o060600, os.makedev(7, int(device.removeprefix("/dev/loop"))))
        if subprocess.run(["mount", "-o", "loop", image, target], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    run("mount", "-o", "loop", image, target)


class Device:
    """A store on a file system of its own. ``steps``: what is done on it, one after the other."""

    def __init__(self, place: Path, number: int) -> None:
        self.image = place / "outer" / f"{number}.img"
        self.mounted = place / f"m{number}"
        self.runroot = place / f"r{number}"
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        run("mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=1", self.image)
        mount(self.image, self.mounted)
        self.graphroot = self.mounted / "g"

    def argv(self, program: str, *args: str) -> list[str]:
        return [program, "--root", str(self.graphroot), "--runroot", str(self.runroot), *args]


class Bench:
    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.place = Path(job["place"])
        self.random = random.Random(job["seed"])
        run("mount", "-t", "tmpfs", "-o", "size=80%", "none", self.place)
        outer = self.place / "outer.img"
        with open(outer, "wb") as file:
            file.truncate((job["devices"] + 1) * SIZE)
        run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1", outer)
        mount(outer, self.place / "outer")
        self.outer = os.open(self.place / "outer", os.O_RDONLY | os.O_DIRECTORY)
        self.cuts = 0
        self.pending: list[tuple[Path, dict[str, Any]]] = []
        self.results: list[dict[str, Any]] = []

    def cut(self, device: Device, what: str, moment: str, *, done: bool) -> None:
        """Copy the device as it is now; ``done``: the command had returned."""
        self.cuts += 1
        copy = self.place / f"cut{self.cuts}.img"
        fcntl.ioctl(self.outer, FIFREEZE, 0)
        try:
            run("cp", "--sparse=always", "--reflink=auto", device.image, copy)
        finally:
            fcntl.ioctl(self.outer, FITHAW, 0)
        self.pending.append((copy, {"what": what, "moment": moment, "done": done}))

    def look(self) -> bool:
        """Mount one copy and see what is left of the store; False if there is none."""
        if not self.pending:
            return False
        copy, found = self.pending.pop(0)
        target = self.place / "look"
        mount(copy, target)
        try:
            store = Store(str(target / "g"), str(self.place / "look-r"))
            found |= _state(store, self.job["images"][found["what"]], repair=self.job["repair"])
        finally:
            run("umount", target)
            copy.unlink()
            shutil.rmtree(self.place / "look-r", ignore_errors=True)
        self.results.append(found)
        return True


def _state(store: Store, name: str, *, repair: bool) -> dict[str, Any]:
    """``present``: the image is listed; ``damage``: what a user would stumble over; ``left``: after a repair."""
    try:
        damage = [item.line for item in check.damaged(store, quick=False)]
        names = [name for image in store.images() for name in image.names]
        untagged = any(not image.names for image in store.images())
    except (OSError, PypodError) as error:
        return {"present": False, "untagged": False, "damage": [str(error)], "left": []}
    left: list[str] = []
    if repair and not damage:
        mend.clean(store, 0)
        left = [*check.leftovers(store), *(item.line for item in check.damaged(store, quick=False))]
    return {"present": name in names, "untagged": untagged, "damage": damage, "left": left}


def work(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Do every step on every device, two at a time, and cut the power at the job's moments."""
    bench = Bench(job)
    waiting = [Device(bench.place, number) for number in range(job["devices"])]
    steps = {device: list(job["steps"]) for device in waiting}
    events: list[tuple[float, int, Device, str, str]] = []
    running: dict[Device, tuple[subprocess.Popen[bytes], str, float]] = {}
    length = {step["what"]: 0.2 for step in job["steps"]}
    count = 0

    def at(when: float, device: Device, what: str, moment: str) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (when, count, device, what, moment))

    while waiting or events or running:
        while waiting and len(running) < 2:
            device = waiting.pop(0)
            step = steps[device].pop(0)
            for args in step.get("before", ()):
                run(*device.argv(job["program"], *args))
            if step.get("fill"):
                _fill(device)
                run("sync", "-f", device.mounted)
            now = time.monotonic()
            process = subprocess.Popen(
                device.argv(job["program"], *step["args"]), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            running[device] = (process, step["what"], now)
            if job["during"]:
                at(now + bench.random.uniform(0.05, 0.6) * length[step["what"]], device, step["what"], "during")
        for device, (process, what, began) in list(running.items()):
            if process.poll() is None:
                continue
            if process.returncode:
                assert process.stderr is not None
                raise RuntimeError(process.stderr.read().decode())
            now = time.monotonic()
            length[what] = now - began
            del running[device]
            for seconds in job["after"]:
                at(now + seconds, device, what, f"{seconds} s")
        if events and events[0][0] <= time.monotonic():
            _, _, device, what, moment = heapq.heappop(events)
            busy = device in running and running[device][0].poll() is None
            bench.cut(device, what, moment, done=moment != "during" or not busy)
            if moment == f"{job['after'][-1]} s" and steps[device]:
                waiting.append(device)
        elif running or not bench.look():
            time.sleep(0.002)
    while bench.look():
        pass
    return bench.results


def _fill(device: Device) -> None:
    """Put files into the layer of the one container, as if it had written them."""
    store = Store(str(device.graphroot), str(device.runroot))
    diff = Path(store.diff_directory(store.containers()[0].layer))
    (diff / "new").mkdir()
    for number in range(400):
        (diff / "new" / str(number)).write_bytes(os.urandom(3000))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    print(json.dumps(work(job)))
