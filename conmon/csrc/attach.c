/* The attach socket. Every client has its place in one ring of packets; a client that is up to date costs no copy.
 * Nothing here ever waits for a client: one that takes nothing for --attach-grace milliseconds is dropped. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define HEADER 2 /* bytes: length of a packet in the ring */

static int behind(const struct monitor *m, const struct client *client)
{
	return !client->gone && client->cursor != m->ring_head;
}

static void client_close(struct monitor *m, struct client *client)
{
	int fd = client->source.fd;
	unwatch(m, &client->source);
	/* close() with unread input makes the peer see ECONNRESET before what is queued for it. */
	shutdown(fd, SHUT_RDWR);
	while (recv(fd, m->input_buffer, m->input_held ? 0 : sizeof(m->input_buffer), MSG_DONTWAIT | MSG_TRUNC) > 0)
		;
	close(fd);
	client->source.fd = -1;
	m->n_clients--;
}

/* Forget what everybody has been served. */
static void ring_trim(struct monitor *m)
{
	size_t low = m->ring_head;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0 && behind(m, &m->clients[i]) && m->clients[i].cursor < low)
			low = m->clients[i].cursor;
	if (low != m->ring_head && low < RING_SIZE / 2)
		return;
	if (low == 0)
		return;
	memmove(m->ring, m->ring + low, m->ring_head - low);
	m->ring_head -= low;
	for (int i = 0; i < MAX_CLIENTS; i++)
		m->clients[i].cursor = m->clients[i].cursor >= low ? m->clients[i].cursor - low : 0;
}

static size_t ring_used(const struct monitor *m)
{
	size_t low = m->ring_head;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0 && behind(m, &m->clients[i]) && m->clients[i].cursor < low)
			low = m->clients[i].cursor;
	return m->ring_head - low;
}

int attach_backlogged(const struct monitor *m)
{
	return m->ring_head > RING_HIGH && ring_used(m) > RING_HIGH;
}

static void client_poll(struct monitor *m, struct client *client)
{
	unsigned events = 0;
	if (!client->eof && !input_blocked(m))
		events |= EPOLLIN;
	if (behind(m, client))
		events |= EPOLLOUT;
	if (!events && !client->eof) {
		/* A hang-up would be reported over and over while its last input waits for room. */
		if (client->polled)
			unwatch(m, &client->source);
		client->polled = 0;
	} else if (client->polled) {
		rewatch(m, &client->source, events);
	} else {
		client->polled = 1;
		watch(m, &client->source, events);
	}
}

void attach_poll(struct monitor *m)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0)
			client_poll(m, &m->clients[i]);
}

static void client_lost(struct monitor *m, struct client *client)
{
	client->gone = 1;
	client->stalled_at = 0;
	client->cursor = m->ring_head;
}

static int64_t grace(const struct monitor *m)
{
	return m->options.attach_grace < 0 ? 0 : m->now + m->options.attach_grace + 1;
}

/* Serve a client what it has missed, as far as it takes it. */
static void client_pump(struct monitor *m, struct client *client)
{
	while (behind(m, client)) {
		const unsigned char *at = (const unsigned char *)m->ring + client->cursor;
		size_t length = (size_t)(at[0] | at[1] << 8);
		if (send(client->source.fd, at + HEADER, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != ENOBUFS)
				client_lost(m, client);
			return;
		}
		client->cursor += HEADER + length;
		client->stalled_at = behind(m, client) ? grace(m) : 0;
	}
}

/* Input ends with the last client that gave any: an onlooker that goes changes nothing for a writer that stays. */
static void client_eof(struct monitor *m, struct client *client)
{
	if (client->eof)
		return;
	client->eof = 1;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		const struct client *other = &m->clients[i];
		if (other->source.fd >= 0 && !other->eof && other->wrote)
			return;
	}
	input_end(m);
}

