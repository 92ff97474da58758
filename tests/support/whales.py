"""What a program does with python-on-whales: run by tests/interop/test_whales.py as a process of its own.

``whales.py PART IMAGE DIRECTORY COMMAND...``: COMMAND is the client, DIRECTORY a place for files. An assertion that
fails, or an answer that a model of the library does not take, is its exit code and its traceback. Not here is what
the library has for Docker only: stats (podman, too, prints one array), top, volume copy and clone (they build).
"""

from __future__ import annotations

import datetime
import os
import sys
import tarfile
import time
from pathlib import Path

import pydantic
from python_on_whales import DockerClient
from python_on_whales.exceptions import (
    DockerException,
    NoSuchContainer,
    NoSuchImage,
    NoSuchNetwork,
    NoSuchPod,
    NoSuchVolume,
)

CAN_PAUSE = os.geteuid() == 0 or os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def refuses(kind, call, *args, **kwargs):
    """The exception of that very kind that ``call`` ends with."""
    try:
        call(*args, **kwargs)
    except DockerException as error:
        assert type(error) is kind, f"{type(error)}: {error}"
        return error
    raise AssertionError(f"{call} has not failed")


def known(model):
    """Every property of one of the library's objects: each asks for a part of what it has read."""
    return {
        name: getattr(model, name)
        for name, value in vars(type(model)).items()
        if isinstance(value, property) and not name.startswith("_")
    }


def started(client, image, *command, **options):
    options.setdefault("name", "whale")
    return client.run(image, list(command) or ["sleep", "1000"], detach=True, stop_signal="SIGKILL", **options)


def containers(client, image, place):
    made = client.create(
        image,
        ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"],
        name="whale",
        hostname="sea",
        envs={"DEPTH": "10"},
        labels={"kind": "blue"},
        volumes=[(str(place), "/data", "ro")],
        tmpfs=["/scratch"],
        health_cmd="true",
        health_interval=datetime.timedelta(seconds=30),
        restart="on-failure:3",
        stop_signal="SIGKILL",
        ulimit=["nofile=512:512"],
        expose=8080,
        add_hosts=[("far", "192.0.2.2")],
        workdir="/tmp",
        user="1:1",
        networks=["none"],
    )
    assert made.state.status == "created" and not made.state.running and made.name == "whale"
    assert [one.id for one in client.container.list(all=True)] == [made.id]
    assert client.ps() == []
    client.start(made)
    made.reload()
    seen = known(made)
    assert seen["state"].running and seen["state"].pid > 0 and seen["state"].health.status in ("starting", "healthy")
    assert abs(seen["created"].timestamp() - time.time()) < 60 and seen["state"].started_at >= seen["created"]
    config = seen["config"]
    assert config.hostname == "sea" and "DEPTH=10" in config.env and config.labels["kind"] == "blue"
    assert config.cmd == ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"] and config.user == "1:1"
    assert config.working_dir == Path("/tmp") and config.stop_signal in ("SIGKILL", 9)
    assert config.healthcheck.interval == 30 * 10**9 and config.image == image
    host = seen["host_config"]
    assert host.restart_policy.name == "on-failure" and host.restart_policy.maximum_retry_count == 3
    assert (
        host.network_mode == "none" and "/scratch" in map(str, host.tmpfs) and host.extra_hosts == ["far:192.0.2.2"]
    )
    assert ("RLIMIT_NOFILE", 512) in [(limit.name, limit.soft) for limit in host.ulimits]
    (mount,) = seen["mounts"]
    assert mount.type == "bind" and mount.source == str(place) and mount.destination == "/data" and not mount.rw
    assert client.container.inspect("whale") == made == client.container.inspect(made.id)
    assert client.container.exists("whale") and not client.container.exists("nosuch")
    assert [one.name for one in client.container.list(filters=[("label", "kind=blue")])] == ["whale"]
    assert client.container.list(filters=[("status", "exited")]) == []

    deadline = time.monotonic() + 20
    while "out" not in made.logs() or "err" not in made.logs():
        assert time.monotonic() < deadline
    assert made.logs(tail=1).splitlines()[0] in ("out", "err")
    assert [text for kind, text in client.container.logs(made, stream=True) if kind == "stdout"] == [b"out\n"]
    stamp = client.container.logs("whale", timestamps=True).split()[0]
    assert datetime.datetime.fromisoformat(stamp[:19]), stamp
    now = datetime.datetime.now()
    minutes = datetime.timedelta(minutes=5)
    assert made.logs(since=now - minutes, until=now + minutes) and not made.logs(until=now - minutes)

    assert made.execute(["echo", "hello"]) == "hello"
    assert made.execute(["sh", "-c", "echo $A; id -u"], envs={"A": "b"}, user="7") == "b\n7"
    assert list(client.execute(made, ["cat", "/etc/hostname"], stream=True)) == [("stdout", b"sea\n")]
    assert client.execute(made, ["true"], detach=True) is None
    assert refuses(DockerException, made.execute, ["sh", "-c", "exit 9"]).return_code == 9

    (place / "in").write_text("file\n")
    made.copy_to(place / "in", "/tmp/copied")
    assert client.execute("whale", ["cat", "/tmp/copied"]) == "file"
    client.copy(("whale", "/tmp/copied"), place / "back")
    assert (place / "back").read_text() == "file\n"
    made.copy_from("/etc/hostname", place / "name")
    assert (place / "name").read_text() == "sea\n"
    assert made.diff()["/tmp/copied"] == "A"
    made.export(place / "all.tar")
    with tarfile.open(place / "all.tar") as archive:
        assert "tmp/copied" in archive.getnames()

    if CAN_PAUSE:
        made.pause()
        made.reload()
        assert made.state.paused
        made.unpause()
    made.rename("orca")
    assert client.container.inspect("orca").id == made.id
    made.restart(time=0)
    made.kill()
    assert client.wait("orca") == 137
    made.reload()
    assert not made.state.running and made.state.exit_code == 137 and made.state.finished_at > made.state.started_at
    image_id = client.commit("orca", "localhost/orca:1", author="someone")
    assert client.image.inspect("localhost/orca:1") == image_id
    client.image.remove("localhost/orca:1")
    made.remove()
    refuses(NoSuchContainer, client.container.inspect, "orca")
    refuses(NoSuchContainer, client.stop, "orca")
    refuses(NoSuchContainer, client.execute, "orca", ["true"])
    refuses(NoSuchContainer, client.logs, "orca")

    assert client.run(image, ["echo", "hi"], remove=True) == "hi"
    assert list(client.run(image, ["echo", "hi"], remove=True, stream=True)) == [("stdout", b"hi\n")]
    assert refuses(DockerException, client.run, image, ["sh", "-c", "exit 3"], remove=True).return_code == 3
    with started(client, image) as one:
        client.stop([one], time=0)
        one.start()
        assert client.container.wait([started(client, image, "sh", "-c", "exit 4", name="calf")]) == [4]
        client.container.prune()
        assert [found.name for found in client.ps(all=True)] == ["whale"]
    assert client.ps(all=True) == []


