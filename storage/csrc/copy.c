#define _GNU_SOURCE
#include "copy_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum kind { DIRECTORY, LARGE, PART };

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
#define OPEN_SOURCE (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

static struct link_entry **slot(struct st_copy *copy, const struct stat *status)
{
	return &copy->links[(status->st_ino ^ (status->st_ino >> 10) ^ status->st_dev) % LINK_SLOTS];
}

/* A file with several names: NULL if this is the first one met (its entry is then in *own), else the other. */
static struct link_entry *other_name(struct worker *worker, struct node *node, const char *name,
				     const struct stat *status, struct link_entry **own, int *error)
{
	struct st_copy *copy = worker->pool->context;
	struct link_entry *found, **head = slot(copy, status);

	pthread_mutex_lock(&copy->links_lock);
	for (found = *head; found; found = found->next)
		if (found->inode == status->st_ino && found->device == status->st_dev)
			break;
	if (found) {
		while (!found->ready)
			pthread_cond_wait(&copy->links_ready, &copy->links_lock);
	} else {
		size_t length;
		const char *path = pool_path(worker, node, &length);
		size_t size = length + strlen(name) + 2;
		struct link_entry *entry = path ? malloc(sizeof *entry + size) : NULL;
		if (!entry)
			*error = -ENOMEM;
		else {
			entry->device = status->st_dev;
			entry->inode = status->st_ino;
			entry->ready = 0;
			memcpy(entry->path, path, length);
			if (length)
				entry->path[length++] = '/';
			strcpy(entry->path + length, name);
			entry->next = *head;
			*head = entry;
			*own = entry;
		}
	}
	pthread_mutex_unlock(&copy->links_lock);
	return found;
}

static void now_there(struct st_copy *copy, struct link_entry *entry, int ready)
{
	if (!entry)
		return;
	pthread_mutex_lock(&copy->links_lock);
	entry->ready = ready;
	pthread_cond_broadcast(&copy->links_ready);
	pthread_mutex_unlock(&copy->links_lock);
}

static int make_link(struct worker *worker, int to, const char *name, const struct link_entry *other)
{
	struct st_copy *copy = worker->pool->context;
	int directory = copy->to, result;
	const char *path = other->path, *last;
	char part[4096];

	if (other->ready != 1)
		return 0; /* left out, as the other name; or failed, which the other name tells */
	for (;;) {
		size_t length = strlen(path);
		int next;
		last = strrchr(path, '/');
		if (length < sizeof part || !last)
			break;
		length = sizeof part - 1;
		while (path[length] != '/')
			length--;
		memcpy(part, path, length);
		part[length] = 0;
		next = pool_open_at(directory, part, O_PATH | O_DIRECTORY, 0);
		if (directory != copy->to)
			close(directory);
		if (next < 0)
			return next;
		directory = next;
		path += length + 1;
	}
	result = linkat(directory, path, to, name, 0) < 0 ? -errno : 0;
	if (directory != copy->to)
		close(directory);
	return result;
}

static int copy_large(struct worker *worker, struct node *node, const char *name, const struct stat *status)
{
	struct node *file = pool_node(node, name, LARGE);

	if (!file || !(file->status = malloc(sizeof *status))) {
		free(file);
		return -ENOMEM;
	}
	*file->status = *status;
	pool_push(worker->pool, file);
	return 0;
}

static int copy_file(struct worker *worker, struct node *node, const char *name, int from, int to,
		     const struct stat *status, struct link_entry *own)
{
	struct st_copy *copy = worker->pool->context;
	int source, target, result = 0, large = status->st_size > COPY_PART, later = 0;
	mode_t mode = large ? 0600 : status->st_mode & 0777; /* a large file is opened again */

	source = openat(from, name, OPEN_SOURCE | O_CLOEXEC);
	target = source < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (target < 0)
		result = -errno;
	now_there(copy, own, target >= 0 ? 1 : -1);
	if (!result && status->st_size && copy_clone(worker, node, name, source, target, status)) {
		/* Only where a hole may be the end: ext4 flushes at once what has been truncated to nothing. */
		if (status->st_blocks * 512 < status->st_size && ftruncate(target, status->st_size) < 0)
			result = -errno;
		else if (large) {
			result = copy_large(worker, node, name, status); /* its attributes come at its end */
			later = 1;
		} else
			result = copy_range(worker, source, target, status, 0, (uint64_t)status->st_size);
	}
	if (!result && !later)
		result = copy_attributes(worker, node, name, source, target, status);
	if (source >= 0)
		close(source);
	if (target >= 0 && close(target) < 0 && !result && errno != EINTR)
		result = -errno;
	return result;
}

