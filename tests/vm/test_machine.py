"""That the machine is what the other tests take it for, and that pypod starts again what it must after a boot."""

from __future__ import annotations

from collections.abc import Callable

from support.runner import Result
from support.vm import Machine


def test_systemd_runs_and_hands_out_cgroups(vm: Machine) -> None:
    asked = "systemctl --failed -q; systemctl is-system-running --wait; cat /sys/fs/cgroup/cgroup.controllers"
    assert vm.root(asked).out.split() == "running cpuset cpu io memory hugetlb pids rdma misc".split()
    slice = "/sys/fs/cgroup/user.slice/user-$(id -u).slice"
    assert vm.user(f"systemctl --user is-system-running; cat {slice}/cgroup.controllers").out.split() == [
        "running",
        "cpu",
        "memory",
        "pids",
    ]


def test_a_container_runs(run: Callable[..., Result]) -> None:
    assert run("pypod run --rm localhost/bb:1 echo hello").ok().out == "hello\n"
