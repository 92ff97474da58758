/* The journal's native protocol: one datagram for each entry, without libsystemd and the 15 libraries behind it. */
#include "monitor.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_un journal = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};

int journal_open(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* A journal that hangs must not hang the container for ever. */
	struct timeval limit = {.tv_sec = 1};
	int size = 1 << 20;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fd;
}

static void text_field(char *out, size_t *at, const char *key, const char *value)
{
	journal_field(out, LOG_ROOM, at, key, value, strlen(value));
}

void journal_send(struct monitor *m, int kind, const char *data, size_t length, int partial)
{
	const struct options *o = &m->options;
	char *out = m->log_buffer;
	size_t at = 0;
	int priority = journal_priority(data, length);
	if (priority >= 0) {
		data += 3;
		length -= 3;
	} else {
		priority = kind == STREAM_OUT ? 6 : 3;
	}
	char digit[2] = {(char)('0' + priority), 0};
	journal_field(out, LOG_ROOM, &at, "MESSAGE", data, length);
	text_field(out, &at, "PRIORITY", digit);
	text_field(out, &at, "CONTAINER_ID_FULL", o->cid);
	journal_field(out, LOG_ROOM, &at, "CONTAINER_ID", o->cid, 12);
	if (o->name)
		text_field(out, &at, "CONTAINER_NAME", o->name);
	if (o->log_tag)
		text_field(out, &at, "CONTAINER_TAG", o->log_tag);
	if (o->log_tag || o->name)
		text_field(out, &at, "SYSLOG_IDENTIFIER", o->log_tag ? o->log_tag : o->name);
	else
		journal_field(out, LOG_ROOM, &at, "SYSLOG_IDENTIFIER", o->cid, 12);
	if (partial && !o->no_partial_message)
		text_field(out, &at, "CONTAINER_PARTIAL_MESSAGE", "true");
	int index = 0;
	for (const char *label; (label = options_next(o, LIST_LABEL, &index));) {
		size_t size = strlen(label);
		if (at != SIZE_MAX && at + size + 1 < LOG_ROOM) {
			memcpy(out + at, label, size);
			out[at + size] = '\n';
			at += size + 1;
		}
	}
	if (at == SIZE_MAX)
		return;
	ssize_t done;
	do
		done = sendto(m->log.journal_fd, out, at, MSG_NOSIGNAL, (const struct sockaddr *)&journal,
			      sizeof(journal));
	while (done < 0 && errno == EINTR);
	if (done < 0)
		say(m, 1, "write_journald failed: %s", strerror(errno));
}

void journal_lines(struct monitor *m, int kind, const char *data, size_t length)
{
	while (length) {
		const char *newline = memchr(data, '\n', length);
		if (!newline)
			return;
		size_t line = (size_t)(newline - data);
		journal_send(m, kind, data, line, 0);
		data += line + 1;
		length -= line + 1;
	}
}
