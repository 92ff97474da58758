"""sigstore signatures that are attached to images in a registry, as cosign does it: fetched, kept and verified.

The manifest sha256:HEX has its signatures under the tag sha256-HEX.sig: an OCI manifest, each layer of which is a
signed text, with the signature in an annotation. Here, in "dir" directories and in the store, one signature is
"\\0sigstore-json\\n" and a JSON object (containers/image's format).
"""

from __future__ import annotations

import os
import tempfile

from pypod.base import fastjson, files, process
from pypod.errors import BadArchive, NotThere, PolicyError, RegistryError, reason
from pypod.oci import digest as digests
from pypod.oci import manifest
from pypod.registry import payload, strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.registry.client import Client
    from pypod.registry.payload import Claim

BEGIN = b"\0sigstore-json\n"
MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
_MOST = 128  # signatures
_MOST_TEXT = 1 << 20  # bytes of a signed text


def fetch(client: Client, repository: str, digest: str) -> list[bytes]:
    """The signatures of the manifest ``digest``. Raises RegistryError."""
    if not digests.valid(digest):
        raise RegistryError(f"cannot find signatures: {digest[:100]!r} is not a digest")
    tag = f"{digest.replace(':', '-', 1)}.sig"
    what = f"reading signatures {tag} in {client.host}/{repository}"
    try:
        answer = client.manifest(repository, tag)
    except NotThere:
        return []
    try:
        found = manifest.parse(answer.data, answer.media_type)
        if not isinstance(found, manifest.Manifest):
            raise BadArchive("it is an index")
        if len(found.layers) > _MOST:
            raise BadArchive(f"more than {_MOST} signatures")
        result = []
        for layer in found.layers:
            if layer.size < 0 or layer.size > _MOST_TEXT:
                raise BadArchive(f"a signed text has {layer.size} bytes")
            body = client.open_blob(repository, layer.digest, size=layer.size)
            try:
                text = b""
                while piece := body.read(_MOST_TEXT):
                    text += piece
            finally:
                body.close()
            manifest.check(text, layer, "signed text")
            result.append(_kept(layer.media_type, text, dict(layer.annotations)))
        return result
    except BadArchive as error:
        raise RegistryError(f"{what}: {error.message}") from None


def _kept(media_type: str, text: bytes, annotations: dict[str, str]) -> bytes:
    import base64

    document = {"mimeType": media_type, "payload": base64.b64encode(text).decode(), "annotations": annotations}
    return BEGIN + fastjson.dumps(document).encode()


def verify(signature: bytes, key: bytes) -> Claim:
    """What a kept signature says, if ``key`` (a PEM public key) has made it.

    Raises PolicyError.
    """
    import base64

    try:
        document = strict.loads(signature.removeprefix(BEGIN))
        media_type = strict.a_string(document.get("mimeType"), "mimeType")
        text = base64.b64decode(strict.a_string(document.get("payload"), "payload"), validate=True)
        annotations = strict.an_object(document.get("annotations") or {}, "annotations")
        if media_type != MEDIA_TYPE:
            raise strict.BadDocument(f"unrecognized sigstore signature type {strict.shown(media_type)}")
        if ANNOTATION not in annotations:
            raise strict.BadDocument(f"missing {ANNOTATION} annotation")
        made = base64.b64decode(strict.a_string(annotations[ANNOTATION], ANNOTATION), validate=True)
    except ValueError as error:  # of base64, too
        raise PolicyError(f"Invalid signature: {error}") from None
    if len(made) > 4096 or len(text) > _MOST_TEXT:
        raise PolicyError("Invalid signature: it is too large")
    if not _openssl(text, made, key):
        raise PolicyError("Invalid signature: cryptographic signature verification failed")
    return payload.read(text, payload.SIGSTORE)


def _openssl(text: bytes, made: bytes, key: bytes) -> bool:
    """Whether openssl finds that ``made`` is a signature of ``text`` by ``key``."""
    program = process.find("openssl")
    if program is None:
        raise PolicyError("cannot find openssl, which checks sigstore signatures", hint="apt install openssl")
    if b"-----BEGIN PUBLIC KEY-----" not in key:
        raise PolicyError("cannot use the key of the policy: it is not a PEM public key")
    env = {"PATH": process.DEFAULT_PATH, "LC_ALL": "C", "OPENSSL_CONF": "/dev/null"}
    try:
        with tempfile.TemporaryDirectory(prefix="pypod-sigstore-") as place:
            for name, data in (("key", key), ("text", text), ("made", made)):
                files.replace(f"{place}/{name}", data)
            at = [os.path.join(place, name) for name in ("key", "text", "made")]
            shown = process.run([program, "pkey", "-pubin", "-in", at[0], "-noout", "-text_pub"], env=env, stdin=-1)
            if shown.status:
                raise PolicyError("cannot use the key of the policy: openssl does not read it")
            argv = [
                program,
                "pkeyutl",
                "-verify",
                "-pubin",
                "-inkey",
                at[0],
                "-rawin",
                "-in",
                at[1],
                "-sigfile",
                at[2],
            ]
            if not shown.stdout.startswith((b"ED25519", b"ED448")):
                argv += ["-digest", "sha256"]
            return process.run(argv, env=env, stdin=-1).status == 0
    except OSError as error:
        raise PolicyError(f"cannot run {program}: {reason(error)}") from None
