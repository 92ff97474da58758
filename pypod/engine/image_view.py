"""``image inspect`` and ``history``."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import images
from pypod.engine.images import Overview
from pypod.oci.image_config import ORDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from storage.records import Image
    from storage.store import Store


def inspect(store: Store, image: Image) -> dict[str, Any]:
    """One image with podman's JSON keys (podman-image-inspect(1)).

    Raises StorageError.
    """
    overview = Overview(store)
    parent = overview.parent(image)
    return document(
        id=image.id,
        digest=image.digest,
        tags=[name for name in image.names if "@" not in name],
        repo_digests=images.repo_digests(image),
        config=store.image_config(image),
        manifest=store.image_manifest(image),
        size=overview.size(image),
        parent=parent.id if parent is not None else "",
        driver=store.driver,
        driver_data=_driver_data(store, image) if store.driver == "overlay" else None,
        names_history=image.names_history,
    )


def document(
    *,
    id: str,
    digest: str,
    tags: list[str],
    repo_digests: list[str],
    config: dict[str, Any],
    manifest: dict[str, Any],
    size: int,
    parent: str = "",
    driver: str = "",
    driver_data: dict[str, str] | None = None,
    names_history: list[str] | None = None,
) -> dict[str, Any]:
    """An image's config and manifest, and what is known beside them, with podman's JSON keys."""
    inner = _object(config.get("config"))
    history = config.get("history") or []
    kind = manifest.get("mediaType") or "application/vnd.oci.image.manifest.v1+json"
    # A Docker config has a comment of its own; of an OCI one podman shows the first of its history.
    comment = config.get("comment") if "docker" in kind else history[0].get("comment") if history else ""
    result: dict[str, Any] = {
        "Id": id,
        "Digest": digest,
        "RepoTags": tags,
        "RepoDigests": repo_digests,
        "Parent": parent,
        "Comment": comment or "",
        "Created": config.get("created"),
        "Config": {key: inner[key] for key in ORDER if inner.get(key)},
        "Version": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Architecture": config.get("architecture") or "",
        "Os": config.get("os") or "",
        "Size": size,
        "VirtualSize": size,
        "GraphDriver": {"Name": driver, "Data": driver_data},
        "RootFS": {
            "Type": _object(config.get("rootfs")).get("type") or "layers",
            "Layers": _object(config.get("rootfs")).get("diff_ids") or [],
        },
        "Labels": inner.get("Labels") or None,
        "Annotations": manifest.get("annotations") or {},
        "ManifestType": kind,
        "User": inner.get("User") or "",
        "History": history or None,
        "NamesHistory": names_history,
    }
    if inner.get("Healthcheck"):
        result["Healthcheck"] = inner["Healthcheck"]
    return result


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _driver_data(store: Store, image: Image) -> dict[str, str]:
    if not image.layer:
        return {}
    chain = store.chain(image.layer)
    own = f"{chain[0].home}/{image.layer}"
    data = {}
    if len(chain) > 1:
        data["LowerDir"] = ":".join(f"{item.home}/{item.id}/diff" for item in chain[1:])
    data["UpperDir"] = f"{own}/diff"
    data["WorkDir"] = f"{own}/work"
    return data


@record
class Step:
    """One line of an image's history, the newest first. ``id`` is "<missing>" where no image ends there."""

    id: str
    created: str  # RFC 3339, "" if unknown
    created_by: str
    size: int
    comment: str
    tags: list[str] = []


def history(store: Store, image: Image) -> list[Step]:
    """Raises StorageError."""
    config = store.image_config(image)
    layers = store.chain(image.layer) if image.layer else []  # nearest first
    overview = Overview(store)
    known = {image.id: image}
    parent = overview.parent(image)
    ancestors: list[Image] = []
    while parent is not None and parent.id not in known:
        ancestors.append(parent)
        known[parent.id] = parent
        parent = overview.parent(parent)
    lengths = {len(overview.config(item).get("history") or []): item for item in ancestors}
    entries = [_object(item) for item in config.get("history") or []]
    steps: list[Step] = []
    place = 0
    for number in range(len(entries), 0, -1):
        entry = entries[number - 1]
        size = 0
        if not entry.get("empty_layer"):
            if place < len(layers):
                size = layers[place].diff_size
            place += 1
        here = image if number == len(entries) else lengths.get(number)
        steps.append(
            Step(
                id=here.id if here is not None else "<missing>",
                created=entry.get("created") or "",
                created_by=entry.get("created_by") or "",
                size=size,
                comment=entry.get("comment") or "",
                tags=list(here.names) if here is not None else [],
            )
        )
    for layer in layers[place:]:  # an image without a history has layers all the same
        steps.append(
            Step(
                id=image.id if not steps else "<missing>",
                created=layer.created,
                created_by="",
                size=layer.diff_size,
                comment="",
            )
        )
    return steps
