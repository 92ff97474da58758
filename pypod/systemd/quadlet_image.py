""".image files: an image, pulled by a service that is then active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, quadlet_unit
from pypod.systemd import quadlet_model as model
from pypod.systemd.quadlet_keys import OWN
from pypod.systemd.quadlet_references import Needs

if TYPE_CHECKING:
    from pypod.systemd.quadlet_keys import Table
    from pypod.systemd.quadlet_model import Setting, Source
    from pypod.systemd.quadlet_references import Sources

KEYS: Table = {
    "Image": OWN,
    "ImageTag": OWN,
    "AllTags": ("bool", "--all-tags", ""),
    "Arch": ("value", "--arch", ""),
    "AuthFile": ("path", "--authfile", ""),
    "CertDir": ("path", "--cert-dir", ""),
    "Creds": ("value", "--creds", ""),
    "DecryptionKey": ("no", "pypod cannot read encrypted images", ""),
    "OS": ("value", "--os", ""),
    "Policy": ("value", "--policy", ""),
    "Retry": ("value", "--retry", ""),
    "RetryDelay": ("value", "--retry-delay", ""),
    "TLSVerify": ("bool", "--tls-verify", ""),
    "Variant": ("value", "--variant", ""),
}


def convert(source: Source, sources: Sources, setting: Setting) -> model.Service:
    """The service. What is wrong is noted in ``source``; then the service is of no use."""
    if not source.value("Image"):
        source.lacks("[Image] has no Image=")
    words = ["image", "pull", *quadlet_keys.flags(source, KEYS), *quadlet_keys.words(source, "PodmanArgs")]
    words.append(source.value("Image"))
    start = model.command(setting, words, quadlet_keys.before(source))
    return quadlet_unit.service(source, sources, setting, Needs(), quadlet_unit.oneshot(source, start))
