/* The OCI runtime's create, restore or exec. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct words {
	char **list;
	int count;
};

static void add(struct words *words, const char *word)
{
	union {
		const char *in;
		char *out;
	} cast = {.in = word}; /* execv(2) does not change them */
	words->list[words->count++] = cast.out;
}

static void add_list(struct words *words, const struct options *o, int list)
{
	int at = 0;
	for (const char *value; (value = options_next(o, list, &at));)
		add(words, value);
}

static void add_pair(struct words *words, const char *flag, const char *value)
{
	add(words, flag);
	add(words, value);
}

static void build(const struct monitor *m, struct words *words)
{
	const struct options *o = &m->options;
	add(words, o->runtime);
	if (o->systemd_cgroup && !o->exec)
		add(words, "--systemd-cgroup");
	add_list(words, o, LIST_RUNTIME_ARG);
	if (o->exec) {
		add(words, "exec");
		add_pair(words, "--pid-file", o->container_pidfile);
		add_pair(words, "--process", o->exec_process_spec);
		add(words, "--detach");
	} else {
		add(words, o->restore ? "restore" : "create");
		if (o->restore) {
			add(words, "--detach");
			add_pair(words, "--image-path", o->restore);
			add_pair(words, "--work-path", o->bundle);
		}
		add_pair(words, "--bundle", o->bundle);
		add_pair(words, "--pid-file", o->container_pidfile);
		if (o->no_pivot)
			add(words, "--no-pivot");
		if (o->no_new_keyring)
			add(words, "--no-new-keyring");
	}
	add_list(words, o, LIST_RUNTIME_OPT);
	if (m->console_path[0])
		add_pair(words, "--console-socket", m->console_path);
	add(words, o->cid);
	words->list[words->count] = NULL;
}

static void listen_pid(const struct monitor *m)
{
	const char *text = getenv("LISTEN_PID");
	if (!text)
		return;
	char mine[24];
	decimal(mine, m->pid);
	if (m->options.replace_listen_pid || !strcmp(text, mine)) {
		decimal(mine, getpid());
		setenv("LISTEN_PID", mine, 1);
	}
}

static void attach_stdio(int fd, int null_fd, int target)
{
	/* A container's user that is not root can open /dev/stdout again. */
	if (fd >= 0)
		fchmod(fd, 0777);
	if (dup2(fd >= 0 ? fd : null_fd, target) < 0)
		_exit(127);
}

static void runtime_child(struct monitor *m) __attribute__((noreturn));
static void runtime_child(struct monitor *m)
{
	prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L);
	if (getppid() != m->pid)
		_exit(127);
	default_signals();
	if (!m->passthrough) {
		attach_stdio(m->child_in, m->null_fd, STDIN_FILENO);
		attach_stdio(m->child_out, m->null_fd, STDOUT_FILENO);
		attach_stdio(m->child_err, m->null_fd, STDERR_FILENO);
	}
	listen_pid(m);
	if (m->options.exec_attach && m->start_fd >= 0) {
		/* The caller is connecting to the attach socket. */
		char buffer[8192];
		while (read(m->start_fd, buffer, sizeof(buffer)) < 0 && errno == EINTR)
			;
	}
	oom_restore(m);
	char *list[m->options.n_items + 24];
	struct words words = {.list = list};
	build(m, &words);
	execv(words.list[0], words.list);
	dprintf(STDERR_FILENO, "Failed to execute the runtime %s: %s\n", m->options.runtime, strerror(errno));
	_exit(127);
}

/* One of an earlier start would be believed. A device that somebody names for it stays. */
static void remove_pidfile(const struct monitor *m)
{
	struct stat info;
	if (lstat(m->options.container_pidfile, &info) == 0 && (S_ISREG(info.st_mode) || S_ISLNK(info.st_mode)))
		unlink(m->options.container_pidfile);
}

void runtime_start(struct monitor *m)
{
	remove_pidfile(m);
	pid_t pid = fork();
	if (pid < 0)
		fail(m, errno, "Failed to fork the create command");
	if (pid == 0)
		runtime_child(m);
	m->runtime_pid = pid;
	m->registered = 1;
	if (m->passthrough) /* now the container's alone: the exit command must not write there */
		leave_stdio(m);
	close_fd(&m->start_fd);
	stdio_close_child_ends(m);
	stdio_hear(m);
	if (m->options.timeout > 0)
		m->timeout_at = now_ms() + m->options.timeout * 1000LL;
}

/* What the runtime said on stderr, at most 8191 bytes. */
static size_t complaint(struct monitor *m, char *out, size_t room)
{
	while (!m->complaint_length && m->err.heard < room && stream_hear(m, &m->err))
		;
	const char *text = m->complaint_length ? m->complaint : m->err_buffer;
	size_t at = m->complaint_length ? m->complaint_length : m->err.heard;
	at = at < room ? at : room;
	memcpy(out, text, at);
	while (at && (out[at - 1] == '\n' || out[at - 1] == ' '))
		at--;
	return at;
}

static void runtime_failed(struct monitor *m, const char *what) __attribute__((noreturn));
static void runtime_failed(struct monitor *m, const char *what)
{
	char text[8192];
	size_t length = complaint(m, text, sizeof(text) - 1);
	text[length] = 0;
	if (!length) {
		int status = m->runtime_status;
		if (what)
			length = (size_t)snprintf(text, sizeof(text), "%s", what);
		else if (WIFSIGNALED(status))
			length = (size_t)snprintf(text, sizeof(text), "the runtime was killed by signal %d",
						  WTERMSIG(status));
		else
			length = (size_t)snprintf(text, sizeof(text), "the runtime ended with status %d and said nothing",
						  WEXITSTATUS(status));
	}
	say(m, 0, "Failed to create container: exit status %d: %s",
	    WIFEXITED(m->runtime_status) ? WEXITSTATUS(m->runtime_status) : 128 + WTERMSIG(m->runtime_status), text);
	console_close(m);
	attach_close(m);
	close_inherited(m);
	int told = sync_send(m, sync_key(m), -1, text, length) == 0;
	attach_finish(m, 0);
	if (!(told && m->options.exit_command_lock))
		run_exit_command(m);
	leave(1);
}

void runtime_finished(struct monitor *m)
{
	m->runtime_done = 2;
	if (!WIFEXITED(m->runtime_status) || WEXITSTATUS(m->runtime_status))
		runtime_failed(m, m->timed_out ? "command timed out" : NULL);
	if (m->options.terminal && m->out.source.fd < 0 && m->console_listener.fd >= 0) {
		/* The connection may be waiting behind the SIGCHLD. */
		m->console_listener.ready(m, &m->console_listener, 0);
		if (m->console.fd >= 0)
			m->console.ready(m, &m->console, 0);
	}
	if (m->options.terminal && m->out.source.fd < 0)
		runtime_failed(m, "Runtime did not set up terminal");
	console_close(m);
	char text[32];
	ssize_t length = read_file(m->options.container_pidfile, text, sizeof(text) - 1);
	if (length <= 0)
		runtime_failed(m, "the runtime wrote no pid file");
	text[length] = 0;
	long pid = strtol(text, NULL, 10);
	if (pid <= 0)
		runtime_failed(m, "the runtime wrote a pid file without a pid");
	m->container_pid = (pid_t)pid;
	if (!m->options.exec || m->options.api_version)
		sync_send(m, sync_key(m), pid, NULL, 0);
	if (!m->options.exec)
		close_fd(&m->sync_fd);
	watch_container(m);
	oom_watch(m);
	stdio_heard(m);
	stdio_listen(m);
}
