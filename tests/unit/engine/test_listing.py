"""Lists of many containers say what each container's own files say, whoever has changed them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pypod.base import files, kept
from pypod.base.record import replace, to_json
from pypod.engine import container as containers
from pypod.engine import context as contexts
from pypod.engine import listing, ps_view
from pypod.engine.config import ContainerConfig, HealthCheck, Mount, Namespace, PortMapping, SecretUse
from pypod.engine.container import MANY, Container, State
from pypod.engine.context import Context
from pypod.errors import NoSuchContainer, StorageError
from storage.store import Store

COUNT = MANY + 10


class Place:
    """A store of container records, made by hand: there is no image and nothing runs."""

    def __init__(self, base: Path) -> None:
        flags = {"root": str(base / "g"), "runroot": str(base / "r"), "storage_driver": "overlay"}
        self.context: Context = contexts.open_context(flags)
        self.store: Store = containers.open_store(self.context)
        for number in range(COUNT):
            self.create(number)

    def create(self, number: int, **values: Any) -> str:
        id = f"{number:064x}"
        config = ContainerConfig(
            **{"id": id, "name": f"c{number}", "created": f"2024-01-01T00:00:{number:02}Z", "env": ["A=b"], **values}
        )
        files.make_directory(self.store.container_directory(id))
        files.replace_json(self.store.container_directory(id) + "/container.json", to_json(config))
        self.store.create_container(id=id, names=[config.name], image=None)
        return id

    def one(self, number: int) -> Container:
        return containers.find(self.context, self.store, f"c{number}")

    def expected(self) -> list[tuple[Container, State]]:
        """What the files of each say."""
        found = []
        for record in self.store.containers():
            try:
                container = containers.load(self.context, self.store, record)
            except (NoSuchContainer, StorageError):
                continue
            found.append((container, containers.observe(container)))
        return sorted(found, key=lambda item: item[0].config.created)

    def listed(self) -> list[tuple[Container, State]]:
        """What a list says, by another process's view of the store."""
        store = containers.open_store(self.context)
        return list(containers.observed(self.context, store, containers.every(self.context, store)))

    def check(self) -> None:
        """Twice: the copies may be made by the first and used by the second."""
        expected = self.expected()
        assert self.listed() == expected
        assert self.listed() == expected


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(kept, "_RACY", 0)
    return Place(tmp_path)


def test_every_field_comes_through(place: Place) -> None:
    place.check()
    place.create(
        COUNT,
        mounts=[Mount(type="bind", destination="/a", source="/b", options=["ro"])],
        ports=[PortMapping(host_ip="", host_port=80, container_port=81, range=1, protocol="tcp")],
        secrets=[SecretUse(name="s", id="1", kind="env", target="T")],
        healthcheck=HealthCheck(test=["CMD", "true"]),
        network=Namespace(mode="container", value="1" * 64),
        network_options={"n": ["ip=1.2.3.4"]},
        labels={"a": "b"},
        oom_score_adj=5,
        pod="2" * 64,
    )
    place.check()
    assert len(place.listed()) == COUNT + 1
    for name in os.listdir(listing.directory(place.context)):
        Path(listing.directory(place.context), name).unlink()
    place.check()


def test_the_copies_are_made_and_used(place: Place) -> None:
    place.check()
    path = Path(listing.directory(place.context), "containers")
    path.write_text(path.read_text().replace('"A=b"', '"A=of the copy"'))
    assert {config.config.env[0] for config, _ in place.listed()} == {"A=of the copy"}


def test_a_small_store_keeps_no_copies(place: Place) -> None:
    for number in range(20):
        place.store.delete_container(f"{number:064x}")
    place.check()
    assert not os.path.exists(listing.directory(place.context))


def test_changes_of_ours(place: Place) -> None:
    place.check()
    first = place.one(1)
    containers.save_config(first, replace(first.config, memory=1 << 20, labels={"new": "label"}))
    place.store.delete_container(place.one(2).id)
    place.create(COUNT)
    place.check()
    assert place.listed()[1][0].config.memory == 1 << 20


