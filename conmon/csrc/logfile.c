/* The log drivers, and the log files, CRI's or Docker's, with their rotation. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 1000 /* ms: with a FIFO or a terminal that takes nothing */

static int open_file(struct log_file *file, int flags)
{
	struct stat info;
	file->fd = openat(file->dir_fd, file->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0640);
	if (file->fd < 0 || fstat(file->fd, &info) < 0)
		return -1;
	file->regular = S_ISREG(info.st_mode);
	file->size = file->regular ? info.st_size : 0;
	if (!file->regular)
		fcntl(file->fd, F_SETFL, O_APPEND | O_NONBLOCK);
	return 0;
}

static void add_file(struct monitor *m, const char *path, int json)
{
	char directory[PATH_ROOM];
	const char *slash = strrchr(path, '/');
	if (!*path)
		fail(m, 0, "%s requires a filename", json ? "json-file" : "k8s-file");
	if (m->log.n_files == MAX_LOGS)
		fail(m, 0, "Too many log files: there may be %d", MAX_LOGS);
	struct log_file *file = &m->log.files[m->log.n_files];
	size_t length = slash ? (size_t)(slash - path) + 1 : 1;
	if (length >= sizeof(directory))
		fail(m, ENAMETOOLONG, "Failed to open log file %s", path);
	memcpy(directory, slash ? path : ".", length);
	directory[length] = 0;
	file->path = path;
	file->name = slash ? slash + 1 : path;
	file->json = json;
	/* The directory is held, so that a rotation cannot be led elsewhere. */
	file->dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->dir_fd < 0 || open_file(file, 0) < 0)
		fail(m, errno, "Failed to open log file %s", path);
	m->log.n_files++;
	m->log.used = 1;
}

static void add_driver(struct monitor *m, const char *value)
{
	const char *colon = strchr(value, ':');
	size_t length = colon ? (size_t)(colon - value) : strlen(value);
	const char *rest = colon ? colon + 1 : "";
#define IS(name) (length == sizeof(name) - 1 && !memcmp(value, name, length))
	if (!value[strspn(value, ":")])
		fail(m, 0, "log-path must not be empty");
	if (IS("off") || IS("null") || IS("none"))
		return;
	if (IS("passthrough") || IS("passthrough-tty")) {
		if (IS("passthrough") && isatty(STDIN_FILENO))
			fail(m, 0, "cannot use a tty with passthrough logging mode to prevent attacks via TIOCSTI");
		m->passthrough = 1;
	} else if (IS("journald")) {
		if (strlen(m->options.cid) <= 12)
			fail(m, 0, "Container ID must be longer than 12 characters");
		if (m->log.journal_fd < 0 && journal_open(m) < 0)
			fail(m, errno, "Failed to open the journal's socket");
		m->log.used = 1;
	} else if (IS("json-file")) {
		add_file(m, rest, 1);
	} else if (IS("k8s-file") || (colon && !length)) {
		add_file(m, rest, 0);
	} else if (colon && !memchr(value, '/', length)) {
		fail(m, 0, "No such log driver %.*s", (int)length, value);
	} else {
		add_file(m, value, 0);
	}
#undef IS
}

/* Two writers of one file would rotate it under each other. */
static void refuse_twins(struct monitor *m)
{
	const struct log *log = &m->log;
	struct stat one, other;
	for (int i = 0; i < log->n_files; i++) {
		if (!log->files[i].regular || fstat(log->files[i].fd, &one) < 0)
			continue;
		for (int j = 0; j < i; j++)
			if (fstat(log->files[j].fd, &other) == 0 && one.st_dev == other.st_dev &&
			    one.st_ino == other.st_ino)
				fail(m, 0, "Log file %s is given twice", log->files[i].path);
	}
}

void log_open(struct monitor *m)
{
	struct log *log = &m->log;
	const struct options *o = &m->options;
	int at = 0, any = 0;
	log->limit = o->log_size_max > 0 ? o->log_size_max : 0;
	log->global_limit = o->log_global_size_max > 0 ? o->log_global_size_max : 0;
	log->max_files = o->log_max_files < 0 ? 1 : o->log_max_files;
	log->stamp.second = LLONG_MIN;
	for (const char *value; (value = options_next(o, LIST_LOG, &at)); any = 1)
		add_driver(m, value);
	if (!any)
		fail(m, 0, "Log driver not provided. Use --log-path");
	refuse_twins(m);
	if (log->journal_fd >= 0)
		return;
	at = 0;
	if (log->n_files && (o->log_tag || options_next(o, LIST_LABEL, &at)))
		fail(m, 0, "%s doesn't support --log-%s", log->files[0].json ? "json-file" : "k8s-file",
		     o->log_tag ? "tag" : "label");
	if (o->no_partial_message)
		say(m, 1, "--no-container-partial-message has no effect without journald log driver");
}

