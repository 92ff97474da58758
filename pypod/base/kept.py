"""Many small JSON documents read as one: a copy of them all in one file, for lists of hundreds.

It is a cache and never a second truth. Of each document it says which file it was copied from (inode number, time of
the last change, size), and it is believed only while that file is there; a document that was changed by whomever is
read again. So it may be old, lost or another version's at any moment, and who writes documents need not know of it.
One stat(2) for each document takes a tenth of the time of reading and parsing it.

The documents of one kind are much alike: ``like`` is one of them, and of the others there is only what is different.
"""

from __future__ import annotations

import os
import time

from pypod.base import fastjson, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VERSION = 1
_WORTH = 25  # documents that were not known: so many are worth writing down
# A file that was changed so shortly before it was looked at may be followed by another with the same number, size and
# time: file systems take the time from a clock that ticks every few milliseconds.
_RACY = 100_000_000  # ns


class Kept:
    """The documents kept in ``path``. ``of`` says which collection they are: others' may have been kept there.

    Opening it never fails, and neither does writing it: without it everything takes longer, that is all.
    """

    def __init__(self, path: str, of: str) -> None:
        self.path = path
        self.of = of
        self.like: dict[str, Any] = {}
        self._known: dict[str, list[Any]] = {}  # by key: inode number, ctime (ns), size, differences, keys it lacks
        self._used: dict[str, list[Any]] = {}
        self._read: dict[str, tuple[list[int], dict[str, Any]]] = {}  # since it was opened: stamps and documents
        self._now = time.time_ns()
        try:
            found = fastjson.loads(files.read_own(path))
            if found["version"] == _VERSION and found["of"] == of and isinstance(found["like"], dict):
                documents = found["documents"]
                if all(len(entry) == 5 for entry in documents.values()):
                    self.like, self._known = found["like"], documents
        except (OSError, fastjson.BadJson, KeyError, TypeError, AttributeError):
            pass

    def read(self, key: str, path: str) -> tuple[bool, Any]:
        """The document in ``path``, which is called ``key`` here: True and what in it is different from ``like``, or
        False and all of it.

        Raises OSError, BadJson.
        """
        found = os.stat(path)
        entry = self._known.get(key)
        if (
            entry is not None
            and entry[1] == found.st_ctime_ns
            and entry[0] == found.st_ino
            and entry[2] == found.st_size
        ):
            self._used[key] = entry
            if not entry[4]:
                return True, entry[3]
            return False, {**{name: item for name, item in self.like.items() if name not in entry[4]}, **entry[3]}
        document = files.read_json(path)
        if isinstance(document, dict) and self._now - found.st_ctime_ns > _RACY:
            self._read[key] = [found.st_ino, found.st_ctime_ns, found.st_size], document
        return False, document

    def distrust(self) -> None:
        """Believe nothing of what was kept: ``like`` turned out to be no such document."""
        self.like, self._known = {}, {}

    def keep(self) -> None:
        """Write down what has been read, if that was much; what was not asked for is forgotten."""
        if len(self._read) < max(_WORTH, len(self._used) // 8):
            return
        like = self.like or next(iter(self._read.values()))[1]
        documents = self._used
        for key, (stamp, document) in self._read.items():
            changes = {name: item for name, item in document.items() if name not in like or like[name] != item}
            documents[key] = [*stamp, changes, [name for name in like if name not in document]]
        value = {"version": _VERSION, "of": self.of, "like": like, "documents": documents}
        directory, name = os.path.split(self.path)
        try:
            files.make_directory(directory)
            for other in os.listdir(directory):
                # Of who was killed at this. A living one loses what it writes; it is only a copy.
                if other.startswith(f".tmp-{name}"):
                    os.unlink(f"{directory}/{other}")
            files.replace_json(self.path, value)
        except OSError:
            pass
