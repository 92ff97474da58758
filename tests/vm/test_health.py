"""Health checks by transient timers of the system's systemd and a user's, and by the monitor where those are not."""

from __future__ import annotations

from collections.abc import Callable

from support.runner import Result
from support.unit_scripts import ENDS, UNITS, facts
from support.vm import APP

SCRIPT = f"""{UNITS}
checked() {{ name=$1; shift; pypod run -d --name $name --network none "$@" localhost/bb:1 sh -c '{ENDS}' >&2; }}
cid() {{ pypod inspect $1 --format '{{{{.Id}}}}'; }}
timer() {{ field $1 HealthTimer | sed "s/^$(cid $1)/ID/; s/-[0-9a-f]*[.]timer/-RANDOM.timer/"; }}
# The kinds of the units of containers that systemd knows of.
known() {{
    $ctl list-units --all --plain --no-legend '*.timer' '*.service' |
        sed -n 's/^[0-9a-f]\\{{64\\}}-[^ ]*[.]\\([a-z]*\\) .*/\\1/p' | sort | paste -sd ' '
}}
is_known() {{ [ "$(known)" = "$1" ]; }}
logged() {{ pypod inspect $1 --format '{{{{json .State.Health.Log}}}}'; }}
another_run() {{ [ "$(logged $1)" != "$before" ]; }}
"""
BOTH = "service timer"


def test_the_life_of_a_timer(run: Callable[..., Result]) -> None:
    """It is there while the container runs, and what it finds is no failure of a unit."""
    script = f"""{SCRIPT}
checked life --health-cmd 'echo said; test -e /well' --health-interval 1s --health-retries 2
fact timer "$(timer life)"
unit=$(field life HealthTimer)
fact listed "$($ctl list-timers --all --no-legend --plain | grep -c $(cid life))"
fact what "$($ctl show -P Description $unit)"
fact seconds "$($ctl show -P TimersMonotonic $unit | sed 's/ ;.*//')"
pypod wait --condition unhealthy life >&2
fact output "$(logged life | sed 's/.*"Output":"\\([a-z]*\\).*/\\1/')"
fact result "$($ctl show -P Result ${{unit%.timer}}.service)"
fact failed "$($ctl list-units --failed --no-legend | grep -c $(cid life))"
fact journal "$(journalctl -b --no-pager -o cat | grep -c '^unhealthy$')"
pypod exec life touch /well
pypod wait --condition healthy life >&2
pypod pause life >&2; until_true is_known ''
fact paused "$(timer life)"
before=$(logged life); pypod unpause life >&2; until_true another_run life
fact unpaused "$(known)"
pypod update --health-interval 1h life >&2
fact changed "$(known) $($ctl show -P TimersMonotonic $(field life HealthTimer) | sed 's/ ;.*//')"
pypod stop life >&2; until_true is_known ''
fact stopped "$(timer life)"
pypod start life >&2
fact again "$(known) $([ "$(field life HealthTimer)" = $unit ] || echo another)"
pypod rm -f life >&2; until_true is_known ''
"""
    assert facts(run(script, timeout=900)) == {
        "timer": "ID-RANDOM.timer",
        "listed": "1",
        "what": "Health check of container life",
        "seconds": "{ OnUnitInactiveUSec=1s",
        "output": "said",
        "result": "success",
        "failed": "0",
        "journal": "0",
        "paused": "",
        "unpaused": BOTH,
        "changed": f"{BOTH} {{ OnUnitInactiveUSec=1h",
        "stopped": "",
        "again": f"{BOTH} another",
    }


def test_nothing_is_left_after_a_crash(run: Callable[..., Result]) -> None:
    """Of one whose monitor was killed: the next command ends the timer, or the timer's next run does."""
    script = f"""{SCRIPT}
checked one --health-cmd true --health-interval 1h; pypod wait --condition healthy one >&2
kill -9 $(field one ConmonPid); pypod ps >&2; until_true is_known ''
fact one "$(field one Status) $(timer one)"
checked two --health-cmd true --health-interval 1s; kill -9 $(field two ConmonPid); until_true is_known ''
fact two "$(field two Status) $(timer two)"
checked three --health-cmd true --health-interval 1h; pypod wait --condition healthy three >&2
kill -9 $(field three ConmonPid) $(field three Pid); pypod ps -a >&2; until_true is_known ''
fact three "$(field three Status) $(field three ExitCode)"
pypod rm -f one two three >&2
"""
    found = facts(run(script, timeout=600))
    assert found == {"one": "running ", "two": "running ", "three": "exited -1"}


