"""``system prune``, ``system reset`` and ``system migrate``, each in a store of its own."""

from __future__ import annotations

import os
from pathlib import Path

from support.runner import Pypod


def test_prune_reset_and_migrate(fresh: Pypod, busybox_tar: Path) -> None:
    pypod = fresh
    pypod("import", busybox_tar, "localhost/bb:1").ok()
    pypod("import", busybox_tar).ok()
    pypod("volume", "create", "unused").ok()
    pypod("network", "create", "lonely").ok()
    run = ("run", "-d", "--network", "none", "--stop-timeout", "0")
    pypod(*run, "--name", "busy", "-v", "used:/v", "localhost/bb:1", "sleep", "1000").ok()
    pod = pypod("pod", "create", "--name", "ended").ok().out.strip()
    pypod("pod", "start", "ended").ok()
    pypod("pod", "stop", "-t", "0", "ended").ok()
    stopped = pypod("create", "--name", "idle", "localhost/bb:1", "true").ok().out.strip()
    # Asked, and told no.
    asked = pypod("system", "prune", input="n\n").ok()
    assert "all stopped containers" in asked.out and "[y/N]" in asked.out and "Deleted" not in asked.out
    pypod("system", "prune", "-f", "--filter", "colour=red").fails(125, "invalid filter")
    assert "Deleted" not in pypod("system", "prune", "-f", "--filter", "label=none").ok().out

    pruned = pypod("system", "prune", "-f").ok().lines
    assert pruned[:2] == ["Deleted Pods", pod]
    assert pruned[2:6] == ["Deleted Containers", stopped, "Deleted Networks", "lonely"]
    assert "Deleted Images" in pruned and pruned[-1].startswith("Total reclaimed space: ")
    assert pypod("volume", "exists", "unused").code == 0 and pypod.names() == ["busy"]
    assert pypod("system", "prune", "-f", "-a", "--volumes").ok().lines[:2] == ["Deleted Volumes", "unused"]
    assert pypod("volume", "exists", "used").code == 0

    pypod("system", "renumber").ok()
    assert pypod.state("busy") == "running"
    pypod("system", "migrate", "--new-runtime", "nothing").fails(125, "not found")
    assert pypod.state("busy") == "running"
    pypod("system", "migrate", "--new-runtime", "runc").ok()
    assert pypod.state("busy") == "exited"
    pypod("start", "busy").ok()

    # What is not of the store stays where it is.
    assert fresh.graphroot and fresh.runroot
    kept = fresh.graphroot / "cache"
    kept.mkdir()
    (kept / "mine").write_text("mine")
    os.chmod(kept / "mine", 0o644)
    pypod("secret", "create", "word", "-", input="x").ok()
    assert "all containers" in pypod("system", "reset", input="\n").ok().out
    assert pypod.state("busy") == "running"
    pid = pypod.pid("busy")
    pypod("system", "reset", "-f").ok()
    assert not Path(f"/proc/{pid}").exists()
    assert os.listdir(fresh.graphroot) == ["cache"] and (kept / "mine").read_text() == "mine"
    assert not fresh.runroot.exists() or os.listdir(fresh.runroot) == []
    assert pypod("ps", "-aq").ok().out == ""
