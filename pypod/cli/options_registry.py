"""The flags of the commands that talk to registries. The shape is in ``options``, and what run and create share."""

from __future__ import annotations

from pypod.cli.options import ACCESS, CREDS, IMPLICIT_PULL, PROGRESS, RETRY

PULL = (
    ("all-tags a", "bool", False, "", "Every tag of the repository"),
    *IMPLICIT_PULL,
    ("policy", "str", "always", "POLICY", "When to pull", ("always", "missing", "never", "newer")),
    *PROGRESS,
    ("quiet q", "bool", False, "", "No progress output"),
)

PUSH = (
    *ACCESS,
    *CREDS,
    *RETRY,
    ("compress", "bool", False, "", "Compress the layers (with dir:)"),
    (
        "compression-format",
        "str",
        None,
        "FORMAT",
        "How layers are compressed (default gzip)",
        ("gzip", "zstd", "zstd:chunked"),
    ),
    ("compression-level", "int", None, "LEVEL", "How hard: 1 to 9 for gzip, to 20 for zstd"),
    ("digestfile", "str", None, "FILE", "Write the digest of the pushed manifest to this file"),
    ("disable-content-trust", "bool", False, "", ""),
    ("encrypt-layer", "list", (), "NUMBER", ""),
    ("encryption-key", "list", (), "KEY", ""),
    (
        "force-compression",
        "bool",
        None,
        "",
        "Send layers again that the registry has in another compression (default true with --compression-format)",
    ),
    ("format f", "str", None, "KIND", "Kind of the manifest (default the image's)", ("oci", "v2s2")),
    *PROGRESS,
    ("quiet q", "bool", False, "", "No progress output"),
    ("remove-signatures", "bool", False, "", "Leave the signatures behind that the image has"),
    ("sign-by", "str", None, "KEY", "Sign with this key of gpg's keyring"),
    ("sign-by-sigstore", "str", None, "FILE", ""),
    ("sign-by-sigstore-private-key", "str", None, "FILE", ""),
    ("sign-by-sq-fingerprint", "str", None, "FINGERPRINT", ""),
    ("sign-passphrase-file", "str", None, "FILE", "The passphrase of the key is in this file"),
    ("signature-policy", "str", None, "FILE", ""),
)

_COMPATIBLE = (("compat-auth-file", "str", None, "FILE", "Credentials are in this file, as Docker has it"),)
LOGIN = (
    *ACCESS,
    *_COMPATIBLE,
    ("get-login", "bool", False, "", "Show who is logged in to the registry"),
    ("password p", "str", None, "PASSWORD", "Password (others may see it: better --password-stdin)"),
    ("password-stdin", "bool", False, "", "Take the password from stdin"),
    ("secret", "str", None, "NAME", "Take the password from this secret"),
    ("username u", "str", None, "NAME", "Username"),
    ("verbose v", "bool", False, "", "Show where the credentials are kept"),
)
LOGOUT = (
    ("all a", "bool", False, "", "Forget all credentials of the file"),
    ACCESS[0],
    *_COMPATIBLE,
)
SEARCH = (
    *ACCESS,
    *CREDS,
    *RETRY,
    ("compatible", "bool", False, "", "Show stars, and what is official and automated"),
    ("filter f", "list", (), "FILTER", "Only these: stars=NUMBER, is-official, is-automated"),
    ("format", "str", None, "FORMAT", "Print JSON, or by a Go template"),
    ("limit", "uint", None, "NUMBER", "How many of one registry (default 25)"),
    ("list-tags", "bool", False, "", "The tags of a repository"),
    ("no-trunc", "bool", False, "", "Whole descriptions"),
)
