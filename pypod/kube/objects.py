"""The Kubernetes objects that can be played, as plain data (Kubernetes API reference, core/v1 and apps/v1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A key of a config map or secret (all keys if ``key`` is "")."""

    kind: str  # ConfigMap, Secret
    name: str
    key: str = ""
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class EnvVar:
    """A variable: of ``value``, or else of what ``reference``, ``field`` or ``resource`` names."""

    name: str
    path: str  # in the document, for errors
    value: str = ""
    reference: Reference | None = None
    field: str = ""  # metadata.name
    resource: str = ""  # limits.memory
    divisor: Decimal = Decimal(0)  # of a resource; 0: not given, which means 1


@dataclass(frozen=True, kw_only=True)
class EnvFrom:
    """All of a config map or secret as variables."""

    source: Reference
    path: str
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Port:
    container_port: int
    host_port: int = 0
    host_ip: str = ""
    protocol: str = "TCP"
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class VolumeMount:
    """A pod's volume in a container."""

    name: str
    path: str  # in the document, for errors
    target: str
    sub_path: str = ""
    read_only: bool = False
    propagation: str = ""  # HostToContainer, Bidirectional


@dataclass(frozen=True, kw_only=True)
class KeyPath:
    """A key of a config map or secret, and the file that it becomes. ``mode`` is None for the volume's."""

    key: str
    path: str
    mode: int | None = None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A pod's volume. ``source`` is a host path, a claim's name, or that of a config map or secret."""

    name: str
    kind: str  # hostPath, emptyDir, configMap, secret, persistentVolumeClaim
    path: str  # in the document, for errors
    source: str = ""
    host_type: str = ""
    read_only: bool = False
    optional: bool = False
    items: tuple[KeyPath, ...] = ()
    mode: int = 0o644
    memory: bool = False  # an emptyDir in memory
    size_limit: int = 0  # bytes


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A health check, by exactly one of ``command``, ``url`` and ``tcp_port``. Times in seconds."""

    command: tuple[str, ...] = ()
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    host: str = ""
    tcp_port: int = 0
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    failures: int = 3
    successes: int = 1


@dataclass(frozen=True, kw_only=True)
class Resources:
    """None: not given. Memory in bytes, processors as a number of them."""

    memory_limit: Decimal | None = None
    cpu_limit: Decimal | None = None
    memory_request: Decimal | None = None
    cpu_request: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Security:
    """securityContext of a pod and of a container; None and "": not given."""

    user: int | None = None
    group: int | None = None
    not_root: bool = False
    groups: tuple[int, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    seccomp_type: str = ""
    seccomp_profile: str = ""
    apparmor: str = ""  # a profile's name, or unconfined
    labels: tuple[str, ...] = ()  # SELinux: type:container_t
    privileged: bool = False
    read_only: bool = False
    escalation: bool | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    unmasked: bool = False


@dataclass(frozen=True, kw_only=True)
class Container:
    name: str
    path: str  # in the document, for errors
    image: str
    init: bool = False
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    workdir: str = ""
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    ports: tuple[Port, ...] = ()
    mounts: tuple[VolumeMount, ...] = ()
    liveness: Probe | None = None
    startup: Probe | None = None
    resources: Resources = Resources()
    security: Security = Security()
    pull_policy: str = ""
    stdin: bool = False
    tty: bool = False


@dataclass(frozen=True, kw_only=True)
class Pod:
    document: int
    name: str
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()  # init containers first
    volumes: tuple[Volume, ...] = ()
    restart: str = "Always"
    hostname: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    host_users: bool | None = None
    share_pid: bool = False
    host_aliases: tuple[tuple[str, str], ...] = ()  # name, address
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    security: Security = Security()
    grace_period: int | None = None  # seconds


@dataclass(frozen=True, kw_only=True)
class ConfigMap:
    document: int
    name: str
    data: dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Secret:
    document: int
    name: str
    data: dict[str, bytes]
    immutable: bool = False


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A PersistentVolumeClaim: a named volume."""

    document: int
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class File:
    """All that a file describes. A deployment has become its pods."""

    pods: tuple[Pod, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    secrets: tuple[Secret, ...] = ()
    claims: tuple[Claim, ...] = ()
    warnings: tuple[str, ...] = ()
