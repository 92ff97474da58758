"""What a container is: everything that stays as it was at ``create``.

Stored as ``container.json`` in the container's userdata directory under the graphroot. The OCI config beside it
(``config.json``) is made anew at each start from this and from the image's root file system.
"""

from __future__ import annotations

from pypod.base.fastjson import BadJson
from pypod.base.record import from_json as record_from_json
from pypod.base.record import known_in, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@record
class Mount:
    """One mount of the container, in podman-inspect(1)'s terms. ``options`` are OCI mount options."""

    type: str  # bind, volume, tmpfs, devpts, image, glob
    destination: str
    source: str = ""  # host path; for a volume its mountpoint
    name: str = ""  # of a named volume
    options: list[str] = []
    anonymous: bool = False  # a volume that ``rm -v`` and ``--rm`` remove
    chown: bool = False  # option U: give the source to the container's user
    copy: bool = True  # a new volume is filled with what the image has there
    subpath: str = ""  # what of the source is mounted: a path in it, which no link leads out of


@record
class PortMapping:
    """podman's JSON of a published port. host_ip "" means every address."""

    host_ip: str
    host_port: int
    container_port: int
    range: int
    protocol: str


@record
class Namespace:
    """How one namespace is chosen: private, host, container:ID, ns:PATH, or a mode of that kind alone."""

    mode: str
    value: str = ""


@record
class HealthCheck:
    """The image-spec's Healthcheck; times in nanoseconds."""

    test: list[str]
    interval: int = 30_000_000_000
    timeout: int = 30_000_000_000
    start_period: int = 0
    retries: int = 3
    on_failure: str = "none"
    # Until it has passed, the startup check runs in place of the other one; 0 retries: never restarted.
    startup_test: list[str] = []
    startup_interval: int = 0
    startup_timeout: int = 0
    startup_retries: int = 0
    startup_success: int = 0


@record
class SecretUse:
    """A secret that the container has: as a file (``kind`` mount) or as a variable (env), called ``target``."""

    name: str
    id: str
    kind: str
    target: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@record
