/* The state of a walk over a tree. */
#ifndef PACK_WALK_INTERNAL_H
#define PACK_WALK_INTERNAL_H

#include "pack.h"
#include "pack_internal.h"

#include <sys/stat.h>

#define DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define LONGEST 4095 /* of a path in the tree, in bytes */

/* A directory that is being read. */
struct frame {
	int fd, old;	    /* -1: closed for now, or none */
	size_t path_length; /* with the slash behind it */
	struct pk_names names;
	int was;     /* whether there is an old one */
	int pending; /* its own entry is written when something in it is */
	int xwhiteouts;
};

struct st_pack {
	int root, flags;
	int *lowers;
	size_t lower_count;
	struct st_idrange *uids, *gids;
	size_t uid_count, gid_count;
	uint32_t root_uid;
	dev_t device;
	int devices; /* whether there can be device nodes that work */

	struct frame *frames;
	size_t depth, frame_capacity;
	char path[LONGEST + 2];
	struct pk_links links;
	struct pk_attributes attributes;

	struct pk_buffer out; /* headers and padding that wait */
	size_t out_at;
	int file; /* whose content comes next, -1 for none */
	uint64_t left;
	size_t padding;
	int cut; /* it ended early: zeros follow */
	int ended, failed;

	uint64_t shrunk, sockets;
	char message[LONGEST + 512];
	struct pk_scratch scratch;
};

/* Sets the message; -error. cause is NULL for what error itself says. */
int pk_fail(struct st_pack *p, const char *path, const char *cause, int error);

/* path below root, no symbolic link on the way; a descriptor, or -1 and errno. */
int pk_open_below(int root, const char *path, int flags);

/* Whether an open's error says that something else is there now, or nothing. */
int pk_vanished(int error);

/* Whether the layers below show a directory at the path of p (length bytes), which this one hides. */
int pk_directory_below(struct st_pack *p, size_t length);

/* A new frame, which takes over fd and old; NULL without memory. */
struct frame *pk_push(struct st_pack *p, int fd, int old, size_t path_length);
void pk_drop(struct frame *frame);

/* Close its descriptors; open them again: 0 or -errno. */
void pk_shut(struct frame *frame);
int pk_reopen(struct st_pack *p, struct frame *frame);

/* The next entry, or the archive's end, into out; the content of a file is to come then. 0 or -errno. */
int pk_advance(struct st_pack *p);

#endif
