"""``save``: images into an archive or a directory."""

from __future__ import annotations

from pypod.cli import progress, targets
from pypod.cli.export import check_output
from pypod.engine import events, image_save
from pypod.errors import UsageError
from pypod.oci import manifest_write
from storage import squeeze

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    path = options["output"] or ""
    kind = "docker-archive" if options["format"] is None else options["format"]
    several = options["multi_image_archive"]
    if kind not in image_save.FORMATS:
        raise UsageError(f"format value must be one of {' '.join(image_save.FORMATS)}")
    if options["compress"] and kind != "docker-dir":
        raise UsageError("--compress can only be set when --format is 'docker-dir'")
    if options["uncompressed"] and options["compress"]:
        raise UsageError("--compress and --uncompressed cannot be used together")
    if options["signature_policy"]:
        raise UsageError("--signature-policy is not supported: nothing that is in the store is checked again")
    if not path and kind.endswith("-dir"):
        raise UsageError(f"{kind} is a directory: give its path with --output")
    check_output(path, "save")
    context, store = targets.open_engine(invocation)
    if several is None:
        several = context.engine.get("multi_image_archive") is True and kind == "docker-archive"
    if several and kind != "docker-archive":
        raise UsageError(f'unsupported format "{kind}" for saving multiple images (only docker-archive)')
    if len(invocation.args) > 1 and kind != "docker-archive":
        raise UsageError(f"{kind} has room for one image with one name, not for {len(invocation.args)}")
    items = image_save.items(store, invocation.args, several=several)
    # As podman: what goes to stdout goes without a word.
    with progress.watch(quiet=options["quiet"] or not path, form=options["progress"]) as seen:
        image_save.write(
            context,
            store,
            items,
            path or "-",
            kind,
            packing=squeeze.GZIP if options["compress"] else squeeze.PLAIN if options["uncompressed"] else None,
            kind=manifest_write.DOCKER if kind == "docker-dir" else "",
            progress=seen,
        )
    for image, _ in items:
        events.image(context, "save", image.id, path)
    return 0
