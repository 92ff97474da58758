"""The OCI bundle of one start: what has to be on disk before the monitor calls the runtime."""

from __future__ import annotations

import os

from pypod.base import fastjson
from pypod.base.record import record, replace
from pypod.engine import limits, netconfig, specgen, users
from pypod.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.deeds import Deeds
    from storage.store import Store


@record
class Bundle:
    """What the later steps of the start need to know."""

    cgroup_manager: str
    cgroups_path: str


def write(
    context: Context,
    store: Store,
    container: Container,
    root: str,
    joined: dict[str, str],
    deeds: Deeds,
    *,
    notify: bool = False,
) -> Bundle:
    """Make config.json and what it refers to. ``root`` is the mounted root file system, ``joined`` the namespaces
    to join (OCI type → path). With ``notify`` the container has the monitor's notify socket. ``deeds`` does what is
    to be done for it.

    Raises PypodError.
    """
    config = container.config
    plan = limits.plan(context, config)
    root_fd = deeds.root(root)
    try:
        named = users.resolve(root_fd, config.user, config.groups)
        etc_files = netconfig.etc_files(context, store, container, deeds)
        from pypod.engine import prepare

        extra = prepare.prepare(context, store, container, root_fd, named, deeds)
        etc_files.update(extra.files)
    finally:
        os.close(root_fd)
    extra_mounts = extra.mounts
    if config.secrets:
        from pypod.engine import secret_use

        config = replace(config, env=[*config.env, *secret_use.variables(context, container)])
        extra_mounts = [*extra_mounts, *secret_use.mounts(container)]
    if notify:
        from pypod.engine import notify as notifying

        config = replace(config, env=[*config.env, notifying.VARIABLE])
        extra_mounts = [*extra_mounts, notifying.mount(container)]
    subpaths = {}
    if any(item.subpath for item in config.mounts):
        from pypod.engine import subpaths as parts

        subpaths = parts.attach(container, deeds)
    request = specgen.SpecRequest(
        config=config,
        rootfs=root,
        user=extra.user,
        etc_files=etc_files,
        joined=joined,
        shm=_shm(container, deeds),
        hostname=specgen.default_hostname(config),
        rootless=context.rootless,
        init_path=_init_path(context, container),
        cgroups_path=plan.path,
        resources=plan.resources,
        unified_cgroup=plan.unified,
        extra_mounts=extra_mounts,
        unmade=deeds.unmade,
        gid_count=_gid_count(context),
        subpaths=subpaths,
    )
    spec = specgen.runtime_spec(request)
    if plan.manager == "systemd":
        from pypod.engine import runtimes, scope_limits

        runtime = runtimes.path_of(context, config.runtime)
        spec["annotations"].update(scope_limits.for_runtime(runtime, plan.resources))
    deeds.write(container.userdata + "/config.json", fastjson.dumps(spec).encode())
    return Bundle(cgroup_manager=plan.manager, cgroups_path=plan.path)


def _shm(container: Container, deeds: Deeds) -> str:
    mode = container.config.ipc.mode
    if mode == "host":
        return "/dev/shm"
    if mode in ("private", "shareable", "container"):
        path = container.rundir + "/shm"
        return path if deeds.has(path) else ""
    return ""


def _gid_count(context: Context) -> int:
    """How many group ids there are: one only for a user without subordinate ids, who asks for ignore_chown_errors."""
    if not context.rootless or not context.storage.ignore_chown_errors:
        return 65536
    from pypod.linux import idmap

    return sum(item.count for item in idmap.of_process(kind="gid"))


def _init_path(context: Context, container: Container) -> str:
    if not container.config.init:
        return ""
    from pypod.base import process

    wanted = container.config.init_path or str(context.engine.get("init_path") or "")
    found = process.find(wanted or "catatonit", context.helper_dirs)
    if found is None:
        raise NotFound(f"container-init binary {wanted or 'catatonit'} not found", hint="apt-get install catatonit")
    return found
