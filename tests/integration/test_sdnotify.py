"""--sdnotify: what systemd would hear of a container, on a socket of the test's own."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.runner import Pypod, until

NONE = ("--network", "none")


class Systemd:
    """Somebody who waits for word."""

    def __init__(self, place: Path) -> None:
        self.path = f"{place}/s"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.env = {"NOTIFY_SOCKET": self.path}

    def hears(self, seconds: float = 20) -> dict[str, str]:
        """The next message; {} if there is none for so long."""
        self.socket.settimeout(seconds)
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                return {}
            if text != "BARRIER=1":
                return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def systemd(base: Path) -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory(prefix="n", dir=base) as place:
        os.chmod(place, 0o755)
        found = Systemd(Path(place))
        yield found
        found.socket.close()


def test_conmon(pypod: Pypod, image: str, systemd: Systemd) -> None:
    flags = ("--name", "sd-conmon", *NONE, "--sdnotify", "conmon")
    pypod("run", "-d", *flags, image, "sh", "-c", "env; sleep 600", env=systemd.env).ok()
    assert systemd.hears() == {"MAINPID": str(pypod.monitor("sd-conmon")), "READY": "1"}
    assert "NOTIFY_SOCKET" not in pypod.wait_log("sd-conmon", "PATH=")
    # A start says it anew, and nobody hears of one that systemd did not ask for.
    pypod("restart", "-t", "0", "sd-conmon").ok()
    assert systemd.hears(0.3) == {}
    pypod("stop", "-t", "0", "sd-conmon").ok()
    pypod("start", "sd-conmon", env=systemd.env).ok()
    assert systemd.hears() == {"MAINPID": str(pypod.monitor("sd-conmon")), "READY": "1"}


def test_container(pypod: Pypod, image: str, systemd: Systemd) -> None:
    """The container's READY=1 comes by the monitor."""
    pypod("run", "-d", "--name", "sd-ctr", *NONE, image, "sh", "-c", "env; sleep 600", env=systemd.env).ok()
    assert systemd.hears() == {"MAINPID": str(pypod.monitor("sd-ctr"))}
    assert "NOTIFY_SOCKET=/run/notify/notify.sock\n" in pypod.wait_log("sd-ctr", "NOTIFY_SOCKET")
    say(pypod.pid("sd-ctr"), b"READY=1")
    assert systemd.hears() == {"READY": "1"}
    assert pypod.inspect("sd-ctr")["Config"]["sdNotifyMode"] == "container"
    # Without systemd there is no socket.
    pypod("run", "--rm", *NONE, image, "sh", "-c", "test -z $NOTIFY_SOCKET && test ! -e /run/notify").ok()


@pytest.mark.ours_only("conmon passes READY=1 on and nothing else")
def test_what_a_container_may_say(pypod: Pypod, image: str, systemd: Systemd) -> None:
    pypod("run", "-d", "--name", "sd-ctr", *NONE, image, "sleep", "600", env=systemd.env).ok()
    assert systemd.hears() == {"MAINPID": str(pypod.monitor("sd-ctr"))}
    say(pypod.pid("sd-ctr"), b"MAINPID=1\nSTATUS=well on my way\nFDSTORE=1")
    assert systemd.hears() == {"STATUS": "well on my way"}


def say(pid: int, text: bytes) -> None:
    """As the container would, on the socket that it sees."""
    directory = os.open(f"/proc/{pid}/root/run/notify", os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.connect(f"/proc/self/fd/{directory}/notify.sock")
            client.send(text)
    finally:
        os.close(directory)


@pytest.mark.ours_only("conmon runs no health checks")
def test_healthy(pypod: Pypod, image: str, systemd: Systemd, shared_dir: Path) -> None:
    """READY=1 comes when the health check passes for the first time, and once."""
    flags = ("--name", "sd-well", *NONE, "--sdnotify=healthy", "--health-interval", "200ms", "-v", f"{shared_dir}:/s")
    check = ("--health-cmd", "test -e /s/well", "--health-retries", "100")
    pypod("run", "-d", *flags, *check, image, "sleep", "600", env=systemd.env).ok()
    assert systemd.hears() == {"MAINPID": str(pypod.monitor("sd-well"))}
    until(lambda: pypod.inspect("sd-well")["State"]["Health"]["Log"], 20, "a run of the check")
    assert systemd.hears(0.2) == {}
    (shared_dir / "well").touch()
    assert systemd.hears() == {"READY": "1"}
    assert systemd.hears(1) == {}


def test_ignore(pypod: Pypod, image: str, systemd: Systemd) -> None:
    flags = ("--name", "sd-not", *NONE, "--sdnotify", "ignore")
    pypod("run", "-d", *flags, image, "sh", "-c", "env; sleep 600", env=systemd.env).ok()
    assert systemd.hears(0.3) == {}
    assert "NOTIFY_SOCKET" not in pypod.wait_log("sd-not", "PATH=")


def test_what_a_container_needs_is_not_spoken_of(pypod: Pypod, image: str, systemd: Systemd) -> None:
    pypod("create", "--name", "sd-first", *NONE, "--sdnotify=conmon", image, "sleep", "600").ok()
    flags = ("--name", "sd-second", *NONE, "--sdnotify=conmon", "--requires", "sd-first")
    pypod("run", "-d", *flags, image, "sleep", "600", env=systemd.env).ok()
    assert systemd.hears()["MAINPID"] == str(pypod.monitor("sd-second"))
    assert systemd.hears(0.3) == {}


def test_a_restart_by_its_policy_is_told(pypod: Pypod, image: str, systemd: Systemd) -> None:
    """Before the old monitor ends, or systemd would take the service for ended."""
    flags = ("--name", "sd-again", *NONE, "--sdnotify=conmon", "--restart=on-failure")
    pypod("run", "-d", *flags, image, "sleep", "600", env=systemd.env).ok()
    first = systemd.hears()["MAINPID"]
    pypod.as_user("kill", "-9", str(pypod.pid("sd-again"))).ok()
    second = systemd.hears()["MAINPID"]
    assert second != first and second == str(pypod.monitor("sd-again"))


def test_nobody_listens(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """The container runs all the same."""
    flags = ("--name", "sd-deaf", *NONE, "--sdnotify", "conmon")
    gone = {"NOTIFY_SOCKET": f"{shared_dir}/gone"}
    done = pypod("run", "-d", *flags, image, "sleep", "600", env=gone).ok()
    assert "cannot tell systemd of container sd-deaf" in done.err
    assert pypod.state("sd-deaf") == "running"


def test_refusals(pypod: Pypod, image: str) -> None:
    create = ("create", *NONE)
    pypod(*create, "--sdnotify=loud", image, "true").fails(125, 'invalid sdnotify value "loud"')
    pypod(*create, "--sdnotify=healthy", image, "true").fails(125, "requires a healthcheck to be set")
    pypod(*create, "--sdnotify=healthy", "--no-healthcheck", image, "true").fails(
        125, "requires a healthcheck to be set"
    )
