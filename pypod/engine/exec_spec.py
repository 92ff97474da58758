"""The process of an exec session: the container's own with what the flags change (runtime-spec, "process")."""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.base.record import record
from pypod.errors import PypodError, StorageError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.container import Container, State


@record
class ExecOptions:
    """What exec's flags say."""

    command: list[str]
    env: list[str] = []
    env_files: list[str] = []
    user: str = ""
    workdir: str = ""
    interactive: bool = False
    tty: bool = False
    detach: bool = False
    privileged: bool = False
    detach_keys: str | None = None  # None: the default ones
    preserve_fds: int = 0
    events: bool = True  # a health check's would drown the others


def process(container: Container, state: State, options: ExecOptions) -> dict[str, Any]:
    """The JSON that the runtime's ``exec --process`` reads. In the container's user namespace.

    Raises UsageError for an unknown user or a bad variable, StorageError.
    """
    try:
        spec: dict[str, Any] = files.read_json(container.userdata + "/config.json")
        result: dict[str, Any] = dict(spec["process"])
    except (OSError, fastjson.BadJson, KeyError) as error:
        raise StorageError(f"cannot read the OCI config of container {container.name}: {error}") from None
    result["terminal"] = options.tty
    result["args"] = options.command
    if options.workdir:
        if not options.workdir.startswith("/"):
            raise UsageError(
                f"the working directory {options.workdir!r} is invalid, it needs to be an absolute path", code=255
            )
        result["cwd"] = options.workdir
    variables = dict(entry.partition("=")[::2] for entry in result.get("env") or ())
    if options.tty:
        variables.setdefault("TERM", "xterm")
    if options.env_files:
        from pypod.engine import env

        for path in options.env_files:
            variables.update(env.read_file(path, os.environ))
    user = options.user
    if user:
        from pypod.engine import users

        root = _root(state)
        try:
            found = users.resolve(root, user, container.config.groups)
        except PypodError as error:
            error.code = 255  # the container itself could not start with it (126); here podman has another code
            raise
        finally:
            os.close(root)
        given: dict[str, Any] = {"uid": found.uid, "gid": found.gid}
        if "umask" in result["user"]:
            given["umask"] = result["user"]["umask"]
        if found.groups:
            given["additionalGids"] = found.groups
        result["user"] = given
        variables["HOME"] = found.home
        result["capabilities"] = _capabilities(result["capabilities"], found.uid, options.privileged)
    elif options.privileged:
        result["capabilities"] = _capabilities(result["capabilities"], result["user"]["uid"], True)
    if options.env:
        from pypod.engine import env

        variables.update(env.parse(options.env, os.environ))
    result["env"] = [f"{name}={value}" for name, value in variables.items()]
    return result


def _root(state: State) -> int:
    from pypod.engine import rootfs

    try:
        return rootfs.open_root(f"/proc/{state.pid}/root")
    except OSError as error:
        raise StorageError(f"cannot look into the container: {reason(error)}") from None


def _capabilities(own: dict[str, list[str]], uid: int, privileged: bool) -> dict[str, list[str]]:
    """Root has the bounding set, another user what is ambient; --privileged has all that we have."""
    if privileged:
        from pypod.linux import caps

        everything = sorted(caps.bounding())
        return {kind: everything for kind in ("bounding", "effective", "permitted", "inheritable")}
    bounding = own.get("bounding", [])
    if uid == 0:
        return {"bounding": bounding, "effective": bounding, "permitted": bounding}
    return {"bounding": bounding}
