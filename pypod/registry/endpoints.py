"""Where a reference is pulled from and pushed to."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.registry.client import Client, Credentials, Tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.oci.reference import Reference
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
    """The places to try, in order."""
    return [for_push(reference, settings, on_retry=on_retry)]


def for_push(reference: Reference, settings: Settings, *, on_retry: OnRetry = None) -> Endpoint:
    """The place to push to."""
    client = host_client(reference.domain, settings, on_retry=on_retry)
    return Endpoint(client=client, repository=reference.path, location=reference.name)


def host_client(host: str, settings: Settings, *, on_retry: OnRetry = None) -> Client:
    """The client of one registry."""
    credentials = None
    if settings.creds:
        username, _, password = settings.creds.partition(":")
        credentials = Credentials(username=username, password=password)
    names = sorted(os.listdir(settings.cert_dir)) if settings.cert_dir else []
    authorities = tuple(f"{settings.cert_dir}/{name}" for name in names if name.endswith(".crt"))
    return Client(
        host,
        insecure=settings.tls_verify is False,
        tls=Tls(verify=settings.tls_verify is not False, authorities=authorities),
        credentials=credentials,
        retries=settings.retries,
        retry_delay=settings.retry_delay,
        on_retry=on_retry,
    )
