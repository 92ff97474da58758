/* The unpacker: any bytes, below a directory that nothing may leave. */
#define _GNU_SOURCE
#include "../../../storage/csrc/unpack.h"
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int lower;

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 64; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const names[] = {"root", "shadow", "lower", "lower/d", NULL};

	(void)argc;
	(void)argv;
	fuzz_make_place(names);
	if (symlink("../outside", "lower/s") < 0 || chmod("lower/d", 01777) < 0)
		fuzz_fail("the lower layer");
	lower = open("lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t state = size ? data[size - 1] : 0;
	st_unpack_options options = {
		.lowers = &lower,
		.lower_count = 1,
		.shadow = "shadow",
		.in_user_namespace = 1,
		.unknown_lowers = (int)fuzz_random(&state, 2),
		.whiteouts = (int)fuzz_random(&state, 3),
		.free = 32 << 20,
		.limits = {.entries = 1000, .name = 4096, .pax = 1 << 20, .sparse = 1 << 24},
	};
	int before = count_fds(), result = 0;
	st_unpack *unpack;
	size_t n;
	const char *path;

	options.root = open("root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unpack = st_unpack_new(&options);
	if (unpack == NULL)
		fuzz_fail("no memory");
	while (size && result == 0) {
		size_t piece = 1 + fuzz_random(&state, 5000), used = 0;

		if (piece > size)
			piece = size;
		result = st_unpack_feed(unpack, data, piece, &used);
		if (used > piece)
			fuzz_fail("more taken than given");
		data += used;
		size -= used;
		if (used == 0 || fuzz_random(&state, 4) == 0)
			st_unpack_clear(unpack);
	}
	if (result == 0)
		result = st_unpack_finish(unpack);
	if (result > 0)
		fuzz_fail("a result above 0");
	if (result == 0) {
		st_unpack_text(unpack, &n);
		st_unpack_ids(unpack, 0, &n);
		for (size_t at = 0; (path = st_unpack_implied(unpack, &at)) != NULL;)
			result |= st_unpack_inherit(unpack, path);
		st_unpack_finish(unpack);
		size_t shadows = st_unpack_shadows(unpack), found = 0;
		for (uint32_t position = 0; position < 1 << 16 && found < shadows; position++)
			if ((path = st_unpack_shadow(unpack, position)) != NULL) {
				found++;
				if (strstr(path, "..") == path)
					fuzz_fail("a shadow outside");
			}
	} else {
		n = strlen(st_unpack_error(unpack));
		if (n > 4096)
			fuzz_fail("an endless message");
		st_unpack_current(unpack);
	}
	st_unpack_free(unpack);
	close(options.root);
	if (count_fds() != before)
		fuzz_fail("a descriptor stays open");
	fuzz_check_outside();
	fuzz_empty("root");
	fuzz_empty("shadow");
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
	return fuzz_mutate_tar(data, size, room, seed);
}
