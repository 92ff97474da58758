"""Images: which one a name means, and what ``images`` shows. On the way of ``run``, so it imports little."""

from __future__ import annotations

import os

from pypod.base import times
from pypod.base.record import record
from pypod.engine.imageinfo import ImageInfo
from pypod.errors import NoSuchImage, StorageError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from storage.records import Image
    from storage.store import Store

    Puller = Callable[[Context, Store, str, str], Image]  # of a name, by a policy

# The image that the package carries, so that there is one to run on a machine without a network.
EMBEDDED = "localhost/hello:latest"
_HELLO = ("hello", "hello:latest", "localhost/hello", EMBEDDED)
PULL_POLICIES = ("always", "missing", "never", "newer")


def embedded_program() -> str:
    """The path of the program in it."""
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "hello")


def find_or_pull(
    context: Context, store: Store, name: str, flags: Mapping[str, Any], puller: Puller | None = None
) -> Image:
    """The image that a container is to be made from; ``hello`` is made if the store lacks it, others are pulled.

    In the user namespace. ``flags`` are podman-run(1)'s. Raises NoSuchImage, UsageError, StorageError, and what
    ``puller`` raises.
    """
    image, policy = here(context, store, name, flags, pulls=puller is not None)
    if puller is not None and policy:
        return puller(context, store, name, policy)
    if image is None:
        from pypod.engine import embedded

        return embedded.make(store)
    return image


def here(
    context: Context, store: Store, name: str, flags: Mapping[str, Any], *, pulls: bool
) -> tuple[Image | None, str]:
    """The image if it is here, and the policy by which it is to be pulled all the same, "" if it is not.

    Neither is the one that the package carries. Without ``pulls`` what is here has to do. Raises NoSuchImage,
    UsageError.
    """
    given = str(flags.get("pull") or context.engine.get("pull_policy") or "missing")
    policy = {"true": "always", "false": "missing", "ifmissing": "missing", "ifnotpresent": "missing"}.get(
        given, given
    )
    if policy not in PULL_POLICIES:
        raise UsageError(f'unsupported pull policy "{given}"')
    asked = any(flags.get(key) for key in ("platform", "os", "arch", "variant"))
    try:
        image = store.find_image(name)
    except NoSuchImage:
        if name in _HELLO:
            return None, ""
        if policy == "never" or not pulls:
            raise
        return None, policy
    if not pulls or EMBEDDED in image.names or (policy in ("missing", "never") and not asked):
        return image, ""
    return image, policy


def resolved_name(image: Image, typed: str) -> str:
    """The complete name of an image that the user called ``typed``; its id if it has no name."""
    if typed in image.names:
        return typed
    from storage import image_find

    for candidate in image_find.candidates(typed):
        if candidate in image.names:
            return candidate
    return image.names[0] if image.names else image.id


def image_info(store: Store, image: Image, typed: str) -> ImageInfo:
    """What a container takes from its image.

    Raises StorageError.
    """
    return ImageInfo(id=image.id, name=resolved_name(image, typed), raw_name=typed, config=store.image_config(image))


def split_name(name: str) -> tuple[str, str]:
    """A complete name's repository and tag; the tag of one with a digest is "<none>"."""
    if "@" in name:
        repository = name.partition("@")[0]
        colon = repository.rfind(":")
        return (repository[:colon] if colon > repository.rfind("/") else repository), "<none>"
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        return name[:colon], name[colon + 1 :]
    return name, "<none>"


def repo_digests(image: Image) -> list[str]:
    """podman's RepoDigests: each repository with each digest."""
    result: list[str] = []
    digests = [image.digest] if image.digest else []
    for key, digest in image.big_data_digests.items():
        if key.startswith("manifest") and digest not in digests:
            digests.append(digest)
    for name in image.names:
        repository = split_name(name)[0]
        for digest in digests:
            if f"{repository}@{digest}" not in result:
                result.append(f"{repository}@{digest}")
    return sorted(result)


def created_at(image: Image) -> int:
    """Nanoseconds since 1970; 0 if the record does not say."""
    try:
        return times.parse_rfc3339(image.created) if image.created else 0
    except ValueError:
        return 0


@record
class Summary:
    """One image for ``images``; ``created`` in nanoseconds since 1970, ``size`` in bytes."""

    image: Image
    size: int
    created: int
    containers: int
    parent: str = ""
    labels: dict[str, str] | None = None
    dangling: bool = False
    intermediate: bool = False


