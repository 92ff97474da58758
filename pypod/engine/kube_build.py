"""``kube play``: images that are built before anything is made, of directories named like them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pypod.engine import build
from pypod.errors import NoSuchImage, PypodError, UsageError

if TYPE_CHECKING:
    from pypod.engine.context import Context
    from pypod.kube.objects import File
    from storage.store import Store


def build_images(
    context: Context, store: Store, file: File, wanted: bool | None, directory: str, *, quiet: bool
) -> None:
    """Build the images of a file that have a directory of their name, with a Containerfile, in ``directory``.

    ``wanted``: also those that are here; None: only those that are not, False: none. Not in the user namespace yet.
    Raises PypodError.
    """
    if wanted is False:
        return
    for name in dict.fromkeys(container.image for pod in file.pods for container in pod.containers):
        place = _place(name, directory, elsewhere=bool(wanted))
        if place and (wanted or not _here(store, name)):
            _build(context, name, place, quiet=quiet)


def _place(name: str, directory: str, *, elsewhere: bool) -> str:
    """The directory that an image is built of; "" if there is none.

    Only by --build (``elsewhere``) does it take the place of an image that a registry has.
    """
    bare = name.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    if slash and head != "localhost" and not elsewhere:
        return ""
    last = last.partition(":")[0]
    path = os.path.join(directory, last)
    return path if last not in ("", ".", "..") and build.has_containerfile(path) else ""


def _here(store: Store, name: str) -> bool:
    try:
        store.find_image(name)
    except (NoSuchImage, UsageError):
        return False
    return True


def _build(context: Context, name: str, place: str, *, quiet: bool) -> None:
    found = build.plan(context, {"tag": [name], "quiet": True if quiet else None}, place)
    build.prepare(context)
    status = build.run(found, stdin=-1, stdout=-1 if quiet else 2)  # stdout is for the pods
    if status:
        raise PypodError(f"cannot build {name} of {place}: buildah exited with status {status}")
