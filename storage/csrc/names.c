#define _GNU_SOURCE
#include "names_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NONE ST_NAMES_NONE

static const struct st_node EMPTY = { NONE, NONE, NONE, NONE, NONE, NONE, 0, ST_NAMES_NO_TIME };

int st_names_init(struct st_names *names)
{
	*names = (struct st_names){ .free = NONE, .mask = 255 };
	names->table = malloc(256 * sizeof *names->table);
	names->nodes = malloc(64 * sizeof *names->nodes);
	if (!names->table || !names->nodes)
		return -ENOMEM;
	memset(names->table, 0xff, 256 * sizeof *names->table);
	names->room = 64;
	names->count = 1;
	names->nodes[ST_NAMES_ROOT] = EMPTY;
	/* So that nobody can choose names that meet in one place; without random bytes that is only slower. */
	if (getrandom(&names->seed, sizeof names->seed, GRND_NONBLOCK) != sizeof names->seed)
		names->seed = (uintptr_t)names->table;
	return st_buffer_add(&names->text, "", 1);
}

void st_names_free(struct st_names *names)
{
	free(names->nodes);
	free(names->table);
	st_buffer_free(&names->text);
}

static uint64_t mix(uint64_t value)
{
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	return value ^ value >> 29;
}

static uint32_t hash(const struct st_names *names, uint32_t parent, const char *name, size_t n)
{
	uint64_t sum = mix(names->seed ^ ((uint64_t)parent << 8 | n));

	for (; n >= 8; n -= 8, name += 8) {
		uint64_t word;
		memcpy(&word, name, 8);
		sum = mix(sum ^ word) + names->seed;
	}
	uint64_t word = 0;
	memcpy(&word, name, n);
	return (uint32_t)mix(mix(sum ^ word) + names->seed);
}

static const char *name_of(const struct st_names *names, uint32_t node, size_t *n)
{
	const char *text = names->text.data + names->nodes[node].name;

	*n = (unsigned char)text[0];
	return text + 1;
}

static uint32_t slot(const struct st_names *names, uint32_t node)
{
	size_t n;
	const char *name = name_of(names, node, &n);

	return hash(names, names->nodes[node].parent, name, n) & names->mask;
}

uint32_t st_names_find(const struct st_names *names, uint32_t parent, const char *name, size_t n)
{
	uint32_t node = names->table[hash(names, parent, name, n) & names->mask];

	for (; node != NONE; node = names->nodes[node].chain) {
		size_t size;
		const char *text = name_of(names, node, &size);
		if (names->nodes[node].parent == parent && size == n && memcmp(text, name, n) == 0)
			break;
	}
	return node;
}

static int grow_table(struct st_names *names)
{
	if (names->used <= names->mask || names->mask >= UINT32_MAX / 4)
		return 0;
	uint32_t size = (names->mask + 1) * 2;
	uint32_t *table = malloc(size * sizeof *table);
	if (!table)
		return -ENOMEM;
	memset(table, 0xff, size * sizeof *table);
	uint32_t *old = names->table, old_mask = names->mask;
	names->table = table;
	names->mask = size - 1;
	for (uint32_t i = 0; i <= old_mask; i++) {
		for (uint32_t node = old[i], next; node != NONE; node = next) {
			next = names->nodes[node].chain;
			uint32_t place = slot(names, node);
			names->nodes[node].chain = table[place];
			table[place] = node;
		}
	}
	free(old);
	return 0;
}

static int new_node(struct st_names *names, uint32_t *node)
{
	if (names->free != NONE) {
		*node = names->free;
		names->free = names->nodes[*node].next;
		return 0;
	}
	if (names->count == names->room) {
		if (names->room >= UINT32_MAX / 4 * 3)
			return -EFBIG;
		uint32_t room = names->room + names->room / 2;
		struct st_node *nodes = realloc(names->nodes, room * sizeof *nodes);
		if (!nodes)
			return -ENOMEM;
		names->nodes = nodes;
		names->room = room;
	}
	*node = names->count++;
	return 0;
}

int st_names_add(struct st_names *names, uint32_t parent, const char *name, size_t n, uint32_t *node)
{
	*node = st_names_find(names, parent, name, n);
	if (*node != NONE)
		return 0;
	if (names->text.size > UINT32_MAX - 256)
		return -EFBIG;
	int error = grow_table(names);
	if (!error)
		error = st_buffer_reserve(&names->text, n + 1);
	if (!error)
		error = new_node(names, node);
	if (error)
		return error;
	struct st_node *item = &names->nodes[*node], *above = &names->nodes[parent];
	*item = EMPTY;
	item->name = (uint32_t)names->text.size;
	names->text.data[names->text.size] = (char)n;
	memcpy(names->text.data + names->text.size + 1, name, n);
	names->text.size += n + 1;
	item->parent = parent;
	item->next = above->child;
	if (above->child != NONE)
		names->nodes[above->child].previous = *node;
	above->child = *node;
	uint32_t place = slot(names, *node);
	item->chain = names->table[place];
	names->table[place] = *node;
	names->used++;
	return 0;
}

