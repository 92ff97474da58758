"""``export``: a container's root file system as a tar archive."""

from __future__ import annotations

from pypod.engine import events, rootless
from pypod.engine.roots import Root
from storage import output, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


def export(context: Context, store: Store, container: Container, path: str) -> None:
    """Write the archive to ``path``, "-" for stdout. A file is there when it is whole, and not before.

    Volumes and other mounts are left out, as podman does; owners are those inside the container. Enters the user
    namespace. Raises PypodError, StorageError.
    """
    rootless.enter_user(context)
    # The file first: the container's file system is looked for in other mount namespaces, where ``path`` may lead
    # elsewhere.
    with output.File(path) as file, Root(context, store, container, bare=True) as root:
        with pack.open_tree(
            f"/proc/self/fd/{root.fd}",
            one_file_system=True,
            uid_map=container.config.uid_map,
            gid_map=container.config.gid_map,
        ) as tree:
            for piece in tree:
                file.write(piece)
    events.container(context, container, "export")
