/* The container's standard streams: what it writes goes to the log and to the clients, what they send goes to it. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_AFTER 100	 /* ms: then a prompt without a newline is logged as a partial line */
#define RETRY_AFTER 100	 /* ms: for a terminal that nobody has open */
#define IDLE_AFTER 2000	 /* ms: then the buffers' pages go back to the kernel */
#define CLOSE_READS 10	 /* ms between two reads of one burst */
#define SMALL_READ 32768 /* bytes; after MANY of them in a row naps pay */
#define MANY 16
#define NAP_MIN 100000 /* ns; far below what somebody notices who waits for a signal or a client's input */
#define NAP_MAX 400000
#define NAP_GAIN 1024 /* bytes; after ... */
#define FUTILE 4      /* ... naps in a row that bring less the pipe is waited for again */
#define BUSY_BYTES 524288 /* within BUSY_TIME ms: then the pipe grows */
#define BUSY_TIME 100
#define BUSY_PIPE BATCH_SIZE

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

static void stream_ready(struct monitor *m, struct source *source, unsigned events);
static void stream_heard(struct monitor *m, struct stream *stream);
static void input_ready(struct monitor *m, struct source *source, unsigned events);

void stream_open(struct monitor *m, struct stream *stream, int fd, int kind, int tty)
{
	nonblocking(fd);
	stream->source.fd = fd;
	stream->source.ready = stream_ready;
	stream->kind = kind;
	stream->tty = tty;
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

static void listen_to(struct monitor *m, struct stream *stream)
{
	if (stream->source.fd < 0 || stream->polled || stream->retry_at)
		return;
	stream->polled = 1;
	watch(m, &stream->source, EPOLLIN);
}

static void ignore(struct monitor *m, struct stream *stream)
{
	if (!stream->polled)
		return;
	stream->polled = 0;
	if (!stream->resting)
		unwatch(m, &stream->source);
	stream->resting = 0;
}

void stdio_listen(struct monitor *m)
{
	listen_to(m, &m->out);
	listen_to(m, &m->err);
}

void stdio_resume(struct monitor *m)
{
	if (m->container_pid > 0 && !attach_backlogged(m))
		stdio_listen(m);
}

/* Buffers have been written to. A trickle after a flood does not put off that they are given back. */
static void touched(struct monitor *m, size_t length)
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
	touched(m, length);
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
	stream->polled = 0;
	stream->resting = 0;
	stream->retry_at = 0;
	drop(m, &stream->source);
}

/* One read. Returns what it brought, 0 if there is nothing more for now. */
static size_t take(struct monitor *m, struct stream *stream, size_t most)
{
	ssize_t got = read(stream->source.fd, stream->buffer + stream->held, most);
	if (got > 0) {
		consume(m, stream, (size_t)got);
		return (size_t)got;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got < 0 && errno == EIO && stream->tty && !m->container_done) {
		/* Nobody has the terminal open just now; the container may open it again. */
		ignore(m, stream);
		stream->retry_at = m->now + RETRY_AFTER;
		return 0;
	}
	stream_end(m, stream);
	return 0;
}

/* With a larger pipe the writer goes on while the monitor writes. Only under load: all pipes of a user share one
 * allowance (pipe-user-pages-soft), and without it the pipe stays as it is. */
static void grow(const struct monitor *m, struct stream *stream)
{
	if (stream->pipe_size || m->n_clients) /* the ring is made for READ_SIZE at a time */
		return;
	stream->pipe_size = fcntl(stream->source.fd, F_GETPIPE_SZ);
	if (stream->pipe_size > 0 && stream->pipe_size < BUSY_PIPE)
		fcntl(stream->source.fd, F_SETPIPE_SZ, BUSY_PIPE);
}

static void shrink(struct stream *stream)
{
	/* It fails while there is more in the pipe. */
	if (stream->pipe_size > 0 && fcntl(stream->source.fd, F_SETPIPE_SZ, stream->pipe_size) >= 0)
		stream->pipe_size = 0;
}

/* What the runtime says on stderr is kept until it has ended: the reason if it fails, else the first that the container
 * has said. Only a runtime that says very much comes to the log at once. One read; returns what it brought. */
