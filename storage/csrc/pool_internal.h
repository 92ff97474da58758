/* Threads that walk a directory tree: a stack of nodes, each visited by one thread, each finished after its children.
 *
 * What a thread needs it opens by the node's path from the root, or from the nearest anchor above it, a directory that is
 * kept open where the tree is deep. So descriptors stay few however deep or wide the tree is. Nothing recurses. */
#ifndef STORAGE_POOL_INTERNAL_H
#define STORAGE_POOL_INTERNAL_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct node {
	struct node *parent; /* NULL for the root */
	struct node *next;   /* on the stack */
	uint32_t pending;    /* itself, and children that are not finished; atomic */
	uint32_t length;     /* of name */
	int kind;            /* the walker's own, as are the rest */
	int tries;
	uint32_t depth;
	int anchors[2]; /* below pool->roots; one more than the descriptor, 0 for none */
	uint64_t offset, count;
	struct stat *status;
	char name[]; /* with a NUL */
};

/* What one thread has for itself. */
struct worker {
	struct pool *pool;
	char *path; /* of the last pool_path */
	size_t path_size;
	char *buffer; /* the walker's own, freed by the pool */
	char *names;  /* room for getdents64(2) */
};

struct pool {
	void (*visit)(struct worker *, struct node *); /* may push children */
	/* After all children, not after a failure; 1: it has pushed the node again. */
	int (*finish)(struct worker *, struct node *);
	void *context;
	int roots[2]; /* what may have anchors, -1 for none */
	int anchored; /* how many there are; atomic */
	int own_fs; /* threads have a umask of 0 of their own, and leave the caller's fs_struct to it */
	pthread_mutex_t lock;
	pthread_cond_t more, changed;
	struct node *top;
	unsigned waiting, running;
	uint64_t alive; /* nodes that are not freed; atomic */
	int stop;       /* atomic */
	int started;
	pthread_t threads[8];
	/* The first failure; under lock. */
	int error;
	char failed[1024];
};

#define POOL_NAMES (32 * 1024)

/* 0 or -errno. */
int pool_init(struct pool *pool, void (*visit)(struct worker *, struct node *),
	      int (*finish)(struct worker *, struct node *), void *context);
void pool_free(struct pool *pool);

/* A node of this name, not on the stack yet; NULL without memory. */
struct node *pool_node(struct node *parent, const char *name, int kind);
void pool_push(struct pool *pool, struct node *node);

/* Walk in the calling thread, or begin to in `threads` new ones (at most 8); 0 or -errno. */
int pool_run(struct pool *pool);
int pool_start(struct pool *pool, int threads);
/* Wait for the threads for so long (negative: for ever); whether they have ended. */
int pool_wait(struct pool *pool, int milliseconds);
void pool_join(struct pool *pool);

int pool_stopped(struct pool *pool);
void pool_stop(struct pool *pool);
/* Note the first failure, of `name` in `node`'s directory (or of the node itself if NULL), and stop if `fatal`. */
void pool_fail(struct worker *worker, struct node *node, const char *name, int error, int fatal);

/* The node's path from the root, "" for the root; in worker->path. NULL without memory. */
const char *pool_path(struct worker *worker, const struct node *node, size_t *length);
/* Open what a node stands for, below `root`, through no link; -errno. `resolve`: more of openat2(2)'s. */
int pool_open(struct worker *worker, int root, const struct node *node, int flags, uint64_t resolve);
/* The same for a path of less than PATH_MAX bytes. */
int pool_open_at(int directory, const char *path, uint64_t flags, uint64_t resolve);

/* Keep `fd`, `node`'s directory below roots[which], for those far below it; called before it has children. */
void pool_anchor(struct pool *pool, struct node *node, int which, int fd);

struct pool_entry {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type; /* DT_* */
	char name[];
};
/* getdents64(2) into worker->names: bytes, 0 at the end, or -errno. */
long pool_entries(struct worker *worker, int fd);
/* Whether it is "." or "..". */
int pool_dots(const char *name);

#endif
