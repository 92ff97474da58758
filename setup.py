"""Only what pyproject.toml cannot say: the cffi extensions, and the monitor, greeter and pause as native programs."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

from setuptools import Command, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, ROOT)

MONITOR_SOURCES = (
    "attach backlog children exit health input journal json listen logfile loop main notify oom options pace report"
    " runtime start stdio sys terminal text"
).split()
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow"]
# A monitor stays resident for each container: --gc-sections leaves out what it never calls.
FLAGS = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-fstack-protector-strong", "-ffunction-sections", "-Wl,--gc-sections"]

# Hardening, each taken if the compiler makes a program that runs with it (-U: some compilers define it themselves).
HARDENING = [
    ["-fstack-clash-protection"],
    ["-mbranch-protection=standard" if platform.machine() == "aarch64" else "-fcf-protection"],
    ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
    ["-Wl,-z,relro,-z,now"],
    ["-Wl,-z,noexecstack"],
]

MONITOR = "conmon/bin/conmon"
HELLO = "pypod/data/hello"
PAUSE = "pypod/data/pause"
# What is built → its sources. Paths are relative to the package tree.
PROGRAMS = {
    MONITOR: [f"conmon/csrc/{name}.c" for name in MONITOR_SOURCES],
    HELLO: ["pypod/data/hello.c"],
    PAUSE: ["pypod/data/pause.c"],
}
# Alone in their root file systems, so always static; without them pypod still works, but for what they are for.
LONELY = {HELLO: "its image 'hello'", PAUSE: "pods with an infra container"}


# A program that no interpreter (ld.so) was needed for says so.
PROBE = """
#include <stdio.h>
#include <sys/auxv.h>
int main(void) { return puts("") < 0 || (STATIC && getauxval(AT_BASE)); }
"""


def links(command: list[str], *, static: bool = False) -> bool:
    """Whether a compiler command makes a program that runs; ``static``: and that is static."""
    with tempfile.TemporaryDirectory() as place:
        source, program = os.path.join(place, "try.c"), os.path.join(place, "try")
        with open(source, "w") as file:
            file.write(PROBE)
        try:
            subprocess.run(
                [*command, "-Os", "-Werror", f"-DSTATIC={static:d}", source, "-o", program],
                check=True,
                capture_output=True,
            )
            return subprocess.run([program], capture_output=True).returncode == 0
        except (OSError, subprocess.CalledProcessError):
            return False


def musl_pie(command: list[str]) -> list[str]:
    """Flags for a static, position-independent program with a musl-gcc; [] if its start files are not found.

    Debian's musl-gcc takes -static-pie and makes a dynamic program: its specs name the wrong start file.
    """
    try:
        done = subprocess.run([*command, "-###", "-x", "c", os.devnull], capture_output=True, text=True)
    except OSError:
        return []
    found = re.search(r"(/\S*)/S?crt1\.o", done.stderr)
    files = [os.path.join(found[1], name) for name in ("rcrt1.o", "crti.o", "crtn.o")] if found else []
    if not files or not all(map(os.path.exists, files)):
        return []
    return ["-static", "-fPIE", "-nostartfiles", "-Wl,-pie,--no-dynamic-linker,-z,text", *files]


def hardened(command: list[str], *, static: bool) -> list[str]:
    """The command with as much of HARDENING as the compiler and the linker know."""
    whole = [*command, *(flag for flags in HARDENING for flag in flags)]
    if links(whole, static=static):
        return whole
    for flags in HARDENING:
        if links([*command, *flags], static=static):
            command = [*command, *flags]
    return command


def toolchain(name: str) -> list[str]:
    """The compiler for a program and how it links. PYPOD_MONITOR_LINK: static, dynamic or auto; CC: the compiler.

    Static with musl is smallest (an eighth of conmon's memory), then static with glibc, then dynamic; each
    position-independent if it can be, which costs 6 KiB of private memory with musl. LONELY programs are always
    static, and need no such thing.
    """
    wish = "static" if name in LONELY else os.environ.get("PYPOD_MONITOR_LINK", "auto")
    if wish not in ("auto", "static", "dynamic"):
        raise CompileError(f"PYPOD_MONITOR_LINK is {wish!r}: it must be auto, static or dynamic")
    given = os.environ.get("CC", "").split()
    compilers = [given] if given else [["musl-gcc"], ["cc"], ["gcc"]]
    compilers = [command for command in compilers if shutil.which(command[0])]
    if wish != "dynamic":
        for command in compilers:
            ways = [["-static"]] if name in LONELY else [musl_pie(command), ["-static-pie", "-fPIE"], ["-static"]]
            for way in filter(None, ways):
                if links([*command, *way], static=True):
                    return hardened([*command, *way], static=True)
        if wish == "static":
            raise CompileError("no compiler here can link a static program: install musl-tools, or libc's .a files")
    for command in compilers:
        for way in (["-pie", "-fPIE"], []):
            if command != ["musl-gcc"] and links([*command, *way]):
                return hardened([*command, *way], static=False)
    raise CompileError("no C compiler found: install gcc and libc6-dev")


def build(name: str, target: str) -> None:
    """Build one of PROGRAMS. Raises CompileError."""
    command = [*toolchain(name), *FLAGS, *WARNINGS, *PROGRAMS[name], "-s", "-o", os.path.abspath(target) + ".new"]
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    if subprocess.run(command, cwd=ROOT).returncode:
        raise CompileError(f"cannot build {name}: {' '.join(command)}")
    os.chmod(target + ".new", 0o755)
    # Beside it and renamed: a monitor that runs keeps its file.
    os.replace(target + ".new", target)


class BuildMonitor(Command):
    """``setup.py build_monitor --output FILE``: the monitor alone, for tests and packagers."""

    description = "build the monitor alone"
    user_options = [("output=", "o", "the file to write")]

    def initialize_options(self) -> None:
        self.output = MONITOR

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        build(MONITOR, self.output)


class Build(build_ext):
    """The extensions, then the programs."""

    def _destination(self, name: str) -> str:
        return os.path.join(ROOT if self.inplace else self.build_lib, name)

    def run(self) -> None:
        super().run()
        for name, sources in PROGRAMS.items():
            target = self._destination(name)
            depends = [os.path.join(ROOT, source) for source in sources]
            directory = os.path.dirname(depends[0])
            depends += [os.path.join(directory, file) for file in os.listdir(directory) if file.endswith(".h")]
            if not self.force and os.path.exists(target):
                built = os.path.getmtime(target)
                if all(os.path.getmtime(file) <= built for file in [*depends, __file__]):
                    continue
            try:
                build(name, target)
            except CompileError as error:
                if name not in LONELY:
                    raise
                print(f"warning: {error}\nwarning: pypod will lack {LONELY[name]}", file=sys.stderr)

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *(source for sources in PROGRAMS.values() for source in sources)]

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), *(os.path.join(self.build_lib, name) for name in self._built())]

    def _built(self) -> list[str]:
        return [name for name in PROGRAMS if name not in LONELY or os.path.exists(self._destination(name))]

    def get_output_mapping(self) -> dict[str, str]:
        mapping: dict[str, str] = super().get_output_mapping()
        if self.inplace:
            mapping.update({os.path.join(self.build_lib, name): os.path.join(ROOT, name) for name in self._built()})
        return mapping


setup(
    cffi_modules=["pypod/linux/_sys_build.py:ffi", "storage/_native_build.py:ffi", "conmon/_cffi_build.py:ffi"],
    cmdclass={"build_ext": Build, "build_monitor": BuildMonitor},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
