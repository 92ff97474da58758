"""``login`` and ``logout``: credentials that a registry has accepted, kept in auth.json (podman-login(1))."""

from __future__ import annotations

from pypod.base.record import record, replace
from pypod.base.text import show
from pypod.errors import NotFound, PypodError, Unauthorized, UsageError
from pypod.registry import authfile, endpoints, registries_conf
from pypod.registry.access import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.registry.settings import Settings


@record
class Target:
    """``key``: what the file has it under; ``host``: the registry that is asked."""

    key: str
    host: str


def target(typed: str, settings: Settings) -> tuple[Target, str]:
    """What the user means by REGISTRY, "" for none, and a line to say of it. Raises UsageError, ConfigError."""
    said = ""
    if not typed:
        known = registries_conf.load(settings.registries_conf)
        if not known.unqualified:
            raise UsageError("no registries found in registries.conf, a registry must be provided", code=125)
        typed = known.unqualified[0]
        said = f"registry not specified, default to the first registry {typed!r} from registries.conf"
    if typed.startswith(("http://", "https://")):
        typed = authfile.host_of(typed)
    key = typed.strip("/")
    host = authfile.host_of(key)
    if not host or any(not char.isprintable() or char.isspace() for char in key):
        raise UsageError(f'"{show(typed)}" is not the name of a registry', code=125)
    return Target(key=host if key == host or "/" not in key else key, host=host), said


def known(place: Target, settings: Settings) -> Credentials | None:
    """The credentials that are there for it already. Raises ConfigError."""
    helpers = registries_conf.load(settings.registries_conf).helpers
    return authfile.find(place.key, settings.authfile, helpers)


def valid(place: Target, credentials: Credentials, settings: Settings) -> bool:
    """Whether the registry accepts them. Raises RegistryError, ConfigError."""
    with_them = replace(settings, creds=f"{credentials.username}:{credentials.password}")
    if credentials.identity_token or credentials.registry_token:
        with_them = settings  # a token is in the file, where the client finds it
    client = endpoints.host_client(place.host, with_them)
    try:
        client.ping()
    except Unauthorized:
        return False
    finally:
        client.close()
    return True


def login(place: Target, credentials: Credentials, settings: Settings, *, compatible: str = "") -> str:
    """Keep credentials that the registry accepts; where. ``compatible``: in this file, as Docker has it.

    Raises Unauthorized, RegistryError, ConfigError.
    """
    if not valid(place, credentials, settings):
        raise Unauthorized(f'logging into "{place.key}": invalid username/password')
    key = place.key
    if compatible and key == "docker.io":
        key = "https://index.docker.io/v1/"
    return authfile.store(key, credentials, compatible or settings.authfile or authfile.primary())


def logout(place: Target, settings: Settings, *, compatible: str = "") -> str:
    """Forget them; the line to say. Raises NotFound, ConfigError."""
    path = compatible or settings.authfile or authfile.primary()
    if authfile.erase(place.key, path):
        return f"Removed login credentials for {place.key}"
    if known(place, settings) is not None:
        raise NotFound(
            f"not logged into {place.key} with pypod: its credentials are in a file of another program",
            hint=f"use --authfile with one of {', '.join(file.path for file in authfile.sources()[1:])}",
        )
    raise NotFound(f"not logged into {place.key}")


def logout_all(settings: Settings, *, compatible: str = "") -> None:
    """Forget all credentials of the file. Raises ConfigError."""
    authfile.erase_all(compatible or settings.authfile or authfile.primary())


def check_username(name: str) -> None:
    """Raises PypodError for one that cannot be sent (RFC 7617: a colon ends it)."""
    if ":" in name:
        raise PypodError("a username cannot have a colon")
