"""What comes back after a boot: enabled units, and containers with a restart policy, by the units of contrib."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.unit_scripts import ENDS, UNITS, facts
from support.vm import Machine

CONTRIB = Path(__file__).parents[2] / "contrib" / "systemd"


@pytest.mark.parametrize("kind", ["system", "user"])
def test_the_units_of_contrib_are_installed(vm: Machine, kind: str) -> None:
    files = sorted(path for path in CONTRIB.rglob("*") if path.is_file())
    for path in files:
        vm.put(path, f"/var/tmp/contrib/{path.relative_to(CONTRIB)}", mode="755" if path.name == "install" else "644")
    call = vm.root if kind == "system" else vm.user
    manager = "systemctl" if kind == "system" else "systemctl --user"
    shown = call(
        f"/var/tmp/contrib/install $(command -v pypod) >&2 && {manager} preset pypod-restart pypod-clean-transient"
        f" && {manager} is-enabled pypod-restart pypod-clean-transient"
    ).ok()
    assert shown.lines == ["enabled", "enabled"]


def test_after_a_boot(vm: Machine) -> None:
    """Enabled units run, the system's and the lingering user's, and containers with a policy for it, checked."""
    script = f"""{UNITS}
pypod create --name boot localhost/bb:1 sh -c '{ENDS}' >&2
pypod generate systemd --new -n -f boot >&2; pypod rm boot >&2
pypod run -d --name always --restart=always --health-cmd true --health-interval 1h localhost/bb:1 sh -c '{ENDS}' >&2
pypod run -d --name unless --restart=unless-stopped localhost/bb:1 sh -c '{ENDS}' >&2
$ctl daemon-reload; $ctl enable container-boot
"""
    both = (vm.root, vm.user)
    for call in both:
        call(script).ok()
    vm.reboot()
    for call in both:
        found = call(
            f"""{UNITS}
until_true $ctl is-active -q container-boot; until_true $ctl is-active -q pypod-restart
fact main "$(show boot MainPID) $(field boot ConmonPid)"
fact clean "$($ctl show -P Result pypod-clean-transient)"
fact said "$(journalctl -b -o cat --no-pager SYSLOG_IDENTIFIER=pypod | tail -20 | paste -sd ' ')"
fact names "$(pypod ps --format '{{{{.Names}}}}' | sort | paste -sd ' ')"
pypod wait --condition healthy always >&2; fact checks "$($ctl is-active $(field always HealthTimer))"
$ctl disable container-boot; $ctl stop container-boot pypod-restart
fact stopped "$(pypod ps --format '{{{{.Names}}}}' | paste -sd ' ')"
"""
        )
        known = facts(found)
        one, other = known["main"].split()
        assert one == other != "0"
        assert known["clean"] == "success", known["said"]
        assert known["names"] == "always boot unless"
        assert known["checks"] == "active"
        assert known["stopped"] == "unless"
