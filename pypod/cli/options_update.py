"""The flags of ``update``: those of ``run`` that can change later. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import LATEST
from pypod.cli.options_run import CREATE

_LIMITS = (
    "blkio-weight",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "memory",
    "memory-reservation",
    "memory-swap",
    "memory-swappiness",
    "pids-limit",
)
_OTHERS = ("env", "no-healthcheck", "restart", "ulimit", "unsetenv")
_NO_DEFAULT = {"health-on-failure": None}


def _chosen(flag: tuple[object, ...]) -> tuple[object, ...]:
    name = str(flag[0]).split()[0]
    return (*flag[:2], _NO_DEFAULT[name], *flag[3:]) if name in _NO_DEFAULT else flag


LIMITS = tuple(flag for flag in CREATE if flag[0].split()[0] in _LIMITS)
UPDATE = (
    *LATEST,
    *(_chosen(flag) for flag in CREATE if flag[0].split()[0] in _LIMITS + _OTHERS or flag[0].startswith("health-")),
)
