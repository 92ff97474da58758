"""``stats``: as root from cgroups, rootless from processes (on cgroup v1)."""

from __future__ import annotations

from support.runner import until

KEYS = "id name cpu_time cpu_percent avg_cpu mem_usage mem_percent net_io block_io pids".split()
BUSY = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 100 & wait"


def one(pypod, name):
    (found,) = pypod("stats", "--no-stream", "--format", "json", name).ok().json
    return found


def test_what_a_container_uses(pypod, image):
    pypod("run", "-d", "--name", "stats", "--network", "none", image, "sh", "-c", BUSY).ok()
    until(lambda: one(pypod, "stats")["pids"] == "2", 20, "the processes of the container")
    found = one(pypod, "stats")
    assert list(found) == KEYS and found["name"] == "stats" and len(found["id"]) == 12
    assert found["cpu_time"] != "0s" and found["cpu_percent"].endswith("%")
    used, limit = found["mem_usage"].split(" / ")
    assert used.endswith(("kB", "MB")) and limit.endswith("GB")
    assert found["net_io"] == "0B / 0B"
    shown = (
        pypod("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.PIDs}} {{.CPUNano}}", "stats").ok().out
    )
    id, pids, cpu = shown.split()
    assert len(id) == 64 and pids == "2" and int(cpu) > 0
    table = pypod("stats", "--no-stream").ok().lines
    assert table[0].split("  ")[0] == "ID" and "MEM USAGE / LIMIT" in table[0] and " stats " in table[1]


def test_one_that_does_not_run(pypod, image):
    pypod("create", "--name", "stats-idle", image, "true").ok()
    found = one(pypod, "stats-idle")
    assert found["mem_usage"] == "0B / 0B" and found["pids"] == "0" and found["cpu_percent"] == "0.00%"
    assert "stats-idle" not in pypod("stats", "--no-stream").ok().out
    assert "stats-idle" in pypod("stats", "--no-stream", "-a").ok().out
    pypod("stats", "--no-stream", "nobody").fails(125, "no such container")
    pypod("stats", "-a", "stats-idle").fails(125, "cannot be used together")
    pypod("stats", "-i", "0").fails(125, "invalid interval")


def test_rounds_end_with_the_containers_that_were_named(pypod, image):
    pypod("run", "-d", "--rm", "--name", "stats-short", image, "sleep", "1").ok()
    rounds = pypod("stats", "-i", "1", "--format", "{{.Name}}", "stats-short").ok().lines
    assert rounds and set(rounds) == {"stats-short"}
