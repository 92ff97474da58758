"""cgroup v2 under a real systemd: where containers and monitors are, and that limits hold and are seen by systemd."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from support.runner import Result
from support.vm import Machine

Run = Callable[..., Result]

# For scripts of both users: $u is systemctl's --user, $top the cgroup of what the manager makes.
BOTH = """
u=--user top=/user.slice/user-1000.slice/user@1000.service/user.slice
[ "$(id -u)" != 0 ] || u= top=/machine.slice
own() { cut -d: -f3 "/proc/$(pypod inspect "$1" --format "{{.State.$2}}")/cgroup"; }
"""


def told(result: Result) -> dict[str, str]:
    """The lines KEY=VALUE of a script that went well."""
    lines = result.ok().lines
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_a_scope_with_the_limits(run: Run) -> None:
    """systemd knows of the limits, also of changed ones; stats, top, pause and exec work on the cgroup."""
    found = told(
        run(
            f"""{BOTH} set -e
            pypod run --network none -d --name a --memory 64m --cpus 0.5 --cpu-shares 512 --pids-limit 3000 \\
                localhost/bb:1 sleep 1000 >/dev/null
            id=$(pypod inspect a --format '{{{{.Id}}}}')
            scope=libpod-$id.scope
            pypod inspect a --format 'manager={{{{.HostConfig.CgroupManager}}}} path={{{{.State.CgroupPath}}}}'
            echo "expected=systemd path=$top/$scope"
            echo "payload=$(own a Pid)"
            [ "$(own a ConmonPid)" = "$top/libpod-conmon-$id.scope" ] && echo monitor=beside
            systemctl $u show $scope -p MemoryMax,MemorySwapMax,CPUQuotaPerSecUSec,CPUWeight,TasksMax,Delegate
            systemctl $u status --no-pager $scope | grep -q 'sleep 1000' && echo status=shown
            systemd-cgls --no-pager $top/$scope | grep -q 'sleep 1000' && echo cgls=shown
            echo "stats=$(pypod stats --no-stream --format '{{{{.MemUsage}}}} {{{{.PIDs}}}}' a)"
            echo "top=$(pypod top a comm | tail -1)"
            pypod pause a >/dev/null
            grep -r -h frozen /sys/fs/cgroup$top/$scope/container/cgroup.events | tr ' ' =
            pypod unpause a >/dev/null
            echo "exec=$(pypod exec a cat /proc/self/cgroup)"
            echo "weight=$(cat /sys/fs/cgroup$top/$scope/container/cpu.weight)"
            pypod update --memory 100m --cpus 1 --pids-limit 60 a >/dev/null
            systemctl $u show $scope -p MemoryMax,CPUQuotaPerSecUSec,TasksMax | sed 's/^/new/'
            cd /sys/fs/cgroup$top/$scope/container
            echo "inside=$(cat memory.max cpu.max pids.max | tr '\\n' ' ')"
            cd /
            pypod rm -f -t 0 a >/dev/null
            sleep 0.5
            echo "left=$(systemctl $u list-units --all --no-pager --no-legend "*$id*")"
            """
        )
    )
    assert found["manager"] == found["expected"]
    assert found["payload"].startswith(found["manager"].removeprefix("systemd path="))
    assert found["monitor"] == "beside"
    assert found["MemoryMax"] == found["MemorySwapMax"] == str(64 << 20)
    assert (found["CPUQuotaPerSecUSec"], found["TasksMax"], found["Delegate"]) == ("500ms", "3000", "yes")
    assert found["status"] == found["cgls"] == "shown"
    assert found["stats"].endswith("/ 67.11MB 1")
    assert found["CPUWeight"] == found["weight"] == "20"
    assert (found["top"], found["frozen"], found["exec"]) == ("sleep", "1", "0::/")
    assert (found["newMemoryMax"], found["newCPUQuotaPerSecUSec"], found["newTasksMax"]) == ("104857600", "1s", "60")
    assert found["inside"].split() == ["104857600", "100000", "100000", "60"]
    assert found["left"] == ""


def test_killed_for_want_of_memory(run: Run) -> None:
    script = """
    pypod run --network none --name oom --memory 64m localhost/bb:1 dd if=/dev/zero of=/dev/null bs=128M count=1
    echo exit=$?
    pypod inspect oom --format 'state={{.State.OOMKilled}} {{.State.ExitCode}}'
    echo "events=$(pypod events --stream=false --since 5m --filter container=oom --format '{{.Status}}' | xargs)"
    pypod rm oom
    """
    found = told(run(script))
    assert found["exit"] == "137"
    assert found["state"] == "true 137"
    assert "oom died" in found["events"]


def test_limits_hold(run: Run) -> None:
    script = """
    pypod run --network none -d --name bomb --pids-limit 20 localhost/bb:1 \\
        sh -c 'b() { b | b & }; b; exec sleep 1000' >/dev/null
    cd "$(find /sys/fs/cgroup -type d -path "*libpod-$(pypod inspect bomb --format '{{.Id}}').scope/container")"
    for i in $(seq 100); do grep -q '^max 0$' pids.events || break; sleep 0.2; done
    echo "pids=$(cat pids.max) $(sed -n 's/^max //p' pids.events)"; cd /
    pypod rm -f -t 0 bomb >/dev/null; echo bomb=gone
    pypod run --network none --rm --cpus 0.1 localhost/bb:1 sh -c \\
        'i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done; sed -n "s/^nr_throttled /cpu=/p" /sys/fs/cgroup/cpu.stat'
    """
    found = told(run(script))
    limit, refused = found["pids"].split()
    assert limit == "20" and int(refused) > 0 and found["bomb"] == "gone"
    assert int(found["cpu"]) > 0


def test_io_limits_hold(vm: Machine) -> None:
    """Only root's: systemd gives users no io controller, and they are told so."""
    script = """
    limits=IOReadBandwidthMax,IOWriteBandwidthMax,IOReadIOPSMax,IOWriteIOPSMax
    show() { systemctl show $scope -p $limits | sed "s/^/$1/"; }
    disk=/dev/nvme0n1
    pypod run --network none -d --name io --blkio-weight 500 --device-write-bps $disk:1mb \\
        --device-write-iops $disk:1000 --device-read-bps $disk:2mb localhost/bb:1 sleep 1000 >/dev/null
    scope=libpod-$(pypod inspect io --format '{{.Id}}').scope
    show ""; cd /sys/fs/cgroup/machine.slice/$scope
    echo "scope=$(cut -d' ' -f2- io.max)"; echo "container=$(cut -d' ' -f2- container/io.max)"; cd /
    echo "seconds=$(pypod exec io sh -c 'cut -d" " -f1 /proc/uptime
        dd if=/dev/zero of=/big bs=1M count=3 oflag=direct 2>/dev/null; cut -d" " -f1 /proc/uptime' | xargs)"
    pypod update --device-write-bps $disk:4mb --device-read-bps $disk:0 io >/dev/null; systemctl daemon-reload
    show new; echo "newmax=$(pypod exec io cut -d' ' -f2- /sys/fs/cgroup/io.max)"
    pypod inspect io --format 'inspect={{.HostConfig.BlkioDeviceWriteBps}}{{.HostConfig.BlkioDeviceReadBps}}'
    pypod rm -f -t 0 io >/dev/null
    pypod run --network none --rm --blkio-weight-device $disk:200 localhost/bb:1 true 2>&1 |
        sed -n 's/^Error: /weight=/p'
    echo "conf=$(pypod run --network none --rm --cgroup-conf "io.max=$(mountpoint -d /) wbps=4096" localhost/bb:1 \\
        cut -d' ' -f2- /sys/fs/cgroup/io.max)"
    truncate -s 4M /var/tmp/parts; loop=$(losetup -f --show /var/tmp/parts); addpart $loop 1 2048 2048
    udevadm settle
    pypod create --device-read-bps ${loop}p1:1mb localhost/bb:1 true 2>&1 | sed "s|$loop|LOOP|" | xargs echo part=
    losetup -d $loop; rm /var/tmp/parts
    """
    found = told(vm.root(script))
    disk = "/dev/nvme0n1"
    assert found["IOWriteBandwidthMax"] == f"{disk} 1048576" and found["IOWriteIOPSMax"] == f"{disk} 1000"
    assert found["IOReadBandwidthMax"] == f"{disk} 2097152" and "IOReadIOPSMax" not in found
    assert found["scope"] == found["container"] == "rbps=2097152 wbps=1048576 riops=max wiops=1000"
    before, after = found["seconds"].split()
    assert float(after) - float(before) >= 1.5
    assert found["newIOWriteBandwidthMax"] == f"{disk} 4194304" and "newIOReadBandwidthMax" not in found
    assert found["newmax"] == "rbps=max wbps=4194304 riops=max wiops=1000"
    assert found["inspect"] == f"[{{{disk} 4194304}}][]"
    assert re.search(r"its I/O scheduler (none|mq-deadline) knows no weights$", found["weight"])
    assert found["conf"] == "rbps=max wbps=4096 riops=max wiops=max"
    assert found["part"].endswith("a partition has no limits of its own Hint: LOOP")
    refused = vm.user(f"pypod run --network none --rm --device-write-bps {disk}:1mb localhost/bb:1 true")
    assert "systemd gives this user no cgroup controller io" in refused.err, refused


