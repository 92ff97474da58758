"""From flags and an image to the configuration of a container: podman's rules for what wins.

``options`` are the parsed flags, the key being the flag's name with ``_`` for ``-``; a flag that was not given may be
missing, None or empty. Text that is a size, a duration or a list is parsed here. Nothing is written to disk.
What a plain ``run`` does not need is imported where it is used: each module costs a tenth of a millisecond.
"""

from __future__ import annotations

import os

from pypod.engine import env, limits, option_engine, option_files, option_spaces, resources
from pypod.engine.config import ContainerConfig, HealthCheck, Namespace, PortMapping, SecretUse
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from pypod.engine.imageinfo import ImageInfo
    from storage.store import Store

_NAME_FLAGS = (
    *("dns", "dns_search", "dns_option", "add_host", "hosts_file", "ip", "ip6", "mac_address", "network_alias"),
    "no_hosts",
)
_NAME_SETTINGS = ("dns_servers", "dns_searches", "dns_options", "no_hosts")


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
        kind: option_spaces.choose(options.get(flag) or "", kind, default, context, store, dependencies)
        for kind, flag, default in (
            ("pid", "pid", str(settings.get("pidns") or "private")),
            ("ipc", "ipc", str(settings.get("ipcns") or "shareable")),
            ("uts", "uts", str(settings.get("utsns") or "private")),
            ("cgroup", "cgroupns", str(settings.get("cgroupns") or "") or _cgroupns()),
        )
    }
    network_space, network_options = option_spaces.network(
        options.get("network") or ([str(settings["netns"])] if settings.get("netns") else []),
        context,
        store,
        dependencies,
    )
    user_space, uid_map, gid_map, default_user = option_spaces.user(options, image, context, store, dependencies)
    hostname = options.get("hostname") or ""
    if hostname and spaces["uts"].mode == "host":
        raise UsageError("cannot set hostname when running in the host UTS namespace: invalid configuration")

    workdir, create_workdir = _workdir(options, from_image)
    user = options.get("user") or str(from_image.get("User") or "") or default_user
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

    published, exposed = _ports(options, from_image, network_space)
    systemd = _systemd(options, entrypoint, words)
    mounted, volumes_from = option_files.mounted(options, from_image, context, store)
    policy, retries = option_engine.restart(options)
    log = option_engine.log(options, settings)
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
    needs = list(dict.fromkeys([*dependencies, *_required(options, context, store)]))
    healthcheck = _health(options, from_image.get("Healthcheck"))
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
        stop_signal=_stop_signal(options, from_image, systemd),
        stop_timeout=int(stop_timeout),
        timeout=int(options.get("timeout") or 0),
        userns=user_space,
        uid_map=uid_map,
        gid_map=gid_map,
        pid=spaces["pid"],
        ipc=spaces["ipc"],
        uts=spaces["uts"],
        cgroupns=spaces["cgroup"],
        network=network_space,
        network_options=network_options,
        ports=published,
        exposed=exposed,
        publish_all=bool(options.get("publish_all")),
        hostname=hostname,
        no_hostname=bool(options.get("no_hostname")),
        **_names(options, settings, network_space),
        mounts=mounted,
        volumes_from=list(options.get("volumes_from") or ()),
        devices=option_files.devices(options, settings),
        secrets=_secrets(options, context),
        device_cgroup_rules=list(options.get("device_cgroup_rule") or ()),
        read_only=bool(options.get("read_only")),
        read_only_tmpfs=options.get("read_only_tmpfs") is not False,
        shm_size=resources.size(options.get("shm_size") or str(settings.get("shm_size") or "65536k"), "shm-size"),
        privileged=bool(options.get("privileged")),
        cap_add=_capabilities(options.get("cap_add") or (), options.get("cap_drop") or ()),
        cap_drop=list(options.get("cap_drop") or ()),
        default_caps=_default_capabilities(settings),
        **_security(options.get("security_opt") or ()),
        **resources.parse(options, settings, {"ipc": spaces["ipc"], "network": network_space, "uts": spaces["uts"]}),
        runtime=str(context.flags.get("runtime") or ""),
        restart_policy=policy,
        restart_retries=retries,
        auto_remove=bool(options.get("rm")),
        log_driver=log.driver,
        log_path=log.path,
        log_size_max=log.size,
        log_tag=log.tag,
        log_labels=log.labels,
        cidfile=options.get("cidfile") or "",
        pidfile=options.get("pidfile") or "",
        conmon_pidfile=options.get("conmon_pidfile") or "",
        labels=option_engine.labels(options, from_image),
        annotations=option_engine.pairs(options.get("annotation") or (), "annotation"),
        healthcheck=healthcheck,
        sdnotify=_sdnotify(options, healthcheck),
        systemd=systemd,
        dependencies=list(dict.fromkeys([*needs, *volumes_from])),
        needs=needs,
        pod=options.get("pod_id") or "",
        infra=bool(options.get("is_infra")),
        init_type=_init_type(options),
    )
    if limits.given(config):
        limits.warn(context, config)
    return config


