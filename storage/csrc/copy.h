/* A directory tree is copied by several threads: owners (mapped or not), modes, times, attributes, hard links, links,
 * fifos, sockets, devices, holes; blocks are shared where the file system can. */
#include <stdint.h>

struct st_copy;

struct st_copy_result {
	int error;	/* 0 or -errno of what failed first */
	int no_room;	/* 1: the map has no room for uid `id`, 2: for gid `id`; the error is -ERANGE then */
	uint32_t id;
	char path[1024]; /* of what failed, from the root of the tree; its end if it is long */
};

/* Begin to copy what is in `from` to `to`, an empty directory, and `from`'s own attributes to it. `map` holds
 * `uid_rows` and then `gid_rows` triples of (id in the container, id here, how many); without rows owners stay.
 * `backing` are the directories under an overlay, nearest first, to share blocks with (an overlay itself cannot).
 * `skip_devices`: leave out what mknod(2) may not make, as in a user namespace. The descriptors and the arrays are used
 * until the end. NULL without memory or threads. */
struct st_copy *st_copy_start(int from, int to, const uint32_t *map, int uid_rows, int gid_rows, const int *backing,
			      int backings, int skip_devices, int threads);

/* Wait so many milliseconds for the end; whether it has come. */
int st_copy_wait(struct st_copy *copy, int milliseconds);

/* What has been done so far; from any thread. */
void st_copy_done(struct st_copy *copy, uint64_t *bytes, uint64_t *inodes);

/* Have it end soon, with -ECANCELED. */
void st_copy_cancel(struct st_copy *copy);

/* Wait for the end and free everything. */
void st_copy_end(struct st_copy *copy, struct st_copy_result *result);
