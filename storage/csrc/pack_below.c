/* What the layers below show; how the walk opens what is deep in a tree. */
#define _GNU_SOURCE
#include "pack_walk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_LEVELS 48 /* directories that stay open on the way down; others are opened again */

int pk_open_below(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* What to do when an open says that something else is there now, or nothing. */
int pk_vanished(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO || error == ESTALE;
}

/* Whether the layers below show a directory at the path, which this one hides. */
int pk_directory_below(struct st_pack *p, size_t length)
{
	char path[LONGEST + 2];

	for (size_t i = 0; i < p->lower_count; i++) {
		size_t end = 0;

		memcpy(path, p->path, length);
		path[length] = 0;
		while (end < length) {
			struct stat found;
			int fd, opaque, result;
			char *slash = memchr(path + end, '/', length - end);

			end = slash ? (size_t)(slash - path) : length;
			path[end] = 0;
			fd = pk_open_below(p->lowers[i], path, O_PATH | O_NOFOLLOW);
			if (fd < 0)
				break; /* not in this layer */
			result = fstat(fd, &found);
			close(fd);
			if (result || !S_ISDIR(found.st_mode))
				return 0;
			if (end == length)
				return 1;
			fd = pk_open_below(p->lowers[i], path, DIRECTORY);
			opaque = 0;
			if (fd >= 0) {
				struct pk_attributes of_lower = {0};
				if (!pk_attributes_read(fd, &of_lower, &p->scratch, p->flags, 0))
					opaque = of_lower.opaque;
				if (!opaque)
					opaque = !faccessat(fd, ".wh..wh..opq", F_OK, AT_SYMLINK_NOFOLLOW);
				free(of_lower.records.data);
				close(fd);
			}
			path[end] = '/';
			if (opaque) {
				/* It ends here, unless this layer itself has the rest. */
				path[length] = 0;
				fd = pk_open_below(p->lowers[i], path, O_PATH | O_NOFOLLOW | O_DIRECTORY);
				if (fd < 0)
					return 0;
				close(fd);
				return 1;
			}
			end++;
		}
	}
	return 0;
}

struct frame *pk_push(struct st_pack *p, int fd, int old, size_t path_length)
{
	if (p->depth == p->frame_capacity) {
		size_t capacity = p->frame_capacity ? p->frame_capacity * 2 : 16;
		struct frame *bigger = realloc(p->frames, capacity * sizeof *bigger);
		if (!bigger)
			return NULL;
		p->frames = bigger;
		p->frame_capacity = capacity;
	}
	if (p->depth > OPEN_LEVELS)
		pk_shut(&p->frames[p->depth - OPEN_LEVELS]);
	p->frames[p->depth] = (struct frame){.fd = fd, .old = old, .path_length = path_length, .was = old >= 0};
	return &p->frames[p->depth++];
}

int pk_reopen(struct st_pack *p, struct frame *frame)
{
	char kept = p->path[frame->path_length];
	int error = 0;

	p->path[frame->path_length] = 0;
	frame->fd = pk_open_below(p->root, p->path, DIRECTORY);
	if (frame->fd >= 0 && frame->was)
		frame->old = pk_open_below(p->lowers[0], p->path, DIRECTORY);
	if (frame->fd < 0 || (frame->was && frame->old < 0)) {
		error = errno;
		pk_shut(frame);
	}
	p->path[frame->path_length] = kept;
	return -error;
}

void pk_shut(struct frame *frame)
{
	if (frame->fd >= 0)
		close(frame->fd);
	if (frame->old >= 0)
		close(frame->old);
	frame->fd = frame->old = -1;
}

void pk_drop(struct frame *frame)
{
	pk_shut(frame);
	pk_names_free(&frame->names);
}
