/* Hard links: which inode came under which name. Open addressing, at most half full. */
#include "pack_internal.h"

#include <errno.h>
#include <stdlib.h>

struct pk_link {
	dev_t device;
	ino_t inode;
	size_t name; /* in names, plus 1; 0: free */
};

static size_t place(const struct pk_links *links, dev_t device, ino_t inode)
{
	uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 40) * UINT64_C(0x9E3779B97F4A7C15);
	size_t at = (size_t)(hash >> 20) & (links->size - 1);

	while (links->table[at].name && (links->table[at].inode != inode || links->table[at].device != device))
		at = (at + 1) & (links->size - 1);
	return at;
}

static int grow(struct pk_links *links)
{
	struct pk_links bigger = *links;

	bigger.size = links->size ? links->size * 2 : 256;
	bigger.table = calloc(bigger.size, sizeof *bigger.table);
	if (!bigger.table)
		return -ENOMEM;
	for (size_t i = 0; i < links->size; i++)
		if (links->table[i].name)
			bigger.table[place(&bigger, links->table[i].device, links->table[i].inode)] = links->table[i];
	free(links->table);
	*links = bigger;
	return 0;
}

const char *pk_link_seen(struct pk_links *links, dev_t device, ino_t inode, const char *name, size_t length,
			 int *error)
{
	struct pk_link *link;

	*error = links->used * 2 >= links->size ? grow(links) : 0;
	if (*error)
		return NULL;
	link = &links->table[place(links, device, inode)];
	if (link->name)
		return links->names.data + link->name - 1;
	if ((*error = pk_reserve(&links->names, length + 1)))
		return NULL;
	*link = (struct pk_link){device, inode, links->names.length + 1};
	pk_append(&links->names, name, length);
	pk_append(&links->names, "", 1);
	links->used++;
	return NULL;
}

void pk_links_free(struct pk_links *links)
{
	free(links->table);
	free(links->names.data);
}
