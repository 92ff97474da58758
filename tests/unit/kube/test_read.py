"""Objects out of YAML: every field of its type, and what is wrong told with document and path."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypod.errors import UsageError
from pypod.kube import expand, quantity, read, translate, yamltext
from pypod.kube.sources import Sources

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"a/c": "1"}, "creationTimestamp": None},
    "spec": {
        "restartPolicy": "OnFailure",
        "hostname": "h",
        "initContainers": [{"name": "i", "image": "x"}],
        "containers": [
            {
                "name": "c",
                "image": "x",
                "command": ["a"],
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "ports": [{"containerPort": 80, "hostPort": 8080, "name": "http"}],
                "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True, "subPath": "a/b"}],
                "livenessProbe": {"httpGet": {"port": "http", "path": "ok"}, "periodSeconds": 5},
                "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"memory": 1000}},
                "securityContext": {"runAsUser": 1000, "capabilities": {"add": ["NET_ADMIN"]}},
            }
        ],
        "volumes": [{"name": "v", "hostPath": {"path": "/srv", "type": "Directory"}}],
        "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "ndots", "value": "2"}]},
        "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}],
        "securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "5"}], "fsGroup": 7},
        "tolerations": [{}],
    },
    "status": {},
}  # fmt: skip


def file(*objects: dict[str, Any]):
    return read.file(yamltext.write(list(objects)).encode())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The pod with one field set; None removes it."""
    whole = copy.deepcopy(POD)
    *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    inner: Any = whole
    for word in way:
        inner = inner[word]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return whole


def test_a_pod_is_read_without_a_word() -> None:
    found = file(POD)
    assert found.warnings == ()
    [pod] = found.pods
    assert [item.name for item in pod.containers] == ["i", "c"]
    assert pod.containers[1].liveness.url == "http://localhost:80/ok"
    assert pod.dns_options == ("ndots:2",)


WRONG = {
    "metadata.name": (None, "metadata.name: pod does not have a name"),
    "spec": (None, "spec: is missing"),
    "spec.restartPolicy": ("Allways", "spec.restartPolicy: 'Allways' is none of Always, Never, OnFailure | Always?"),
    "spec.hostNetwork": ("yes", "spec.hostNetwork: must be true or false, not the text 'yes'"),
    "spec.hostnetwork": (True, "spec.hostnetwork: no such field | hostNetwork?"),
    "spec.containers.0.comand": (["x"], "spec.containers[0].comand: no such field | command?"),
    "spec.containers.0.command": ("x", "spec.containers[0].command: must be a list, not the text 'x'"),
    "spec.containers.0.image": (None, "spec.containers[0].image: is missing"),
    "spec.containers.0.env.0.value": (5, "env[0].value: must be text, not the number 5 | quotes"),
    "spec.containers.0.env.0.name": ("A=B", "cannot be a variable's name"),
    "spec.containers.0.env.1.value": ("x", "env[1].valueFrom: cannot be given beside value"),
    "spec.containers.0.ports.0.containerPort": ("80", "containerPort: must be a whole number, not the text '80'"),
    "spec.containers.0.ports.0.hostPort": (70000, "must be from 0 to 65535"),
    "spec.containers.0.ports.0.protocol": ("tcp", "'tcp' is none of | TCP?"),
    "spec.containers.0.volumeMounts.0.name": ("w", "spec.containers[0].volumeMounts[0].name: there is no volume w"),
    "spec.containers.0.volumeMounts.0.subPath": ("../x", "leads out of the volume"),
    "spec.containers.0.livenessProbe.httpGet.port": ("htp", "no port is called 'htp' | http?"),
    "spec.containers.0.livenessProbe.exec": ({"command": ["x"]}, "needs one of exec, httpGet and tcpSocket"),
    "spec.containers.0.resources.limits.memory": ("64MB", "resources.limits.memory: '64MB' has an unknown unit"),
    "spec.containers.0.resources.limits.cpu": ([], "limits.cpu: must be a quantity"),
    "spec.containers.0.securityContext.runAsUser": ("root", "runAsUser: must be a whole number"),
    "spec.containers.0.name": ("i", "two are called i"),
    "spec.volumes.0.hostPath.type": ("Folder", "hostPath.type: 'Folder' is none of"),
    "spec.volumes.0.nfs": ({"server": "x"}, "spec.volumes[0].nfs: volumes of this kind are not supported"),
    "spec.volumes.0.emptyDir": ({}, "two kinds"),
    "spec.terminationGracePeriodSeconds": (-1, "must be from 0"),
    "metadata.labels.n": (1, "metadata.labels.n: must be text, not the number 1"),
}


@pytest.mark.parametrize("path", WRONG)
def test_what_is_wrong_is_told_with_its_place(path: str) -> None:
    value, said = WRONG[path]
    message, _, hint = said.partition(" | ")
    with pytest.raises(UsageError) as caught:
        file({"kind": "Service", "metadata": {"name": "s"}}, changed(path, value))
    assert caught.value.message.startswith("document 2"), caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_what_means_nothing_here_is_a_warning_or_nothing() -> None:
    found = file(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
        changed("spec.runtimeClassName", "gvisor"),
        {**changed("spec.fancy\nNewThing", 1), "metadata": {"name": "other"}},
        {"knd": "Pod"},
    )
    assert list(found.warnings) == [
        "document 1: kube kind Service is not supported, skipped",
        "document 2 (Pod web): no effect here: spec.runtimeClassName",
        "document 3 (Pod other): spec.'fancy\\nNewThing': no such field, ignored",
        "document 4: has no kind, skipped",
    ]


