/* hook.h - the command that is run when a run has failed (`on_failure`). */
#ifndef GM_WATCH_HOOK_H
#define GM_WATCH_HOOK_H

#include "base/error.h"

/* What the command learns, by its environment alone: GRISTMILL_JOB, GRISTMILL_STATUS (the code's name),
 * GRISTMILL_MESSAGE (one line), GRISTMILL_TABLE, GRISTMILL_VERSION ("" where the table has none). */
struct gm_hook_event {
	const char *job, *table; /* table "" if not known */
	int64_t version;         /* of the table; -1: none, or not known */
	const struct gm_error *error;
};

enum { GM_HOOK_SECONDS_MAX = 60 };

/* Runs `/bin/sh -c command` and waits until it ends, at most GM_HOOK_SECONDS_MAX. It is a process group of its own and
 * is killed with all of that when its time is over, or when *stop (may be NULL) is not 0: then the process is about to
 * end and must not wait. Its input is empty, its output goes where our standard error goes, and it inherits the
 * environment but for what the service manager has given us. A failure says how it ended; it is worth a notice and
 * nothing more. INTERRUPTED: because of *stop. */
enum gm_code gm_hook_run(const char *command, const struct gm_hook_event *event, const volatile int *stop,
                         struct gm_error *err) GM_CHECK;

#endif
