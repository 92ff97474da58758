"""A Pod out of its fields, or out of those of a Deployment's template."""

from __future__ import annotations

import posixpath
from decimal import Decimal
from typing import TYPE_CHECKING

from pypod.kube import quantity
from pypod.kube.fields import meant, repeated
from pypod.kube.objects import (
    Container,
    EnvFrom,
    EnvVar,
    KeyPath,
    Pod,
    Port,
    Probe,
    Reference,
    Resources,
    Security,
    Volume,
    VolumeMount,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.kube.fields import Fields, Notes

# Fields of Kubernetes that choose a machine, or that nothing here could read: they mean nothing on one machine.
_QUIET_POD = (
    "affinity automountServiceAccountToken dnsPolicy enableServiceLinks nodeName nodeSelector os overhead"
    " preemptionPolicy priority priorityClassName readinessGates schedulerName schedulingGates serviceAccount"
    " serviceAccountName tolerations topologySpreadConstraints"
)
_MISSED_POD = (
    "activeDeadlineSeconds ephemeralContainers hostnameOverride imagePullSecrets resourceClaims resources"
    " runtimeClassName setHostnameAsFQDN subdomain"
)
_QUIET_CONTAINER = "readinessProbe resizePolicy stdinOnce terminationMessagePath terminationMessagePolicy"
_MISSED_CONTAINER = "lifecycle restartPolicy restartPolicyRules volumeDevices"
_HOST_TYPES = ("DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
_OTHER_VOLUMES = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi downwardAPI ephemeral fc flexVolume flocker"
    " gcePersistentDisk gitRepo glusterfs image iscsi nfs photonPersistentDisk portworxVolume projected quobyte rbd"
    " scaleIO storageos vsphereVolume"
).split()


def pod(top: Fields, metadata: Fields, notes: Notes, *, name: str) -> Pod:
    """The pod that ``spec`` in ``top`` describes. Raises UsageError."""
    spec = top.mapping("spec")
    if spec is None:
        top.wrong("spec", "is missing")
    restart = spec.choice("restartPolicy", ("Always", "OnFailure", "Never"), "Always")
    containers = [_container(item, init=True) for item in spec.each("initContainers")]
    containers += [_container(item) for item in spec.each("containers")]
    volumes = [_volume(item) for item in spec.each("volumes")]
    for key, items in (("containers", containers), ("volumes", volumes)):
        twice = repeated(item.name for item in items)
        if twice:
            spec.wrong(key, f"two are called {twice}")
    known = {item.name for item in volumes}
    for item in containers:
        for mount in item.mounts:
            if mount.name not in known:
                spec.wrong(
                    mount.path.removeprefix(spec.path + ".") + ".name",
                    f"there is no volume {mount.name}",
                    meant(mount.name, known),
                )
    aliases = []
    for alias in spec.each("hostAliases"):
        address = alias.needed("ip")
        aliases += [(host, address) for host in alias.texts("hostnames")]
        alias.done()
    dns = spec.mapping("dnsConfig")
    options = []
    for option in dns.each("options") if dns is not None else ():
        value = option.text("value")
        options.append(option.needed("name") + (f":{value}" if value else ""))
        option.done()
    made = Pod(
        document=notes.document,
        name=name,
        namespace=metadata.text("namespace"),
        labels=metadata.table("labels"),
        annotations=metadata.table("annotations"),
        containers=tuple(containers),
        volumes=tuple(volumes),
        restart=restart,
        hostname=spec.text("hostname"),
        host_network=bool(spec.flag("hostNetwork")),
        host_pid=bool(spec.flag("hostPID")),
        host_ipc=bool(spec.flag("hostIPC")),
        host_users=spec.flag("hostUsers"),
        share_pid=bool(spec.flag("shareProcessNamespace")),
        host_aliases=tuple(aliases),
        dns_servers=dns.texts("nameservers") if dns is not None else (),
        dns_searches=dns.texts("searches") if dns is not None else (),
        dns_options=tuple(options),
        security=_pod_security(spec.mapping("securityContext")),
        grace_period=spec.maybe_number("terminationGracePeriodSeconds"),
    )
    if dns is not None:
        dns.done()
    spec.done(quiet=_QUIET_POD, without=_MISSED_POD)
    return made


def _container(top: Fields, *, init: bool = False) -> Container:
    ports = tuple(_port(item) for item in top.each("ports"))
    made = Container(
        name=top.needed("name"),
        path=top.path,
        image=top.needed("image"),
        init=init,
        command=top.texts("command"),
        args=top.texts("args"),
        workdir=top.text("workingDir"),
        env=tuple(_variable(item) for item in top.each("env")),
        env_from=tuple(_all_of(item) for item in top.each("envFrom")),
        ports=ports,
        mounts=tuple(_mount(item) for item in top.each("volumeMounts")),
        liveness=_probe(top.mapping("livenessProbe"), ports),
        startup=_probe(top.mapping("startupProbe"), ports),
        resources=_resources(top.mapping("resources")),
        security=_security(top.mapping("securityContext")),
        pull_policy=top.choice("imagePullPolicy", ("Always", "IfNotPresent", "Never", "Newer")),
        stdin=bool(top.flag("stdin")),
        tty=bool(top.flag("tty")),
    )
    top.done(quiet=_QUIET_CONTAINER, without=_MISSED_CONTAINER)
    return made


def _port(top: Fields) -> Port:
    made = Port(
        container_port=top.number("containerPort", 0, most=65535),
        host_port=top.number("hostPort", 0, most=65535),
        host_ip=top.text("hostIP"),
        protocol=top.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP"),
        name=top.text("name"),
    )
    if not made.container_port and not made.host_port:
        top.wrong("containerPort", "is missing")
    top.done()
    return made


def _variable(top: Fields) -> EnvVar:
    name = top.needed("name")
    if "=" in name:
        top.wrong("name", f"{name!r} cannot be a variable's name")
    value = top.text("value")
    source = top.mapping("valueFrom")
    reference = None
    field = resource = ""
    divisor = Decimal(0)
    if source is not None:
        if value:
            top.wrong("valueFrom", "cannot be given beside value")
        for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            inner = source.mapping(key)
            if inner is not None:
                reference = Reference(
                    kind=kind,
                    name=inner.needed("name"),
                    key=inner.needed("key"),
                    optional=bool(inner.flag("optional")),
                )
                inner.done()
        inner = source.mapping("fieldRef")
        if inner is not None:
            field = inner.needed("fieldPath")
            inner.done(quiet="apiVersion")
        inner = source.mapping("resourceFieldRef")
        if inner is not None:
            resource = inner.choice(
                "resource", ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
            ) or inner.needed("resource")
            divisor = _quantity(inner, "divisor") or Decimal(0)
            inner.done(quiet="containerName")
        source.done(without="fileKeyRef")
        if reference is None and not field and not resource:
            source.wrong("", "names no source that is supported")
    top.done()
    return EnvVar(
        name=name,
        path=top.path,
        value=value,
        reference=reference,
        field=field,
        resource=resource,
        divisor=divisor,
    )


def _all_of(top: Fields) -> EnvFrom:
    prefix = top.text("prefix")
    found = None
    for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
        inner = top.mapping(key)
        if inner is not None:
            found = Reference(kind=kind, name=inner.needed("name"), optional=bool(inner.flag("optional")))
            inner.done()
    top.done()
    if found is None:
        top.wrong("", "needs a configMapRef or a secretRef")
    return EnvFrom(source=found, path=top.path, prefix=prefix)


def _mount(top: Fields) -> VolumeMount:
    sub_path = top.text("subPath")
    if sub_path and (sub_path.startswith("/") or ".." in sub_path.split("/")):
        top.wrong("subPath", f"{sub_path!r} leads out of the volume")
    made = VolumeMount(
        name=top.needed("name"),
        path=top.path,
        target=top.needed("mountPath"),
        sub_path=sub_path,
        read_only=bool(top.flag("readOnly")),
        propagation=top.choice("mountPropagation", ("None", "HostToContainer", "Bidirectional")),
    )
    top.done(without="recursiveReadOnly subPathExpr")
    return made


def _volume(top: Fields) -> Volume:
    name = top.needed("name")
    kinds = [key for key in top.keys() if key != "name"]
    made = None
    for kind in kinds:
        if kind in _OTHER_VOLUMES:
            top.wrong(kind, "volumes of this kind are not supported")
        reader = _VOLUMES.get(kind)
        inner = top.mapping(kind) if reader is not None else None
        if reader is not None and inner is not None:
            if made is not None:
                top.wrong(kind, f"volume {name} has two kinds")
            made = reader(name, inner)
    top.done()
    if made is None:
        made = Volume(name=name, kind="emptyDir", path=top.path)  # as Kubernetes has it for a volume without a kind
    return made


def _host_path(name: str, top: Fields) -> Volume:
    path = top.needed("path")
    kind = top.choice("type", _HOST_TYPES)
    top.done()
    return Volume(name=name, kind="hostPath", path=top.path, source=path, host_type=kind)


def _empty_dir(name: str, top: Fields) -> Volume:
    medium = top.choice("medium", ("Memory",))
    limit = _quantity(top, "sizeLimit")
    top.done()
    return Volume(
        name=name,
        kind="emptyDir",
        path=top.path,
        memory=medium == "Memory",
        size_limit=quantity.whole(limit) if limit else 0,
    )


def _of_keys(kind: str, name_key: str) -> Callable[[str, Fields], Volume]:
    def read(name: str, top: Fields) -> Volume:
        items = []
        for item in top.each("items"):
            path = item.needed("path")
            if path.startswith("/") or ".." in path.split("/"):
                item.wrong("path", f"{path!r} leads out of the volume")
            items.append(
                KeyPath(
                    key=item.needed("key"), path=posixpath.normpath(path), mode=item.maybe_number("mode", most=0o777)
                )
            )
            item.done()
        made = Volume(
            name=name,
            kind=kind,
            path=top.path,
            source=top.needed(name_key),
            optional=bool(top.flag("optional")),
            items=tuple(items),
            mode=top.number("defaultMode", 0o644, most=0o777),
        )
        top.done()
        return made

    return read


def _claim(name: str, top: Fields) -> Volume:
    made = Volume(
        name=name,
        kind="persistentVolumeClaim",
        path=top.path,
        source=top.needed("claimName"),
        read_only=bool(top.flag("readOnly")),
    )
    top.done()
    return made


_VOLUMES = {
    "hostPath": _host_path,
    "emptyDir": _empty_dir,
    "configMap": _of_keys("configMap", "name"),
    "secret": _of_keys("secret", "secretName"),
    "persistentVolumeClaim": _claim,
}


def _probe(top: Fields | None, ports: tuple[Port, ...]) -> Probe | None:
    if top is None:
        return None
    command: tuple[str, ...] = ()
    url = host = ""
    headers: tuple[tuple[str, str], ...] = ()
    tcp_port = 0
    ways = [key for key in ("exec", "httpGet", "tcpSocket") if key in top]
    if len(ways) != 1:
        top.wrong("", "needs one of exec, httpGet and tcpSocket")
    inner = top.mapping(ways[0])
    assert inner is not None
    if ways == ["exec"]:
        command = inner.texts("command")
        if not command:
            inner.wrong("command", "is missing")
    else:
        port = _port_of(inner, ports)
        host = inner.text("host") or "localhost"
        if any(char.isspace() or not char.isprintable() for char in host):
            inner.wrong("host", f"{host!r} is no host")
        if ways == ["httpGet"]:
            scheme = inner.choice("scheme", ("HTTP", "HTTPS"), "HTTP").lower()
            path = inner.text("path", "/")
            url = f"{scheme}://{host}:{port}{path if path.startswith('/') else '/' + path}"
            headers = tuple((item.needed("name"), item.text("value")) for item in inner.each("httpHeaders"))
        else:
            tcp_port = port
    inner.done()
    made = Probe(
        command=command,
        url=url,
        headers=headers,
        host=host,
        tcp_port=tcp_port,
        initial_delay=top.number("initialDelaySeconds", 0, most=2**31 - 1),
        period=top.number("periodSeconds", 10, most=2**31 - 1) or 10,
        timeout=top.number("timeoutSeconds", 1, most=2**31 - 1) or 1,
        failures=top.number("failureThreshold", 3, most=2**31 - 1) or 3,
        successes=top.number("successThreshold", 1, most=2**31 - 1) or 1,
    )
    top.done(quiet="terminationGracePeriodSeconds")
    return made


def _port_of(top: Fields, ports: tuple[Port, ...]) -> int:
    found = top.raw("port")
    if isinstance(found, str):
        for port in ports:
            if port.name and port.name == found:
                return port.container_port or port.host_port
        if not found.isdecimal():
            known = [port.name for port in ports if port.name]
            top.wrong("port", f"no port is called {found!r}", meant(found, known))
        found = int(found) if len(found) < 6 else 0
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= 65535:
        top.wrong("port", "must be a port's number or name")
    return found


def _quantity(top: Fields, key: str) -> Decimal | None:
    found = top.raw(key)
    if found is None:
        return None
    try:
        return quantity.parse(found)
    except ValueError as error:
        top.wrong(key, str(error))


def _resources(top: Fields | None) -> Resources:
    if top is None:
        return Resources()
    limits, requests = top.mapping("limits"), top.mapping("requests")
    made = Resources(
        memory_limit=_quantity(limits, "memory") if limits is not None else None,
        cpu_limit=_quantity(limits, "cpu") if limits is not None else None,
        memory_request=_quantity(requests, "memory") if requests is not None else None,
        cpu_request=_quantity(requests, "cpu") if requests is not None else None,
    )
    for inner in (limits, requests):
        if inner is not None:
            # Names of devices are anybody's choice.
            others = [key for key in inner.keys() if "/" in key or key.startswith("hugepages-")]
            inner.done(quiet="ephemeral-storage storage", without=" ".join(others))
    top.done(without="claims")
    return made


def _pod_security(top: Fields | None) -> Security:
    if top is None:
        return Security()
    sysctls = []
    for item in top.each("sysctls"):
        sysctls.append((item.needed("name"), item.text("value")))
        item.done()
    groups = list(top.numbers("supplementalGroups"))
    group = top.maybe_number("fsGroup", most=2**32 - 2)
    if group is not None and group not in groups:
        groups.append(group)
    seccomp_type, seccomp_profile = _seccomp(top)
    made = Security(
        user=top.maybe_number("runAsUser", most=2**32 - 2),
        group=top.maybe_number("runAsGroup", most=2**32 - 2),
        not_root=bool(top.flag("runAsNonRoot")),
        groups=tuple(groups),
        sysctls=tuple(sysctls),
        seccomp_type=seccomp_type,
        seccomp_profile=seccomp_profile,
        apparmor=_apparmor(top),
        labels=_labels(top),
    )
    top.done(quiet="fsGroupChangePolicy seLinuxChangePolicy supplementalGroupsPolicy", without="windowsOptions")
    return made


def _security(top: Fields | None) -> Security:
    if top is None:
        return Security()
    capabilities = top.mapping("capabilities")
    seccomp_type, seccomp_profile = _seccomp(top)
    made = Security(
        user=top.maybe_number("runAsUser", most=2**32 - 2),
        group=top.maybe_number("runAsGroup", most=2**32 - 2),
        not_root=bool(top.flag("runAsNonRoot")),
        seccomp_type=seccomp_type,
        seccomp_profile=seccomp_profile,
        apparmor=_apparmor(top),
        labels=_labels(top),
        privileged=bool(top.flag("privileged")),
        read_only=bool(top.flag("readOnlyRootFilesystem")),
        escalation=top.flag("allowPrivilegeEscalation"),
        cap_add=capabilities.texts("add") if capabilities is not None else (),
        cap_drop=capabilities.texts("drop") if capabilities is not None else (),
        unmasked=top.choice("procMount", ("Default", "Unmasked")) == "Unmasked",
    )
    if capabilities is not None:
        capabilities.done()
    top.done(without="windowsOptions")
    return made


def _seccomp(top: Fields) -> tuple[str, str]:
    inner = top.mapping("seccompProfile")
    if inner is None:
        return "", ""
    kind = inner.choice("type", ("Unconfined", "RuntimeDefault", "Localhost"))
    profile = inner.text("localhostProfile")
    if kind == "Localhost" and not profile:
        inner.wrong("localhostProfile", "is missing")
    if ".." in profile.split("/"):
        inner.wrong("localhostProfile", f"{profile!r} leads out of the directory of profiles")
    inner.done()
    return kind, profile


def _apparmor(top: Fields) -> str:
    inner = top.mapping("appArmorProfile")
    if inner is None:
        return ""
    kind = inner.choice("type", ("Unconfined", "RuntimeDefault", "Localhost"))
    profile = inner.text("localhostProfile")
    inner.done()
    return {"Unconfined": "unconfined", "Localhost": profile}.get(kind, "")


def _labels(top: Fields) -> tuple[str, ...]:
    inner = top.mapping("seLinuxOptions")
    if inner is None:
        return ()
    found = [f"{key}:{value}" for key in ("user", "role", "type", "level") if (value := inner.text(key))]
    for key in ("filetype",):  # podman's own
        if value := inner.text(key):
            found.append(f"{key}:{value}")
    inner.done()
    return tuple(found)