def test_changes_of_other_tools(place: Place) -> None:
    """They rename and remove containers, and have some of their own."""
    place.check()
    rows = place.store.container_table.rows()
    rows[5] = {**rows[5], "names": ["renamed"], "layer": "f" * 64}
    del rows[7]
    strange = {"id": "e" * 64, "names": ["strange"], "layer": "d" * 64, "metadata": "{}"}
    temporary = Path(place.store.container_table.path + ".new")
    files.replace_json(str(temporary), [strange, *rows])
    temporary.rename(place.store.container_table.path)
    place.check()
    found = {container.name: container for container, _ in place.listed()}
    assert found["renamed"].config.layer == "f" * 64 and "c7" not in found and "strange" not in found


def test_what_cannot_be_read_is_left_out(place: Place) -> None:
    place.check()
    path = Path(place.one(3).userdata, "container.json")
    path.write_text("{")
    assert len(place.listed()) == COUNT - 1
    place.check()
    path.unlink()
    place.check()


DAMAGED = [
    "[]",
    "null",
    "{}",
    '{"mounts": 5}',
    '{"mounts": [5]}',
    '{"id": 5, "created": 5}',
    '{"userns": {"mode": 1}}',
]


@pytest.mark.parametrize("text", DAMAGED)
@pytest.mark.parametrize("number", [0, 3])  # the first is the one that others are compared with
def test_what_is_no_configuration_is_left_out(place: Place, text: str, number: int) -> None:
    one = place.one(number)
    Path(one.userdata, "container.json").write_text(text)
    with pytest.raises(StorageError, match="cannot read container 0000"):
        place.one(number)
    with pytest.raises(StorageError, match="cannot read container 0000"):
        containers.reread(one)
    place.check()
    assert len(place.listed()) == COUNT - 1


@pytest.mark.parametrize("text", ["[]", "null", '{"status": 5}', '{"network": []}'])
def test_what_is_no_state_is_none(place: Place, text: str) -> None:
    for number in range(COUNT):
        files.make_directory(place.one(number).rundir)
        Path(place.one(number).rundir, "state.json").write_text(text)
    place.check()
    Path(place.one(0).userdata, "config.json").write_text("{}")
    Path(place.one(0).userdata, "exit.json").write_text(text)
    assert containers.observe(place.one(0)).status == "exited"


def test_states(place: Place) -> None:
    """Those of containers that were never started, that ended, that ended before a reboot, that seem to run."""
    for number in range(0, COUNT, 2):
        started = 10**18 + number
        state = State(status="exited", exit_code=number % 3, started_at=started, finished_at=started + 1)
        containers.save_state(place.one(number), state)
    place.check()
    path = Path(listing.directory(place.context), "states")
    path.write_text(path.read_text().replace('"exit_code":1', '"exit_code":77'))
    assert {state.exit_code for _, state in place.listed()} == {0, 2, 77}
    path.unlink()
    place.check()
    containers.save_state(place.one(4), State(status="running", pid=2**22 + 5, pid_start=1, conmon_pid=1))
    containers.save_state(place.one(5), State(status="initialized", network={"networks": {"a": {}}}))
    containers.save_state(place.one(6), State(status="exited", exit_code=9, error="a fault"))
    files.replace_json(place.one(8).rundir + "/state.json", {"status": "exited", "exit_code": 4, "newer": "key"})
    Path(place.one(10).rundir, "state.json").write_text("")
    Path(place.one(12).userdata, "config.json").write_text("{}")
    Path(place.one(12).rundir, "state.json").unlink()
    # Of who seems to run without a monitor the end is now, each time that one looks.
    now = {"finished_at": 0}
    for _ in range(2):
        listed = [(item.id, replace(state, **now)) for item, state in place.listed()]
        assert listed == [(item.id, replace(state, **now)) for item, state in place.expected()]


def test_ps_shows_the_same_with_and_without_copies(place: Place) -> None:
    containers.save_state(place.one(4), State(status="exited", exit_code=3, finished_at=10**18))

    def shown() -> list[dict[str, Any]]:
        store = containers.open_store(place.context)
        rows = ps_view.rows(place.context, store, everything=True, filters=["name=c"])
        return [{**row.json(), "CreatedAt": "", "Status": ""} for row in rows]

    first = shown()
    assert os.path.exists(listing.directory(place.context) + "/containers")
    assert shown() == first and len(first) == COUNT
