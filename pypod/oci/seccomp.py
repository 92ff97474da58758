"""Seccomp filters of the OCI config (runtime-spec, config-linux.md, "Seccomp"), from profiles.

A profile is a filter with conditions: rules that hold for some architectures, kernels or capabilities only.
"""

from __future__ import annotations

from pypod.oci import seccomp_profile as profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from typing import Any

_ALLOW = "SCMP_ACT_ALLOW"
_ERRNO = "SCMP_ACT_ERRNO"


def _equal(index: int, value: int, operator: str = "SCMP_CMP_EQ") -> dict[str, Any]:
    return {"index": index, "value": value, "op": operator}


def default_filter(machine: str, capabilities: Container[str]) -> dict[str, Any] | None:
    """The default filter for a process with these capabilities on ``machine`` (as in uname(2)).

    None if the profile does not know the machine: a filter for another one would stop everything.
    """
    known = profile.ARCHITECTURES.get(machine)
    if known is None:
        return None
    name, architectures = known
    allowed = profile.ALLOWED.split()
    denied = profile.DENIED.split()
    for names, calls in profile.BY_ARCHITECTURE:
        if name in names:
            allowed += calls.split()
    for capability, calls in profile.BY_CAPABILITY:
        (allowed if capability in capabilities else denied).extend(calls.split())
    rules: list[dict[str, Any]] = []
    if profile.AUDIT_CAPABILITY in capabilities:
        allowed.append("socket")
    else:
        audit = [_equal(0, profile.AF_NETLINK), _equal(2, profile.NETLINK_AUDIT)]
        rules = [
            {"names": ["socket"], "action": _ERRNO, "errnoRet": profile.EINVAL, "args": audit},
            {"names": ["socket"], "action": _ALLOW, "args": [_equal(2, profile.NETLINK_AUDIT, "SCMP_CMP_NE")]},
            {"names": ["socket"], "action": _ALLOW, "args": [_equal(0, profile.AF_NETLINK, "SCMP_CMP_NE")]},
        ]
    for value in profile.PERSONALITIES:
        rules.append({"names": ["personality"], "action": _ALLOW, "args": [_equal(0, value)]})
    return {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": profile.DEFAULT_ERRNO,
        "architectures": list(architectures),
        "syscalls": [
            {"names": denied, "action": _ERRNO, "errnoRet": profile.EPERM},
            {"names": allowed, "action": _ALLOW},
            *rules,
        ],
    }


def resolve(
    document: Mapping[str, Any], machine: str, capabilities: Container[str], kernel: tuple[int, int]
) -> dict[str, Any]:
    """The filter of a profile file (--security-opt seccomp=FILE), its conditions decided.

    Raises ValueError for what is not a profile.
    """
    if not isinstance(document, dict) or not document.get("defaultAction"):
        raise ValueError("no defaultAction")
    name, native = profile.ARCHITECTURES.get(machine, (machine, ()))
    result: dict[str, Any] = {"defaultAction": document["defaultAction"]}
    if document.get("defaultErrnoRet") is not None:
        result["defaultErrnoRet"] = document["defaultErrnoRet"]
    architectures = list(document.get("architectures") or ())
    if not architectures:
        for item in document.get("archMap") or ():
            if native and item.get("architecture") == native[0]:
                architectures = [item["architecture"], *(item.get("subArchitectures") or ())]
    if architectures:
        result["architectures"] = architectures
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if document.get(key):
            result[key] = document[key]
    syscalls = []
    for rule in document.get("syscalls") or ():
        names = rule.get("names") or ([rule["name"]] if rule.get("name") else None)
        if not names or not rule.get("action"):
            raise ValueError("a rule without names or action")
        if not _holds(rule, name, capabilities, kernel):
            continue
        one: dict[str, Any] = {"names": names, "action": rule["action"]}
        if rule.get("errnoRet") is not None:
            one["errnoRet"] = rule["errnoRet"]
        if rule.get("args"):
            one["args"] = [_argument(item) for item in rule["args"]]
        syscalls.append(one)
    result["syscalls"] = syscalls
    return result


def _argument(item: Mapping[str, Any]) -> dict[str, Any]:
    # A zero is what is meant when it is missing, and some runtimes are older than the field.
    return {key: value for key, value in item.items() if key != "valueTwo" or value}


def _holds(rule: Mapping[str, Any], machine: str, capabilities: Container[str], kernel: tuple[int, int]) -> bool:
    wanted = rule.get("includes") or {}
    unwanted = rule.get("excludes") or {}
    if wanted.get("arches") and machine not in wanted["arches"]:
        return False
    if any(capability not in capabilities for capability in wanted.get("caps") or ()):
        return False
    if wanted.get("minKernel") and kernel < _version(wanted["minKernel"]):
        return False
    if machine in (unwanted.get("arches") or ()):
        return False
    if any(capability in capabilities for capability in unwanted.get("caps") or ()):
        return False
    return not (unwanted.get("minKernel") and kernel >= _version(unwanted["minKernel"]))


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)
