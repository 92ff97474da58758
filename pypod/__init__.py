"""pypod: containers without a daemon and without root."""

import os
import sys

__version__ = "0.1.0"

# What pypod says it is where it is called podman. Programs choose what they dare to ask for by this number
# (podman-compose waits for a healthy service only from 4.6 on), so it is the podman whose commands and flags
# tests/interop/surface.json holds us to: change both together.
PODMAN_VERSION = "5.8.0"


def called_podman() -> bool:
    """Whether the user knows this program as podman: by a link of that name (the ``pypod`` script passes it on)."""
    return "podman" in sys._xoptions or os.path.basename(sys.argv[0]) == "podman"


def version_line() -> str:
    """What ``--version`` says: podman-version(1)'s words where pypod is called podman."""
    return f"podman version {PODMAN_VERSION}" if called_podman() else f"pypod version {__version__}"
