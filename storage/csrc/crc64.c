/* CRC-64/GO-ISO: by carry-less multiplication where the processor can, else by tables. */
#include "native.h"

#include <string.h>

/* ISO 3309, reflected. */
#define POLYNOMIAL UINT64_C(0xD800000000000000)

static uint64_t table[16][256];
static int fast;

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
		for (int k = 1; k < 16; k++)
			table[k][i] = table[0][table[k - 1][i] & 0xff] ^ (table[k - 1][i] >> 8);
#ifdef __x86_64__
	__builtin_cpu_init();
	fast = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

static uint64_t little(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* The register's path over n bytes, 16 at a time ("slicing by 16"). */
static uint64_t by_tables(uint64_t crc, const unsigned char *p, size_t n)
{
	for (; n >= 16; n -= 16, p += 16) {
		uint64_t a = crc ^ little(p), b = little(p + 8);
		crc = table[15][a & 0xff] ^ table[14][(a >> 8) & 0xff] ^ table[13][(a >> 16) & 0xff] ^
		      table[12][(a >> 24) & 0xff] ^ table[11][(a >> 32) & 0xff] ^ table[10][(a >> 40) & 0xff] ^
		      table[9][(a >> 48) & 0xff] ^ table[8][a >> 56] ^ table[7][b & 0xff] ^ table[6][(b >> 8) & 0xff] ^
		      table[5][(b >> 16) & 0xff] ^ table[4][(b >> 24) & 0xff] ^ table[3][(b >> 32) & 0xff] ^
		      table[2][(b >> 40) & 0xff] ^ table[1][(b >> 48) & 0xff] ^ table[0][b >> 56];
	}
	for (; n; n--, p++)
		crc = table[0][(crc ^ *p) & 0xff] ^ (crc >> 8);
	return crc;
}

#ifdef __x86_64__
#include <immintrin.h>

/* x^127, x^191, x^511 and x^575 modulo the polynomial, bit-reflected. */
#define K127 UINT64_C(0xf500000000000001)
#define K191 UINT64_C(0x6b70000000000001)
#define K511 UINT64_C(0xb100010100000001)
#define K575 UINT64_C(0x01b001b1b0000001)

/* Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ": four registers of 128 bits are each
 * moved on by 512 bits (multiplied by x^575 mod P and x^511 mod P, all bit-reflected), then folded into one (x^191,
 * x^127). What is left is 16 bytes whose remainder is that of all. n is at least 64. */
__attribute__((target("pclmul,sse4.1"))) static __m128i fold(__m128i a, __m128i by, __m128i next)
{
	__m128i low = _mm_clmulepi64_si128(a, by, 0x00), high = _mm_clmulepi64_si128(a, by, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

__attribute__((target("pclmul,sse4.1"))) static uint64_t by_multiplication(uint64_t crc, const unsigned char *p,
									    size_t n)
{
	const __m128i by512 = _mm_set_epi64x((long long)K511, (long long)K575);
	const __m128i by128 = _mm_set_epi64x((long long)K127, (long long)K191);
	const __m128i *at = (const void *)p;
	__m128i a = _mm_xor_si128(_mm_loadu_si128(at), _mm_cvtsi64_si128((long long)crc));
	__m128i b = _mm_loadu_si128(at + 1), c = _mm_loadu_si128(at + 2), d = _mm_loadu_si128(at + 3);

	for (at += 4, n -= 64; n >= 64; at += 4, n -= 64) {
		a = fold(a, by512, _mm_loadu_si128(at));
		b = fold(b, by512, _mm_loadu_si128(at + 1));
		c = fold(c, by512, _mm_loadu_si128(at + 2));
		d = fold(d, by512, _mm_loadu_si128(at + 3));
	}
	a = fold(fold(fold(a, by128, b), by128, c), by128, d);
	for (; n >= 16; at++, n -= 16)
		a = fold(a, by128, _mm_loadu_si128(at));
	unsigned char rest[16];
	_mm_storeu_si128((__m128i *)rest, a);
	return by_tables(by_tables(0, rest, 16), (const unsigned char *)at, n);
}
#endif

uint64_t st_crc64(uint64_t crc, const void *data, size_t n)
{
#ifdef __x86_64__
	if (fast && n >= 64)
		return ~by_multiplication(~crc, data, n);
#endif
	return ~by_tables(~crc, data, n);
}

uint64_t st_crc64_portable(uint64_t crc, const void *data, size_t n)
{
	return ~by_tables(~crc, data, n);
}
