"""force_mask (containers-storage.conf(5)): all files of layers have one mode, their own is kept in an attribute.

For graphroots that keep neither owners nor modes. fuse-overlayfs shows containers what the attribute says.
"""

from __future__ import annotations

import os

from pypod.errors import StorageError
from storage.overlay import OVERRIDE, is_masked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_UPPER = "user.fuseoverlayfs.override_stat"  # what fuse-overlayfs keeps in upper directories
_DIRECTORY = 0o40000


def override(directory: str) -> str:
    """What force_mask has kept of a directory's owner and mode, ``uid:gid:mode``; what they are if it has not."""
    try:
        text = os.getxattr(directory, OVERRIDE).decode("ascii", "replace")
    except OSError:
        text = ""
    numbers = text.split(":")[:3]
    if len(numbers) == 3 and all(word.isascii() and word.isdecimal() for word in numbers) and "8" > max(numbers[2]):
        return text
    found = os.stat(directory)
    return f"{found.st_uid}:{found.st_gid}:0{found.st_mode & 0o7777:o}"


def root(directory: str, mask: int, lowers: Sequence[str]) -> None:
    """Give a layer's root the mask, and what the layer below it has. Raises OSError."""
    text = override(lowers[0]) if lowers else "0:0:0555"
    os.chmod(directory, mask)
    os.setxattr(directory, OVERRIDE, text.encode())


def upper(directory: str, parent: str) -> None:
    """Make a container's root directory begin as what its image's is. Raises OSError, ValueError."""
    owner, group, mode = override(parent).split(":")[:3]
    os.setxattr(directory, _UPPER, f"{owner}:{group}:{int(mode, 8) | _DIRECTORY:o}".encode())


def refuse(directory: str) -> None:
    """The attribute's ids are not mapped by anyone: raises StorageError for files that have it."""
    if is_masked(directory):
        raise StorageError(
            "cannot map the ids of an image's files that were unpacked with force_mask",
            hint="leave out --userns, --uidmap and --gidmap, or load the image into a store without force_mask",
        )
