"""How one registry is reached: TLS and credentials, as values."""

from __future__ import annotations

from pypod.base.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


def _unseen(cls: type[T]) -> type[T]:
    """A record that never shows its fields, not even in a traceback."""
    cls.__repr__ = lambda self: f"{cls.__name__}(…)"  # type: ignore[method-assign]
    return cls


@record
class Tls:
    """``authorities``: PEM files besides the system's; ``certificate`` and ``key``: the client's PEM files."""

    verify: bool = True
    authorities: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""


VERIFIED = Tls()


@_unseen
@record
class Credentials:
    """What a registry is shown; the tokens as in containers-auth.json(5) and docker's credential helpers."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""


@record
class Answer:
    """A manifest. ``digest`` is that of ``data``, verified if it was asked for; ``media_type`` has no parameters."""

    data: bytes
    media_type: str
    digest: str
