"""WWW-Authenticate (RFC 9110, 11.6.1): one or several challenges, in one header or in several."""

from __future__ import annotations

import re

from pypod.base.record import record

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r'\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|\Z)")
_SEPARATORS = re.compile(r"[\s,]*")


@record
class Challenge:
    """``scheme`` and the names of ``values`` are in lower case."""

    scheme: str
    values: dict[str, str] = {}

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(self.values.get("scope", "").split())


def parse(header: str) -> list[Challenge]:
    """The challenges of a header's value (several headers: joined by commas). What cannot be read is left out."""
    found: list[Challenge] = []
    at = 0
    while True:
        separators = _SEPARATORS.match(header, at)
        at = separators.end() if separators else at
        word = _TOKEN.match(header, at)
        if word is None:
            return found
        at = word.end()
        value = _VALUE.match(header, at)
        if value is not None:
            if found:
                quoted = value[1]
                text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else value[2]
                found[-1].values.setdefault(word[0].lower(), text)
            at = value.end()
            continue
        found.append(Challenge(scheme=word[0].lower(), values={}))
        blob = _TOKEN68.match(header, at)
        if blob is not None and blob[0].strip():
            at = blob.end()
