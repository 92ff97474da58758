"""sd_notify(3) as its receiver sees it."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from pypod.systemd import notify


def receiver(address: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.settimeout(10)
    found.bind(address)
    return found


def test_a_message(tmp_path: Path) -> None:
    with receiver(f"{tmp_path}/s") as there:
        notify.send(f"{tmp_path}/s", "MAINPID=7\nREADY=1")
        assert there.recv(100) == b"MAINPID=7\nREADY=1"


def test_an_abstract_address() -> None:
    name = f"pypod-test-{os.getpid()}"
    with receiver("\0" + name) as there:
        notify.send("@" + name, "READY=1")
        assert there.recv(100) == b"READY=1"


def test_patience_lasts_until_the_message_is_read(tmp_path: Path) -> None:
    read = threading.Event()
    with receiver(f"{tmp_path}/s") as there:

        def systemd() -> None:
            assert there.recv(100) == b"READY=1"
            time.sleep(0.2)
            read.set()
            data, descriptors, _, _ = socket.recv_fds(there, 100, 1)
            assert data == b"BARRIER=1"
            for fd in descriptors:
                os.close(fd)

        thread = threading.Thread(target=systemd)
        thread.start()
        notify.send(f"{tmp_path}/s", "READY=1", patience=20)
        assert read.is_set()
        thread.join()


def test_patience_ends(tmp_path: Path) -> None:
    with receiver(f"{tmp_path}/s"):
        notify.send(f"{tmp_path}/s", "READY=1", patience=0.1)


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        notify.send(f"{tmp_path}/s", "READY=1")
