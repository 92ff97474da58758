"""Layers on their way from a registry, each in a place of its own that the next try finds.

While it is fetched a blob's layer is in ``overlay/tempdirs``, under a lock with the blob's digest in its name, as all
that is being made (``trash``). What is worth to be kept of a try that was cut off is moved to ``overlay/staging``,
where containers/storage has partial pulls; podman 5 may take away what lies there, podman 4 does with each command.
Below ``dir`` there is a numbered directory for each try, and ``state.json``, which says what the newest is worth: a
whole layer, or one that was cut off.

What was unpacked is all that is kept; no blob is ever on disk. The content before the cut is rebuilt from the files
by tar-split, as for an export, and goes through a new unpacker; only the place in the blob and the state of its
digest are remembered. Nothing of it has been flushed, so nothing of it outlives a reboot.
"""

from __future__ import annotations

import os
import time

from pypod.base import fastjson, files
from pypod.errors import StorageError, reason
from storage import checkpoints, flow, inflate, tarsplit, trees
from storage.locks import RecordLock
from storage.staged import Staged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from storage.checkpoints import Checkpoint

LEAST = 1 << 20  # bytes of a blob that are worth to be kept
AGE = 86_400  # seconds for which they are
_PREFIX = "pypod-"
_MOST = 64 << 20  # bytes of a state: a layer of millions of directories that it does not list


def _boot() -> str:
    return files.read("/proc/sys/kernel/random/boot_id").decode().strip()


class Place:
    """Where the layer of one blob comes to be. ``acquire`` it first, ``release`` it at any rate.

    ``how`` says how layers are unpacked now: what was kept by other rules is not taken.
    """

    def __init__(self, home: str, digest: str, how: str = "") -> None:
        self._how = how
        name = f"{_PREFIX}{digest.partition(':')[2]}"
        self.parent = f"{home}/tempdirs"
        self.path = f"{self.parent}/temp-dir-{name}"
        self.lock = RecordLock(f"{self.parent}/lock-{name}")
        self.kept = f"{home}/staging/{name}"
        self._number = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        """False if ``blocking`` is off and somebody else has it. Raises StorageError."""
        tries = 0
        while True:
            try:
                if not self.lock.acquire(blocking=blocking):
                    return False
                # The holder before us may have removed the file.
                if os.stat(self.lock.path).st_ino == os.fstat(self.lock.fd).st_ino:
                    self._take()
                    files.make_directory(f"{self.path}/dir")
                    return True
                self.lock.release()
            except (OSError, StorageError) as error:
                self.lock.release()
                tries += 1
                if tries > 50:
                    cause = reason(error) if isinstance(error, OSError) else error.message
                    raise StorageError(f"cannot make a staging area in {self.parent}: {cause}") from None

    def _take(self) -> None:
        """Go on with what was kept, unless a killed process has left newer things."""
        if os.path.exists(self.path):
            _remove(self.kept)
            return
        try:
            os.rename(self.kept, self.path)
            os.rmdir(os.path.dirname(self.kept))
        except OSError:
            pass  # there is none, or there are more

    def release(self, *, keep: bool = False) -> None:
        """Give it back; with ``keep`` what is worth it stays."""
        if self.lock.fd < 0:
            return
        try:
            if keep and os.path.exists(self._state):
                self._keep()
            _remove(self.path)
            os.unlink(self.lock.path)
        except OSError:
            pass  # what stays is what a killed process leaves
        finally:
            self.lock.release()
        try:
            os.rmdir(self.parent)
        except OSError:
            pass

    def _keep(self) -> None:
        files.make_directory(os.path.dirname(self.kept))
        files.replace(f"{self.path}/staging.lock", b"")  # podman 5 looks for it
        _remove(self.kept, parent=False)
        os.rename(self.path, self.kept)

    def new(self) -> str:
        """A new directory for a try. Raises StorageError."""
        try:
            names = os.listdir(f"{self.path}/dir")
            self._number = max([int(name) for name in names if name.isdigit()], default=0) + 1
            path = f"{self.path}/dir/{self._number}"
            os.mkdir(path, 0o700)
        except OSError as error:
            raise StorageError(f"cannot make a staging area in {self.parent}: {reason(error)}") from None
        return path

    def forget(self) -> None:
        """What has been kept is worth nothing."""
        files.remove_tree(self._state)
        self._drop_others(0)

    def keep_whole(self, staged: Staged) -> None:
        """The newest try has become a layer. Raises StorageError."""
        self._write(
            whole={
                "kind": staged.kind,
                "blob": staged.passed.blob,
                "content": staged.passed.content,
                "content_size": staged.passed.size,
                "size": staged.size,
                "uids": sorted(staged.uids),
                "gids": sorted(staged.gids),
                "implied": [path.hex() for path in staged.implied],
            }
        )

    def keep_cut(self, place: Checkpoint) -> None:
        """The newest try has been cut off behind ``place``. Raises StorageError."""
        between = place.between
        self._write(
            cut={
                "kind": place.kind,
                "offset": place.offset,
                "sum": place.sum.hex(),
                "taken": between.taken,
                "given": between.given,
                "bits": between.bits,
                "last": between.last,
            }
        )

    def whole(self) -> Staged | None:
        """The layer that an earlier pull has finished."""
        state = self._mine()
        try:
            kept = state["whole"]
            passed = flow.Passed(blob=kept["blob"], content=kept["content"], size=int(kept["content_size"]))
            path = f"{self.path}/dir/{int(state['number'])}"
            staged = Staged(f"{path}/layer", f"{path}/split", int(kept["kind"]), passed)
            staged.size = int(kept["size"])
            staged.uids = {int(uid) for uid in kept["uids"]}
            staged.gids = {int(gid) for gid in kept["gids"]}
            staged.implied = [bytes.fromhex(item) for item in kept["implied"]]
        except (KeyError, TypeError, ValueError):
            return None
        return staged if os.path.isdir(f"{staged.directory}/diff") and os.path.exists(staged.split) else None

    def cut(self) -> tuple[Checkpoint, str] | None:
        """Where an earlier pull was cut off, and the directory of its try."""
        state = self._mine()
        try:
            kept = state["cut"]
            between = inflate.Between(
                taken=int(kept["taken"]), given=int(kept["given"]), bits=int(kept["bits"]), last=int(kept["last"])
            )
            place = checkpoints.Checkpoint(
                kind=int(kept["kind"]), offset=int(kept["offset"]), sum=bytes.fromhex(kept["sum"]), between=between
            )
            path = f"{self.path}/dir/{int(state['number'])}"
        except (KeyError, TypeError, ValueError):
            return None
        if (
            not 0 <= place.offset <= between.taken
            or not 0 <= between.bits < 8
            or not checkpoints.supported(place.kind)
        ):
            return None
        return place, path

    @property
    def _state(self) -> str:
        return f"{self.path}/dir/state.json"

    def _write(self, **what: Any) -> None:
        try:
            files.replace_json(self._state, {"boot": _boot(), "how": self._how, "number": self._number, **what})
        except OSError as error:
            raise StorageError(f"cannot write in {self.parent}: {reason(error)}") from None
        self._drop_others(self._number)

    def _drop_others(self, number: int) -> None:
        for name in os.listdir(f"{self.path}/dir"):
            if name.isdigit() and name != str(number):
                trees.remove(f"{self.path}/dir/{name}")

    def _mine(self) -> dict[str, Any]:
        state = self.state()
        return state if state.get("how") == self._how else {}

    def state(self) -> dict[str, Any]:
        """What is kept, {} for nothing that is worth anything."""
        try:
            state = fastjson.loads(files.read(self._state, _MOST))
            return state if isinstance(state, dict) and state["boot"] == _boot() else {}
        except (OSError, fastjson.BadJson, KeyError):
            return {}


