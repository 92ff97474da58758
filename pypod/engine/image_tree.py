"""``image tree``: the layers of an image, base first, or the layers that are built on it (podman-image-tree(1))."""

from __future__ import annotations

from pypod.base.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.records import Image, Layer
    from storage.store import Store


@record
class Node:
    """One layer; ``size`` in bytes, ``tops`` are the names of the images that end with it."""

    id: str
    size: int
    tops: list[str]
    children: list[Node]


@record
class Tree:
    """What is shown of an image: itself, its size in bytes, and the layers as podman draws them."""

    image: Image
    size: int
    nodes: list[Node]


def tree(store: Store, reference: str, *, children: bool) -> Tree:
    """The layers of an image side by side, or with ``children`` its top layer and what is built on that.

    Raises NoSuchImage, StorageError.
    """
    image = store.find_image(reference)
    tops: dict[str, list[str]] = {}
    for other in store.images():
        if other.layer:
            tops.setdefault(other.layer, []).extend(other.names)
    nodes: list[Node] = []
    if image.layer:
        if children:
            nodes = _built_on(store, image.layer, tops)
        else:
            nodes = [_node(layer, tops) for layer in reversed(store.chain(image.layer))]
    return Tree(image=image, size=store.image_size(image), nodes=nodes)


def _node(layer: Layer, tops: dict[str, list[str]]) -> Node:
    return Node(id=layer.id, size=max(layer.diff_size, 0), tops=tops.get(layer.id, []), children=[])


def _built_on(store: Store, top: str, tops: dict[str, list[str]]) -> list[Node]:
    """The top layer and those on it, as podman has it: a layer without siblings stands beside its children."""
    layers = store.layers()
    below: dict[str, list[Layer]] = {}
    for layer in layers.values():
        below.setdefault(layer.parent, []).append(layer)
    result: list[Node] = []
    pending: list[tuple[Layer, list[Node]]] = [(store.layer(top), result)]
    while pending:
        layer, where = pending.pop()
        node = _node(layer, tops)
        where.append(node)
        if layer.parent and len(below.get(layer.parent, ())) > 1:
            where = node.children
        pending += [(child, where) for child in reversed(below.get(layer.id, []))]
    return result
