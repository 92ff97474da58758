"""Kubernetes' quantities: ``500m``, ``64Mi``, ``1e3``, ``2``."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, localcontext

_FORM = re.compile(r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))((?:[eE][+-]?[0-9]{1,2})|[A-Za-z]{0,2})")
_UNITS = {
    **{name: Decimal(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{name: Decimal(1000) ** power for power, name in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    "": Decimal(1),
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}
_MOST = Decimal(2**63 - 1)


def parse(value: object) -> Decimal:
    """A quantity as a number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("must be a quantity, as 500m or 64Mi")
    found = _FORM.fullmatch(str(value))
    if not found:
        raise ValueError(f"{str(value)[:40]!r} is no quantity, as 500m or 64Mi are")
    digits, unit = found.groups()
    if unit in _UNITS:
        result = Decimal(digits) * _UNITS[unit]
    elif unit[:1] in ("e", "E") and len(unit) > 1:
        result = Decimal(digits + unit)
    else:
        raise ValueError(f"{str(value)[:40]!r} has an unknown unit")
    if not 0 <= result <= _MOST:
        raise ValueError(f"{str(value)[:40]!r} is out of range")
    return result


def whole(value: Decimal, divisor: Decimal = Decimal(1)) -> int:
    """A quantity in whole units, rounded up as Kubernetes rounds."""
    with localcontext() as context:
        context.prec = 60
        return int((value / divisor).to_integral_value(ROUND_CEILING))


def of_bytes(number: int) -> str:
    """Bytes as a quantity: the largest unit that divides them."""
    for unit in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        size = int(_UNITS[unit])
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)


def of_cpus(cpus: float) -> str:
    """Processors as a quantity: ``500m``, ``2``."""
    thousandths = max(1, round(cpus * 1000))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"
