/* One record of tar-split, as it stands in its JSON object. */
#ifndef REBUILD_INTERNAL_H
#define REBUILD_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

struct rb_record {
	int type;	     /* 1 or 2 */
	char *name;	     /* type 1; NULL for none */
	size_t name_length;
	uint64_t size;	     /* type 1 */
	char *payload;	     /* decoded; NULL for null or none */
	size_t payload_length;
};

/* Where a search for the end of an object has come. */
struct rb_scan {
	size_t at;
	unsigned depth;
	int in_string, escaped;
};

/* Whether text has the whole of the object that begins at its first byte; its length is scan->at then. */
int rb_whole(const char *text, size_t length, struct rb_scan *scan);

/* The record in a whole object, which is decoded in place. NULL, or what is wrong. */
const char *rb_parse(char *text, size_t length, struct rb_record *record);

#endif
