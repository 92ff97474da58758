"""The environment of a container (podman-run(1), "ENVIRONMENT").

Later ones win: the tool's own defaults, containers.conf's, the image's, the caller's (--env-host), --env-file, --env.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEFAULT = {"PATH": PATH, "TERM": "xterm", "container": "podman"}

PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY")


def parse(entries: Sequence[str], caller: Mapping[str, str]) -> dict[str, str]:
    """NAME=VALUE as it is; NAME takes the caller's value, if there is one; NAME* takes all that begin with NAME.

    Raises UsageError.
    """
    result: dict[str, str] = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not name:
            raise UsageError(f"invalid environment variable: {entry!r}: name cannot be empty")
        if separator:
            result[name] = value
        elif name.endswith("*"):
            result.update((key, item) for key, item in caller.items() if key.startswith(name[:-1]))
        elif name in caller:
            result[name] = caller[name]
    return result


def read_file(path: str, caller: Mapping[str, str]) -> dict[str, str]:
    """A file of NAME=VALUE lines; blank lines and lines that begin with # say nothing. Values are taken literally.

    Raises UsageError.
    """
    try:
        text = files.read(path).decode()
    except OSError as error:
        raise UsageError(f"cannot read environment file {path}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read environment file {path}: it is not UTF-8 text") from None
    result: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.lstrip(" \t").removesuffix("\r")
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name.strip() or any(blank in name.rstrip() for blank in " \t"):
            raise UsageError(f"cannot parse environment file {path}: line {number}: invalid name {name!r}")
        result.update(parse([line], caller))
    return result


def expand(value: str, env: Mapping[str, str]) -> str:
    """$NAME and ${NAME} of ``value`` replaced by what ``env`` has; nothing for an unknown name (os.Expand of Go)."""
    result = []
    rest = value
    while rest:
        before, dollar, rest = rest.partition("$")
        result.append(before)
        if not dollar:
            break
        if rest.startswith("{"):
            name, brace, after = rest[1:].partition("}")
            if brace:
                result.append(env.get(name, ""))
                rest = after
                continue
        end = 0
        while end < len(rest) and (rest[end].isalnum() or rest[end] == "_"):
            end += 1
        if end:
            result.append(env.get(rest[:end], ""))
            rest = rest[end:]
        else:
            result.append("$")
    return "".join(result)


def build(
    *,
    image: Sequence[str] = (),
    configured: Sequence[str] = (),
    given: Sequence[str] = (),
    env_files: Sequence[str] = (),
    merge: Sequence[str] = (),
    unset: Sequence[str] = (),
    unset_all: bool = False,
    host: bool = False,
    proxies: bool = True,
    caller: Mapping[str, str] | None = None,
) -> list[str]:
    """The NAME=VALUE list of a container. HOME and HOSTNAME are added when it starts. Raises UsageError."""
    mine = os.environ if caller is None else caller
    user: dict[str, str] = {}
    for path in env_files:
        user.update(read_file(path, mine))
    user.update(parse(given, mine))
    env = dict(DEFAULT)
    env.update(parse(configured, {}))
    if proxies:
        env.update((name, mine[name]) for name in PROXIES if name in mine)
    env.update(parse(image, {}))
    for entry in merge:
        name, separator, value = entry.partition("=")
        if not separator or not name:
            raise UsageError(f"missing '=' in environment variable: {entry}")
        env[name] = expand(value, env)
    for name in unset:
        env.pop(name, None)
    if unset_all:
        env = {}
    if host:
        env.update(mine)
    env.update(user)
    return [f"{name}={value}" for name, value in env.items()]
