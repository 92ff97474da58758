"""``build``: how buildah is called, so that it builds in our store as podman would.

buildah is what podman builds with; it makes its own user namespace, with the same maps as ours. The differences
between ``podman build`` and ``buildah build`` (podman's cmd/podman/common/build.go) are all in ``_flags`` and
``_context``.
"""

from __future__ import annotations

import os
import signal

from pypod.base import files, process
from pypod.base.record import record
from pypod.engine import runtimes
from pypod.errors import ConfigError, NotFound, PypodError, UsageError, reason
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.context import Context

# The name of an empty secret: buildah writes the list of a build's secrets beside each of its working containers, and
# so we know whose they are (build_leftovers).
MARK = "pypod-build-"
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")
# Our words, and buildah's: its "true" pulls what is newer.
_PULL = {
    "always": "always",
    "true": "always",
    "missing": "missing",
    "false": "missing",
    "never": "never",
    "newer": "true",
}
_NETWORKS = ("", "bridge", "default", "host", "none", "pasta", "private", "slirp4netns")


@record
class Plan:
    """What is executed: ``argv``, whose first word is a path, and the environment."""

    argv: list[str]
    env: dict[str, str]


def plan(context: Context, flags: Mapping[str, Any], where: str) -> Plan:
    """The call for ``build`` with ``flags`` (their keys are names of flags) of ``where``, "" if nothing was said.

    It is for this very process to execute. Raises NotFound, UsageError, ConfigError, PypodError.
    """
    files_given, where = _context(list(flags.get("file") or ()), where)
    words = _flags(context, flags)
    words += [f"--file={path}" for path in files_given]
    env = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}  # the runtime would use it
    env["PYPOD_BUILD"] = ""
    pid = os.getpid()
    mark = f"--secret=id={MARK}{pid}-{proc.start_time(pid)},env=PYPOD_BUILD"
    return Plan(argv=[program(), *_store(context), "build", *words, mark, "--", where], env=env)


def run(plan: Plan, *, stdin: int | None = None, stdout: int | None = None) -> int:
    """Execute a plan in a process of its own, as a part of a command; its exit status.

    Whatever ends us lets it take its working containers down first. Raises PypodError.
    """
    try:
        pid = process.spawn(plan.argv, env=plan.env, stdin=stdin, stdout=stdout)
    except OSError as error:
        raise PypodError(f"cannot run {plan.argv[0]}: {reason(error)}") from None
    try:
        return process.wait(pid)
    except BaseException:
        os.kill(pid, signal.SIGTERM)
        process.wait(pid)
        raise


def program() -> str:
    """The path of buildah. Raises NotFound.

    On PATH alone: buildah looks there for newuidmap and others.
    """
    for directory in (os.environ.get("PATH") or process.DEFAULT_PATH).split(":"):
        found = os.path.abspath(f"{directory or '.'}/buildah")
        if os.access(found, os.X_OK) and not os.path.isdir(found):
            return found
    raise NotFound("cannot build: buildah is not installed", hint="apt install buildah")


def _store(context: Context) -> list[str]:
    """buildah's global flags."""
    if context.storage.imagestore:
        raise ConfigError(
            f"cannot build with images in {context.storage.imagestore}: buildah knows no --imagestore",
            hint="build in a store without one; pypod save and load move images",
        )
    words = ["--root", context.graphroot, "--runroot", context.runroot, "--storage-driver", context.driver]
    for option in context.storage.options:
        name, _, value = option.partition("=")
        name = name.rpartition(".")[2]
        if name == "sync":
            continue  # only the newest know it
        if name in ("additionalimagestores", "additionallayerstores"):
            name = name[:-1]
        # pflag's StringSlice: commas separate, and a quoted item may hold some.
        text = f"{context.driver}.{name}={value}".replace('"', '""')
        words += ["--storage-opt", f'"{text}"']
    if context.flags.get("cgroup_manager"):
        words += ["--cgroup-manager", context.flags["cgroup_manager"]]
    if context.flags.get("log_level"):
        words += ["--log-level", context.flags["log_level"].lower()]
    named = os.environ.get("CONTAINERS_REGISTRIES_CONF")
    if named:
        words += ["--registries-conf", named]
    return words


