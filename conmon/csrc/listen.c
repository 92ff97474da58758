/* Waiting for what the container writes. A terminal is in the epoll set. A pipe never is: the kernel remembers for good
 * that a pipe was polled and goes to its wait queue at each write from then on, which costs a container that writes line
 * by line a fifth of its speed (poll_usage in Linux's fs/pipe.c). So a pipe says by a signal that it was written to or
 * closed (O_ASYNC in fcntl(2)), and only while that is waited for: under load it is read again and again anyway. */
#include "monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>

void stream_ask(struct stream *stream, int on)
{
	if (stream->asked == on)
		return;
	/* Without memory for it the pipe is read again in the next turn. */
	if (fcntl(stream->source.fd, F_SETFL, on ? O_NONBLOCK | O_ASYNC : O_NONBLOCK) == 0)
		stream->asked = on;
}

/* stdout's signal is SIGIO, stderr's SIGURG. */
void stream_signal(const struct monitor *m, const struct stream *stream)
{
	fcntl(stream->source.fd, F_SETOWN, m->pid);
	fcntl(stream->source.fd, F_SETSIG, stream->kind == STREAM_OUT ? SIGIO : SIGURG);
}

void stream_listen(struct monitor *m, struct stream *stream)
{
	if (stream->source.fd < 0 || stream->listening || stream->retry_at)
		return;
	stream->listening = 1;
	if (stream->tty)
		watch(m, &stream->source, EPOLLIN);
	else
		stream->pending = 1;
}

void stream_ignore(struct monitor *m, struct stream *stream)
{
	if (!stream->listening)
		return;
	if (stream->tty)
		unwatch(m, &stream->source);
	else
		stream_ask(stream, 0);
	stream->listening = stream->pending = stream->resting = 0;
}

/* A read has found nothing. What was written before a signal was asked for does not send one: look once more. */
void stream_empty(struct stream *stream)
{
	if (stream->tty)
		return;
	stream->pending = stream->listening && !stream->resting && !stream->asked;
	if (stream->pending)
		stream_ask(stream, 1);
}

/* Comes once for several writes. */
void stream_signalled(struct stream *stream)
{
	stream->pending |= stream->asked;
}

static int due(const struct stream *stream)
{
	return stream->pending && stream->listening && stream->source.fd >= 0;
}

int streams_due(const struct monitor *m)
{
	return due(&m->out) || due(&m->err);
}

/* The second time there is nothing more, as a rule. */
static void read_twice(struct monitor *m, struct stream *stream)
{
	for (int i = 0; i < 2 && due(stream); i++)
		stream->source.ready(m, &stream->source, 0);
}

void streams_read(struct monitor *m)
{
	read_twice(m, &m->out);
	read_twice(m, &m->err);
}
