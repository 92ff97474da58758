"""A machine of its own: Debian with systemd and cgroup v2 under qemu, emulated and so 10 to 20 times slower.

``Machine.root(script)`` and ``Machine.user(script)`` run a shell script in it over ssh; every call costs half a
second, so put what belongs together into one script. What it writes to its disk is gone at the end.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from support import box, disk
from support.runner import Result, until
from support.vm_image import READY, USER, Image

PATIENCE = 400.0  # seconds: it boots in 10 where nothing else runs, and in 100 where eight others want to run
MEMORY = "2G"
# One processor, as for more than one qemu has to emulate what is atomic, at a third more for everything. Without what
# is dear to emulate: `rep movsb` goes byte by byte, page tables have a level less, no AVX, which qemu does in halves.
CPU = "max,-svm,-erms,-la57,-smap,-smep,-umip,-pku,-avx,-avx2,-f16c,-fma,-vaes,-vpclmulqdq"
# For the kernel: no hardening of itself, and whoever waits for all processors does not wait long.
CHEAP = "mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off rcupdate.rcu_expedited=1"
APP = "/opt/pypod"  # where the program under test is in the machine


def _bound(*argv: str | Path) -> list[str]:
    """A command that the kernel kills when we die, however that happens."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def disk_of(directory: Path, target: Path) -> Path:
    """An ext4 image labelled ``app`` that holds ``directory``, owned by root in the machine."""
    size = int(subprocess.run(["du", "-sk", directory], capture_output=True, check=True).stdout.split()[0])
    argv = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0", "-L", "app", "-d"]
    subprocess.run([*argv, directory, target, f"{size * 3 // 2 + 8192}k"], check=True, capture_output=True)
    return target


