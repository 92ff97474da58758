/* What the parts of the unpacker share. */
#pragma once

#include "buffer_internal.h"
#include "idset_internal.h"
#include "names_internal.h"
#include "native.h"
#include "split.h"
#include "tar.h"
#include "unpack.h"

enum unpack_state { HEADERS, CONTENT, PIECES, LEFT_OUT, TRAILER };

/* A record whose file is in the shadow directory now. */
struct unpack_shadow {
	uint32_t position;
	size_t path; /* where it begins in shadow_paths */
};

struct st_unpack {
	st_unpack_options options;
	int *lowers;
	st_tar *tar;
	st_split *split;
	const st_tar_entry *entry;
	enum unpack_state state;
	struct st_buffer raw; /* what is in no file and not in a record yet */
	struct st_buffer real_root;

	struct st_buffer path; /* the entry's cleaned name; base begins its last component */
	size_t base;
	struct st_buffer target; /* the cleaned target of a hard link */

	/* The directory that the last entry was in: as named, and with all links resolved and a slash behind it. */
	int parent;
	struct st_buffer parent_name, prefix;
	uint32_t parent_node;
	bool linked; /* it is named by way of a link */

	/* The file that is being written. */
	int out;
	int64_t left; /* bytes to come of the payload, or of the piece */
	int64_t offset, flushed;
	size_t piece;
	uint64_t crc;

	struct st_names names;
	struct st_idset uids, gids;
	struct st_buffer implied; /* paths, a zero byte behind each */
	struct st_buffer made; /* the times of the directories that have been made on the way, ST_NAMES_NO_TIME for none */
	int shadow;
	unsigned long shadows;
	struct st_buffer shadowed; /* struct unpack_shadow */
	bool sorted;		   /* it is, by position */
	struct st_buffer shadow_paths; /* each with a zero byte behind it */
	char error[256];
};

/* Keep a message; they give the error to return. */
__attribute__((format(printf, 2, 3))) int st_unpack_broken(struct st_unpack *u, const char *format, ...);
int st_unpack_failed(struct st_unpack *u, int error_number);

/* A path as its components; -EBADMSG for one that leads out of the root. mark is the byte that stands for it. */
int st_unpack_clean(struct st_unpack *u, const char *name, size_t n, int mark, struct st_buffer *result);

/* openat2(2), always O_CLOEXEC: a descriptor or -errno. In root: links lead to where they would in a container.
 * Strictly: there are none on the way. */
int st_unpack_open_in_root(int root, const char *path, int flags);
int st_unpack_open_strictly(int root, const char *path, int flags);

/* Makes the entry's directory the present parent; what is missing on the way is made. 1 where the entry is the mark of
 * a file that is hidden already. */
int st_unpack_enter(struct st_unpack *u);

/* A directory that the archive does not list keeps what the nearest lower layer says of it. */
int st_unpack_take_after(struct st_unpack *u, int fd, const char *path, int64_t *mtime);

/* The node of a directory becomes parent_node. */
int st_unpack_locate(struct st_unpack *u, int fd);

/* Refuses what cannot fit before it is written. */
int st_unpack_account(struct st_unpack *u, int64_t size);

/* Takes away what an entry replaces in the present parent, and keeps it until tar-split is complete. */
int st_unpack_displace(struct st_unpack *u, const char *name);

/* Removes from the present parent, and from what is below it, what is not of this archive. */
int st_unpack_empty(struct st_unpack *u);

/* The time of a directory in the present parent, to be set at the end. */
int st_unpack_time(struct st_unpack *u, const char *name, int64_t mtime);

/* An attribute, through a descriptor or (fd below 0) a path whose last link is not followed; some are left out. */
int st_unpack_attribute(struct st_unpack *u, int fd, const char *path, const char *key, const void *value, size_t n);
int st_unpack_own_attribute(const char *key);

/* Gives a file the mask as its mode, and keeps what it should have for fuse-overlayfs; type is "" or ":" and a type. */
int st_unpack_mask(struct st_unpack *u, int fd, uint32_t uid, uint32_t gid, uint32_t mode, const char *type);

/* The same for a directory, with what another one has. */
int st_unpack_mask_after(struct st_unpack *u, int fd, int source);

/* Writes the record of the entry; node is the root, or the base's name below the present parent is taken. */
int st_unpack_record(struct st_unpack *u, int is_root, int64_t size, uint64_t crc);

/* The entry has made a file that has no record. */
int st_unpack_known(struct st_unpack *u);

/* Makes what an entry stands for; a file's content follows. */
int st_unpack_begin(struct st_unpack *u);

/* The content is complete. */
int st_unpack_end(struct st_unpack *u);
