"""The system calls of csrc/sys.c with Python's manners: OSError with the path in it instead of -errno."""

from __future__ import annotations

import os

from pypod.linux._sys import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_SILENT = 0x20, 0x1000, 0x2000, 0x4000, 0x8000
MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 1, 2, 4
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 8, 16

AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6
OPEN_TREE_CLONE = 1
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR_IDMAP = 0x00100000

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36


def _check(value: int, name: str = "") -> int:
    if value < 0:
        raise OSError(-value, os.strerror(-value), name or None)
    return value


def _text(value: str) -> bytes:
    return os.fsencode(value)


def unshare(flags: int) -> None:
    _check(lib.sys_unshare(flags))


def setns(fd: int, kind: int = 0) -> None:
    _check(lib.sys_setns(fd, kind))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    _check(
        lib.sys_mount(
            _text(source), _text(target), _text(kind) or ffi.NULL, flags, _text(data) if data else ffi.NULL
        ),
        target,
    )


def umount(target: str, flags: int = 0) -> None:
    _check(lib.sys_umount(_text(target), flags), target)


def file_system(path: str) -> int:
    """The magic number of the file system that ``path`` is on (statfs(2))."""
    return int(_check(lib.sys_fs_type(_text(path)), path))


def inotify(path: str, mask: int) -> int:
    """A descriptor that never blocks and tells of the events in ``mask`` of a file or directory (inotify(7))."""
    return _check(lib.sys_inotify(_text(path), mask), path)


def openat2(dir_fd: int, path: str, flags: int, *, mode: int = 0, resolve: int = RESOLVE_IN_ROOT) -> int:
    """openat2(2): by default ``path`` is resolved as if ``dir_fd`` were the root directory."""
    while True:
        fd = lib.sys_openat2(dir_fd, _text(path), flags | os.O_CLOEXEC, mode, resolve)
        if fd != -11:  # EAGAIN: a rename raced with the resolution; the kernel asks for another try
            return _check(fd, path)


def fsopen(kind: str) -> int:
    return _check(lib.sys_fsopen(_text(kind)), kind)


def fsconfig_string(fd: int, key: str, value: str) -> None:
    _check(lib.sys_fsconfig(fd, FSCONFIG_SET_STRING, _text(key), _text(value), 0), f"{key}={value}")


def fsconfig_flag(fd: int, key: str) -> None:
    _check(lib.sys_fsconfig(fd, FSCONFIG_SET_FLAG, _text(key), ffi.NULL, 0), key)


def fsconfig_create(fd: int) -> None:
    _check(lib.sys_fsconfig(fd, FSCONFIG_CMD_CREATE, ffi.NULL, ffi.NULL, 0))


def fsmount(fd: int, attributes: int = 0) -> int:
    return _check(lib.sys_fsmount(fd, attributes))


def open_tree(path: str, flags: int = OPEN_TREE_CLONE, dir_fd: int = AT_FDCWD) -> int:
    return _check(lib.sys_open_tree(dir_fd, _text(path), flags), path)


def move_mount(from_fd: int, to_path: str, to_dir_fd: int = AT_FDCWD) -> None:
    _check(lib.sys_move_mount(from_fd, to_dir_fd, _text(to_path)), to_path)


def mount_setattr(
    fd: int, *, set: int = 0, clear: int = 0, propagation: int = 0, userns_fd: int = -1, recursive: bool = False
) -> None:
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _check(lib.sys_mount_setattr(fd, b"", flags, set, clear, propagation, userns_fd))


def prctl(option: int, arg2: int = 0, arg3: int = 0) -> int:
    return _check(lib.sys_prctl(option, arg2, arg3))


def prepare_helper(argv: Sequence[str], *, go_fd: int, close_fd: int, err_fd: int) -> int:
    """Fork a process that runs ``argv`` once a byte arrives on ``go_fd``; its pid."""
    words = [ffi.new("char[]", _text(word)) for word in argv]
    array = ffi.new("char *[]", [*words, ffi.NULL])
    return _check(lib.sys_prepare_helper(array, go_fd, close_fd, err_fd), argv[0])
