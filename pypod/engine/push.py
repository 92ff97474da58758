"""``push``: an image from the store to a registry, an archive, a directory or another store."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.engine import image_save, images, rootless, transports
from pypod.errors import PypodError, UsageError, reason
from pypod.oci import manifest_write
from pypod.oci import reference as references
from storage import signatures, squeeze
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from pypod.engine.transports import Transport
    from pypod.oci.reference import Reference
    from pypod.registry.settings import Settings
    from storage.progress import Progress
    from storage.records import Image
    from storage.squeeze import Packing
    from storage.store import Store

_KINDS = {"oci": manifest_write.OCI, "v2s2": manifest_write.DOCKER}


@record
class Wish:
    """What the user asks of a push, checked: podman-push(1)'s flags.

    ``kind``: the manifest's media type, "" for the image's own. ``packing``: None where nobody chose one.
    """

    kind: str = ""
    packing: Packing | None = None
    force: bool = False
    compress: bool = False  # for dir:
    sign_by: str = ""
    sign_passphrase_file: str = ""
    remove_signatures: bool = False


def wish(
    conf: Mapping[str, Any],
    *,
    format: str = "",
    compression_format: str = "",
    compression_level: int | None = None,
    force_compression: bool | None = None,
    compress: bool = False,
    sign_by: str = "",
    sign_passphrase_file: str = "",
    remove_signatures: bool = False,
) -> Wish:
    """Check the flags before anything is done; ``conf`` is containers.conf's table ``engine``.

    Raises UsageError.
    """
    if format == "v2s1":
        raise UsageError("manifests of Docker's schema 1 are not written: no registry needs them", hint="use v2s2")
    if format and format not in _KINDS:
        raise UsageError(f"unknown format \"{format}\". Choose one of the supported formats: 'oci' or 'v2s2'")
    packing = None
    named = compression_format or str(conf.get("compression_format") or "")
    if compression_level is None and type(conf.get("compression_level")) is int:
        compression_level = conf["compression_level"]
    if named or compression_level is not None:
        packing = squeeze.Packing(format=named or "gzip", level=compression_level)
        squeeze.check(packing)
    kind = _KINDS.get(format, "")
    if packing is not None:
        manifest_write.choose_kind(kind, kind or manifest_write.OCI, packing.format)
    return Wish(
        kind=kind,
        packing=packing,
        force=bool(compression_format) if force_compression is None else force_compression,
        compress=compress,
        sign_by=sign_by,
        sign_passphrase_file=sign_passphrase_file,
        remove_signatures=remove_signatures,
    )


def destination_of(image: Image, typed: str, given: str) -> Transport:
    """Where an image goes that the user called ``typed``: to what is ``given``, or else to where its name says.

    Raises UsageError.
    """
    if given:
        return transports.parse(given)
    name = images.resolved_name(image, typed)
    if name not in image.names or image.id.startswith(typed.removeprefix("sha256:")):
        raise UsageError(f"cannot push {typed}: an ID says no destination", hint="give one: pypod push IMAGE NAME")
    if name.startswith("localhost/"):
        raise UsageError(
            f"cannot push {name}: the name has no registry",
            hint=f"give a destination: pypod push {typed} REGISTRY/{name.removeprefix('localhost/')}",
        )
    return transports.parse(f"docker://{name}")


def _named(to: Transport) -> bool:
    """Whether it is a registry's."""
    return to.kind in ("", "docker")


def push(
    context: Context,
    store: Store,
    typed: str,
    given: str,
    wanted: Wish,
    settings: Settings,
    *,
    progress: Progress = SILENT,
) -> str:
    """Push the image that the user called ``typed`` to the destination ``given`` (see ``destination_of``).

    Enters the user namespace. Returns the digest of the manifest there. Raises NoSuchImage, RegistryError,
    UsageError, InUse, StorageError, PypodError.
    """
    image = store.find_image(typed, lists=True)
    to = destination_of(image, typed, given)
    if image.is_list and _named(to):
        from pypod.engine import manifest_push

        return manifest_push.push_list(context, store, typed, given, wanted, settings, progress=progress)
    if image.is_list:
        image = store.find_image(typed)  # archives and directories hold one image
    if wanted.compress and to.kind != "dir":
        raise UsageError("--compress can be set only when pushing to dir:")
    if wanted.sign_by and not _named(to):
        raise UsageError(f"--sign-by is for registries: signatures have no place in {to.kind}:")
    kept = [] if wanted.remove_signatures else signatures.read(image)
    if _named(to):
        return _to_registry(context, store, image, place(to.rest), wanted, kept, settings, progress)
    if kept and to.kind != "dir":
        raise _unfit(f"signatures have no place in {to}")
    progress.say("Getting image source signatures")
    if to.kind == "containers-storage":
        from pypod.engine import push_store

        return push_store.push(context, store, image, to.rest, progress=progress)
    return _to_files(context, store, image, to, wanted, kept, progress)


