/* Loading and describing a job with the 1st, 2nd, 3rd, ... allocation failing, until none fails: each time the answer
 * is NOMEM and nothing is left behind. malloc is replaced for the whole program, so that libyaml and jansson fail as
 * well; a sanitizer that has its own malloc cannot be combined with this, and the test is skipped there. */
#include "job/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__has_feature) /* clang's way */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define REPLACED 0
#else
#define REPLACED 1
#endif

#if REPLACED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void __libc_free(void *memory);

/* The build hides symbols; libyaml must find these. */
#define VISIBLE __attribute__((visibility("default")))

static long until_failure = -1; /* allocations that still succeed; -1: all of them */
static long live;               /* blocks */

static bool fails(void)
{
	if (until_failure < 0) return false;
	if (until_failure > 0) until_failure--;
	return until_failure == 0;
}

VISIBLE void *malloc(size_t bytes)
{
	void *memory = fails() ? NULL : __libc_malloc(bytes);
	live += memory != NULL;
	return memory;
}

VISIBLE void *calloc(size_t count, size_t bytes)
{
	void *memory = fails() ? NULL : __libc_calloc(count, bytes);
	live += memory != NULL;
	return memory;
}

VISIBLE void *realloc(void *old, size_t bytes)
{
	void *memory = fails() ? NULL : __libc_realloc(old, bytes);
	live += old == NULL && memory != NULL;
	return memory;
}

VISIBLE void free(void *memory)
{
	live -= memory != NULL;
	__libc_free(memory);
}

static enum gm_code scenario(const char *path, struct gm_error *err)
{
	static const struct gm_setting settings[] = {{"SOURCE", "in"}};
	const struct gm_job_options options = {.table = "out", .settings = settings, .setting_count = 1};
	struct gm_job *job = NULL;
	char *text = NULL;
	enum gm_code rc = gm_job_load(path, &options, &job, err);
	if (rc == GM_OK) rc = gm_job_describe(job, false, &text, err);
	free(text);
	text = NULL;
	if (rc == GM_OK) rc = gm_job_describe(job, true, &text, err);
	free(text);
	gm_job_free(job);
	return rc;
}

static void fail_each(const char *path)
{
	for (long n = 1;; n++) {
		struct gm_error err = {0};
		long before = live;
		until_failure = n;
		enum gm_code rc = scenario(path, &err);
		bool fired = until_failure == 0;
		until_failure = -1;
		if (live != before) fail_msg("allocation %ld: %ld blocks were left behind", n, live - before);
		if (!fired) {
			assert_int_equal(rc, GM_OK);
			assert_true(n > 20);
			return;
		}
		if (rc != GM_NOMEM) fail_msg("allocation %ld: %s, %s", n, gm_code_name(rc), err.message);
		assert_int_equal(err.code, rc);
	}
}

static void every_allocation(void **state)
{
	(void)state;
	struct gm_error err;
	until_failure = -1;
	assert_int_equal(scenario(GM_SOURCE_DIR "/jobs/access-record.yaml", &err), GM_OK); /* what is allocated once */
	fail_each(GM_SOURCE_DIR "/jobs/access-record.yaml");
}
#else
static void every_allocation(void **state)
{
	(void)state;
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