static void stamp_now(struct log *log)
{
	struct timespec time;
	struct tm broken_down;
	clock_gettime(CLOCK_REALTIME, &time);
	if (time.tv_sec == log->stamp.second) {
		stamp_nanoseconds(&log->stamp, time.tv_nsec);
		stamp_nanoseconds(&log->utc, time.tv_nsec);
		return;
	}
	time_t second = time.tv_sec;
	gmtime_r(&second, &broken_down);
	stamp_set(&log->utc, &broken_down, 0, time.tv_nsec);
	localtime_r(&second, &broken_down);
	stamp_set(&log->stamp, &broken_down, broken_down.tm_gmtoff, time.tv_nsec);
	log->stamp.second = time.tv_sec;
}

/* A reader that rests is waited for, but not for longer than a second in all until it takes something again: one that
 * hangs costs lines, not the container's time. Returns whether to try again. */
static int wait_for_room(struct log_file *file)
{
	struct pollfd room = {.fd = file->fd, .events = POLLOUT};
	int64_t begin = now_ms();
	if (file->waited >= PATIENCE)
		return 0;
	poll(&room, 1, (int)(PATIENCE - file->waited));
	file->waited += now_ms() - begin + 1;
	return 1;
}

/* Take back what comes after the last whole line. Returns how much is left of `at` bytes. */
static size_t cut_half_line(const struct log_file *file, const char *data, size_t at)
{
	struct stat info;
	const char *newline = memrchr(data, '\n', at);
	size_t whole = newline ? (size_t)(newline - data) + 1 : 0;
	if (fstat(file->fd, &info) == 0 && ftruncate(file->fd, info.st_size - (off_t)(at - whole)) == 0)
		return whole;
	return at;
}

/* Returns how much of it was written: all, or whole lines, as a disk that fills up must not leave half a line. */
static size_t append(struct log_file *file, const char *data, size_t length)
{
	size_t at = 0;
	while (at < length) {
		ssize_t done = write(file->fd, data + at, length - at);
		if (done < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_room(file))))
			continue;
		if (done < 0)
			break;
		at += (size_t)done;
		file->waited = 0;
	}
	if (at < length && at) {
		int errnum = errno;
		if (file->regular)
			at = cut_half_line(file, data, at);
		if (at)
			file->torn = data[at - 1] != '\n';
		errno = errnum;
	}
	file->size += (long long)at;
	return at;
}

static size_t format(const struct log *log, const struct log_file *file, int kind, const char *data, size_t length,
		     size_t *used, char *out, size_t room, long long budget)
{
	return file->json ? json_lines(&log->utc, kind, 0, data, length, used, out, room, budget)
			  : cri_lines(&log->stamp, kind, data, length, used, out, room, budget);
}

static void report_loss(const struct log *log, struct log_file *file)
{
	char text[160], line[384] = "\n";
	int length = snprintf(text, sizeof(text), "conmon: %lld bytes of log were lost: %s\n", file->dropped,
			      strerror(file->drop_errno));
	size_t used, size = file->torn != 0;
	size += format(log, file, STREAM_ERR, text, (size_t)length, &used, line + size, sizeof(line) - size, -1);
	if (append(file, line, size) == size)
		file->dropped = file->torn = 0;
}

static void put(struct monitor *m, struct log_file *file, const char *data, size_t length)
{
	if (!length || (m->log.global_limit && file->total >= m->log.global_limit))
		return;
	file->total += (long long)length;
	if (file->dropped)
		report_loss(&m->log, file);
	size_t done = file->dropped ? 0 : append(file, data, length);
	if (done == length)
		return;
	if (!file->dropped) {
		file->drop_errno = errno;
		say(m, 1, "failed to write buffer to log: %s", strerror(errno));
	}
	file->dropped += (long long)(length - done);
}

static void numbered(const struct log_file *file, int number, char *out, size_t room)
{
	if (number)
		snprintf(out, room, "%s.%d", file->name, number);
	else
		snprintf(out, room, "%s", file->name);
}

/* Go over to the file that has the name now; the old one is kept if that fails. */
static int renew(struct monitor *m, struct log_file *file, int flags)
{
	int old = file->fd;
	if (open_file(file, flags) == 0)
		return close(old);
	say(m, 1, "Failed to open log file %s: %s", file->path, strerror(errno));
	close_fd(&file->fd);
	file->fd = old;
	return -1;
}

