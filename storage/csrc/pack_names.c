/* The names in a directory, in the order of their bytes. */
#define _GNU_SOURCE
#include "pack_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MARK ".wh."

static int by_key(const void *left, const void *right)
{
	const struct pk_name *one = left, *other = right;
	int order = strcmp(one->key, other->key);

	return order ? order : (int)one->mark - (int)other->mark;
}

static int read_all(int fd, struct pk_buffer *text, size_t *count)
{
	char buffer[1 << 15] __attribute__((aligned(8)));
	long got;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((got = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
		for (long at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(buffer + at);
			const char *name = entry->d_name;

			at += entry->d_reclen;
			if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
				continue;
			if (pk_append(text, name, strlen(name) + 1))
				return -ENOMEM;
			++*count;
		}
	}
	/* ENOENT: it was removed while it was open. */
	return got < 0 && errno != ENOENT ? -errno : 0;
}

int pk_names_read(int fd, struct pk_names *names, int marks)
{
	size_t count = 0;
	int result = read_all(fd, &names->text, &count);
	const char *at = names->text.data;

	if (result)
		return result;
	names->list = malloc((count ? count : 1) * sizeof *names->list);
	if (!names->list)
		return -ENOMEM;
	for (; count; count--, at += strlen(at) + 1) {
		struct pk_name *name = &names->list[names->count];

		*name = (struct pk_name){at, 0, 0};
		if (marks && !strncmp(at, MARK, 4)) {
			if (!strcmp(at, ".wh..wh..opq") || !strcmp(at, ".wh..opq")) {
				names->opaque = 1;
				continue;
			}
			if (!at[4] || !strncmp(at + 4, MARK, 4))
				continue; /* aufs's own */
			*name = (struct pk_name){at + 4, 1, 0};
		}
		names->count++;
	}
	qsort(names->list, names->count, sizeof *names->list, by_key);
	return 0;
}

int pk_names_add_gone(struct pk_names *names, int old)
{
	struct pk_names other = {0};
	struct pk_name *merged;
	size_t own = 0, theirs = 0, count = 0;
	int result = pk_names_read(old, &other, 0);

	if (result)
		goto out;
	merged = malloc((names->count + other.count + 1) * sizeof *merged);
	if (!merged) {
		result = -ENOMEM;
		goto out;
	}
	while (own < names->count || theirs < other.count) {
		int order = own == names->count	      ? 1
			    : theirs == other.count ? -1
						    : strcmp(names->list[own].key, other.list[theirs].key);
		if (order > 0)
			merged[count++] = (struct pk_name){other.list[theirs].key, 0, 1};
		else
			merged[count++] = names->list[own++];
		if (order >= 0)
			theirs++;
	}
	free(names->list);
	names->list = merged;
	names->count = count;
	names->old_text = other.text; /* the keys point into it */
	other.text = (struct pk_buffer){0};
out:
	pk_names_free(&other);
	return result;
}

void pk_names_free(struct pk_names *names)
{
	free(names->text.data);
	free(names->old_text.data);
	free(names->list);
	*names = (struct pk_names){0};
}
