"""Archives of images that can be read only once: their layers are unpacked as they come, before anybody knows which
image they belong to.

The index of such an archive may stand anywhere, for docker-archive it comes last. What a layer's tree takes from the
layers below (the owner and mode of directories that it does not list) is given to it when they are known.
"""

from __future__ import annotations

import os
import re

from pypod.base.text import show
from pypod.errors import BadArchive, StorageError, reason
from storage import extract, flow, overlay, stream, tar
from storage import limits as limiting
from storage.parts import Index, clean
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.progress import Progress
    from storage.store import Store

_BLOCK = 512
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Staged:
    """A layer that has been unpacked: its directory, its tar-split file, and what has been learned on the way."""

    def __init__(self, directory: str, split: str, kind: int, passed: flow.Passed) -> None:
        self.directory = directory
        self.split = split
        self.kind = kind
        self.passed = passed
        self.size = 0  # as it came, in bytes
        self.uids: set[int] = set()
        self.gids: set[int] = set()
        self.implied: list[bytes] = []
        self.layer = ""  # the id of the layer that has its tree, "" for none yet


def alone(store: Store, directory: str, split: str, shadow: str) -> extract.Extractor:
    """Unpacks a layer whose parents are not known into ``directory``, which is made; see ``extract`` for the others.

    Raises StorageError.
    """
    try:
        os.mkdir(directory, 0o700)
        os.mkdir(f"{directory}/diff", 0o700)
    except OSError as error:
        raise StorageError(f"cannot unpack the image: {reason(error)}") from None
    return extract.Extractor(
        f"{directory}/diff",
        tar_split=split,
        shadow=shadow,
        in_user_namespace=overlay.in_user_namespace(),
        whiteouts="keep" if store.mount_program else "convert",
        unknown_lowers=True,
        ignore_owners=store.ignore_chown_errors,
        mask=store.force_mask,
        limits=store.limits,
    )


def finished(
    extractor: extract.Extractor, directory: str, split: str, kind: int, passed: flow.Passed, size: int
) -> Staged:
    """What ``alone`` has unpacked; ``size`` bytes have come in."""
    made = Staged(directory, split, kind, passed)
    made.size = size
    made.uids, made.gids = extractor.uids, extractor.gids
    made.implied = extractor.implied()
    return made


class Streamed(Index):
    """A tar stream: layers are in staging areas, the rest is in a nameless file."""

    def __init__(self, store: Store, pieces: Iterator[bytes], progress: Progress) -> None:
        super().__init__(-1, store.limits)
        self._broken: Exception | None = None  # what is wrong with the archive itself
        self._store = store
        self._progress = progress
        self._staged: dict[str, Staged] = {}
        self._bad: dict[str, BadArchive] = {}
        self._known = {digest[7:] for row in store.layers().values() for digest in _digests(row.raw)}
        self._trees = Staging(store.image_home)
        self._splits = Staging(store.layers_dir, "tmp")
        try:
            self._trees.__enter__()
            self._splits.__enter__()
            self._fd = self._nameless()
            buffer = stream.Buffer(self._watched(pieces))
            self._read(tar.Reader(buffer, self.limits, "max_archive_files"))
            while buffer.some(stream.CHUNK):
                pass  # what is compressed must be whole
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._splits.__exit__(None, None, None)
        self._trees.__exit__(None, None, None)

    def _nameless(self) -> int:
        try:
            path = self._trees.new()
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.unlink(path)
        except OSError as error:
            raise StorageError(f"cannot make a temporary file in {self._store.home}: {reason(error)}") from None
        return fd

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except Exception as error:
            self._broken = error
            raise

    def _read(self, reader: tar.Reader) -> None:
        offset = 0
        for entry in reader:
            name = clean(entry.name)
            self._staged.pop(name, None)
            self._bad.pop(name, None)
            size = self.note(entry, offset)
            if not size:
                continue
            payload = reader.payload()
            source = stream.Source(lambda count, payload=payload: bytes(next(payload, b"")))  # type: ignore[misc]
            start = source.peek(_BLOCK)
            named = _DIGEST.search(name)
            if _is_layer(start) and not (named and named[0] in self._known):
                shown = f"sha256:{named[0]}" if named else show(name)
                self._progress.begin(shown, f"Copying blob {shown}", size)
                try:
                    self._staged[name] = self._unpack(source, stream.compression_of(start), shown)
                    self._progress.end(shown)
                    del self._files[name]
                except BadArchive as error:
                    if self._broken is not None:
                        raise self._broken from None
                    self._bad[name] = error  # that counts only if an image has this layer
            else:
                offset += self._keep(source)

    def _keep(self, source: stream.Source) -> int:
        try:
            while data := source.read(stream.CHUNK):
                while data:
                    data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise StorageError(f"cannot keep the archive in {self._store.home}: {reason(error)}") from None
        return source.size

    def _unpack(self, source: stream.Source, kind: int, key: str) -> Staged:
        directory, split = self._trees.new(), self._splits.new()
        extractor = alone(self._store, directory, split, self._trees.new())
        try:
            passed = flow.run(source, kind, extractor, self.limits, lambda count: self._progress.advance(key, count))
            extractor.seal()
            return finished(extractor, directory, split, kind, passed, source.size)
        finally:
            extractor.close()

    def find(self, name: str) -> tuple[stream.Read, int] | None:
        final = self.final(name)
        if final in self._bad:
            raise self._bad[final]
        if final in self._staged:

            def refuse(count: int) -> bytes:
                raise BadArchive(f"broken archive: {show(final)} is a layer")

            return refuse, 0
        return super().find(name)

    def staged(self, name: str) -> Staged | None:
        return self._staged.get(self.final(name))


def _digests(row: dict[str, object]) -> list[str]:
    return [str(row.get(key) or "") for key in ("diff-digest", "compressed-diff-digest")]


def _is_layer(start: bytes) -> bool:
    """Whether a file that begins so is a tar archive or something compressed, and no JSON."""
    return (
        stream.compression_of(start) != stream.PLAIN
        or start[257:262] == b"ustar"
        or (len(start) == _BLOCK and not start.strip(b"\0"))
    )


def opened(store: Store, source: stream.Source, progress: Progress) -> Streamed:
    """The parts of an archive that ``source`` gives once.

    Raises BadArchive, StorageError.
    """
    store.prepare()
    kind = stream.compression_of(source.peek(6))
    pieces = limiting.watched(stream.chunks(source, kind), source, store.limits, "the archive")
    return Streamed(store, pieces, progress)
