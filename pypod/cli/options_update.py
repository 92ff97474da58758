"""The flags of ``update`` (those of ``run`` that can change later), of ``container clone`` and of checkpoints.

The shape is in ``options``.
"""

from __future__ import annotations

from pypod.cli.options import LATEST
from pypod.cli.options_run import CREATE

_LIMITS = (
    "blkio-weight",
    "blkio-weight-device",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "device-read-bps",
    "device-read-iops",
    "device-write-bps",
    "device-write-iops",
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
CLONE = (
    *LIMITS,
    ("destroy", "bool", False, "", "Remove the original"),
    ("force f", "bool", False, "", "With --destroy, even if it runs"),
    ("name", "str", None, "NAME", "Name the clone (default that of the original and -clone)"),
    ("pod", "str", None, "POD", "Put the clone in a pod"),
    ("run", "bool", False, "", "Start the clone"),
)

_BOTH = (
    ("all a", "bool", False, "", "Every container"),
    ("file-locks", "bool", False, "", "Locks of files too"),
    ("ignore-rootfs", "bool", False, "", "Leave the root file system out of the archive"),
    ("ignore-volumes", "bool", False, "", "Leave the volumes out of the archive"),
    ("keep k", "bool", False, "", "Keep the files of criu"),
    *LATEST,
    ("print-stats", "bool", False, "", "Say how long it took"),
    ("tcp-established", "bool", False, "", "Connections too"),
)
CHECKPOINT = (
    *_BOTH,
    ("compress c", "str", "zstd", "METHOD", "How the archive is compressed", ("gzip", "none", "zstd")),
    ("create-image", "str", None, "NAME", "Make an image of the checkpoint"),
    ("export e", "str", None, "FILE", "Write the checkpoint to an archive"),
    ("leave-running R", "bool", False, "", "Let the container run on"),
    ("pre-checkpoint P", "bool", False, "", "Write the memory only, ahead of time"),
    ("with-previous", "bool", False, "", "What an earlier --pre-checkpoint has not"),
)
RESTORE = (
    *_BOTH,
    ("ignore-static-ip", "bool", False, "", "Another IP address than before"),
    ("ignore-static-mac", "bool", False, "", "Another MAC address than before"),
    ("import i", "str", None, "FILE", "Read the checkpoint from an archive"),
    ("import-previous", "str", None, "FILE", "The archive of the --pre-checkpoint"),
    ("name n", "str", None, "NAME", "Name the container"),
    ("pod", "str", None, "POD", "Put the container in a pod"),
    ("publish p", "list", (), "[[IP:]HOST:]CTR[/PROTO]", "Publish a port"),
    ("tcp-close", "bool", False, "", "Close the connections"),
)
