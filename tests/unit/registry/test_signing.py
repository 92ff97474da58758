"""Signatures, good and hostile ones, by the real gpg (containers-signature(5))."""

from __future__ import annotations

import bz2
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pypod.errors import PolicyError
from pypod.oci import digest as digests
from pypod.oci import reference
from pypod.registry import gpg, payload, policy, policy_file, signing
from support.gpg_keys import LONG_AGO, Keys
from support.leaks import children, cmdline

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = digests.of(MANIFEST)
NAME = "registry.example.com/ns/app:1"


def text(**changes: Any) -> bytes:
    """What is signed, with changes: None takes a key away."""
    critical: dict[str, Any] = {
        "type": "atomic container signature",
        "image": {"docker-manifest-digest": DIGEST},
        "identity": {"docker-reference": NAME},
    }
    document = {"critical": critical, "optional": {"creator": "x", "timestamp": 1}}
    for key, value in changes.items():
        place = critical if key in critical else document
        if value is None:
            del place[key]
        else:
            place[key] = value
    return json.dumps(document).encode()


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    made = Keys()
    made.make("ann@x.test")
    made.make("bob@x.test", kind="rsa2048")
    made.make("old@x.test", "--faked-system-time", LONG_AGO, expires="1y")
    made.make("past@x.test", "--faked-system-time", LONG_AGO)
    made.make("lost@x.test")
    yield made
    made.close()


@pytest.fixture
def verify(keys: Keys) -> Callable[..., payload.Claim]:
    def call(signature: bytes, *names: str) -> payload.Claim:
        with signing.Verifier([keys.public(name) for name in names or ("ann@x.test",)]) as verifier:
            return verifier.verify(signature)

    return call


