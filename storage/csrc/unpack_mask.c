/* force_mask (containers-storage.conf(5)): all files have one mode; owner, mode and type are told by an attribute. */
#define _GNU_SOURCE
#include "unpack_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define OVERRIDE "user.containers.override_stat"

static int keep(struct st_unpack *u, int fd, const char *text, size_t n)
{
	return fchmod(fd, u->options.mask) || fsetxattr(fd, OVERRIDE, text, n, 0) ? st_unpack_failed(u, errno) : 0;
}

int st_unpack_mask(struct st_unpack *u, int fd, uint32_t uid, uint32_t gid, uint32_t mode, const char *type)
{
	char text[96];
	int n = snprintf(text, sizeof text, "%u:%u:0%o%s", uid, gid, mode & 07777, type);

	return keep(u, fd, text, (size_t)n);
}

int st_unpack_mask_after(struct st_unpack *u, int fd, int source)
{
	struct stat found;
	char text[96];
	ssize_t n = fgetxattr(source, OVERRIDE, text, sizeof text);

	if (n > 0)
		return keep(u, fd, text, (size_t)n);
	if (fstat(source, &found))
		return st_unpack_failed(u, errno);
	return st_unpack_mask(u, fd, found.st_uid, found.st_gid, found.st_mode, "");
}
