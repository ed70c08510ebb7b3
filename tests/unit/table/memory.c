/* Every allocation of a scenario fails once: NOMEM comes out (or nothing, where memory only makes things faster),
 * nothing leaks, and what was answered before stays true. The allocators are wrapped by the linker (see meson.build).
 */
#include "table/doubts.h"
#include "table/duplicates.h"
#include "table/keyfile.h"
#include "table/overlap.h"
#include "table/quarantine_reader.h"
#include "table/sorter.h"
#include "table_fixture.h"
#include "../alloc_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

WRAP(void *, mmap64, (void *at, size_t bytes, int how, int flags, int fd, off_t offset),
     (at, bytes, how, flags, fd, offset), MAP_FAILED)

typedef enum gm_code scenario(struct gm_error *err);

static void fail_every_allocation(scenario *run, bool may_succeed)
{
	for (fail_at = 1;; fail_at++) {
		struct gm_error err = {0};
		arm();
		enum gm_code code = run(&err);
		armed = false;
		if (!fired) {
			assert_int_equal(code, GM_OK);
			break;
		}
		if (code == GM_OK && may_succeed) continue;
		if (code != GM_NOMEM) fail_msg("allocation %d: %s: %s", (int)fail_at, gm_code_name(code), err.message);
	}
	assert_true(fail_at > 2);
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

#define ENTRY "{\"object\":\"o\",\"offset\":1,\"record\":2,\"reason\":\"not_json\",\"column\":\"\",\"detail\":\"\","
static const char two_entries[] =
    ENTRY "\"object_base64\":\"YQ==\",\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":3}\n" ENTRY
          "\"encoding\":\"utf-8\",\"bytes\":200000,\"raw\":\"";

/* Two two_entries, of which the second does not fit the reader's first buffer. */
static enum gm_code give_entries(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	enum { START = sizeof two_entries - 1, LONG = 200000 };
	size_t *given = context;
	(void)err;
	for (*got = 0; *got < bytes && *given < START + LONG + 3; (*given)++) {
		size_t at = *given;
		((char *)into)[(*got)++] = at < START ? two_entries[at] : at < START + LONG ? 'x' : "\"}\n"[at - START - LONG];
	}
	return GM_OK;
}

static enum gm_code use_reader(struct gm_error *err)
{
	struct gm_quarantine_reader *reader;
	const struct gm_quarantine_head *head;
	size_t given = 0, count = 0;
	GM_TRY(gm_quarantine_reader_new(&reader, err));
	gm_quarantine_reader_begin(reader, give_entries, &given);
	enum gm_code code;
	while ((code = gm_quarantine_reader_next(reader, &head, err)) == GM_OK && head != NULL) count++;
	if (code == GM_OK) assert_int_equal(count, 2);
	gm_quarantine_reader_free(reader);
	return code;
}

static void quarantines(void **state)
{
	(void)state;
	fail_every_allocation(use_quarantine, false);
	fail_every_allocation(use_reader, false);
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
	gm_arena_init(&chunk.passing, 100);
	if (code == GM_OK) code = gm_key_hasher_new(secret, slots, 2, &hasher, err);
	if (code == GM_OK) {
		code = gm_key_hasher_run(hasher, &chunk, err);
		if (code == GM_OK) assert_true(chunk.key[0].low == chunk.key[2].low && chunk.key[0].low != chunk.key[1].low);
		gm_key_hasher_free(hasher);
	}
	gm_arena_release(&chunk.arena);
	gm_arena_release(&chunk.passing);
	gm_dict_unref(dict);
	return code;
}

static void hashers(void **state)
{
	(void)state;
	fail_every_allocation(use_hasher, true); /* partitions may not be remembered */
}

static enum gm_code use_contents(struct gm_error *err)
{
	static const struct gm_content_column columns[] = {{"text", FIELD_TEXT}, {"num", FIELD_NUM}};
	static const struct row rows[3] = {{1, 1}, {2, 2}, {3, 0}};
	static const uint32_t partitions[3];
	struct gm_content_hasher *hasher;
	struct gm_chunk chunk;
	uint64_t expected[3];
	armed = false; /* of making the chunk */
	make_chunk(&chunk, rows, partitions, 3);
	hash_chunk(&(struct shape){.key_count = 1}, &chunk);
	memcpy(expected, chunk.content, sizeof expected);
	armed = true;
	enum gm_code code = gm_content_hasher_new(secret(), columns, 2, &hasher, err);
	/* The partition's dictionary serves as one of values, so that codes are remembered. */
	if (code == GM_OK) code = gm_content_hasher_run(hasher, &chunk, err);
	if (code == GM_OK) assert_memory_equal(chunk.content, expected, sizeof expected);
	struct gm_vec text = chunk.vec[FIELD_TEXT];
	chunk.vec[FIELD_TEXT] = chunk.partition;
	if (code == GM_OK) code = gm_content_hasher_run(hasher, &chunk, err);
	if (code == GM_OK)
		assert_true(chunk.content[2] == gm_content_finish(gm_content_value(hasher, 0, &chunk.partition, 2)));
	chunk.vec[FIELD_TEXT] = text;
	gm_content_hasher_free(hasher);
	free_chunk(&chunk);
	return code;
}