class ContainerConfig:
    """The immutable configuration of one container."""

    version: int = 1
    id: str
    name: str
    created: str  # RFC 3339 with nanoseconds
    # What it was made from.
    image: str = ""  # the name as resolved
    image_id: str = ""
    raw_image: str = ""  # the name as typed
    rootfs: str = ""  # --rootfs DIR: no image, no layer
    rootfs_overlay: bool = False
    layer: str = ""  # the storage record's: not stored here
    create_command: list[str] = []
    # The process.
    entrypoint: list[str] = []
    command: list[str] = []
    env: list[str] = []  # NAME=value, image's and user's, merged
    workdir: str = "/"
    create_workdir: bool = False  # the image's WorkingDir is made if it is missing, --workdir is not
    user: str = ""
    groups: list[str] = []
    passwd: bool = True  # add the user to /etc/passwd and /etc/group where it is missing
    passwd_entry: str = ""
    group_entry: str = ""
    host_users: list[str] = []
    terminal: bool = False
    stdin: bool = False
    umask: str = "0022"
    timezone: str = ""
    init: bool = False
    init_path: str = ""
    stop_signal: int = 15
    stop_timeout: int = 10
    timeout: int = 0
    # Namespaces.
    userns: Namespace = Namespace(mode="host")
    uid_map: list[list[int]] = []  # [container id, id in our user namespace, count]; empty: no mapping of its own
    gid_map: list[list[int]] = []
    pid: Namespace = Namespace(mode="private")
    ipc: Namespace = Namespace(mode="private")
    uts: Namespace = Namespace(mode="private")
    cgroupns: Namespace = Namespace(mode="private")
    network: Namespace = Namespace(mode="private")
    # Network.
    network_options: dict[str, list[str]] = {}
    ports: list[PortMapping] = []
    exposed: list[str] = []  # "80/tcp"
    publish_all: bool = False
    hostname: str = ""
    dns: list[str] = []
    dns_search: list[str] = []
    dns_options: list[str] = []
    add_hosts: list[str] = []  # name:ip
    no_hosts: bool = False
    no_hostname: bool = False
    static_ip: str = ""
    static_ip6: str = ""
    static_mac: str = ""
    network_aliases: list[str] = []
    # File systems.
    mounts: list[Mount] = []
    devices: list[str] = []  # HOST:CONTAINER:PERMISSIONS
    device_cgroup_rules: list[str] = []  # as typed: "c 1:3 rwm"
    volumes_from: list[str] = []
    secrets: list[SecretUse] = []
    read_only: bool = False
    read_only_tmpfs: bool = True
    shm_size: int = 65_536_000
    # Security.
    privileged: bool = False
    cap_add: list[str] = []
    cap_drop: list[str] = []
    default_caps: list[str] = []  # containers.conf's, if they are not the usual ones
    no_new_privileges: bool = False
    seccomp: str = ""  # "", unconfined or a profile's path
    apparmor: str = ""
    label_options: list[str] = []
    mask: list[str] = []
    unmask: list[str] = []
    proc_options: list[str] = []
    security_options: list[str] = []  # as typed, for inspect
    # Resources.
    ulimits: list[str] = []  # as typed: name=soft:hard
    sysctl: dict[str, str] = {}
    memory: int = 0  # bytes
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int = -1
    cpus: float = 0.0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0  # 0: not given, -1: no limit
    blkio_weight: int = 0
    blkio_weight_device: dict[str, int] = {}  # by path, as the others
    device_read_bps: dict[str, int] = {}
    device_write_bps: dict[str, int] = {}
    device_read_iops: dict[str, int] = {}
    device_write_iops: dict[str, int] = {}
    oom_score_adj: int | None = None
    oom_kill_disable: bool = False
    cgroups: str = "enabled"
    cgroup_parent: str = ""
    cgroup_conf: dict[str, str] = {}
    # The engine's part.
    runtime: str = ""
    restart_policy: str = ""  # "", no, always, on-failure, unless-stopped
    restart_retries: int = 0
    auto_remove: bool = False
    log_driver: str = "k8s-file"
    log_path: str = ""
    log_size_max: int = 0
    log_tag: str = ""
    log_labels: list[str] = []  # KEY=value, fields of the journal's entries
    cidfile: str = ""
    pidfile: str = ""
    conmon_pidfile: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    healthcheck: HealthCheck | None = None
    sdnotify: str = "container"
    systemd: bool = False
    dependencies: list[str] = []  # ids of containers that cannot be removed before this one
    needs: list[str] = []  # those of them that must run before it starts: whose namespaces it joins, and --requires
    pod: str = ""  # the pod's id
    infra: bool = False  # it holds the pod's namespaces
    init_type: str = ""  # once, always: it runs to its end before the pod's other containers are started

    @property
    def bridges(self) -> list[str]:
        """The bridge networks that it joins, by name: none for other modes, nor when it was disconnected from all."""
        if self.network.mode != "bridge" or self.network.value == "empty":
            return []
        return [name or "podman" for name in self.network_options] or ["podman"]

    @property
    def restarts(self) -> bool:
        """Whether its exit command may have to start it again, by its restart policy or its health check."""
        check = self.healthcheck
        by_health = check is not None and (check.on_failure == "restart" or check.startup_retries > 0)
        return by_health or self.restart_policy not in ("", "no")


def from_json(values: object, **known: str) -> ContainerConfig:
    """The record of a ``container.json``; keys of a newer version are ignored. ``known`` are fields known better.

    Raises BadJson.
    """
    try:
        return ContainerConfig(**{**_fields(values), **known})
    except TypeError as error:  # one that must be there is not
        raise BadJson(str(error)) from None


def changed(config: ContainerConfig, values: dict[str, Any]) -> ContainerConfig:
    """``config`` with the fields that ``values`` has, which are as in a ``container.json``."""
    return replace(config, **_fields(values))


def _fields(values: object) -> dict[str, Any]:
    """Those of ``values`` that a configuration has, with records in place of objects. Raises BadJson."""
    fields = known_in(ContainerConfig, values)
    for key in _NAMESPACES:
        if key in fields:
            fields[key] = record_from_json(Namespace, fields[key])
    for key, kind in _LISTS:
        if key in fields:
            fields[key] = [record_from_json(kind, item) for item in fields[key]]
    if fields.get("healthcheck"):
        fields["healthcheck"] = record_from_json(HealthCheck, fields["healthcheck"])
    return fields


_NAMESPACES = ("userns", "pid", "ipc", "uts", "cgroupns", "network")
_LISTS: tuple[tuple[str, type[Any]], ...] = (("mounts", Mount), ("secrets", SecretUse), ("ports", PortMapping))
