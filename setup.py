"""Only what pyproject.toml cannot say: the cffi extensions, and the monitor and the greeter as native programs."""

import os
import shutil
import subprocess
import sys
import tempfile

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, ROOT)

MONITOR_SOURCES = (
    "attach children exit health journal logfile loop main notify oom options report runtime start stdio sys terminal"
    " text"
).split()
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wshadow"]
# A monitor stays resident for each container, so it is built for size; --gc-sections leaves out what it never calls.
FLAGS = ["-Os", "-std=gnu11", "-D_GNU_SOURCE", "-fstack-protector-strong", "-ffunction-sections", "-Wl,--gc-sections"]

MONITOR = "conmon/bin/conmon"
HELLO = "pypod/data/hello"
# What is built → its sources. Paths are relative to the package tree.
PROGRAMS = {
    MONITOR: [f"conmon/csrc/{name}.c" for name in MONITOR_SOURCES],
    HELLO: ["pypod/data/hello.c"],
}


def links(command: list[str]) -> bool:
    """Whether a compiler command makes a program that runs."""
    with tempfile.TemporaryDirectory() as place:
        source, program = os.path.join(place, "try.c"), os.path.join(place, "try")
        with open(source, "w") as file:
            file.write('#include <stdio.h>\nint main(void) { return puts("") < 0; }\n')
        try:
            subprocess.run([*command, source, "-o", program], check=True, capture_output=True)
            return subprocess.run([program], capture_output=True).returncode == 0
        except (OSError, subprocess.CalledProcessError):
            return False


def toolchain(name: str) -> list[str]:
    """The compiler for a program and how it links. PYPOD_MONITOR_LINK: static, dynamic or auto; CC: the compiler.

    Static with musl is smallest (an eighth of conmon's memory), then static with glibc, then dynamic. The greeter is
    alone in its image: it is always static.
    """
    wish = "static" if name == HELLO else os.environ.get("PYPOD_MONITOR_LINK", "auto")
    if wish not in ("auto", "static", "dynamic"):
        raise CompileError(f"PYPOD_MONITOR_LINK is {wish!r}: it must be auto, static or dynamic")
    given = os.environ.get("CC", "").split()
    compilers = [given] if given else [["musl-gcc"], ["cc"], ["gcc"]]
    compilers = [command for command in compilers if shutil.which(command[0])]
    if wish != "dynamic":
        for command in compilers:
            if links([*command, "-static"]):
                return [*command, "-static"]
        if wish == "static":
            raise CompileError("no compiler here can link a static program: install musl-tools, or libc's .a files")
    for command in compilers:
        if command != ["musl-gcc"] and links(command):
            return command
    raise CompileError("no C compiler found: install gcc and libc6-dev")


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
                compiler = toolchain(name)
            except CompileError as error:
                if name != HELLO:
                    raise
                print(f"warning: {error}\nwarning: pypod will lack its image 'hello'", file=sys.stderr)
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            # Beside it and renamed: a monitor that runs keeps its file.
            temporary = os.path.abspath(target) + ".new"
            command = [*compiler, *FLAGS, *WARNINGS, *sources, "-s", "-o", temporary]
            if subprocess.run(command, cwd=ROOT).returncode:
                raise CompileError(f"cannot build {name}: {' '.join(command)}")
            os.chmod(temporary, 0o755)
            os.replace(temporary, target)

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *(source for sources in PROGRAMS.values() for source in sources)]

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), *(os.path.join(self.build_lib, name) for name in self._built())]

    def _built(self) -> list[str]:
        return [name for name in PROGRAMS if name != HELLO or os.path.exists(self._destination(name))]

    def get_output_mapping(self) -> dict[str, str]:
        mapping: dict[str, str] = super().get_output_mapping()
        if self.inplace:
            mapping.update({os.path.join(self.build_lib, name): os.path.join(ROOT, name) for name in self._built()})
        return mapping


setup(
    cffi_modules=["pypod/linux/_sys_build.py:ffi", "storage/_native_build.py:ffi", "conmon/_cffi_build.py:ffi"],
    cmdclass={"build_ext": Build},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
