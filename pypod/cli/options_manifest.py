"""The flags of the ``manifest`` commands. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli import options_registry
from pypod.cli.options import ACCESS, CREDS, RETRY

_ALL = (("all", "bool", False, "", "Of an image that is a list: all that is in it"),)
_ANNOTATION = (("annotation", "array", (), "KEY=VALUE", "Set an annotation on the image"),)
_PLATFORM = (
    ("arch", "str", None, "ARCH", "The architecture that the list says the image is for"),
    ("features", "list", (), "FEATURE", "The processor's features that it says are needed"),
    ("os", "str", None, "OS", "The operating system that it says the image is for"),
    ("os-features", "list", (), "FEATURE", "The operating system's features that it says are needed"),
    ("os-version", "str", None, "VERSION", "The version of the operating system that it says is needed"),
    ("variant", "str", None, "VARIANT", "The variant of the architecture"),
)

CREATE = (
    *_ALL,
    ("amend a", "bool", False, "", "Add to a list that is there"),
    ("annotation", "array", (), "KEY=VALUE", "Set an annotation on the list"),
    *ACCESS,
    *CREDS,
    *RETRY,
)
ADD = (
    *_ALL,
    *_ANNOTATION,
    ("artifact", "bool", False, "", ""),
    ("artifact-config", "str", None, "FILE", ""),
    ("artifact-config-type", "str", None, "TYPE", ""),
    ("artifact-exclude-titles", "bool", False, "", ""),
    ("artifact-layer-type", "str", None, "TYPE", ""),
    ("artifact-subject", "str", None, "REFERENCE", ""),
    ("artifact-type", "str", None, "TYPE", ""),
    *ACCESS,
    *CREDS,
    *RETRY,
    *_PLATFORM,
)
ANNOTATE = (
    *_ANNOTATION,
    ("index", "bool", False, "", "Set the annotation on the list itself"),
    *_PLATFORM,
    ("subject", "str", None, "IMAGE", ""),
)
INSPECT = (*ACCESS, *CREDS, *RETRY)
# Not podman-push(1)'s: what is compressed is not asked for here.
_LEFT_OUT = ("compress", "disable-content-trust", "encrypt-layer", "encryption-key", "signature-policy")
PUSH = (
    ("add-compression", "list", (), "FORMAT", ""),
    ("all", "bool", True, "", "Push the images of the list too"),
    *(flag for flag in options_registry.PUSH if flag[0] not in _LEFT_OUT),
    ("purge p rm", "bool", False, "", "Remove the list from the store when it has been pushed"),
)
RM = (("ignore i", "bool", False, "", "A list that does not exist is no error"),)
