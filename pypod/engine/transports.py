"""Where an image is, as containers-transports(5) writes it: ``docker://NAME``, ``oci:PATH[:NAME]`` and so on."""

from __future__ import annotations

from pypod.base.record import record
from pypod.base.text import show
from pypod.errors import UsageError

KINDS = ("docker", "docker-archive", "oci", "oci-archive", "dir", "containers-storage", "docker-daemon")
_REFUSED = ("docker-daemon", "ostree", "sif", "tarball", "atomic")


@record
class Transport:
    """``kind`` is one of KINDS, "" for a name without a transport; ``rest`` is what follows it.

    For docker-archive, oci and oci-archive ``path`` and ``reference`` are the two parts of ``rest``; the reference in
    a docker-archive may be "@N", the number of an image. For dir ``path`` is all of it.
    """

    kind: str
    rest: str
    path: str = ""
    reference: str = ""

    def __str__(self) -> str:
        if not self.kind:
            return self.rest
        return f"docker://{self.rest}" if self.kind == "docker" else f"{self.kind}:{self.rest}"


def parse(text: str) -> Transport:
    """``text`` with or without a transport. ``docker:TAG`` is an image of the name docker, as podman has it.

    Raises UsageError.
    """
    kind, colon, rest = text.partition(":")
    if not colon or (kind not in KINDS and kind not in _REFUSED):
        return Transport(kind="", rest=text)
    if kind == "docker":
        if not rest.startswith("//"):
            return Transport(kind="", rest=text)
        rest = rest[2:]
    elif kind in _REFUSED:
        raise UsageError(f'transport "{kind}" is not supported: {show(text)}', code=125)
    if not rest:
        raise UsageError(f'invalid image reference "{show(text)}": nothing follows the transport', code=125)
    if kind in ("docker", "containers-storage"):
        return Transport(kind=kind, rest=rest)
    if kind == "dir":
        return Transport(kind=kind, rest=rest, path=rest)
    path, _, reference = rest.partition(":")
    if not path:
        raise UsageError(f'invalid image reference "{show(text)}": there is no path', code=125)
    return Transport(kind=kind, rest=rest, path=path, reference=reference)
