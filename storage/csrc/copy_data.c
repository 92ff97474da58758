#define _GNU_SOURCE
#include "copy_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PREALLOCATE (1 << 20) /* files from this size on */

static int clone_from(int from, int to)
{
	return ioctl(to, FICLONE, from) < 0 ? -errno : 0;
}

/* The file's own file below the overlay: the first layer that has the path. */
static int clone_backing(struct worker *worker, const struct node *node, const char *name, int to,
			 const struct stat *status)
{
	struct st_copy *copy = worker->pool->context;
	int result = -ENOENT;

	for (int i = 0; i < copy->backings && result == -ENOENT; i++) {
		int directory = pool_open(worker, copy->backing[i], node, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
		int fd = directory < 0 ? -1 : openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		struct stat found;

		if (fd >= 0) {
			result = -ESTALE;
			if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size == status->st_size &&
			    found.st_ino == status->st_ino && found.st_mtim.tv_sec == status->st_mtim.tv_sec &&
			    found.st_mtim.tv_nsec == status->st_mtim.tv_nsec)
				result = clone_from(fd, to);
			close(fd);
		}
		if (directory >= 0)
			close(directory);
	}
	return result;
}

int copy_clone(struct worker *worker, const struct node *node, const char *name, int from, int to,
	       const struct stat *status)
{
	struct st_copy *copy = worker->pool->context;
	int result;

	if (__atomic_load_n(&copy->no_clone, __ATOMIC_RELAXED))
		return -EOPNOTSUPP;
	result = copy->backings ? clone_backing(worker, node, name, to, status) : clone_from(from, to);
	if (result == 0)
		__atomic_add_fetch(&copy->bytes, (uint64_t)status->st_size, __ATOMIC_RELAXED);
	else if (result == -EOPNOTSUPP || result == -EXDEV || result == -EINVAL || result == -ENOTTY ||
		 result == -EPERM)
		__atomic_store_n(&copy->no_clone, 1, __ATOMIC_RELAXED);
	return result;
}

static int write_all(int to, const char *data, size_t count, off_t offset)
{
	while (count) {
		ssize_t written = pwrite(to, data, count, offset);
		if (written < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		data += written;
		count -= (size_t)written;
		offset += written;
	}
	return 0;
}

/* Bytes without a hole among them; to the end of the file if that comes first. */
static int copy_bytes(struct worker *worker, int from, int to, off_t offset, off_t end)
{
	struct st_copy *copy = worker->pool->context;

	if (!worker->buffer) {
		worker->buffer = malloc(COPY_BUFFER);
		if (!worker->buffer)
			return -ENOMEM;
	}
	while (offset < end) {
		size_t wish = end - offset < COPY_BUFFER ? (size_t)(end - offset) : COPY_BUFFER;
		ssize_t got = pread(from, worker->buffer, wish, offset);
		int result;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		result = write_all(to, worker->buffer, (size_t)got, offset);
		if (result)
			return result;
		offset += got;
		__atomic_add_fetch(&copy->bytes, (uint64_t)got, __ATOMIC_RELAXED);
		if (pool_stopped(worker->pool))
			return -ECANCELED;
	}
	return 0;
}

int copy_range(struct worker *worker, int from, int to, const struct stat *status, uint64_t offset, uint64_t count)
{
	struct st_copy *copy = worker->pool->context;
	off_t at = (off_t)offset, end = (off_t)(offset + count), hole;
	int result = 0;

	if (status->st_blocks * 512 >= status->st_size) {
		if (count >= PREALLOCATE && !__atomic_load_n(&copy->no_preallocate, __ATOMIC_RELAXED) &&
		    fallocate(to, FALLOC_FL_KEEP_SIZE, at, (off_t)count) < 0) {
			if (errno == ENOSPC || errno == EDQUOT)
				return -errno;
			__atomic_store_n(&copy->no_preallocate, 1, __ATOMIC_RELAXED);
		}
		result = copy_bytes(worker, from, to, at, end);
	} else {
		while (!result && at < end) {
			at = lseek(from, at, SEEK_DATA);
			if (at < 0)
				return errno == ENXIO ? 0 : -errno; /* nothing but a hole is left */
			hole = lseek(from, at, SEEK_HOLE);
			if (hole < 0)
				return -errno;
			result = copy_bytes(worker, from, to, at, hole < end ? hole : end);
			at = hole;
		}
	}
	/* Let the disk begin: the flush at the end then finds less to do. */
	if (!result && count >= PREALLOCATE)
		sync_file_range(to, (off_t)offset, (off_t)count, SYNC_FILE_RANGE_WRITE);
	return result;
}
