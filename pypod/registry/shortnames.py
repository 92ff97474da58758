"""Names without a registry: short-name aliases and unqualified-search registries (containers-registries.conf(5))."""

from __future__ import annotations

import json
import os

from pypod.base import conf, files
from pypod.base.locks import FileLock
from pypod.base.record import record
from pypod.base.text import show
from pypod.errors import ConfigError, RegistryError, reason
from pypod.oci import reference as references
from pypod.registry import places, registries_conf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.oci.reference import Reference
    from pypod.registry.registries_conf import Alias
    from pypod.registry.settings import Settings

_DEFAULT = "docker.io"  # where no file says anything


@record
class Resolution:
    """What a short name may stand for. ``said`` is a line for the user: by what it was resolved.

    ``ask``: the user is to choose, and the choice is to be remembered. ``mode``: short-name-mode.
    """

    candidates: tuple[Reference, ...]
    said: str = ""
    mode: str = ""
    ask: bool = False


def alias_file() -> str:
    """Where choices are kept: the user's, or root's."""
    if places.user_id() == 0:
        return "/var/cache/containers/short-name-aliases.conf"
    cache = os.environ.get("XDG_CACHE_HOME") or f"{places.home()}/.cache"
    return f"{cache}/containers/short-name-aliases.conf"


def resolve(name: str, settings: Settings) -> Resolution:
    """What ``name``, which has no registry, stands for: an alias, or one of the unqualified-search registries.

    Raises RegistryError: nothing; ConfigError; BadReference.
    """
    known = registries_conf.load(settings.registries_conf)
    bare, tag, digest = references.split(name)
    references.parse(name)  # a name that cannot be one is told before anything is looked up
    end = (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    alias = aliases(known).get(bare)
    if alias is not None:
        return Resolution(
            candidates=(references.parse(alias.name + end),),
            said=f'Resolved "{show(bare)}" as an alias ({alias.file})',
            mode=known.mode,
        )
    if known.unqualified is None:
        found: tuple[str, ...] = (_DEFAULT,)
        by = f"{_DEFAULT}, as no file says unqualified-search-registries"
    else:
        found = known.unqualified
        by = f"unqualified-search registries ({known.said_by})"
    if not found:
        raise RegistryError(
            f'short-name "{show(bare)}" did not resolve to an alias and no unqualified-search registries are defined '
            f'in "{known.said_by}"',
            hint=f"say which registry: docker.io/{show(bare)}",
        )
    return Resolution(
        candidates=tuple(references.parse(bare + end, registry) for registry in found),
        said=f'Resolving "{show(bare)}" using {by}',
        mode=known.mode,
        ask=known.mode != "disabled" and len(found) > 1,
    )


def here(name: str, settings: Settings) -> tuple[str, tuple[str, ...]]:
    """What ``name``, without registry, tag and digest, may be called in the store: its alias or "", and registries.

    As podman has it, short-name-mode has no part in that. Raises ConfigError.
    """
    known = registries_conf.load(settings.registries_conf)
    alias = aliases(known).get(name)
    return alias.name if alias is not None else "", known.unqualified or ()


def aliases(known: registries_conf.Registries) -> dict[str, Alias]:
    """Those of all files; the user's choices come before what is configured. Raises ConfigError."""
    path = alias_file()
    if not os.path.exists(path):
        return known.aliases
    return registries_conf.aliases(path, conf.parse(path), known.aliases)


def unqualified_registries(settings: Settings) -> list[str]:
    """Where a short name is looked for. Raises ConfigError."""
    known = registries_conf.load(settings.registries_conf).unqualified
    return [_DEFAULT] if known is None else list(known)


def remember(name: str, reference: Reference) -> None:
    """Note the user's choice: ``name`` is an alias of the reference's repository. Raises ConfigError."""
    path = alias_file()
    try:
        files.make_directory(os.path.dirname(path))
        with FileLock(f"{path}.lock"):
            document = conf.parse(path) if os.path.exists(path) else {}
            kept = {key: alias.name for key, alias in registries_conf.aliases(path, document, {}).items()}
            kept[name] = reference.name
            lines = [f"  {json.dumps(key)} = {json.dumps(value)}\n" for key, value in sorted(kept.items())]
            files.replace(path, ("[aliases]\n" + "".join(lines)).encode(), mode=0o644, durable=True)
    except OSError as error:
        raise ConfigError(f"cannot remember the short name {show(name)} in {path}: {reason(error)}") from None
