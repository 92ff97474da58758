"""What a pod means in the flags of ``pod create`` and ``create``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pypod.errors import UsageError
from pypod.kube import read, translate
from pypod.kube.sources import Sources

MAPS = {"cm": {"FOO": b"bar", "file.txt": b"hello"}}
SECRETS = {"sec": {"pw": b"secret"}}


PLAIN = translate.Wishes()


def plan(spec: str, *, head: str = "", wishes: translate.Wishes = PLAIN) -> translate.PodPlan:
    """The plan of a pod; ``spec`` and ``head`` (labels and annotations) are YAML in one line."""
    text = f"kind: Pod\nmetadata: {{name: web, {head}}}\nspec: {{{spec}}}\n"
    [pod] = read.file(text.encode()).pods
    return translate.pod(pod, Sources(MAPS, SECRETS), wishes)


def container(fields: str, spec: str = "", **more: Any) -> translate.ContainerPlan:
    return plan(f"containers: [{{name: c, image: x:1, {fields}}}], {spec}", **more).containers[0]


def test_commands_and_variables() -> None:
    made = container(
        'command: [a, "$(B)"], args: ["$(A)", "$$(A)", "$(NONE)"], workingDir: /w, tty: true, stdin: true,'
        " envFrom: [{configMapRef: {name: cm}, prefix: P_}, {secretRef: {name: none, optional: true}}],"
        ' env: [{name: A, value: "1"}, {name: B, value: "$(A)$(P_FOO)"},'
        " {name: C, valueFrom: {secretKeyRef: {name: sec, key: pw}}},"
        " {name: D, valueFrom: {configMapKeyRef: {name: cm, key: none, optional: true}}},"
        " {name: E, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['l']\"}}},"
        " {name: F, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}],"
        " resources: {limits: {memory: 100Mi}}",
        head="labels: {l: m}",
    )
    assert json.loads(made.flags["entrypoint"]) == ["a", "1bar"]
    assert made.command == ("1", "$(A)", "$(NONE)")
    assert made.flags["env"] == ["P_FOO=bar", "P_file.txt=hello", "A=1", "B=1bar", "C=secret", "E=m", "F=100"]
    assert (made.flags["workdir"], made.flags["tty"], made.flags["interactive"]) == ("/w", True, True)
    assert made.name == "web-c" and made.flags["restart"] == "always" and made.flags["pull"] == "missing"


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ("env: [{name: A, valueFrom: {secretKeyRef: {name: sek, key: pw}}}]", "env[0]: no secret sek | sec?"),
        ("env: [{name: A, valueFrom: {configMapKeyRef: {name: cm, key: FO}}}]", "cm has no key FO | FOO?"),
        ("envFrom: [{configMapRef: {name: nope}}]", "containers[0].envFrom[0]: no config map nope"),
        ("env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", "'status.podIP' is not supported"),
        ("securityContext: {runAsNonRoot: true, runAsUser: 0}", "contradict each other"),
    ],
)
def test_what_cannot_be(fields: str, cause: str) -> None:
    cause, _, hint = cause.partition(" | ")
    with pytest.raises(UsageError) as caught:
        container(fields)
    assert "document 1 (Pod web): spec.containers[0]" in caught.value.message
    assert cause in caught.value.message and hint in caught.value.hint


def test_volumes() -> None:
    made = plan(
        "containers: [{name: c, image: x, volumeMounts: ["
        '{name: host, mountPath: "/a,b", readOnly: true, mountPropagation: HostToContainer},'
        "{name: claim, mountPath: /claim, subPath: in/side}, {name: dir, mountPath: /dir},"
        "{name: map, mountPath: /map},"
        "{name: secret, mountPath: /secret}, {name: tmp, mountPath: /tmp}, {name: dev, mountPath: /dev/x},"
        "{name: named, mountPath: /named}]}],"
        "volumes: [{name: host, hostPath: {path: /srv, type: DirectoryOrCreate}},"
        "{name: claim, persistentVolumeClaim: {claimName: data}}, {name: dir, emptyDir: {}},"
        "{name: map, configMap: {name: cm, defaultMode: 0600, items: [{key: FOO, path: d/foo, mode: 0444}]}},"
        "{name: secret, secret: {secretName: sec}}, {name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Mi}},"
        "{name: dev, hostPath: {path: /dev/null, type: CharDevice}}, {name: named, hostPath: {path: vol}}]",
        wishes=translate.Wishes(token="1f"),
    )
    assert made.containers[0].flags["mount"] == [
        'type=bind,source=/srv,"target=/a,b",ro,bind-propagation=rslave',
        "type=volume,source=data,target=/claim,subpath=in/side",
        "type=volume,source=web-dir-1f,target=/dir,nocopy",
        "type=volume,source=web-map-1f,target=/map,ro,nocopy",
        "type=volume,source=web-secret-1f,target=/secret,ro,nocopy",
        "type=tmpfs,target=/tmp,tmpfs-size=1048576,tmpfs-mode=1777,notmpcopyup",
        "type=volume,source=vol,target=/named",
    ]
    assert made.containers[0].flags["device"] == ["/dev/null:/dev/x:rwm"]
    own = {item.label: dict(item.files) for item in made.volumes}
    assert own == {
        "emptyDir": {},
        "configMap/cm": {"d/foo": (b"bar", 0o444)},
        "secret/sec": {"pw": (b"secret", 0o644)},
    }
    assert [(item.path, item.kind) for item in made.host_paths] == [
        ("/srv", "DirectoryOrCreate"),
        ("/dev/null", "CharDevice"),
    ]


def test_an_empty_choice_is_the_default() -> None:
    made = plan(
        "restartPolicy: '', containers: [{name: c, image: x, ports: [{hostPort: 9, protocol: ''}],"
        " livenessProbe: {httpGet: {port: 9, scheme: ''}}}]"
    )
    assert made.containers[0].flags["restart"] == "always" and made.flags["publish"] == ["9:9/tcp"]
    assert "http://localhost:9/" in made.containers[0].flags["health_cmd"]


def test_the_pod() -> None:
    made = plan(
        "containers: [{name: c, image: x, ports: [{containerPort: 80, hostPort: 8080, hostIP: '::1'},"
        "{containerPort: 53, protocol: UDP}, {hostPort: 9}]}], hostname: h, shareProcessNamespace: true,"
        "hostAliases: [{ip: 1.2.3.4, hostnames: [a, b]}], dnsConfig: {nameservers: [1.1.1.1], searches: [s]},"
        "terminationGracePeriodSeconds: 0, securityContext: {"
        "sysctls: [{name: n, value: v}], supplementalGroups: [5]}",
        head="labels: {a: b}, annotations: {io.podman.annotations.userns: keep-id,"
        "io.podman.annotations.infra.name: i}",
        wishes=translate.Wishes(default_network="net"),
    )
    assert made.flags == {
        "name": "web",
        "hostname": "h",
        "label": ["a=b"],
        "network": ["net"],
        "network_alias": ["web"],
        "share": "+pid",
        "exit_policy": "stop",
        "add_host": ["a:1.2.3.4", "b:1.2.3.4"],
        "dns": ["1.1.1.1"],
        "dns_search": ["s"],
        "publish": ["[::1]:8080:80/tcp", "9:9/tcp"],
        "sysctl": ["n=v"],
        "userns": "keep-id",
        "infra_name": "i",
    }
    flags = made.containers[0].flags
    assert flags["stop_timeout"] == 0 and flags["group_add"] == ["5"] and flags["label"] == ["a=b"]
    host = plan(
        "containers: [{name: c, image: x, ports: [{hostPort: 80}]}], hostNetwork: true, hostPID: true, hostIPC: true"
    )
    assert host.flags["network"] == ["host"] and "publish" not in host.flags
    assert (host.containers[0].flags["pid"], host.containers[0].flags["ipc"]) == ("host", "host")


def test_security_and_resources() -> None:
    flags = container(
        "resources: {limits: {cpu: 1500m, memory: 1Gi}, requests: {cpu: 250m, memory: 1Mi}},"
        "securityContext: {runAsGroup: 8, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,"
        "seccompProfile: {type: Localhost, localhostProfile: p.json}, capabilities: {add: [NET_ADMIN], drop: [all]}}",
        "securityContext: {runAsUser: 7, seLinuxOptions: {level: s0}}",
        wishes=translate.Wishes(seccomp_root="/prof"),
    ).flags
    assert (flags["cpus"], flags["memory"], flags["cpu_shares"]) == (1.5, "1073741824", 256)
    assert flags["memory_reservation"] == "1048576" and flags["user"] == "7:8" and flags["read_only"] is True
    assert flags["security_opt"] == ["no-new-privileges", "label=level:s0", "seccomp=/prof/p.json"]
    assert (flags["cap_add"], flags["cap_drop"]) == (["NET_ADMIN"], ["all"])
    assert container("resources: {limits: {cpu: 1n}}").flags["cpus"] == 0.01


def test_probes() -> None:
    flags = container(
        'ports: [{name: web, containerPort: 80}], livenessProbe: {httpGet: {port: web, path: "/o\'k",'
        " httpHeaders: [{name: H, value: v}]}, initialDelaySeconds: 4, failureThreshold: 2},"
        "startupProbe: {exec: {command: [a, b]}, successThreshold: 2}"
    ).flags
    kind, shell = json.loads(flags["health_cmd"])
    assert kind == "CMD-SHELL" and "curl" in shell and "wget" in shell and "-H 'H: v'" in shell
    assert (flags["health_interval"], flags["health_timeout"], flags["health_retries"]) == ("10s", "1s", 2)
    assert flags["health_start_period"] == "4s" and flags["health_on_failure"] == "restart"
    assert json.loads(flags["health_startup_cmd"]) == ["CMD", "a", "b"] and flags["health_startup_success"] == 2
    never = container("livenessProbe: {tcpSocket: {port: 80}}", "restartPolicy: Never").flags
    assert never["health_on_failure"] == "stop" and never["restart"] == "no"
    assert json.loads(never["health_cmd"]) == ["CMD-SHELL", "nc -z localhost 80 || exit 1"]
    lonely = plan("containers: [{name: c, image: x, startupProbe: {exec: {command: [a]}}}]")
    assert lonely.warnings == (
        "document 1 (Pod web): spec.containers[0].startupProbe: no effect without a livenessProbe",
    )


def test_annotations() -> None:
    made = plan(
        "initContainers: [{name: i, image: x}], containers: [{name: c, image: x}]",
        head="annotations: {io.podman.annotations.init/web-c: 'TRUE', io.podman.annotations.privileged/c: 'FALSE',"
        "io.podman.annotations.pids-limit/c: '5', io.podman.annotations.ulimit: 'nofile=1:2,core=0',"
        "io.podman.annotations.init.container.type: always, mine/c: x, yours/i: y,"
        "io.kubernetes.cri-o.TTY/c: 'false'}",
        wishes=translate.Wishes(annotations={"all": "z"}),
    )
    first, second = made.containers
    assert first.flags["init_ctr"] == "always" and first.flags["annotation"] == ["all=z", "yours=y"]
    assert second.flags["annotation"] == ["all=z", "mine=x"] and "init_ctr" not in second.flags
    assert second.flags["init"] is True and "privileged" not in second.flags
    assert second.flags["pids_limit"] == 5 and second.flags["ulimit"] == ["nofile=1:2", "core=0"]


@pytest.mark.parametrize("value", ["--5", "many", "5.0", ""])
def test_a_limit_that_is_no_number(value: str) -> None:
    head = f"annotations: {{io.podman.annotations.pids-limit: '{value}'}}"
    with pytest.raises(UsageError, match="pids-limit: '.*' is no number"):
        plan("containers: [{name: c, image: x}]", head=head)


@pytest.mark.parametrize(
    ("image", "policy", "pull"),
    [
        ("quay.io/a/b", "", "newer"),
        ("quay.io/a/b:latest", "", "newer"),
        ("quay.io/a/b:1", "", "missing"),
        ("localhost/a", "", "missing"),
        ("quay.io/a@sha256:" + "0" * 64, "", "missing"),
        ("quay.io/a/b:1", "Always", "always"),
        ("quay.io/a/b", "IfNotPresent", "missing"),
        ("quay.io/a/b", "Never", "never"),
    ],
)
def test_pull_policy(image: str, policy: str, pull: str) -> None:
    more = f", imagePullPolicy: {policy}" if policy else ""
    made = plan(f"containers: [{{name: c, image: '{image}'{more}}}]")
    assert made.containers[0].flags["pull"] == pull
