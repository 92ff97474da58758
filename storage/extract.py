"""Unpack a layer's archive into a directory, and write its tar-split on the way; csrc/unpack.c does the work.

The archive is hostile until shown otherwise: names are resolved by openat2(RESOLVE_IN_ROOT), so neither ``..`` nor
a symbolic link leads out of the directory.
"""

from __future__ import annotations

import errno
import os

from pypod.errors import BadArchive, StorageError, reason
from storage import limits as limiting
from storage import space, tar, tarsplit
from storage._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Extractor:
    """One layer, unpacked into the existing directory ``root``.

    ``shadow`` is a directory for what later entries replace. ``whiteouts``: "convert" to overlayfs's marks, "keep"
    as they are, or "apply", which removes what they name. With ``ignore_owners`` (storage.conf's
    ignore_chown_errors) files whose owner has no id here stay with who unpacks them. ``mask`` is storage.conf's
    force_mask, -1 for none. With ``unknown_lowers`` what
    the archive implies is to be asked for with ``implied``, and given to another's ``inherit`` when the lower layers
    are known.
    Raises BadArchive, StorageError; ``close`` it at any rate.
    """

    def __init__(
        self,
        root: str,
        *,
        lowers: Sequence[str] = (),
        tar_split: str = "",
        shadow: str = "",
        in_user_namespace: bool,
        whiteouts: str = "convert",
        unknown_lowers: bool = False,
        ignore_owners: bool = False,
        mask: int = -1,
        limits: limiting.Limits = limiting.DEFAULT,
    ) -> None:
        self._limits = limits
        self._shadow = shadow
        self._context = ffi.NULL
        self._used = ffi.new("size_t *")
        self._fds: list[int] = []
        self._split: tarsplit.Writer | None = None
        try:
            self._fds = [os.open(root, _DIRECTORY)]
            for path in lowers:
                self._fds.append(os.open(path, _DIRECTORY))
            free = space.free(root)
            self._split = tarsplit.Writer(tar_split) if tar_split else None
        except OSError as error:
            self.close()
            raise StorageError(f"cannot unpack the image: {reason(error)}") from None
        if self._split is not None:
            self.write: Callable[[bytes], object] = self._split.text  # where tar-split's records go
        below = ffi.new("int[]", self._fds[1:])
        place = ffi.new("char[]", os.fsencode(shadow))
        options = ffi.new("st_unpack_options *")
        options.root = self._fds[0]
        options.lowers = below
        options.lower_count = len(self._fds) - 1
        options.shadow = place
        options.in_user_namespace = in_user_namespace
        options.whiteouts = {"convert": lib.ST_CONVERT, "keep": lib.ST_KEEP, "apply": lib.ST_APPLY}[whiteouts]
        options.unknown_lowers = unknown_lowers
        options.masked, options.mask = mask >= 0, max(mask, 0)
        options.ignore_owners = ignore_owners
        options.limits = tar.limits_for(limits, "max_layer_entries")[0]
        options.free = free if free >= 0 else (1 << 64) - 1
        self._context = lib.st_unpack_new(options)
        if not self._context:
            self.close()
            raise MemoryError

    def close(self) -> None:
        """Give back what is open; harmless if done before."""
        lib.st_unpack_free(self._context)
        self._context = ffi.NULL
        if self._split is not None:
            self._split.abandon()
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def run(self, pieces: Iterable[bytes]) -> None:
        """Unpack all, and close."""
        try:
            for piece in pieces:
                self.feed(piece)
            self.finish()
            self.seal()
        finally:
            self.close()

    def feed(self, data: bytes) -> None:
        """The archive's next bytes."""
        place = 0
        whole = ffi.from_buffer(data)
        while place < len(data):
            result = lib.st_unpack_feed(self._context, whole + place, len(data) - place, self._used)
            self._check(result)
            place += self._used[0]
            self._take_text(1 << 16)

    def finish(self) -> None:
        """The archive is at its end."""
        self._check(lib.st_unpack_finish(self._context))
        self._take_text(1)

    def cut(self) -> None:
        """No more bytes come: instead of ``finish``, where what has come is to be rebuilt later. ``seal`` follows."""
        self._check(lib.st_unpack_cut(self._context))
        self._take_text(1)

    def seal(self) -> None:
        """Complete tar-split, when ``write`` has had all of its text."""
        assert self._split is not None
        try:
            self._split.close()
            if lib.st_unpack_shadows(self._context):
                tarsplit.rewrite(self._split.path, self._shadow_of)
        except OSError as error:
            raise StorageError(f"cannot unpack the image: {reason(error)}") from None

    def _shadow_of(self, position: int) -> str | None:
        """Where the file of a record is that a later entry has replaced; None for other records."""
        path = lib.st_unpack_shadow(self._context, position)
        return f"{self._shadow}/{os.fsdecode(ffi.string(path))}" if path else None

    def implied(self) -> list[bytes]:
        """The directories that the archive has not listed."""
        cursor = ffi.new("size_t *")
        found = []
        while path := lib.st_unpack_implied(self._context, cursor):
            found.append(ffi.string(path))
        return found

    def inherit(self, paths: Iterable[bytes]) -> None:
        """Give directories what the lower layers say of them."""
        for path in paths:
            self._check(lib.st_unpack_inherit(self._context, path))
        self._check(lib.st_unpack_finish(self._context))

    @property
    def uids(self) -> set[int]:
        """The owners of all entries."""
        return self._ids(False)

    @property
    def gids(self) -> set[int]:
        return self._ids(True)

    def _ids(self, groups: bool) -> set[int]:
        size = self._used
        slots = lib.st_unpack_ids(self._context, groups, size)
        found = set(ffi.unpack(slots, size[0])) if size[0] else set()
        found.discard(0xFFFFFFFF)
        return found

    def _take_text(self, least: int) -> None:
        text = lib.st_unpack_text(self._context, self._used)
        if self._used[0] < least:
            return
        data = bytes(ffi.buffer(text, self._used[0]))
        lib.st_unpack_clear(self._context)
        try:
            self.write(data)
        except OSError as error:
            raise StorageError(f"cannot unpack the image: {reason(error)}") from None

    def _check(self, result: int) -> None:
        if not result:
            return
        message = tar.explain(lib.st_unpack_error(self._context), lib.st_unpack_current(self._context))
        if result == -errno.EBADMSG:
            raise BadArchive(message)
        if result == -errno.EINVAL:
            raise StorageError(message, hint="give this user more ids in /etc/subuid and /etc/subgid")
        if result == -errno.E2BIG:
            raise tar.exceeded(lib.st_unpack_limit(self._context), message, self._limits, "max_layer_entries")
        raise StorageError(message or f"cannot unpack the image: {os.strerror(-result)}")
