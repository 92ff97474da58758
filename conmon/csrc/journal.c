/* The journal's native protocol: one datagram for each entry, without libsystemd and the 15 libraries behind it. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL_KEY 64 /* characters of a field's name: journald takes no more */
#define JOURNAL_PATIENCE 1000 /* ms */

static const struct sockaddr_un journal = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};

int journal_open(struct monitor *m)
{
	int size = 1 << 20;
	m->log.journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->log.journal_fd < 0)
		return -1;
	setsockopt(m->log.journal_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

/* An entry that is too large for a datagram goes as a sealed file, as the protocol has it. */
static int send_as_file(int fd, const char *data, size_t length)
{
	int file = memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0)
		return -1;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	union {
		const struct sockaddr_un *in;
		void *out;
	} name = {.in = &journal};
	struct msghdr message = {.msg_name = name.out,
				 .msg_namelen = sizeof(journal),
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space)};
	memcpy(CMSG_DATA(&control.align), &file, sizeof(file));
	int done = -1;
	if (write_all(file, data, length) == 0 &&
	    fcntl(file, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		done = sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
	int errnum = errno;
	close(file);
	errno = errnum;
	return done;
}

static int send_once(int fd, const char *data, size_t length)
{
	ssize_t done;
	do
		done = sendto(fd, data, length, MSG_NOSIGNAL, (const struct sockaddr *)&journal, sizeof(journal));
	while (done < 0 && errno == EINTR);
	if (done < 0 && (errno == EMSGSIZE || errno == ENOBUFS))
		return send_as_file(fd, data, length);
	return done < 0 ? -1 : 0;
}

/* A journal that is busy is waited for, but not for longer than a second in all until it takes something again: one
 * that hangs costs entries, not the container's time. */
static int deliver(struct log *log, const char *data, size_t length)
{
	int64_t begin = now_ms();
	while (send_once(log->journal_fd, data, length) < 0) {
		if (errno != EAGAIN || log->journal_waited >= JOURNAL_PATIENCE)
			return -1;
		/* The socket is not connected, so that a restarted journal is found: poll() would not wait for it. */
		struct timespec pause = {.tv_nsec = 2000000};
		nanosleep(&pause, NULL);
		log->journal_waited += now_ms() - begin;
		begin = now_ms();
	}
	log->journal_waited = 0;
	return 0;
}

static void report_loss(struct monitor *m)
{
	char text[512];
	int length = snprintf(text, sizeof(text),
			      "PRIORITY=4\nSYSLOG_IDENTIFIER=conmon\nCONTAINER_ID_FULL=%.128s\n"
			      "MESSAGE=conmon: %lld log entries were lost: %s\n",
			      m->options.cid, m->log.journal_lost, strerror(m->log.journal_errno));
	if (deliver(&m->log, text, (size_t)length) == 0)
		m->log.journal_lost = 0;
}

static void lose(struct monitor *m, int errnum)
{
	if (!m->log.journal_lost++) {
		m->log.journal_errno = errnum;
		say(m, 1, "write_journald failed: %s", strerror(errnum));
	}
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
		char key[JOURNAL_KEY + 1];
		size_t size = strcspn(label, "=");
		if (size > JOURNAL_KEY)
			continue; /* the journal would drop it */
		memcpy(key, label, size);
		key[size] = 0;
		text_field(out, &at, key, label + size + 1);
	}
	if (m->log.journal_lost)
		report_loss(m);
	if (at == SIZE_MAX)
		lose(m, EMSGSIZE);
	else if (m->log.journal_lost || deliver(&m->log, out, at) < 0)
		lose(m, errno);
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

void journal_close(struct monitor *m)
{
	if (m->log.journal_fd >= 0 && m->log.journal_lost)
		report_loss(m);
	close_fd(&m->log.journal_fd);
}
