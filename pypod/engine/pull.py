"""``pull``: from what the user typed to images in the store (podman-pull(1)).

name ─► a local image that will do? ─► candidates ─► each candidate's endpoints ─► pull_registry
transport:… ─► storage.load, for the one image that is meant
"""

from __future__ import annotations

import os

from pypod.base.record import record, replace
from pypod.base.text import show
from pypod.engine import events, image_names, journal, pull_registry, rootless, transports, trust
from pypod.engine.images import PULL_POLICIES
from pypod.engine.pull_registry import Request
from pypod.errors import BadArchive, NoSuchImage, NotFound, PypodError, RegistryError, StorageError, UsageError
from pypod.oci import platform as platforms
from pypod.oci import reference as references
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from pypod.engine.transports import Transport
    from pypod.oci.reference import Reference
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store

__all__ = ["Request", "pull"]


def pull(context: Context, store: Store, typed: str, request: Request, progress: Progress = SILENT) -> list[Image]:
    """The images that ``typed`` stands for: one, or one for each tag with ``all_tags``.

    Enters the user namespace. Raises RegistryError and what is below it, PolicyError, BadArchive, NoSuchImage,
    StorageError, UsageError, ConfigError: then the store has nothing of that image but layers kept for the next try.
    """
    found = _pull(context, store, typed, request, progress)
    for image in found:
        events.image(context, "pull", image.id, typed)
    return found


def sources(typed: str, request: Request) -> list[str]:
    """From where ``pull`` would take an image that is not here: one after the other, until one has it.

    Nobody is asked. Raises what ``pull`` says of a name that cannot be one.
    """
    where = transports.parse(typed)
    if where.kind == "docker":
        return [str(whole(where.rest, where))]
    if where.kind:
        return [str(where)]
    if _is_id(typed):
        raise NoSuchImage(f"{typed}: image not known")
    asked: list[Reference] = []

    def choose(candidates: Sequence[Reference]) -> Reference:
        asked.extend(candidates)
        return candidates[0]

    found = _candidates(typed, replace(request, choose=choose) if request.choose is not None else request)[0]
    return [str(one) for one in asked or found]


def _pull(context: Context, store: Store, typed: str, request: Request, progress: Progress) -> list[Image]:
    if request.policy not in PULL_POLICIES:
        raise UsageError(f'unsupported pull policy "{show(request.policy)}"')
    where = transports.parse(typed)
    if request.all_tags and where.kind not in ("", "docker"):
        raise UsageError(f"pulling all tags is not supported for {where.kind} transport", code=125)
    rootless.enter_user(context)
    journal.after_boot(store)
    allowed = trust.Trust(context, request.signature_policy)
    if where.kind == "containers-storage":
        return [_stored(store, where, progress)]
    work = pull_registry.Work(store, request, allowed, progress)
    try:
        if where.kind == "docker":
            reference = whole(where.rest, where)
            return _tags(work, [reference]) if request.all_tags else [work.image(reference)]
        if where.kind:
            return _archive(store, where, request, allowed, progress)
        return _named(store, typed, request, work, progress)
    finally:
        work.close()


# Names.


@record
class _Local:
    """A local image that the name stands for; ``fits``: it is for the platform that was asked for."""

    image: Image
    name: str  # the complete name by which it was found, "" if by its id
    fits: bool


def _named(store: Store, typed: str, request: Request, work: pull_registry.Work, progress: Progress) -> list[Image]:
    local = _local(store, typed, request)
    if request.policy == "never":
        if local is None or not local.fits:
            raise NoSuchImage(f"{typed}: image not known")
        return [local.image]
    if local is not None and local.fits and request.policy == "missing":
        return [local.image]
    if local is not None and not local.name or _is_id(typed):
        if local is None:
            raise NoSuchImage(f"{typed}: image not known")
        if request.policy == "always":
            raise UsageError(f"pull policy is always but image has been referred to by ID ({typed})", code=125)
        return [local.image]
    listed = _listed(store, typed, request)
    if listed is not None:
        return [work.image(listed)]
    # A name that has been found here says which registry is meant.
    name = local.name if local is not None and local.name and request.platform is None else typed
    try:
        candidates, source, ask = _candidates(name, request)
    except PypodError:
        if local is not None and local.fits and request.policy == "newer":
            return [local.image]
        raise
    if source:
        progress.say(source)
    if request.all_tags:
        return _tags(work, candidates)
    problems: list[PypodError] = []
    for candidate in candidates:
        try:
            if local is not None and local.fits and request.policy == "newer" and work.same(candidate, local.image):
                continue
            image = work.image(candidate)
        except (RegistryError, BadArchive) as error:
            problems.append(error)
            continue
        if ask:
            from pypod.registry import shortnames

            shortnames.remember(references.split(name)[0], candidate)
        return [image]
    if local is not None and local.fits and request.policy == "newer":
        return [local.image]
    raise _all_of(typed, problems)


def _is_id(text: str) -> bool:
    bare = text.removeprefix("sha256:")
    return bare != text or (len(bare) == 64 and not set("/.:@") & set(bare))


def _local(store: Store, typed: str, request: Request) -> _Local | None:
    try:
        image = store.find_image(typed, lists=True)
        if image.is_list:
            from storage import lists

            image = lists.instance(store, image, request.platform)
    except NoSuchImage:
        return None
    fits = True
    if request.platform is not None:
        try:
            config = store.image_config(image)
        except StorageError:
            return None  # it is damaged: fetched again
        its = platforms.Platform(
            os=str(config.get("os") or "linux"),
            architecture=str(config.get("architecture") or ""),
            variant=str(config.get("variant") or ""),
        )
        fits = bool(request.platform.fits(its))
    return _Local(image=image, name=_name_here(image, typed), fits=fits)


