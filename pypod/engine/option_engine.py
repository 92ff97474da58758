"""The flags that only the engine looks at, for ``options``: labels, logging, restart policy."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.engine import events, resources
from pypod.engine.attach import PASSTHROUGH
from pypod.errors import NotFound, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_RESTART = ("no", "always", "on-failure", "unless-stopped")
_LOG_DRIVERS = ("k8s-file", "json-file", "journald", "none", *PASSTHROUGH)


@record
class LogOptions:
    """How the output is logged; ``size`` in bytes, 0: no limit."""

    driver: str
    path: str
    size: int
    tag: str
    labels: list[str]


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


def log(options: Mapping[str, Any], settings: Mapping[str, Any]) -> LogOptions:
    """--log-driver and --log-opt. Raises UsageError, NotFound if there is no journal to write to."""
    given = options.get("log_driver")
    wanted = given or str(settings.get("log_driver") or "k8s-file")
    driver = wanted if given else usable_driver(settings)
    _check_driver(driver, options)
    path, size, tag = "", 0, str(settings.get("log_tag") or "") if driver == "journald" else ""
    entry_labels: list[str] = []
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
        elif key in ("tag", "label"):
            if wanted != "journald":
                raise UsageError(
                    f"invalid log option {key!r}: the log driver {driver} has no room for it",
                    hint="--log-driver journald has",
                )
            if key == "tag":
                tag = value
            else:
                from pypod.engine import log_tag

                entry_labels.append(log_tag.check_label(value))
        else:
            raise UsageError(f"invalid log option {key!r}: must be path, max-size, tag or label")
    if tag:
        from pypod.engine import log_tag

        log_tag.render(tag, None)
    return LogOptions(driver=driver, path=path, size=size, tag=tag, labels=entry_labels)


def usable_driver(settings: Mapping[str, Any]) -> str:
    """The log driver if no flag names one: containers.conf's if it can be used here.

    A distribution's containers.conf names journald, which is not there on every host.
    """
    driver = str(settings.get("log_driver") or "k8s-file")
    if driver not in _LOG_DRIVERS or (driver == "journald" and not os.path.exists(events.JOURNAL)):
        return "k8s-file"
    return driver


def _check_driver(driver: str, options: Mapping[str, Any]) -> None:
    if driver not in _LOG_DRIVERS:
        raise UsageError(f"running container create option: invalid log driver {driver}: invalid argument")
    if driver == "journald" and not os.path.exists(events.JOURNAL):
        raise NotFound(
            f"cannot log to the journal: {events.JOURNAL}: No such file or directory",
            hint="systemd-journald does not run here; --log-driver k8s-file needs none",
        )
    if driver in PASSTHROUGH:
        if options.get("attach"):
            raise UsageError(f"cannot specify --attach with --log-driver={driver}: invalid argument")
        if options.get("tty"):
            raise UsageError(f"cannot specify --tty with --log-driver={driver}: invalid argument")
        if driver == "passthrough" and any(map(os.isatty, range(3))):
            raise UsageError(
                "the '--log-driver passthrough' option cannot be used on a TTY",
                hint="the container could type into it; --log-driver passthrough-tty allows that",
            )


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
