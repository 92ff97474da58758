"""An authority, and certificates from it for localhost, by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from support import box


class Certificates(NamedTuple):
    """PEM files: the authority's certificate, and a server's (or client's) own."""

    authority: Path
    certificate: Path
    key: Path


def make(directory: Path) -> Certificates:
    """A new authority and a certificate for localhost, 127.0.0.1 and ::1."""
    authority, certificate, key = (directory / name for name in ("ca.crt", "server.crt", "server.key"))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca_key, request, extensions = directory / "ca.key", directory / "request", directory / "extensions"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n")
    _openssl(
        "req", "-x509", *curve, "-keyout", ca_key, "-out", authority, "-days", "30", "-subj", "/CN=tests' authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    _openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    _openssl(
        "x509", "-req", "-in", request, "-CA", authority, "-CAkey", ca_key, "-CAcreateserial", "-days", "30",
        "-extfile", extensions, "-out", certificate,
    )  # fmt: skip
    return Certificates(authority, certificate, key)


def _openssl(*words: object) -> None:
    program = box.need("openssl")
    subprocess.run([program, *map(str, words)], check=True, capture_output=True)
