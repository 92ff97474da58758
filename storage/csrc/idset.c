#include "idset_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where id is, or where it belongs; room is a power of two. */
static size_t place(const uint32_t *slots, size_t room, uint32_t id)
{
	size_t at = (id * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (room - 1);

	while (slots[at] != UINT32_MAX && slots[at] != id)
		at = (at + 1) & (room - 1);
	return at;
}

int st_idset_add(struct st_idset *set, uint32_t id)
{
	if (set->count && set->last == id)
		return 0; /* most entries have the owner of the one before */
	if (set->count * 2 >= set->room) {
		size_t room = set->room ? set->room * 2 : 16;
		uint32_t *slots = malloc(room * sizeof *slots);
		if (!slots)
			return -ENOMEM;
		memset(slots, 0xff, room * sizeof *slots);
		for (size_t i = 0; i < set->room; i++)
			if (set->slots[i] != UINT32_MAX)
				slots[place(slots, room, set->slots[i])] = set->slots[i];
		free(set->slots);
		set->slots = slots;
		set->room = room;
	}
	size_t at = place(set->slots, set->room, id);
	set->count += set->slots[at] != id;
	set->slots[at] = id;
	set->last = id;
	return 0;
}
