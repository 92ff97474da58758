"""--volume, --mount, --tmpfs: what is to be mounted in a container, from text to ``Mount`` records.

The options of a record are OCI mount options, complete: what podman adds when nothing is said is in there.
"""

from __future__ import annotations

import os

from pypod.base.record import replace
from pypod.engine import names
from pypod.engine.config import Mount
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PROPAGATION = ("shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable")
_PAIRS = (("rw", "ro"), ("suid", "nosuid"), ("dev", "nodev"), ("exec", "noexec"))
_FLAGS = frozenset(word for pair in _PAIRS for word in pair)
_TMPFS_FLAGS = frozenset("sync async atime noatime diratime nodiratime relatime strictatime mand nomand".split())

# What image volumes are mounted with: a program that an image keeps in its volume must run.
IMAGE_VOLUME_OPTIONS = ["rprivate", "rw", "nodev", "exec", "nosuid", "rbind"]
TMPFS_OPTIONS = ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]


def destination(text: str) -> str:
    """A clean absolute path in the container. Raises UsageError."""
    if not text.startswith("/"):
        raise UsageError(f"invalid container path {text!r}, must be an absolute path")
    clean = os.path.normpath(text)
    if clean.startswith("//"):
        clean = clean[1:]
    if clean == "/":
        raise UsageError(f"invalid container path {text!r}: it is the root of the container")
    return clean


def _complete(options: list[str], kind: str) -> list[str]:
    """Add what podman adds when it is not said. Raises UsageError for contradictions."""
    for pair in _PAIRS:
        if pair[0] in options and pair[1] in options:
            raise UsageError(f"invalid mount options: {pair[0]} and {pair[1]} exclude each other")
    propagation = [option for option in options if option in _PROPAGATION]
    if len(propagation) > 1:
        raise UsageError(f"invalid mount options: only one propagation mode is allowed, not {', '.join(propagation)}")
    result = list(options)
    if "rw" not in result and "ro" not in result:
        result.append("rw")
    if not propagation:
        result.append("rprivate")
    if kind != "bind":
        # Nothing in a volume or a tmpfs comes from the host, so nothing there needs devices or set-uid.
        if "suid" not in result and "nosuid" not in result:
            result.append("nosuid")
        if "dev" not in result and "nodev" not in result:
            result.append("nodev")
    if kind == "tmpfs":
        if "notmpcopyup" in result:
            result = [option for option in result if option not in ("notmpcopyup", "tmpcopyup")]
        elif "tmpcopyup" not in result:
            result.append("tmpcopyup")
    elif "bind" not in result and "rbind" not in result:
        result.append("rbind")
    return result


def _host_path(source: str, what: str) -> str:
    path = os.path.abspath(source)
    if not os.path.lexists(path):
        raise UsageError(f"statfs {source}: no such file or directory", hint=f"{what}: the host path must exist")
    return path


def _known_option(option: str, text: str) -> None:
    if option in _FLAGS or option in _PROPAGATION or option in ("bind", "rbind"):
        return
    if option in ("O", "idmap") or option.startswith(("idmap=", "upperdir=", "workdir=")):
        raise UsageError(f"mount option {option} in {text!r} is not supported yet")
    raise UsageError(f"invalid option {option!r} in volume {text!r}")


def parse_volume(text: str, volume_path: str) -> Mount:
    """One --volume. A named volume's source is where it will be. Raises UsageError."""
    parts = text.split(":")
    if len(parts) > 3:
        raise UsageError(f"incorrect volume format {text!r}, should be [host-dir:]ctr-dir[:option]")
    if len(parts) == 1:
        return anonymous(destination(parts[0]), volume_path)
    source, target = parts[0], destination(parts[1])
    options: list[str] = []
    chown = False
    copy = True
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option == "U":
            chown = True
        elif option in ("copy", "nocopy"):
            copy = option == "copy"
        elif option in ("z", "Z", "cached", "delegated", "consistent", ""):
            continue  # relabelling has no meaning without SELinux; consistency is docker's, for other systems
        else:
            _known_option(option, text)
            if option not in options:
                options.append(option)
    if not source:
        raise UsageError(f"incorrect volume format {text!r}: host directory cannot be empty")
    if source.startswith(("/", ".")):
        return Mount(
            type="bind",
            source=_host_path(source, text),
            destination=target,
            options=_complete(options, "bind"),
            chown=chown,
            copy=False,
        )
    return _volume(source, target, options, volume_path, chown=chown, copy=copy)


