/* GOption's grammar: `--name value`, `--name=value`, grouped short flags whose value is always the next word, `--`
 * ends the options, positional words are ignored, the last of a repeated scalar wins. argv is bytes: no locale. */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, STRING, INT, LONG, LIST, IGNORED };

struct option_def {
	const char *name;
	char letter;
	unsigned char kind;
	unsigned short place; /* offset in struct options, or the list */
};

#define AT(field) offsetof(struct options, field)

static const struct option_def defs[] = {
	{"api-version", 0, FLAG, AT(api_version)},
	{"attach-grace", 0, INT, AT(attach_grace)},
	{"bundle", 'b', STRING, AT(bundle)},
	{"cid", 'c', STRING, AT(cid)},
	{"conmon-pidfile", 'P', STRING, AT(conmon_pidfile)},
	{"container-pidfile", 'p', STRING, AT(container_pidfile)},
	{"cuuid", 'u', STRING, AT(cuuid)},
	{"exec", 'e', FLAG, AT(exec)},
	{"exec-attach", 0, FLAG, AT(exec_attach)},
	{"exec-process-spec", 0, STRING, AT(exec_process_spec)},
	{"exit-command", 0, STRING, AT(exit_command)},
	{"exit-command-arg", 0, LIST, LIST_EXIT_ARG},
	{"exit-command-lock", 0, STRING, AT(exit_command_lock)},
	{"exit-delay", 0, INT, AT(exit_delay)},
	{"exit-dir", 0, STRING, AT(exit_dir)},
	{"full-attach", 0, FLAG, AT(full_attach)},
	{"health-command", 0, STRING, AT(health_command)},
	{"health-command-arg", 0, LIST, LIST_HEALTH_ARG},
	{"help", 'h', FLAG, AT(help)},
	{"leave-stdin-open", 0, FLAG, AT(leave_stdin_open)},
	{"log-allowlist-dir", 0, LIST, LIST_IGNORED},
	{"log-global-size-max", 0, LONG, AT(log_global_size_max)},
	{"log-label", 0, LIST, LIST_LABEL},
	{"log-level", 0, STRING, AT(log_level)},
	{"log-max-files", 0, INT, AT(log_max_files)},
	{"log-path", 'l', LIST, LIST_LOG},
	{"log-rotate", 0, FLAG, AT(log_rotate)},
	{"log-size-max", 0, LONG, AT(log_size_max)},
	{"log-tag", 0, STRING, AT(log_tag)},
	{"name", 'n', STRING, AT(name)},
	{"no-container-partial-message", 0, FLAG, AT(no_partial_message)},
	{"no-new-keyring", 0, FLAG, AT(no_new_keyring)},
	{"no-pivot", 0, FLAG, AT(no_pivot)},
	{"no-sync-log", 0, FLAG, AT(no_sync_log)},
	{"persist-dir", '0', STRING, AT(persist_dir)},
	{"pidfile", 0, STRING, AT(container_pidfile)},
	{"replace-listen-pid", 0, FLAG, AT(replace_listen_pid)},
	{"restore", 0, STRING, AT(restore)},
	{"restore-arg", 0, LIST, LIST_RUNTIME_OPT},
	{"runtime", 'r', STRING, AT(runtime)},
	{"runtime-arg", 0, LIST, LIST_RUNTIME_ARG},
	{"runtime-opt", 0, LIST, LIST_RUNTIME_OPT},
	{"sdnotify-socket", 0, STRING, AT(sdnotify_socket)},
	{"seccomp-notify-plugins", 0, IGNORED, 0},
	{"seccomp-notify-socket", 0, IGNORED, 0},
	{"socket-dir-path", 0, STRING, AT(socket_dir)},
	{"stdin", 'i', FLAG, AT(stdin_open)},
	{"sync", 0, FLAG, AT(sync)},
	{"syslog", 0, FLAG, AT(syslog)},
	{"systemd-cgroup", 's', FLAG, AT(systemd_cgroup)},
	{"terminal", 't', FLAG, AT(terminal)},
	{"timeout", 'T', INT, AT(timeout)},
	{"version", 0, FLAG, AT(version)},
};
#define DEFS ((int)(sizeof(defs) / sizeof(defs[0])))

static const struct option_def *by_name(const char *name, size_t length)
{
	for (int i = 0; i < DEFS; i++)
		if (!strncmp(defs[i].name, name, length) && !defs[i].name[length])
			return &defs[i];
	return NULL;
}

static const struct option_def *by_letter(char letter)
{
	for (int i = 0; i < DEFS; i++)
		if (defs[i].letter == letter)
			return &defs[i];
	return NULL;
}

