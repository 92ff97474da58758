"""policy.json: what it may say, and which of its rules decides about an image (containers-policy.json(5))."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.errors import ConfigError, PolicyError
from pypod.oci import reference
from pypod.oci.reference import Reference
from pypod.registry import identities, policy, policy_file, strict

ANY = [{"type": "insecureAcceptAnything"}]
REJECT = [{"type": "reject"}]
HASH = "a" * 64
HOST = "registry.example.com:5000"


def made(document: object) -> policy.Policy:
    parsed = strict.loads(document.encode() if isinstance(document, str) else json.dumps(document).encode())
    return policy.Policy(policy_file.parse(parsed, "policy.json"))


def decides(rules: dict[str, Any], transport: str, scope: Reference | str, default: object = REJECT) -> str:
    """The scope whose rules hold: each is marked by a key path of its own."""
    marked = {
        kind: {name: [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": name or "transport"}] for name in names}
        for kind, names in rules.items()
    }
    [requirement] = made({"default": default, "transports": marked}).requirements(transport, scope)
    return requirement.key_paths[0] if requirement.key_paths else "default"


def signed(**more: object) -> dict[str, Any]:
    return {"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k", **more}]}


@pytest.mark.parametrize(
    "document, message",
    [
        ("{", "property name"),
        ("[]", "not a JSON object"),
        ("{}", "Default policy is missing"),
        ({"default": []}, "must not be empty"),
        ({"default": {}}, "not a list"),
        ({"default": ANY, "x": 1}, 'Unknown key "x"'),
        ({"default": ANY, "Default": ANY}, 'Unknown key "Default"'),
        ('{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}', "Duplicate key"),
        ('{"default": [{"type": "reject", "type": "insecureAcceptAnything"}]}', "Duplicate key"),
        ({"default": [{"type": "accept"}]}, 'Unknown policy requirement type "accept"'),
        ({"default": [{}]}, "type of a policy requirement"),
        ({"default": ["reject"]}, "not a JSON object"),
        ({"default": [{"type": "reject", "x": 1}]}, 'Unknown key "x"'),
        ({"default": ANY, "transports": []}, "not a JSON object"),
        ({"default": ANY, "transports": {"docker": {"": []}}}, "must not be empty"),
        ({"default": ANY, "transports": {"docker": {"a": None}}}, "not a list"),
        ({"default": ANY, "transports": {"dir": {"x": ANY}}}, "must be an absolute path"),
        ({"default": ANY, "transports": {"dir": {"/": ANY}}}, 'Use the generic default scope ""'),
        ({"default": ANY, "transports": {"oci": {"/a/../b": ANY}}}, "non-canonical"),
        ({"default": ANY, "transports": {"docker-archive": {"/a": ANY}}}, "does not support any scopes"),
        (signed(keyType="X"), "invalid keyType"),
        (signed(keyData="AA=="), "exactly one of keyPath, keyPaths and keyData"),
        (signed(keyPaths=["/a"]), "exactly one of"),
        ({"default": [{"type": "signedBy", "keyType": "GPGKeys"}]}, "exactly one of"),
        ({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}]}, "keyPaths"),
        ({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": 1}]}, "not a string"),
        ({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": "!"}]}, "not base64"),
        (signed(signedIdentity="matchExact"), "signedIdentity is not a JSON object"),
        (signed(signedIdentity={"type": "matchSome"}), "Unknown policy reference match type"),
        (signed(signedIdentity={"type": "matchExact", "x": 1}), "Unknown key"),
        (signed(signedIdentity={"type": "exactReference"}), "dockerReference"),
        (signed(signedIdentity={"type": "exactReference", "dockerReference": "a/b"}), "neither a tag nor digest"),
        (signed(signedIdentity={"type": "exactRepository", "dockerRepository": "A"}), "Invalid format"),
        (signed(signedIdentity={"type": "remapIdentity", "prefix": "a", "signedPrefix": "b:c"}), "not valid"),
        (signed(signedIdentity={"type": "remapIdentity", "prefix": "a"}), "missing"),
        ({"default": [{"type": "sigstoreSigned", "keyType": "GPGKeys", "keyPath": "/k"}]}, 'Unknown key "keyType"'),
        ({"default": [{"type": "signedBaseLayer"}]}, "baseLayerIdentity"),
        ('{"default": NaN}', "not JSON"),
        ("[" * 100000, "nested too deeply"),
    ],
)
def test_strict(document: object, message: str) -> None:
    with pytest.raises(strict.BadDocument, match=".*" + message.replace("(", r"\(")):
        made(document)


def test_what_is_allowed() -> None:
    data = base64.b64encode(b"key").decode()
    made({"default": ANY, "transports": None})
    made({"default": ANY, "transports": {"unheard-of": {"any scope": REJECT}, "docker-archive": {"": ANY}}})
    made({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/a", "/b"]}]})
    made({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyData": data, "signedIdentity": None}]})
    made({"default": [{"type": "sigstoreSigned", "keyData": data}]})


def test_where_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    own = home / ".config/containers/policy.json"
    own.parent.mkdir(parents=True)
    assert policy_file.place("/given", str(home)) == "/given"
    assert policy_file.place("", str(home)) == policy_file.SYSTEM
    own.write_text('{"default": [{"type": "reject"}]}')
    assert policy_file.place("", str(home)) == str(own)
    with pytest.raises(PolicyError, match="is rejected by policy"):
        policy.load(home=str(home)).check("docker", reference.parse("alpine"), b"{}")


def test_missing_and_broken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as missing:
        policy.load(str(tmp_path / "none"))
    assert "insecureAcceptAnything" in missing.value.hint
    bad = tmp_path / "bad.json"
    bad.write_text('{"default": [], "x": 1}')
    with pytest.raises(ConfigError, match=rf'invalid policy in "{bad}": Unknown key "x"'):
        policy.load(str(bad))


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "registry.example.com:5000/ns/repo:1",
            [f"{HOST}/ns/repo:1", f"{HOST}/ns/repo", f"{HOST}/ns", HOST, "*.example.com", "*.com"],
        ),
        (
            "alpine",
            ["docker.io/library/alpine:latest", "docker.io/library/alpine", "docker.io/library", "docker.io", "*.io"],
        ),
        (f"localhost/x:1@sha256:{HASH}", [f"localhost/x@sha256:{HASH}", "localhost/x", "localhost"]),
    ],
)
def test_scopes_of_a_reference(text: str, expected: list[str]) -> None:
    assert policy.names("docker", reference.parse(text)) == expected


def test_the_most_specific_scope_decides() -> None:
    scopes = ["", "*.example.com", HOST, f"{HOST}/ns", f"{HOST}/ns/repo", f"{HOST}/ns/repo:1"]
    image = reference.parse(f"{HOST}/ns/repo:1")
    for count in range(len(scopes), 0, -1):
        assert decides({"docker": dict.fromkeys(scopes[:count])}, "docker", image) == (
            scopes[count - 1] or "transport"
        )
    assert decides({"docker": {}, "dir": {"": ANY}}, "docker", image) == "default"
    # Only whole components: neither a longer name nor the host without its port.
    assert decides({"docker": {f"{HOST}/n": 1, "registry.example.com": 1}}, "docker", image) == "default"
    assert decides({"docker": {"*.registry.example.com": 1, "example.com": 1}}, "docker", image) == "default"


def test_scopes_of_paths(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    (tmp_path / "link").symlink_to(place)
    assert decides({"dir": {str(tmp_path): 1, str(place): 1}}, "dir", str(tmp_path / "link")) == str(place)
    assert decides({"dir": {str(tmp_path): 1}}, "dir", str(place)) == str(tmp_path)
    assert decides({"dir": {str(tmp_path): 1}}, "oci", str(place)) == "default"
    assert decides({"oci": {f"{place}:x": 1, str(place): 1}}, "oci", f"{place}:x") == f"{place}:x"
    assert decides({"oci": {f"{place}:x": 1, str(place): 1}}, "oci", f"{place}:y") == str(place)
    assert decides({"docker-archive": {"": 1}}, "docker-archive", "/x.tar") == "transport"


_label = st.from_regex(r"[a-z0-9]{1,6}", fullmatch=True)
_references = st.builds(
    lambda host, port, path, tag: reference.parse(f"{'.'.join(host)}{port}/{'/'.join(path)}:{tag}"),
    st.lists(_label, min_size=2, max_size=4),
    st.sampled_from(["", ":5000"]),
    st.lists(_label, min_size=1, max_size=4),
    _label,
)


@given(_references, st.data())
def test_only_what_is_above_decides(image: Reference, data: st.DataObject) -> None:
    """Of any set of scopes the first that is in the image's chain decides; scopes of other images never do."""
    chain = policy.names("docker", image)
    assert len(set(chain)) == len(chain)
    for longer, shorter in zip(chain, chain[1:], strict=False):
        assert (
            shorter.startswith("*.") or longer.startswith(shorter + ("/" if "/" in shorter else "")) or ":" in longer
        )
    others = policy.names("docker", data.draw(_references))
    chosen = set(data.draw(st.lists(st.sampled_from(chain + others))))
    expected = next((scope for scope in chain if scope in chosen), "default")
    assert decides({"docker": dict.fromkeys(chosen)}, "docker", image) == expected


