"""sigstore signatures, as containers/image keeps them, checked by the real openssl."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pypod.errors import PolicyError
from pypod.oci import digest as digests
from pypod.oci import reference
from pypod.registry import policy, policy_file, sigstore
from support import box

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = digests.of(MANIFEST)
NAME = "registry.example.com/ns/app:1"
KINDS = {
    "ec": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "ed": ("ED25519",),
}


def openssl(*arguments: str | Path) -> None:
    subprocess.run([box.need("openssl"), *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    for name, options in KINDS.items():
        openssl("genpkey", "-algorithm", *options, "-out", made / name)
        openssl("pkey", "-in", made / name, "-pubout", "-out", made / f"{name}.pub")
    return made


def text(kind: str = "cosign container image signature", optional: object = None, name: str = NAME) -> bytes:
    critical = {
        "type": kind,
        "image": {"docker-manifest-digest": DIGEST},
        "identity": {"docker-reference": name},
    }
    return json.dumps({"critical": critical, "optional": optional}).encode()


def signed(place: Path, signs: bytes, key: str = "ec", shows: bytes | None = None, **changes: Any) -> bytes:
    (place / "in").write_bytes(signs)
    hashed = [] if key == "ed" else ["-digest", "sha256"]
    openssl("pkeyutl", "-sign", "-inkey", place / key, "-rawin", "-in", place / "in", *hashed, "-out", place / "out")
    document = {
        "mimeType": sigstore.MEDIA_TYPE,
        "payload": base64.b64encode(shows or signs).decode(),
        "annotations": {sigstore.ANNOTATION: base64.b64encode((place / "out").read_bytes()).decode()},
    }
    return sigstore.BEGIN + json.dumps(document | changes).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_good(place: Path, kind: str) -> None:
    key = (place / f"{kind}.pub").read_bytes()
    claim = sigstore.verify(signed(place, text(), kind), key)
    assert (claim.digest, claim.reference) == (DIGEST, NAME)
    assert sigstore.verify(signed(place, text(optional={"creator": "x"}), kind), key).reference == NAME
    for other in set(KINDS) - {kind}:
        with pytest.raises(PolicyError, match="cryptographic signature verification failed"):
            sigstore.verify(signed(place, text(), other), key)


def test_bad(place: Path) -> None:
    key = (place / "ec.pub").read_bytes()
    for signature, message in (
        (signed(place, text(), shows=text(name="evil.io/x:1")), "cryptographic signature verification failed"),
        (signed(place, text(), annotations={}), "missing dev.cosignproject.cosign/signature"),
        (signed(place, text(), annotations={sigstore.ANNOTATION: "!"}), "Invalid signature"),
        (signed(place, text(), mimeType="text/plain"), "unrecognized sigstore signature type"),
        (signed(place, text(), payload=5), "not a string"),
        (signed(place, text("atomic container signature")), "Unrecognized signature type"),
        (sigstore.BEGIN + b"[]", "not a JSON object"),
    ):
        with pytest.raises(PolicyError, match=message):
            sigstore.verify(signature, key)
    for bad in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", (place / "ec").read_bytes()):
        with pytest.raises(PolicyError, match="cannot use the key of the policy"):
            sigstore.verify(signed(place, text()), bad)


def test_policies(place: Path) -> None:
    requirement = {"type": "sigstoreSigned", "keyPath": str(place / "ec.pub")}
    rules = policy.Policy(policy_file.parse({"default": [requirement]}, "policy.json"))
    image = reference.parse(NAME)
    good = signed(place, text())
    rules.check("docker", image, MANIFEST, lambda: [b"\xa3", good])
    for signatures, manifest, message in (
        ([b"\xa3"], MANIFEST, "A signature was required, but no signature exists"),
        ([good], MANIFEST + b" ", f"Signature for digest {DIGEST} does not match"),
        ([signed(place, text(name="x.io/y:1"))], MANIFEST, "Signature for identity x.io/y:1 is not accepted"),
        ([signed(place, text(), "rsa")], MANIFEST, "cryptographic signature verification failed"),
    ):
        with pytest.raises(PolicyError, match=f"^Source image rejected: .*{message}"):
            rules.check("docker", image, manifest, lambda signatures=signatures: signatures)  # type: ignore[misc]
