"""securityContext of pod and container as flags: what the container says goes before what the pod says."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from pypod.errors import UsageError

if TYPE_CHECKING:
    from pypod.kube.objects import Container, Pod, Security

_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"


def flags(item: Container, pod: Pod, seccomp_root: str, where: str) -> dict[str, Any]:
    """Raises UsageError."""
    own, whole = item.security, pod.security
    user = whole.user if own.user is None else own.user
    group = whole.group if own.group is None else own.group
    path = f"{where}: {item.path}.securityContext"
    if (own.not_root or whole.not_root) and user == 0:
        raise UsageError(f"{path}: runAsNonRoot and runAsUser 0 contradict each other")
    if group is not None and user is None:
        # A group alone is root's: an image's user may be a name, which has its own.
        user = 0
    options = []
    if own.escalation is False:
        options.append("no-new-privileges")
    options += [f"label={text}" for text in own.labels or whole.labels]
    seccomp = _seccomp(own, whole, item.name, pod, seccomp_root)
    if seccomp:
        options.append(f"seccomp={seccomp}")
    apparmor = own.apparmor or whole.apparmor
    if apparmor:
        options.append(f"apparmor={apparmor}")
    if own.unmasked:
        options.append("unmask=ALL")
    return {
        "user": "" if user is None else f"{user}" + ("" if group is None else f":{group}"),
        "group_add": [str(number) for number in whole.groups],
        "privileged": own.privileged,
        "read_only": own.read_only,
        "cap_add": list(own.cap_add),
        "cap_drop": list(own.cap_drop),
        "security_opt": options,
    }


def _seccomp(own: Security, whole: Security, name: str, pod: Pod, root: str) -> str:
    """A profile's path, unconfined, or "" for the default."""
    for found in (own, whole):
        if found.seccomp_type == "Unconfined":
            return "unconfined"
        if found.seccomp_type == "Localhost":
            return posixpath.join(root, found.seccomp_profile)
        if found.seccomp_type:
            return ""
    # How it was said before there was seccompProfile.
    text = pod.annotations.get(_SECCOMP_CONTAINER + name) or pod.annotations.get(_SECCOMP_POD) or ""
    if text.startswith("localhost/") and ".." not in text.split("/"):
        return posixpath.join(root, text.removeprefix("localhost/"))
    return "unconfined" if text == "unconfined" else ""
