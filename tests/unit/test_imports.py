"""What each class of commands imports: the start-up time, told by names and not by a clock.

Each command really runs, in a fresh interpreter with an empty store, and lists its modules at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pypod
from pypod.cli import table

ROOT = Path(pypod.__file__).resolve().parents[1]  # the pypod under test, built; not the source tree of it
SITE = sysconfig.get_path("purelib")  # -S leaves it out, and cffi's runtime is there

PROBE = """
import os, sys
sys.path[:0] = {path!r}
sys.argv[0] = "pypod"
real_exit = os._exit
def leave(code):
    with open({out!r}, "w") as file:
        file.write("\\n".join(sys.modules))
    real_exit(code)
os._exit = leave
from pypod.entry import main
main()
"""

# None of these on the hot path, whatever the command: each costs a millisecond or more.
HEAVY = set(
    "argparse ast asyncio calendar click collections contextlib copy dataclasses datetime enum fnmatch functools glob"
    " hashlib inspect json locale logging operator pathlib platform psutil random re requests selectors shutil signal"
    " socket ssl string struct subprocess tarfile tempfile threading traceback types typing urllib uuid weakref"
    " zipfile tomllib importlib.metadata importlib.util cffi difflib heapq".split()
)


def modules_of(tmp_path: Path, *argv: str) -> tuple[int, set[str]]:
    out = tmp_path / "modules"
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
    }
    store = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "runroot")]
    if argv[0].startswith("-"):
        store = []
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROBE.format(path=[str(ROOT), SITE], out=str(out)), *store, *argv],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert out.exists(), done.stderr.decode()
    return done.returncode, set(out.read_text().split("\n"))


def warm(tmp_path: Path, *argv: str) -> tuple[int, set[str]]:
    """Once the cache of parsed configuration files is filled; somebody else's run may empty it meanwhile."""
    for _ in range(4):
        code, found = modules_of(tmp_path, *argv)
        if "tomllib" not in found:
            break
    return code, found


def baseline() -> set[str]:
    """What a bare interpreter has."""
    text = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys, json; print(sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(json.loads(text.replace("'", '"')))


def test_version_imports_nothing(tmp_path):
    """Class A."""
    for flag in ("--version", "-v"):
        code, found = run_early(tmp_path, flag)
        assert code == 0
        ours = {name for name in found if name.partition(".")[0] in ("pypod", "storage", "conmon")}
        assert ours == {"pypod", "pypod.entry"}


def run_early(tmp_path: Path, flag: str) -> tuple[int, set[str]]:
    code, found = modules_of(tmp_path, flag)
    assert not (found - baseline()) & HEAVY
    return code, found


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("container", "cleanup", "--stopped-only", "nobody"), 125),
        (("container", "exists", "nobody"), 1),
        (("healthcheck", "run", "nobody"), 125),
        (("ps",), 0),
        (("ps", "-a", "--format", "json"), 0),
        (("ps", "-aq", "--filter", "status=running", "--filter", "name=x"), 0),
        (("inspect", "nobody"), 125),
        (("container", "inspect", "nobody"), 125),
        (("images",), 0),
        (("images", "--format", "json"), 0),
        (("image", "exists", "nothing"), 1),
        (("logs", "nobody"), 125),
        (("stop", "nobody"), 125),
        (("kill", "nobody"), 125),
        (("rm", "-f", "nobody"), 0),
        (("start", "nobody"), 125),
        (("wait", "nobody"), 125),
        (("exec", "nobody", "true"), 125),
        (("pause", "nobody"), 125),
        (("rename", "nobody", "somebody"), 125),
        (("port", "nobody"), 125),
        (("volume", "ls"), 0),
        (("version",), 0),
        (("events", "--stream=false"), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_hot_path_is_light(tmp_path, argv, code):
    """Classes B, C and D: no library of the slow ones, however useful."""
    got, found = warm(tmp_path, *argv)
    assert got == code
    new = found - baseline()
    assert not new & HEAVY, sorted(new & HEAVY)
    assert len(new) < 100


@pytest.mark.parametrize("flag", ["{{.ID}}", "table {{.ID}}\t{{.Names}}"])
def test_templates_cost_only_themselves(tmp_path, flag):
    _, found = warm(tmp_path, "ps", "-a", "--format", flag)
    assert not (found - baseline()) & HEAVY
    _, plain = warm(tmp_path, "ps", "-a")
    assert "pypod.cli.gotemplate" in found and "pypod.cli.gotemplate" not in plain


def test_help_may_use_click(tmp_path):
    out = modules_of_click(tmp_path)
    assert "click" in out


def modules_of_click(tmp_path: Path) -> set[str]:
    code = "import sys; sys.path.insert(0, {!r}); from pypod.cli import clickfront; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code.format(str(ROOT))], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.replace("'", '"')))


@pytest.mark.parametrize("path", sorted(table.COMMANDS))
def test_every_command_has_its_module(path):
    """The table promises nothing that is not there."""
    module, _, function = table.COMMANDS[path][0].partition(":")
    assert callable(getattr(table.load(module), function or "run"))