/* The node after this one, parents first, of those below top; NONE after the last. */
static uint32_t following(const struct st_names *names, uint32_t node, uint32_t top)
{
	if (names->nodes[node].child != NONE)
		return names->nodes[node].child;
	while (node != top && names->nodes[node].next == NONE)
		node = names->nodes[node].parent;
	return node == top ? NONE : names->nodes[node].next;
}

int st_names_path(const struct st_names *names, uint32_t node, struct st_buffer *path)
{
	size_t size = 0, n;

	for (uint32_t at = node; at != ST_NAMES_ROOT; at = names->nodes[at].parent, size += n + 1)
		name_of(names, at, &n);
	path->size = 0;
	int error = st_buffer_reserve(path, size + 1);
	if (error)
		return error;
	path->size = size ? size - 1 : 0;
	path->data[path->size] = 0;
	for (uint32_t at = node; at != ST_NAMES_ROOT; at = names->nodes[at].parent) {
		const char *name = name_of(names, at, &n);
		size -= n + 1;
		memcpy(path->data + size, name, n);
		if (size)
			path->data[size - 1] = '/';
	}
	return 0;
}

bool st_names_lives(const struct st_names *names, uint32_t node)
{
	for (uint32_t at = node; at != NONE; at = following(names, at, node))
		if (names->nodes[at].position != NONE)
			return true;
	return false;
}

int st_names_times(const struct st_names *names, int (*each)(void *self, const char *path, int64_t mtime), void *self)
{
	struct st_buffer path = { 0 };
	int error = st_buffer_set(&path, "", 0);

	for (uint32_t at = ST_NAMES_ROOT; !error;) {
		const struct st_node *node = &names->nodes[at];
		if (node->mtime != ST_NAMES_NO_TIME)
			error = each(self, path.data, node->mtime);
		uint32_t next = node->child;
		size_t n;
		/* Up to the first that has a sibling to go on with. */
		for (; next == NONE && at != ST_NAMES_ROOT; at = names->nodes[at].parent) {
			name_of(names, at, &n);
			path.size -= path.size > n ? n + 1 : n;
			next = names->nodes[at].next;
		}
		if (next == NONE)
			break;
		const char *name = name_of(names, next, &n);
		if (!error && path.size)
			error = st_buffer_add(&path, "/", 1);
		if (!error)
			error = st_buffer_add(&path, name, n);
		if (!error)
			error = st_buffer_reserve(&path, 1);
		if (!error)
			path.data[path.size] = 0;
		at = next;
	}
	st_buffer_free(&path);
	return error;
}

/* Out of its parent's list and out of the table; it has no children any more. */
static void drop(struct st_names *names, uint32_t node)
{
	struct st_node *item = &names->nodes[node];
	uint32_t *place = &names->table[slot(names, node)];

	while (*place != node)
		place = &names->nodes[*place].chain;
	*place = item->chain;
	if (item->previous != NONE)
		names->nodes[item->previous].next = item->next;
	else
		names->nodes[item->parent].child = item->next;
	if (item->next != NONE)
		names->nodes[item->next].previous = item->previous;
	item->next = names->free;
	names->free = node;
	names->used--;
}

int st_names_cut(struct st_names *names, uint32_t node, int (*each)(void *self, uint32_t position, const char *path),
		 void *self)
{
	struct st_buffer path = { 0 };
	uint32_t at = node;
	int error = st_buffer_set(&path, "", 0);

	/* Down to a first leaf, which is dropped, then on with its parent, until the top is a leaf itself. */
	while (!error) {
		if (names->nodes[at].position != NONE) {
			error = each(self, names->nodes[at].position, path.data);
			names->nodes[at].position = NONE;
		}
		size_t n;
		uint32_t child = names->nodes[at].child;
		if (child != NONE) {
			const char *name = name_of(names, child, &n);
			if (!error)
				error = st_buffer_reserve(&path, n + 2);
			if (!error) {
				path.data[path.size++] = '/';
				memcpy(path.data + path.size, name, n);
				path.size += n;
				path.data[path.size] = 0;
			}
			at = child;
			continue;
		}
		uint32_t above = names->nodes[at].parent;
		name_of(names, at, &n);
		drop(names, at);
		if (at == node)
			break;
		path.size -= n + 1;
		path.data[path.size] = 0;
		at = above;
	}
	st_buffer_free(&path);
	return error;
}
