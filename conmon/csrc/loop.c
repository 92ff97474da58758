/* The one loop. Deadlines are few, so each turn looks at all of them. */
#include "monitor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

static int control(struct monitor *m, int operation, struct source *source, unsigned events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};
	return epoll_ctl(m->epoll, operation, source->fd, &event);
}

void watch(struct monitor *m, struct source *source, unsigned events)
{
	if (control(m, EPOLL_CTL_ADD, source, events) < 0 && errno != EEXIST)
		say(m, 1, "cannot watch descriptor %d", source->fd);
}

void rewatch(struct monitor *m, struct source *source, unsigned events)
{
	if (control(m, EPOLL_CTL_MOD, source, events) < 0 && errno == ENOENT)
		watch(m, source, events);
}

void unwatch(struct monitor *m, struct source *source)
{
	if (source->fd >= 0)
		control(m, EPOLL_CTL_DEL, source, 0);
}

void drop(struct monitor *m, struct source *source)
{
	if (source->fd < 0)
		return;
	/* Not left to close(): a duplicate in a child would keep the registration alive. */
	unwatch(m, source);
	close(source->fd);
	source->fd = -1;
}

void sooner(int64_t *deadline, int64_t other)
{
	if (other && (!*deadline || other < *deadline))
		*deadline = other;
}

static int wait_time(struct monitor *m)
{
	int64_t deadline = 0;
	if (stdio_resting(m) || streams_due(m))
		return 0;
	stdio_deadline(m, &deadline);
	attach_deadline(m, &deadline);
	health_deadline(m, &deadline);
	sooner(&deadline, m->timeout_at);
	sooner(&deadline, m->idle_at);
	sooner(&deadline, m->linger_until);
	if (!deadline)
		return -1;
	int64_t left = deadline - now_ms();
	if (left < 0)
		return 0;
	return left > 3600000 ? 3600000 : (int)left + 1;
}

static void timers(struct monitor *m)
{
	stdio_timers(m);
	attach_timers(m);
	health_timer(m);
	if (m->timeout_at && m->now >= m->timeout_at)
		timeout_fire(m);
	if (m->idle_at && m->now >= m->idle_at)
		release_buffers(m);
}

void loop(struct monitor *m, int (*over)(const struct monitor *m))
{
	while (!over(m)) {
		struct epoll_event events[16];
		int count = epoll_wait(m->epoll, events, 16, wait_time(m));
		if (count < 0 && errno != EINTR)
			fail(m, errno, "epoll_wait");
		m->now = now_ms();
		for (int i = 0; i < count; i++) {
			struct source *source = events[i].data.ptr;
			if (source->fd >= 0)
				source->ready(m, source, events[i].events);
		}
		if (m->runtime_done == 1)
			runtime_finished(m);
		streams_read(m);
		timers(m);
		stdio_rest(m);
	}
}