def _init_type(options: Mapping[str, Any]) -> str:
    """--init-ctr. Raises UsageError."""
    kind = options.get("init_ctr") or ""
    if not kind:
        return ""
    if kind not in ("once", "always"):
        raise UsageError(f"init container type must be 'always' or 'once', not {kind}: invalid argument")
    if not options.get("pod_id"):
        raise UsageError("must specify pod value with init-ctr: invalid argument")
    if options.get("restart") not in (None, "", "no", "never"):
        raise UsageError("an init container runs once for each start of its pod: --restart is not for it")
    return str(kind)


def _secrets(options: Mapping[str, Any], context: Context) -> list[SecretUse]:
    if not options.get("secret"):
        return []
    from pypod.engine import secret_use

    return secret_use.parse(options["secret"], context)


def make_volumes(context: Context, config: ContainerConfig) -> None:
    """Make the named and anonymous volumes of a new container. Raises UsageError, StorageError."""
    for mount in config.mounts:
        if mount.type == "volume":
            from pypod.engine import volumes

            volumes.ensure(context, mount.name, anonymous=mount.anonymous)


def refuse(options: Mapping[str, Any]) -> None:
    """Flags that are known but not there yet: better an error than silence. Raises UsageError."""
    for flag, what in (
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


def _ports(
    options: Mapping[str, Any], from_image: Mapping[str, Any], network: Namespace
) -> tuple[list[PortMapping], list[str]]:
    """The published and the exposed ports. Raises UsageError."""
    publish = options.get("publish") or ()
    publish_all = bool(options.get("publish_all"))
    texts = [*(options.get("expose") or ()), *(from_image.get("ExposedPorts") or ())]
    if not publish and not texts:
        return [], []
    from pypod.engine import ports

    exposed = list(dict.fromkeys(item for text in texts for item in ports.parse_expose(text)))
    if (publish or publish_all) and network.mode in ("container", "ns"):
        raise UsageError("cannot set port bindings on an existing container network namespace: invalid configuration")
    published = ports.resolve(publish, exposed, publish_all)
    if published and network.mode in ("host", "none"):
        from pypod.base import report

        report.warning(f"Port mappings have been discarded as network mode {network.mode} has none", mark="")
        published = []
    return published, exposed


def _stop_signal(options: Mapping[str, Any], from_image: Mapping[str, Any], systemd: bool) -> int:
    text = options.get("stop_signal") or str(from_image.get("StopSignal") or "") or ("RTMIN+3" if systemd else "")
    if not text:
        return 15
    from pypod.engine import signals

    return signals.number(text)


def _security(texts: Sequence[str]) -> dict[str, Any]:
    """The fields of --security-opt. Raises UsageError."""
    if not texts:
        return {}
    from pypod.engine import security

    found = security.parse(texts)
    return {
        "no_new_privileges": found.no_new_privileges,
        "seccomp": found.seccomp,
        "apparmor": found.apparmor,
        "label_options": found.labels,
        "mask": found.mask,
        "unmask": found.unmask,
        "proc_options": found.proc_options,
        "security_options": list(texts),
    }


def _health(options: Mapping[str, Any], image: Mapping[str, Any] | None) -> HealthCheck | None:
    given = any(value and value != "none" for key, value in options.items() if key.startswith("health_"))
    if not given and (not image or options.get("no_healthcheck")):
        return None
    from pypod.engine import health_options

    return health_options.parse(options, image)


def _sdnotify(options: Mapping[str, Any], healthcheck: HealthCheck | None) -> str:
    mode = options.get("sdnotify") or "container"
    if mode not in ("container", "conmon", "healthy", "ignore"):
        raise UsageError(
            f'invalid config provided: invalid argument: invalid sdnotify value "{mode}":'
            " must be container, conmon, healthy or ignore"
        )
    if mode == "healthy" and (healthcheck is None or healthcheck.test[:1] == ["NONE"]):
        raise UsageError('invalid config provided: sdnotify policy "healthy" requires a healthcheck to be set')
    return str(mode)


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


def _names(options: Mapping[str, Any], settings: Mapping[str, Any], network: Namespace) -> dict[str, Any]:
    """The fields about addresses and name resolution. Raises UsageError."""
    if not any(map(options.get, _NAME_FLAGS)) and not any(map(settings.get, _NAME_SETTINGS)):
        return {}
    from pypod.engine import netnames

    return netnames.parse(options, settings, network)
