"""What a registry's answer means: errors as one line, documents, Retry-After (distribution-spec, "Error Codes")."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from pypod.base import fastjson
from pypod.errors import ConnectionCut, NotThere, RegistryError, Unauthorized
from pypod.registry.http import TooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.registry.http import Reply

MOST_ERROR = 1 << 16  # bytes of an error document
MOST_WAIT = 60.0  # seconds, whatever Retry-After says
LATER = frozenset((408, 425, 429, 500, 502, 503, 504))  # another try may help

_REASONS = {
    401: "unauthorized: authentication required",
    403: "denied: requested access to the resource is denied",
    404: "not found",
    405: "unsupported: the operation is unsupported",
    408: "the registry was tired of waiting",
    413: "the registry does not take so much",
    429: "toomanyrequests: too many requests",
    500: "internal error of the registry",
    502: "bad gateway",
    503: "the registry is unavailable",
    504: "the registry's gateway had no answer",
}


class Later(ConnectionCut):
    """The registry asks for patience: ``after`` seconds, -1 where it does not say."""

    after = -1.0


def shown(text: object, most: int = 200) -> str:
    """Text of a server: printable, on one line, and short."""
    line = " ".join(str(text)[: most * 2].split())
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
    return line if len(line) <= most else line[: most - 1] + "…"


def size(count: int) -> str:
    """Bytes for an error message: "4 MiB"."""
    return f"{count >> 20} MiB" if count >= 1 << 20 and not count % (1 << 20) else f"{count} bytes"


def failure(reply: Reply, what: str, *, host: str = "") -> RegistryError:
    """The error for a reply with a bad status, whose body is read for it.

    ``what`` is what was done ("reading manifest 1 in …"); ``host`` is for the hint to log in.
    """
    status = reply.status
    text = _errors(reply) or _REASONS.get(status) or f"the registry answers {status}"
    message = f"{what}: {text}"
    if status in (401, 403):
        return Unauthorized(message, hint=f"pypod login {host}" if host and status == 401 else "")
    if status == 404:
        return NotThere(message)
    if status in LATER:
        later = Later(message)
        later.after = retry_after(reply.headers)
        return later
    return RegistryError(message)


def number(text: str) -> int:
    """A header's number of bytes or seconds; -1 for what is none, or is beyond reason."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that Retry-After asks for (a number or a date), at most MOST_WAIT; -1 without it."""
    text = headers.get("Retry-After", "").strip()[:64]
    if not text:
        return -1
    try:
        seconds = float(number(text))
        if seconds < 0:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return -1
    return min(max(seconds, 0.0), MOST_WAIT)


def document(reply: Reply, what: str, limit: int = 8 << 20) -> dict[str, Any]:
    """The JSON object in a reply."""
    plain(reply, what)
    try:
        found = fastjson.loads(reply.read_all(limit))
    except TooLong:
        raise RegistryError(f"{what}: the answer is longer than {size(limit)}") from None
    except fastjson.BadJson as error:
        raise RegistryError(f"{what}: the answer is not JSON: {shown(error)}") from None
    if not isinstance(found, dict):
        raise RegistryError(f"{what}: the answer is not a JSON object")
    return found


def plain(reply: Reply, what: str) -> None:
    """Refuse a Content-Encoding: none was asked for, and a digest is that of the bytes as they are."""
    encoding = reply.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        reply.close()
        raise RegistryError(f"{what}: the answer comes with Content-Encoding {shown(encoding, 40)}")


def _errors(reply: Reply) -> str:
    """``{"errors": [{code, message, detail}]}`` as one line: "manifest unknown", "denied: not yours"."""
    try:
        found = fastjson.loads(reply.read_all(MOST_ERROR))
    except (RegistryError, fastjson.BadJson):
        return ""
    if not isinstance(found, dict):
        return ""
    errors = found.get("errors")
    if not isinstance(errors, list):  # token servers of OAuth2 (RFC 6749, 5.2), and others
        text = found.get("error_description") or found.get("details") or found.get("message") or found.get("error")
        return shown(text) if isinstance(text, str) else ""
    lines = [_error(item) for item in errors[:3] if isinstance(item, dict)]
    return "; ".join(dict.fromkeys(line for line in lines if line))


def _error(item: dict[str, Any]) -> str:
    code, message, detail = item.get("code"), item.get("message"), item.get("detail")
    label = shown(code.lower().replace("_", " "), 60) if isinstance(code, str) else ""
    text = message if isinstance(message, str) and message else detail if isinstance(detail, str) else ""
    text = shown(text)
    if not label or text.lower().startswith(label):
        return text
    return f"{label}: {text}" if text else label
