"""SHA-256 whose state can be kept on disk: libcrypto's, which hashlib uses too but does not let go of."""

from __future__ import annotations

import ctypes
import sys

from storage import libraries

_CONTEXT = 112  # bytes of SHA256_CTX (openssl/sha.h): plain numbers, no pointers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _declare(library: Any) -> None:
    library.SHA256_Init.argtypes = [ctypes.c_void_p]
    library.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]


def _load() -> Any:
    return libraries.load("libcrypto.so.3", _declare)


def available() -> bool:
    """Whether this machine's libcrypto can do it."""
    return _load() is not None


class Sha256:
    """As hashlib's, and ``state`` gives what ``Sha256(state)`` goes on from, in another process too.

    Raises ValueError for a state that cannot be one.
    """

    def __init__(self, state: bytes = b"") -> None:
        self._library = _load()
        # Behind the context there is room for a version of it that is larger.
        self._context = ctypes.create_string_buffer(4 * _CONTEXT)
        self._library.SHA256_Init(self._context)
        if state:
            # num (bytes that wait for their block) is an index, and md_len the length of the result.
            num, length = (int.from_bytes(state[at : at + 4], sys.byteorder) for at in (104, 108))
            if len(state) != _CONTEXT or num > 63 or length != 32:
                raise ValueError("not the state of a SHA-256 sum")
            ctypes.memmove(self._context, state, _CONTEXT)

    def update(self, data: bytes) -> None:
        self._library.SHA256_Update(self._context, data, len(data))

    def state(self) -> bytes:
        return self._context.raw[:_CONTEXT]

    def hexdigest(self) -> str:
        copy = ctypes.create_string_buffer(self._context.raw, 4 * _CONTEXT)
        result = ctypes.create_string_buffer(32)
        self._library.SHA256_Final(result, copy)
        return result.raw.hex()
