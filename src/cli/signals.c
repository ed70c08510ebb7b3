/* signals.c - SIGINT and SIGTERM ask a command to stop cleanly; asked twice, it is killed. */
#include "cli/cli.h"

#include <signal.h>

static volatile int caught; /* what gm_run_options.stop looks at */

static void on_signal(int number)
{
	__atomic_store_n(&caught, number, __ATOMIC_RELAXED); /* other threads look at it */
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
}

const volatile int *gm_cli_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction old;
	static const int numbers[] = {SIGINT, SIGTERM};
	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		/* Who started us with a signal ignored (nohup, a shell's background job) means it. */
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
		(void)sigaction(numbers[i], &action, NULL);
	}
	return &caught;
}

int gm_cli_signal(void)
{
	return caught;
}
