"""TOML configuration files, with a cache: parsing containers.conf takes longer than starting a container may.

The cache is one JSON file that names each source with its size and time; it can be thrown away at any moment.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.errors import ConfigError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def _stamp(path: str) -> list[Any] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [path, found.st_mtime_ns, found.st_size, found.st_ino]


def drop_ins(directory: str) -> list[str]:
    """The ``*.conf`` files of a drop-in directory, in the order in which they apply."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [f"{directory}/{name}" for name in sorted(names) if name.endswith(".conf")]


def parse(path: str) -> dict[str, Any]:
    """One TOML file.

    Raises ConfigError with the file, line and column.
    """
    import tomllib

    try:
        return tomllib.loads(files.read(path).decode())
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {reason(error)}") from None
    except RecursionError:
        raise ConfigError(f"cannot parse configuration {path}: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise ConfigError(f"cannot parse configuration {path}: {error}") from None


def load(paths: Sequence[str], cache: str) -> list[dict[str, Any]]:
    """The documents of those ``paths`` that exist, in order; from ``cache`` if none of them has changed.

    Raises ConfigError.
    """
    stamps = [stamp for stamp in map(_stamp, paths) if stamp is not None]
    if not stamps:
        return []
    if cache:
        try:
            kept = fastjson.loads(files.read_own(cache))
            if kept["stamps"] == stamps:
                documents: list[dict[str, Any]] = kept["documents"]
                return documents
        except (OSError, fastjson.BadJson, KeyError, TypeError):
            pass
    documents = [parse(stamp[0]) for stamp in stamps]
    if cache:
        try:
            files.replace_json(cache, {"stamps": stamps, "documents": documents})
        except (OSError, TypeError, ValueError):
            pass  # a cache that cannot be written is no reason to fail
    return documents


def merge(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Later documents win, table by table (containers.conf(5))."""
    result: dict[str, Any] = {}
    for document in documents:
        for key, value in document.items():
            mine = result.get(key)
            if isinstance(mine, dict) and isinstance(value, dict):
                result[key] = merge([mine, value])
            else:
                result[key] = value
    return result
