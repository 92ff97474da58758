"""A copy of the installed pypod that everybody may run.

The clone may sit in a directory that only its owner may enter, so the tests run a copy in /var/tmp: a virtual
environment of Debian's own interpreter holding pypod and what it needs, compiled, and nothing else.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
OURS = ("pypod", "storage", "conmon")


def _closure(names: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """The distributions ``names`` and all that they require."""
    found: dict[str, importlib.metadata.Distribution] = {}
    todo = list(names)
    while todo:
        name = re.split(r"[\s<>=!~;\[(]", todo.pop(), maxsplit=1)[0].lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        todo += [item for item in found[name].requires or () if "extra ==" not in item]
    return found


def _copy_distribution(distribution: importlib.metadata.Distribution, site: Path, binaries: Path) -> None:
    for file in distribution.files or ():
        if file.suffix == ".pyc":
            continue
        source = Path(str(distribution.locate_file(file)))
        if not source.is_file():
            continue
        if file.parts[0] == "..":
            if file.parts[-2] != "bin" or file.name != "pypod":
                continue
            target = binaries / file.name
            target.write_bytes(_new_shebang(source.read_bytes(), binaries))
        else:
            target = site / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _new_shebang(script: bytes, binaries: Path) -> bytes:
    """The script with the copy's interpreter in its first line."""
    first, newline, rest = script.partition(b"\n")
    found = re.match(rb"#!\s*(\S*/)python[\d.]*(.*)$", first)
    if found:
        first = b"#!" + bytes(binaries / "python") + found.group(2)
    return first + newline + rest


def _copy_source(site: Path, binaries: Path) -> None:
    """pypod from the source tree, with the parts that ``setup.py build_ext --inplace`` builds."""
    for name in OURS:
        shutil.copytree(SOURCE / name, site / name, ignore=shutil.ignore_patterns("__pycache__", "*.o", "csrc"))
    target = binaries / "pypod"
    shutil.copyfile(SOURCE / "pypod" / "cli" / "pypod", target)
    target.chmod(0o755)


def install(directory: Path) -> Path:
    """Make the environment in ``directory`` and return the path of its ``pypod``.

    pypod itself comes from the distribution installed beside the running pytest if there is one (``make test``),
    else from the source tree. PYPOD_TEST_INSTALL=source forces the latter, a path names a ``pypod`` to test as it is.
    """
    wish = os.environ.get("PYPOD_TEST_INSTALL", "")
    if wish and wish != "source":
        return Path(wish)
    venv = directory / "venv"
    python = PYTHON if os.path.exists(PYTHON) else sys.executable
    subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
    binaries = venv / "bin"
    site = next((venv / "lib").glob("python3*/site-packages"))
    import tomllib

    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    distributions = _closure(project["dependencies"])
    installed = None if wish == "source" else _closure(["pypod"]).get("pypod")
    if installed is not None and (installed.read_text("direct_url.json") or "").find('"editable": true') < 0:
        distributions["pypod"] = installed
    else:
        _copy_source(site, binaries)
    for distribution in distributions.values():
        _copy_distribution(distribution, site, binaries)
    compileall.compile_dir(str(site), quiet=2, workers=1)
    subprocess.run(["chmod", "-R", "a+rX", str(directory)], check=True)
    return binaries / "pypod"
