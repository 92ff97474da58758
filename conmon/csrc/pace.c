/* How fast the container writes: larger pipes, larger reads and naps under load. */
#include "monitor.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_READS 10	 /* ms between two reads of one burst */
#define SMALL_READ 32768 /* bytes; after MANY of them in a row naps pay */
#define MANY 16
#define NAP_MIN 100000 /* ns; far below what somebody notices who waits for a signal or a client's input */
#define NAP_MAX 800000
#define NAP_GAIN 1024 /* bytes; after ... */
#define FUTILE 4      /* ... naps in a row that bring less the pipe is waited for again */
#define BUSY_BYTES 524288 /* within BUSY_TIME ms: then the pipe grows */
#define BUSY_TIME 100
#define BUSY_PIPE BATCH_SIZE
#define RESTING_PIPE 1048576 /* the most that who has no privilege may have (pipe-max-size) */

void aside_close(struct monitor *m)
{
	close_fd(&m->aside_out);
	close_fd(&m->aside_in);
}

/* read(2) keeps a pipe's writer out while it copies, which many little writes feel. So the pages are moved into a pipe
 * of the monitor's own, which takes next to no time, and are copied from there. */
static void aside_open(struct monitor *m)
{
	int ends[2];
	if (m->aside_in >= 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	m->aside_out = ends[0];
	m->aside_in = ends[1];
	/* A small one would hold back the whole stream. */
	if (fcntl(m->aside_in, F_SETPIPE_SZ, RESTING_PIPE) < 0)
		aside_close(m);
}

ssize_t stream_read(struct monitor *m, struct stream *stream, char *to, size_t most)
{
	if (!stream->resting || m->aside_in < 0)
		return read(stream->source.fd, to, most);
	ssize_t moved = splice(stream->source.fd, NULL, m->aside_in, NULL, most, SPLICE_F_NONBLOCK);
	for (ssize_t at = 0, got; at < moved; at += got)
		if ((got = read(m->aside_out, to + at, (size_t)(moved - at))) <= 0)
			return at;
	return moved;
}

/* With a larger pipe the writer goes on while the monitor writes. Only under load: all pipes of a user share one
 * allowance (pipe-user-pages-soft), and without it the pipe stays as it is. Returns whether it has just grown. */
static int grow(struct stream *stream, int size)
{
	if (!stream->pipe_size)
		stream->pipe_size = stream->pipe_now = fcntl(stream->source.fd, F_GETPIPE_SZ);
	if (stream->pipe_size <= 0 || stream->pipe_now >= size)
		return 0;
	stream->pipe_now = size; /* or it cannot have it */
	return fcntl(stream->source.fd, F_SETPIPE_SZ, size) >= 0;
}

void stream_shrink(struct stream *stream)
{
	/* It fails while there is more in the pipe. */
	if (stream->pipe_size > 0 && fcntl(stream->source.fd, F_SETPIPE_SZ, stream->pipe_size) >= 0)
		stream->pipe_size = 0;
}

/* How fast the container writes, and in how small pieces. */
void stream_pace(struct monitor *m, struct stream *stream, size_t got)
{
	if (m->now - stream->burst_at > BUSY_TIME) {
		stream->burst_at = m->now;
		stream->burst = 0;
	}
	stream->burst += got;
	if (stream->burst >= BUSY_BYTES && grow(stream, stream->resting ? RESTING_PIPE : BUSY_PIPE) && stream->resting)
		aside_open(m);
	if (got >= READ_SIZE)
		stream_ask(stream, 0); /* it is read anyway */
	if (m->now - stream->last_read > CLOSE_READS)
		stream->small_reads = 0;
	else if (got < SMALL_READ && stream->small_reads < MANY)
		stream->small_reads++;
	else if (stream->small_reads < MANY) /* what gathered while there was no processor for the monitor */
		stream->small_reads /= 2;
	stream->last_read = m->now;
	stream->last_got = got;
}

size_t stream_batch(const struct monitor *m, const struct stream *stream)
{
	return stream->pipe_size && !m->n_clients ? BATCH_SIZE : READ_SIZE;
}

/* While many little pieces come, the pipe is not waited for but looked at now and then: then a write costs least. */
static void rest(struct monitor *m, struct stream *stream)
{
	if (stream->resting || !stream->listening || stream->small_reads < MANY || stream->last_read != m->now)
		return;
	stream->resting = FUTILE;
	stream->pending = 0;
	stream_ask(stream, 0);
}

static void look(struct monitor *m, struct stream *stream)
{
	if (!stream->resting)
		return;
	stream_ready(m, &stream->source, 0);
	if (!stream->resting)
		return;
	if (stream->last_got >= NAP_GAIN)
		stream->resting = FUTILE;
	else
		stream->resting--;
	if (stream->resting)
		return;
	stream->small_reads = MANY / 2;
	stream->pending = 1;
}

/* How much of what the pipe holds the last look has found, in percent; 0 if nobody rests there. */
static unsigned found(const struct monitor *m, const struct stream *stream)
{
	return stream->resting ? (unsigned)(stream->last_got * 100 / stream_batch(m, stream)) : 0;
}

static void nap(struct monitor *m, unsigned percent)
{
	m->nap = percent < 50 ? m->nap * 2 : m->nap / 2;
	if (m->nap < NAP_MIN)
		m->nap = NAP_MIN;
	if (m->nap > NAP_MAX)
		m->nap = NAP_MAX;
	struct timespec time = {.tv_nsec = m->nap};
	nanosleep(&time, NULL);
	m->now = now_ms();
}

int stdio_resting(const struct monitor *m)
{
	return m->out.resting || m->err.resting;
}

void stdio_rest(struct monitor *m)
{
	rest(m, &m->out);
	rest(m, &m->err);
	if (!stdio_resting(m))
		return;
	unsigned out = found(m, &m->out), err = found(m, &m->err);
	unsigned most = out > err ? out : err;
	if (most < 100)
		nap(m, most);
	look(m, &m->out);
	look(m, &m->err);
}
