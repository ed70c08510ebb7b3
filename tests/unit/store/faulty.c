/* The fault injector itself: each call once, before and after its effect, and nothing leaks. */
#include "common.h"

/* One of every call; the first failure ends it. */
static enum gm_code scenario(struct gm_store *store, struct gm_error *err)
{
	struct gm_store_reader *reader;
	struct gm_object_info info;
	struct gm_arena arena;
	struct gm_staged *staged;
	struct gm_buf keys;
	char token[GM_TOKEN_BYTES], piece[4];
	const char *const both[] = {"b", "c"};
	size_t got;
	uint64_t size;
	enum gm_code rc;
	GM_TRY(gm_store_put(store, "a", "1234", 4, true, err));
	gm_arena_init(&arena, 64);
	rc = gm_store_stat(store, "a", &info, &arena, err);
	gm_arena_release(&arena);
	GM_TRY(rc);
	GM_TRY(gm_store_read(store, "a", 0, piece, 4, &got, err));
	GM_TRY(gm_store_reader_open(store, "a", &reader, err));
	rc = gm_store_reader_read(reader, piece, 4, &got, err);
	if (rc == GM_OK) rc = gm_store_reader_check(reader, err);
	gm_store_reader_close(reader);
	GM_TRY(rc);
	GM_TRY(gm_store_stage_open(store, "b", "w/", &staged, err));
	rc = gm_store_stage_append(store, staged, "x", 1, err);
	if (rc != GM_OK) {
		gm_store_stage_abandon(store, staged);
		return rc;
	}
	GM_TRY(gm_store_stage_finish(store, staged, token, err));
	GM_TRY(gm_store_settle(store, err));
	GM_TRY(gm_store_staged_size(store, token, &size, err));
	GM_TRY(gm_store_publish(store, token, "b", err));
	GM_TRY(gm_store_discard(store, token, err));
	gm_buf_init(&keys, 1000);
	rc = gm_store_list(store, "", join_keys, &keys, err);
	gm_buf_release(&keys);
	GM_TRY(rc);
	GM_TRY(gm_store_remove(store, "a", err));
	GM_TRY(gm_store_remove_many(store, both, 2, err));
	GM_TRY(gm_store_probe(store, "w/", err));
	return gm_store_remove_tree(store, "w/", err);
}

static void each_call_fails_once(void **state)
{
	(void)state;
	enum { CALLS = 19 };
	for (int after = 0; after < 2; after++) {
		for (uint64_t n = 1;; n++) {
			struct gm_store *inner, *store;
			uint64_t calls = 99;
			must(gm_store_open_memory(&inner, &failure));
			must(gm_store_open_faulty(inner, n, GM_NOSPACE, after != 0, &calls, &store, &failure));
			enum gm_code code = scenario(store, &failure);
			assert_int_equal(code, n <= CALLS ? GM_NOSPACE : GM_OK);
			assert_int_equal(calls, n <= CALLS ? n : CALLS);
			if (n == 1) assert_string_equal(list_text(inner, ""), after != 0 ? "a" : "");
			if (n == 12) assert_int_equal(strncmp(list_text(inner, ""), after != 0 ? "a|b|w/" : "a|w/", 4), 0);
			gm_store_close(store);
			if (code == GM_OK) break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_call_fails_once)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
