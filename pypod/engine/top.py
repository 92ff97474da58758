"""``top``: a container's processes by podman-top(1)'s descriptors, read from /proc from outside.

Nothing runs in the container for it, so a container without any program of its own can be looked at, too. Names the
table does not know are left to ps(1) in the container.
"""

from __future__ import annotations

import os

from pypod.base import files, times
from pypod.base.record import record
from pypod.engine import container as containers
from pypod.engine import rootfs, rootless, users
from pypod.errors import BadState, PypodError
from pypod.linux import caps, idmap, proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.linux.idmap import Range

DEFAULT = ("user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args")
_FULL = (1 << len(caps.NAMES)) - 1
_SECCOMP = ("disabled", "strict", "filter")


@record
class Process:
    """One process. Ids are those of our user namespace, ``pids`` from the outermost to the innermost namespace."""

    pid: int
    pids: list[int]
    ppid: int  # in the container
    state: str
    pgid: int
    tty: int
    ticks: int  # CPU time
    nice: int
    start_ticks: int  # since boot
    vsz: int  # bytes
    rss_pages: int
    comm: str
    args: str
    uids: list[int]  # real, effective
    gids: list[int]
    groups: list[int]
    caps: dict[str, int]
    seccomp: int
    label: str


@record
class Names:
    """How numbers become names."""

    same_namespace: bool  # the container has no user namespace of its own
    uid_map: list[Range]
    gid_map: list[Range]
    host_uid_map: list[Range]
    host_gid_map: list[Range]
    users: dict[int, str]
    groups: dict[int, str]
    now: int  # ns since 1970
    boot: int  # ns since 1970
    hertz: int
    page: int


def _inside(number: int, ranges: Sequence[Range], same: bool) -> int:
    if same:
        return number
    for item in ranges:
        if item.outside <= number < item.outside + item.count:
            return item.inside + number - item.outside
    return 65534


def _host(number: int, ranges: Sequence[Range]) -> int:
    for item in ranges:
        if item.inside <= number < item.inside + item.count:
            return item.outside + number - item.inside
    return 65534


def _uid(process: Process, names: Names, which: int) -> str:
    number = _inside(process.uids[which], names.uid_map, names.same_namespace)
    return names.users.get(number, str(number))


def _gid(number: int, names: Names) -> str:
    inside = _inside(number, names.gid_map, names.same_namespace)
    return names.groups.get(inside, str(inside))


def _host_user(process: Process, names: Names) -> str:
    import pwd

    number = _host(process.uids[1], names.host_uid_map)
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _host_group(number: int, names: Names) -> str:
    import grp

    outside = _host(number, names.host_gid_map)
    try:
        return grp.getgrgid(outside).gr_name
    except KeyError:
        return str(outside)


def go_duration(nanoseconds: int) -> str:
    """A duration as Go's Duration.String prints it: "1h2m12.5s", "1.5ms", "0s"."""
    if nanoseconds <= 0:
        return "0s"
    for unit, text in ((1_000, "ns"), (1_000_000, "µs"), (1_000_000_000, "ms")):
        if nanoseconds < unit:
            return _decimal(nanoseconds, unit // 1000, text)
    hours, rest = divmod(nanoseconds, 3600 * 1_000_000_000)
    minutes, rest = divmod(rest, 60 * 1_000_000_000)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return head + _decimal(rest, 1_000_000_000, "s")


def _decimal(value: int, unit: int, text: str) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return f"{whole}{text}"
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}{text}"


def _elapsed(process: Process, names: Names) -> int:
    return names.now - names.boot - process.start_ticks * 1_000_000_000 // names.hertz


def _cpu(process: Process, names: Names) -> str:
    elapsed = _elapsed(process, names)
    used = process.ticks * 1_000_000_000 / names.hertz
    return f"{100 * used / elapsed:.3f}" if elapsed > 0 else "0.000"


def terminal(device: int) -> str:
    """The name of a controlling terminal's device number (proc(5), tty_nr)."""
    major, minor = os.major(device), os.minor(device)
    if 136 <= major <= 143:
        return f"pts/{(major - 136) * 256 + minor}"
    if major == 4:
        return f"tty{minor}" if minor < 64 else f"ttyS{minor - 64}"
    return "?" if not device else "console" if major == 5 else f"{major}:{minor}"


def _caps(mask: int) -> str:
    if mask & _FULL == _FULL:
        return "full"
    return ",".join(sorted(name.removeprefix("CAP_") for name in caps.names(mask))) or "none"


