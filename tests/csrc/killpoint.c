/* Kill a program at its Nth system call that changes a file system, before the kernel has done it.
 *
 *   killpoint [-u UID -g GID] [-n N] [-o REPORT] PROGRAM [ARG...]
 *
 * Counted are the calls of the program itself, of its threads, and of its children until these become other programs,
 * which are left alone. REPORT gets a line for each: its number, the call, its path. Without -n nothing is killed.
 * The exit code is the program's, 137 if it was killed, 125 if the tracing went wrong. As root, so that set-uid
 * programs below it keep their privilege.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct call {
	long number;
	const char *name;
	int path; /* which argument is the path, -1 for none */
	enum { ALWAYS, OPEN, OPENAT, OPENAT2, FILE_ONLY } when;
};

static const struct call calls[] = {
#ifdef SYS_open
	{ SYS_open, "open", 0, OPEN },
	{ SYS_creat, "creat", 0, ALWAYS },
	{ SYS_mkdir, "mkdir", 0, ALWAYS },
	{ SYS_rmdir, "rmdir", 0, ALWAYS },
	{ SYS_unlink, "unlink", 0, ALWAYS },
	{ SYS_rename, "rename", 0, ALWAYS },
	{ SYS_link, "link", 1, ALWAYS },
	{ SYS_symlink, "symlink", 1, ALWAYS },
	{ SYS_mknod, "mknod", 0, ALWAYS },
	{ SYS_chmod, "chmod", 0, ALWAYS },
	{ SYS_chown, "chown", 0, ALWAYS },
	{ SYS_lchown, "lchown", 0, ALWAYS },
#endif
	{ SYS_openat, "openat", 1, OPENAT },
	{ SYS_openat2, "openat2", 1, OPENAT2 },
	{ SYS_mkdirat, "mkdirat", 1, ALWAYS },
	{ SYS_unlinkat, "unlinkat", 1, ALWAYS },
	{ SYS_renameat, "renameat", 1, ALWAYS },
	{ SYS_renameat2, "renameat2", 1, ALWAYS },
	{ SYS_linkat, "linkat", 3, ALWAYS },
	{ SYS_symlinkat, "symlinkat", 2, ALWAYS },
	{ SYS_mknodat, "mknodat", 1, ALWAYS },
	{ SYS_fchmodat, "fchmodat", 1, ALWAYS },
	{ SYS_fchownat, "fchownat", 1, ALWAYS },
	{ SYS_utimensat, "utimensat", 1, ALWAYS },
	{ SYS_setxattr, "setxattr", 0, ALWAYS },
	{ SYS_lsetxattr, "lsetxattr", 0, ALWAYS },
	{ SYS_fsetxattr, "fsetxattr", -1, ALWAYS },
	{ SYS_removexattr, "removexattr", 0, ALWAYS },
	{ SYS_lremovexattr, "lremovexattr", 0, ALWAYS },
	{ SYS_fremovexattr, "fremovexattr", -1, ALWAYS },
	{ SYS_truncate, "truncate", 0, ALWAYS },
	{ SYS_ftruncate, "ftruncate", -1, ALWAYS },
	{ SYS_fallocate, "fallocate", -1, ALWAYS },
	{ SYS_fchmod, "fchmod", -1, ALWAYS },
	{ SYS_fchown, "fchown", -1, ALWAYS },
	{ SYS_fsync, "fsync", -1, ALWAYS },
	{ SYS_fdatasync, "fdatasync", -1, ALWAYS },
	{ SYS_syncfs, "syncfs", -1, ALWAYS },
	{ SYS_sync, "sync", -1, ALWAYS },
	{ SYS_sync_file_range, "sync_file_range", -1, ALWAYS },
	{ SYS_copy_file_range, "copy_file_range", -1, ALWAYS },
	{ SYS_sendfile, "sendfile", -1, FILE_ONLY },
	{ SYS_write, "write", -1, FILE_ONLY },
	{ SYS_writev, "writev", -1, FILE_ONLY },
	{ SYS_pwrite64, "pwrite", -1, FILE_ONLY },
	{ SYS_pwritev, "pwritev", -1, FILE_ONLY },
	{ SYS_mount, "mount", 1, ALWAYS },
	{ SYS_umount2, "umount", 0, ALWAYS },
	{ SYS_move_mount, "move_mount", 3, ALWAYS },
};

static long long count, wanted = -1;
static FILE *report;

static int copy_in(pid_t pid, unsigned long long address, void *to, size_t size)
{
	struct iovec mine = { to, size }, its = { (void *)(uintptr_t)address, size };
	ssize_t got = process_vm_readv(pid, &mine, 1, &its, 1, 0);

	return got < 0 ? -1 : (int)got;
}

