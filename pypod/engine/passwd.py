"""--passwd: a line in the container's passwd(5) and group(5) for a user that the image does not know.

Programs ask for the name of their user and fail where there is none. podman adds a line for the user of a container
and, with --userns=keep-id, for the caller; so do we. Lines go into the root file system's own files, as a bind mount
in their place would stop useradd(8) from replacing them; only a read-only root file system gets a bind mount.
"""

from __future__ import annotations

import os

from pypod.base.record import record, replace
from pypod.engine import rootfs, users
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.config import ContainerConfig
    from pypod.engine.context import Context
    from pypod.engine.deeds import Deeds
    from pypod.engine.users import User


@record
class Prepared:
    """The user with what it has become, and files to bind: path in the container → file of ours."""

    user: User
    files: dict[str, str] = {}


def prepare(context: Context, config: ContainerConfig, root: int, rundir: str, user: User, deeds: Deeds) -> Prepared:
    """Add the lines that are missing. Raises PypodError, UsageError."""
    keep = config.userns.mode == "keep-id" and not config.userns.value
    if (
        not config.passwd
        or (user.in_passwd and not keep)
        and not config.host_users
        and not (config.passwd_entry or config.group_entry)
    ):
        return Prepared(user=user)
    try:
        passwd_text = rootfs.read(root, "etc/passwd")
        group_text = rootfs.read(root, "etc/group")
    except OSError as error:
        raise PypodError(f"cannot read {error.filename} of the container: {reason(error)}") from None
    known = users.parse_passwd(passwd_text)
    groups = users.parse_group(group_text)
    new_users: list[str] = []
    new_groups: list[str] = []
    if keep:
        name, gecos = _host_name(context.uid)
        inside = _inside(config.uid_map)
        group = _inside(config.gid_map)
        if not any(line.uid == inside for line in known):
            home = config.workdir
            new_users.append(f"{name}:*:{inside}:{group}:{gecos}:{home}:/bin/sh")
            if user.uid == inside:
                user = replace(user, name=name, home=home, in_passwd=True)
        if not any(line.gid == group for line in groups):
            new_groups.append(f"{_host_group(context.gid)}:x:{group}:{name}")
        if group not in user.groups:
            user = replace(user, groups=[*user.groups, group])
    if not user.in_passwd:
        home = config.workdir
        name = user.name or str(user.uid)
        line = f"{name}:*:{user.uid}:{user.gid}:container user:{home}:/bin/sh"
        new_users.append(_entry(config.passwd_entry, user, name, home) or line)
        user = replace(user, name=name, home=home, in_passwd=True)
        if not any(group.gid == user.gid for group in groups) and user.gid:
            new_groups.append(_entry(config.group_entry, user, name, home) or f"{user.gid}:x:{user.gid}:{user.uid}")
    for name in config.host_users:
        new_users += _host_user(name, known)
    result: dict[str, str] = {}
    for path, text, lines in (("/etc/passwd", passwd_text, new_users), ("/etc/group", group_text, new_groups)):
        if lines:
            result.update(_append(config, root, rundir, path, text, lines, deeds))
    return Prepared(user=user, files=result)


def _inside(entries: list[list[int]]) -> int:
    """The id in the container that stands for the caller."""
    for inside, outside, _ in entries:
        if outside == 0:
            return inside
    return 0


def _host_name(uid: int) -> tuple[str, str]:
    import pwd

    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), ""
    return found.pw_name, found.pw_gecos.replace(":", "")


def _host_group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _host_user(name: str, known: list[users.Passwd]) -> list[str]:
    import pwd

    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"unable to find host user {name}: unknown user {name}") from None
    if any(line.uid == found.pw_uid or line.name == found.pw_name for line in known):
        return []
    gecos = found.pw_gecos.replace(":", "")
    return [f"{found.pw_name}:*:{found.pw_uid}:{found.pw_gid}:{gecos}:{found.pw_dir}:/bin/sh"]


def _entry(template: str, user: User, name: str, home: str) -> str:
    """--passwd-entry and --group-entry: $USERNAME, $UID, $GID, $NAME, $GROUPNAME and $HOME are replaced."""
    if not template:
        return ""
    values = (
        ("USERNAME", name),
        ("GROUPNAME", str(user.gid)),
        ("GROUPLIST", name),
        ("UID", str(user.uid)),
        ("GID", str(user.gid)),
        ("NAME", "container user"),
        ("HOME", home),
    )
    for key, value in values:
        template = template.replace("$" + key, value)
    return template.rstrip("\n")


def _append(
    config: ContainerConfig, root: int, rundir: str, path: str, text: bytes, lines: list[str], deeds: Deeds
) -> dict[str, str]:
    addition = "".join(line + "\n" for line in lines).encode()
    if text and not text.endswith(b"\n"):
        addition = b"\n" + addition
    if not config.read_only and deeds.append(root, path, addition):
        return {}
    own = f"{rundir}/{os.path.basename(path)}"
    try:
        deeds.write(own, text + addition, 0o644)
    except OSError as error:
        raise PypodError(f"cannot write {own}: {reason(error)}") from None
    return {path: own}
