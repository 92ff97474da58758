/* The reader of tar-split: any records, over a layer whose links lead out. */
#define _GNU_SOURCE
#include "../../../storage/csrc/rebuild.h"
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int roots[2];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const names[] = {"root", "root/d", "lower", NULL};
	int fd;

	(void)argc;
	(void)argv;
	fuzz_make_place(names);
	fd = open("root/a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "content", 7) != 7 || symlink("../outside/secret", "root/s") < 0 ||
	    symlink("../../outside", "root/d/s") < 0)
		fuzz_fail("the layer");
	close(fd);
	roots[0] = open("root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	roots[1] = open("lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char buffer[1 << 16], seen[16];
	uint32_t state = (uint32_t)size;
	int error = 0;
	struct st_rebuild *rebuild = st_rebuild_open(roots, 2, &error);
	size_t tail = 0;

	if (rebuild == NULL)
		fuzz_fail("cannot open");
	for (int last = 0; !last;) {
		size_t n = fuzz_random(&state, 3000);
		int64_t got;

		if (n >= size)
			n = size;
		last = n == size;
		if (st_rebuild_feed(rebuild, data, n, last) < 0)
			break;
		data += n;
		size -= n;
		while ((got = st_rebuild_read(rebuild, buffer, 1 + fuzz_random(&state, sizeof(buffer)))) > 0) {
			/* Records of type 2 may say "secret" themselves; only a whole read of the file is its six bytes. */
			if (got == 6 && memcmp(buffer, "secret", 6) == 0)
				tail++;
		}
		if (got < 0) {
			if (strlen(st_rebuild_message(rebuild)) > 8192)
				fuzz_fail("an endless message");
			break;
		}
	}
	(void)seen;
	(void)tail;
	st_rebuild_close(rebuild);
	fuzz_check_outside();
	return 0;
}