def images(client, image, place):
    one = client.image.inspect(image)
    seen = {name: getattr(one, name) for name in ("repo_tags", "size", "os", "architecture", "created", "config")}
    assert image in seen["repo_tags"] and seen["os"] == "linux" and seen["size"] > 1000
    assert abs(seen["created"].timestamp() - time.time()) < 86400
    assert known(one)["root_fs"].layers
    # A list has the digest, inspect the id without its "sha256:", as podman's have.
    assert [found.repo_tags for found in client.images()] == [[image]]
    assert [found.id for found in client.image.list(image)] == ["sha256:" + one.id]
    assert client.image.exists(image) and not client.image.exists("localhost/nosuch")
    one.tag("localhost/whale:2")
    assert client.image.inspect("localhost/whale:2") == one
    client.save("localhost/whale:2", place / "image.tar")
    client.image.remove("localhost/whale:2")
    assert image in client.image.inspect(image).repo_tags, "the tag only is gone"
    assert client.load(place / "image.tar") == ["localhost/whale:2"]
    data = b"".join(client.save("localhost/whale:2"))
    client.image.remove("localhost/whale:2")
    assert client.load(iter([data])) == ["localhost/whale:2"]
    client.image.remove("localhost/whale:2", force=True)
    with started(client, image) as box:
        box.export(place / "box.tar")
    brought = client.import_(place / "box.tar", "localhost/brought:1", changes=["CMD /bin/true"])
    assert brought.config.cmd and brought.repo_tags == ["localhost/brought:1"]
    (place / "note").write_text("x")
    brought.copy_to(place / "note", "/note", "localhost/noted:1")
    client.image.inspect("localhost/noted:1").copy_from("/note", place / "note.back")
    assert (place / "note.back").read_text() == "x"
    client.image.remove(["localhost/noted:1", brought])
    client.image.prune()
    refuses(NoSuchImage, client.image.inspect, "localhost/nosuch:1")
    refuses(NoSuchImage, client.image.remove, "localhost/nosuch:1")


def volumes(client, image, place):
    with client.volume.create("deep", labels={"a": "b"}) as one:
        seen = known(one)
        assert seen["name"] == "deep" and seen["driver"] == "local" and seen["labels"] == {"a": "b"}
        assert seen["mountpoint"].name == "_data" and abs(seen["created_at"].timestamp() - time.time()) < 60
        assert client.volume.list() == [one] == client.volume.list(filters=[("label", "a=b")])
        assert client.volume.inspect("deep") == one and client.volume.exists("deep")
        client.run(image, ["sh", "-c", "echo x > /v/f"], volumes=[(one, "/v")], remove=True)
        box = client.create(image, ["true"], volumes=[(one, "/v")], name="whale")
        box.copy_from("/v/f", place / "f")
        box.remove()
        assert (place / "f").read_text() == "x\n"
    other = client.volume.create()
    assert len(other.name) == 64
    client.volume.remove([other])
    client.volume.create("idle")
    client.volume.prune()
    assert client.volume.list() == []
    refuses(NoSuchVolume, client.volume.inspect, "nosuch")
    refuses(NoSuchVolume, client.volume.remove, "nosuch")


