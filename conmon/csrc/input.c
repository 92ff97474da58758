/* The container's stdin: what clients send goes to it. */
#include "monitor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

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

void input_ready(struct monitor *m, struct source *source, unsigned events)
{
	(void)source;
	(void)events;
	input_push(m);
	buffers_touched(m, 0);
	if (!m->input_held) {
		unwatch(m, &m->input);
		attach_poll(m);
	}
}

void input_write(struct monitor *m, size_t length)
{
	buffers_touched(m, length);
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
