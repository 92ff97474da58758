#include "buffer_internal.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int st_buffer_reserve(struct st_buffer *b, size_t more)
{
	if (b->room - b->size >= more)
		return 0;
	if (more > SIZE_MAX / 4 - b->size)
		return -ENOMEM;
	size_t room = b->size + b->size / 2;
	if (room < b->size + more)
		room = b->size + more;
	if (room < 256)
		room = 256;
	char *data = realloc(b->data, room);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->room = room;
	return 0;
}

int st_buffer_add(struct st_buffer *b, const void *data, size_t n)
{
	if (!n)
		return 0;
	int error = st_buffer_reserve(b, n);
	if (error)
		return error;
	memcpy(b->data + b->size, data, n);
	b->size += n;
	return 0;
}

int st_buffer_set(struct st_buffer *b, const void *data, size_t n)
{
	b->size = 0;
	if (n > SIZE_MAX / 8)
		return -ENOMEM;
	int error = st_buffer_reserve(b, n + 1);
	if (error)
		return error;
	if (n)
		memcpy(b->data, data, n);
	b->data[n] = 0;
	b->size = n;
	return 0;
}

void st_buffer_free(struct st_buffer *b)
{
	free(b->data);
	*b = (struct st_buffer){ 0 };
}
