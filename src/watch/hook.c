/* hook.c - runs the user's command when a run has failed.
 *
 * What happened is told by the environment alone: in the arguments it would be seen by every user of the machine, and a
 * message with quotes in it would be code. */
#include "watch/hook.h"

#include "base/arena.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/flag.h"
#include "base/time.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4096 };

struct hook {
	const volatile int *stop;
	pid_t child; /* and the number of its group */
	struct gm_error *err;
};

/* --- The environment ---------------------------------------------------------------------------------------------- */

/* What we set, and what the service manager has meant for this process alone. */
static bool is_ours(const char *entry)
{
	static const char *const names[] = {
	    "GRISTMILL_JOB=",     "GRISTMILL_STATUS=", "GRISTMILL_MESSAGE=", "GRISTMILL_TABLE=",
	    "GRISTMILL_VERSION=", "NOTIFY_SOCKET=",    "WATCHDOG_USEC=",     "WATCHDOG_PID=",
	    "LISTEN_FDS=",        "LISTEN_FDNAMES=",   "LISTEN_PID="};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strncmp(entry, names[i], strlen(names[i])) == 0) return true;
	return false;
}

/* One line of it. */
static char *message(struct gm_arena *arena, const struct gm_error *error)
{
	bool named = error->object[0] != '\0';
	char *text = gm_arena_printf(arena, "GRISTMILL_MESSAGE=%s%s%s", error->object, named ? ": " : "", error->message);
	for (char *at = text; at != NULL && *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = ' ';
	return text;
}

static char **make_environment(struct gm_arena *arena, const struct gm_hook_event *event)
{
	enum { OURS = 5 };
	size_t count = 0, n = 0;
	char version[32] = "";
	while (environ[count] != NULL) count++;
	char **entries = gm_arena_alloc(arena, (count + OURS + 1) * sizeof *entries);
	if (entries == NULL) return NULL;
	if (event->version >= 0) (void)snprintf(version, sizeof version, "%" PRId64, event->version);
	entries[n++] = gm_arena_printf(arena, "GRISTMILL_JOB=%s", event->job);
	entries[n++] = gm_arena_printf(arena, "GRISTMILL_STATUS=%s", gm_code_name(event->error->code));
	entries[n++] = message(arena, event->error);
	entries[n++] = gm_arena_printf(arena, "GRISTMILL_TABLE=%s", event->table);
	entries[n++] = gm_arena_printf(arena, "GRISTMILL_VERSION=%s", version);
	for (size_t i = 0; i < OURS; i++)
		if (entries[i] == NULL) return NULL;
	for (size_t i = 0; i < count; i++)
		if (!is_ours(environ[i])) entries[n++] = environ[i];
	entries[n] = NULL;
	return entries;
}

/* --- The process -------------------------------------------------------------------------------------------------- */

/* errno's value; 0: it runs. Its output must not mix with what we print on standard output, which may be one JSON
 * object. */
static int spawn(struct hook *hook, const char *command, char *const *environment)
{
	char *arguments[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)command, NULL};
	const struct gm_child_options child = {.program = "/bin/sh",
	                                       .arguments = arguments,
	                                       .environment = environment,
	                                       .output = STDERR_FILENO,
	                                       .errors = STDERR_FILENO};
	return gm_child_start(&child, &hook->child);
}

static bool asked_to_stop(const struct hook *hook)
{
	return gm_flag_is_set(hook->stop);
}

/* Until it ends, its time is over, or we are to stop; false: one of the latter. */
static bool wait_for_end(const struct hook *hook, int *status)
{
	int64_t until_us = gm_clock_steady_us() + GM_HOOK_SECONDS_MAX * GM_US_PER_SECOND;
	struct timespec pause = {.tv_nsec = 1000000};
	while (!gm_child_has_ended(hook->child, status)) {
		if (asked_to_stop(hook) || gm_clock_steady_us() >= until_us) return false;
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 50000000) pause.tv_nsec *= 2;
	}
	return true;
}

static enum gm_code judge(const struct hook *hook, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return GM_OK;
	if (WIFEXITED(status))
		GM_FAIL(hook->err, GM_IO, "the command on failure ended with status %d", WEXITSTATUS(status));
	GM_FAIL(hook->err, GM_IO, "the command on failure was ended by signal %d", WTERMSIG(status));
}

enum gm_code gm_hook_run(const char *command, const struct gm_hook_event *event, const volatile int *stop,
                         struct gm_error *err)
{
	struct hook hook = {.stop = stop, .err = err};
	struct gm_arena arena;
	int status = 0;
	if (asked_to_stop(&hook)) GM_FAIL(err, GM_INTERRUPTED, "stopped before the command on failure was run");
	gm_arena_init(&arena, BLOCK_BYTES);
	char **environment = make_environment(&arena, event);
	int failed = environment != NULL ? spawn(&hook, command, environment) : ENOMEM;
	gm_arena_release(&arena);
	if (failed != 0) return gm_error_errno(err, failed, "", "running the command on failure");
	if (wait_for_end(&hook, &status)) return judge(&hook, status);
	gm_child_kill(hook.child);
	if (asked_to_stop(&hook)) GM_FAIL(err, GM_INTERRUPTED, "stopped while the command on failure ran; it was killed");
	GM_FAIL(err, GM_IO, "the command on failure did not end within %d s and was killed", GM_HOOK_SECONDS_MAX);
}
