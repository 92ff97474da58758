"""Names of images with and without a transport."""

from __future__ import annotations

import pytest

from pypod.engine import transports
from pypod.errors import UsageError

PARSED = [
    ("alpine", ("", "alpine", "", "")),
    ("docker:dind", ("", "docker:dind", "", "")),  # an image called docker
    ("localhost:5000/x:1", ("", "localhost:5000/x:1", "", "")),
    ("docker://alpine:3", ("docker", "alpine:3", "", "")),
    ("docker-archive:/a/b.tar", ("docker-archive", "/a/b.tar", "/a/b.tar", "")),
    ("docker-archive:b.tar:@1", ("docker-archive", "b.tar:@1", "b.tar", "@1")),
    ("docker-archive:b.tar:host:5000/x:1", ("docker-archive", "b.tar:host:5000/x:1", "b.tar", "host:5000/x:1")),
    ("oci:dir:x:1", ("oci", "dir:x:1", "dir", "x:1")),
    ("oci-archive:f:", ("oci-archive", "f:", "f", "")),
    ("dir:a:b", ("dir", "a:b", "a:b", "")),
    ("containers-storage:[x@/y]z", ("containers-storage", "[x@/y]z", "", "")),
    ("http://x", ("", "http://x", "", "")),
]


@pytest.mark.parametrize(("text", "wanted"), PARSED)
def test_parsed(text: str, wanted: tuple[str, str, str, str]) -> None:
    found = transports.parse(text)
    assert (found.kind, found.rest, found.path, found.reference) == wanted
    assert str(found) == text


@pytest.mark.parametrize(
    "text", ["docker-daemon:x:1", "ostree:x", "docker://", "oci:", "oci::x", "dir:", "sif:/x", "containers-storage:"]
)
def test_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        transports.parse(text)
    assert caught.value.code == 125 and caught.value.message.isprintable()
