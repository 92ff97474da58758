/* oom_score_adj, and who was killed for want of memory. cgroups(7), v1's memory.txt, v2's memory.events. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CGROUP2_MAGIC 0x63677270

static int write_score(int score)
{
	char text[24];
	size_t length = decimal(text, score);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int failed = write_all(fd, text, length);
	close(fd);
	return failed;
}

void oom_adjust(struct monitor *m)
{
	char text[24];
	ssize_t length = read_file("/proc/self/oom_score_adj", text, sizeof(text) - 1);
	if (length <= 0)
		return;
	text[length] = 0;
	m->oom_score = atoi(text);
	m->oom_score_changed = write_score(-1000) == 0;
}

void oom_restore(const struct monitor *m)
{
	if (m->oom_score_changed)
		write_score(m->oom_score);
}

static void mark(struct monitor *m)
{
	char path[PATH_ROOM];
	const char *places[] = {m->options.persist_dir, m->options.bundle};
	say(m, 2, "OOM event received");
	for (int i = 0; i < 2; i++) {
		if (!places[i] || join_path(path, sizeof(path), places[i], "oom") < 0)
			continue;
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			say(m, 1, "Failed to write oom file %s: %s", path, strerror(errno));
		else
			close(fd);
	}
}

static void compare(struct monitor *m, int first)
{
	char text[512];
	ssize_t length = read_file(m->oom_path, text, sizeof(text));
	if (length <= 0)
		return; /* the cgroup is gone */
	long long count = keyed_value(text, (size_t)length, "oom");
	long long kills = keyed_value(text, (size_t)length, "oom_kill");
	if (!first && (count > m->oom_count || kills > m->oom_kill_count))
		mark(m);
	m->oom_count = count;
	m->oom_kill_count = kills;
}

static void v2_ready(struct monitor *m, struct source *source, unsigned events)
{
	char buffer[1024];
	(void)events;
	if (read(source->fd, buffer, sizeof(buffer)) <= 0) {
		drop(m, source);
		return;
	}
	compare(m, 0);
	if (access(m->oom_path, F_OK) < 0)
		drop(m, source);
}

static void v1_ready(struct monitor *m, struct source *source, unsigned events)
{
	uint64_t count;
	(void)events;
	if (read(source->fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return;
	/* Removal of the cgroup makes an event as well. */
	if (access(m->oom_path, F_OK) == 0)
		mark(m);
	drop(m, source);
}

static void watch_v2(struct monitor *m, const char *text, size_t length)
{
	char path[384];
	if (!cgroup_path(text, length, "", path, sizeof(path)))
		return;
	snprintf(m->oom_path, sizeof(m->oom_path), "/sys/fs/cgroup%s/memory.events", path);
	m->oom_event.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (m->oom_event.fd < 0 || inotify_add_watch(m->oom_event.fd, m->oom_path, IN_MODIFY) < 0) {
		say(m, 2, "no OOM detection: cannot watch %s: %s", m->oom_path, strerror(errno));
		close_fd(&m->oom_event.fd);
		m->oom_path[0] = 0;
		return;
	}
	m->oom_event.ready = v2_ready;
	compare(m, 1);
	watch(m, &m->oom_event, EPOLLIN);
}

static void watch_v1(struct monitor *m, const char *text, size_t length)
{
	char path[384], control[512], line[64];
	if (!cgroup_path(text, length, "memory", path, sizeof(path)))
		return;
	snprintf(m->oom_path, sizeof(m->oom_path), "/sys/fs/cgroup/memory%s/memory.oom_control", path);
	snprintf(control, sizeof(control), "/sys/fs/cgroup/memory%s/cgroup.event_control", path);
	int control_fd = open(control, O_WRONLY | O_CLOEXEC);
	int oom_fd = open(m->oom_path, O_RDONLY | O_CLOEXEC);
	m->oom_event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int size = snprintf(line, sizeof(line), "%d %d", m->oom_event.fd, oom_fd);
	if (control_fd < 0 || oom_fd < 0 || m->oom_event.fd < 0 || write_all(control_fd, line, (size_t)size) < 0) {
		say(m, 2, "no OOM detection: cannot register with %s: %s", control, strerror(errno));
		close_fd(&m->oom_event.fd);
		m->oom_path[0] = 0;
	} else {
		m->oom_event.ready = v1_ready;
		watch(m, &m->oom_event, EPOLLIN);
	}
	close_fd(&control_fd);
	close_fd(&oom_fd);
}

void oom_watch(struct monitor *m)
{
	char path[64], text[4096];
	struct statfs info;
	if (m->container_done)
		return;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)m->container_pid);
	ssize_t length = read_file(path, text, sizeof(text));
	if (length <= 0 || statfs("/sys/fs/cgroup", &info) < 0)
		return;
	if ((unsigned long)info.f_type == CGROUP2_MAGIC)
		watch_v2(m, text, (size_t)length);
	else
		watch_v1(m, text, (size_t)length);
}

/* Once more at the end: the event may still be waiting, or on its way. v2 sends it by a work queue of the kernel's, after
   the end perhaps, so there the numbers are looked at without it. */
void oom_check(struct monitor *m)
{
	if (m->oom_event.fd >= 0 && m->oom_event.ready == v2_ready)
		compare(m, 0);
	else if (m->oom_event.fd >= 0)
		m->oom_event.ready(m, &m->oom_event, 0);
	drop(m, &m->oom_event);
}
