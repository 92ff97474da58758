"""``update``: other limits, restart policy, health check and environment for a container that exists.

Limits of a running container change at once, through the runtime; everything is kept for the next start. Under the
container's lock, and written down only when the runtime has agreed.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.base.record import replace
from pypod.engine import container as containers
from pypod.engine import events, limits, option_engine, resources, rootless, runtimes
from pypod.errors import PypodError, UsageError, reason
from pypod.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.config import ContainerConfig, HealthCheck
    from pypod.engine.container import Container, State
    from pypod.engine.context import Context

# The fields of the configuration that a limit's flag sets.
_FIELDS = {
    "blkio_weight": ("blkio_weight",),
    "cpu_period": ("cpu_period", "cpus"),
    "cpu_quota": ("cpu_quota", "cpus"),
    "cpu_shares": ("cpu_shares",),
    "cpus": ("cpus", "cpu_period", "cpu_quota"),
    "cpuset_cpus": ("cpuset_cpus",),
    "cpuset_mems": ("cpuset_mems",),
    "memory": ("memory", "memory_swap"),
    "memory_reservation": ("memory_reservation",),
    "memory_swap": ("memory_swap",),
    "memory_swappiness": ("memory_swappiness",),
    "pids_limit": ("pids_limit",),
}
_HEALTH_TIMES = ("interval", "timeout", "start_period")


def rewrite(context: Context, container: Container, **changes: Any) -> Container:
    """The container with other fields in its configuration, on disk too. Raises StorageError, NoSuchContainer."""
    rootless.enter_user(context)
    with container.lock:
        container = containers.reread(container)
        return containers.save_config(container, replace(container.config, **changes))


def update(context: Context, container: Container, flags: Mapping[str, Any]) -> Container:
    """Carry out the ``flags`` that were given. Enters the user namespace.

    Raises UsageError, RuntimeFailed (then nothing has changed), PypodError.
    """
    rootless.enter_user(context)
    with container.lock:
        container = containers.reread(container)  # somebody else may have changed it before we had the lock
        changed = limits_of(container.config, flags)
        more = _others(container.config, flags)
        config = replace(container.config, **settled(container.config, changed), **more)
        state = containers.observe(container)
        if changed:
            _limit(context, container, state, config, changed)
        result = containers.save_config(container, config)
        if "healthcheck" in more and state.status in ("running", "paused"):
            from pypod.engine import health_log, health_timer

            if container.config.healthcheck is None:
                health_log.begin(result)
            health_timer.rearm(context, result, state)
    events.container(context, result, "update")
    return result


def limits_of(config: ContainerConfig, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the given flags of limits change; of those for single devices only what is new.

    Raises UsageError.
    """
    devices = [flag for flag in resources.DEVICE_FLAGS if flags.get(flag)]
    if devices:
        from pypod.engine import device_limits

        return {
            **limits_of(config, {key: value for key, value in flags.items() if key not in devices}),
            **{flag: device_limits.parse(flag, flags[flag]) for flag in devices},
        }
    given = {key: flags[key] for key in _FIELDS if flags.get(key) is not None}
    if given.get("memory_swappiness") == -1:
        del given["memory_swappiness"]
    if not given:
        return {}
    options = dict(given)
    # What belongs together is checked together.
    if "memory" not in given and config.memory:
        options["memory"] = str(config.memory)
    if "memory" in given and "memory_swap" not in given and config.memory_swap == -1:
        options["memory_swap"] = "-1"
    parsed = resources.parse(options, {"default_sysctls": []}, {})
    return {field: parsed[field] for key in given for field in _FIELDS[key]}


