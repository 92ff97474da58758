"""The archive of a checkpoint, with podman's names in it.

``checkpoint/`` (or ``pre-checkpoint/``) has criu's files; ``config.dump`` and ``spec.dump`` tell of the container and
of its OCI configuration, ``rootfs-diff.tar`` and ``deleted.files`` what is different in its root file system from its
image's, ``volumes/NAME.tar`` what is in its volumes, ``devshm-checkpoint.tar`` its /dev/shm. config.dump has the keys
of podman's that tell what the container is, and under ``pypod`` all that it takes to make it again.
Rare, so it may import what it likes.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator

from pypod.base import fastjson, files, times
from pypod.base.record import to_json
from pypod.engine import checkpoint, names, volumes
from pypod.engine import config as configuration
from pypod.engine.container import stored_state
from pypod.errors import BadArchive, PypodError, reason
from storage import extract, output, overlay, squeeze, stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.checkpoint import Wanted
    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store

CONFIG, SPEC, ROOTFS, DELETED, VOLUMES = "config.dump", "spec.dump", "rootfs-diff.tar", "deleted.files", "volumes"
_XATTR = "SCHILY.xattr."


def write(context: Context, store: Store, container: Container, wanted: Wanted, file: output.File) -> None:
    """Write the archive of what has just been checkpointed. Raises PypodError."""
    staging = container.userdata + "/exporting"
    files.remove_tree(staging)
    files.make_directory(staging)
    try:
        names = _gather(context, store, container, wanted, staging)
        for piece in _compressed(_pieces(names, staging + "/all.tar"), wanted.compress):
            file.write(piece)
    except OSError as error:
        raise PypodError(f"cannot export the checkpoint of container {container.name}: {reason(error)}") from None
    finally:
        files.remove_tree(staging)


def _gather(context: Context, store: Store, container: Container, wanted: Wanted, staging: str) -> dict[str, str]:
    """The files of the archive: name in it to path here."""
    home = container.userdata
    names: dict[str, str] = {}

    def add(name: str, content: Any) -> None:
        names[name] = f"{staging}/{name}"
        files.replace(names[name], fastjson.dumps(content, indent=1).encode())

    add(CONFIG, _described(container))
    names[SPEC] = home + "/config.json"
    if wanted.pre:
        names[checkpoint.PREVIOUS] = f"{home}/{checkpoint.PREVIOUS}"
        return names
    kept = (
        *(checkpoint.DIRECTORY, checkpoint.SHM, checkpoint.DUMP_LOG, checkpoint.DUMP_STATISTICS),
        *((checkpoint.PREVIOUS,) if wanted.previous else ()),
    )
    names.update({name: f"{home}/{name}" for name in kept if os.path.exists(f"{home}/{name}")})
    if not wanted.ignore_rootfs and container.record.layer:
        names[ROOTFS] = f"{staging}/{ROOTFS}"
        deleted = _changes(store, container, names[ROOTFS])
        if deleted:
            add(DELETED, deleted)
    if not wanted.ignore_volumes:
        os.mkdir(f"{staging}/{VOLUMES}")
        for mount in container.config.mounts:
            if mount.type == "volume":
                path = f"{staging}/{VOLUMES}/{mount.name}.tar"
                with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
                    _add(made, volumes.mountpoint(context, mount.name), ".", recursive=True)
                names[f"{VOLUMES}/{mount.name}.tar"] = path
    return names


def _described(container: Container) -> dict[str, Any]:
    config = container.config
    state = stored_state(container)
    return {
        "id": container.id,
        "name": container.name,
        "rootfsImageID": config.image_id,
        "rootfsImageName": config.image,
        "rawImageName": config.raw_image,
        "labels": config.labels,
        "createdTime": config.created,
        "checkpointedTime": times.rfc3339(state.checkpointed_at or times.now()),
        "restoredTime": times.rfc3339(state.restored_at),
        "restored": bool(state.restored_at),
        "runtime": os.path.basename(state.runtime),
        "pypod": to_json(config),
    }


def _changes(store: Store, container: Container, path: str) -> list[str]:
    """Write what the container added or changed to a tar archive; what it deleted, without a "/" first."""
    upper = store.diff_directory(container.record.layer)
    deleted = []
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for kind, changed in store.diff(container.record.layer):
            if kind == "D":
                deleted.append(changed.lstrip("/"))
            elif changed.strip("/"):
                _add(made, upper + changed, changed.lstrip("/"))
    return deleted


def _add(made: tarfile.TarFile, path: str, name: str, *, recursive: bool = False) -> None:
    """One file with its extended attributes; sockets are left out."""
    info = made.gettarinfo(path, name)
    if info is None:
        return
    info.pax_headers = {
        _XATTR + key: os.getxattr(path, key, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for key in os.listxattr(path, follow_symlinks=False)
        if not key.startswith(("trusted.overlay.", "user.overlay."))
    }
    if info.isreg():
        with open(path, "rb") as content:
            made.addfile(info, content)
    else:
        made.addfile(info)
    if recursive and info.isdir():
        for child in sorted(os.listdir(path)):
            _add(made, f"{path}/{child}", f"{name}/{child}", recursive=True)


def _pieces(names: dict[str, str], path: str) -> Iterator[bytes]:
    """The archive, by way of a file: its members are as large as the container's memory."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for name, source in names.items():
            _add(made, source, name, recursive=True)
    with open(path, "rb") as whole:
        while data := whole.read(1 << 20):
            yield data


