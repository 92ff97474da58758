#define _GNU_SOURCE
#include "pool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PART 4000 /* bytes of a path that one openat2(2) is given: less than PATH_MAX */
#define STACK (256 * 1024)
#define SPACING 128 /* levels between anchors */
#define ANCHORS 40

int pool_init(struct pool *pool, void (*visit)(struct worker *, struct node *),
	      int (*finish)(struct worker *, struct node *), void *context)
{
	pthread_condattr_t clock;

	memset(pool, 0, sizeof *pool);
	pool->visit = visit;
	pool->finish = finish;
	pool->context = context;
	pool->roots[0] = pool->roots[1] = -1;
	if (pthread_condattr_init(&clock))
		return -ENOMEM;
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, &clock);
	pthread_cond_init(&pool->changed, &clock);
	pthread_condattr_destroy(&clock);
	return 0;
}

static void drop(struct pool *pool, struct node *node)
{
	for (int which = 0; which < 2; which++)
		if (node->anchors[which]) {
			close(node->anchors[which] - 1);
			__atomic_sub_fetch(&pool->anchored, 1, __ATOMIC_RELAXED);
		}
	free(node->status);
	free(node);
	if (__atomic_sub_fetch(&pool->alive, 1, __ATOMIC_ACQ_REL) == 0) {
		pthread_mutex_lock(&pool->lock);
		pthread_cond_broadcast(&pool->more);
		pthread_mutex_unlock(&pool->lock);
	}
}

/* One of the things that `node` waits for is done. */
static void release(struct worker *worker, struct node *node)
{
	struct pool *pool = worker->pool;

	while (node && __atomic_sub_fetch(&node->pending, 1, __ATOMIC_ACQ_REL) == 0) {
		struct node *parent = node->parent;
		if (!pool_stopped(pool) && pool->finish(worker, node))
			return;
		drop(pool, node);
		node = parent;
	}
}

void pool_free(struct pool *pool)
{
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->more);
	pthread_cond_destroy(&pool->changed);
}

struct node *pool_node(struct node *parent, const char *name, int kind)
{
	size_t length = strlen(name);
	struct node *node = calloc(1, sizeof *node + length + 1);

	if (!node)
		return NULL;
	memcpy(node->name, name, length + 1);
	node->length = (uint32_t)length;
	node->parent = parent;
	node->depth = parent ? parent->depth + 1 : 0;
	node->kind = kind;
	return node;
}

