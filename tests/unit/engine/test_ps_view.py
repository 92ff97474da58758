"""Rows of ``ps`` and the filters that choose them: pure data, no container."""

from __future__ import annotations

import time

import pytest

from pypod.base.record import replace
from pypod.engine import filters, health_log, inspect_host, ps_view
from pypod.engine.config import ContainerConfig, HealthCheck, Mount, Namespace, PortMapping
from pypod.engine.container import Container, State
from pypod.engine.ps_view import Row
from pypod.errors import UsageError
from storage.records import Container as Record

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


def container(**values):
    config = ContainerConfig(
        **{
            "id": "ab" * 32,
            "name": "web",
            "created": "2023-11-14T22:13:20Z",
            "image": "localhost/web:1",
            "image_id": "cd" * 32,
            "command": ["serve", "--all"],
            **values,
        }
    )
    return Container(
        id=config.id,
        name=config.name,
        record=Record(id=config.id),
        config=config,
        userdata="/nonexistent/u",
        rundir="/nonexistent/r",
        exit_file="/nonexistent/e",
    )


def row(state: State | None = None, health: str = "", **values) -> Row:
    return Row(
        container=container(**values), state=state or State(), created=NOW - 90 * SECOND, now=NOW, health=health
    )


@pytest.mark.parametrize(
    ("state", "health", "text"),
    [
        (State(), "", "Created"),
        (State(status="initialized"), "", "Initialized"),
        (State(status="running", started_at=NOW - 5 * SECOND), "", "Up 5 seconds"),
        (State(status="running", started_at=NOW - 5 * SECOND), "healthy", "Up 5 seconds (healthy)"),
        (State(status="paused", started_at=NOW), "", "Paused"),
        (State(status="exited", exit_code=3, finished_at=NOW - 7200 * SECOND), "", "Exited (3) 2 hours ago"),
        (State(status="stopping"), "", "Stopping"),
    ],
)
def test_status(state, health, text):
    assert row(state, health).status == text


def port(**values):
    return PortMapping(
        **{"host_ip": "", "host_port": 8080, "container_port": 80, "range": 1, "protocol": "tcp", **values}
    )


@pytest.mark.parametrize(
    ("ports", "exposed", "text"),
    [
        ([], [], ""),
        ([port()], [], "0.0.0.0:8080->80/tcp"),
        ([port(host_ip="127.0.0.1", range=3)], [], "127.0.0.1:8080-8082->80-82/tcp"),
        ([port(host_ip="::1", protocol="udp")], ["443/tcp", "80/udp"], "[::1]:8080->80/udp, 443/tcp"),
    ],
)
def test_ports(ports, exposed, text):
    assert ps_view.ports_text(ports, exposed) == text


def test_port_bindings():
    config = container(ports=[port(range=2)], exposed=["80/tcp", "99/udp"]).config
    assert inspect_host.port_bindings(config, exposed=True) == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
        "99/udp": None,
        "81/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}],
    }


def test_json_of_unset_times():
    found = row(labels={}).json()
    assert found["StartedAt"] == found["ExitedAt"] == -62135596800
    assert found["Ports"] is None and found["ExposedPorts"] is None and found["Size"] is None
    assert found["CreatedAt"] == "About a minute ago"


def test_networks():
    assert row().networks == []
    assert row(network=Namespace(mode="bridge")).networks == ["podman"]
    assert row(network=Namespace(mode="bridge"), network_options={"a": [], "b": []}).networks == ["a", "b"]
    up = State(status="running", network={"networks": {"x": {}}})
    assert row(up, network=Namespace(mode="bridge")).networks == ["x"]


def matches(text: str, item: Row) -> bool:
    (test,) = filters.compile(None, None, [text])  # type: ignore[arg-type]
    return test(item)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name=we", True),
        ("name=^web$", True),
        ("name=^eb", False),
        ("id=abab", True),
        ("id=cd", False),
        ("label=k", True),
        ("label=k=v", True),
        ("label=k=", False),
        ("label=none", False),
        ("label!=none", True),
        ("label!=k=v", False),
        ("label=a.*", True),
        ("status=exited", True),
        ("status=stopped", True),
        ("status=running", False),
        ("exited=3", True),
        ("exited=0", False),
        ("volume=/data", True),
        ("volume=vol", True),
        ("volume=vol:/data", True),
        ("volume=vol:/other", False),
        ("network=none", True),
        ("network=host", False),
        ("health=none", True),
        ("health=healthy", False),
        ("restart-policy=always", True),
        ("restart-policy=no", False),
        ("command=serve", True),
        ("until=2023-11-15", True),
        ("until=2023-11-13", False),
        ("should-start-on-boot=true", True),
    ],
)
def test_filters(text, wanted):
    item = row(
        State(status="exited", exit_code=3, finished_at=NOW),
        labels={"k": "v", "a.b": "c"},
        mounts=[Mount(type="volume", destination="/data", source="/v/vol/_data", name="vol")],
        network=Namespace(mode="none"),
        restart_policy="always",
    )
    assert matches(text, item) is wanted


def test_alternatives_and_conjunctions():
    item = row(labels={"a": "1"})

    def all_of(*texts: str) -> bool:
        return all(test(item) for test in filters.compile(None, None, texts))  # type: ignore[arg-type]

    assert all_of("name=nope", "name=web")
    assert not all_of("label=a", "label=b")
    assert not all_of("name=web", "status=running")


@pytest.mark.parametrize(
    "text",
    [
        "colour=red",
        "name",
        "status=dancing",
        "exited=x",
        "health=fine",
        "name=(",
        "restart-policy=x",
        "until=soon",
        "=x",
    ],
)
def test_filters_that_mean_nothing(text):
    with pytest.raises(UsageError):
        filters.compile(None, None, [text])  # type: ignore[arg-type]


def test_moments(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    parse = filters.parse_moment
    assert parse("2023-11-14T22:13:20Z") == NOW
    assert parse("2023-11-14T22:13:20.5Z") == NOW + SECOND // 2
    assert parse("2023-11-14T23:13:20+01:00") == NOW
    assert parse("2023-11-14 22:13:20") == parse("2023-11-14T22:13:20") == NOW
    assert parse("2023-11-14") == NOW - (22 * 3600 + 13 * 60 + 20) * SECOND
    assert parse("1700000000") == NOW and parse("1700000000.25") == NOW + SECOND // 4
    assert abs(time.time_ns() - parse("10m") - 600 * SECOND) < SECOND * 5
    for bad in ("", "yesterday", "2023-13-45", "10x", "2023-11-14T25:00:00Z", "T"):
        with pytest.raises(UsageError):
            parse(bad)


def test_health_status_without_a_log():
    check = HealthCheck(test=["CMD", "true"])
    assert health_log.status(container(healthcheck=check), State(status="running")) == "starting"
    assert health_log.status(container(healthcheck=check), State(status="exited")) == ""
    assert health_log.status(container(), State(status="running")) == ""


def test_a_health_log_that_is_broken(tmp_path):
    item = replace(container(healthcheck=HealthCheck(test=["CMD", "true"])), userdata=str(tmp_path))
    for text in ("", "[]", "{", '{"Status": 3}'):
        (tmp_path / "healthcheck.log").write_text(text)
        assert health_log.shown(item)["Status"] == "starting"
