"""pypod and skopeo write one store at the same time: 300 updates, none lost, and nobody sees a store to repair."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

from interop.test_storage import Tools, docker_archive, entry, pack
from support.runner import Pypod, Result

# What the verbs tag, untag, create and rm call, in three processes; a command for each would take a minute.
WRITER = """
import os, sys, time
from pypod.engine import rootless
from pypod.engine.context import open_context
from pypod.engine.container import open_store
root, runroot, name, count = sys.argv[1:]
context = open_context({"root": root, "runroot": runroot, "storage_driver": "overlay"})
if context.rootless:
    rootless.enter_user(context)
store = open_store(context)
for number in range(int(count)):
    time.sleep(0.04)  # several of skopeo's commits fall between
    image = store.find_image("localhost/bb:1")
    store.tag(image.id, [f"localhost/{name}:{number}"])
    if number % 4 == 1:
        store.untag(image.id, [f"localhost/{name}:{number}"])
    if number % 10 == 2:
        id = os.urandom(32).hex()
        store.create_container(id=id, names=[f"{name}-{number}"], image=image, volatile=number % 20 == 2)
        if number % 20 == 2:
            store.delete_container(id)
"""
COUNT = 75  # 225 names given, 57 taken, 24 containers made and 12 removed
WRITERS = 3


def complaints(done: Result) -> list[str]:
    """What a tool says on stderr, but for the warning that a rootless podman has for a / that is not shared."""
    return [line for line in done.err.splitlines() if "is not a shared mount" not in line]


def test_nothing_is_lost(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> None:
    tools = Tools(fresh)
    fresh("import", busybox_tar, "localhost/bb:1").ok()
    sources = []
    for number in range(3):
        layer = pack((entry(f"f{number}"), os.urandom(100)))
        sources.append(docker_archive(shared_dir / f"{number}.tar", [layer], "localhost/x:1"))
    bad: list[Result] = []
    copied: list[str] = []
    ended = threading.Event()

    def copies() -> None:
        number = 0
        while not ended.is_set():
            name = f"localhost/theirs:{number}"
            done = tools.skopeo("copy", "-q", f"docker-archive:{sources[number % 3]}", tools.stored(name))
            if done.code or complaints(done):
                bad.append(done)
            copied.append(name)
            seen = tools.podman("images", "-q") if number % 4 == 0 else None
            if seen is not None and (seen.code or complaints(seen)):
                bad.append(seen)
            number += 1

    thread = threading.Thread(target=copies)
    thread.start()
    try:
        venv = Path(fresh.program).parent / "python3"
        writers = [
            subprocess.Popen(
                [str(venv), "-c", WRITER, str(fresh.graphroot), str(fresh.runroot), f"w{number}", str(COUNT)],
                env=fresh.environment(),
                cwd=fresh.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                **fresh.user.popen_options(),
            )
            for number in range(WRITERS)
        ]
        for writer in writers:
            out, _ = writer.communicate(timeout=120)
            assert (writer.returncode, out.decode()) == (0, "")
    finally:
        ended.set()
        thread.join()
    assert not bad, bad
    assert len(copied) >= 4
    wanted = {f"localhost/w{w}:{number}" for w in range(WRITERS) for number in range(COUNT) if number % 4 != 1}
    wanted |= {*copied, "localhost/bb:1"}
    listing = ("images", "-a", "--format", "{{.Repository}}:{{.Tag}}")
    assert {line for line in fresh(*listing).ok().lines if "<none>" not in line} == wanted
    assert {line for line in tools.podman(*listing).ok().lines if "<none>" not in line} == wanted
    containers = {f"w{w}-{number}" for w in range(WRITERS) for number in range(COUNT) if number % 20 == 12}
    found = tools.podman("ps", "-a", "--external", "--format", "{{.Names}}").ok()
    assert set(found.lines) == containers and not complaints(found)
    assert fresh("system", "check", "-m", "0s").ok().out == ""
    if fresh.rootless:
        tools.podman("system", "migrate")
