"""``cp``: files between the host and containers, by podman-cp(1)'s rules for files and directories."""

from __future__ import annotations

import os
import stat

from pypod.base import process
from pypod.base.record import record, replace
from pypod.engine import container as containers
from pypod.engine import copytree, rootfs, rootless, users
from pypod.engine.copytree import IN_ROOT, STRICT, Entry, Ids, Writer
from pypod.engine.roots import Root
from pypod.errors import NotFound, PypodError, UsageError, reason
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


@record
class Place:
    """One of cp's two arguments. ``container`` "" is the host; path "-" there is a tar on stdin or stdout."""

    container: str
    path: str

    @property
    def stream(self) -> bool:
        return not self.container and self.path == "-"


def parse(text: str) -> Place:
    """CONTAINER:PATH, or a path of the host, which with a colon in it starts with "/" or "."."""
    head, colon, tail = text.partition(":")
    if not colon or not head or text[0] in "/.":
        return Place(container="", path=text)
    return Place(container=head, path=tail)


@record
class End:
    """A place that has been opened: ``fd`` is the directory that paths are resolved from."""

    place: Place
    fd: int
    resolve: int
    ids: Ids
    owner: tuple[int, int] | None = None  # who gets what is copied there; None: whose it was

    def open(self, path: str, flags: int) -> int:
        """Open a path as the user means it. Raises OSError."""
        if not self.place.container:
            return os.open(path, flags | os.O_CLOEXEC)
        return syscalls.openat2(self.fd, path.strip("/") or ".", flags, resolve=self.resolve)

    @property
    def shown(self) -> str:
        return f" on container {self.place.container}" if self.place.container else " on the host"


def copy(context: Context, store: Store, source: Place, target: Place, *, archive: bool, overwrite: bool) -> None:
    """Copy ``source`` to ``target``.

    ``archive`` gives what goes into a container to the container's user; off, files keep their owners. Raises
    UsageError, NotFound, PypodError.
    """
    if not source.container and not target.container:
        raise UsageError(
            f'invalid arguments "{source.path}", "{target.path}": you must specify at least one container'
        )
    for place in (source, target):
        if place.container and not place.path:
            raise UsageError(f'invalid arguments "{place.container}:": the path in the container is missing')
        if not place.container and not place.path:
            raise UsageError("invalid arguments: the path on the host is empty")
    found: dict[str, Container] = {}
    for place in (source, target):
        if place.container:
            found[place.container] = containers.find(context, store, place.container)
    roots: dict[str, Root] = {}
    try:
        for container in found.values():
            if container.id not in roots:
                roots[container.id] = Root(context, store, container)
                roots[container.id].__enter__()
                if not roots[container.id].running:
                    _mount_volumes(roots[container.id])
        rootless.enter_user(context)
        begin = _end(source, found, roots)
        end = _end(target, found, roots)
        owner = None
        if archive:
            owner = _owner(end, found)
        elif not target.container:
            end = replace(end, ids=begin.ids)
        _copy(begin, replace(end, owner=owner), overwrite=overwrite)
    finally:
        for root in roots.values():
            root.__exit__(None, None, None)


def _end(place: Place, found: dict[str, Container], roots: dict[str, Root]) -> End:
    if not place.container:
        return End(place=place, fd=-1, resolve=STRICT, ids=Ids())
    container = found[place.container]
    root = roots[container.id]
    ids = Ids(uid_map=container.config.uid_map, gid_map=container.config.gid_map)
    return End(place=place, fd=root.fd, resolve=IN_ROOT, ids=ids)


def _owner(target: End, found: dict[str, Container]) -> tuple[int, int]:
    """Who gets the files: on the host who copies (root in here, also without root), else the container's user."""
    if not target.place.container:
        return os.geteuid(), os.getegid()
    user = users.resolve(target.fd, found[target.place.container].config.user, ())
    return target.ids.outside(user.uid, user.gid)


def _mount_volumes(root: Root) -> None:
    """Put the volumes and binds of a container that does not run where its processes would see them."""
    for mount in root.container.config.mounts:
        if mount.type not in ("bind", "volume") or not os.path.exists(mount.source):
            continue
        try:
            if os.path.isdir(mount.source):
                rootfs.make_directory(root.fd, mount.destination)  # as the first start does
            at = syscalls.openat2(root.fd, mount.destination.strip("/") or ".", os.O_PATH, resolve=IN_ROOT)
        except OSError:
            continue  # the image has something else there: the start will say so
        try:
            # mount(2), as move_mount(2) would not follow the link to where the descriptor is.
            syscalls.mount(mount.source, f"/proc/self/fd/{at}", "", syscalls.MS_BIND | syscalls.MS_REC)
        except OSError as error:
            raise PypodError(f"cannot mount {mount.source} for cp: {reason(error)}") from None
        finally:
            os.close(at)


