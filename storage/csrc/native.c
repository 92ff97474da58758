#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ISO 3309, reflected. */
#define POLYNOMIAL UINT64_C(0xD800000000000000)

static uint64_t table[8][256];

/* Runs when the library is loaded, so that no call has to ask whether the tables are there. */
__attribute__((constructor)) static void fill(void)
{
	for (int i = 0; i < 256; i++) {
		uint64_t crc = (uint64_t)i;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
		table[0][i] = crc;
	}
	for (int i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			table[k][i] = table[0][table[k - 1][i] & 0xff] ^ (table[k - 1][i] >> 8);
}

uint64_t st_crc64(uint64_t crc, const void *data, size_t n)
{
	const unsigned char *p = data;

	crc = ~crc;
	/* Eight bytes at a time ("slicing by 8"), least significant first on any machine. */
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		word = __builtin_bswap64(word);
#endif
		crc ^= word;
		crc = table[7][crc & 0xff] ^ table[6][(crc >> 8) & 0xff] ^ table[5][(crc >> 16) & 0xff] ^
		      table[4][(crc >> 24) & 0xff] ^ table[3][(crc >> 32) & 0xff] ^ table[2][(crc >> 40) & 0xff] ^
		      table[1][(crc >> 48) & 0xff] ^ table[0][crc >> 56];
	}
	for (; n; n--, p++)
		crc = table[0][(crc ^ *p) & 0xff] ^ (crc >> 8);
	return ~crc;
}

int st_syncfs(int fd)
{
	return syncfs(fd) < 0 ? -errno : 0;
}
