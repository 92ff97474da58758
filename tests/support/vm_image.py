"""The disk of the virtual machine: a Debian 12 with systemd and what containers need, made by mmdebstrap.

It is made once and kept in ``/var/tmp/pypod-tests-vm-UID`` (PYPOD_TEST_CACHE names another place), in a directory
named after a hash of all that goes in. A lock lets parallel sessions make it once; machines only
read it (support/vm.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import box, disk, images

USER = "someone"  # the machine's user without privileges; lingers, and has subordinate ids
READY = "pypod-test-machine-is-up"  # what the console shows once everybody may log in
SIZE = "4G"  # sparse
PATIENCE = 420  # seconds for mmdebstrap: 45 on an idle machine near its mirror

PACKAGES = (
    "systemd systemd-sysv dbus dbus-user-session libpam-systemd udev kmod iproute2 linux-image-cloud-amd64 "
    "python3 python3-distutils crun runc criu uidmap passt slirp4netns netavark aardvark-dns iptables nftables "
    "catatonit fuse-overlayfs openssh-server ca-certificates procps busybox-static docker-registry "
    "golang-github-containers-common"
).split()

# Run by mmdebstrap outside of the new system, whose root is $1.
SETUP = f"""
set -eu
cd "$1"
echo pypod-vm >etc/hostname
echo '127.0.0.1 localhost pypod-vm' >etc/hosts
echo 'nameserver 10.0.2.3' >etc/resolv.conf
printf '%s\\n' '/dev/nvme0n1 / ext4 defaults 0 0' '/dev/vda /opt/pypod ext4 ro 0 0' >etc/fstab
mkdir -p opt/pypod var/log/journal var/lib/systemd/linger
ln -s /opt/pypod/venv/bin/pypod usr/local/bin/pypod
printf '[Match]\\nType=ether\\nName=e*\\n[Network]\\nAddress=10.0.2.15/24\\nGateway=10.0.2.2\\nDNS=10.0.2.3\\n' \\
    >etc/systemd/network/all.network
printf '%s\\n' 'UseDNS no' 'MaxSessions 100' 'MaxStartups 100' 'HostKey /etc/ssh/ssh_host_ed25519_key' \\
    >etc/ssh/sshd_config.d/test.conf
chroot . useradd -m -s /bin/bash -u 1000 {USER}
touch var/lib/systemd/linger/{USER}
for home in root home/{USER}; do
    install -d -m 700 $home/.ssh
    echo "$PUBLIC_KEY" >$home/.ssh/authorized_keys
done
chroot . chown -R {USER}: home/{USER}/.ssh
cat >etc/systemd/system/ready.service <<END
[Unit]
After=ssh.service systemd-user-sessions.service user@1000.service systemd-networkd.service multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/echo {READY}
StandardOutput=file:/dev/ttyS0
END
mkdir etc/systemd/system/default.target.wants
ln -s ../ready.service etc/systemd/system/default.target.wants/
chroot . systemctl -q enable systemd-networkd ssh
chroot . systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \\
    e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service systemd-pstore.service \\
    docker-registry.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-random-seed.service \\
    systemd-network-generator.service sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \\
    dev-hugepages.mount modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \\
    modprobe@efi_pstore.service
# What is emulated has neither the hardware nor the need, and each module and each rule costs time at boot, the rules
# also with every network interface of a container.
printf 'blacklist %s\\n' ata_generic ata_piix button evdev qemu_fw_cfg serio_raw crct10dif_pclmul crc32_pclmul \\
    crc32c_intel ghash_clmulni_intel sha1_ssse3 sha256_ssse3 sha512_ssse3 aesni_intel >etc/modprobe.d/test.conf
for rules in lib/udev/rules.d/*; do
    case $rules in */50-udev-default.rules | */80-drivers.rules | */99-systemd.rules) ;; *) rm "$rules" ;; esac
