"""From flags and an image to the configuration of a container: podman's rules for what wins.

``options`` are the parsed flags, the key being the flag's name with ``_`` for ``-``; a flag that was not given may be
missing, None or empty. Text that is a size, a duration or a list is parsed here. Nothing is written to disk.
"""

from __future__ import annotations

import os

from pypod.engine import env, health_options, limits, mounts, namespaces, ports, resources, security, signals
from pypod.engine.config import ContainerConfig, Mount, Namespace
from pypod.errors import UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from pypod.engine.imageinfo import ImageInfo
    from storage.store import Store

_RESTART = ("no", "always", "on-failure", "unless-stopped")
_LOG_DRIVERS = ("k8s-file", "json-file", "none", "passthrough")


def build_config(
    options: Mapping[str, Any],
    *,
    id: str,
    name: str,
    created: str,
    image: ImageInfo | None,
    command: list[str],
    create_command: list[str],
    rootfs: str = "",
    context: Context,
    store: Store,
) -> ContainerConfig:
    """The configuration of a new container. Raises UsageError, ConfigError, NoSuchContainer."""
    from_image = image.run if image is not None else {}
    entrypoint, words = _command(options, from_image, command)
    settings = context.containers
    refuse(options)

    dependencies: list[str] = []
    spaces = {
        kind: _namespace(options.get(flag) or "", kind, default, context, store, dependencies)
        for kind, flag, default in (
            ("pid", "pid", str(settings.get("pidns") or "private")),
            ("ipc", "ipc", str(settings.get("ipcns") or "shareable")),
            ("uts", "uts", str(settings.get("utsns") or "private")),
            ("cgroup", "cgroupns", str(settings.get("cgroupns") or "") or _cgroupns()),
        )
    }
    network = namespaces.parse_network(options.get("network") or _configured_network(settings))
    network_space = _resolve(network.namespace, context, store, dependencies)
    user_space = _user_namespace(options, image, context, store, dependencies)
    secure = security.parse(options.get("security_opt") or ())
    privileged = bool(options.get("privileged"))
    hostname = options.get("hostname") or ""
    if hostname and spaces["uts"].mode == "host":
        raise UsageError("cannot set hostname when running in the host UTS namespace: invalid configuration")

    workdir, create_workdir = _workdir(options, from_image)
    user = options.get("user") or str(from_image.get("User") or "") or user_space.user
    if options.get("tz"):
        from pypod.engine import prepare

        prepare.timezone(options["tz"])
    environment = env.build(
        image=from_image.get("Env") or (),
        configured=settings.get("env") or (),
        given=options.get("env") or (),
        env_files=options.get("env_file") or (),
        merge=options.get("env_merge") or (),
        unset=options.get("unsetenv") or (),
        unset_all=bool(options.get("unsetenv_all")),
        host=bool(options.get("env_host")),
        proxies=options.get("http_proxy") is not False and settings.get("http_proxy") is not False,
    )

    exposed = [item for text in (options.get("expose") or ()) for item in ports.parse_expose(text)]
    exposed += [item for text in (from_image.get("ExposedPorts") or ()) for item in ports.parse_expose(text)]
    exposed = list(dict.fromkeys(exposed))
    publish = options.get("publish") or ()
    publish_all = bool(options.get("publish_all"))
    if (publish or publish_all) and network_space.mode in ("container", "ns"):
        raise UsageError("cannot set port bindings on an existing container network namespace: invalid configuration")
    published = ports.resolve(publish, exposed, publish_all)
    if published and network_space.mode in ("host", "none"):
        os.write(2, f"Port mappings have been discarded as network mode {network_space.mode} has none\n".encode())
        published = []

    read_only = bool(options.get("read_only"))
    systemd = _systemd(options, entrypoint, words)
    mounted, volumes_from = _mounts(options, from_image, context, store)
    stop_signal = 15
    if systemd:
        stop_signal = signals.number("RTMIN+3")
    if from_image.get("StopSignal"):
        stop_signal = signals.number(str(from_image["StopSignal"]))
    if options.get("stop_signal"):
        stop_signal = signals.number(options["stop_signal"])
    policy, retries = _restart(options)
    log_driver, log_path, log_size, log_tag = _log(options, settings)
    stop_timeout = options.get("stop_timeout")
    if stop_timeout is None:
        stop_timeout = context.engine.get("stop_timeout", 10)

    if (options.get("cgroups") or "enabled") == "disabled":
        from pypod.engine import runtimes

        if os.path.basename(runtimes.path_of(context)) == "runc":
            raise UsageError(
                "requested OCI runtime runc is not compatible with NoCgroups: invalid argument",
                hint="use crun: --runtime crun",
            )
    if not entrypoint and not words:
        raise UsageError("no command or entrypoint provided, and no CMD or ENTRYPOINT from image")
    if options.get("init") and options.get("systemd") == "always":
        raise UsageError("cannot use --init and --systemd=always together")
    config = ContainerConfig(
        id=id,
        name=name,
        created=created,
        image=image.name if image is not None else "",
        image_id=image.id if image is not None else "",
        raw_image=image.raw_name if image is not None else "",
        rootfs=_rootfs(rootfs)[0],
        rootfs_overlay=_rootfs(rootfs)[1],
        create_command=create_command,
        entrypoint=entrypoint,
        command=words,
        env=environment,
        workdir=workdir,
        create_workdir=create_workdir,
        user=user,
        groups=list(options.get("group_add") or ()),
        passwd=options.get("passwd") is not False,
        passwd_entry=options.get("passwd_entry") or "",
        group_entry=options.get("group_entry") or "",
        host_users=list(options.get("hostuser") or ()),
        terminal=bool(options.get("tty")),
        stdin=bool(options.get("interactive")),
        umask=_umask(options.get("umask") or settings.get("umask") or "0022"),
        timezone=options.get("tz") or str(settings.get("tz") or ""),
        init=bool(options.get("init") or settings.get("init")) and not systemd,
        init_path=options.get("init_path") or str(settings.get("init_path") or ""),
        stop_signal=stop_signal,
        stop_timeout=int(stop_timeout),
        timeout=int(options.get("timeout") or 0),
        userns=user_space.namespace,
        uid_map=user_space.uid_map,
        gid_map=user_space.gid_map,
        pid=spaces["pid"],
        ipc=spaces["ipc"],
        uts=spaces["uts"],
        cgroupns=spaces["cgroup"],
        network=network_space,
        network_options=network.options,
        ports=published,
        exposed=exposed,
        publish_all=publish_all,
        hostname=hostname,
        no_hostname=bool(options.get("no_hostname")),
        **_names(options, settings, network_space, user_space.keep_id),
        mounts=mounted,
        volumes_from=list(options.get("volumes_from") or ()),
        devices=_devices(options, settings),
        device_cgroup_rules=list(options.get("device_cgroup_rule") or ()),
        read_only=read_only,
        read_only_tmpfs=options.get("read_only_tmpfs") is not False,
        shm_size=resources.size(options.get("shm_size") or str(settings.get("shm_size") or "65536k"), "shm-size"),
        privileged=privileged,
        cap_add=_capabilities(options.get("cap_add") or (), options.get("cap_drop") or ()),
        cap_drop=list(options.get("cap_drop") or ()),
        default_caps=_default_capabilities(settings),
        no_new_privileges=secure.no_new_privileges,
        seccomp=secure.seccomp,
        apparmor=secure.apparmor,
        label_options=secure.labels,
        mask=secure.mask,
        unmask=secure.unmask,
        proc_options=secure.proc_options,
        security_options=list(options.get("security_opt") or ()),
        **resources.parse(options, settings, {"ipc": spaces["ipc"], "network": network_space, "uts": spaces["uts"]}),
        runtime=str(context.flags.get("runtime") or ""),
        restart_policy=policy,
        restart_retries=retries,
        auto_remove=bool(options.get("rm")),
        log_driver=log_driver,
        log_path=log_path,
        log_size_max=log_size,
        log_tag=log_tag,
        cidfile=options.get("cidfile") or "",
        pidfile=options.get("pidfile") or "",
        conmon_pidfile=options.get("conmon_pidfile") or "",
        labels=_labels(options, from_image),
        annotations=_pairs(options.get("annotation") or (), "annotation"),
        healthcheck=health_options.parse(options, from_image.get("Healthcheck")),
        sdnotify=options.get("sdnotify") or "container",
        systemd=systemd,
        dependencies=list(dict.fromkeys([*dependencies, *volumes_from, *_required(options, context, store)])),
    )
    if limits.given(config):
        limits.warn(context, config)
    return config


