"""The flags of the commands that talk to registries. The shape is in ``options``."""

from __future__ import annotations

# How a registry is reached: what ``registry_settings.of`` reads.
ACCESS = (
    ("authfile", "str", None, "FILE", "Credentials are in this file (default $REGISTRY_AUTH_FILE, else as podman)"),
    ("cert-dir", "str", None, "DIR", "Certificates and keys for the registry (default /etc/containers/certs.d)"),
    ("tls-verify", "bool", None, "", "Verify certificates (default as registries.conf says, else true)"),
)
CREDS = (("creds", "str", None, "USER[:PASSWORD]", "Credentials; a password that is missing is asked for"),)
RETRY = (
    ("retry", "uint", None, "TIMES", "How often what fails is tried again (default 3)"),
    (
        "retry-delay",
        "str",
        None,
        "DURATION",
        "Wait this long between tries (default 1s, 2s, 4s …)",
    ),
)
PLATFORM = (
    ("arch", "str", None, "ARCH", "The image for this architecture"),
    ("os", "str", None, "OS", "The image for this operating system"),
    ("platform", "str", None, "OS/ARCH[/VARIANT]", "The image for this platform (default this machine's)"),
    ("variant", "str", None, "VARIANT", "The image for this variant of the architecture"),
)
PROGRESS = (
    (
        "progress",
        "choice",
        "auto",
        "FORM",
        "How progress is shown (auto: bars on a terminal, else plain)",
        ("auto", "plain", "json"),
    ),
)
# What run and create take for an image that has to be pulled; ``--pull`` and ``--quiet`` are theirs.
IMPLICIT_PULL = (
    *ACCESS,
    *CREDS,
    *RETRY,
    *PLATFORM,
    ("decryption-key", "list", (), "KEY", ""),
    ("disable-content-trust", "bool", False, "", ""),
    ("signature-policy", "str", None, "FILE", ""),
)
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
    ("quiet q", "bool", False, "", "No progress output"),
    ("remove-signatures", "bool", False, "", "Leave the signatures behind that the image has"),
    ("sign-by", "str", None, "KEY", "Sign with this key of gpg's keyring"),
    ("sign-by-sigstore", "str", None, "FILE", ""),
    ("sign-by-sigstore-private-key", "str", None, "FILE", ""),
    ("sign-by-sq-fingerprint", "str", None, "FINGERPRINT", ""),
    ("sign-passphrase-file", "str", None, "FILE", "The passphrase of the key is in this file"),
    ("signature-policy", "str", None, "FILE", ""),
)
