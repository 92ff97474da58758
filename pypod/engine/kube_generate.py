"""``kube generate``: pods, containers and volumes as Kubernetes objects that ``kube play`` makes the same of again.

What Kubernetes has no field for becomes an annotation, as podman-kube-generate(1) has it; what cannot be said at all
is a warning.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pypod.engine import container as containers
from pypod.engine import kube_container, kube_volumes, pods, rootless, volumes
from pypod.errors import NoSuchContainer, NoSuchPod, NoSuchVolume, NotFound, UsageError
from pypod.kube import annotated, yamltext
from pypod.oci import spec as oci

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.config import ContainerConfig, PortMapping
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.pods import Pod
    from pypod.engine.volumes import Volume
    from storage.store import Store

_POLICIES = {"": "", "no": "Never", "always": "Always", "unless-stopped": "Always", "on-failure": "OnFailure"}
_NODE_PORTS = range(30000, 32768)  # what Kubernetes gives to Services


@dataclass(frozen=True, kw_only=True)
class Form:
    """How it is to be described: kind is pod or deployment."""

    kind: str = "pod"
    service: bool = False
    replicas: int = 1


@dataclass(frozen=True, kw_only=True)
class Generated:
    documents: list[dict[str, Any]]
    warnings: list[str]


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """A pod, or containers that are to become one."""

    name: str
    created: str
    members: list[Container]
    labels: dict[str, str]
    hostname: str
    shares_pid: bool
    infra: ContainerConfig  # whose network, names and ports are the pod's


def generate(context: Context, store: Store, words: Sequence[str], form: Form) -> Generated:
    """Describe what ``words`` name: pods, containers (all of them in one pod), volumes. Raises PypodError."""
    warnings: list[str] = []
    found_pods: list[Pod] = []
    found_containers: list[Container] = []
    found_volumes: list[Volume] = []
    for word in dict.fromkeys(words):
        _find(context, store, word, found_containers, found_pods, found_volumes)
    subjects = [_of_pod(context, store, pod) for pod in found_pods]
    if found_containers:
        subjects.append(_of_containers(found_containers))
    documents: list[dict[str, Any]] = [_claim(item) for item in found_volumes]
    for subject in subjects:
        documents += _describe(context, store, subject, form, warnings)
    return Generated(documents=documents, warnings=warnings)


def _find(
    context: Context,
    store: Store,
    word: str,
    found_containers: list[Container],
    found_pods: list[Pod],
    found_volumes: list[Volume],
) -> None:
    try:
        container = containers.find(context, store, word)
        if container.config.infra:
            raise UsageError(f"{word} is the infra container of a pod: name the pod instead")
        if container.config.pod:
            raise UsageError(
                f"container {container.id} is associated with pod {container.config.pod}: use generate on the pod"
                " itself"
            )
        found_containers.append(container)
        return
    except NoSuchContainer:
        pass
    try:
        found_pods.append(pods.find(context, word))
        return
    except NoSuchPod:
        pass
    try:
        found_volumes.append(volumes.find(context, word))
    except NoSuchVolume:
        raise NotFound(f'name or ID "{word}" not found') from None


def _of_pod(context: Context, store: Store, pod: Pod) -> _Subject:
    members = pods.members(context, store, pod.id)
    infra = [item for item in members if item.config.infra]
    others = [item for item in members if not item.config.infra]
    if not others:
        raise UsageError(f"pod {pod.name} has no containers")
    return _Subject(
        name=pod.name,
        created=pod.created,
        members=others,
        labels=dict(pod.labels),
        hostname=pod.hostname,
        shares_pid="pid" in pod.shares,
        infra=(infra or others)[0].config,
    )


def _of_containers(found: list[Container]) -> _Subject:
    first = found[0].config
    return _Subject(
        name=f"{first.name}-pod",
        created=first.created,
        members=found,
        labels={},
        hostname=first.hostname,
        shares_pid=False,
        infra=first,
    )


def _claim(volume: Volume) -> dict[str, Any]:
    annotations = {"volume.podman.io/driver": volume.driver}
    for key, number in (("uid", volume.uid), ("gid", volume.gid)):
        if number:
            annotations[f"volume.podman.io/{key}"] = str(number)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(volume.name, volume.created, volume.labels, annotations),
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def _metadata(name: str, created: str, labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "creationTimestamp": created[:19] + "Z"}
    if labels:
        found["labels"] = labels
    if annotations:
        found["annotations"] = annotations
    return found


def _describe(
    context: Context, store: Store, subject: _Subject, form: Form, warnings: list[str]
) -> list[dict[str, Any]]:
    labels = {"app": subject.name, **subject.labels}
    ports = _ports(subject)
    annotations: dict[str, str] = {}
    book = kube_container.Volumes(labels=lambda name: _labels(context, name))
    parts: dict[str, list[dict[str, Any]]] = {"containers": [], "initContainers": []}
    names = _names(subject, warnings)
    policy = _policy(subject, form, warnings)
    when_unhealthy = "stop" if policy == "Never" else "restart"  # as ``kube play`` has it
    for item, name in zip(subject.members, names, strict=True):
        made = kube_container.describe(store, item, name, book)
        warnings += [f"{item.name}: {text}" for text in made.warnings]
        for key, value in made.annotations.items():
            if key == annotated.ON_FAILURE and value == when_unhealthy:
                continue
            annotations[f"{key}/{name}" if "/" not in key else key] = value
        parts["initContainers" if item.config.init_type else "containers"].append(made.fields)
    if ports and parts["containers"]:
        parts["containers"][0]["ports"] = ports
    spec: dict[str, Any] = {key: value for key, value in parts.items() if value}
    spec.update(_pod_fields(context, subject, warnings))
    if policy:
        spec["restartPolicy"] = policy
    described, more = _volumes(context, book)
    if described:
        spec["volumes"] = described
    if subject.infra.userns.mode not in ("host", "container", "private"):
        own = subject.infra.userns
        annotations[annotated.USERNS] = own.mode + (f":{own.value}" if own.value else "")
    elif subject.infra.userns.mode == "private":
        warnings.append(f"{subject.name}: --uidmap and --gidmap cannot be described")
    metadata = _metadata(subject.name, subject.created, labels, annotations)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    if form.kind == "deployment":
        pod = _deployment(subject, pod, labels, form)
    service = []
    if form.service and ports:
        service = [_service(subject, labels, ports)]
    elif form.service:
        warnings.append(f"{subject.name}: publishes no port, so there is no Service for it")
    return [*service, *more, pod]


def _names(subject: _Subject, warnings: list[str]) -> list[str]:
    """``kube play`` puts the pod's name before each; here it goes."""
    found = []
    for item in subject.members:
        prefix = f"{subject.name}-"
        found.append(item.name.removeprefix(prefix) or item.name)
    if len(set(found)) < len(found):
        found = [item.name for item in subject.members]
    return found


