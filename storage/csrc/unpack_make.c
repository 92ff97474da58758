/* Entries become files. */
#define _GNU_SOURCE
#include "unpack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct timespec moment(int64_t nanoseconds)
{
	int64_t seconds = nanoseconds / 1000000000, rest = nanoseconds % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		seconds--;
	}
	return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = (long)rest };
}

static int attributes(struct st_unpack *u, int fd, const char *path)
{
	const st_tar_entry *entry = u->entry;
	struct st_buffer key = { 0 };
	int error = 0;

	for (size_t i = 0; !error && i < entry->attribute_count; i++) {
		const st_tar_attribute *item = &entry->attributes[i];
		error = st_buffer_set(&key, item->key, item->key_size);
		if (!error)
			error = st_unpack_attribute(u, fd, path, key.data, item->value, item->value_size);
	}
	st_buffer_free(&key);
	return error;
}

static const char *base(const struct st_unpack *u)
{
	return u->path.data + u->base;
}

/* The entry's owner for ``name`` in the current directory. */
static int owner_of(struct st_unpack *u, const char *name)
{
	int result = fchownat(u->parent, name, u->entry->uid, u->entry->gid, AT_SYMLINK_NOFOLLOW);

	/* With a mask only links come here, which can have no attribute: they are given away where that is allowed. */
	return u->options.ignore_owners || u->options.masked ? 0 : result;
}

/* Of what is a regular file because of the mask: what it stands for. */
static void type_of(const st_tar_entry *entry, char *type, size_t size)
{
	if (entry->kind == '6')
		snprintf(type, size, ":pipe");
	else if (entry->kind == '3' || entry->kind == '4')
		snprintf(type, size, ":%s-%u-%u", entry->kind == '3' ? "char" : "block", (unsigned)entry->device_major,
			 (unsigned)entry->device_minor);
	else
		*type = 0;
}

static int owner_and_mode(struct st_unpack *u, int fd)
{
	if (u->options.masked) {
		char type[64];
		type_of(u->entry, type, sizeof type);
		int error = st_unpack_mask(u, fd, u->entry->uid, u->entry->gid, u->entry->mode, type);
		return error ? error : attributes(u, fd, NULL);
	}
	if ((fchown(fd, u->entry->uid, u->entry->gid) && !u->options.ignore_owners) || fchmod(fd, u->entry->mode))
		return st_unpack_failed(u, errno);
	return attributes(u, fd, NULL);
}

static int regular(struct st_unpack *u)
{
	enum { FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };
	int fd = openat(u->parent, base(u), FLAGS, 0600);

	if (fd < 0 && errno == EEXIST) {
		int error = st_unpack_displace(u, base(u));
		if (error)
			return error;
		fd = openat(u->parent, base(u), FLAGS, 0600);
	}
	if (fd < 0)
		return st_unpack_failed(u, errno);
	u->out = fd;
	u->offset = u->flushed = 0;
	u->crc = 0;
	if (u->entry->sparse) {
		if (ftruncate(fd, u->entry->size))
			return st_unpack_failed(u, errno);
		u->piece = 0;
		u->left = 0;
		u->state = PIECES;
	} else {
		u->left = u->entry->stored;
		u->state = CONTENT;
	}
	return 0;
}

int st_unpack_end(struct st_unpack *u)
{
	struct timespec times[2] = { moment(u->entry->mtime), moment(u->entry->mtime) };
	int error = 0;

	/* A sparse file has no record: tar-split's readers know no sparse files. */
	if (u->state == CONTENT)
		error = st_unpack_record(u, 0, u->entry->size, u->crc);
	else
		error = st_unpack_known(u);
	if (!error)
		error = owner_and_mode(u, u->out);
	if (!error && futimens(u->out, times))
		error = st_unpack_failed(u, errno);
	/* Some file systems, those of a network, write only now. */
	int result = close(u->out);
	u->out = -1;
	u->state = HEADERS;
	return error ? error : result && errno != EINTR ? st_unpack_failed(u, errno) : 0;
}

/* A device or pipe as an empty regular file. */
static int stand_in(struct st_unpack *u)
{
	int error = regular(u);

	u->left = 0;
	return error ? error : st_unpack_end(u);
}

