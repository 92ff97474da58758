"""Builds ``storage._native`` (cffi, API mode) from csrc: every .c file, and what every .h file declares.

A header's declarations must be plain ones: cffi reads them without a preprocessor, lines that begin with # left out.
``internal`` in a header's name keeps it from Python.
"""

import glob
import os
import re

from cffi import FFI

_CSRC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "csrc")
_HEADERS = sorted(path for path in glob.glob(os.path.join(_CSRC, "*.h")) if "internal" not in os.path.basename(path))


def _declarations(path: str) -> str:
    with open(path, encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


ffi = FFI()
for _path in _HEADERS:
    ffi.cdef(_declarations(_path))
ffi.set_source(
    "storage._native",
    "".join(f'#include "{os.path.basename(path)}"\n' for path in _HEADERS),
    sources=sorted(f"storage/csrc/{name}" for name in os.listdir(_CSRC) if name.endswith(".c")),
    include_dirs=[_CSRC],
    depends=sorted(glob.glob(os.path.join(_CSRC, "*.h"))),
    extra_compile_args=["-O2", "-Wall", "-Wextra", "-Werror", "-Wno-cast-function-type", "-Wno-unused-parameter"],
    py_limited_api=True,
)
