"""Who a container's process is: USER of the image or --user, by the root file system's passwd(5) and group(5)."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import rootfs
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ID = 2**31 - 1
KEEP_GROUPS = "keep-groups"


@record
class User:
    """Numbers as in the container. ``groups`` are the supplementary ones."""

    uid: int = 0
    gid: int = 0
    groups: list[int] = []
    home: str = "/"
    name: str = ""
    in_passwd: bool = False


@record
class Passwd:
    """One line of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@record
class Group:
    """One line of group(5)."""

    name: str
    gid: int
    members: list[str]


def parse_passwd(text: bytes) -> list[Passwd]:
    """The well-formed lines of passwd(5)."""
    result = []
    for line in text.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[2].isdecimal() and fields[3].isdecimal():
            fields += ["", "", ""]
            result.append(
                Passwd(name=fields[0], uid=int(fields[2]), gid=int(fields[3]), home=fields[5], shell=fields[6])
            )
    return result


def parse_group(text: bytes) -> list[Group]:
    """The well-formed lines of group(5)."""
    result = []
    for line in text.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[2].isdecimal():
            members = [name for name in fields[3].split(",") if name] if len(fields) > 3 else []
            result.append(Group(name=fields[0], gid=int(fields[2]), members=members))
    return result


def _number(text: str) -> int | None:
    if not text.isdecimal():
        return None
    value = int(text)
    if value > MAX_ID:
        raise UsageError(f"uids and gids must be in range 0-{MAX_ID}: {text}")
    return value


def find(spec: str, passwd: Sequence[Passwd], groups: Sequence[Group], added: Sequence[str] = ()) -> User:
    """``spec`` is USER[:GROUP], each a name or a number; "" is root. ``added`` are --group-add's.

    Raises UsageError for a name that is not there.
    """
    user_text, colon, group_text = spec.partition(":")
    number = _number(user_text)
    entry = None
    for line in passwd:
        if line.name == user_text or line.uid == number or (not user_text and line.uid == 0):
            entry = line
            break
    if entry is None and user_text and number is None:
        raise UsageError(f"unable to find user {user_text}: no matching entries in passwd file", code=126)
    uid = entry.uid if entry is not None else number or 0
    gid = entry.gid if entry is not None else 0
    # As podman does: the primary group is among the supplementary ones if a user was named.
    extra: list[int] = []
    if group_text:
        gid = _group(group_text, groups)
    elif entry is not None and spec:
        extra += [group.gid for group in groups if entry.name in group.members]
    extra += [_group(name, groups) for name in added if name != KEEP_GROUPS]
    if spec:
        extra.insert(0, gid)
    return User(
        uid=uid,
        gid=gid,
        groups=list(dict.fromkeys(extra)),
        home=(entry.home if entry is not None else "") or "/",
        name=entry.name if entry is not None else user_text,
        in_passwd=entry is not None,
    )


def _group(text: str, groups: Sequence[Group]) -> int:
    number = _number(text)
    for group in groups:
        if group.name == text or group.gid == number:
            return group.gid
    if number is None:
        raise UsageError(f"unable to find group {text}: no matching entries in group file", code=126)
    return number


def resolve(root: int, spec: str, added: Sequence[str] = ()) -> User:
    """``find`` in the root file system open at ``root``. Raises UsageError, PypodError."""
    if KEEP_GROUPS in added and len(added) > 1:
        raise UsageError("the '--group-add keep-groups' option is not allowed with any other --group-add options")
    try:
        passwd = parse_passwd(rootfs.read(root, "etc/passwd"))
        needs_groups = bool(spec) or bool(added)
        groups = parse_group(rootfs.read(root, "etc/group")) if needs_groups else []
    except OSError as error:
        raise PypodError(f"cannot read {error.filename} of the container: {reason(error)}") from None
    return find(spec, passwd, groups, added)