static int directory(struct st_unpack *u)
{
	int error = 0, fd = -1;

	if (mkdirat(u->parent, base(u), 0700)) {
		struct stat found;
		if (errno != EEXIST || fstatat(u->parent, base(u), &found, AT_SYMLINK_NOFOLLOW))
			return st_unpack_failed(u, errno);
		if (!S_ISDIR(found.st_mode)) {
			error = st_unpack_displace(u, base(u));
			if (!error && mkdirat(u->parent, base(u), 0700))
				error = st_unpack_failed(u, errno);
		}
	}
	if (!error && (fd = openat(u->parent, base(u), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		error = st_unpack_failed(u, errno);
	if (!error)
		error = owner_and_mode(u, fd);
	if (fd >= 0)
		close(fd);
	return error ? error : st_unpack_time(u, base(u), u->entry->mtime);
}

/* linkat(2) below the root: 0, or what st_unpack_broken and its like give; 1 where something stands in the way. */
static int link_to(struct st_unpack *u, const char *above, const char *name)
{
	bool here = strcmp(above, u->parent_name.data) == 0;
	int source = u->parent;

	if (!here)
		source = st_unpack_open_in_root(u->options.root, *above ? above : ".", O_RDONLY | O_DIRECTORY);
	if (source < 0)
		return st_unpack_broken(u, "broken archive: \1: its hard link target \2: %s", strerror(-source));
	int error = linkat(source, name, u->parent, base(u), 0) ? errno : 0;
	if (!here)
		close(source);
	if (error == ENOENT)
		return st_unpack_broken(u, "broken archive: \1: its hard link target \2 is not there");
	return !error ? 0 : error == EEXIST ? 1 : st_unpack_failed(u, error);
}

static int hard_link(struct st_unpack *u)
{
	int error = st_unpack_clean(u, u->entry->target, u->entry->target_size, 2, &u->target);

	if (error)
		return error;
	char *path = u->target.data, *slash = strrchr(path, '/');
	if (!*path)
		return st_unpack_broken(u, "broken archive: \1: a hard link to nothing");
	bool itself = strcmp(path, u->path.data) == 0;
	if (itself) {
		uint32_t node = st_names_find(&u->names, u->parent_node, base(u), strlen(base(u)));
		struct stat found;
		if (node != ST_NAMES_NONE && u->names.nodes[node].position != ST_NAMES_NONE &&
		    !fstatat(u->parent, base(u), &found, AT_SYMLINK_NOFOLLOW) && !S_ISDIR(found.st_mode))
			return 0; /* the file's own record stays */
	}
	if (slash)
		*slash = 0;
	const char *above = slash ? path : "", *name = slash ? slash + 1 : path;
	int result = link_to(u, above, name);
	if (result == 1 && !itself) {
		/* The target is looked for again: it may be in what is taken away. */
		error = st_unpack_displace(u, base(u));
		result = error ? error : link_to(u, above, name);
	}
	if (result > 0)
		return st_unpack_failed(u, EEXIST);
	return result ? result : st_unpack_record(u, 0, 0, 0);
}

static int make_special(struct st_unpack *u)
{
	const st_tar_entry *entry = u->entry;

	switch (entry->kind) {
	case '2':
		return symlinkat(entry->target, u->parent, base(u));
	case '6':
		return mknodat(u->parent, base(u), S_IFIFO | 0600, 0);
	default:
		return mknodat(u->parent, base(u), (entry->kind == '3' ? S_IFCHR : S_IFBLK) | 0600,
			       makedev(entry->device_major, entry->device_minor));
	}
}

/* chmod(2) of what has just been made, and of nothing that a link leads to which has come in its place. */
static int mode_of_special(struct st_unpack *u)
{
	char path[32];
	struct stat found;
	int error = 0, fd = openat(u->parent, base(u), O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return st_unpack_failed(u, errno);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fstat(fd, &found))
		error = st_unpack_failed(u, errno);
	else if (!S_ISLNK(found.st_mode) && chmod(path, u->entry->mode))
		error = st_unpack_failed(u, errno);
	close(fd);
	return error;
}

static int special(struct st_unpack *u)
{
	const st_tar_entry *entry = u->entry;
	struct timespec times[2] = { moment(entry->mtime), moment(entry->mtime) };
	int error = 0;

	if (entry->kind == '2' && !entry->target_size)
		return st_unpack_broken(u, "broken archive: \1: a symbolic link to nothing");
	int result = make_special(u);
	if (result && errno == EEXIST) {
		error = st_unpack_displace(u, base(u));
		if (error)
			return error;
		result = make_special(u);
	}
	if (result || owner_of(u, base(u)))
		return st_unpack_failed(u, errno);
	if (entry->kind != '2')
		error = mode_of_special(u);
	if (!error && entry->attribute_count) {
		char path[300];
		snprintf(path, sizeof path, "/proc/self/fd/%d/%s", u->parent, base(u));
		error = attributes(u, -1, path);
	}
	if (!error && utimensat(u->parent, base(u), times, AT_SYMLINK_NOFOLLOW))
		error = st_unpack_failed(u, errno);
	return error ? error : st_unpack_record(u, 0, 0, 0);
}

static int whiteout(struct st_unpack *u)
{
	const char *name = base(u), *hidden = name + 4;
	struct stat found;

	if (strcmp(name, ".wh..wh..opq") == 0) {
		if (u->options.whiteouts == ST_APPLY)
			return st_unpack_empty(u);
		const char *key = u->options.in_user_namespace ? "user.overlay.opaque" : "trusted.overlay.opaque";
		return fsetxattr(u->parent, key, "y", 1, 0) ? st_unpack_failed(u, errno) : 0;
	}
	if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0 || strncmp(hidden, ".wh.", 4) == 0)
		return 0; /* aufs's own */
	if (!fstatat(u->parent, hidden, &found, AT_SYMLINK_NOFOLLOW)) {
		int error = st_unpack_displace(u, hidden);
		if (error)
			return error;
	} else if (errno != ENOENT) {
		return st_unpack_failed(u, errno);
	}
	if (u->options.whiteouts == ST_APPLY)
		return 0;
	if (mknodat(u->parent, hidden, S_IFCHR, makedev(0, 0)) || owner_of(u, hidden))
		return st_unpack_failed(u, errno);
	return 0;
}

/* An entry that makes no file of its name. */
static int leave_out(struct st_unpack *u, int is_root)
{
	u->left = u->entry->stored;
	u->state = u->left ? LEFT_OUT : HEADERS;
	return st_unpack_record(u, is_root, 0, 0);
}

/* No device can be made here. It is left out, as podman does, and so is what it replaces. */
static int no_device(struct st_unpack *u)
{
	struct stat found;
	int error = 0;

	if (!fstatat(u->parent, base(u), &found, AT_SYMLINK_NOFOLLOW))
		error = st_unpack_displace(u, base(u));
	return error ? error : st_unpack_record(u, 0, 0, 0);
}

int st_unpack_begin(struct st_unpack *u)
{
	const st_tar_entry *entry = u->entry;
	int error = st_unpack_clean(u, entry->name, entry->name_size, 1, &u->path);

	if (error)
		return error;
	if (!u->path.size)
		return leave_out(u, 1);
	const char *slash = strrchr(u->path.data, '/');
	u->base = slash ? (size_t)(slash + 1 - u->path.data) : 0;
	error = st_unpack_account(u, entry->stored); /* without the holes */
	if (!error)
		error = st_unpack_enter(u);
	if (error > 0) {
		u->left = entry->stored;
		u->state = u->left ? LEFT_OUT : HEADERS;
		return 0;
	}
	if (error)
		return error;
	if (u->options.whiteouts != ST_KEEP && strncmp(base(u), ".wh.", 4) == 0) {
		error = whiteout(u);
		return error ? error : leave_out(u, 0);
	}
	bool device = entry->kind == '3' || entry->kind == '4';
	if (device && u->options.in_user_namespace && !u->options.masked)
		return no_device(u);
	error = st_idset_add(&u->uids, entry->uid);
	if (!error)
		error = st_idset_add(&u->gids, entry->gid);
	if (error)
		return error;
	switch (entry->kind) {
	case '0':
		return regular(u);
	case '1':
		return hard_link(u);
	case '5':
		error = directory(u);
		return error ? error : st_unpack_record(u, 0, 0, 0);
	default:
		return u->options.masked && entry->kind != '2' ? stand_in(u) : special(u);
	}
}
