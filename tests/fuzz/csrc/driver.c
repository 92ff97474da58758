/* For compilers without libFuzzer: runs a target over a corpus, changed at random, without guidance by coverage.
 * driver [-max_total_time=N] [-max_len=N] [-timeout=N] [-artifact_prefix=P] CORPUS..., as libFuzzer; files are run once. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

static uint32_t state = 1;

struct input {
	uint8_t *data;
	size_t size;
};

static struct input *corpus;
static size_t corpus_count;
static uint8_t *present;
static size_t present_size, room = 65536;
static const char *prefix = "";

static void keep_input(int number)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%scrash-%ld", prefix, (long)time(NULL));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd >= 0 && write(fd, present, present_size) == (ssize_t)present_size)
		fprintf(stderr, "%s; input in %s\n", number == SIGALRM ? "ERROR: timeout" : "ERROR: crash", path);
	signal(number, SIG_DFL);
	raise(number == SIGALRM ? SIGKILL : number);
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most)
{
	size_t at, n;

	if (size == 0) {
		data[0] = (uint8_t)fuzz_random(&state, 256);
		return 1;
	}
	at = fuzz_random(&state, (uint32_t)size);
	switch (fuzz_random(&state, 6)) {
	case 0:
		data[at] ^= (uint8_t)(1u << fuzz_random(&state, 8));
		break;
	case 1:
		data[at] = (uint8_t)fuzz_random(&state, 256);
		break;
	case 2: /* cut out */
		n = 1 + fuzz_random(&state, (uint32_t)(size - at));
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	case 3: /* repeat */
		n = 1 + fuzz_random(&state, (uint32_t)(size - at));
		if (size + n > most)
			break;
		memmove(data + at + n, data + at, size - at);
		return size + n;
	case 4: { /* from another input */
		const struct input *other = &corpus[fuzz_random(&state, (uint32_t)corpus_count)];
		size_t from = other->size ? fuzz_random(&state, (uint32_t)other->size) : 0;

		n = other->size - from < size - at ? other->size - from : size - at;
		memcpy(data + at, other->data + from, n);
		break;
	}
	default:
		n = 1 + fuzz_random(&state, 8);
		for (size_t i = at; i < size && i < at + n; i++)
			data[i] = "\0\xff 0129/.=\n\"{}[],"[fuzz_random(&state, 18)];
	}
	return size;
}

static void take(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct input *more = realloc(corpus, (corpus_count + 1) * sizeof(*corpus));
	uint8_t *data;

	if (fd < 0 || fstat(fd, &status) < 0 || more == NULL)
		exit(2);
	corpus = more;
	data = malloc((size_t)status.st_size + 1);
	if (data == NULL || read(fd, data, (size_t)status.st_size) != status.st_size)
		exit(2);
	close(fd);
	corpus[corpus_count++] = (struct input){data, (size_t)status.st_size};
}

static void take_all(const char *path)
{
	char name[4096];
	struct dirent *item;
	DIR *directory = opendir(path);

	if (directory == NULL) {
		take(path);
		return;
	}
	while ((item = readdir(directory)) != NULL)
		if (item->d_name[0] != '.') {
			snprintf(name, sizeof(name), "%s/%s", path, item->d_name);
			take(name);
		}
	closedir(directory);
}

int main(int argc, char **argv)
{
	unsigned long count = 0, timeout = 10;
	long seconds = 0;
	time_t end;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-max_total_time=", 16) == 0)
			seconds = atol(argv[i] + 16);
		else if (strncmp(argv[i], "-max_len=", 9) == 0)
			room = strtoul(argv[i] + 9, NULL, 10);
		else if (strncmp(argv[i], "-timeout=", 9) == 0)
			timeout = strtoul(argv[i] + 9, NULL, 10);
		else if (strncmp(argv[i], "-artifact_prefix=", 17) == 0)
			prefix = argv[i] + 17;
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			state = (uint32_t)strtoul(argv[i] + 6, NULL, 10);
		else if (argv[i][0] != '-')
			take_all(argv[i]);
	}
	for (int number = 0; number < 4; number++)
		signal((int[]){SIGABRT, SIGSEGV, SIGBUS, SIGALRM}[number], keep_input);
	LLVMFuzzerInitialize(&argc, &argv);
	for (size_t i = 0; i < corpus_count; i++, count++) {
		present = corpus[i].data;
		present_size = corpus[i].size;
		alarm((unsigned)timeout);
		LLVMFuzzerTestOneInput(present, present_size);
	}
	present = malloc(room);
	end = time(NULL) + seconds;
	while (seconds && corpus_count && present != NULL && (count % 64 || time(NULL) < end)) {
		const struct input *from = &corpus[fuzz_random(&state, (uint32_t)corpus_count)];

		present_size = from->size < room ? from->size : room;
		memcpy(present, from->data, present_size);
		for (uint32_t changes = 1 + fuzz_random(&state, 8); changes; changes--)
			present_size = LLVMFuzzerCustomMutator && fuzz_random(&state, 4)
					       ? LLVMFuzzerCustomMutator(present, present_size, room, state)
					       : LLVMFuzzerMutate(present, present_size, room);
		alarm((unsigned)timeout);
		LLVMFuzzerTestOneInput(present, present_size);
		count++;
	}
	alarm(0);
	fprintf(stderr, "stat::number_of_executed_units: %lu\n", count);
	return 0;
}
