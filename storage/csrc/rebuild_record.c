/* The JSON of tar-split: flat objects, one per line; what other programs might add to them is passed over. */
#include "rebuild_internal.h"

#include <string.h>

int rb_whole(const char *text, size_t length, struct rb_scan *scan)
{
	size_t at = scan->at;

	for (; at < length; at++) {
		char c = text[at];

		if (scan->in_string) {
			const char *quote, *escape;

			if (scan->escaped) {
				scan->escaped = 0;
				continue;
			}
			/* Long strings are base64: both searches are quick. */
			quote = memchr(text + at, '"', length - at);
			escape = memchr(text + at, '\\', (quote ? (size_t)(quote - text) : length) - at);
			if (escape) {
				at = (size_t)(escape - text);
				scan->escaped = 1;
			} else if (quote) {
				at = (size_t)(quote - text);
				scan->in_string = 0;
			} else {
				at = length - 1;
			}
		} else if (c == '"') {
			scan->in_string = 1;
		} else if (c == '{' || c == '[') {
			scan->depth++;
		} else if ((c == '}' || c == ']') && scan->depth && !--scan->depth) {
			scan->at = at + 1;
			return 1;
		}
	}
	scan->at = at;
	return 0;
}

struct cursor {
	char *at, *end;
};

static void blank(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r' || *c->at == '\n'))
		c->at++;
}

static int hexadecimal(const char *text, unsigned *value)
{
	*value = 0;
	for (int i = 0; i < 4; i++) {
		char c = text[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
			       : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
			       : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
						      : 16;
		if (digit > 15)
			return 0;
		*value = *value << 4 | digit;
	}
	return 1;
}

/* It is never longer than the escape that it replaces. */
static char *put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		*out++ = (char)code;
	} else if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
		*out++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*out++ = (char)(0xe0 | code >> 12);
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	} else {
		*out++ = (char)(0xf0 | code >> 18);
		*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	}
	return out;
}

/* One \u escape, or a pair of them; c stands behind the u. */
static int unicode(struct cursor *c, char **out)
{
	unsigned code, low;

	if (c->end - c->at < 4 || !hexadecimal(c->at, &code))
		return 0;
	c->at += 4;
	if (code >= 0xd800 && code < 0xe000) {
		if (code < 0xdc00 && c->end - c->at >= 6 && c->at[0] == '\\' && c->at[1] == 'u' &&
		    hexadecimal(c->at + 2, &low) && low >= 0xdc00 && low < 0xe000) {
			c->at += 6;
			code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
		} else {
			code = 0xfffd; /* half of a pair: what Go makes of it */
		}
	}
	*out = put_utf8(*out, code);
	return 1;
}

/* Undoes the escapes in place. */
static int string(struct cursor *c, char **text, size_t *length)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *out, *quote;

	if (c->at == c->end || *c->at != '"')
		return 0;
	*text = out = ++c->at;
	quote = memchr(c->at, '"', (size_t)(c->end - c->at));
	if (quote && !memchr(c->at, '\\', (size_t)(quote - c->at))) {
		*length = (size_t)(quote - c->at);
		c->at = quote + 1;
		return 1;
	}
	while (c->at < c->end) {
		char ch = *c->at++;

		if (ch == '"') {
			*length = (size_t)(out - *text);
			return 1;
		}
		if (ch != '\\') {
			*out++ = ch;
			continue;
		}
		if (c->at == c->end)
			return 0;
		ch = *c->at++;
		if (ch == 'u') {
			if (!unicode(c, &out))
				return 0;
		} else {
			const char *found = ch ? strchr(from, ch) : NULL;
			if (!found)
				return 0;
			*out++ = to[found - from];
		}
	}
	return 0;
}

static int number(struct cursor *c, uint64_t *value)
{
	char *start = c->at;

	*value = 0;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
		if (__builtin_mul_overflow(*value, 10u, value) ||
		    __builtin_add_overflow(*value, (uint64_t)(*c->at - '0'), value))
			return 0;
	return c->at > start;
}

