"""``container checkpoint`` and ``restore`` with a criu that works: processes go on where they were."""

from __future__ import annotations

from support.vm import Machine

PATIENCE = 400  # seconds, on a machine with other work

PROGRAM = "rm /etc/group; echo vol >/v/f; i=0; while :; do i=$((i+1)); echo $i >/count; echo $i; sleep 0.1; done"

BEGIN = f"""
set -eux
mkdir -p /tmp/c; cd /tmp/c
P="pypod --runtime runc"
$P run -d --name c -v vol:/v localhost/bb:1 sh -c '{PROGRAM}'
sleep 2
"""
END = "$P rm -f -t 0 -a; $P volume rm vol; rm -rf /tmp/c"

LOCAL = """
$P container checkpoint --leave-running --keep c
[ $($P inspect -f '{{.State.Status}}' c) = running ]
$P container checkpoint c
[ "$($P inspect -f '{{.State.Status}} {{.State.Checkpointed}}' c)" = 'exited true' ]
b=$($P logs --tail 1 c)
$P container restore --print-stats c >stats
grep -q pages_restored stats
sleep 1
[ $($P exec c cat /count) -gt $b ]
[ "$($P inspect -f '{{.State.Status}} {{.State.Restored}}' c)" = 'running true' ]
"""

ARCHIVE = """
$P exec c sh -c 'echo shm >/dev/shm/f'
$P container checkpoint --export all.tar.zst c
b=$($P logs --tail 1 c)
$P rm c; $P volume rm vol
$P container restore --import all.tar.zst
sleep 1
[ $($P exec c cat /count) -gt $b ]
[ "$($P exec c sh -c 'cat /v/f /dev/shm/f; ls /etc/group' | tr '\\n' ' ')" = 'vol shm ' ]
$P container restore --import all.tar.zst --name d --ignore-volumes
sleep 1
[ $($P exec d cat /count) -gt $b ]
"""


def test_processes_go_on(vm: Machine) -> None:
    vm.root(BEGIN + LOCAL + END, timeout=PATIENCE).ok()


def test_processes_go_on_from_an_archive(vm: Machine) -> None:
    vm.root(BEGIN + ARCHIVE + END, timeout=PATIENCE).ok()


def test_a_runtime_without_criu(vm: Machine) -> None:
    script = """
    pypod --runtime crun run -d --name c localhost/bb:1 sleep 1000
    pypod --runtime crun container checkpoint c; echo $?
    pypod inspect -f '{{.State.Status}}' c
    pypod rm -f -t 0 c
    """
    done = vm.root(script).ok()
    if "unknown command" in done.err:
        assert "built without criu" in done.err and done.lines[1:3] == ["125", "running"]
    else:
        assert done.lines[1] == "c"
