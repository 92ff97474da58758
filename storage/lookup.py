"""Container records found by id or name: for commands that only look, which need not know how records are made."""

from __future__ import annotations

from pypod.errors import NoSuchContainer
from storage import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.records import Container, Row
    from storage.store import Store

_ID_LENGTH = 64


def find(store: Store, reference: str) -> Container:
    """By id, then by name, then by the unique beginning of an id.

    Raises NoSuchContainer, in podman's words.
    """
    reference = reference.removeprefix("/")  # Docker's names begin with one
    row = by_id(store, reference) if len(reference) == _ID_LENGTH else None
    row = row or named(store, reference)
    if row is None and reference:
        found = {row["id"]: row for table in reversed(store.container_tables) for row in table.beginning(reference)}
        if len(found) > 1 and reference not in found:
            raise NoSuchContainer(f"more than one result for container ID {reference}: container already exists")
        row = found.get(reference) or next(iter(found.values()), None)
    if row is None:
        raise NoSuchContainer(f'no container with name or ID "{reference}" found: no such container')
    return records.container(row)


def named(store: Store, name: str) -> Row | None:
    """The record that has a name. Raises StorageError."""
    for table in store.container_tables:
        row = table.named(name)
        if row is not None:
            return row
    return None


def by_id(store: Store, id: str) -> Row | None:
    """The record with this id. Raises StorageError."""
    for table in store.container_tables:
        row = table.row(id)
        if row is not None:
            return row
    return None
