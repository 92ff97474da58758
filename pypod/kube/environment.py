"""A container's variables and words, with what they refer to."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from pypod.errors import UsageError
from pypod.kube import quantity, sources
from pypod.kube.expand import expand

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pypod.kube.objects import Container, EnvVar, Pod
    from pypod.kube.sources import Sources

_LENGTH = 128 << 10  # of one value: what execve(2) takes
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def build(item: Container, pod: Pod, known: Sources, where: str) -> dict[str, str]:
    """Name → value: envFrom first, then env, each of which may refer to what is before it. Raises UsageError."""
    result: dict[str, str] = {}
    for whole in item.env_from:
        path = f"{where}: {whole.path}"
        for key, content in (known.get(whole.source, path) or {}).items():
            name = whole.prefix + key
            if not name or "=" in name or "\0" in name:
                raise UsageError(f"{path}: {name!r} cannot be a variable's name")
            result[name] = sources.text(content, f"{path}: {key}")
    for variable in item.env:
        value = _value(variable, item, pod, known, result, f"{where}: {variable.path}")
        if value is not None:
            if len(value) > _LENGTH:
                raise UsageError(f"{where}: {variable.path}: is longer than {_LENGTH} characters")
            result[variable.name] = value
    return result


def words(texts: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """A command with its $(NAME) replaced."""
    return [expand(text, env) for text in texts]


def _value(
    variable: EnvVar, item: Container, pod: Pod, known: Sources, before: Mapping[str, str], where: str
) -> str | None:
    if variable.reference is not None:
        return known.value(variable.reference, where)
    if variable.field:
        return _field(variable.field, pod, where)
    if variable.resource:
        return _resource(variable, item)
    return expand(variable.value, before)


def _field(path: str, pod: Pod, where: str) -> str:
    if path == "metadata.name":
        return pod.name
    if path == "metadata.namespace":
        return pod.namespace or "default"
    keyed = _KEYED.fullmatch(path)
    if keyed:
        found = pod.labels if keyed[1] == "labels" else pod.annotations
        return found.get(keyed[2], "")
    raise UsageError(
        f"{where}: fieldPath {path!r} is not supported",
        hint="metadata.name, metadata.namespace, metadata.labels['KEY'] and metadata.annotations['KEY'] are",
    )


def _resource(variable: EnvVar, item: Container) -> str:
    wanted = item.resources
    found = {
        "limits.cpu": wanted.cpu_limit,
        "limits.memory": wanted.memory_limit,
        "requests.cpu": wanted.cpu_request,
        "requests.memory": wanted.memory_request,
    }[variable.resource]
    return str(quantity.whole(found or Decimal(0), variable.divisor or Decimal(1)))
