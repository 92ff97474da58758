#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int write_all(int fd, const void *data, size_t length)
{
	const char *at = data;
	while (length) {
		ssize_t done = write(fd, at, length);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		at += done;
		length -= (size_t)done;
	}
	return 0;
}

ssize_t read_file(const char *path, char *out, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t at = 0;
	while (at < room) {
		ssize_t got = read(fd, out + at, room - at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		at += (size_t)got;
	}
	close(fd);
	return (ssize_t)at;
}

size_t decimal(char *out, long long value)
{
	return (size_t)snprintf(out, 24, "%lld", value);
}

int join_path(char *out, size_t room, const char *directory, const char *name)
{
	int length = snprintf(out, room, "%s/%s", directory, name);
	if (length < 0 || (size_t)length >= room) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int replace_file(const char *path, const char *text, size_t length)
{
	char temporary[PATH_ROOM];
	int size = snprintf(temporary, sizeof(temporary), "%s.%d.tmp", path, (int)getpid());
	if (size < 0 || (size_t)size >= sizeof(temporary)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	int failed = write_all(fd, text, length);
	int errnum = errno;
	close(fd);
	if (!failed && rename(temporary, path) == 0)
		return 0;
	if (!failed)
		errnum = errno;
	unlink(temporary);
	errno = errnum;
	return -1;
}

struct entry { /* linux_dirent64 of getdents64(2) */
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

void record_inherited(struct monitor *m)
{
	char buffer[2048] __attribute__((aligned(8)));
	int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (long got; (got = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0;) {
		for (long at = 0; at < got;) {
			const struct entry *entry = (const void *)(buffer + at);
			at += entry->length;
			int number = 0;
			const char *digit = entry->name;
			for (; *digit >= '0' && *digit <= '9' && number < INT_MAX / 10 - 1; digit++)
				number = number * 10 + (*digit - '0');
			if (*digit || number == fd || number <= STDERR_FILENO)
				continue;
			if (number < MAX_FDS)
				m->inherited[number / 8] |= (unsigned char)(1u << (number % 8));
			else
				m->inherited_more = 1;
		}
	}
	close(fd);
}

void forget_inherited(struct monitor *m, int fd)
{
	if (fd < MAX_FDS)
		m->inherited[fd / 8] &= (unsigned char)~(1u << (fd % 8));
}

void close_inherited(struct monitor *m)
{
	for (int fd = STDERR_FILENO + 1; fd < MAX_FDS; fd++) {
		if (m->inherited[fd / 8] & (1u << (fd % 8)))
			close(fd);
	}
	memset(m->inherited, 0, sizeof(m->inherited));
	if (m->inherited_more)
		close_from(MAX_FDS);
}

void close_from(int first)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
		return;
#endif
	long limit = sysconf(_SC_OPEN_MAX);
	for (int fd = first; fd < limit; fd++)
		close(fd);
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void leave(int status)
{
#ifdef __SANITIZE_ADDRESS__
	exit(status); /* where leaks are looked for */
#else
	_exit(status);
#endif
}

void set_cloexec(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void default_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