static void read_path(pid_t pid, unsigned long long address, char *to, size_t size)
{
	/* A path may end just before a page that is not there. */
	size_t have = 0;

	to[0] = 0;
	while (have + 1 < size) {
		size_t page = 4096 - ((address + have) & 4095);
		size_t piece = page < size - 1 - have ? page : size - 1 - have;
		int got = copy_in(pid, address + have, to + have, piece);

		if (got <= 0)
			break;
		if (memchr(to + have, 0, (size_t)got))
			return;
		have += (size_t)got;
	}
	to[have] = 0;
}

static int is_file(pid_t pid, unsigned long long fd, char *path, size_t size)
{
	char name[64];
	struct stat found;

	snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)pid, (int)fd);
	if (stat(name, &found) < 0)
		return 0;
	ssize_t length = readlink(name, path, size - 1);
	path[length < 0 ? 0 : length] = 0;
	return S_ISREG(found.st_mode);
}

static int changes(pid_t pid, const struct call *call, const unsigned long long *args, char *path, size_t size)
{
	struct open_how how;

	path[0] = 0;
	switch (call->when) {
	case OPEN:
		if (!(args[1] & (O_CREAT | O_TRUNC)))
			return 0;
		break;
	case OPENAT:
		if (!(args[2] & (O_CREAT | O_TRUNC)))
			return 0;
		break;
	case OPENAT2:
		if (copy_in(pid, args[2], &how, sizeof how) != sizeof how || !(how.flags & (O_CREAT | O_TRUNC)))
			return 0;
		break;
	case FILE_ONLY:
		return is_file(pid, args[0], path, size);
	case ALWAYS:
		if (call->path < 0)
			is_file(pid, args[0], path, size);
		break;
	}
	if (call->path >= 0)
		read_path(pid, args[call->path], path, size);
	return 1;
}

static pid_t group_of(pid_t pid)
{
	char name[64], line[256];
	int group = (int)pid;

	snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
	FILE *file = fopen(name, "r");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "Tgid: %d", &group) == 1)
			break;
	if (file)
		fclose(file);
	return (pid_t)group;
}

static void at_call(pid_t pid)
{
	struct __ptrace_syscall_info info;
	char path[4096];

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if ((unsigned long long)calls[i].number != info.entry.nr)
			continue;
		unsigned long long args[6];
		for (int k = 0; k < 6; k++)
			args[k] = info.entry.args[k];
		if (!changes(pid, &calls[i], args, path, sizeof path))
			return;
		count++;
		if (report)
			fprintf(report, "%lld %s %s\n", count, calls[i].name, path);
		if (count == wanted)
			kill(group_of(pid), SIGKILL);
		return;
	}
}

static int trace(pid_t first)
{
	int code = 125, status, known_first = 0;
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
			     PTRACE_O_TRACEEXEC;

	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return code;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid == first)
				code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		if (!WIFSTOPPED(status))
			continue;
		int sign = WSTOPSIG(status), event = status >> 16;
		if (pid == first && !known_first) {
			known_first = 1;
			if (ptrace(PTRACE_SETOPTIONS, pid, 0, options) < 0)
				return 125;
			sign = 0;
		} else if (sign == (SIGTRAP | 0x80)) {
			at_call(pid);
			sign = 0;
		} else if (event == PTRACE_EVENT_EXEC && group_of(pid) != first) {
			ptrace(PTRACE_DETACH, pid, 0, 0);
			continue;
		} else if (event || sign == SIGSTOP) {
			sign = 0; /* new children begin with SIGSTOP */
		}
		ptrace(PTRACE_SYSCALL, pid, 0, sign);
	}
}

int main(int argc, char *argv[])
{
	int option;
	long uid = -1, gid = -1;

	while ((option = getopt(argc, argv, "+u:g:n:o:")) != -1) {
		if (option == 'u')
			uid = atol(optarg);
		else if (option == 'g')
			gid = atol(optarg);
		else if (option == 'n')
			wanted = atoll(optarg);
		else if (option == 'o')
			report = fopen(optarg, "we");
		else
			return 125;
	}
	if (optind >= argc)
		return 125;
	pid_t child = fork();
	if (child == 0) {
		gid_t group = (gid_t)gid;
		/* While still root: the kernel asks what the tracee may do then whether set-uid programs keep their bit. */
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(125);
		if (gid >= 0 && (setgroups(1, &group) < 0 || setgid(group) < 0))
			_exit(125);
		if (uid >= 0 && setuid((uid_t)uid) < 0)
			_exit(125);
		raise(SIGSTOP);
		execv(argv[optind], argv + optind);
		_exit(127);
	}
	int code = child < 0 ? 125 : trace(child);
	if (report)
		fclose(report);
	return code;
}
