"""``doctor``: does this machine have what containers need? Each check says what is wrong, and what cures it.

Nothing is changed; what a check tries, it tries in a process of its own, in directories that it removes again.
"""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from pypod.engine.context import Context

OK, WARNING, ERROR, SKIPPED = "ok", "warning", "error", "skipped"


@record
class Finding:
    """What one check found. ``cure`` is a command line, "" if nothing is wrong or no command cures it."""

    check: str  # its name, which stays the same from release to release
    status: str  # OK, WARNING (containers run, something will not work), ERROR, or SKIPPED
    message: str
    cure: str = ""


def fine(check: str, message: str) -> Finding:
    return Finding(check=check, status=OK, message=message)


def warn(check: str, message: str, cure: str = "") -> Finding:
    return Finding(check=check, status=WARNING, message=message, cure=cure)


def bad(check: str, message: str, cure: str = "") -> Finding:
    return Finding(check=check, status=ERROR, message=message, cure=cure)


def skip(check: str, message: str) -> Finding:
    return Finding(check=check, status=SKIPPED, message=message)


@record
class User:
    """Whom the checks are for. ``uid`` is 0 for the administrator, who needs no user namespace."""

    uid: int
    name: str

    @property
    def rootless(self) -> bool:
        return self.uid != 0


def examine(flags: Mapping[str, Any]) -> Iterator[Finding]:
    """All checks in their order, for this user and with these global flags."""
    from pypod.engine import doctor_host, doctor_store, doctor_user
    from pypod.engine.context import open_context

    user = _user()
    for check in doctor_user.CHECKS:
        yield from check(user)
    try:
        context = open_context(flags)
    except PypodError as error:
        yield bad("configuration", error.message, error.hint)
        yield skip("store", "the store, the runtime and the network cannot be looked at without it")
        return
    yield from doctor_store.configuration(context)
    for look in (*doctor_store.CHECKS, *doctor_host.CHECKS):
        yield from look(context)


def _user() -> User:
    import pwd

    from pypod.engine.context import ROOTLESS_UID, in_namespace

    uid = int(os.environ[ROOTLESS_UID]) if in_namespace() else os.geteuid()
    try:
        return User(uid=uid, name=pwd.getpwuid(uid).pw_name)
    except KeyError:
        return User(uid=uid, name=str(uid))


def attempt(work: Callable[[], object]) -> PypodError | None:
    """What ``work`` fails with, tried in a process of its own, which may enter namespaces and go."""
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        said = b""
        try:
            work()
        except PypodError as error:
            said = f"{error.message}\0{error.hint}".encode("utf-8", "surrogateescape")
        except OSError as error:
            said = f"{error.strerror or error}\0".encode("utf-8", "surrogateescape")
        finally:
            if said:
                os.write(write, said)
            os._exit(1 if said else 0)
    os.close(write)
    said = b""
    while chunk := os.read(read, 4096):
        said += chunk
    os.close(read)
    _, status = os.waitpid(pid, 0)
    if not status:
        return None
    message, _, hint = said.decode("utf-8", "surrogateescape").partition("\0")
    return PypodError(message or "the attempt ended without a word", hint=hint)


def within(user: Context) -> None:
    """Be in the user namespace that containers live in. For ``attempt``. Raises NamespaceError."""
    from pypod.engine import rootless
    from pypod.engine.context import in_namespace
    from pypod.linux import syscalls, userns

    if user.rootless and not in_namespace():
        userns.create(*rootless.mapping(user))
    else:
        syscalls.unshare(syscalls.CLONE_NEWNS)


def number(path: str) -> int | None:
    """The number in a file of /proc/sys; None where this kernel has none."""
    from pypod.base import files

    try:
        return int(files.read(path))
    except (OSError, ValueError):
        return None
