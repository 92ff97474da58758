"""One image of a registry into the store: manifest, platform, config, policy, layers."""

from __future__ import annotations

from pypod.base.record import record
from pypod.base.text import show
from pypod.engine import blob_cache
from pypod.errors import BadArchive, PypodError, RegistryError, StorageError
from pypod.oci import digest as digests
from pypod.oci import manifest
from pypod.oci import platform as platforms
from pypod.oci import reference as references

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from pypod.engine.trust import Trust
    from pypod.oci.manifest import Config, Descriptor, Manifest
    from pypod.oci.platform import Platform
    from pypod.oci.reference import Reference
    from pypod.registry.client import Body
    from pypod.registry.endpoints import Endpoint
    from pypod.registry.settings import Settings
    from storage.fetch import LayerBlob
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store

    T = TypeVar("T")


@record
class Request:
    """How images are pulled.

    ``policy`` is one of images.PULL_POLICIES. ``platform`` None: this machine's, and a local image of any other does.
    ``signature_policy`` is the policy.json to use. ``choose`` asks the user which of several references is meant.
    """

    settings: Settings
    policy: str = "always"
    platform: Platform | None = None
    all_tags: bool = False
    signature_policy: str = ""
    choose: Callable[[Sequence[Reference]], Reference] | None = None


@record
class Remote:
    """An image as a registry describes it. ``manifests``: its own, then the indexes that lead to it."""

    endpoint: Endpoint
    own: Manifest
    manifests: list[bytes]
    signatures: list[bytes]
    data: bytes
    config: Config


