/* What clients have not taken yet: every client has its place in one ring of packets; a client that is up to date
 * costs no copy. */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HEADER 2	   /* bytes: length of a packet in the ring */
#define DRAIN_PATIENCE 500 /* ms: for the slowest client, if more is left at the end than the ring holds */
#define DRAIN_TIME 2000	   /* ms: the same, for all of them together */

int client_behind(const struct monitor *m, const struct client *client)
{
	return !client->gone && !client->cut && client->cursor != m->ring_head;
}

/* What the client furthest behind has been served. */
static size_t ring_low(const struct monitor *m)
{
	size_t low = m->ring_head;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0 && client_behind(m, &m->clients[i]) && m->clients[i].cursor < low)
			low = m->clients[i].cursor;
	return low;
}

/* Forget what everybody has been served; not for every little, unless the room is needed. */
void ring_trim(struct monitor *m, int needed)
{
	size_t low = ring_low(m);
	if (low == 0 || (low != m->ring_head && low < RING_SIZE / 2 && !needed))
		return;
	memmove(m->ring, m->ring + low, m->ring_head - low);
	m->ring_head -= low;
	for (int i = 0; i < MAX_CLIENTS; i++)
		m->clients[i].cursor = m->clients[i].cursor >= low ? m->clients[i].cursor - low : 0;
}

int attach_backlogged(const struct monitor *m)
{
	return m->ring_head > RING_HIGH && m->ring_head - ring_low(m) > RING_HIGH;
}

static int64_t grace(const struct monitor *m)
{
	return m->options.attach_grace < 0 ? 0 : m->now + m->options.attach_grace + 1;
}

static size_t packet_length(const struct monitor *m, size_t at)
{
	const unsigned char *header = (const unsigned char *)m->ring + at;
	return (size_t)(header[0] | header[1] << 8);
}

long long client_backlog(const struct monitor *m, const struct client *client)
{
	long long bytes = 0;
	for (size_t at = client->cursor; at != m->ring_head; at += HEADER + packet_length(m, at))
		bytes += (long long)packet_length(m, at) - 1;
	return bytes;
}

/* Serve a client what it has missed, as far as it takes it. */
void client_pump(struct monitor *m, struct client *client)
{
	while (client_behind(m, client)) {
		size_t length = packet_length(m, client->cursor);
		const char *packet = m->ring + client->cursor + HEADER;
		if (send(client->source.fd, packet, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN && errno != ENOBUFS)
				client_lost(m, client);
			return;
		}
		client->cursor += HEADER + length;
		client->stalled_at = client_behind(m, client) ? grace(m) : 0;
	}
}

/* Serve those that are behind, waiting for them up to a time (0: for ever). */
void clients_serve(struct monitor *m, int64_t deadline)
{
	struct pollfd waiting[MAX_CLIENTS];
	nfds_t count = 0;
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0 && client_behind(m, &m->clients[i]))
			waiting[count++] = (struct pollfd){.fd = m->clients[i].source.fd, .events = POLLOUT};
	if (!count)
		return;
	int64_t left = deadline - now_ms();
	poll(waiting, count, !deadline ? -1 : left > 0 ? (int)left + 1 : 0);
	m->now = now_ms();
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0)
			client_pump(m, &m->clients[i]);
}

static int ring_fits(const struct monitor *m, size_t length)
{
	return m->ring_head + HEADER + 1 + length <= RING_SIZE;
}

static void cut_slowest(struct monitor *m)
{
	size_t low = ring_low(m);
	for (int i = 0; i < MAX_CLIENTS; i++)
		if (m->clients[i].source.fd >= 0 && client_behind(m, &m->clients[i]) && m->clients[i].cursor == low)
			client_cut(m, &m->clients[i]);
}

/* The container is not read while a client is far behind, so this comes up only with the rest that an ended one has
 * left in large pipes. */
static void ring_make_room(struct monitor *m, size_t length)
{
	int64_t patience = now_ms() + DRAIN_PATIENCE;
	if (m->container_done && !m->drain_until)
		m->drain_until = now_ms() + DRAIN_TIME;
	for (ring_trim(m, 1); !ring_fits(m, length); ring_trim(m, 1)) {
		int64_t until = patience < m->drain_until ? patience : m->drain_until;
		if (now_ms() < until) {
			clients_serve(m, until);
			continue;
		}
		cut_slowest(m);
		patience = now_ms() + DRAIN_PATIENCE;
	}
}

static void ring_append(struct monitor *m, int kind, const char *data, size_t length)
{
	unsigned char *at = (unsigned char *)m->ring + m->ring_head;
	at[0] = (unsigned char)((length + 1) & 255);
	at[1] = (unsigned char)((length + 1) >> 8);
	at[HEADER] = (unsigned char)(kind + 1);
	memcpy(at + HEADER + 1, data, length);
	m->ring_head += HEADER + 1 + length;
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[i];
		if (client->fresh || client->gone || client->cut)
			client->cursor = m->ring_head;
		else if (client->source.fd >= 0 && !client->stalled_at)
			client->stalled_at = grace(m);
	}
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

/* Returns whether somebody did not take it at once. */
static int send_packet(struct monitor *m, int kind, const char *data, size_t length)
{
	int late = 0;
	if (!ring_fits(m, length))
		ring_make_room(m, length);
	for (int i = 0; i < MAX_CLIENTS; i++) {
		struct client *client = &m->clients[i];
		client->fresh = 0;
		if (client->source.fd < 0 || client->gone)
			continue;
		if (client->cut) {
			client->missed += (long long)length;
			continue;
		}
		client->fresh = !client_behind(m, client) && client_send(m, client, kind, data, length);
		late |= !client->fresh;
	}
	if (late)
		ring_append(m, kind, data, length);
	return late;
}

void attach_send(struct monitor *m, int kind, const char *data, size_t length)
{
	int late = 0;
	while (length && m->n_clients) {
		size_t size = length < PACKET_MAX ? length : PACKET_MAX;
		late |= send_packet(m, kind, data, size);
		data += size;
		length -= size;
	}
	if (late)
		attach_poll(m);
}
