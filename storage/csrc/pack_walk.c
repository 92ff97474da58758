/* The walk: one entry after the other, in the order of the names' bytes, without recursion. */
#define _GNU_SOURCE
#include "pack_walk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int pk_fail(struct st_pack *p, const char *path, const char *cause, int error)
{
	snprintf(p->message, sizeof p->message, "%s: %s", path[0] ? path : "/", cause ? cause : strerror(error));
	return p->failed = -error;
}

/* Reading must not change the times; who is not the owner cannot ask for that. */
static int open_quietly(int directory, const char *name, int flags)
{
	int fd = openat(directory, name, flags | O_NOATIME);

	return fd < 0 && errno == EPERM ? openat(directory, name, flags & ~O_NOATIME) : fd;
}

static int inside(const struct st_idrange *ranges, size_t count, uint32_t id, uint32_t *result)
{
	if (!count) {
		*result = id;
		return 1;
	}
	for (size_t i = 0; i < count; i++)
		if (id >= ranges[i].outside && id - ranges[i].outside < ranges[i].count) {
			*result = ranges[i].inside + (id - ranges[i].outside);
			return 1;
		}
	return 0;
}

static int header(struct st_pack *p, const char *name, const struct stat *found, char type, const char *target,
		  const struct pk_attributes *attributes)
{
	struct pk_entry entry = {
		.name = name,
		.name_length = strlen(name),
		.target = target,
		.type = type,
		.mode = found->st_mode & 07777,
		.size = type == '0' ? (uint64_t)found->st_size : 0,
		.seconds = found->st_mtim.tv_sec,
		.nanoseconds = (uint32_t)found->st_mtim.tv_nsec,
	};
	uint32_t uid = found->st_uid, gid = found->st_gid;
	int result;

	if (attributes && attributes->has_override) {
		/* These are the container's ids already. */
		entry.mode = attributes->mode;
		entry.uid = attributes->uid;
		entry.gid = attributes->gid;
	} else if (!inside(p->uids, p->uid_count, uid, &entry.uid) || !inside(p->gids, p->gid_count, gid, &entry.gid)) {
		char cause[96];
		snprintf(cause, sizeof cause, "its owner %u:%u is not in the container's user namespace", uid, gid);
		return pk_fail(p, name, cause, EOVERFLOW);
	}
	if (attributes && attributes->has_override && attributes->type && type == '0') {
		entry.type = attributes->type;
		entry.size = 0;
		entry.major = attributes->major;
		entry.minor = attributes->minor;
	} else if (type == '3' || type == '4') {
		entry.major = major(found->st_rdev);
		entry.minor = minor(found->st_rdev);
	}
	result = pk_header(&p->out, &entry, attributes ? &attributes->records : NULL);
	return result ? pk_fail(p, name, NULL, -result) : 0;
}

static int read_attributes(struct st_pack *p, int fd)
{
	int result = pk_attributes_read(fd, &p->attributes, &p->scratch, p->flags, p->root_uid);

	if (result)
		return pk_fail(p, p->path, NULL, -result);
	return p->attributes.refused ? pk_fail(p, p->path, p->attributes.refused, ENOTSUP) : 0;
}

/* The directories above that wait for their first entry. */
static int flush_pending(struct st_pack *p)
{
	for (size_t i = 1; i < p->depth; i++) {
		struct frame *frame = &p->frames[i];
		struct stat found;
		char kept = p->path[frame->path_length];
		int result, closed = frame->fd < 0;

		if (!frame->pending)
			continue;
		frame->pending = 0;
		result = closed ? pk_reopen(p, frame) : 0;
		if (result && !pk_vanished(-result))
			return pk_fail(p, p->path, NULL, -result);
		if (result || fstat(frame->fd, &found))
			continue;
		p->path[frame->path_length] = 0;
		result = read_attributes(p, frame->fd);
		if (!result)
			result = header(p, p->path, &found, '5', "", &p->attributes);
		p->path[frame->path_length] = kept;
		if (closed)
			pk_shut(frame);
		if (result)
			return result;
	}
	return 0;
}

/*
 * .wh.NAME, NAME being the last part of the path; found is what stands for it, NULL for nothing. It is root's, whoever
 * it belongs to on disk: the kernel makes whiteouts with the ids of who mounted, which a container's map may lack.
 */
static int whiteout(struct st_pack *p, size_t directory_length, const struct stat *found)
{
	char name[LONGEST + 8];
	struct pk_attributes roots = {.has_override = 1, .mode = 0600};
	struct stat shown = {0};
	int result = flush_pending(p);

	if (result)
		return result;
	if (found) {
		shown = *found;
		shown.st_mode = 0600;
		shown.st_size = 0;
		shown.st_mtim.tv_nsec = 0;
	}
	snprintf(name, sizeof name, "%.*s.wh.%s", (int)directory_length, p->path, p->path + directory_length);
	return header(p, name, &shown, '0', "", &roots);
}

