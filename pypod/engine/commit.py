"""``commit``: an image out of a container's changes and configuration."""

from __future__ import annotations

import hashlib

from pypod.base import fastjson, files
from pypod.base.record import record
from pypod.engine import events, image_load, image_names, images, journal, rootless, stop
from pypod.engine.container import observe
from pypod.engine.roots import Root
from pypod.errors import NoSuchImage, PypodError, StorageError, UsageError, reason
from pypod.oci import image_commit, image_config
from storage import export, overlay, pack, progress, records, space, stream
from storage.commit import Commit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.records import Image
    from storage.store import Store

_UNSUPPORTED = {"Healthcheck": "HEALTHCHECK", "OnBuild": "ONBUILD", "Shell": "SHELL"}


@record
class Wish:
    """What the user asks of a commit, checked: podman-commit(1)'s flags."""

    name: str = ""  # complete, or "" for an image without a name
    author: str = ""
    changes: list[str] = []
    config: Any = None  # the document of --config
    config_file: str = ""
    format: str = "oci"
    include_volumes: bool = False
    message: str = ""
    pause: bool = False
    squash: bool = False


def wish(
    store: Store,
    name: str,
    *,
    author: str = "",
    changes: Sequence[str] = (),
    config_file: str = "",
    format: str = "oci",
    include_volumes: bool = False,
    message: str = "",
    pause: bool = False,
    squash: bool = False,
) -> Wish:
    """Check the flags before anything is done.

    Raises UsageError, PypodError.
    """
    if format not in image_commit.FORMATS:
        raise UsageError(f'unrecognized image format "{format}"')
    if message and format != "docker":
        raise UsageError("messages are only compatible with the docker image format (-f docker)")
    image_load.check_changes(changes)
    document = _read_config(config_file) if config_file else None
    if document is not None:
        image_commit.override({}, document, config_file)
    return Wish(
        name=_complete(store, name) if name else "",
        author=author,
        changes=list(changes),
        config=document,
        config_file=config_file,
        format=format,
        include_volumes=include_volumes,
        message=message,
        pause=pause,
        squash=squash,
    )


def _read_config(path: str) -> Any:
    try:
        return fastjson.loads(files.read(path))
    except OSError as error:
        raise UsageError(f"cannot read --config {path}: {reason(error)}") from None
    except fastjson.BadJson as error:
        raise UsageError(f"cannot use --config {path}: {error}") from None


def _complete(store: Store, name: str) -> str:
    """The complete name of a new image: that of an image which is there already and which ``name`` means, if any."""
    if "@" in name:
        raise UsageError(f"{name}: cannot name an image by a digest that it does not have yet")
    complete = image_names.new_name(name)
    try:
        found = images.resolved_name(store.find_image(name), name)
    except NoSuchImage:
        return complete
    return found if found.rpartition("/")[2] == complete.rpartition("/")[2] else complete


def commit(
    context: Context,
    store: Store,
    container: Container,
    wanted: Wish,
    *,
    seen: progress.Progress = progress.SILENT,
) -> tuple[Image, list[str]]:
    """Make the image, and warnings for the user. Enters the user namespace.

    Raises UsageError, BadState (the container cannot be frozen), StorageError; nothing stays behind then.
    """
    if container.config.rootfs or not container.record.layer:
        raise UsageError("cannot commit a container that uses an exploded rootfs")
    try:
        image = store.find_image(container.record.image)
    except NoSuchImage:
        raise StorageError(
            f"cannot commit container {container.name}: its image {container.record.image[:12]} is gone"
        ) from None
    base = store.image_config(image)
    config, warnings = _config(container, _object(base.get("config")), wanted)
    rootless.enter_user(context)
    journal.after_boot(store)
    frozen = wanted.pause and observe(container).status == "running"
    with Commit(store) as made:
        layers = [] if wanted.squash else _stand_on(store, made, image, seen)
        total = _check_space(store, container, image, wanted)
        if frozen:
            stop.pause(context, container)
        try:
            row = _add_layer(context, store, container, image, made, wanted, total, seen)
        finally:
            if frozen:
                _thaw(context, container)
        layers.append((row["diff-digest"], int(row["diff-size"])))
        created = records.now()
        document = image_commit.document(
            wanted.format,
            base,
            config,
            created=created,
            author=wanted.author,
            message=wanted.message,
            container=container.id,
            image_id=image.id,
            image_name=image.names[0] if image.names else "",
            diff_ids=[digest for digest, _ in layers],
            squash=wanted.squash,
        )
        content = fastjson.dumps(document).encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        manifest = image_commit.manifest(
            wanted.format,
            digest=digest,
            size=len(content),
            layers=layers,
            annotations=_object(store.image_manifest(image).get("annotations")),
        )
        with progress.Writing(seen, digest):
            done = made.finish(
                config=content,
                manifests=[fastjson.dumps(manifest).encode()],
                names=[wanted.name] if wanted.name else [],
                created=created,
            )
    events.container(context, container, "commit")
    return done, warnings


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _config(container: Container, base: dict[str, Any], wanted: Wish) -> tuple[dict[str, Any], list[str]]:
    """The new image's ``config`` object, and warnings of what its format cannot carry."""
    config = container.config
    ports = list(config.exposed)
    for port in config.ports:
        for protocol in port.protocol.split(","):
            ports += [f"{port.container_port + step}/{protocol or 'tcp'}" for step in range(max(1, port.range))]
    volumes = [
        mount.destination
        for mount in config.mounts
        if (mount.type == "volume" and mount.anonymous)
        or (wanted.include_volumes and mount.type in ("bind", "volume", "tmpfs"))
    ]
    merged = image_commit.from_container(
        base,
        entrypoint=config.entrypoint,
        command=config.command,
        env=config.env,
        ports=ports,
        labels=config.labels,
        user=config.user,
        volumes=volumes,
        workdir=config.workdir,
    )
    if wanted.config is not None:
        merged = image_commit.override(merged, wanted.config, wanted.config_file)
    merged = image_config.apply(merged, wanted.changes)
    if wanted.format != "oci":
        return merged, []
    kept, left_out = image_commit.for_oci(merged, base)
    return kept, [
        f"{_UNSUPPORTED[key]} is not supported for OCI image format and will be ignored. Must use `docker` format"
        for key in left_out
    ]


