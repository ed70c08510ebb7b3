/* Every allocation of a scenario fails once: NOMEM comes out (or nothing, where memory only makes things faster),
 * nothing leaks, and what was answered before stays true. The allocators are wrapped by the linker (see meson.build).
 */
#include "table/keyset.h"
#include "table/quarantine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static uint64_t made, fail_at;
static bool armed, fired;

static bool fails(void)
{
	if (!armed || ++made != fail_at) return false;
	fired = true;
	return true;
}

#define WRAP(type, name, parameters, arguments, failure_value)      \
	type __real_##name parameters;                                  \
	type __wrap_##name parameters;                                  \
	type __wrap_##name parameters                                   \
	{                                                               \
		return fails() ? (failure_value) : __real_##name arguments; \
	}
WRAP(void *, malloc, (size_t bytes), (bytes), NULL)
WRAP(void *, calloc, (size_t count, size_t bytes), (count, bytes), NULL)
WRAP(void *, realloc, (void *old, size_t bytes), (old, bytes), NULL)
WRAP(char *, strdup, (const char *text), (text), NULL)
WRAP(void *, mmap64, (void *at, size_t bytes, int how, int flags, int fd, off_t offset),
     (at, bytes, how, flags, fd, offset), MAP_FAILED)

typedef enum gm_code scenario(struct gm_error *err);

static void fail_every_allocation(scenario *run, bool may_succeed)
{
	for (fail_at = 1;; fail_at++) {
		struct gm_error err = {0};
		made = 0;
		fired = false;
		armed = true;
		enum gm_code code = run(&err);
		armed = false;
		if (!fired) {
			assert_int_equal(code, GM_OK);
			break;
		}
		if (code == GM_OK && may_succeed) continue;
		if (code != GM_NOMEM) fail_msg("allocation %d: %s: %s", (int)fail_at, gm_code_name(code), err.message);
	}
	assert_true(fail_at > 3);
}

static enum gm_code ignore_key(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	(void)context;
	(void)info;
	(void)err;
	return GM_OK;
}

static enum gm_code use_objects(struct gm_store *store, struct gm_error *err)
{
	struct gm_object_info info;
	struct gm_staged *staged;
	struct gm_arena arena;
	struct gm_buf buf;
	char token[GM_TOKEN_BYTES];
	GM_TRY(gm_store_put(store, "d/a", "text", 4, true, err));
	gm_arena_init(&arena, 100);
	enum gm_code code = gm_store_stat(store, "d/a", &info, &arena, err);
	gm_arena_release(&arena);
	GM_TRY(code);
	gm_buf_init(&buf, 100);
	code = gm_store_get(store, "d/a", &buf, err);
	gm_buf_release(&buf);
	GM_TRY(code);
	GM_TRY(gm_store_stage_open(store, "b", "w/", &staged, err));
	code = gm_store_stage_append(store, staged, "staged", 6, err);
	if (code != GM_OK) {
		gm_store_stage_abandon(store, staged);
		return code;
	}
	GM_TRY(gm_store_stage_finish(store, staged, token, err));
	GM_TRY(gm_store_publish(store, token, "b", err));
	GM_TRY(gm_store_list(store, "", ignore_key, NULL, err));
	return gm_store_remove_tree(store, "w/", err);
}

static enum gm_code use_memory(struct gm_error *err)
{
	struct gm_store *store;
	GM_TRY(gm_store_open_memory(&store, err));
	enum gm_code code = use_objects(store, err);
	gm_store_close(store);
	return code;
}

static enum gm_code use_faulty(struct gm_error *err)
{
	struct gm_store *inner, *store;
	GM_TRY(gm_store_open_memory(&inner, err));
	enum gm_code code = gm_store_open_faulty(inner, 0, GM_IO, false, NULL, &store, err);
	if (code == GM_OK) code = use_objects(store, err);
	gm_store_close(store != NULL ? store : inner);
	return code;
}

static char folder[] = "/tmp/gm-memory-XXXXXX";

static void ignore(enum gm_code code)
{
	(void)code;
}

static enum gm_code use_directory(struct gm_error *err)
{
	struct gm_store *store;
	GM_TRY(gm_store_open_directory(folder, true, &store, err));
	enum gm_code code = use_objects(store, err);
	armed = false;
	ignore(gm_store_remove(store, "b", NULL));
	ignore(gm_store_remove_tree(store, "d/", NULL));
	ignore(gm_store_remove_tree(store, "w/", NULL));
	gm_store_close(store);
	return code;
}

static void stores(void **state)
{
	(void)state;
	fail_every_allocation(use_memory, false);
	fail_every_allocation(use_faulty, false);
	assert_non_null(mkdtemp(folder));
	fail_every_allocation(use_directory, false);
	assert_int_equal(remove(folder), 0);
}

static struct gm_hash128 key_of(uint64_t i)
{
	return (struct gm_hash128){.low = i * 0x9e3779b97f4a7c15U, .high = (i ^ i << 32) * 0xbf58476d1ce4e5b9U};
}

