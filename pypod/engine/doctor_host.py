"""What containers need of the host: runtime, monitor, network programs, cgroups, keys."""

from __future__ import annotations

import os

from pypod.engine.doctor import bad, fine, number, warn
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypod.engine.context import Context
    from pypod.engine.doctor import Finding

_LIMITS = ("cpu", "io", "memory", "pids")
_DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n'"
    " | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload"
)


def _runs(path: str) -> str:
    """What a program says of its version; raises PypodError if it cannot be started."""
    from pypod.base import process

    try:
        done = process.run([path, "--version"])
    except OSError as error:
        raise PypodError(f"{path} cannot be started: {error.strerror}") from None
    if done.status:
        raise PypodError(f"{path} --version fails: {done.message}")
    return done.stdout.decode("utf-8", "replace").partition("\n")[0].strip() or path


def runtime(context: Context) -> Iterator[Finding]:
    """The OCI runtime that containers would be started with."""
    from pypod.engine import runtimes

    try:
        path = runtimes.path_of(context)
        said = _runs(path)
    except PypodError as error:
        yield bad("runtime", error.message, error.hint or "sudo apt-get install crun")
    else:
        yield fine("runtime", f"{path}: {said}")


def monitor(context: Context) -> Iterator[Finding]:
    """The program that stays with each container."""
    from pypod.engine import start

    try:
        path = start.monitor_path(context)
        said = _runs(path)
    except PypodError as error:
        yield bad("monitor", error.message, error.hint or "make build")
    else:
        yield fine("monitor", f"{path}: {said}")


def network(context: Context) -> Iterator[Finding]:
    """What the default network of containers is made with."""
    from pypod import network as networks
    from pypod.base import process
    from pypod.network import pasta

    preferred = str(context.network.get("default_rootless_network_cmd") or "")
    try:
        mode = networks.default_mode(context.rootless, context.helper_dirs, preferred)
    except PypodError as error:
        cure = "sudo apt-get install " + ("passt" if context.rootless else "netavark iptables")
        yield bad("network", error.message, cure)
        return
    if mode == "bridge":
        if process.find("iptables") is None:
            yield bad("network", "netavark needs iptables", "sudo apt-get install iptables")
        elif process.find("aardvark-dns", context.helper_dirs) is None:
            message = "without aardvark-dns containers do not find each other by name"
            yield warn("network", message, "sudo apt-get install aardvark-dns")
        else:
            yield fine("network", "netavark")
        return
    if not os.path.exists("/dev/net/tun"):
        yield bad("network", f"{mode} needs /dev/net/tun", "sudo modprobe tun")
    elif pasta.tun_hint():
        yield bad("network", "/dev/net/tun is not open to this user", "sudo chmod 0666 /dev/net/tun")
    else:
        yield fine("network", mode)


def cgroups(context: Context) -> Iterator[Finding]:
    """Whether limits can be set (cgroups(7))."""
    from pypod.linux import cgroups as kernel

    mode = kernel.mode()
    if mode == kernel.NONE:
        yield warn("cgroups", "/sys/fs/cgroup is not mounted: limits, pause and stats are not available")
        return
    if not context.rootless:
        yield fine("cgroups", f"cgroup {mode}")
        return
    if mode != kernel.UNIFIED:
        message = f"cgroup {mode}: limits, pause and stats are not available without root"
        cure = "sudo grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1"
        if os.path.exists("/etc/default/grub"):
            cure = "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub"
            cure += " && sudo update-grub && sudo reboot"
        yield warn("cgroups", message, cure)
        return
    home = f"{kernel.ROOT}/user.slice/user-{context.uid}.slice/user@{context.uid}.service"
    missing = [name for name in _LIMITS if name not in kernel.controllers(home)]
    if not os.path.isdir(home):
        message = "no user manager of systemd: limits, pause and stats are not available without root"
        yield warn("cgroups", message, f"sudo loginctl enable-linger {context.uid}")
    elif missing:
        message = f"systemd keeps {', '.join(missing)} to itself: these limits are not available without root"
        yield warn("cgroups", message, _DELEGATE)
    else:
        yield fine("cgroups", "cgroup v2, delegated")


def keys(context: Context) -> Iterator[Finding]:
    """Quotas of the kernel that many containers of one user run into (keyrings(7), inotify(7))."""
    for check, path, least, name in (
        ("inotify", "/proc/sys/fs/inotify/max_user_instances", 128, "fs.inotify.max_user_instances"),
        ("processes", "/proc/sys/kernel/pid_max", 4096, "kernel.pid_max"),
    ):
        found = number(path)
        if found is not None and found < least:
            yield warn(check, f"{name} is {found}", f"sudo sysctl -w {name}={least * 8}")
        elif found is not None:
            yield fine(check, f"{name} is {found}")


CHECKS = (runtime, monitor, network, cgroups, keys)