static void contents(void **state)
{
	(void)state;
	fail_every_allocation(use_contents, true); /* codes may not be remembered */
}

static enum gm_code ignore_entries(void *context, const struct gm_key_entry *entries, size_t count,
                                   struct gm_error *err)
{
	(void)context, (void)entries, (void)count, (void)err;
	return GM_OK;
}

static enum gm_code ignore_duplicates(void *context, const struct gm_duplicate *entries, size_t count,
                                      struct gm_error *err)
{
	(void)context, (void)entries, (void)count, (void)err;
	return GM_OK;
}

static enum gm_code write_keys(struct gm_store *store, struct gm_error *err)
{
	static const struct gm_key_entry entry = {.value = 1};
	struct gm_keyfile *file;
	char token[GM_TOKEN_BYTES];
	GM_TRY(gm_keyfile_new(store, gm_key_secret_tag(secret()), "k", "w/", &file, err));
	enum gm_code code = gm_keyfile_add(file, &entry, 1, err);
	if (code == GM_OK) code = gm_keyfile_finish(file, token, err);
	gm_keyfile_free(file);
	GM_TRY(code);
	return gm_store_publish(store, token, "k", err);
}

static enum gm_code write_duplicates(struct gm_store *store, struct gm_error *err)
{
	static const struct gm_duplicate entry = {.record = 1};
	struct gm_duplicates *file;
	struct gm_kept_file kept;
	GM_TRY(gm_duplicates_new(store, "d", "w/", &file, err));
	enum gm_code code = gm_duplicates_add(file, &entry, err);
	if (code == GM_OK) code = gm_duplicates_finish(file, &kept, err);
	gm_duplicates_free(file);
	GM_TRY(code);
	return gm_store_publish(store, kept.token, "d", err);
}

static enum gm_code use_files(struct gm_error *err)
{
	struct gm_store *store;
	GM_TRY(gm_store_open_memory(&store, err));
	enum gm_code code = write_keys(store, err);
	if (code == GM_OK) code = gm_keyfile_read(store, gm_key_secret_tag(secret()), "k", ignore_entries, NULL, err);
	if (code == GM_OK) code = write_duplicates(store, err);
	if (code == GM_OK) code = gm_duplicates_read(store, "d", ignore_duplicates, NULL, err);
	gm_store_close(store);
	return code;
}

static void kept_files(void **state)
{
	(void)state;
	fail_every_allocation(use_files, false);
}

/* --- what the table holds ----------------------------------------------------------------------------------------- */

enum { KEPT_ROWS = 40 };
static struct shape key_shape;
static struct row kept_rows[KEPT_ROWS];
static struct gm_store *table_store;
static struct gm_delta_log *table_log;
static uint64_t table_bytes;

static enum gm_code ignore_settled(void *context, const struct gm_doubt *doubt, bool conflict, struct gm_error *err)
{
	(void)err;
	assert_int_equal(conflict, doubt->record % 2 == 0);
	++*(int *)context;
	return GM_OK;
}

static bool always_wanted(void *context)
{
	(void)context;
	return true;
}

static enum gm_code ignore_conflict(void *context, const struct gm_doubt *doubt, const struct gm_existing_place *place,
                                    const struct gm_vec_rows *key, uint32_t row, struct gm_error *err)
{
	(void)context, (void)doubt, (void)place, (void)key, (void)row, (void)err;
	return GM_OK;
}

static enum gm_code settle(const struct gm_existing *existing, const struct gm_chunk *chunk, const uint64_t *found,
                           struct gm_error *err)
{
	int settled = 0;
	struct gm_doubts *doubts;
	struct gm_doubts_options options = {.table = table_store,
	                                    .existing = existing,
	                                    .key_secret = secret(),
	                                    .columns = key_shape.columns,
	                                    .key_count = key_shape.key_count,
	                                    .column_count = key_shape.column_count,
	                                    .read_bytes = 1 << 20,
	                                    .spill_directory = "/tmp"};
	struct gm_doubts_told told = {ignore_settled, always_wanted, ignore_conflict, &settled};
	GM_TRY(gm_doubts_new(&options, &doubts, err));
	enum gm_code code = GM_OK;
	for (uint32_t i = 0; i < chunk->rows && code == GM_OK; i++) {
		struct gm_doubt doubt = {.key = chunk->key[i], .content = chunk->content[i], .winner = found[i], .record = i};
		code = gm_doubts_add(doubts, &doubt, err);
	}
	if (code == GM_OK) code = gm_doubts_settle(doubts, &told, err);
	if (code == GM_OK) assert_int_equal(settled, chunk->rows);
	gm_doubts_free(doubts);
	return code;
}

