/* Changes of tar archives that keep them archives. */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK = 512 };

static const char *const names[] = {
	"a", "d/", "d/f", "s", "s/f", "../x", "/abs", "d/../x", "./", ".", "..", ".wh.a", "d/.wh.f", ".wh..wh..opq",
	"d/.wh..wh..opq", ".wh.", ".wh...", ".wh..wh.plnk", "d/e/f/g", "l", "outside/secret", "../outside/secret",
	"../../../../../../outside/secret", "/proc/self/root", "/proc/self/fd/0", "d//f", "s/../x", "",
};
static const char *const keys[] = {
	"path", "linkpath", "size", "uid", "gid", "mtime", "SCHILY.xattr.user.a", "SCHILY.xattr.user.overlay.opaque",
	"SCHILY.xattr.", "SCHILY.xattr.security.capability", "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name",
	"GNU.sparse.realsize", "GNU.sparse.size", "GNU.sparse.map", "GNU.sparse.offset", "GNU.sparse.numbytes",
	"GNU.sparse.numblocks", "comment", "atime", "SCHILY.dev",
};
static const char *const values[] = {
	"0", "1", "-1", "512", "1048576", "9223372036854775807", "9223372036854775808", "99999999999999999999", "1.5",
	"1e300", "a", "../x", "s", "d", "0,1", "0,512,1024,1", "5,1,2,1", "",
};
static const char flags[] = "01234567LKxgSXVMND\0";

#define PICK(list) list[fuzz_random(&state, sizeof(list) / sizeof(list[0]))]

static int is_header(const uint8_t *block)
{
	return memcmp(block + 257, "ustar", 5) == 0;
}

static void set_sum(uint8_t *block)
{
	unsigned sum = 0;
	char text[9];

	memset(block + 148, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += block[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(block + 148, text, 7);
}

static void set_field(uint8_t *field, size_t width, const char *text)
{
	size_t n = strlen(text);

	memset(field, 0, width);
	memcpy(field, text, n < width ? n : width);
}

static void set_size(uint8_t *block, size_t size)
{
	char text[13];

	snprintf(text, sizeof(text), "%011zo", size & 077777777777);
	set_field(block + 124, 12, text);
}

static void new_header(uint8_t *block, char flag, const char *name, size_t size)
{
	memset(block, 0, BLOCK);
	set_field(block, 100, name);
	set_field(block + 100, 8, "0000755");
	set_field(block + 108, 8, "0000000");
	set_field(block + 116, 8, "0000000");
	set_size(block, size);
	set_field(block + 136, 12, "00000000000");
	block[156] = (uint8_t)flag;
	memcpy(block + 257, "ustar\0" "00", 8);
	set_sum(block);
}

/* A pax record at the end of a text: its new length. */
static size_t add_record(char *text, size_t have, size_t room, const char *key, const char *value)
{
	size_t length = strlen(key) + strlen(value) + 3, whole = length + 1;
	char digits[24];

	while ((size_t)snprintf(digits, sizeof(digits), "%zu", whole) + length != whole)
		whole = length + strlen(digits);
	if (have + whole >= room)
		return have;
	snprintf(text + have, room - have, "%zu %s=%s\n", whole, key, value);
	return have + whole;
}

static size_t insert(uint8_t *data, size_t size, size_t room, size_t at, const void *what, size_t n)
{
	if (size + n > room || at > size)
		return size;
	memmove(data + at + n, data + at, size - at);
	memcpy(data + at, what, n);
	return size + n;
}

size_t fuzz_mutate_tar(uint8_t *data, size_t size, size_t room, unsigned seed)
{
	uint32_t state = seed;
	uint8_t piece[3 * BLOCK];
	char text[BLOCK];
	size_t blocks = size / BLOCK, n;
	size_t at = blocks ? BLOCK * fuzz_random(&state, (uint32_t)blocks) : 0;
	uint8_t *block = data + at;

	/* Most interesting is what happens to headers: look for one from here on. */
	while (at + 2 * BLOCK <= size && !is_header(block)) {
		at += BLOCK;
		block += BLOCK;
	}
	switch (fuzz_random(&state, blocks ? 10 : 1)) {
	case 0: { /* a new entry */
		static const char kinds[] = "0123456";
		char flag = PICK(kinds);
		size_t content = flag == '0' ? fuzz_random(&state, 2) * 300 : 0;

		memset(piece, 'c', sizeof(piece));
		new_header(piece, flag ? flag : '0', PICK(names), content);
		set_field(piece + 157, 100, PICK(names));
		set_sum(piece);
		size = insert(data, size, room, at, piece, content ? 2 * BLOCK : BLOCK);
		break;
	}
	case 1: /* an extended header before an entry */
		n = 0;
		for (uint32_t count = 1 + fuzz_random(&state, 5); count; count--) {
			const char *key = PICK(keys);
			n = add_record(text, n, sizeof(text), key, fuzz_random(&state, 2) ? PICK(values) : PICK(names));
		}
		memset(piece, 0, sizeof(piece));
		new_header(piece, fuzz_random(&state, 8) ? 'x' : 'g', "pax", n);
		memcpy(piece + BLOCK, text, n);
		size = insert(data, size, room, at, piece, 2 * BLOCK);
		break;
	case 2: /* a long name or target */
		memset(piece, 'n', sizeof(piece));
		n = 1 + fuzz_random(&state, 2 * BLOCK);
		new_header(piece, fuzz_random(&state, 2) ? 'L' : 'K', "././@LongLink", n);
		for (size_t i = 0; i < 2 * BLOCK; i += 1 + fuzz_random(&state, 200))
			piece[BLOCK + i] = "/.\0a"[fuzz_random(&state, 4)];
		size = insert(data, size, room, at, piece, n > BLOCK ? 3 * BLOCK : 2 * BLOCK);
		break;
	case 3: /* another kind */
		block[156] = (uint8_t)PICK(flags);
		break;
	case 4:
		set_field(block, 100, PICK(names));
		break;
	case 5:
		set_field(block + 157, 100, PICK(names));
		break;
	case 6: /* another number */
		n = fuzz_random(&state, 4);
		if (fuzz_random(&state, 2))
			set_size(block, fuzz_random(&state, 2000));
		else
			memset(block + 124, fuzz_random(&state, 2) ? 0xff : 0x80, n ? 12 : 1);
		break;
	case 7: /* an entry twice */
		memcpy(piece, block, BLOCK);
		size = insert(data, size, room, BLOCK * fuzz_random(&state, (uint32_t)blocks + 1), piece, BLOCK);
		break;
	case 8: /* a block less */
		memmove(block, block + BLOCK, size - at - BLOCK);
		size -= BLOCK;
		break;
	default:
		return LLVMFuzzerMutate(data, size, room);
	}
	for (n = 0; n + BLOCK <= size; n += BLOCK)
		if (is_header(data + n) && fuzz_random(&state, 200))
			set_sum(data + n);
	return size;
}
