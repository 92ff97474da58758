"""How the monitor is linked: hardened, and it runs without musl too."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import conmon
from support.box import missing
from support.monitor_box import Box

ROOT = Path(__file__).resolve().parents[3]
DYN = 3  # position-independent
INTERP, GNU_STACK, GNU_RELRO, EXECUTABLE = 3, 0x6474E551, 0x6474E552, 1


def headers(program: Path) -> tuple[int, dict[int, int]]:
    """The ELF type (2 EXEC, 3 DYN), and the type and flags of each program header (elf(5), 64 bit)."""
    data = program.read_bytes()
    kind, place, size, count = (
        struct.unpack_from("<H", data, 16)[0],
        struct.unpack_from("<Q", data, 32)[0],
        *struct.unpack_from("<HH", data, 54),
    )
    found = [struct.unpack_from("<II", data, place + number * size) for number in range(count)]
    return kind, dict(found)


def hardened(program: Path, *, static: bool) -> bool:
    kind, found = headers(program)
    assert (INTERP in found) != static
    return kind == DYN and GNU_RELRO in found and not found[GNU_STACK] & EXECUTABLE


def test_the_one_in_use_is_hardened() -> None:
    program = Path(conmon.MONITOR)
    assert hardened(program, static=INTERP not in headers(program)[1])


def test_it_can_be_linked_dynamically(box: Box) -> None:
    """Where neither musl-gcc nor libc's archive is installed."""
    if not shutil.which("cc"):
        missing("there is no C compiler")
    program = box.place / "conmon"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_monitor", "--output", program],
        cwd=ROOT,
        env={**os.environ, "PYPOD_MONITOR_LINK": "dynamic", "CC": "cc"},
        check=True,
    )
    assert hardened(program, static=False)
    box.start("echo x; exit 3", monitor=str(program))
    assert box.exit_code() == 3
    assert box.entries() == [("stdout", "F", b"x")]
    box.gone()
