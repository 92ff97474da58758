/* Pax headers: "length key=value\n", those of one entry and those for all that follow. */
#include "tar_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add_record(struct records *list, struct record item)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct record *items = realloc(list->items, room * sizeof *items);
		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = item;
	return 0;
}

/* The records of text from a place on; the text is shorter than 4 GiB. */
static int parse(struct st_tar *t, const struct st_buffer *text, size_t place, struct records *list)
{
	while (place < text->size) {
		const char *at = text->data + place;
		size_t left = text->size - place, digits = 0;
		uint64_t length = 0;
		while (digits < left && digits < 19 && at[digits] >= '0' && at[digits] <= '9')
			length = length * 10 + (uint64_t)(at[digits++] - '0');
		if (!digits || digits == left || at[digits] != ' ') {
			for (size_t i = 0; i < left; i++)
				if (at[i])
					return st_tar_broken(t, "broken archive: a pax record has no length");
			break;
		}
		if (length > left || length <= digits + 1 || at[length - 1] != '\n')
			return st_tar_broken(t, "broken archive: a pax record is cut off");
		const char *key = at + digits + 1, *end = at + length - 1;
		const char *equals = memchr(key, '=', (size_t)(end - key));
		if (!equals)
			return st_tar_broken(t, "broken archive: a pax record has no value");
		struct record item = {
			.key = (uint32_t)(key - text->data),
			.key_size = (uint32_t)(equals - key),
			.value = (uint32_t)(equals + 1 - text->data),
			.value_size = (uint32_t)(end - equals - 1),
		};
		int error = add_record(list, item);
		if (error)
			return error;
		place += length;
	}
	return 0;
}

int st_tar_pax_local(struct st_tar *t)
{
	size_t place = t->text.size;
	int error = st_buffer_add(&t->text, t->blob.data, t->blob_size);
	t->last_header = t->records.count;
	return error ? error : parse(t, &t->text, place, &t->records);
}

static int keep(struct st_tar *t, const char *key, size_t key_size, const char *value, size_t value_size)
{
	uint32_t hash = 0;
	for (size_t i = 0; i < key_size; i++)
		hash = (hash ^ (unsigned char)key[i]) * 16777619;
	size_t at = 0;
	while (at < t->global_count && (t->global[at].hash != hash || t->global[at].key_size != key_size ||
					memcmp(t->global[at].data, key, key_size) != 0))
		at++;
	if (at == t->global_count && at == MOST_GLOBAL)
		return st_tar_broken(t, "broken archive: more than %d keys in global pax headers", MOST_GLOBAL);
	size_t old = at < t->global_count ? t->global[at].key_size + t->global[at].value_size : 0;
	size_t size = t->global_size - old + key_size + value_size;
	int error = st_tar_within(t, ST_LIMIT_PAX, t->limits.pax, size, "the global header");
	if (error)
		return error;
	if (!t->global && !(t->global = calloc(MOST_GLOBAL, sizeof *t->global)))
		return -ENOMEM;
	char *data = malloc(key_size + value_size + 1);
	if (!data)
		return -ENOMEM;
	memcpy(data, key, key_size);
	memcpy(data + key_size, value, value_size);
	if (at == t->global_count)
		t->global_count++;
	free(t->global[at].data);
	t->global[at] = (struct lasting){ data, hash, key_size, value_size };
	t->global_size = size;
	return 0;
}

int st_tar_pax_global(struct st_tar *t)
{
	struct records list = { 0 };
	struct st_buffer text = { t->blob.data, t->blob_size, t->blob_size };
	int error = parse(t, &text, 0, &list);
	for (size_t i = 0; !error && i < list.count; i++) {
		const struct record *item = &list.items[i];
		error = keep(t, text.data + item->key, item->key_size, text.data + item->value, item->value_size);
	}
	free(list.items);
	return error;
}

static bool is(const char *key, size_t size, const char *wanted)
{
	return size == strlen(wanted) && memcmp(key, wanted, size) == 0;
}

static int attribute(struct st_tar *t, st_tar_attribute item)
{
	if (t->entry.attribute_count == t->attribute_room) {
		size_t room = t->attribute_room ? t->attribute_room * 2 : 8;
		st_tar_attribute *items = realloc(t->attributes, room * sizeof *items);
		if (!items)
			return -ENOMEM;
		t->attributes = items;
		t->attribute_room = room;
	}
	t->attributes[t->entry.attribute_count++] = item;
	return 0;
}

static int one(struct st_tar *t, const char *key, size_t key_size, struct slice value)
{
	static const char XATTR[] = "SCHILY.xattr.", SPARSE[] = "GNU.sparse.";
	struct pax *pax = &t->pax;

	if (key_size >= sizeof XATTR - 1 && memcmp(key, XATTR, sizeof XATTR - 1) == 0)
		return attribute(t, (st_tar_attribute){ key + sizeof XATTR - 1, key_size - (sizeof XATTR - 1),
							value.data, value.size });
	if (key_size >= sizeof SPARSE - 1 && memcmp(key, SPARSE, sizeof SPARSE - 1) == 0) {
		key += sizeof SPARSE - 1, key_size -= sizeof SPARSE - 1;
		if (is(key, key_size, "name"))
			pax->sparse_name = value;
		else if (is(key, key_size, "realsize"))
			pax->sparse_realsize = value;
		else if (is(key, key_size, "size"))
			pax->sparse_size = value;
		else if (is(key, key_size, "major"))
			pax->sparse_major = value;
		else if (is(key, key_size, "map"))
			pax->sparse_map = value;
	} else if (is(key, key_size, "path"))
		pax->path = value;
	else if (is(key, key_size, "linkpath"))
		pax->linkpath = value;
	else if (is(key, key_size, "uid"))
		pax->uid = value;
	else if (is(key, key_size, "gid"))
		pax->gid = value;
	else if (is(key, key_size, "mtime"))
		pax->mtime = value;
	else if (is(key, key_size, "size"))
		pax->size = value;
	return 0;
}

/* The entry's own records count more than the global ones, the later ones more than the earlier ones. */
int st_tar_pax_resolve(struct st_tar *t)
{
	int error = 0;

	for (size_t i = 0; !error && i < t->global_count; i++) {
		const struct lasting *item = &t->global[i];
		error = one(t, item->data, item->key_size, (struct slice){ item->data + item->key_size, item->value_size });
	}
	for (size_t i = 0; !error && i < t->records.count; i++) {
		const struct record *item = &t->records.items[i];
		error = one(t, t->text.data + item->key, item->key_size,
			    (struct slice){ t->text.data + item->value, item->value_size });
	}
	return error;
}

void st_tar_pax_free(struct st_tar *t)
{
	for (size_t i = 0; i < t->global_count; i++)
		free(t->global[i].data);
	free(t->global);
	free(t->records.items);
	free(t->attributes);
}