def test_kinds() -> None:
    with pytest.raises(UsageError, match="does not contain any supported kube kind") as caught:
        file({"kind": "Deploymnet"})
    assert "Deployment" in caught.value.hint
    for content in (b"", b"a: b", b"# x"):
        with pytest.raises(UsageError, match="does not contain any supported kube kind"):
            read.file(content)
    with pytest.raises(UsageError, match="document 1: must be a mapping, not a list"):
        read.file(b"[a]")
    with pytest.raises(UsageError, match="Pod web is described twice"):
        file(POD, POD)


def test_a_deployment_is_its_pods() -> None:
    template = {"metadata": POD["metadata"], "spec": POD["spec"]}
    whole = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": template, "replicas": 3}}
    found = file(whole)
    assert [pod.name for pod in found.pods] == ["d-pod-0", "d-pod-1", "d-pod-2"]
    assert found.pods[2].labels == {"app": "web"}
    whole["spec"]["replicas"] = 0
    assert file(whole, POD).pods[0].name == "web"
    whole["spec"]["replicas"] = 10**9
    with pytest.raises(UsageError, match=r"spec\.replicas: must be from 0 to 1000"):
        file(whole)
    whole["spec"] = {"template": {"spec": {**POD["spec"], "hostPid": True}}}
    with pytest.raises(
        UsageError, match=r"document 1 \(Deployment d\): spec\.template\.spec\.hostPid: no such field"
    ):
        file(whole)


def test_large_files_are_read_at_once() -> None:
    maps = b"---\n".join(b"{kind: ConfigMap, metadata: {name: a%d}}\n" % number for number in range(20_000))
    with pytest.raises(UsageError, match="ConfigMap a0 is described twice"):
        read.file(maps + b"---\n{kind: ConfigMap, metadata: {name: a0}}\n")
    containers = b"".join(b"  - {name: c%d, image: x}\n" % number for number in range(5000))
    whole = b"kind: Deployment\nmetadata: {name: d}\nspec: {replicas: 1000, template: {spec: {containers: [\n"
    whole += containers.replace(b"\n", b",\n").replace(b"  - ", b"") + b"]}}}\n"
    assert len(read.file(whole).pods) == 1000
    with pytest.raises(UsageError, match=r"document 1 \(Pod web\): spec: more than 100 fields are unknown"):
        file({**POD, "spec": {f"zk{number}": 1 for number in range(20_000)}})


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret", "PersistentVolumeClaim"])
def test_metadata_is_read_whole(kind: str) -> None:
    assert not file({"kind": kind, "metadata": {"name": "a", "namespace": "n", "labels": {}, "uid": "1"}}).warnings
    with pytest.raises(UsageError, match=r"metadata\.lables: no such field") as caught:
        file({"kind": kind, "metadata": {"name": "a", "lables": {"a": "b"}}})
    assert caught.value.hint == "did you mean labels?"


def test_data_of_config_maps_and_secrets() -> None:
    found = file(
        {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}, "binaryData": {"b": "AP8="}},
        {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "aGk=\n"}, "stringData": {"b": "x"}},
    )
    assert found.config_maps[0].data == {"a": b"1", "b": b"\0\xff"}
    assert found.secrets[0].data == {"a": b"hi", "b": b"x"}
    with pytest.raises(UsageError, match=r"document 1 \(Secret s\): data\.a: is not base64") as caught:
        file({"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "plain!"}})
    assert "stringData" in caught.value.hint
    assert read.secret_data(b'{"a": "aGk="}') == {"a": b"hi"}
    assert read.secret_data(b"kind: Secret\ndata: {a: aGk=}") == {"a": b"hi"}
    with pytest.raises(UsageError):
        read.secret_data(b"just text")


scraps = st.sampled_from(
    [None, True, 0, -1, 2**70, 1.5, "", "x", "$(A)", "../..", "\0", [], {}, [None], {"x": {}}, [{}]]
)


@st.composite
def damaged(draw):
    """The pod with a few of its values replaced by anything."""
    whole = copy.deepcopy(POD)
    for _ in range(draw(st.integers(1, 3))):
        inner: Any = whole
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(inner[key], (dict, list)) and inner[key] and draw(st.booleans()):
                inner = inner[key]
                continue
            inner[key] = copy.deepcopy(draw(scraps))  # it may be damaged in its turn
            break
    return whole


@given(damaged())
@settings(max_examples=300, deadline=None)
def test_a_damaged_pod_is_an_error_or_a_plan(whole) -> None:
    try:
        for pod in file(whole).pods:
            translate.pod(pod, Sources(), translate.Wishes())
    except UsageError as error:
        assert "\n" not in error.message


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", "0.5"),
        ("64Mi", "67108864"),
        ("1e3", "1000"),
        (2, "2"),
        ("0.5", "0.5"),
        ("1k", "1000"),
        ("1E", "1e18"),
    ],
)
def test_quantities(text: str, number: str) -> None:
    assert quantity.parse(text) == quantity.Decimal(number)


@given(st.text(max_size=12) | st.integers() | st.floats())
def test_any_quantity_is_a_number_or_an_error(value) -> None:
    try:
        assert quantity.whole(quantity.parse(value)) >= 0
    except ValueError:
        pass


@given(st.integers(1, 2**62))
def test_bytes_survive(number: int) -> None:
    assert quantity.whole(quantity.parse(quantity.of_bytes(number))) == number


@given(st.text(alphabet="a$()A ", max_size=20))
def test_escaped_text_survives(text: str) -> None:
    assert expand.expand(expand.escape(text), {"A": "1", "": "2", "a": "3"}) == text


def test_expansion() -> None:
    env = {"A": "1"}
    for text, expected in (
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(B)", "$(B)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("a$", "a$"),
        ("$(A)$$(A", "1$(A"),
        ("$(" * 200_000, "$(" * 200_000),  # in no more than a moment
    ):
        assert expand.expand(text, env) == expected
