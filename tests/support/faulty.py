"""A registry of ours that holds one image, wants a password or a token, and answers wrongly where a test says so.

    with Faulty(certificates=…) as server:
        server.fault = first(2, on("layer", status(503)))

``fault(call)`` sees each request that has shown its credentials; it returns True if it has answered.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from support.odd_server import Call, Certificates, OddServer
from support.remote_images import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, digest, tar

Fault = Callable[[Call], bool]
USER, PASSWORD = "somebody", "a-secret-of-ours"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
LAYER = tar({"etc/": b"", "etc/random": random.Random(4).randbytes(3 << 20)})
SMALL = tar({"etc/": b"", "etc/small": b"small"})


class Faulty(OddServer):
    """``documents`` and ``blobs`` are what it holds; ``id`` is the image's; ``tokens`` are those that were given out.

    ``realm``: where tokens are to be had, "" for Basic.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        super().__init__(self._answer, certificates=certificates)
        self.fault: Fault | None = None
        self.realm = ""
        self.tokens: list[str] = []
        self.documents: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.layer = self.small = self.config = self.id = self.digest = ""
        self.publish()

    def publish(
        self,
        layers: Sequence[tuple[bytes, str, bytes]] = (),
        *,
        change: Callable[[dict[str, Any]], object] | None = None,
        data: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Hold an image of these layers: blob, media type, and what it should be when unpacked."""
        made = layers or [(gzip.compress(item, 1, mtime=0), OCI_LAYER_GZIP, item) for item in (LAYER, SMALL)]
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [digest(content) for _, _, content in made]},
            }
        ).encode()
        self.blobs = {digest(item): item for item in (config, *[blob for blob, _, _ in made])}
        self.config, self.layer, self.small = digest(config), digest(made[0][0]), digest(made[-1][0])
        self.id = self.config.removeprefix("sha256:")
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": self.config, "size": len(config)},
            "layers": [{"mediaType": kind, "digest": digest(blob), "size": len(blob)} for blob, kind, _ in made],
        }
        if change is not None:
            change(document)
        text = json.dumps(document).encode()
        self.documents = {}
        self.tag(text if data is None else data(text), OCI_MANIFEST)

    def tag(self, data: bytes, media_type: str) -> None:
        """Hold a manifest or an index, as a:1."""
        self.digest = digest(data)
        self.documents["1"] = self.documents[self.digest] = data, media_type

    def what(self, call: Call) -> str:
        """What a request is for: "manifest", "config", "layer", "small", or the last part of its path."""
        if "/manifests/" in call.route:
            return "manifest"
        last = call.route.rpartition("/")[2]
        return {self.config: "config", self.layer: "layer", self.small: "small"}.get(last, last)

    def data(self, call: Call) -> bytes:
        """What a request should get."""
        last = call.route.rpartition("/")[2]
        return self.documents[last][0] if "/manifests/" in call.route else self.blobs[last]

    def refuse(self, call: Call) -> None:
        """401, with what is wanted."""
        challenge = f'Bearer realm="{self.realm}",service="faulty"' if self.realm else 'Basic realm="faulty"'
        call.send(401, b"{}", {"WWW-Authenticate": challenge})

    def _answer(self, call: Call) -> None:
        if call.route == "/token":
            if call.authorization == BASIC:
                self.tokens.append(f"token-{len(self.tokens)}-of-ours")
                call.send(200, json.dumps({"token": self.tokens[-1], "expires_in": 300}).encode())
            else:
                call.send(401, b"{}")
            return
        wanted = f"Bearer {self.tokens[-1]}" if self.tokens else "" if self.realm else BASIC
        if not wanted or call.authorization != wanted:
            self.refuse(call)
        elif self.fault is None or not self.fault(call):
            self.good(call)

    def good(self, call: Call) -> None:
        """The right answer."""
        last = call.route.rpartition("/")[2]
        if call.route == "/v2/":
            call.send(200, b"{}")
        elif "/manifests/" in call.route and last in self.documents:
            data, kind = self.documents[last]
            call.send(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest(data)})
        elif "/blobs/" in call.route and last in self.blobs:
            data = self.blobs[last]
            start = begin(call)
            if start:
                where = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
                call.send(206, data[start:], where)
            else:
                call.send(200, data)
        else:
            call.send(404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "it is not here"}]}')


def begin(call: Call) -> int:
    """The first byte that a request asks for."""
    return int(str(call.headers.get("Range", "bytes=0-")).partition("=")[2].partition("-")[0])


# Faults.


def first(count: int, fault: Fault) -> Fault:
    """Only the first times that it would strike."""
    left = [count]

    def some(call: Call) -> bool:
        if left[0] <= 0:
            return False
        struck = fault(call)
        left[0] -= struck
        return struck

    return some


def send(code: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Fault:
    """One and the same answer."""

    def fault(call: Call) -> bool:
        call.send(code, body, headers)
        return True

    return fault


def raw(head: bytes, *pieces: bytes) -> Fault:
    """These bytes, and an end of the connection."""

    def fault(call: Call) -> bool:
        call.wfile.write(head)
        for piece in pieces:
            call.wfile.write(piece)
        call.cut()
        return True

    return fault


def reset(call: Call) -> bool:
    """The connection is reset before anything is said."""
    call.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.cut()
    return True


def endless(call: Call) -> bool:
    """A body that never ends."""
    call.send_response_only(200)
    call.send_header("Transfer-Encoding", "chunked")
    call.send_header("Content-Type", OCI_MANIFEST)
    call.end_headers()
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    while True:
        call.wfile.write(piece)
