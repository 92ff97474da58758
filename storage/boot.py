"""Which layers may have been lost when the machine lost its power.

Without a daemon nobody sees the power go. But what was on disk at some moment stays there: the mark
``<graphroot>/pypod/synced`` has the boot and the last moment at which everything in the store was flushed. Each image
that is added here flushes all, other tools' layers too; and what was found sound after a boot is on disk. After the
next boot only layers that were finished between that moment and the boot are in doubt: other tools' ones, which flush
nothing. None are if the system wrote down that it shut down (wtmp(5)).
"""

from __future__ import annotations

import os
import time

from pypod.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.records import Layer
    from storage.store import Store

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_UNKNOWN = 3600  # seconds before the boot that are looked at in a store that has no mark yet
_RECORD, _BOOT, _RUN_LEVEL = 384, 2, 1  # sizeof(struct utmp); BOOT_TIME, RUN_LVL


def boot_id() -> bytes:
    """36 bytes that name this boot."""
    return files.read(_BOOT_ID, 36)


def mark(store: Store) -> tuple[bytes, int]:
    """The boot that was written down, and when all was on disk, in ns since the epoch; b"" and 0 if nothing was."""
    try:
        boot, _, when = files.read(f"{store.graphroot}/pypod/synced", 100).partition(b" ")
        return boot, int(when)
    except (OSError, ValueError):
        return b"", 0


def note(store: Store, when: int) -> None:
    """Write down that in this boot all that was in the store at ``when`` is on disk. Raises OSError."""
    directory = f"{store.graphroot}/pypod"
    files.make_directory(directory)
    files.replace(f"{directory}/synced", b"%s %d\n" % (boot_id(), when))


def note_sync(store: Store, when: int) -> None:
    """The same after a flush, if what was before this boot has been looked at; a failure costs a look later."""
    try:
        if mark(store)[0] == boot_id():
            note(store, when)
    except OSError:
        pass


def doubtful(store: Store) -> list[Layer]:
    """Image layers that may not have been on disk when the last boot ended, newest first. Raises StorageError."""
    _, synced = mark(store)
    began = started()
    if ended_well(began):
        return []
    since = synced or (began - _UNKNOWN) * 1_000_000_000
    found = []
    for layer in store.layers().values():
        if not layer.diff_digest or layer.home not in (store.home, store.image_home):
            continue
        try:
            # Made when the layer was complete; its record's time is that of its beginning.
            finished = os.stat(store.tar_split(layer)).st_mtime_ns
        except OSError:
            finished = began * 1_000_000_000 - 1
        if since < finished < began * 1_000_000_000:
            found.append((finished, layer))
    return [layer for _, layer in sorted(found, key=lambda item: -item[0])]


def started() -> int:
    """When this boot began, in seconds since the epoch."""
    for line in files.read("/proc/stat").splitlines():
        if line.startswith(b"btime "):
            return int(line[6:])
    return int(time.time())


def ended_well(began: int, path: str = "/var/log/wtmp") -> bool:
    """Whether the boot before the one that began then was shut down in order; False if nobody wrote it down."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size // _RECORD
            first = max(0, size - 2000)
            data = os.pread(fd, (size - first) * _RECORD, first * _RECORD)
        finally:
            os.close(fd)
    except OSError:
        return False
    for at in range(len(data) - _RECORD, -1, -_RECORD):
        record = data[at : at + _RECORD]
        kind = int.from_bytes(record[:2], "little")
        when = int.from_bytes(record[340:344], "little")
        if when >= began - 60 and kind == _BOOT:
            continue  # this boot
        if kind == _BOOT:
            return False
        if kind == _RUN_LEVEL and record[44:52] == b"shutdown":
            return when <= began + 60
    return False
