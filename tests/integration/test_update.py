"""``update``: at once where the kernel has a cgroup for it, and at the next start."""

from __future__ import annotations

from pathlib import Path

from support import box
from support.runner import until


def limit(pypod, name: str) -> int:
    """The memory limit that the kernel knows."""
    for line in Path(f"/proc/{pypod.pid(name)}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == "memory":
            return int(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text())
        if not names and box.cgroup2():
            return int(Path(f"/sys/fs/cgroup{path}/memory.max").read_text())
    raise AssertionError("no cgroup")


def test_limits_of_a_running_container(pypod, image):
    if pypod.rootless and not box.cgroup2():
        return limits_that_nobody_can_set(pypod, image)
    id = pypod("run", "-d", "--name", "update", "-m", "64m", image, "sleep", "100").ok().out.strip()
    assert limit(pypod, "update") == 64 << 20
    assert pypod("update", "-m", "96m", "--pids-limit", "77", "update").ok().out.strip() == id
    assert limit(pypod, "update") == 96 << 20
    found = pypod.inspect("update")["HostConfig"]
    assert found["Memory"] == 96 << 20 and found["PidsLimit"] == 77
    pypod("update", "--cpus", "0.5", "update").ok()
    assert pypod.inspect("update")["HostConfig"]["NanoCpus"] == 500_000_000
    assert limit(pypod, "update") == 96 << 20
    pypod("update", "-m", "1k", "update").fails(125, "memory")
    assert pypod.inspect("update")["HostConfig"]["Memory"] == 96 << 20 and limit(pypod, "update") == 96 << 20
    pypod("restart", "-t", "0", "update").ok()
    assert limit(pypod, "update") == 96 << 20


def limits_that_nobody_can_set(pypod, image):
    """They are kept, and it is said."""
    pypod("run", "-d", "--name", "update-v1", image, "sleep", "100").ok()
    done = pypod("update", "-m", "64m", "update-v1").ok()
    assert "not supported and ignored" in done.err
    assert pypod.inspect("update-v1")["HostConfig"]["Memory"] == 64 << 20


def test_what_the_next_start_has(pypod, image):
    pypod("create", "--name", "update-next", "-e", "A=1", "-e", "B=2", image, "sh", "-c", "env; ulimit -n").ok()
    pypod("update", "-e", "A=3", "--unsetenv", "B", "--ulimit", "nofile=99:99", "update-next").ok()
    shown = pypod("start", "-a", "update-next").ok().lines
    assert "A=3" in shown and not any(line.startswith("B=") for line in shown) and shown[-1] == "99"
    pypod("update", "--restart", "on-failure:2", "update-next").ok()
    assert pypod.inspect("update-next")["HostConfig"]["RestartPolicy"] == {
        "Name": "on-failure",
        "MaximumRetryCount": 2,
    }


def test_a_running_container_gets_a_restart_policy(pypod, image):
    pypod("run", "-d", "--name", "update-again", image, "sh", "-c", "sleep 100 & wait; exit 1").ok()
    pypod("update", "--restart", "on-failure:1", "update-again").ok()
    pypod("exec", "update-again", "sh", "-c", "kill -9 $(pidof sleep)")
    until(lambda: pypod.inspect("update-again")["RestartCount"] == 1, 20, "another start")


def test_a_health_check_changes_under_way(pypod, image):
    check = ["--health-cmd", "true", "--health-interval", "1h"]
    pypod("run", "-d", "--name", "update-health", *check, image, "sleep", "100").ok()
    until(lambda: pypod.inspect("update-health")["State"]["Health"]["Status"] == "healthy", 20, "a first run")
    pypod("update", "--health-cmd", "exit 3", "--health-retries", "1", "update-health").ok()
    until(lambda: pypod.inspect("update-health")["State"]["Health"]["Status"] == "unhealthy", 20, "another run")
    assert pypod.inspect("update-health")["Config"]["Healthcheck"]["Interval"] == 3600 * 10**9
    pypod("update", "--no-healthcheck", "update-health").ok()
    pypod("healthcheck", "run", "update-health").fails(125, "no defined healthcheck")
    pypod("update", "--health-retries", "2", "update-health").fails(125, "--health-cmd")


def test_bad_input_changes_nothing(pypod, image):
    pypod("create", "--name", "update-bad", "--memory", "64m", image, "true")
    before = pypod.inspect("update-bad")
    pypod("update").fails(125, "accepts 1 arg")
    pypod("update", "nobody").fails(125, "no such container")
    for words in (["-m", "x"], ["--memory-swap", "1m"], ["--restart", "often"], ["--cpuset-cpus", "a"]):
        pypod("update", *words, "update-bad").fails(125)
    assert pypod.inspect("update-bad") == before


def test_many_at_once_lose_nothing(pypod, image):
    """Each starts from what the one before it has written, whenever it read the container first."""
    pypod("create", "--name", "c", "--network", "none", image, "true").ok()
    processes = [pypod.popen("update", "--env", f"N{number}={number}", "c") for number in range(8)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    env = pypod.inspect("c")["Config"]["Env"]
    assert {f"N{number}={number}" for number in range(8)} <= set(env)
