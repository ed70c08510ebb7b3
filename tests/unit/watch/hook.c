/* The command on failure: what it is told, what it may not do, and how long it may take. */
#include "../must.h"

#include "base/flag.h"
#include "watch/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/gm-hook-XXXXXX", out[64];
static char said[65536];

static const struct gm_error why = {
    .code = GM_DENIED, .object = "s3://b/k", .message = "it said \"no\"\nand $(touch /tmp/never) `x`\x1b[31m"};
static const struct gm_hook_event event = {.job = "tiny", .table = "s3://b/t", .version = 12, .error = &why};

static enum gm_code hook(const char *command, const volatile int *stop)
{
	char whole[512];
	(void)snprintf(whole, sizeof whole, "{ %s; } >%s", command, out);
	return gm_hook_run(whole, &event, stop, &failure);
}

static const char *output(void)
{
	FILE *file = fopen(out, "r");
	assert_non_null(file);
	said[fread(said, 1, sizeof said - 1, file)] = '\0';
	(void)fclose(file);
	return said;
}

static double seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_what_it_is_told(void **state)
{
	(void)state;
	(void)setenv("GRISTMILL_JOB", "old", 1);
	(void)setenv("GRISTMILL_KEPT", "kept", 1);
	(void)setenv("NOTIFY_SOCKET", "/run/x", 1);
	(void)setenv("WATCHDOG_USEC", "5", 1);
	must(hook("env", NULL));
	output();
	assert_non_null(strstr(said, "GRISTMILL_JOB=tiny\n"));
	assert_null(strstr(said, "GRISTMILL_JOB=old"));
	assert_non_null(strstr(said, "GRISTMILL_KEPT=kept\n")); /* the rest is inherited */
	assert_non_null(strstr(said, "GRISTMILL_STATUS=DENIED\n"));
	assert_non_null(strstr(said, "GRISTMILL_TABLE=s3://b/t\n"));
	assert_non_null(strstr(said, "GRISTMILL_VERSION=12\n"));
	/* One line, and no code however it reads. */
	assert_non_null(strstr(said, "GRISTMILL_MESSAGE=s3://b/k: it said \"no\" and $(touch /tmp/never) `x` [31m\n"));
	assert_null(strstr(said, "NOTIFY_SOCKET"));
	assert_null(strstr(said, "WATCHDOG_USEC"));
	assert_int_equal(access("/tmp/never", F_OK), -1);
	(void)unsetenv("GRISTMILL_JOB");
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
}

static void test_what_is_not_known_is_empty(void **state)
{
	const struct gm_error plain = {.code = GM_IO, .message = "broken"};
	const struct gm_hook_event other = {.job = "tiny", .table = "", .version = -1, .error = &plain};
	char command[128];
	(void)state;
	(void)snprintf(command, sizeof command, "env >%s", out);
	must(gm_hook_run(command, &other, NULL, &failure));
	output();
	assert_non_null(strstr(said, "GRISTMILL_VERSION=\n"));
	assert_non_null(strstr(said, "GRISTMILL_TABLE=\n"));
	assert_non_null(strstr(said, "GRISTMILL_MESSAGE=broken\n"));
}

static void test_what_it_has(void **state)
{
	(void)state;
	int foreign = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as a library may have it */
	sigset_t all, before;
	(void)sigfillset(&all);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	must(hook("cat; ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status; cut -d' ' -f5 /proc/$$/stat; echo $$",
	          NULL));
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)close(foreign);
	output();
	/* Its input is empty; of descriptors it has three, and ls one for the folder; signals are as they should be. */
	unsigned long long blocked, ignored;
	int group, process;
	if (sscanf(said, "0\n1\n2\n3\nSigBlk: %llx\nSigIgn: %llx\n%d %d", &blocked, &ignored, &group, &process) != 4)
		fail_msg("%s", said);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & 0x7FFFFFFF, 0); /* above are the C library's own */
	assert_int_equal(group, process);
}

static void test_how_it_ends(void **state)
{
	(void)state;
	must(hook("exit 0", NULL));
	assert_int_equal(hook("exit 3", NULL), GM_IO);
	assert_string_equal(failure.message, "the command on failure ended with status 3");
	assert_int_equal(hook("kill -9 $$", NULL), GM_IO);
	assert_string_equal(failure.message, "the command on failure was ended by signal 9");
	assert_int_equal(hook("no-such-command-anywhere 2>/dev/null", NULL), GM_IO);
	assert_string_equal(failure.message, "the command on failure ended with status 127");
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
	assert_int_equal(errno, ECHILD);
}

static void test_a_process_that_ignores_its_children(void **state)
{
	(void)state;
	(void)signal(SIGCHLD, SIG_IGN);
	must(hook("sleep 0.05; exit 3", NULL)); /* how it ended nobody can know */
	(void)signal(SIGCHLD, SIG_DFL);
}

static volatile int stop;

static void on_alarm(int number)
{
	gm_flag_set(&stop, number);
}

/* Asked to stop, nobody waits; and nothing that was started stays. */
static void test_a_signal_ends_it(void **state)
{
	const struct itimerval soon = {.it_value.tv_usec = 200000};
	(void)state;
	stop = 0;
	double start = seconds();
	(void)signal(SIGALRM, on_alarm);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(hook("trap '' TERM INT; sleep 50 & echo $!; wait", &stop), GM_INTERRUPTED);
	assert_true(seconds() - start < 5);
	output();
	int child = atoi(said);
	assert_true(child > 0);
	for (int i = 0; i < 200 && kill(child, 0) == 0; i++) { /* killed; whoever inherited it waits for it */
		char name[64], line[256] = "";
		(void)snprintf(name, sizeof name, "/proc/%d/stat", child);
		FILE *file = fopen(name, "r");
		if (file == NULL) break;
		(void)fgets(line, sizeof line, file);
		(void)fclose(file);
		if (strstr(line, ") Z ") != NULL) break;
		const struct timespec pause = {.tv_nsec = 10000000};
		(void)nanosleep(&pause, NULL);
		assert_true(i < 199);
	}
	/* It is not even begun. */
	assert_int_equal(hook("echo begun", &stop), GM_INTERRUPTED);
	assert_null(strstr(output(), "begun"));
}

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL) return -1;
	(void)snprintf(out, sizeof out, "%s/out", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(out);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_it_is_told),
	    cmocka_unit_test(test_what_is_not_known_is_empty),
	    cmocka_unit_test(test_what_it_has),
	    cmocka_unit_test(test_how_it_ends),
	    cmocka_unit_test(test_a_process_that_ignores_its_children),
	    cmocka_unit_test(test_a_signal_ends_it),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
