/* Unpacks a layer: the bytes of its tar archive go in, in pieces of any length; below a directory the files come to
 * be, and the records of tar-split come out as text. Names are resolved by openat2(RESOLVE_IN_ROOT): the archive may be
 * hostile. Functions return 0 or an error: -EBADMSG for the archive's fault, -EINVAL for an owner that the user
 * namespace does not map, -E2BIG for a limit that the archive passes, another -errno for the system's. After an error only the last functions may be called. */
#pragma once

#include "tar.h"

#include <stddef.h>
#include <stdint.h>

typedef struct st_unpack st_unpack;

/* What becomes of whiteouts: overlayfs's marks; files like others; they remove what they name. */
enum { ST_CONVERT = 0, ST_KEEP = 1, ST_APPLY = 2 };

typedef struct {
	int root;          /* a descriptor of the directory; it and the lowers stay the caller's, and open */
	const int *lowers; /* descriptors of the layers below, nearest first */
	size_t lower_count;
	const char *shadow; /* a directory for what later entries replace; made when it is needed */
	int in_user_namespace;
	int whiteouts;
	int masked; /* files have the mode mask and who unpacks them as owner, their own are kept in an attribute */
	unsigned mask;
	int ignore_owners; /* what cannot be given to its owner stays with who unpacks it */
	int unknown_lowers; /* what is below will be known later only: see st_unpack_implied */
	uint64_t free; /* bytes that the file system has left */
	st_tar_limits limits;
} st_unpack_options;

/* NULL where there is no memory. */
st_unpack *st_unpack_new(const st_unpack_options *options);
void st_unpack_free(st_unpack *u);

/* Takes the next n bytes; fewer (used says how many) where the text wants to be taken away first. */
int st_unpack_feed(st_unpack *u, const void *data, size_t n, size_t *used);

/* After the last byte: checks that the archive is whole, and sets the directories' times. */
int st_unpack_finish(st_unpack *u);

/* Instead of st_unpack_finish, where no more bytes come for now: the records say all that has come, also the part of a
 * file that has been written, so that it can be rebuilt. */
int st_unpack_cut(st_unpack *u);

/* The records' text since the last st_unpack_clear. */
const char *st_unpack_text(const st_unpack *u, size_t *size);
void st_unpack_clear(st_unpack *u);

/* The owners (or the groups) of all entries: a hash table of that size, UINT32_MAX in what is free. */
const uint32_t *st_unpack_ids(const st_unpack *u, int groups, size_t *size);

/* How many records there are whose files later entries have replaced. */
size_t st_unpack_shadows(const st_unpack *u);

/* Where such a record's file is, below the shadow directory, "" where it had no content; NULL for other records. */
const char *st_unpack_shadow(st_unpack *u, uint32_t position);

/* Where the lowers are unknown: the directories that the archive implied and did not list, one after the other from
 * cursor 0 on, NULL after the last. */
const char *st_unpack_implied(st_unpack *u, size_t *cursor);

/* Gives such a directory what the lowers of this unpacker say of it; st_unpack_finish sets its time. */
int st_unpack_inherit(st_unpack *u, const char *path);

/* The limit that was passed. What was wrong: a byte 1 stands for the present entry's name, a byte 2 for its link target. */
int st_unpack_limit(const st_unpack *u);
const char *st_unpack_error(const st_unpack *u);
const st_tar_entry *st_unpack_current(const st_unpack *u);
