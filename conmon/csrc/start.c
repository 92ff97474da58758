/* From the caller's child to a process of its own. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static int pipe_from(struct monitor *m, const char *name)
{
	const char *text = getenv(name);
	if (!text)
		return -1;
	char *end;
	errno = 0;
	long fd = strtol(text, &end, 10);
	if (errno || end == text || *end || fd < 0 || fd > 1000000)
		fail(m, EINVAL, "unable to parse %s %s", name, text);
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		fail(m, errno, "unable to make %s %s CLOEXEC", name, text);
	/* Closed in its own time; by the end the number may be something else's. */
	forget_inherited(m, (int)fd);
	return (int)fd;
}

void read_environment(struct monitor *m)
{
	m->sync_fd = m->start_fd = m->attach_fd = -1;
	m->sync_fd = pipe_from(m, "_OCI_SYNCPIPE");
	m->start_fd = pipe_from(m, "_OCI_STARTPIPE");
	if (m->options.exec_attach) {
		m->attach_fd = pipe_from(m, "_OCI_ATTACHPIPE");
		if (m->attach_fd < 0)
			fail(m, 0, "--attach specified but _OCI_ATTACHPIPE was not");
	}
}

/* The caller moves us to a cgroup meanwhile. Its end counts as "go" too. */
void wait_for_start(struct monitor *m)
{
	char buffer[8192];
	if (m->start_fd < 0)
		return;
	ssize_t got;
	do
		got = read(m->start_fd, buffer, sizeof(buffer));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		fail(m, errno, "start-pipe read failed");
	if (!m->options.exec_attach)
		close_fd(&m->start_fd);
}

static void write_pidfile(struct monitor *m, pid_t pid)
{
	char text[24];
	if (!m->options.conmon_pidfile)
		return;
	size_t length = decimal(text, pid);
	if (replace_file(m->options.conmon_pidfile, text, length) < 0)
		say(m, 0, "Failed to write conmon pidfile: %s", m->options.conmon_pidfile);
}

void leave_stdio(struct monitor *m)
{
	m->stdio_open = 0;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(m->null_fd, fd) < 0)
			fail(m, errno, "Failed to dup over descriptor %d", fd);
}

void become_monitor(struct monitor *m)
{
	m->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (m->null_fd < 0)
		fail(m, errno, "Failed to open /dev/null");
	if (!m->options.sync) {
		pid_t pid = fork();
		if (pid < 0)
			fail(m, errno, "Failed to fork conmon");
		if (pid) {
			write_pidfile(m, pid);
			leave(0);
		}
	}
	m->pid = getpid();
	if (!m->passthrough)
		leave_stdio(m);
	setsid();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) < 0)
		fail(m, errno, "Failed to set as subreaper");
}
