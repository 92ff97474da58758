"""Names without a registry: short-name aliases and unqualified-search registries (containers-registries.conf(5))."""

from __future__ import annotations

from pypod.base.record import record
from pypod.base.text import show
from pypod.errors import RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.oci.reference import Reference
    from pypod.registry.settings import Settings


@record
class Resolution:
    """What a short name may stand for. ``ask``: the user is to choose, and the choice is to be remembered."""

    candidates: tuple[Reference, ...]
    source: str = ""
    mode: str = ""
    ask: bool = False


def resolve(name: str, settings: Settings) -> Resolution:
    """Raises RegistryError: it stands for nothing."""
    raise RegistryError(
        f'short-name "{show(name)}" did not resolve to an alias and no unqualified-search registries are defined '
        'in "/etc/containers/registries.conf"'
    )


def remember(name: str, reference: Reference) -> None:
    """Note the user's choice as an alias."""
