/* provider_process.c - a program that writes credentials to its standard output.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Process credential provider". The program is run without a shell and is
 * to end with status 0, having written
 *
 *     {"Version": 1, "AccessKeyId": "...", "SecretAccessKey": "...", "SessionToken": "...", "Expiration": "..."}
 *
 * of which the last two may be missing. It inherits the environment, and of descriptors only the pipe that it writes
 * to: its standard error is thrown away, since programs have been known to write secrets there. It is killed with all
 * that it has started when its time is over or it writes too much. */
#include "aws/providers.h"

#include "aws/command_line.h"
#include "aws/credential_json.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 << 10, SECONDS_MAX = 60, LINE_BYTES_MAX = 1 << 20 };

struct run {
	const struct gm_source *source;
	struct gm_error *err;
	pid_t child;
	int output; /* the end of the pipe that we read */
	char *text; /* room for OUTPUT_MAX + 1 */
	size_t bytes;
};

enum gm_code gm_process_check(const char *command, const char *whose, struct gm_error *err)
{
	struct gm_secret_memory memory;
	struct gm_error why;
	char **words;
	gm_secret_init(&memory, LINE_BYTES_MAX);
	enum gm_code code = gm_command_line_split(command, &memory, &words, &why);
	gm_secret_release(&memory);
	if (code == GM_OK) return GM_OK;
	GM_FAIL(err, code, "%s: credential_process: %s", whose, why.message);
}

/* --- Beginning ---------------------------------------------------------------------------------------------------- */

static enum gm_code begin(struct run *run, char *const *words)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) return gm_error_errno(run->err, errno, run->source->name, "making a pipe");
	const struct gm_child_options child = {
	    .program = words[0], .arguments = words, .environment = environ, .output = ends[1], .errors = -1};
	int failed = gm_child_start(&child, &run->child);
	(void)close(ends[1]);
	run->output = ends[0];
	if (failed == 0) return GM_OK;
	(void)close(ends[0]);
	if (failed == ENOMEM) GM_FAIL(run->err, GM_NOMEM, "out of memory for credential_process");
	(void)gm_error_errno(run->err, failed, "", "its credential_process cannot be run");
	struct gm_error why = *run->err;
	return gm_error_set(run->err, GM_DENIED, "%s: %s", run->source->name, why.message);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* Until there is something to read; false: not in time. */
static bool wait_for_output(const struct run *run, int64_t until_us)
{
	for (;;) {
		int64_t left = until_us - gm_clock_steady_us();
		struct pollfd watched = {.fd = run->output, .events = POLLIN};
		int ready = left > 0 ? poll(&watched, 1, (int)(left / 1000) + 1) : 0;
		if (ready > 0) return true;
		if (ready == 0 && left <= 0) return false;
		if (ready < 0 && errno != EINTR) return true; /* read() will say */
	}
}

static enum gm_code read_output(struct run *run, int64_t until_us)
{
	const char *name = run->source->name;
	for (;;) {
		if (!wait_for_output(run, until_us))
			GM_FAIL(run->err, GM_DENIED, "%s: its credential_process did not end within %d s", name, SECONDS_MAX);
		ssize_t got = read(run->output, run->text + run->bytes, OUTPUT_MAX + 1 - run->bytes);
		if (got < 0 && errno == EINTR) continue;
		if (got < 0) return gm_error_errno(run->err, errno, name, "reading what its credential_process writes");
		if (got == 0) return GM_OK;
		run->bytes += (size_t)got;
		if (run->bytes > OUTPUT_MAX)
			GM_FAIL(run->err, GM_DENIED, "%s: its credential_process wrote more than %d KiB", name, OUTPUT_MAX >> 10);
	}
}

/* --- Ending ------------------------------------------------------------------------------------------------------- */

/* Has it ended by until_us? Most programs close their output by ending, so there is little to wait for. */
static bool reap(const struct run *run, int64_t until_us, int *status)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	while (!gm_child_has_ended(run->child, status)) {
		if (gm_clock_steady_us() >= until_us) return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

static enum gm_code judge(const struct run *run, int status)
{
	const char *name = run->source->name;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return GM_OK;
	if (WIFEXITED(status))
		(void)gm_error_set(run->err, GM_DENIED, "%s: its credential_process ended with status %d", name,
		                   WEXITSTATUS(status));
	else
		(void)gm_error_set(run->err, GM_DENIED, "%s: its credential_process was ended by signal %d", name,
		                   WTERMSIG(status));
	return gm_error_hint(run->err, GM_DENIED,
	                     "run its command yourself: what it writes to standard error is not shown here");
}

static enum gm_code finish(struct run *run)
{
	int status = 0;
	int64_t until_us = gm_clock_steady_us() + SECONDS_MAX * GM_US_PER_SECOND;
	enum gm_code code = read_output(run, until_us);
	(void)close(run->output);
	if (code == GM_OK && reap(run, until_us, &status)) return judge(run, status);
	if (code == GM_OK)
		code = gm_error_set(run->err, GM_DENIED, "%s: its credential_process did not end within %d s",
		                    run->source->name, SECONDS_MAX);
	gm_child_kill(run->child);
	return code;
}

/* --- The answer --------------------------------------------------------------------------------------------------- */

static enum gm_code take_answer(const struct run *run, struct gm_keys **out)
{
	enum { VERSION, ACCESS_KEY, SECRET_KEY, TOKEN, EXPIRATION, MEMBERS };
	struct gm_json_member members[MEMBERS] = {{.name = "Version", .is_integer = true},
	                                          {.name = "AccessKeyId"},
	                                          {.name = "SecretAccessKey"},
	                                          {.name = "SessionToken"},
	                                          {.name = "Expiration"}};
	const char *name = run->source->name;
	struct gm_error why;
	if (gm_credential_json_read(run->text, run->bytes, members, MEMBERS, &why) != GM_OK)
		GM_FAIL(run->err, GM_DENIED, "%s: what its credential_process wrote is of no use: %s", name, why.message);
	if (!members[VERSION].there || members[VERSION].integer != 1)
		GM_FAIL(run->err, GM_DENIED, "%s: what its credential_process wrote does not say \"Version\": 1", name);
	const struct gm_given_keys given = {members[ACCESS_KEY].text, members[SECRET_KEY].text, members[TOKEN].text,
	                                    members[EXPIRATION].text};
	return gm_keys_new(&given, name, out, run->err);
}

enum gm_code gm_process_ask(const struct gm_source *source, struct gm_keys **out, struct gm_error *err)
{
	struct run run = {.source = source, .err = err};
	struct gm_secret_memory memory;
	char **words;
	enum gm_code rc;
	gm_secret_init(&memory, GM_ASKING_BYTES_MAX);
	GM_TRY_OUT(gm_command_line_split(source->command, &memory, &words, err));
	run.text = gm_secret_alloc(&memory, OUTPUT_MAX + 1);
	if (run.text == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for what credential_process writes");
		goto out;
	}
	GM_TRY_OUT(begin(&run, words));
	GM_TRY_OUT(finish(&run));
	rc = take_answer(&run, out);
out:
	gm_secret_release(&memory);
	return rc;
}