def _compressed(pieces: Iterator[bytes], method: str) -> Iterator[bytes]:
    if method == "none":
        return pieces
    if method == "gzip":
        from storage import deflate

        return deflate.gzip(pieces, level=None, threads=squeeze.processors())
    return _zstd(pieces)


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packed = squeeze.zstd_stream(None, squeeze.processors())
    for piece in pieces:
        yield packed.compress(piece)
    yield packed.flush()


def unpack(path: str, target: str) -> None:
    """Unpack an archive, compressed or not and maybe hostile, into a directory. Raises BadArchive, PypodError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PypodError(f"cannot open checkpoint {path}: {reason(error)}") from None
    try:
        whole = stream.Source(stream.reader_of(fd))
        _extract(stream.chunks(whole, stream.compression_of(whole.peek(8))), target, target + ".replaced")
        _check_links(target, path)
    finally:
        os.close(fd)
        files.remove_tree(target + ".replaced")


def _check_links(target: str, path: str) -> None:
    """Raise BadArchive for links that are not criu's: they could lead to other files than the archive's."""
    for directory, below, others in os.walk(target):
        for name in (*below, *others):
            found = f"{directory}/{name}"
            if not os.path.islink(found):
                continue
            if name != "parent" or directory != f"{target}/{checkpoint.DIRECTORY}":
                raise BadArchive(f"cannot restore from {path}: {found[len(target) + 1 :]} in it is a link")
            if os.readlink(found) != f"../{checkpoint.PREVIOUS}":
                raise BadArchive(f"cannot restore from {path}: {found[len(target) + 1 :]} leads out of it")


def _extract(
    pieces: Iterator[bytes], target: str, shadow: str, lowers: tuple[str, ...] = (), whiteouts: str = "keep"
) -> None:
    files.remove_tree(shadow)
    files.make_directory(shadow)
    extract.Extractor(
        target,
        lowers=lowers,
        tar_split=shadow + "/split",
        shadow=shadow + "/replaced",
        in_user_namespace=overlay.in_user_namespace(),
        whiteouts=whiteouts,
    ).run(pieces)


def described(directory: str, path: str) -> ContainerConfig:
    """The container of an unpacked archive. Raises BadArchive."""
    try:
        found = fastjson.loads(files.read(f"{directory}/{CONFIG}"))
        ours = found.get("pypod")
        if ours is None and found.get("id"):
            raise BadArchive(
                f"cannot restore from {path}: it was not made by pypod, which cannot read what podman says"
            )
        config = configuration.from_json(ours)
        if len(config.id) != 64 or not set(config.id) <= set("0123456789abcdef"):
            raise BadArchive(f"cannot restore from {path}: {config.id[:70]!r} is no id of a container")
        names.check(config.name)
        for mount in config.mounts:
            if mount.type == "volume":
                names.check(mount.name)
        return config
    except (OSError, fastjson.BadJson, TypeError, AttributeError, KeyError):
        raise BadArchive(f"cannot restore from {path}: it has no {CONFIG} of a checkpoint") from None


def apply(store: Store, container: Container, directory: str) -> None:
    """Bring the root file system of a container just made to where it was. Raises BadArchive, StorageError."""
    upper = store.diff_directory(container.record.layer)
    lowers = tuple(store.lower_directories(container.record.layer))
    shadow = directory + "/replaced"
    deleted = f"{directory}/{DELETED}"
    if os.path.isfile(deleted):
        try:
            gone = [str(name) for name in fastjson.loads(files.read(deleted))]
        except (fastjson.BadJson, TypeError):
            raise BadArchive(f"cannot read {DELETED} of the checkpoint") from None
        _extract(iter((_whiteouts(gone),)), upper, shadow, lowers, "convert")
    if os.path.isfile(f"{directory}/{ROOTFS}"):
        _extract(_read(f"{directory}/{ROOTFS}"), upper, shadow, lowers, "convert")


def _whiteouts(names: list[str]) -> bytes:
    """A layer's archive that deletes these."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name in names:
            head, _, tail = name.strip("/").rpartition("/")
            made.addfile(tarfile.TarInfo((head + "/" if head else "") + ".wh." + tail))
    return whole.getvalue()


def fill(directory: str, target: str) -> None:
    """Unpack ``devshm-checkpoint.tar`` into the mounted ``target``."""
    path = f"{directory}/{checkpoint.SHM}"
    if os.path.isfile(path):
        _extract(_read(path), target, directory + "/replaced-shm")


def _read(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            yield data
