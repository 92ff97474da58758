#define _GNU_SOURCE
#include "unpack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PIECE = 1 << 20,     /* bytes of a raw record */
	MUCH_TEXT = 1 << 17, /* that is to be taken away */
	WRITEBACK = 8 << 20, /* bytes of a file after which the kernel may begin to write them out */
};

int st_unpack_broken(struct st_unpack *u, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(u->error, sizeof u->error, format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

int st_unpack_failed(struct st_unpack *u, int error_number)
{
	char text[100];
	const char *cause = strerror_r(error_number, text, sizeof text);

	if (error_number == ENOSPC || error_number == EDQUOT) {
		st_unpack_broken(u, "cannot unpack the image: %s", cause);
		return -error_number;
	}
	if (error_number == EINVAL && u->options.in_user_namespace) {
		st_unpack_broken(u, "cannot unpack \1: owner %u:%u is not mapped in the user namespace", u->entry->uid,
				 u->entry->gid);
		return -EINVAL;
	}
	return st_unpack_broken(u, "cannot unpack \1: %s", cause);
}

st_unpack *st_unpack_new(const st_unpack_options *options)
{
	struct st_unpack *u = calloc(1, sizeof *u);

	if (!u)
		return NULL;
	u->options = *options;
	u->options.shadow = strdup(options->shadow);
	u->parent = u->out = u->shadow = -1;
	u->lowers = malloc((options->lower_count + 1) * sizeof *u->lowers);
	u->tar = st_tar_new(&options->limits);
	u->split = st_split_new();
	if (st_names_init(&u->names) || !u->options.shadow || !u->lowers || !u->tar || !u->split) {
		st_unpack_free(u);
		return NULL;
	}
	if (options->lower_count)
		memcpy(u->lowers, options->lowers, options->lower_count * sizeof *u->lowers);
	u->entry = st_tar_current(u->tar);
	return u;
}

void st_unpack_free(st_unpack *u)
{
	if (!u)
		return;
	const int descriptors[] = { u->parent, u->out, u->shadow };
	for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
		if (descriptors[i] >= 0)
			close(descriptors[i]);
	struct st_buffer *const buffers[] = { &u->raw,	 &u->real_root, &u->path,  &u->target,
					      &u->parent_name, &u->prefix, &u->made,  &u->shadowed,
					      &u->shadow_paths, &u->implied };
	for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
		st_buffer_free(buffers[i]);
	st_names_free(&u->names);
	free(u->uids.slots);
	free(u->gids.slots);
	free(u->lowers);
	free((char *)u->options.shadow);
	st_tar_free(u->tar);
	st_split_free(u->split);
	free(u);
}

static int flush_raw(struct st_unpack *u)
{
	int error = st_split_raw(u->split, u->raw.data, u->raw.size);

	u->raw.size = 0;
	return error;
}

static int raw(struct st_unpack *u, const char *p, size_t n)
{
	int error = 0;

	while (!error && n) {
		size_t take = PIECE - u->raw.size < n ? PIECE - u->raw.size : n;
		error = st_buffer_add(&u->raw, p, take);
		p += take;
		n -= take;
		if (!error && u->raw.size == PIECE)
			error = flush_raw(u);
	}
	return error;
}

static int headers(struct st_unpack *u, const char *p, size_t n, size_t *used)
{
	int result = st_tar_feed(u->tar, p, n, used);

	if (result < 0) {
		st_unpack_broken(u, "%s", st_tar_error(u->tar));
		return result;
	}
	int error = raw(u, p, *used);
	if (error)
		return error;
	if (result == ST_TAR_END)
		u->state = TRAILER;
	if (result != ST_TAR_ENTRY)
		return 0;
	error = flush_raw(u);
	if (!error)
		error = st_unpack_begin(u);
	if (!error && u->state == CONTENT && !u->left)
		error = st_unpack_end(u);
	return error;
}

static int write_out(struct st_unpack *u, const char *p, size_t n)
{
	while (n) {
		ssize_t done = pwrite(u->out, p, n, (off_t)u->offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return st_unpack_failed(u, errno);
		p += done;
		n -= (size_t)done;
		u->offset += done;
	}
	if (u->offset - u->flushed >= WRITEBACK) {
		/* So that the flush at the end has less to wait for; whether it can be done does not matter here. */
		sync_file_range(u->out, u->flushed, u->offset - u->flushed, SYNC_FILE_RANGE_WRITE);
		u->flushed = u->offset;
	}
	return 0;
}

static int content(struct st_unpack *u, const char *p, size_t n)
{
	u->crc = st_crc64(u->crc, p, n);
	int error = write_out(u, p, n);
	u->left -= (int64_t)n;
	return error || u->left ? error : st_unpack_end(u);
}

/* Goes on to the next piece with something in it; after the last one the file is complete. */
static int next_piece(struct st_unpack *u)
{
	while (!u->left) {
		if (u->piece == u->entry->piece_count)
			return st_unpack_end(u);
		const st_tar_piece *piece = &u->entry->pieces[u->piece++];
		u->left = piece->length;
		u->offset = u->flushed = piece->offset;
	}
	return 0;
}

int st_unpack_feed(st_unpack *u, const void *data, size_t n, size_t *used)
{
	const char *p = data;
	int error = 0;

	*used = 0;
	while (!error && *used < n) {
		size_t text, take = n - *used;
		st_split_text(u->split, &text);
		if (text > MUCH_TEXT)
			break;
		if (u->state == PIECES && (error = next_piece(u)))
			break;
		if (u->state != HEADERS && u->state != TRAILER && (uint64_t)u->left < take)
			take = (size_t)u->left;
		switch (u->state) {
		case HEADERS:
			error = headers(u, p + *used, take, &take);
			break;
		case CONTENT:
			error = content(u, p + *used, take);
			break;
		case PIECES:
			error = raw(u, p + *used, take);
			if (!error)
				error = write_out(u, p + *used, take);
			u->left -= (int64_t)take;
			break;
		case LEFT_OUT:
			error = raw(u, p + *used, take);
			u->left -= (int64_t)take;
			if (!u->left)
				u->state = HEADERS;
			break;
		case TRAILER:
			error = raw(u, p + *used, take);
			break;
		}
		*used += take;
	}
	return error;
}

static int directory_time(void *self, const char *path, int64_t mtime)
{
	struct st_unpack *u = self;
	int fd = st_unpack_open_strictly(u->options.root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

	if (fd < 0)
		return 0; /* somebody else has taken it away */
	int64_t rest = mtime % 1000000000;
	if (rest < 0)
		rest += 1000000000;
	struct timespec time = { (time_t)((mtime - rest) / 1000000000), (long)rest };
	int result = futimens(fd, (struct timespec[2]){ time, time }) ? st_unpack_failed(u, errno) : 0;
	close(fd);
	return result;
}

int st_unpack_finish(st_unpack *u)
{
	int error = u->state == PIECES ? next_piece(u) : 0;

	if (error)
		return error;
	if (u->state != HEADERS && u->state != TRAILER)
		return st_unpack_broken(u, "broken archive: it ends in the middle of a file");
	if (st_tar_finish(u->tar))
		return st_unpack_broken(u, "%s", st_tar_error(u->tar));
	error = flush_raw(u);
	return error ? error : st_names_times(&u->names, directory_time, u);
}

int st_unpack_cut(st_unpack *u)
{
	int error = flush_raw(u);

	if (!error && u->state == CONTENT && u->entry->size > u->left)
		error = st_unpack_record(u, 0, u->entry->size - u->left, u->crc);
	return error;
}

const char *st_unpack_text(const st_unpack *u, size_t *size)
{
	return st_split_text(u->split, size);
}

void st_unpack_clear(st_unpack *u)
{
	st_split_clear(u->split);
}

const uint32_t *st_unpack_ids(const st_unpack *u, int groups, size_t *size)
{
	const struct st_idset *set = groups ? &u->gids : &u->uids;

	*size = set->room;
	return set->slots;
}

size_t st_unpack_shadows(const st_unpack *u)
{
	return u->shadowed.size / sizeof(struct unpack_shadow);
}

static int by_position(const void *left, const void *right)
{
	const struct unpack_shadow *one = left, *other = right;

	return (one->position > other->position) - (one->position < other->position);
}

const char *st_unpack_shadow(st_unpack *u, uint32_t position)
{
	const struct unpack_shadow wanted = { .position = position }, *found;
	size_t count = st_unpack_shadows(u);

	if (!count)
		return NULL;
	if (!u->sorted)
		qsort(u->shadowed.data, count, sizeof wanted, by_position);
	u->sorted = true;
	found = bsearch(&wanted, u->shadowed.data, count, sizeof wanted, by_position);
	return found ? u->shadow_paths.data + found->path : NULL;
}

int st_unpack_limit(const st_unpack *u)
{
	return st_tar_limit(u->tar);
}

const char *st_unpack_error(const st_unpack *u)
{
	return u->error;
}

const st_tar_entry *st_unpack_current(const st_unpack *u)
{
	return u->entry;
}
