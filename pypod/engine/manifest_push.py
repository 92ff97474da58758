"""``manifest push``: a list and its images to a registry, or into a directory.

An image goes from where the list says that it is: from the store, or from its registry without a stop here. It keeps
its manifest where that is possible; if not, the list that is sent has the digest that it got.
"""

from __future__ import annotations

import copy

from pypod.base.record import replace
from pypod.base.text import show
from pypod.engine import list_files, manifest_lists, manifest_source, push, rootless, transports
from pypod.errors import PypodError, RegistryError, UsageError
from pypod.oci import manifest_list
from pypod.oci import reference as references
from pypod.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from storage import lists, signatures, squeeze
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from pypod.engine.push import Wish
    from pypod.oci.reference import Reference
    from pypod.registry.endpoints import Endpoint
    from pypod.registry.settings import Settings
    from storage.lists import Content
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store

_LISTS = {OCI_MANIFEST: OCI_INDEX, DOCKER_MANIFEST: DOCKER_LIST}


def push_list(
    context: Context,
    store: Store,
    typed: str,
    given: str,
    wanted: Wish,
    settings: Settings,
    *,
    everything: bool = True,
    progress: Progress = SILENT,
) -> str:
    """Push the list that the user called ``typed`` to ``given``, or where its name says; its digest there.

    Without ``everything`` its images must be there. ``wanted.kind`` is the media type of image manifests: of Docker's
    all images are made, if it is that. Enters the user namespace. Raises NoSuchImage, RegistryError, UsageError,
    PolicyError, StorageError, PypodError.
    """
    from contextlib import ExitStack

    image = manifest_lists.find(store, typed)
    to = push.destination_of(image, typed, given)
    reference: Reference | None = None
    if to.kind in ("", "docker"):
        reference = push.place(to.rest)
        if not reference.tag:
            raise UsageError(f"cannot push a list to {reference}: it needs a tag")
    else:
        list_files.refuse(to, bool(wanted.sign_by))
    content = lists.content(image)
    with ExitStack() as stack:
        signer = None
        if wanted.sign_by:
            from pypod.registry.signing import Signer

            signer = stack.enter_context(Signer(wanted.sign_by, wanted.sign_passphrase_file))
        rootless.enter_user(context)
        from pypod.registry import endpoints, lookaside

        if reference is None:
            endpoint = list_files.endpoint(stack, to, wanted.kind)
            wanted = _for_files(to, wanted)
        else:
            if signer is not None:
                lookaside.check_writable(reference)
            endpoint = endpoints.for_push(reference, settings, on_retry=progress.say)
            stack.enter_context(endpoint.client)
        # Credentials are the destination's: no other registry may see them.
        others = replace(settings, creds="", cert_dir="")
        near = stack.enter_context(manifest_source.Sources(context, store, settings, progress))
        far = stack.enter_context(manifest_source.Sources(context, store, others, progress))
        # An index may hold manifests of Docker's (but in a layout), and not the other way round.
        strict = wanted.kind if wanted.kind == DOCKER_MANIFEST or to.kind == "oci" else ""
        work = _Work(store, near, far, reference, endpoint, wanted, strict, progress)
        document = copy.deepcopy(content.document)
        entries = document["manifests"]
        progress.say("Getting image list signatures")
        progress.say(f"Copying {len(entries) if everything else 0} of {len(entries)} images in list")
        made: dict[str, list[bytes]] = {}
        for number, entry in enumerate(entries if everything else ()):
            digest = entry["digest"]
            progress.say(f"Copying image {digest} ({number + 1}/{len(entries)})")
            kept = work.image(content, entry)
            if kept and reference is not None:
                lookaside.check_writable(reference, kept)
            made[entry["digest"]] = kept
        data, kind = _written(document, wanted.kind)
        progress.say("Writing manifest list to image destination")
        tag = reference.tag if reference is not None else ""
        digest = endpoint.client.put_manifest(endpoint.repository, tag, data, kind)
        made[digest] = []
        progress.say("Storing list signatures")
        for known, kept in made.items():
            if signer is not None:
                progress.say("Creating signature: Signing image using simple signing")
                kept.append(signer.sign(known, str(reference)))
            if reference is not None:
                lookaside.write(reference, known, kept)
    return str(digest)


def _for_files(to: transports.Transport, wanted: Wish) -> Wish:
    """An OCI layout holds OCI's manifests alone; "dir" has the layers as they are, if nobody wants others."""
    if to.kind == "oci":
        return replace(wanted, kind=OCI_MANIFEST)
    return replace(wanted, packing=wanted.packing or squeeze.PLAIN)


