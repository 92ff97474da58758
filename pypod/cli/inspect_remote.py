"""``image inspect`` where the name has a transport, or where manifest or config are wanted as they are."""

from __future__ import annotations

from pypod.cli import output, pull, targets
from pypod.engine import remote_image, transports
from pypod.errors import NotFound, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store


class Finder:
    """Looks where the name says; names without a transport, and those of the store, are for ``local``."""

    def __init__(
        self,
        options: Mapping[str, Any],
        local: Callable[[Context, Store, str, str, bool], tuple[str, dict[str, Any]]],
    ) -> None:
        self._request = pull.request(options, policy="always")
        self._local = local

    def __call__(
        self, context: Context, store: Store, word: str, kind: str, size: bool
    ) -> tuple[str, dict[str, Any]]:
        where = transports.parse(word)
        if where.kind in ("", "containers-storage"):
            return self._local(context, store, where.rest, kind, size)
        return kind, remote_image.inspect(remote_image.describe(context, store, where, self._request))


def plain(context: Context, store: Store, options: Mapping[str, Any], words: Sequence[str]) -> int:
    """--raw and --config: the bytes of each, and the exit code."""
    if options["raw"] and options["config"]:
        raise UsageError("--raw and --config cannot be used together")
    if options["format"] is not None:
        raise UsageError("--format cannot be used with --raw or --config")
    request = pull.request(options, policy="always")
    code = 0
    for word in words:
        where = transports.parse(word)
        try:
            if where.kind in ("", "containers-storage"):
                image = store.find_image(where.rest)
                data = store.image_data(image, f"sha256:{image.id}" if options["config"] else "manifest")
            else:
                found = remote_image.describe(context, store, where, request)
                data = found.data if options["config"] else found.raw
            if not data:
                raise NotFound(f"{word}: a docker-archive has no manifests")
            output.data(data)
        except PypodError as error:
            output.flush()
            targets.complain(error)
            code = error.code
    return code
