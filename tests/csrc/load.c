/* What bench/monitor.py puts a monitor under, with next to no cost of its own.
 *
 *   load write CHUNK TOTAL [FIFO]   write TOTAL bytes of lines to stdout, CHUNK at a time; at first wait for FIFO's end
 *   load check LOG TOTAL            read a CRI log of that: "LINES PIECES", or say what is wrong and fail
 *   load attach SOCKET TOTAL        receive that from an attach socket, print the seconds from the first packet to
 *                                   the last
 *   load spawn ARGV...              start a monitor and print the milliseconds to its message on _OCI_SYNCPIPE; ends
 *                                   after all that it started
 *
 * A line is 100 bytes with its number modulo 10000, so that a lost, doubled or torn one shows.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE 100
#define LINES 10000
#define PERIOD (LINE * LINES)
#define CHUNK_MAX (1 << 19)
#define PREFIX 45 /* "2006-01-02T15:04:05.000000000+00:00 stdout F " */

extern char **environ;

static char lines[PERIOD + CHUNK_MAX];

static int wrong(const char *what, long long at)
{
	printf("%s at byte %lld\n", what, at);
	return 1;
}

static double seconds(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fill(void)
{
	for (int i = 0; i < LINES; i++) {
		char *line = lines + (size_t)i * LINE;
		memset(line, 'a' + i % 26, LINE);
		char number[16];
		snprintf(number, sizeof(number), "%04d", i);
		memcpy(line, number, 4);
		line[LINE - 1] = '\n';
	}
	memcpy(lines + PERIOD, lines, CHUNK_MAX);
}

static int write_lines(size_t chunk, long long total, const char *fifo)
{
	char byte;
	if (chunk == 0 || chunk > CHUNK_MAX)
		return wrong("the chunk is too large", 0);
	if (fifo) {
		int fd = open(fifo, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, &byte, 1) < 0)
			return 1;
		close(fd);
	}
	for (long long at = 0; at < total;) {
		size_t size = total - at < (long long)chunk ? (size_t)(total - at) : chunk;
		ssize_t done = write(STDOUT_FILENO, lines + at % PERIOD, size);
		if (done <= 0)
			return 1;
		at += done;
	}
	return 0;
}

static int check(const char *path, long long total)
{
	struct stat info;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0)
		return wrong("cannot open the log", 0);
	const char *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return wrong("cannot map the log", 0);
	const char *end = data + info.st_size, *next;
	long long at = 0, whole = 0, pieces = 0;
	for (const char *from = data; from < end; from = next) {
		next = memchr(from, '\n', (size_t)(end - from));
		if (!next)
			return wrong("a last line without newline", at);
		next++;
		if (next - from <= PREFIX || memcmp(from + 35, " stdout ", 8) || (from[43] != 'F' && from[43] != 'P'))
			return wrong("a line of another form", at);
		int piece = from[43] == 'P';
		size_t length = (size_t)(next - from) - PREFIX - (size_t)piece;
		if (length > LINE || memcmp(from + PREFIX, lines + at % PERIOD, length))
			return wrong("other text than was written", at);
		at += (long long)length;
		whole += !piece;
		pieces += piece;
	}
	if (at != total)
		return wrong("the end is", at);
	printf("%lld %lld\n", whole, pieces);
	return 0;
}

static int attach(const char *path, long long total)
{
	static char packet[65536];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return wrong("cannot connect", 0);
	puts("connected");
	fflush(stdout);
	double begin = 0, end = 0;
	long long at = 0;
	for (ssize_t got; (got = recv(fd, packet, sizeof(packet), 0)) > 0; at += got - 1) {
		size_t size = (size_t)got - 1 < LINE ? (size_t)got - 1 : LINE;
		if (!at)
			begin = seconds();
		if (packet[0] != 2 || memcmp(packet + 1, lines + at % PERIOD, size) ||
		    packet[got - 1] != lines[(at + got - 2) % PERIOD])
			return wrong("other text than was written", at);
		if (at + got - 1 == total)
			end = seconds();
	}
	if (at != total)
		return wrong("the end is", at);
	printf("%.6f\n", end - begin);
	return 0;
}

static int spawn(char **argv)
{
	char buffer[4096], number[16];
	int ends[2];
	pid_t pid;
	prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
	if (pipe(ends) < 0 || fcntl(ends[0], F_SETFD, FD_CLOEXEC) < 0)
		return wrong("no pipe", 0);
	snprintf(number, sizeof(number), "%d", ends[1]);
	setenv("_OCI_SYNCPIPE", number, 1);
	double begin = seconds();
	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ))
		return wrong("cannot start the monitor", 0);
	close(ends[1]);
	ssize_t got = read(ends[0], buffer, sizeof(buffer) - 1);
	double end = seconds();
	buffer[got > 0 ? got : 0] = 0;
	while (wait(NULL) > 0)
		;
	if (!strstr(buffer, "{\"data\": ") || strstr(buffer, "-1"))
		return wrong("no message of success", got);
	printf("%.6f\n", (end - begin) * 1000);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	if (!strcmp(what, "spawn"))
		return spawn(argv + 2);
	fill();
	if (argc > 3 && !strcmp(what, "write"))
		return write_lines((size_t)atoll(argv[2]), atoll(argv[3]), argv[4]);
	if (argc > 3 && !strcmp(what, "check"))
		return check(argv[2], atoll(argv[3]));
	if (argc > 3 && !strcmp(what, "attach"))
		return attach(argv[2], atoll(argv[3]));
	return wrong("usage: see the source", 0);
}
