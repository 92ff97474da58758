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
#define SMALL_READ 2048	 /* bytes: a writer of short lines; after 16 of them in a row naps pay */
#define NAP 150000	 /* ns */

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
	unwatch(m, &stream->source);
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

static void flush(struct monitor *m, struct stream *stream, size_t length)
{
	stream->flush_at = 0;
	if (length)
		log_partial(m, stream->kind, stream->buffer, length);
	stream->held -= length;
	if (stream->held)
		memmove(stream->buffer, stream->buffer + length, stream->held);
}

static void consume(struct monitor *m, struct stream *stream, size_t length)
{
	char *data = stream->buffer, *fresh = data + stream->held;
	if (m->n_clients)
		attach_send(m, stream->kind, fresh, length);
	if (length > 4096)
		m->idle_at = m->now + IDLE_AFTER;
	if (!m->log.used)
		return;
	size_t total = stream->held + length;
	const char *newline = memrchr(fresh, '\n', length);
	size_t complete = newline ? (size_t)(newline - data) + 1 : 0;
	if (complete) {
		log_lines(m, stream->kind, data, complete);
		stream->flush_at = 0;
	}
	stream->held = total - complete;
	if (complete && stream->held)
		memmove(data, data + complete, stream->held);
	if (stream->held > TAIL_MAX)
		flush(m, stream, utf8_whole(data, stream->held));
	if (stream->held && !stream->flush_at)
		stream->flush_at = m->now + FLUSH_AFTER;
}

static void stream_end(struct monitor *m, struct stream *stream)
{
	flush(m, stream, stream->held);
	stream->polled = 0;
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

static void nap(void)
{
	struct timespec time = {.tv_nsec = NAP};
	nanosleep(&time, NULL);
}

static void stream_ready(struct monitor *m, struct source *source, unsigned events)
{
	struct stream *stream = (struct stream *)source;
	(void)events;
	if (!stream->polled)
		return;
	if (stream->small_reads >= 16 && m->now - stream->last_read <= 2)
		nap();
	size_t got = take(m, stream, READ_SIZE);
	stream->small_reads = got < SMALL_READ && m->now - stream->last_read <= 2 && !stream->tty
				      ? stream->small_reads + 1
				      : 0;
	/* A nap makes the next read larger: keep napping as long as the writer fills the pipe meanwhile. */
	if (got >= SMALL_READ && got < READ_SIZE / 2 && m->now - stream->last_read <= 2 && !stream->tty)
		stream->small_reads = 16;
	stream->last_read = m->now;
	if (attach_backlogged(m)) {
		ignore(m, &m->out);
		ignore(m, &m->err);
	}
}

static void stream_timer(struct monitor *m, struct stream *stream)
{
	if (stream->flush_at && m->now >= stream->flush_at) {
		if (stream->polled || stream->retry_at)
			flush(m, stream, stream->held);
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
	if (!m->input_held) {
		unwatch(m, &m->input);
		attach_poll(m);
	}
}

void input_write(struct monitor *m, size_t length)
{
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
	give_back(m->out_buffer, m->out.held, sizeof(m->out_buffer));
	give_back(m->err_buffer, m->err.held, sizeof(m->err_buffer));
	give_back(m->log_buffer, 0, sizeof(m->log_buffer));
	give_back(m->ring, m->ring_head, sizeof(m->ring));
	give_back(m->input_buffer, m->input_at + m->input_held, sizeof(m->input_buffer));
}
