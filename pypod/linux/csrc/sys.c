#define _GNU_SOURCE
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* glibc's own declarations: <sys/mount.h> clashes with <linux/mount.h> on glibc 2.36. */
extern int mount(const char *, const char *, const char *, unsigned long, const void *);
extern int umount2(const char *, int);

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

int sys_unshare(int flags)
{
	return result(unshare(flags));
}

int sys_setns(int fd, int kind)
{
	return result(setns(fd, kind));
}

int sys_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
	return result(mount(source, target, type, flags, data));
}

int sys_umount(const char *target, int flags)
{
	return result(umount2(target, flags));
}

int64_t sys_fs_type(const char *path)
{
	struct statfs found;

	if (statfs(path, &found) < 0)
		return -errno;
	return (int64_t)((uint64_t)found.f_type & UINT64_C(0xffffffff));
}

int sys_inotify(const char *path, uint32_t mask)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, path, mask) < 0) {
		int failed = -errno;
		close(fd);
		return failed;
	}
	return fd;
}

int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
	return result(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
}

int sys_fsopen(const char *type)
{
	return result(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}

int sys_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux)
{
	return result(syscall(SYS_fsconfig, fd, command, key, value, aux));
}

int sys_fsmount(int fd, unsigned attributes)
{
	return result(syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes));
}

int sys_open_tree(int dirfd, const char *path, unsigned flags)
{
	return result(syscall(SYS_open_tree, dirfd, path, flags | OPEN_TREE_CLOEXEC));
}

int sys_move_mount(int from_fd, int to_dirfd, const char *to_path)
{
	return result(syscall(SYS_move_mount, from_fd, "", to_dirfd, to_path, MOVE_MOUNT_F_EMPTY_PATH));
}

int sys_mount_setattr(int dirfd, const char *path, unsigned flags, uint64_t set, uint64_t clear,
                      uint64_t propagation, int userns_fd)
{
	struct mount_attr attr = {
	    .attr_set = set,
	    .attr_clr = clear,
	    .propagation = propagation,
	    .userns_fd = userns_fd < 0 ? 0 : (uint64_t)userns_fd,
	};
	return result(syscall(SYS_mount_setattr, dirfd, path, flags, &attr, sizeof attr));
}

int sys_prctl(int option, unsigned long arg2, unsigned long arg3)
{
	return result(prctl(option, arg2, arg3, 0, 0));
}

int sys_prepare_helper(char *const argv[], int go_fd, int close_fd, int err_fd)
{
	pid_t pid = fork();
	if (pid != 0)
		return result(pid);
	char byte;
	/* Without this the child would hold the writing end itself and never see the parent's death. */
	if (close_fd >= 0)
		close(close_fd);
	if (read(go_fd, &byte, 1) != 1)
		_exit(125);
	if (err_fd >= 0)
		dup2(err_fd, 2);
	execv(argv[0], argv);
	_exit(127);
}
