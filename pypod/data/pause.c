/* The first process of a pod's infra container: it holds the pod's namespaces and does nothing, until it is told to
   end. Where the pod shares its pid namespace it is everybody's init, and reaps orphans. */

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int main(void)
{
	sigset_t awaited;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGINT);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGCHLD);
	/* Blocked ones are kept for sigwait: as PID 1 it would not get a signal whose action is the default. */
	if (sigprocmask(SIG_BLOCK, &awaited, NULL))
		return 1;
	prctl(PR_SET_NAME, "pause");
	for (;;) {
		int number = 0;

		if (sigwait(&awaited, &number))
			continue;
		if (number != SIGCHLD)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
