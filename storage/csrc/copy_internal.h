#ifndef STORAGE_COPY_INTERNAL_H
#define STORAGE_COPY_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "copy.h"
#include "pool_internal.h"

struct link_entry {
	struct link_entry *next;
	dev_t device;
	ino_t inode;
	int ready;   /* 1: it exists; 2: it is left out; -1: it could not be made */
	char path[]; /* in the copy */
};

#define LINK_SLOTS 1024

struct st_copy {
	struct pool pool;
	int from, to, skip_devices;
	int own_group; /* what is made has the group of who makes it, not of a set-group-id directory above */
	const uint32_t *map;
	int uid_rows, gid_rows;
	const int *backing;
	int backings;
	int no_clone, no_preallocate; /* what the file system has refused; atomic */
	uint64_t bytes, inodes;	      /* atomic */
	int no_room;		      /* under pool.lock, as is id */
	uint32_t id;
	pthread_mutex_t links_lock;
	pthread_cond_t links_ready;
	struct link_entry *links[LINK_SLOTS];
};

#define COPY_BUFFER (256 * 1024)
#define COPY_PART (64 << 20) /* what one thread copies of a large file at a time */

/* The content of a file; bytes [offset, offset + count) of it. 0 or -errno. */
int copy_range(struct worker *worker, int from, int to, const struct stat *status, uint64_t offset, uint64_t count);
/* Share the blocks of the whole file: 0, or not 0 if they must be copied. */
int copy_clone(struct worker *worker, const struct node *node, const char *name, int from, int to,
	       const struct stat *status);

/* Owner, mode, attributes and times, in the order in which none undoes another. The target is `to`, or `name` in it
 * where it cannot be opened (then `from` is its directory, too). 0 or -errno; pool_fail has been told if it was a map's
 * room. */
int copy_attributes(struct worker *worker, struct node *node, const char *name, int from, int to,
		    const struct stat *status);

#endif