def _flags(context: Context, flags: Mapping[str, Any]) -> list[str]:
    """buildah's words for all flags but --file."""
    given = dict(flags)
    for name in ("file", "pull", "squash", "squash_all", "layers", "force_rm", "runtime_flag"):
        given.pop(name, None)
    _check_network(context, given.get("network") or "")
    words = [f"--layers={_word(_layers(flags))}"]
    words.append(f"--force-rm={_word(flags.get('force_rm') is not False)}")
    words.append(f"--pull={_PULL[flags.get('pull') or 'missing']}")
    if flags.get("squash_all"):
        words.append("--squash")
    if context.flags.get("runtime") or not os.environ.get("BUILDAH_RUNTIME"):
        words += ["--runtime", runtimes.path_of(context)]
    for flag in (*(context.flags.get("runtime_flag") or ()), *(flags.get("runtime_flag") or ())):
        words.append(f"--runtime-flag={flag}")
    for key, value in given.items():
        name = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"{name}={_word(value)}")
        elif isinstance(value, (list, tuple)):
            words += [f"{name}={item}" for item in value]
        elif value is not None:
            words.append(f"{name}={value}")
    return words


def _word(flag: bool) -> str:
    return "true" if flag else "false"


def _layers(flags: Mapping[str, Any]) -> bool:
    """Whether each step becomes a layer. podman's --squash makes one of all new ones, which is buildah's default."""
    squash, everything, layers = flags.get("squash"), flags.get("squash_all"), flags.get("layers")
    if squash and everything or (squash and layers):
        raise UsageError("cannot specify --squash with --layers and --squash-all with --squash")
    if squash or everything:
        return False
    if layers is not None:
        return bool(layers)
    return os.environ.get("BUILDAH_LAYERS", "").lower() not in ("false", "0")


def _check_network(context: Context, mode: str) -> None:
    from pypod.engine import networks
    from pypod.network import networks as definitions

    name = mode.partition(":")[0]
    if name in (*_NETWORKS, "ns", "container", definitions.DEFAULT) or "/" in name:
        return
    if definitions.exists(networks.directory(context), name):
        raise UsageError(
            f"cannot build on network {name}: buildah does not know pypod's networks",
            hint="--network=private reaches what the host reaches; host, none and ns:PATH are known too",
        )


def _context(paths: Sequence[str], where: str) -> tuple[list[str], str]:
    """The Containerfiles and the directory, "-" or URL that is built.

    Nothing said, it is the directory of the first Containerfile, else the current one. Raises UsageError.
    """
    found = list(paths)
    if not where:
        if "-" in found:
            found.remove("-")
            where = "-"
        else:
            local = [number for number, path in enumerate(found) if not path.startswith(_REMOTE)]
            if local:
                found[local[0]] = os.path.abspath(found[local[0]])
                where = os.path.dirname(found[local[0]])
            elif found:
                raise UsageError("no context directory and no Containerfile specified")
            where = where or "."
    if where == "-" or where.startswith(_REMOTE):
        return found, where
    where = os.path.abspath(where)
    if not os.path.isdir(where):
        if not os.path.exists(where):
            raise UsageError(f"cannot build {where}: No such file or directory")
        raise UsageError(f"context must be a directory: {where}")
    for path in found:
        if path != "-" and not path.startswith(_REMOTE) and not _readable(path, where):
            raise UsageError(f"cannot read Containerfile {path}: No such file or directory")
    if not found and not has_containerfile(where):
        raise UsageError(
            f"cannot build {where}: it has neither Containerfile nor Dockerfile", hint="--file names one elsewhere"
        )
    return found, where


def has_containerfile(directory: str) -> bool:
    """Whether buildah finds one there without being told its name."""
    return any(os.path.exists(f"{directory}/{name}") for name in ("Containerfile", "Dockerfile"))


def _readable(path: str, where: str) -> bool:
    """buildah looks in the current directory, then in the context."""
    return os.path.exists(path) or os.path.exists(os.path.join(where, path))


def prepare(context: Context) -> None:
    """What buildah wants to find in the store. Raises PypodError.

    Where nothing says which program makes root's bridges, it would take CNI's plugins if there are images already,
    and write that down: for a store that is ours it is netavark, as in ``run``.
    """
    path = context.graphroot + "/defaultNetworkBackend"
    if context.rootless or context.network.get("network_backend") or os.path.lexists(path):
        return
    if process.find("netavark", context.helper_dirs) is None:
        return
    try:
        files.make_directory(context.graphroot)
        files.replace(path, b"netavark", mode=0o644)
    except OSError as error:
        raise PypodError(f"cannot write {path}: {reason(error)}") from None
