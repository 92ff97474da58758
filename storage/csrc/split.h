/* The records of tar-split, as text: a JSON object a line. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct st_split st_split;

/* NULL where there is no memory. */
st_split *st_split_new(void);
void st_split_free(st_split *s);

/* Bytes that are in no file, at most 1 MiB: 0 or -ENOMEM. */
int st_split_raw(st_split *s, const void *data, size_t n);

/* An entry of which size bytes are in the file called name, with their CRC-64/GO-ISO: its position, or -ENOMEM. */
int64_t st_split_file(st_split *s, const char *name, size_t name_size, uint64_t size, uint64_t crc);

/* The text since the last st_split_clear. */
const char *st_split_text(const st_split *s, size_t *size);
void st_split_clear(st_split *s);
