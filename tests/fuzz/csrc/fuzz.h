/* What a fuzz target has, and what it can use. A target is built with clang's libFuzzer, or with driver.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's interface (llvm.org/docs/LibFuzzer.html). */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

/* A pseudo-random number below limit (which is not 0). */
uint32_t fuzz_random(uint32_t *state, uint32_t limit);

/* One change of a tar archive, its checksums made right again: what the parser would refuse at once is no test of it. */
size_t fuzz_mutate_tar(uint8_t *data, size_t size, size_t room, unsigned seed);

/* Reports a broken promise and ends the process as a crash. */
_Noreturn void fuzz_fail(const char *what);

/* A private place in memory, with directories ``names`` (NULL at the end) in it, and "outside" with a file that nobody
 * may touch; the process's working directory afterwards. */
void fuzz_make_place(const char *const *names);

/* Ends the process as a crash if something outside has changed. */
void fuzz_check_outside(void);

/* Removes all that is below a directory (given from the working directory). */
void fuzz_empty(const char *directory);
