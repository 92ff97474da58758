/* Which record of tar-split stands for which path, and a directory's time: a tree with one small node for each name. */
#pragma once

#include "buffer_internal.h"

#include <stdbool.h>
#include <stdint.h>

enum { ST_NAMES_ROOT = 0 };
#define ST_NAMES_NONE UINT32_MAX
#define ST_NAMES_NO_RECORD (UINT32_MAX - 1) /* a position: what the archive has made there has no record */
#define ST_NAMES_NO_TIME INT64_MIN

struct st_node {
	uint32_t parent, child, next; /* in the tree */
	uint32_t previous;            /* sibling */
	uint32_t chain;               /* in the hash table */
	uint32_t position;            /* of the record, or ST_NAMES_NONE */
	uint32_t name;                /* where it is in the text: its length in a byte, then the name */
	int64_t mtime;                /* of a directory, to be set at the end: nanoseconds, or ST_NAMES_NO_TIME */
};

struct st_names {
	struct st_node *nodes;
	uint32_t count, room, free;
	uint32_t *table;
	uint32_t mask, used;
	uint64_t seed;
	struct st_buffer text;
};

/* 0 or -ENOMEM. */
int st_names_init(struct st_names *names);
void st_names_free(struct st_names *names);

/* The node of a name of 1 to 255 bytes below another, ST_NAMES_NONE if there is none. */
uint32_t st_names_find(const struct st_names *names, uint32_t parent, const char *name, size_t n);

/* The same, made if there is none: 0, -ENOMEM, or -EFBIG if there are too many. */
int st_names_add(struct st_names *names, uint32_t parent, const char *name, size_t n, uint32_t *node);

/* Its path from the root on: 0 or -ENOMEM. */
int st_names_path(const struct st_names *names, uint32_t node, struct st_buffer *path);

/* Whether the node or one below it has been made by the archive. */
bool st_names_lives(const struct st_names *names, uint32_t node);

/* Calls ``each`` for every node with a time, with its path from the root on: 0, -ENOMEM, or what ``each`` returned. */
int st_names_times(const struct st_names *names, int (*each)(void *self, const char *path, int64_t mtime), void *self);

/* Takes away a node and all below it. ``each`` hears of those with a record, with the path from the node on (empty,
 * or beginning with a slash). 0, -ENOMEM, or what ``each`` returned. */
int st_names_cut(struct st_names *names, uint32_t node, int (*each)(void *self, uint32_t position, const char *path),
		 void *self);
