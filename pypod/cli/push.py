"""``push``: an image to a registry, an archive, a directory or another store."""

from __future__ import annotations

from pypod.cli import progress, registry_settings, targets
from pypod.engine import events, push
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context

_REFUSED = {
    "encrypt_layer": "--encrypt-layer is not supported: layers are not encrypted",
    "encryption_key": "--encryption-key is not supported: layers are not encrypted",
    "sign_by_sigstore": "--sign-by-sigstore is not supported: sign with --sign-by, or with cosign after the push",
    "sign_by_sigstore_private_key": "--sign-by-sigstore-private-key is not supported: sign with --sign-by, or with "
    "cosign after the push",
    "sign_by_sq_fingerprint": "--sign-by-sq-fingerprint is not supported: sign with --sign-by",
    "signature_policy": "--signature-policy is not supported: what is in the store is not checked again",
}


def run(invocation: Invocation) -> int:
    options = invocation.options
    options.pop("disable_content_trust")  # Docker's, and nothing for podman either
    check(options)
    context, store = targets.open_engine(invocation)
    wish = wish_of(context, options)
    settings = registry_settings.of(options)
    source, destination = [*invocation.args, ""][:2]
    if options["digestfile"]:
        push.check_digest_file(options["digestfile"])
    with progress.watch(quiet=options["quiet"], form=options["progress"]) as seen:
        digest = push.push(context, store, source, destination, wish, settings, progress=seen)
    events.image(context, "push", store.find_image(source, lists=True).id, destination or source)
    if options["digestfile"]:
        push.write_digest_file(options["digestfile"], digest)
    return 0


def check(options: Mapping[str, Any]) -> None:
    """Refuse the flags of ``push`` and ``manifest push`` that are not supported. Raises UsageError."""
    for key, why in _REFUSED.items():
        if options.get(key):
            raise UsageError(why)
    if options["sign_passphrase_file"] and not options["sign_by"]:
        raise UsageError("--sign-passphrase-file needs --sign-by")


def wish_of(context: Context, options: Mapping[str, Any]) -> push.Wish:
    """What these two ask of a push. Raises UsageError."""
    return push.wish(
        context.engine,
        format=options["format"] or "",
        compression_format=options["compression_format"] or "",
        compression_level=options["compression_level"],
        force_compression=options["force_compression"],
        compress=options.get("compress", False),
        sign_by=options["sign_by"] or "",
        sign_passphrase_file=options["sign_passphrase_file"] or "",
        remove_signatures=options["remove_signatures"],
    )
