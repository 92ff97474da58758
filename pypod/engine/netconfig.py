"""From a container's configuration to what the network drivers take."""

from __future__ import annotations

from pypod import network
from pypod.engine import rootless, specgen
from pypod.errors import ConfigError, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.deeds import Deeds
    from storage.store import Store

# Inside the container → our file's name in the run directory.
ETC_FILES = {"/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf", "/etc/hostname": "hostname"}


def request(context: Context, container: Container) -> network.NetworkRequest:
    """What the network driver has to know. Raises NetworkError, ConfigError."""
    config = container.config
    settings = context.network
    mode = config.network.mode
    if mode in ("private", "default", ""):
        mode = network.default_mode(
            context.rootless, context.helper_dirs, str(settings.get("default_rootless_network_cmd") or "")
        )
    slirp_options = context.engine.get("network_cmd_options")
    defaults = {
        "pasta": settings.get("pasta_options"),
        "slirp4netns": slirp_options,
        "bridge": slirp_options if context.rootless else None,
    }
    return network.NetworkRequest(
        id=container.id,
        name=container.name,
        hostname=specgen.default_hostname(config),
        mode=mode,
        options=config.network_options,
        ports=[network.Port(**port.__dict__) for port in config.ports],
        static_ip=config.static_ip,
        static_ip6=config.static_ip6,
        static_mac=config.static_mac,
        aliases=config.network_aliases,
        dns=config.dns,
        dns_search=config.dns_search,
        dns_options=config.dns_options,
        add_hosts=config.add_hosts,
        no_hosts=config.no_hosts,
        base_hosts=_word(context.containers.get("base_hosts_file"), "base_hosts_file"),
        host_gateway=_word(context.containers.get("host_containers_internal_ip"), "host_containers_internal_ip"),
        rootless=context.rootless,
        rundir=container.rundir,
        state_dir=context.state_dir,
        config_dir=str(context.flags.get("network_config_dir") or ""),
        helper_dirs=context.helper_dirs,
        command=str(context.flags.get("network_cmd_path") or context.engine.get("network_cmd_path") or ""),
        command_options=_words(defaults.get(mode), mode),
        uplink=uplink_directory(context) if mode == "bridge" else "",
        bare=config.network.value == "empty",
        mounts=rootless.clean_mounts(),
    )


def uplink_directory(context: Context) -> str:
    """Where a rootless user's bridges are; "" for root, whose bridges are the host's."""
    return context.tmpdir + "/netns" if context.rootless else ""


def _word(value: object, key: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise ConfigError(f"cannot use configuration: {key} is not a text")


def _words(value: object, mode: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"cannot use configuration: the options of {mode} are not a list of texts")
    return list(value)


def gets(config: ContainerConfig, name: str) -> bool:
    """Whether a container has one of ``ETC_FILES`` mounted over the image's."""
    if name == "hosts":
        return not config.no_hosts
    return name != "resolv.conf" or not (config.dns == ["none"] or config.network.mode == "none")


def etc_files(context: Context, store: Store, container: Container, deeds: Deeds) -> dict[str, str]:
    """The files that are mounted over the image's, by their paths inside; ours are made, empty.

    With the network of another container they are that one's. --no-hosts and --dns none leave the image its own, and
    without a network there are no name servers to tell. Raises PypodError.
    """
    config = container.config
    owner = container
    if config.network.mode == "container":
        from pypod.engine import container as containers

        owner = containers.find(context, store, config.network.value)
        if config.pod and not config.no_hosts:
            deeds.add_name(owner.rundir + "/hosts", container.name)
    result = {}
    for inside, name in ETC_FILES.items():
        if not gets(config, name):
            continue
        path = f"{owner.rundir}/{name}"
        if owner is container:
            try:
                deeds.write(path, b"", 0o644)
            except OSError as error:
                raise PypodError(f"cannot write {path}: {error.strerror}") from None
        elif not deeds.has_file(owner, name):
            continue
        result[inside] = path
    return result