@pytest.fixture
def signer(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Callable[..., signing.Signer]:
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    return signing.Signer


def test_what_is_signed_is_verified(signer: Any, verify: Any, keys: Keys) -> None:
    for name in ("ann@x.test", "bob@x.test"):
        with signer(name) as signs:
            signature = signs.sign(DIGEST, NAME)
            assert verify(signs.sign(digests.of(b"2"), NAME), name).digest == digests.of(b"2")
        assert verify(signature, name) == payload.Claim(digest=DIGEST, reference=NAME, key=keys.fingerprint(name))
        document = json.loads(keys.gpg("--decrypt", text=signature))
        assert document["optional"]["creator"].startswith("pypod ")
        assert document["critical"] == json.loads(text())["critical"]


def test_binary_keyrings_and_several(keys: Keys) -> None:
    both = keys.public("bob@x.test", "ann@x.test", armor=False)
    with signing.Verifier([keys.public("lost@x.test"), both]) as verifier:
        assert verifier.verify(keys.sign("ann@x.test", text())).key == keys.fingerprint("ann@x.test")


def test_a_secret_keyring_serves_by_its_public_keys(keys: Keys) -> None:
    ring = keys.gpg("--pinentry-mode", "loopback", "--passphrase", "", "--export-secret-keys", "ann@x.test")
    with signing.Verifier([ring]) as verifier:
        assert verifier.verify(keys.sign("ann@x.test", text())).reference == NAME


@pytest.mark.parametrize("ring", [b"", b"no key", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n"])
def test_no_keys(ring: bytes) -> None:
    with pytest.raises(PolicyError, match="No public keys imported"):
        signing.Verifier([ring])


def test_other_keys_are_refused(keys: Keys, verify: Any) -> None:
    with pytest.raises(
        PolicyError, match="^Invalid GPG signature: it is by key [0-9A-F]+, which the policy does not"
    ):
        verify(keys.sign("bob@x.test", text()))


def test_expired_and_revoked(keys: Keys, verify: Any) -> None:
    then = keys.sign("old@x.test", text(), "--faked-system-time", LONG_AGO)
    with pytest.raises(PolicyError, match="Invalid GPG signature: its key has expired"):
        verify(then, "old@x.test")
    past = ("--faked-system-time", LONG_AGO)
    short = keys.sign("past@x.test", text(), *past, "--default-sig-expire", "1d")
    with pytest.raises(PolicyError, match="Invalid GPG signature: it has expired"):
        verify(short, "past@x.test")
    assert verify(keys.sign("past@x.test", text(), *past), "past@x.test").reference == NAME
    signature = keys.sign("lost@x.test", text())
    assert verify(signature, "lost@x.test").reference == NAME
    keys.revoke("lost@x.test")
    with pytest.raises(PolicyError, match="Invalid GPG signature: its key has been revoked"):
        verify(signature, "lost@x.test")


def test_hostile_messages(keys: Keys, verify: Any) -> None:
    plain = ("--compress-algo", "none")
    good = keys.sign("ann@x.test", text(), *plain)
    other = keys.sign("ann@x.test", text(identity={"docker-reference": "evil.io/x:1"}), *plain)
    foreign = keys.sign("bob@x.test", text(identity={"docker-reference": "evil.io/x:1"}), *plain)
    assert verify(good).reference == NAME
    literal = keys.gpg("--store", text=text())
    hostile = {
        "nothing": b"",
        "noise": b"\xa3" + os.urandom(500),
        "cut": good[:-40],
        "changed": good.replace(b"example", b"exbmple"),
        "unsigned": literal,
        "armored": keys.sign("ann@x.test", text(), "--armor"),
        "clear-signed": keys.gpg("--local-user", "ann@x.test", "--clear-sign", text=text()),
        "detached": keys.gpg("--local-user", "ann@x.test", "--detach-sign", text=text()),
        "two signers": keys.sign("ann@x.test", text(), "--local-user", "bob@x.test"),
        "two messages": good + other,
        "a foreign message behind": good + foreign,
        "a foreign message before": foreign + good,
        "unsigned text before": literal + good,
        "unsigned text behind": good + literal,
        "a signature of a signature": keys.sign("ann@x.test", good),
        "a foreign signature of a signature": keys.sign("bob@x.test", good),
        "a key": keys.public("ann@x.test", armor=False),
        "no JSON": keys.sign("ann@x.test", b"hello"),
        "large": good + bytes(signing.MOST),
    }
    for name, message in hostile.items():
        with pytest.raises(PolicyError) as caught:
            print(name, verify(message))
        assert len(caught.value.message) < 300 and caught.value.message.isprintable(), name


def test_encrypted(keys: Keys, verify: Any) -> None:
    message = keys.gpg("--symmetric", "--pinentry-mode", "loopback", "--passphrase", "x", text=text())
    with pytest.raises(PolicyError):
        verify(message)


def test_bombs_end(verify: Any) -> None:
    packet = b"\xcb\xff\x10\x00\x00\x00b\x00\x00\x00\x00\x00" + bytes(1 << 26)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    for bomb in (b"\xa3\x01" + squeeze.compress(packet) + squeeze.flush(), b"\xa3\x03" + bz2.compress(packet)):
        with pytest.raises(PolicyError):
            verify(bomb)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"critical": None}, 'Key "critical" missing'),
        ({"optional": None}, 'Key "optional" missing'),
        ({"more": 1}, 'Unknown key "more"'),
        ({"type": "atomic"}, 'Unrecognized signature type "atomic"'),
        ({"type": None}, 'Key "type" missing'),
        ({"image": {"docker-manifest-digest": DIGEST, "x": 1}}, 'Unknown key "x"'),
        ({"image": {"docker-manifest-digest": 1}}, "not a string"),
        ({"image": {"docker-manifest-digest": "sha256:../../x"}}, "not a digest"),
        ({"identity": {"docker-reference": None}}, "not a string"),
        ({"identity": {"docker-reference": "a\nb"}}, "not a reference"),
        ({"identity": []}, "not a JSON object"),
        ({"optional": []}, "not a JSON object"),
        ({"optional": {"creator": 1}}, "not a string"),
        ({"optional": {"timestamp": 1.5}}, "not an integer"),
        ({"optional": {"timestamp": True}}, "not an integer"),
    ],
)
def test_what_it_must_say(keys: Keys, verify: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=f"^Invalid signature: .*{message}"):
        verify(keys.sign("ann@x.test", text(**changed)))


