"""The flags of ``image trust`` and ``image sign``. The shape is in ``options``."""

from __future__ import annotations

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
SHOW = (
    ("json j", "bool", False, "", "As JSON"),
    ("noheading n", "bool", False, "", "No headings"),
    *_PLACES,
    ("raw", "bool", False, "", "The policy file as it is"),
    ("registrypath", "str", None, "DIR", ""),
)
