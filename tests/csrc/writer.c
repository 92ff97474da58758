/* A container's process that does what a plan says, and reports what it has done (tests/support/schedule_plans.py).
 *
 * writer              carry out $WRITER_PLAN; the report is $WRITER_PLAN.report, mapped; echoed input $WRITER_PLAN.echo
 * writer append FILE  add one byte to FILE: an exit command that can be counted
 * writer client DIR   attach to the monitor of the bundle DIR and read slowly until killed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { OUT, ERR, PAUSE, HOLD, ECHO_INPUT, CLOSE_INPUT, PIPE_SIZE, KEEPER };
enum { TERM_DEFAULT, TERM_IGNORE, TERM_END };
#define TERMINATED 100 /* exit status */

struct plan {
	uint32_t n_ops, term, status, out_length;
	struct {
		uint32_t kind, value;
	} ops[];
	/* then the bytes for stdout, then those for stderr */
};

struct report {
	volatile uint32_t go; /* set by the test */
	volatile uint32_t ready, op, held, terminated;
	volatile uint32_t echo_at, echoed, written[2], input_ended;
};

static struct report *report;
static volatile sig_atomic_t asked_to_end;

static void on_signal(int number)
{
	(void)number;
	asked_to_end = 1;
}

static void end_if_asked(void)
{
	if (!asked_to_end)
		return;
	report->terminated = 1;
	_exit(TERMINATED);
}

static void *map(const char *path, int flags, int protection)
{
	struct stat info;
	int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0)
		_exit(90);
	void *result = mmap(NULL, (size_t)info.st_size, protection, MAP_SHARED, fd, 0);
	close(fd);
	return result == MAP_FAILED ? NULL : result;
}

static void put(int stream, const char *data, size_t length)
{
	while (length) {
		end_if_asked();
		ssize_t done = write(stream + 1, data, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			_exit(91);
		data += done;
		length -= (size_t)done;
		report->written[stream] += (uint32_t)done;
	}
}

static void rest(uint32_t microseconds)
{
	struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		end_if_asked();
}

static void hold(uint32_t number)
{
	report->held = number;
	while (report->go < number) {
		rest(500);
		end_if_asked();
	}
}

/* Echo stdin to its end, or, once there has been enough time, until there is nothing more. */
static void echo(const char *plan, uint32_t number)
{
	char path[4096], buffer[65536];
	strcat(strcpy(path, plan), ".echo");
	int copy = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	report->echo_at = report->written[0];
	for (;;) {
		struct pollfd input = {.fd = 0, .events = POLLIN};
		int late = report->go >= number;
		end_if_asked();
		if (poll(&input, 1, 1) <= 0) {
			if (late)
				break;
			continue;
		}
		ssize_t got = read(0, buffer, sizeof(buffer));
		report->input_ended = got <= 0;
		if (got <= 0)
			break;
		if (write(copy, buffer, (size_t)got) != got)
			_exit(92);
		report->echoed += (uint32_t)got;
		put(OUT, buffer, (size_t)got);
	}
	close(copy);
}

/* Somebody who keeps the streams open beyond the end. */
static void keeper(uint32_t milliseconds)
{
	if (fork() == 0) {
		signal(SIGTERM, SIG_DFL);
		usleep(milliseconds * 1000);
		_exit(0);
	}
}

static void carry_out(const char *path, const struct plan *plan)
{
	const char *data[2] = {(const char *)&plan->ops[plan->n_ops], NULL};
	data[1] = data[0] + plan->out_length;
	for (uint32_t i = 0; i < plan->n_ops; i++) {
		uint32_t value = plan->ops[i].value;
		report->op = i;
		end_if_asked();
		switch (plan->ops[i].kind) {
		case OUT:
		case ERR:
			put((int)plan->ops[i].kind, data[plan->ops[i].kind], value);
			data[plan->ops[i].kind] += value;
			break;
		case PAUSE:
			rest(value);
			break;
		case HOLD:
			hold(value);
			break;
		case ECHO_INPUT:
			echo(path, value);
			break;
		case CLOSE_INPUT:
			close(0);
			break;
		case PIPE_SIZE:
			fcntl(1, F_SETPIPE_SZ, (int)value);
			break;
		case KEEPER:
			keeper(value);
			break;
		}
	}
	report->op = plan->n_ops;
}

static int append(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	return write(fd, "x", 1) != 1;
}

static int client(const char *bundle)
{
	char buffer[8193];
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "attach"};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (chdir(bundle) < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	while (read(fd, buffer, sizeof(buffer)) > 0)
		usleep(1000);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return strcmp(argv[1], "client") ? append(argv[2]) : client(argv[2]);
	const char *path = getenv("WRITER_PLAN");
	char name[4096];
	if (!path || strlen(path) > sizeof(name) - 10)
		return 93;
	const struct plan *plan = map(path, O_RDONLY, PROT_READ);
	strcat(strcpy(name, path), ".report");
	report = map(name, O_RDWR, PROT_READ | PROT_WRITE);
	struct sigaction action = {.sa_handler = plan->term == TERM_IGNORE ? SIG_IGN : on_signal};
	if (plan->term != TERM_DEFAULT) {
		sigaction(SIGTERM, &action, NULL);
		sigaction(SIGINT, &action, NULL);
	}
	report->ready = 1;
	carry_out(path, plan);
	return (int)plan->status;
}
