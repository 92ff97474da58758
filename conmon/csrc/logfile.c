/* The log drivers, and the CRI log file with its rotation. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int open_file(struct log *log, int flags)
{
	struct stat info;
	log->fd = openat(log->dir_fd, log->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0640);
	if (log->fd < 0 || fstat(log->fd, &info) < 0)
		return -1;
	log->regular = S_ISREG(info.st_mode);
	log->size = log->regular ? info.st_size : 0;
	return 0;
}

static const char *open_k8s(struct monitor *m, const char *path, int *errnum)
{
	char directory[PATH_ROOM];
	struct log *log = &m->log;
	const char *slash = strrchr(path, '/');
	if (!*path)
		return "k8s-file requires a filename";
	if (m->options.log_tag)
		return "k8s-file doesn't support --log-tag";
	size_t length = slash ? (size_t)(slash - path) + 1 : 1;
	if (length >= sizeof(directory)) {
		*errnum = ENAMETOOLONG;
		return "Failed to open log file";
	}
	memcpy(directory, slash ? path : ".", length);
	directory[length] = 0;
	log->path = path;
	log->name = slash ? slash + 1 : path;
	/* The directory is held, so that a rotation cannot be led elsewhere. */
	log->dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (log->dir_fd < 0 || open_file(log, 0) < 0) {
		*errnum = errno;
		return "Failed to open log file";
	}
	log->used = 1;
	return NULL;
}

static const char *open_driver(struct monitor *m, const char *value, int *errnum)
{
	static char unknown[300];
	const char *colon = strchr(value, ':');
	size_t length = colon ? (size_t)(colon - value) : strlen(value);
	const char *rest = colon ? colon + 1 : "";
#define IS(name) (length == sizeof(name) - 1 && !memcmp(value, name, length))
	if (!*value)
		return "log-path must not be empty";
	if (IS("off") || IS("null") || IS("none"))
		return NULL;
	if (IS("passthrough") || IS("passthrough-tty")) {
		if (IS("passthrough") && isatty(STDIN_FILENO))
			return "cannot use a tty with passthrough logging mode to prevent attacks via TIOCSTI";
		m->passthrough = 1;
		return NULL;
	}
	if (IS("journald")) {
		if (strlen(m->options.cid) <= 12)
			return "Container ID must be longer than 12 characters";
		m->log.journal_fd = journal_open();
		if (m->log.journal_fd < 0) {
			*errnum = errno;
			return "Failed to open the journal's socket";
		}
		m->log.used = 1;
		return NULL;
	}
	if (IS("k8s-file") || (colon && !length))
		return open_k8s(m, rest, errnum);
	if (colon && !memchr(value, '/', length)) {
		snprintf(unknown, sizeof(unknown), "No such log driver %.*s", (int)length, value);
		return unknown;
	}
	return open_k8s(m, value, errnum);
#undef IS
}

const char *log_open(struct monitor *m, int *errnum)
{
	struct log *log = &m->log;
	int at = 0, any = 0;
	*errnum = 0;
	log->fd = log->dir_fd = log->journal_fd = -1;
	log->limit = m->options.log_size_max > 0 ? m->options.log_size_max : 0;
	log->global_limit = m->options.log_global_size_max > 0 ? m->options.log_global_size_max : 0;
	log->max_files = m->options.log_max_files < 0 ? 1 : m->options.log_max_files;
	log->stamp.second = LLONG_MIN;
	for (const char *value; (value = options_next(&m->options, LIST_LOG, &at)); any = 1) {
		const char *wrong = open_driver(m, value, errnum);
		if (wrong)
			return wrong;
	}
	return any ? NULL : "Log driver not provided. Use --log-path";
}

static void stamp_now(struct log *log)
{
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	if (time.tv_sec == log->stamp.second) {
		stamp_nanoseconds(&log->stamp, time.tv_nsec);
		return;
	}
	struct tm local;
	time_t second = time.tv_sec;
	localtime_r(&second, &local);
	stamp_set(&log->stamp, &local, local.tm_gmtoff, time.tv_nsec);
	log->stamp.second = time.tv_sec;
}