def _volume(
    name: str, target: str, options: list[str], volume_path: str, *, chown: bool, copy: bool, anonymous: bool = False
) -> Mount:
    return Mount(
        type="volume",
        name=check_volume_name(name),
        source=f"{volume_path}/{name}/_data",
        destination=target,
        options=_complete(options, "volume"),
        chown=chown,
        copy=copy,
        anonymous=anonymous,
    )


def check_volume_name(name: str) -> str:
    """Raises UsageError."""
    plain = name.replace("_", "").replace(".", "").replace("-", "")
    if not name[:1].isalnum() or not plain.isalnum() or not name.isascii():
        raise UsageError(
            f"volume name {name!r} is not valid: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
        )
    return name


def anonymous(target: str, volume_path: str, options: Sequence[str] = ()) -> Mount:
    """A volume with a random name that goes with its container."""
    return _volume(names.random_id(), target, list(options), volume_path, chown=False, copy=True, anonymous=True)


def parse_tmpfs(text: str) -> Mount:
    """One --tmpfs DIR[:OPTIONS]. Raises UsageError."""
    target, _, words = text.partition(":")
    options: list[str] = []
    chown = False
    for option in words.split(",") if words else ():
        if option == "U":
            chown = True
            continue
        _check_tmpfs_option(option, text)
        if option not in options:
            options.append(option)
    return _tmpfs(destination(target), options, chown)


def _tmpfs(target: str, options: list[str], chown: bool = False) -> Mount:
    return Mount(
        type="tmpfs",
        source="tmpfs",
        destination=target,
        options=_complete(options, "tmpfs"),
        chown=chown,
        copy=False,
    )


def _check_tmpfs_option(option: str, text: str) -> None:
    name, separator, value = option.partition("=")
    if separator and value and name in ("size", "mode", "nr_inodes", "nr_blocks", "uid", "gid", "huge", "mpol"):
        return
    if option in _FLAGS or option in _PROPAGATION or option in _TMPFS_FLAGS:
        return
    if option in ("tmpcopyup", "notmpcopyup", "defaults", "private"):
        return
    raise UsageError(f"invalid option {option!r} in tmpfs {text!r}")


def _truth(value: str, separator: str, what: str) -> bool:
    """The bool of key, key=true, key=1 (Go's ParseBool)."""
    if not separator or value in ("1", "t", "T", "true", "True", "TRUE"):
        return True
    if value in ("0", "f", "F", "false", "False", "FALSE"):
        return False
    raise UsageError(f"invalid value {value!r} of {what}: not true or false")


def _split_csv(text: str) -> list[str]:
    """Comma-separated words; a word in double quotes may hold commas (encoding/csv of Go)."""
    if '"' not in text:
        return text.split(",")
    words: list[str] = []
    word = ""
    quoted = False
    index = 0
    while index < len(text):
        char = text[index]
        if char == '"':
            if quoted and text[index + 1 : index + 2] == '"':
                word += '"'
                index += 1
            else:
                quoted = not quoted
        elif char == "," and not quoted:
            words.append(word)
            word = ""
        else:
            word += char
        index += 1
    if quoted:
        raise UsageError(f"invalid mount {text!r}: a quote is not closed")
    return [*words, word]


