"""Foreign text in messages: names and answers come from archives and servers."""

from __future__ import annotations


def show(text: str | bytes, most: int = 200) -> str:
    """At most ``most`` characters on one line, each printable."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:most])
