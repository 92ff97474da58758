/* Numbers in tar and pax headers. */
#include "tar_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool blank(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Octal digits with blanks and zero bytes around them, or GNU's base 256 in two's complement. */
int st_tar_number(struct st_tar *t, const unsigned char *field, size_t n, const char *what, int64_t *result)
{
	if (field[0] & 0x80) {
		bool negative = field[0] & 0x40;
		/* The first bit only says that it is base 256. */
		uint64_t value = negative ? ~UINT64_C(0) << 7 | field[0] : field[0] & 0x7f;
		for (size_t i = 1; i < n; i++) {
			uint64_t top = value >> 55;
			if (top != (negative ? 0x1ff : 0)) {
				*result = negative ? INT64_MIN : INT64_MAX;
				return 0;
			}
			value = value << 8 | field[i];
		}
		*result = (int64_t)value;
		return 0;
	}
	while (n && (!field[0] || field[0] == ' '))
		field++, n--;
	while (n && (!field[n - 1] || field[n - 1] == ' '))
		n--;
	const unsigned char *zero = memchr(field, 0, n);
	if (zero)
		n = (size_t)(zero - field);
	while (zero && n && blank(field[n - 1]))
		n--;
	int64_t value = 0;
	for (size_t i = 0; i < n; i++) {
		if (field[i] < '0' || field[i] > '7')
			return st_tar_broken(t, "broken archive: %s in a tar header is not a number", what);
		value = value * 8 + (field[i] - '0'); /* at most 12 digits */
	}
	*result = value;
	return 0;
}

static bool digits(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return n > 0;
}

int st_tar_decimal(struct st_tar *t, struct slice text, const char *what, int64_t *result)
{
	if (text.size > 19 || !digits(text.data, text.size))
		return st_tar_broken(t, "broken archive: %s in a pax header is not a number", what);
	uint64_t value = 0;
	for (size_t i = 0; i < text.size; i++)
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	*result = value > INT64_MAX ? INT64_MAX : (int64_t)value;
	return 0;
}

/* Seconds with a fraction in scientific notation, which Python's tarfile writes. */
static int scientific(struct st_tar *t, struct slice text, int64_t *result)
{
	char copy[32], *end = copy;

	if (text.size && text.size < sizeof copy) {
		memcpy(copy, text.data, text.size);
		copy[text.size] = 0;
		if (strspn(copy, "0123456789.e+-") == text.size) {
			double value = strtod(copy, &end) * 1e9;
			if (end == copy + text.size && isfinite(value)) {
				*result = value > 9e18 ? INT64_MAX : value < -9e18 ? INT64_MIN : (int64_t)rint(value);
				return 0;
			}
		}
	}
	return st_tar_broken(t, "broken archive: a time in a pax header is not a number");
}

int st_tar_time(struct st_tar *t, struct slice text, int64_t *result)
{
	const char *whole = text.data, *dot = memchr(text.data, '.', text.size);
	size_t size = dot ? (size_t)(dot - whole) : text.size;
	const char *fraction = dot ? dot + 1 : NULL;
	size_t fraction_size = dot ? text.size - size - 1 : 0;
	bool negative = size && whole[0] == '-';

	while (size && whole[0] == '-')
		whole++, size--;
	if (size > 12 || !digits(whole, size) || (fraction_size && !digits(fraction, fraction_size)))
		return scientific(t, text, result);
	int64_t seconds = 0, nano = 0;
	for (size_t i = 0; i < size; i++)
		seconds = seconds * 10 + (whole[i] - '0');
	for (size_t i = 0; i < 9; i++)
		nano = nano * 10 + (i < fraction_size ? fraction[i] - '0' : 0);
	if (seconds > INT64_MAX / 1000000000 - 1)
		*result = negative ? INT64_MIN : INT64_MAX;
	else
		*result = (negative ? -1 : 1) * (seconds * 1000000000 + nano);
	return 0;
}
