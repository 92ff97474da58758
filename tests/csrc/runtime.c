/* An OCI runtime for tests of the monitor: no namespaces, no root, no delays.
 *
 * create and exec start `/bin/sh -c $FAKE_SCRIPT` (exec: $FAKE_EXEC_SCRIPT) and write its pid; with --console-socket it
 * gets a terminal. The words are appended to $FAKE_ARGS. FAKE_FAIL=TEXT writes TEXT to stderr and fails with status 3;
 * FAKE_FAIL=- fails silently. FAKE_SLEEP=SECONDS holds create up. FAKE_NOPID=1 writes no pid file.
 * FAKE_ORPHANS=N leaves N ended processes behind, besides the container's. FAKE_PROGRAM=PATH is run instead of a shell.
 * FAKE_RAW=1: the terminal neither echoes nor edits, whoever writes to it first.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

static int send_master(const char *path)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	grantpt(master);
	unlockpt(master);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	struct termios mode;
	if (getenv("FAKE_RAW") && tcgetattr(slave, &mode) == 0) {
		mode.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG | IEXTEN);
		mode.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
		tcsetattr(slave, TCSANOW, &mode);
	}
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(sock, (struct sockaddr *)&to, sizeof(to)) < 0)
		exit(4);
	char name[] = "/dev/ptmx";
	struct iovec part = {name, sizeof(name)};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control)};
	struct cmsghdr *item = CMSG_FIRSTHDR(&message);
	item->cmsg_level = SOL_SOCKET;
	item->cmsg_type = SCM_RIGHTS;
	item->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(item), &master, sizeof(int));
	if (sendmsg(sock, &message, 0) < 0)
		exit(5);
	close(master);
	return slave;
}

int main(int argc, char **argv)
{
	const char *pid_file = NULL, *console = NULL, *text;
	int is_exec = 0;
	FILE *record = getenv("FAKE_ARGS") ? fopen(getenv("FAKE_ARGS"), "a") : NULL;
	for (int i = 1; i < argc; i++) {
		if (record)
			fprintf(record, "%s\n", argv[i]);
		is_exec |= !strcmp(argv[i], "exec");
		if (i + 1 < argc && !strcmp(argv[i], "--pid-file"))
			pid_file = argv[i + 1];
		if (i + 1 < argc && !strcmp(argv[i], "--console-socket"))
			console = argv[i + 1];
	}
	if (record)
		fclose(record);
	if (getenv("FAKE_SLEEP"))
		sleep((unsigned)atoi(getenv("FAKE_SLEEP")));
	if ((text = getenv("FAKE_FAIL"))) {
		if (strcmp(text, "-"))
			fprintf(stderr, "%s\n", text);
		return 3;
	}
	const char *script = getenv(is_exec ? "FAKE_EXEC_SCRIPT" : "FAKE_SCRIPT");
	int slave = console && *console && !getenv("FAKE_NOTTY") ? send_master(console) : -1;
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		if (slave >= 0) {
			ioctl(slave, TIOCSCTTY, 0);
			dup2(slave, 0);
			dup2(slave, 1);
			dup2(slave, 2);
			close(slave);
		}
		if ((text = getenv("FAKE_PROGRAM")))
			execl(text, text, (char *)NULL);
		execl("/bin/sh", "sh", "-c", script ? script : "true", (char *)NULL);
		_exit(127);
	}
	for (int i = getenv("FAKE_ORPHANS") ? atoi(getenv("FAKE_ORPHANS")) : 0; i > 0; i--)
		if (fork() == 0)
			_exit(99);
	if (!getenv("FAKE_NOPID") && pid_file) {
		FILE *file = fopen(pid_file, "w");
		fprintf(file, "%d", (int)pid);
		fclose(file);
	}
	return 0;
}
