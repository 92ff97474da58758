"""The flags of what works with systemd. The shape is in ``options``."""

from __future__ import annotations

GENERATE = (
    ("after", "array", (), "UNIT", "Start after this unit"),
    ("container-prefix", "str", "container", "PREFIX", "What names of containers' units begin with"),
    ("env e", "array", (), "NAME[=VALUE]", "Set an environment variable in the unit; NAME* takes several of yours"),
    ("files f", "bool", False, "", "Write files into the working directory, and print their paths"),
    ("format", "str", None, "FORMAT", "json: the units by their names", ("json",)),
    ("name n", "bool", False, "", "Use the name of the container or pod instead of its ID"),
    ("new", "bool", None, "", "Make the container or pod anew at each start, and remove it at its end"),
    ("no-header", "bool", False, "", "No lines of comment about version and time"),
    ("pod-prefix", "str", "pod", "PREFIX", "What names of pods' units begin with"),
    ("requires", "array", (), "UNIT", "Start this unit too, and stop when it stops"),
    (
        "restart-policy",
        "str",
        None,
        "POLICY",
        "When systemd starts it again (default on-failure, or with --new as the container's)",
        ("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"),
    ),
    ("restart-sec", "uint", None, "SECONDS", "Wait this long before that"),
    ("separator", "str", "-", "TEXT", "What comes between prefix and name"),
    ("start-timeout", "uint", None, "SECONDS", "A start that takes longer has failed"),
    ("stop-timeout time t", "uint", None, "SECONDS", "Wait this long before killing (default the container's own)"),
    ("template", "bool", False, "", "Make a template unit, of which several can run; implies --new"),
    ("wants", "array", (), "UNIT", "Start this unit too"),
)

AUTO_UPDATE = (
    ("authfile", "str", None, "FILE", "Credentials are in this file (default $REGISTRY_AUTH_FILE, else as podman)"),
    ("dry-run", "bool", False, "", "Only say what would be updated"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("rollback", "bool", True, "", "Go back to the image of before if the new container does not come up"),
    ("tls-verify", "bool", None, "", "Verify certificates (default as registries.conf says, else true)"),
)
