"""The flags of the quadlet commands. The shape is in ``options``."""

from __future__ import annotations

_USER = (("user", "bool", None, "", "For the user's systemd (default: unless root calls)"),)
_RELOAD = (("reload-systemd", "bool", True, "", "Let systemd read its units again"),)

GENERATOR = (
    ("dryrun dry-run", "bool", False, "", "Print the units instead of writing them"),
    ("no-kmsg-log", "bool", False, "", "Write messages to stderr, not to the kernel's log"),
    *_USER,
    ("verbose v", "bool", False, "", "Tell of each file"),
    ("version", "bool", False, "", "Print the version"),
)
VERIFY = _USER
INSTALL = (*_RELOAD, ("replace r", "bool", False, "", "Replace files that are there already"))
LIST = (
    ("filter f", "array", (), "KEY=VALUE", "Only quadlets that this describes: name, status"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("noheading n", "bool", False, "", "No headings"),
)
RM = (
    ("all a", "bool", False, "", "Every quadlet of this user's"),
    ("force f", "bool", False, "", "Stop what runs first"),
    ("ignore i", "bool", False, "", "A quadlet that does not exist is no error"),
    *_RELOAD,
)
