"""--security-opt."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypod.engine import security
from pypod.errors import UsageError


def test_everything_at_once(tmp_path: Path) -> None:
    profile = tmp_path / "p.json"
    profile.write_text("{}")
    found = security.parse(
        [
            f"seccomp={profile}",
            "no-new-privileges",
            "label=type:x",
            "label=disable",
            "apparmor=unconfined",
            "mask=/a:/b/",
            "unmask=/proc/*:/sys/firmware",
            "proc-opts=hidepid=2,gid=5",
        ]
    )
    assert found == security.Security(
        seccomp=str(profile),
        apparmor="unconfined",
        no_new_privileges=True,
        labels=["type:x", "disable"],
        mask=["/a", "/b"],
        unmask=["/proc/*", "/sys/firmware"],
        proc_options=["hidepid=2", "gid=5"],
    )


def test_other_spellings() -> None:
    assert security.parse(["no-new-privileges:true"]).no_new_privileges
    assert not security.parse(["no-new-privileges=false"]).no_new_privileges
    assert security.parse(["seccomp:unconfined"]).seccomp == "unconfined"
    assert security.parse(["systempaths=unconfined"]).unmask == ["ALL"]
    assert security.parse(["unmask=ALL"]).unmask == ["ALL"]


@pytest.mark.parametrize(
    "option",
    ["foo", "foo=bar", "seccomp=", "seccomp=/nonexistent", "mask=rel", "unmask=rel", "systempaths=x", "label",
     "no-new-privileges=maybe", "apparmor=nonexistent-profile"],
)  # fmt: skip
def test_nonsense(option: str) -> None:
    with pytest.raises(UsageError):
        security.parse([option])