def test_keys_twice_and_infinity(keys: Keys, verify: Any) -> None:
    twice = text().replace(b'"critical"', b'"optional": {}, "critical"', 1)
    with pytest.raises(PolicyError, match="Duplicate key"):
        verify(keys.sign("ann@x.test", twice))
    with pytest.raises(PolicyError, match="Invalid signature"):
        verify(keys.sign("ann@x.test", text(optional={"timestamp": 1}).replace(b": 1}", b": 1e999}")))


def test_what_a_policy_makes_of_it(keys: Keys, tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        (tmp_path / name).write_bytes(keys.public(f"{name}@x.test"))
    required = [
        {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(tmp_path / name)} for name in ("ann", "bob")
    ]
    one = policy.Policy(policy_file.parse({"default": required[:1]}, "policy.json"))
    image = reference.parse(NAME)

    def refused(why: str, *signatures: bytes, manifest: bytes = MANIFEST, rules: policy.Policy = one) -> None:
        with pytest.raises(PolicyError) as caught:
            rules.check("docker", image, manifest, lambda: signatures)
        assert caught.value.message.startswith(f"Source image rejected: {why}")

    ann, bob = keys.sign("ann@x.test", text()), keys.sign("bob@x.test", text())
    elsewhere = keys.sign("ann@x.test", text(identity={"docker-reference": "x.io/a:1"}))
    one.check("docker", image, MANIFEST, lambda: [ann])
    one.check("docker", image, MANIFEST, lambda: [b"\0sigstore-json\n{}", bob, elsewhere, ann])
    refused("A signature was required, but no signature exists")
    refused("A signature was required, but no signature exists", b"\0sigstore-json\n{}")
    refused("Invalid GPG signature: it is by key", bob)
    refused(f"Signature for digest {DIGEST} does not match", ann, manifest=MANIFEST + b" ")
    refused("Signature for identity x.io/a:1 is not accepted", elsewhere)
    refused("None of the signatures were accepted, reasons: ", elsewhere, bob)
    both = policy.Policy(policy_file.parse({"default": required}, "policy.json"))
    both.check("docker", image, MANIFEST, lambda: [ann, bob])
    refused("Invalid GPG signature: it is by key", ann, rules=both)
    (tmp_path / "ann").unlink()
    refused(f"cannot read key {tmp_path}/ann: No such file", ann)


def test_passphrases(signer: Any, verify: Any, keys: Keys, tmp_path: Path) -> None:
    keys.make("eve@x.test", passphrase="open sesame")
    subject = tmp_path / "passphrase"
    subject.write_text("open sesame\n")
    with signer("eve@x.test", str(subject)) as signs:
        assert verify(signs.sign(DIGEST, NAME), "eve@x.test").reference == NAME
    subject.write_text("two\nlines")
    with pytest.raises(PolicyError, match="contains a newline"):
        signer("eve@x.test", str(subject))
    with pytest.raises(PolicyError, match="No such file"):
        signer("eve@x.test", str(tmp_path / "none"))


def test_unknown_keys_do_not_sign(signer: Any) -> None:
    with pytest.raises(PolicyError, match='no secret key for "nobody@x.test"'):
        signer("nobody@x.test")
    with pytest.raises(PolicyError, match="no secret key"):
        signer("--version")


def test_nothing_stays(keys: Keys, verify: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the home of a verification nor an agent for it; and it lies where nobody else can write."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with gpg.PrivateHome() as home:
        [place] = tmp_path.iterdir()
        assert place.stat().st_mode & 0o077 == 0
        home.add_keys(keys.public("ann@x.test"))
        assert home.verify(keys.sign("ann@x.test", text())).success
    assert not list(tmp_path.iterdir())
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and str(tmp_path) in " ".join(cmdline(int(pid)))]
    assert not [pid for pid in children(os.getpid()) if "gpg" in " ".join(cmdline(pid))]
