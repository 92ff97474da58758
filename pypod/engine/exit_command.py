"""The command line by which a monitor calls back when its container has ended."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context


def program() -> list[str]:
    """The interpreter, without ``site``, and the package's __main__, which finds the rest."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", "-S", "-X", "utf8", package + "/__main__.py"]


def global_flags(context: Context) -> list[str]:
    """The global flags that lead another pypod to the same places, whatever its environment says."""
    words = ["--root", context.graphroot, "--runroot", context.runroot, "--tmpdir", context.tmpdir]
    words += ["--storage-driver", context.driver]
    # --root and --storage-driver leave the options of storage.conf behind.
    for option in context.storage.options:
        words += ["--storage-opt", option]
    if context.storage.imagestore:
        words += ["--imagestore", context.storage.imagestore]
    if context.storage.transient_store:
        words += ["--transient-store"]
    for key in (
        "runtime",
        "conmon",
        "cgroup_manager",
        "volumepath",
        "network_cmd_path",
        "network_config_dir",
        "events_backend",
    ):
        if context.flags.get(key):
            words += ["--" + key.replace("_", "-"), str(context.flags[key])]
    for value in context.flags.get("runtime_flag") or ():
        words += ["--runtime-flag", str(value)]
    return words


def cleanup(context: Context, container_id: str) -> list[str]:
    """``pypod container cleanup ID`` in full."""
    return [*program(), *global_flags(context), "container", "cleanup", container_id]


def health(context: Context, container_id: str) -> list[str]:
    """``pypod healthcheck run ID`` in full: what the monitor's timer starts."""
    return [*program(), *global_flags(context), "healthcheck", "run", container_id]


def cleanup_exec(context: Context, container_id: str, session: str) -> list[str]:
    """The same for an exec session that nobody waits for."""
    return [*program(), *global_flags(context), "container", "cleanup", "--exec", session, container_id]
