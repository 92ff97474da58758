/* See usage.h. Directories are kept as names relative to the top, so depth costs memory and no descriptors. */
#define _GNU_SOURCE
#include "usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct pending {
	char **names;
	size_t count, room;
};

static int push(struct pending *list, const char *directory, const char *name)
{
	size_t head = strlen(directory), tail = strlen(name);
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		char **grown = reallocarray(list->names, room, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		list->names = grown;
		list->room = room;
	}
	char *path = malloc(head + tail + 2);
	if (!path)
		return -ENOMEM;
	if (head) {
		memcpy(path, directory, head);
		path[head++] = '/';
	}
	memcpy(path + head, name, tail + 1);
	list->names[list->count++] = path;
	return 0;
}

static DIR *open_directory(int top, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	const char *name = *path ? path : ".";
	long fd = syscall(SYS_openat2, top, name, &how, sizeof how);
	if (fd < 0 && errno == EPERM) {
		how.flags &= ~(uint64_t)O_NOATIME; /* only for the owner of the directory */
		fd = syscall(SYS_openat2, top, name, &how, sizeof how);
	}
	if (fd < 0)
		return NULL;
	DIR *opened = fdopendir((int)fd);
	if (!opened)
		close((int)fd);
	return opened;
}

int st_usage(int top, int64_t *bytes, int64_t *files)
{
	struct pending list = {0};
	double shared = 0;
	int result = push(&list, "", "");
	*bytes = *files = 0;
	while (!result && list.count) {
		char *path = list.names[--list.count];
		DIR *directory = open_directory(top, path);
		struct dirent *entry;
		while (directory && !result && (entry = readdir(directory))) {
			const char *name = entry->d_name;
			if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
				continue;
			struct stat found;
			if (entry->d_type != DT_DIR) {
				if (fstatat(dirfd(directory), name, &found, AT_SYMLINK_NOFOLLOW))
					continue;
				if (!S_ISDIR(found.st_mode)) {
					if (found.st_nlink > 1)
						shared += (double)found.st_size / (double)found.st_nlink;
					else
						*bytes += found.st_size;
					++*files;
					continue;
				}
			}
			result = push(&list, path, name);
		}
		if (directory)
			closedir(directory);
		free(path);
	}
	while (list.count)
		free(list.names[--list.count]);
	free(list.names);
	*bytes += (int64_t)(shared + 0.5);
	return result;
}
