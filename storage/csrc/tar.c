#include "tar_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 124, SUM = 148, TYPE = 156 };

int st_tar_broken(struct st_tar *t, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(t->error, sizeof t->error, format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

int st_tar_within(struct st_tar *t, int which, uint64_t limit, uint64_t value, const char *what, ...)
{
	va_list arguments;

	if (!limit || value <= limit)
		return 0;
	va_start(arguments, what);
	vsnprintf(t->error, sizeof t->error, what, arguments);
	va_end(arguments);
	t->passed = which;
	return -E2BIG;
}

static void forget(struct st_tar *t)
{
	t->told = t->extended = t->has_long_name = t->has_long_target = false;
	t->text.size = 0;
	t->records.count = t->last_header = 0;
	t->pax = (struct pax){ 0 };
	t->piece_count = 0;
	t->extension = 0;
	t->entry = (st_tar_entry){ .name = "", .target = "" };
}

st_tar *st_tar_new(const st_tar_limits *limits)
{
	struct st_tar *t = calloc(1, sizeof *t);

	if (t) {
		t->state = HEADER;
		t->limits = *limits;
		forget(t);
	}
	return t;
}

void st_tar_free(st_tar *t)
{
	if (!t)
		return;
	st_tar_pax_free(t);
	st_buffer_free(&t->blob);
	st_buffer_free(&t->long_name);
	st_buffer_free(&t->long_target);
	st_buffer_free(&t->text);
	st_buffer_free(&t->name);
	st_buffer_free(&t->target);
	free(t->pieces);
	free(t);
}

static bool sum_is_right(struct st_tar *t, const unsigned char *block)
{
	int64_t wanted;
	uint32_t sum = 8 * ' ', high = 0;

	if (st_tar_number(t, block + SUM, 8, "checksum", &wanted))
		return false;
	for (size_t i = 0; i < BLOCK; i++)
		sum += block[i];
	for (size_t i = SUM; i < SUM + 8; i++)
		sum -= block[i];
	if (sum == wanted)
		return true;
	for (size_t i = 0; i < BLOCK; i++)
		high += (i < SUM || i >= SUM + 8) && block[i] > 127;
	return wanted == (int64_t)sum - 256 * (int64_t)high; /* some old writers summed signed chars */
}

static int begin_blob(struct st_tar *t, unsigned char flag, int64_t size)
{
	const st_tar_limits *limits = &t->limits;
	bool pax = flag != 'L' && flag != 'K';
	const char *what = pax ? "a pax header" : flag == 'L' ? "a name" : "a link target";

	if (size < 0 || size > (pax ? MOST_EXTENDED : LONGEST_NAME))
		return st_tar_broken(t, "broken archive: %s of %lld bytes", what, (long long)size);
	uint64_t n = (uint64_t)size;
	int error = pax ? st_tar_within(t, ST_LIMIT_PAX, limits->pax, n, "%s", what) :
			  st_tar_within(t, ST_LIMIT_NAME, limits->name, n, "%s", what);
	t->extension += n;
	if (!error)
		error = st_tar_within(t, ST_LIMIT_PAX, limits->pax, t->extension, "an entry's extended header");
	if (!error && t->extension > MOST_EXTENDED)
		error = st_tar_broken(t, "broken archive: an extended header of %llu bytes",
				      (unsigned long long)t->extension);
	if (error)
		return error;
	t->extended = true;
	t->blob_kind = flag;
	t->blob_size = (size_t)n;
	t->blob.size = 0;
	t->state = BLOB;
	return 0;
}

static int end_blob(struct st_tar *t)
{
	size_t n = t->blob_size ? strnlen(t->blob.data, t->blob_size) : 0;

	t->state = HEADER;
	t->have = 0;
	switch (t->blob_kind) {
	case 'L':
		t->has_long_name = true;
		return st_buffer_set(&t->long_name, t->blob.data, n);
	case 'K':
		t->has_long_target = true;
		return st_buffer_set(&t->long_target, t->blob.data, n);
	case 'g':
		return st_tar_pax_global(t);
	default:
		return st_tar_pax_local(t);
	}
}

static int header(struct st_tar *t)
{
	static const unsigned char zero[BLOCK];
	int64_t size;

	if (memcmp(t->block, zero, BLOCK) == 0) {
		t->state = DONE;
		return ST_TAR_END;
	}
	if (!sum_is_right(t, t->block)) {
		if (!t->begun && !t->extended)
			return st_tar_broken(t, "not an archive: no tar header at its beginning");
		return st_tar_broken(t, "broken archive: a tar header has a wrong checksum");
	}
	unsigned char flag = t->block[TYPE];
	int error = st_tar_number(t, t->block + SIZE, 12, "size", &size);
	if (error)
		return error;
	if (flag == 'L' || flag == 'K' || flag == 'x' || flag == 'X' || flag == 'g')
		return begin_blob(t, flag, size);
	return st_tar_entry_header(t, flag, size);
}

/* What follows a whole block. */
static int block(struct st_tar *t)
{
	int more;

	t->have = 0;
	if (t->state == HEADER)
		return header(t);
	if (t->state == GNU_SPARSE) {
		more = st_tar_gnu_more(t);
		if (!more && st_tar_is_pax_sparse(t)) {
			more = st_tar_pax_sparse_begin(t);
			t->state = PAX_SPARSE;
		}
	} else {
		t->entry.stored -= BLOCK;
		more = st_tar_pax_sparse_more(t, t->block);
	}
	return more < 0 ? more : more ? ST_TAR_MORE : st_tar_ready(t);
}

size_t st_tar_wants(const st_tar *t)
{
	switch (t->state) {
	case PADDING:
		return t->padding;
	case BLOB:
		return (t->blob_size + BLOCK - 1) / BLOCK * BLOCK - t->blob.size;
	case DONE:
		return 0;
	default:
		return BLOCK - t->have;
	}
}

int st_tar_feed(st_tar *t, const void *data, size_t n, size_t *used)
{
	const char *p = data;

	*used = 0;
	if (t->told)
		forget(t);
	while (t->state != DONE) {
		if (t->state == PAX_SPARSE && t->entry.stored < BLOCK)
			return st_tar_broken(t, "broken archive: it ends in the middle of a file");
		size_t wanted = st_tar_wants(t), take = n - *used < wanted ? n - *used : wanted;
		if (!take && wanted)
			return ST_TAR_MORE;
		int result = ST_TAR_MORE;
		if (t->state == PADDING) {
			t->padding -= take;
			if (!t->padding)
				t->state = HEADER;
		} else if (t->state == BLOB) {
			int error = st_buffer_add(&t->blob, p + *used, take);
			if (error)
				return error;
			if (take == wanted)
				result = end_blob(t);
		} else {
			memcpy(t->block + t->have, p + *used, take);
			t->have += take;
			if (t->have == BLOCK)
				result = block(t);
		}
		*used += take;
		if (result != ST_TAR_MORE)
			return result;
	}
	return ST_TAR_END;
}

int st_tar_finish(st_tar *t)
{
	switch (t->state) {
	case DONE:
	case PADDING:
		return 0;
	case PAX_SPARSE:
		return st_tar_broken(t, "broken archive: it ends in the middle of a file");
	case GNU_SPARSE:
		return st_tar_broken(t, "broken archive: it ends in the middle of a header");
	case BLOB:
		if (t->blob.size < t->blob_size)
			return st_tar_broken(t, "broken archive: it ends in the middle of a header");
		break;
	case HEADER:
		for (size_t i = 0; i < t->have; i++)
			if (t->block[i])
				return st_tar_broken(t, "broken archive: it ends in the middle of a header");
		if (t->told || !t->extended)
			return 0;
	}
	return st_tar_broken(t, "broken archive: it ends after an extended header");
}

const st_tar_entry *st_tar_current(const st_tar *t)
{
	return &t->entry;
}

int st_tar_limit(const st_tar *t)
{
	return t->passed;
}

const char *st_tar_error(const st_tar *t)
{
	return t->error;
}