static void client_ready(struct monitor *m, struct source *source, unsigned events)
{
	struct client *client = (struct client *)source;
	if (behind(m, client)) {
		client_pump(m, client);
		ring_trim(m);
		stdio_resume(m);
	}
	if (!client->eof && !input_blocked(m)) {
		ssize_t got = recv(source->fd, m->input_buffer, sizeof(m->input_buffer), MSG_DONTWAIT);
		if (got > 0) {
			client->wrote = 1;
			input_write(m, (size_t)got);
			client_poll(m, client);
			return; /* there may be more; the end comes after it */
		}
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
			client_poll(m, client);
			return;
		}
		client_eof(m, client);
	}
	if (client->eof && (client->gone || (events & (EPOLLHUP | EPOLLERR)))) {
		client_lost(m, client);
		client_close(m, client);
		ring_trim(m);
		stdio_resume(m);
		return;
	}
	client_poll(m, client);
}

static void client_open(struct monitor *m, int fd)
{
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[i];
		if (client->source.fd >= 0)
			continue;
		memset(client, 0, sizeof(*client));
		client->source.fd = fd;
		client->source.ready = client_ready;
		client->cursor = m->ring_head;
		m->n_clients++;
		client_poll(m, client);
		return;
	}
	say(m, 1, "more than %d attached clients: one is turned away", MAX_CLIENTS);
	close(fd);
}

void attach_accept(struct monitor *m)
{
	while (m->listener.fd >= 0) {
		int fd = accept4(m->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			client_open(m, fd);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR && errno != ECONNABORTED) {
			say(m, 1, "Failed to accept client connection on attach socket: %s", strerror(errno));
			return;
		}
	}
}

static void listener_ready(struct monitor *m, struct source *source, unsigned events)
{
	(void)source;
	(void)events;
	attach_accept(m);
}

static void ring_append(struct monitor *m, int kind, const char *data, size_t length)
{
	if (m->ring_head + HEADER + 1 + length > RING_SIZE)
		ring_trim(m);
	int fits = m->ring_head + HEADER + 1 + length <= RING_SIZE;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[i];
		if (client->source.fd < 0 || client->gone || client->fresh)
			continue;
		if (!fits) {
			say(m, 1, "an attached client is too slow: it is cut off");
			client_lost(m, client);
		} else if (!client->stalled_at) {
			client->stalled_at = grace(m);
		}
	}
	if (!fits)
		return;
	unsigned char *at = (unsigned char *)m->ring + m->ring_head;
	at[0] = (unsigned char)((length + 1) & 255);
	at[1] = (unsigned char)((length + 1) >> 8);
	at[HEADER] = (unsigned char)(kind + 1);
	memcpy(at + HEADER + 1, data, length);
	m->ring_head += HEADER + 1 + length;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].fresh || m->clients[i].gone)
			m->clients[i].cursor = m->ring_head;
}

static int client_send(struct monitor *m, struct client *client, int kind, const char *data, size_t length)
{
	char tag = (char)(kind + 1); /* 2 stdout, 3 stderr */
	union {
		const char *in;
		char *out;
	} cast = {.in = data};
	struct iovec parts[2] = {{&tag, 1}, {cast.out, length}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t done;
	do
		done = sendmsg(client->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	if (done >= 0)
		return 1;
	if (errno != EAGAIN && errno != ENOBUFS)
		client_lost(m, client);
	return client->gone;
}

void attach_send(struct monitor *m, int kind, const char *data, size_t length)
{
	int changed = 0;
	while (length && m->n_clients) {
		size_t size = length < PACKET_MAX ? length : PACKET_MAX;
		int late = 0;
		for (int i = 0; i < MAX_CLIENTS; i++) {
			struct client *client = &m->clients[i];
			client->fresh = 0;
			if (client->source.fd < 0 || client->gone)
				continue;
			client->fresh = !behind(m, client) && client_send(m, client, kind, data, size);
			late |= !client->fresh;
		}
		if (late) {
			ring_append(m, kind, data, size);
			changed = 1;
		}
		data += size;
		length -= size;
	}
	if (changed)
		attach_poll(m);
}

void attach_timers(struct monitor *m)
{
	int changed = 0;
	if (!m->ring_head)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[i];
		if (client->source.fd < 0 || !client->stalled_at || m->now < client->stalled_at)
			continue;
		say(m, 1, "an attached client took nothing for %d ms: it is cut off", m->options.attach_grace);
		client_lost(m, client);
		client_eof(m, client);
		client_close(m, client);
		changed = 1;
	}
	if (changed) {
		ring_trim(m);
		stdio_resume(m);
	}
}

void attach_deadline(struct monitor *m, int64_t *deadline)
{
	if (!m->ring_head)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0)
			sooner(deadline, m->clients[i].stalled_at);
}

