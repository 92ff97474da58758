"""The overlay driver's directories; ``overlay_mount`` mounts them.

A layer's directory holds ``diff`` (its files), ``link`` (its short name: ``l/<link>`` points to ``diff``), ``lower``
(``l/<parent>:l/<grandparent>...``), ``work`` and ``merged``.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
MOST_LOWERS = 500  # the kernel's OVL_MAX_STACK
OVERRIDE = "user.containers.override_stat"  # of force_mask (containers-storage.conf(5))


def _write(path: str, text: str, durable: bool, mode: int = 0o644) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        files.write_all(fd, text.encode())
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def in_user_namespace() -> bool:
    """Whether this process's user namespace is not the initial one (user_namespaces(7))."""
    return files.read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]


def new_link() -> str:
    """A short name for a layer: 26 characters, as unique as 128 random bits."""
    return "".join([_ALPHABET[byte & 31] for byte in os.urandom(26)])


def is_masked(directory: str) -> bool:
    """Whether the owners and modes of a layer's files are to be had from fuse-overlayfs alone."""
    try:
        return bool(os.getxattr(directory, OVERRIDE))
    except OSError:
        return False


def prepare(home: str) -> None:
    """Make the driver's own directories."""
    files.make_directory(f"{home}/l", 0o755)
    os.chmod(home, 0o700)


def lower_text(home: str, parent: str) -> str:
    """What ``lower`` says in a child of ``parent``."""
    directory = f"{home}/{parent}"
    own = "l/" + files.read(f"{directory}/link").decode().strip()
    try:
        above = files.read(f"{directory}/lower").decode().strip()
    except FileNotFoundError:
        return own
    return f"{own}:{above}" if above else own


def furnish(directory: str, lower: str, lower_layers: str, *, durable: bool) -> str:
    """Add what a layer's directory holds beside ``diff``; its link, for ``make_link``. A base layer has no ``lower``.

    What is to outlive a power cut is flushed before there is a record (by ``durable``, or by the caller): with an
    empty ``lower`` podman could not use the layer any more.
    """
    link = new_link()
    _write(f"{directory}/link", link, durable)
    if lower:
        write_lower(directory, lower, lower_layers, durable=durable)
    else:
        os.mkdir(f"{directory}/empty", 0o700)
    os.mkdir(f"{directory}/work", 0o700)
    os.mkdir(f"{directory}/merged", 0o700)
    if durable:
        files.sync_directory(directory)
    return link


def write_lower(directory: str, lower: str, lower_layers: str, *, durable: bool) -> None:
    """Write what says which layers are below: links, and for containers/storage 1.63 the ids."""
    _write(f"{directory}/lower", lower, durable)
    _write(f"{directory}/lower-layers", lower_layers, durable)


def make_link(home: str, layer: str, link: str) -> None:
    """Make a layer's short name."""
    os.symlink(f"../{layer}/diff", f"{home}/l/{link}")


def create(home: str, layer: str, parent: str, parent_home: str, lower_layers: str, *, durable: bool = False) -> None:
    """Make the directories of an empty layer on ``parent`` ("" for none).

    Raises StorageError; nothing stays behind then.
    """
    directory = f"{home}/{layer}"
    mode, uid, gid = 0o555, 0, 0
    try:
        lower = ""
        if parent:
            lower = lower_text(parent_home, parent)
            if lower.count(":") >= MOST_LOWERS:
                raise StorageError(
                    f"cannot make a layer on {parent[:12]}: it has {lower.count(':') + 1} layers,"
                    f" the kernel mounts {MOST_LOWERS} at most"
                )
            above = os.stat(f"{parent_home}/{parent}/diff")
            mode, uid, gid = above.st_mode & 0o7777, above.st_uid, above.st_gid
        os.mkdir(directory, 0o700)
        try:
            diff = f"{directory}/diff"
            os.mkdir(diff, 0o700)
            if uid or gid:
                os.chown(diff, uid, gid)
            os.chmod(diff, mode)
            if parent and is_masked(f"{parent_home}/{parent}/diff"):
                from storage import masked

                masked.upper(diff, f"{parent_home}/{parent}/diff")
            link = furnish(directory, lower, lower_layers, durable=durable)
            make_link(home, layer, link)
            if durable:
                files.sync_directory(f"{home}/l")
                files.sync_directory(home)
        except BaseException:
            remove(home, layer)
            raise
    except OSError as error:
        raise StorageError(f"cannot make layer {layer[:12]} in {home}: {reason(error)}") from None


def remove(home: str, layer: str) -> None:
    """Remove a layer's directory and its link."""
    drop_link(home, layer)
    files.remove_tree(f"{home}/{layer}")


def drop_link(home: str, layer: str) -> None:
    try:
        link = files.read(f"{home}/{layer}/link").decode().strip()
        if link and "/" not in link:
            os.unlink(f"{home}/l/{link}")
    except OSError:
        pass


def read_text(path: str) -> str:
    """What ``link`` or ``lower`` says; "" if there is none, or an empty one, or something unreadable."""
    try:
        return files.read(path, 1 << 20).decode("ascii", "replace").strip()
    except OSError:
        return ""


def is_link_of(home: str, link: str, layer: str) -> bool:
    try:
        return os.readlink(f"{home}/l/{link}") == f"../{layer}/diff"
    except OSError:
        return False


def linked(homes: Sequence[str], name: str) -> str | None:
    """The directory that a short name leads to in the first of ``homes`` that knows it."""
    for home in homes:
        path = f"{home}/{name}"
        if os.path.isdir(path):
            return path
    return None


def lowers(homes: Sequence[str], layer: str, ancestors: Sequence[str]) -> list[str]:
    """The directories under ``layer``, nearest first. ``homes[0]`` is the layer's own store, others are read-only.

    ``ancestors`` (the layer's parents, nearest first) serve where a link has been lost. Raises StorageError.
    """
    directory = f"{homes[0]}/{layer}"
    try:
        text = files.read(f"{directory}/lower").decode().strip()
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise StorageError(f"cannot read layer {layer[:12]}: {reason(error)}") from None
    return resolve(homes, text, layer, ancestors)


def resolve(homes: Sequence[str], text: str, layer: str, ancestors: Sequence[str]) -> list[str]:
    """``lowers``, with what a layer's ``lower`` says, or will say, as ``text``. Raises StorageError."""
    names = text.split(":") if text else []
    found: list[str] = []
    for name in names:
        path = linked(homes, name)
        if path is None:
            names = []
            break
        found.append(path)
    if not names:
        found = []
        for parent in ancestors:
            path = linked(homes, f"{parent}/diff")
            if path is None:
                raise StorageError(f"cannot mount layer {layer[:12]}: its parent {parent[:12]} has no files")
            found.append(path)
    result = []
    for path in found:
        result.append(path)
        number = 1
        # What a change of the id mapping has left: earlier diffs of the same layer.
        while os.path.isdir(more := f"{path}/../diff{number}"):
            result.append(more)
            number += 1
    return result
