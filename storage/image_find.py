"""The image that a reference stands for."""

from __future__ import annotations

from pypod.errors import NoSuchImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from storage.records import Image

    # Of a name without registry, tag and digest: the repository of which it is an alias or "", and the registries to
    # look for it in.
    ShortNames = Callable[[str], tuple[str, tuple[str, ...]]]


def _split(reference: str) -> tuple[str, str, str]:
    """A reference's name, tag and digest; the last two may be ""."""
    name, _, digest = reference.partition("@")
    slash = name.rfind("/")
    colon = name.rfind(":")
    if colon > slash:
        return name[:colon], name[colon + 1 :], digest
    return name, "", digest


def qualified(name: str) -> bool:
    """Whether a name begins with a registry."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def candidates(reference: str, alias: str = "", registries: Sequence[str] = ()) -> list[str]:
    """The complete names that ``reference`` may stand for, in podman's order.

    ``alias`` and ``registries`` are what a name without a registry stands for, see ``ShortNames``.
    """
    name, tag, digest = _split(reference)
    end = f"@{digest}" if digest else f":{tag or 'latest'}"
    if qualified(name):
        if name.startswith("docker.io/") and name.count("/") == 1:
            name = "docker.io/library/" + name[10:]
        elif name.startswith("index.docker.io/"):
            return candidates("docker.io/" + reference[16:])
        return [name + end]
    result = [alias + end] if alias else []
    for registry in ("localhost", *registries, "docker.io"):
        middle = "library/" if registry == "docker.io" and "/" not in name else ""
        candidate = f"{registry}/{middle}{name}{end}"
        if candidate not in result:
            result.append(candidate)
    return result


def digests(image: Image) -> list[str]:
    """The digests of all manifests that the image is known by."""
    result = [image.digest] if image.digest else []
    for key, digest in image.big_data_digests.items():
        if key.startswith("manifest") and digest not in result:
            result.append(digest)
    return result


def find(images: Iterable[Image], reference: str, short_names: ShortNames | None = None) -> Image:
    """Raises NoSuchImage, and what ``short_names`` raises.

    ``short_names`` is asked only if that can make a difference, because it reads files.
    """
    images = list(images)
    by_name: dict[str, Image] = {}
    for image in images:
        if image.id == reference or reference in image.names:
            return image
        for name in image.names:
            by_name.setdefault(name, image)
    if reference.startswith("sha256:"):
        hexadecimal = reference[7:]
        found = [image for image in images if hexadecimal and image.id.startswith(hexadecimal)]
        if len(found) == 1:
            return found[0]
        raise NoSuchImage(f"{reference}: image not known")
    if reference:
        plain = [name for name in candidates(reference) if name in by_name]
        if plain and not _others(by_name, reference, plain[0]):
            return by_name[plain[0]]
        found = [] if plain else [image for image in images if image.id.startswith(reference)]
        if len(found) == 1:
            return found[0]
        alias = ""
        registries: tuple[str, ...] = ()
        bare = _split(reference)[0]
        if short_names is not None and images and bare and not qualified(bare):
            alias, registries = short_names(bare)
        for name in candidates(reference, alias, registries):
            if name in by_name:
                return by_name[name]
        image_or_none = _find_loosely(images, reference, alias, registries)
        if image_or_none is not None:
            return image_or_none
    raise NoSuchImage(f"{reference}: image not known")


def _others(by_name: Iterable[str], reference: str, found: str) -> bool:
    """Whether a short name may mean something else than ``found``: it is in another registry, too.

    An alias of an image that is called otherwise is not seen here; it counts where nothing has the name itself.
    """
    name, tag, digest = _split(reference)
    if digest or qualified(name):
        return False
    end = f"/{name}:{tag or 'latest'}"
    return any(other != found and other.endswith(end) for other in by_name)


def _find_loosely(images: Sequence[Image], reference: str, alias: str, registries: Sequence[str]) -> Image | None:
    """A name with a digest: any image of that repository known by the digest. A short name: in any registry."""
    name, tag, digest = _split(reference)
    if digest:
        known_as = candidates(name, alias, registries) if name else []
        repositories = {_split(candidate)[0] for candidate in known_as}
        for image in images:
            if digest in digests(image) and repositories & {_split(known)[0] for known in image.names}:
                return image
        return None
    if qualified(name):
        return None
    tag = tag or "latest"
    for image in images:
        for known in image.names:
            repository, known_tag, _ = _split(known)
            if known_tag == tag and repository.endswith("/" + name):
                return image
    return None