def _written(document: manifest_list.Document, kind: str) -> tuple[bytes, str]:
    """The bytes and the media type of the list."""
    wanted = _LISTS[kind] if kind else manifest_list.kind_of(document)
    return manifest_list.dump(document, wanted), wanted


class _Work:
    """The images of one list on their way to one repository."""

    def __init__(
        self,
        store: Store,
        near: manifest_source.Sources,
        far: manifest_source.Sources,
        reference: Reference | None,
        endpoint: Endpoint,
        wanted: Wish,
        kind: str,
        progress: Progress,
    ) -> None:
        self.store = store
        self.near = near  # what reads the registry that is pushed to
        self.far = far  # and others
        self.reference = reference
        self.endpoint = endpoint
        self.wanted = wanted
        self.kind = kind  # what manifests must be, "" for what they are
        self.progress = progress

    def image(self, content: Content, entry: dict[str, Any]) -> list[bytes]:
        """Have an image in the repository; ``entry`` says then what it is there. The signatures that go with it."""
        digest = entry["digest"]
        source = content.sources.get(digest, "")
        local = lists.find_instance(self.store, digest)
        place = transports.parse(source) if source else transports.Transport(kind="", rest="")
        self.progress.say("Getting image source signatures")
        if place.kind == "docker":
            try:
                return self._remote(place, entry)
            except RegistryError as error:
                if local is None:
                    raise
                self.progress.say(f"{error.message}: taking the image from the store")
        if local is None:
            raise PypodError(
                f"image {digest} of the list is not in the store any more"
                if place.kind in ("", "containers-storage")
                else f"image {digest} of the list is at {show(source)}, from where no image can be pushed"
            )
        return self._local(local, entry)

    def _local(self, image: Image, entry: dict[str, Any]) -> list[bytes]:
        from pypod.engine import push_registry

        kept = [] if self.wanted.remove_signatures else signatures.read(image, entry["digest"])
        pushed = push_registry.push(
            self.store,
            image,
            self.endpoint,
            "",
            form=push_registry.Form(
                kind=self.kind, packing=self.wanted.packing or squeeze.GZIP, force=self.wanted.force
            ),
            accept=self._accept(entry["digest"], kept),
            progress=self.progress,
        )
        entry.update(mediaType=pushed.media_type, digest=pushed.digest, size=len(pushed.data))
        return kept

    def _remote(self, place: transports.Transport, entry: dict[str, Any]) -> list[bytes]:
        from pypod.engine import registry_copy

        named = references.parse(place.rest)
        pinned = references.Reference(domain=named.domain, path=named.path, digest=entry["digest"])

        def ask(endpoint: Endpoint) -> tuple[Endpoint, bytes, str]:
            limit = self.store.limits.max_manifest_size or (1 << 30)
            answer = endpoint.client.manifest(endpoint.repository, pinned.digest, limit=limit)
            return endpoint, answer.data, answer.media_type

        sources = self.near if self.reference is not None and named.domain == self.reference.domain else self.far
        endpoint, data, media_type = sources.work.somewhere(pinned, ask)
        kept = sources.allowed(named, data, endpoint)
        if self.wanted.remove_signatures:
            kept = []
        packing = self.wanted.packing
        copied = registry_copy.copy(
            self.store,
            endpoint,
            data,
            media_type,
            self.endpoint,
            kind=self.kind,
            compression=packing.format.partition(":")[0] if packing is not None and self.wanted.force else "",
            accept=self._accept(entry["digest"], kept),
            progress=self.progress,
        )
        entry.update(mediaType=copied.media_type, digest=copied.digest, size=len(copied.data))
        return list(kept)

    def _accept(self, digest: str, kept: Sequence[bytes]) -> Callable[[str], None]:
        """What is asked before a manifest is sent; that signatures can be written is seen at once."""
        if kept and self.reference is None:
            raise PypodError(
                f"cannot push image {digest} with its signatures: they have no place in {self.endpoint.location}",
                hint="leave them behind with --remove-signatures",
            )
        if kept and self.reference is not None:
            from pypod.registry import lookaside

            lookaside.check_writable(self.reference, kept)

        def accept(written: str) -> None:
            if kept and written != digest:
                raise PypodError(
                    f"cannot push image {digest} with its signatures: it gets another manifest",
                    hint="leave them behind with --remove-signatures",
                )

        return accept
