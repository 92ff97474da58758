"""``containers-storage:``: an image in this store, or ``[driver@graphroot+runroot]NAME`` in another
(containers-transports(5)).
"""

from __future__ import annotations

import os

from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.store import Store


def parse(store: Store, text: str) -> tuple[Store, str]:
    """The store that ``text`` (what follows "containers-storage:") means, ``store`` if it says none, and the name.

    Another store is as this one in what is not said. Raises UsageError.
    """
    if not text.startswith("["):
        return store, text
    where, bracket, name = text[1:].partition("]")
    driver, at, places = where.partition("@")
    if not at:
        driver, places = "", where
    places, _, options = places.partition(":")
    graphroot, _, runroot = places.partition("+")
    graphroot, runroot = graphroot or store.graphroot, runroot or store.runroot
    if not bracket or not graphroot.startswith("/") or not runroot.startswith("/"):
        raise UsageError(f'invalid image reference "containers-storage:{text}": the store is [DRIVER@DIR+DIR]')
    if options:
        raise UsageError(
            f'invalid image reference "containers-storage:{text}": options of a driver have no place here'
        )
    same = os.path.realpath(graphroot) == os.path.realpath(store.graphroot)
    if same and driver in ("", store.driver):
        return store, name
    from storage.store import Store as Another

    return (
        Another(
            graphroot,
            runroot,
            driver=driver or store.driver,
            mount_program=store.mount_program,
            mountopt=store.mountopt,
            ignore_chown_errors=store.ignore_chown_errors,
            force_mask=store.force_mask,
            sync=store.sync,
            rootless=store.rootless,
            limits=store.limits,
        ),
        name,
    )
