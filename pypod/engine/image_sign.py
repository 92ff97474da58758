"""``image sign``: signatures for images that a registry, or the store, has already (podman-image-sign(1))."""

from __future__ import annotations

import os

from pypod.engine import images, transports
from pypod.errors import PypodError, UsageError
from pypod.oci import digest as digests
from pypod.oci import manifest
from pypod.oci import reference as references

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.oci.reference import Reference
    from pypod.registry.settings import Settings
    from storage.store import Store


def sign(
    store: Store, typed: Sequence[str], key: str, settings: Settings, *, directory: str = "", all_: bool = False
) -> None:
    """Sign each image: docker://NAME is what the registry has now, any other name an image of the store.

    The signatures go where containers-registries.d(5) says, or below ``directory``. ``all_``: the images of an index
    instead of the index. Raises NoSuchImage, RegistryError, PolicyError, UsageError, ConfigError, PypodError.
    """
    from pypod.registry import lookaside
    from pypod.registry.signing import Signer

    if not key:
        raise UsageError("please provide an identity", hint="give --sign-by KEY")
    if directory and not os.path.isdir(directory):
        raise PypodError(f"cannot write signatures to {directory}: it is not a directory")
    with Signer(key) as signer:
        for name in typed:
            reference, wanted = _manifests(store, name, settings, all_)
            if not directory:
                lookaside.check_writable(reference)
            for data in wanted:
                digest = digests.of(data)
                signature = signer.sign(digest, str(reference))
                if directory:
                    place = lookaside.directory(os.path.abspath(directory), reference, digest)
                    lookaside.write_directory(place, [signature])
                else:
                    lookaside.write(reference, digest, [signature])


def _manifests(store: Store, typed: str, settings: Settings, all_: bool) -> tuple[Reference, list[bytes]]:
    """The image's full name, and the manifests to sign."""
    where = transports.parse(typed)
    if where.kind not in ("", "docker", "containers-storage"):
        raise UsageError(f"cannot sign {typed}: cannot determine canonical Docker reference", code=125)
    if where.kind != "docker":
        image = store.find_image(where.rest)
        name = images.resolved_name(image, where.rest)
        if name not in image.names:
            raise UsageError(f"cannot sign {typed}: what is signed is a name", hint="call the image by its name")
        reference = references.parse(name)
        if all_:
            raise UsageError(f"cannot sign {typed} with --all: the store has the image for one platform only")
        return reference, [store.image_data(image, "manifest")]
    try:
        reference = references.parse(references.normalise(where.rest, "docker.io"))
    except references.BadReference as error:
        raise PypodError(f'invalid image reference "{typed}": {error.message}') from None
    return reference, _remote(reference, typed, settings, all_)


def _remote(reference: Reference, typed: str, settings: Settings, all_: bool) -> list[bytes]:
    from pypod.registry import endpoints

    found = endpoints.for_pull(reference, settings)
    try:
        # The registry itself comes last: what is signed is not what a mirror says.
        client, repository = found[-1].client, found[-1].repository
        answer = client.manifest(repository, reference.digest or reference.tag)
        if not all_:
            return [answer.data]
        index = manifest.parse(answer.data, answer.media_type)
        if not isinstance(index, manifest.Index):
            raise PypodError(f"{typed} is not a multi-architecture image (manifest type {answer.media_type})")
        return [client.manifest(repository, item.digest).data for item in index.manifests]
    finally:
        for endpoint in found:
            endpoint.client.close()