class Work:
    """What the pulls of one command share. ``trust`` None: nothing is to be stored, so no policy is asked.

    Every method raises RegistryError, BadArchive, PolicyError, StorageError, ConfigError.
    """

    def __init__(self, store: Store, request: Request, trust: Trust | None, progress: Progress) -> None:
        self.store = store
        self.request = request
        self._trust = trust
        self._progress = progress
        self._endpoints: dict[str, list[Endpoint]] = {}

    def close(self) -> None:
        """Close the connections."""
        for found in self._endpoints.values():
            for endpoint in found:
                endpoint.client.close()
        self._endpoints = {}

    def image(self, reference: Reference) -> Image:
        """Pull one image, and have it named ``reference``."""
        self._progress.say(f"Trying to pull {reference}...")
        return self.somewhere(reference, lambda endpoint: self._image(reference, endpoint))

    def remote(self, reference: Reference) -> Remote:
        """What the registry says of an image, without its layers."""
        return self.somewhere(reference, lambda endpoint: self._remote(reference, endpoint))

    def manifest(self, reference: Reference) -> bytes:
        """The manifest or index that the registry has under ``reference``, as it is."""
        wanted = reference.digest or reference.tag
        return self.somewhere(reference, lambda endpoint: endpoint.client.manifest(endpoint.repository, wanted).data)

    def same(self, reference: Reference, image: Image) -> bool:
        """Whether the registry has under ``reference`` what ``image`` came from."""
        from storage import image_find

        def digest(endpoint: Endpoint) -> str:
            found: str = endpoint.client.manifest_digest(endpoint.repository, reference.digest or reference.tag)
            return found

        return self.somewhere(reference, digest) in image_find.digests(image)

    def tags(self, reference: Reference) -> list[str]:
        """All tags of a repository."""
        return self.somewhere(reference, lambda endpoint: list(endpoint.client.tags(endpoint.repository)))

    def somewhere(self, reference: Reference, ask: Callable[[Endpoint], T]) -> T:
        """The answer of the first mirror that has one, or of the registry itself.

        If none has, the registry's error is told, and then the mirrors'.
        """
        mirrors: list[str] = []
        for endpoint in self._places(reference):
            try:
                return ask(endpoint)
            except (RegistryError, BadArchive) as error:
                if not endpoint.mirror:
                    raise _told(error, reference, mirrors) from None
                mirrors.append(f"[{endpoint.location}: {error.message}]")
        raise _told(
            RegistryError("the registry itself is blocked in registries.conf or registries.conf.d"),
            reference,
            mirrors,
        )

    def _places(self, reference: Reference) -> list[Endpoint]:
        from pypod.registry import endpoints

        key = str(reference)  # registries.conf may speak of a single tag
        if key not in self._endpoints:
            self._endpoints[key] = endpoints.for_pull(reference, self.request.settings, on_retry=self._progress.say)
        return self._endpoints[key]

    def _remote(self, reference: Reference, endpoint: Endpoint) -> Remote:
        client, repository = endpoint.client, endpoint.repository
        limit = self.store.limits.max_manifest_size or (1 << 30)
        answer = client.manifest(repository, reference.digest or reference.tag, limit=limit)
        self._progress.say("Getting image source signatures")

        def get(item: Descriptor) -> bytes:
            data: bytes = client.manifest(repository, item.digest, limit=limit).data
            return data

        platform = self.request.platform or platforms.here()
        own, manifests = manifest.resolve(answer.data, answer.media_type, platform, get)
        manifest.check_image(own)
        if reference.digest and digests.of(manifests[-1]) != reference.digest:
            raise BadArchive(f"broken archive: the manifest has the digest {digests.of(manifests[-1])}")
        signatures: list[bytes] = []
        if self._trust is not None:
            digest = digests.of(manifests[0])
            signatures = self._trust.registry_image(reference, manifests[0], digest, self.request.settings, endpoint)
        data = self.config(own.config, endpoint, limit)
        config = manifest.parse_config(data)
        manifest.match_layers(config, own)
        return Remote(
            endpoint=endpoint, own=own, manifests=manifests, signatures=signatures, data=data, config=config
        )

    def config(self, wanted: Descriptor, endpoint: Endpoint, limit: int) -> bytes:
        """The image's config: the store's, if it has the image."""
        for image in self.store.images():
            if f"sha256:{image.id}" == wanted.digest:
                try:
                    return manifest.check(self.store.image_data(image, wanted.digest), wanted, "config")
                except (StorageError, BadArchive):
                    break  # it is damaged: fetched again
        if wanted.size > limit:
            raise BadArchive(
                f"broken archive: config {wanted.digest} has {wanted.size} bytes, at most {limit} may be"
            )
        body = endpoint.client.open_blob(endpoint.repository, wanted.digest, size=wanted.size)
        try:
            pieces = []
            total = 0
            while piece := body.read(1 << 16):
                total += len(piece)
                if total > limit:
                    raise BadArchive(f"broken archive: config {wanted.digest} has more than {limit} bytes")
                pieces.append(piece)
        finally:
            body.close()
        return manifest.check(b"".join(pieces), wanted, "config")

    def _image(self, reference: Reference, endpoint: Endpoint) -> Image:
        from storage import fetch

        found = self._remote(reference, endpoint)
        blobs = []
        for layer, diff_id in zip(found.own.layers, found.config.diff_ids, strict=True):
            if layer.media_type.endswith("+encrypted"):
                raise BadArchive(f"layer {layer.digest} is encrypted, which is not supported")
            blobs.append(
                fetch.LayerBlob(
                    digest=layer.digest,
                    size=layer.size,
                    media_type=layer.media_type,
                    diff_id=diff_id,
                    urls=layer.urls,
                )
            )

        def open_(blob: LayerBlob, offset: int) -> Body:
            return endpoint.client.open_blob(
                endpoint.repository, blob.digest, offset=offset, size=blob.size, urls=blob.urls
            )

        self._warn(reference, found)
        image = fetch.fetch(
            self.store,
            blobs,
            open_,
            config=found.data,
            manifests=found.manifests,
            names=[references.complete(reference)],
            created=found.config.created,
            signatures=found.signatures,
            progress=self._progress,
        )
        # A push to this registry need not send them again.
        blob_cache.note_image(self.store, image, f"{endpoint.client.host}/{endpoint.repository}")
        return image

    def _warn(self, reference: Reference, found: Remote) -> None:
        """An image without an index is for whatever it is for."""
        wanted = self.request.platform or platforms.here()
        document = found.config.document
        its = platforms.Platform(
            os=document.get("os") or wanted.os,
            architecture=document.get("architecture") or wanted.architecture,
            variant=document.get("variant") or "",
        )
        if (its.os, its.architecture) != (wanted.os, wanted.architecture):
            self._progress.say(
                f"WARNING: image platform ({its}) of {reference} does not match the expected platform ({wanted})"
            )


def _told(error: PypodError, reference: Reference, mirrors: Sequence[str]) -> PypodError:
    """The error with the name of the image, in podman's words."""
    message = error.message.removeprefix("broken archive: ")
    if len(message) != len(error.message):
        message = f"broken image: {message}"
    also = f"(Mirrors also failed: {' '.join(mirrors)}): " if mirrors else ""
    error.message = f"initializing source docker://{show(str(reference), 400)}: {also}{message}"
    return error
