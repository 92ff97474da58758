"""Definitions of bridge networks, and the books of their addresses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pypod.base import files
from pypod.errors import InUse, NetworkError, NotFound, StorageError, UsageError
from pypod.network import define, leases, networks
from pypod.network.define import Wish

ME = os.getpid()


def net(**changes: Any) -> dict[str, Any]:
    return {"name": "n", "subnets": [{"subnet": "10.9.8.0/29", "gateway": "10.9.8.1"}]} | changes


def test_the_default_network_needs_no_file(tmp_path: Path) -> None:
    assert networks.find(str(tmp_path), "podman")["network_interface"] == "podman0"
    assert networks.find(str(tmp_path), "2f259bab")["name"] == "podman"
    with pytest.raises(UsageError):
        networks.remove(str(tmp_path), "podman")


def test_create_find_and_remove(tmp_path: Path) -> None:
    made = define.create(str(tmp_path / "networks"), "n1", Wish())
    directory = str(tmp_path / "networks")
    assert networks.find(directory, "n1") == made
    assert networks.find(directory, made["id"][:10]) == made
    assert [item["name"] for item in networks.every(directory)] == ["podman", "n1"]
    other = define.create(directory, "n2", Wish())
    assert other["subnets"] != made["subnets"]
    assert other["network_interface"] != made["network_interface"]
    with pytest.raises(InUse):
        define.create(directory, "n1", Wish())
    with pytest.raises(InUse):
        define.create(directory, "n3", Wish(subnets=[made["subnets"][0]["subnet"]]))
    assert networks.remove(directory, "n1") == "n1"
    with pytest.raises(NotFound):
        networks.find(directory, "n1")


@pytest.mark.parametrize(
    "flags",
    [
        {"subnets": ["10.200.0.0"]},
        {"subnets": ["10.200.0.0/31"]},
        {"subnets": ["10.200.0.0/24"], "gateways": ["10.201.0.1"]},
        {"subnets": ["10.200.0.0/24"], "ranges": ["10.201.0.0/25"]},
        {"subnets": ["10.200.0.0/24"], "ranges": ["10.200.0.0/16"]},
    ],
)
def test_what_contradicts_itself_changes_nothing(tmp_path: Path, flags: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        define.create(str(tmp_path), "n", Wish(**flags))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "none", "host", "pasta"])
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError):
        networks.check_name(name)


def test_a_broken_definition_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(StorageError, match="x.json"):
        networks.every(str(tmp_path))


def test_leases_go_round_and_come_back(tmp_path: Path) -> None:
    path = str(tmp_path / "n.json")
    assert leases.take(path, net(), "a", ME) == ["10.9.8.2"]
    assert leases.take(path, net(), "b", ME) == ["10.9.8.3"]
    leases.release(path, "a")
    # Not the one that has just been given back: somebody may still talk to it.
    assert [leases.take(path, net(), str(number), ME)[0] for number in range(3)] == [
        "10.9.8.4",
        "10.9.8.5",
        "10.9.8.6",
    ]
    assert leases.take(path, net(), "c", ME) == ["10.9.8.2"]
    with pytest.raises(NetworkError, match="no free IP"):
        leases.take(path, net(), "d", ME)


def test_the_lease_of_a_dead_process_is_taken_when_none_is_left(tmp_path: Path) -> None:
    path = str(tmp_path / "n.json")
    for number in range(5):
        leases.take(path, net(), str(number), ME if number else 0)
    assert leases.take(path, net(), "x", ME) == ["10.9.8.2"]


def test_a_wanted_address(tmp_path: Path) -> None:
    path = str(tmp_path / "n.json")
    assert leases.take(path, net(), "a", ME, ["10.9.8.5"]) == ["10.9.8.5"]
    for address in ("10.9.8.5", "10.9.8.1"):
        with pytest.raises(NetworkError, match="already allocated"):
            leases.take(path, net(), "b", ME, [address])
    with pytest.raises(NetworkError, match="not in any subnet"):
        leases.take(path, net(), "b", ME, ["10.1.1.1"])
    assert list(files.read_json(path)["leases"]) == ["10.9.8.5"]


def test_a_range_is_kept_to(tmp_path: Path) -> None:
    limits = {"start_ip": "10.9.8.4", "end_ip": "10.9.8.5"}
    network = net(subnets=[{"subnet": "10.9.8.0/29", "gateway": "10.9.8.1", "lease_range": limits}])
    path = str(tmp_path / "n.json")
    assert [leases.take(path, network, str(number), ME)[0] for number in range(2)] == ["10.9.8.4", "10.9.8.5"]


def test_broken_books_are_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "n.json").write_text("{")
    assert leases.take(str(tmp_path / "n.json"), net(), "a", ME) == ["10.9.8.2"]


def test_a_published_port_is_one_containers(tmp_path: Path) -> None:
    path = str(tmp_path / "ports.json")
    leases.take_ports(path, [("tcp", "127.0.0.1", 80), ("udp", "", 53)], "a" * 64, ME)
    leases.take_ports(path, [("tcp", "127.0.0.2", 80), ("tcp", "", 53)], "b" * 64, ME)
    for clash in (("tcp", "127.0.0.1", 80), ("tcp", "", 80), ("udp", "10.0.0.1", 53), ("tcp", "0.0.0.0", 80)):
        with pytest.raises(NetworkError, match="address already in use"):
            leases.take_ports(path, [clash], "c" * 64, ME)
    leases.release(path, "a" * 64)
    leases.take_ports(path, [("tcp", "127.0.0.1", 80)], "c" * 64, ME)


def test_two_stores_of_a_host_choose_different_bridges(tmp_path: Path) -> None:
    book, one, other = (str(tmp_path / name) for name in ("book.json", "one", "other"))
    first = define.create_noted(book, one, "n", Wish())
    second = define.create_noted(book, other, "n", Wish())
    assert first["network_interface"] != second["network_interface"]
    assert first["subnets"] != second["subnets"]
    same = Wish(subnets=[first["subnets"][0]["subnet"]])
    assert define.create_noted(book, other, "m", same)["subnets"] == first["subnets"]  # who asks for it gets it
    networks.remove(one, "n")
    assert define.create_noted(book, str(tmp_path / "third"), "n", Wish())["subnets"] != second["subnets"]
    assert first["id"] not in files.read_json(book)