class Overview:
    """All images with their sizes and relations, from one reading of each file."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.images = store.images()
        self._layers = store.layers()
        self._sizes: dict[str, int] = {}
        self._configs: dict[str, dict[str, Any]] = {}
        self._used: dict[str, int] = {}
        for container in store.containers():
            self._used[container.image] = self._used.get(container.image, 0) + 1
        self._by_top: dict[str, list[Image]] | None = None

    def _layer_size(self, id: str) -> int:
        size = self._sizes.get(id)
        if size is None:
            layer = self._layers.get(id)
            size = 0 if layer is None else layer.diff_size + (self._layer_size(layer.parent) if layer.parent else 0)
            self._sizes[id] = size
        return size

    def size(self, image: Image) -> int:
        return sum(image.big_data_sizes.values()) + (self._layer_size(image.layer) if image.layer else 0)

    def used(self, image: Image) -> int:
        """How many containers are made from it."""
        return self._used.get(image.id, 0)

    def config(self, image: Image) -> dict[str, Any]:
        """The image's configuration, {} if it cannot be read."""
        found = self._configs.get(image.id)
        if found is None:
            try:
                found = self.store.image_config(image)
            except StorageError:
                found = {}
            self._configs[image.id] = found
        return found

    def labels(self, image: Image) -> dict[str, str]:
        inner = self.config(image).get("config")
        labels = inner.get("Labels") if isinstance(inner, dict) else None
        return labels if isinstance(labels, dict) else {}

    def parent(self, image: Image) -> Image | None:
        """The image that this one was built on: its layers and history are the beginning of this one's."""
        history = self.config(image).get("history") or []
        best: Image | None = None
        for candidate in self._candidates(image):
            if candidate.id == image.id:
                continue
            theirs = self.config(candidate).get("history") or []
            if len(theirs) < len(history) and history[: len(theirs)] == theirs and theirs:
                if best is None or len(theirs) > len(self.config(best).get("history") or []):
                    best = candidate
        return best

    def _candidates(self, image: Image) -> Iterable[Image]:
        if self._by_top is None:
            self._by_top = {}
            for other in self.images:
                if other.layer:
                    self._by_top.setdefault(other.layer, []).append(other)
        layer = self._layers.get(image.layer)
        if layer is None:
            return []
        return [*self._by_top.get(layer.id, ()), *self._by_top.get(layer.parent, ())]

    def children(self, image: Image) -> bool:
        """Whether another image was built on this one."""
        for other in self.images:
            if other.id != image.id:
                parent = self.parent(other)
                if parent is not None and parent.id == image.id:
                    return True
        return False

    def summary(self, image: Image, *, full: bool) -> Summary:
        """``full`` also finds parent and labels, for which every image's configuration is read."""
        nameless = not image.names
        intermediate = nameless and self.children(image)
        parent = self.parent(image) if full else None
        return Summary(
            image=image,
            size=self.size(image),
            created=created_at(image),
            containers=self.used(image),
            parent=parent.id if parent is not None else "",
            labels=(self.labels(image) or None) if full else None,
            dangling=nameless and not intermediate,
            intermediate=intermediate,
        )


_SORTS: dict[str, Callable[[Summary], Any]] = {
    "created": lambda item: -item.created,
    "id": lambda item: item.image.id,
    "repository": lambda item: split_name(item.image.names[0])[0] if item.image.names else "",
    "size": lambda item: item.size,
    "tag": lambda item: split_name(item.image.names[0])[1] if item.image.names else "",
}


def summaries(
    store: Store,
    *,
    everything: bool = False,
    name: str = "",
    filters: Sequence[str] = (),
    sort: str = "created",
    full: bool = False,
) -> list[Summary]:
    """The images that ``images`` shows, sorted.

    Raises UsageError for a bad filter.
    """
    if sort not in _SORTS:
        raise UsageError(
            f'"{sort}" is not a valid field for sorting. Choose from: repository, size, tag, created, id'
        )
    overview = Overview(store)
    found = [overview.summary(image, full=full) for image in overview.images]
    if filters or name:
        from pypod.engine import image_filters

        tests = image_filters.compile(overview, [*filters, *([f"reference={name}"] if name else [])])
        found = [item for item in found if all(test(item) for test in tests)]
    elif not everything:
        found = [item for item in found if not item.intermediate]
    found.sort(key=_SORTS[sort])
    return found


def as_json(item: Summary) -> dict[str, Any]:
    """One image with podman's JSON keys."""
    image = item.image
    result: dict[str, Any] = {
        "Id": image.id,
        "ParentId": item.parent,
        "RepoTags": None,
        "RepoDigests": repo_digests(image) or None,
        "Size": item.size,
        "SharedSize": 0,
        "VirtualSize": item.size,
        "Labels": item.labels,
        "Containers": item.containers,
    }
    if image.read_only:
        result["ReadOnly"] = True
    if item.dangling:
        result["Dangling"] = True
    result["Names"] = image.names or None
    result["Digest"] = image.digest
    result["History"] = image.names_history or None
    result["Created"] = item.created // 1_000_000_000
    result["CreatedAt"] = times.rfc3339(item.created)[:19] + "Z"
    return {key: value for key, value in result.items() if value is not None or key in ("RepoTags", "Labels")}
