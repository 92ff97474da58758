"""storage.conf: where and how images and containers are kept.

Up to containers/storage 1.62 exactly one file counts: ``$CONTAINERS_STORAGE_CONF``, else the rootless user's own,
else that of /etc, else that of /usr/share. Newer ones add drop-ins (``storage.conf.d/*.conf``, with variants for root
and for rootless users) and ``$CONTAINERS_STORAGE_CONF_OVERRIDE``; all are read here. Source:
containers-storage.conf(5).
"""

from __future__ import annotations

import os

from pypod.base import conf
from pypod.base.record import record
from pypod.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_SYSTEM = ("/usr/share/containers", "/etc/containers")  # the latter wins
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")

_KEYS = {
    "storage": (
        "driver driver_priority graphroot runroot imagestore rootless_storage_path transient_store options".split()
    ),
    "storage.options": (
        "additionalimagestores additionallayerstores imagestore root-auto-userns-user auto-userns-min-size"
        " auto-userns-max-size disable-volatile ignore_chown_errors mount_program mountopt size inodes"
        " skip_mount_home force_mask remap-uids remap-gids remap-user remap-group pull_options overlay vfs aufs btrfs"
        " thinpool zfs"
    ).split(),
    "storage.options.pull_options": (
        "enable_partial_images use_hard_links ostree_repos convert_images insecure_allow_unpredictable_image_contents"
    ).split(),
    "storage.options.overlay": (
        "ignore_chown_errors mountopt mount_program size inodes skip_mount_home force_mask use_composefs sync"
        " imagestore additionalimagestores"
    ).split(),
    "storage.options.vfs": "ignore_chown_errors sync imagestore additionalimagestores".split(),
}
# What one driver's options may be called, in a file or with --storage-opt.
_OPTIONS = {
    "overlay": (
        "ignore_chown_errors mountopt mount_program size inodes skip_mount_home force_mask use_composefs sync"
        " imagestore additionalimagestore additionalimagestores additionallayerstore additionallayerstores"
    ).split(),
    "vfs": "ignore_chown_errors mountopt sync imagestore additionalimagestore additionalimagestores".split(),
}
_MANY = ("additionalimagestores", "additionallayerstores")
_SINGULAR = {"imagestore": _MANY[0], "additionalimagestore": _MANY[0], "additionallayerstore": _MANY[1]}


@record
class StorageConf:
    """The configuration of the store. Paths are absolute."""

    driver: str
    graphroot: str
    runroot: str
    imagestore: str  # a separate place for images, "" for the graphroot
    transient_store: bool  # container records do not outlive a reboot
    mount_program: str
    mountopt: str
    additional_image_stores: list[str]
    ignore_chown_errors: bool
    force_mask: int  # the mode of all files in layers, -1: their own
    disable_volatile: bool
    sync: bool  # an image is flushed to the disk before it is visible
    auto_userns_min: int  # ids that --userns=auto gives
    auto_userns_max: int
    root_auto_userns_user: str  # the user in /etc/subuid whose ids root's --userns=auto takes
    pull_options: dict[str, str]
    options: list[str]  # the driver's options as --storage-opt takes them
    limits: dict[str, str]  # what archives may claim: the options pypod.NAME
    files: list[str]  # what was read, in order