def _policy(subject: _Subject, form: Form, warnings: list[str]) -> str:
    found = list(dict.fromkeys(item.config.restart_policy for item in subject.members if not item.config.init_type))
    words = list(dict.fromkeys(_POLICIES[policy] or "Never" for policy in found))
    if form.kind == "deployment":
        if any(_POLICIES[policy] not in ("", "Always") for policy in found):
            raise UsageError("k8s Deployments can only have restartPolicy set to Always")
        return "Always"
    if len(words) > 1:
        warnings.append(f"{subject.name}: its containers have several restart policies: {words[0]} is taken for all")
    return words[0] if words else ""


def _ports(subject: _Subject) -> list[dict[str, Any]]:
    configs = [subject.infra, *(item.config for item in subject.members if item.config is not subject.infra)]
    result = []
    for port in (port for config in configs for port in config.ports):
        result += [_port(port, offset) for offset in range(port.range)]
    return result


def _port(port: PortMapping, offset: int) -> dict[str, Any]:
    found: dict[str, Any] = {"containerPort": port.container_port + offset, "hostPort": port.host_port + offset}
    if port.host_ip:
        found["hostIP"] = port.host_ip
    if port.protocol != "tcp":
        found["protocol"] = port.protocol.upper()
    return found


def _pod_fields(context: Context, subject: _Subject, warnings: list[str]) -> dict[str, Any]:
    infra = subject.infra
    configs = [item.config for item in subject.members]
    found: dict[str, Any] = {}
    if subject.hostname and infra.uts.mode != "host":
        found["hostname"] = subject.hostname
    if infra.network.mode == "host":
        found["hostNetwork"] = True
    if infra.pid.mode == "host" or any(item.pid.mode == "host" for item in configs):
        found["hostPID"] = True
    elif subject.shares_pid:
        found["shareProcessNamespace"] = True
    if infra.ipc.mode == "host" or any(item.ipc.mode == "host" for item in configs):
        found["hostIPC"] = True
    dns = {
        "nameservers": [text for text in infra.dns if text != "none"],
        "searches": infra.dns_search,
        "options": [_dns_option(text) for text in infra.dns_options],
    }
    if any(dns.values()):
        found["dnsConfig"] = {key: value for key, value in dns.items() if value}
    aliases: dict[str, list[str]] = {}
    for entry in infra.add_hosts:
        name, _, address = entry.partition(":")
        if address == "host-gateway":
            warnings.append(f"{subject.name}: --add-host {entry} cannot be described")
            continue
        aliases.setdefault(address.strip("[]"), []).append(name)
    if aliases:
        found["hostAliases"] = [{"ip": address, "hostnames": names} for address, names in aliases.items()]
    security: dict[str, Any] = {}
    configured = context.containers.get("default_sysctls")
    defaults = [f"{key}={value}" for key, value in oci.DEFAULT_SYSCTLS.items()]
    usual = configured if isinstance(configured, list) else defaults
    sysctls = {
        key: value
        for config in (infra, *configs)
        for key, value in config.sysctl.items()
        if f"{key}={value}" not in usual
    }
    if sysctls:
        security["sysctls"] = [{"name": key, "value": value} for key, value in sysctls.items()]
    groups = list(dict.fromkeys(group for config in configs for group in config.groups))
    if any(group.isdecimal() for group in groups):
        security["supplementalGroups"] = [int(group) for group in groups if group.isdecimal()]
    warnings += [f"{subject.name}: group {group} has no number" for group in groups if not group.isdecimal()]
    if security:
        found["securityContext"] = security
    timeout = max(config.stop_timeout for config in configs)
    if timeout != 10:
        found["terminationGracePeriodSeconds"] = timeout
    return found