def _unfit(why: str) -> PypodError:
    return PypodError(
        f"cannot push the image with its signatures: {why}", hint="leave them behind with --remove-signatures"
    )


def place(text: str) -> Reference:
    """The place in a registry: with a tag, "latest" if none is given.

    Raises PypodError.
    """
    try:
        return references.parse(references.normalise(text, "docker.io"))
    except references.BadReference as error:
        raise PypodError(f'invalid destination "docker://{text}": {error.message}') from None


def _to_registry(
    context: Context,
    store: Store,
    image: Image,
    reference: Reference,
    wanted: Wish,
    kept: Sequence[bytes],
    settings: Settings,
    progress: Progress,
) -> str:
    """``kept`` are the signatures that the image has, and shall have there too."""
    from contextlib import ExitStack

    from pypod.engine import push_registry
    from pypod.registry import endpoints, lookaside

    made: dict[str, bytes] = {}

    def accept(digest: str) -> None:
        """Before the manifest is sent: what cannot be signed is not there then."""
        if kept and digest != image.manifest_digest:
            raise _unfit("they are for another manifest than the one that it gets there")
        if signer is not None:
            progress.say("Creating signature: Signing image using simple signing")
            made[digest] = signer.sign(digest, str(reference))

    with ExitStack() as stack:
        signer = None
        if wanted.sign_by:
            from pypod.registry.signing import Signer

            if not reference.tag:
                raise UsageError(f"cannot sign {reference}: what is signed is a name with a tag")
            # Before the user namespace: see Signer.
            signer = stack.enter_context(Signer(wanted.sign_by, wanted.sign_passphrase_file))
        if signer or kept:
            lookaside.check_writable(reference, kept)
        rootless.enter_user(context)
        endpoint = endpoints.for_push(reference, settings, on_retry=progress.say)
        stack.enter_context(endpoint.client)
        progress.say("Getting image source signatures")
        pushed = push_registry.push(
            store,
            image,
            endpoint,
            reference.digest or reference.tag,
            form=push_registry.Form(kind=wanted.kind, packing=wanted.packing or squeeze.GZIP, force=wanted.force),
            accept=accept,
            progress=progress,
        )
        if signer or kept:
            progress.say("Storing signatures")
            lookaside.write(reference, pushed.digest, [*kept, *([made[pushed.digest]] if signer else [])])
    return pushed.digest


_FORMATS = {"docker-archive": "docker-archive", "oci": "oci-dir", "oci-archive": "oci-archive", "dir": "docker-dir"}


def _to_files(
    context: Context,
    store: Store,
    image: Image,
    to: Transport,
    wanted: Wish,
    kept: Sequence[bytes],
    progress: Progress,
) -> str:
    names = _names(image, to)
    packing = wanted.packing
    kind = wanted.kind
    if to.kind == "docker-archive":
        if kind == manifest_write.OCI:
            raise UsageError("a docker-archive holds manifests of Docker's schema 2: --format=oci has no place there")
        packing = squeeze.PLAIN
    elif to.kind == "dir":
        packing = (packing or squeeze.GZIP) if wanted.compress or wanted.force else squeeze.PLAIN
    else:
        if kind == manifest_write.DOCKER:
            raise UsageError("an OCI layout holds OCI manifests: --format=v2s2 has no place there")
        packing = packing or squeeze.GZIP
    return image_save.write(
        context,
        store,
        [(image, names)],
        to.path,
        _FORMATS[to.kind],
        packing=packing,
        kind=kind,
        signatures=kept,
        progress=progress,
    )


def _names(image: Image, to: Transport) -> Sequence[str]:
    """The names that the image gets in an archive or layout (containers-transports(5)).

    Raises PypodError.
    """
    if to.kind != "docker-archive":
        return [to.reference] if to.reference else ()
    if to.reference.startswith("@"):
        raise UsageError(f'invalid destination "{to}": an index is for reading')
    if not to.reference:
        return image.names
    try:
        full = references.parse(references.normalise(to.reference, "docker.io"))
    except references.BadReference as error:
        raise PypodError(f'invalid destination "{to}": {error.message}') from None
    if full.digest:
        raise UsageError(f'invalid destination "{to}": a docker-archive knows tags, not digests')
    return list(dict.fromkeys([str(full), *image.names]))


def check_digest_file(path: str) -> None:
    """Refuse a --digestfile that cannot be written before anything is sent. Raises PypodError."""
    directory = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.access(directory, os.W_OK | os.X_OK):
        cause = "Is a directory" if os.path.isdir(path) else "Permission denied"
        if not os.path.isdir(directory):
            cause = "No such file or directory"
        raise PypodError(f"cannot write {path}: {cause}")


def write_digest_file(path: str, digest: str) -> None:
    """Raises PypodError."""
    from pypod.base import files

    try:
        files.deliver(path, digest.encode())
    except OSError as error:
        raise PypodError(f"cannot write {path}: {reason(error)}") from None