static int copy_special(struct worker *worker, struct node *node, const char *name, int from, int to,
			const struct stat *status)
{
	struct st_copy *copy = worker->pool->context;
	char target[4097];
	ssize_t length;

	if (S_ISLNK(status->st_mode)) {
		length = readlinkat(from, name, target, sizeof target - 1);
		if (length < 0)
			return -errno;
		target[length] = 0;
		if (symlinkat(target, to, name) < 0)
			return -errno;
	} else if (mknodat(to, name, status->st_mode & (S_IFMT | 0777), status->st_rdev) < 0) {
		if (errno == EPERM && copy->skip_devices && (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)))
			return 1;
		return -errno;
	}
	return copy_attributes(worker, node, name, from, to, status);
}

static int copy_entry(struct worker *worker, struct node *node, const char *name, int from, int to)
{
	struct st_copy *copy = worker->pool->context;
	struct link_entry *own = NULL;
	struct stat status;
	int result = 0;

	if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode)) {
		struct node *child;
		if (mkdirat(to, name, 0700) < 0)
			return -errno;
		child = pool_node(node, name, DIRECTORY);
		if (!child || !(child->status = malloc(sizeof status))) {
			free(child);
			return -ENOMEM;
		}
		*child->status = status;
		pool_push(worker->pool, child);
		return 0;
	}
	if (status.st_nlink > 1) {
		struct link_entry *other = other_name(worker, node, name, &status, &own, &result);
		if (other)
			return make_link(worker, to, name, other);
		if (result)
			return result;
	}
	if (S_ISREG(status.st_mode))
		result = copy_file(worker, node, name, from, to, &status, own);
	else {
		result = copy_special(worker, node, name, from, to, &status);
		now_there(copy, own, result == 0 ? 1 : result == 1 ? 2 : -1);
		if (result == 1) /* a device that is left out; its other names are, too */
			return 0;
	}
	return result;
}

static void visit_directory(struct worker *worker, struct node *node)
{
	struct st_copy *copy = worker->pool->context;
	int from = pool_open(worker, copy->from, node, OPEN_DIRECTORY, 0);
	int to = from < 0 ? -1 : pool_open(worker, copy->to, node, OPEN_DIRECTORY, 0);
	uint64_t count = 1;
	long got = 0;

	if (from < 0 || to < 0)
		pool_fail(worker, node, NULL, from < 0 ? -from : -to, 1);
	else {
		pool_anchor(worker->pool, node, 0, from);
		pool_anchor(worker->pool, node, 1, to);
	}
	while (!pool_stopped(worker->pool) && (got = pool_entries(worker, from)) > 0) {
		for (long at = 0; at < got && !pool_stopped(worker->pool);) {
			struct pool_entry *entry = (struct pool_entry *)(void *)(worker->names + at);
			int result;
			at += entry->size;
			if (pool_dots(entry->name))
				continue;
			result = copy_entry(worker, node, entry->name, from, to);
			if (result < 0)
				pool_fail(worker, node, entry->name, -result, 1);
			count += entry->type != DT_DIR;
		}
		__atomic_add_fetch(&copy->inodes, count, __ATOMIC_RELAXED);
		count = 0;
	}
	if (got < 0)
		pool_fail(worker, node, NULL, (int)-got, 1);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
}

/* A large file becomes parts, for whichever thread has time. */
static void visit_large(struct worker *worker, struct node *node)
{
	uint64_t size = (uint64_t)node->status->st_size, at = size - size % COPY_PART;

	for (;; at -= COPY_PART) { /* the last one pushed, the first part, is taken first */
		struct node *part = at < size ? pool_node(node, "", PART) : NULL;
		if (part) {
			part->offset = at;
			part->count = size - at < COPY_PART ? size - at : COPY_PART;
			pool_push(worker->pool, part);
		} else if (at < size)
			pool_fail(worker, node, NULL, ENOMEM, 1);
		if (!at)
			break;
	}
}