def sources(config_home: str, rootless: bool, uid: int) -> list[tuple[str, bool]]:
    """The files that count, in the order in which they apply, and whether each speaks for this very user.

    A rootless user's places are never those that a file for the whole system gives to root. Raises ConfigError.
    """
    given = os.environ.get("CONTAINERS_STORAGE_CONF")
    found: list[tuple[str, bool]] = []
    if given:
        _must_exist(given)
        found.append((given, True))
    else:
        mine = f"{config_home}/containers"
        for directory, own in [*([(mine, True)] if rootless else []), (_SYSTEM[1], False), (_SYSTEM[0], False)]:
            path = f"{directory}/storage.conf"
            if os.path.exists(path):
                found.append((path, own))
                break
        # A file hides the one of the same name in a place that counts less.
        drop_ins: dict[str, tuple[str, bool]] = {}
        kind = "rootless" if rootless else "rootful"
        for directory, own in [*((path, False) for path in _SYSTEM), *([(mine, True)] if rootless else [])]:
            variants = [(f"{directory}/storage.conf.d", own), (f"{directory}/storage.{kind}.conf.d", rootless)]
            if rootless:
                variants.append((f"{directory}/storage.rootless.conf.d/{uid}", True))
            for place, speaks in variants:
                for path in conf.drop_ins(place):
                    drop_ins[os.path.basename(path)] = (path, speaks)
        found += [drop_ins[name] for name in sorted(drop_ins)]
    last = os.environ.get("CONTAINERS_STORAGE_CONF_OVERRIDE")
    if last:
        _must_exist(last)
        found.append((last, True))
    return found


def _must_exist(path: str) -> None:
    if not os.path.exists(path):
        raise ConfigError(f"cannot read configuration {path}: No such file or directory")


def unknown_keys(document: Mapping[str, Any]) -> list[str]:
    """The keys of a document that nobody knows, with their tables, in the order of the file.

    Raises ConfigError where a table is something else.
    """
    found = [key for key in document if key != "storage"]

    def walk(table: object, name: str) -> None:
        if not isinstance(table, dict):
            raise ConfigError(f"{name} is not a table")
        for key, value in table.items():
            inner = f"{name}.{key}"
            if key not in _KEYS[name]:
                found.append(inner)
            elif inner in _KEYS:
                walk(value, inner)

    if "storage" in document:
        walk(document["storage"], "storage")
    return found


def read(
    flags: Mapping[str, Any],
    *,
    rootless: bool,
    uid: int,
    home: str,
    config_home: str,
    runtime_dir: str,
    cache: str,
) -> StorageConf:
    """The configuration from files, environment and global ``flags``; what nobody knows is warned of on stderr.

    ``cache`` keeps the parsed files. Raises ConfigError.
    """
    files = sources(config_home, rootless, uid)
    documents = conf.load([path for path, _ in files], cache)
    storage: dict[str, Any] = {}
    place: dict[str, Any] = {}  # graphroot and runroot, from where they count
    for (path, own), document in zip(files, documents, strict=False):
        try:
            unknown = unknown_keys(document)
            table = document.get("storage", {})
            storage = conf.merge([storage, table])
            if own or not rootless:
                place.update({key: _text(table, key) for key in ("graphroot", "runroot") if table.get(key)})
        except ConfigError as error:
            raise ConfigError(f"cannot use configuration {path}: {error.message}") from None
        if unknown:
            names = " ".join(f'"{key}"' for key in unknown)
            _warn(flags, f'Failed to decode the keys [{names}] from "{path}"')
    try:
        return _effective(flags, storage, place, [path for path, _ in files], rootless, uid, home, runtime_dir)
    except ConfigError as error:
        if files and error.message.startswith("storage."):
            shown = ", ".join(path for path, _ in files)
            raise ConfigError(f"cannot use configuration {shown}: {error.message}", hint=error.hint) from None
        raise


