"""References of images: ``[registry[:port]/]path[:tag][@digest]`` (the distribution project's grammar).

A *familiar* name is what users type (``alpine``); a *normalised* one says everything
(``docker.io/library/alpine:latest``). An image that is made here belongs to the registry ``localhost``.
"""

from __future__ import annotations

import re

from pypod.base.record import record
from pypod.errors import PypodError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<name>(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*))"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?\Z"
)
_WHOLE_TAG = re.compile(rf"{_TAG}\Z")
_HEX_64 = re.compile(r"[a-f0-9]{64}\Z")
_SHA256 = re.compile(r"sha256:[a-f0-9]{64}\Z")
MOST = 255  # characters of a name


class BadReference(PypodError):
    ref = "bad-reference"
    """The text is not a reference; the message is podman's."""


@record
class Reference:
    """A normalised reference. ``tag`` or ``digest`` may be "", ``path`` is without the registry."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar(self) -> str:
        """As short as it may be typed for Docker's registry, in full for others."""
        text = str(self)
        if self.domain == "docker.io":
            text = text.removeprefix("docker.io/").removeprefix("library/") if self._official() else text[10:]
        return text

    def _official(self) -> bool:
        return self.path.startswith("library/") and self.path.count("/") == 1


def is_tag(text: str) -> bool:
    """Whether ``text`` may be a tag."""
    return _WHOLE_TAG.match(text) is not None


def has_registry(text: str) -> bool:
    """Whether the part before the first slash is a registry and not a directory of Docker's."""
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost" or first.lower() != first)


def split(text: str) -> tuple[str, str, str]:
    """A reference's name, tag and digest without judging it; the last two may be ""."""
    name, _, digest = text.partition("@")
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        return name[:colon], name[colon + 1 :], digest
    return name, "", digest


def parse(text: str, registry: str = "docker.io") -> Reference:
    """``text`` as a reference; a name without a registry belongs to ``registry``.

    Raises BadReference.
    """
    if _HEX_64.match(text):
        raise BadReference(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    if not text:
        raise BadReference("invalid reference format")
    domain = ""
    rest = text
    if has_registry(text):
        domain, _, rest = text.partition("/")
        if domain == "index.docker.io":
            domain = "docker.io"
    else:
        domain = registry
    if domain == "docker.io" and "/" not in rest:
        rest = "library/" + rest
    name = rest.partition("@")[0]
    colon = name.rfind(":")
    path = name[:colon] if colon > name.rfind("/") else name
    if path.lower() != path:
        raise BadReference("repository name must be lowercase")
    found = _REFERENCE.match(f"{domain}/{rest}")
    if found is None or found["domain"] != domain:
        raise BadReference("invalid reference format")
    if len(found["name"]) > MOST:
        raise BadReference(f"repository name must not be more than {MOST} characters")
    digest = found["digest"] or ""
    if digest.startswith("sha256:") and not _SHA256.match(digest):
        raise BadReference("invalid reference format" if len(digest) < 71 else "invalid checksum digest length")
    return Reference(domain=domain, path=found["path"], tag=found["tag"] or "", digest=digest)


def normalise(text: str, registry: str = "localhost") -> str:
    """The complete name under which an image made here is kept: with registry, and a tag unless it has a digest.

    Raises BadReference.
    """
    return complete(parse(text, registry))


def complete(reference: Reference) -> str:
    """The reference as text, with the tag "latest" if it has neither tag nor digest."""
    if reference.tag or reference.digest:
        return str(reference)
    return f"{reference}:latest"