def _dns_option(text: str) -> dict[str, str]:
    name, colon, value = text.partition(":")
    return {"name": name, "value": value} if colon else {"name": name}


def _volumes(context: Context, book: kube_container.Volumes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The pod's volumes, and the config maps that some of them show."""
    described: list[dict[str, Any]] = []
    maps: dict[str, dict[str, Any]] = {}
    for name, source in book.found.items():
        label = ""
        if "persistentVolumeClaim" in source:
            label = _labels(context, source["persistentVolumeClaim"]["claimName"]).get(kube_volumes.LABEL, "")
        kind, _, of = label.partition("/")
        if kind == "emptyDir":
            source = {"emptyDir": {}}
        elif kind == "secret":
            source = {"secret": {"secretName": of, "optional": False}}
        elif kind == "configMap":
            rootless.enter_user(context)
            place = volumes.mountpoint(context, source["persistentVolumeClaim"]["claimName"])
            maps[of] = _config_map(of, place)
            source = {"configMap": {"name": of}}
        described.append({"name": name, **source})
    return described, list(maps.values())


def _labels(context: Context, name: str) -> dict[str, str]:
    """A volume's labels; one that nobody named is an emptyDir."""
    try:
        found = volumes.load(context, name)
    except NoSuchVolume:
        return {}
    return {kube_volumes.LABEL: "emptyDir", **found.labels} if found.anonymous else found.labels


def _config_map(name: str, place: str) -> dict[str, Any]:
    """The config map whose keys are the files in a directory. Files in directories were keys with other names.

    In the user namespace: the files are those of the pod's root.
    """
    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    for file in sorted(os.listdir(place)):
        fd = os.open(f"{place}/{file}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_mode & 0o170000 != 0o100000:
                continue
            with open(fd, "rb", closefd=False) as source:
                content = source.read(yamltext.SIZE)
        finally:
            os.close(fd)
        try:
            data[file] = content.decode()
        except UnicodeDecodeError:
            binary[file] = base64.b64encode(content).decode()
    found: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    if binary:
        found["binaryData"] = binary
    return found


def _deployment(subject: _Subject, pod: dict[str, Any], labels: dict[str, str], form: Form) -> dict[str, Any]:
    metadata = pod["metadata"]
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {key: value for key, value in metadata.items() if key != "creationTimestamp"},
            "spec": pod["spec"],
        },
    }
    if form.replicas != 1:
        spec["replicas"] = form.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(f"{subject.name}-deployment", subject.created, labels, {}),
        "spec": spec,
    }


def _service(subject: _Subject, labels: dict[str, str], ports: list[dict[str, Any]]) -> dict[str, Any]:
    listed = []
    for port in ports:
        entry: dict[str, Any] = {
            "name": str(port["containerPort"]) + ("" if "protocol" not in port else f"-{port['protocol'].lower()}"),
            "port": port["containerPort"],
            "targetPort": port["containerPort"],
        }
        if "protocol" in port:
            entry["protocol"] = port["protocol"]
        if port["hostPort"] in _NODE_PORTS:
            entry["nodePort"] = port["hostPort"]  # Kubernetes chooses others
        listed.append(entry)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(subject.name, subject.created, labels, {}),
        "spec": {"ports": listed, "selector": {"app": labels["app"]}, "type": "NodePort"},
    }
