"""The image that a reference stands for."""

from __future__ import annotations

from pypod.errors import NoSuchImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.records import Image


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


def candidates(reference: str, registries: Sequence[str] = ()) -> list[str]:
    """The complete names that ``reference`` may stand for, in podman's order."""
    name, tag, digest = _split(reference)
    end = f"@{digest}" if digest else f":{tag or 'latest'}"
    if qualified(name):
        if name.startswith("docker.io/") and name.count("/") == 1:
            name = "docker.io/library/" + name[10:]
        elif name.startswith("index.docker.io/"):
            return candidates("docker.io/" + reference[16:])
        return [name + end]
    result = [f"localhost/{name}{end}"]
    for registry in (*registries, "docker.io"):
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


def find(images: Iterable[Image], reference: str, registries: Sequence[str] = ()) -> Image:
    """Raises NoSuchImage."""
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
        for name in candidates(reference, registries):
            if name in by_name:
                return by_name[name]
        found = [image for image in images if image.id.startswith(reference)]
        if len(found) == 1:
            return found[0]
        image_or_none = _find_loosely(images, reference)
        if image_or_none is not None:
            return image_or_none
    raise NoSuchImage(f"{reference}: image not known")


def _find_loosely(images: Sequence[Image], reference: str) -> Image | None:
    """A name with a digest: any image of that repository known by the digest. A short name: in any registry."""
    name, tag, digest = _split(reference)
    if digest:
        repositories = {_split(candidate)[0] for candidate in candidates(name)} if name else set()
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
