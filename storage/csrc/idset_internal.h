/* A set of user or group ids below 2^32 - 1. All zero is an empty one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct st_idset {
	uint32_t *slots; /* UINT32_MAX: free */
	size_t count, room;
	uint32_t last;
};

/* 0 or -ENOMEM. */
int st_idset_add(struct st_idset *set, uint32_t id);