def test_what_follows_from_a_check(run: Callable[..., Result]) -> None:
    """--health-on-failure, from a run that is killed with its timer; a startup check, and what comes after it."""
    script = f"""{SCRIPT}
ill="--health-cmd false --health-interval 1s --health-retries 1 --health-on-failure"
checked stop $ill stop; pypod wait stop >&2; until_true is_known ''
fact stop "$(field stop Status) $(field stop ExitCode) $(field stop Health.Status)"
checked kill --rm $ill kill; until_true sh -c '! pypod container exists kill'; until_true is_known ''
checked again --health-cmd 'test -e /well' --health-interval 1s --health-retries 1 --health-on-failure restart
restarts() {{ [ "$(pypod inspect again --format '{{{{.RestartCount}}}}')" -ge 1 ]; }}
until_true restarts; until_true pypod exec again touch /well; pypod wait --condition healthy again >&2
until_true is_known '{BOTH}'
fact again "$(timer again)"
pypod rm -f again >&2; until_true is_known ''
checked up --health-startup-cmd 'test -e /up' --health-startup-interval 1s --health-cmd true --health-interval 1h
fact startup "$(timer up) $(known)"
pypod exec up touch /up; pypod wait --condition healthy up >&2; until_true is_known '{BOTH}'
fact regular "$(timer up)"
pypod rm -f stop up >&2; until_true is_known ''
"""
    assert facts(run(script, timeout=900)) == {
        "stop": "exited 7 unhealthy",
        "again": "ID-RANDOM.timer",
        "startup": f"ID-startup-RANDOM.timer {BOTH}",
        "regular": "ID-RANDOM.timer",
    }


def test_without_systemd_s_timer(run: Callable[..., Result]) -> None:
    """Switched off, refused by systemd, or nothing to run: it is the monitor's, or nobody's; never both."""
    script = f"""{SCRIPT}
well="--health-cmd true --health-interval 1s"
checked never --health-cmd true --health-interval disable; fact never "$(timer never) $(known)"
export DISABLE_HC_SYSTEMD=true; checked off $well; unset DISABLE_HC_SYSTEMD
pypod wait --condition healthy off >&2; fact off "$(timer off) $(known)"
kill -9 $(field off Pid) >&2
log=$(LC_BAD=$(printf '\\377') pypod --log-level debug run -d --name refused --network none $well localhost/bb:1 \\
    sh -c '{ENDS}' 2>&1 >/dev/null)
pypod wait --condition healthy refused >&2; fact refused "$(timer refused) $(known) $log"
pypod run -d --name plain --network none localhost/bb:1 sh -c '{ENDS}' >&2
pypod update --health-cmd true --health-interval 1s plain >&2; pypod wait --condition healthy plain >&2
fact updated "$(timer plain) $(known)"
pypod rm -f never off refused plain >&2; until_true is_known ''
if [ "$(id -u)" != 0 ]; then
    # A user without a manager.
    XDG_RUNTIME_DIR=$(mktemp -d) && export XDG_RUNTIME_DIR
    bare() {{ pypod --root $XDG_RUNTIME_DIR/graph "$@"; }}
    bare import -q {APP}/bb.tar localhost/bb:1 >&2
    bare run -d --name bare --network none $well localhost/bb:1 sh -c '{ENDS}' >&2
    bare wait --condition healthy bare >&2
    fact bare "$(bare inspect bare --format '{{{{.State.HealthTimer}}}}')"
    bare system reset -f >&2; rm -rf $XDG_RUNTIME_DIR
fi
"""
    found = facts(run(script, timeout=900))
    assert found.pop("bare", "monitor") == "monitor"
    said = found["refused"].removeprefix("monitor  Debug: the monitor runs the health check of container refused: ")
    assert said != found["refused"] and "no UTF-8" in said
    assert {**found, "refused": ""} == {
        "never": " ",
        "off": "monitor ",
        "refused": "",
        "updated": f"ID-RANDOM.timer {BOTH}",
    }
