"""Which place a registry's signatures have: containers-registries.d(5)."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.base.record import record
from pypod.errors import ConfigError, reason
from pypod.registry import plain_yaml, policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.oci.reference import Reference

SYSTEM = "/etc/containers/registries.d"
MOST = 1 << 20  # bytes of one file
_TEXTS = ("lookaside", "lookaside-staging", "sigstore", "sigstore-staging")
_ATTACHMENTS = "use-sigstore-attachments"


@record
class Section:
    """One configuration section: URLs of where signatures are read, and written if that is another place."""

    lookaside: str = ""
    staging: str = ""
    attachments: bool | None = None


@record
class Registries:
    """All sections: by their scopes, and the one for the rest."""

    default: Section
    scopes: dict[str, Section]

    def section(self, scope: str) -> Section | None:
        """The section of just this scope."""
        return self.scopes.get(scope)

    def above(self, scope: str) -> Section:
        """The section of ``scope``, else of what is above it, else the default."""
        while scope:
            if scope in self.scopes:
                return self.scopes[scope]
            scope = scope.rpartition("/")[0]
        return self.default

    def base(self, reference: Reference, *, write: bool = False) -> str:
        """The URL of a reference's signatures, "" if nothing says so. The most specific section that has one wins."""
        for scope in policy.names("docker", reference):
            section = self.scopes.get(scope)
            if section is not None and (found := _base(section, write)):
                return found
        return _base(self.default, write)

    def attachments(self, reference: Reference) -> bool:
        """Whether signatures that are attached to images are read."""
        for scope in policy.names("docker", reference):
            section = self.scopes.get(scope)
            if section is not None and section.attachments is not None:
                return section.attachments
        return bool(self.default.attachments)


def _base(section: Section, write: bool) -> str:
    return (section.staging if write else "") or section.lookaside


def place(home: str = "") -> str:
    """The directory that holds: the user's if there is one, else the system's."""
    own = f"{home or os.path.expanduser('~')}/.config/containers/registries.d"
    return own if os.path.isdir(own) else SYSTEM


def load(directory: str = "", home: str = "") -> Registries:
    """What the files of ``directory`` (by default: of its ``place``) say.

    Raises ConfigError.
    """
    directory = directory or place(home)
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    except OSError as error:
        raise ConfigError(f"cannot read configuration {directory}: {reason(error)}") from None
    default: Section | None = None
    scopes: dict[str, Section] = {}
    origin: dict[str, str] = {}
    for name in names:
        if not name.endswith(".yaml"):
            continue
        path = f"{directory}/{name}"
        document = _document(path)
        if document.get("default-docker") is not None:
            if default is not None:
                raise _error(path, f'"default-docker" is defined in {origin[""]} already')
            default, origin[""] = _section(document["default-docker"], path, "default-docker"), path
        sections = document.get("docker")
        if sections is None:
            continue
        if not isinstance(sections, dict):
            raise _error(path, '"docker" is not a mapping')
        for scope, value in sections.items():
            if scope in scopes:
                raise _error(path, f'"docker" namespace "{scope[:200]}" is defined in {origin[scope]} already')
            scopes[scope], origin[scope] = _section(value, path, scope), path
    return Registries(default=default or Section(), scopes=scopes)


def _error(path: str, why: str) -> ConfigError:
    return ConfigError(f"cannot use configuration {path}: {why}")


def _document(path: str) -> dict[str, Any]:
    try:
        data = files.read(path, MOST + 1)
        if len(data) > MOST:
            raise _error(path, f"larger than {MOST} bytes")
        return plain_yaml.loads(data.decode(), path)
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise _error(path, "not UTF-8") from None


def _section(value: Any, path: str, scope: str) -> Section:
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise _error(path, f"{scope[:200]!r} is not a mapping")
    for key in _TEXTS:
        if not isinstance(value.get(key) or "", str):
            raise _error(path, f"{key} of {scope[:200]!r} is not a URL")
    attachments = value.get(_ATTACHMENTS)
    if attachments is not None and not isinstance(attachments, bool):
        raise _error(path, f"{_ATTACHMENTS} of {scope[:200]!r} is neither true nor false")
    return Section(
        lookaside=value.get("lookaside") or value.get("sigstore") or "",
        staging=value.get("lookaside-staging") or value.get("sigstore-staging") or "",
        attachments=attachments,
    )
