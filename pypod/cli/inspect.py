"""``inspect``, ``container inspect`` and ``image inspect``: everything about objects of any kind."""

from __future__ import annotations

from pypod.base import gojson
from pypod.cli import output, targets
from pypod.errors import NoSuchContainer, NoSuchImage, NotFound, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from storage.store import Store

    Finder = Callable[[Context, Store, str, bool], dict[str, Any]]


def run(invocation: Invocation) -> int:
    options = invocation.options
    kind = options.get("type", "all")
    if invocation.command != "inspect":
        kind = invocation.command.partition(" ")[0]
    if kind not in ("all", *_FINDERS):
        known = ", ".join(f'"{name}"' for name in _FINDERS)
        raise UsageError(f'invalid type "{kind}": must be {known}, or "all"')
    latest = options.get("latest", False)
    size = options.get("size", False)
    if latest and kind not in ("all", "container"):
        raise UsageError(f"latest is not supported for type {kind}")
    if size and kind not in ("all", "container"):
        raise UsageError(f"size is not supported for type {kind}")
    context, store = targets.open_engine(invocation)
    find = _find
    if invocation.command == "image inspect":
        if options["raw"] or options["config"]:
            from pypod.cli import inspect_remote

            return inspect_remote.plain(context, store, options, invocation.args)
        if any(_has_transport(word) for word in invocation.args):
            from pypod.cli import inspect_remote

            find = inspect_remote.Finder(options, _find)
    if size:
        from pypod.engine import rootless

        rootless.enter_user(context)
    words = invocation.args
    if latest:
        from pypod.engine import container as containers

        words = [containers.latest(context, store).id]
        kind = "container"
    found: list[tuple[str, dict[str, Any]]] = []
    problems: list[PypodError] = []
    for word in words:
        try:
            found.append(find(context, store, word, kind, size))
        except PypodError as error:
            problems.append(error)
    template = options["format"]
    if template is None or output.is_json(template):
        output.line(gojson.text([item for _, item in found], 5))
    else:
        from pypod.cli import inspect_fields

        for name, item in found:
            if name == "network":
                from pypod.cli import network

                output.rendered(template, network.fields(item, short=False))
            else:
                output.rendered(template, inspect_fields.fields(item, name))
    code = 0
    output.flush()
    for problem in problems:
        targets.complain(problem)
        code = problem.code
    return code


def _has_transport(word: str) -> bool:
    if ":" not in word:
        return False
    from pypod.engine import transports

    return bool(transports.parse(word).kind)


def _find(context: Context, store: Store, word: str, kind: str, size: bool) -> tuple[str, dict[str, Any]]:
    """The object's kind and JSON. Raises NotFound."""
    if kind != "all":
        return kind, _FINDERS[kind](context, store, word, size)
    for name, finder in _FINDERS.items():
        try:
            return name, finder(context, store, word, size)
        except NotFound:
            continue
    raise NotFound(f'no such object: "{word}"')


def _container(context: Context, store: Store, word: str, size: bool) -> dict[str, Any]:
    from pypod.engine import container as containers
    from pypod.engine import inspect_view, orphans

    try:
        found = containers.find(context, store, word)
    except NoSuchContainer as error:
        if error.hint:  # it is another tool's
            raise
        raise NoSuchContainer(f'no such container "{word}"') from None
    if orphans.tend(context, store, found):
        found = containers.find(context, store, found.id)
    return inspect_view.inspect(context, store, found, size=size)


def _image(context: Context, store: Store, word: str, size: bool) -> dict[str, Any]:
    from pypod.engine import image_view

    try:
        return image_view.inspect(store, store.find_image(word))
    except NoSuchImage:
        raise NoSuchImage(f"{word}: image not known") from None


def _volume(context: Context, store: Store, word: str, size: bool) -> dict[str, Any]:
    from pypod.engine import volume_view, volumes

    return volume_view.describe(context, store, volumes.find(context, word))


def _network(context: Context, store: Store, word: str, size: bool) -> dict[str, Any]:
    from pypod.engine import networks

    return networks.view(context, store, networks.find(context, word))


def _pod(context: Context, store: Store, word: str, size: bool) -> dict[str, Any]:
    from pypod.engine import pod_view, pods

    return pod_view.inspect(context, store, pods.find(context, word))


_FINDERS: dict[str, Finder] = {
    "container": _container,
    "image": _image,
    "volume": _volume,
    "network": _network,
    "pod": _pod,
}
