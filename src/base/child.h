/* child.h - a program that is run beside us, in a process group of its own, so that all of it can be killed.
 *
 * It is started by posix_spawn, which threads do not mind. Its input is empty, its signals are those of a fresh program
 * whatever we have made of ours, and of descriptors it gets what it is given, and no other. */
#ifndef GM_BASE_CHILD_H
#define GM_BASE_CHILD_H

#include "base/error.h"

#include <sys/types.h>

struct gm_child_options {
	const char *program; /* looked for in PATH unless it has a slash */
	char *const *arguments, *const *environment;
	int output, errors; /* descriptors that become its standard output and error; -1: what it writes is thrown away */
};
/* errno's value; 0: it runs, and *child is its number and that of its group. */
int gm_child_start(const struct gm_child_options *options, pid_t *child);
/* Has it ended? Then *status is what waitpid says, 0 if somebody else has waited for it: a process that ignores SIGCHLD
 * never learns it. */
bool gm_child_has_ended(pid_t child, int *status);
/* Kills it with all that it has started, and waits for it. */
void gm_child_kill(pid_t child);

#endif
