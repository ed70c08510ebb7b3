/* hook.c - runs the user's command when a run has failed.
 *
 * What happened is told by the environment alone: in the arguments it would be seen by every user of the machine, and a
 * message with quotes in it would be code. The shell is started by posix_spawn, which threads do not mind. */
#include "watch/hook.h"

#include "base/arena.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
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

/* Its output must not mix with what we print on standard output, which may be one JSON object. */
static int set_files(posix_spawn_file_actions_t *files)
{
	int failed = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (failed == 0) failed = posix_spawn_file_actions_adddup2(files, STDERR_FILENO, STDOUT_FILENO);
	if (failed == 0) failed = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	return failed;
}

/* Signals as a program expects to find them, whatever the process has made of its own. */
static int set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	int failed = posix_spawnattr_setsigmask(attributes, &none);
	if (failed == 0) failed = posix_spawnattr_setsigdefault(attributes, &all);
	if (failed == 0) failed = posix_spawnattr_setpgroup(attributes, 0);
	if (failed == 0)
		failed = posix_spawnattr_setflags(attributes,
		                                  POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	return failed;
}

/* errno's value; 0: it runs. */
static int spawn(struct hook *hook, const char *command, char *const *environment)
{
	char *arguments[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)command, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int failed = posix_spawn_file_actions_init(&files);
	if (failed != 0) return failed;
	failed = posix_spawnattr_init(&attributes);
	if (failed == 0) {
		failed = set_files(&files);
		if (failed == 0) failed = set_signals(&attributes);
		if (failed == 0) failed = posix_spawn(&hook->child, "/bin/sh", &files, &attributes, arguments, environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return failed;
}

static int64_t steady_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * GM_US_PER_SECOND + now.tv_nsec / 1000;
}

static bool asked_to_stop(const struct hook *hook)
{
	return hook->stop != NULL && *hook->stop != 0;
}

/* Has it ended? Then *status is what waitpid says, 0 if somebody else has waited for it: a process that ignores SIGCHLD
 * never learns it. */
static bool has_ended(const struct hook *hook, int *status)
{
	pid_t ended = waitpid(hook->child, status, WNOHANG);
	if (ended == hook->child) return true;
	if (ended == 0 || errno == EINTR) return false;
	*status = 0;
	return true;
}

/* Until it ends, its time is over, or we are to stop; false: one of the latter. */
static bool wait_for_end(const struct hook *hook, int *status)
{
	int64_t until_us = steady_us() + GM_HOOK_SECONDS_MAX * GM_US_PER_SECOND;
	struct timespec pause = {.tv_nsec = 1000000};
	while (!has_ended(hook, status)) {
		if (asked_to_stop(hook) || steady_us() >= until_us) return false;
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 50000000) pause.tv_nsec *= 2;
	}
	return true;
}

static void kill_all(const struct hook *hook)
{
	int status;
	(void)kill(-hook->child, SIGKILL);
	while (waitpid(hook->child, &status, 0) < 0 && errno == EINTR) continue;
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
	kill_all(&hook);
	if (asked_to_stop(&hook)) GM_FAIL(err, GM_INTERRUPTED, "stopped while the command on failure ran; it was killed");
	GM_FAIL(err, GM_IO, "the command on failure did not end within %d s and was killed", GM_HOOK_SECONDS_MAX);
}
