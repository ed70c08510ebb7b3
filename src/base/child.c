#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static int set_output(posix_spawn_file_actions_t *files, int from, int to)
{
	if (from < 0) return posix_spawn_file_actions_addopen(files, to, "/dev/null", O_WRONLY, 0);
	return posix_spawn_file_actions_adddup2(files, from, to);
}

static int set_files(posix_spawn_file_actions_t *files, const struct gm_child_options *options)
{
	int failed = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (failed == 0) failed = set_output(files, options->output, STDOUT_FILENO);
	if (failed == 0) failed = set_output(files, options->errors, STDERR_FILENO);
	if (failed == 0) failed = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	return failed;
}

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

int gm_child_start(const struct gm_child_options *options, pid_t *child)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int failed = posix_spawn_file_actions_init(&files);
	if (failed != 0) return failed;
	failed = posix_spawnattr_init(&attributes);
	if (failed == 0) {
		failed = set_files(&files, options);
		if (failed == 0) failed = set_signals(&attributes);
		if (failed == 0)
			failed =
			    posix_spawnp(child, options->program, &files, &attributes, options->arguments, options->environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	return failed;
}

bool gm_child_has_ended(pid_t child, int *status)
{
	pid_t ended = waitpid(child, status, WNOHANG);
	if (ended == child) return true;
	if (ended == 0 || errno == EINTR) return false;
	*status = 0;
	return true;
}

void gm_child_kill(pid_t child)
{
	int status;
	(void)kill(-child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
}
