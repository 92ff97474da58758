"""``inspect`` of a container: podman's JSON, key by key (podman-container-inspect(1); 4.3.1's types, 5's keys too).

What only a started container has (addresses, ids of namespaces) is asked for here; nothing is changed.
"""

from __future__ import annotations

from pypod.base import files, times
from pypod.engine import container as containers
from pypod.engine import health_log, inspect_host, orphans, ps_view
from pypod.errors import NoSuchContainer
from pypod.linux import cgroups
from pypod.network.records import empty_view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import Container, State
    from pypod.engine.context import Context
    from storage.store import Store

# Of a container that outlives its monitor.
_UNWATCHED = "the monitor died: output is lost, and the exit status will not be known"


def inspect(context: Context, store: Store, container: Container, *, size: bool = False) -> dict[str, Any]:
    """Everything about one container. ``size`` needs the user namespace to be entered."""
    config = container.config
    state = containers.observe(container)
    spec = _spec(container)
    words = [*config.entrypoint, *config.command]
    granted = inspect_host.capabilities(config, spec)
    result: dict[str, Any] = {
        "Id": container.id,
        "Created": config.created,
        "Path": words[0] if words else "",
        "Args": words[1:],
        "State": _state(container, state),
        "Image": config.image_id,
        "ImageDigest": _digest(store, config.image_id),
        "ImageName": config.image,
        "Rootfs": config.rootfs,
        "Pod": config.pod,
        "ResolvConfPath": container.rundir + "/resolv.conf",
        "HostnamePath": container.rundir + "/hostname",
        "HostsPath": container.rundir + "/hosts",
        "StaticDir": container.userdata,
        "OCIConfigPath": container.userdata + "/config.json" if spec else "",
        "OCIRuntime": (state.runtime or config.runtime).rpartition("/")[2],
        "ConmonPidFile": config.conmon_pidfile or container.rundir + "/conmon.pid",
        "PidFile": config.pidfile or container.rundir + "/pidfile",
        "Name": container.name,
        "RestartCount": state.restarts,
        "Driver": store.driver,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": config.apparmor,
        "EffectiveCaps": inspect_host.effective(config, spec, granted),
        "BoundingCaps": granted,
        "ExecIDs": _exec_ids(container),
        "GraphDriver": _graph(store, config),
        "Mounts": [mount(item) for item in config.mounts if item.type in ("bind", "volume", "image")],
        "Dependencies": list(config.dependencies),
        "NetworkSettings": _shared_network(context, store, container) or network_settings(container, state),
        "Namespace": "",
        "IsInfra": config.infra,
        "IsService": False,
        "KubeExitCodePropagation": "invalid",
        "lockNumber": 0,
        "Config": _config(container, spec),
        "HostConfig": inspect_host.host_config(context, container, spec),
    }
    if size:
        found = ps_view.sizes(store, container)
        result["SizeRw"] = found["rwSize"]
        result["SizeRootFs"] = found["rootFsSize"]
    return result


def _spec(container: Container) -> dict[str, Any]:
    """The OCI config of the last start; empty before the first."""
    try:
        found = files.read_json(container.userdata + "/config.json")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(store: Store, image_id: str) -> str:
    if image_id:
        for image in store.images():
            if image.id == image_id:
                return image.digest
    return ""


def _exec_ids(container: Container) -> list[str]:
    import os

    if not os.path.exists(container.rundir + "/exec"):
        return []
    from pypod.engine import execute

    return execute.sessions(container)


def _cgroup(container: Container, state: State) -> str:
    """Where the running container's cgroup is; with systemd's, the scope."""
    if ":" not in state.cgroup_path or not state.pid:
        return state.cgroup_path
    try:
        return cgroups.of(state.pid, container.id).get("", "")
    except OSError:
        return ""


def _state(container: Container, state: State) -> dict[str, Any]:
    running = state.status in ("running", "stopping")
    health: dict[str, Any] = {"Status": "", "FailingStreak": 0, "Log": None}
    if container.config.healthcheck is not None:
        health = health_log.shown(container)
    result: dict[str, Any] = {
        "OciVersion": "1.0.2",
        "Status": state.status,
        "Running": running,
        "Paused": state.status == "paused",
        "Restarting": False,
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.pid,
        "ConmonPid": state.conmon_pid,
        "ExitCode": state.exit_code,
        "Error": _UNWATCHED if orphans.unwatched(state) else state.error,
        "StartedAt": times.rfc3339(state.started_at),
        "FinishedAt": times.rfc3339(state.finished_at),
        "Health": health,
        "CgroupPath": _cgroup(container, state),
        "CheckpointedAt": times.rfc3339(state.checkpointed_at),
        "RestoredAt": times.rfc3339(state.restored_at),
        "StoppedByUser": state.stopped_by_user,
    }
    # podman leaves out what is not set.
    more = {
        "Checkpointed": state.checkpointed,
        "CheckpointPath": state.checkpoint_path,
        "CheckpointLog": state.checkpoint_log,
        "Restored": bool(state.restored_at),
        "RestoreLog": state.restore_log,
        "HealthTimer": _health_timer(container, state),
    }
    result.update({key: value for key, value in more.items() if value})
    return result


def _health_timer(container: Container, state: State) -> str:
    """What runs the health check by itself: a unit of systemd's, "monitor", or "" for nothing."""
    if state.status not in ("running", "stopping") or not health_log.interval(container):
        return ""
    if state.health_timer:
        return state.health_timer + ".timer"
    try:
        told = files.read(f"/proc/{state.conmon_pid}/cmdline")
    except OSError:
        return ""
    return "monitor" if b"\0--health-command\0" in told else ""


