"""pasta, of passt: user-mode networking with the host's own addresses (pasta(1), podman-run(1) --network pasta)."""

from __future__ import annotations

import os

from pypod.base import process
from pypod.errors import NetworkError, UsageError, reason
from pypod.linux import proc
from pypod.network import files, ports
from pypod.network.records import NetworkRequest, NetworkStatus, Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.network.steps import Step

_NETNS_FD = 3
# What each group of pasta's options, if the user gives one of them, replaces of ours.
_FORWARDS = (
    ("-t", "--tcp-ports"),
    ("-u", "--udp-ports"),
    ("-T", "--tcp-ns"),
    ("-U", "--udp-ns"),
)


def _program() -> str:
    found = process.find("pasta")
    if found is None:
        raise NetworkError("cannot set up pasta: it is not installed", hint="apt-get install passt")
    return found


def user_options(request: NetworkRequest) -> list[str]:
    """pasta's words, as the user gave them.

    Raises UsageError for those that are ours to give.
    """
    words = [*request.command_options, *request.options.get("pasta", ())]
    for word in words:
        name = word.partition("=")[0]
        if name in ("--netns", "--userns", "--pid", "-P", "--fd", "-F", "--foreground", "-f"):
            raise UsageError(f"cannot use pasta option {name}: it is set by pypod")
    return words


def arguments(request: NetworkRequest, forwarded: Sequence[Port]) -> list[str]:
    """pasta's arguments, apart from the namespace and the pid file."""
    given = user_options(request)
    words = ["--config-net", "--quiet"]
    names = {word.partition("=")[0] for word in given}
    for protocol, (flag, _) in (("tcp", _FORWARDS[0]), ("udp", _FORWARDS[1])):
        for port in forwarded:
            if port.protocol == protocol:
                words += [flag, _spec(port)]
    for index, pair in enumerate(_FORWARDS):
        if pair[0] not in words and not names & set(pair):
            # TCP and UDP from the container to the host's loopback stay closed, too.
            words += [_FORWARDS[index][0], "none"]
    if "--map-gw" in names:
        given = [word for word in given if word != "--map-gw"]
    elif "--no-map-gw" not in names:
        words.append("--no-map-gw")
    if request.static_ip and not names & {"-a", "--address"}:
        words += ["--address", request.static_ip, *_around(request.static_ip, names)]
    if request.static_mac and "--ns-mac-addr" not in names:
        words += ["--ns-mac-addr", request.static_mac]
    return words + given


def _around(address: str, given: set[str]) -> list[str]:
    """Netmask and gateway of an address outside of the host's network, for which pasta would make no route."""
    from pypod.network import addr, inspect

    host = inspect.addresses()
    if "gateway" in host and addr.contains(f"{host['address']}/{host['prefix']}", address):
        return []
    first, length, bits = addr.network(f"{address}/24")
    value = first + (2 if addr.number(address)[0] == first + 1 else 1)
    words = [] if given & {"-n", "--netmask"} else ["--netmask", str(length)]
    return words if given & {"-g", "--gateway"} else [*words, "--gateway", addr.text(value, bits)]


def _spec(port: Port) -> str:
    def numbers(first: int) -> str:
        return f"{first}-{first + port.range - 1}" if port.range > 1 else str(first)

    address = f"{port.host_ip}/" if port.host_ip else ""
    return f"{address}{numbers(port.host_port)}:{numbers(port.container_port)}"


def split(request_ports: Sequence[Port], relay_needed: bool) -> tuple[list[Port], list[Port]]:
    """(ports for pasta, ports for our relay)."""
    ours = [
        port
        for port in request_ports
        if relay_needed and port.protocol == "udp" and port.container_port != port.host_port
    ]
    return [port for port in request_ports if port not in ours], ours


def loses_answers(program: str) -> bool:
    """Whether this pasta may have the faulty reverse mapping of UDP ports (see relay.py)."""
    try:
        words = process.run([program, "--version"]).stdout.decode("ascii", "replace").split()
    except OSError:
        return True
    # "pasta 2024_02_20.1e6f92b": older ones, and Debian's "unknown version", are suspected.
    return len(words) < 2 or not words[1].startswith("20") or words[1][:4] < "2024"


def prepare(request: NetworkRequest) -> None:
    """See ``pypod.network.prepare``."""
    _program()
    user_options(request)
    if request.ports:
        ports.check(request.ports)


