"""``@record``: the frozen dataclass of the hot path.

``dataclasses`` costs 10 ms to import and half a millisecond for each class, a fifth of what a whole
``pypod run`` may take. A record has keyword-only fields, is immutable and comparable, and is built without
generating code. mypy checks its constructor through ``dataclass_transform`` (PEP 681).
"""

from __future__ import annotations

from pypod.base.fastjson import BadJson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_):
        return lambda function: function


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen record of its annotated names; class attributes are the defaults.

    Mutable defaults (list, dict) are shared, as the record never changes them: callers must not either.
    Fields of base records are inherited.
    """
    fields: dict[str, Any] = {}
    required: list[str] = []
    for base in reversed(cls.__mro__):
        for name in base.__dict__.get("__annotations__", ()):
            if name in base.__dict__:
                fields[name] = base.__dict__[name]
                if name in required:
                    required.remove(name)
            elif name not in fields:
                fields[name] = None
                required.append(name)
    wanted = frozenset(required)
    count = len(fields)

    def __init__(self: Any, **values: Any) -> None:
        given = values.keys()
        if not wanted <= given:
            raise TypeError(f"{cls.__name__} lacks {', '.join(sorted(wanted - given))}")
        content = self.__dict__
        content.update(fields)
        content.update(values)
        if len(content) != count:
            raise TypeError(f"{cls.__name__} has no field {', '.join(sorted(given - fields.keys()))}")

    def __setattr__(self: Any, name: str, value: object) -> None:
        raise AttributeError(f"{cls.__name__} is frozen: cannot set {name}")

    def __eq__(self: Any, other: object) -> bool:
        return type(other) is type(self) and self.__dict__ == other.__dict__

    def __repr__(self: Any) -> str:
        return f"{cls.__name__}({', '.join(f'{k}={v!r}' for k, v in self.__dict__.items())})"

    target: Any = cls
    target.__init__ = __init__
    target.__setattr__ = target.__delattr__ = __setattr__
    target.__eq__ = __eq__
    target.__hash__ = None
    target.__repr__ = __repr__
    target.__record_fields__ = fields
    return cls


def fields_of(kind: type) -> dict[str, Any]:
    """The names of a record's fields and their defaults; None also for those that must be given."""
    known: Any = kind
    found: dict[str, Any] = known.__record_fields__
    return found


def replace(value: T, **changes: object) -> T:
    """A copy of a record with some fields changed.

    Raises TypeError for a name that is not a field.
    """
    kind: Any = type(value)
    fields = kind.__record_fields__.keys()
    if not changes.keys() <= fields:
        raise TypeError(f"{kind.__name__} has no field {', '.join(sorted(changes.keys() - fields))}")
    # All that is required is there: it is not asked for again.
    copy: T = object.__new__(kind)
    copy.__dict__.update(value.__dict__)
    copy.__dict__.update(changes)
    return copy


def to_json(value: object) -> Any:
    """The record, with the records inside it, as plain JSON values."""
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(type(value), "__record_fields__"):
        return {key: to_json(item) for key, item in value.__dict__.items()}
    return value


def from_json(cls: type[T], values: object) -> T:
    """A flat record from a JSON object; keys of a newer version are ignored, missing ones get defaults.

    Raises BadJson for what cannot be one.
    """
    known = known_in(cls, values)
    try:
        return cls(**known)
    except TypeError as error:
        raise BadJson(str(error)) from None


def known_in(cls: type, values: object) -> dict[str, Any]:
    """What a JSON object has of a record's fields. Raises BadJson for another value and for one of another type.

    Types are looked at as far as JSON's own go: what is in a list or an object, nobody asks here.
    """
    if not isinstance(values, dict):
        raise BadJson(f"{cls.__name__} is not an object")
    types = cls.__dict__.get("__record_types__") or _note_types(cls)
    found = {}
    for key, item in values.items():
        kind = types.get(key)
        if kind is None:
            continue
        if not isinstance(item, kind):
            raise BadJson(f"{cls.__name__}: {key} is of type {type(item).__name__}")
        found[key] = item
    return found


def _note_types(cls: type) -> dict[str, type]:
    """The types of a record's fields, which are noted there: ``object`` where JSON has no type for it."""
    known: Any = cls
    plain = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}
    types: dict[str, type] = dict.fromkeys(fields_of(cls), object)
    for base in reversed(cls.__mro__):
        for name, text in base.__dict__.get("__annotations__", {}).items():
            types[name] = object if "|" in text else plain.get(text.partition("[")[0], object)
    known.__record_types__ = types
    return types
