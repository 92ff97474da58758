/* The container's standard streams: what it writes goes to the log and to the clients. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FLUSH_AFTER 100	 /* ms: then a prompt without a newline is logged as a partial line */
#define RETRY_AFTER 100	 /* ms: for a terminal that nobody has open */
#define IDLE_AFTER 2000	 /* ms: then the buffers' pages go back to the kernel */

static void make_pipe(struct monitor *m, const char *what, int *read_end, int *write_end)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		fail(m, errno, "Failed to create %s pipe", what);
	*read_end = ends[0];
	*write_end = ends[1];
}

static void nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static void stream_heard(struct monitor *m, struct stream *stream);

void stream_open(struct monitor *m, struct stream *stream, int fd, int kind, int tty)
{
	nonblocking(fd);
	stream->source.fd = fd;
	stream->source.ready = stream_ready;
	stream->kind = kind;
	stream->tty = tty;
	if (!tty)
		stream_signal(m, stream);
	stream->buffer = kind == STREAM_OUT ? m->out_buffer : m->err_buffer;
}

void stdio_open(struct monitor *m)
{
	int fd;
	m->input.ready = input_ready;
	if (m->passthrough)
		return;
	if (m->options.terminal) {
		console_open(m);
	} else {
		if (m->options.stdin_open) {
			make_pipe(m, "!terminal stdin", &m->child_in, &m->input.fd);
			nonblocking(m->input.fd);
		}
		make_pipe(m, "!terminal stdout", &fd, &m->child_out);
		stream_open(m, &m->out, fd, STREAM_OUT, 0);
	}
	/* Always: it also carries what the runtime has to say. */
	make_pipe(m, "stderr", &fd, &m->child_err);
	stream_open(m, &m->err, fd, STREAM_ERR, 0);
}

void stdio_close_child_ends(struct monitor *m)
{
	close_fd(&m->child_in);
	close_fd(&m->child_out);
	close_fd(&m->child_err);
}

void stdio_listen(struct monitor *m)
{
	stream_listen(m, &m->out);
	stream_listen(m, &m->err);
}

void stdio_resume(struct monitor *m)
{
	if (m->container_pid > 0 && !attach_backlogged(m))
		stdio_listen(m);
}

/* Buffers have been written to. A trickle after a flood does not put off that they are given back. */
void buffers_touched(struct monitor *m, size_t length)
{
	if (length > 4096 || !m->idle_at)
		m->idle_at = m->now + IDLE_AFTER;
}

static void flush(struct monitor *m, struct stream *stream, size_t length)
{
	stream->flush_at = 0;
	if (length)
		log_partial(m, stream->kind, stream->buffer, length);
	stream->held -= length;
	if (stream->held)
		memmove(stream->buffer, stream->buffer + length, stream->held);
}

/* What has been read goes to the clients and, line by line, to the log, which takes READ_SIZE + TAIL_MAX at most. */
static void consume(struct monitor *m, struct stream *stream, size_t length)
{
	char *data = stream->buffer;
	size_t from = 0, to = stream->held, total = stream->held + length;
	buffers_touched(m, length);
	attach_accept(m); /* who connected before the container wrote gets what it wrote */
	if (m->n_clients)
		attach_send(m, stream->kind, data + to, length);
	if (!m->log.used)
		return;
	while (to < total) {
		size_t piece = total - to < READ_SIZE ? total - to : READ_SIZE;
		const char *newline = memrchr(data + to, '\n', piece);
		if (newline) {
			size_t complete = (size_t)(newline - data) + 1;
			log_lines(m, stream->kind, data + from, complete - from);
			from = complete;
			stream->flush_at = 0;
		}
		to += piece;
		if (to - from > TAIL_MAX) {
			size_t whole = utf8_whole(data + from, to - from);
			log_partial(m, stream->kind, data + from, whole);
			from += whole;
			stream->flush_at = 0;
		}
	}
	stream->held = total - from;
	if (from && stream->held)
		memmove(data, data + from, stream->held);
	if (stream->held && !stream->flush_at)
		stream->flush_at = m->now + FLUSH_AFTER;
}

static void stream_end(struct monitor *m, struct stream *stream)
{
	flush(m, stream, stream->held);
	stream->listening = stream->pending = stream->resting = 0;
	stream->retry_at = 0;
	drop(m, &stream->source);
}

/* One read. Returns what it brought, 0 if there is nothing more for now. */
static size_t take(struct monitor *m, struct stream *stream, size_t most)
{
	ssize_t got = stream_read(m, stream, stream->buffer + stream->held, most);
	if (got > 0) {
		consume(m, stream, (size_t)got);
		return (size_t)got;
	}
	if (got < 0 && errno == EAGAIN)
		stream_empty(stream);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got < 0 && errno == EIO && stream->tty && !m->container_done) {
		/* Nobody has the terminal open just now; the container may open it again. */
		stream_ignore(m, stream);
		stream->retry_at = m->now + RETRY_AFTER;
		return 0;
	}
	stream_end(m, stream);
	return 0;
}

/* What the runtime says on stderr is kept until it has ended: the reason if it fails, else the first that the container
 * has said. Only a runtime that says very much comes to the log at once. One read; returns what it brought. */
