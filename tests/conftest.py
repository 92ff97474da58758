"""Fixtures for tests that start real containers.

``pypod`` runs every test that asks for it twice: as root and as a rootless user that the session makes for itself.
Each has one store of its own with the image ``localhost/bb:1`` (the fixture ``image``) for the whole session; after
each test its containers are removed, and after each module nothing else may be left (support/leaks.py).
PYPOD_TEST_CONMON names another monitor for all of them (support/monitors.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import box, disk, images, install, leaks, monitors, users
from support.runner import Pypod

IMAGE = "localhost/bb:1"
MODES = ("root", "rootless")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # it has the place from the process that started it
    made = disk.make()
    if made is not None:
        config.add_cleanup(lambda: disk.remove(made))
        config.option.basetemp = config.option.basetemp or str(made / "t")  # short: sockets lie below


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", monitors.MARKER)
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:  # a shell ignores them for what it runs in the background
            signal.signal(number, signal.SIG_DFL if number == signal.SIGQUIT else signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    monitors.skip_ours_only(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from support import order

    return order.LongestFirst(config, log)


def pytest_report_header() -> list[str]:
    who = "root (and a rootless user of its own)" if box.ROOT else "a user without privileges"
    cgroups = "v2" if box.cgroup2() else "v1 or hybrid"
    strict = "nothing may be skipped" if box.STRICT else "what is missing is skipped"
    return [f"pypod tests: as {who}, cgroups {cgroups}, {strict}"]


@pytest.fixture(scope="session")
def base() -> Iterator[Path]:
    """A short directory that every user may enter; gone at the end."""
    path = Path(tempfile.mkdtemp(prefix="b", dir=disk.place()))
    path.chmod(0o755)
    yield path
    leaks.end_processes(str(path))
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():  # a rootless user's files with the user's subordinate ids
        subprocess.run(["rm", "-rf", str(path)], check=False, capture_output=True)


@pytest.fixture(scope="session")
def program(base: Path) -> Path:
    """The ``pypod`` under test, in a place where everybody may run it."""
    return install.install(base / "app")


_said: list[str] = []


@pytest.fixture(scope="session")
def say() -> Callable[[str], None]:
    """Takes lines with figures that the summary of the run shows."""
    return _said.append


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A worker's lines go to the process that writes the summary.
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["said"] = _said


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _said.extend(getattr(node, "workeroutput", {}).get("said", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _said:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def rootless_user() -> Iterator[users.User]:
    """A user without privileges: the tests' own, or the one who runs them."""
    if not box.ROOT:
        yield users.myself()
        return
    users.sweep()
    user = users.create()
    try:
        yield user
    finally:
        users.remove(user)


@pytest.fixture(scope="session")
def busybox_tar(base: Path) -> Path:
    """The root file system of ``localhost/bb:1``."""
    return images.busybox(base / "bb.tar")


@pytest.fixture(scope="session")
def debian_tar(base: Path) -> Path:
    """The root file system of a minimal Debian 12. PYPOD_TEST_CACHE names a directory that keeps it for next time."""
    cache = os.environ.get("PYPOD_TEST_CACHE")
    return images.debian(Path(cache or base) / "debian-bookworm.tar")


