/* How much the files of a tree take. */
#include <stdint.h>

/*
 * The sum of the sizes of everything below top that is no directory, and how many there are. A file with several
 * links counts for each of them the part that falls to it. What vanishes meanwhile or cannot be opened counts nothing.
 * Stays on the file systems it meets, follows no link. 0 or -errno (ENOMEM).
 */
int st_usage(int top, int64_t *bytes, int64_t *files);