def _name_here(image: Image, typed: str) -> str:
    """The complete name under which an image was found, "" if it was by its id."""
    from storage import image_find

    if image.id.startswith(typed.removeprefix("sha256:")):
        return ""
    if "@" in typed:
        return typed
    name, tag, _ = references.split(typed)
    known = [typed, *image_find.candidates(typed)]
    loose = f"/{name}:{tag or 'latest'}"
    return next((item for item in image.names if item in known or item.endswith(loose)), typed)


def _listed(store: Store, typed: str, request: Request) -> Reference | None:
    """Where a list in the store says that its image for the platform is, unless the list's own registry is asked."""
    from storage import lists

    try:
        found = store.find_image(typed, lists=True)
    except NoSuchImage:
        return None
    if not found.is_list or (
        request.policy != "missing" and not all(name.startswith("localhost/") for name in found.names)
    ):
        return None
    digest, source = lists.chosen(found, request.platform)
    where = transports.parse(source) if source else None
    if where is None or where.kind != "docker":
        raise NoSuchImage(f"{typed}: the list's image {digest} is in no registry")
    named = references.parse(where.rest)
    return references.Reference(domain=named.domain, path=named.path, digest=digest)


def whole(text: str, where: Transport | None = None) -> Reference:
    """A reference with its registry; of a tag and a digest the digest counts."""
    try:
        found = references.parse(text)
    except references.BadReference as error:
        shown = str(where) if where is not None else text
        raise PypodError(f'invalid image reference "{show(shown)}": {error.message}') from None
    return pinned(found)


def pinned(found: Reference) -> Reference:
    if found.digest:
        return references.Reference(domain=found.domain, path=found.path, digest=found.digest)
    return references.Reference(domain=found.domain, path=found.path, tag=found.tag or "latest")


def _candidates(name: str, request: Request) -> tuple[list[Reference], str, bool]:
    """The references that a name may stand for, what is said of them, and whether the choice is to be remembered."""
    if references.has_registry(name):
        return [whole(name)], "", False
    whole(name)  # what cannot be a name is told from what stands for nothing
    from pypod.registry import shortnames

    found = shortnames.resolve(name, request.settings)
    candidates = list(found.candidates)
    if found.ask and len(candidates) > 1 and request.choose is not None:
        candidates = [request.choose(candidates)]
        return [pinned(item) for item in candidates], "", True
    if found.ask and len(candidates) > 1 and found.mode == "enforcing":
        raise RegistryError(
            f'short-name resolution enforced but cannot prompt without a TTY: "{show(name)}"',
            hint="say which registry, or set short-name-mode in registries.conf",
        )
    return [pinned(item) for item in candidates], found.said, False


def _all_of(typed: str, problems: list[PypodError]) -> PypodError:
    if len(problems) == 1:
        return problems[0]
    told = "; ".join(problem.message for problem in problems)
    return RegistryError(f"{len(problems)} errors occurred while pulling {show(typed)}: {told}")


def _tags(work: pull_registry.Work, candidates: list[Reference]) -> list[Image]:
    """Every tag of the first candidate that has any."""
    problems: list[PypodError] = []
    for candidate in candidates:
        try:
            tags = work.tags(candidate)
        except RegistryError as error:
            problems.append(error)
            continue
        result = []
        for tag in tags:
            result.append(work.image(references.Reference(domain=candidate.domain, path=candidate.path, tag=tag)))
            work.close()  # there may be thousands
        return result
    raise _all_of(candidates[0].name, problems)


# Other places.


def _stored(store: Store, where: Transport, progress: Progress) -> Image:
    """An image that is here already, or in another store. No policy is asked, as podman has it."""
    from pypod.engine import images, store_copy, store_reference

    source, name = store_reference.parse(store, where.rest)
    name = name.removeprefix("@")
    try:
        image = source.find_image(name)
    except NoSuchImage:
        raise NoSuchImage(f"initializing source {show(str(where))}: image not known") from None
    if source is store:
        return image
    progress.say("Getting image source signatures")
    found = images.resolved_name(image, name)
    return store_copy.copy(source, image, store, [found] if found in image.names else [], progress)


def _archive(
    store: Store, where: Transport, request: Request, allowed: trust.Trust, progress: Progress
) -> list[Image]:
    from pypod.engine import image_load
    from storage import load as loading

    source = check_path(where)
    policy = allowed.accepts(source)
    told: set[str] = set()

    def accept(transport: str, name: str, manifest: bytes, signatures: Sequence[bytes]) -> None:
        if name not in told:
            told.add(name)
            progress.say("Getting image source signatures")
        policy(transport, name, manifest, signatures)

    try:
        found = loading.load(
            store,
            source,
            normalise=image_names.new_name,
            default_name=image_load.default_name(source),
            platform=request.platform,
            kind=kind_of(where),
            reference=where.reference,
            accept=accept,
            progress=progress,
        )
    except (BadArchive, NotFound) as error:
        error.message = f"{show(str(where))}: {error.message}"
        raise
    return [image for image, _ in found]


def kind_of(where: Transport) -> str:
    """What storage.load calls the kind of an archive or directory."""
    return "oci" if where.kind == "oci-archive" else where.kind


def check_path(where: Transport) -> str:
    """The absolute path of an archive or directory, of the kind that the transport says.

    Raises PypodError.
    """
    path = os.path.abspath(where.path)
    is_directory = where.kind in ("oci", "dir")
    try:
        os.stat(path)
    except OSError as error:
        raise PypodError(f"initializing source {show(str(where))}: {path}: {error.strerror}") from None
    if os.path.isdir(path) is not is_directory:
        what = "not a directory" if is_directory else "a directory"
        raise PypodError(f"initializing source {show(str(where))}: {path} is {what}")
    return path
