"""From the exceptions of sockets, TLS, http.client, urllib3 and requests to one line of ours."""

from __future__ import annotations

import http.client
import socket
import ssl

from requests.exceptions import InvalidSchema, ProxyError, RequestException

from pypod.errors import ConnectionCut, RegistryError

_PLAIN = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"))
_REFUSED = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "ACCESS_DENIED")


class NotTls(RegistryError):
    """The server does not speak TLS."""


class CutBeforeAnswer(ConnectionCut):
    """The connection ended without a byte: with one that was kept alive, that says little of the server."""


def explain(error: BaseException, host: str) -> RegistryError:
    """ConnectionCut (or a kind of it) where another try may help, else RegistryError. ``host`` is "name[:port]"."""
    if isinstance(error, RegistryError):
        return error
    through = f"{host} (through a proxy)" if isinstance(error, ProxyError) else host
    root = _root(error)
    if isinstance(root, ssl.SSLCertVerificationError):
        return RegistryError(
            f"cannot trust the certificate of {through}: {root.verify_message or 'verification failed'}",
            hint=f"its authority belongs into /etc/containers/certs.d/{host}/ca.crt (or --cert-dir); "
            "--tls-verify=false goes without",
        )
    if isinstance(root, ssl.SSLError):
        cause = root.reason or ""
        if cause in _PLAIN:
            return NotTls(f"{through} does not speak TLS", hint="--tls-verify=false allows plain HTTP")
        if any(word in cause for word in _REFUSED):
            return RegistryError(
                f"{through} does not accept our TLS certificate",
                hint=f"a client certificate belongs into /etc/containers/certs.d/{host}/ (or --cert-dir)",
            )
        return ConnectionCut(f"TLS with {through} failed: {cause.lower().replace('_', ' ') or 'connection cut'}")
    if isinstance(root, socket.gaierror):
        kind = ConnectionCut if root.errno == socket.EAI_AGAIN else RegistryError
        return kind(f"cannot find {through}: {root.strerror}")
    if isinstance(root, TimeoutError):
        return ConnectionCut(f"{through} does not answer: {root.strerror or root}")
    if isinstance(root, http.client.RemoteDisconnected):
        return CutBeforeAnswer(f"{through} closed the connection without an answer")
    if isinstance(root, (ConnectionResetError, BrokenPipeError)):
        return CutBeforeAnswer(f"{through} closed the connection: {root.strerror}")
    if isinstance(root, http.client.IncompleteRead):
        return ConnectionCut(f"{through} closed the connection before the end")
    if isinstance(root, http.client.HTTPException):
        return ConnectionCut(f"{through} does not speak HTTP as it should")
    if isinstance(root, InvalidSchema):  # a SOCKS proxy without PySocks
        return RegistryError(f"cannot ask {through}: {str(root)[:200]}")
    if isinstance(root, RequestException):
        return RegistryError(f"cannot ask {through}: {type(root).__name__}")
    if isinstance(root, OSError):
        return ConnectionCut(f"cannot reach {through}: {root.strerror or str(root)[:200] or type(root).__name__}")
    return ConnectionCut(f"{through} does not speak HTTP as it should")


def _root(error: BaseException) -> BaseException:
    """The exception that the wrappers are about."""
    for _ in range(10):
        if isinstance(error, (OSError, http.client.HTTPException)) and not isinstance(error, RequestException):
            return error
        within = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        deeper = next((item for item in within if isinstance(item, BaseException)), None)
        if deeper is None:
            return error
        error = deeper
    return error
