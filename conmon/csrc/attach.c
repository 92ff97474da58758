/* The attach socket and its clients. One that takes nothing for --attach-grace milliseconds is cut: nothing waits for it
 * any more, and as soon as its socket takes a packet it is told how much it has missed, and sees the end. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_AGAIN 200       /* ms: when there were no descriptors left */
#define LAST_WORD_ROOM 1000000 /* bytes of socket buffer; the kernel makes it what it allows */

static int hung_up(const struct client *client)
{
	struct pollfd state = {.fd = client->source.fd};
	return poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR));
}

static int unread(int fd)
{
	int length = 0;
	return ioctl(fd, FIONREAD, &length) == 0 && length > 0;
}

static void client_close(struct monitor *m, struct client *client)
{
	int fd = client->source.fd;
	unwatch(m, &client->source);
	/* close() with unread input makes the peer see ECONNRESET before what is queued for it. */
	shutdown(fd, SHUT_RDWR);
	while (recv(fd, m->input_buffer, 0, MSG_DONTWAIT | MSG_TRUNC) > 0 || unread(fd))
		;
	close(fd);
	client->source.fd = -1;
	m->n_clients--;
}

static void client_poll(struct monitor *m, struct client *client)
{
	int events = 0;
	if (!client->eof && !input_blocked(m))
		events |= EPOLLIN;
	if (client_behind(m, client) || client->cut)
		events |= EPOLLOUT;
	if (!events && !client->eof)
		events = -1; /* a hang-up would be reported over and over while its last input waits for room */
	if (events == client->watched)
		return;
	if (events < 0)
		unwatch(m, &client->source);
	else if (client->watched < 0)
		watch(m, &client->source, (unsigned)events);
	else
		rewatch(m, &client->source, (unsigned)events);
	client->watched = events;
}

/* What is watched anew is reported in this order: the client that gave input last has its next turn last. */
void attach_poll(struct monitor *m)
{
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[(m->next_turn + i) % MAX_CLIENTS];
		if (client->source.fd >= 0)
			client_poll(m, client);
	}
}

void client_lost(struct monitor *m, struct client *client)
{
	client->gone = 1;
	client->stalled_at = 0;
	client->cursor = m->ring_head;
}

/* Input ends with the last client that gave any: an onlooker that goes changes nothing for those that stay. */
static void client_eof(struct monitor *m, struct client *client)
{
	if (client->eof)
		return;
	int onlooker = !client->wrote && (client->cut || hung_up(client));
	client->eof = 1;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		const struct client *other = &m->clients[i];
		if (other->source.fd >= 0 && !other->eof && (other->wrote || onlooker))
			return;
	}
	input_end(m);
}

/* It is too slow: from here on it is owed nothing but the number of bytes that it has missed. */
void client_cut(struct monitor *m, struct client *client)
{
	client->missed += client_backlog(m, client);
	client->cut = 1;
	client->stalled_at = 0;
	client_eof(m, client);
	shutdown(client->source.fd, SHUT_RD);
	client_poll(m, client);
	say(m, 1, "an attached client is too slow: it is cut off");
}

