"""``network create``, ``ls``, ``rm``, ``inspect``, ``exists``, ``prune``, ``connect``, ``disconnect``, ``reload``,
``update``."""

from __future__ import annotations

from pypod.base import gojson, times
from pypod.base.record import replace
from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import events, rootless
from pypod.engine import networks as engine
from pypod.errors import InUse, NotFound, PypodError, UsageError
from pypod.network import networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation

_FIELDS = {
    "Name": "name",
    "ID": "id",
    "Driver": "driver",
    "NetworkInterface": "network_interface",
    "Created": "created",
    "Subnets": "subnets",
    "IPv6Enabled": "ipv6_enabled",
    "Internal": "internal",
    "DNSEnabled": "dns_enabled",
    "Labels": "labels",
    "Options": "options",
    "IPAMOptions": "ipam_options",
    "NetworkDNSServers": "network_dns_servers",
    "Routes": "routes",
    "Containers": "containers",
}
# What a definition leaves out while there is none.
_EMPTY: dict[str, Any] = {
    "labels": {},
    "options": {},
    "ipam_options": {},
    "network_dns_servers": [],
    "routes": [],
    "containers": {},
}
_SUBNET_FIELDS = {"Subnet": "subnet", "Gateway": "gateway", "LeaseRange": "lease_range"}
_HEADINGS = {"ID": "NETWORK ID"}


def _pairs(texts: list[str], what: str) -> dict[str, str]:
    result = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f'invalid {what} format: "{text}"')
        result[key] = value
    return result


def fields(item: dict[str, Any], *, short: bool) -> dict[str, Any]:
    """A network with the field names of templates."""
    from pypod.cli.gotemplate import Struct

    result = {field: item.get(key, _EMPTY.get(key, "")) for field, key in _FIELDS.items()}
    result["Subnets"] = [
        Struct({field: place.get(key) for field, key in _SUBNET_FIELDS.items()}, "types.Subnet")
        for place in item.get("subnets") or ()
    ]
    if short:
        result["ID"] = str(item.get("id", ""))[:12]
        result["Labels"] = ",".join(f"{key}={value}" for key, value in (item.get("labels") or {}).items())
    return Struct(result, "networks.ListPrintReports")


def create(invocation: Invocation) -> int:
    from pypod.network import define

    flags = invocation.options
    options = _pairs(flags["opt"], "option")
    context, _ = targets.open_engine(invocation)
    directory = engine.directory(context)
    name = networks.check_name(invocation.args[0]) if invocation.args else networks.free_name(directory)
    wish = define.Wish(
        driver=flags["driver"],
        subnets=flags["subnet"],
        gateways=flags["gateway"],
        ranges=flags["ip_range"],
        routes=flags["route"],
        ipv6=flags["ipv6"],
        internal=flags["internal"],
        dns=not flags["disable_dns"],
        dns_servers=_addresses(flags["dns"]),
        labels=_pairs(flags["label"], "label"),
        options=options,
        interface=flags["interface_name"] or "",
        ipam_driver=flags["ipam_driver"] or "",
        created=times.rfc3339(times.now()),
        reserved=engine.reserved(context),
    )
    if wish.routes:
        engine.need_routes(context)
    try:
        engine.create(context, name, wish)
    except InUse:
        if not flags["ignore"] or not networks.exists(directory, name):
            raise
    output.line(name)
    return 0


def _addresses(texts: list[str]) -> list[str]:
    from pypod.engine import addresses

    found = [address for text in texts for address in text.split(",")]
    for address in found:
        if not addresses.is_address(address):
            raise UsageError(f"unable to parse ip {address}")
    return found


def ls(invocation: Invocation) -> int:
    flags = invocation.options
    template = flags["format"]
    if flags["quiet"] and template is not None:
        raise UsageError("quiet and format flags cannot be used together")
    context, store = targets.open_engine(invocation)
    found = engine.select(context, store, flags["filter"])
    if flags["quiet"]:
        for item in found:
            output.line(item["name"])
        return 0
    if output.is_json(template):
        output.json(found, 2)
        return 0
    short = not flags["no_trunc"]
    if template is None:
        rows = [[item["id"][:12] if short else item["id"], item["name"], item["driver"]] for item in found]
        output.table(["NETWORK ID", "NAME", "DRIVER"], rows, noheading=flags["noheading"])
        return 0
    rows_of = [fields(item, short=short) for item in found]
    output.templated(template, rows_of, _HEADINGS, noheading=flags["noheading"])
    return 0


