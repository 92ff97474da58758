"""A real systemd-journald for a test, on a machine that need not run systemd.

It is started by hand in a mount namespace of the tests' own, where /run/systemd and its files' places are empty; what
the test starts meanwhile is in there too. The journal is kept per user, as on a host: who is not root reads what is
theirs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support import box

PROGRAM = "/lib/systemd/systemd-journald"
SOCKET = "/run/systemd/journal/socket"
PLACES = ("/run/systemd", "/run/log", "/var/log/journal")
_NEWNS = 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def running() -> Iterator[None]:
    """This process, and what it starts, in a mount namespace with a journal."""
    if not box.ROOT:
        box.missing("a journal of one's own needs root")
    if not os.access(PROGRAM, os.X_OK):
        box.missing("systemd-journald is not installed (package systemd)")
    home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    directory = os.getcwd()
    made = [path for path in PLACES if not os.path.isdir(path)]
    for path in made:
        os.mkdir(path)
    _check(_libc.unshare(_NEWNS))
    journald = None
    try:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        for path in PLACES:
            subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
        os.makedirs("/run/systemd/journal")
        os.mkdir("/run/systemd/units")
        with open("/run/systemd/journal/flushed", "w"):
            pass  # it writes to /var/log/journal at once
        os.makedirs("/run/systemd/journald.conf.d")
        with open("/run/systemd/journald.conf.d/test.conf", "w") as file:
            file.write("[Journal]\nStorage=persistent\nSplitMode=uid\nReadKMsg=no\nRateLimitBurst=0\n")
        journald = subprocess.Popen(
            [PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 20
        while not os.path.exists(SOCKET):
            assert journald.poll() is None and time.monotonic() < end, "systemd-journald does not come up"
            time.sleep(0.02)
        yield
    finally:
        if journald is not None:
            journald.send_signal(signal.SIGTERM)
            journald.wait(20)
        _check(_libc.setns(home, _NEWNS))
        os.close(home)
        os.chdir(directory)
        for path in made:
            os.rmdir(path)
