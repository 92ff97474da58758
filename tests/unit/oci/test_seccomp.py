"""The default seccomp filter, and filters from profile files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.linux import caps
from pypod.oci import capabilities, seccomp, seccomp_profile

PROFILE = Path("/usr/share/containers/seccomp.json")  # of containers-common


def effect(document: dict[str, Any]) -> dict[str, set[tuple[Any, ...]]]:
    """Per call: the set of (action, errno, arguments)."""
    result: dict[str, set[tuple[Any, ...]]] = {}
    for rule in document["syscalls"]:
        arguments = json.dumps(rule.get("args") or [], sort_keys=True)
        for name in rule["names"]:
            result.setdefault(name, set()).add((rule["action"], rule.get("errnoRet"), arguments))
    return result


@given(st.sets(st.sampled_from(caps.NAMES)))
def test_table_has_the_effect_of_the_profile_file(granted: set[str]) -> None:
    if not PROFILE.exists():
        pytest.skip("containers-common is not installed")
    document = json.loads(PROFILE.read_text())
    for machine in ("x86_64", "aarch64", "s390x"):
        ours = seccomp.default_filter(machine, granted)
        theirs = seccomp.resolve(document, machine, granted, (6, 1))
        assert ours is not None
        assert effect(ours) == effect(theirs)
        for key in ("defaultAction", "defaultErrnoRet", "architectures"):
            assert ours[key] == theirs[key]


def test_no_call_is_both_allowed_and_denied() -> None:
    found = seccomp.default_filter("x86_64", capabilities.DEFAULT)
    assert found is not None
    both = [name for name, rules in effect(found).items() if len(rules) > 1]
    # The profile itself has setns in both lists; podman hands both on, and so do we.
    assert sorted(both) == ["personality", "setns", "socket"]


def test_mount_needs_no_capability_but_bpf_does() -> None:
    found = effect(seccomp.default_filter("x86_64", capabilities.DEFAULT) or {})
    assert found["mount"] == {("SCMP_ACT_ALLOW", None, "[]")}
    assert found["bpf"] == {("SCMP_ACT_ERRNO", 1, "[]")}
    found = effect(seccomp.default_filter("x86_64", ["CAP_SYS_ADMIN"]) or {})
    assert found["bpf"] == {("SCMP_ACT_ALLOW", None, "[]")}


def test_unknown_machine_has_no_filter() -> None:
    assert seccomp.default_filter("vax", []) is None


def test_conditions_of_a_profile() -> None:
    rules = [
        {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5.10"}},
        {"names": ["b"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5.10"}},
        {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"name": "d", "action": "SCMP_ACT_ALLOW"},
        {"names": ["e"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "valueTwo": 0}]},
    ]
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}
    found = seccomp.resolve(document, "x86_64", (), (6, 1))
    assert [rule["names"] for rule in found["syscalls"]] == [["a"], ["d"], ["e"]]
    assert found["syscalls"][2]["args"] == [{"index": 0, "value": 1}]


@pytest.mark.parametrize("document", [{}, [], {"defaultAction": "X", "syscalls": [{"action": "Y"}]}])
def test_what_is_no_profile(document: Any) -> None:
    with pytest.raises(ValueError):
        seccomp.resolve(document, "x86_64", (), (6, 1))


def test_names_are_written_once() -> None:
    for text in (seccomp_profile.ALLOWED, seccomp_profile.DENIED):
        names = text.split()
        assert len(names) == len(set(names))