/* The number of the file that a rotation replaces or makes: more may be allowed than anybody can look for. */
static int oldest(const struct monitor *m, const struct log_file *file)
{
	char name[NAME_MAX + 16];
	for (int i = 1; i < m->log.max_files; i++) {
		numbered(file, i, name, sizeof(name));
		if (faccessat(file->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return i;
	}
	return m->log.max_files;
}

/* PATH becomes PATH.1, that PATH.2, and so on up to the number of files to keep. */
static void rotate(struct monitor *m, struct log_file *file)
{
	char from[NAME_MAX + 16], to[NAME_MAX + 16];
	if (!file->regular) {
		file->size = 0;
		return;
	}
	for (int i = oldest(m, file); i > 0; i--) {
		numbered(file, i - 1, from, sizeof(from));
		numbered(file, i, to, sizeof(to));
		if (renameat(file->dir_fd, from, file->dir_fd, to) < 0 && errno != ENOENT)
			say(m, 1, "Failed to rename log file %s: %s", from, strerror(errno));
	}
	if (m->log.max_files == 0)
		unlinkat(file->dir_fd, file->name, 0);
	if (renew(m, file, O_EXCL | O_NOFOLLOW) < 0)
		file->size = 0; /* try again after as much again */
}

void log_reopen(struct monitor *m)
{
	for (int i = 0; i < m->log.n_files; i++) {
		if (m->options.log_rotate)
			rotate(m, &m->log.files[i]);
		else
			renew(m, &m->log.files[i], O_NONBLOCK); /* a FIFO without a reader is not waited for here */
	}
}

/* It has reached its size, unless somebody has truncated it meanwhile. */
static void rotate_full(struct monitor *m, struct log_file *file)
{
	struct stat info;
	if (file->regular && fstat(file->fd, &info) == 0 && info.st_size < file->size)
		file->size = info.st_size;
	else
		rotate(m, file);
}

static long long budget(const struct log *log, const struct log_file *file, size_t pending)
{
	if (!log->limit)
		return -1;
	long long left = log->limit - file->size - (long long)pending;
	return left > 0 ? left : 0;
}

static void file_lines(struct monitor *m, struct log_file *file, int kind, const char *data, size_t length)
{
	const struct log *log = &m->log;
	char *out = m->log_buffer;
	size_t from = 0, at = 0, used;
	while (from < length) {
		at += format(log, file, kind, data + from, length - from, &used, out + at, LOG_ROOM - at,
			     budget(log, file, at));
		from += used;
		if (from == length)
			break;
		if (at) {
			put(m, file, out, at);
			at = 0;
		} else if (file->size > 0) {
			rotate_full(m, file);
		} else {
			/* One line that is larger than the limit. */
			const char *newline = memchr(data + from, '\n', length - from);
			size_t line = (size_t)(newline - (data + from)) + 1;
			at = format(log, file, kind, data + from, line, &used, out, LOG_ROOM, -1);
			from += used;
		}
	}
	put(m, file, out, at);
}

void log_lines(struct monitor *m, int kind, const char *data, size_t length)
{
	if (m->log.journal_fd >= 0)
		journal_lines(m, kind, data, length);
	if (m->log.n_files)
		stamp_now(&m->log);
	for (int i = 0; i < m->log.n_files; i++)
		file_lines(m, &m->log.files[i], kind, data, length);
}

static void json_pieces(struct monitor *m, struct log_file *file, int kind, const char *data, size_t length)
{
	const struct log *log = &m->log;
	for (size_t from = 0, used; from < length; from += used) {
		size_t size = json_lines(&log->utc, kind, 1, data + from, length - from, &used, m->log_buffer,
					 LOG_ROOM, budget(log, file, 0));
		if (!size) {
			if (file->size)
				rotate_full(m, file);
			size_t piece = utf8_whole(data + from, length - from < JSON_PIECE ? length - from : JSON_PIECE);
			size = json_lines(&log->utc, kind, 1, data + from, piece ? piece : length - from, &used,
					  m->log_buffer, LOG_ROOM, -1);
		}
		put(m, file, m->log_buffer, size);
	}
}

static void cri_piece(struct monitor *m, struct log_file *file, int kind, const char *data, size_t length)
{
	const struct log *log = &m->log;
	if (log->limit && file->size && budget(log, file, PREFIX_LENGTH + length + 1) == 0)
		rotate_full(m, file);
	put(m, file, m->log_buffer, cri_partial(&log->stamp, kind, data, length, m->log_buffer));
}

void log_partial(struct monitor *m, int kind, const char *data, size_t length)
{
	if (m->log.journal_fd >= 0)
		journal_send(m, kind, data, length, 1);
	if (m->log.n_files)
		stamp_now(&m->log);
	for (int i = 0; i < m->log.n_files; i++) {
		struct log_file *file = &m->log.files[i];
		if (file->json)
			json_pieces(m, file, kind, data, length);
		else
			cri_piece(m, file, kind, data, length);
	}
}

void log_close_and_sync(struct monitor *m)
{
	struct stat info;
	journal_close(m);
	for (int i = 0; i < m->log.n_files; i++) {
		struct log_file *file = &m->log.files[i];
		if (file->dropped)
			report_loss(&m->log, file);
		/* A log that has been removed meanwhile needs no disk. */
		if (!m->options.no_sync_log && file->regular && fstat(file->fd, &info) == 0 && info.st_nlink)
			fdatasync(file->fd);
		close_fd(&file->fd);
	}
}
