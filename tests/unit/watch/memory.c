/* Metrics and the command on failure without memory, and on a disk that fails: each allocation of ours, and each call
 * that writes, fails once; what comes is the right answer or the right error, and the file is whole or as it was. */
#include "../alloc_faults.h"

#include "../must.h"

#include "watch/held.h"
#include "watch/hook.h"
#include "watch/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <errno.h>

/* Call number `io_fails` of those below fails. */
static int io_calls, io_fails;

#define WRAP_IO(type, name, parameters, arguments)                  \
	type __real_##name parameters;                                  \
	type __wrap_##name parameters;                                  \
	type __wrap_##name parameters                                   \
	{                                                               \
		if (++io_calls != io_fails) return __real_##name arguments; \
		errno = ENOSPC;                                             \
		return -1;                                                  \
	}
WRAP_IO(ssize_t, write, (int fd, const void *bytes, size_t n), (fd, bytes, n))
WRAP_IO(int, fsync, (int fd), (fd))
WRAP_IO(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP_IO(int, renameat, (int from, const char *old, int to, const char *fresh), (from, old, to, fresh))

static char folder[] = "/tmp/gm-watch-XXXXXX", path[64];

static enum gm_code write_metrics(void)
{
	struct gm_metrics *metrics;
	const struct gm_run_result result = {.version = 3, .committed = true};
	enum gm_code rc = gm_metrics_new("tiny", 5000000, &metrics, &failure);
	if (rc != GM_OK) return rc;
	gm_metrics_end_run(metrics, &result, GM_OK, 5000000, 6000000);
	rc = gm_metrics_write_file(metrics, 6000000, path, &failure);
	gm_metrics_free(metrics);
	return rc;
}

static enum gm_code run_hook(void)
{
	const struct gm_error why = {.code = GM_IO, .message = "broken"};
	const struct gm_hook_event event = {.job = "tiny", .table = "t", .version = 1, .error = &why};
	return gm_hook_run("test \"$GRISTMILL_MESSAGE$GRISTMILL_VERSION\" = broken1", &event, NULL, &failure);
}

/* A message is read and held, twice; what fails leaves what is held as it was. */
static enum gm_code hold_message(void)
{
	static const char body[] = "{\"Type\":\"Notification\",\"Message\":\"{\\\"Records\\\":[{\\\"eventName\\\":"
	                           "\\\"ObjectCreated:Put\\\",\\\"s3\\\":{\\\"bucket\\\":{\\\"name\\\":\\\"b\\\"},"
	                           "\\\"object\\\":{\\\"key\\\":\\\"in/a\\\"}}}]}\"}";
	static const struct gm_event_scope scope = {.bucket = "b", .prefix = "in/"};
	const struct gm_sqs_message message = {.id = "a", .receipt = "ra"}, again = {.id = "a", .receipt = "longer"};
	struct gm_held held;
	struct gm_event event;
	gm_held_init(&held);
	enum gm_code rc = gm_event_read(body, sizeof body - 1, &scope, &event, &failure);
	if (rc == GM_OK) assert_int_equal(event.kind, GM_EVENT_NEW);
	if (rc == GM_OK) rc = gm_held_add(&held, &message, &event, 1, &failure);
	if (rc == GM_OK) {
		rc = gm_held_add(&held, &again, &event, 2, &failure);
		assert_string_equal(held.messages[0].receipt, rc == GM_OK ? "longer" : "ra");
	}
	assert_true(rc != GM_OK || held.count == 1);
	gm_held_release(&held);
	return rc;
}

static void fail_each(enum gm_code (*use)(void), uint64_t least)
{
	for (fail_at = 1;; fail_at++) {
		arm();
		enum gm_code rc = use();
		armed = false;
		if (!fired) {
			assert_int_equal(rc, GM_OK);
			break;
		}
		/* The system's libraries get by without some of theirs. */
		if (rc != GM_OK) assert_int_equal(rc, GM_NOMEM);
	}
	assert_true(fail_at > least);
}

static void test_metrics(void **state)
{
	struct stat is;
	(void)state;
	fail_each(write_metrics, 5);
	assert_int_equal(stat(path, &is), 0);
	assert_true(is.st_size > 2000);
	assert_int_equal(unlink(path), 0);
}

/* write, fchmod, fsync, renameat */
static void test_a_disk_that_fails(void **state)
{
	(void)state;
	for (int i = 1; i <= 4; i++) {
		char text[8] = "";
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		assert_true(fputs("old", file) >= 0);
		assert_int_equal(fclose(file), 0);
		io_calls = 0;
		io_fails = i;
		enum gm_code rc = write_metrics();
		io_fails = 0;
		assert_int_equal(io_calls, i);
		assert_int_equal(rc, GM_NOSPACE);
		assert_string_equal(failure.object, path);
		file = fopen(path, "r");
		assert_non_null(file);
		assert_int_equal(fread(text, 1, sizeof text - 1, file), 3);
		(void)fclose(file);
		assert_string_equal(text, "old");
		assert_int_equal(unlink(path), 0);
		assert_int_equal(rmdir(folder), 0); /* no temporary file is left */
		assert_int_equal(mkdir(folder, 0700), 0);
	}
	assert_int_equal(rmdir(folder), 0);
}

static void test_hook(void **state)
{
	(void)state;
	fail_each(run_hook, 1);
}

static void test_messages(void **state)
{
	(void)state;
	fail_each(hold_message, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_messages), cmocka_unit_test(test_metrics),
	                                   cmocka_unit_test(test_hook), cmocka_unit_test(test_a_disk_that_fails)};
	if (mkdtemp(folder) == NULL) return 1;
	(void)snprintf(path, sizeof path, "%s/x.prom", folder);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
