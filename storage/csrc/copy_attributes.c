#define _GNU_SOURCE
#include "copy_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* linux/posix_acl_xattr.h, which user programs are not given. */
#define ACL_VERSION 2
#define ACL_USER 0x02
#define ACL_GROUP 0x08

struct acl_entry {
	uint16_t tag, permissions;
	uint32_t id;
};

static int map_id(const uint32_t *rows, int count, uint32_t *id)
{
	if (!count)
		return 0;
	for (int i = 0; i < count; i++) {
		const uint32_t *row = rows + 3 * i;
		if (*id >= row[0] && *id - row[0] < row[2]) {
			*id = row[1] + (*id - row[0]);
			return 0;
		}
	}
	return -ERANGE;
}

static int owner_of(struct worker *worker, struct node *node, const char *name, int group, uint32_t *id)
{
	struct st_copy *copy = worker->pool->context;
	const uint32_t *rows = group ? copy->map + 3 * copy->uid_rows : copy->map;

	if (map_id(rows, group ? copy->gid_rows : copy->uid_rows, id) == 0)
		return 0;
	pthread_mutex_lock(&worker->pool->lock);
	if (!worker->pool->error && !copy->no_room) {
		copy->no_room = group ? 2 : 1;
		copy->id = *id;
	}
	pthread_mutex_unlock(&worker->pool->lock);
	pool_fail(worker, node, name, ERANGE, 1);
	return -ERANGE;
}

/* The ids in an access control list, which are the namespace's own, as chown has the owner's. */
static int map_acl(struct worker *worker, struct node *node, const char *name, char *value, size_t size)
{
	uint32_t version;

	if (size < sizeof version)
		return 0;
	memcpy(&version, value, sizeof version);
	if (version != ACL_VERSION) /* little endian, as are the machines that we know */
		return 0;
	for (size_t at = sizeof version; at + sizeof(struct acl_entry) <= size; at += sizeof(struct acl_entry)) {
		struct acl_entry entry;
		int result = 0;
		memcpy(&entry, value + at, sizeof entry);
		if (entry.tag == ACL_USER || entry.tag == ACL_GROUP)
			result = owner_of(worker, node, name, entry.tag == ACL_GROUP, &entry.id);
		if (result)
			return result;
		memcpy(value + at, &entry, sizeof entry);
	}
	return 0;
}

static int left_out(const char *key)
{
	return !strncmp(key, "trusted.overlay.", 16) || !strncmp(key, "user.overlay.", 13) ||
	       !strcmp(key, "security.selinux");
}

/* `from` and `to` are paths of what cannot be opened, or NULL: then the descriptors count. */
struct pair {
	int from, to;
	const char *from_path, *to_path;
};

static ssize_t list(const struct pair *pair, char *names, size_t size)
{
	return pair->from_path ? llistxattr(pair->from_path, names, size) : flistxattr(pair->from, names, size);
}

static ssize_t get(const struct pair *pair, const char *key, char *value, size_t size)
{
	return pair->from_path ? lgetxattr(pair->from_path, key, value, size)
			       : fgetxattr(pair->from, key, value, size);
}

static int copy_one(struct worker *worker, struct node *node, const char *name, const struct pair *pair,
		    const char *key)
{
	struct st_copy *copy = worker->pool->context;
	char *value = NULL;
	ssize_t size;
	int result = 0;

	for (;;) {
		size = get(pair, key, NULL, 0);
		if (size < 0)
			return errno == ENODATA ? 0 : -errno;
		value = malloc((size_t)size + 1);
		if (!value)
			return -ENOMEM;
		size = get(pair, key, value, (size_t)size);
		if (size >= 0)
			break;
		result = -errno;
		free(value);
		if (result != -ERANGE) /* it has grown meanwhile */
			return result == -ENODATA ? 0 : result;
		result = 0;
	}
	if ((copy->uid_rows || copy->gid_rows) && !strncmp(key, "system.posix_acl_", 17))
		result = map_acl(worker, node, name, value, (size_t)size);
	if (!result && (pair->to_path ? lsetxattr(pair->to_path, key, value, (size_t)size, 0)
				      : fsetxattr(pair->to, key, value, (size_t)size, 0)) < 0)
		/* What this user or file system may not keep, it is not given; podman does the same. */
		result = errno == ENOTSUP || errno == EPERM ? 0 : -errno;
	free(value);
	return result;
}

static int copy_xattrs(struct worker *worker, struct node *node, const char *name, const struct pair *pair)
{
	char few[512], *names = few;
	ssize_t size = list(pair, names, sizeof few);
	int result = 0;

	if (size < 0 && errno == ERANGE) {
		names = malloc(XATTR_LIST_MAX);
		if (!names)
			return -ENOMEM;
		size = list(pair, names, XATTR_LIST_MAX);
	}
	if (size < 0)
		result = errno == ENOTSUP ? 0 : -errno;
	for (ssize_t at = 0; at < size && !result; at += (ssize_t)strlen(names + at) + 1)
		if (!left_out(names + at))
			result = copy_one(worker, node, name, pair, names + at);
	if (names != few)
		free(names);
	return result;
}

static int chmod_later(const struct stat *status)
{
	return S_ISDIR(status->st_mode) || (S_ISREG(status->st_mode) && status->st_size > COPY_PART);
}

int copy_attributes(struct worker *worker, struct node *node, const char *name, int from, int to,
		    const struct stat *status)
{
	struct st_copy *copy = worker->pool->context;
	const struct timespec times[2] = {status->st_atim, status->st_mtim};
	char from_path[320], to_path[320];
	struct pair pair = {.from = from, .to = to};
	uint32_t uid = status->st_uid, gid = status->st_gid;
	int result, mapped = copy->uid_rows || copy->gid_rows, link = S_ISLNK(status->st_mode);
	int by_name = !S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode);

	if (owner_of(worker, node, name, 0, &uid) || owner_of(worker, node, name, 1, &gid))
		return -ERANGE;
	if (uid != geteuid() || gid != getegid() || !copy->own_group) {
		int failed = by_name ? fchownat(to, name, uid, gid, AT_SYMLINK_NOFOLLOW) : fchown(to, uid, gid);
		if (failed < 0 && (mapped || errno != EPERM || geteuid() == 0))
			return -errno;
	}
	/* After the owner, whose change drops set-id bits and capabilities. Others were made with their mode. */
	if (!link && (chmod_later(status) || status->st_mode & 07000) && (by_name ? fchmodat(to, name, status->st_mode & 07777, 0)
			      : fchmod(to, status->st_mode & 07777)) < 0)
		return -errno;
	if (by_name) {
		snprintf(from_path, sizeof from_path, "/proc/self/fd/%d/%s", from, name);
		snprintf(to_path, sizeof to_path, "/proc/self/fd/%d/%s", to, name);
		pair.from_path = from_path;
		pair.to_path = to_path;
	}
	result = copy_xattrs(worker, node, name, &pair);
	if (result)
		return result;
	if ((by_name ? utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) : futimens(to, times)) < 0)
		return -errno;
	return 0;
}