static void visit_part(struct worker *worker, struct node *node)
{
	struct st_copy *copy = worker->pool->context;
	struct node *file = node->parent;
	int from = pool_open(worker, copy->from, file, OPEN_SOURCE, 0);
	int to = from < 0 ? from : pool_open(worker, copy->to, file, O_WRONLY | O_NOFOLLOW, 0);
	int result = to < 0 ? to : copy_range(worker, from, to, file->status, node->offset, node->count);

	if (result)
		pool_fail(worker, file, NULL, -result, 1);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
}

static void visit(struct worker *worker, struct node *node)
{
	if (node->kind == DIRECTORY)
		visit_directory(worker, node);
	else if (node->kind == LARGE)
		visit_large(worker, node);
	else
		visit_part(worker, node);
}

/* What is complete gets its attributes: a directory's times would not survive its content. */
static int finish(struct worker *worker, struct node *node)
{
	struct st_copy *copy = worker->pool->context;
	int from, to, result;

	if (node->kind == PART)
		return 0;
	if (node->kind == DIRECTORY) {
		from = pool_open(worker, copy->from, node, OPEN_DIRECTORY, 0);
		to = from < 0 ? from : pool_open(worker, copy->to, node, OPEN_DIRECTORY, 0);
	} else {
		from = pool_open(worker, copy->from, node, OPEN_SOURCE, 0);
		to = from < 0 ? from : pool_open(worker, copy->to, node, O_WRONLY | O_NOFOLLOW, 0);
	}
	result = to < 0 ? to : copy_attributes(worker, node, NULL, from, to, node->status);
	if (result)
		pool_fail(worker, node, NULL, -result, 1);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return 0;
}

struct st_copy *st_copy_start(int from, int to, const uint32_t *map, int uid_rows, int gid_rows, const int *backing,
			      int backings, int skip_devices, int threads)
{
	struct st_copy *copy = calloc(1, sizeof *copy);
	struct node *root = copy ? pool_node(NULL, "", DIRECTORY) : NULL;
	struct stat target;

	if (!root || !(root->status = malloc(sizeof *root->status)) || fstat(from, root->status) < 0 ||
	    fstat(to, &target) < 0 || pool_init(&copy->pool, visit, finish, copy))
		goto nothing;
	pthread_mutex_init(&copy->links_lock, NULL);
	pthread_cond_init(&copy->links_ready, NULL);
	copy->pool.own_fs = 1;
	copy->pool.roots[0] = from;
	copy->pool.roots[1] = to;
	copy->from = from;
	copy->to = to;
	copy->map = map;
	copy->uid_rows = uid_rows;
	copy->gid_rows = gid_rows;
	copy->backing = backing;
	copy->backings = backings;
	copy->skip_devices = skip_devices;
	copy->own_group = target.st_gid == getegid() && !(target.st_mode & S_ISGID);
	pool_push(&copy->pool, root);
	if (pool_start(&copy->pool, threads) == 0)
		return copy;
	pool_free(&copy->pool);
nothing:
	if (root)
		free(root->status);
	free(root);
	free(copy);
	return NULL;
}

int st_copy_wait(struct st_copy *copy, int milliseconds)
{
	return pool_wait(&copy->pool, milliseconds);
}

void st_copy_done(struct st_copy *copy, uint64_t *bytes, uint64_t *inodes)
{
	*bytes = __atomic_load_n(&copy->bytes, __ATOMIC_RELAXED);
	*inodes = __atomic_load_n(&copy->inodes, __ATOMIC_RELAXED);
}

void st_copy_cancel(struct st_copy *copy)
{
	pthread_mutex_lock(&copy->pool.lock);
	if (!copy->pool.error)
		copy->pool.error = -ECANCELED;
	pthread_mutex_unlock(&copy->pool.lock);
	pool_stop(&copy->pool);
}

void st_copy_end(struct st_copy *copy, struct st_copy_result *result)
{
	pool_join(&copy->pool);
	memset(result, 0, sizeof *result);
	result->error = copy->pool.error;
	if (copy->pool.error == -ERANGE) {
		result->no_room = copy->no_room;
		result->id = copy->id;
	}
	memcpy(result->path, copy->pool.failed, sizeof result->path);
	for (size_t i = 0; i < LINK_SLOTS; i++)
		while (copy->links[i]) {
			struct link_entry *next = copy->links[i]->next;
			free(copy->links[i]);
			copy->links[i] = next;
		}
	pthread_mutex_destroy(&copy->links_lock);
	pthread_cond_destroy(&copy->links_ready);
	pool_free(&copy->pool);
	free(copy);
}