static enum gm_code count_keys(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	(void)entries;
	(void)err;
	*(uint64_t *)context += count;
	return GM_OK;
}

/* A dozen spills in the least memory. */
static enum gm_code use_keyset(struct gm_error *err)
{
	enum { KEYS = 40000, BATCH = 1000 };
	struct gm_keyset *set;
	struct gm_hash128 keys[BATCH];
	uint8_t duplicate[BATCH];
	uint64_t seen = 0;
	GM_TRY(gm_keyset_new(0, "/tmp", &set, err));
	enum gm_code code = GM_OK;
	for (uint64_t at = 0; at < KEYS && code == GM_OK; at += BATCH) {
		/* Every other batch a part of an earlier one: answers are right whatever failed before. */
		uint64_t first = at / BATCH % 2 == 0 ? at : at / 2 / BATCH * BATCH;
		for (uint64_t i = 0; i < BATCH; i++) keys[i] = key_of(first + i);
		code = gm_keyset_add(set, keys, NULL, NULL, BATCH, duplicate, NULL, err);
		for (uint64_t i = 0; i < BATCH && code == GM_OK; i++) {
			bool old = first != at && first / BATCH % 2 == 0;
			if (first == at || old) assert_int_equal(duplicate[i], old);
		}
	}
	if (code == GM_OK) code = gm_keyset_put(set, keys, NULL, BATCH, 1, err);
	if (code == GM_OK) code = gm_keyset_each(set, count_keys, &seen, err);
	if (code == GM_OK) assert_int_equal(seen, gm_keyset_count(set));
	gm_keyset_free(set);
	return code;
}

static void key_sets(void **state)
{
	(void)state;
	fail_every_allocation(use_keyset, true); /* a bloom filter may be missing */
}

static enum gm_code use_quarantine(struct gm_error *err)
{
	enum { BYTES = 300000 };
	static uint8_t bytes[BYTES];
	static const struct gm_reject reject = {.reason = GM_REASON_NOT_JSON, .column = "c", .detail = "d"};
	struct gm_store *store;
	struct gm_quarantine *quarantine;
	char token[GM_TOKEN_BYTES];
	uint64_t size, hash[2];
	GM_TRY(gm_store_open_memory(&store, err));
	enum gm_code code = gm_quarantine_new(store, "q/f", "w/", &quarantine, err);
	if (code == GM_OK) {
		for (size_t n = 10; n <= BYTES && code == GM_OK; n = n * 7 + 3)
			code = gm_quarantine_add(quarantine, "o", &reject, bytes, n, true, err);
		if (code == GM_OK) code = gm_quarantine_add(quarantine, "o", &reject, bytes, BYTES, true, err);
		if (code == GM_OK) code = gm_quarantine_finish(quarantine, token, &size, hash, err);
	}
	gm_quarantine_free(quarantine);
	gm_store_close(store);
	return code;
}

static void quarantines(void **state)
{
	(void)state;
	fail_every_allocation(use_quarantine, false);
}

static enum gm_code use_hasher(struct gm_error *err)
{
	enum { ROWS = 3 };
	static const uint8_t secret[GM_KEY_SECRET_BYTES] = {1, 2, 3};
	static const uint32_t slots[2] = {0, 0};
	static int64_t numbers[ROWS] = {1, 2, 1};
	static uint8_t fates[ROWS];
	static uint32_t codes[ROWS] = {1, 1, 1};
	struct gm_key_hasher *hasher;
	struct gm_vec vec = {.type = GM_TYPE_BIGINT, .repr = GM_REPR_I64, .i64 = numbers};
	struct gm_chunk chunk = {.rows = ROWS, .slots = 1, .vec = &vec, .fate = fates};
	struct gm_dict *dict = gm_dict_new();
	if (dict == NULL) return gm_error_set(err, GM_NOMEM, "dictionary");
	enum gm_code code = GM_OK;
	if (gm_dict_put(dict, (const uint8_t *)"p", 1, gm_dict_hash((const uint8_t *)"p", 1)) == 0)
		code = gm_error_set(err, GM_NOMEM, "dictionary");
	chunk.partition = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
	chunk.partition.dict = dict;
	chunk.partition.codes = codes;
	gm_arena_init(&chunk.arena, 100);
	if (code == GM_OK) code = gm_key_hasher_new(secret, slots, 2, &hasher, err);
	if (code == GM_OK) {
		code = gm_key_hasher_run(hasher, &chunk, err);
		if (code == GM_OK) assert_true(chunk.key[0].low == chunk.key[2].low && chunk.key[0].low != chunk.key[1].low);
		gm_key_hasher_free(hasher);
	}
	gm_arena_release(&chunk.arena);
	gm_dict_unref(dict);
	return code;
}

static void hashers(void **state)
{
	(void)state;
	fail_every_allocation(use_hasher, true); /* partitions may not be remembered */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(stores), cmocka_unit_test(key_sets),
	                                   cmocka_unit_test(quarantines), cmocka_unit_test(hashers)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