class Machine:
    """One running machine; ``directory`` holds its console, its monitor's socket and the connections to it."""

    def __init__(self, image: Image, app: Path) -> None:
        self.image = image
        self.app = app
        disk.sweep()
        # Sockets have short paths.
        self.directory = Path(tempfile.mkdtemp(prefix=f"{disk.PREFIX}{os.getpid()}.vm-"))
        self.console = self.directory / "console.log"
        self._qemu: subprocess.Popen[bytes] | None = None
        self._connections: dict[str, subprocess.Popen[bytes]] = {}
        self._boots = 0
        self._port = 0

    def start(self) -> None:
        """Switch it on and wait until everybody may log in."""
        for _ in range(5):  # somebody else may take the port meanwhile
            self._port = _free_port()
            self._qemu = self._spawn()
            time.sleep(0.5)
            if self._qemu.poll() is None:
                break
        self._wait_boot()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.console.write_bytes(b"")
        argv: list[str | Path] = [box.need("qemu-system-x86_64", "qemu-system-x86")]
        # KVM is not for us: a machine that runs tests may have a /dev/kvm that does not work.
        argv += ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU, "-smp", "1", "-m", MEMORY]
        argv += ["-nodefaults", "-display", "none", "-kernel", self.image.kernel]
        argv += ["-append", f"root=/dev/nvme0n1 rw console=ttyS0 quiet {CHEAP} systemd.show_status=error"]
        for number, file in enumerate((self.image.disk, self.app)):
            argv += ["-drive", f"file={file},if=none,id=d{number},format=raw,cache=unsafe,snapshot=on"]
        # Only one of this kind: two might be found in either order.
        argv += ["-device", "nvme,drive=d0,serial=d0", "-device", "virtio-blk-pci,drive=d1"]
        argv += ["-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{self._port}-:22"]
        argv += ["-device", "virtio-net-pci,netdev=n0"]
        argv += ["-device", "virtio-rng-pci", "-serial", f"file:{self.console}"]
        argv += ["-monitor", f"unix:{self.directory}/monitor,server,nowait"]
        with open(self.directory / "qemu.log", "ab") as log:
            return subprocess.Popen(
                _bound(*argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(self.directory)},
            )

    def _log(self) -> str:
        said = (self.directory / "qemu.log").read_text(errors="replace")
        return f"{said}\n{self.console.read_text(errors='replace')[-3000:]}"

    def _wait_boot(self) -> None:
        self._boots += 1

        def up() -> bool:
            assert self._qemu
            if self._qemu.poll() is not None:
                raise AssertionError(f"qemu ended with {self._qemu.returncode}: {self._log()}")
            return self.console.read_bytes().count(READY.encode()) >= self._boots

        try:
            until(up, PATIENCE, "the machine to boot")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._log()}") from None

    def _ssh(self, name: str) -> list[str]:
        options = (
            "StrictHostKeyChecking=no UserKnownHostsFile=/dev/null LogLevel=ERROR IdentitiesOnly=yes BatchMode=yes "
            "KexAlgorithms=curve25519-sha256 HostKeyAlgorithms=ssh-ed25519 Ciphers=aes128-ctr MACs=hmac-sha1 "
            "GSSAPIAuthentication=no ConnectTimeout=60 ServerAliveInterval=20 "
            f"ControlPath={self.directory}/{name}.ssh"
        ).split()
        argv = ["ssh", "-F", "none", "-p", str(self._port), "-i", str(self.image.key)]
        return [*argv, *(word for option in options for word in ("-o", option)), f"{name}@127.0.0.1"]

    def _connect(self, name: str) -> list[str]:
        """The beginning of a command line that runs something as this user, over the one connection."""
        argv = self._ssh(name)
        old = self._connections.get(name)
        if old is None or old.poll() is not None:
            path = self.directory / f"{name}.ssh"
            path.unlink(missing_ok=True)
            with open(self.directory / "ssh.log", "ab") as log:
                made = subprocess.Popen(
                    _bound(argv[0], "-M", "-N", *argv[1:]), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self._connections[name] = made
            until(lambda: path.exists() or made.poll() is not None, PATIENCE, "a connection to the machine")
            assert made.poll() is None, (self.directory / "ssh.log").read_text(errors="replace")
        return argv

    def _call(self, name: str, script: str, timeout: float, input: bytes | None) -> Result:
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        try:
            done = subprocess.run(
                [*self._connect(name), "--", script], capture_output=True, check=False, timeout=timeout, **given
            )
        except subprocess.TimeoutExpired as late:
            said = f"stdout: {late.stdout!r}\nstderr: {late.stderr!r}\n{self._log()}"
            raise AssertionError(f"{name}: {script}: still running after {timeout} s\n{said}") from None
        out, err = (text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
        return Result([name, script], done.returncode, out, err)

    def root(self, script: str, *, timeout: float = PATIENCE, input: bytes | None = None) -> Result:
        """Run a shell script as root."""
        return self._call("root", script, timeout, input)

    def user(self, script: str, *, timeout: float = PATIENCE, input: bytes | None = None) -> Result:
        """Run a shell script as the user without privileges, in a login session."""
        return self._call(USER, script, timeout, input)

    def put(self, source: Path | bytes, target: str, *, user: bool = False, mode: str = "644") -> None:
        """Write a file or bytes to ``target`` in the machine, as root or the user; directories are made."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        script = f"mkdir -p \"$(dirname '{target}')\" && cat >'{target}' && chmod {mode} '{target}'"
        (self.user if user else self.root)(script, input=data).ok()

    def reboot(self) -> None:
        """Shut down in good order, and wait until it is up again."""
        # The connection may end before the command does.
        self.root("systemctl reboot")
        self._wait_boot()
        self._disconnect()

    def cut(self) -> None:
        """A power cut: no process and no file system hears of it. Wait until it is up again."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(f"{self.directory}/monitor")
            monitor.sendall(b"system_reset\n")
            self._wait_boot()
        self._disconnect()

    def _disconnect(self) -> None:
        for process in self._connections.values():
            process.kill()
            process.wait()
        self._connections.clear()

    def stop(self) -> None:
        """Switch it off; nothing of it is left."""
        self._disconnect()
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
