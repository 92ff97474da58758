#define _GNU_SOURCE
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

uint32_t fuzz_random(uint32_t *state, uint32_t limit)
{
	*state = *state * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)*state * limit) >> 32);
}

_Noreturn void fuzz_fail(const char *what)
{
	fprintf(stderr, "broken promise: %s\n", what);
	abort();
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fuzz_fail(path);
	close(fd);
}

static void enter_namespace(void)
{
	unsigned uid = geteuid(), gid = getegid(), size = uid == 0 ? 65536 : 1;
	int ready[2], status;
	char path[64], map[64];
	pid_t child, self = getpid();

	/* Only a process outside may map more than one id. */
	if (pipe(ready) < 0 || (child = fork()) < 0)
		fuzz_fail("fork");
	if (child == 0) {
		close(ready[1]);
		if (read(ready[0], path, 1) < 0)
			_exit(1);
		snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)self);
		if (uid != 0)
			write_text(path, "deny");
		snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)self);
		snprintf(map, sizeof(map), "0 %u %u\n", uid, size);
		write_text(path, map);
		snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)self);
		snprintf(map, sizeof(map), "0 %u %u\n", gid, size);
		write_text(path, map);
		_exit(0);
	}
	close(ready[0]);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		fuzz_fail("unshare");
	close(ready[1]);
	if (waitpid(child, &status, 0) < 0 || status != 0)
		fuzz_fail("the namespace's maps");
}

static struct stat secret, outside;

void fuzz_make_place(const char *const *names)
{
	const char *parent = getenv("FUZZ_PLACE");

	if (parent == NULL || chdir(parent) < 0)
		fuzz_fail("FUZZ_PLACE names no directory");
	/* A user namespace takes from root what root could do to this machine: devices, mounts. */
	enter_namespace();
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fuzz", parent, "tmpfs", 0, "size=64m,nr_inodes=20000,mode=700") < 0 || chdir(parent) < 0)
		fuzz_fail("mount");
	for (; *names != NULL; names++)
		if (mkdir(*names, 0700) < 0)
			fuzz_fail(*names);
	if (mkdir("outside", 0700) < 0)
		fuzz_fail("mkdir");
	write_text("outside/secret", "secret");
	if (stat("outside", &outside) < 0 || stat("outside/secret", &secret) < 0)
		fuzz_fail("stat");
}

static int same(const char *path, const struct stat *old)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_ino == old->st_ino && now.st_mode == old->st_mode &&
	       now.st_nlink == old->st_nlink && now.st_uid == old->st_uid && now.st_size == old->st_size &&
	       now.st_ctim.tv_sec == old->st_ctim.tv_sec && now.st_ctim.tv_nsec == old->st_ctim.tv_nsec;
}

void fuzz_check_outside(void)
{
	if (!same("outside", &outside) || !same("outside/secret", &secret))
		fuzz_fail("something outside has been touched");
}

static const char *top;

static int drop(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)walk;
	if (strcmp(path, top) == 0)
		return 0;
	return kind == FTW_DP || kind == FTW_DNR ? rmdir(path) : unlink(path);
}

void fuzz_empty(const char *directory)
{
	top = directory;
	nftw(directory, drop, 40, FTW_DEPTH | FTW_PHYS);
	if (access(directory, F_OK) < 0 && mkdir(directory, 0700) < 0)
		fuzz_fail("the tree cannot be removed");
}
