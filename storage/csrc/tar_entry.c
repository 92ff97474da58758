/* What a header and the ones that extend it say of an entry. */
#include "tar_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 0, MODE = 100, UID = 108, GID = 116, MTIME = 136, TYPE = 156, TARGET = 157 };
enum { MAGIC = 257, MAJOR = 329, MINOR = 337, PREFIX = 345, STAR = 508 };

static size_t string(const unsigned char *field, size_t n)
{
	return strnlen((const char *)field, n);
}

static bool is_file(unsigned char flag)
{
	return !flag || flag == '0' || flag == '7';
}

static int names(struct st_tar *t)
{
	const unsigned char *block = t->header;
	const struct pax *pax = &t->pax;
	size_t n = string(block + NAME, 100);
	int error;

	if (pax->sparse_name.size && is_file(t->header[TYPE]) && st_tar_is_pax_sparse(t)) {
		error = st_buffer_set(&t->name, pax->sparse_name.data, pax->sparse_name.size);
	} else if (pax->path.size) {
		error = st_buffer_set(&t->name, pax->path.data, pax->path.size);
	} else if (t->has_long_name) {
		error = st_buffer_set(&t->name, t->long_name.data, t->long_name.size);
	} else {
		size_t prefix = 0;
		if (memcmp(block + MAGIC, "ustar", 6) == 0)
			prefix = string(block + PREFIX, memcmp(block + STAR, "tar", 4) == 0 ? 131 : 155);
		char name[300];
		memcpy(name, block + PREFIX, prefix);
		if (prefix)
			name[prefix++] = '/';
		memcpy(name + prefix, block + NAME, n);
		error = st_buffer_set(&t->name, name, prefix + n);
	}
	if (error)
		return error;
	if (pax->linkpath.size)
		error = st_buffer_set(&t->target, pax->linkpath.data, pax->linkpath.size);
	else if (t->has_long_target)
		error = st_buffer_set(&t->target, t->long_target.data, t->long_target.size);
	else
		error = st_buffer_set(&t->target, block + TARGET, string(block + TARGET, 100));
	t->entry.target = t->target.data;
	t->entry.target_size = t->target.size;
	return error;
}

static int check_names(struct st_tar *t)
{
	t->entry.name = t->name.data;
	t->entry.name_size = t->name.size;
	if (!t->name.size || memchr(t->name.data, 0, t->name.size))
		return st_tar_broken(t, "broken archive: an entry has no name");
	if (t->name.size > LONGEST_NAME || t->target.size > LONGEST_NAME)
		return st_tar_broken(t, "broken archive: a name of %zu bytes", t->name.size);
	if (memchr(t->target.data, 0, t->target.size))
		return st_tar_broken(t, "broken archive: \1: a zero byte in its link target");
	for (size_t i = 0; i < t->entry.attribute_count; i++)
		if (memchr(t->attributes[i].key, 0, t->attributes[i].key_size))
			return st_tar_broken(t, "broken archive: \1: a zero byte in an attribute's name");
	int error = st_tar_within(t, ST_LIMIT_NAME, t->limits.name, t->name.size, "the name \1");
	return error ? error :
		       st_tar_within(t, ST_LIMIT_NAME, t->limits.name, t->target.size, "the link target of \1");
}

static int small(struct st_tar *t, const unsigned char *field, struct slice pax, const char *what, uint32_t *result,
		 bool *bad)
{
	int64_t value;
	int error = pax.size ? st_tar_decimal(t, pax, what, &value) : st_tar_number(t, field, 8, what, &value);

	if (error)
		return error;
	*bad |= value < 0 || value >= UINT32_MAX; /* chown(2) takes the last one for "leave it" */
	*result = (uint32_t)value;
	return 0;
}

static int mode(struct st_tar *t)
{
	const unsigned char *field = t->header + MODE;
	int64_t value;
	int error = st_tar_number(t, field, 8, "mode", &value);

	if (field[0] & 0x80)
		value = field[6] << 8 | field[7];
	t->entry.mode = (uint32_t)value & 07777;
	return error;
}