def parse_mount(text: str, volume_path: str) -> list[Mount]:
    """One --mount type=TYPE,…; a glob gives as many as it matches. Raises UsageError."""
    pairs = [word.partition("=") for word in _split_csv(text)]
    kind = "volume"  # podman-run(1): the type when none is given
    rest = []
    for key, separator, value in pairs:
        if key == "type":
            kind = value
        else:
            rest.append((key, separator, value))
    source = target = ""
    options: list[str] = []
    chown = False
    copy = True
    subpath = ""
    for key, separator, value in rest:
        what = f"{key} in mount {text!r}"
        if key in ("src", "source"):
            source = value
        elif key in ("dst", "destination", "target"):
            target = value
        elif key in ("ro", "readonly"):
            options.append("ro" if _truth(value, separator, what) else "rw")
        elif key == "rw":
            options.append("rw" if _truth(value, separator, what) else "ro")
        elif key in ("U", "chown"):
            chown = _truth(value, separator, what)
        elif key in ("relabel", "consistency"):
            if key == "relabel" and value not in ("shared", "private"):
                raise UsageError(f"invalid value {value!r} of {what}: must be shared or private")
        elif key == "bind-propagation" and kind in ("bind", "glob"):
            if value not in _PROPAGATION:
                raise UsageError(f"invalid value {value!r} of {what}: not a propagation mode")
            options.append(value)
        elif key == "bind-nonrecursive" and kind in ("bind", "glob"):
            options.append("bind" if _truth(value, separator, what) else "rbind")
        elif key in ("tmpfs-size", "tmpfs-mode") and kind in ("tmpfs", "ramfs"):
            options.append(f"{key.removeprefix('tmpfs-')}={value}")
        elif key in ("tmpcopyup", "notmpcopyup") and kind == "tmpfs":
            options.append(key)
        elif key in ("copy", "nocopy") and kind == "volume":
            copy = key == "copy"
        elif key in ("uid", "gid", "mode", "max") and kind == "devpts":
            options.append(f"{key}={value}")
        elif not separator and key in _FLAGS | set(_PROPAGATION) and kind != "devpts":
            options.append(key)
        elif key in ("subpath", "volume-subpath") and kind in ("bind", "volume"):
            subpath = _inside(value, what)
        elif kind in ("bind", "glob", "volume") and (key in ("idmap", "volume-opt", "subpath", "volume-label")):
            raise UsageError(f"{what} is not supported yet")
        else:
            raise UsageError(f"invalid mount option {key!r} in mount {text!r}")
    if not target:
        raise UsageError(f"invalid mount {text!r}: must set volume destination")
    options = list(dict.fromkeys(options))
    if kind == "glob":
        return _glob(source, target, options, text, chown)
    where = destination(target)
    if kind == "bind":
        if not source:
            raise UsageError(f"invalid mount {text!r}: must set source of a bind mount")
        made = Mount(
            type="bind",
            source=_host_path(source, text),
            destination=where,
            options=_complete(options, "bind"),
            chown=chown,
            copy=False,
        )
    elif kind == "volume":
        if source:
            made = _volume(source, where, options, volume_path, chown=chown, copy=copy)
        else:
            made = replace(anonymous(where, volume_path, options), chown=chown, copy=copy)
    elif kind == "tmpfs":
        if source:
            raise UsageError(f"invalid mount {text!r}: a tmpfs has no source")
        made = _tmpfs(where, options, chown)
    elif kind == "ramfs":
        options = [option for option in _complete(options, "volume") if option != "rbind"]
        made = Mount(type="ramfs", source="ramfs", destination=where, options=options, copy=False)
    elif kind == "devpts":
        made = Mount(type="devpts", source="devpts", destination=where, options=options, copy=False)
    elif kind == "image":
        if not source:
            raise UsageError(f"invalid mount {text!r}: must set source of an image mount")
        made = Mount(type="image", source=source, destination=where, options=options, copy=False)
    else:
        raise UsageError(f"invalid mount {text!r}: invalid filesystem type {kind!r}")
    return [replace(made, subpath=subpath) if subpath else made]


def _inside(path: str, what: str) -> str:
    """A subpath: a clean relative path. Raises UsageError."""
    clean = os.path.normpath(path.lstrip("/")) if path else "."
    if clean == "." or ".." in clean.split("/"):
        raise UsageError(f"invalid value {path!r} of {what}: must be a path inside the source")
    return clean


def _glob(pattern: str, target: str, options: list[str], text: str, chown: bool) -> list[Mount]:
    import glob

    if not pattern:
        raise UsageError(f"invalid mount {text!r}: must set source of a glob mount")
    found = sorted(glob.glob(os.path.abspath(pattern)))
    if not found:
        raise UsageError(f'no file paths matching glob "{pattern}"')
    return [
        Mount(
            type="bind",
            source=path,
            destination=destination(f"{target}/{os.path.basename(path)}"),
            options=_complete(options, "bind"),
            chown=chown,
            copy=False,
        )
        for path in found
    ]


def unify(groups: Sequence[Sequence[Mount]]) -> list[Mount]:
    """All mounts of the --volume, --mount and --tmpfs flags; one destination may come once. Raises UsageError."""
    result: dict[str, Mount] = {}
    for group in groups:
        for mount in group:
            if mount.destination in result:
                raise UsageError(f"{mount.destination}: duplicate mount destination")
            result[mount.destination] = mount
    return list(result.values())


def from_container(text: str, mounts: Sequence[Mount]) -> list[Mount]:
    """The mounts of a --volumes-from container, with its options applied. Raises UsageError."""
    options = text.partition(":")[2]
    result = []
    for mount in mounts:
        if mount.type not in ("bind", "volume"):
            continue
        changed = list(mount.options)
        for option in options.split(",") if options else ():
            if option in ("ro", "rw"):
                changed = [option, *(word for word in changed if word not in ("ro", "rw"))]
            elif option not in ("z", "Z"):
                raise UsageError(f"invalid option {option!r} in volumes-from {text!r}: can only specify ro, rw, z")
        # The other container keeps its volumes: they are not ours to remove.
        result.append(replace(mount, options=changed, anonymous=False, chown=False, copy=False))
    return result