def _effective(
    flags: Mapping[str, Any],
    storage: dict[str, Any],
    place: dict[str, Any],
    files: list[str],
    rootless: bool,
    uid: int,
    home: str,
    runtime_dir: str,
) -> StorageConf:
    if rootless:
        data_home = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
        graphroot, runroot = f"{data_home}/containers/storage", f"{runtime_dir}/containers"
        graphroot = _text(storage, "rootless_storage_path") or graphroot
    else:
        graphroot, runroot = "/var/lib/containers/storage", "/run/containers/storage"
    graphroot = flags.get("root") or _path(place.get("graphroot") or graphroot, "graphroot", home, uid)
    runroot = flags.get("runroot") or _path(place.get("runroot") or runroot, "runroot", home, uid)
    graphroot, runroot = os.path.abspath(graphroot), os.path.abspath(runroot)
    imagestore = _text(storage, "imagestore")
    if flags.get("imagestore"):
        imagestore = os.path.abspath(flags["imagestore"])
    elif imagestore:
        imagestore = _path(imagestore, "imagestore", home, uid)

    driver = flags.get("storage_driver") or os.environ.get("STORAGE_DRIVER") or _text(storage, "driver")
    driver = driver or _first(storage.get("driver_priority")) or _prior_driver(graphroot)
    driver = "overlay" if driver == "overlay2" else driver
    if driver not in _OPTIONS:
        raise ConfigError(f"storage driver {driver} is not supported", hint="use overlay or vfs")

    table = storage.get("options") or {}
    _refuse(table)
    given = list(flags.get("storage_opt") or ())
    environment = [word for word in (os.environ.get("STORAGE_OPTS") or "").split(",") if word]
    limits = dict(word[6:].partition("=")[::2] for word in [*environment, *given] if word.startswith("pypod."))
    given, environment = ([word for word in words if not word.startswith("pypod.")] for words in (given, environment))
    if given:
        words = [word for word in given if word]
    elif flags.get("root") or flags.get("storage_driver"):
        words = []  # podman(1): these flags leave the options of storage.conf behind
    elif environment:
        words = environment
    else:
        words = _as_words(table, driver)
    options = _parse(words, driver)
    stores = [_path(path, "additionalimagestores", home, uid) for path in options.pop("additionalimagestores", ())]
    if options.get("additionallayerstores"):
        _warn(flags, "additionallayerstores are not supported: layers are stored whole")
    for key in ("size", "inodes"):
        if options.get(key) not in (None, "", "0"):
            raise ConfigError(
                f"storage option {driver}.{key} is not supported: pypod sets no quotas",
                hint="give the graphroot a file system of its own",
            )
    if _bool(options.get("use_composefs"), "overlay.use_composefs"):
        raise ConfigError("storage option overlay.use_composefs is not supported")
    sync = options.get("sync") or "filesystem"
    if sync not in ("none", "filesystem"):
        raise ConfigError(f'storage option {driver}.sync={sync} is neither "none" nor "filesystem"')
    force_mask = _mask(options.get("force_mask") or "")
    if force_mask >= 0 and not options.get("mount_program"):
        raise ConfigError(
            "storage option overlay.force_mask is supported only with overlay.mount_program",
            hint="set mount_program to fuse-overlayfs, which tells containers the owners and modes of files",
        )
    _bool(options.get("skip_mount_home"), "overlay.skip_mount_home")  # the home is never mounted on itself
    pull_options = {key: str(value) for key, value in (table.get("pull_options") or {}).items()}
    transient = flags.get("transient_store")
    least, most = _number(table, "auto-userns-min-size", 1024), _number(table, "auto-userns-max-size", 65536)
    if least > most:
        raise ConfigError(f"storage.options.auto-userns-min-size {least} is more than auto-userns-max-size {most}")
    return StorageConf(
        driver=driver,
        graphroot=graphroot,
        runroot=runroot,
        imagestore="" if imagestore == graphroot else imagestore,
        transient_store=bool(
            transient if transient is not None else _bool(storage.get("transient_store"), "storage.transient_store")
        ),
        mount_program=options.get("mount_program") or "",
        mountopt=options.get("mountopt") or "",
        additional_image_stores=stores,
        ignore_chown_errors=_bool(options.get("ignore_chown_errors"), f"{driver}.ignore_chown_errors"),
        force_mask=force_mask,
        disable_volatile=_bool(table.get("disable-volatile"), "storage.options.disable-volatile"),
        sync=sync == "filesystem",
        auto_userns_min=least,
        auto_userns_max=most,
        root_auto_userns_user=_text(table, "root-auto-userns-user", "storage.options") or "containers",
        pull_options=pull_options,
        options=words,
        limits=limits,
        files=files,
    )


