/* The tar parser: any bytes, in pieces of any length. */
#include "../../../storage/csrc/tar.h"
#include "fuzz.h"

#include <errno.h>
#include <string.h>

static const st_tar_limits limits = {.entries = 100000, .name = 4096, .pax = 1 << 20, .sparse = 1ll << 40};

static uint64_t sum; /* keeps what has been read from being optimised away */

static void read_all(const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum += ((const uint8_t *)data)[i];
}

static void look(const st_tar_entry *entry)
{
	int64_t end = 0, total = 0;

	if (entry->name_size == 0 || memchr(entry->name, 0, entry->name_size) != NULL || entry->name[entry->name_size])
		fuzz_fail("an entry's name");
	read_all(entry->name, entry->name_size);
	if (entry->target_size && (memchr(entry->target, 0, entry->target_size) || entry->target[entry->target_size]))
		fuzz_fail("an entry's target");
	if (entry->size < 0 || entry->stored < 0)
		fuzz_fail("an entry's size");
	for (size_t i = 0; i < entry->attribute_count; i++) {
		read_all(entry->attributes[i].key, entry->attributes[i].key_size);
		read_all(entry->attributes[i].value, entry->attributes[i].value_size);
	}
	if (!entry->sparse)
		return;
	for (size_t i = 0; i < entry->piece_count; i++) {
		if (entry->pieces[i].offset < end || entry->pieces[i].length < 0)
			fuzz_fail("a sparse map is out of order");
		end = entry->pieces[i].offset + entry->pieces[i].length;
		total += entry->pieces[i].length;
	}
	if (end > entry->size || total != entry->stored)
		fuzz_fail("a sparse map does not fit");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	st_tar *tar = st_tar_new(&limits);
	uint32_t state = size ? data[0] : 0;
	int64_t skip = 0;
	int result = 0;

	if (tar == NULL)
		return 0;
	while (size) {
		size_t n = 1 + fuzz_random(&state, 3000), used = 0;

		if (n > size)
			n = size;
		if (skip) {
			if ((int64_t)n > skip)
				n = (size_t)skip;
			skip -= (int64_t)n;
			data += n;
			size -= n;
			continue;
		}
		result = st_tar_feed(tar, data, n, &used);
		if (used > n)
			fuzz_fail("more taken than given");
		data += used;
		size -= used;
		if (result == ST_TAR_ENTRY) {
			look(st_tar_current(tar));
			skip = st_tar_current(tar)->stored;
		} else if (result < 0 || result == ST_TAR_END) {
			break;
		} else if (!used && result == ST_TAR_MORE) {
			fuzz_fail("no progress");
		}
	}
	if (result >= 0 && result != ST_TAR_END)
		result = st_tar_finish(tar);
	if (result < 0) {
		if (result != -EBADMSG && result != -E2BIG && result != -ENOMEM)
			fuzz_fail("an error that is none of the three");
		read_all(st_tar_error(tar), strlen(st_tar_error(tar)));
		read_all(st_tar_current(tar)->name, st_tar_current(tar)->name_size);
	}
	st_tar_free(tar);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
	return fuzz_mutate_tar(data, size, room, seed);
}