static enum gm_code find_duplicates(const struct gm_chunk *chunk, struct gm_keyset *set, struct gm_existing *existing,
                                    struct gm_error *err)
{
	uint8_t duplicate[KEPT_ROWS];
	uint64_t found[KEPT_ROWS];
	struct gm_vec_rows columns[2];
	for (size_t i = 0; i < key_shape.key_count; i++)
		columns[i] = (struct gm_vec_rows){&chunk->vec[key_shape.keys[i]], 0};
	GM_TRY(gm_existing_load(existing, chunk, columns, chunk->no_key, set, err));
	GM_TRY(gm_keyset_add(set, chunk->key, chunk->content, chunk->no_key, chunk->rows, duplicate, found, err));
	for (uint32_t i = 0; i < chunk->rows; i++) assert_true(duplicate[i] != 0 && gm_existing_is(found[i]));
	return settle(existing, chunk, found, err);
}

static enum gm_code use_existing(struct gm_error *err)
{
	static struct row rows[KEPT_ROWS];
	static const uint32_t partitions[KEPT_ROWS];
	struct gm_chunk chunk;
	struct gm_keyset *set;
	struct gm_existing *existing = NULL;
	struct gm_existing_options options = {.table = table_store,
	                                      .log = table_log,
	                                      .key_secret = secret(),
	                                      .keys = key_shape.columns,
	                                      .key_count = key_shape.key_count,
	                                      .filter_bytes = 1 << 20,
	                                      .read_bytes = 1 << 20};
	armed = false; /* of making the chunk */
	for (uint32_t i = 0; i < KEPT_ROWS; i++) rows[i] = (struct row){kept_rows[i].number, i % 2 == 0 ? 9 : 3};
	make_chunk(&chunk, rows, partitions, KEPT_ROWS);
	hash_chunk(&key_shape, &chunk);
	armed = true;
	enum gm_code code = gm_keyset_new(0, "/tmp", &set, err);
	if (code == GM_OK) code = gm_existing_new(&options, &existing, err);
	if (code == GM_OK) code = find_duplicates(&chunk, set, existing, err);
	gm_existing_free(existing);
	if (set != NULL) gm_keyset_free(set);
	free_chunk(&chunk);
	return code;
}

static enum gm_code use_overlap(struct gm_error *err)
{
	struct gm_overlap *overlap;
	bool overlaps;
	struct gm_overlap_options options = {.table = table_store,
	                                     .key_secret = secret(),
	                                     .keys = key_shape.columns,
	                                     .key_count = key_shape.key_count,
	                                     .memory_bytes = 4 << 20,
	                                     .spill_directory = "/tmp"};
	GM_TRY(gm_overlap_new(&options, &overlap, err));
	enum gm_code code = gm_overlap_load(overlap, "k", err);
	if (code == GM_OK) code = gm_overlap_ask(overlap, "p=0/a", "p=0", table_bytes, &overlaps, err);
	if (code == GM_OK) assert_false(overlaps);
	gm_overlap_free(overlap);
	return code;
}

static void make_table(void)
{
	static const int keys[] = {FIELD_ID, FIELD_N};
	static const struct file_shape whole = {.bloom = true};
	key_shape = make_shape(keys, 2);
	for (uint32_t i = 0; i < KEPT_ROWS; i++) kept_rows[i] = (struct row){i * 3 + 2, 3};
	table_store = open_memory();
	table_bytes = put_file(table_store, "p=0/a", &whole, kept_rows, 2, KEPT_ROWS / 2);
	struct gm_delta_file file = add("p=0/a", "p=0", table_bytes);
	table_log = commit_files(table_store, &file, 1);
	must(write_keys(table_store, &failure));
}

static void free_table(void)
{
	gm_delta_free(table_log);
	gm_store_close(table_store);
}

static void what_the_table_holds(void **state)
{
	(void)state;
	make_table();
	fail_every_allocation(use_existing, true); /* what a filter or a memo cannot hold is read or hashed again */
	fail_every_allocation(use_overlap, false);
	free_table();
	fail_at = 0;
	for (uint64_t at = 1, calls = 0; calls + 1 >= at; at++) { /* each call of the store as well */
		make_table();
		must(gm_store_open_faulty(table_store, at, GM_IO, false, &calls, &table_store, &failure));
		enum gm_code code = use_existing(&failure);
		armed = false;
		assert_int_equal(code, calls < at ? GM_OK : GM_IO);
		free_table();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(stores),
	                                   cmocka_unit_test(key_sets),
	                                   cmocka_unit_test(quarantines),
	                                   cmocka_unit_test(hashers),
	                                   cmocka_unit_test(contents),
	                                   cmocka_unit_test(kept_files),
	                                   cmocka_unit_test(what_the_table_holds)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
