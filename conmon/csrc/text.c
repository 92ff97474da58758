#include "text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static void digits(char *out, int width, long value)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		out[i] = (char)('0' + value % 10);
}

void stamp_nanoseconds(struct stamp *stamp, long nanoseconds)
{
	digits(stamp->text + 20, 9, nanoseconds);
}

void stamp_set(struct stamp *stamp, const struct tm *local, long offset, long nanoseconds)
{
	char *text = stamp->text;
	memcpy(text, "0000-00-00T00:00:00.000000000+00:00", STAMP_LENGTH);
	digits(text, 4, local->tm_year + 1900L);
	digits(text + 5, 2, local->tm_mon + 1);
	digits(text + 8, 2, local->tm_mday);
	digits(text + 11, 2, local->tm_hour);
	digits(text + 14, 2, local->tm_min);
	digits(text + 17, 2, local->tm_sec);
	stamp_nanoseconds(stamp, nanoseconds);
	if (offset < 0) {
		text[29] = '-';
		offset = -offset;
	}
	digits(text + 30, 2, offset / 3600);
	digits(text + 33, 2, offset / 60 % 60);
}

static void prefix(char *out, const struct stamp *stamp, int stream, char tag)
{
	memcpy(out, stamp->text, STAMP_LENGTH);
	memcpy(out + STAMP_LENGTH, stream == STREAM_OUT ? " stdout " : " stderr ", 8);
	out[PREFIX_LENGTH - 2] = tag;
	out[PREFIX_LENGTH - 1] = ' ';
}

/* The highest bit of each byte of `word` that is a newline; perhaps of later ones as well. */
static uint64_t newlines(uint64_t word)
{
	uint64_t other = word ^ 0x0a0a0a0a0a0a0a0aULL;
	return (other - 0x0101010101010101ULL) & ~other & 0x8080808080808080ULL;
}

/* Copy up to and with the first newline, at most `most` bytes; some bytes after it may be copied as well, within
 * `most`. Returns the length up to there. Searching and copying in one go costs half of memchr(3) and memcpy(3) for
 * lines of the usual length. */
static size_t copy_line(char *to, const char *from, size_t most)
{
	size_t at = 0;
#ifdef __SSE2__
	const __m128i newline = _mm_set1_epi8('\n');
	for (__m128i part; most - at >= sizeof(part); at += sizeof(part)) {
		part = _mm_loadu_si128((const __m128i_u *)(from + at));
		_mm_storeu_si128((__m128i_u *)(to + at), part);
		int found = _mm_movemask_epi8(_mm_cmpeq_epi8(part, newline));
		if (found)
			return at + (size_t)__builtin_ctz((unsigned)found) + 1;
	}
#endif
	for (uint64_t word; most - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, from + at, sizeof(word));
		memcpy(to + at, &word, sizeof(word));
		uint64_t found = newlines(word);
		if (!found)
			continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		return at + (size_t)__builtin_ctzll(found) / 8 + 1;
#else
		break;
#endif
	}
	while (at < most) {
		to[at] = from[at];
		if (from[at++] == '\n')
			break;
	}
	return at;
}

size_t cri_lines(const struct stamp *stamp, int stream, const char *data, size_t length, size_t *used, char *out,
		 size_t room, long long budget)
{
	char head[PREFIX_LENGTH];
	size_t at = 0, from = 0;
	if (budget >= 0 && (unsigned long long)budget < room)
		room = (size_t)budget;
	prefix(head, stamp, stream, 'F');
	while (from < length && room - at > PREFIX_LENGTH) {
		size_t most = room - at - PREFIX_LENGTH, left = length - from;
		size_t line = copy_line(out + at + PREFIX_LENGTH, data + from, left < most ? left : most);
		if (data[from + line - 1] != '\n')
			break;
		memcpy(out + at, head, PREFIX_LENGTH);
		at += PREFIX_LENGTH + line;
		from += line;
	}
	*used = from;
	return at;
}

size_t cri_partial(const struct stamp *stamp, int stream, const char *data, size_t length, char *out)
{
	prefix(out, stamp, stream, 'P');
	memcpy(out + PREFIX_LENGTH, data, length);
	out[PREFIX_LENGTH + length] = '\n';
	return PREFIX_LENGTH + length + 1;
}

void journal_field(char *out, size_t room, size_t *at, const char *key, const char *value, size_t length)
{
	size_t name = strlen(key);
	if (*at == SIZE_MAX || name + length + 10 > room - *at) {
		*at = SIZE_MAX;
		return;
	}
	char *to = out + *at;
	memcpy(to, key, name);
	to += name;
	if (memchr(value, '\n', length)) {
		*to++ = '\n';
		for (int i = 0; i < 8; i++)
			*to++ = (char)((uint64_t)length >> (8 * i));
	} else {
		*to++ = '=';
	}
	memcpy(to, value, length);
	to += length;
	*to++ = '\n';
	*at = (size_t)(to - out);
}

