"""Shell scripts for tests/vm that say what they see of units, a fact a line."""

from __future__ import annotations

from support.runner import Result

HELPERS = """
until_true() { for _ in $(seq 300); do if "$@"; then return; fi; sleep 0.2; done; echo "waited for: $*" >&2; exit 1; }
fact() { echo "$1 $2"; }
"""
# `ctl` talks to the manager of who runs the script, `units` is where it looks for units.
UNITS = f"""{HELPERS}
set -u
if [ "$(id -u)" = 0 ]; then
    ctl="systemctl" units=/etc/systemd/system
else
    ctl="systemctl --user" units=$HOME/.config/systemd/user
fi
mkdir -p $units; cd $units
show() {{ $ctl show -P $2 container-$1; }}                  # show NAME PROPERTY
field() {{ pypod inspect $1 --format "{{{{.State.$2}}}}"; }}    # field NAME FIELD
restarted() {{ [ "$(show $1 NRestarts)" = $2 ] && $ctl is-active -q container-$1; }}
"""
# A container that a signal ends at once, with an exit code of its own.
ENDS = """trap "exit 7" TERM; while :; do sleep 0.1; done"""


def facts(result: Result) -> dict[str, str]:
    """What a script that went well has said."""
    return dict(line.split(" ", 1) for line in result.ok().lines if " " in line)
