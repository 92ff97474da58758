"""The store's locks against POSIX record locks, which is what the Go tools take."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pypod.errors import StorageError
from storage.locks import RecordLock, token

TRY = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
kind = fcntl.LOCK_SH if sys.argv[2] == "shared" else fcntl.LOCK_EX
try:
    fcntl.lockf(fd, kind | fcntl.LOCK_NB)
except OSError:
    sys.exit(1)
"""


def posix_can(path: Path, kind: str = "exclusive") -> bool:
    """Whether another process gets a POSIX record lock on the file."""
    return subprocess.run([sys.executable, "-c", TRY, str(path), kind], check=False).returncode == 0


def test_it_excludes_posix_locks_and_makes_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.lock"
    with RecordLock(str(path)):
        assert not posix_can(path)
        assert not posix_can(path, "shared")
    assert posix_can(path)
    assert path.stat().st_size == 0


def test_shared_locks_admit_each_other(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with RecordLock(str(path), shared=True):
        assert posix_can(path, "shared")
        assert not posix_can(path)
        assert RecordLock(str(path), shared=True).acquire(blocking=False)
        assert not RecordLock(str(path)).acquire(blocking=False)


def test_a_posix_lock_excludes_it(tmp_path: Path) -> None:
    path = tmp_path / "l"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    assert not RecordLock(str(path)).acquire(blocking=False)
    fcntl.lockf(fd, fcntl.LOCK_UN)
    lock = RecordLock(str(path))
    assert lock.acquire(blocking=False)
    # A POSIX lock would go with the first descriptor that is closed; this one does not.
    os.close(fd)
    assert not posix_can(path)
    lock.release()
    assert posix_can(path)


def test_the_token_is_64_bytes_and_new_each_time(tmp_path: Path) -> None:
    assert len(token()) == 64
    assert token() != token()
    path = tmp_path / "l"
    seen = set()
    for _ in range(3):
        with RecordLock(str(path)) as lock:
            lock.touch()
        assert path.stat().st_size == 64
        seen.add(path.read_bytes())
    assert len(seen) == 3
    assert int.from_bytes(path.read_bytes()[16:20], "little") == os.getpid()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot lock the store"):
        RecordLock(str(tmp_path / "file" / "l")).acquire()