def _stand_on(store: Store, made: Commit, image: Image, seen: progress.Progress) -> list[tuple[str, int]]:
    """Begin with the layers of the container's image; their digests and sizes, lowest first."""
    if not image.layer:
        return []
    made.stand_on(image.layer)
    result = []
    for layer in reversed(store.chain(image.layer)):
        if not layer.diff_digest:
            raise StorageError(f"cannot commit: layer {layer.id[:12]} of image {image.id[:12]} has no digest")
        seen.begin(layer.id, f"Copying blob {layer.diff_digest}")
        seen.end(layer.id, "skipped: already exists")
        result.append((layer.diff_digest, layer.diff_size))
    return result


def _check_space(store: Store, container: Container, image: Image, wanted: Wish) -> int:
    """How long the new layer's archive is, about, in bytes.

    Raises StorageError if it cannot fit.
    """
    sizes = space.tree(store.diff_directory(container.record.layer))
    total, needed = sizes.archive, sizes.disk
    if wanted.squash and store.driver != "vfs":
        size = store.image_size(image)
        total, needed = total + size, needed + size
    space.require(store.imagestore or store.graphroot, needed, f"commit container {container.name}")
    return total


def _add_layer(
    context: Context,
    store: Store,
    container: Container,
    image: Image,
    made: Commit,
    wanted: Wish,
    total: int,
    seen: progress.Progress,
) -> dict[str, Any]:
    uids, gids = container.config.uid_map, container.config.gid_map

    def add(tree: pack.Pack) -> dict[str, Any]:
        what = f"Copying layer of container {container.name}"
        return made.add(tree.read, kind=stream.PLAIN, progress=seen, what=what, total=total)

    if wanted.squash:
        with Root(context, store, container, bare=True) as root:
            place = f"/proc/self/fd/{root.fd}"
            with pack.open_tree(place, one_file_system=True, uid_map=uids, gid_map=gids) as tree:
                return add(tree)
    if _content_elsewhere(store):
        with Root(context, store, container, bare=True) as root, _Below(store, container, image) as below:
            place = f"/proc/self/fd/{root.fd}"
            with pack.open_tree(place, parent=below, one_file_system=True, uid_map=uids, gid_map=gids) as tree:
                return add(tree)
    with export.open_layer(store, container.record.layer, uid_map=uids, gid_map=gids) as tree:
        return add(tree)


def _content_elsewhere(store: Store) -> bool:
    """Whether an upper directory may refer to the content of layers below (overlayfs.rst, metacopy and redirect_dir).

    Then the file systems with and without it are compared, as podman does there.
    """
    if store.driver == "vfs" or overlay.in_user_namespace():
        return False
    words = store.mountopt.split(",")
    for name in ("metacopy", "redirect_dir"):
        if f"{name}=on" in words:
            return True
        try:
            if f"{name}=off" not in words and files.read(f"/sys/module/overlay/parameters/{name}").strip() == b"Y":
                return True
        except OSError:
            pass
    return False


class _Below:
    """The file system of a container's image for the length of a ``with`` block, in our own mount namespace."""

    def __init__(self, store: Store, container: Container, image: Image) -> None:
        self._store = store
        self._config = container.config
        self._layer = image.layer
        self._target = f"{container.rundir}/below"

    def __enter__(self) -> str:
        if not self._layer:
            return ""
        return self._store.mount(
            self._layer,
            read_only=True,
            target=self._target,
            uid_map=self._config.uid_map,
            gid_map=self._config.gid_map,
        )

    def __exit__(self, *_: object) -> None:
        if self._layer:
            self._store.unmount(self._layer, target=self._target)
            files.remove_tree(self._target)


def _thaw(context: Context, container: Container) -> None:
    try:
        stop.unpause(context, container)
    except PypodError as error:
        if observe(container).status == "paused":
            from pypod.base import report

            report.warning(f"container {container.name} stays paused: {error.message}")