def command(request: NetworkRequest) -> tuple[list[str], list[str], list[Port]]:
    """pasta's command line, the name servers that it forwards, and the ports that are left to our relay.

    Raises NetworkError, UsageError.
    """
    program = _program()
    needs_relay = any(port.protocol == "udp" and port.container_port != port.host_port for port in request.ports)
    forwarded, relayed = split(request.ports, needs_relay and loses_answers(program))
    dns = []
    argv = [program, *arguments(request, forwarded)]
    if files.needs_forwarded_dns(request) and "--dns-forward" not in argv:
        argv += ["--dns-forward", files.PASTA_DNS]
        dns = [files.PASTA_DNS]
    # The namespace is handed over as an open descriptor: pasta drops CAP_SYS_PTRACE before it would open
    # /proc/PID/ns/net. Without --runas a pasta that is started by root becomes nobody, who may not enter it.
    argv += ["--runas", "0:0", "--no-netns-quit", "--pid", f"{request.rundir}/pasta.pid"]
    argv += ["--netns", f"/proc/self/fd/{_NETNS_FD}"]
    return argv, dns, relayed


def plan(request: NetworkRequest) -> list[Step]:
    """See ``pypod.network.plan``."""
    from pypod.network.steps import Step

    argv, _, relayed = command(request)
    steps = [Step(what="start pasta, with the container's network namespace as descriptor 3", argv=argv)]
    if relayed:
        from pypod.network import relay

        steps.append(relay.plan(relayed))
    return steps


def setup(request: NetworkRequest, pid: int) -> NetworkStatus:
    """See ``pypod.network.setup``."""
    ports.keep_descriptors_private()
    argv, dns, relayed = command(request)
    status = NetworkStatus(driver="pasta", id=request.id, rundir=request.rundir)
    try:
        netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"cannot set up pasta: network namespace of process {pid}: {reason(error)}") from None
    relay_pid = relay_start = 0
    try:
        _start(argv, netns)
        helper = int(_read(f"{request.rundir}/pasta.pid") or 0)
        status = _replace(status, pid=helper, pid_start=proc.start_time(helper))
        if relayed:
            from pypod.network import relay

            relay_pid, relay_start = relay.start(relayed, pid, netns, request.rundir)
        from pypod.network import inspect

        status = _replace(status, relay_pid=relay_pid, relay_start=relay_start, dns=dns, **inspect.addresses(pid))
        return status
    except BaseException:
        from pypod.network import down

        down.teardown({**status.__dict__, "relay_pid": relay_pid, "relay_start": relay_start})
        raise
    finally:
        os.close(netns)


def _replace(status: NetworkStatus, **changes: object) -> NetworkStatus:
    from pypod.base.record import replace

    return replace(status, **changes)


def _read(path: str) -> bytes:
    from pypod.base.files import read

    try:
        return read(path).strip()
    except OSError as error:
        raise NetworkError(f"cannot set up pasta: {path}: {reason(error)}") from None


def _start(argv: Sequence[str], netns: int) -> None:
    """Run pasta until it has gone to the background, ready. Raises NetworkError with what it said."""
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            child = process.spawn(
                argv, stdin=-1, stdout=-1, stderr=err_write, keep=[(netns, _NETNS_FD)], new_session=True
            )
        except OSError as error:
            raise NetworkError(f"cannot start {argv[0]}: {reason(error)}") from None
        os.close(err_write)
        err_write = -1
        # The parent ends when the child in the background is ready; that one has no stderr any more.
        said = b""
        while chunk := os.read(err_read, 4096):
            said += chunk
        if process.wait(child) != 0:
            raise failure(said)
    finally:
        os.close(err_read)
        if err_write >= 0:
            os.close(err_write)


def failure(said: bytes) -> NetworkError:
    """pasta's last words, without its complaints about a missing system log."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line and "syslog" not in line and not line.startswith("Don't run as root")]
    text = "; ".join(lines) or "pasta failed"
    hint = ""
    if "tun" in text:
        hint = tun_hint()
    return NetworkError(f"cannot set up pasta: {text}", hint=hint)


def tun_hint() -> str:
    """The cure, if /dev/net/tun is what is missing."""
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun: sudo modprobe tun"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun is not open to all users: sudo chmod 0666 /dev/net/tun, or use --network none or host"
    return ""