def inspect(invocation: Invocation) -> int:
    template = invocation.options["format"]
    context, store = targets.open_engine(invocation)
    found = []
    problems: list[PypodError] = []
    for word in invocation.args:
        try:
            found.append(engine.view(context, store, engine.find(context, word)))
        except NotFound as error:
            problems.append(error)
    if template is None or output.is_json(template):
        output.line(gojson.text(found, 5))
    else:
        for item in found:
            output.rendered(template, fields(item, short=False))
    output.flush()
    for problem in problems:
        targets.complain(problem)
    return 125 if problems else 0


def exists(invocation: Invocation) -> int:
    context, _ = targets.open_engine(invocation)
    return 0 if networks.exists(engine.directory(context), invocation.args[0]) else 1


def rm(invocation: Invocation) -> int:
    """podman-network-rm(1): 1 for one that does not exist, 2 for one in use, 125 for anything else."""
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    if flags["force"]:
        rootless.enter_user(context)
    code = 0
    for word in invocation.args:
        try:
            output.line(engine.remove(context, store, word, force=flags["force"], timeout=flags["time"]))
        except NotFound as error:
            if flags["force"]:
                continue
            targets.complain(error)
            code = code or 1
        except PypodError as error:
            targets.complain(error)
            code = error.code if code in (0, 1) else code
    return code


def prune(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    found = engine.select(context, store, flags["filter"], engine.PRUNE_FILTERS)
    if not flags["force"]:
        from pypod.cli.container_prune import confirmed

        if not confirmed("WARNING! This will remove all networks not used by at least one container."):
            return 0
    for item in found:
        if item["name"] != networks.DEFAULT and not engine.users(context, store, item["name"]):
            output.line(engine.remove(context, store, item["name"], force=False, timeout=None))
    return 0


def connect(invocation: Invocation) -> int:
    from pypod.engine import addresses
    from pypod.engine import connect as change

    flags = invocation.options
    words = [f"alias={alias}" for alias in flags["alias"]]
    for key, address in (("ip", flags["ip"]), ("ip6", flags["ip6"])):
        if address and (not addresses.is_address(address) or (":" in address) != (key == "ip6")):
            raise UsageError(f'invalid argument "{address}" for "--{key}" flag: failed to parse IP: "{address}"')
        if address:
            words.append(f"{key}={address}")
    if flags["mac_address"]:
        if not addresses.is_mac(flags["mac_address"]):
            raise UsageError(f"address {flags['mac_address']}: invalid MAC address")
        words.append("mac=" + flags["mac_address"].replace("-", ":"))
    context, store = targets.open_engine(invocation)
    container = containers.find(context, store, invocation.args[1])
    change.connect(context, store, container, invocation.args[0], words)
    events.network(context, "connect", invocation.args[0], container.id, container.name)
    return 0


def disconnect(invocation: Invocation) -> int:
    """--force is podman's for containers that its database does not know; there are none here."""
    from pypod.engine import connect as change

    context, store = targets.open_engine(invocation)
    container = containers.find(context, store, invocation.args[1])
    change.disconnect(context, store, container, invocation.args[0])
    events.network(context, "disconnect", invocation.args[0], container.id, container.name)
    return 0


def reload(invocation: Invocation) -> int:
    from pypod.engine import connect as change

    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store, states=("running", "paused"))
    rootless.enter_user(context)
    # podman prints whole ids.
    chosen = [replace(item, typed=item.container.id) if item.container else item for item in chosen]
    return targets.each(chosen, lambda container: change.reload(context, store, container))


def update(invocation: Invocation) -> int:
    from pypod.engine import connect as change

    flags = invocation.options
    context, _ = targets.open_engine(invocation)
    add, drop = _addresses(flags["dns_add"]), _addresses(flags["dns_drop"])
    output.line(change.update(context, invocation.args[0], add, drop))
    return 0
