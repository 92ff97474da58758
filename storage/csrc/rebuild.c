/* Raw bytes out of the records, contents out of the files, the checksums of those compared. */
#define _GNU_SOURCE
#include "rebuild.h"
#include "native.h"
#include "pack_internal.h"
#include "rebuild_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LONGEST_RECORD (16u << 20) /* bytes; writers' raw pieces have 1 MiB */

struct st_rebuild {
	int *roots;
	size_t root_count;
	struct pk_buffer text;
	size_t at; /* of the next record */
	struct rb_scan scan;
	uint64_t count; /* records so far */
	int last, failed;
	const char *raw; /* in text */
	size_t raw_left;
	int file;
	uint64_t left, crc, wanted;
	char *name; /* of the file, cleaned; with room for another */
	size_t name_room;
	char message[1024];
};

static int fail(struct st_rebuild *r, int error, const char *what, const char *cause)
{
	snprintf(r->message, sizeof r->message, "%.700s: %s", what, cause ? cause : strerror(error));
	return r->failed = -error;
}

static int broken(struct st_rebuild *r, const char *cause)
{
	char what[48];

	snprintf(what, sizeof what, "record %llu of its tar-split file", (unsigned long long)r->count);
	return fail(r, EBADMSG, what, cause);
}

/* The name without empty parts, "." and, as far as there is something before it, "..". */
static int clean(struct st_rebuild *r, const char *name, size_t length)
{
	size_t out = 0;

	if (length + 2 > r->name_room) {
		char *bigger = realloc(r->name, length + 2);
		if (!bigger)
			return -ENOMEM;
		r->name = bigger;
		r->name_room = length + 2;
	}
	for (size_t at = 0; at < length;) {
		const char *slash = memchr(name + at, '/', length - at);
		size_t part = slash ? (size_t)(slash - name) - at : length - at;

		if (part == 2 && name[at] == '.' && name[at + 1] == '.') {
			while (out && r->name[out - 1] != '/')
				out--;
			out -= out > 0;
		} else if (part && !(part == 1 && name[at] == '.')) {
			if (out)
				r->name[out++] = '/';
			memcpy(r->name + out, name + at, part);
			out += part;
		}
		at += part + 1;
	}
	r->name[out] = 0;
	return 0;
}

static int open_file(struct st_rebuild *r, const struct rb_record *record)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	struct stat found;
	int error = ENOENT;

	if (memchr(record->name, 0, record->name_length))
		return broken(r, "a name with a NUL");
	if (clean(r, record->name, record->name_length))
		return fail(r, ENOMEM, "/", NULL);
	for (size_t i = 0; i < r->root_count && r->file < 0; i++) {
		r->file = (int)syscall(SYS_openat2, r->roots[i], r->name, &how, sizeof how);
		if (r->file < 0)
			error = errno;
	}
	if (r->file < 0)
		return fail(r, error, r->name, NULL);
	if (fstat(r->file, &found))
		return fail(r, errno, r->name, NULL);
	if (!S_ISREG(found.st_mode) || (uint64_t)found.st_size != record->size)
		return fail(r, ESTALE, r->name, "it has been changed");
	r->left = record->size;
	r->crc = r->wanted = 0;
	for (int i = 0; i < 8; i++)
		r->wanted = r->wanted << 8 | (unsigned char)record->payload[i];
	return 0;
}

