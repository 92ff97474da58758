"""Generated units under a real systemd: the system's and a user's. Each test is one script that prints its facts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from support import awkward
from support.runner import Result
from support.unit_scripts import ENDS, UNITS, facts
from support.vm import APP, Machine


def test_the_life_of_a_unit(run: Callable[..., Result]) -> None:
    """Active with the monitor as its main process; back after either is killed; ends as the container does."""
    script = f"""{UNITS}
pypod create --name life localhost/bb:1 sh -c '{ENDS}' >&2
pypod generate systemd --new -n -f --stop-timeout 60 life >&2; pypod rm life >&2
$ctl daemon-reload; $ctl start container-life
fact state "$($ctl is-active container-life) $(show life SubState)"
fact main "$(show life MainPID) $(field life ConmonPid)"
fact cgroup "$(cut -d: -f3 /proc/$(show life MainPID)/cgroup) $(show life ControlGroup)"
kill -9 $(field life Pid); until_true restarted life 1
fact main2 "$(show life MainPID) $(field life ConmonPid)"
kill -9 $(show life MainPID); until_true restarted life 2
fact main3 "$(show life MainPID) $(field life ConmonPid)"
fact containers "$(pypod ps -aq | wc -l)"
before=$(cut -d. -f1 /proc/uptime); $ctl stop container-life
fact seconds $(($(cut -d. -f1 /proc/uptime) - before))
fact end "$(show life ExecMainCode) $(show life ExecMainStatus) $(show life Result)"
fact left "$(pypod ps -aq | wc -l)"
"""
    found = facts(run(script))
    assert found["state"] == "active running"
    for key in ("main", "main2", "main3", "cgroup"):
        one, other = found[key].split()
        assert one == other, found
    assert len({found["main"], found["main2"], found["main3"]}) == 3
    assert found["containers"] == "1" and found["left"] == "0"
    assert found["end"] == "1 7 exit-code"
    assert int(found["seconds"]) < 50  # the timeout is 60, and everything is slow here


def test_who_says_ready(run: Callable[..., Result]) -> None:
    """The unit is active when the container said so, or when its health check passed; not before."""
    shared = "-v /usr:/host/usr:ro -v $out:/out"
    notify = (
        "until [ -e /out/go ]; do sleep 0.1; done; cd /host/usr/lib/x86_64-linux-gnu;"
        " LD_LIBRARY_PATH=$PWD:$PWD/systemd ./ld-linux-x86-64.so.2 /host/usr/bin/systemd-notify"
        " --ready --status=fine;"
        f" {ENDS}"
    )
    script = f"""{UNITS}
out=$(mktemp -d); chmod 777 $out
pypod create --name says --sdnotify=container {shared} localhost/bb:1 sh -c '{notify}' >&2
pypod create --name well --sdnotify=healthy --health-cmd 'test -e /out/go' --health-interval 500ms {shared} \
    localhost/bb:1 sh -c '{ENDS}' >&2
for name in says well; do pypod generate systemd --new -n -f $name >&2; done; pypod rm says well >&2
$ctl daemon-reload; $ctl start --no-block container-says container-well
running() {{ [ "$(field $1 Running)" = true ] && [ "$(show $1 MainPID)" = "$(field $1 ConmonPid)" ]; }}
until_true running says; until_true running well; sleep 2
fact before "$($ctl is-active container-says container-well | paste -sd ' ')"
fact timer "$(field well HealthTimer)"
touch $out/go; until_true $ctl is-active -q container-says; until_true $ctl is-active -q container-well
fact status "$(show says StatusText)"
$ctl stop container-says container-well
fact ends "$(show says ExecMainStatus) $(show well ExecMainStatus)"
rm -rf $out
"""
    found = facts(run(script))
    # systemd takes READY=1 from a process of the unit's, which a run of a timer would not be.
    assert found == {"before": "activating activating", "timer": "monitor", "status": "fine", "ends": "7 7"}


def test_kinds(run: Callable[..., Result]) -> None:
    """A container that exists, one that stays in the unit's cgroup, and a pod."""
    script = f"""{UNITS}
up() {{ $ctl is-active -q container-one && $ctl is-active -q container-two; }}
anew() {{ up && [ "$(show two MainPID)" != $before ]; }}
infra() {{ field $(pypod pod inspect shop --format '{{{{.InfraContainerID}}}}') ConmonPid; }}
pypod create --name old localhost/bb:1 sh -c '{ENDS}' >&2; pypod generate systemd -n -f old >&2
pypod create --name split --cgroups=split localhost/bb:1 sh -c '{ENDS}' >&2
pypod generate systemd -f -n --new split >&2; pypod rm split >&2
pypod pod create --name shop >&2
for name in one two; do pypod create --pod shop --name $name localhost/bb:1 sh -c '{ENDS}' >&2; done
pypod generate systemd --new -n -f shop >&2; pypod pod rm shop >&2
$ctl daemon-reload; $ctl enable pod-shop container-one 2>/dev/null; $ctl start container-old container-split pod-shop
until_true $ctl is-active -q container-one; until_true $ctl is-active -q container-two
fact active "$($ctl is-active container-old container-split pod-shop container-one container-two | paste -sd ' ')"
for name in old split one two; do fact $name "$(show $name MainPID) $(field $name ConmonPid)"; done
fact below "$(field split CgroupPath | sed "s|^$(show split ControlGroup)/libpod-payload-.*|the unit|")"
fact enabled "$($ctl is-enabled pod-shop container-one | paste -sd ' ')"
$ctl disable pod-shop container-one 2>/dev/null
fact pod "$($ctl show -P MainPID pod-shop) $(infra)"
kill -9 $(field one Pid); until_true restarted one 1
fact killed "$(up && $ctl is-active pod-shop) $($ctl show -P NRestarts pod-shop)"
before=$(show two MainPID)
$ctl restart pod-shop; until_true anew
fact pod2 "$($ctl show -P MainPID pod-shop) $(infra)"
fact one2 "$(show one MainPID) $(field one ConmonPid)"
fact pods "$(pypod pod ps --format '{{{{.Name}}}} {{{{.Status}}}} {{{{.NumberOfContainers}}}}')"
$ctl stop container-old container-split pod-shop
until_true sh -c '! '"$ctl"' is-active -q container-one container-two'
fact ends "$(show old ExecMainStatus) $(show split ExecMainStatus) $(show one ExecMainStatus)"
fact left "$(pypod ps -a --format '{{{{.Names}}}}' | paste -sd ' ') $(pypod pod ps -q | wc -l)"
pypod rm old >&2
"""
    found = facts(run(script, timeout=400))
    assert found["active"] == "active active active active active"
    for key in ("old", "split", "one", "two", "pod", "pod2", "one2"):
        one, other = found[key].split()
        assert one == other != "0", found
    assert found["below"] == "the unit"
    assert found["ends"] == "7 7 7" and found["left"] == "old 0"
    assert found["enabled"] == "enabled enabled" and found["killed"] == "active 0"
    assert found["pods"] == "shop Running 3" and found["pod"] != found["pod2"]


