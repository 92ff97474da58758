"""Pods: made, listed, started and ended together, with namespaces in common; and what a crash leaves of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support.runner import Pypod, alive, until

QUIET = ("--network", "none")
SLEEP = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")


@pytest.fixture(autouse=True)
def _gone(pypod: Pypod) -> Iterator[None]:
    yield
    pypod("pod", "rm", "-af", "-t", "0").ok()


def make(pypod: Pypod, name: str, *flags: str) -> str:
    return pypod("pod", "create", "--name", name, *(flags or QUIET)).ok().out.strip()


def states(pypod: Pypod, name: str) -> dict[str, str]:
    found = pypod("pod", "inspect", name).ok().json
    return {item["Name"]: item["State"] for item in found.get("Containers", ())}


def status(pypod: Pypod, name: str) -> str:
    return pypod("pod", "inspect", "--format", "{{.State}}", name).ok().out.strip()


def record(pypod: Pypod, identity: str) -> Path:
    return Path(f"{pypod.graphroot}/pypod/pods/{identity}.json")


def of_schema(pypod: Pypod, words: tuple[str, ...]) -> Any:
    """The output of a command, which is what `pypod schema` says."""
    found = pypod(*words).ok().json
    jsonschema.Draft202012Validator(pypod("schema", *words[:2]).ok().json).validate(found)
    return found


def test_life(pypod: Pypod, image: str, shared_dir: Path) -> None:
    id_file = shared_dir / "id"
    pod = make(pypod, "one", *QUIET, "--label", "a=b", "--pod-id-file", str(id_file))
    assert id_file.read_text() == pod and len(pod) == 64
    make(pypod, "two", "--infra=false", "--share=")
    pypod("pod", "create", "--name", "one").fails(125, 'name "one" is in use: pod already exists')
    assert pypod("pod", "exists", "one").code == 0
    assert pypod("pod", "exists", pod[:9]).code == 0
    assert pypod("pod", "exists", "three").code == 1
    assert pypod("pod", "ls", "--format", "{{.Name}} {{.Status}} {{.NumberOfContainers}}").ok().lines == [
        "two Created 0",
        "one Created 1",
    ]
    assert pypod("pod", "ps", "-q", "--filter", "label=a=b").ok().lines == [pod]
    pypod("pod", "ps", "--filter", "colour=red").fails(125, "invalid filter")
    pypod("pod", "ps", "--sort", "colour").fails(125, "invalid option for --sort")

    member = pypod("create", "--pod-id-file", id_file, "--name", "web", image, *SLEEP).ok().out.strip()
    infra = pypod("pod", "inspect", "one").ok().json["InfraContainerID"]
    # A container that is started alone has the infra container started first.
    pypod("start", "web").ok()
    assert states(pypod, "one") == {f"{pod[:12]}-infra": "running", "web": "running"}
    assert status(pypod, "one") == "Running"
    rows = pypod("ps", "-a", "--filter", "pod=one", "--format", "json").ok().json
    assert [(row["Id"], row["Pod"], row["PodName"], row["IsInfra"]) for row in rows] == [
        (infra, pod, "one", True),
        (member, pod, "one", False),
    ]
    assert "POD ID" in pypod("ps", "-p").ok().lines[0] and pod[:12] in pypod("ps", "-p").ok().lines[1]
    shown = pypod("inspect", "web").ok().json[0]
    assert shown["Pod"] == pod and shown["HostConfig"]["NetworkMode"] == f"container:{infra}"
    assert shown["Config"]["Hostname"] == "one" and infra in shown["Dependencies"]
    assert pypod("inspect", "one").ok().json[0]["Id"] == pod

    for words in (("pod", "ps", "--format", "json"), ("pod", "inspect", "one"), ("pod", "inspect", "one", "two")):
        of_schema(pypod, words)
    used = of_schema(pypod, ("pod", "stats", "--no-stream", "--format", "json"))
    assert [(row["Pod"], row["CID"], row["PIDS"] != "--") for row in used] == [
        (pod[:12], infra[:12], True),
        (pod[:12], member[:12], True),
    ]

    pypod("rm", "-f", infra).fails(125, "is the infra container of pod", "without removing the pod")
    assert pypod("pod", "rm", "one").fails(2, "running or paused containers cannot be removed without force")
    assert pypod("pod", "stop", "one").ok().lines == [pod]
    assert status(pypod, "one") == "Exited"
    assert pypod("pod", "start", "one").ok().lines == [pod]
    assert pypod("pod", "kill", "one").ok().lines == [pod]
    until(lambda: status(pypod, "one") == "Exited", 5, "the pod to have exited")
    assert pypod("pod", "restart", "-t", "0", "one").ok().lines == [pod]
    assert status(pypod, "one") == "Running"
    pypod("stop", "-t", "0", "web").ok()
    assert status(pypod, "one") == "Degraded"
    assert pypod("pod", "prune", "-f").ok().out == ""  # neither has exited
    assert pypod("pod", "stop", "-a", "-t", "0").ok().lines[0] == pod
    assert pypod("pod", "prune", "-f").ok().lines == [pod]
    assert not record(pypod, pod).exists() and not record(pypod, pod).with_suffix(".lock").exists()
    assert pypod("ps", "-aq").ok().out == ""


def test_what_is_not_there(pypod: Pypod) -> None:
    for verb in ("start", "kill", "unpause", "top", "logs", "stats"):
        pypod("pod", verb, "nope").fails(125, "no pod with name or ID nope found: no such pod")
    pypod("pod", "rm", "nope").fails(1, "no such pod")
    pypod("pod", "rm", "-i", "nope").ok()
    pypod("pod", "rm", "-f", "nope").ok()
    pypod("pod", "stop", "--ignore", "nope").ok()
    assert pypod("pod", "inspect", "nope").fails(125, "no such pod nope").out == "[]\n"
    pypod("run", "--pod", "nope", "hello").fails(125, "no such pod")


WRONG: list[tuple[list[str], str]] = [
    (["--infra=false", "-p", "80:80"], "you must have an infra container to publish"),
    (["--infra=false", "--share", "net"], "cannot set share(net) namespaces without an infra container"),
    (["--infra=false", "--network", "none"], "NoInfra and network modes"),
    (["--share", "colour"], "invalid kernel namespace to share: colour"),
    (["--exit-policy", "colour"], "invalid pod exit policy"),
    (["--name", "a/b"], "names must match"),
    (["--network", "host", "-p", "80:80"], "PortMappings can only be used with"),
    (["--infra-name", "a/b"], "names must match"),
    (["--userns", "colour"], "unrecognized"),
    (["--replace"], "without --name"),
]


def test_what_cannot_be_made_leaves_nothing(pypod: Pypod) -> None:
    for flags, cause in WRONG:
        pypod("pod", "create", *flags).fails(125, cause)
    assert pypod("pod", "ps", "-q").ok().out == ""
    assert pypod("ps", "-aq").ok().out == ""


def test_namespaces_are_shared(pypod: Pypod, image: str) -> None:
    make(pypod, "one", *QUIET, "--hostname", "shop", "--share", "+pid")
    make(pypod, "two", *QUIET)
    for name, pod in (("a", "one"), ("b", "one"), ("c", "two")):
        pypod("run", "-d", "--pod", pod, "--name", name, image, *SLEEP).ok()
    kinds = ("net", "ipc", "uts", "pid")
    ask = ("sh", "-c", "for kind in net ipc uts pid; do readlink /proc/self/ns/$kind; done")
    found = {name: pypod("exec", name, *ask).ok().lines for name in ("a", "b", "c")}
    assert found["a"] == found["b"]
    assert all(one != other for one, other in zip(found["a"], found["c"], strict=True)), kinds
    assert pypod("exec", "b", "hostname").ok().out == "shop\n"
    assert pypod("exec", "c", "sh", "-c", "hostname; cat /etc/hostname; echo $HOSTNAME").ok().lines == ["two"] * 3
    # What one writes to /dev/shm the other one reads; names of members are the pod's localhost.
    pypod("exec", "a", "sh", "-c", "echo hello > /dev/shm/file").ok()
    assert pypod("exec", "b", "cat", "/dev/shm/file").ok().out == "hello\n"
    # In one pid namespace everybody sees everybody; orphans are the infra container's, which reaps them.
    seen = pypod("exec", "a", "sh", "-c", "(sleep 0.1 &); sleep 0.3; ps").ok().out
    assert "/pause" in seen and seen.count("trap") == 2 and "[sleep]" not in seen
    assert "/pause" not in pypod("exec", "c", "ps").ok().out
    listed = pypod("pod", "top", "one", "pid", "comm").ok().lines
    assert listed[0].split() == ["PID", "COMMAND"] and "1 pause" in " ".join(listed[1].split())
    assert sum(line.endswith("sleep") for line in listed) == 2
    own = pypod("run", "--rm", "--pod", "two", "--uts", "private", "--hostname", "me", image, "hostname")
    assert own.ok().out == "me\n"
    for flags, cause in (
        (("--hostname", "x"), "cannot set hostname when joining the pod UTS namespace"),
        (("-p", "80:80"), "ports must be defined when the pod is created"),
        (("--add-host", "a:1.2.3.4"), "must be specified on the pod"),
        (("--userns", "host"), "--userns and --pod cannot be set together"),
    ):
        pypod("create", "--pod", "one", *flags, image, "true").fails(125, cause)


def test_ports_and_names(pypod: Pypod, image: str) -> None:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        port = int(sock.getsockname()[1])
    pypod("pod", "create", "-p", f"127.0.0.1:{port}:80", "--add-host", "far:1.2.3.4", "web").ok()
    serve = "echo hello > /index.html; exec httpd -f -p 80"
    pypod("run", "-d", "--pod", "web", "--name", "shop", image, "sh", "-c", serve).ok()
    ask = "cat /etc/hosts; wget -qO- http://localhost/; wget -qO- http://shop/"
    said = pypod("run", "--rm", "--pod", "web", "--name", "client", image, "sh", "-c", ask).ok().lines
    assert said[-2:] == ["hello", "hello"]
    assert "127.0.0.1\tshop" in said and any(line.split() == ["1.2.3.4", "far"] for line in said)

    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    assert get() == "hello\n"
    assert pypod("port", "shop").ok().lines == [f"80/tcp -> 127.0.0.1:{port}"]
    assert f"127.0.0.1:{port}->80/tcp" in pypod("ps", "--filter", "name=shop", "--format", "{{.Ports}}").ok().out
    pypod("pod", "stop", "-t", "0", "web").ok()
    with pytest.raises(OSError):
        get()
    pypod("pod", "start", "web").ok()

    def answers() -> bool:
        try:
            return get() == "hello\n"
        except OSError:  # its program has not begun to listen
            return False

    until(answers, 10, "the port to be back")


def test_without_infra(pypod: Pypod, image: str) -> None:
    pod = make(pypod, "bare", "--infra=false", "--share=")
    for name in ("a", "b"):
        pypod("run", "-d", "--pod", "bare", "--name", name, *QUIET, image, *SLEEP).ok()
    assert states(pypod, "bare") == {"a": "running", "b": "running"}
    shown = pypod("pod", "inspect", "bare").ok().json
    assert shown["CreateInfra"] is False and "InfraContainerID" not in shown
    began = time.monotonic()
    assert pypod("pod", "stop", "bare").ok().lines == [pod]
    assert time.monotonic() - began < 9  # they end by themselves, and nobody is waited for in turn
    assert pypod("pod", "rm", "bare").ok().lines == [pod]
    assert pypod("ps", "-aq").ok().out == ""


def test_pods_among_everything_else(fresh: Pypod) -> None:
    """`rm -a`, `system prune` and `system reset` know what belongs together."""
    make(fresh, "lost", *QUIET)
    gone = make(fresh, "gone", *QUIET)
    fresh("pod", "start", "gone").ok()
    lost, infra = fresh("pod", "inspect", "--format", "{{.InfraContainerID}}", "lost", "gone").ok().lines
    assert fresh("rm", "-a").ok().lines == [lost]
    kept = make(fresh, "kept", *QUIET)
    fresh("pod", "stop", "gone").ok()
    fresh("container", "prune", "-f").ok()
    said = fresh("system", "prune", "-f").ok().lines
    assert said[:2] == ["Deleted Pods", gone] and infra not in said
    assert fresh("pod", "ps", "-q").ok().lines == [kept]
    fresh("pod", "start", "kept").ok()
    fresh("system", "reset", "-f").ok()
    assert fresh("pod", "ps", "-q").ok().out == "" and not record(fresh, kept).exists()


def test_what_a_pod_rests_on_goes_with_it(pypod: Pypod, image: str) -> None:
    pypod("volume", "create", "v").ok()
    for make_way, flags in (
        (("network", "rm"), ("--network", "n")),
        (("volume", "rm"), (*QUIET, "-v", "v:/v")),
        (("rmi",), (*QUIET, "--infra-image", "localhost/other:1")),
    ):
        what = flags[-1].removesuffix(":/v")
        if what == "n":
            pypod("network", "create", "n").ok()
        elif what == "localhost/other:1":
            pypod("create", "--name", "c", *QUIET, image, "true").ok()
            pypod("commit", "-q", "c", what).ok()
        make(pypod, "one", *flags)
        pypod("create", "--pod", "one", image, "true").ok()
        pypod(*make_way, what).fails(2)
        pypod(*make_way, "-f", what).ok()
        assert pypod("pod", "ps", "-q").ok().out == ""


def test_new_pod(pypod: Pypod, image: str) -> None:
    made = pypod("run", "--rm", "--pod", "new:fresh", "--hostname", "name", *QUIET, image, "hostname").ok()
    assert made.out == "name\n"
    assert status(pypod, "fresh") == "Running"
    pypod("run", "--rm", "--pod", "new:fresh", image, "true").fails(125, "pod already exists")
    # A pod that was made for a container which cannot be made goes again.
    pypod("run", "--pull=never", "--pod", "new:other", *QUIET, image + "-not-there", "true").fails(125)
    assert pypod("pod", "ps", "--format", "{{.Name}}").ok().lines == ["fresh"]


def test_exit_policy(pypod: Pypod, image: str) -> None:
    make(pypod, "one", *QUIET, "--exit-policy", "stop")
    for name in ("a", "b"):
        pypod("run", "-d", "--pod", "one", "--name", name, image, *SLEEP).ok()
    pypod("stop", "a").ok()
    assert status(pypod, "one") == "Degraded"
    pypod("kill", "b").ok()
    until(lambda: status(pypod, "one") == "Exited", 10, "the pod to have exited")
    pypod("run", "--pod", "one", image, "true").ok()
    assert status(pypod, "one") == "Exited"


def test_clone(pypod: Pypod, image: str) -> None:
    pod = make(pypod, "one", *QUIET, "--label", "a=b")
    pypod("create", "--pod", "one", "--name", "web", image, *SLEEP).ok()
    other = pypod("pod", "clone", "--start", "one").ok().out.strip()
    assert states(pypod, "one-clone") == {f"{other[:12]}-infra": "running", "web-clone": "running"}
    assert pypod("exec", "web-clone", "hostname").ok().out == "one-clone\n"
    shown = pypod("pod", "inspect", "one-clone").ok().json
    assert (
        shown["Labels"] == {"a": "b"}
        and pypod("inspect", "web-clone").ok().json[0]["HostConfig"]["NetworkMode"]
        == f"container:{shown['InfraContainerID']}"
    )
    third = pypod("pod", "clone", "--destroy", "one", "three").ok().out.strip()
    assert pypod("pod", "ps", "-q").ok().lines == [third, other]
    assert not record(pypod, pod).exists() and "web-clone1" in states(pypod, "three")
    pypod("pod", "clone", "three", "one-clone").fails(125, "is in use")
    assert len(pypod("ps", "-aq").ok().lines) == 4


def test_what_the_pod_gives_to_its_containers(pypod: Pypod, image: str, shared_dir: Path) -> None:
    (shared_dir / "file").write_text("data\n")
    make(pypod, "one", *QUIET, "-v", f"{shared_dir}:/data:ro", "--security-opt", "no-new-privileges", "--sysctl",
         "net.ipv4.ip_default_ttl=33", "--shm-size", "1m")  # fmt: skip
    ask = "cat /data/file; grep NoNewPrivs /proc/self/status; cat /proc/sys/net/ipv4/ip_default_ttl; df -k /dev/shm"
    said = pypod("run", "--rm", "--pod", "one", image, "sh", "-c", ask).ok().out.split()
    assert said[:4] == ["data", "NoNewPrivs:", "1", "33"] and "1024" in said
    shown = pypod("pod", "inspect", "one").ok().json
    assert shown["mounts"][0]["Destination"] == "/data" and shown["security_opt"] == ["no-new-privileges"]


def test_limits_of_a_pod(pypod: Pypod, image: str, mode: str) -> None:
    """One cgroup above those of its containers; a rootless user has none on cgroup v1, and is told so."""
    flags = ("--memory", "64m", "--cpus", "0.5", "--cpuset-cpus", "0")
    if os.path.isdir("/run/systemd/system"):
        pypod("pod", "create", *QUIET, *flags).fails(125, "cannot limit the resources of a pod")
        return
    made = pypod("pod", "create", "--name", "one", *QUIET, *flags).ok()
    shown = pypod("pod", "inspect", "one").ok().json
    assert shown["memory_limit"] == 64 << 20 and shown["cpu_quota"] == 50_000 and shown["cpuset_cpus"] == "0"
    assert shown["InfraConfig"]["cpu_quota"] == 50_000
    pypod("run", "--rm", "--pod", "one", image, "true").ok()
    if mode == "rootless" or not os.path.isdir("/sys/fs/cgroup/memory"):
        assert mode == "root" or "ignored" in made.err
        return
    place = Path("/sys/fs/cgroup/memory" + shown["CgroupPath"])
    assert int((place / "memory.limit_in_bytes").read_text()) == 64 << 20
    assert int((place / "memory.memsw.limit_in_bytes").read_text()) == 128 << 20
    assert [entry.name for entry in place.iterdir() if entry.is_dir()] == [f"libpod-{shown['InfraContainerID']}"]
    pypod("pod", "rm", "-f", "one").ok()
    assert not [path for path in Path("/sys/fs/cgroup").glob("*" + shown["CgroupPath"]) if path.exists()]


def test_user_namespace_of_a_pod(pypod: Pypod, image: str, mode: str) -> None:
    mapping = ("--uidmap", "0:1:1000", "--gidmap", "0:1:1000") if mode == "root" else ("--userns", "keep-id")
    make(pypod, "one", *QUIET, *mapping)
    said = pypod("run", "--rm", "--pod", "one", image, "sh", "-c", "id -u; readlink /proc/self/ns/user").ok().lines
    assert said[0] == ("0" if mode == "root" else str(pypod.user.uid))
    again = pypod("run", "--rm", "--pod", "one", image, "readlink", "/proc/self/ns/user").ok().lines
    assert said[1:] == again


def test_logs(pypod: Pypod, image: str) -> None:
    make(pypod, "one", *QUIET)
    for name, text in (("a", "one"), ("b", "two"), ("c", "three")):
        pypod("run", "--pod", "one", "--name", name, image, "echo", text).ok()
    pypod("start", "-a", "a").ok()
    assert pypod("pod", "logs", "-n", "one").ok().lines == ["a one", "b two", "c three", "a one"]
    assert pypod("pod", "logs", "-n", "--tail", "1", "one").ok().lines == ["b two", "c three", "a one"]
    first = pypod("inspect", "--format", "{{.Id}}", "a").ok().out[:12]
    assert pypod("pod", "logs", "one").ok().lines[0] == f"{first} one"
    assert pypod("pod", "logs", "-c", "b", "one").ok().lines == ["two"]
    assert sorted(pypod("pod", "logs", "-f", "-n", "-t", "--latest").ok().out.split())[-4:] == sorted(
        ["one", "one", "three", "two"]
    )
    pypod("pod", "logs", "-c", "nope", "one").fails(125, "container nope is not in pod one")


def test_replace_and_restart_policy(pypod: Pypod, image: str) -> None:
    first = make(pypod, "one", *QUIET)
    pypod("run", "-d", "--pod", "one", "--name", "a", image, *SLEEP).ok()
    second = make(pypod, "one", *QUIET, "--replace", "--restart", "on-failure:3")
    assert first != second and not record(pypod, first).exists()
    assert states(pypod, "one") == {f"{second[:12]}-infra": "created"}
    pypod("create", "--pod", "one", "--name", "a", image, "true").ok()
    assert pypod("inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", "a").ok().out == "on-failure\n"


def test_the_infra_container_is_killed(pypod: Pypod, image: str) -> None:
    """Its members run on, in the namespaces that they have; started again, they are all in new ones."""
    make(pypod, "one", *QUIET)
    pypod("run", "-d", "--pod", "one", "--name", "a", image, *SLEEP).ok()
    infra = pypod("pod", "inspect", "--format", "{{.InfraContainerID}}", "one").ok().out.strip()
    pid = int(pypod("inspect", "--format", "{{.State.Pid}}", infra).ok().out)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), 5, "it to be gone")
    until(lambda: status(pypod, "one") == "Degraded", 5, "it to be missed")
    pypod("pod", "restart", "-t", "0", "one").ok()
    assert status(pypod, "one") == "Running"


def test_what_a_crash_leaves(pypod: Pypod) -> None:
    """Whatever a killed `pod create` or `pod rm` leaves, `system check` knows and the next command removes."""
    pod = make(pypod, "one", *QUIET)
    infra = json.loads(record(pypod, pod).read_text())["infra_id"]
    record(pypod, pod).unlink()  # killed before the record was written
    pypod.as_user("touch", record(pypod, "0" * 64).with_suffix(".lock")).ok()
    assert f"infra container {infra} of no pod" in pypod("system", "check").fails(125, "leftovers").out
    pypod("system", "check", "--repair").ok()
    assert pypod("ps", "-aq").ok().out == ""
    assert [name for name in os.listdir(record(pypod, pod).parent) if not name.startswith(".")] == []
    pod = make(pypod, "two", *QUIET)
    infra = json.loads(record(pypod, pod).read_text())["infra_id"]
    saved = record(pypod, pod).read_bytes()
    record(pypod, pod).unlink()
    pypod("rm", infra).ok()  # of no pod
    record(pypod, pod).write_bytes(saved)  # killed before the record was removed
    assert states(pypod, "two") == {}
    pypod("pod", "rm", "two").ok()


def test_init_containers(pypod: Pypod, image: str, shared_dir: Path) -> None:
    pod = make(pypod, "shop")
    place = f"{shared_dir}:/log"
    say = ("sh", "-c", 'echo "$0" >> /log/order; test "$0" != fails')
    for name, kind in (("first", "once"), ("second", "always")):
        pypod("create", "--pod", "shop", "--init-ctr", kind, "--name", name, "-v", place, image, *say, name).ok()
    pypod(
        "create",
        "--pod",
        "shop",
        "--name",
        "main",
        "-v",
        place,
        image,
        "sh",
        "-c",
        "echo main >> /log/order; sleep 99",
    ).ok()
    assert pypod("pod", "start", "shop").ok().lines == [pod]
    until(lambda: "main" in (shared_dir / "order").read_text(), 10, "the main container to write")
    assert (shared_dir / "order").read_text().split() == ["first", "second", "main"]
    assert not pypod.exists("first") and pypod.state("second") == "exited"
    assert status(pypod, "shop") == "Running"
    pypod("pod", "start", "shop").ok()  # what runs is left alone
    pypod("pod", "stop", "-t", "0", "shop").ok()
    pypod("pod", "start", "shop").ok()
    until(lambda: (shared_dir / "order").read_text().count("main") == 2, 10, "the main container to write again")
    assert (shared_dir / "order").read_text().split()[3:] == ["second", "main"]
    pypod("pod", "stop", "-t", "0", "shop").ok()
    pypod("create", "--pod", "shop", "--init-ctr", "once", "--name", "bad", "-v", place, image, *say, "fails").ok()
    assert "initialization failed on container bad: it exited with code 1" in pypod("pod", "start", "shop").err
    assert pypod.state("main") == "exited" and pypod.exists("bad")
    pypod("create", "--init-ctr", "once", image, "true").fails(125, "must specify pod value with init-ctr")
    pypod("create", "--pod", "shop", "--init-ctr", "twice", image, "true").fails(125, "twice")
    pypod("create", "--pod", "shop", "--init-ctr", "once", "--restart", "always", image, "true").fails(
        125, "--restart"
    )