static int same(const struct stat *one, const struct stat *other)
{
	return one->st_mode == other->st_mode && one->st_uid == other->st_uid && one->st_gid == other->st_gid &&
	       one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec &&
	       one->st_rdev == other->st_rdev && (S_ISDIR(one->st_mode) || one->st_size == other->st_size);
}

/* Takes over fd and old. */
static int directory(struct st_pack *p, int fd, int old, const struct stat *was, size_t length)
{
	struct frame *frame;
	struct stat found;
	int result, opaque;

	if (fstat(fd, &found)) {
		result = pk_fail(p, p->path, NULL, errno);
		goto failed;
	}
	if (length + 1 > LONGEST) {
		result = pk_fail(p, p->path, NULL, ENAMETOOLONG);
		goto failed;
	}
	result = read_attributes(p, fd);
	if (result)
		goto failed;
	p->path[length] = '/';
	p->path[length + 1] = 0;
	frame = pk_push(p, fd, old, length + 1);
	if (!frame) {
		result = pk_fail(p, p->path, NULL, ENOMEM);
		goto failed;
	}
	frame->xwhiteouts = p->attributes.xwhiteouts;
	opaque = p->attributes.opaque;
	if (was && same(&found, was)) {
		frame->pending = 1;
	} else {
		struct pk_attributes own = p->attributes; /* flush_pending reads others' */
		p->attributes.records = (struct pk_buffer){0};
		p->depth--;
		result = flush_pending(p);
		p->depth++;
		if (!result)
			result = header(p, p->path, &found, '5', "", &own);
		free(own.records.data);
		if (result)
			return result;
	}
	if ((p->flags & ST_PACK_ONE_FS) && found.st_dev != p->device)
		return 0;
	result = pk_names_read(fd, &frame->names, p->flags & ST_PACK_UPPER);
	if (!result && old >= 0)
		result = pk_names_add_gone(&frame->names, old);
	if (result)
		return pk_fail(p, p->path, NULL, -result);
	if ((p->flags & ST_PACK_UPPER) && (opaque || frame->names.opaque) && pk_directory_below(p, length)) {
		char name[LONGEST + 16];
		snprintf(name, sizeof name, "%s.wh..wh..opq", p->path);
		found.st_mode = 0600;
		found.st_size = 0;
		found.st_mtim.tv_nsec = 0;
		return header(p, name, &found, '0', "", NULL);
	}
	return 0;
failed:
	close(fd);
	if (old >= 0)
		close(old);
	return result;
}

/* Opens what was a file a moment ago; -1 and errno, ESTALE if it is something else now. The container may put a device
 * there, where it can make one, and the mere opening of some does something: so it is looked at first. */
