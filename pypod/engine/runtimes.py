"""Which OCI runtime a container runs on."""

from __future__ import annotations

import os

from pypod.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.runtime.runtime import Runtime


def path_of(context: Context, name: str = "") -> str:
    """The runtime's executable: ``name``, else --runtime, else containers.conf's, else the first that works here.

    Raises NotFound.
    """
    from pypod.base import process
    from pypod.runtime.choice import choose

    wanted = name or str(context.flags.get("runtime") or "") or os.environ.get("PYPOD_RUNTIME", "")
    if not wanted:
        # containers.conf's "crun" is a packager's default, on hosts that crun refuses too: only a user's own choice
        # binds, see choose().
        wanted = str(context.engine.get("runtime") or "")
        if wanted in ("", "crun"):
            return choose("", context.helper_dirs)
    if "/" not in wanted:
        table = context.engine.get("runtimes")
        places = table.get(wanted) if isinstance(table, dict) else None
        for place in places if isinstance(places, list) else ():
            if os.access(str(place), os.X_OK):
                return str(place)
    found = process.find(wanted)
    if found is None:
        raise NotFound(
            f'default OCI runtime "{wanted}" not found: invalid argument', hint="apt-get install crun, or runc"
        )
    return found


def of(context: Context, container: Container | None = None, path: str = "", manager: str = "") -> Runtime:
    """The runtime of a container (the one it was started with), with its state below ``tmpdir``."""
    from pypod.runtime import Runtime

    chosen = path or (container.config.runtime if container is not None else "")
    if not chosen or "/" not in chosen:
        chosen = path_of(context, chosen)
    log = container.rundir + "/oci-log" if container is not None else ""
    return Runtime(
        chosen,
        root=f"{context.tmpdir}/{os.path.basename(chosen)}",
        log=log,
        cgroup_manager=manager,
        flags=[f"--{flag}" for flag in context.flags.get("runtime_flag") or ()],
        env=_system_bus() if manager == "systemd" and not context.rootless else None,
    )


def _system_bus() -> dict[str, str]:
    """root's environment, in which "the default bus" is the system's.

    In a login session of root crun would ask root's own user manager, which knows no unit of a container.
    """
    return {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/dbus/system_bus_socket"}
