/* Where entries go: the directories on the way, and what stands in the way. */
#define _GNU_SOURCE
#include "unpack_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DIRECTORY = O_RDONLY | O_DIRECTORY, PATH_LIMIT = 1 << 12, MOST_IMPLIED = 1 << 26 /* bytes of paths */ };

static int open2(int root, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve };
	long fd;

	do
		fd = syscall(SYS_openat2, root, path, &how, sizeof how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR)); /* a rename raced with the resolution */
	return fd < 0 ? -errno : (int)fd;
}

int st_unpack_open_in_root(int root, const char *path, int flags)
{
	return open2(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int st_unpack_open_strictly(int root, const char *path, int flags)
{
	return open2(root, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int st_unpack_clean(struct st_unpack *u, const char *name, size_t n, int mark, struct st_buffer *result)
{
	int error = st_buffer_set(result, "", 0);

	if (!error)
		error = st_buffer_reserve(result, n + 1);
	if (error)
		return error;
	for (size_t at = 0; at < n;) {
		const char *part = name + at, *slash = memchr(part, '/', n - at);
		size_t size = slash ? (size_t)(slash - part) : n - at;
		at += size + 1;
		if (!size || (size == 1 && part[0] == '.'))
			continue;
		if (size == 2 && part[0] == '.' && part[1] == '.') {
			if (!result->size)
				return st_unpack_broken(u, "broken archive: %c: the name leads out of the image", mark);
			while (result->size && result->data[result->size - 1] != '/')
				result->size--;
			if (result->size)
				result->size--;
			continue;
		}
		if (size > 255)
			return st_unpack_broken(u, "broken archive: %c: the name is too long", mark);
		if (result->size)
			result->data[result->size++] = '/';
		memcpy(result->data + result->size, part, size);
		result->size += size;
	}
	result->data[result->size] = 0;
	return 0;
}

int st_unpack_account(struct st_unpack *u, int64_t size)
{
	if (size > 0 && (uint64_t)size > u->options.free) {
		st_unpack_broken(u, "cannot unpack \1: %lld bytes are more than the file system has free: %s",
				 (long long)size, "No space left on device");
		return -ENOSPC;
	}
	u->options.free -= size > 0 ? (uint64_t)size : 0;
	return 0;
}

int st_unpack_time(struct st_unpack *u, const char *name, int64_t mtime)
{
	uint32_t node;
	int error = st_names_add(&u->names, u->parent_node, name, strlen(name), &node);

	if (!error)
		u->names.nodes[node].mtime = mtime;
	return error;
}

/* What a directory keeps from below is decided when that is known. */
static int implied(struct st_unpack *u, int fd, const char *path)
{
	if (fchmod(fd, 0755))
		return st_unpack_failed(u, errno);
	if (u->implied.size > MOST_IMPLIED)
		return st_unpack_broken(u, "broken archive: \1: it has too many directories that it does not list");
	return st_buffer_add(&u->implied, path, strlen(path) + 1);
}

/* One missing directory in above, which is closed: its descriptor or an error. */
static int make_directory(struct st_unpack *u, int above, const char *name, const char *path)
{
	int64_t mtime = ST_NAMES_NO_TIME;
	int fd = -1, error = st_unpack_account(u, 4096);

	if (!error && (mkdirat(above, name, 0755) ||
		       (fd = openat(above, name, DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0))
		error = st_unpack_failed(u, errno);
	close(above);
	if (!error)
		error = u->options.unknown_lowers ? implied(u, fd, path) : st_unpack_take_after(u, fd, path, &mtime);
	if (!error)
		error = st_buffer_add(&u->made, &mtime, sizeof mtime);
	if (error && fd >= 0)
		close(fd);
	return error ? error : fd;
}

/* The directories of a path, from the first missing one on; a descriptor of the last or an error. */
static int make_parents(struct st_unpack *u, char *path)
{
	int fd = st_unpack_open_in_root(u->options.root, ".", DIRECTORY);
	bool missing = false;

	if (fd < 0)
		return st_unpack_failed(u, -fd);
	for (char *part = path, *end; part; part = end ? end + 1 : NULL) {
		end = strchr(part, '/');
		if (end)
			*end = 0;
		int next = missing ? -ENOENT : st_unpack_open_in_root(u->options.root, path, DIRECTORY);
		if (next == -ENOENT) {
			missing = true;
			next = make_directory(u, fd, part, path);
		} else {
			close(fd);
			if (next < 0)
				next = st_unpack_failed(u, -next);
		}
		if (end)
			*end = '/';
		if (next < 0)
			return next;
		fd = next;
	}
	return fd;
}

static int real_path(int fd, struct st_buffer *result)
{
	char link[32], path[PATH_LIMIT];

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path);
	if (n < 0)
		return -errno;
	return n == sizeof path ? -ENAMETOOLONG : st_buffer_set(result, path, (size_t)n);
}

/* The parent's path with every link on the way resolved: what the name map and tar-split's readers go by. */
static int resolved(struct st_unpack *u, int fd)
{
	struct st_buffer real = { 0 };
	int error = real_path(fd, &real);

	if (!error && !u->real_root.size)
		error = real_path(u->options.root, &u->real_root);
	size_t n = u->real_root.size;
	if (!error && n == 1)
		n = 0; /* the root is "/" */
	if (!error && real.size > n && memcmp(real.data, u->real_root.data, n) == 0 && real.data[n] == '/')
		error = st_buffer_set(&u->prefix, real.data + n + 1, real.size - n - 1);
	else if (!error)
		error = st_buffer_set(&u->prefix, "", 0);
	st_buffer_free(&real);
	return error;
}

/* Also gives the last directories on the way their times, if they have just been made. */
static int find_node(struct st_unpack *u)
{
	uint32_t node = ST_NAMES_ROOT;
	int error = 0;

	for (const char *part = u->prefix.data; !error && *part;) {
		size_t n = strcspn(part, "/");
		error = st_names_add(&u->names, node, part, n, &node);
		part += n + (part[n] == '/');
	}
	u->parent_node = node;
	for (size_t left = u->made.size; !error && left && node != ST_NAMES_ROOT; node = u->names.nodes[node].parent) {
		left -= sizeof(int64_t);
		memcpy(&u->names.nodes[node].mtime, u->made.data + left, sizeof(int64_t));
	}
	u->made.size = 0;
	return error;
}

int st_unpack_locate(struct st_unpack *u, int fd)
{
	int error = resolved(u, fd);

	u->made.size = 0;
	return error ? error : find_node(u);
}

const char *st_unpack_implied(st_unpack *u, size_t *cursor)
{
	while (*cursor < u->implied.size) {
		const char *path = u->implied.data + *cursor;
		*cursor += strlen(path) + 1;
		int fd = st_unpack_open_in_root(u->options.root, path, O_PATH | O_DIRECTORY);
		if (fd < 0)
			continue; /* replaced by a later entry */
		bool listed = false;
		if (!st_unpack_locate(u, fd))
			listed = u->names.nodes[u->parent_node].position != ST_NAMES_NONE;
		close(fd);
		if (!listed)
			return path;
	}
	return NULL;
}

int st_unpack_enter(struct st_unpack *u)
{
	size_t n = u->base ? u->base - 1 : 0;

	if (u->parent >= 0 && u->parent_name.size == n && memcmp(u->parent_name.data, u->path.data, n) == 0)
		return 0;
	if (u->parent >= 0)
		close(u->parent);
	u->parent = -1;
	u->made.size = 0;
	int error = st_buffer_set(&u->parent_name, u->path.data, n);
	if (!error)
		error = st_buffer_set(&u->prefix, u->path.data, n);
	if (error)
		return error;
	char *name = n ? u->parent_name.data : ".";
	int fd = st_unpack_open_strictly(u->options.root, name, DIRECTORY);
	bool links = fd == -ELOOP;
	if (links)
		fd = st_unpack_open_in_root(u->options.root, name, DIRECTORY);
	if (fd == -ENOTDIR && u->options.whiteouts == ST_CONVERT && strncmp(u->path.data + u->base, ".wh.", 4) == 0)
		return 1; /* some tools hide a directory and then what was in it */
	if (fd == -ENOENT)
		fd = make_parents(u, name);
	else if (fd < 0)
		fd = st_unpack_failed(u, -fd);
	if (fd < 0)
		return fd;
	u->parent = fd;
	u->linked = links;
	if (links && (error = resolved(u, fd)) && error != -ENOMEM)
		return st_unpack_failed(u, -error);
	if (!error)
		error = find_node(u);
	if (!error && u->prefix.size)
		error = st_buffer_add(&u->prefix, "/", 2); /* and a zero byte */
	if (!error && u->prefix.size)
		u->prefix.size--;
	return error;
}

static int shadowed(struct st_unpack *u, uint32_t position, const char *first, const char *path)
{
	if (position == ST_NAMES_NO_RECORD)
		return 0;
	const struct unpack_shadow item = { .position = position, .path = u->shadow_paths.size };
	int error = st_buffer_add(&u->shadowed, &item, sizeof item);

	if (!error)
		error = st_buffer_add(&u->shadow_paths, first, strlen(first));
	u->sorted = false;
	return error ? error : st_buffer_add(&u->shadow_paths, path, strlen(path) + 1);
}

struct displaced {
	struct st_unpack *u;
	const char *target;
};

static int displaced(void *self, uint32_t position, const char *path)
{
	struct displaced *all = self;

	return shadowed(all->u, position, all->target, path);
}

int st_unpack_displace(struct st_unpack *u, const char *name)
{
	char target[32];

	if (u->shadow < 0) {
		if (mkdir(u->options.shadow, 0700) && errno != EEXIST)
			return st_unpack_failed(u, errno);
		u->shadow = open(u->options.shadow, DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (u->shadow < 0)
			return st_unpack_failed(u, errno);
	}
	snprintf(target, sizeof target, "%lu", ++u->shadows);
	if (renameat(u->parent, name, u->shadow, target))
		return st_unpack_failed(u, errno);
	uint32_t node = st_names_find(&u->names, u->parent_node, name, strlen(name));
	struct displaced all = { u, target };
	return node == ST_NAMES_NONE ? 0 : st_names_cut(&u->names, node, displaced, &all);
}

/* What stays and may have more in it goes to kept, as nodes. */
static int empty(struct st_unpack *u, struct st_buffer *kept)
{
	int error = 0, fd = openat(u->parent, ".", DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (!directory) {
		error = st_unpack_failed(u, errno);
		if (fd >= 0)
			close(fd);
		return error;
	}
	for (struct dirent *item; !error;) {
		errno = 0;
		if (!(item = readdir(directory))) {
			if (errno)
				error = st_unpack_failed(u, errno);
			break;
		}
		if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
			continue;
		uint32_t node = st_names_find(&u->names, u->parent_node, item->d_name, strlen(item->d_name));
		if (node == ST_NAMES_NONE || !st_names_lives(&u->names, node))
			error = st_unpack_displace(u, item->d_name);
		else if (item->d_type == DT_DIR || item->d_type == DT_UNKNOWN)
			error = st_buffer_add(kept, &node, sizeof node);
	}
	closedir(directory);
	return error;
}

int st_unpack_empty(struct st_unpack *u)
{
	struct st_buffer kept = { 0 }, path = { 0 };
	int parent = u->parent;
	uint32_t node = u->parent_node;
	int error = empty(u, &kept);

	while (!error && kept.size) {
		kept.size -= sizeof u->parent_node;
		memcpy(&u->parent_node, kept.data + kept.size, sizeof u->parent_node);
		error = st_names_path(&u->names, u->parent_node, &path);
		if (error)
			break;
		u->parent = st_unpack_open_strictly(u->options.root, path.data, DIRECTORY | O_NOFOLLOW);
		if (u->parent >= 0) {
			error = empty(u, &kept);
			close(u->parent);
		} else if (u->parent != -ENOTDIR && u->parent != -ELOOP) {
			error = st_unpack_failed(u, -u->parent);
		}
	}
	u->parent = parent;
	u->parent_node = node;
	st_buffer_free(&kept);
	st_buffer_free(&path);
	return error;
}

int st_unpack_known(struct st_unpack *u)
{
	const char *name = u->path.data + u->base;
	uint32_t node;
	int error = st_names_add(&u->names, u->parent_node, name, strlen(name), &node);

	if (!error)
		u->names.nodes[node].position = ST_NAMES_NO_RECORD;
	return error;
}

int st_unpack_record(struct st_unpack *u, int is_root, int64_t size, uint64_t crc)
{
	uint32_t node = ST_NAMES_ROOT;
	int error = 0;

	if (!is_root) {
		const char *name = u->path.data + u->base;
		error = st_names_add(&u->names, u->parent_node, name, strlen(name), &node);
	}
	if (error)
		return error;
	struct st_node *item = &u->names.nodes[node];
	if (item->position != ST_NAMES_NONE && (error = shadowed(u, item->position, "", "")))
		return error; /* it was a directory before: there is no content to keep */
	struct st_buffer real = { 0 }; /* a link may lead elsewhere when the layer is complete */
	const char *name = u->entry->name;
	size_t n = u->entry->name_size;
	if (!is_root && u->linked) {
		const char *base = u->path.data + u->base;
		error = st_buffer_add(&real, u->prefix.data, u->prefix.size);
		if (!error)
			error = st_buffer_add(&real, base, strlen(base));
		name = real.data;
		n = real.size;
	}
	int64_t position = error ? error : st_split_file(u->split, name, n, (uint64_t)size, crc);
	st_buffer_free(&real);
	if (position < 0)
		return (int)position;
	if (position >= ST_NAMES_NO_RECORD)
		return st_unpack_broken(u, "cannot unpack \1: the archive has too many entries");
	item->position = (uint32_t)position;
	return 0;
}
