"""What containers may leave behind on a machine, and a search for it.

A snapshot is taken when a store holds its images and nothing else; afterwards everything must be as it was then.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.runner import Pypod, children, cmdline
from support.users import processes_of

# Files that come with the first use and stay: locks, caches, markers of the storage format.
HARMLESS = (
    ".lock",
    "/storage.lock",
    "/userns.lock",
    "/pypod-conf.containers",
    "/pypod-conf.storage",
    "/.has-mount-program",
    "/pypod/synced",
    "/pypod/ended",  # and its predecessor: of bounded size
    "/pypod/ended.old",
    "/pypod/events/events.log",  # the same
    "/pypod/events/events.log.1",
    "/pypod/kept/containers",  # of as many as there were
    "/pypod/kept/states",
)


@dataclass(frozen=True)
class Snapshot:
    """What a store holds: layers, container records, volumes, other files; and who runs on it."""

    found: dict[str, frozenset[str]] = field(default_factory=dict)

    def since(self, earlier: Snapshot) -> dict[str, list[str]]:
        """What has come since ``earlier``."""
        new = {}
        for kind, now in self.found.items():
            more = sorted(now - earlier.found.get(kind, frozenset()))
            if more:
                new[kind] = more
        return new


def _mounts(places: list[str]) -> frozenset[str]:
    """Mounts under ``places`` in any mount namespace of a living process."""
    found = set()
    seen = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            namespace = os.readlink(f"/proc/{entry}/ns/mnt")
            if namespace in seen:
                continue
            text = Path(f"/proc/{entry}/mountinfo").read_text(errors="surrogateescape")
        except OSError:
            continue
        seen.add(namespace)
        for line in text.splitlines():
            point = line.split()[4]
            if any(point.startswith(place + "/") for place in places):
                found.add(f"{point} in {namespace} of {entry} ({' '.join(cmdline(int(entry)))[:120]})")
    return frozenset(found)


def _processes(pypod: Pypod, places: list[str]) -> frozenset[str]:
    """Processes that name the store in their arguments, and others of the tests' own rootless user."""
    pids = set(processes_of(pypod.user)) if pypod.user.switch else set()
    me = os.getpid()
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == me:
            continue
        line = " ".join(cmdline(int(entry)))
        if line and (int(entry) in pids or any(place in line for place in places)):
            found.add(f"{entry}: {line[:200]}")
    return frozenset(found)


def _ids(file: Path) -> frozenset[str]:
    try:
        records = json.loads(file.read_text() or "[]")
    except FileNotFoundError:
        return frozenset()
    return frozenset(str(record["id"]) for record in records)


def _mapped_layers(images: Path) -> frozenset[str]:
    """The copies of images for containers with an id mapping of their own: kept for the next such container."""
    try:
        records = json.loads(images.read_text() or "[]")
    except FileNotFoundError:
        return frozenset()
    return frozenset(str(layer) for record in records for layer in record.get("mapped-layers") or ())


def _names(directory: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()


def _files(directory: Path) -> frozenset[str]:
    found = set()
    for base, _, files in os.walk(directory):
        for name in files:
            path = f"{base}/{name}"
            # A holder of the user namespace that died is forgotten by the next command.
            if not path.endswith(HARMLESS) and "/pypod/holders/" not in path:
                found.add(path)
    return frozenset(found)


def snapshot(pypod: Pypod) -> Snapshot:
    """Look at everything that ``pypod`` may have made."""
    assert pypod.graphroot and pypod.runroot
    graph, run = pypod.graphroot, pypod.runroot
    places = [str(graph), str(run)]
    layers = _ids(graph / "overlay-layers" / "layers.json")
    kept = _mapped_layers(graph / "overlay-images" / "images.json")
    return Snapshot(
        {
            "mounts": _mounts(places),
            "processes": _processes(pypod, places),
            "layer directories": _names(graph / "overlay") - {"l", "tempdirs"} - kept,
            "staging areas": frozenset(n for n in _names(graph / "overlay/tempdirs") if n.startswith("temp-dir")),
            "layers": (layers - kept) | _ids(graph / "overlay-layers" / "volatile-layers.json"),
            "files half written": frozenset(
                f"{directory}/{name}"
                for directory in ("overlay-layers", "overlay-images", "overlay-containers")
                for name in _names(graph / directory)
                if name.startswith(".tmp-")
            ),
            "containers": _ids(graph / "overlay-containers" / "containers.json")
            | _ids(graph / "overlay-containers" / "volatile-containers.json"),
            "container directories": frozenset(
                name
                for name in _names(graph / "overlay-containers") | _names(run / "overlay-containers")
                if len(name) == 64
            ),
            "volumes": _names(graph / "volumes"),
            # The cache of what registries have is meant to stay, and so are the files of infra containers.
            "files of ours": _files(graph / "pypod") - _files(graph / "pypod/blobs") - _files(graph / "pypod/pause"),
            "volatile files": _files(run),
        }
    )


def end_processes(place: str) -> None:
    """Kill what failed tests have left running: processes with ``place`` in their arguments, and their children."""
    named = {
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and int(entry) != os.getpid() and place + "/" in " ".join(cmdline(int(entry)))
    }
    for pid in named.union(*map(children, named)):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def since(pypod: Pypod, earlier: Snapshot, patience: float = 8) -> dict[str, list[str]]:
    """What ``pypod`` has left since ``earlier``; detached cleanup gets ``patience`` seconds to finish."""
    end = time.monotonic() + patience
    while True:
        left = snapshot(pypod).since(earlier)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.2)
