/* JSON and UTF-8: the sync pipe's messages, and Docker's json-file. */
#include "text.h"

#include <stdio.h>
#include <string.h>

static size_t escape(unsigned char byte, char *out)
{
	static const char hex[] = "0123456789abcdef";
	switch (byte) {
	case '"':
	case '\\':
		out[0] = '\\';
		out[1] = (char)byte;
		return 2;
	case '\n':
		memcpy(out, "\\n", 2);
		return 2;
	case '\t':
		memcpy(out, "\\t", 2);
		return 2;
	case '\r':
		memcpy(out, "\\r", 2);
		return 2;
	default:
		break;
	}
	if (byte >= 0x20 && byte != 0x7f) {
		out[0] = (char)byte;
		return 1;
	}
	memcpy(out, "\\u00", 4);
	out[4] = hex[byte >> 4];
	out[5] = hex[byte & 15];
	return 6;
}

size_t json_message(char *out, size_t room, const char *key, long long number, const char *text, size_t length)
{
	size_t at = (size_t)snprintf(out, room, "{\"%s\": %lld", key, number);
	if (text) {
		memcpy(out + at, ", \"message\": \"", 14);
		at += 14;
		for (size_t i = 0; i < length && at + 6 + 4 <= room; i++)
			at += escape((unsigned char)text[i], out + at);
		out[at++] = '"';
	}
	memcpy(out + at, "}\n", 2);
	return at + 2;
}

/* The length of the character of UTF-8 that begins here; 0: it is none (RFC 3629), -1: it would be if more came. */
static int utf8_length(const char *data, size_t left)
{
	const unsigned char *byte = (const unsigned char *)data;
	unsigned char low = 0x80, high = 0xbf;
	int length = byte[0] < 0x80 ? 1 : byte[0] < 0xc2 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf5 ? 4 : 0;
	if (byte[0] == 0xe0)
		low = 0xa0;
	else if (byte[0] == 0xed)
		high = 0x9f;
	else if (byte[0] == 0xf0)
		low = 0x90;
	else if (byte[0] == 0xf4)
		high = 0x8f;
	for (int i = 1; i < length; i++, low = 0x80, high = 0xbf) {
		if ((size_t)i == left)
			return -1;
		if (byte[i] < low || byte[i] > high)
			return 0;
	}
	return length;
}

size_t utf8_whole(const char *data, size_t length)
{
	for (size_t back = 1; back <= 3 && back <= length; back++) {
		if ((data[length - back] & 0xc0) != 0x80)
			return utf8_length(data + length - back, back) < 0 ? length - back : length;
	}
	return length;
}

#define EACH 0x0101010101010101u /* a byte of eight, times this: the byte eight times */
#define TOPS 0x8080808080808080u
#define BELOW(word, limit) (((word) - EACH * (limit)) & ~(word) & TOPS)
#define EQUAL(word, byte) BELOW((word) ^ EACH * (byte), 1)

/* How many bytes from here on are plain ASCII that JSON leaves as it is; eight at a time, as most of a log is that. */
static size_t plain_run(const char *data, size_t length)
{
	size_t at = 0;
	for (uint64_t word; length - at >= 8; at += 8) {
		memcpy(&word, data + at, 8);
		if ((word & TOPS) | BELOW(word, 0x20) | EQUAL(word, '"') | EQUAL(word, '\\') | EQUAL(word, 0x7f))
			break;
	}
	for (; at < length; at++) {
		unsigned char byte = (unsigned char)data[at];
		if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\')
			break;
	}
	return at;
}

/* Text as the inside of a JSON string. The end of `out`, or NULL if it does not fit. */
static char *json_text(char *out, const char *end, const char *data, size_t length)
{
	for (size_t from = 0; from < length;) {
		size_t run = plain_run(data + from, length - from);
		if (run > (size_t)(end - out))
			return NULL;
		memcpy(out, data + from, run);
		out += run;
		from += run;
		if (from == length)
			break;
		char special[6];
		int taken = utf8_length(data + from, length - from);
		size_t size = (size_t)taken;
		if (taken == 1)
			size = escape((unsigned char)data[from], special);
		else if (taken > 1)
			memcpy(special, data + from, size);
		else
			memcpy(special, "\xef\xbf\xbd", size = 3);
		if (size > (size_t)(end - out))
			return NULL;
		memcpy(out, special, size);
		out += size;
		from += taken > 0 ? (size_t)taken : 1;
	}
	return out;
}

#define JSON_HEAD "{\"log\":\""
#define JSON_TAIL "\",\"stream\":\"stdxxx\",\"time\":\"2006-01-02T15:04:05.000000000Z\"}\n"

size_t json_lines(const struct stamp *stamp, int stream, int partial, const char *data, size_t length, size_t *used,
		  char *out, size_t room, long long budget)
{
	char tail[sizeof(JSON_TAIL)] = JSON_TAIL, *at = out;
	const size_t head = sizeof(JSON_HEAD) - 1, tail_length = sizeof(JSON_TAIL) - 1;
	size_t from = 0;
	if (budget >= 0 && (unsigned long long)budget < room)
		room = (size_t)budget;
	memcpy(tail + 15, stream == STREAM_OUT ? "out" : "err", 3);
	memcpy(tail + 28, stamp->text, 29);
	while (from < length) {
		size_t left = length - from, piece = left > JSON_PIECE ? JSON_PIECE : left;
		const char *newline = memchr(data + from, '\n', piece);
		if (newline)
			piece = (size_t)(newline - (data + from)) + 1;
		else if (!partial && !memchr(data + from + piece, '\n', left - piece))
			break;
		else if (piece < left)
			piece = utf8_whole(data + from, piece);
		if (room - (size_t)(at - out) < head + tail_length)
			break;
		char *end = json_text(at + head, out + room - tail_length, data + from, piece);
		if (!end)
			break;
		memcpy(at, JSON_HEAD, head);
		memcpy(end, tail, tail_length);
		at = end + tail_length;
		from += piece;
	}
	*used = from;
	return (size_t)(at - out);
}
