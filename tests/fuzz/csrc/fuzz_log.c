/* What the monitor makes of a container's output: both log formats give the text back and stay within their room. */
#define _GNU_SOURCE
#include "../../../conmon/csrc/text.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static struct stamp stamp;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct tm when = {.tm_year = 126, .tm_mon = 10, .tm_mday = 29};

	(void)argc;
	(void)argv;
	stamp_set(&stamp, &when, 0, 123456789);
	return 0;
}

/* A second opinion on UTF-8: by the number of the character. The length, or 0. */
static size_t character(const char *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *byte = (const uint8_t *)text;
	size_t length = byte[0] < 0x80 ? 1 : byte[0] >> 5 == 6 ? 2 : byte[0] >> 4 == 14 ? 3 : byte[0] >> 3 == 30 ? 4 : 0;
	uint32_t number = length < 2 ? byte[0] : byte[0] & (0x7fu >> length);

	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if (byte[i] >> 6 != 2)
			return 0;
		number = number << 6 | (byte[i] & 0x3f);
	}
	return number < least[length] || number > 0x10ffff || (number >= 0xd800 && number < 0xe000) ? 0 : length;
}

/* What JSON can carry of a text. The length of `out`, which has three times the room. */
static size_t carried(const char *text, size_t length, char *out)
{
	size_t at = 0;

	for (size_t from = 0; from < length;) {
		size_t taken = character(text + from, length - from);

		memcpy(out + at, taken ? text + from : "\xef\xbf\xbd", taken ? taken : 3);
		at += taken ? taken : 3;
		from += taken ? taken : 1;
	}
	return at;
}

static int hex(char digit)
{
	const char *found = memchr("0123456789abcdef", digit, 16);

	if (found == NULL)
		fuzz_fail("an escape that is none");
	return (int)(found - "0123456789abcdef");
}

/* The text of all entries, put together. */
static size_t decode_json(const char *data, size_t length, int stream, char *out)
{
	static const char head[] = "{\"log\":\"";
	char tail[] = "\",\"stream\":\"stdout\",\"time\":\"2026-11-29T00:00:00.123456789Z\"}\n";
	const char *end = data + length;
	size_t at = 0;

	if (stream == STREAM_ERR)
		memcpy(strstr(tail, "out"), "err", 3);
	while (data < end) {
		size_t begin = at;

		if ((size_t)(end - data) < strlen(head) || memcmp(data, head, strlen(head)) != 0)
			fuzz_fail("an entry's head");
		for (data += strlen(head); data < end && *data != '"'; data++) {
			if ((uint8_t)*data < 0x20)
				fuzz_fail("a control character in JSON");
			if (*data != '\\') {
				out[at++] = *data;
				continue;
			}
			switch (*++data) {
			case 'n': out[at++] = '\n'; break;
			case 'r': out[at++] = '\r'; break;
			case 't': out[at++] = '\t'; break;
			case 'u':
				out[at++] = (char)(hex(data[3]) << 4 | hex(data[4]));
				data += 4;
				break;
			default: out[at++] = *data;
			}
		}
		if ((size_t)(end - data) < strlen(tail) || memcmp(data, tail, strlen(tail)) != 0)
			fuzz_fail("an entry's tail");
		if (at == begin || at - begin > 3 * JSON_PIECE)
			fuzz_fail("an entry's size");
		data += strlen(tail);
	}
	return at;
}

static void check_json(int stream, int partial, const char *data, size_t length, size_t room, long long budget)
{
	char *out = malloc(room + 1), *got, *want = malloc(3 * length + 1);
	size_t used = SIZE_MAX, size = json_lines(&stamp, stream, partial, data, length, &used, out, room, budget);

	if (size > room || (budget >= 0 && (long long)size > budget) || used > length || (size == 0) != (used == 0))
		fuzz_fail("json_lines: sizes");
	got = malloc(size + 1);
	size_t found = decode_json(out, size, stream, got), wanted = carried(data, used, want);

	if (found != wanted || memcmp(got, want, wanted) != 0)
		fuzz_fail("json_lines: another text");
	if (used < length && budget < 0 && room >= JSON_ENTRY + size && (partial || memchr(data + used, '\n', length - used)))
		fuzz_fail("json_lines: it stopped early");
	free(got);
	free(want);
	free(out);
}

static void check_cri(int stream, const char *data, size_t length, size_t room, long long budget)
{
	char *out = malloc(room + 1), *one;
	size_t used = SIZE_MAX, size = cri_lines(&stamp, stream, data, length, &used, out, room, budget), from = 0;

	if (size > room || (budget >= 0 && (long long)size > budget) || used > length)
		fuzz_fail("cri_lines: sizes");
	for (size_t at = 0; at < size;) {
		const char *end = memchr(out + at + PREFIX_LENGTH, '\n', size - at - PREFIX_LENGTH);
		size_t line = (size_t)(end - (out + at + PREFIX_LENGTH)) + 1;

		if (end == NULL || from + line > used || memcmp(out + at + PREFIX_LENGTH, data + from, line) != 0)
			fuzz_fail("cri_lines: another text");
		at += PREFIX_LENGTH + line;
		from += line;
	}
	if (from != used)
		fuzz_fail("cri_lines: something is missing");
	one = malloc(PREFIX_LENGTH + length + 1);
	size = cri_partial(&stamp, stream, data, length, one);
	if (size != PREFIX_LENGTH + length + 1 || memcmp(one + PREFIX_LENGTH, data, length) != 0)
		fuzz_fail("cri_partial");
	free(one);
	free(out);
}

static void check_journal(const char *data, size_t length, size_t room)
{
	char *out = malloc(room + 1);
	size_t at = 0;
	int priority = journal_priority(data, length);

	if (priority < -1 || priority > 7)
		fuzz_fail("journal_priority");
	for (int i = 0; i < 3; i++)
		journal_field(out, room, &at, "MESSAGE", data, length);
	if (at != SIZE_MAX && (at > room || at < 3 * (length + 9) || out[at - 1] != '\n'))
		fuzz_fail("journal_field");
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 6)
		return 0;
	int stream = bytes[0] & 1 ? STREAM_OUT : STREAM_ERR, partial = bytes[0] >> 1 & 1;
	size_t times = bytes[0] & 4 ? 1 + bytes[1] % 40u : 1;
	size_t room = bytes[0] & 8 ? (size_t)(bytes[2] << 8 | bytes[3]) : 400000;
	long long budget = bytes[0] & 16 ? bytes[4] << 4 : -1;

	bytes += 6;
	size -= 6;
	/* Repeated, so that lines become longer than a piece. */
	char *data = malloc(size * times + 1);

	for (size_t i = 0; i < times; i++)
		memcpy(data + i * size, bytes, size);
	size *= times;
	size_t whole = utf8_whole(data, size);

	if (whole > size || size - whole > 3)
		fuzz_fail("utf8_whole");
	check_json(stream, partial, data, size, room, budget);
	check_cri(stream, data, size, room, budget);
	check_journal(data, size, room);
	free(data);
	return 0;
}