def _graph(store: Store, config: ContainerConfig) -> dict[str, Any]:
    if not config.layer:
        return {"Name": store.driver, "Data": None}
    home = f"{store.home}/{config.layer}"
    return {
        "Name": store.driver,
        "Data": {
            "LowerDir": ":".join(store.lower_directories(config.layer)),
            "MergedDir": home + "/merged",
            "UpperDir": home + "/diff",
            "WorkDir": home + "/work",
        },
    }


def mount(item: Any) -> dict[str, Any]:
    """One of Mounts."""
    options = [word for word in item.options if word not in ("rw", "ro") and word not in inspect_host.PROPAGATION]
    result: dict[str, Any] = {"Type": item.type}
    if item.name:
        result["Name"] = item.name
    result.update(
        {
            "Source": item.source,
            "Destination": item.destination,
            "Driver": "local" if item.type == "volume" else "",
            "Mode": "",
            "Options": options,
            "RW": "ro" not in item.options,
            "Propagation": inspect_host.propagation(item.options),
        }
    )
    if item.subpath:
        result["SubPath"] = item.subpath
    return result


def _shared_network(context: Context, store: Store, container: Container) -> dict[str, Any]:
    """The settings of the container whose network this one shares; {} if there is none."""
    if container.config.network.mode != "container":
        return {}
    try:
        other = containers.find(context, store, container.config.network.value)
    except NoSuchContainer:
        return {}
    return network_settings(other, containers.observe(other))


def network_settings(container: Container, state: State) -> dict[str, Any]:
    """NetworkSettings: of pasta and slirp4netns the addresses are asked of the container's namespace."""
    config = container.config
    network = state.network
    found: dict[str, Any] = network
    if state.pid and not network.get("networks") and config.network.mode in ("pasta", "slirp4netns", "private"):
        from pypod.network import inspect as ask

        found = {**network, **{key: value for key, value in ask.addresses(state.pid).items() if value}}
    bridges: dict[str, Any] = network.get("networks") or {}
    if not bridges:
        bridges = {name: empty_view(name) for name in config.bridges}
        for name, view in bridges.items():
            words = config.network_options.get(name) or ()
            view["Aliases"] = [
                *(word[6:] for word in words if word.startswith("alias=")),
                *config.network_aliases,
                container.id[:12],
            ]
    first: dict[str, Any] = next(iter(bridges.values()), {})
    result: dict[str, Any] = {
        "EndpointID": "",
        "Gateway": first.get("Gateway") or str(found.get("gateway") or ""),
        "IPAddress": first.get("IPAddress") or str(found.get("address") or ""),
        "IPPrefixLen": first.get("IPPrefixLen") or int(found.get("prefix") or 0),
        "IPv6Gateway": first.get("IPv6Gateway") or str(found.get("gateway6") or ""),
        "GlobalIPv6Address": first.get("GlobalIPv6Address") or str(found.get("address6") or ""),
        "GlobalIPv6PrefixLen": first.get("GlobalIPv6PrefixLen") or int(found.get("prefix6") or 0),
        "MacAddress": first.get("MacAddress") or str(found.get("mac") or ""),
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": inspect_host.port_bindings(config, exposed=True),
        "SandboxKey": f"/proc/{state.pid}/ns/net" if state.pid else "",
    }
    if bridges:
        result["Networks"] = bridges
    return result


def _config(container: Container, spec: dict[str, Any]) -> dict[str, Any]:
    config = container.config
    process = spec.get("process") or {}
    env = process.get("env") or config.env
    hidden = tuple(one.target + "=" for one in config.secrets if one.kind == "env")
    if hidden:
        env = [item if not item.startswith(hidden) else item.partition("=")[0] + "=*******" for item in env]
    annotations = spec.get("annotations") or config.annotations
    result: dict[str, Any] = {
        "Hostname": spec.get("hostname") or config.hostname or container.id[:12],
        "Domainname": "",
        "User": config.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": config.terminal,
        "OpenStdin": config.stdin,
        "StdinOnce": False,
        "Env": list(env),
        "Cmd": list(config.command) or None,
        "Image": config.image,
        "Volumes": None,
        "WorkingDir": config.workdir,
        "Entrypoint": " ".join(config.entrypoint),
        "OnBuild": None,
        "Labels": config.labels or None,
        "Annotations": annotations or None,
        "StopSignal": config.stop_signal,
    }
    check = config.healthcheck
    if check is not None:
        healthcheck: dict[str, Any] = {"Test": list(check.test)}
        if check.start_period:
            healthcheck["StartPeriod"] = check.start_period
        healthcheck.update({"Interval": check.interval, "Timeout": check.timeout, "Retries": check.retries})
        result["Healthcheck"] = healthcheck
        if check.startup_test:
            result["StartupHealthCheck"] = {
                "Test": list(check.startup_test),
                "Interval": check.startup_interval,
                "Timeout": check.startup_timeout,
                "Retries": check.startup_retries,
                "Successes": check.startup_success,
            }
    files = [one for one in config.secrets if one.kind == "mount"]
    if files:
        result["Secrets"] = [
            {"Name": one.name, "ID": one.id, "UID": one.uid, "GID": one.gid, "Mode": one.mode} for one in files
        ]
    result.update(
        {
            "HealthcheckOnFailureAction": check.on_failure if check is not None else "none",
            "CreateCommand": list(config.create_command),
            "Umask": config.umask,
            "Timeout": config.timeout,
            "StopTimeout": config.stop_timeout,
            "Passwd": config.passwd,
            "sdNotifyMode": config.sdnotify,
        }
    )
    if config.exposed:
        result["ExposedPorts"] = {item: {} for item in config.exposed}
    if config.timezone:
        result["Timezone"] = config.timezone
    if config.systemd:
        result["SystemdMode"] = True
    return result
