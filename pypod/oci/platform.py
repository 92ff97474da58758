"""Platforms that images are for: GOOS, GOARCH and variant (image-spec, image-index.md)."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.base.text import show
from pypod.errors import UsageError

# The Go names of machines by uname(2)'s.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "loongarch64": ("loong64", ""),
}
# What users write for them (containerd's platforms package, which podman uses).
_ALIASES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
# What a machine of the first variant can run, best first.
_VARIANTS = {"arm": ("v8", "v7", "v6", "v5"), "arm64": ("v8",)}


@record
class Platform:
    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(show(word, 40) for word in (self.os, self.architecture, self.variant) if word)

    def accepted(self) -> tuple[str, ...]:
        """The variants of images that do for this platform, the best first (as containers/image ranks them)."""
        known = _VARIANTS.get(self.architecture, ())
        if not self.variant:
            return ("", *known)
        return (*(known[known.index(self.variant) :] if self.variant in known else (self.variant,)), "")

    def fits(self, image: Platform) -> int:
        """How well an image's platform fits this one: 0 not at all, more is better."""
        if (image.os, image.architecture) != (self.os, self.architecture):
            return 0
        variants = self.accepted()
        return len(variants) - variants.index(image.variant) if image.variant in variants else 0


def here() -> Platform:
    """This machine's."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform(os="linux", architecture=architecture, variant=variant)


def wanted(*, platform: str = "", os: str = "", architecture: str = "", variant: str = "") -> Platform:
    """What ``--platform`` or ``--os``, ``--arch`` and ``--variant`` ask for; what they leave out is this machine's.

    Raises UsageError.
    """
    if platform:
        if os or architecture:
            raise UsageError("--platform option can not be specified with --arch or --os")
        given = parse(platform)
        os, architecture, variant = given.os, given.architecture, given.variant or variant
    own = here()
    os = os.lower() or own.os
    if not architecture:
        return Platform(os=os, architecture=own.architecture, variant=variant or own.variant)
    architecture, usual = _ALIASES.get(architecture.lower(), (architecture.lower(), ""))
    variant = variant or usual
    if architecture == "arm64" and variant in ("8", "v8"):
        variant = ""
    elif architecture == "arm" and variant.isdecimal():
        variant = f"v{variant}"
    return Platform(os=os, architecture=architecture, variant=variant)


def parse(text: str) -> Platform:
    """What "OS", "OS/ARCH" or "OS/ARCH/VARIANT" says; what is left out is "".

    Raises UsageError.
    """
    words = text.split("/")
    if len(words) > 3 or not all(words):
        raise UsageError(f'invalid platform syntax for "{show(text)}" (use OS/ARCH[/VARIANT])')
    return Platform(os=words[0], architecture=words[1] if len(words) > 1 else "", variant="".join(words[2:]))
