"""What is in doubt after a boot, and what is not."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pytest
from archives import layer

from storage import archive, boot
from storage.store import Store


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> int:
    """When this boot began; nobody has written down how the last one ended."""
    monkeypatch.setattr(boot, "ended_well", lambda began: False)
    return boot.started()


def finished(store: Store, name: str, when: float) -> str:
    """A layer that was complete at that time, in seconds; its id."""
    id = archive.import_stream(store, io.BytesIO(layer(name)).read, names=[f"localhost/{name}:1"]).layer
    os.utime(f"{store.layers_dir}/{id}.tar-split.gz", (when, when))
    return id


def test_only_what_was_finished_since_the_last_flush_is_in_doubt(store: Store, began: int) -> None:
    old, new, now = (
        finished(store, "a", began - 100),
        finished(store, "b", began - 10),
        finished(store, "c", began + 5),
    )
    newest = finished(store, "d", began - 1)
    assert [item.id for item in boot.doubtful(store)] == [newest, new, old]  # no mark: the last hour
    boot.note(store, (began - 50) * 1_000_000_000)
    assert [item.id for item in boot.doubtful(store)] == [newest, new]
    os.unlink(f"{store.layers_dir}/{new}.tar-split.gz")
    assert [item.id for item in boot.doubtful(store)] == [new, newest]
    boot.note(store, began * 1_000_000_000)
    assert boot.doubtful(store) == [] and now in store.layers()


def test_an_image_that_is_added_flushes_all(store: Store, began: int) -> None:
    archive.import_stream(store, io.BytesIO(layer("a")).read)
    assert boot.mark(store) == (b"", 0)  # nobody has looked at what was before this boot
    boot.note(store, 5)
    archive.import_stream(store, io.BytesIO(layer("b")).read)
    known, when = boot.mark(store)
    assert known == boot.boot_id() and when > began * 1_000_000_000
    Path(f"{store.graphroot}/pypod/synced").write_text("another-boot 7\n")
    archive.import_stream(store, io.BytesIO(layer("c")).read)
    assert boot.mark(store) == (b"another-boot", 7)


def record(kind: int, user: bytes, when: int) -> bytes:
    return struct.pack("<h2xi32s4s32s256shhiii16s20x", kind, 0, b"~", b"~~", user, b"", 0, 0, 0, when, 0, b"")


@pytest.mark.parametrize(
    ("records", "well"),
    [
        ([], False),
        ([(2, b"reboot", 100), (1, b"shutdown", 900), (2, b"reboot", 1000)], True),
        ([(2, b"reboot", 100), (1, b"shutdown", 900), (2, b"reboot", 1000), (7, b"me", 1010)], True),
        ([(1, b"shutdown", 90), (2, b"reboot", 100), (7, b"me", 500), (2, b"reboot", 1000)], False),
        ([(1, b"shutdown", 90), (2, b"reboot", 100), (7, b"me", 500)], False),
    ],
)
def test_what_wtmp_says_of_the_last_end(tmp_path: Path, records: list[tuple[int, bytes, int]], well: bool) -> None:
    path = tmp_path / "wtmp"
    path.write_bytes(b"".join(record(*item) for item in records))
    assert len(record(2, b"", 0)) == 384
    assert boot.ended_well(1000, str(path)) is well
    assert not boot.ended_well(1000, str(tmp_path / "none"))