done
rm -rf var/cache/apt
"""

# For dpkg: nothing is flushed, as a disk that is not finished is thrown away, and what nobody reads is not unpacked.
DPKG = ("force-unsafe-io", *(f"path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")))

# Outside of mmdebstrap: from its tar on stdin to a disk and the kernel beside it. $1 is the directory, $2 the disk's
# size, $3 a directory for the tree between the two.
DISK = """
set -eu
tar -C "$3" -xf - --exclude='./dev/*'
cd "$1"
cp "$3"/boot/vmlinuz-* vmlinuz
chmod 644 vmlinuz
truncate -s "$2" disk
mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 -d "$3" disk
rm -rf "$3"
"""


@dataclass(frozen=True)
class Image:
    """What a machine starts from. All of it is only read."""

    disk: Path
    kernel: Path
    key: Path  # the private ssh key that root and USER of the machine accept


def _place() -> Path:
    place = Path(os.environ.get("PYPOD_TEST_CACHE") or f"/var/tmp/pypod-tests-vm-{os.geteuid()}")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{place} belongs to somebody else")
    return place


def _as_fake_root(*argv: str | Path) -> list[str]:
    """A command that may own files of any user; for a user that is not root, in a namespace of subordinate ids."""
    prefix = [] if box.ROOT else ["unshare", "--map-root-user", "--map-auto", "--"]
    return [*prefix, *map(str, argv)]


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {(done.stderr + done.stdout).strip()[-2000:]}")


def _make(directory: Path) -> None:
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pypod tests", "-f", str(directory / "key")])
    public = (directory / "key.pub").read_text().strip()
    hook = directory / "setup"
    hook.write_text(f"#!/bin/sh\nPUBLIC_KEY='{public}'\n{SETUP}")
    hook.chmod(0o755)
    argv = [box.need("mmdebstrap"), "--quiet", "--variant=minbase", "--include=" + ",".join(PACKAGES)]
    argv += [*(f"--dpkgopt={option}" for option in DPKG), f"--customize-hook={hook}"]
    argv += ["bookworm", "-", *images.mirrors()]
    # In the place for temporary files, which is the faster one (support/disk.py): these are 20,000.
    tree = Path(tempfile.mkdtemp(prefix="pt-vm-tree-"))
    try:
        _pipe(argv, _as_fake_root("/bin/sh", "-c", DISK, "sh", directory, SIZE, tree))
    finally:
        _remove(tree)


def _pipe(maker: list[str], reader: list[str]) -> None:
    """Run both, one into the other; what the maker cannot do is missing here."""
    with tempfile.TemporaryFile() as said:
        # No initial RAM disk: the disk's driver is in the kernel.
        environment = {**os.environ, "INITRD": "No", "LC_ALL": "C.UTF-8"}
        with subprocess.Popen(maker, stdout=subprocess.PIPE, stderr=said, env=environment) as made:
            assert made.stdout
            try:
                read = subprocess.run(reader, stdin=made.stdout, capture_output=True, timeout=PATIENCE, check=False)
                made.stdout.close()  # else it would wait for a reader that has ended
                code = made.wait(PATIENCE)
            except subprocess.TimeoutExpired as late:
                made.terminate()
                box.missing(str(late))
        said.seek(0)
        if code:
            box.missing(f"mmdebstrap failed: {said.read().decode(errors='replace').strip()[-2000:]}")
        if read.returncode:
            raise RuntimeError(f"no disk for the machine: {read.stderr.decode(errors='replace').strip()[-2000:]}")


@contextlib.contextmanager
def image() -> Iterator[Image]:
    """The image, made if need be, and held: as long as it is used nobody removes it."""
    for program, package in (("mmdebstrap", ""), ("mke2fs", "e2fsprogs"), ("ssh-keygen", "openssh-client")):
        box.need(program, package)
    place = _place()
    name = hashlib.sha256(repr((PACKAGES, SETUP, DPKG, DISK, SIZE)).encode()).hexdigest()[:16]
    directory = place / name
    with open(place / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.is_dir():
            _sweep(place)
            partial = Path(tempfile.mkdtemp(prefix="part-", dir=place))
            partial.chmod(0o755)
            try:
                _make(partial)
                partial.rename(directory)
            finally:
                _remove(partial)
        held = open(directory / "key.pub")
        fcntl.flock(held, fcntl.LOCK_SH)
    with held:
        yield Image(directory / "disk", directory / "vmlinuz", directory / "key")


def _sweep(place: Path) -> None:
    """Remove images that were made of something else and that no machine uses, and what a killed session left."""
    for old in place.iterdir():
        if not old.is_dir():
            continue
        try:
            with open(old / "key.pub") as key:
                fcntl.flock(key, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            if not old.name.startswith("part-"):
                continue  # not ours: the place may hold other things too
        except BlockingIOError:
            continue
        _remove(old)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        subprocess.run(_as_fake_root("rm", "-rf", directory), capture_output=True, check=False)


if __name__ == "__main__":  # ahead of the tests
    made = disk.make()
    try:
        with image():
            pass
    finally:
        if made:
            disk.remove(made)