static int open_file(struct st_pack *p, int directory, const char *name, struct stat *found)
{
	enum { FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
	char path[32];
	int fd, error, place = -1;

	if (p->devices) {
		place = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (place < 0)
			return -1;
		snprintf(path, sizeof path, "/proc/self/fd/%d", place);
		error = fstat(place, found) ? errno : S_ISREG(found->st_mode) ? 0 : ESTALE;
		fd = error ? -1 : open_quietly(AT_FDCWD, path, FLAGS);
	} else {
		fd = open_quietly(directory, name, FLAGS | O_NOFOLLOW);
		error = fd < 0 ? errno : fstat(fd, found) ? errno : S_ISREG(found->st_mode) ? 0 : ESTALE;
	}
	if (fd < 0 && !error)
		error = errno;
	if (place >= 0)
		close(place);
	if (fd >= 0 && error) {
		close(fd);
		fd = -1;
	}
	errno = error;
	return fd;
}

static int regular(struct st_pack *p, struct frame *frame, const char *name)
{
	struct stat found;
	const char *first = NULL;
	size_t directory_length = frame->path_length;
	int result, fd = open_file(p, frame->fd, name, &found);

	if (fd < 0)
		return pk_vanished(errno) ? 0 : pk_fail(p, p->path, NULL, errno);
	result = flush_pending(p);
	if (!result)
		result = read_attributes(p, fd);
	if (result)
		goto out;
	if (p->attributes.whiteout && frame->xwhiteouts && !found.st_size) {
		result = whiteout(p, directory_length, &found);
		goto out;
	}
	if (found.st_nlink > 1) {
		first = pk_link_seen(&p->links, found.st_dev, found.st_ino, p->path, strlen(p->path), &result);
		if (result) {
			result = pk_fail(p, p->path, NULL, -result);
			goto out;
		}
	}
	result = header(p, p->path, &found, first ? '1' : '0', first ? first : "", &p->attributes);
	int stands_in = p->attributes.has_override && p->attributes.type;
	if (!result && !first && !stands_in && found.st_size) {
		p->file = fd;
		p->cut = 0;
		p->left = (uint64_t)found.st_size;
		p->padding = (size_t)(-(uint64_t)found.st_size % TAR_BLOCK);
		if (found.st_size > 1 << 20)
			posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		return 0;
	}
out:
	close(fd);
	return result;
}

static int special(struct st_pack *p, struct frame *frame, const char *name, const struct stat *found)
{
	char target[LONGEST + 1] = "", type;
	const char *first = NULL;
	int result;

	if (S_ISSOCK(found->st_mode)) {
		p->sockets++;
		return 0;
	}
	type = S_ISLNK(found->st_mode) ? '2' : S_ISCHR(found->st_mode) ? '3' : S_ISBLK(found->st_mode) ? '4' : '6';
	if (type == '2') {
		ssize_t length = readlinkat(frame->fd, name, target, sizeof target - 1);
		if (length < 0)
			return pk_vanished(errno) || errno == EINVAL ? 0 : pk_fail(p, p->path, NULL, errno);
		target[length] = 0;
	}
	result = flush_pending(p);
	if (result)
		return result;
	if (found->st_nlink > 1) {
		first = pk_link_seen(&p->links, found->st_dev, found->st_ino, p->path, strlen(p->path), &result);
		if (result)
			return pk_fail(p, p->path, NULL, -result);
	}
	return header(p, p->path, found, first ? '1' : type, first ? first : target, NULL);
}

static int one(struct st_pack *p, struct frame *frame, const struct pk_name *item)
{
	const char *name = item->mark ? item->key - 4 : item->key;
	size_t length = strlen(item->key);
	struct stat found, was;
	int fd, old = -1, before = 0;

	if (frame->path_length + length > LONGEST) {
		memcpy(p->path + frame->path_length, "", 1);
		return pk_fail(p, p->path, "a name in it makes the path too long", ENAMETOOLONG);
	}
	memcpy(p->path + frame->path_length, item->key, length + 1);
	if (item->gone)
		return whiteout(p, frame->path_length, NULL);
	if (fstatat(frame->fd, name, &found, AT_SYMLINK_NOFOLLOW))
		return pk_vanished(errno) ? 0 : pk_fail(p, p->path, NULL, errno);
	if (p->flags & ST_PACK_UPPER && (item->mark || (S_ISCHR(found.st_mode) && !found.st_rdev)))
		return whiteout(p, frame->path_length, &found);
	if (frame->old >= 0) {
		before = !fstatat(frame->old, name, &was, AT_SYMLINK_NOFOLLOW);
		if (before && !S_ISDIR(found.st_mode) && same(&found, &was))
			return 0;
	}
	if (S_ISREG(found.st_mode))
		return regular(p, frame, name);
	if (!S_ISDIR(found.st_mode))
		return special(p, frame, name, &found);
	fd = open_quietly(frame->fd, name, DIRECTORY);
	if (fd < 0)
		return pk_vanished(errno) ? 0 : pk_fail(p, p->path, NULL, errno);
	if (before && S_ISDIR(was.st_mode)) {
		old = open_quietly(frame->old, name, DIRECTORY);
		if (old < 0) {
			int error = errno;
			close(fd);
			return pk_fail(p, p->path, NULL, error);
		}
	}
	return directory(p, fd, old, before ? &was : NULL, frame->path_length + length);
}

/* The next entry, or the archive's end, into out. */
int pk_advance(struct st_pack *p)
{
	while (p->depth) {
		struct frame *frame = &p->frames[p->depth - 1];
		struct pk_names *names = &frame->names;
		const struct pk_name *item;
		int result;

		if (names->next == names->count) {
			pk_drop(frame);
			p->depth--;
			continue;
		}
		if (frame->fd < 0) {
			p->path[frame->path_length] = 0;
			result = pk_reopen(p, frame);
			if (result && !pk_vanished(-result))
				return pk_fail(p, p->path, NULL, -result);
			if (result) {
				names->next = names->count;
				continue;
			}
		}
		item = &names->list[names->next++];
		/* A file and the mark that hides it: the file counts, and comes first. */
		if (item->mark && names->next > 1 && !strcmp(item[-1].key, item->key))
			continue;
		result = one(p, frame, item);
		if (result || p->out.length)
			return result;
	}
	p->ended = 1;
	if (pk_reserve(&p->out, 2 * TAR_BLOCK))
		return pk_fail(p, "", NULL, ENOMEM);
	memset(p->out.data, 0, 2 * TAR_BLOCK);
	p->out.length = 2 * TAR_BLOCK;
	return 0;
}
