/* conmon(8), as podman and pypod call it: see options.c for the command line. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static void no_descriptors(struct monitor *m)
{
	struct source *sources[] = {&m->signals,    &m->pidfd,	&m->out.source, &m->err.source,
				    &m->input,	    &m->ctl,	&m->winsz,	&m->console_listener,
				    &m->console,    &m->listener, &m->oom_event,  &m->notify};
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		sources[i]->fd = -1;
	m->epoll = m->null_fd = m->bundle_fd = m->child_in = m->child_out = m->child_err = -1;
	m->aside_in = m->aside_out = -1;
	m->sync_fd = m->start_fd = m->attach_fd = m->notify_out = -1;
	m->log.journal_fd = -1;
	for (int i = 0; i < MAX_CLIENTS; i++)
		m->clients[i].source.fd = -1;
	m->stdio_open = 1;
}

static void say_version(void)
{
	static const char text[] = "conmon version 2.2.1\ncommit: pypod\n";
	leave(write_all(STDOUT_FILENO, text, sizeof(text) - 1) ? 1 : 0);
}

/* What is opened here must not get their numbers: they are replaced later. */
static void fill_stdio(struct monitor *m)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			fail(m, errno, "Failed to open /dev/null");
}

static void command_line(struct monitor *m, int argc, char **argv, struct option_item *items)
{
	char error[512];
	int raw;
	if (options_parse(&m->options, argc, argv, items, error, sizeof(error)) < 0) {
		m->options.log_level = "error";
		dprintf(STDERR_FILENO, "conmon: option parsing failed: %s\n", error);
		m->stdio_open = 0;
		read_environment(m);
		fail(m, 0, "option parsing failed: %s", error);
	}
	if (m->options.version)
		say_version();
	if (m->options.help) {
		dprintf(STDOUT_FILENO, "Usage:\n  conmon [OPTION…] - the monitor of one container; see conmon(8)\n");
		_exit(0);
	}
	const char *wrong = options_check(&m->options, &raw);
	read_environment(m);
	if (!wrong)
		return;
	if (options_level(m->options.log_level) < 0) {
		const char *level = m->options.log_level;
		m->options.log_level = "error";
		fail(m, 0, "%s %s", wrong, level);
	}
	if (raw) {
		dprintf(STDERR_FILENO, "%s\n", wrong);
		m->stdio_open = 0;
	}
	fail(m, 0, "%s", wrong);
}

/* Paths that have defaults. They stay where main has put them. */
static void default_paths(struct monitor *m, char *cwd, char *pidfile)
{
	int need_cwd = (!m->options.bundle && !m->options.exec) || !m->options.container_pidfile;
	if (need_cwd && !getcwd(cwd, PATH_ROOM))
		fail(m, errno, "Failed to get working directory");
	if (!m->options.bundle && !m->options.exec)
		m->options.bundle = cwd;
	if (!m->options.container_pidfile) {
		if (snprintf(pidfile, PATH_ROOM, "%s/pidfile-%s", cwd, m->options.cid) >= PATH_ROOM)
			fail(m, ENAMETOOLONG, "pidfile-%s", m->options.cid);
		m->options.container_pidfile = pidfile;
	}
}

static void prepare(struct monitor *m)
{
	if (access(m->options.runtime, X_OK) < 0)
		fail(m, errno, "Runtime path %s is not valid", m->options.runtime);
	const char *wrong = options_check_rest(&m->options);
	if (wrong)
		fail(m, 0, "%s", wrong);
	log_open(m);
	if (m->options.bundle) {
		m->bundle_fd = open(m->options.bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (m->bundle_fd < 0)
			fail(m, errno, "Failed to open bundle %s", m->options.bundle);
	}
	umask(0022);
	signal(SIGPIPE, SIG_IGN);
	oom_adjust(m);
}

static void set_up(struct monitor *m)
{
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0)
		fail(m, errno, "epoll_create1");
	signals_block(m);
	signals_open(m);
	notify_open(m);
	stdio_open(m);
	attach_open(m);
	ctl_open(m);
	attach_ready(m);
	runtime_start(m);
}

static int container_ended(const struct monitor *m)
{
	return m->container_done;
}

int main(int argc, char **argv)
{
	static struct monitor monitor;
	static char cwd[PATH_ROOM], pidfile[PATH_ROOM];
	struct option_item items[argc + 1];
	struct monitor *m = &monitor;
	m->argc = argc;
	m->argv = argv;
	no_descriptors(m);
	fill_stdio(m);
	record_inherited(m);
	command_line(m, argc, argv, items);
	default_paths(m, cwd, pidfile);
	prepare(m);
	wait_for_start(m);
	become_monitor(m);
	set_up(m);
	loop(m, container_ended);
	leave(finish(m));
}
