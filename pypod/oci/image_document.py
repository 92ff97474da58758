"""Whether an image's manifest and configuration are what their specifications say (image-spec, Docker's schema 2).

What passes here can be read by every tool that shares the store: Go's readers refuse a whole document for one value
of the wrong type, and take ``Layers`` for ``layers``, so that one document could mean two images.
"""

from __future__ import annotations

import json

from pypod.base.text import show
from pypod.errors import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# A key's type: a type, a list of one (of its items), a dict of one (of its values), or a dict of its own keys.
_HEALTHCHECK: dict[str, Any] = {
    "Test": [str],
    "Interval": int,
    "Timeout": int,
    "StartPeriod": int,
    "Retries": int,
}
_CONFIG: dict[str, Any] = {
    "Hostname": str,
    "Domainname": str,
    "User": str,
    "ExposedPorts": {"*": {}},
    "Env": [str],
    "Entrypoint": [str],
    "Cmd": [str],
    "Volumes": {"*": {}},
    "WorkingDir": str,
    "Labels": {"*": str},
    "StopSignal": str,
    "ArgsEscaped": bool,
    "OnBuild": [str],
    "Shell": [str],
    "Healthcheck": _HEALTHCHECK,
}
_DOCUMENT: dict[str, Any] = {
    "created": "time",
    "author": str,
    "architecture": str,
    "variant": str,
    "os": str,
    "os.version": str,
    "os.features": [str],
    "config": _CONFIG,
    "rootfs": {"type": str, "diff_ids": [str]},
    "history": [
        {"created": "time", "created_by": str, "author": str, "comment": str, "empty_layer": bool},
    ],
}
_DESCRIPTOR: dict[str, Any] = {
    "mediaType": str,
    "digest": str,
    "size": int,
    "urls": [str],
    "annotations": {"*": str},
    "artifactType": str,
    "platform": {
        "architecture": str,
        "os": str,
        "os.version": str,
        "os.features": [str],
        "variant": str,
    },
}
_MANIFEST: dict[str, Any] = {
    "schemaVersion": int,
    "mediaType": str,
    "config": _DESCRIPTOR,
    "layers": [_DESCRIPTOR],
    "manifests": [_DESCRIPTOR],
    "annotations": {"*": str},
    "subject": _DESCRIPTOR,
    "artifactType": str,
}
_WORDS = {str: "a string", int: "a whole number", bool: "true or false"}
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MOST = 1 << 63


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:40]!r} stands twice in one object")
            seen.add(key)
    return result


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def read(data: bytes, what: str) -> Any:
    """JSON in which no key stands twice: of two, one reader would take the first and another the last.

    Raises BadArchive.
    """
    try:
        return json.loads(str(data, "utf-8"), object_pairs_hook=_once, parse_constant=_constant)
    except RecursionError:
        raise BadArchive(f"broken archive: {show(what)}: nested too deeply") from None
    except ValueError as error:
        raise BadArchive(f"broken archive: {show(what)}: {error}") from None


def is_time(text: str) -> bool:
    """Whether Go's time.Time takes ``text`` (RFC 3339)."""
    import re

    found = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|[+-](\d\d):(\d\d))", text, re.ASCII
    )
    if found is None:
        return False
    year, month, day, hour, minute, second, east, east_minute = (int(group or 0) for group in found.groups())
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1]:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (
        not (month == 2 and day == 29 and not leap) and max(hour, east) < 24 and max(minute, second, east_minute) < 60
    )


def _fault(value: Any, wanted: Any, place: str) -> str:
    """What is wrong with a value, "" for nothing. Go's null leaves a value unset."""
    if value is None:
        return ""
    if wanted == "time":
        return "" if isinstance(value, str) and is_time(value) else f"{place} is not a time"
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return f"{place} is not a list"
        return next(filter(None, (_fault(item, wanted[0], f"an item of {place}") for item in value)), "")
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"{place} is not an object"
        if "*" in wanted:
            return next(
                filter(None, (_fault(item, wanted["*"], f"a value in {place}") for item in value.values())), ""
            )
        lower = {key.lower(): key for key in wanted}
        for key, item in value.items():
            known = lower.get(key.lower())
            if known is not None:
                if known != key:
                    return f"it has {key[:40]!r} where readers expect {known!r}"
                if fault := _fault(item, wanted[known], f"{place}.{known}" if place else known):
                    return fault
        return ""
    if wanted is int:
        fits = isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value < _MOST
    else:
        fits = isinstance(value, wanted)
    return "" if fits else f"{place} is not {_WORDS[wanted]}"


def check_config(document: Mapping[str, Any]) -> None:
    """An image's configuration. Raises BadArchive."""
    fault = _fault(document, _DOCUMENT, "")
    if fault:
        raise BadArchive(f"broken archive: the image's config: {fault}")


def check_manifest(document: Mapping[str, Any], what: str) -> None:
    """A manifest or an index; one that is both is refused (CVE-2021-41190). Raises BadArchive."""
    fault = _fault(document, _MANIFEST, "")
    if not fault and document.get("manifests") is not None:
        for key in ("config", "layers", "fsLayers", "history"):
            if document.get(key) is not None:
                fault = f"it has manifests and {key}, so it would be an index for one reader and an image for another"
    if fault:
        raise BadArchive(f"broken archive: {what}: {fault}")


def check_descriptor(document: Mapping[str, Any], what: str) -> None:
    """A descriptor that stands alone. Raises BadArchive."""
    fault = _fault(document, _DESCRIPTOR, "")
    if fault:
        raise BadArchive(f"broken archive: the descriptor of {what}: {fault}")