/* The container has ended: whoever has come by now still gets its last output, and nobody else comes. This is before
 * the exit file, as the container may be started again, with the next monitor's socket, as soon as that is there. */
void attach_close(struct monitor *m)
{
	attach_accept(m);
	drop(m, &m->listener);
	if (m->bundle_fd >= 0 && !m->passthrough) {
		unlinkat(m->bundle_fd, "attach", 0);
		if (!m->options.full_attach && m->options.cuuid) {
			char link[PATH_ROOM];
			const char *place = m->options.socket_dir ? m->options.socket_dir : "/var/run/crio";
			if (join_path(link, sizeof(link), place, m->options.cuuid) == 0)
				unlink(link);
		}
	}
}

/* Give each client the rest, as long as it takes it, then the end. */
void attach_finish(struct monitor *m)
{
	for (;;) {
		struct pollfd waiting[MAX_CLIENTS];
		int count = 0;
		int64_t deadline = 0;
		m->now = now_ms();
		for (int i = 0; i < MAX_CLIENTS; i++) {
			struct client *client = &m->clients[i];
			if (client->source.fd < 0)
				continue;
			client_pump(m, client);
			if (!behind(m, client) || (client->stalled_at && m->now >= client->stalled_at)) {
				client_close(m, client);
				continue;
			}
			sooner(&deadline, client->stalled_at);
			waiting[count++] = (struct pollfd){.fd = client->source.fd, .events = POLLOUT};
		}
		if (!count)
			break;
		poll(waiting, (nfds_t)count, deadline ? (int)(deadline - m->now) + 1 : -1);
	}
}

/* <socket-dir>/<cuuid> leads to the bundle, for callers that know only the socket's short path. */
static void make_link(struct monitor *m)
{
	char link[PATH_ROOM];
	const char *place = m->options.socket_dir ? m->options.socket_dir : "/var/run/crio";
	if (join_path(link, sizeof(link), place, m->options.cuuid ? m->options.cuuid : m->options.cid) < 0)
		fail(m, errno, "Failed to create symlink for notify socket");
	size_t length = strlen(link);
	if (length == sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
		link[length - 1] = 0; /* CRI-O looks for it there */
	if (unlink(link) < 0 && errno != ENOENT)
		fail(m, errno, "Failed to remove existing symlink for socket directory %s", link);
	if (symlink(m->options.bundle, link) < 0)
		fail(m, errno, "Failed to create symlink for attach socket directory %s", link);
}

void attach_open(struct monitor *m)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	for (int i = 0; i < MAX_CLIENTS; i++)
		m->clients[i].source.fd = -1;
	if (m->bundle_fd < 0 || m->passthrough)
		return;
	if (!m->options.full_attach)
		make_link(m);
	m->listener.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->listener.fd < 0)
		fail(m, errno, "Failed to create attach socket");
	if (unlinkat(m->bundle_fd, "attach", 0) < 0 && errno != ENOENT)
		fail(m, errno, "Failed to remove existing socket: %s/attach", m->options.bundle);
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/attach", m->bundle_fd);
	mode_t mask = umask(0077);
	if (bind(m->listener.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(m, errno, "Failed to create socket %s/attach", m->options.bundle);
	umask(mask);
	if (listen(m->listener.fd, 10) < 0)
		fail(m, errno, "Failed to listen on attach socket: %s/attach", m->options.bundle);
	m->listener.ready = listener_ready;
	watch(m, &m->listener, EPOLLIN);
}

void attach_ready(struct monitor *m)
{
	if (m->attach_fd < 0)
		return;
	static const char message[] = "{\"data\": 0}\n";
	if (write_all(m->attach_fd, message, sizeof(message) - 1) < 0)
		say(m, 1, "cannot tell that the attach socket is ready: %s", strerror(errno));
	close_fd(&m->attach_fd);
}
