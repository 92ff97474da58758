"""``image tree``: an image's layers, or what is built on it."""

from __future__ import annotations

from pypod.base import units
from pypod.cli import output, targets
from pypod.engine import image_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation
    from pypod.engine.image_tree import Node


def run(invocation: Invocation) -> int:
    _, store = targets.open_engine(invocation)
    tree = image_tree.tree(store, invocation.args[0], children=invocation.options["whatrequires"])
    output.line(f"Image ID: {tree.image.id[:12]}")
    output.line(f"Tags:     [{' '.join(tree.image.names)}]")
    output.line(f"Size:     {units.size(tree.size, space=False, digits=4)}")
    if not tree.nodes:
        output.line("No Image Layers\n")
        return 0
    output.line("Image Layers")
    _draw(tree.nodes)
    output.line("")
    return 0


def _draw(nodes: list[Node]) -> None:
    """Without recursion: a chain of layers may be hundreds long."""
    left = [(node, "", number == len(nodes)) for number, node in enumerate(nodes, 1)][::-1]
    while left:
        node, prefix, last = left.pop()
        size = units.size(node.size, space=False, digits=4)
        tops = f" Top Layer of: [{' '.join(node.tops)}]" if node.tops else ""
        output.line(f"{prefix}{'└── ' if last else '├── '}ID: {node.id[:12]} Size: {size:>7}{tops}")
        below = prefix + ("    " if last else "│   ")
        count = len(node.children)
        left += [(child, below, number == count) for number, child in enumerate(node.children, 1)][::-1]