def make_volumes(context: Context, config: ContainerConfig) -> None:
    """Make the named and anonymous volumes of a new container. Raises UsageError, StorageError."""
    for mount in config.mounts:
        if mount.type == "volume":
            from pypod.engine import volumes

            volumes.ensure(context, mount.name, anonymous=mount.anonymous)


def refuse(options: Mapping[str, Any]) -> None:
    """Flags that are known but not there yet: better an error than silence. Raises UsageError."""
    for flag, what in (
        ("secret", "secrets"),
        ("pod", "pods"),
        ("pod_id_file", "pods"),
        ("gpus", "GPUs"),
        ("chrootdirs", "chroot directories"),
        ("subuidname", "maps by name"),
        ("subgidname", "maps by name"),
    ):
        if options.get(flag):
            raise UsageError(f"--{flag.replace('_', '-')} is not supported yet: {what} are still to come")


def _strings(value: Any, what: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return ["/bin/sh", "-c", value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    raise UsageError(f"image's {what} is not a list of words")


def _command(
    options: Mapping[str, Any], from_image: Mapping[str, Any], command: Sequence[str]
) -> tuple[list[str], list[str]]:
    """ENTRYPOINT and CMD. An --entrypoint drops the image's command too."""
    given = options.get("entrypoint")
    words = list(command)
    if given is None:
        entrypoint = _strings(from_image.get("Entrypoint"), "Entrypoint")
        if not words:
            words = _strings(from_image.get("Cmd"), "Cmd")
    else:
        entrypoint = [given] if given else []
        if given.startswith("["):
            from pypod.base import fastjson

            try:
                parsed = fastjson.loads(given)
                if isinstance(parsed, list) and all(isinstance(item, str) for item in parsed):
                    entrypoint = parsed
            except fastjson.BadJson:
                pass  # a program may be called [
    return entrypoint, words


def _cgroupns() -> str:
    from pypod.linux import cgroups

    return "private" if cgroups.mode() == cgroups.UNIFIED else "host"


def _configured_network(settings: Mapping[str, Any]) -> list[str]:
    netns = str(settings.get("netns") or "")
    return [netns] if netns else []


def _namespace(
    text: str, kind: str, default: str, context: Context, store: Store, dependencies: list[str]
) -> Namespace:
    return _resolve(namespaces.parse(text or default, kind), context, store, dependencies)


def _resolve(namespace: Namespace, context: Context, store: Store, dependencies: list[str]) -> Namespace:
    """container:NAME as container:ID, which stays true when the container is renamed. Raises NoSuchContainer."""
    if namespace.mode != "container":
        return namespace
    from pypod.engine import container

    found = container.find(context, store, namespace.value)
    dependencies.append(found.id)
    return Namespace(mode="container", value=found.id)


def _user_namespace(
    options: Mapping[str, Any], image: ImageInfo | None, context: Context, store: Store, dependencies: list[str]
) -> namespaces.UserNamespace:
    text = options.get("userns") or ""
    if not text and not options.get("uidmap") and not options.get("gidmap"):
        text = os.environ.get("PODMAN_USERNS", "") or str(context.containers.get("userns") or "")
        if text in ("", "host"):
            return namespaces.UserNamespace(namespace=Namespace(mode="host"))
    from pypod.linux import idmap

    # The caller is in the user namespace already, so its own map says how many ids there are.
    uid_ids = namespaces.ids_available(idmap.of_process())
    gid_ids = namespaces.ids_available(idmap.of_process(kind="gid"))
    if options.get("uidmap") or options.get("gidmap"):
        if text:
            raise UsageError("--userns and --uidmap/--gidmap cannot be used together")
        uids = options.get("uidmap") or options["gidmap"]
        gids = options.get("gidmap") or options["uidmap"]
        return namespaces.UserNamespace(
            namespace=Namespace(mode="private"),
            uid_map=namespaces.parse_map(uids, "--uidmap", uid_ids),
            gid_map=namespaces.parse_map(gids, "--gidmap", gid_ids),
        )
    taken: list[tuple[int, int]] = []
    needed = 0
    if text.startswith("auto"):
        from pypod.engine import container

        for other in container.every(context, store):
            if other.config.userns.mode == "auto":
                taken += [(item[1], item[2]) for item in other.config.uid_map]
        needed = _highest_id(store, image) + 1
    choice = namespaces.user_namespace(
        text,
        rootless=context.rootless,
        uid=context.uid,
        gid=context.gid,
        uid_ids=uid_ids,
        gid_ids=gid_ids,
        auto_size=needed,
        auto_taken=taken,
    )
    resolved = _resolve(choice.namespace, context, store, dependencies)
    if resolved.mode == "container":
        from pypod.engine import container

        other = container.find(context, store, resolved.value)
        return namespaces.UserNamespace(
            namespace=resolved, uid_map=other.config.uid_map, gid_map=other.config.gid_map
        )
    return choice


def _highest_id(store: Store, image: ImageInfo | None) -> int:
    """The highest id in an image's passwd(5) and group(5), which --userns=auto must have room for; 0 if unknown."""
    if image is None:
        return 0
    from pypod.engine import rootfs, users

    layer = store.find_image(image.id).layer
    highest = 0
    for path, parse in (("etc/passwd", users.parse_passwd), ("etc/group", users.parse_group)):
        for directory in (store.diff_directory(layer), *store.lower_directories(layer)):
            try:
                root = rootfs.open_root(directory)
            except OSError:
                continue
            try:
                text = rootfs.read(root, path)
            except OSError:
                continue
            finally:
                os.close(root)
            if text:
                lines: Sequence[Any] = parse(text)
                found = [max(line.gid, getattr(line, "uid", 0)) for line in lines]
                highest = max(highest, *(item for item in found if item < 65534), 0)
                break
    return highest


def _workdir(options: Mapping[str, Any], from_image: Mapping[str, Any]) -> tuple[str, bool]:
    given = options.get("workdir") or ""
    path = given or str(from_image.get("WorkingDir") or "") or "/"
    if not path.startswith("/"):
        raise UsageError(f"the working directory {path!r} is invalid, it needs to be an absolute path")
    return os.path.normpath(path), not given


def _umask(text: str) -> str:
    if not text or len(text) > 4 or any(digit not in "01234567" for digit in text):
        raise UsageError(f"invalid umask {text}: invalid argument")
    return text.rjust(4, "0")


def _systemd(options: Mapping[str, Any], entrypoint: Sequence[str], words: Sequence[str]) -> bool:
    mode = str(options.get("systemd") if options.get("systemd") is not None else "true").lower()
    if mode == "always":
        return True
    if mode == "false":
        return False
    if mode != "true":
        raise UsageError(f"invalid --systemd value {mode!r}: must be one of: true, false, always")
    first = [*entrypoint, *words][:1]
    return bool(first) and first[0] in (
        "/sbin/init",
        "/usr/sbin/init",
        "/usr/local/sbin/init",
        "/bin/systemd",
        "/usr/bin/systemd",
        "/lib/systemd/systemd",
        "/usr/lib/systemd/systemd",
        "systemd",
        "init",
    )


def _rootfs(text: str) -> tuple[str, bool]:
    if not text:
        return "", False
    path, colon, option = text.rpartition(":")
    overlay = bool(colon) and option == "O"
    path = os.path.abspath(path if overlay else text)
    if not os.path.isdir(path):
        raise UsageError(f"invalid rootfs {path}: no such directory")
    return path, overlay


def _mounts(
    options: Mapping[str, Any], from_image: Mapping[str, Any], context: Context, store: Store
) -> tuple[list[Mount], list[str]]:
    """All mounts, in the order of their rank, and the containers that they were taken from."""
    volume_path = context.volume_path
    configured = [mounts.parse_volume(text, volume_path) for text in context.containers.get("volumes") or ()]
    given = mounts.unify(
        (
            [mounts.parse_volume(text, volume_path) for text in options.get("volume") or ()],
            [mount for text in options.get("mount") or () for mount in mounts.parse_mount(text, volume_path)],
            [mounts.parse_tmpfs(text) for text in options.get("tmpfs") or ()],
        )
    )
    result = {mount.destination: mount for mount in configured}
    mode = options.get("image_volume") or "anonymous"
    if mode not in ("anonymous", "bind", "tmpfs", "ignore"):
        raise UsageError(f"invalid image volume mode {mode!r}: must be anonymous, tmpfs or ignore")
    for mount in given:
        if mount.type == "image":
            store.find_image(mount.source)
    declared = from_image.get("Volumes") or {}
    for path in declared if mode != "ignore" else ():
        target = mounts.destination(path)
        if mode == "tmpfs":
            words = [*mounts.IMAGE_VOLUME_OPTIONS[:-1], "tmpcopyup"]
            result[target] = Mount(type="tmpfs", source="tmpfs", destination=target, options=words, copy=False)
        else:
            result[target] = mounts.anonymous(target, volume_path, mounts.IMAGE_VOLUME_OPTIONS)
    sources = []
    for text in options.get("volumes_from") or ():
        from pypod.engine import container

        other = container.find(context, store, text.partition(":")[0])
        sources.append(other.id)
        result.update((mount.destination, mount) for mount in mounts.from_container(text, other.config.mounts))
    result.update((mount.destination, mount) for mount in given)
    return list(result.values()), sources


def _devices(options: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    given = [*(settings.get("devices") or ()), *(options.get("device") or ())]
    if not given:
        return []
    from pypod.engine import devices

    return [devices.parse(text) for text in given]


def _capabilities(added: Sequence[str], dropped: Sequence[str]) -> list[str]:
    if added or dropped:
        from pypod.linux import caps
        from pypod.oci import capabilities

        try:
            capabilities.merge([], added, dropped, known=caps.NAMES, bounding=caps.NAMES)
        except ValueError as error:
            raise UsageError(str(error)) from None
    return list(added)


def _default_capabilities(settings: Mapping[str, Any]) -> list[str]:
    """containers.conf's default_capabilities if they are not podman's own; [] for those."""
    configured = settings.get("default_capabilities")
    if not isinstance(configured, list):
        return []
    from pypod.oci import capabilities

    names = [name if name.startswith("CAP_") else "CAP_" + name for name in map(str.upper, map(str, configured))]
    return [] if sorted(names) == capabilities.DEFAULT else sorted(names)


def _required(options: Mapping[str, Any], context: Context, store: Store) -> list[str]:
    result = []
    for name in options.get("requires") or ():
        from pypod.engine import container

        result.append(container.find(context, store, name).id)
    return result


def _names(
    options: Mapping[str, Any], settings: Mapping[str, Any], network: Namespace, keep_id: bool
) -> dict[str, Any]:
    """The fields about addresses and name resolution. Raises UsageError."""
    from pypod.engine import netnames

    return netnames.parse(options, settings, network)


def _restart(options: Mapping[str, Any]) -> tuple[str, int]:
    text = options.get("restart") or ""
    if not text:
        return "", 0
    policy, colon, count = text.partition(":")
    if policy == "never":
        policy = "no"
    if policy not in _RESTART:
        raise UsageError(f'invalid restart policy "{policy}": must be no, always, on-failure or unless-stopped')
    if colon and policy != "on-failure":
        raise UsageError("restart policy retries can only be specified with on-failure restart policy")
    if colon and not count.isdecimal():
        raise UsageError(f"error parsing restart policy retry count {count!r}: not a number")
    if policy != "no" and options.get("rm"):
        raise UsageError('the --rm option conflicts with --restart, when the restartPolicy is not "" and "no"')
    return policy, int(count or 0)


def _log(options: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, str, int, str]:
    driver = options.get("log_driver") or str(settings.get("log_driver") or "k8s-file")
    if driver not in _LOG_DRIVERS:
        if options.get("log_driver"):
            hint = "journald is not supported yet" if driver == "journald" else ""
            raise UsageError(
                f"running container create option: invalid log driver {driver}: invalid argument", hint=hint
            )
        driver = "k8s-file"  # a distribution's containers.conf names journald, which is not there on every host
    path, size, tag = "", 0, ""
    configured = settings.get("log_size_max")
    if isinstance(configured, int) and configured > 0:
        size = configured
    for option in options.get("log_opt") or ():
        key, separator, value = option.partition("=")
        if not separator or not value:
            raise UsageError(f"invalid log option {option!r}: must be KEY=VALUE")
        if key == "path":
            path = os.path.abspath(value)
        elif key == "max-size":
            size = resources.size(value, "log-opt max-size")
        elif key == "tag":
            tag = value
        else:
            raise UsageError(f"invalid log option {key!r}: must be path, max-size or tag")
    return driver, path, size, tag


def _pairs(texts: Sequence[str], what: str) -> dict[str, str]:
    result = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or (not separator and what == "annotation"):
            raise UsageError(f"invalid {what} {text!r}: must be KEY=VALUE")
        result[key] = value
    return result


def _labels(options: Mapping[str, Any], from_image: Mapping[str, Any]) -> dict[str, str]:
    result = dict(from_image.get("Labels") or {})
    for path in options.get("label_file") or ():
        from pypod.base import files

        try:
            lines = files.read(path).decode().splitlines()
        except OSError as error:
            raise UsageError(f"cannot read label file {path}: {reason(error)}") from None
        except UnicodeDecodeError:
            raise UsageError(f"cannot read label file {path}: it is not UTF-8 text") from None
        result.update(
            _pairs([line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")], "label")
        )
    result.update(_pairs(options.get("label") or (), "label"))
    unit = os.environ.get("PODMAN_SYSTEMD_UNIT")
    if unit:
        result["PODMAN_SYSTEMD_UNIT"] = unit
    return result
