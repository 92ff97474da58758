"""``ps``: list containers."""

from __future__ import annotations

from pypod.base import units
from pypod.cli import output, targets
from pypod.engine import ps_view
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.ps_view import Row

HEADINGS = {
    "Cgroup": "CGROUPNS",
    "CreatedHuman": "CREATED",
    "Id": "CONTAINER ID",
    "ID": "CONTAINER ID",
    "ImageID": "IMAGE ID",
    "PIDNS": "PIDNS",
    "Pod": "POD ID",
    "PodName": "PODNAME",
    "RunningFor": "CREATED",
    "User": "USERNS",
    "USERNS": "USERNS",
}


def run(invocation: Invocation) -> int:
    options = invocation.options
    if options["last"] >= 0 and options["latest"]:
        raise UsageError("last and latest are mutually exclusive")
    # --sync asks for the truth from the runtime. The states shown are always true: the kernel is asked.
    if options["external"] and (options["filter"] or options["latest"] or options["last"] >= 0):
        raise UsageError("the --external flag cannot be used with --filter, --latest or --last")
    if options["size"] and options["ns"]:
        raise UsageError("size and namespace options conflict")
    if options["quiet"] and options["format"] and not output.is_json(options["format"]):
        raise UsageError("quiet and format are mutually exclusive")
    if options["watch"] is not None:
        return _watch(invocation, options["watch"])
    _show(invocation)
    return 0


def _watch(invocation: Invocation, seconds: int) -> int:
    import time

    if seconds < 1:
        raise UsageError("the watch flag must be greater than 0")
    while True:
        output.write("\x1b[H\x1b[2J")
        _show(invocation)
        output.flush()
        time.sleep(seconds)


def _show(invocation: Invocation) -> None:
    options = invocation.options
    context, store = targets.open_engine(invocation)
    template = options["format"]
    size = options["size"] or options["sort"] == "size" or (template is not None and ".Size" in template)
    if size:
        from pypod.engine import rootless

        # Files of subordinate ids can be seen only from inside.
        rootless.enter_user(context)
    rows = ps_view.rows(
        context,
        store,
        everything=options["all"],
        filters=options["filter"],
        last=max(options["last"], 0),
        latest=options["latest"],
        size=size,
        namespaces=options["ns"],
        sort=options["sort"],
    )
    if options["external"]:
        from pypod.engine import ps_external

        rows += ps_external.rows(store)
    if options["quiet"]:
        for row in rows:
            output.line(row.container.id if options["no_trunc"] else row.container.id[:12])
        return
    if template is not None:
        _formatted(template, rows, options)
        return
    full = options["no_trunc"]
    if options["ns"]:
        header = ["CONTAINER ID", "NAMES", "PID", "CGROUPNS", "IPC", "MNT", "NET", "PIDNS", "USERNS", "UTS"]
        keys = ("Cgroup", "Ipc", "Mnt", "Net", "Pidns", "User", "Uts")
        cells = [
            [_id(row, full), row.container.name, str(row.state.pid), *[row.namespaces.get(key, "") for key in keys]]
            for row in rows
        ]
    else:
        header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
        cells = [
            [
                _id(row, full),
                row.container.config.image,
                command_text(row, full),
                units.ago(row.created, row.now),
                row.status,
                row.ports,
                row.container.name,
            ]
            for row in rows
        ]
        if options["pod"]:
            header += ["POD ID", "PODNAME"]
            for line, row in zip(cells, rows, strict=True):
                line += [row.container.config.pod if full else row.container.config.pod[:12], row.pod_name]
        if size:
            header.append("SIZE")
            for line, row in zip(cells, rows, strict=True):
                line.append(size_text(row))
    output.table(header, cells, noheading=options["noheading"])


def _id(row: Row, full: bool) -> str:
    return row.container.id if full else row.container.id[:12]


def command_text(row: Row, full: bool) -> str:
    """The command as one line; 20 characters of it unless ``full``."""
    text = " ".join(row.container.config.command)
    return text if full or len(text) <= 20 else text[:17] + "..."


def size_text(row: Row) -> str:
    """ "12B (virtual 1.98MB)"."""
    found = row.size or {"rwSize": 0, "rootFsSize": 0}
    own, total = units.size(found["rwSize"], space=False), units.size(found["rootFsSize"], space=False)
    return f"{own} (virtual {total})"


def _formatted(template: str, rows: list[Row], options: dict[str, Any]) -> None:
    if output.is_json(template):
        output.json([row.json() for row in rows], 2)
        return
    output.templated(
        template, [Fields(row, options["no_trunc"]) for row in rows], HEADINGS, noheading=options["noheading"]
    )


class Fields:
    """The fields of one row in a template; computed when asked for."""

    go_type = "containers.psReporter"
    go_fields = (
        "AutoRemove CIDFile Cgroup Command Created CreatedAt CreatedHuman ExitCode Exited ExitedAt ExposedPorts ID"
        " IPC Image ImageID IsInfra Label Labels MNT Mounts NET Names Namespaces Networks PIDNS Pid Pod PodName Ports"
        " Restarts RunningFor Size StartedAt State Status USERNS UTS"
    ).split()

    def __init__(self, row: Row, full: bool) -> None:
        self.row = row
        self.full = full

    def go_json(self) -> dict[str, Any]:
        return self.row.json()

    def go_field(self, name: str) -> Any:
        """The field; KeyError if there is none. Lists are joined, as in podman's own rows."""
        row = self.row
        config = row.container.config
        if name in ("ID", "Id"):
            return _id(row, self.full)
        if name == "ImageID":
            return config.image_id if self.full else config.image_id[:12]
        if name in ("RunningFor", "CreatedHuman"):
            return units.ago(row.created, row.now)
        if name in ("CreatedAt", "Created"):
            return units.timestamp(row.created)
        if name in ("Status", "State"):
            return row.status if name == "Status" else row.state.status
        if name == "Names":
            return row.container.name
        if name == "Command":
            return command_text(row, self.full)
        if name == "Ports":
            return row.ports
        if name == "Size":
            return size_text(row)
        if name == "Mounts":
            return ",".join(mount.destination for mount in config.mounts)
        if name == "Pod":
            return config.pod if self.full else config.pod[:12]
        if name == "Networks":
            return ",".join(row.networks)
        if name == "Labels":
            return dict(config.labels)
        if name == "Label":
            return lambda key: config.labels.get(key, "")
        spaces = {"MNT": "Mnt", "NET": "Net", "IPC": "Ipc", "PIDNS": "Pidns", "UTS": "Uts", "USERNS": "User"}
        if name in spaces or name == "Cgroup":
            return ps_view.namespace_ids(row.state.pid).get(spaces.get(name, name), "")
        return row.json()[name]
