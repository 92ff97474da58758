"""``container clone``: another container with the configuration of one, from its image."""

from __future__ import annotations

from pypod.base import times
from pypod.base.record import replace
from pypod.engine import container as containers
from pypod.engine import create, images, journal, mounts, names, remove, rootless, update
from pypod.errors import BadState, NoSuchContainer, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.config import ContainerConfig, Mount
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


def clone(
    context: Context,
    store: Store,
    original: Container,
    flags: Mapping[str, Any],
    *,
    name: str = "",
    image_name: str = "",
    destroy: bool = False,
    force: bool = False,
) -> Container:
    """Make it; with ``destroy`` the original goes then, with ``force`` even if it runs.

    Named volumes are shared, anonymous ones are made anew. Enters the user namespace. Raises UsageError, BadState
    (code 2), InUse, NoSuchImage, StorageError.
    """
    config = original.config
    if config.infra:
        raise UsageError("cannot clone the infra container of a pod")
    if config.uid_map and config.userns.mode == "auto":
        raise UsageError("cannot clone a container with --userns=auto: it would have the other one's ids")
    changed = update.settled(config, update.limits_of(config, flags))
    rootless.enter_user(context)
    journal.after_boot(store)
    image = None
    if not config.rootfs:
        image = store.find_image(image_name or config.image_id)
    elif image_name:
        raise UsageError("cannot give a container of --rootfs an image")
    if image_name and image is not None:
        changed.update(image=images.resolved_name(image, image_name), image_id=image.id, raw_image=image_name)
    if changed:
        changed["create_command"] = []  # the original's makes another container
    copied = fresh(context, replace(config, **changed), names.check(name) if name else free_name(store, original))
    state = containers.observe(original)
    if destroy and state.live and not force:
        raise BadState(
            f"cannot remove container {original.id} as it is {state.status} - running or paused containers cannot"
            " be removed without force: container state improper",
            code=2,
        )
    if config.uid_map:
        rootless.private_mounts(context)
    made = create.from_config(context, store, copied, image)
    if destroy:
        remove.remove(context, store, original, force=force)
    return made


def fresh(context: Context, config: ContainerConfig, name: str) -> ContainerConfig:
    """What two containers cannot have both is the clone's own, or nobody's."""
    return replace(
        config,
        id=names.random_id(),
        name=name,
        created=times.rfc3339(times.now()),
        layer="",
        mounts=[_own(context, mount) for mount in config.mounts],
        cidfile="",
        pidfile="",
        conmon_pidfile="",
        log_path="",
        static_ip="",
        static_ip6="",
        static_mac="",
    )


def _own(context: Context, mount: Mount) -> Mount:
    if mount.type != "volume" or not mount.anonymous:
        return mount
    made = mounts.anonymous(mount.destination, context.volume_path)
    return replace(mount, name=made.name, source=made.source)


def free_name(store: Store, original: Container) -> str:
    """The original's with -clone, or -clone1 and so on behind it."""
    number = 0
    while True:
        name = f"{original.name}-clone{number or ''}"
        try:
            store.find_container(name)
        except NoSuchContainer:
            return name
        number += 1
