"""The flags of ``image trust`` and ``image sign``. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import ACCESS

_PLACES = (("policypath", "str", None, "FILE", ""),)

SET = (
    *_PLACES,
    ("pubkeysfile f", "list", (), "FILE", "A file with public keys; every one of several must have signed"),
    (
        "type t",
        "choice",
        "signedBy",
        "TYPE",
        "What is demanded of images",
        ("accept", "reject", "signedBy", "sigstoreSigned"),
    ),
)
SIGN = (
    ("all a", "bool", False, "", "Sign the images of an index, one by one"),
    *ACCESS,
    ("directory d", "str", None, "DIR", "Write the signatures below this directory (default as registries.d says)"),
    ("sign-by", "str", None, "KEY", "Sign with this key of gpg's keyring"),
)
SHOW = (
    ("json j", "bool", False, "", "As JSON"),
    ("noheading n", "bool", False, "", "No headings"),
    *_PLACES,
    ("raw", "bool", False, "", "The policy file as it is"),
    ("registrypath", "str", None, "DIR", ""),
)