def settled(config: ContainerConfig, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the configuration then has them."""
    devices = [flag for flag in resources.DEVICE_FLAGS if flag in changed]
    if not devices:
        return dict(changed)
    from pypod.engine import device_limits

    return {
        **changed,
        **{flag: device_limits.settled(getattr(config, flag), changed[flag]) for flag in devices},
    }


def _limit(
    context: Context, container: Container, state: State, config: ContainerConfig, changed: Mapping[str, Any]
) -> None:
    if context.rootless and cgroups.mode() != cgroups.UNIFIED:
        limits.warn(context, config)
        return
    if state.status not in ("initialized", "running", "paused"):
        return
    if state.cgroup_manager == "disabled":
        raise PypodError(f"cannot change the limits of container {container.name}: it has no cgroup of its own")
    unified = cgroups.mode() == cgroups.UNIFIED
    # Only what changes: other limits may be below what is in use by now.
    kept = ("cgroup_conf", "device_cgroup_rules", "devices", "oom_kill_disable", "privileged")
    fields = {field: value for field, value in changed.items() if field not in kept}
    if "memory" not in fields and "memory_swap" in fields:
        fields["memory"] = config.memory
    bare = type(config)(id=config.id, name=config.name, created=config.created, **fields)
    wanted = limits.resources(context, bare, unified)
    wanted.pop("devices", None)
    if "pids_limit" not in changed:
        wanted.pop("pids", None)
    elif config.pids_limit < 0:
        wanted["pids"] = {"limit": -1}
    place = container.rundir + "/resources.json"
    try:
        files.replace(place, fastjson.dumps(wanted).encode())
        # systemd's first: it may be told the old limit of the scope once more, and that binds too.
        if state.cgroup_manager == "systemd":
            _limit_scope(context, state, wanted)
        _call_runtime(context, container, state, place, changed)
    finally:
        files.remove_tree(place)


def _call_runtime(
    context: Context, container: Container, state: State, file: str, changed: Mapping[str, Any]
) -> None:
    """Have the runtime set the limits in ``file``, and those of single devices. Raises RuntimeFailed, PypodError."""
    runtime = runtimes.of(context, container, state.runtime, state.cgroup_manager)
    devices = {flag: changed[flag] for flag in resources.DEVICE_FLAGS if flag in changed}
    if os.path.basename(state.runtime) == "crun":
        runtime.update(container.id, file)
        if devices:
            _limit_devices(context, state, devices, "")
        return
    from pypod.engine import device_limits

    unified = cgroups.mode() == cgroups.UNIFIED
    try:
        place = _place(container, state, unified)
        before = device_limits.snapshot(place, unified)
        runtime.update(container.id, file)
        # runc sets those of the start again, whatever they have become, and takes no others.
        device_limits.restore(place, before, unified)
        if devices:
            _limit_devices(context, state, devices, place)
    except OSError as error:
        raise PypodError(
            f"cannot change the limits of container {container.name}: {error.filename}: {reason(error)}"
        ) from None


def _limit_scope(context: Context, state: State, wanted: Mapping[str, Any]) -> None:
    from pypod.engine import scope_limits
    from pypod.systemd.bus import BusError

    try:
        scope_limits.update(context, state.runtime, state.cgroup_path, wanted)
    except BusError as error:
        raise PypodError(f"cannot change the limits of {scope_limits.unit(state.cgroup_path)}: {error}") from None


def _limit_devices(context: Context, state: State, wanted: Mapping[str, Mapping[str, int]], place: str) -> None:
    """The limits of single devices; ``place``: the cgroup's directory, where the runtime does not write them."""
    from pypod.engine import device_limits, scope_limits

    if place:
        for file, line in device_limits.lines(wanted, cgroups.mode() == cgroups.UNIFIED):
            cgroups.write(f"{place}/{file}", line)
    if state.cgroup_manager == "systemd":
        scope_limits.limit_devices(context, wanted, state.cgroup_path)


def _place(container: Container, state: State, unified: bool) -> str:
    """The directory of a container's cgroup that has the limits of block devices. Raises OSError."""
    path = cgroups.of(state.pid, container.id).get("" if unified else "blkio", "")
    return cgroups.ROOT + ("" if unified else "/blkio") + path


def _others(config: ContainerConfig, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The other fields. Raises UsageError."""
    changes: dict[str, Any] = {}
    if flags.get("restart"):
        policy, retries = option_engine.restart({"restart": flags["restart"], "rm": config.auto_remove})
        changes.update(restart_policy=policy, restart_retries=retries)
    if flags.get("ulimit"):
        known = {text.partition("=")[0]: text for text in config.ulimits}
        known.update({text.partition("=")[0]: text for text in resources.ulimits(flags["ulimit"])})
        changes["ulimits"] = list(known.values())
    if flags.get("env") or flags.get("unsetenv"):
        changes["env"] = _environment(config.env, flags.get("env") or (), flags.get("unsetenv") or ())
    given = any(value not in (None, "") for key, value in flags.items() if key.startswith("health_"))
    if flags.get("no_healthcheck"):
        if given:
            raise UsageError("--no-healthcheck conflicts with other --health flags")
        changes["healthcheck"] = None
    elif given:
        changes["healthcheck"] = _health(config.healthcheck, flags)
    return changes


def _environment(env: list[str], add: Any, drop: Any) -> list[str]:
    known = dict(text.split("=", 1) for text in env)
    for name in drop:
        known.pop(name, None)
    for text in add:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"invalid environment variable {text!r}: must be NAME[=VALUE]")
        if equals:
            known[name] = value
        elif name in os.environ:
            known[name] = os.environ[name]
    return [f"{name}={value}" for name, value in known.items()]


def _health(check: HealthCheck | None, flags: Mapping[str, Any]) -> HealthCheck | None:
    """The health check with the given flags; what they don't say stays as it is. Raises UsageError."""
    from pypod.engine import health_options

    options = {key: value for key, value in flags.items() if key.startswith("health_") and value is not None}
    if check is None:
        if not options.get("health_cmd"):
            raise UsageError(
                "cannot update the health check of a container without one", hint="give --health-cmd too"
            )
    else:
        options.setdefault("health_cmd", fastjson.dumps(check.test))
        options.setdefault("health_on_failure", check.on_failure)
        options.setdefault("health_retries", check.retries)
        if check.startup_test:
            options.setdefault("health_startup_cmd", fastjson.dumps(check.startup_test))
            options.setdefault("health_startup_retries", check.startup_retries)
            options.setdefault("health_startup_success", check.startup_success)
            options.setdefault("health_startup_interval", f"{check.startup_interval}ns")
            options.setdefault("health_startup_timeout", f"{check.startup_timeout}ns")
        for name in _HEALTH_TIMES:
            options.setdefault(f"health_{name}", f"{getattr(check, name)}ns")
    return health_options.parse(options, {})
