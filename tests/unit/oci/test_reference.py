"""Image references: what users type, what it stands for, and what is refused in podman's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.oci import reference
from pypod.oci.reference import BadReference

HASH = "a" * 64


@pytest.mark.parametrize(
    "text, complete",
    [
        ("x", "localhost/x:latest"),
        ("x:1", "localhost/x:1"),
        ("a/b/c", "localhost/a/b/c:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest"),
        ("docker.io/user/x:2", "docker.io/user/x:2"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
        ("quay.io/a/b:v1.2-3_4", "quay.io/a/b:v1.2-3_4"),
        ("host:5000/x", "host:5000/x:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("a__b--c.d", "localhost/a__b--c.d:latest"),
        (f"x@sha256:{HASH}", f"localhost/x@sha256:{HASH}"),
        (f"q.io/x:1@sha256:{HASH}", f"q.io/x:1@sha256:{HASH}"),
        ("UPPER.example.com/x", "UPPER.example.com/x:latest"),
    ],
)
def test_normalise(text: str, complete: str) -> None:
    assert reference.normalise(text) == complete
    assert reference.normalise(complete) == complete


@pytest.mark.parametrize(
    "text, match",
    [
        ("", "invalid reference format"),
        ("BAD", "repository name must be lowercase"),
        ("x/BAD:1", "repository name must be lowercase"),
        ("a:b:c", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("x:" + "t" * 129, "invalid reference format"),
        ("-x", "invalid reference format"),
        ("x//y", "invalid reference format"),
        ("x y", "invalid reference format"),
        ("x\n", "invalid reference format"),
        ("../x", "invalid reference format"),
        ("https://x/y", "invalid reference format"),
        ("x@sha256:12", "invalid reference format"),
        ("x@sha256:" + "g" * 64, "invalid reference format"),
        ("x@", "invalid reference format"),
        ("a" * 300, "must not be more than 255 characters"),
        (HASH, "cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_refused(text: str, match: str) -> None:
    with pytest.raises(BadReference, match=match):
        reference.normalise(text)


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        complete = reference.normalise(text)
    except BadReference as error:
        assert "\n" not in error.message or text
        return
    assert reference.normalise(complete) == complete
    assert "\n" not in complete and " " not in complete


component = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)?", fullmatch=True)


@given(
    st.lists(component, min_size=1, max_size=3), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
)
def test_what_is_put_together_comes_apart(parts: list[str], tag: str) -> None:
    path = "/".join(parts)
    found = reference.parse(f"example.com/{path}:{tag}")
    assert (found.domain, found.path, found.tag, found.digest) == ("example.com", path, tag, "")
    assert reference.split(str(found)) == (f"example.com/{path}", tag, "")


def test_familiar() -> None:
    assert reference.parse("docker.io/library/alpine:3").familiar == "alpine:3"
    assert reference.parse("docker.io/user/x").familiar == "user/x"
    assert reference.parse("quay.io/user/x").familiar == "quay.io/user/x"
