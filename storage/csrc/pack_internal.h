/* What the parts of pack share. */
#ifndef PACK_INTERNAL_H
#define PACK_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TAR_BLOCK 512

struct pk_buffer {
	char *data;
	size_t length, capacity;
};

/* One member of the archive. name has no leading slash; a directory's ends in one. */
struct pk_entry {
	const char *name;
	size_t name_length;
	const char *target; /* "" for none */
	char type;	    /* '0' ... '6' */
	uint32_t mode, uid, gid, major, minor;
	uint64_t size;
	int64_t seconds;
	uint32_t nanoseconds;
};

/* Room for more bytes at the end; 0 or -ENOMEM. */
int pk_reserve(struct pk_buffer *buffer, size_t more);
int pk_append(struct pk_buffer *buffer, const void *data, size_t length);

/* One pax record "LENGTH KEY=VALUE\n"; 0 or -ENOMEM. */
int pk_record(struct pk_buffer *pax, const char *key, const void *value, size_t length);

/* The header of an entry, after a pax header if the entry or attributes (pax records, may be empty) need one. */
int pk_header(struct pk_buffer *out, const struct pk_entry *entry, const struct pk_buffer *attributes);

/* The names of inodes that have several. */
struct pk_links {
	struct pk_link *table;
	size_t size, used;
	struct pk_buffer names;
};

/* The name under which the inode came before; or NULL, and it is remembered as name. *error: 0 or -ENOMEM. */
const char *pk_link_seen(struct pk_links *links, dev_t device, ino_t inode, const char *name, size_t length,
			 int *error);
void pk_links_free(struct pk_links *links);

/* The extended attributes of an open file. */
struct pk_attributes {
	struct pk_buffer records; /* pax records, sorted by name */
	int opaque;		  /* overlayfs: the directory hides what is below it */
	int whiteout;		  /* overlayfs: an empty file that hides what is below it */
	int xwhiteouts;		  /* overlayfs: the directory has such files */
	const char *refused;	  /* why the file cannot be packed, or NULL */
	int has_override;	  /* mode and owner by fuse-overlayfs or force_mask */
	uint32_t mode, uid, gid;
	char type; /* '3', '4' or '6' if an empty regular file stands for that, else 0 */
	unsigned major, minor;
};

/* Work space for pk_attributes_read. */
struct pk_scratch {
	char names[1 << 16], value[(1 << 16) + 1];
	const char *sorted[1 << 12];
};

/* flags: ST_PACK_UPPER, _USERNS and _FUSE. root_uid: the id on disk of the container's root. 0 or -errno. */
int pk_attributes_read(int fd, struct pk_attributes *found, struct pk_scratch *scratch, int flags, uint32_t root_uid);

/* The names in a directory, sorted by bytes; .wh.NAME by NAME if marks are meant. */
struct pk_name {
	const char *key; /* without .wh. */
	uint8_t mark;	 /* .wh. stood before it */
	uint8_t gone;	 /* it is in the old tree only */
};

struct pk_names {
	struct pk_buffer text, old_text;
	struct pk_name *list;
	size_t count, next;
	int opaque; /* .wh..wh..opq or .wh..opq was there */
};

/* 0 or -errno. */
int pk_names_read(int fd, struct pk_names *names, int marks);
/* Add what old has and names does not. */
int pk_names_add_gone(struct pk_names *names, int old);
void pk_names_free(struct pk_names *names);

#endif
