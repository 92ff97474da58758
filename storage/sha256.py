"""SHA-256 whose state can be kept on disk: libcrypto's, which hashlib uses too but does not let go of."""

from __future__ import annotations

import ctypes
import sys

_CONTEXT = 112  # bytes of SHA256_CTX (openssl/sha.h): plain numbers, no pointers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_library: Any = None


def _load() -> Any:
    """libcrypto, None where it is not to be had or lacks the functions."""
    global _library
    if _library is None:
        try:
            found = ctypes.CDLL("libcrypto.so.3")
            found.SHA256_Init.argtypes = [ctypes.c_void_p]
            found.SHA256_Update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
            found.SHA256_Final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            _library = found
        except (OSError, AttributeError):
            _library = False
    return _library or None


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
