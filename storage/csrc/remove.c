#define _GNU_SOURCE
#include "remove.h"

#include "pool_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BIG (64 << 20)
#define TRIES 5

#define PATIENCE 20 /* so many times the budget may pass while others have the processor or the disk */

struct removal {
	int root;
	int64_t budget; /* ns, 0 for none */
	int over;
	int64_t worked, begun; /* ns, of the clocks of this thread and of the world */
};

static int64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* The budget is over: whatever is left stays. */
static int over(struct pool *pool, struct removal *removal)
{
	if (!removal->budget || (now(CLOCK_THREAD_CPUTIME_ID) - removal->worked < removal->budget &&
				 now(CLOCK_MONOTONIC) - removal->begun < removal->budget * PATIENCE))
		return 0;
	removal->over = 1;
	pool_stop(pool);
	return 1;
}

static int too_big(struct removal *removal, int fd, const char *name)
{
	struct stat status;

	return removal->budget && fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(status.st_mode) && status.st_size > BIG && status.st_nlink == 1;
}

/* 0: it is gone. 1: it is a directory. */
static int unlink_entry(int fd, const char *name)
{
	if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EISDIR)
		return 1;
	if (errno == EACCES && fchmod(fd, 0700) == 0 && (unlinkat(fd, name, 0) == 0 || errno == ENOENT))
		return 0;
	if (errno == EPERM) {
		/* Linux says EISDIR of a directory, other file systems may not. */
		struct stat status;
		if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
			return 1;
		return -EPERM;
	}
	return -errno;
}

static int open_directory(struct worker *worker, struct removal *removal, const struct node *node)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
	int fd = pool_open(worker, removal->root, node, flags, RESOLVE_NO_XDEV);

	if (fd == -EACCES) {
		char path[64];
		int locked = pool_open(worker, removal->root, node, O_PATH | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_XDEV);
		if (locked < 0)
			return locked;
		snprintf(path, sizeof path, "/proc/self/fd/%d", locked);
		fd = chmod(path, 0700) < 0 ? -EACCES : pool_open(worker, removal->root, node, flags, RESOLVE_NO_XDEV);
		close(locked);
	}
	return fd;
}

static void visit(struct worker *worker, struct node *node)
{
	struct removal *removal = worker->pool->context;
	int fd = open_directory(worker, removal, node);
	long got = 0;

	if (fd < 0) {
		if (fd == -EXDEV)
			fd = -EBUSY; /* what rmdir(2) says of a mount point */
		if (fd != -ENOENT)
			pool_fail(worker, node, NULL, -fd, 0);
		return;
	}
	pool_anchor(worker->pool, node, 0, fd);
	while (!over(worker->pool, removal) && (got = pool_entries(worker, fd)) > 0) {
		for (long at = 0; at < got;) {
			struct pool_entry *entry = (struct pool_entry *)(void *)(worker->names + at);
			int result = 1;

			at += entry->size;
			if (pool_dots(entry->name))
				continue;
			if (entry->type != DT_DIR) {
				if (too_big(removal, fd, entry->name)) {
					removal->over = 1;
					pool_stop(worker->pool);
					break;
				}
				result = unlink_entry(fd, entry->name);
			}
			if (result == 1) {
				struct node *child = pool_node(node, entry->name, 0);
				if (child)
					pool_push(worker->pool, child);
				else
					result = -ENOMEM;
			}
			if (result < 0)
				pool_fail(worker, node, entry->name, -result, 0);
		}
		if (pool_stopped(worker->pool))
			break;
	}
	if (got < 0 && got != -ENOENT)
		pool_fail(worker, node, NULL, (int)-got, 0);
	close(fd);
}

