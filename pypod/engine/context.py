"""Where everything is for this user: the one value that every engine function takes first.

Opening a context reads configuration files and touches nothing else; directories are made by who writes in them.
Sources: containers.conf(5), containers-storage.conf(5), podman(1) "ENVIRONMENT VARIABLES".
"""

from __future__ import annotations

import os

from pypod.base import conf, files
from pypod.base.record import record
from pypod.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

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
    driver: str
    mount_program: str
    mountopt: str
    additional_image_stores: list[str]
    store_limits: dict[str, Any]  # what archives may claim (storage/limits.py), as configured
    flags: dict[str, Any]  # the global flags as typed
    engine: dict[str, Any]  # containers.conf, its tables merged
    containers: dict[str, Any]
    network: dict[str, Any]

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


def _storage_file(config_home: str, rootless: bool) -> list[str]:
    given = os.environ.get("CONTAINERS_STORAGE_CONF")
    if given:
        if not os.path.exists(given):
            raise ConfigError(f"cannot read configuration {given}: No such file or directory")
        return [given]
    mine = f"{config_home}/containers/storage.conf"
    if rootless and os.path.exists(mine):
        return [mine]
    for path in ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf"):
        if os.path.exists(path):
            return [path]
    return []


def _table(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    current: Any = document
    for name in names:
        current = current.get(name)
        if current is None:
            return {}
        if not isinstance(current, dict):
            raise ConfigError(f"cannot use configuration: {'.'.join(names)} is not a table")
    return dict(current)


def _expand(path: str, home: str, uid: int) -> str:
    path = path.replace("$HOME", home).replace("$UID", str(uid))
    if "$" in path:
        path = os.path.expandvars(path)
    return path


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
    storage_conf = conf.merge(conf.load(_storage_file(config_home, rootless), cache + ".storage"))

    storage = _table(storage_conf, "storage")
    options = _table(storage_conf, "storage", "options")
    overlay = {**options, **_table(storage_conf, "storage", "options", "overlay")}
    if rootless:
        data_home = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
        graphroot = f"{data_home}/containers/storage"
        runroot = f"{runtime_dir}/containers"
        configured = str(storage.get("rootless_storage_path", ""))
        # The system's graphroot and runroot are root's; only the user's own file speaks for the user.
        own_file = bool(os.environ.get("CONTAINERS_STORAGE_CONF")) or os.path.exists(
            f"{config_home}/containers/storage.conf"
        )
        if configured:
            graphroot = _expand(configured, home, uid)
        if own_file:
            graphroot = _expand(str(storage.get("graphroot") or graphroot), home, uid)
            runroot = _expand(str(storage.get("runroot") or runroot), home, uid)
    else:
        graphroot = str(storage.get("graphroot") or "/var/lib/containers/storage")
        runroot = str(storage.get("runroot") or "/run/containers/storage")
    driver = os.environ.get("STORAGE_DRIVER") or str(storage.get("driver") or "")
    limits = _table(containers_conf, "pypod")
    for option in (os.environ.get("STORAGE_OPTS") or "").split(","):
        if option and not _limit(option, limits):
            _storage_option(option, overlay)
    if flags.get("root"):
        graphroot = os.path.abspath(flags["root"])
    if flags.get("runroot"):
        runroot = os.path.abspath(flags["runroot"])
    if flags.get("storage_driver"):
        driver = flags["storage_driver"]
    given = [option for option in flags.get("storage_opt") or () if not _limit(option, limits)]
    if given:
        overlay = {}
        for option in given:
            _storage_option(option, overlay)
    driver = driver or _prior_driver(graphroot)
    if driver not in ("overlay", "vfs"):
        raise ConfigError(f"storage driver {driver} is not supported", hint="use overlay or vfs")
    engine = _table(containers_conf, "engine")
    tmpdir = flags.get("tmpdir") or runroot + "/pypod"
    stores = overlay.get("additionalimagestores") or []
    return Context(
        rootless=rootless,
        uid=uid,
        gid=gid,
        home=home,
        runtime_dir=runtime_dir,
        graphroot=graphroot,
        runroot=runroot,
        tmpdir=os.path.abspath(tmpdir),
        volume_path=flags.get("volumepath") or str(engine.get("volume_path") or "") or graphroot + "/volumes",
        driver=driver,
        mount_program=str(overlay.get("mount_program") or ""),
        mountopt=str(overlay.get("mountopt") or ""),
        additional_image_stores=[stores] if isinstance(stores, str) else list(stores),
        store_limits=limits,
        flags=dict(flags),
        engine=engine,
        containers=_table(containers_conf, "containers"),
        network=_table(containers_conf, "network"),
    )


def _prior_driver(graphroot: str) -> str:
    """What a store was begun with, when no configuration says it: rootless podman 4 begins with vfs then."""
    for driver in ("overlay", "vfs"):
        if os.path.exists(f"{graphroot}/{driver}-images"):
            return driver
    return "overlay"


def _limit(option: str, limits: dict[str, Any]) -> bool:
    """Whether a storage option is a limit of ours; then it is noted."""
    key, _, value = option.partition("=")
    if not key.startswith("pypod."):
        return False
    limits[key[6:]] = value
    return True


def _storage_option(option: str, overlay: dict[str, Any]) -> None:
    key, separator, value = option.partition("=")
    if not separator:
        raise ConfigError(f"storage option {option} is not KEY=VALUE")
    name = key.removeprefix("overlay2.").removeprefix("overlay.").removeprefix(".")
    if name in ("imagestore", "additionalimagestore", "additionalimagestores"):
        overlay.setdefault("additionalimagestores", [])
        overlay["additionalimagestores"] = [*overlay["additionalimagestores"], value]
    else:
        overlay[name] = value


def make_directories(context: Context) -> None:
    """Make the directories that every writer needs. Raises OSError."""
    for path in (context.tmpdir, context.tmpdir + "/exits", context.state_dir):
        files.make_directory(path)
