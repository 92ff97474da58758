"""The OCI config of a container, beside what podman writes for the same options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import box
from support.runner import Pypod, Result

# Real differences, each with its reason:
#  - annotations name the tool's version and time;
#  - podman passes "nocopy" on to the runtime, which does not know it.
OPTIONS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "terminal": ("-t", "-i"),
    "user": ("-u", "user", "--group-add", "wheel"),
    "user_number": (
        "-u",
        "0:10",
    ),
    "capabilities": ("--cap-add", "net_admin,sys_ptrace", "--cap-drop", "chown"),
    "all_capabilities": ("--cap-add", "all", "--cap-drop", "sys_admin"),
    "no_capabilities": ("--cap-drop", "all"),
    "user_capabilities": ("-u", "user", "--cap-add", "net_raw"),
    "privileged": ("--privileged",),
    "privileged_user": ("--privileged", "-u", "user"),
    "read_only": ("--read-only",),
    "read_only_all": ("--read-only", "--read-only-tmpfs=false"),
    "security": ("--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"),
    "masks": ("--security-opt", "mask=/foo:/bar", "--security-opt", "unmask=/proc/acpi:/proc/s*"),
    "unmask_all": ("--security-opt", "unmask=ALL", "--security-opt", "label=disable"),
    "proc_options": ("--security-opt", "proc-opts=hidepid=2"),
    "profile": ("--security-opt", "seccomp=/usr/share/containers/seccomp.json"),
    "binds": ("-v", "@:/m", "-v", "@:/n:ro,z,rslave", "--mount", "type=bind,src=@,dst=/o,ro=true"),
    "bind_flags": ("-v", "@:/m:noexec,nosuid,nodev", "-v", "@:/dev/shm", "-v", "@:/b/c", "-v", "@:/b"),
    "volumes": ("-v", "named:/v", "-v", "/anonymous", "--mount", "type=volume,src=named,dst=/w,ro"),
    "tmpfs": ("--tmpfs", "/t", "--tmpfs", "/run:size=10m,mode=755", "--mount", "type=tmpfs,dst=/u,tmpfs-size=1m"),
    "devpts": ("--mount", "type=devpts,destination=/p"),
    "device": ("--device", "/dev/null:/dev/other:r", "--device", "/dev/zero"),
    "host_namespaces": ("--uts", "host", "--pid", "host"),
    "ipc_none": ("--ipc", "none"),
    "cgroup_namespace": ("--cgroupns", "private"),
    "limits_of_the_process": ("--ulimit", "core=0:0", "--ulimit", "memlock=1000:2000", "--oom-score-adj", "100"),
    "environment": ("-e", "A=b", "-e", "HOME=/x", "-e", "HOSTNAME=y", "--unsetenv", "TERM", "-w", "/usr"),
    "names": ("--hostname", "other", "--umask", "0077", "--stop-signal", "USR1", "--annotation", "x=y"),
    "sysctl": ("--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=9000", "--shm-size", "1m"),
    "systemd": ("--systemd", "always"),
    "init": ("--init",),
}
ROOTLESS_ONLY: dict[str, tuple[str, ...]] = {
    "keep_id": ("--userns", "keep-id"),
    "keep_id_as": ("--userns", "keep-id:uid=1000,gid=1000", "-u", "user"),
    "nomap": ("--userns", "nomap"),
    "auto": ("--userns", "auto:size=2000"),
}
LIMITS = ("--ulimit", "nofile=1000:1000", "--ulimit", "nproc=500:500")
IDENTITY = re.compile(r"[0-9a-f]{64}")


class Podman:
    """The real podman, as the user of a Pypod, with a store of its own beside it."""

    def __init__(self, pypod: Pypod, place: Path) -> None:
        self.pypod = pypod
        self.program = box.need("podman")
        self.graphroot, self.runroot = place / "g", place / "r"

    def __call__(self, *args: str | Path) -> Result:
        return self.pypod.as_user(
            self.program, "--root", self.graphroot, "--runroot", self.runroot, "--runtime", box.runtime(),
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", *args, timeout=90,
        )  # fmt: skip


@pytest.fixture
def podman(fresh: Pypod, shared_dir: Path, busybox_tar: Path) -> Iterator[Podman]:
    made = Podman(fresh, shared_dir)
    made("import", busybox_tar, "localhost/bb:1").ok()
    yield made
    made("rm", "-f", "-a", "-t", "0")
    if fresh.rootless:
        made("unshare", "rm", "-rf", shared_dir / "g", shared_dir / "r")
        made("system", "migrate")


def config(tool: Pypod | Podman, words: list[str]) -> dict[str, Any]:
    """The config.json that ``init`` makes of a container with these options."""
    identity = tool("create", *words).ok().out.split()[-1]
    tool("init", identity).ok()
    record = tool("inspect", identity).ok().json[0]
    document: dict[str, Any] = json.loads(Path(record["OCIConfigPath"]).read_text())
    tool("rm", "-f", "-t", "0", "-v", identity).ok()
    return document


def _paths(document: dict[str, Any], tool: Pypod | Podman) -> dict[str, Any]:
    text = json.dumps(document)
    for path, name in ((tool.graphroot, "G"), (tool.runroot, "R")):
        text = text.replace(str(path), name)
    text = text.replace("vfs", "overlay").replace("overlay/dir", "overlay")
    found: dict[str, Any] = json.loads(IDENTITY.sub("ID", text))
    return found


def _calls(filter_: dict[str, Any] | None) -> Any:
    """A seccomp filter by what it does to each call, not by how it is written."""
    if filter_ is None:
        return None
    calls: dict[str, set[str]] = {}
    for rule in filter_["syscalls"]:
        for name in rule["names"]:
            effect = [rule["action"], rule.get("errnoRet"), rule.get("args") or []]
            calls.setdefault(name, set()).add(json.dumps(effect, sort_keys=True))
    return filter_["defaultAction"], filter_.get("defaultErrnoRet"), sorted(filter_["architectures"]), calls


def meaning(document: dict[str, Any], tool: Pypod | Podman) -> dict[str, Any]:
    """What the config means, without the order of what has none."""
    found = _paths(document, tool)
    process = found["process"]
    linux = found["linux"]
    result: dict[str, Any] = {
        "args": process["args"],
        "cwd": process["cwd"],
        "terminal": process.get("terminal", False),
        "user": process["user"],
        "env": sorted(re.sub(r"^(HOSTNAME|container_uuid)=[0-9a-f]+$", r"\1=", line) for line in process["env"]),
        "rlimits": sorted((item["type"], item["soft"], item["hard"]) for item in process["rlimits"]),
        "noNewPrivileges": process.get("noNewPrivileges", False),
        "oomScoreAdj": process.get("oomScoreAdj"),
        "readonly": found["root"].get("readonly", False),
        "hostname": IDENTITY.sub("", re.sub(r"^[0-9a-f]{12}$", "", found.get("hostname", ""))),
        "seccomp": _calls(linux.get("seccomp")),
        "masked": sorted(linux.get("maskedPaths") or []),
        "read-only paths": sorted(linux.get("readonlyPaths") or []),
        "namespaces": sorted(item["type"] for item in linux["namespaces"]),
        "uids": linux.get("uidMappings"),
        "gids": linux.get("gidMappings"),
        "sysctl": linux.get("sysctl"),
        "resources": linux.get("resources"),
        "devices": sorted((item["path"], item["major"], item["minor"]) for item in linux.get("devices") or []),
        "propagation": linux.get("rootfsPropagation"),
    }
    for kind in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        result[f"{kind} capabilities"] = sorted((process.get("capabilities") or {}).get(kind) or [])
    for mount in found["mounts"]:
        source = mount.get("source", "")
        if source.startswith(("R/", "G/")) and not source.startswith("G/volumes"):
            source = source.rpartition("/")[2]  # our own files lie elsewhere than podman's
        what = (mount["type"], source, sorted(mount.get("options") or []))
        result[f"mount {mount['destination']}"] = what
    return result


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        key: (ours.get(key), theirs.get(key)) for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)
    }


def test_config_means_what_podmans_means(fresh: Pypod, podman: Podman, busybox_tar: Path, base: Path) -> None:
    """One test for all sets of options: two stores serve them all."""
    (base / "c").mkdir(exist_ok=True)  # a mount point within a mount, which a plain user could not make
    fresh("import", busybox_tar, "localhost/bb:1").ok()
    sets = OPTIONS | (ROOTLESS_ONLY if fresh.rootless else {})
    wrong = {}
    for name, options in sets.items():
        words = [word.replace("@", str(base)) for word in options]
        words = ["--network", "none", *LIMITS, *words, "localhost/bb:1", "sleep", "100"]
        found = difference(meaning(config(fresh, words), fresh), meaning(config(podman, words), podman))
        if found:
            wrong[name] = found
    assert not wrong, "\n".join(
        f"{name}: {key}:\n    ours   {ours}\n    podman {theirs}"
        for name, found in wrong.items()
        for key, (ours, theirs) in found.items()
    )