static int store(struct options *o, const struct option_def *def, const char *value, const char *shown,
		 int shown_length, char *error, size_t size)
{
	void *field = (char *)o + def->place;
	switch (def->kind) {
	case FLAG:
		*(int *)field = 1;
		break;
	case STRING:
		*(const char **)field = value;
		break;
	case LIST:
		o->items[o->n_items].list = def->place;
		o->items[o->n_items++].value = value;
		break;
	case INT:
	case LONG: {
		char *end;
		errno = 0;
		long long number = strtoll(value, &end, 0);
		if (end == value || *end) {
			snprintf(error, size, "Cannot parse integer value “%s” for %.*s", value, shown_length, shown);
			return -1;
		}
		if (errno == ERANGE || (def->kind == INT && (number < INT_MIN || number > INT_MAX))) {
			snprintf(error, size, "Integer value “%s” for %.*s out of range", value, shown_length, shown);
			return -1;
		}
		if (def->kind == INT)
			*(int *)field = (int)number;
		else
			*(long long *)field = number;
		break;
	}
	default:
		break;
	}
	return 0;
}

static int parse_long(struct options *o, int argc, char *const argv[], int *at, char *error, size_t size)
{
	const char *word = argv[*at];
	size_t length = strcspn(word + 2, "=");
	const char *value = word[2 + length] ? word + 3 + length : NULL;
	const struct option_def *def = by_name(word + 2, length);
	if (!def) {
		snprintf(error, size, "Unknown option %s", word);
		return -1;
	}
	if (def->kind != FLAG && !value) {
		if (*at + 1 >= argc) {
			snprintf(error, size, "Missing argument for %s", word);
			return -1;
		}
		value = argv[++*at];
	}
	return store(o, def, value, word, (int)length + 2, error, size);
}

static int parse_short(struct options *o, int argc, char *const argv[], int *at, char *error, size_t size)
{
	int word_at = *at, taken = 0;
	const char *word = argv[word_at];
	for (const char *letter = word + 1; *letter; letter++) {
		const struct option_def *def = by_letter(*letter);
		const char shown[3] = {'-', *letter, 0};
		const char *value = NULL;
		if (!def) {
			snprintf(error, size, "Unknown option %s", word);
			return -1;
		}
		if (def->kind != FLAG) {
			if (taken || word_at + 1 >= argc) {
				snprintf(error, size, "%s %s", taken ? "Error parsing option" : "Missing argument for",
					 shown);
				return -1;
			}
			value = argv[word_at + 1];
			taken = 1;
		}
		if (store(o, def, value, shown, 2, error, size))
			return -1;
	}
	*at += taken;
	return 0;
}

int options_parse(struct options *o, int argc, char *const argv[], struct option_item *items, char *error,
		  size_t size)
{
	memset(o, 0, sizeof(*o));
	o->items = items;
	o->log_max_files = -1;
	o->attach_grace = 2000;
	for (int at = 1; at < argc; at++) {
		const char *word = argv[at];
		if (word[0] != '-' || !word[1])
			continue;
		if (!strcmp(word, "--"))
			break;
		int failed = word[1] == '-' ? parse_long(o, argc, argv, &at, error, size)
					    : parse_short(o, argc, argv, &at, error, size);
		if (failed)
			return -1;
	}
	return 0;
}

const char *options_next(const struct options *o, int list, int *at)
{
	while (*at < o->n_items) {
		const struct option_item *item = &o->items[(*at)++];
		if (item->list == list)
			return item->value;
	}
	return NULL;
}

int options_level(const char *name)
{
	static const char names[][8] = {"error", "fatal", "panic", "warn", "warning", "info", "debug", "trace"};
	static const signed char levels[] = {0, 0, 0, 1, 1, 2, 3, 4};
	if (!name)
		return 1;
	for (int i = 0; i < 8; i++)
		if (!strcmp(name, names[i]))
			return levels[i];
	return -1;
}

/* Journal field names of --log-label: [A-Z0-9_]+, and exactly one '='. */
static int label_ok(const char *label)
{
	size_t key = strspn(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	return key && label[key] == '=' && !strchr(label + key + 1, '=');
}

const char *options_check(const struct options *o, int *raw)
{
	*raw = 0;
	if (o->log_rotate && o->log_max_files == 0)
		return "log-max-files must be greater than 0 when log rotation is enabled";
	if (!o->cid) {
		*raw = 1;
		return "conmon: Container ID not provided. Use --cid";
	}
	if (options_level(o->log_level) < 0)
		return "No such log level";
	if (o->restore && o->exec)
		return "Cannot use 'exec' and 'restore' at the same time";
	if (o->exec_attach && !o->exec)
		return "Attach can only be specified with exec";
	if (o->exec_attach && !o->api_version)
		return "Attach can only be specified for a non-legacy exec session";
	if (!o->cuuid && (!o->exec || o->api_version))
		return "Container UUID not provided. Use --cuuid";
	if (!o->runtime)
		return "Runtime path not provided. Use --runtime";
	return NULL;
}

const char *options_check_rest(const struct options *o)
{
	if (o->exec && !o->exec_process_spec)
		return "Exec process spec path not provided. Use --exec-process-spec";
	if (o->exit_delay < 0)
		return "Delay before invoking exit command must be greater than or equal to 0";
	int at = 0;
	for (const char *label; (label = options_next(o, LIST_LABEL, &at));)
		if (!label_ok(label))
			return "Container labels must be in format LABEL=VALUE, LABEL of A-Z, 0-9 and _";
	return NULL;
}
