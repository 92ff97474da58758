/* The monitor's small parsers: the ctl fifo, sd_notify messages, files of /proc and of cgroups, its own messages. */
#define _GNU_SOURCE
#include "../../../conmon/csrc/text.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void check_ctl(const char *data, size_t size)
{
	struct ctl_reader *reader = calloc(1, sizeof(*reader));

	for (size_t i = 0; i < size; i++) {
		int length = ctl_feed(reader, data[i]), type, first, second;

		if (length > (int)sizeof(reader->line))
			fuzz_fail("ctl_feed");
		if (length >= 0 && ctl_parse(reader->line, (size_t)length, &type, &first, &second) == 0 &&
		    (type < 0 || first < 0 || second < 0 || type > 65535 || first > 65535 || second > 65535))
			fuzz_fail("ctl_parse");
	}
	free(reader);
}

static void check_notify(const char *data, size_t size)
{
	char *out = malloc(size + 1);
	size_t length = notify_filter(data, size, out);

	if (length > size)
		fuzz_fail("notify_filter: longer than the message");
	/* What went through goes through again, and has no line that was not in the message. */
	for (size_t from = 0; from < length;) {
		const char *end = memchr(out + from, '\n', length - from);
		size_t line = end ? (size_t)(end - out) - from : length - from;

		if (!memmem(data, size, out + from, line) || !memcmp(out + from, "MAINPID", line < 7 ? line : 7) ||
		    !memcmp(out + from, "FDSTORE", line < 7 ? line : 7))
			fuzz_fail("notify_filter: what may not pass");
		from += line + 1;
	}
	char *again = malloc(length + 1);

	if (notify_filter(out, length, again) != length || memcmp(again, out, length) != 0)
		fuzz_fail("notify_filter: twice is not once");
	free(again);
	free(out);
}

static void check_files(const char *data, size_t size)
{
	static const char *const controllers[] = {"", "memory", "name=systemd"};
	size_t room = 1 + size / 2;

	for (size_t i = 0; i < 3; i++) {
		char *out = malloc(room);
		size_t length = cgroup_path(data, size, controllers[i], out, room);

		if (length && (length >= room || out[length] != 0 || !memmem(data, size, out, length)))
			fuzz_fail("cgroup_path");
		free(out);
	}
	if (keyed_value(data, size, "oom_kill") < -1)
		fuzz_fail("keyed_value");
}

static void check_messages(const char *data, size_t size)
{
	size_t room = 64 + size * 2;
	char *out = malloc(room), *text = strndup(data, size);
	size_t length = json_message(out, room, "data", -1, data, size);

	if (length > room || length < 2 || memcmp(out + length - 3, "\"}\n", 3) != 0)
		fuzz_fail("json_message");
	for (size_t i = 0; i + 1 < length; i++)
		if ((uint8_t)out[i] < 0x20)
			fuzz_fail("json_message: a control character");
	struct tm when = {.tm_mon = 11, .tm_mday = 31};

	length = syslog_line(out, room, 11, &when, text, "error", text);
	if (length >= room || out[length] != 0)
		fuzz_fail("syslog_line");
	free(text);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* Exactly as large as it is, so that a step beyond it is seen. */
	char *data = malloc(size ? size : 1);

	memcpy(data, bytes, size);
	check_ctl(data, size);
	check_notify(data, size);
	check_files(data, size);
	check_messages(data, size);
	free(data);
	return 0;
}
