/* sd_notify(3) for the container: its messages, filtered, to the service manager's socket. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void notify_ready(struct monitor *m, struct source *source, unsigned events)
{
	char message[4096], kept[4096];
	(void)events;
	ssize_t length = recv(source->fd, message, sizeof(message), MSG_DONTWAIT);
	if (length <= 0)
		return;
	size_t size = notify_filter(message, (size_t)length, kept);
	if (!size)
		return;
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = m->options.sdnotify_socket;
	size_t path_length = strlen(path);
	memcpy(to.sun_path, path, path_length);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = 0;
	if (sendto(m->notify_out, kept, size, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length)) < 0)
		say(m, 1, "cannot relay to %s: %s", path, strerror(errno));
}

void notify_open(struct monitor *m)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = m->options.sdnotify_socket;
	if (!path)
		return;
	if (strlen(path) >= sizeof(address.sun_path))
		fail(m, ENAMETOOLONG, "Failed to open the notify socket %s", path);
	m->notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	m->notify_out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (m->notify.fd < 0 || m->notify_out < 0)
		fail(m, errno, "Failed to create notify socket");
	mkdirat(m->bundle_fd, "notify", 0755);
	unlinkat(m->bundle_fd, "notify/notify.sock", 0);
	char *end = stpcpy(address.sun_path, "/proc/self/fd/");
	end += decimal(end, m->bundle_fd);
	stpcpy(end, "/notify/notify.sock");
	if (bind(m->notify.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(m, errno, "Failed to bind the notify socket in %s", m->options.bundle);
	if (fchmodat(m->bundle_fd, "notify/notify.sock", 0777, 0) < 0)
		say(m, 1, "Failed to change the mode of the notify socket: %s", strerror(errno));
	m->notify.ready = notify_ready;
	watch(m, &m->notify, EPOLLIN);
}
