"""The machine for all tests in here: booted once, with the program under test and an image in both users' stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import box, vm_image
from support.runner import Result
from support.vm import APP, Machine, disk_of

IMAGE = "localhost/bb:1"
GENERATOR = Path(__file__).parents[2] / "contrib" / "systemd" / "generator.in"


@pytest.fixture(scope="session")
def vm_session(base: Path, program: Path, busybox_tar: Path) -> Iterator[Machine]:
    box.need("qemu-system-x86_64", "qemu-system-x86")
    with vm_image.image() as image:
        app = base / "app"
        (app / "bb.tar").write_bytes(busybox_tar.read_bytes())
        machine = Machine(image, disk_of(app, base / "app.ext4"))
        try:
            machine.start()
            for run in (machine.root, machine.user):
                run(f"pypod import -q {APP}/bb.tar {IMAGE}").ok()
            yield machine
        finally:
            machine.stop()


@pytest.fixture(scope="session")
def generators(vm_session: Machine) -> Machine:
    """The machine with Quadlet's generators where `make install-systemd` puts them."""
    text = GENERATOR.read_text().replace("@PYPOD@", "/usr/local/bin/pypod")
    for kind in ("system", "user"):
        target = f"/usr/local/lib/systemd/{kind}-generators/pypod-{kind}-generator"
        vm_session.put(text.encode(), target, mode="755")
    return vm_session


REGISTRY = """version: 0.1
storage: {filesystem: {rootdirectory: /var/tmp/registry}}
http: {addr: 127.0.0.1:5000}
"""


@pytest.fixture(scope="module")
def registry(vm_session: Machine) -> str:
    """The address of a registry in the machine that takes images from everybody; it may take a second to answer."""
    vm_session.put(REGISTRY.encode(), "/var/tmp/registry.yml")
    serve = "systemd-run -q --unit registry docker-registry serve /var/tmp/registry.yml"
    vm_session.root(f"systemctl is-active -q registry || {serve}").ok()
    return "127.0.0.1:5000"


CLEAN = """
pypod pod rm -f -a -t 0 >/dev/null
pypod rm -f -a -t 0 >/dev/null
ctl="systemctl $([ "$(id -u)" = 0 ] || echo --user)"
$ctl reset-failed
if $ctl list-units --all --plain --no-legend '*.timer' | grep -E '^[0-9a-f]{64}'; then
    echo 'timers are left' >&2; exit 1
fi
if pgrep -u "$(id -u)" -x -a conmon; then echo 'monitors are left' >&2; exit 1; fi
"""


@pytest.fixture(scope="module")
def _cleaned(vm_session: Machine) -> Iterator[None]:
    yield
    for run in (vm_session.root, vm_session.user):
        run(CLEAN).ok()


@pytest.fixture
def vm(vm_session: Machine, _cleaned: None) -> Machine:
    """The machine. What a module leaves in the stores of root and the user is removed after it."""
    return vm_session


@pytest.fixture(params=["rootless", "root"])
def run(request: pytest.FixtureRequest, vm: Machine) -> Callable[..., Result]:
    """Runs a shell script in the machine: as its user, and as root."""
    called: Callable[..., Result] = vm.root if request.param == "root" else vm.user
    return called