/* Tell a client that was cut. 0: its socket takes nothing yet. */
static int last_word(const struct monitor *m, const struct client *client)
{
	char text[128];
	int length = snprintf(text, sizeof(text),
			      "%c\n[conmon: %lld bytes of output were not delivered here: this client was too slow]\n",
			      (m->options.terminal ? STREAM_OUT : STREAM_ERR) + 1, client->missed);
	return send(client->source.fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
	       (errno != EAGAIN && errno != ENOBUFS);
}

/* A client that was cut has to go now. Its socket is full, so room is made for the last word. */
static void client_dismiss(struct monitor *m, struct client *client)
{
	int room = LAST_WORD_ROOM;
	if (client->cut && !last_word(m, client)) {
		setsockopt(client->source.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		last_word(m, client);
	}
	client_close(m, client);
}

/* One packet. Returns whether there may be more. */
static int client_input(struct monitor *m, struct client *client)
{
	ssize_t got = recv(client->source.fd, m->input_buffer, INPUT_SIZE, MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (got <= 0) {
		client_eof(m, client);
		return 0;
	}
	if (got > INPUT_SIZE) {
		say(m, 1, "a packet of %zd bytes of input is too long: its end is lost", got);
		got = INPUT_SIZE;
	}
	client->wrote = 1;
	m->next_turn = (int)(client - m->clients) + 1;
	input_write(m, (size_t)got);
	return 1; /* the end comes after it */
}

static void client_ready(struct monitor *m, struct source *source, unsigned events)
{
	struct client *client = (struct client *)source;
	if (client->cut) {
		if (last_word(m, client))
			client_close(m, client);
		return;
	}
	if (client_behind(m, client)) {
		client_pump(m, client);
		ring_trim(m, 0);
		stdio_resume(m);
	}
	int open = !client->eof && (input_blocked(m) || client_input(m, client));
	/* The event may be that of an earlier client in this place. */
	if (!open && (client->gone || ((events & (EPOLLHUP | EPOLLERR)) && hung_up(client)))) {
		client_lost(m, client);
		client_close(m, client);
		ring_trim(m, 0);
		stdio_resume(m);
		return;
	}
	client_poll(m, client);
}

/* A place for one more. Those that take no part any more have to make room. */
static struct client *find_place(struct monitor *m)
{
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd < 0)
			return &m->clients[i];
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[i];
		if (!client->cut && !hung_up(client))
			continue;
		client_eof(m, client);
		client_dismiss(m, client);
		return client;
	}
	return NULL;
}

static void client_open(struct monitor *m, int fd)
{
	struct client *client = find_place(m);
	if (!client) {
		say(m, 1, "more than %d attached clients: one is turned away", MAX_CLIENTS);
		close(fd);
		return;
	}
	memset(client, 0, sizeof(*client));
	client->source.fd = fd;
	client->source.ready = client_ready;
	client->watched = -1;
	client->cursor = m->ring_head;
	m->n_clients++;
	client_poll(m, client);
}

/* Whoever waits stays in the queue; looking at it all the time would not bring a descriptor. */
static void accept_later(struct monitor *m, int errnum)
{
	if (!m->accept_failed)
		say(m, 1, "Failed to accept client connection on attach socket: %s", strerror(errnum));
	m->accept_failed = 1;
	m->accept_at = now_ms() + ACCEPT_AGAIN;
	unwatch(m, &m->listener);
}

void attach_accept(struct monitor *m)
{
	for (int i = 0; i < MAX_CLIENTS && m->listener.fd >= 0 && !m->accept_at; i++) {
		int fd = accept4(m->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			m->accept_failed = 0;
			client_open(m, fd);
		} else if (errno == EAGAIN || errno == EINVAL) { /* EINVAL: it is shut down */
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			accept_later(m, errno);
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

static void accept_timer(struct monitor *m)
{
	if (!m->accept_at || m->now < m->accept_at)
		return;
	m->accept_at = 0;
	if (m->listener.fd >= 0)
		watch(m, &m->listener, EPOLLIN);
}

void attach_timers(struct monitor *m)
{
	int changed = 0;
	accept_timer(m);
	if (!m->ring_head)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[i];
		if (client->source.fd < 0 || !client->stalled_at || m->now < client->stalled_at)
			continue;
		/* A socket is called writable only when three quarters of it are empty: it may have taken a little. */
		client_pump(m, client);
		if (client->stalled_at && m->now >= client->stalled_at)
			client_cut(m, client);
		else
			client_poll(m, client);
		changed = 1;
	}
	if (changed) {
		ring_trim(m, 0);
		stdio_resume(m);
	}
}

void attach_deadline(struct monitor *m, int64_t *deadline)
{
	sooner(deadline, m->accept_at);
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
	m->accept_at = 0;
	/* Shut down first: whoever came between the last accept and the close would see a reset. */
	if (m->listener.fd >= 0)
		shutdown(m->listener.fd, SHUT_RDWR);
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

/* Whether a client has been given all that it takes. */
static int client_done(struct monitor *m, struct client *client)
{
	if (client_behind(m, client) && client->stalled_at && m->now >= client->stalled_at)
		client_cut(m, client);
	return !client_behind(m, client);
}

/* Give each client the rest, as long as it takes it, then the end. Up to a time (0: for as long as it takes). */
void attach_finish(struct monitor *m, int64_t until)
{
	m->now = now_ms();
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0)
			client_pump(m, &m->clients[i]);
	while (m->n_clients && (!until || m->now < until)) {
		int64_t deadline = until;
		for (int i = 0; i < MAX_CLIENTS; i++) {
			struct client *client = &m->clients[i];
			if (client->source.fd < 0)
				continue;
			if (client_done(m, client))
				client_dismiss(m, client);
			else
				sooner(&deadline, client->stalled_at);
		}
		clients_serve(m, deadline);
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
