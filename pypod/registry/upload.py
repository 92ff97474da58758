"""Blob uploads (distribution-spec, "Pushing blobs").

A small blob whose digest is known goes in one PUT after the POST; any other is streamed in one PATCH of unknown
length, as docker does; where the registry refuses that or names a chunk length, in chunks with Content-Range. After a
cut the registry is asked how much it has, and where it cannot say, a new upload begins. An upload that fails is
cancelled.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, urlsplit

from pypod.errors import ConnectionCut, RegistryError
from pypod.oci import digest as digests
from pypod.registry import answers
from pypod.registry.http import PIECE
from pypod.registry.redirect import target
from pypod.registry.session import Renewed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pypod.registry.http import Reply
    from pypod.registry.session import Session

SMALL = 1 << 20  # bytes that go in one PUT
CHUNK = 8 << 20  # bytes of a chunk, unless the registry wants more
MOST_CHUNK = 256 << 20
_CANCEL_SILENCE = 5.0
_SILENCE = 600.0  # seconds: behind a registry, the bytes may have to be moved before it answers
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})\Z")
_OCTETS = {"Content-Type": "application/octet-stream"}
# The registry does not take a stream of unknown length.
_NO_STREAMS = frozenset((400, 405, 411, 413, 415, 416, 501))


class Source:
    """What is uploaded, from its beginning: pieces, digest and size of what has passed."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._part = b""
        self._at = 0  # in the part
        self._hash = hashlib.sha256()
        self.size = 0
        self.error: BaseException | None = None

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def take(self, count: int) -> bytes:
        """At most ``count`` bytes, b"" at the end. An error of the source stays in ``error``."""
        if self._at == len(self._part):
            try:
                self._part = next((part for part in self._parts if part), b"")
            except BaseException as error:
                self.error = error
                raise
            self._at = 0
            self._hash.update(self._part)
        data = self._part[self._at : self._at + count]
        self._at += len(data)
        self.size += len(data)
        return data

    def skip(self, count: int) -> None:
        """Pass over what the registry has already."""
        while self.size < count and self.take(min(count - self.size, PIECE)):
            pass

    def chunk(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end."""
        parts, have = [], 0
        while have < size and (data := self.take(size - have)):
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def __iter__(self) -> Iterator[bytes]:
        while data := self.take(PIECE):
            yield data


class Upload:
    """One blob on its way into ``repository``."""

    def __init__(
        self,
        session: Session,
        repository: str,
        open_: Callable[[], Iterator[bytes]],
        *,
        digest: str,
        size: int,
        scope: Sequence[str],
    ) -> None:
        self._session = session
        self._path = f"/v2/{repository}/blobs/uploads/"
        self._open = open_
        self._digest = digest
        self._size = size
        self._scope = scope
        self._what = f"writing blob {digest or 'of a layer'} to {session.name}/{repository}"
        self._location = ""  # of the upload that has begun
        self._offset = 0  # what the registry has of it
        self._chunk = 0  # bytes of a chunk; 0: one stream
        self._renewed = False
        self._resumed = False  # the registry has bytes of an earlier try
        self._may_resume = True

    def run(self) -> tuple[str, int]:
        """Digest and size of what is in the registry then."""
        tries = self._session.tries()
        try:
            while True:
                try:
                    return self._attempt()
                except Renewed:  # nothing of it was taken
                    if self._renewed:
                        raise
                    self._renewed = True
                except ConnectionCut as error:
                    before = self._offset
                    tries.again(error)
                    self._renewed = False
                    self._resume()
                    if self._offset > before:
                        tries.progress()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Tell the registry to forget the upload, if it listens."""
        location, self._location = self._location, ""
        if location:
            try:
                self._ask("DELETE", location, silence=_CANCEL_SILENCE).discard()
            except RegistryError:
                pass

    def _attempt(self) -> tuple[str, int]:
        if not self._location:
            self._begin()
        source = Source(self._open())
        if self._digest and 0 <= self._size <= SMALL and not self._offset and not self._chunk:
            data = source.chunk(SMALL + 1)
            self._check(source)
            self._finish(source.digest, data)
        else:
            if self._chunk:
                self._send_chunks(source)
            elif not self._stream(source):
                self.cancel()
                self._chunk, self._offset = CHUNK, 0
                return self._attempt()
            self._check(source)
            self._finish(source.digest, b"")
        return source.digest, source.size

    def _begin(self) -> None:
        reply = self._ask("POST", self._path, body=b"")
        if reply.status != 202:
            raise self._session.failure(reply, self._what)
        reply.discard()
        self.begun(reply)

    def begun(self, reply: Reply) -> None:
        """The registry has answered a POST with 202: an upload is open."""
        self._offset = 0
        self._location = target(reply, insecure=self._session.insecure)
        least = answers.number(reply.headers.get("OCI-Chunk-Min-Length", ""))
        if least >= 0:
            self._chunk = max(CHUNK, least)
            if self._chunk > MOST_CHUNK:
                raise RegistryError(f"{self._what}: the registry wants chunks of {least} bytes")

    def _stream(self, source: Source) -> bool:
        """Everything in one PATCH; False if the registry wants chunks."""
        source.skip(self._offset)
        try:
            reply = self._ask("PATCH", self._location, _OCTETS, iter(source))
        except RegistryError:
            if source.error is not None:
                raise source.error from None
            raise
        if reply.status in _NO_STREAMS:
            reply.close()
            return False
        self._accepted(reply)
        return True

    def _send_chunks(self, source: Source) -> None:
        source.skip(self._offset)
        while data := source.chunk(self._chunk):
            start = source.size - len(data)
            while data:
                self._offset = start
                last = start + len(data) - 1
                headers = {**_OCTETS, "Content-Range": f"{start}-{last}"}
                reply = self._ask("PATCH", self._location, headers, data)
                if reply.status != 416:
                    self._accepted(reply)
                    break
                reply.discard()
                have = self._status()
                if not start < have <= last + 1:
                    raise ConnectionCut(f"{self._what}: the registry has {have} bytes of {start}")
                data = data[have - start :]
                start = have
            self._offset = source.size

    def _finish(self, digest: str, data: bytes) -> None:
        join = "&" if urlsplit(self._location).query else "?"
        url = f"{self._location}{join}digest={quote(digest)}"
        reply = self._ask("PUT", url, _OCTETS if data else {}, data)
        if reply.status not in (201, 204):
            raise self._refused(reply)
        reply.discard()
        said = reply.headers.get("Docker-Content-Digest", digest)
        if said != digest and digests.valid(said):
            raise RegistryError(f"{self._what}: the registry has stored {said}")
        self._location = ""

    def _refused(self, reply: Reply) -> RegistryError:
        """The error of a PUT. Two runs of the source may differ, as compressors do: then all goes anew, once."""
        error = self._session.failure(reply, self._what)
        if reply.status == 400 and self._resumed and self._may_resume:
            self._may_resume = False
            return ConnectionCut(error.message)
        return error

    def _accepted(self, reply: Reply) -> None:
        if reply.status not in (201, 202, 204):
            raise self._lost(reply)
        reply.discard()
        if reply.headers.get("Location"):
            self._location = target(reply, insecure=self._session.insecure)

    def _lost(self, reply: Reply) -> RegistryError:
        """The error of a PATCH; an upload that the registry does not know any more may begin anew."""
        error = self._session.failure(reply, self._what)
        if reply.status == 404:
            self._location = ""
            return ConnectionCut(error.message)
        return error

    def _resume(self) -> None:
        """Find out where to go on; a new upload begins if the registry does not say."""
        have = 0
        if self._location and self._may_resume:
            try:
                have = self._status()
            except RegistryError:
                pass
        if not have:
            self.cancel()
        self._offset, self._resumed = have, have > 0

    def _status(self) -> int:
        """How many bytes the registry has of this upload."""
        reply = self._ask("GET", self._location)
        if reply.status != 204:
            raise self._session.failure(reply, self._what)
        reply.discard()
        found = _RANGE.match(reply.headers.get("Range", "").strip())
        # "0-0" is what docker's registry says of no byte and of one.
        if found is None or found[1] == "0":
            raise RegistryError(f"{self._what}: the registry does not know how much it has")
        if reply.headers.get("Location"):
            self._location = target(reply, insecure=self._session.insecure)
        return int(found[1]) + 1

    def _check(self, source: Source) -> None:
        if self._size >= 0 and source.size != self._size:
            raise RegistryError(f"{self._what}: it has {source.size} bytes, not {self._size}")
        if self._digest and source.digest != self._digest:
            raise RegistryError(f"{self._what}: its digest is {source.digest}")

    def _ask(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        silence: float = _SILENCE,
    ) -> Reply:
        return self._session.exchange(
            method, url, self._what, scope=self._scope, headers=headers, body=body, silence=silence
        )
