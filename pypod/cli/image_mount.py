"""``image mount`` and ``image unmount``: an image's files for programs of the host, read-only."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.cli.mount import check_format
from pypod.engine import events, mounted
from pypod.errors import PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from storage.records import Image
    from storage.store import Store


def _check(invocation: Invocation) -> None:
    if invocation.options["all"] and invocation.args:
        raise UsageError("when using the --all switch, you may not pass any image names or IDs")


def _chosen(invocation: Invocation, store: Store) -> list[Image]:
    if invocation.options["all"]:
        return [image for image in store.images() if image.layer]
    return [store.find_image(name) for name in invocation.args]


def run(invocation: Invocation) -> int:
    """``image mount``."""
    options = invocation.options
    _check(invocation)
    as_json = check_format(options["format"])
    context, store = targets.open_engine(invocation)
    mounted.check_namespace(context, store, invocation.path)
    if not (invocation.args or options["all"]):
        _show(mounted.listed_images(store, store.images()), as_json=as_json)
        return 0
    chosen = _chosen(invocation, store)
    paths = []
    for image in chosen:
        paths.append(mounted.mount_image(store, image))
        events.image(context, "mount", image.id)
    if len(chosen) == 1 and not as_json and not options["all"]:
        output.line(paths[0])
        return 0
    _show(mounted.listed_images(store, chosen), as_json=as_json)
    return 0


def _show(found: list[mounted.Mounted], *, as_json: bool) -> None:
    if as_json:
        output.json([_json(item) for item in found], 1)
        return
    rows = [[item.names[0] if item.names else item.id, item.path] for item in found]
    output.write(output.columns(rows))


def _json(item: mounted.Mounted) -> dict[str, Any]:
    return {"id": item.id, "Names": [item.digest], "Repositories": item.names or None, "mountpoint": item.path}


def umount(invocation: Invocation) -> int:
    """``image unmount``."""
    options = invocation.options
    _check(invocation)
    if not (invocation.args or options["all"]):
        raise UsageError("image name or ID must be specified")
    context, store = targets.open_engine(invocation)
    mounted.check_namespace(context, store, invocation.path)
    code = 0
    for image in _chosen(invocation, store):
        try:
            was_mounted = mounted.unmount_image(store, image, force=options["force"])
        except PypodError as error:
            targets.complain(error)
            code = code or error.code
            continue
        if was_mounted:
            events.image(context, "unmount", image.id)
        if was_mounted or not options["all"]:
            output.line(image.id)
            output.flush()
    return code
