"""``manifest create``, ``add``, ``annotate``, ``remove``, ``inspect``, ``exists``, ``push``, ``rm``."""

from __future__ import annotations

from pypod.base import report
from pypod.cli import output, registry_settings, targets
from pypod.engine import manifest_lists
from pypod.errors import NoSuchImage, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.manifest_lists import Notes

_ARTIFACT = (
    "artifact",
    "artifact_config",
    "artifact_config_type",
    "artifact_exclude_titles",
    "artifact_layer_type",
    "artifact_subject",
    "artifact_type",
)


def _annotations(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f'no value given for annotation "{text}"')
        found[key] = value
    return found


def _notes(options: Mapping[str, Any]) -> Notes:
    return manifest_lists.Notes(
        os=options["os"] or "",
        architecture=options["arch"] or "",
        variant=options["variant"] or "",
        os_version=options["os_version"] or "",
        os_features=tuple(options["os_features"]),
        features=tuple(options["features"]),
        annotations=_annotations(options["annotation"]),
    )


def create(invocation: Invocation) -> int:
    options = invocation.options
    annotations = _annotations(options["annotation"])
    settings = registry_settings.of(options)
    context, store = targets.open_engine(invocation)
    name, *images = invocation.args
    output.line(
        manifest_lists.create(
            context,
            store,
            name,
            images,
            settings,
            everything=options["all"],
            amend=options["amend"],
            annotations=annotations,
        )
    )
    return 0


def add(invocation: Invocation) -> int:
    options = invocation.options
    for key in _ARTIFACT:
        if options[key]:
            raise UsageError(f"--{key.replace('_', '-')} is not supported: artifacts are not made here")
    notes = _notes(options)
    settings = registry_settings.of(options)
    context, store = targets.open_engine(invocation)
    name, *images = invocation.args
    output.line(manifest_lists.add(context, store, name, images, notes, settings, everything=options["all"]))
    return 0


def annotate(invocation: Invocation) -> int:
    options = invocation.options
    if options["subject"]:
        raise UsageError("--subject is not supported: lists here have no subject")
    notes = _notes(options)
    name, which = [*invocation.args, ""][:2]
    if options["index"]:
        if which or notes != manifest_lists.Notes(annotations=notes.annotations):
            raise UsageError("--index goes with the list's name and --annotation alone")
    elif not which:
        raise UsageError("the digest of an image in the list must be given, or --index")
    context, store = targets.open_engine(invocation)
    output.line(manifest_lists.annotate(context, store, name, which, notes))
    return 0


def remove(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    output.line(manifest_lists.remove(context, store, *invocation.args))
    return 0


def exists(invocation: Invocation) -> int:
    _, store = targets.open_engine(invocation)
    return 0 if manifest_lists.exists(store, invocation.args[0]) else 1


def inspect(invocation: Invocation) -> int:
    settings = registry_settings.of(invocation.options)
    context, store = targets.open_engine(invocation)
    text, is_list = manifest_lists.inspect(context, store, invocation.args[0], settings)
    if not is_list:
        name = invocation.args[0]
        report.warning(f"{name} is not a list, but a single image")
    output.line(text)
    return 0


def push(invocation: Invocation) -> int:
    from pypod.cli import progress
    from pypod.cli import push as pushing
    from pypod.engine import image_names, manifest_push
    from pypod.engine import push as engine

    options = invocation.options
    if options["add_compression"]:
        raise UsageError("--add-compression is not supported: an image is pushed in one compression")
    pushing.check(options)
    context, store = targets.open_engine(invocation)
    wish = pushing.wish_of(context, options)
    settings = registry_settings.of(options)
    name, destination = [*invocation.args, ""][:2]
    if options["digestfile"]:
        engine.check_digest_file(options["digestfile"])
    with progress.watch(quiet=options["quiet"], form=options["progress"]) as seen:
        digest = manifest_push.push_list(
            context, store, name, destination, wish, settings, everything=options["all"], progress=seen
        )
    if options["digestfile"]:
        engine.write_digest_file(options["digestfile"], digest)
    if options["purge"]:
        image_names.remove_image(context, store, manifest_lists.find(store, name))
    return 0


def rm(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    code = 0
    for name in invocation.args:
        try:
            removed = manifest_lists.delete(context, store, name)
        except PypodError as error:
            if isinstance(error, NoSuchImage) and invocation.options["ignore"]:
                continue
            targets.complain(error)
            code = max(code, error.code)
            continue
        for text in removed.untagged:
            output.line(f"Untagged: {text}")
        for text in removed.deleted:
            output.line(f"Deleted: {text}")
        output.flush()
    return code