/* Any value: to the comma or bracket behind it. */
static int skip(struct cursor *c)
{
	struct rb_scan scan = {0};
	size_t left = (size_t)(c->end - c->at);

	if (left && (*c->at == '{' || *c->at == '[')) {
		if (!rb_whole(c->at, left, &scan))
			return 0;
		c->at += scan.at;
		return 1;
	}
	if (left && *c->at == '"') {
		char *text;
		size_t length;
		return string(c, &text, &length);
	}
	while (c->at < c->end && *c->at != ',' && *c->at != '}')
		c->at++;
	return 1;
}

static int is_null(struct cursor *c)
{
	if (c->end - c->at < 4 || memcmp(c->at, "null", 4))
		return 0;
	c->at += 4;
	return 1;
}

/* What a letter stands for (RFC 4648, section 4), plus 1; 0: nothing. */
static const uint8_t letters[256] = {
	['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,
	['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* With padding, in place. */
static int base64(char *text, size_t *length)
{
	unsigned char *in = (unsigned char *)text, *out = in;
	size_t count = *length, padding = 0;
	unsigned bad = 0;

	if (count % 4)
		return 0;
	while (padding < 2 && count > padding && in[count - 1 - padding] == '=')
		in[count - 1 - padding++] = 'A';
	for (size_t i = 0; i < count; i += 4) {
		unsigned a = letters[in[i]] - 1u, b = letters[in[i + 1]] - 1u;
		unsigned c = letters[in[i + 2]] - 1u, d = letters[in[i + 3]] - 1u;

		bad |= a | b | c | d;
		*out++ = (unsigned char)(a << 2 | b >> 4);
		*out++ = (unsigned char)(b << 4 | c >> 2);
		*out++ = (unsigned char)(c << 6 | d);
	}
	*length = count / 4 * 3 - padding;
	return bad < 64;
}

static int is(const char *key, size_t length, const char *word)
{
	return length == strlen(word) && !memcmp(key, word, length);
}

/* One "key":value. */
static const char *member(struct cursor *c, struct rb_record *record)
{
	char *key;
	size_t length;
	uint64_t value;

	if (!string(c, &key, &length))
		return "a key is not a string";
	blank(c);
	if (c->at == c->end || *c->at++ != ':')
		return "a key has no value";
	blank(c);
	if (is(key, length, "type")) {
		if (!number(c, &value) || value < 1 || value > 2)
			return "its type is neither 1 nor 2";
		record->type = (int)value;
	} else if (is(key, length, "size")) {
		if (!number(c, &record->size) || record->size > INT64_MAX)
			return "its size is not a number";
	} else if (is(key, length, "name")) {
		if (!string(c, &record->name, &record->name_length))
			return "its name is not a string";
	} else if (is(key, length, "name_raw")) {
		if (is_null(c))
			return NULL;
		if (!string(c, &record->name, &record->name_length) || !base64(record->name, &record->name_length))
			return "its name is not base64";
	} else if (is(key, length, "payload")) {
		if (is_null(c))
			return NULL;
		if (!string(c, &record->payload, &record->payload_length) ||
		    !base64(record->payload, &record->payload_length))
			return "its payload is not base64";
	} else if (!skip(c)) {
		return "a value has no end";
	}
	return NULL;
}

const char *rb_parse(char *text, size_t length, struct rb_record *record)
{
	struct cursor c = {text + 1, text + length};

	*record = (struct rb_record){0};
	if (!length || *text != '{')
		return "it is not a JSON object";
	blank(&c);
	while (c.at < c.end && *c.at != '}') {
		const char *wrong = member(&c, record);
		if (wrong)
			return wrong;
		blank(&c);
		if (c.at < c.end && *c.at == ',') {
			c.at++;
			blank(&c);
		} else if (c.at == c.end || *c.at != '}') {
			return "it is not a JSON object";
		}
	}
	if (!record->type)
		return "it has no type";
	if (record->type == 1 && !record->name)
		return "it has no name";
	if (record->type == 1 && record->size && record->payload_length != 8)
		return "it has no checksum";
	return NULL;
}
