"""A .container with a .volume and a .network beside it, under a real systemd: the system's and a user's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.runner import Result
from support.unit_scripts import HELPERS, facts
from support.vm import APP, Machine

# The container says what it got, and ends with an exit code of its own.
FILES = {
    "web.container": """[Container]
Image=localhost/bb:1
Volume=data.volume:/d
Network=net.network
Environment="A=b  'c'" B=100%%
Exec=sh -c 'echo "$$A $$B $$0" >>/d/out; trap "exit 7" TERM; while :; do sleep 0.1; done' %n
[Service]
Restart=always
RestartSec=0
[Install]
WantedBy=default.target
""",
    "data.volume": "[Volume]\n",
    "net.network": "[Network]\nNetworkDeleteOnStop=true\n",
    "broken.container": "[Container]\nImgae=x\n",
}
PATIENCE = 400.0  # seconds: the script has a dozen pypod commands, of which some wait for systemd to run others
PRELUDE = f"""{HELPERS}
set -u
if [ "$(id -u)" = 0 ]; then
    ctl="systemctl" units=/etc/containers/systemd log="journalctl -b -k --no-pager"
else
    ctl="systemctl --user" units=$HOME/.config/containers/systemd log="journalctl -b --no-pager"
fi
show() {{ $ctl show -P $1 ${{2:-web}}; }}
field() {{ pypod inspect systemd-web --format "{{{{.State.$1}}}}"; }}
restarted() {{ [ "$(show NRestarts)" = $1 ] && $ctl is-active -q web; }}
described() {{
    fact $1 "$($ctl is-active web data-volume net-network | paste -sd ' ')"
    fact main_$1 "$(show MainPID) $(field ConmonPid)"
}}
"""


@pytest.fixture(scope="module")
def _at_boot(vm_session: Machine) -> None:
    """Then generators run before /opt/pypod is mounted, so it has to be on the root file system as well, below."""
    vm_session.root(f"mount --bind / /mnt && cp -a {APP}/. /mnt{APP}/ && umount /mnt").ok()


def start(call: Callable[..., Result]) -> None:
    written = "\n".join(f"cat >$units/{name} <<'END'\n{text}END" for name, text in FILES.items())
    script = f"""{PRELUDE}
mkdir -p $units
{written}
$ctl daemon-reload; $ctl start web >&2
described first
fact broken "$($log | grep -c 'broken.container:2: Imgae= is no key')"
fact below "$(cut -d: -f3 /proc/$(field Pid)/cgroup | sed "s|^$(show ControlGroup)/.*|the unit|")"
kill -9 $(field Pid); until_true restarted 1
kill -9 $(show MainPID); until_true restarted 2
described again
data=$(pypod volume inspect systemd-data --format '{{{{.Mountpoint}}}}')
fact said "$(sort $data/out | uniq -c | paste -sd ' ')"
fact listed "$(pypod quadlet list --filter name=web.container --format '{{{{.UnitName}}}} {{{{.Status}}}}')"
"""
    found = facts(call(script, timeout=PATIENCE))
    for key in ("first", "again"):
        assert found[key] == "active active active"
        one, other = found["main_" + key].split()
        assert one == other != "0", found
    assert int(found["broken"]) >= 1 and found["below"] == "the unit"
    assert found["said"].split() == ["3", "b", "'c'", "100%", "web.service"]
    assert found["listed"] == "web.service active/running"


def end(call: Callable[..., Result]) -> None:
    script = f"""{PRELUDE}
until_true $ctl is-active -q web
described booted
before=$(cut -d. -f1 /proc/uptime); $ctl stop web; fact seconds $(($(cut -d. -f1 /proc/uptime) - before))
fact end "$(show ExecMainCode) $(show ExecMainStatus)"
$ctl stop net-network data-volume
fact left "$(pypod ps -aq | wc -l) $(pypod volume ls -q) $(pypod network ls -q | paste -sd ' ')"
pypod quadlet rm --all --force >&2; pypod volume rm systemd-data >&2
fact gone "$($ctl show -P LoadState web)"
"""
    found = facts(call(script, timeout=PATIENCE))
    assert found["booted"] == "active active active"
    assert int(found["seconds"]) < 60 and found["end"] == "1 7"
    assert found["left"].split()[:2] == ["0", "systemd-data"] and "systemd-net" not in found["left"]
    assert found["gone"] == "not-found"


def test_from_files_to_services_that_come_back_after_a_boot(_at_boot: None, generators: Machine, vm: Machine) -> None:
    for call in (vm.root, vm.user):
        start(call)
    vm.reboot()
    for call in (vm.root, vm.user):
        end(call)
