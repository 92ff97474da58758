"""Whatever policies, signatures and registries.d files say: an error of ours, or an understood document."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pypod.errors import ConfigError, PolicyError
from pypod.oci import reference
from pypod.registry import identities, payload, plain_yaml, policy_file, sigstore, strict

_words = st.sampled_from(
    "default transports docker dir oci type reject signedBy sigstoreSigned insecureAcceptAnything keyType GPGKeys "
    "keyPath keyPaths keyData signedIdentity matchExact exactReference dockerReference remapIdentity prefix "
    "signedPrefix critical optional image "
    "identity docker-manifest-digest docker-reference timestamp creator mimeType payload annotations"
    "".split()
)
_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _words
_json = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4), max_leaves=20
)


@given(_json)
def test_policies(document: Any) -> None:
    text = json.dumps(document).encode()
    try:
        policy_file.parse(strict.loads(text), "policy.json")
    except strict.BadDocument:
        pass
    try:
        policy_file.parse({"default": [document]}, "policy.json")
    except strict.BadDocument as error:
        assert str(error).isprintable()


@given(_json, st.none() | st.just("x.io/a:1"))
def test_identities(document: Any, image: str | None) -> None:
    try:
        found = identities.parse(document)
    except strict.BadDocument:
        return
    assert found.accepts(reference.parse(image) if image else None, "x.io/b:1") in (True, False)


@given(st.binary(max_size=40) | _json.map(lambda document: json.dumps(document).encode()))
def test_signed_texts(text: bytes) -> None:
    for kind in (payload.SIMPLE, payload.SIGSTORE):
        try:
            payload.read(text, kind)
        except PolicyError as error:
            assert error.message.isprintable()
    kept = {"mimeType": sigstore.MEDIA_TYPE, "payload": base64.b64encode(text).decode(), "annotations": {}}
    for document in (text, json.dumps(kept).encode()):
        try:
            sigstore.verify(sigstore.BEGIN + document, b"")
        except PolicyError as error:
            assert error.message.isprintable()


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(["a", "b: c", "docker:", "  ", "\n", "\t", ": ", "'", '"', "#", "\\", "- ", "{}"])
    ).map("".join)
)
def test_yaml(text: str) -> None:
    try:
        plain_yaml.loads(text, "x.yaml")
    except ConfigError as error:
        assert error.message.startswith("cannot parse configuration x.yaml: line ")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9./:-]{0,8}[a-z0-9]", fullmatch=True),
        st.dictionaries(
            st.sampled_from(["lookaside", "sigstore"]),
            st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs"))),
            max_size=2,
        ),
        max_size=4,
    )
)
def test_yaml_says_what_was_written(document: dict[str, dict[str, str]]) -> None:
    lines = []
    for scope, section in document.items():
        lines.append(f"{scope}:" if section else f"{scope}: {{}}")
        lines += [f"  {key}: {json.dumps(value)} # \"'" for key, value in section.items()]
    assert plain_yaml.loads("\n".join(lines), "x.yaml") == document
