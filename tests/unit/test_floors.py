"""The house's floors, over the syntax trees: an import goes down, never up, never sideways, never in a circle."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pypod", "storage", "conmon")

# Longest prefix wins. Rooms of floor 2 do not know each other.
FLOORS = {
    "pypod.entry": 5,
    "pypod.__main__": 6,
    "pypod.cli": 4,
    "pypod.engine": 3,
    "pypod.oci": 2,
    "pypod.runtime": 2,
    "pypod.network": 2,
    "pypod.registry": 2,
    "pypod.kube": 2,
    "pypod.systemd": 2,
    "storage": 2,
    "conmon": 2,
    "pypod.linux": 1,
    "pypod.base": 0,
    "pypod": 0,
    "pypod.errors": -1,
}
DATA = "pypod.oci"  # plain data: every room of floor 2 may use it


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    while module not in FLOORS:
        module = module.rpartition(".")[0]
        assert module, "a module outside every room"
    return module


def imports(name: str, *, top_only: bool = False) -> set[str]:
    """Our modules that a module imports at run time; with ``top_only`` those it imports when it is imported."""
    tree = ast.parse(MODULES[name].read_text(), name)
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                for other in child.orelse:
                    visit(ast.Module([other], []))
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name}: relative import"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    found.add(whole if whole in MODULES else child.module or "")
            elif top_only and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            visit(child)

    visit(tree)
    return {item for item in found if item.partition(".")[0] in PACKAGES}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down(name):
    here = room(name)
    for other in imports(name):
        there = room(other)
        if there == here:
            continue
        down = FLOORS[there] < FLOORS[here]
        data = FLOORS[here] == FLOORS[there] == 2 and there == DATA
        assert down or data, f"{name} (floor {FLOORS[here]}) imports {other} (floor {FLOORS[there]})"


def test_no_circles():
    graph = {name: {item for item in imports(name, top_only=True) if item in MODULES} for name in MODULES}
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            raise AssertionError(" → ".join([*path[path.index(name) :], name]))
        if name in done:
            return
        for other in sorted(graph[name]):
            if other != name:
                walk(other, [*path, name])
        done.add(name)

    for name in sorted(graph):
        walk(name, [])


def test_only_one_room_speaks_to_registries():
    for name, path in MODULES.items():
        if not name.startswith("pypod.registry"):
            tree = ast.parse(path.read_text(), name)
            heads = {
                alias.name.partition(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import)
                for alias in node.names
            }
            assert "requests" not in heads, name


def test_only_one_room_reads_yaml():
    """And that is imported by the kube commands alone, where they begin."""
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(), name)
        heads = {
            alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "yaml" not in heads or name == "pypod.kube.yamltext", name
        rooms = ("pypod.kube", "pypod.engine.kube_", "pypod.cli.kube")
        if not name.startswith(rooms):
            assert not {item for item in imports(name) if item.startswith(rooms)}, name
