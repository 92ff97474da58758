/* The stream: headers, contents and padding, as much as the caller has room for. */
#define _GNU_SOURCE
#include "pack_walk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Some of the present file's content, which has the size that its header says, whatever happens to the file. */
static int64_t content(struct st_pack *p, char *buffer, size_t capacity)
{
	size_t count = p->left < capacity ? (size_t)p->left : capacity;
	ssize_t got = p->cut ? 0 : read(p->file, buffer, count);

	if (got < 0)
		return errno == EINTR ? 0 : pk_fail(p, p->path, NULL, errno);
	if (!got) {
		p->shrunk += !p->cut;
		p->cut = 1;
		memset(buffer, 0, count);
		got = (ssize_t)count;
	}
	p->left -= (uint64_t)got;
	return got;
}

int64_t st_pack_read(struct st_pack *p, void *buffer, size_t capacity)
{
	char *at = buffer;
	size_t room = capacity > INT64_MAX ? INT64_MAX : capacity, all = room;

	if (p->failed)
		return p->failed;
	while (room) {
		if (p->out_at < p->out.length) {
			size_t count = p->out.length - p->out_at;
			if (count > room)
				count = room;
			memcpy(at, p->out.data + p->out_at, count);
			p->out_at += count;
			at += count;
			room -= count;
		} else if (p->file >= 0 && p->left) {
			int64_t got = content(p, at, room);
			if (got < 0)
				return got;
			at += got;
			room -= (size_t)got;
		} else if (p->padding) {
			size_t count = p->padding < room ? p->padding : room;
			memset(at, 0, count);
			p->padding -= count;
			at += count;
			room -= count;
		} else {
			int result;
			if (p->file >= 0)
				close(p->file);
			p->file = -1;
			p->out.length = p->out_at = 0;
			if (p->ended)
				break;
			result = pk_advance(p);
			if (result)
				return result;
		}
	}
	return (int64_t)(all - room);
}

static int copy_ranges(struct st_idrange **to, const struct st_idrange *from, size_t count)
{
	*to = NULL;
	if (!count)
		return 0;
	*to = calloc(count, sizeof **to);
	if (!*to)
		return -ENOMEM;
	memcpy(*to, from, count * sizeof **to);
	return 0;
}

/* None do on a file system mounted with nodev, and nobody can make one in a user namespace but the first. */
static int devices_work(int fd)
{
	const ino_t first = 0xEFFFFFFD; /* PROC_USER_INIT_INO */
	struct statvfs system;
	struct stat namespace;

	return !(fstatvfs(fd, &system) == 0 && system.f_flag & ST_NODEV) &&
	       !(stat("/proc/self/ns/user", &namespace) == 0 && namespace.st_ino != first);
}

struct st_pack *st_pack_open(int root, const int *lowers, size_t lower_count, const struct st_idrange *uids,
			     size_t uid_count, const struct st_idrange *gids, size_t gid_count, int flags, int *error)
{
	struct st_pack *p = calloc(1, sizeof *p);
	struct frame *frame;
	struct stat found;
	int fd;

	if (!p) {
		*error = -ENOMEM;
		return NULL;
	}
	p->file = p->root = -1;
	p->flags = flags;
	p->uid_count = uid_count;
	p->gid_count = gid_count;
	if ((*error = copy_ranges(&p->uids, uids, uid_count)) || (*error = copy_ranges(&p->gids, gids, gid_count)))
		goto failed;
	for (size_t i = 0; i < uid_count; i++)
		if (!uids[i].inside)
			p->root_uid = uids[i].outside;
	*error = -ENOMEM;
	p->lowers = calloc(lower_count + 1, sizeof *p->lowers);
	if (!p->lowers)
		goto failed;
	for (; p->lower_count < lower_count; p->lower_count++) {
		fd = fcntl(lowers[p->lower_count], F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			*error = -errno;
			goto failed;
		}
		p->lowers[p->lower_count] = fd;
	}
	p->root = openat(root, ".", DIRECTORY);
	fd = p->root < 0 ? -1 : fcntl(p->root, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || fstat(fd, &found)) {
		*error = -errno;
		if (fd >= 0)
			close(fd);
		goto failed;
	}
	p->device = found.st_dev;
	p->devices = devices_work(p->root);
	frame = pk_push(p, fd, -1, 0);
	if (!frame) {
		close(fd);
		goto failed;
	}
	if (flags & ST_PACK_CHANGES && lower_count) {
		frame->old = openat(p->lowers[0], ".", DIRECTORY);
		if (frame->old < 0) {
			*error = -errno;
			goto failed;
		}
	}
	*error = pk_names_read(fd, &frame->names, flags & ST_PACK_UPPER);
	if (!*error && frame->old >= 0)
		*error = pk_names_add_gone(&frame->names, frame->old);
	if (*error)
		goto failed;
	return p;
failed:
	st_pack_close(p);
	return NULL;
}

const char *st_pack_message(const struct st_pack *p)
{
	return p->message;
}

uint64_t st_pack_shrunk(const struct st_pack *p)
{
	return p->shrunk;
}

uint64_t st_pack_sockets(const struct st_pack *p)
{
	return p->sockets;
}

void st_pack_close(struct st_pack *p)
{
	if (!p)
		return;
	while (p->depth)
		pk_drop(&p->frames[--p->depth]);
	free(p->frames);
	if (p->file >= 0)
		close(p->file);
	for (size_t i = 0; i < p->lower_count; i++)
		close(p->lowers[i]);
	free(p->lowers);
	if (p->root >= 0)
		close(p->root);
	free(p->uids);
	free(p->gids);
	free(p->out.data);
	free(p->attributes.records.data);
	pk_links_free(&p->links);
	free(p);
}
