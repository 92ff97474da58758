"""From YAML to objects: what is wrong is told with the document's number and the field's path."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pypod.errors import UsageError
from pypod.kube import read_pod, yamltext
from pypod.kube.fields import Fields, Notes, meant, repeated
from pypod.kube.objects import Claim, ConfigMap, File, Pod, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("Pod", "Deployment", "ConfigMap", "Secret", "PersistentVolumeClaim")
_REPLICAS = 1000  # of one deployment


def file(content: bytes) -> File:
    """Everything in a file. Raises UsageError."""
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    warnings: list[str] = []
    for document in yamltext.documents(content):
        notes = Notes(document=document.number)
        top = Fields(document.value, notes)
        kind = top.text("kind")
        top.text("apiVersion")
        if kind not in KINDS:
            what = f"kube kind {kind} is not supported" if kind else "has no kind"
            warnings.append(f"document {document.number}: {what}, skipped")
            continue
        found[kind] += _READERS[kind](top, notes)
        warnings += notes.warnings()
    if not any(found.values()):
        raise UsageError("YAML document does not contain any supported kube kind", hint=_close_kind(content))
    for kind, items in found.items():
        _check_names(kind, [item.name for item in items])
    pods = [*found["Pod"], *found["Deployment"]]
    _check_names("Pod", [pod.name for pod in pods])
    return File(
        pods=tuple(pods),
        config_maps=tuple(found["ConfigMap"]),
        secrets=tuple(found["Secret"]),
        claims=tuple(found["PersistentVolumeClaim"]),
        warnings=tuple(warnings),
    )


def secret_data(content: bytes) -> dict[str, bytes]:
    """What is in a secret of the store that ``kube play`` or podman made: a Secret, or a mapping of keys to base64.

    Raises UsageError.
    """
    found = yamltext.documents(content)
    if len(found) != 1 or not isinstance(found[0].value, dict):
        raise UsageError("it holds no Kubernetes Secret")
    top = Fields(found[0].value, Notes(document=1))
    if "kind" in top:
        return _data(top)
    return {key: _decoded(top, key) for key in top.keys()}


def _close_kind(content: bytes) -> str:
    for document in yamltext.documents(content):
        if isinstance(document.value, dict):
            hint = meant(str(document.value.get("kind") or ""), KINDS)
            if hint:
                return hint
    return ""


def _check_names(kind: str, names: list[str]) -> None:
    twice = repeated(names)
    if twice:
        raise UsageError(f"{kind} {twice} is described twice")


def _metadata(top: Fields, notes: Notes, kind: str) -> Fields:
    """Metadata of an object that must have a name. Raises UsageError."""
    inner = top.mapping("metadata")
    name = inner.text("name") if inner is not None else ""
    if inner is None or not name:
        top.wrong("metadata.name", f"{kind.lower()} does not have a name")
    notes.name = f"{kind} {name}"
    return inner


_QUIET_METADATA = (
    "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation managedFields"
    " ownerReferences resourceVersion selfLink uid"
)
_NO_MATTER = " annotations labels namespace"  # of what becomes nothing of its own


def _pods(top: Fields, notes: Notes) -> list[Pod]:
    metadata = _metadata(top, notes, "Pod")
    pod = read_pod.pod(top, metadata, notes, name=metadata.text("name"))
    metadata.done(quiet=_QUIET_METADATA)
    top.done(quiet="status")
    return [pod]


def _deployment(top: Fields, notes: Notes) -> list[Pod]:
    metadata = _metadata(top, notes, "Deployment")
    name = metadata.text("name")
    for key in ("labels", "annotations"):
        metadata.table(key)
    metadata.done(quiet=_QUIET_METADATA + " namespace")
    spec = top.mapping("spec")
    if spec is None:
        top.wrong("spec", "is missing")
    replicas = spec.number("replicas", 1, most=_REPLICAS)
    template = spec.mapping("template")
    if template is None:
        spec.wrong("template", "is missing")
    inner = template.mapping("metadata") or Fields({}, notes, template.at("metadata"))
    inner.text("name")
    pod = read_pod.pod(template, inner, notes, name=name)
    inner.done(quiet=_QUIET_METADATA)
    template.done()
    spec.done(quiet="minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit selector strategy")
    top.done(quiet="status")
    return [replace(pod, name=f"{name}-pod-{number}") for number in range(replicas)]


def _config_map(top: Fields, notes: Notes) -> list[ConfigMap]:
    metadata = _metadata(top, notes, "ConfigMap")
    data = {key: value.encode("utf-8", "surrogateescape") for key, value in top.table("data").items()}
    binary = top.mapping("binaryData")
    for key in binary.keys() if binary is not None else ():
        assert binary is not None
        data[key] = _decoded(binary, key)
    metadata.done(quiet=_QUIET_METADATA + _NO_MATTER)
    top.done(quiet="immutable")
    return [ConfigMap(document=notes.document, name=metadata.text("name"), data=data)]


def _secret(top: Fields, notes: Notes) -> list[Secret]:
    metadata = _metadata(top, notes, "Secret")
    data = _data(top)
    immutable = top.flag("immutable")
    metadata.done(quiet=_QUIET_METADATA + _NO_MATTER)
    top.done(quiet="type")
    return [Secret(document=notes.document, name=metadata.text("name"), data=data, immutable=bool(immutable))]


def _data(top: Fields) -> dict[str, bytes]:
    inner = top.mapping("data")
    data = {} if inner is None else {key: _decoded(inner, key) for key in inner.keys()}
    for key, value in top.table("stringData").items():
        data[key] = value.encode("utf-8", "surrogateescape")
    return data


def _decoded(fields: Fields, key: str) -> bytes:
    try:
        return base64.b64decode("".join(fields.text(key).split()), validate=True)
    except (binascii.Error, ValueError):
        fields.wrong(key, "is not base64", hint="plain text goes into stringData")


def _claim(top: Fields, notes: Notes) -> list[Claim]:
    metadata = _metadata(top, notes, "PersistentVolumeClaim")
    made = Claim(
        document=notes.document,
        name=metadata.text("name"),
        labels=metadata.table("labels"),
        annotations=metadata.table("annotations"),
    )
    metadata.done(quiet=_QUIET_METADATA + " namespace")
    top.done(quiet="spec status")
    return [made]


_READERS: dict[str, Callable[[Fields, Notes], list[Any]]] = {
    "Pod": _pods,
    "Deployment": _deployment,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "PersistentVolumeClaim": _claim,
}
