/* Tar headers: ustar, with pax records for what does not fit (POSIX.1-2017, pax). */
#include "pack_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pk_reserve(struct pk_buffer *buffer, size_t more)
{
	size_t wanted, capacity = buffer->capacity ? buffer->capacity : 1024;
	char *data;

	if (__builtin_add_overflow(buffer->length, more, &wanted) || wanted > SIZE_MAX / 4)
		return -ENOMEM;
	if (wanted <= buffer->capacity)
		return 0;
	while (capacity < wanted)
		capacity *= 2;
	data = realloc(buffer->data, capacity);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

int pk_append(struct pk_buffer *buffer, const void *data, size_t length)
{
	int result = pk_reserve(buffer, length);

	if (result)
		return result;
	if (length)
		memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
	return 0;
}

int pk_record(struct pk_buffer *pax, const char *key, const void *value, size_t length)
{
	size_t rest = 1 + strlen(key) + 1 + length + 1, total = rest + 1;
	char number[32];
	int result;

	/* The length counts its own digits. */
	while (rest + (size_t)snprintf(number, sizeof number, "%zu", total) != total)
		total = rest + strlen(number);
	if ((result = pk_append(pax, number, strlen(number))) || (result = pk_append(pax, " ", 1)) ||
	    (result = pk_append(pax, key, strlen(key))) || (result = pk_append(pax, "=", 1)) ||
	    (result = pk_append(pax, value, length)))
		return result;
	return pk_append(pax, "\n", 1);
}

/* digits octal digits and a NUL; what is too big is 0: a pax record has it. */
static int octal(char *field, size_t digits, uint64_t value)
{
	int fits = value >> (3 * digits) == 0;

	if (!fits)
		value = 0;
	for (size_t i = digits; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
	field[digits] = 0;
	return fits;
}

static int plain(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] >= 0x80)
			return 0;
	return 1;
}

/* Whether text is UTF-8, which pax records are; a short name in another encoding stays as it is in the header. */
static int utf8(const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < length;) {
		unsigned char c = p[i++];
		size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 4;

		if (more == 4 || more > length - i)
			return 0;
		if (more > 1) {
			unsigned char second = p[i];
			if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
			    (c == 0xf4 && second > 0x8f))
				return 0;
		}
		for (; more; more--)
			if ((p[i++] & 0xc0) != 0x80)
				return 0;
	}
	return 1;
}

/* Into name and prefix; whether it fits. */
static int place_name(char *block, const char *name, size_t length)
{
	if (length <= 100) {
		memcpy(block, name, length);
		return 1;
	}
	if (length <= 256) {
		/* The last slash that leaves a prefix of at most 155 bytes; a directory's own last slash does not count. */
		size_t start = length > 156 ? 155 : length - 2;
		for (size_t i = start; i > 0; i--) {
			if (name[i] != '/')
				continue;
			if (length - i - 1 > 100)
				return 0;
			memcpy(block + 345, name, i);
			memcpy(block, name + i + 1, length - i - 1);
			return 1;
		}
	}
	return 0;
}

static void seal(char *block)
{
	unsigned sum = 0;

	memcpy(block + 257, "ustar\0" "00", 8);
	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)block[i];
	octal(block + 148, 6, sum);
}

static int pax_header(struct pk_buffer *out, const struct pk_buffer *records)
{
	char block[TAR_BLOCK] = {0};
	size_t padding = -records->length % TAR_BLOCK;
	int result;

	memcpy(block, "././@PaxHeader", 14);
	octal(block + 100, 7, 0);
	octal(block + 108, 7, 0);
	octal(block + 116, 7, 0);
	octal(block + 124, 11, records->length);
	octal(block + 136, 11, 0);
	block[156] = 'x';
	seal(block);
	if ((result = pk_append(out, block, TAR_BLOCK)) || (result = pk_append(out, records->data, records->length)) ||
	    (result = pk_reserve(out, padding)))
		return result;
	memset(out->data + out->length, 0, padding);
	out->length += padding;
	return 0;
}

static int number_record(struct pk_buffer *pax, const char *key, uint64_t value)
{
	char text[24];

	return pk_record(pax, key, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)value));
}

/* Seconds with a fraction; before 1970 the fraction counts downwards too: -1 s + 0.25 s is -0.75. */
static int time_record(struct pk_buffer *pax, int64_t seconds, uint32_t nanoseconds)
{
	char text[40];
	int negative = seconds < 0, length;
	uint64_t whole = negative ? 0 - (uint64_t)seconds : (uint64_t)seconds;
	uint32_t fraction = nanoseconds;

	if (negative && fraction) {
		whole--;
		fraction = 1000000000u - fraction;
	}
	length = snprintf(text, sizeof text, "%s%llu", negative ? "-" : "", (unsigned long long)whole);
	if (fraction) {
		length += snprintf(text + length, sizeof text - (size_t)length, ".%09u", fraction);
		while (text[length - 1] == '0')
			length--;
	}
	return pk_record(pax, "mtime", text, (size_t)length);
}

int pk_header(struct pk_buffer *out, const struct pk_entry *entry, const struct pk_buffer *attributes)
{
	char block[TAR_BLOCK] = {0};
	struct pk_buffer pax = {0};
	size_t target_length = strlen(entry->target);
	int result = 0;

	if (!place_name(block, entry->name, entry->name_length) ||
	    (!plain(entry->name, entry->name_length) && utf8(entry->name, entry->name_length))) {
		result = pk_record(&pax, "path", entry->name, entry->name_length);
		if (!block[0]) /* for readers that know no pax */
			memcpy(block, entry->name, entry->name_length < 100 ? entry->name_length : 100);
	}
	memcpy(block + 157, entry->target, target_length < 100 ? target_length : 100);
	if (!result && (target_length > 100 || (!plain(entry->target, target_length) && utf8(entry->target, target_length))))
		result = pk_record(&pax, "linkpath", entry->target, target_length);
	octal(block + 100, 7, entry->mode);
	if (!octal(block + 108, 7, entry->uid) && !result)
		result = number_record(&pax, "uid", entry->uid);
	if (!octal(block + 116, 7, entry->gid) && !result)
		result = number_record(&pax, "gid", entry->gid);
	if (!octal(block + 124, 11, entry->size) && !result)
		result = number_record(&pax, "size", entry->size);
	if ((!octal(block + 136, 11, entry->seconds < 0 ? 0 : (uint64_t)entry->seconds) || entry->seconds < 0 ||
	     entry->nanoseconds) &&
	    !result)
		result = time_record(&pax, entry->seconds, entry->nanoseconds);
	block[156] = entry->type;
	octal(block + 329, 7, entry->major);
	octal(block + 337, 7, entry->minor);
	if (!result && attributes)
		result = pk_append(&pax, attributes->data, attributes->length);
	seal(block);
	if (!result && pax.length)
		result = pax_header(out, &pax);
	free(pax.data);
	return result ? result : pk_append(out, block, TAR_BLOCK);
}
