/* A push parser of tar archives (tar(5): ustar, pax, GNU, star, v7): it takes what stands between the payloads, in
 * pieces of any length, and tells of one entry after the other. Whoever calls passes over the payloads. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct st_tar st_tar;

/* A piece of a sparse file, in bytes. */
typedef struct {
	int64_t offset, length;
} st_tar_piece;

/* An extended attribute. Neither string ends with a zero byte. */
typedef struct {
	const char *key;
	size_t key_size;
	const char *value;
	size_t value_size;
} st_tar_attribute;

/* One entry; all it points to lives until the parser is fed again. */
typedef struct {
	const char *name, *target; /* with a zero byte behind each */
	size_t name_size, target_size;
	int kind; /* the type flag: '0' a file, '1' a hard link, '2' a symbolic link, '3' and '4' devices, '5', '6' */
	uint32_t mode, uid, gid, device_major, device_minor;
	int64_t size;   /* of the file, in bytes */
	int64_t stored; /* of the payload in the archive, in bytes: differs for sparse files only */
	int64_t mtime;  /* nanoseconds since 1970 */
	const st_tar_attribute *attributes;
	size_t attribute_count;
	int sparse; /* whether the payload consists of pieces */
	const st_tar_piece *pieces;
	size_t piece_count;
} st_tar_entry;

/* What st_tar_feed says: go on, an entry is there, the archive is at its end; or -errno. */
enum { ST_TAR_MORE = 0, ST_TAR_ENTRY = 1, ST_TAR_END = 2 };

/* What an archive may claim, 0 for any: the number of its entries; bytes of a name or a link's target, of all headers
 * that extend an entry's, of a sparse file with its holes. */
typedef struct {
	uint64_t entries, name, pax, sparse;
} st_tar_limits;

/* Which of them has been passed. */
enum { ST_LIMIT_ENTRIES = 1, ST_LIMIT_NAME, ST_LIMIT_PAX, ST_LIMIT_SPARSE };

/* NULL where there is no memory. */
st_tar *st_tar_new(const st_tar_limits *limits);
void st_tar_free(st_tar *t);

/* Takes at most n bytes, and puts into used how many. After ST_TAR_ENTRY the entry's stored bytes of payload are to
 * be left out; with the byte after them it goes on. After ST_TAR_END there is nothing more to take. -EBADMSG for an
 * archive that is broken, -E2BIG for one that passes a limit, -ENOMEM. */
int st_tar_feed(st_tar *t, const void *data, size_t n, size_t *used);

/* How many bytes the parser needs before it can say anything; a header's size at most. */
size_t st_tar_wants(const st_tar *t);

/* To be called where the archive's bytes end between payloads: 0, or -EBADMSG if that is too early. */
int st_tar_finish(st_tar *t);

/* The present entry; its name is there (or empty) after an error too. */
const st_tar_entry *st_tar_current(const st_tar *t);

/* After -E2BIG: which limit has been passed; what by is st_tar_error's text. */
int st_tar_limit(const st_tar *t);

/* What was wrong. A byte 1 in it stands for the entry's name. */
const char *st_tar_error(const st_tar *t);