def networks(client, image, place):
    one = client.network.create(
        "reef", driver="bridge", subnet="10.99.77.0/24", gateway="10.99.77.1", labels={"a": "b"}
    )
    try:
        seen = known(one)
        assert seen["name"] == "reef" and seen["driver"] == "bridge" and seen["labels"] == {"a": "b"}
        assert abs(seen["created"].timestamp() - time.time()) < 60
        assert one in client.network.list() and client.network.list(filters=[("name", "reef")]) == [one]
        assert client.network.exists("reef") and not client.network.exists("nosuch")
        with started(client, image, networks=["reef"], network_aliases=["fish"]) as box:
            joined = box.network_settings.networks["reef"]
            assert joined.ip_address.startswith("10.99.77.") and joined.gateway == "10.99.77.1"
            assert joined.ip_prefix_length == 24 and "fish" in joined.aliases and joined.mac_address
            one.reload()
            known(one)
            with client.network.create("tide") as second:
                client.network.connect(second, box, alias="wet")
                box.reload()
                assert set(box.network_settings.networks) == {"reef", "tide"}
                client.network.disconnect(second, box)
                box.reload()
                assert set(box.network_settings.networks) == {"reef"}
        with started(client, image, publish=[(20990 + time.time_ns() % 9, 80)], networks=["reef"]) as box:
            (bound,) = box.network_settings.ports["80/tcp"]
            assert int(bound["HostPort"]) >= 20990
            assert box.host_config.port_bindings["80/tcp"][0].host_port == bound["HostPort"]
    finally:
        one.remove()
    client.network.create("idle")
    client.network.prune()
    assert [found.name for found in client.network.list()] == ["podman"]
    refuses(NoSuchNetwork, client.network.inspect, "nosuch")
    refuses(NoSuchNetwork, client.network.remove, "nosuch")


def pods(client, image, place):
    one = client.pod.create("school", hostname="bay", labels={"a": "b"}, publish=[(20980 + time.time_ns() % 9, 80)])
    try:
        seen = known(one)
        assert seen["name"] == "school" and seen["state"] == "Created" and seen["labels"] == {"a": "b"}
        assert seen["num_containers"] == 1 and seen["hostname"] == "bay" and seen["create_infra"]
        assert abs(seen["created"].timestamp() - time.time()) < 60
        assert seen["infra_config"].port_bindings["80/tcp"][0].host_port.startswith("209")
        assert client.pod.exists("school") and client.pod.list() == [one]
        assert client.pod.list(filters=[("label", "a=b"), ("name", "school")]) == [one]
        member = client.create(image, ["sh", "-c", "echo swim; exec sleep 1000"], pod=one, name="whale")
        one.start()
        one.reload()
        assert one.state == "Running" and {box.state for box in one.containers} == {"running"}
        member.reload()
        assert member.pod == one.id and client.container.inspect(one.infra_container_id).is_infra
        deadline = time.monotonic() + 20
        while "swim" not in one.logs():
            assert time.monotonic() < deadline
        if CAN_PAUSE:
            one.pause()
            one.unpause()
        one.stop(time=0)
        one.reload()
        assert one.state == "Exited"
        one.restart()
        one.kill()
        client.pod.start("school")
        client.pod.stop("school", time=0)
    finally:
        one.remove(force=True)
    assert client.pod.list() == [] and client.ps(all=True) == []
    client.pod.create("idle")
    client.pod.prune()
    refuses(NoSuchPod, client.pod.inspect, "nosuch")
    refuses(NoSuchPod, client.pod.remove, "nosuch")


def system(client, image, place):
    info = client.system.info()
    assert isinstance(info, pydantic.BaseModel)
    version = client.version()
    assert version.client.version and version.client.build_time
    before = datetime.datetime.now() - datetime.timedelta(seconds=1)
    client.run(image, ["true"], remove=True, name="whale")
    events = list(client.system.events(since=before, until=datetime.datetime.now(), filters={"container": "whale"}))
    assert [event.type for event in events if event.type] == ["container"] * len(events) and events
    usage = client.system.disk_free()
    assert usage.images.total_count >= 1 and usage.images.size > 1000
    assert usage.containers.active == 0 and usage.volumes.total_count == 0
    (place / "word").write_text("plankton")
    secret = client.secret.create("food", str(place / "word"), labels={"a": "b"})
    try:
        assert known(secret)["spec"].name == "food" and client.secret.list() == [secret]
    finally:
        secret.remove()
    client.system.prune()


PARTS = {part.__name__: part for part in (containers, images, volumes, networks, pods, system)}

if __name__ == "__main__":
    part, image, place, *command = sys.argv[1:]
    PARTS[part](DockerClient(client_call=command, client_type="podman"), image, Path(place))