def _copy(source: End, target: End, *, overwrite: bool) -> None:
    if source.place.stream:
        entries, name, kind = _from_stream(), "", stat.S_IFDIR
    else:
        entries, name, kind = _from_tree(source)
    if target.place.stream:
        from pypod.engine import copytar

        if 1 in process.closed:
            raise UsageError("cannot write an archive: standard output is closed")
        if os.isatty(1):
            raise UsageError("cannot write an archive to a terminal: redirect stdout")
        with os.fdopen(os.dup(1), "wb") as stream:
            copytar.write(entries, stream, name)
        return
    directory, base, rename = _destination(target, name, kind, from_stream=source.place.stream, overwrite=overwrite)
    try:
        writer = Writer(
            directory,
            base,
            resolve=target.resolve,
            ids=target.ids,
            owner=target.owner,
            overwrite=overwrite,
            devices=bool(target.place.container) and _may_make_devices(),
            # A program of a container must not become set-uid root on the host.
            keep_setid=bool(target.place.container),
        )
        writer.put_all(entries, rename)
    finally:
        if directory != target.fd:
            os.close(directory)


def _may_make_devices() -> bool:
    from pypod.linux import idmap

    try:
        return idmap.is_initial(idmap.of_process())
    except OSError:
        return False


def _from_stream() -> Iterator[Entry]:
    from pypod.engine import copytar

    return copytar.read(os.fdopen(os.dup(0), "rb"))


def _from_tree(source: End) -> tuple[Iterator[Entry], str, int]:
    """(the entries, the base name, the top's type) of a source. A link that the user named is followed."""
    path = source.place.path
    try:
        top = source.open(path, os.O_PATH)
    except FileNotFoundError:
        raise NotFound(f'"{path}" could not be found{source.shown}: no such file or directory') from None
    except OSError as error:
        raise PypodError(f'cannot copy "{path}"{source.shown}: {reason(error).lower()}') from None
    kind = stat.S_IFMT(os.fstat(top).st_mode)
    if kind != stat.S_IFDIR and path.endswith("/"):
        os.close(top)
        raise PypodError(f'cannot copy "{path}"{source.shown}: not a directory')
    name = path.rstrip("/").rpartition("/")[2]
    contents = path.endswith("/.") or name in ("", ".", "..")
    if contents:
        name = ""
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        return _opened(top, source.ids), name, kind
    os.close(top)
    raise PypodError(f'cannot copy "{path}"{source.shown}: not a regular file or directory')


def _opened(top: int, ids: Ids) -> Iterator[Entry]:
    """The tree whose top is open: read through /proc, so that what was looked at is what is copied."""
    try:
        found = os.fstat(top)
        if stat.S_ISDIR(found.st_mode):
            listing = os.open(f"/proc/self/fd/{top}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield from copytree.read_tree(listing, ".", ids)
            finally:
                os.close(listing)
        else:
            yield copytree.regular(top, ids)
    except OSError as error:
        raise PypodError(f"cannot copy: {reason(error)}") from None
    finally:
        os.close(top)


def _destination(target: End, name: str, kind: int, *, from_stream: bool, overwrite: bool) -> tuple[int, str, str]:
    """(directory, path of the base in it, name of the top there) by podman-cp(1)'s rules."""
    path = target.place.path
    existing = 0
    try:
        fd = target.open(path, os.O_PATH)
    except FileNotFoundError:
        fd = -1
    except OSError as error:
        raise PypodError(f'cannot copy to "{path}"{target.shown}: {reason(error).lower()}') from None
    if fd >= 0:
        existing = stat.S_IFMT(os.fstat(fd).st_mode)
        os.close(fd)
    if existing == stat.S_IFDIR:
        return (*_base(target, path), name)
    if from_stream:
        what = "must be a directory when copying from stdin" if existing else "could not be found"
        raise PypodError(f'destination "{path}"{target.shown} {what}')
    if existing and kind == stat.S_IFDIR and not overwrite:
        raise PypodError(f'cannot copy a directory to a file: "{path}"{target.shown} is not a directory')
    if existing:
        path = _follow(target, path)
    elif path.endswith("/") and kind != stat.S_IFDIR:
        raise NotFound(f'"{path}" could not be found{target.shown}: no such directory')
    parent, _, last = path.rstrip("/").rpartition("/")
    if path.startswith("/") or target.place.container:
        parent = parent or "/"
    if last in (".", ".."):
        raise NotFound(f'"{path}" could not be found{target.shown}: no such file or directory')
    try:
        return (*_base(target, parent or "."), last)
    except FileNotFoundError:
        raise NotFound(f'"{parent}" could not be found{target.shown}: no such file or directory') from None
    except NotADirectoryError:
        raise PypodError(f'cannot copy to "{path}"{target.shown}: "{parent}" is not a directory') from None


def _follow(target: End, path: str) -> str:
    """The file that ``path`` names, links followed: that file is overwritten, not the link."""
    for _ in range(40):
        head, _, last = path.rstrip("/").rpartition("/")
        if not head:
            head = "/" if path.startswith("/") or target.place.container else "."
        directory = target.open(head, os.O_PATH | os.O_DIRECTORY)
        try:
            text = os.readlink(last, dir_fd=directory)
        except OSError:
            return path
        finally:
            os.close(directory)
        path = text if text.startswith("/") else f"{head}/{text}"
    raise PypodError(f'cannot copy to "{path}"{target.shown}: too many levels of symbolic links')


def _base(target: End, path: str) -> tuple[int, str]:
    """Where the writer starts: in a container its root and the path in it, on the host the directory itself."""
    fd = target.open(path, os.O_PATH | os.O_DIRECTORY)
    if target.place.container:
        os.close(fd)
        return target.fd, path
    return fd, ""
