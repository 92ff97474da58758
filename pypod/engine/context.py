"""Where everything is for this user: the one value that every engine function takes first.

Opening a context reads configuration files and touches nothing else; directories are made by who writes in them.
Sources: containers.conf(5), podman(1) "ENVIRONMENT VARIABLES".
"""

from __future__ import annotations

import os

from pypod.base import conf, files
from pypod.base.record import record
from pypod.engine import storage_conf
from pypod.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.storage_conf import StorageConf

# Set inside the user namespace, with podman's names, so that either tool started by the other knows where it is.
CONFIGURED = "_CONTAINERS_USERNS_CONFIGURED"
ROOTLESS_UID = "_CONTAINERS_ROOTLESS_UID"
ROOTLESS_GID = "_CONTAINERS_ROOTLESS_GID"


@record
class Context:
    """The user, the places on disk and the configuration. Paths are absolute."""

    rootless: bool
    uid: int  # the user's own ids, also inside the user namespace
    gid: int
    home: str
    runtime_dir: str  # XDG_RUNTIME_DIR or its stand-in
    graphroot: str
    runroot: str
    tmpdir: str  # our own volatile files: locks, exit files, holders of the user namespace
    volume_path: str
    store_limits: dict[str, Any]  # what archives may claim (storage/limits.py), as configured
    storage: StorageConf
    flags: dict[str, Any]  # the global flags as typed
    engine: dict[str, Any]  # containers.conf, its tables merged
    containers: dict[str, Any]
    network: dict[str, Any]

    @property
    def driver(self) -> str:
        return self.storage.driver

    @property
    def mount_program(self) -> str:
        return self.storage.mount_program

    @property
    def mountopt(self) -> str:
        return self.storage.mountopt

    @property
    def state_dir(self) -> str:
        """Our own lasting state beside the store's."""
        return self.graphroot + "/pypod"

    @property
    def helper_dirs(self) -> list[str]:
        found = self.engine.get("helper_binaries_dir")
        if isinstance(found, list):
            return [str(item) for item in found]
        return ["/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman"]


def in_namespace() -> bool:
    """Whether this process is already inside the user namespace that rootless containers live in."""
    return os.geteuid() == 0 and os.environ.get(ROOTLESS_UID, "").isdecimal()


def _own_directory(path: str, uid: int) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    inside = in_namespace()
    return (
        (found.st_mode & 0o170000) == 0o040000
        and (found.st_uid == (0 if inside else uid))
        and (found.st_mode & 0o022 == 0)
    )


def _runtime_dir(uid: int) -> str:
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given:
        if not os.path.isdir(given):
            raise ConfigError(
                f"XDG_RUNTIME_DIR {given} is not a directory",
                hint="unset it, or log in through a session manager (loginctl enable-linger)",
            )
        if not os.access(given, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigError(
                f"cannot use XDG_RUNTIME_DIR {given}: Permission denied",
                hint="unset it: after su or sudo it names another user's directory",
            )
        return os.path.abspath(given)
    usual = f"/run/user/{uid}"
    if _own_directory(usual, uid):
        return usual
    # Shared with containers/storage, which falls back to the same place.
    fallback = f"/tmp/storage-run-{uid}"
    try:
        os.mkdir(fallback, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(
            f"no runtime directory: XDG_RUNTIME_DIR is not set and {fallback}: {error.strerror}"
        ) from None
    if not _own_directory(fallback, uid):
        raise ConfigError(f"no runtime directory: {fallback} belongs to somebody else", hint="set XDG_RUNTIME_DIR")
    return fallback


def _home(uid: int) -> str:
    home = os.environ.get("HOME", "")
    if home.startswith("/"):
        return home
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        raise ConfigError(f"no home directory: HOME is not set and there is no user {uid}") from None


def _conf_files(config_home: str, rootless: bool) -> list[str]:
    override = os.environ.get("CONTAINERS_CONF")
    if override:
        if not os.path.exists(override):
            raise ConfigError(f"cannot read configuration {override}: No such file or directory")
        paths = [override]
    else:
        paths = ["/usr/share/containers/containers.conf", "/etc/containers/containers.conf"]
        paths += conf.drop_ins("/etc/containers/containers.conf.d")
        if rootless:
            paths.append(f"{config_home}/containers/containers.conf")
            paths += conf.drop_ins(f"{config_home}/containers/containers.conf.d")
    last = os.environ.get("CONTAINERS_CONF_OVERRIDE")
    if last:
        paths.append(last)
    return paths


def _table(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    current: Any = document
    for name in names:
        current = current.get(name)
        if current is None:
            return {}
        if not isinstance(current, dict):
            raise ConfigError(f"cannot use configuration: {'.'.join(names)} is not a table")
    return dict(current)


def open_context(flags: Mapping[str, Any]) -> Context:
    """The context of this process, from its user, environment, configuration files and global ``flags``.

    Raises ConfigError.
    """
    inside = in_namespace()
    uid = int(os.environ[ROOTLESS_UID]) if inside else os.geteuid()
    gid = int(os.environ.get(ROOTLESS_GID, "0")) if inside else os.getegid()
    rootless = inside or uid != 0
    home = _home(uid)
    config_home = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    runtime_dir = _runtime_dir(uid) if rootless else "/run"
    cache = runtime_dir + "/pypod-conf"
    containers_conf = conf.merge(conf.load(_conf_files(config_home, rootless), cache + ".containers"))
    storage = storage_conf.read(
        flags,
        rootless=rootless,
        uid=uid,
        home=home,
        config_home=config_home,
        runtime_dir=runtime_dir,
        cache=cache + ".storage",
    )
    engine = _table(containers_conf, "engine")
    tmpdir = flags.get("tmpdir") or storage.runroot + "/pypod"
    return Context(
        rootless=rootless,
        uid=uid,
        gid=gid,
        home=home,
        runtime_dir=runtime_dir,
        graphroot=storage.graphroot,
        runroot=storage.runroot,
        tmpdir=os.path.abspath(tmpdir),
        volume_path=flags.get("volumepath") or str(engine.get("volume_path") or "") or storage.graphroot + "/volumes",
        storage=storage,
        store_limits={**_table(containers_conf, "pypod"), **storage.limits},
        flags=dict(flags),
        engine=engine,
        containers=_table(containers_conf, "containers"),
        network=_table(containers_conf, "network"),
    )


def make_directories(context: Context) -> None:
    """Make the directories that every writer needs. Raises OSError."""
    for path in (context.tmpdir, context.tmpdir + "/exits", context.state_dir):
        files.make_directory(path)
