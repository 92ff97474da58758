"""``rmi``: remove images."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import image_names, rootless
from pypod.engine.image_names import Removed
from pypod.errors import NoSuchImage, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from storage.store import Store


def run(invocation: Invocation) -> int:
    options = invocation.options
    if options["all"] and invocation.args:
        raise UsageError("when using the --all switch, you may not pass any images names or IDs")
    if not options["all"] and not invocation.args:
        raise UsageError("image name or ID must be specified")
    context, store = targets.open_engine(invocation)
    missing = in_use = other = False
    for name in [] if options["all"] else invocation.args:
        try:
            _show(image_names.remove(context, store, name, force=options["force"], prune=not options["no_prune"]))
        except NoSuchImage as error:
            if not options["ignore"] and not options["force"]:
                targets.complain(error)
                missing = True
        except PypodError as error:
            targets.complain(error)
            in_use = in_use or error.code == 2
            other = other or error.code != 2
    if options["all"]:
        in_use, other = _all(context, store, force=options["force"], prune=not options["no_prune"])
    if in_use:
        return 2
    return 125 if other else 1 if missing else 0


def _all(context: Context, store: Store, *, force: bool, prune: bool) -> tuple[bool, bool]:
    """Remove every image; whether one was in use, and whether something else failed."""
    rootless.enter_user(context)
    in_use = other = False
    failed: set[str] = set()
    while True:
        left = [image for image in store.images() if image.id not in failed and not image.read_only]
        if not left:
            return in_use, other
        for image in left:
            try:
                _show(image_names.remove_image(context, store, image, force=force, prune=prune))
            except NoSuchImage:
                pass
            except PypodError as error:
                targets.complain(error)
                in_use = in_use or error.code == 2
                other = other or error.code != 2
                failed.add(image.id)


def _show(removed: Removed) -> None:
    for name in removed.untagged:
        output.line(f"Untagged: {name}")
    for id in removed.deleted:
        output.line(f"Deleted: {id}")
    output.flush()
