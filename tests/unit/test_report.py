"""Errors for programs: what they are called is a promise."""

from __future__ import annotations

import json

import pytest

from pypod import errors
from pypod.base import report

# Scripts compare with these: an entry may be added, never changed.
REFS = {
    "PypodError": "error",
    "UsageError": "usage",
    "ConfigError": "configuration",
    "NotFound": "not-found",
    "NoSuchContainer": "no-such-container",
    "NoSuchImage": "no-such-image",
    "NoSuchVolume": "no-such-volume",
    "NoSuchPod": "no-such-pod",
    "InUse": "in-use",
    "BadState": "bad-state",
    "BadArchive": "bad-archive",
    "StorageError": "storage",
    "NamespaceError": "namespace",
    "NetworkError": "network",
    "MonitorError": "monitor",
    "RegistryError": "registry",
    "NotThere": "not-there",
    "Unauthorized": "unauthorized",
    "ConnectionCut": "connection-cut",
    "PolicyError": "policy",
    "RuntimeFailed": "runtime-failed",
    "CommandNotExecutable": "command-not-executable",
    "CommandNotFound": "command-not-found",
}


def test_every_kind_of_error_has_its_own_name() -> None:
    classes = {
        name: value.ref
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.PypodError)
    }
    assert {name: classes.get(name) for name in REFS} == REFS
    assert len(set(classes.values())) == len(classes)


def test_forms(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = errors.NoSuchImage('no image "\udcff\n"', hint="pypod pull")
    monkeypatch.setattr(report, "_chosen", "text")
    report.error(wrong)
    report.warning("careful")
    assert capfd.readouterr().err.endswith("Hint: pypod pull\nWarning: careful\n")
    monkeypatch.setattr(report, "_chosen", "")
    monkeypatch.setenv("PYPOD_LOG_FORMAT", "json")
    report.error(wrong)
    report.warning("careful")
    first, second = capfd.readouterr().err.splitlines()
    assert json.loads(first) == {
        "level": "error",
        "ref": "no-such-image",
        "message": 'no image "\udcff\n"',
        "hint": "pypod pull",
    }
    assert json.loads(second) == {"level": "warning", "message": "careful"}