@pytest.mark.parametrize("kind, wrong", [("reject", "rejected by policy"), ("signedBaseLayer", "signedBaseLayer")])
def test_all_requirements_must_hold(kind: str, wrong: str) -> None:
    second = {"type": kind} if kind == "reject" else {"type": kind, "baseLayerIdentity": EXACT}
    rules = made({"default": [ANY[0], second]})
    with pytest.raises(PolicyError, match=f"^Source image rejected: .*{wrong}"):
        rules.check("docker", reference.parse("q.io/a:1"), b"{}")


def test_the_image_store_is_always_allowed() -> None:
    made({"default": REJECT}).check("containers-storage", "x", b"")


def test_rejected_names_the_image() -> None:
    with pytest.raises(PolicyError) as caught:
        made({"default": REJECT}).check("docker", reference.parse("alpine"), b"")
    assert caught.value.message == (
        "Source image rejected: Running image docker://docker.io/library/alpine:latest is rejected by policy."
    )


EXACT = {"type": "matchExact"}
REPOSITORY = {"type": "matchRepository"}
BY_DIGEST = f"q.io/a/b@sha256:{HASH}"


@pytest.mark.parametrize(
    "identity, image, claimed, accepted",
    [
        (None, "q.io/a/b:1", "q.io/a/b:1", True),
        (None, "q.io/a/b:1", "q.io/a/b:2", False),
        (None, "q.io/a/b:1", "q.io/a/b", False),
        (None, BY_DIGEST, "q.io/a/b:2", True),
        (None, BY_DIGEST, "q.io/a/c:2", False),
        (None, "docker.io/library/x:1", "x:1", True),
        (None, "q.io/a/b:1", "Not A Reference", False),
        (EXACT, "q.io/a/b:1", "q.io/a/b:1", True),
        (EXACT, BY_DIGEST, "q.io/a/b:1", False),
        (EXACT, BY_DIGEST, BY_DIGEST, True),
        (REPOSITORY, "q.io/a/b:1", "q.io/a/b:9", True),
        (REPOSITORY, "q.io/a/b:1", "q.io/a/b", True),
        (REPOSITORY, "q.io/a/b:1", "q.io/a/bc:1", False),
        ({"type": "exactReference", "dockerReference": "v.io/x:1"}, None, "v.io/x:1", True),
        ({"type": "exactReference", "dockerReference": "v.io/x:1"}, "v.io/x:1", "v.io/x:2", False),
        ({"type": "exactRepository", "dockerRepository": "v.io/x"}, None, "v.io/x:7", True),
        ({"type": "exactRepository", "dockerRepository": "v.io/x"}, None, "v.io/xy:7", False),
        ({"type": "remapIdentity", "prefix": "m:5/v", "signedPrefix": "v.io"}, "m:5/v/a:1", "v.io/a:1", True),
        ({"type": "remapIdentity", "prefix": "m:5/v", "signedPrefix": "v.io"}, "m:5/v/a:1", "m:5/v/a:1", False),
        ({"type": "remapIdentity", "prefix": "m:5/v", "signedPrefix": "v.io"}, "m:5/vw/a:1", "m:5/vw/a:1", True),
        ({"type": "remapIdentity", "prefix": "m:5/v", "signedPrefix": "v.io"}, "m:5/vw/a:1", "v.io/a:1", False),
        ({"type": "remapIdentity", "prefix": "m:5/v", "signedPrefix": "library"}, "m:5/v/a:1", "library/a:1", False),
        (None, None, "q.io/a/b:1", False),
        (EXACT, None, "q.io/a/b:1", False),
        (REPOSITORY, None, "q.io/a/b:1", False),
    ],
)
def test_identities(identity: object, image: str | None, claimed: str, accepted: bool) -> None:
    own = reference.parse(image) if image else None
    assert identities.parse(identity).accepts(own, claimed) is accepted
