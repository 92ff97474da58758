"""Whose configuration counts: the directories of the user who runs us, also from within a user namespace."""

from __future__ import annotations

import os

from pypod.linux import idmap

SYSTEM = "/etc/containers"


def user_id() -> int:
    """The user's id outside of any user namespace of ours. 0: root."""
    try:
        own = os.geteuid()
        for part in idmap.of_process():
            if part.inside <= own < part.inside + part.count:
                return part.outside + own - part.inside
    except OSError:
        pass
    return os.geteuid()


def home() -> str:
    """The user's home directory."""
    return os.path.expanduser("~")


def config() -> str:
    """Where the user's files of containers/image are: ~/.config/containers."""
    return f"{home()}/.config/containers"
