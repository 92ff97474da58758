"""Staging areas in ``overlay/tempdirs``: a directory ``temp-dir-X`` that lives as long as its ``lock-X`` is locked.

Any tool that gets such a lock may delete the pair, so what a killed process leaves is rubbish that anybody can tell
from work in progress. It must be inside the driver's directory: podman bind-mounts that on itself, and a rename
from a sibling directory fails with EXDEV.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import StorageError, reason
from storage.locks import RecordLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

NOTE = "layers"
MOMENT = 5  # ms of work: small layers are gone when the command ends


class Staging:
    """One staging directory, ``path``; a context manager that removes it with all that is left in it.

    With ``later`` what takes longer than a moment is removed in the background, by a process that holds the lock: for
    what the user has asked to be removed, and not for what a failure has left.
    """

    def __init__(self, home: str, area: str = "tempdirs", *, later: bool = False) -> None:
        self.later = later
        self.parent = f"{home}/{area}"
        name = os.urandom(6).hex()
        self.path = f"{self.parent}/temp-dir-{name}"
        self.lock = RecordLock(f"{self.parent}/lock-{name}")
        self._count = 0
        self._others: dict[str, Staging] = {}

    def __enter__(self) -> Staging:
        try:
            tries = 0
            while True:
                try:
                    self.lock.acquire()
                except StorageError:
                    # The last one to leave may have removed the parent between our making it and our using it.
                    tries += 1
                    if tries > 50:
                        raise
                    continue
                # Somebody may have taken our fresh lock file for a stale one and removed it.
                try:
                    if os.stat(self.lock.path).st_ino == os.fstat(self.lock.fd).st_ino:
                        os.mkdir(self.path, 0o700)
                        return self
                except FileNotFoundError:
                    pass
                self.lock.release()
        except OSError as error:
            self.lock.release()
            raise StorageError(f"cannot make a staging area in {self.parent}: {reason(error)}") from None
        except BaseException as error:
            # A signal: nobody will leave what has not been entered.
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def beside(self, home: str) -> Staging:
        """This area, or one for what lies in another driver directory (the imagestore's), which lives as long.

        Raises StorageError.
        """
        if self.parent == f"{home}/tempdirs":
            return self
        if home not in self._others:
            self._others[home] = Staging(home).__enter__()
        return self._others[home]

    def new(self) -> str:
        """A path in the area that does not exist yet."""
        self._count += 1
        return f"{self.path}/{self._count}"

    def note(self, layers: Sequence[str]) -> None:
        """Write down the layers that are without an image until this area is left: ``clean`` hands them on if it
        never is.

        Raises StorageError.
        """
        try:
            files.replace(f"{self.path}/{NOTE}", "\n".join(layers).encode())
        except OSError as error:
            raise StorageError(f"cannot write in {self.parent}: {reason(error)}") from None

    def take(self, path: str) -> bool:
        """Move a directory in here, to be removed later. False if it does not exist."""
        try:
            os.rename(path, self.new())
        except FileNotFoundError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for other in self._others.values():
            other.__exit__(kind, value, trace)
        try:
            if not self._emptied():
                return
            os.unlink(self.lock.path)
        except OSError:
            pass  # it stays as an unlocked pair, which the next clean-up takes
        finally:
            self.lock.release()
        try:
            os.rmdir(self.parent)  # podman 4 stumbles over it when it repairs links
        except OSError:
            pass

    def _emptied(self) -> bool:
        """Remove the directory. False if the background does, with the lock file after it. Raises OSError."""
        try:
            os.rmdir(self.path)
            return True
        except FileNotFoundError:
            return True
        except OSError:
            pass
        from storage import trees

        if self.later and not trees.remove(self.path, budget=MOMENT):
            names = [path.rpartition("/")[2] for path in (self.path, self.lock.path)]
            if trees.remove_later(self.parent, names[0], names[1], self.lock.fd):
                return False
        trees.remove(self.path)
        return True


def clean(home: str, area: str = "tempdirs", orphans: Callable[[list[str]], None] | None = None) -> int:
    """Remove the staging areas of processes that are gone; how many.

    ``orphans`` is called with the layers that such a process has noted (``Staging.note``). Raises what it raises.
    """
    parent = f"{home}/{area}"
    try:
        names = os.listdir(parent)
    except OSError:
        return 0
    from storage import trees

    count = 0
    for name in names:
        if name.startswith("temp-dir-"):
            _clean_unlocked(parent, name)
            continue
        if not name.startswith("lock-"):
            continue
        lock = RecordLock(f"{parent}/{name}")
        if not lock.acquire(blocking=False):
            continue
        try:
            if orphans is not None:
                layers = _noted(f"{parent}/temp-dir-{name[5:]}/{NOTE}")
                if layers:
                    orphans(layers)
            trees.remove(f"{parent}/temp-dir-{name[5:]}")
            os.unlink(lock.path)
            count += 1
        except OSError:
            pass
        finally:
            lock.release()
    try:
        os.rmdir(parent)
    except OSError:
        pass
    return count


def _clean_unlocked(parent: str, name: str) -> None:
    """Remove a directory whose lock file is gone: that is made before it and removed after it."""
    from storage import trees

    try:
        if os.path.isdir(f"{parent}/{name}") and not os.path.lexists(f"{parent}/lock-{name[9:]}"):
            trees.remove(f"{parent}/{name}")
    except OSError:
        pass


def _noted(path: str) -> list[str]:
    try:
        return [id for id in files.read(path, 1 << 20).decode("ascii", "replace").split("\n") if id]
    except OSError:
        return []
