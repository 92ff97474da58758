/* Attributes, and what a directory keeps from the layers below. */
#define _GNU_SOURCE
#include "unpack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int st_unpack_own_attribute(const char *key)
{
	static const char *const own[] = { "trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.",
					   "user.containers." };

	if (strcmp(key, "security.selinux") == 0)
		return 1;
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strncmp(key, own[i], strlen(own[i])) == 0)
			return 1;
	return 0;
}

int st_unpack_attribute(struct st_unpack *u, int fd, const char *path, const char *key, const void *value, size_t n)
{
	if (st_unpack_own_attribute(key))
		return 0;
	int result = fd >= 0 ? fsetxattr(fd, key, value, n, 0) : lsetxattr(path, key, value, n, 0);
	if (!result || errno == ENOTSUP || (errno == EPERM && u->options.in_user_namespace))
		return 0;
	if (errno == EINVAL)
		return st_unpack_broken(u, "broken archive: \1: one of its extended attributes has no valid value");
	return st_unpack_failed(u, errno);
}

static int copy_attributes(struct st_unpack *u, int from, int to)
{
	int error = 0;
	ssize_t size = flistxattr(from, NULL, 0);

	if (size <= 0)
		return size && errno != ENOTSUP ? st_unpack_failed(u, errno) : 0;
	char *keys = malloc((size_t)size);
	char *value = malloc(1 << 16);
	if (!keys || !value)
		error = -ENOMEM;
	else if ((size = flistxattr(from, keys, (size_t)size)) < 0)
		error = st_unpack_failed(u, errno);
	for (char *key = keys; !error && key < keys + size; key += strlen(key) + 1) {
		if (st_unpack_own_attribute(key) || strncmp(key, "security.selinux", 16) == 0)
			continue;
		ssize_t n = fgetxattr(from, key, value, 1 << 16);
		error = n < 0 ? st_unpack_failed(u, errno) : st_unpack_attribute(u, to, NULL, key, value, (size_t)n);
	}
	free(keys);
	free(value);
	return error;
}

static int take(struct st_unpack *u, int fd, int source, int64_t *mtime)
{
	struct stat found;

	if (fstat(source, &found))
		return st_unpack_failed(u, errno);
	if (!u->options.masked && (fchown(fd, found.st_uid, found.st_gid) || fchmod(fd, found.st_mode & 07777)))
		return st_unpack_failed(u, errno);
	int error = copy_attributes(u, source, fd);
	if (!error && u->options.masked)
		error = st_unpack_mask_after(u, fd, source);

	*mtime = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
	if (!error)
		error = st_idset_add(&u->uids, found.st_uid);
	return error ? error : st_idset_add(&u->gids, found.st_gid);
}

int st_unpack_take_after(struct st_unpack *u, int fd, const char *path, int64_t *mtime)
{
	*mtime = ST_NAMES_NO_TIME;
	for (size_t i = 0; i < u->options.lower_count; i++) {
		int source = st_unpack_open_strictly(u->lowers[i], path, O_RDONLY | O_DIRECTORY);
		if (source == -ENOENT)
			continue;
		if (source < 0)
			break; /* not a directory there: a whiteout, a file or a link */
		int error = take(u, fd, source, mtime);
		close(source);
		return error;
	}
	int error = u->options.masked ? st_unpack_mask(u, fd, 0, 0, 0755, "")
		    : fchmod(fd, 0755) ? st_unpack_failed(u, errno)
				       : 0;
	if (!error)
		error = st_idset_add(&u->uids, 0);
	return error ? error : st_idset_add(&u->gids, 0);
}

int st_unpack_inherit(st_unpack *u, const char *path)
{
	int fd = st_unpack_open_in_root(u->options.root, path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return st_unpack_failed(u, -fd);
	int64_t mtime;
	int error = st_unpack_take_after(u, fd, path, &mtime);
	if (!error)
		error = st_unpack_locate(u, fd);
	if (!error && mtime != ST_NAMES_NO_TIME)
		u->names.nodes[u->parent_node].mtime = mtime;
	close(fd);
	return error;
}
