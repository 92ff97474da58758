"""``make fuzz [SECONDS=60] [FUZZ="unpack conf"]``: every fuzz target for its share of the time.

The C targets are built with clang's libFuzzer, which is guided by coverage, or where that is missing with the C
compiler and csrc/driver.c; always with the address and the undefined-behaviour sanitizer. Exit code 1 if anything
crashed, hung, grew or raised what it should not; the inputs are kept in ``--keep`` (build/fuzz).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import seeds
import targets

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

LIBRARIES: list[str] = []  # what storage/csrc needs besides the C library
# Each C target: its corpus.
NATIVE = {
    "tar": "tar",
    "unpack": "tar",
    "rebuild": "tarsplit",
    "options": "command_line",
    "log": "output",
    "parse": "message",
}
# Those of the monitor are linked with its pure parts, the others with storage's library.
MONITOR = {"options", "log", "parse"}
# How much of the time each gets.
WEIGHTS = {"unpack": 4, "tar": 3, "rebuild": 2, "manifest": 2}
SANITIZE = "-fsanitize=address,undefined"
WARNINGS = ["-std=gnu11", "-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]


def compiler(place: Path) -> tuple[str, list[str], bool]:
    """The compiler, its flags, and whether it has libFuzzer."""
    test = place / "test.c"
    test.write_text("int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { (void)d; (void)n; return 0; }\n")
    if shutil.which("clang") and not os.environ.get("CC"):
        flags = [*WARNINGS, "-fsanitize=fuzzer,address,undefined"]
        done = subprocess.run(["clang", *flags, str(test), "-o", str(place / "test")], capture_output=True)
        if done.returncode == 0:
            return "clang", flags, True
    return os.environ.get("CC") or "cc", [*WARNINGS, SANITIZE], False


def build(place: Path, names: list[str]) -> tuple[dict[str, Path], bool]:
    """The programs of the C targets: what they share is compiled once, as much at a time as there are processors."""
    cc, flags, guided = compiler(place)
    shared = [HERE / "csrc" / "common.c"]
    if not guided:
        shared.append(HERE / "csrc" / "driver.c")
    pure = ("text.c", "json.c", "options.c")
    monitor = [ROOT / "conmon" / "csrc" / name for name in pure] if MONITOR & {*names} else []
    storage = [*sorted((ROOT / "storage" / "csrc").glob("*.c")), HERE / "csrc" / "mutate_tar.c"]
    if MONITOR >= {*names}:
        storage = []

    def compiled(source: Path) -> str:
        out = place / f"{source.parents[1].name}-{source.stem}.o"
        # A library has no main, and libFuzzer's flag would link one.
        only = [flag.replace("=fuzzer,", "=fuzzer-no-link,") for flag in flags]
        done = subprocess.run([cc, *only, "-c", str(source), "-o", str(out)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"cannot compile {source.name}:\n{done.stderr[-3000:]}")
        return str(out)

    programs = {}
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            targets_of = list(pool.map(compiled, [HERE / "csrc" / f"fuzz_{name}.c" for name in names]))
            common = list(pool.map(compiled, shared))
            libraries = {True: list(pool.map(compiled, monitor)), False: list(pool.map(compiled, storage))}
    except RuntimeError as error:
        sys.exit(f"make fuzz: {error}")
    for name, own in zip(names, targets_of, strict=True):
        programs[name] = place / f"fuzz_{name}"
        command = [
            cc,
            *flags,
            own,
            *common,
            *libraries[name in MONITOR],
            "-o",
            str(programs[name]),
            "-pthread",
            *LIBRARIES,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"make fuzz: cannot link fuzz_{name}:\n{done.stderr[-3000:]}")
    return programs, guided


def report(name: str, kind: str, done: subprocess.CompletedProcess[str]) -> bool:
    output = done.stdout + done.stderr
    found = re.findall(r"number_of_executed_units: *(\d+)", output)
    coverage = re.findall(r"cov: (\d+)", output)
    text = f"{int(found[-1]):>10,} executions" if found else "         ? executions"
    if coverage:
        text += f", {coverage[-1]} edges covered"
    good = done.returncode == 0
    print(
        f"{name:<10} {kind:<9} {text}: {'no crash' if good else f'BROKEN (exit code {done.returncode})'}", flush=True
    )
    if not good:
        print("\n".join(output.splitlines()[-60:]))
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("targets", nargs="*", help="all if none is named")
    arguments = parser.parse_args()
    names = arguments.targets or [*NATIVE, *targets.TARGETS]
    unknown = [name for name in names if name not in NATIVE and name not in targets.TARGETS]
    if unknown:
        parser.error(f"no target {unknown[0]}; there are {', '.join([*NATIVE, *targets.TARGETS])}")
    whole = sum(WEIGHTS.get(name, 1) for name in names)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    good = True
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        place = Path(temporary)
        corpora = place / "corpus"
        corpora.mkdir()
        seeds.write(corpora)
        native = [name for name in names if name in NATIVE]
        programs, guided = build(place, native) if native else ({}, False)
        work = place / "work"
        work.mkdir()
        for name in names:
            seconds = max(1, int(arguments.seconds * WEIGHTS.get(name, 1) / whole))
            artifact = arguments.keep.resolve() / f"{name}-"
            if name in NATIVE:
                corpus = corpora / NATIVE[name]
                grown = place / f"grown-{name}"  # what libFuzzer finds worth keeping
                grown.mkdir()
                command = [str(programs[name]), f"-max_total_time={seconds}", "-max_len=16384", "-timeout=10"]
                command += [f"-artifact_prefix={artifact}"]
                if guided:
                    command += ["-rss_limit_mb=1024", "-print_final_stats=1", str(grown)]
                command.append(str(corpus))
                environment = {**os.environ, "FUZZ_PLACE": str(work), "UBSAN_OPTIONS": "print_stacktrace=1"}
                kind = "libFuzzer" if guided else "driver"
            else:
                corpus = corpora / targets.TARGETS[name][1]
                command = [sys.executable, str(HERE / "targets.py"), name, str(seconds), str(corpus), f"{artifact}py"]
                environment = dict(os.environ)
                kind = "python"
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", env=environment, timeout=seconds + 120
                )
            except subprocess.TimeoutExpired:
                print(f"{name:<10} BROKEN: it does not end")
                good = False
                continue
            good &= report(name, kind, done)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