def test_a_pod_has_a_slice(run: Run) -> None:
    """Its limits are the slice's; its containers are in there, the monitors are not; it goes with the pod."""
    found = told(
        run(
            f"""{BOTH} set -e
            # systemd gives users no io controller.
            io=; [ "$(id -u)" != 0 ] || io="--device-write-bps /dev/nvme0n1:1mb"
            pypod pod create --name p --memory 96m --cpus 0.5 $io >/dev/null
            pypod run -d --pod p --name m localhost/bb:1 sleep 1000 >/dev/null
            slice=$(pypod pod inspect p --format '{{{{.CgroupPath}}}}')
            echo "payload=$(own m Pid)"
            echo "slice=$top/$slice/libpod"
            echo "monitor=$(own m ConmonPid)"
            systemctl $u show $slice -p MemoryMax,CPUQuotaPerSecUSec
            echo "io=$(systemctl $u show $slice -p IOWriteBandwidthMax --value)$io"
            pypod pod rm -f -t 0 p >/dev/null
            sleep 0.5
            echo "left=$(systemctl $u list-units --all --no-pager --no-legend $slice)"
            """
        )
    )
    assert found["payload"].startswith(found["slice"])
    assert "libpod_pod" not in found["monitor"]
    assert (found["MemoryMax"], found["CPUQuotaPerSecUSec"]) == (str(96 << 20), "500ms")
    assert found["io"] in ("", "/dev/nvme0n1 1048576--device-write-bps /dev/nvme0n1:1mb")
    assert found["left"] == ""