void pool_push(struct pool *pool, struct node *node)
{
	if (node->tries == 0) { /* else it is known already */
		__atomic_add_fetch(&pool->alive, 1, __ATOMIC_RELAXED);
		if (node->parent)
			__atomic_add_fetch(&node->parent->pending, 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&node->pending, 1, __ATOMIC_RELEASE);
	pthread_mutex_lock(&pool->lock);
	node->next = pool->top;
	pool->top = node;
	if (pool->waiting)
		pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

static struct node *take(struct pool *pool)
{
	struct node *node;

	pthread_mutex_lock(&pool->lock);
	while (!pool->top && __atomic_load_n(&pool->alive, __ATOMIC_ACQUIRE)) {
		pool->waiting++;
		pthread_cond_wait(&pool->more, &pool->lock);
		pool->waiting--;
	}
	node = pool->top;
	if (node)
		pool->top = node->next;
	pthread_mutex_unlock(&pool->lock);
	return node;
}

int pool_run(struct pool *pool)
{
	struct worker worker = {.pool = pool};
	struct node *node;

	worker.names = malloc(POOL_NAMES);
	if (!worker.names)
		pool_fail(&worker, NULL, NULL, ENOMEM, 1);
	while ((node = take(pool))) {
		if (!pool_stopped(pool))
			pool->visit(&worker, node);
		release(&worker, node);
	}
	free(worker.path);
	free(worker.buffer);
	free(worker.names);
	return pool->error;
}

static void *thread(void *argument)
{
	struct pool *pool = argument;

	if (pool->own_fs) {
		/* A process whose threads share their working directory cannot enter a mount namespace (setns(2)). */
		if (unshare(CLONE_FS) == 0)
			umask(0);
		else {
			struct worker nobody = {.pool = pool};
			pool_fail(&nobody, NULL, NULL, errno, 1);
			free(nobody.path);
		}
	}
	pool_run(pool);
	pthread_mutex_lock(&pool->lock);
	pool->running--;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int pool_start(struct pool *pool, int threads)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	int error = 0;

	if (threads < 1)
		threads = 1;
	if (threads > 8)
		threads = 8;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	/* Signals are for the caller's own thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (int i = 0; i < threads && !error; i++) {
		pthread_mutex_lock(&pool->lock);
		error = pthread_create(&pool->threads[i], &attributes, thread, pool);
		if (!error) {
			pool->running++;
			pool->started++;
		}
		pthread_mutex_unlock(&pool->lock);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return pool->started ? 0 : -error; /* fewer threads do as well */
}

int pool_wait(struct pool *pool, int milliseconds)
{
	struct timespec end;
	int ended;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += milliseconds / 1000;
	end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&pool->lock);
	while (pool->running) {
		if (milliseconds < 0)
			pthread_cond_wait(&pool->changed, &pool->lock);
		else if (pthread_cond_timedwait(&pool->changed, &pool->lock, &end))
			break;
	}
	ended = !pool->running;
	pthread_mutex_unlock(&pool->lock);
	return ended;
}

void pool_join(struct pool *pool)
{
	for (int i = 0; i < pool->started; i++)
		pthread_join(pool->threads[i], NULL);
	pool->started = 0;
}

int pool_stopped(struct pool *pool)
{
	return __atomic_load_n(&pool->stop, __ATOMIC_RELAXED);
}

void pool_stop(struct pool *pool)
{
	__atomic_store_n(&pool->stop, 1, __ATOMIC_RELAXED);
}

void pool_fail(struct worker *worker, struct node *node, const char *name, int error, int fatal)
{
	struct pool *pool = worker->pool;
	size_t length = 0, more = name ? strlen(name) : 0, skip, room = sizeof pool->failed;
	const char *path = pool_path(worker, node, &length);

	pthread_mutex_lock(&pool->lock);
	if (!pool->error) {
		pool->error = -error;
		/* The end of a long path says more than its beginning. */
		skip = length + 1 + more >= room ? length + 1 + more - room + 1 : 0;
		pool->failed[0] = 0;
		if (path && skip <= length) {
			memcpy(pool->failed, path + skip, length - skip);
			length -= skip;
			if (length && more)
				pool->failed[length++] = '/';
			if (more)
				memcpy(pool->failed + length, name, more);
			pool->failed[length + more] = 0;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	if (fatal)
		pool_stop(pool);
}

const char *pool_path(struct worker *worker, const struct node *node, size_t *length)
{
	size_t need = 1;
	char *at;

	for (const struct node *up = node; up && up->parent; up = up->parent)
		need += up->length + 1;
	if (need > worker->path_size) {
		char *bigger = realloc(worker->path, need * 2);
		if (!bigger) {
			*length = 0;
			return NULL;
		}
		worker->path = bigger;
		worker->path_size = need * 2;
	}
	if (need == 1) {
		*length = 0;
		worker->path[0] = 0;
		return worker->path;
	}
	*length = need - 2;
	at = worker->path + *length;
	*at = 0;
	for (const struct node *up = node; up->parent; up = up->parent) {
		at -= up->length;
		memcpy(at, up->name, up->length);
		if (at > worker->path)
			*--at = '/';
	}
	return worker->path;
}

int pool_open_at(int directory, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	long fd;

	do
		fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

void pool_anchor(struct pool *pool, struct node *node, int which, int fd)
{
	int kept;

	if (!node->depth || node->depth % SPACING || node->anchors[which] ||
	    __atomic_load_n(&pool->anchored, __ATOMIC_RELAXED) >= ANCHORS)
		return;
	kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (kept < 0)
		return;
	node->anchors[which] = kept + 1;
	__atomic_add_fetch(&pool->anchored, 1, __ATOMIC_RELAXED);
}

/* The nearest anchor from `node` up, or `root`; *length becomes that of the path from there. */
static int anchor_of(const struct pool *pool, int root, const struct node *node, size_t *length)
{
	int which = root == pool->roots[0] ? 0 : root == pool->roots[1] ? 1 : -1;
	size_t below = 0;

	if (which < 0)
		return root;
	for (; node && node->parent; node = node->parent) {
		if (node->anchors[which]) {
			*length = below ? below - 1 : 0;
			return node->anchors[which] - 1;
		}
		below += node->length + 1;
	}
	return root;
}

int pool_open(struct worker *worker, int root, const struct node *node, int flags, uint64_t resolve)
{
	size_t whole, left;
	char *path = (char *)(uintptr_t)pool_path(worker, node, &whole);
	int begin, at, fd;

	if (!path)
		return -ENOMEM;
	left = whole;
	begin = at = anchor_of(worker->pool, root, node, &left);
	path += whole - left;
	while (left > PART) {
		char *end = path + PART;
		while (*end != '/') /* no name is longer than 255 bytes */
			end--;
		*end = 0;
		fd = pool_open_at(at, path, O_PATH | O_DIRECTORY, resolve);
		if (at != begin)
			close(at);
		if (fd < 0)
			return fd;
		at = fd;
		left -= (size_t)(end + 1 - path);
		path = end + 1;
	}
	fd = pool_open_at(at, left ? path : ".", (uint64_t)flags, resolve);
	if (at != begin)
		close(at);
	return fd;
}

long pool_entries(struct worker *worker, int fd)
{
	long got = syscall(SYS_getdents64, fd, worker->names, POOL_NAMES);

	return got < 0 ? -errno : got;
}

int pool_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}