def _refuse(options: Mapping[str, Any]) -> None:
    """Keys that would change the owners of everything, and that no tool obeys any more."""
    for key in ("remap-uids", "remap-gids", "remap-user", "remap-group"):
        if options.get(key):
            raise ConfigError(f"storage.options.{key} is not supported", hint="use --userns, --uidmap and --gidmap")


def _as_words(table: Mapping[str, Any], driver: str) -> list[str]:
    """The options of a driver as --storage-opt has them: its own table's, else the common ones."""
    result = []
    for key, value in {**table, **(table.get(driver) or {})}.items():
        if key in _OPTIONS[driver]:
            values = value if isinstance(value, list) else [value]
            listed = values is value and _SINGULAR.get(key, key) not in _MANY
            if listed or not all(isinstance(item, (str, bool)) for item in values):
                raise ConfigError(f"storage.options.{key} must be a string")
            result += [f"{driver}.{key}={str(item).lower() if isinstance(item, bool) else item}" for item in values]
    return [word for word in result if not word.endswith("=")]


def _parse(words: Sequence[str], driver: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            raise ConfigError(f"storage option {word} is not KEY=VALUE")
        for prefix in (f"{driver}.", f"{driver}2.", "."):
            key = key.removeprefix(prefix)
        if key not in _OPTIONS[driver]:
            raise ConfigError(f"unknown storage option {word}", hint=f"{driver} has: {', '.join(_OPTIONS[driver])}")
        key = _SINGULAR.get(key, key)
        if key in _MANY:
            options[key] = [*options.get(key, ()), *(path for path in value.split(",") if path)]
        else:
            options[key] = value
    return options


def _text(table: Mapping[str, Any], key: str, name: str = "storage") -> str:
    value = table.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigError(f"{name}.{key} must be a string")
    return value


def _mask(text: str) -> int:
    """force_mask as a mode; -1 for none."""
    if text in ("", "shared", "private"):
        return {"": -1, "shared": 0o755, "private": 0o700}[text]
    try:
        mode = int(text, 8) if text.isdecimal() else -1
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise ConfigError(f"storage option overlay.force_mask={text} is not shared, private or an octal mode")
    return mode


def _number(table: Mapping[str, Any], key: str, default: int) -> int:
    value = table.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 4294967295:
        raise ConfigError(f"storage.options.{key} must be a number")
    return value or default


def _bool(value: object, name: str) -> bool:
    """A truth as Go reads it, most often in a string."""
    if value is None or value == "":
        return False
    if isinstance(value, bool):
        return value
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise ConfigError(
        f"{'' if name.startswith('storage.') else 'storage option '}{name}={value} is not true or false"
    )


def _first(priority: object) -> str:
    for item in priority if isinstance(priority, list) else ():
        if item in ("overlay", "overlay2", "vfs"):
            return str(item)
    return ""


def _path(text: str, key: str, home: str, uid: int) -> str:
    """A path with $HOME, $UID and other variables replaced.

    Raises ConfigError.
    """
    path = text.replace("$HOME", home).replace("${HOME}", home).replace("$UID", str(uid)).replace("${UID}", str(uid))
    if "$" in path:
        path = os.path.expandvars(path)
        if "$" in path:
            raise ConfigError(f"storage.{key} {text} uses a variable that is not set")
    if not path.startswith("/"):
        raise ConfigError(f"storage.{key} {text} is not an absolute path")
    return os.path.normpath(path)


def _prior_driver(graphroot: str) -> str:
    """What a store was begun with, when no configuration says it: rootless podman 4 begins with vfs then."""
    for driver in ("overlay", "vfs"):
        if os.path.exists(f"{graphroot}/{driver}-images"):
            return driver
    return "overlay"


def _warn(flags: Mapping[str, Any], message: str) -> None:
    if str(flags.get("log_level") or "warn").lower() in ("trace", "debug", "info", "warn", "warning"):
        from pypod.base import report

        report.warning(message, mark="WARNING: ")
