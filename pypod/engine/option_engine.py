"""The flags that only the engine looks at, for ``options``: labels, logging, restart policy."""

from __future__ import annotations

import os

from pypod.engine import resources
from pypod.errors import UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_RESTART = ("no", "always", "on-failure", "unless-stopped")
_LOG_DRIVERS = ("k8s-file", "json-file", "none", "passthrough")


def restart(options: Mapping[str, Any]) -> tuple[str, int]:
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


def log(options: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, str, int, str]:
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


def pairs(texts: Sequence[str], what: str) -> dict[str, str]:
    result = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or (not separator and what == "annotation"):
            raise UsageError(f"invalid {what} {text!r}: must be KEY=VALUE")
        result[key] = value
    return result


def labels(options: Mapping[str, Any], from_image: Mapping[str, Any]) -> dict[str, str]:
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
            pairs([line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")], "label")
        )
    result.update(pairs(options.get("label") or (), "label"))
    unit = os.environ.get("PODMAN_SYSTEMD_UNIT")
    if unit:
        result["PODMAN_SYSTEMD_UNIT"] = unit
    return result