MAKE = """
import json, subprocess, sys
words = json.load(open(sys.argv[1]))
script = 'for word; do printf "%s\\\\0" "$word"; done >/out/args.new; mv /out/args.new /out/args'
command = ["pypod", "create", "--name", "awkward", "-v", sys.argv[2] + ":/out", "localhost/bb:1"]
subprocess.run([*command, "sh", "-c", script, "sh", *words], check=True)
"""


def test_awkward_arguments(vm: Machine, run: Callable[..., Result]) -> None:
    """All forty lists, one after the other, through a unit into a container."""
    words = [word for arguments in awkward.ARGUMENTS for word in arguments]
    where = "/var/tmp/awkward"
    vm.put(json.dumps(words).encode(), f"{where}/words.json")
    vm.put(MAKE.encode(), f"{where}/make.py")
    script = f"""{UNITS}
out=$(mktemp -d); chmod 777 $out
python3 {where}/make.py {where}/words.json $out >&2
pypod generate systemd --new -n -f --restart-policy no awkward >&2; pypod rm awkward >&2
$ctl daemon-reload; $ctl start container-awkward
until_true test -e $out/args; base64 -w0 $out/args; rm -rf $out
"""
    arrived = base64.b64decode(run(script).ok().out).decode("utf-8", "surrogateescape").split("\0")[:-1]
    assert arrived == words


def test_auto_update(registry: str, run: Callable[..., Result]) -> None:
    """A newer image of a registry's in a unit that runs; one that does not come up is rolled back."""
    script = f"""{UNITS}
image={registry}/$(id -un):1
push() {{ # push VERSION WHAT-IT-DOES: another image, of which this store knows nothing
    pypod import -q -c "CMD [\\"sh\\", \\"-c\\", \\": $1; trap exit TERM; $2\\"]" {APP}/bb.tar $image >&2
    pypod push -q --tls-verify=false $image >&2
    if [ $1 != one ]; then pypod tag $(pypod inspect up --format '{{{{.Image}}}}') $image >&2; fi
}}
update() {{
    pypod auto-update --tls-verify=false --format '{{{{.Unit}}}} {{{{.ContainerName}}}} {{{{.Updated}}}}' "$@"
}}
version() {{ pypod inspect up --format '{{{{index .Config.Cmd 2}}}}' | cut -d' ' -f2; }}
forever='while :; do sleep 0.1; done'
until_true push one "$forever"
pypod create --name up --label io.containers.autoupdate=registry $image >&2
pypod generate systemd --new -n -f up >&2; pypod rm up >&2
$ctl daemon-reload; $ctl start container-up
push two "$forever"
fact second "$(update)"
fact now "$(version) $($ctl is-active container-up)"
push three "exit 3"
fact third "$(update)"
fact still "$(version) $($ctl is-active container-up)"
$ctl stop container-up
"""
    found = facts(run(script, timeout=900))
    unit = "container-up.service up"
    assert found == {
        "second": f"{unit} true",
        "now": "two; active",
        "third": f"{unit} rolled back",
        "still": "two; active",
    }
