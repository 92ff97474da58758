/* The monitor's command line: any words, given as bytes with NUL between them. */
#define _GNU_SOURCE
#include "../../../conmon/csrc/options.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define MOST 256

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* Each word in memory of its own, so that a step beyond it is seen. */
static int split(const uint8_t *data, size_t size, char **words)
{
	int count = 0;

	words[count++] = strdup("conmon");
	while (size && count < MOST) {
		const uint8_t *end = memchr(data, 0, size);
		size_t length = end ? (size_t)(end - data) : size;

		words[count++] = strndup((const char *)data, length);
		data += length + (end != NULL);
		size -= length + (end != NULL);
	}
	return count;
}

static int from_words(const char *value, char **words, int count)
{
	for (int i = 1; i < count; i++)
		if (value >= words[i] && value <= words[i] + strlen(words[i]))
			return 1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *words[MOST + 1] = {NULL};
	size_t room = size ? 1 + data[0] : 64;
	char *error = malloc(room);
	int count = split(data, size, words);
	struct option_item *items = malloc((size_t)count * sizeof(*items));
	struct options options;
	int raw;

	if (options_parse(&options, count, words, items, error, room) < 0) {
		if (memchr(error, 0, room) == NULL)
			fuzz_fail("an error without its end");
	} else {
		const char *wrong = options_check(&options, &raw);

		if (wrong == NULL)
			wrong = options_check_rest(&options);
		if (wrong != NULL && strlen(wrong) > 200)
			fuzz_fail("an endless message");
		if (wrong == NULL && (options.cid == NULL || options.runtime == NULL))
			fuzz_fail("something is missing, and it was not said");
		for (int list = LIST_LOG; list <= LIST_IGNORED; list++) {
			int at = 0;

			for (const char *value; (value = options_next(&options, list, &at));)
				if (!from_words(value, words, count))
					fuzz_fail("a value from nowhere");
		}
	}
	if (options.n_items >= count)
		fuzz_fail("more values than words");
	free(items);
	free(error);
	for (int i = 0; i < count; i++)
		free(words[i]);
	return 0;
}
