"""Builds ``pypod.linux._sys`` (cffi, API mode) from csrc/sys.c."""

import os
import re

from cffi import FFI

_CSRC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "csrc")

with open(os.path.join(_CSRC, "sys.h"), encoding="utf-8") as header:
    _text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)

ffi = FFI()
ffi.cdef("\n".join(line for line in _text.splitlines() if not line.startswith("#")))
ffi.set_source(
    "pypod.linux._sys",
    '#include "sys.h"',
    sources=["pypod/linux/csrc/sys.c"],
    include_dirs=[_CSRC],
    depends=[os.path.join(_CSRC, "sys.h")],
    extra_compile_args=[
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-cast-function-type",
        "-Wno-missing-field-initializers",
        "-Wno-unused-parameter",
    ],
    py_limited_api=True,
)
