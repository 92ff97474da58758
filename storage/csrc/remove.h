/* A tree of any size is removed; what it links to is not, nor what is mounted in it. */

/* Remove `name` in `directory` and all below it, in this thread and others (1: in this alone). With a `budget`
 * (milliseconds of this thread's work, 0: none; then `threads` must be 1) it returns 1 when that is over, or a file of
 * more than 64 MiB is met, and something is left. 0, also if there is nothing, or -errno of the first thing that could
 * not be removed; `failed` (1024 bytes) is then its path from `name`. The rest has been removed all the same. */
int st_remove(int directory, const char *name, int threads, int budget, char *failed);

/* Hand the staging area `tree` and its lock file `lock`, both in `directory`, which is `area` in its parent, to a
 * process of its own, which removes them in the background and dies quietly. It holds `lock_fd`, and nothing else of
 * ours, until then. 0 or -errno. */
int st_remove_later(int directory, const char *tree, const char *lock, int lock_fd, const char *area, int threads);
