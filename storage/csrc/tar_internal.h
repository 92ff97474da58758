/* What the parts of the tar parser share. */
#pragma once

#include "buffer_internal.h"
#include "tar.h"

#include <stdbool.h>

enum { BLOCK = 512 };

/* Limits that nobody can take away: on bytes of a name and of what extends an entry's header, on keys in global pax
 * headers, and on pieces of a sparse file. */
enum { LONGEST_NAME = 1 << 20, MOST_EXTENDED = 1 << 30, MOST_GLOBAL = 4096, MOST_PIECES = 1 << 20 };

struct slice {
	const char *data; /* NULL: not given */
	size_t size;
};

/* A pax record: where it is in its text. */
struct record {
	uint32_t key, key_size, value, value_size;
};

struct records {
	struct record *items;
	size_t count, room;
};

/* A record of a global header: key and value in one piece of memory. */
struct lasting {
	char *data;
	uint32_t hash; /* of the key */
	size_t key_size, value_size;
};

/* What the pax headers say of the present entry. */
struct pax {
	struct slice path, linkpath, uid, gid, mtime, size;
	struct slice sparse_name, sparse_realsize, sparse_size, sparse_major, sparse_map;
};

enum state { PADDING, HEADER, BLOB, GNU_SPARSE, PAX_SPARSE, DONE };

struct st_tar {
	st_tar_limits limits;
	int passed; /* the limit that has been */
	enum state state;
	uint64_t count; /* of entries */
	bool begun;    /* a first entry has been seen */
	bool told;     /* the present entry has been handed out: the next byte begins another */
	bool extended; /* headers that extend the next one have been seen */
	size_t padding;
	unsigned char block[BLOCK];
	size_t have; /* of the block, or of the blob with its padding */
	unsigned char header[BLOCK];

	uint64_t extension; /* bytes of the headers that extend the present entry's */
	int blob_kind;
	size_t blob_size;
	struct st_buffer blob;
	bool has_long_name, has_long_target;
	struct st_buffer long_name, long_target;

	struct st_buffer text; /* of the pax headers of the present entry */
	struct records records;
	size_t last_header; /* the first record of the last of these headers */
	struct lasting *global;
	size_t global_count, global_size;
	struct pax pax;

	struct st_buffer name, target;
	st_tar_entry entry;
	st_tar_attribute *attributes;
	size_t attribute_room;
	st_tar_piece *pieces;
	size_t piece_count, piece_room;

	/* The map at the beginning of a pax sparse file's payload. */
	bool map_counted, map_half;
	int map_digits;
	uint64_t map_value, map_left;
	int64_t map_offset;

	char error[160];
};

/* Keeps a message and gives -EBADMSG. */
__attribute__((format(printf, 2, 3))) int st_tar_broken(struct st_tar *t, const char *format, ...);

/* Whether value passes the limit ``which``: 0, or -E2BIG with a message that says what does. */
__attribute__((format(printf, 5, 6))) int st_tar_within(struct st_tar *t, int which, uint64_t limit, uint64_t value,
							const char *what, ...);

/* Numbers. They return 0 or -EBADMSG; what is too big for 64 bits becomes INT64_MAX or INT64_MIN. */
int st_tar_number(struct st_tar *t, const unsigned char *field, size_t n, const char *what, int64_t *result);
int st_tar_decimal(struct st_tar *t, struct slice text, const char *what, int64_t *result);
int st_tar_time(struct st_tar *t, struct slice text, int64_t *result);

/* Pax headers: take the blob as one of the next entry's or as a global one; what they say of the entry. */
int st_tar_pax_local(struct st_tar *t);
int st_tar_pax_global(struct st_tar *t);
int st_tar_pax_resolve(struct st_tar *t);
void st_tar_pax_free(struct st_tar *t);

/* The block that has come is an entry's header: what st_tar_feed says. */
int st_tar_entry_header(struct st_tar *t, unsigned char flag, int64_t size);

/* The end of an entry's headers: ST_TAR_ENTRY, or an error. */
int st_tar_ready(struct st_tar *t);

/* Sparse files. They return 0, 1 where more blocks are needed, or an error. */
int st_tar_gnu_begin(struct st_tar *t);
int st_tar_gnu_more(struct st_tar *t);
int st_tar_pax_sparse_begin(struct st_tar *t);
int st_tar_pax_sparse_more(struct st_tar *t, const unsigned char *block);
bool st_tar_is_pax_sparse(const struct st_tar *t);