static int remove_directory(struct worker *worker, struct node *node)
{
	struct removal *removal = worker->pool->context;
	int parent, error = 0;

	if (!node->parent)
		return 0;
	parent = pool_open(worker, removal->root, node->parent, O_PATH | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_XDEV);
	if (parent < 0)
		return parent == -ENOENT ? 0 : -parent;
	if (unlinkat(parent, node->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		error = errno;
		if (error == ENOTDIR && unlink_entry(parent, node->name) == 0)
			error = 0; /* it has become something else meanwhile */
		if (error == EACCES) {
			char path[64];
			snprintf(path, sizeof path, "/proc/self/fd/%d", parent);
			if (chmod(path, 0700) == 0 && unlinkat(parent, node->name, AT_REMOVEDIR) == 0)
				error = 0;
		}
	}
	close(parent);
	return error;
}

static int finish(struct worker *worker, struct node *node)
{
	int error = remove_directory(worker, node);

	if (error == ENOTEMPTY || error == EEXIST) {
		/* Somebody has put more in, or readdir has missed one. */
		if (node->tries < TRIES && !worker->pool->error) {
			node->tries++;
			pool_push(worker->pool, node);
			return 1;
		}
	}
	if (error)
		pool_fail(worker, node, NULL, error, 0); /* its content's failure has come before it */
	return 0;
}

int st_remove(int directory, const char *name, int threads, int budget, char *failed)
{
	struct removal removal = {.root = -1, .budget = budget * INT64_C(1000000)};
	struct pool pool;
	struct node *root;
	int error, flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

	failed[0] = 0;
	if (!too_big(&removal, directory, name)) {
		error = unlink_entry(directory, name);
		if (error <= 0)
			return error;
	} else
		return 1;
	removal.root = pool_open_at(directory, name, flags, RESOLVE_NO_XDEV);
	if (removal.root == -EACCES && fchmodat(directory, name, 0700, 0) == 0)
		removal.root = pool_open_at(directory, name, flags, RESOLVE_NO_XDEV);
	if (removal.root < 0)
		return removal.root == -ENOENT ? 0 : removal.root == -EXDEV ? -EBUSY : removal.root;
	removal.worked = now(CLOCK_THREAD_CPUTIME_ID);
	removal.begun = now(CLOCK_MONOTONIC);
	for (int tries = 0;; tries++) {
		error = pool_init(&pool, visit, finish, &removal);
		if (error)
			break;
		root = pool_node(NULL, "", 0);
		if (root) {
			pool.own_fs = 1;
			pool.roots[0] = removal.root;
			pool_push(&pool, root);
			if (threads > 1 && pool_start(&pool, threads) == 0) {
				pool_wait(&pool, -1);
				pool_join(&pool);
			} else
				pool_run(&pool);
			error = pool.error;
			memcpy(failed, pool.failed, sizeof pool.failed);
		} else
			error = -ENOMEM;
		pool_free(&pool);
		if (error || removal.over)
			break;
		if (unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			break;
		error = -errno;
		if ((error != -ENOTEMPTY && error != -EEXIST) || tries >= TRIES)
			break;
	}
	close(removal.root);
	return error ? error : removal.over;
}

/* All descriptors but three; /dev/null for the standard streams, which somebody may read to their end. */
static void leave(int *directory, int *lock)
{
	int null = open("/dev/null", O_RDWR), base = 3;

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	*directory = fcntl(*directory, F_DUPFD, base + 2);
	*lock = fcntl(*lock, F_DUPFD, base + 2);
	if (*directory < 0 || *lock < 0)
		_exit(1);
	dup2(*directory, base);
	dup2(*lock, base + 1);
	syscall(SYS_close_range, base + 2, ~0U, 0);
	*directory = base;
	*lock = base + 1;
}

int st_remove_later(int directory, const char *tree, const char *lock, int lock_fd, const char *area, int threads)
{
	sigset_t all, old;
	int status = 0, error = 0; /* who ignores SIGCHLD is not told the status */
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0) {
		char failed[1024];
		int home;

		leave(&directory, &lock_fd);
		for (int number = 1; number < NSIG; number++)
			signal(number, SIG_DFL);
		sigemptyset(&all);
		pthread_sigmask(SIG_SETMASK, &all, NULL);
		if (setsid() < 0 || fchdir(directory) < 0)
			_exit(1);
		/* The first child ends when it holds no descriptor of the caller's: then the caller goes on. */
		pid = fork();
		if (pid)
			_exit(pid < 0);
		prctl(PR_SET_NAME, "pypod-remove");
		if (st_remove(directory, tree, threads, 0, failed) == 0)
			unlinkat(directory, lock, 0);
		home = open("..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (home >= 0)
			unlinkat(home, area, AT_REMOVEDIR);
		_exit(0);
	}
	if (pid < 0)
		error = -errno;
	else {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			error = -EAGAIN;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}
