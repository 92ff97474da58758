/* What storage needs from C: the checksum of tar-split, and syncfs(2). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* CRC-64/GO-ISO of n bytes, continuing from crc (0 at the start). */
uint64_t st_crc64(uint64_t crc, const void *data, size_t n);

/* The same as a processor without carry-less multiplication computes it. */
uint64_t st_crc64_portable(uint64_t crc, const void *data, size_t n);

/* syncfs(2); 0 or -errno. */
int st_syncfs(int fd);