/* Returns how much of it was written: all, or whole lines, as a disk that fills up must not leave half a line. */
static size_t append(struct log *log, const char *data, size_t length)
{
	size_t at = 0;
	while (at < length) {
		ssize_t done = write(log->fd, data + at, length - at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			break;
		at += (size_t)done;
	}
	if (at < length && at && log->regular) {
		int errnum = errno;
		const char *newline = memrchr(data, '\n', at);
		size_t whole = newline ? (size_t)(newline - data) + 1 : 0;
		if (ftruncate(log->fd, log->size + (long long)whole) == 0)
			at = whole;
		errno = errnum;
	}
	log->size += (long long)at;
	return at;
}

static void report_loss(struct log *log)
{
	char text[160], line[256];
	int length = snprintf(text, sizeof(text), "conmon: %lld bytes of log were lost: %s\n", log->dropped,
			      strerror(log->drop_errno));
	size_t used;
	size_t size = cri_lines(&log->stamp, STREAM_ERR, text, (size_t)length, &used, line, sizeof(line), -1);
	if (append(log, line, size) == size)
		log->dropped = 0;
}

static void put(struct monitor *m, const char *data, size_t length)
{
	struct log *log = &m->log;
	if (!length || (log->global_limit && log->total >= log->global_limit))
		return;
	log->total += (long long)length;
	if (log->dropped)
		report_loss(log);
	size_t done = log->dropped ? 0 : append(log, data, length);
	if (done == length)
		return;
	if (!log->dropped) {
		log->drop_errno = errno;
		say(m, 1, "failed to write buffer to log: %s", strerror(errno));
	}
	log->dropped += (long long)(length - done);
}

static void numbered(const struct log *log, int number, char *out, size_t room)
{
	if (number)
		snprintf(out, room, "%s.%d", log->name, number);
	else
		snprintf(out, room, "%s", log->name);
}

/* PATH becomes PATH.1, that PATH.2, and so on up to the number of files to keep. */
static void rotate(struct monitor *m)
{
	struct log *log = &m->log;
	char from[NAME_MAX + 16], to[NAME_MAX + 16];
	if (!log->regular) {
		log->size = 0;
		return;
	}
	for (int i = log->max_files; i > 0; i--) {
		numbered(log, i - 1, from, sizeof(from));
		numbered(log, i, to, sizeof(to));
		if (renameat(log->dir_fd, from, log->dir_fd, to) < 0 && errno != ENOENT)
			say(m, 1, "Failed to rename log file %s: %s", from, strerror(errno));
	}
	if (log->max_files == 0)
		unlinkat(log->dir_fd, log->name, 0);
	int old = log->fd;
	if (open_file(log, O_EXCL | O_NOFOLLOW) < 0) {
		say(m, 1, "Failed to open log file %s: %s", log->path, strerror(errno));
		close_fd(&log->fd);
		log->fd = old;
		log->size = 0; /* try again after as much again */
		return;
	}
	close(old);
}

void log_reopen(struct monitor *m)
{
	struct log *log = &m->log;
	if (log->fd < 0)
		return;
	if (m->options.log_rotate) {
		rotate(m);
		return;
	}
	int old = log->fd;
	if (open_file(log, 0) < 0) {
		say(m, 1, "Failed to open log file %s: %s", log->path, strerror(errno));
		close_fd(&log->fd);
		log->fd = old;
		return;
	}
	close(old);
}

static long long budget(const struct log *log, size_t pending)
{
	if (!log->limit)
		return -1;
	long long left = log->limit - log->size - (long long)pending;
	return left > 0 ? left : 0;
}

static void file_lines(struct monitor *m, int kind, const char *data, size_t length)
{
	struct log *log = &m->log;
	char *out = m->log_buffer;
	size_t from = 0, at = 0, used;
	while (from < length) {
		at += cri_lines(&log->stamp, kind, data + from, length - from, &used, out + at, LOG_ROOM - at,
				budget(log, at));
		from += used;
		if (from == length)
			break;
		if (at) {
			put(m, out, at);
			at = 0;
		} else if (log->size > 0) {
			rotate(m);
		} else {
			/* One line that is larger than the limit. */
			const char *newline = memchr(data + from, '\n', length - from);
			size_t line = (size_t)(newline - (data + from)) + 1;
			at = cri_lines(&log->stamp, kind, data + from, line, &used, out, LOG_ROOM, -1);
			from += used;
		}
	}
	put(m, out, at);
}

void log_lines(struct monitor *m, int kind, const char *data, size_t length)
{
	if (m->log.journal_fd >= 0)
		journal_lines(m, kind, data, length);
	if (m->log.fd < 0)
		return;
	stamp_now(&m->log);
	file_lines(m, kind, data, length);
}

void log_partial(struct monitor *m, int kind, const char *data, size_t length)
{
	struct log *log = &m->log;
	if (log->journal_fd >= 0)
		journal_send(m, kind, data, length, 1);
	if (log->fd < 0)
		return;
	stamp_now(log);
	if (log->limit && log->size && budget(log, PREFIX_LENGTH + length + 1) == 0)
		rotate(m);
	put(m, m->log_buffer, cri_partial(&log->stamp, kind, data, length, m->log_buffer));
}

void log_close_and_sync(struct monitor *m)
{
	struct log *log = &m->log;
	struct stat info;
	if (log->fd < 0)
		return;
	/* A log that has been removed meanwhile needs no disk. */
	if (!m->options.no_sync_log && log->regular && fstat(log->fd, &info) == 0 && info.st_nlink)
		fdatasync(log->fd);
	close_fd(&log->fd);
}
