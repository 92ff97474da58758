"""The body of a blob, which goes on where a cut connection stopped."""

from __future__ import annotations

import re
import threading

from pypod.errors import ConnectionCut, RegistryError
from pypod.registry import answers, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.registry.http import Reply
    from pypod.registry.session import Session

PROGRESS = 4096  # bytes: a try that brought less counts as one without progress
_SKIP = 1 << 18
_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\Z")
_ONCE_MORE = frozenset((400, 401, 403, 404, 410))  # of a redirect's target: its signature may have run out


class Body:
    """Bytes of a blob in order. Not for two readers at once; ``close`` may come from any thread.

    ``path`` is where the registry has it, ``urls`` where else it may be; ``ended`` is called once no more is to be
    read.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        what: str,
        *,
        scope: Sequence[str],
        urls: Sequence[str],
        offset: int,
        size: int,
        ended: Callable[[Body], None],
    ) -> None:
        if offset < 0 or 0 <= size < offset:
            raise RegistryError(f"{what}: byte {offset} is not in it")
        self._session = session
        self._path = path
        self._what = what
        self._scope = scope
        self._urls = [url for url in urls if url.startswith(("https://", "http://"))]
        self._position = offset
        self._since = offset  # where the last try began
        self._size = size
        self._done = offset == size
        self._ended = ended
        self._stop = threading.Event()
        self._tries = session.tries(self._stop)
        self._reading = threading.Lock()
        self._reply: Reply | None = None
        self._socket: Any = None

    def read(self, count: int) -> bytes:
        """At most ``count`` bytes, b"" at the end.

        Raises ConnectionCut when the connection broke too often without 4 KiB in between, RegistryError when the
        blob is longer or shorter than its descriptor says, NotThere, Unauthorized.
        """
        with self._reading:
            try:
                return self._read(count)
            except BaseException:
                self._drop()
                self._ended(self)
                raise

    def close(self) -> None:
        """Drop the connection; a reader in another thread ends with ConnectionCut."""
        self._stop.set()
        wire.shutdown(self._socket)
        if self._reading.acquire(blocking=False):  # else the reader does it
            try:
                self._drop()
            finally:
                self._reading.release()
        self._ended(self)

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, count: int) -> bytes:
        while not self._done:
            if self._stop.is_set():
                raise ConnectionCut(f"{self._what}: stopped")
            try:
                reply = self._reply or self._open()
                if reply is None:
                    break
                data = reply.read(min(count, self._size - self._position) if self._size >= 0 else count)
                if not data:
                    self._at_end(reply)
            except RegistryError as error:
                self._drop()
                if self._stop.is_set():
                    raise ConnectionCut(f"{self._what}: stopped") from None
                if not error.message.startswith(self._what):
                    error.message = f"{self._what}: {error.message}"
                    error.args = (error.message,)
                self._tries.again(error)
                continue
            self._position += len(data)
            if self._position - self._since >= PROGRESS:
                self._tries.progress()
            if self._position == self._size:
                self._check_end(reply)
            if data:
                return data
        self._socket = self._reply = None
        self._ended(self)
        return b""

    def _open(self) -> Reply | None:
        """The reply, with what comes before our position read away; None if there is nothing more."""
        self._since = self._position
        self._reply = reply = self._fetch()
        start = 0
        if reply.status == 206:
            start = self._range_start(reply)
        elif reply.status == 416:
            found = _RANGE.match(reply.headers.get("Content-Range", "").strip())
            if self._size < 0 and found is not None and found[3] == str(self._position):
                self._done = True
                reply.discard()
                return None
            raise RegistryError(f"{self._what}: the registry has nothing from byte {self._position} on")
        elif reply.status != 200:
            error = self._session.failure(reply, self._what)
            if reply.status in _ONCE_MORE and not self._session.is_own(reply.url):
                raise ConnectionCut(error.message)
            raise error
        answers.plain(reply, self._what)
        left = self._size - start
        # A range may be answered in parts (RFC 9110, 15.3.7), the whole may not.
        if self._size >= 0 and (reply.length > left or 0 <= reply.length < left and reply.status != 206):
            raise RegistryError(f"{self._what}: it has {start + reply.length} bytes, not {self._size}")
        left = self._position - start
        while left:
            data = reply.read(min(left, _SKIP))
            if not data:
                raise RegistryError(f"{self._what}: it ends before byte {self._position}")
            left -= len(data)
        return reply

    def _fetch(self) -> Reply:
        headers = {"Range": f"bytes={self._position}-"} if self._position else {}
        while self._urls:
            try:
                reply = self._ask(self._urls[0], headers, anonymous=True)
                if reply.status in (200, 206):
                    return reply
                reply.close()
            except RegistryError:
                pass
            del self._urls[0]
        return self._ask(self._path, headers, anonymous=False)

    def _ask(self, url: str, headers: dict[str, str], *, anonymous: bool) -> Reply:
        return self._session.exchange(
            "GET", url, self._what, scope=self._scope, headers=headers, anonymous=anonymous, watch=self._watch
        )

    def _watch(self, socket: Any) -> None:
        self._socket = socket
        if self._stop.is_set():
            wire.shutdown(socket)

    def _range_start(self, reply: Reply) -> int:
        text = reply.headers.get("Content-Range", "")
        found = _RANGE.match(text.strip())
        total_fits = found is not None and (found[3] in ("*", str(self._size)) or self._size < 0)
        if found is None or found[1] != str(self._position) or not total_fits:
            raise RegistryError(
                f"{self._what}: the registry sends another range: {answers.shown(text, 60) or 'none'}"
            )
        return self._position

    def _at_end(self, reply: Reply) -> None:
        """The body has ended by itself, before the size that is known."""
        if self._size < 0:
            self._done = True
        elif reply.framed and reply.status != 206:
            raise RegistryError(f"{self._what}: it has {self._position} bytes, not {self._size}")
        else:
            raise ConnectionCut(f"{self._what}: it ended after {self._position} of {self._size} bytes")

    def _check_end(self, reply: Reply) -> None:
        """All that the descriptor promises has come: there must be no more."""
        if reply.length < 0:  # else it has been checked, and read to its end
            try:
                more = reply.read(1)
            except ConnectionCut:
                more = b""
            if more:
                raise RegistryError(f"{self._what}: it is longer than {self._size} bytes")
        self._done = True

    def _drop(self) -> None:
        reply, self._reply, self._socket = self._reply, None, None
        if reply is not None:
            reply.close()
