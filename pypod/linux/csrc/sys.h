/* System calls that Python 3.11 does not offer. Each returns 0 or a descriptor or pid, or -errno. */
#ifndef PYPOD_SYS_H
#define PYPOD_SYS_H

#include <stdint.h>

int sys_unshare(int flags);
int sys_setns(int fd, int kind);
int sys_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);
int sys_umount(const char *target, int flags);
int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int sys_fsopen(const char *type);
int sys_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux);
int sys_fsmount(int fd, unsigned attributes);
int sys_open_tree(int dirfd, const char *path, unsigned flags);
int sys_move_mount(int from_fd, int to_dirfd, const char *to_path);
int sys_mount_setattr(int dirfd, const char *path, unsigned flags, uint64_t set, uint64_t clear,
                      uint64_t propagation, int userns_fd);
/* The f_type of statfs(2), a positive number. */
int64_t sys_fs_type(const char *path);
/* A descriptor that does not block, which tells of the events of a mask in a directory. */
int sys_inotify(const char *path, uint32_t mask);
int sys_prctl(int option, unsigned long arg2, unsigned long arg3);

/* Fork a child that waits for a byte on its pipe and then becomes argv with the caller's stdin, stdout and a
 * stderr that goes to err_fd. Must be called before unshare(CLONE_NEWUSER): the set-uid helper has to start in the
 * parent namespace. */
int sys_prepare_helper(char *const argv[], int go_fd, int close_fd, int err_fd);

#endif
