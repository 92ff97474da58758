"""``info`` and ``version``: facts about this host and this store, in podman's layout (podman-info(1))."""

from __future__ import annotations

import os

import pypod
from pypod.base import files
from pypod.engine import container as containers
from pypod.engine import option_engine
from pypod.errors import PypodError
from pypod.oci import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store

_ATTEMPTS = ("slirp4netns", "pasta")


def version() -> dict[str, Any]:
    """The Client object of ``version``."""
    import sys

    number = pypod.PODMAN_VERSION if pypod.called_podman() else pypod.__version__
    return {
        "APIVersion": number,
        "Version": number,
        "GoVersion": "python" + sys.version.partition(" ")[0],
        "GitCommit": "",
        "BuiltTime": "Thu Jan  1 00:00:00 1970",
        "Built": 0,
        "OsArch": f"linux/{platform.here().architecture}",
        "Os": "linux",
    }


def info(context: Context, store: Store) -> dict[str, Any]:
    """Everything that ``info`` shows. Runs the helper programs once each to ask their versions."""
    return {
        "host": _host(context),
        "store": _store(context, store),
        "registries": _registries(),
        "plugins": {
            "volume": ["local"],
            "network": ["bridge", "macvlan", "ipvlan"],
            "log": ["k8s-file", "none", "passthrough", "journald"],
            "authorization": None,
        },
        "version": version(),
    }


def _read(path: str) -> str:
    try:
        return files.read(path).decode("utf-8", "replace")
    except OSError:
        return ""


def program(path: str) -> str:
    """What a program says to --version; "" if it cannot be run."""
    from pypod.base import process

    try:
        return process.run([path, "--version"]).stdout.decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _program(path: str | None) -> dict[str, str]:
    if path is None:
        return {"executable": "", "package": "", "version": ""}
    return {"executable": path, "package": _package(path), "version": program(path)}


def _package(path: str) -> str:
    """The Debian package that a file came in, as podman names it: name_version_architecture."""
    from pypod.base import process

    query = process.find("dpkg-query")
    if query is None:
        return "Unknown"
    try:
        owner = process.run([query, "--search", path]).stdout.decode().partition(":")[0]
        if not owner:
            return "Unknown"
        form = "${Package}_${Version}_${Architecture}"
        return process.run([query, "--showformat", form, "--show", owner]).stdout.decode() or "Unknown"
    except OSError:
        return "Unknown"


def _table(path: str, separator: str) -> dict[str, str]:
    found = {}
    for text in _read(path).splitlines():
        name, _, value = text.partition(separator)
        found[name.strip()] = value.strip().strip('"')
    return found


def _host(context: Context) -> dict[str, Any]:
    from pypod.base import process
    from pypod.engine import events, limits, start
    from pypod.linux import cgroups

    uname = os.uname()
    memory = _table("/proc/meminfo", ":")
    release = _table("/etc/os-release", "=")
    mode = cgroups.mode()
    monitor = start.monitor_path(context)
    result: dict[str, Any] = {
        "arch": platform.here().architecture,
        "buildahVersion": "",
        "cgroupManager": limits.shown(context),
        "cgroupVersion": "v2" if mode == cgroups.UNIFIED else "v1",
        "cgroupControllers": _controllers(mode == cgroups.UNIFIED),
        "conmon": {"package": _package(monitor), "path": monitor, "version": program(monitor)},
        "cpus": os.cpu_count() or 1,
        "cpuUtilization": _utilization(),
        "distribution": {
            "codename": release.get("VERSION_CODENAME", ""),
            "distribution": release.get("ID", "unknown"),
            "version": release.get("VERSION_ID", "unknown"),
        },
        "eventLogger": events.backend(context),
        "hostname": uname.nodename,
        "idMappings": _mappings(context),
        "kernel": uname.release,
        "linkmode": "dynamic",
        "logDriver": option_engine.usable_driver(context.containers),
        "memFree": _kilobytes(memory.get("MemFree", "0")),
        "memTotal": _kilobytes(memory.get("MemTotal", "0")),
        "networkBackend": "netavark",
        "ociRuntime": _runtime(context),
        "os": "linux",
        "remoteSocket": {"exists": False, "path": f"{context.runtime_dir}/pypod/pypod.sock"},
        "rootlessNetworkCmd": "",
        "serviceIsRemote": False,
        "security": _security(context),
    }
    for name in _ATTEMPTS:
        path = process.find(name, context.helper_dirs)
        result[name] = _program(path)
        if path and (name == "pasta" or not result["rootlessNetworkCmd"]):
            result["rootlessNetworkCmd"] = name
    result["swapFree"] = _kilobytes(memory.get("SwapFree", "0"))
    result["swapTotal"] = _kilobytes(memory.get("SwapTotal", "0"))
    result["uptime"] = _uptime()
    return result


def _kilobytes(text: str) -> int:
    number = text.partition(" ")[0]
    return int(number) * 1024 if number.isdecimal() else 0


def _controllers(unified: bool) -> list[str]:
    from pypod.linux import cgroups

    if unified:
        try:
            return cgroups.controllers(cgroups.ROOT + cgroups.own())
        except OSError:
            return []
    enabled = []
    for text in _read("/proc/cgroups").splitlines()[1:]:
        words = text.split()
        if len(words) == 4 and words[3] == "1" and os.path.isdir(f"{cgroups.ROOT}/{words[0]}"):
            enabled.append(words[0])
    return enabled


