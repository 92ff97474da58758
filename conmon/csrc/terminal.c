/* The terminal: its master comes from the runtime over the console socket, its size over a fifo. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

void set_size(struct monitor *m, int rows, int columns)
{
	if (!m->options.terminal)
		return;
	m->rows = rows;
	m->columns = columns;
	if (m->out.source.fd < 0)
		return; /* remembered until there is a terminal */
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
	if (ioctl(m->out.source.fd, TIOCSWINSZ, &size) < 0)
		say(m, 1, "Failed to set process pty terminal size: %s", strerror(errno));
}

static void terminal_arrived(struct monitor *m, int fd)
{
	struct termios mode;
	set_cloexec(fd);
	if (tcgetattr(fd, &mode) == 0) {
		mode.c_oflag |= ONLCR;
		tcsetattr(fd, TCSANOW, &mode);
	}
	m->input.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	stream_open(m, &m->out, fd, STREAM_OUT, 1);
	if (m->rows || m->columns)
		set_size(m, m->rows, m->columns);
}

static void console_ready(struct monitor *m, struct source *source, unsigned events)
{
	char name[4096];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {name, sizeof(name)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
	(void)events;
	ssize_t got = recvmsg(source->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	struct cmsghdr *item = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (item && item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS) {
		int fd;
		memcpy(&fd, CMSG_DATA(item), sizeof(fd));
		if (m->out.source.fd < 0)
			terminal_arrived(m, fd);
		else
			close(fd);
	}
	drop(m, source);
	if (m->out.source.fd >= 0)
		console_close(m);
}

static void listener_ready(struct monitor *m, struct source *source, unsigned events)
{
	(void)events;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (m->console.fd >= 0) {
		close(fd); /* only the first one counts */
		return;
	}
	m->console.fd = fd;
	m->console.ready = console_ready;
	watch(m, &m->console, EPOLLIN);
}

static int bind_in(struct monitor *m, const char *place)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	for (int try = 0; try < 20; try++) {
		uint32_t random;
		if (getrandom(&random, sizeof(random), 0) < 0)
			return -1;
		int length = snprintf(m->console_path, sizeof(m->console_path), "%s/conmon-term.%08X", place, random);
		if (length < 0 || (size_t)length >= sizeof(m->console_path)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(address.sun_path, m->console_path, (size_t)length + 1);
		mode_t mask = umask(0077);
		int failed = bind(m->console_listener.fd, (struct sockaddr *)&address, sizeof(address));
		umask(mask);
		if (!failed)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
	}
	return -1;
}

void console_open(struct monitor *m)
{
	const char *place = getenv("TMPDIR");
	m->console_listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->console_listener.fd < 0)
		fail(m, errno, "Failed to create console-socket");
	/* A directory that is too deep for a socket's 107 bytes is no reason to fail. */
	if ((!place || !*place || bind_in(m, place) < 0) && bind_in(m, "/tmp") < 0) {
		m->console_path[0] = 0;
		fail(m, errno, "Failed to bind to console-socket");
	}
	if (listen(m->console_listener.fd, 128) < 0)
		fail(m, errno, "Failed to listen on console-socket");
	m->console_listener.ready = listener_ready;
	watch(m, &m->console_listener, EPOLLIN);
}

void console_close(struct monitor *m)
{
	if (m->console_path[0])
		unlink(m->console_path);
	m->console_path[0] = 0;
	drop(m, &m->console_listener);
	drop(m, &m->console);
}

static void ctl_line(struct monitor *m, const char *line, size_t length)
{
	int type, first, second;
	if (ctl_parse(line, length, &type, &first, &second) < 0) {
		say(m, 1, "Failed to parse control message %.*s", (int)length, line);
		return;
	}
	if (type == 1)
		set_size(m, first, second);
	else if (type == 2)
		log_reopen(m);
	else if (type == 3)
		health_set(m, first, second);
	else
		say(m, 1, "Unknown control message type %d", type);
}

static void winsz_line(struct monitor *m, const char *line, size_t length)
{
	char whole[sizeof(m->winsz_reader.line) + 2] = "1 ";
	int type, rows, columns;
	memcpy(whole + 2, line, length);
	if (ctl_parse(whole, length + 2, &type, &rows, &columns) == 0)
		set_size(m, rows, columns);
}

static void fifo_ready(struct monitor *m, struct source *source, unsigned events)
{
	char buffer[512];
	struct ctl_reader *reader = source == &m->ctl ? &m->ctl_reader : &m->winsz_reader;
	(void)events;
	ssize_t got = read(source->fd, buffer, sizeof(buffer));
	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			drop(m, source);
		return;
	}
	for (ssize_t i = 0; i < got; i++) {
		int length = ctl_feed(reader, buffer[i]);
		if (length < 0)
			continue;
		if (source == &m->ctl)
			ctl_line(m, reader->line, (size_t)length);
		else
			winsz_line(m, reader->line, (size_t)length);
	}
}

static void open_fifo(struct monitor *m, struct source *source, const char *name)
{
	if (unlinkat(m->bundle_fd, name, 0) < 0 && errno != ENOENT)
		fail(m, errno, "Failed to remove %s/%s", m->options.bundle, name);
	if (mkfifoat(m->bundle_fd, name, 0660) < 0)
		fail(m, errno, "Failed to mkfifo at %s/%s", m->options.bundle, name);
	/* For writing too, so that it never hangs up between two writers (fifo(7)). */
	source->fd = openat(m->bundle_fd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (source->fd < 0)
		fail(m, errno, "Failed to open %s/%s", m->options.bundle, name);
	source->ready = fifo_ready;
	watch(m, source, EPOLLIN);
}

void ctl_open(struct monitor *m)
{
	if (m->bundle_fd < 0 || (m->passthrough && !m->options.health_command))
		return;
	open_fifo(m, &m->ctl, "ctl");
	if (!m->passthrough)
		open_fifo(m, &m->winsz, "winsz");
}
