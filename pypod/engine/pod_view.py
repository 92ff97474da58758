"""Pods as podman shows them: in ``pod ps`` and ``pod inspect`` (podman-pod-ps(1), podman-pod-inspect(1))."""

from __future__ import annotations

import time

from pypod.base import times, units
from pypod.base.record import record, replace
from pypod.engine import container as containers
from pypod.engine import inspect_host, inspect_view, networks, pods
from pypod.engine.pods import Pod
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.engine.container import Container, State
    from pypod.engine.context import Context
    from pypod.engine.ps_view import Row
    from storage.store import Store


@record
class Member:
    """A container of a pod and its state."""

    container: Container
    state: State


@record
class View:
    """A pod with what its containers do. ``now`` is ns since 1970."""

    pod: Pod
    members: list[Member]
    networks: list[str] = []
    now: int = 0

    @property
    def status(self) -> str:
        """Created, Running, Paused, Degraded, Exited, Stopped: podman's word for all states together."""
        # An init container that has done its work is no sign of decay.
        return overall([item.state.status for item in self.members if not item.container.config.init_type])

    @property
    def infra(self) -> Container | None:
        for item in self.members:
            if item.container.config.infra:
                return item.container
        return None

    @property
    def created(self) -> int:
        """ns since 1970."""
        return times.parse_rfc3339(self.pod.created)

    def json(self) -> dict[str, Any]:
        """podman's ``pod ps --format json`` object."""
        return {
            "Cgroup": self.pod.cgroup_parent,
            "Containers": [
                {"Id": item.container.id, "Names": item.container.name, "Status": item.state.status}
                for item in self.members
            ],
            "Created": self.pod.created,
            "Id": self.pod.id,
            "InfraId": self.pod.infra_id,
            "Name": self.pod.name,
            "Namespace": "",
            "Networks": self.networks,
            "Status": self.status,
            "Labels": dict(self.pod.labels),
        }


def overall(states: Sequence[str]) -> str:
    """The state of a pod whose containers are in these ones (libpod's rules)."""
    count = {"running": 0, "paused": 0, "exited": 0}
    for state in states:
        if state in count:
            count[state] += 1
    if not states:
        return "Created"
    for state, word in (("running", "Running"), ("paused", "Paused"), ("exited", "Exited")):
        if count[state] == len(states):
            return word
    if count["running"]:
        return "Degraded"
    return "Stopped" if count["exited"] else "Created"


def views(context: Context, store: Store) -> list[View]:
    """All pods, the newest first."""
    found = pods.by_pod(containers.every(context, store))
    return [_view(context, pod, found.get(pod.id, [])) for pod in reversed(pods.every(context))]


def view(context: Context, store: Store, pod: Pod) -> View:
    return _view(context, pod, pods.members(context, store, pod.id))


def _view(context: Context, pod: Pod, members: Sequence[Container]) -> View:
    infra = [item for item in members if item.config.infra]
    return View(
        pod=pod,
        members=_members(members),
        networks=networks.bridges_of(context, infra[0]) if infra else [],
        now=time.time_ns(),
    )


def _members(found: Sequence[Container]) -> list[Member]:
    return [Member(container=item, state=containers.observe(item)) for item in found]


def inspect(context: Context, store: Store, pod: Pod) -> dict[str, Any]:
    """podman's ``pod inspect`` object."""
    shown = view(context, store, pod)
    infra = shown.infra
    result: dict[str, Any] = {
        "Id": pod.id,
        "Name": pod.name,
        "Created": pod.created,
        "CreateCommand": list(pod.create_command),
        "ExitPolicy": pod.exit_policy,
        "State": shown.status,
        "Hostname": pod.hostname,
    }
    if pod.labels:
        result["Labels"] = dict(pod.labels)
    result["CreateCgroup"] = bool(pod.cgroup_path)
    result["CgroupParent"] = pod.cgroup_parent
    if pod.cgroup_path:
        result["CgroupPath"] = pod.cgroup_path
    result["CreateInfra"] = bool(pod.infra_id)
    if pod.infra_id:
        result["InfraContainerID"] = pod.infra_id
    if infra is not None:
        result["InfraConfig"] = _infra_config(shown, infra)
    if pod.shares:
        result["SharedNamespaces"] = list(pod.shares)
    result["NumContainers"] = len(shown.members)
    if shown.members:
        result["Containers"] = [
            {"Id": item.container.id, "Name": item.container.name, "State": item.state.status}
            for item in shown.members
        ]
    result.update(pod.limits)
    if infra is not None:
        mounts = [
            inspect_view.mount(item) for item in infra.config.mounts if item.type in ("bind", "volume", "image")
        ]
        extra = (
            ("mounts", mounts),
            ("devices", inspect_host.devices(infra.config)),
            ("security_opt", list(infra.config.security_options)),
            ("volumes_from", list(infra.config.volumes_from)),
        )
        result.update((key, value) for key, value in extra if value)
    if pod.restart_policy:
        result["RestartPolicy"] = pod.restart_policy
    return result


def _infra_config(shown: View, infra: Container) -> dict[str, Any]:
    config = infra.config
    shares: dict[str, Any] = {
        key: value for key, value in shown.pod.limits.items() if key in ("cpu_period", "cpu_quota", "cpuset_cpus")
    }
    options = {name: list(words) for name, words in config.network_options.items() if words}
    return {
        "PortBindings": inspect_host.port_bindings(config),
        "HostNetwork": config.network.mode == "host",
        "StaticIP": config.static_ip,
        "StaticMAC": config.static_mac,
        "NoManageResolvConf": config.dns == ["none"],
        "DNSServer": list(config.dns) or None,
        "DNSSearch": list(config.dns_search) or None,
        "DNSOption": list(config.dns_options) or None,
        "NoManageHosts": config.no_hosts,
        "HostAdd": list(config.add_hosts) or None,
        "Networks": list(shown.networks) or None,
        "NetworkOptions": options or None,
        **shares,
        "pid_ns": inspect_host.mode(config.pid),
        "userns": inspect_host.mode(config.userns),
        "uts_ns": inspect_host.mode(config.uts),
    }


def decorate(context: Context, rows: Sequence[Row], known: Sequence[Container]) -> list[Row]:
    """Rows of ``ps`` with the names of their pods, and the ports of the containers whose network they share."""
    names: dict[str, str] = {}
    by_id = {item.id: item for item in known}
    result = []
    for row in rows:
        config = row.container.config
        if config.pod and config.pod not in names:
            try:
                names[config.pod] = pods.load(context, config.pod).name
            except PypodError:
                names[config.pod] = ""
        other = by_id.get(config.network.value) if config.network.mode == "container" else None
        changes: dict[str, Any] = {"pod_name": names.get(config.pod, "")}
        if other is not None:
            changes["published"] = other.config.ports
        result.append(replace(row, **changes))
    return result


def age(shown: View) -> str:
    """ "3 seconds ago"."""
    return units.ago(shown.created, shown.now)