def _utilization() -> dict[str, float]:
    words = _read("/proc/stat").partition("\n")[0].split()[1:]
    ticks = [int(word) for word in words if word.isdecimal()]
    total = sum(ticks) or 1
    user, system, idle = (ticks[0], ticks[2], ticks[3]) if len(ticks) > 3 else (0, 0, 1)
    return {
        "userPercent": round(user * 100 / total, 2),
        "systemPercent": round(system * 100 / total, 2),
        "idlePercent": round(idle * 100 / total, 2),
    }


def _mappings(context: Context) -> dict[str, Any]:
    if not context.rootless:
        return {"gidmap": None, "uidmap": None}
    from pypod.engine import rootless

    try:
        uids, gids = rootless.mapping(context)
    except PypodError:
        return {"gidmap": None, "uidmap": None}
    maps = [
        [{"container_id": item.inside, "host_id": item.outside, "size": item.count} for item in ranges]
        for ranges in (gids, uids)
    ]
    return {"gidmap": maps[0], "uidmap": maps[1]}


def _runtime(context: Context) -> dict[str, str]:
    from pypod.engine import runtimes

    try:
        path = runtimes.path_of(context)
    except PypodError as error:
        return {"name": "", "package": "", "path": "", "version": error.message}
    return {"name": os.path.basename(path), "package": _package(path), "path": path, "version": program(path)}


def _security(context: Context) -> dict[str, Any]:
    from pypod.oci import capabilities

    status = _table("/proc/self/status", ":")
    return {
        "apparmorEnabled": _read("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        "capabilities": ",".join(capabilities.DEFAULT),
        "rootless": context.rootless,
        "seccompEnabled": "Seccomp" in status,
        "seccompProfilePath": "",
        "selinuxEnabled": os.path.exists("/sys/fs/selinux/enforce"),
    }


def _uptime() -> str:
    seconds = float(_read("/proc/uptime").partition(" ")[0] or 0)
    minutes, left = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{hours}h {minutes}m {left:.2f}s"
    return f"{text} (Approximately {hours / 24:.2f} days)" if hours >= 24 else text


def _store(context: Context, store: Store) -> dict[str, Any]:
    counts = {"number": 0, "paused": 0, "running": 0, "stopped": 0}
    for _, state in containers.observed(context, store, containers.every(context, store)):
        status = state.status
        counts["number"] += 1
        counts[status if status in ("paused", "running") else "stopped"] += 1
    place = context.graphroot
    while not os.path.isdir(place) and place != "/":
        place = os.path.dirname(place)
    space = os.statvfs(place)
    options: dict[str, Any] = {}
    for option in context.storage.options:
        key, _, value = option.partition("=")
        options[key] = value
    if context.mount_program:
        options["overlay.mount_program"] = {"Executable": context.mount_program, "Version": ""}
    return {
        "configFile": _storage_conf(context),
        "containerStore": counts,
        "graphDriverName": context.driver,
        "graphOptions": options,
        "graphRoot": context.graphroot,
        "graphRootAllocated": space.f_blocks * space.f_frsize,
        "graphRootUsed": (space.f_blocks - space.f_bfree) * space.f_frsize,
        "graphStatus": {
            "Backing Filesystem": _file_system(place),
            "Native Overlay Diff": "false" if context.mount_program else "true",
            "Supports d_type": "true",
            "Using metacopy": "true" if "metacopy=on" in context.mountopt else "false",
        },
        "imageCopyTmpDir": os.environ.get("TMPDIR") or "/var/tmp",
        "imageStore": {"number": len(store.images())},
        "runRoot": context.runroot,
        "transientStore": context.storage.transient_store,
        "volumePath": context.volume_path,
    }


def _storage_conf(context: Context) -> str:
    given = os.environ.get("CONTAINERS_STORAGE_CONF")
    home = os.environ.get("XDG_CONFIG_HOME") or context.home + "/.config"
    mine = home + "/containers/storage.conf"
    if given or context.rootless:
        return given or mine
    for path in ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf"):
        if os.path.exists(path):
            return path
    return "/etc/containers/storage.conf"


def _file_system(place: str) -> str:
    """podman's name for the type of the file system that holds ``place``."""
    wanted = os.stat(place).st_dev
    device = f"{os.major(wanted)}:{os.minor(wanted)}"
    kind = ""
    for text in _read("/proc/self/mountinfo").splitlines():
        words = text.split()
        if len(words) > 8 and words[2] == device and "-" in words:
            kind = words[words.index("-") + 1]
    return {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs"}.get(kind, kind or "unknown")


def _registries() -> dict[str, Any]:
    """podman's: where short names are looked for, and each table of registries.conf by its prefix.

    Raises ConfigError.
    """
    from pypod.registry import registries_conf

    def place(found: registries_conf.Place, plain: str = "all") -> dict[str, Any]:
        when = "" if found.when == plain else found.when
        return {"Location": found.location, "Insecure": found.insecure, "PullFromMirror": when}

    known = registries_conf.load()
    result: dict[str, Any] = {}
    for item in known.registries:
        # mirror-by-digest-only is a registry's word for what each of its mirrors may say.
        by_digest = bool(item.mirrors) and all(mirror.when == "digest-only" for mirror in item.mirrors)
        plain = "digest-only" if by_digest else "all"
        result[item.prefix] = {
            "Prefix": item.prefix,
            **place(item.place),
            "Mirrors": [place(mirror, plain) for mirror in item.mirrors] or None,
            "Blocked": item.blocked,
            "MirrorByDigestOnly": by_digest,
        }
    if known.unqualified:
        result["search"] = list(known.unqualified)
    return result