def test_the_modes(run: Run) -> None:
    """--cgroups=split in a unit with Delegate, no-conmon, disabled; --cgroup-parent; --cgroup-manager cgroupfs."""
    found = told(
        run(
            f"""{BOTH}
            systemd-run $u -q --collect --unit spl -p Delegate=yes -p Type=notify -p NotifyAccess=all \\
                pypod run --network none -d --cgroups=split --sdnotify=conmon --memory 64m --name s \\
                localhost/bb:1 sleep 1000
            echo "split=$(own s Pid | grep -c '/spl.service/libpod-payload-')"
            echo "beside=$(own s ConmonPid | grep -o '[^/]*/[^/]*$')"
            echo "splitlimit=$(cat /sys/fs/cgroup$(own s Pid)/memory.max)"
            echo "splitexec=$(pypod exec s echo in it)"
            unit=$(own s Pid | sed 's|/libpod-payload.*||')
            echo "splitcgls=$(systemd-cgls --no-pager $unit | grep -c 'sleep 1000$')"
            pypod rm -f -t 0 s >/dev/null
            systemd-run $u -q --wait --collect --unit spl -p Delegate=yes -p MemoryMax=32M -p MemorySwapMax=0 \\
                pypod run --network none --cgroups=split --memory 1g --name s localhost/bb:1 \\
                dd if=/dev/zero of=/dev/null bs=128M
            pypod inspect s --format 'unitlimit={{{{.State.OOMKilled}}}} {{{{.State.ExitCode}}}}'
            pypod rm s >/dev/null
            pypod run --network none --rm --cgroups=split localhost/bb:1 true 2>&1 | sed -n 's/^Error: /nosplit=/p'
            pypod run --network none -d --cgroups=no-conmon --name n localhost/bb:1 sleep 1000 >/dev/null
            echo "noconmon=$(own n ConmonPid | grep -c libpod-)"
            pypod run --network none -d --cgroup-parent test-a.slice --name c localhost/bb:1 sleep 1000 >/dev/null
            echo "parent=$(own c Pid | grep -o '/test.slice/test-a.slice/libpod-' )"
            pypod run --network none --rm --cgroup-parent /foo localhost/bb:1 true 2>&1 |
                sed -n 's/^Error: /noslice=/p'
            pypod run --network none -d --cgroups=disabled --name d localhost/bb:1 sleep 1000 >/dev/null
            echo "disabled=$(own d Pid | grep -c libpod-$(pypod inspect d --format '{{{{.Id}}}}'))"
            systemd-run $u -q --collect --pipe --wait -p Delegate=yes \\
                pypod --cgroup-manager cgroupfs run --network none --rm --memory 64m localhost/bb:1 \\
                sed 's/^/cgroupfs=/' /sys/fs/cgroup/memory.max
            pypod rm -f -t 0 -a >/dev/null
            """
        )
    )
    assert (found["split"], found["beside"], found["splitlimit"]) == ("1", "spl.service/supervisor", str(64 << 20))
    assert found["splitexec"] == "in it" and found["splitcgls"] == "1"
    assert found["unitlimit"] == "true 137"
    assert found["noconmon"] == found["disabled"] == "0"
    assert found["parent"] == "/test.slice/test-a.slice/libpod-"
    assert found["noslice"].startswith("did not receive systemd slice as cgroup parent")
    assert found["cgroupfs"] == str(64 << 20)


@pytest.mark.parametrize("runtime", ["runc"])
def test_another_runtime(run: Run, runtime: str) -> None:
    found = told(
        run(
            f"""{BOTH} set -e
            pypod --runtime {runtime} run --network none -d --name a --memory 64m localhost/bb:1 sleep 1000 >/dev/null
            systemctl $u show libpod-$(pypod inspect a --format '{{{{.Id}}}}').scope -p MemoryMax
            pypod update --memory 100m a >/dev/null
            systemctl $u show libpod-$(pypod inspect a --format '{{{{.Id}}}}').scope -p MemoryMax | sed 's/^/new/'
            pypod rm -f -t 0 a >/dev/null
            pypod info --format 'manager={{{{.Host.CgroupManager}}}} {{{{.Host.EventLogger}}}}'
            """
        )
    )
    assert (found["MemoryMax"], found["newMemoryMax"]) == (str(64 << 20), "104857600")
    assert found["manager"] == "systemd file"
