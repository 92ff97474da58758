"""Events in systemd's journal: written by its native protocol, read by journalctl.

The fields are podman's (PODMAN_EVENT, PODMAN_TYPE …); SYSLOG_IDENTIFIER says pypod. Source: systemd's
"Native Journal Protocol".
"""

from __future__ import annotations

from pypod.base import fastjson
from pypod.engine import journalctl
from pypod.engine.events import JOURNAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

IDENTIFIER = "pypod"
_FIELDS = (
    ("ID", "PODMAN_ID"),
    ("Image", "PODMAN_IMAGE"),
    ("Name", "PODMAN_NAME"),
    ("network", "PODMAN_NETWORK_NAME"),
    ("Status", "PODMAN_EVENT"),
    ("Time", "PODMAN_TIME"),
    ("Type", "PODMAN_TYPE"),
    ("PodID", "PODMAN_POD_ID"),
    ("health_status", "PODMAN_HEALTH_STATUS"),
)


def send(event: dict[str, Any]) -> None:
    """Hand one event to the journal; without a word if it takes none."""
    import socket

    fields = {"SYSLOG_IDENTIFIER": IDENTIFIER, "PRIORITY": "6"}
    fields["MESSAGE"] = " ".join(str(event[key]) for key in ("Type", "Status", "ID", "Name") if event.get(key))
    fields.update({field: str(event[key]) for key, field in _FIELDS if event.get(key)})
    if "ContainerExitCode" in event:
        fields["PODMAN_EXIT_CODE"] = str(event["ContainerExitCode"])
    if event.get("Attributes"):
        fields["PODMAN_LABELS"] = fastjson.dumps(event["Attributes"])
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.sendto(b"".join(_field(name, value) for name, value in fields.items()), JOURNAL)
    except OSError:
        pass


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def read(uid: int, *, everything: bool, follow: bool) -> Iterator[dict[str, Any] | None]:
    """The journal's events of this user, the oldest first, then those that come; None: nothing came for a while.

    ``everything`` begins with the past. Raises NotFound without journalctl, PypodError if that fails.
    """
    words = ["--output=json", f"SYSLOG_IDENTIFIER={IDENTIFIER}", f"_UID={uid}"]
    words += ["--lines=all"] if everything else ["--lines=0"]
    words += ["--follow"] if follow else []
    rest = b""
    for data in journalctl.chunks(words, "events"):
        if not data:
            yield None
            continue
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            event = parse(line)
            if event is not None:
                yield event


def parse(line: bytes) -> dict[str, Any] | None:
    """The event in one line of journalctl's JSON; None if it is none."""
    try:
        entry = fastjson.loads(line)
    except fastjson.BadJson:
        return None
    if not isinstance(entry, dict) or not entry.get("PODMAN_EVENT"):
        return None
    event: dict[str, Any] = {key: str(entry[field]) for key, field in _FIELDS if field in entry}
    event["Attributes"] = None
    try:
        if "PODMAN_EXIT_CODE" in entry:
            event["ContainerExitCode"] = int(entry["PODMAN_EXIT_CODE"])
        if "PODMAN_LABELS" in entry:
            event["Attributes"] = fastjson.loads(entry["PODMAN_LABELS"])
        elif event.get("Type") == "container":
            event["Attributes"] = {}
    except ValueError:
        return None
    return event
