"""``import`` and ``load``: images out of archives."""

from __future__ import annotations

import os

from pypod.engine import events, image_names, journal, rootless, trust
from pypod.errors import BadArchive, PypodError, UsageError
from storage import space
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store


def import_archive(
    context: Context,
    store: Store,
    source: str,
    name: str = "",
    *,
    changes: Sequence[str] = (),
    message: str = "",
    os_name: str = "",
    arch: str = "",
    variant: str = "",
    signature_policy: str = "",
    progress: Progress = SILENT,
) -> Image:
    """Make an image of a root file system's archive: a path, an http(s) URL or "-" for stdin.

    ``signature_policy`` is the policy.json to use. Enters the user namespace. Raises PypodError of many kinds, before
    anything is written if the name or a change is wrong.
    """
    from pypod.oci import image_config
    from storage import archive

    if "@" in name or name.startswith("sha256:"):
        raise PypodError(f"{name}: tag by digest not supported")
    names = [image_names.new_name(name)] if name else []
    check_changes(changes)
    config = image_config.apply({}, changes)
    trust.Trust(context, signature_policy).tarball(source)
    if _is_url(source):
        _downloading(source, progress)
    read, fd = archive.open_source(source)
    try:
        size = os.fstat(0 if source == "-" else fd).st_size if fd >= 0 or source == "-" else 0
        # Of a pipe nobody knows the size; compressed data need more room than this.
        space.require(store.imagestore or store.graphroot, size, f"import {source}")
        rootless.enter_user(context)
        journal.after_boot(store)
        image = archive.import_stream(
            store,
            read,
            names=names,
            config=config,
            message=message,
            os_name=os_name or "linux",
            arch=arch,
            variant=variant,
            progress=progress,
            size=size or -1,
        )
    except BadArchive as error:
        raise _named(error, source) from None
    finally:
        if fd >= 0:
            os.close(fd)
    events.image(context, "import", image.id, names[0] if names else "")
    return image


def check_changes(changes: Sequence[str]) -> None:
    """The instructions of --change, before anything is done. Raises UsageError in podman's words."""
    from pypod.engine import signals
    from pypod.oci import image_config

    image_config.apply({}, changes)
    for change in changes:
        stop = image_config.apply({}, [change]).get("StopSignal")
        if stop is not None:
            try:
                signals.number(stop)
            except UsageError as error:
                raise UsageError(f'invalid change "{change}" - {error.message}') from None


def load(
    context: Context, store: Store, source: str, *, signature_policy: str = "", progress: Progress = SILENT
) -> list[tuple[Image, list[str]]]:
    """Every image of an archive or directory (a path, an http(s) URL, "-" for stdin), with its names.

    ``signature_policy`` is the policy.json to use. Enters the user namespace. Raises BadArchive, StorageError,
    PolicyError, PypodError.
    """
    from storage import load as loading

    accept = trust.Trust(context, signature_policy).accepts(source)

    if _is_url(source):
        _downloading(source, progress)
    elif source != "-":
        try:
            os.stat(source)
        except OSError as error:
            raise PypodError(f"cannot read {source}: {error.strerror}") from None
        source = os.path.abspath(source)
    rootless.enter_user(context)
    journal.after_boot(store)
    try:
        loaded = loading.load(
            store,
            source,
            normalise=image_names.new_name,
            default_name=default_name(source),
            accept=accept,
            progress=progress,
        )
    except BadArchive as error:
        raise _named(error, source) from None
    for image, _ in loaded:
        events.image(context, "loadfromarchive", image.id, source)
    return loaded


def _named(error: BadArchive, source: str) -> BadArchive:
    """The error with the name of the archive, which its reader does not know."""
    shown = "on stdin" if source == "-" else source
    if shown not in error.message:
        for start in ("broken archive:", "cannot decompress the archive:", "cannot unpack the archive:"):
            if error.message.startswith(start):
                error.message = f"{start[:-1]} {shown}{error.message[len(start) - 1 :]}"
    return error


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _downloading(source: str, progress: Progress) -> None:
    progress.begin("download", f'Downloading from "{source}"')
    progress.end("download")


def default_name(source: str) -> str:
    """An image without a name in an OCI layout directory is called as the directory (podman)."""
    name = os.path.basename(source) if os.path.isdir(source) else ""
    try:
        image_names.new_name(name)
    except PypodError:
        return ""
    return name
