"""What a played file brings beside pods: volumes, secrets, and places of the host."""

from __future__ import annotations

import functools
import os
import stat
from typing import TYPE_CHECKING

from pypod.engine import container as containers
from pypod.engine import events, mounts, secrets, volume_fill, volumes
from pypod.errors import InUse, NoSuchVolume, PypodError, StorageError, UsageError, reason
from pypod.kube import read, yamltext
from pypod.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pypod.engine.context import Context
    from pypod.engine.pods import Pod
    from pypod.kube.objects import Claim, File, Secret
    from pypod.kube.translate import HostPath, OwnVolume
    from storage.store import Store

# What an own volume was made of, and its name in the pod: for ``kube generate``.
LABEL = "io.pypod.kube.volume"
NAME_LABEL = "io.pypod.kube.volume.name"
_ANNOTATION = "volume.podman.io/"
_KINDS: dict[str, Callable[[int], bool]] = {
    "Directory": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


def check(file: File) -> None:
    """Raise UsageError for claims and secrets that cannot be made."""
    for item in file.claims:
        where = f"document {item.document} (PersistentVolumeClaim {item.name})"
        try:
            mounts.check_volume_name(item.name)
        except UsageError as error:
            raise UsageError(f"{where}: {error.message}") from None
        _owner(item, where)
    for secret in file.secrets:
        where = f"document {secret.document} (Secret {secret.name})"
        try:
            secrets.check_name(secret.name)
        except UsageError as error:
            raise UsageError(f"{where}: {error.message}") from None
        if len(_document(secret)) >= secrets.MOST:
            raise UsageError(f"{where}: is larger than {secrets.MOST} bytes")


def _owner(item: Claim, where: str) -> tuple[int, int]:
    """uid and gid of a claim's volume. Raises UsageError for what a volume here cannot be."""
    found = {"uid": 0, "gid": 0}
    for key, value in item.annotations.items():
        if not key.startswith(_ANNOTATION):
            continue
        name = key.removeprefix(_ANNOTATION)
        path = f"{where}: metadata.annotations.{key}"
        words = [(name, value)]
        if name == "mount-options":
            words = [(word.partition("=")[0], word.partition("=")[2]) for word in value.split(",") if word]
        elif name == "driver" and value in ("", "local"):
            continue
        for option, number in words:
            if option not in found:
                raise UsageError(f"{path}: {option} {number or value} is not supported: only uid and gid are")
            if not number.isdecimal() or int(number) >= 2**32:
                raise UsageError(f"{path}: {number!r} is no id")
            found[option] = int(number)
    return found["uid"], found["gid"]


def claim(context: Context, store: Store, item: Claim, undo: list[Callable[[], object]]) -> str:
    """The volume of a claim; one that is there already keeps its data. Its name."""
    uid, gid = _owner(item, item.name)
    try:
        volumes.load(context, item.name)
        return item.name
    except NoSuchVolume:
        pass
    try:
        volumes.create(context, item.name, labels=item.labels, uid=uid, gid=gid)
    except InUse:
        return item.name

    def remove() -> None:
        if not volumes.users(context, store, item.name):
            volumes.delete(context, item.name)

    undo.append(remove)
    return item.name


def secret(context: Context, item: Secret, undo: list[Callable[[], object]]) -> str:
    """Keep a Secret in podman's form, as the whole document; one of this name gets the new data. Its id.

    Raises UsageError if that one is no Kubernetes Secret.
    """
    content = _document(item)
    known = next((one for one in secrets.every(context) if one.name == item.name), None)
    labels, old = ({}, None) if known is None else (known.labels, secrets.data(context, known))
    if known is not None and old == content:
        return known.id
    stored_secret(context, item.name)  # it may be no Kubernetes Secret
    made = secrets.create(context, item.name, content, labels=labels, replace=True)
    events.secret(context, "create", made.id, made.name)

    def restore() -> None:
        if old is None:
            secrets.remove(context, made.id)
        else:
            secrets.create(context, item.name, old, labels=labels, replace=True)

    undo.append(restore)
    return made.id


def _document(item: Secret) -> bytes:
    import base64

    whole: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": item.name},
        "data": {key: base64.b64encode(value).decode() for key, value in item.data.items()},
    }
    if item.immutable:
        whole["immutable"] = True
    return yamltext.write([whole]).encode()


def stored_secret(context: Context, name: str) -> Mapping[str, bytes] | None:
    """The data of a Kubernetes Secret in the store; None if there is no secret of this name.

    Raises UsageError if it is something else.
    """
    for known in secrets.every(context):
        if known.name == name:
            try:
                return read.secret_data(secrets.data(context, known))
            except UsageError as error:
                raise UsageError(
                    f"secret {name} cannot be used in a pod: {error.message}",
                    hint="it must be a Secret in YAML, or a mapping of keys to base64",
                ) from None
    return None


def own(context: Context, store: Store, item: OwnVolume, pod: Pod) -> None:
    """Make a pod's own volume, which goes with it, and put its files there. Raises PypodError."""
    uid = gid = 0
    if pod.infra_id:
        config = containers.find(context, store, pod.infra_id).config
        uid, gid = volume_fill.outside(config.uid_map, 0), volume_fill.outside(config.gid_map, 0)
    labels = {LABEL: item.label, NAME_LABEL: item.in_pod}
    made = volumes.create(context, item.name, labels=labels, anonymous=True, uid=uid, gid=gid)
    place = volumes.mountpoint(context, item.name)
    try:
        root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not item.files:
                os.fchmod(root, 0o777)  # as Kubernetes has it: whoever the containers run as, it is for them
            for path, (content, mode) in item.files.items():
                _write(root, path, content, mode, uid, gid)
        finally:
            os.close(root)
    except OSError as error:
        raise StorageError(f"cannot fill volume {item.name}: {reason(error)}") from None
    from pypod.base.record import replace

    volumes.save(context, replace(made, needs_copy_up=False, needs_chown=False))


def _write(root: int, path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
    from pypod.base import files
    from pypod.engine import rootfs

    directory, _, _ = path.rpartition("/")
    if directory:
        rootfs.make_directory(root, directory, uid=uid, gid=gid)
    fd = syscalls.openat2(root, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
    try:
        files.write_all(fd, content)
        os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def host_path(item: HostPath, undo: list[Callable[[], object]]) -> None:
    """Make what a hostPath of type …OrCreate is to find, and check the others. Raises UsageError, PypodError."""
    path = os.path.abspath(item.path)
    try:
        if item.kind == "DirectoryOrCreate" and not os.path.lexists(path):
            missing = [path]
            while not os.path.lexists(os.path.dirname(missing[-1])):
                missing.append(os.path.dirname(missing[-1]))
            for place in reversed(missing):
                os.mkdir(place, 0o755)
                undo.append(functools.partial(os.rmdir, place))
            return
        if item.kind == "FileOrCreate" and not os.path.lexists(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            undo.append(lambda: os.unlink(path))
            return
        mode = os.stat(path).st_mode
    except OSError as error:
        raise PypodError(f"{item.where}: {path}: {reason(error)}") from None
    wanted = item.kind.removesuffix("OrCreate")
    if wanted and not _KINDS[wanted](mode):
        raise UsageError(f"{item.where}: {path} is no {wanted}")
