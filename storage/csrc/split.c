#include "split.h"

#include "buffer_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct st_split {
	struct st_buffer text;
	int64_t position;
};

st_split *st_split_new(void)
{
	return calloc(1, sizeof(struct st_split));
}

void st_split_free(st_split *s)
{
	if (s)
		st_buffer_free(&s->text);
	free(s);
}

const char *st_split_text(const st_split *s, size_t *size)
{
	*size = s->text.size;
	return s->text.data;
}

void st_split_clear(st_split *s)
{
	s->text.size = 0;
}

/* Base 64 (RFC 4648); there is room for it. */
static char *base64(char *out, const unsigned char *p, size_t n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; n >= 3; n -= 3, p += 3) {
		uint32_t word = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*out++ = digit[word >> 18];
		*out++ = digit[word >> 12 & 63];
		*out++ = digit[word >> 6 & 63];
		*out++ = digit[word & 63];
	}
	if (n) {
		uint32_t word = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
		*out++ = digit[word >> 18];
		*out++ = digit[word >> 12 & 63];
		*out++ = n == 2 ? digit[word >> 6 & 63] : '=';
		*out++ = '=';
	}
	return out;
}

static size_t base64_size(size_t n)
{
	return (n + 2) / 3 * 4;
}

int st_split_raw(st_split *s, const void *data, size_t n)
{
	static const char BEGIN[] = "{\"type\":2,\"payload\":\"";
	int error = n > 1 << 20 ? -ENOMEM : st_buffer_reserve(&s->text, base64_size(n) + 100);

	if (error || !n)
		return error;
	char *out = s->text.data + s->text.size;
	memcpy(out, BEGIN, sizeof BEGIN - 1);
	out = base64(out + sizeof BEGIN - 1, data, n);
	out += sprintf(out, "\",\"position\":%" PRId64 "}\n", s->position++);
	s->text.size = (size_t)(out - s->text.data);
	return 0;
}

/* The length of the UTF-8 sequence at p (RFC 3629: no surrogates, nothing longer than need be), 0 for none. */
static size_t sequence(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return 1;
	size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n < length)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

static bool is_utf8(const unsigned char *p, size_t n)
{
	while (n) {
		size_t length = sequence(p, n);
		if (!length)
			return false;
		p += length;
		n -= length;
	}
	return true;
}

static char *quoted(char *out, const unsigned char *p, size_t n)
{
	for (; n; n--, p++) {
		if (*p == '"' || *p == '\\') {
			*out++ = '\\';
			*out++ = (char)*p;
		} else if (*p < ' ' || *p == 0x7f) {
			out += sprintf(out, "\\u%04x", *p);
		} else {
			*out++ = (char)*p;
		}
	}
	return out;
}

int64_t st_split_file(st_split *s, const char *name, size_t name_size, uint64_t size, uint64_t crc)
{
	const unsigned char *p = (const unsigned char *)name;

	if (name_size > 1 << 20 || st_buffer_reserve(&s->text, 6 * name_size + 200))
		return -ENOMEM;
	char *out = s->text.data + s->text.size;
	if (is_utf8(p, name_size)) {
		out = stpcpy(out, "{\"type\":1,\"name\":\"");
		out = quoted(out, p, name_size);
	} else {
		out = stpcpy(out, "{\"type\":1,\"name_raw\":\"");
		out = base64(out, p, name_size);
	}
	*out++ = '"';
	if (size) {
		unsigned char sum[8];
		for (int i = 0; i < 8; i++)
			sum[i] = (unsigned char)(crc >> (56 - 8 * i));
		out += sprintf(out, ",\"size\":%" PRIu64 ",\"payload\":\"", size);
		out = base64(out, sum, 8);
		*out++ = '"';
	} else {
		out = stpcpy(out, ",\"payload\":null");
	}
	out += sprintf(out, ",\"position\":%" PRId64 "}\n", s->position);
	s->text.size = (size_t)(out - s->text.data);
	return s->position++;
}
