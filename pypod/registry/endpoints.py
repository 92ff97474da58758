"""Where a reference is pulled from and pushed to: registries.conf, credentials and TLS files put together."""

from __future__ import annotations

from pypod.base.record import record, replace
from pypod.base.text import show
from pypod.errors import ConfigError, RegistryError
from pypod.oci import reference as references
from pypod.registry import authfile, certs, registries_conf
from pypod.registry.client import Client, Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.oci.reference import Reference
    from pypod.registry.registries_conf import Place, Registry
    from pypod.registry.settings import Settings

    OnRetry = Callable[[str], None] | None


@record
class Endpoint:
    """One place of an image. ``repository``: as the registry there calls it; ``location``: for messages."""

    client: Client
    repository: str
    location: str
    mirror: bool = False


def for_pull(reference: Reference, settings: Settings, *, on_retry: OnRetry = None) -> list[Endpoint]:
    """The places to try, in order: mirrors, then the registry itself. Of a blocked one there are only the mirrors.

    Raises RegistryError if registries.conf leaves none, ConfigError.
    """
    known = registries_conf.load(settings.registries_conf)
    table = known.find(reference)
    result = []
    if table is not None:
        kind = "digest-only" if reference.digest else "tag-only"
        for mirror in table.mirrors:
            name = _rewritten(table, mirror.location, reference)
            barred = known.find_name(name)
            if mirror.when in ("all", kind) and (barred is None or not barred.blocked):
                own = _for_host(name, reference, settings)
                result.append(_endpoint(name, mirror, own, known.helpers, on_retry, mirror=True))
    # OpenShift's NeverContactSource is a blocked registry with mirrors.
    if table is None or not table.blocked or not result:
        result.append(_primary(known, reference, settings, on_retry))
    return result


def for_push(reference: Reference, settings: Settings, *, on_retry: OnRetry = None) -> Endpoint:
    """The place to push to: mirrors get nothing. Raises RegistryError, ConfigError."""
    return _primary(registries_conf.load(settings.registries_conf), reference, settings, on_retry)


def host_client(host: str, settings: Settings, *, on_retry: OnRetry = None) -> Client:
    """The client of a registry, for what is about no image: login, search. Raises RegistryError, ConfigError."""
    known = registries_conf.load(settings.registries_conf)
    found = _allowed(known.find_name(host))
    insecure = found is not None and found.place.insecure
    return _client(host, host, insecure, settings, known.helpers, on_retry)


def _allowed(table: Registry | None) -> Registry | None:
    if table is not None and table.blocked:
        raise RegistryError(f"registry {table.prefix} is blocked in registries.conf or registries.conf.d")
    return table


def _rewritten(table: Registry, location: str, reference: Reference) -> str:
    """The name (HOST/PATH) that an image has at a location."""
    name = str(reference)
    rest = name[registries_conf.matches(table.prefix, name) :]
    whole = location + rest if location else name
    try:
        if not references.has_registry(whole):
            raise references.BadReference("it does not begin with a registry")
        return references.parse(whole).name
    except references.BadReference as error:
        raise ConfigError(
            f"cannot use registries.conf: with location {location!r} {show(name)} is {show(whole)!r}: {error.message}"
        ) from None


def _primary(
    known: registries_conf.Registries, reference: Reference, settings: Settings, on_retry: OnRetry
) -> Endpoint:
    table = _allowed(known.find(reference))
    if table is None:
        return _endpoint(reference.name, None, settings, known.helpers, on_retry)
    name = _rewritten(table, table.place.location, reference)
    _allowed(known.find_name(name))
    return _endpoint(name, table.place, _for_host(name, reference, settings), known.helpers, on_retry)


def _for_host(name: str, reference: Reference, settings: Settings) -> Settings:
    """--creds are for the registry that the user named: what registries.conf puts in its place does not see them."""
    return settings if name.partition("/")[0] == reference.domain else replace(settings, creds="")


def _endpoint(
    name: str,
    place: Place | None,
    settings: Settings,
    configured: Sequence[str],
    on_retry: OnRetry,
    *,
    mirror: bool = False,
) -> Endpoint:
    host, _, repository = name.partition("/")
    insecure = place is not None and place.insecure
    client = _client(host, name, insecure, settings, configured, on_retry)
    return Endpoint(client=client, repository=repository, location=name, mirror=mirror)


def _client(
    host: str, name: str, insecure: bool, settings: Settings, configured: Sequence[str], on_retry: OnRetry
) -> Client:
    if settings.tls_verify is not None:
        insecure = not settings.tls_verify
    return Client(
        host,
        insecure=insecure,
        tls=certs.tls(host, settings.cert_dir, verify=not insecure),
        credentials=_credentials(name, settings, configured),
        retries=settings.retries,
        retry_delay=settings.retry_delay,
        on_retry=on_retry,
    )


def _credentials(name: str, settings: Settings, configured: Sequence[str]) -> Credentials | None:
    if settings.creds:
        username, _, password = settings.creds.partition(":")
        return Credentials(username=username, password=password)
    return authfile.find(name, settings.authfile, configured)
