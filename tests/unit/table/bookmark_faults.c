/* Every allocation and every call of the store fails once while a bookmark is opened, changed, asked and written: the
 * failure is told, nothing leaks, and what is done again comes out right. Allocators are wrapped by the linker (see
 * meson.build). */
#include "table/bookmark.h"
#include "../alloc_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 3000, SECOND = KEYS / 3 };

static enum gm_code add_all(struct gm_bookmark *bookmark, uint64_t run, int step, struct gm_error *err)
{
	GM_TRY(gm_bookmark_run(bookmark, run, err));
	for (int i = 0; i < KEYS; i += step) {
		char key[256];
		(void)snprintf(key, sizeof key, "%0*d", 200 - i % 7, i);
		const struct gm_bookmark_entry entry = {.key = key, .size = 1, .mtime_us = i, .run = run};
		GM_TRY(gm_bookmark_add(bookmark, &entry, err));
	}
	return GM_OK;
}

static enum gm_code count_entries(void *context, const struct gm_bookmark_entry *entry, struct gm_error *err)
{
	uint64_t *counts = context;
	(void)err;
	counts[entry->run]++;
	return GM_OK;
}

/* Run 2 adds every third key again, and drops what is newer than KEYS / 2 before. */
static enum gm_code second_run(struct gm_bookmark *bookmark, struct gm_error *err)
{
	struct gm_bookmark_summary summary;
	const struct gm_bookmark_entry *entry;
	uint64_t counts[4] = {0};
	GM_TRY(gm_bookmark_run(bookmark, 2, err));
	GM_TRY(gm_bookmark_rewind(bookmark, KEYS / 2 - 1, err));
	GM_TRY(gm_bookmark_find(bookmark, "0", &entry, err));
	assert_null(entry);
	GM_TRY(add_all(bookmark, 3, 3, err));
	GM_TRY(gm_bookmark_each(bookmark, count_entries, counts, err));
	assert_true(counts[1] == KEYS / 2 - KEYS / 6 && counts[3] == SECOND);
	GM_TRY(gm_bookmark_summarize(bookmark, &summary, err));
	assert_true(summary.objects == counts[1] + counts[3] && summary.newest_us == KEYS - 3);
	return GM_OK;
}

static enum gm_code write_first(struct gm_store *store, struct gm_error *err)
{
	struct gm_bookmark *bookmark;
	GM_TRY(gm_bookmark_open(NULL, NULL, &bookmark, err));
	enum gm_code rc = add_all(bookmark, 1, 1, err);
	if (rc == GM_OK) rc = gm_bookmark_write(bookmark, store, "b/1", "w/", err);
	gm_bookmark_free(bookmark);
	return rc;
}

static enum gm_code write_second(struct gm_store *store, struct gm_error *err)
{
	struct gm_bookmark *bookmark;
	GM_TRY(gm_bookmark_open(store, "b/1", &bookmark, err));
	enum gm_code rc = second_run(bookmark, err);
	if (rc == GM_OK) rc = gm_bookmark_write(bookmark, store, "b/3", "w/", err);
	gm_bookmark_free(bookmark);
	return rc;
}

static void check_second(struct gm_store *store)
{
	struct gm_error err;
	struct gm_bookmark *bookmark;
	uint64_t counts[4] = {0};
	assert_int_equal(gm_bookmark_open(store, "b/3", &bookmark, &err), GM_OK);
	assert_int_equal(gm_bookmark_each(bookmark, count_entries, counts, &err), GM_OK);
	assert_true(counts[1] == KEYS / 2 - KEYS / 6 && counts[3] == SECOND);
	gm_bookmark_free(bookmark);
}

static enum gm_code scenario(struct gm_error *err)
{
	struct gm_store *store;
	GM_TRY(gm_store_open_memory(&store, err));
	enum gm_code rc = write_first(store, err);
	if (rc == GM_OK) rc = write_second(store, err);
	armed = false;
	if (rc == GM_OK) check_second(store);
	gm_store_close(store);
	return rc;
}

static void every_allocation(void **state)
{
	(void)state;
	for (fail_at = 1;; fail_at++) {
		struct gm_error err = {0};
		arm();
		enum gm_code rc = scenario(&err);
		armed = false;
		if (!fired) {
			assert_int_equal(rc, GM_OK);
			break;
		}
		if (rc != GM_NOMEM) fail_msg("allocation %d: %s: %s", (int)fail_at, gm_code_name(rc), err.message);
	}
	assert_true(fail_at > 50);
}

static enum gm_code only_in_work(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	(void)context;
	(void)err;
	assert_true(strncmp(info->key, "w/", 2) == 0 || strncmp(info->key, "b/", 2) == 0);
	return GM_OK;
}

static void every_call_of_the_store(void **state)
{
	(void)state;
	for (int after = 0; after < 2; after++) {
		uint64_t calls = 0, at = 0;
		do {
			at++;
			struct gm_error err;
			struct gm_store *inner, *store;
			assert_int_equal(gm_store_open_memory(&inner, &err), GM_OK);
			assert_int_equal(write_first(inner, &err), GM_OK);
			assert_int_equal(gm_store_open_faulty(inner, at, GM_TRANSIENT, after == 1, &calls, &store, &err), GM_OK);
			enum gm_code rc = write_second(store, &err);
			if (rc != GM_OK) {
				assert_true(calls >= at);
				assert_int_equal(rc, GM_TRANSIENT);
				rc = write_second(inner, &err);
				assert_true(rc == GM_OK || (after == 1 && rc == GM_EXISTS));
			}
			check_second(inner);
			assert_int_equal(gm_store_list(inner, "", only_in_work, NULL, &err), GM_OK);
			gm_store_close(store);
		} while (calls >= at);
		assert_true(at > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation), cmocka_unit_test(every_call_of_the_store)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
