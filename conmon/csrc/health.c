/* The health check's timer, for hosts without systemd's. The command line says what to run, ctl lines say how often;
 * the first run comes at once, the others so long after the end of the one before: never two at a time. */
#include "monitor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

void health_set(struct monitor *m, int seconds, int milliseconds)
{
	if (!m->options.health_command || m->container_done)
		return;
	m->health_interval = seconds * 1000LL + milliseconds;
	m->health_at = m->health_interval ? m->now : 0;
}

void health_deadline(struct monitor *m, int64_t *deadline)
{
	if (!m->health_pid)
		sooner(deadline, m->health_at);
}

static void health_child(struct monitor *m) __attribute__((noreturn));
static void health_child(struct monitor *m)
{
	setpgid(0, 0);
	for (int fd = 0; fd < 3; fd++)
		if (dup2(m->null_fd, fd) < 0)
			_exit(127);
	call_back(m, m->options.health_command, LIST_HEALTH_ARG, 0);
}

void health_timer(struct monitor *m)
{
	if (!m->health_at || m->now < m->health_at || m->health_pid || m->container_done)
		return;
	pid_t pid = fork();
	if (pid == 0)
		health_child(m);
	if (pid < 0) {
		say(m, 1, "Failed to fork the health check: %s", strerror(errno));
		m->health_at = m->now + m->health_interval;
		return;
	}
	setpgid(pid, pid); /* whichever of the two is first: it is killed as a group */
	m->health_pid = pid;
	m->health_at = 0;
}

void health_ended(struct monitor *m)
{
	m->health_pid = 0;
	if (!m->health_at && m->health_interval)
		m->health_at = now_ms() + m->health_interval;
}

/* The container has ended, perhaps by the check's own doing: what is left of that is the exit command's to do. */
void health_end(struct monitor *m)
{
	m->health_interval = m->health_at = 0;
	if (m->health_pid > 0)
		kill(-m->health_pid, SIGKILL);
}
