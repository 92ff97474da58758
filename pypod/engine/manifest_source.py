"""Where the images come from that are put into a list: the store, or registries, of which no layer is fetched."""

from __future__ import annotations

from pypod.base.record import record
from pypod.base.text import show
from pypod.engine import transports
from pypod.errors import BadArchive, NoSuchImage, PypodError, RegistryError, UsageError
from pypod.oci import digest as digests
from pypod.oci import manifest, manifest_list
from pypod.oci import reference as references
from storage import lists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    from pypod.engine.context import Context
    from pypod.engine.pull_registry import Work
    from pypod.engine.trust import Trust
    from pypod.oci.manifest import Descriptor
    from pypod.oci.platform import Platform
    from pypod.oci.reference import Reference
    from pypod.registry.client import Answer
    from pypod.registry.endpoints import Endpoint
    from pypod.registry.settings import Settings
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store

    T = TypeVar("T", covariant=True)
    Config = Callable[[Descriptor], dict[str, Any]]

    class Ask(Protocol[T]):
        def __call__(self, endpoint: Endpoint, reference: Reference) -> T: ...


@record
class Item:
    """One image for a list: what the list says of it, and where it is ("docker://…", "containers-storage:…")."""

    entry: dict[str, Any]
    source: str


class Sources:
    """The store and the registries, for one command; a context manager."""

    def __init__(self, context: Context, store: Store, settings: Settings, progress: Progress) -> None:
        self.store = store
        self.settings = settings
        self._context = context
        self._progress = progress
        self._work: Work | None = None
        self._trust: Trust | None = None

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        if self._work is not None:
            self._work.close()

    @property
    def work(self) -> Work:
        """What reads registries."""
        if self._work is None:
            from pypod.engine import pull_registry

            request = pull_registry.Request(settings=self.settings)
            self._work = pull_registry.Work(self.store, request, None, self._progress)
        return self._work

    def allowed(self, reference: Reference, manifest: bytes, endpoint: Endpoint) -> list[bytes]:
        """The signatures of a registry's image, which may be copied from ``endpoint``.

        Raises PolicyError, RegistryError, ConfigError.
        """
        if self._trust is None:
            from pypod.engine import trust

            self._trust = trust.Trust(self._context)
        return self._trust.registry_image(reference, manifest, digests.of(manifest), self.settings, endpoint)

    def items(self, typed: str, wanted: Platform, *, everything: bool = False) -> list[Item]:
        """The image that ``typed`` names; of a list that for the ``wanted`` platform, or ``everything`` in it.

        A name without a transport is a local image's, if there is one. Raises NoSuchImage, RegistryError, BadArchive,
        UsageError, PypodError.
        """
        where = transports.parse(typed)
        if where.kind in ("", "containers-storage"):
            image = self._local(where)
            if image is not None:
                return self._of_local(image, wanted, everything)
        elif where.kind != "docker":
            raise UsageError(
                f"cannot add {show(typed)}: images of a list are in registries or in the store",
                hint="bring it into the store with pypod pull",
            )
        return self._of_registry(where.rest, where.kind, wanted, everything)

    def answer(self, typed: str) -> Answer:
        """The manifest or list that a registry has under a name. Raises RegistryError, BadArchive, PypodError."""
        where = transports.parse(typed)
        if where.kind not in ("", "docker"):
            raise UsageError(f"cannot read {show(typed)}: only lists in registries and in the store can be inspected")
        return self._first(where.rest, where.kind, self._manifest)

    def _local(self, where: transports.Transport) -> Image | None:
        """The local image, None for a plain name that is none.

        Raises NoSuchImage, UsageError.
        """
        name = where.rest
        if where.kind:
            from pypod.engine import store_reference

            store, name = store_reference.parse(self.store, name)
            if store is not self.store:
                raise UsageError(f"cannot use {show(str(where))}: only images of this store can be in a list")
        try:
            return self.store.find_image(name.removeprefix("@"), lists=True)
        except NoSuchImage:
            if where.kind:
                raise
            return None

    def _of_local(self, image: Image, wanted: Platform, everything: bool) -> list[Item]:
        place = f"containers-storage:[{self.store.driver}@{self.store.graphroot}+{self.store.runroot}]@"
        if not image.is_list:
            data = self.store.image_data(image, "manifest")
            return [_item(data, "", lambda _: self.store.image_config(image), place + image.id)]
        held = lists.content(image)
        result = []
        for entry in _chosen(held.document, wanted, everything):
            source = held.sources.get(entry["digest"], "")
            found = lists.find_instance(self.store, entry["digest"])
            if not source and found is not None:
                source = place + found.id
            result.append(Item(entry=entry, source=source))
        return result

    def _of_registry(self, name: str, kind: str, wanted: Platform, everything: bool) -> list[Item]:
        def ask(endpoint: Endpoint, reference: Reference) -> list[Item]:
            answer = self._manifest(endpoint, reference)
            source = f"docker://{references.complete(reference)}"
            if manifest_list.is_list(answer.data):
                document = manifest_list.read(answer.data)
                return [Item(entry=entry, source=source) for entry in _chosen(document, wanted, everything)]

            def config(descriptor: Descriptor) -> dict[str, Any]:
                data = self.work.config(descriptor, endpoint, self._limit)
                return manifest.parse_config(data).document

            return [_item(answer.data, answer.media_type, config, source)]

        return self._first(name, kind, ask)

    @property
    def _limit(self) -> int:
        return self.store.limits.max_manifest_size or (1 << 30)

    def _manifest(self, endpoint: Endpoint, reference: Reference) -> Answer:
        wanted = reference.digest or reference.tag
        answer: Answer = endpoint.client.manifest(endpoint.repository, wanted, limit=self._limit)
        return answer

    def _first(self, name: str, kind: str, ask: Ask[T]) -> T:
        """The answer of the first registry that a name may stand for and that has one."""
        from functools import partial

        problems: list[PypodError] = []
        for candidate in self._candidates(name, kind):
            try:
                return self.work.somewhere(candidate, partial(ask, reference=candidate))
            except (RegistryError, BadArchive) as error:
                problems.append(error)
        if len(problems) == 1:
            raise problems[0]
        told = "; ".join(problem.message for problem in problems)
        raise RegistryError(f"cannot find {show(name)} in {len(problems)} registries: {told}")

    def _candidates(self, name: str, kind: str) -> list[Reference]:
        from pypod.engine import pull

        if not kind and not references.has_registry(name):
            from pypod.registry import shortnames

            return [pull.pinned(item) for item in shortnames.resolve(name, self.settings).candidates]
        return [pull.whole(name, transports.Transport(kind="docker", rest=name))]


def _item(data: bytes, media_type: str, config: Config, source: str) -> Item:
    """One image, whose configuration says its platform; an artifact has none."""
    found = manifest.parse(data, media_type)
    assert isinstance(found, manifest.Manifest)
    said = config(found.config) if found.is_image else None
    entry = manifest_list.describe(found.media_type, digests.of(data), len(data), said)
    if found.artifact_type:
        entry["artifactType"] = found.artifact_type
    return Item(entry=entry, source=source)


def _chosen(document: dict[str, Any], wanted: Platform, everything: bool) -> list[dict[str, Any]]:
    """Entries of another list.

    Raises BadArchive: it has none for the platform, or lists in it.
    """
    descriptors = manifest_list.descriptors(document)
    if everything:
        entries: list[dict[str, Any]] = document["manifests"]
    else:
        found = manifest.best(descriptors, wanted)
        if found is None:
            raise manifest.no_platform(descriptors, wanted)
        entries = [manifest_list.entry(document, found.digest)]
    for entry in entries:
        if entry.get("mediaType") in manifest.INDEXES:
            raise BadArchive(f"{entry['digest']} is a list itself: lists within lists are not supported")
    return entries
