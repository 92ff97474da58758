"""Builds ``conmon._conmon`` (cffi, API mode): the pure parts of the monitor, for tests in process."""

import os
import re

from cffi import FFI

_CSRC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "csrc")
PURE = ("text", "options")


def _declarations(name: str) -> str:
    """A header without comments and preprocessor, except for the numbers that it defines."""
    with open(os.path.join(_CSRC, name + ".h"), encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith("#") or re.match(r"#define \w+ \d+$", line)]
    return "\n".join(lines)


ffi = FFI()
# Of C's struct tm only what the stamp is made of.
ffi.cdef("struct tm { int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year; ...; };")
for _name in PURE:
    ffi.cdef(_declarations(_name))
ffi.set_source(
    "conmon._conmon",
    '#include "text.h"\n#include "options.h"\n',
    sources=[f"conmon/csrc/{name}.c" for name in (*PURE, "json")],
    include_dirs=[_CSRC],
    depends=[os.path.join(_CSRC, name + ".h") for name in PURE],
    define_macros=[("_GNU_SOURCE", "1")],
    extra_compile_args=["-O2", "-Wall", "-Wextra", "-Werror", "-Wno-cast-function-type", "-Wno-unused-parameter"],
    py_limited_api=True,
)