@pytest.fixture(scope="session", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """``root`` or ``rootless``."""
    value: str = request.param
    if value == "root" and not box.ROOT:
        pytest.skip("root mode needs root")
    return value


@pytest.fixture(scope="session")
def who(mode: str, request: pytest.FixtureRequest) -> users.User:
    """Who runs pypod in this mode."""
    found: users.User = users.root() if mode == "root" else request.getfixturevalue("rootless_user")
    return found


_known: dict[str, leaks.Snapshot] = {}


def _make_place(base: Path, name: str, user: users.User) -> tuple[Path, Path]:
    place = base / name
    place.mkdir()
    graphroot, runroot = place / "g", place / "r"
    for path in (place, graphroot, runroot):
        path.mkdir(exist_ok=True, mode=0o700)
        if user.switch:
            os.chown(path, user.uid, user.gid)
    return graphroot, runroot


@pytest.fixture(scope="session")
def stores(
    base: Path, program: Path, busybox_tar: Path, rootless_user: users.User
) -> Iterator[Callable[[str, users.User], Pypod]]:
    """Makes the store of a mode once: files that run at the same time go from mode to mode and back.

    The user must outlive it.
    """
    made: dict[str, Pypod] = {}

    def get(mode: str, who: users.User) -> Pypod:
        if mode not in made:
            graphroot, runroot = _make_place(base, mode, who)
            options = monitors.options()
            made[mode] = Pypod(program, who, graphroot=graphroot, runroot=runroot, mode=mode, options=options)
            made[mode]("import", busybox_tar, IMAGE).ok()
        return made[mode]

    yield get
    for pypod in made.values():
        pypod("rm", "-f", "-a", "-t", "0")


@pytest.fixture(scope="session")
def store(mode: str, who: users.User, stores: Callable[[str, users.User], Pypod]) -> Pypod:
    """pypod as one kind of user, with a store that holds the busybox image."""
    return stores(mode, who)


_clean: dict[str, leaks.Snapshot] = {}


@pytest.fixture(scope="session")
def clean(store: Pypod) -> leaks.Snapshot:
    """What the store holds before any test ran."""
    if store.mode not in _clean:
        store("run", "--rm", IMAGE, "true")  # what the first run makes once
        store("rm", "-f", "-a", "-t", "0")
        _clean[store.mode] = leaks.snapshot(store)
    return _clean[store.mode]


@pytest.fixture(scope="module")
def _nothing_left(store: Pypod, clean: leaks.Snapshot) -> Iterator[None]:
    yield
    # What an earlier module has left is that module's failure only.
    left = leaks.since(store, _known.get(store.mode, clean))
    _known[store.mode] = leaks.snapshot(store)
    assert not left, "left behind by this module:\n" + "\n".join(
        f"  {kind}: {item}" for kind, items in left.items() for item in items
    )


@pytest.fixture
def pypod(store: Pypod, clean: leaks.Snapshot, _nothing_left: None) -> Iterator[Pypod]:
    """The store of this mode; the test's containers are removed afterwards."""
    yield store
    left = store("ps", "-a", "-q")
    if left.code or left.out.strip():
        store("rm", "-f", "-a", "-t", "0").ok()


@pytest.fixture
def fresh(mode: str, who: users.User, base: Path, program: Path) -> Iterator[Pypod]:
    """pypod with an empty store of its own, for tests that break it or count what is in it."""
    place = tempfile.mkdtemp(prefix="s", dir=base)
    os.chmod(place, 0o755)
    graphroot, runroot = _make_place(Path(place), "p", who)
    options = monitors.options()
    pypod = Pypod(program, who, graphroot=graphroot, runroot=runroot, mode=mode, options=options)
    yield pypod
    pypod("rm", "-f", "-a", "-t", "0")
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def auto(mode: str, base: Path, rootless_user: users.User) -> dict[str, str]:
    """Variables with which root, too, has ids for --userns=auto: the rootless user's."""
    if mode != "root":
        return {}
    conf = base / "auto.conf"
    conf.write_text(f'[storage]\n[storage.options]\nroot-auto-userns-user = "{rootless_user.name}"\n')
    return {"CONTAINERS_STORAGE_CONF": str(conf)}


@pytest.fixture
def image(pypod: Pypod) -> str:
    """The name of a busybox image in the store."""
    return IMAGE


@pytest.fixture
def shared_dir(base: Path, store: Pypod) -> Iterator[Path]:
    """A directory that belongs to the user of the store, for files that pypod reads or writes."""
    path = Path(tempfile.mkdtemp(prefix="d", dir=base))
    if store.user.switch:
        os.chown(path, store.user.uid, store.user.gid)
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)
