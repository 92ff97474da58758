"""The text of a service unit (systemd.service(5), systemd.unit(5)). Values in, text out."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from pypod.systemd import quoting

# Signals from which systemd takes a main process's death for a clean exit (systemd.service(5), SuccessExitStatus=).
CLEAN_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM)
RESTART_POLICIES = ("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always")


@dataclass(frozen=True)
class Service:
    """One service whose main process is a container's monitor.

    Of ``commands`` each is a setting (ExecStart) and its words, quoted already; all other text is plain, but for
    ``pid_file`` and ``mounts_for``, which the caller has quoted. Times in seconds, None: systemd's
    default.
    """

    name: str  # without .service
    program: str  # for the description: "Pypod"
    manual: str  # the manual page
    commands: tuple[tuple[str, tuple[str, ...]], ...]
    stop_timeout: int
    start_timeout: int | None = None
    restart: str = "on-failure"
    restart_sec: int | None = None
    restart_burst: int = 0  # so many starts, and no more
    clean_exits: tuple[int, ...] = ()  # exit statuses that are no failure, beside 0
    pid_file: str = ""
    notify: bool = False  # somebody says READY=1 on the notify socket; otherwise the start command's end says it
    network_online: bool = True
    template: bool = False
    header: tuple[str, ...] = ()  # lines of comment below the name
    mounts_for: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    members: tuple[str, ...] = ()  # a pod's services, that it pulls in and that start after it
    bound_to: str = ""  # the pod's service
    after: tuple[str, ...] = ()  # other services that start before
    user_wants: tuple[str, ...] = ()
    user_after: tuple[str, ...] = ()
    user_requires: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The name of the unit, as --format json has it: a template's ends with @."""
        return self.name + ("@" if self.template else "")


def text(service: Service) -> str:
    """The unit file. Raises quoting.Unrepresentable."""
    lines = [f"# {service.unit}.service", *(f"# {line}" for line in service.header), ""]
    lines += ["[Unit]", *_unit(service), "", "[Service]", *_service(service), ""]
    lines += ["[Install]", "WantedBy=default.target", ""]
    return "\n".join(lines)


def _unit(service: Service) -> list[str]:
    instance = " for %I" if service.template else ""
    lines = [
        f"Description={service.program} {service.name}.service{instance}",
        f"Documentation=man:{service.manual}",
    ]
    if service.network_online:
        lines += ["Wants=network-online.target", "After=network-online.target"]
    if service.mounts_for:
        lines.append("RequiresMountsFor=" + " ".join(service.mounts_for))
    if service.members:
        names = " ".join(name + ".service" for name in service.members)
        lines += [f"Wants={names}", f"Before={names}"]
    if service.bound_to:
        lines += [f"BindsTo={service.bound_to}.service", f"After={service.bound_to}.service"]
    if service.after:
        lines.append("After=" + " ".join(name + ".service" for name in service.after))
    if service.restart_burst:
        lines.append(f"StartLimitBurst={service.restart_burst}")
    users = [
        f"{key}={' '.join(names)}"
        for key, names in (
            ("Wants", service.user_wants),
            ("After", service.user_after),
            ("Requires", service.user_requires),
        )
        if names
    ]
    return [*lines, "", "# User-defined dependencies", *users] if users else lines


def _seconds(number: int) -> str:
    """systemd counts microseconds in 64 bits, and ignores what does not fit."""
    return str(number) if number < 1 << 40 else "infinity"


def _service(service: Service) -> list[str]:
    lines = ["Environment=PODMAN_SYSTEMD_UNIT=%n"]
    lines += [f"Environment={quoting.assignment(name, value)}" for name, value in service.environment]
    lines.append(f"Restart={service.restart}")
    if service.restart_sec is not None:
        lines.append(f"RestartSec={_seconds(service.restart_sec)}")
    if service.start_timeout is not None:
        lines.append(f"TimeoutStartSec={_seconds(service.start_timeout)}")
    lines.append(f"TimeoutStopSec={_seconds(service.stop_timeout)}")
    lines += [f"{setting}={quoting.lines(words)}" for setting, words in service.commands]
    if service.clean_exits:
        lines.append("SuccessExitStatus=" + " ".join(map(str, service.clean_exits)))
    # The stop command ends the container; then only the monitor is left to be asked, and what else is there, killed.
    lines += ["KillMode=mixed", "Delegate=yes"]
    if service.notify:
        # The container's READY=1 comes by the monitor, a health check's by a child of that.
        lines += ["Type=notify", "NotifyAccess=all"]
    else:
        lines += [f"PIDFile={service.pid_file}", "Type=forking"]
    return lines
