/* Compiling a job's expressions and deriving two chunks with the 1st, 2nd, 3rd, ... allocation failing, until none
 * fails: each time the answer is NOMEM or right, and nothing is left behind. malloc is replaced for the whole program,
 * so that PCRE2 and SQLite fail as well (which takes visible symbols); with a sanitizer that has its own malloc the
 * test is skipped. */
#include <setjmp.h>
#include <stdarg.h>

#include "expr_fixture.h"

#include <cmocka.h>

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

static long until_failure = -1; /* allocations that still succeed; -1: all of them */
static bool once;               /* the failing one is the only one, else the first */
static bool fired;
static long live; /* blocks */

static bool fails(void)
{
	if (until_failure < 0) return false;
	if (until_failure > 0) until_failure--;
	if (until_failure > 0) return false;
	fired = true;
	if (once) until_failure = -1;
	return true;
}

GM_API void *malloc(size_t bytes)
{
	void *memory = fails() ? NULL : __libc_malloc(bytes);
	live += memory != NULL;
	return memory;
}

GM_API void *calloc(size_t count, size_t bytes)
{
	void *memory = fails() ? NULL : __libc_calloc(count, bytes);
	live += memory != NULL;
	return memory;
}

GM_API void *realloc(void *old, size_t bytes)
{
	void *memory = fails() ? NULL : __libc_realloc(old, bytes);
	live += old == NULL && memory != NULL;
	return memory;
}

GM_API void free(void *memory)
{
	live -= memory != NULL;
	__libc_free(memory);
}

static const char more[] = "  - {name: c1, type: string, expr: \"s || ' ' || lower(t)\"}\n"
                           "  - {name: c2, type: bigint, expr: 'i * 2 + cast(s as bigint)'}\n"
                           "  - {name: c3, type: string, expr: \"regexp_replace(t, '(b+)', '<$1>')\"}\n"
                           "  - {name: c4, type: bigint, expr: \"length(s) + n\", default: 7}\n"
                           "  - {name: c5, type: boolean, expr: \"i > n OR s LIKE 'x%'\"}\n";
static const char head[] = "  partition_by:\n    - {name: y, type: string, expr: \"date_format(ts, '%Y')\"}\n"
                           "    - {name: h, type: string, expr: \"s\"}\n";

static const struct fx_row rows[] = {
    {.s = "12", .t = "abbc", .i = 5, .n = 1, .ts = 0},
    {.s = "no", .t = "B", .i = 6, .n = 2, .ts = 86400000000, .nulls = "n"},
    {.s = NULL, .t = NULL, .i = 7, .n = 9, .ts = 1},
};

/* Runs one chunk; false when memory was short, else its columns have been found right. */
static bool run_once(struct fx *fx, enum fx_form form)
{
	static const char *const names[] = {"c1", "c2", "c3", "c4", "c5"};
	static const char *const want[3][5] = {{"12 abbc", "22", "a<bb>c", "3", "true"},
	                                       {"no b", "null", "B", "7", "null"},
	                                       {"null", "null", "null", "7", "null"}};
	long failing = until_failure;
	until_failure = -1; /* the chunk is not under test */
	struct gm_chunk *chunk = fx_chunk(fx, rows, 3, form);
	until_failure = failing;
	enum gm_code code = fx_run(fx, chunk);
	failing = until_failure;
	until_failure = -1;
	if (code != GM_OK) assert_int_equal(code, GM_NOMEM);
	for (uint32_t r = 0; code == GM_OK && r < 3; r++) {
		for (size_t c = 0; c < 5; c++) {
			char text[64];
			fx_text(fx, chunk, names[c], r, text, sizeof text);
			assert_string_equal(text, want[r][c]);
		}
	}
	gm_chunk_unref(chunk);
	until_failure = failing;
	return code == GM_OK;
}

static bool scenario(struct fx *fx)
{
	enum gm_code code = fx_open(fx, head, "where: \"t <> 'q' OR t IS NULL\"\n", more, 100000);
	if (code != GM_OK) assert_int_equal(code, GM_NOMEM);
	/* A run may go on after a failure: what was kept before must still be right. */
	bool whole = code == GM_OK;
	for (enum fx_form form = FX_DICT; code == GM_OK && form < FX_FORMS; form++) whole = run_once(fx, form) && whole;
	return whole;
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	struct fx first; /* what libraries allocate once */
	assert_true(scenario(&first));
	fx_close(&first);
	for (int mode = 0; mode < 2; mode++) {
		once = mode == 1;
		fired = true;
		for (long n = 1; fired; n++) {
			struct fx fx;
			long before = live;
			fired = false;
			until_failure = n;
			bool whole = scenario(&fx);
			until_failure = -1;
			fx_close(&fx);
			if (live != before) fail_msg("allocation %ld failed: %ld blocks are left", n, live - before);
			assert_true(whole || fired);
			assert_true(n < 20000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
	return 77; /* skipped */
}
#endif