size_t stream_hear(struct monitor *m, struct stream *stream)
{
	size_t at = stream->held + stream->heard;
	if (stream->source.fd < 0)
		return 0;
	ssize_t got = read(stream->source.fd, stream->buffer + at, BATCH_SIZE - at);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0) {
		stream->polled = 0;
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
	listen_to(m, &m->err);
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

/* How fast the container writes, and in how small pieces. */
static void pace(const struct monitor *m, struct stream *stream, size_t got)
{
	if (m->now - stream->burst_at > BUSY_TIME) {
		stream->burst_at = m->now;
		stream->burst = 0;
	}
	stream->burst += got;
	if (stream->burst >= BUSY_BYTES)
		grow(m, stream);
	if (m->now - stream->last_read > CLOSE_READS)
		stream->small_reads = 0;
	else if (got < SMALL_READ && stream->small_reads < MANY)
		stream->small_reads++;
	else if (stream->small_reads < MANY) /* what gathered while there was no processor for the monitor */
		stream->small_reads /= 2;
	stream->last_read = m->now;
	stream->last_got = got;
}

static size_t batch(const struct monitor *m, const struct stream *stream)
{
	return stream->pipe_size && !m->n_clients ? BATCH_SIZE : READ_SIZE;
}

/* What is in one pipe was written before what is read from the other one now, for the most part: a prompt or an error
 * comes after what led to it. The other way round only where much may be waiting. */
static void catch_up(struct monitor *m, struct stream *other)
{
	if (other->polled && (other == &m->out || other->pipe_size))
		take(m, other, batch(m, other));
}

static void stream_ready(struct monitor *m, struct source *source, unsigned events)
{
	struct stream *stream = (struct stream *)source;
	(void)events;
	if (!stream->polled)
		return;
	catch_up(m, stream == &m->out ? &m->err : &m->out);
	size_t got = take(m, stream, batch(m, stream));
	if (stream->source.fd >= 0 && !stream->tty)
		pace(m, stream, got);
	if (attach_backlogged(m)) {
		ignore(m, &m->out);
		ignore(m, &m->err);
	}
}

/* While many little pieces come, the pipe is not waited for but looked at now and then. It is out of the epoll set
 * meanwhile, as each write to a pipe that is in one costs the writer a third more. */
static void rest(struct monitor *m, struct stream *stream)
{
	if (stream->resting || !stream->polled || stream->small_reads < MANY || stream->last_read != m->now)
		return;
	stream->resting = FUTILE;
	unwatch(m, &stream->source);
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
	watch(m, &stream->source, EPOLLIN);
}

static void nap(struct monitor *m, size_t got)
{
	m->nap = got < READ_SIZE / 2 ? m->nap * 2 : m->nap / 2;
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
	size_t got = m->out.resting ? m->out.last_got : 0;
	if (m->err.resting && m->err.last_got > got)
		got = m->err.last_got;
	if (got < READ_SIZE)
		nap(m, got);
	look(m, &m->out);
	look(m, &m->err);
}

static void stream_timer(struct monitor *m, struct stream *stream)
{
	if (stream->flush_at && m->now >= stream->flush_at) {
		if ((stream->polled || stream->retry_at) && !stream->heard)
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

int input_blocked(const struct monitor *m)
{
	return m->input_held != 0;
}

static void input_lost(struct monitor *m)
{
	m->input_held = 0;
	drop(m, &m->input);
}

/* Write what is pending. A container that closed its stdin gets no more. */
static void input_push(struct monitor *m)
{
	while (m->input_held) {
		ssize_t done = write(m->input.fd, m->input_buffer + m->input_at, m->input_held);
		if (done < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				input_lost(m);
			return;
		}
		m->input_at += (size_t)done;
		m->input_held -= (size_t)done;
	}
	if (m->input_closing)
		input_lost(m);
}

static void input_ready(struct monitor *m, struct source *source, unsigned events)
{
	(void)source;
	(void)events;
	input_push(m);
	touched(m, 0);
	if (!m->input_held) {
		unwatch(m, &m->input);
		attach_poll(m);
	}
}

void input_write(struct monitor *m, size_t length)
{
	touched(m, length);
	if (m->input.fd < 0)
		return; /* no -i, or closed: what clients send is thrown away */
	m->input_at = 0;
	m->input_held = length;
	input_push(m);
	if (m->input_held) {
		watch(m, &m->input, EPOLLOUT);
		attach_poll(m);
	}
}

void input_end(struct monitor *m)
{
	if (m->options.terminal || !m->options.stdin_open || m->options.leave_stdin_open)
		return;
	m->input_closing = 1;
	if (!m->input_held)
		input_lost(m);
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
	shrink(&m->out);
	shrink(&m->err);
	give_back(m->out_buffer, m->out.held, sizeof(m->out_buffer));
	give_back(m->err_buffer, m->err.held, sizeof(m->err_buffer));
	give_back(m->log_buffer, 0, sizeof(m->log_buffer));
	give_back(m->ring, m->ring_head, sizeof(m->ring));
	give_back(m->input_buffer, m->input_at + m->input_held, sizeof(m->input_buffer));
}
