/* tar-split: a layer's archive from the records of how it was made, and its files. */
#include <stddef.h>
#include <stdint.h>

struct st_rebuild;

/* roots: the layer's directory, then those below it; copied. NULL and *error on failure. */
struct st_rebuild *st_rebuild_open(const int *roots, size_t count, int *error);

/* More of the decompressed records, and whether it is the last; what is no record is found by the next read. */
int st_rebuild_feed(struct st_rebuild *rebuild, const void *text, size_t length, int last);

/* Fills buffer; how many bytes. 0: it needs more records, or after the last it is the end. Less than capacity says
 * the same. -EBADMSG for broken records, -ESTALE for a changed file, or -errno: st_rebuild_message says more. */
int64_t st_rebuild_read(struct st_rebuild *rebuild, void *buffer, size_t capacity);

/* What is wrong with which file or record; lives as long as rebuild. */
const char *st_rebuild_message(const struct st_rebuild *rebuild);

void st_rebuild_close(struct st_rebuild *rebuild);