def _started(process: Process, names: Names) -> str:
    from pypod.base import units

    seconds = (names.boot + process.start_ticks * 1_000_000_000 // names.hertz) // 1_000_000_000
    return units.timestamp(seconds * 1_000_000_000)


# Descriptor → (heading, ps(1)'s AIX letter, value).
DESCRIPTORS: dict[str, tuple[str, str, Callable[[Process, Names], str]]] = {
    "args": ("COMMAND", "%a", lambda p, n: p.args),
    "capamb": ("AMBIENT CAPS", "", lambda p, n: _caps(p.caps.get("CapAmb", 0))),
    "capbnd": ("BOUNDING CAPS", "", lambda p, n: _caps(p.caps.get("CapBnd", 0))),
    "capeff": ("EFFECTIVE CAPS", "", lambda p, n: _caps(p.caps.get("CapEff", 0))),
    "capinh": ("INHERITED CAPS", "", lambda p, n: _caps(p.caps.get("CapInh", 0))),
    "capprm": ("PERMITTED CAPS", "", lambda p, n: _caps(p.caps.get("CapPrm", 0))),
    "comm": ("COMMAND", "%c", lambda p, n: p.comm),
    "etime": ("ELAPSED", "%t", lambda p, n: go_duration(_elapsed(p, n))),
    "group": ("GROUP", "%G", lambda p, n: _gid(p.gids[1], n)),
    "groups": ("GROUPS", "", lambda p, n: ",".join(_gid(item, n) for item in p.groups)),
    "hgroup": ("HGROUP", "", lambda p, n: _host_group(p.gids[1], n)),
    "hgroups": ("HGROUPS", "", lambda p, n: ",".join(_host_group(item, n) for item in p.groups)),
    "hpid": ("HPID", "", lambda p, n: str(p.pid)),
    "huser": ("HUSER", "", _host_user),
    "label": ("LABEL", "", lambda p, n: p.label),
    "nice": ("NI", "%n", lambda p, n: str(p.nice)),
    "pcpu": ("%CPU", "%C", _cpu),
    "pgid": ("PGID", "%r", lambda p, n: str(p.pgid)),
    "pid": ("PID", "%p", lambda p, n: str(p.pids[-1])),
    "ppid": ("PPID", "%P", lambda p, n: str(p.ppid)),
    "rgroup": ("RGROUP", "%g", lambda p, n: _gid(p.gids[0], n)),
    "rss": ("RSS", "", lambda p, n: str(p.rss_pages * n.page // 1024)),
    "ruser": ("RUSER", "%u", lambda p, n: _uid(p, n, 0)),
    "seccomp": ("SECCOMP", "", lambda p, n: _SECCOMP[p.seccomp] if p.seccomp < 3 else str(p.seccomp)),
    "stat": ("STATE", "", lambda p, n: p.state),
    "state": ("STATE", "", lambda p, n: p.state),
    "stime": ("STIME", "", _started),
    "time": ("TIME", "%x", lambda p, n: go_duration(p.ticks * 1_000_000_000 // n.hertz)),
    "tty": ("TTY", "%y", lambda p, n: terminal(p.tty)),
    "user": ("USER", "%U", lambda p, n: _uid(p, n, 1)),
    "vsz": ("VSZ", "%z", lambda p, n: str(p.vsz // 1024)),
}
_LETTERS = {letter: name for name, (_, letter, _) in DESCRIPTORS.items() if letter}


def descriptors(words: Sequence[str]) -> list[str] | None:
    """The columns that the words ask for, separated by blanks or commas; None if one of them is unknown."""
    found = []
    for word in ",".join(words).split(","):
        if not word.strip():
            continue
        name = _LETTERS.get(word, word)
        if name not in DESCRIPTORS:
            return None
        found.append(name)
    return found or list(DEFAULT)


def table(context: Context, container: Container, columns: Sequence[str]) -> list[list[str]]:
    """The headings and a row for each process. Raises BadState if the container does not run."""
    state = containers.observe(container)
    if state.status not in ("running", "paused", "stopping"):
        raise BadState("top can only be used on running containers")
    rootless.enter_user(context)
    names = _names(state.pid)
    rows = [[DESCRIPTORS[name][0] for name in columns]]
    for pid in members(container, state.pid):
        process = read(pid)
        if process is not None:
            rows.append([DESCRIPTORS[name][2](process, names) for name in columns])
    return rows


def in_container(context: Context, container: Container, words: Sequence[str]) -> int:
    """ps(1) of the container with these arguments; its exit code.

    Raises BadState if the container does not run, PypodError if it has no ps.
    """
    from pypod.engine import exec_spec, execute

    if containers.observe(container).status != "running":
        raise BadState("top can only be used on running containers")
    try:
        return execute.execute(context, container, exec_spec.ExecOptions(command=["ps", *words]))[0]
    except PypodError as error:
        raise PypodError(f"executing ps(1) in the container: {error.message}") from None


def members(container: Container, first: int) -> list[int]:
    """The processes of a container, oldest first.

    With a pid namespace of its own all that are in it; else the descendants of its first process.
    """
    if container.config.pid.mode != "private":
        found = [first]
        for pid in found:
            found += proc.children(pid)
        return found
    try:
        wanted = os.stat(f"/proc/{first}/ns/pid").st_ino
    except OSError:
        return [first]
    result = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if os.stat(f"/proc/{name}/ns/pid").st_ino == wanted:
                    result.append(int(name))
            except OSError:
                continue  # gone, or not ours to look at
    result.sort(key=lambda pid: (proc.start_time(pid), pid))
    return result


def _names(pid: int) -> Names:
    users_found: dict[int, str] = {}
    groups_found: dict[int, str] = {}
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for user in users.parse_passwd(rootfs.read(root, "/etc/passwd")):
                users_found.setdefault(user.uid, user.name)
            for group in users.parse_group(rootfs.read(root, "/etc/group")):
                groups_found.setdefault(group.gid, group.name)
        finally:
            os.close(root)
        same = os.stat(f"/proc/{pid}/ns/user").st_ino == os.stat("/proc/self/ns/user").st_ino
        uid_map, gid_map = idmap.of_process(pid), idmap.of_process(pid, "gid")
    except OSError as error:
        raise BadState(f"cannot look at process {pid}: {error.strerror}") from None
    now = times.now()
    uptime = float(files.read("/proc/uptime").split()[0])
    return Names(
        same_namespace=same,
        uid_map=uid_map,
        gid_map=gid_map,
        host_uid_map=idmap.of_process(),
        host_gid_map=idmap.of_process("self", "gid"),
        users=users_found,
        groups=groups_found,
        now=now,
        boot=now - int(uptime * 1_000_000_000),
        hertz=os.sysconf("SC_CLK_TCK"),
        page=os.sysconf("SC_PAGE_SIZE"),
    )


def read(pid: int) -> Process | None:
    """One process as /proc shows it (proc(5)); None if it has gone."""
    try:
        text = files.read(f"/proc/{pid}/stat")
        status = _status(files.read(f"/proc/{pid}/status"))
        command = files.read(f"/proc/{pid}/cmdline")
    except OSError:
        return None
    try:
        label = files.read(f"/proc/{pid}/attr/current").rstrip(b"\0\n").decode("utf-8", "replace")
    except OSError:
        label = "?"
    end = text.rindex(b")")
    fields = text[end + 2 :].split()
    comm = text[text.index(b"(") + 1 : end].decode("utf-8", "replace")
    args = command.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    pids = [int(word) for word in status.get("NSpid", str(pid)).split()]
    pgids = status.get("NSpgid", fields[2].decode()).split()
    return Process(
        pid=pid,
        pids=pids,
        ppid=_parent(int(fields[1]), len(pids)),
        state=fields[0].decode(),
        pgid=int(pgids[-1]),
        tty=int(fields[4]),
        ticks=int(fields[11]) + int(fields[12]),
        nice=int(fields[16]),
        start_ticks=int(fields[19]),
        vsz=int(fields[20]),
        rss_pages=int(fields[21]),
        comm=comm,
        args=args or f"[{comm}]",
        uids=[int(word) for word in status["Uid"].split()[:2]],
        gids=[int(word) for word in status["Gid"].split()[:2]],
        groups=[int(word) for word in status.get("Groups", "").split()],
        caps={key: int(value, 16) for key, value in status.items() if key.startswith("Cap")},
        seccomp=int(status.get("Seccomp", "0")),
        label=label or "?",
    )


def _status(text: bytes) -> dict[str, str]:
    result = {}
    for line in text.decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        result[key] = value.strip()
    return result


def _parent(pid: int, depth: int) -> int:
    """The parent's pid in a namespace of that depth; 0 if it is outside."""
    try:
        pids = _status(files.read(f"/proc/{pid}/status")).get("NSpid", "").split()
    except OSError:
        return 0
    return int(pids[depth - 1]) if len(pids) >= depth else 0
