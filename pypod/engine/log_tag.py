"""``--log-opt tag=`` and ``label=``: what the journal's entries of a container are marked with.

A tag may name fields of the container as podman's may: ``{{.Name}}``; nothing but fields.
"""

from __future__ import annotations

from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.config import ContainerConfig

_FIELDS = {
    "ID": "id",
    "Id": "id",
    "FullID": "id",
    "Name": "name",
    "ImageName": "image",
    "Image": "image_id",
    "ImageID": "image_id",
}
_CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def render(tag: str, config: ContainerConfig | None) -> str:
    """The tag with its fields filled in; without a container they are only checked. Raises UsageError."""
    result, *rest = tag.split("{{")
    for part in rest:
        inside, closed, behind = part.partition("}}")
        name = inside.strip(" -")
        attribute = _FIELDS.get(name[1:]) if closed and name[:1] == "." else None
        if attribute is None:
            raise UsageError(
                f"invalid log option tag={tag}: cannot read {'{{' + inside + closed}",
                hint=f"a tag may contain {', '.join('{{.' + field + '}}' for field in _FIELDS if field != 'Id')}",
            )
        result += (str(getattr(config, attribute)) if config is not None else "") + behind
    return result


def check_label(label: str) -> str:
    """A field of the journal's entries, as it is. Raises UsageError if the journal would not take it."""
    key, separator, _ = label.partition("=")
    if not separator or not key or not _CAPITALS.issuperset(key) or key[0] in "_0123456789" or len(key) > 64:
        raise UsageError(
            f"invalid log option label={label}: must be KEY=VALUE, and the key of capital letters, digits and _"
        )
    return label