def content(place: Checkpoint, path: str) -> Iterator[bytes]:
    """The content of a layer before ``place``, from the directory of the try that was cut off.

    Raises StorageError if it is not there any more.
    """
    left = place.between.given
    for piece in tarsplit.rebuild(f"{path}/split", [f"{path}/layer/diff"]):
        if len(piece) >= left:
            yield piece[:left]
            return
        left -= len(piece)
        yield piece
    if left:
        raise StorageError(f"cannot go on with a layer: {left} bytes of what was there are missing")


def sweep(home: str, *, age: float = AGE) -> list[str]:
    """Remove what is kept and nobody will go on with: of before the last boot, or older than ``age`` seconds; the
    paths of what was removed.
    """
    removed = []
    try:
        names = os.listdir(f"{home}/staging")
    except OSError:
        return []
    for name in names:
        if not name.startswith(_PREFIX):
            continue
        place = Place(home, f":{name.removeprefix(_PREFIX)}")
        try:
            if not place.acquire(blocking=False):
                continue
        except StorageError:
            continue
        keep = False
        try:
            written = os.stat(place._state).st_mtime if place.state() else 0.0
            keep = 0 <= time.time() - written < age
        except OSError:
            pass
        finally:
            place.release(keep=keep)
        if not keep:
            removed.append(place.kept)
    return removed


def _remove(path: str, *, parent: bool = True) -> None:
    """Remove a place whose lock is held, and the directory that it was in if that is empty now."""
    try:
        if os.path.exists(path):
            trees.remove(path)
        if parent:
            os.rmdir(os.path.dirname(path))
    except OSError:
        pass
