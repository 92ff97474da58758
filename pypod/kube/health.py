"""Probes as health checks: --health-* of a livenessProbe, --health-startup-* of a startupProbe."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pypod.kube.objects import Container, Probe


def flags(item: Container, *, restarts: bool) -> dict[str, Any]:
    """A container that is found dead is restarted, or stopped if its pod's containers are not to be restarted."""
    probe = item.liveness
    if probe is None:
        return {}
    result = {
        "health_cmd": json.dumps(command(probe)),
        "health_interval": f"{probe.period}s",
        "health_timeout": f"{probe.timeout}s",
        "health_start_period": f"{probe.initial_delay}s",
        "health_retries": probe.failures,
        "health_on_failure": "restart" if restarts else "stop",
    }
    startup = item.startup
    if startup is not None:
        result.update(
            health_startup_cmd=json.dumps(command(startup)),
            health_startup_interval=f"{startup.period}s",
            health_startup_timeout=f"{startup.timeout}s",
            health_startup_retries=startup.failures,
            health_startup_success=startup.successes,
        )
    return result


def command(probe: Probe) -> list[str]:
    """What is run in the container, in the image-spec's form: no port need be reachable from outside."""
    if len(probe.command) == 3 and probe.command[:2] == ("/bin/sh", "-c"):
        return ["CMD-SHELL", probe.command[2]]  # what CMD-SHELL stands for
    if probe.command:
        return ["CMD", *probe.command]
    if probe.url:
        url = shlex.quote(probe.url)
        curl = "".join(f" -H {shlex.quote(f'{name}: {value}')}" for name, value in probe.headers)
        wget = "".join(f" --header {shlex.quote(f'{name}: {value}')}" for name, value in probe.headers)
        # An image has one or the other, if any.
        return ["CMD-SHELL", f"curl -fsS -o /dev/null{curl} {url} || wget -q -O /dev/null{wget} {url} || exit 1"]
    return ["CMD-SHELL", f"nc -z {shlex.quote(probe.host)} {probe.tcp_port} || exit 1"]