int journal_priority(const char *line, size_t length)
{
	if (length < 3 || line[0] != '<' || line[1] < '0' || line[1] > '7' || line[2] != '>')
		return -1;
	return line[1] - '0';
}

size_t syslog_line(char *out, size_t room, int priority, const struct tm *local, const char *id, const char *level,
		   const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int length = snprintf(out, room, "<%d>%.3s %2d %02d:%02d:%02d conmon: conmon %.20s <%s>: %s", priority,
			      months + local->tm_mon % 12 * 3, local->tm_mday, local->tm_hour, local->tm_min,
			      local->tm_sec, id, level, text);
	return (size_t)length < room ? (size_t)length : room - 1;
}

int ctl_parse(const char *line, size_t length, int *type, int *first, int *second)
{
	int *fields[3] = {type, first, second};
	size_t at = 0;
	for (int i = 0; i < 3; i++) {
		while (at < length && (line[at] == ' ' || line[at] == '\t'))
			at++;
		size_t start = at;
		int value = 0;
		for (; at < length && line[at] >= '0' && line[at] <= '9'; at++) {
			value = value * 10 + (line[at] - '0');
			if (value > 65535)
				return -1;
		}
		if (at == start)
			return -1;
		*fields[i] = value;
	}
	while (at < length && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r'))
		at++;
	return at == length ? 0 : -1;
}

int ctl_feed(struct ctl_reader *reader, char byte)
{
	if (byte == '\n') {
		int length = reader->skipping ? -1 : (int)reader->held;
		reader->held = 0;
		reader->skipping = 0;
		return length;
	}
	if (reader->held == sizeof(reader->line))
		reader->skipping = 1;
	else
		reader->line[reader->held++] = byte;
	return -1;
}

size_t notify_filter(const char *message, size_t length, char *out)
{
	static const char *const whole[] = {"READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger"};
	static const char *const start[] = {"STATUS=", "ERRNO=", "BUSERROR=", "MONOTONIC_USEC=", "EXTEND_TIMEOUT_USEC="};
	size_t at = 0, from = 0;
	while (from < length) {
		const char *line = message + from;
		const char *newline = memchr(line, '\n', length - from);
		size_t size = newline ? (size_t)(newline - line) : length - from;
		int keep = 0;
		for (size_t i = 0; i < 5; i++) {
			size_t want = strlen(whole[i]);
			keep |= size == want && !memcmp(line, whole[i], want);
			want = strlen(start[i]);
			keep |= size > want && !memcmp(line, start[i], want);
		}
		if (keep) {
			if (at)
				out[at++] = '\n';
			memcpy(out + at, line, size);
			at += size;
		}
		from += size + 1;
	}
	return at;
}

static int has_word(const char *list, size_t length, const char *word)
{
	size_t want = strlen(word);
	for (size_t from = 0; from <= length;) {
		const char *comma = memchr(list + from, ',', length - from);
		size_t size = comma ? (size_t)(comma - list) - from : length - from;
		if (size == want && !memcmp(list + from, word, want))
			return 1;
		from += size + 1;
	}
	return 0;
}

size_t cgroup_path(const char *text, size_t length, const char *controller, char *out, size_t room)
{
	for (size_t from = 0; from < length;) {
		const char *line = text + from;
		const char *newline = memchr(line, '\n', length - from);
		size_t size = newline ? (size_t)(newline - line) : length - from;
		const char *names = memchr(line, ':', size);
		const char *path = names ? memchr(names + 1, ':', size - (size_t)(names + 1 - line)) : NULL;
		if (path) {
			size_t names_length = (size_t)(path - names) - 1;
			int wanted = *controller ? has_word(names + 1, names_length, controller)
						 : size > 3 && !memcmp(line, "0::", 3);
			size_t path_length = size - (size_t)(path + 1 - line);
			if (wanted && path_length && path_length < room) {
				memcpy(out, path + 1, path_length);
				out[path_length] = 0;
				return path_length;
			}
		}
		from += size + 1;
	}
	return 0;
}

long long keyed_value(const char *text, size_t length, const char *key)
{
	size_t want = strlen(key);
	for (size_t from = 0; from < length;) {
		const char *line = text + from;
		const char *newline = memchr(line, '\n', length - from);
		size_t size = newline ? (size_t)(newline - line) : length - from;
		if (size > want + 1 && !memcmp(line, key, want) && line[want] == ' ') {
			long long value = 0;
			for (size_t i = want + 1; i < size && line[i] >= '0' && line[i] <= '9'; i++) {
				if (value > (LLONG_MAX - 9) / 10)
					return LLONG_MAX;
				value = value * 10 + (line[i] - '0');
			}
			return value;
		}
		from += size + 1;
	}
	return -1;
}