/* The next record that gives bytes: 1; 0: more text is needed, or it is the end. */
static int next(struct st_rebuild *r)
{
	for (;;) {
		struct rb_record record;
		const char *wrong;
		size_t length;
		int result;

		while (r->at < r->text.length && !r->scan.at && strchr(" \t\r\n", r->text.data[r->at]) &&
		       r->text.data[r->at])
			r->at++;
		if (r->at == r->text.length)
			return 0;
		if (r->text.data[r->at] != '{')
			return broken(r, "it is not a JSON object");
		if (!rb_whole(r->text.data + r->at, r->text.length - r->at, &r->scan)) {
			if (r->text.length - r->at > LONGEST_RECORD)
				return broken(r, "it is too long");
			return r->last ? broken(r, "it has no end") : 0;
		}
		length = r->scan.at;
		r->scan = (struct rb_scan){0};
		wrong = rb_parse(r->text.data + r->at, length, &record);
		if (wrong)
			return broken(r, wrong);
		r->at += length;
		if (record.type == 2 && record.payload_length) {
			r->raw = record.payload;
			r->raw_left = record.payload_length;
		} else if (record.type == 1 && record.size) {
			result = open_file(r, &record);
			if (result)
				return result;
		}
		r->count++;
		if (r->raw_left || r->file >= 0)
			return 1;
	}
}

static int64_t content(struct st_rebuild *r, char *buffer, size_t room)
{
	size_t count = r->left < room ? (size_t)r->left : room;
	ssize_t got = read(r->file, buffer, count);

	if (got < 0)
		return errno == EINTR ? 0 : fail(r, errno, r->name, NULL);
	if (!got)
		return fail(r, ESTALE, r->name, "it has been changed");
	r->crc = st_crc64(r->crc, buffer, (size_t)got);
	r->left -= (uint64_t)got;
	if (!r->left) {
		close(r->file);
		r->file = -1;
		if (r->crc != r->wanted)
			return fail(r, ESTALE, r->name, "it has been changed");
	}
	return got;
}

int64_t st_rebuild_read(struct st_rebuild *r, void *buffer, size_t capacity)
{
	char *at = buffer;
	size_t room = capacity > INT64_MAX ? INT64_MAX : capacity, all = room;

	while (room && !r->failed) {
		if (r->raw_left) {
			size_t count = r->raw_left < room ? r->raw_left : room;
			memcpy(at, r->raw, count);
			r->raw += count;
			r->raw_left -= count;
			at += count;
			room -= count;
		} else if (r->file >= 0) {
			int64_t got = content(r, at, room);
			if (got < 0)
				break;
			at += got;
			room -= (size_t)got;
		} else if (next(r) <= 0) {
			break;
		}
	}
	return r->failed ? r->failed : (int64_t)(all - room);
}

int st_rebuild_feed(struct st_rebuild *r, const void *text, size_t length, int last)
{
	int result;

	if (r->failed)
		return r->failed;
	/* Raw bytes that wait are in the text: whoever feeds has read all there was. */
	if (r->raw_left)
		return -EINVAL;
	if (r->at) {
		memmove(r->text.data, r->text.data + r->at, r->text.length - r->at);
		r->text.length -= r->at;
		r->at = 0;
	}
	r->last = last;
	result = pk_append(&r->text, text, length);
	return result ? fail(r, -result, "/", NULL) : 0;
}

struct st_rebuild *st_rebuild_open(const int *roots, size_t count, int *error)
{
	struct st_rebuild *r = calloc(1, sizeof *r);

	*error = -ENOMEM;
	if (!r)
		return NULL;
	r->file = -1;
	r->roots = calloc(count + 1, sizeof *r->roots);
	if (!r->roots)
		goto failed;
	for (; r->root_count < count; r->root_count++) {
		int fd = fcntl(roots[r->root_count], F_DUPFD_CLOEXEC, 0);
		if (fd < 0) {
			*error = -errno;
			goto failed;
		}
		r->roots[r->root_count] = fd;
	}
	return r;
failed:
	st_rebuild_close(r);
	return NULL;
}

const char *st_rebuild_message(const struct st_rebuild *r)
{
	return r->message;
}

void st_rebuild_close(struct st_rebuild *r)
{
	if (!r)
		return;
	if (r->file >= 0)
		close(r->file);
	for (size_t i = 0; i < r->root_count; i++)
		close(r->roots[i]);
	free(r->roots);
	free(r->text.data);
	free(r->name);
	free(r);
}
