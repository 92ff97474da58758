/* Signals arrive by a descriptor; whose end a SIGCHLD was is found out by waiting. */
#include "monitor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void the_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGIO);
	sigaddset(set, SIGURG);
}

void signals_block(struct monitor *m)
{
	sigset_t set;
	the_signals(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		fail(m, errno, "Failed to block signals");
}

static void forward(struct monitor *m, int number)
{
	if (m->container_pid > 0) {
		if (!m->container_done)
			kill(m->container_pid, number);
		return;
	}
	/* The runtime may have ended already, or not mind: then it is the container's. */
	m->early_signal = number;
	if (m->runtime_pid > 0 && !m->runtime_done)
		kill(m->runtime_pid, number);
}

static void signal_ready(struct monitor *m, struct source *source, unsigned events)
{
	struct signalfd_siginfo infos[4];
	(void)events;
	ssize_t got = read(source->fd, infos, sizeof(infos));
	for (ssize_t i = 0; i < got / (ssize_t)sizeof(infos[0]); i++) {
		int number = (int)infos[i].ssi_signo;
		if (number == SIGCHLD)
			reap(m);
		else if (number == SIGIO)
			stream_signalled(&m->out);
		else if (number == SIGURG)
			stream_signalled(&m->err);
		else
			forward(m, number);
	}
}

void signals_open(struct monitor *m)
{
	sigset_t set;
	the_signals(&set);
	m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals.fd < 0)
		fail(m, errno, "Failed to create signalfd");
	m->signals.ready = signal_ready;
	watch(m, &m->signals, EPOLLIN);
}

static void container_ended(struct monitor *m, int status)
{
	if (m->container_done)
		return;
	m->container_done = 1;
	m->container_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void child_ended(struct monitor *m, pid_t pid, int status)
{
	if (pid == m->runtime_pid && !m->runtime_done) {
		m->runtime_done = 1;
		m->runtime_status = status;
	} else if (pid == m->container_pid) {
		container_ended(m, status);
	} else if (pid == m->exit_command_pid) {
		exit_command_ended(m, status);
	} else if (pid == m->health_pid) {
		health_ended(m);
	}
}

/* Until the container's pid is known only the runtime is waited for: a container that is faster than its pid file
 * stays a zombie, and its status is there when it is asked for. */
void reap(struct monitor *m)
{
	int status;
	pid_t whose = m->container_pid > 0 ? -1 : m->runtime_pid;
	for (pid_t pid; (pid = waitpid(whose, &status, WNOHANG)) > 0;)
		child_ended(m, pid, status);
}

static void pidfd_ready(struct monitor *m, struct source *source, unsigned events)
{
	int status;
	(void)events;
	reap(m);
	/* 0: a tracer has it; we get SIGCHLD when that one lets go. */
	pid_t got = m->container_done ? 0 : waitpid(m->container_pid, &status, WNOHANG);
	if (got > 0) {
		container_ended(m, status);
	} else if (got < 0) {
		/* It was never our child (a runtime that double-forks past us): nobody can know its status. */
		say(m, 0, "container process %d ended, but its exit status is lost", (int)m->container_pid);
		m->container_done = 1;
		m->container_status = -1;
	}
	drop(m, source);
}

void watch_container(struct monitor *m)
{
	reap(m);
	if (m->container_done)
		return;
	if (m->early_signal)
		forward(m, m->early_signal);
#ifdef SYS_pidfd_open
	m->pidfd.fd = (int)syscall(SYS_pidfd_open, m->container_pid, 0);
#endif
	if (m->pidfd.fd >= 0) {
		m->pidfd.ready = pidfd_ready;
		watch(m, &m->pidfd, EPOLLIN);
	} else if (kill(m->container_pid, 0) < 0 && errno == ESRCH) {
		reap(m);
		if (!m->container_done) {
			m->container_done = 1;
			m->container_status = -1;
		}
	}
}

void timeout_fire(struct monitor *m)
{
	/* Who has just ended has kept to the time, and its number may be another's. */
	reap(m);
	if (m->runtime_done == 1)
		return; /* its pid file is read first */
	m->timeout_at = 0;
	if (m->container_done)
		return;
	m->timed_out = 1;
	if (m->container_pid > 0) {
		pid_t group = getpgid(m->container_pid);
		if (group > 1 && group != getpgrp())
			kill(-group, SIGKILL);
		kill(m->container_pid, SIGKILL);
	} else if (m->runtime_pid > 0) {
		kill(m->runtime_pid, SIGKILL);
	}
}
