"""What tests of image verbs need: a store whose images go again, and a look at an image's documents."""

from __future__ import annotations

import base64
import json
from typing import Any

from support.runner import Pypod


def forget_images(pypod: Pypod, keep: str) -> None:
    """Remove every image but ``keep``, and other names of it."""
    [kept] = pypod("image", "inspect", keep).ok().json
    others = [name for name in kept["RepoTags"] if name != keep]
    if others:
        pypod("untag", keep, *others).ok()
    for line in pypod("images", "-a", "-q", "--no-trunc").ok().lines:
        if line != f"sha256:{kept['Id']}":
            pypod("rmi", "-f", line)


def layers(pypod: Pypod, name: str) -> list[str]:
    """The diffIDs of an image."""
    [found] = pypod("image", "inspect", name).ok().json
    result: list[str] = found["RootFS"]["Layers"]
    return result


def documents(pypod: Pypod, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An image's config and manifest, as they are in the store."""
    [found] = pypod("image", "inspect", name).ok().json
    assert pypod.graphroot
    place = pypod.graphroot / "overlay-images" / found["Id"]
    config = base64.b64encode(f"sha256:{found['Id']}".encode()).decode()
    return json.loads((place / f"={config}").read_bytes()), json.loads((place / "manifest").read_bytes())
