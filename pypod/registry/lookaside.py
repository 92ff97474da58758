"""The signatures of a registry's images, which are not in the registry: containers-registries.d(5).

The files are BASE/PATH@sha256=HEX/signature-N, N from 1 on, BASE a file:, http: or https: URL.
"""

from __future__ import annotations

import os

from pypod.base import files, locks
from pypod.errors import ConfigError, RegistryError, reason
from pypod.oci import digest as digests
from pypod.registry import places, registries_d, signing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.oci.reference import Reference
    from pypod.registry.settings import Settings


def standard(home: str = "") -> str:
    """The directory that serves where nothing is configured: root's, or the user's (also in a user namespace)."""
    if places.user_id() == 0:
        return "/var/lib/containers/sigstore"
    return f"{home or os.path.expanduser('~')}/.local/share/containers/sigstore"


def directory(base: str, reference: Reference, digest: str) -> str:
    """The directory below ``base``, a path or a URL, of a manifest's signatures."""
    # A reference's path cannot climb: its components begin and end with letters or digits.
    if not digests.valid(digest):
        raise RegistryError(f"cannot find signatures of {reference}: {digest[:100]!r} is not a digest")
    return f"{base.rstrip('/')}/{reference.path}@{digest.replace(':', '=', 1)}"


def _place(reference: Reference, *, write: bool) -> tuple[str, str]:
    """The scheme and the base of a reference's signatures: ("file", path) or ("https", URL).

    Raises ConfigError.
    """
    base = registries_d.load().base(reference, write=write)
    if not base:
        return "file", standard()
    from urllib.parse import unquote, urlsplit

    try:
        url = urlsplit(base)
    except ValueError:
        raise ConfigError(f"Invalid signature storage URL {base[:200]!r}") from None
    if url.scheme == "file" and not url.netloc and url.path:
        return "file", unquote(url.path)
    if url.scheme in ("http", "https") and url.hostname:
        return url.scheme, base
    raise ConfigError(
        f"Invalid signature storage URL {base[:200]!r}", hint="it begins with file:///, https:// or http://"
    )


def read(reference: Reference, digest: str, settings: Settings) -> list[bytes]:
    """The signatures of the manifest ``digest`` of ``reference``'s repository.

    Raises RegistryError, ConfigError, PolicyError (what is there is no signature).
    """
    scheme, base = _place(reference, write=False)
    place = directory(base, reference, digest)
    if scheme == "file":
        return read_directory(place)
    from pypod.registry import plain_http

    with plain_http.Session(verify=settings.tls_verify is not False) as session:
        return _each(place, session.fetch)


def read_directory(place: str) -> list[bytes]:
    """The files signature-1, -2 … of a directory, as a lookaside and the "dir" transport have them.

    Raises RegistryError, PolicyError (one of them is no signature).
    """
    return _each(place, _file)


def _file(path: str, limit: int) -> bytes | None:
    try:
        return files.read(path, limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RegistryError(f"cannot read signature {path}: {reason(error)}") from None


def _each(place: str, fetch: Callable[[str, int], bytes | None]) -> list[bytes]:
    found: list[bytes] = []
    while True:
        path = f"{place}/signature-{len(found) + 1}"
        data = fetch(path, signing.MOST + 1)
        if data is None:
            return found
        if len(data) > signing.MOST:
            raise RegistryError(f"cannot use signature {path}: it is larger than {signing.MOST} bytes")
        signing.check_format(data, path)
        found.append(data)
        if len(found) > signing.MOST_SIGNATURES:
            raise RegistryError(f"cannot use signatures of {place}: more than {signing.MOST_SIGNATURES}")


def write(reference: Reference, digest: str, signatures: Sequence[bytes]) -> None:
    """Add those of ``signatures`` that the manifest has not.

    Raises RegistryError, ConfigError.
    """
    if not signatures:
        return
    _check_kinds(signatures)
    write_directory(_writable(reference, digest), signatures)


def check_writable(reference: Reference, signatures: Sequence[bytes] = ()) -> None:
    """Whether ``signatures`` and others can be written for ``reference``, asked before anything is uploaded.

    Raises ConfigError, RegistryError.
    """
    _check_kinds(signatures)
    _writable(reference, digests.of(b""))


def _check_kinds(signatures: Sequence[bytes]) -> None:
    if any(item.startswith(b"\0") for item in signatures):
        raise RegistryError(
            "cannot push the image with its signatures: sigstore signatures are not written to registries",
            hint="leave them behind with --remove-signatures",
        )


def _writable(reference: Reference, digest: str) -> str:
    scheme, base = _place(reference, write=True)
    if scheme != "file":
        raise ConfigError(
            f"Writing directly to a {scheme} lookaside {base} is not supported",
            hint="configure a lookaside-staging: location in containers-registries.d(5)",
        )
    return directory(base, reference, digest)


def write_directory(place: str, signatures: Sequence[bytes]) -> None:
    """Add ``signatures`` to a directory; those that are there stay as they are. Raises RegistryError."""
    try:
        files.make_directory(place, 0o755)
        with locks.DirectoryLock(place):
            there = read_directory(place)
            for signature in signatures:
                if signature in there:
                    continue
                if len(there) == signing.MOST_SIGNATURES:
                    raise RegistryError(f"cannot write signatures to {place}: there are {len(there)} already")
                there.append(signature)
                files.replace(f"{place}/signature-{len(there)}", signature, mode=0o644, durable=True)
    except OSError as error:
        raise RegistryError(f"cannot write signatures to {place}: {reason(error)}") from None
