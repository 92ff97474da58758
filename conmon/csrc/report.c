#include "monitor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* libc's syslog() waits for a syslog daemon that hangs, and the container would wait with it: what is not taken at once
 * is dropped. */
static void send_syslog(const struct monitor *m, int priority, const char *name, const char *text)
{
	static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	char line[1400];
	time_t now = time(NULL);
	struct tm local;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	localtime_r(&now, &local);
	const char *id = m->options.cid ? m->options.cid : "";
	size_t length = syslog_line(line, sizeof(line), LOG_USER | priority, &local, id, name, text);
	ssize_t sent = sendto(fd, line, length, MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof(to));
	(void)sent;
	close(fd);
}

static void emit(struct monitor *m, int level, const char *text)
{
	static const char letters[] = "ewidt";
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG};
	static const char names[][8] = {"error", "nwarn", "ninfo", "ndebug", "ntrace"};
	if (m->stdio_open)
		dprintf(STDERR_FILENO, "[conmon:%c]: %s\n", letters[level], text);
	if (m->options.syslog)
		send_syslog(m, priorities[level], names[level], text);
}

void say(struct monitor *m, int level, const char *format, ...)
{
	if (level > options_level(m->options.log_level))
		return;
	char text[1024];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	emit(m, level, text);
}

const char *sync_key(const struct monitor *m)
{
	if (m->options.api_version)
		return "data";
	return m->options.exec ? "exit_code" : "pid";
}

int sync_send(struct monitor *m, const char *key, long long number, const char *text, size_t length)
{
	if (m->sync_fd < 0)
		return -1;
	/* 8191 bytes of text may need six times the room; the log's buffer is idle, as nothing is logged now. */
	char little[96], *out = text ? m->log_buffer : little;
	size_t size = json_message(out, text ? 49152 + 256 : sizeof(little), key, number, text, length);
	say(m, 3, "sending %.*s", (int)(size - 1), out);
	if (write_all(m->sync_fd, out, size) == 0)
		return 0;
	if (errno != EPIPE)
		say(m, 0, "Unable to send container stderr message to parent %s", strerror(errno));
	close_fd(&m->sync_fd);
	return -1;
}

void fail(struct monitor *m, int errnum, const char *format, ...)
{
	char text[1200];
	va_list list;
	va_start(list, format);
	int length = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (length >= (int)sizeof(text))
		length = (int)sizeof(text) - 1;
	if (errnum)
		length += snprintf(text + length, sizeof(text) - (size_t)length, "%s%s", length ? ": " : "",
				   strerror(errnum));
	if (length >= (int)sizeof(text))
		length = (int)sizeof(text) - 1;
	emit(m, 0, text);
	int told = sync_send(m, sync_key(m), -1, text, (size_t)length) == 0;
	if (m->console_path[0])
		unlink(m->console_path);
	if (m->registered && !(told && m->options.exit_command_lock)) {
		/* With our lock, the one who has read the message cleans up. */
		close_inherited(m);
		run_exit_command(m);
	}
	leave(1);
}
