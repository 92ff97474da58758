/* The command line of conmon(8), 2.x, and the few options of our own. Pure: no system calls, no allocation. */
#ifndef PYPOD_OPTIONS_H
#define PYPOD_OPTIONS_H

#include <stddef.h>

/* Options that may be given many times; their values keep the order of the command line. */
enum option_list {
	LIST_LOG,
	LIST_LABEL,
	LIST_RUNTIME_ARG,
	LIST_RUNTIME_OPT,
	LIST_EXIT_ARG,
	LIST_HEALTH_ARG,
	LIST_IGNORED,
};

struct option_item {
	int list;
	const char *value;
};

struct options {
	const char *cid, *cuuid, *name, *runtime, *bundle, *container_pidfile, *conmon_pidfile;
	const char *log_tag, *log_level, *exit_dir, *persist_dir, *exit_command, *exec_process_spec;
	const char *restore, *socket_dir, *sdnotify_socket, *exit_command_lock, *health_command;
	long long log_size_max, log_global_size_max;
	int log_max_files, exit_delay, timeout, attach_grace;
	int api_version, version, help, terminal, stdin_open, leave_stdin_open, exec, exec_attach, sync;
	int systemd_cgroup, no_pivot, no_new_keyring, replace_listen_pid, full_attach, syslog, no_sync_log;
	int log_rotate, no_partial_message;
	struct option_item *items;
	int n_items;
};

/* Parse argv[1..argc). `items` has room for argc entries. Returns 0, or -1 with GOption's wording in `error`. */
int options_parse(struct options *o, int argc, char *const argv[], struct option_item *items, char *error,
		  size_t size);

/* What can be checked without looking at the system. Returns NULL or conmon's message; *raw is set if that is
 * printed without the level's prefix. */
const char *options_check(const struct options *o, int *raw);
/* What conmon looks at only when it has found the runtime. */
const char *options_check_rest(const struct options *o);

/* The next value of `list` at or after index *at, which moves on; NULL at the end. */
const char *options_next(const struct options *o, int list, int *at);

/* 0 error … 4 trace, -1 unknown. */
int options_level(const char *name);

#endif
