"""The limits for hostile archives, as people write them in containers.conf or ``--storage-opt``."""

from __future__ import annotations

from pypod.base.record import fields_of
from pypod.engine import sizes
from pypod.errors import ConfigError
from storage.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# No file, and no number of files, can be larger than what the kernel counts with.
_MOST = (1 << 63) - 1


def parse(options: Mapping[str, Any]) -> Limits:
    """The limits that ``options`` set: numbers, or sizes as "100g".

    Raises ConfigError for an unknown name or a value that is no size.
    """
    known = fields_of(Limits)
    values: dict[str, int] = {}
    for name, value in options.items():
        if name not in known:
            raise ConfigError(f"unknown limit pypod.{name}", hint="known are " + ", ".join(known))
        try:
            number = sizes.parse_size(str(value))
        except ValueError:
            number = -1
        if isinstance(value, (bool, float)) or not 0 <= number <= _MOST:
            raise ConfigError(f"limit pypod.{name}: {value!r} is neither a number nor a size")
        values[name] = number
    return Limits(**values)
