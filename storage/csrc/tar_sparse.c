/* Sparse files: GNU's old format, and the three pax formats of GNU tar (0.0, 0.1, 1.0). */
#include "tar_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct st_tar *t, int64_t offset, int64_t length)
{
	if (t->piece_count >= MOST_PIECES)
		return st_tar_broken(t, "broken archive: \1: too many sparse pieces");
	if (t->piece_count == t->piece_room) {
		size_t room = t->piece_room ? t->piece_room * 2 : 32;
		st_tar_piece *pieces = realloc(t->pieces, room * sizeof *pieces);
		if (!pieces)
			return -ENOMEM;
		t->pieces = pieces;
		t->piece_room = room;
	}
	t->pieces[t->piece_count++] = (st_tar_piece){ offset, length };
	return 0;
}

static int checked(struct st_tar *t)
{
	int64_t end = 0, total = 0;
	int error = t->entry.size < 0 ? 0 :
		    st_tar_within(t, ST_LIMIT_SPARSE, t->limits.sparse, (uint64_t)t->entry.size,
				  "the sparse file \1");

	if (error)
		return error;
	for (size_t i = 0; i < t->piece_count; i++) {
		const st_tar_piece *piece = &t->pieces[i];
		if (piece->offset < end || piece->length < 0)
			return st_tar_broken(t, "broken archive: \1: its sparse map is out of order");
		if (__builtin_add_overflow(piece->offset, piece->length, &end))
			return st_tar_broken(t, "broken archive: \1: its sparse map does not fit its size");
		total += piece->length; /* never more than end */
	}
	if (end > t->entry.size || total != t->entry.stored)
		return st_tar_broken(t, "broken archive: \1: its sparse map does not fit its size");
	t->entry.sparse = 1;
	t->entry.pieces = t->pieces;
	t->entry.piece_count = t->piece_count;
	return 0;
}

static int gnu(struct st_tar *t, const unsigned char *area, size_t n, bool more)
{
	for (size_t at = 0; at < n && area[at]; at += 24) {
		int64_t offset, length;
		int error = st_tar_number(t, area + at, 12, "offset", &offset);
		if (!error)
			error = st_tar_number(t, area + at + 12, 12, "size", &length);
		if (!error)
			error = add(t, offset, length);
		if (error)
			return error;
	}
	return more ? 1 : checked(t);
}

int st_tar_gnu_begin(struct st_tar *t)
{
	int error = st_tar_number(t, t->header + 483, 12, "size", &t->entry.size);
	return error ? error : gnu(t, t->header + 386, 96, t->header[482] != 0);
}

int st_tar_gnu_more(struct st_tar *t)
{
	return gnu(t, t->block, 504, t->block[504] != 0);
}

static bool sparse_key(const struct st_tar *t, const struct record *item, const char *rest)
{
	static const char PREFIX[] = "GNU.sparse.";
	const char *key = t->text.data + item->key;
	size_t n = sizeof PREFIX - 1;

	if (item->key_size < n || memcmp(key, PREFIX, n) != 0)
		return false;
	return !rest || (item->key_size - n == strlen(rest) && memcmp(key + n, rest, strlen(rest)) == 0);
}

bool st_tar_is_pax_sparse(const struct st_tar *t)
{
	for (size_t i = t->last_header; i < t->records.count; i++)
		if (sparse_key(t, &t->records.items[i], NULL))
			return true;
	return false;
}

/* Format 0.1: one record with offset,length,offset,length… */
static int listed(struct st_tar *t, struct slice map)
{
	int64_t values[2];
	int have = 0, error = 0;

	for (size_t at = 0; !error && at < map.size;) {
		const char *word = map.data + at, *comma = memchr(word, ',', map.size - at);
		size_t n = comma ? (size_t)(comma - word) : map.size - at;
		at += n + 1;
		if (!n)
			continue;
		error = st_tar_decimal(t, (struct slice){ word, n }, "sparse map", &values[have++]);
		if (!error && have == 2) {
			error = add(t, values[0], values[1]);
			have = 0;
		}
	}
	return error;
}

/* Format 0.0: a record for each offset and each length; the nth offset goes with the nth length. */
static int paired(struct st_tar *t)
{
	size_t offset = t->last_header, length = t->last_header;
	int error = 0;

	while (!error) {
		while (offset < t->records.count && !sparse_key(t, &t->records.items[offset], "offset"))
			offset++;
		while (length < t->records.count && !sparse_key(t, &t->records.items[length], "numbytes"))
			length++;
		if (offset == t->records.count && length == t->records.count)
			break;
		int64_t values[2] = { 0, 0 };
		size_t *at[2] = { &offset, &length };
		int have = 0;
		for (int i = 0; !error && i < 2; i++) {
			if (*at[i] == t->records.count)
				continue;
			const struct record *item = &t->records.items[(*at[i])++];
			error = st_tar_decimal(t, (struct slice){ t->text.data + item->value, item->value_size },
					       "sparse map", &values[i]);
			have++;
		}
		if (!error && have == 2)
			error = add(t, values[0], values[1]);
	}
	return error;
}

int st_tar_pax_sparse_begin(struct st_tar *t)
{
	const struct pax *pax = &t->pax;
	struct slice size = pax->sparse_realsize.size ? pax->sparse_realsize :
			    pax->sparse_size.size     ? pax->sparse_size :
							(struct slice){ "0", 1 };
	int error = st_tar_decimal(t, size, "size", &t->entry.size);
	if (error)
		return error;
	t->piece_count = 0;
	t->entry.sparse = 0;
	if (pax->sparse_major.size == 1 && pax->sparse_major.data[0] == '1') {
		t->map_counted = t->map_half = false;
		t->map_digits = 0;
		t->map_value = 0;
		return 1;
	}
	if (pax->sparse_map.data) {
		error = listed(t, pax->sparse_map);
	} else {
		error = paired(t);
		if (!error && !t->piece_count && !pax->sparse_size.data && !pax->sparse_realsize.data) {
			t->entry.size = t->entry.stored;
			return 0;
		}
	}
	return error ? error : checked(t);
}

/* Format 1.0: the payload begins with whole blocks of decimal numbers, one a line: how many pieces, then each one's
 * offset and length. */
int st_tar_pax_sparse_more(struct st_tar *t, const unsigned char *block)
{
	for (size_t i = 0; i < BLOCK; i++) {
		unsigned char c = block[i];
		if (c != '\n') {
			if (c < '0' || c > '9' || ++t->map_digits > 19)
				return st_tar_broken(t, "broken archive: sparse map in a pax header is not a number");
			t->map_value = t->map_value * 10 + (uint64_t)(c - '0');
			continue;
		}
		if (!t->map_digits)
			return st_tar_broken(t, "broken archive: sparse map in a pax header is not a number");
		int64_t value = t->map_value > INT64_MAX ? INT64_MAX : (int64_t)t->map_value;
		t->map_value = 0;
		t->map_digits = 0;
		if (!t->map_counted) {
			if (value > MOST_PIECES)
				return st_tar_broken(t, "broken archive: \1: too many sparse pieces");
			t->map_counted = true;
			t->map_left = (uint64_t)value;
		} else if (!t->map_half) {
			t->map_offset = value;
			t->map_half = true;
		} else {
			int error = add(t, t->map_offset, value);
			if (error)
				return error;
			t->map_half = false;
			t->map_left--;
		}
		if (!t->map_left)
			return checked(t); /* the rest of the block is padding */
	}
	return 1;
}
