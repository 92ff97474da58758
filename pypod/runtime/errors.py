"""What an OCI runtime said, as one of our errors in podman's words.

runc and crun write the reason as JSON lines to their --log file and as text to stderr; neither has exit codes that
tell a missing command from any other failure, so the text decides.
"""

from __future__ import annotations

from pypod.base import fastjson, files
from pypod.errors import CommandNotExecutable, CommandNotFound, RuntimeFailed

_DENIED = ("permission denied", "operation not permitted", "is a directory")
_MISSING = ("executable file not found in $path", "no such file or directory", "executable file `")


def last_error(log: str) -> str:
    """The last message of level error (or worse) in a runtime's JSON log; "" if there is none."""
    try:
        lines = files.read(log).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            entry = fastjson.loads(line)
        except fastjson.BadJson:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal", "panic"):
            return str(entry.get("msg", "")).strip()
    return ""


def from_text(text: str) -> str:
    """The reason in a runtime's stderr: its last line, the message alone if the line is JSON or logrus text."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    last = lines[-1].strip()
    if last.startswith("{"):
        try:
            return str(fastjson.loads(last).get("msg", last)).strip()
        except (fastjson.BadJson, AttributeError):
            return last
    # logrus: time="…" level=error msg="…"
    _, found, rest = last.partition(' msg="')
    if found and rest.endswith('"'):
        return rest[:-1].replace('\\"', '"')
    return last


def failure(name: str, message: str) -> RuntimeFailed:
    """The error for what runtime ``name`` said: exit code 127 for a command that is not there, 126 for one that
    cannot be run, else 125."""
    message = message.strip() or "no reason given"
    lower = message.lower()
    # Only the process's own command has podman's special exit codes, never a mount, a cgroup or a profile of ours:
    # runc says exec: "NAME": …, crun executable file `NAME` … or open executable: ….
    about_command = 'exec: "' in lower or "executable" in lower or "exec user process" in lower
    if about_command and any(word in lower for word in _DENIED):
        return CommandNotExecutable(f"{name}: {message}: OCI permission denied")
    if about_command and any(word in lower for word in _MISSING):
        return CommandNotFound(
            f"{name}: {message}: OCI runtime attempted to invoke a command that was not found",
        )
    return RuntimeFailed(f"OCI runtime error: {name}: {message}")
