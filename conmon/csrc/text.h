/* The texts that the monitor reads and writes. Pure: no system calls, no allocation; driven from Python by tests. */
#ifndef PYPOD_TEXT_H
#define PYPOD_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { STREAM_OUT = 1, STREAM_ERR = 2 };

/* One message of the sync pipe: {"KEY": NUMBER} or {"KEY": NUMBER, "message": "TEXT"}, with the newline. TEXT is
 * cut so that it fits `room` (at least 64). Returns the length. */
size_t json_message(char *out, size_t room, const char *key, long long number, const char *text, size_t length);

/* A line of a CRI log: "2006-01-02T15:04:05.000000000+00:00 stdout F ". */
#define STAMP_LENGTH 35
#define PREFIX_LENGTH 45
struct stamp {
	long long second; /* of the text; INT64_MIN at first */
	char text[STAMP_LENGTH];
};

/* Bring the stamp to a time. `offset` is the zone's, in seconds east of UTC; `local` the broken-down local time. */
void stamp_set(struct stamp *stamp, const struct tm *local, long offset, long nanoseconds);
void stamp_nanoseconds(struct stamp *stamp, long nanoseconds);

/* Format as many complete lines of data[0..length) as fit `room` and stay within `budget` bytes of output. *used is
 * what was consumed: 0 if even the first line does not fit. Returns the bytes written. */
size_t cri_lines(const struct stamp *stamp, int stream, const char *data, size_t length, size_t *used, char *out,
		 size_t room, long long budget);

/* A piece without its newline: one P entry. `room` is at least PREFIX_LENGTH + length + 1. */
size_t cri_partial(const struct stamp *stamp, int stream, const char *data, size_t length, char *out);

/* Docker's json-file: {"log":"TEXT\n","stream":"stdout","time":"2006-01-02T15:04:05.000000000Z"}. A line that is longer
 * than JSON_PIECE comes in several entries, of which the last has the newline; bytes that are no UTF-8 become U+FFFD.
 * As cri_lines, with a stamp of UTC; with `partial` also what is behind the last newline, as pieces. An entry takes at
 * most JSON_ENTRY bytes. */
#define JSON_PIECE 16384
#define JSON_ENTRY 98400
size_t json_lines(const struct stamp *stamp, int stream, int partial, const char *data, size_t length, size_t *used,
		  char *out, size_t room, long long budget);

/* How much of a piece of text can go without cutting a character of UTF-8 in two: all but at most three bytes. */
size_t utf8_whole(const char *data, size_t length);

/* Datagram of the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). Fields are appended; if one does
 * not fit, *at becomes SIZE_MAX and stays so. */
void journal_field(char *out, size_t room, size_t *at, const char *key, const char *value, size_t length);
/* The priority of a "<N>" prefix (sd-daemon(3)) or -1. */
int journal_priority(const char *line, size_t length);

/* A message to /dev/log as libc's syslog(3) writes it (RFC 3164): "<11>Nov 29 10:00:00 conmon: conmon ID <error>: TEXT",
 * ID being cut to 20 characters. Cut so that it fits `room`, with a NUL; the length. */
size_t syslog_line(char *out, size_t room, int priority, const struct tm *local, const char *id, const char *level,
		   const char *text);

/* One line of the ctl fifo, "TYPE A B". Returns 0 or -1. */
int ctl_parse(const char *line, size_t length, int *type, int *first, int *second);

/* Lines out of the bytes of a fifo, which may come in pieces. A line that is too long is dropped. */
struct ctl_reader {
	size_t held;
	int skipping;
	char line[200];
};
/* Feed one byte: the length of a finished line (without newline), else -1. */
int ctl_feed(struct ctl_reader *reader, char byte);

/* Keep those lines of an sd_notify(3) datagram that a container may send to the service manager. Returns the
 * length of `out`, which is as large as the message. */
size_t notify_filter(const char *message, size_t length, char *out);

/* The path of cgroup v2 ("0::") or of a v1 controller out of /proc/PID/cgroup; 0 if absent. */
size_t cgroup_path(const char *text, size_t length, const char *controller, char *out, size_t room);

/* The value of "key N" in a flat keyed file such as memory.events; -1 if absent. */
long long keyed_value(const char *text, size_t length, const char *key);

#endif