/* What no 64 bits of nanoseconds hold becomes the nearest that do, in 1678 or 2261: file systems have limits, too. */
static int64_t bounded(int64_t time)
{
	const int64_t most = INT64_C(9200000000000000000);

	return time > most ? most : time < -most ? -most : time;
}

static int numbers(struct st_tar *t, int64_t size, bool *bad)
{
	const struct pax *pax = &t->pax;
	const unsigned char *block = t->header;
	st_tar_entry *entry = &t->entry;
	int error = mode(t);

	if (!error)
		error = small(t, block + UID, pax->uid, "uid", &entry->uid, bad);
	if (!error)
		error = small(t, block + GID, pax->gid, "gid", &entry->gid, bad);
	if (!error && pax->mtime.size) {
		error = st_tar_time(t, pax->mtime, &entry->mtime);
	} else if (!error) {
		int64_t seconds;
		error = st_tar_number(t, block + MTIME, 12, "time", &seconds);
		if (!error && __builtin_mul_overflow(seconds, INT64_C(1000000000), &entry->mtime))
			entry->mtime = seconds < 0 ? INT64_MIN : INT64_MAX;
	}
	entry->mtime = bounded(entry->mtime);
	if (!error && pax->size.size)
		error = st_tar_decimal(t, pax->size, "size", &size);
	if (!error && memcmp(block + MAGIC, "ustar", 5) == 0) {
		error = small(t, block + MAJOR, (struct slice){ 0 }, "device", &entry->device_major, bad);
		if (!error)
			error = small(t, block + MINOR, (struct slice){ 0 }, "device", &entry->device_minor, bad);
	}
	entry->stored = size;
	*bad |= size < 0;
	return error;
}

static int unknown(struct st_tar *t, int kind)
{
	char shown[8];

	snprintf(shown, sizeof shown, kind > ' ' && kind < 127 && kind != '\\' ? "%c" : "\\x%02x", kind);
	return st_tar_broken(t, "cannot read the archive: \1: unknown tar entry type b'%s'", shown);
}

/* The end of an entry's headers. */
int st_tar_ready(struct st_tar *t)
{
	st_tar_entry *entry = &t->entry;

	if (!entry->sparse)
		entry->size = entry->stored;
	entry->attributes = t->attributes;
	t->told = true;
	t->have = 0;
	t->state = t->padding ? PADDING : HEADER;
	return ST_TAR_ENTRY;
}

/* The entry's kind and pieces, when its header is known. */
static int kind(struct st_tar *t, unsigned char flag)
{
	st_tar_entry *entry = &t->entry;
	int more = 0;

	if (flag == 'S') {
		entry->kind = '0';
	} else if (is_file(flag)) {
		entry->kind = !flag && entry->name[entry->name_size - 1] == '/' ? '5' : '0';
	} else if (flag >= '1' && flag <= '6') {
		entry->kind = flag;
	} else {
		return unknown(t, flag);
	}
	if (entry->kind != '0')
		entry->stored = 0; /* no payload, whatever the header says (Go's reader agrees) */
	t->padding = (size_t)((BLOCK - entry->stored % BLOCK) % BLOCK);
	if (flag == 'S') {
		more = st_tar_gnu_begin(t);
		t->state = GNU_SPARSE;
	}
	if (!more && entry->kind == '0' && st_tar_is_pax_sparse(t)) {
		more = st_tar_pax_sparse_begin(t);
		t->state = PAX_SPARSE;
	}
	return more < 0 ? more : more ? ST_TAR_MORE : st_tar_ready(t);
}

int st_tar_entry_header(struct st_tar *t, unsigned char flag, int64_t size)
{
	bool bad = false;
	int error = st_tar_within(t, ST_LIMIT_ENTRIES, t->limits.entries, ++t->count, "an archive");

	if (!error)
		error = st_tar_pax_resolve(t);
	t->begun = true;
	memcpy(t->header, t->block, BLOCK);
	if (!error)
		error = names(t);
	if (!error)
		error = numbers(t, size, &bad);
	if (!error)
		error = check_names(t);
	if (!error && bad)
		error = st_tar_broken(t, "broken archive: \1: a negative or too big number in its header");
	return error ? error : kind(t, flag);
}
