/* A piece of memory that grows. All zero is an empty one. */
#pragma once

#include <stddef.h>

struct st_buffer {
	char *data;
	size_t size, room;
};

/* Room for more bytes at the end: 0 or -ENOMEM. */
int st_buffer_reserve(struct st_buffer *b, size_t more);

/* 0 or -ENOMEM. */
int st_buffer_add(struct st_buffer *b, const void *data, size_t n);

/* The content becomes these bytes, with a zero byte behind them that is not counted: 0 or -ENOMEM. */
int st_buffer_set(struct st_buffer *b, const void *data, size_t n);

void st_buffer_free(struct st_buffer *b);
