/* The container has ended: its last output, the exit files, the clients' rest, the exit command, in this order. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOW_CLIENTS 500 /* ms: so long the exit command waits for them */
#define LINGER 1000	 /* ms: how long streams that are still open when all is done are read for the log */

static int write_exit_file(struct monitor *m, const char *directory, const char *name, int status)
{
	char path[PATH_ROOM], text[24];
	size_t length = decimal(text, status);
	if (join_path(path, sizeof(path), directory, name) < 0 || replace_file(path, text, length) < 0) {
		say(m, 0, "Failed to write %s to exit file %s/%s: %s", text, directory, name, strerror(errno));
		return -1;
	}
	return 0;
}

/* Whether the one who is attached has cleaned up already: it holds the lock while it is alive. */
static int cleaned_up(struct monitor *m)
{
	const char *path = m->options.exit_command_lock;
	struct stat info;
	char text[4] = "";
	if (!path)
		return 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT; /* the container is gone altogether */
	while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
		;
	int done = fstat(fd, &info) == 0 && info.st_nlink == 0;
	if (!done)
		done = read(fd, text, 4) == 4 && !memcmp(text, "done", 4);
	close(fd);
	return done;
}

void call_back(struct monitor *m, const char *program, int list, int delay)
{
	char *words[m->options.n_items + 2];
	int count = 0, at = 0;
	close_from(STDERR_FILENO + 1);
	default_signals();
	if (delay > 0)
		sleep((unsigned)delay);
	oom_restore(m);
	union {
		const char *in;
		char *out;
	} cast = {.in = program}; /* execv(2) does not change them */
	words[count++] = cast.out;
	while ((cast.in = options_next(&m->options, list, &at)))
		words[count++] = cast.out;
	words[count] = NULL;
	execv(words[0], words);
	_exit(127);
}

static void start_exit_command(struct monitor *m)
{
	if (!m->options.exit_command)
		return;
	/* A container that it starts again has a monitor of its own, which is not to be ours. */
	prctl(PR_SET_CHILD_SUBREAPER, 0L, 0L, 0L, 0L);
	pid_t pid = fork();
	if (pid < 0) {
		say(m, 0, "Failed to fork the exit command: %s", strerror(errno));
		return;
	}
	if (pid == 0) {
		/* Here, as the lock may be held for long, and the streams are read meanwhile. */
		close_from(STDERR_FILENO + 1);
		if (cleaned_up(m))
			_exit(0);
		call_back(m, m->options.exit_command, LIST_EXIT_ARG, m->options.exit_delay);
	}
	m->exit_command_pid = pid;
}

void exit_command_ended(struct monitor *m, int status)
{
	m->exit_command_pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status))
		say(m, 1, "the exit command ended with status %d", WEXITSTATUS(status));
}

void run_exit_command(struct monitor *m)
{
	int status;
	start_exit_command(m);
	while (m->exit_command_pid)
		if (waitpid(m->exit_command_pid, &status, 0) > 0)
			exit_command_ended(m, status);
		else if (errno != EINTR)
			return;
}

static int exit_command_over(const struct monitor *m)
{
	return !m->exit_command_pid;
}

/* Whoever kept the streams longer than the container lived, with the host's pids for example, is heard for a while. */
static int stragglers_over(const struct monitor *m)
{
	return !m->log.used || stdio_ended(m) || m->now >= m->linger_until;
}

int finish(struct monitor *m)
{
	static const char timed_out[] = "command timed out";
	int status = m->timed_out ? -1 : m->container_status, failed = 0;
	m->timeout_at = 0;
	health_end(m);
	attach_close(m);
	stdio_drain(m);
	drop(m, &m->input);
	oom_check(m);
	drop(m, &m->notify);
	close_inherited(m);
	if (m->options.persist_dir)
		failed |= write_exit_file(m, m->options.persist_dir, "exit", status);
	if (m->options.exit_dir)
		failed |= write_exit_file(m, m->options.exit_dir, m->options.cid, status);
	if (m->options.exec) {
		const char *text = m->timed_out ? timed_out : NULL;
		sync_send(m, sync_key(m), status, text, text ? strlen(text) : 0);
		close_fd(&m->sync_fd);
	}
	attach_finish(m, now_ms() + SLOW_CLIENTS);
	start_exit_command(m);
	attach_finish(m, 0);
	stdio_listen(m);
	loop(m, exit_command_over);
	m->linger_until = now_ms() + LINGER;
	loop(m, stragglers_over);
	stdio_close(m);
	reap(m); /* the health check; not waited for: what was killed may hang in the kernel */
	log_close_and_sync(m);
	return failed ? 1 : status & 255;
}
