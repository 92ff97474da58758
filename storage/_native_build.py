"""Builds ``storage._native`` (cffi, API mode) from csrc/native.c."""

import os
import re

from cffi import FFI

_CSRC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "csrc")

with open(os.path.join(_CSRC, "native.h"), encoding="utf-8") as header:
    _text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)

ffi = FFI()
ffi.cdef("\n".join(line for line in _text.splitlines() if not line.startswith("#")))
ffi.set_source(
    "storage._native",
    '#include "native.h"',
    sources=["storage/csrc/native.c"],
    include_dirs=[_CSRC],
    depends=[os.path.join(_CSRC, "native.h")],
    extra_compile_args=["-O2", "-Wall", "-Wextra", "-Werror", "-Wno-cast-function-type", "-Wno-unused-parameter"],
    py_limited_api=True,
)