size_t stream_hear(struct monitor *m, struct stream *stream)
{
	size_t at = stream->held + stream->heard;
	if (stream->source.fd < 0)
		return 0;
	ssize_t got = read(stream->source.fd, stream->buffer + at, BATCH_SIZE - at);
	if (got < 0 && errno == EAGAIN)
		stream_empty(stream);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0) {
		stream->listening = 0;
		drop(m, &stream->source);
		return 0;
	}
	stream->heard += (size_t)got;
	if (at + (size_t)got == BATCH_SIZE)
		stream_heard(m, stream);
	return (size_t)got;
}

static void hear_ready(struct monitor *m, struct source *source, unsigned events)
{
	(void)events;
	stream_hear(m, (struct stream *)source);
}

static void stream_heard(struct monitor *m, struct stream *stream)
{
	size_t length = stream->heard;
	if (!m->complaint_length && length)
		memcpy(m->complaint, stream->buffer, m->complaint_length = length < COMPLAINT ? length : COMPLAINT);
	stream->heard = 0;
	consume(m, stream, length);
}

void stdio_hear(struct monitor *m)
{
	if (m->err.source.fd < 0)
		return;
	m->err.source.ready = hear_ready;
	stream_listen(m, &m->err);
}

void stdio_heard(struct monitor *m)
{
	m->err.source.ready = stream_ready;
	if (m->err.heard) {
		/* An exec session's process runs already while the runtime ends. As in catch_up(). */
		if (m->out.source.fd >= 0)
			take(m, &m->out, READ_SIZE);
		stream_heard(m, &m->err);
	}
	if (m->err.source.fd < 0)
		flush(m, &m->err, m->err.held);
}

/* What is in one pipe was written before what is read from the other one now, for the most part: a prompt or an error
 * comes after what led to it. The other way round only where much may be waiting. */
static void catch_up(struct monitor *m, struct stream *other)
{
	if (!other->listening || (other != &m->out && !other->pipe_size))
		return;
	/* A large pipe may hold more than a batch; clients take what they can. */
	for (int left = other->pipe_size ? other->pipe_now : 0; !attach_backlogged(m);) {
		size_t got = take(m, other, stream_batch(m, other));
		left -= (int)got;
		if (!got || left <= 0)
			break;
	}
}

void stream_ready(struct monitor *m, struct source *source, unsigned events)
{
	struct stream *stream = (struct stream *)source;
	(void)events;
	if (!stream->listening)
		return;
	catch_up(m, stream == &m->out ? &m->err : &m->out);
	size_t got = take(m, stream, stream_batch(m, stream));
	if (stream->source.fd >= 0 && !stream->tty)
		stream_pace(m, stream, got);
	if (attach_backlogged(m)) {
		stream_ignore(m, &m->out);
		stream_ignore(m, &m->err);
	}
}

static void stream_timer(struct monitor *m, struct stream *stream)
{
	if (stream->flush_at && m->now >= stream->flush_at) {
		if ((stream->listening || stream->retry_at) && !stream->heard)
			flush(m, stream, utf8_whole(stream->buffer, stream->held));
		else /* not read just now for a client's sake: the rest of the line may be waiting */
			stream->flush_at = m->now + FLUSH_AFTER;
	}
	if (stream->retry_at && m->now >= stream->retry_at) {
		stream->retry_at = 0;
		if (take(m, stream, READ_SIZE) || !stream->retry_at)
			stdio_resume(m);
	}
}

void stdio_timers(struct monitor *m)
{
	stream_timer(m, &m->out);
	stream_timer(m, &m->err);
}

void stdio_deadline(struct monitor *m, int64_t *deadline)
{
	sooner(deadline, m->out.flush_at);
	sooner(deadline, m->err.flush_at);
	sooner(deadline, m->out.retry_at);
	sooner(deadline, m->err.retry_at);
}

/* What was written before the end. What background processes write meanwhile does not hold up the exit. */
static void drain(struct monitor *m, struct stream *stream)
{
	int waiting = 0;
	if (stream->source.fd < 0)
		return;
	if (ioctl(stream->source.fd, FIONREAD, &waiting) < 0 || stream->tty)
		waiting = READ_SIZE;
	while (stream->source.fd >= 0 && waiting > 0) {
		size_t got = take(m, stream, waiting < READ_SIZE ? (size_t)waiting : READ_SIZE);
		if (!got)
			break;
		waiting -= (int)got;
	}
	flush(m, stream, stream->held);
}

void stdio_drain(struct monitor *m)
{
	drain(m, &m->out);
	drain(m, &m->err);
}

int stdio_ended(const struct monitor *m)
{
	return m->out.source.fd < 0 && m->err.source.fd < 0;
}

void stdio_close(struct monitor *m)
{
	stdio_drain(m);
	stream_end(m, &m->out);
	stream_end(m, &m->err);
}

static void give_back(char *buffer, size_t used, size_t size)
{
	size_t from = (used + 4095) & ~(size_t)4095;
	if (from < size)
		madvise(buffer + from, size - from, MADV_DONTNEED);
}

void release_buffers(struct monitor *m)
{
	m->idle_at = 0;
	stream_shrink(&m->out);
	stream_shrink(&m->err);
	aside_close(m);
	give_back(m->out_buffer, m->out.held, sizeof(m->out_buffer));
	give_back(m->err_buffer, m->err.held + m->err.heard, sizeof(m->err_buffer));
	give_back(m->log_buffer, 0, sizeof(m->log_buffer));
	give_back(m->ring, m->ring_head, sizeof(m->ring));
	give_back(m->input_buffer, m->input_at + m->input_held, sizeof(m->input_buffer));
}
