/* Does somebody else's file hold a key of ours? Against a plain comparison of the numbers. */
#include "table/keyfile.h"
#include "table/overlap.h"
#include "table_fixture.h"

enum { ROWS = 300 };

/* A unit's key file, of rows that all belong to one partition. */
static void write_keys(struct gm_store *store, const char *path, const struct shape *shape, const struct row *rows,
                       uint32_t partition, uint32_t count)
{
	uint32_t partitions[ROWS];
	struct gm_chunk chunk;
	struct gm_keyfile *file;
	char token[GM_TOKEN_BYTES];
	for (uint32_t i = 0; i < count; i++) partitions[i] = partition;
	make_chunk(&chunk, rows, partitions, count);
	hash_chunk(shape, &chunk);
	must(gm_keyfile_new(store, gm_key_secret_tag(secret()), path, "w/", &file, &failure));
	for (uint32_t i = 0; i < count; i++) {
		struct gm_key_entry entry = {chunk.key[i], chunk.content[i]};
		if (chunk.no_key[i] == 0) must(gm_keyfile_add(file, &entry, 1, &failure));
	}
	must(gm_keyfile_finish(file, token, &failure));
	gm_keyfile_free(file);
	must(gm_store_publish(store, token, path, &failure));
	free_chunk(&chunk);
}

static void fill_rows(struct row *rows, uint32_t first, uint32_t step)
{
	for (uint32_t i = 0; i < ROWS; i++) rows[i] = (struct row){first + i * step, i % 3};
}

static bool ask(struct gm_overlap *overlap, struct gm_store *store, const char *path, const char *partition,
                const struct row *rows)
{
	static const struct file_shape whole = {.bloom = true};
	bool overlaps;
	uint64_t bytes = put_file(store, path, &whole, rows, 3, ROWS / 3);
	must(gm_overlap_ask(overlap, path, partition, bytes, &overlaps, &failure));
	return overlaps;
}

static void exactly_when_a_key_is_shared(void **state)
{
	(void)state;
	static const int keys[][2] = {{FIELD_ID}, {FIELD_N, FIELD_AT}};
	for (size_t k = 0; k < 2; k++) {
		struct shape shape = make_shape(keys[k], k + 1);
		struct gm_store *store = open_memory();
		struct gm_overlap *overlap;
		struct row rows[ROWS];
		struct gm_overlap_options options = {.table = store,
		                                     .key_secret = secret(),
		                                     .keys = shape.columns,
		                                     .key_count = shape.key_count,
		                                     .memory_bytes = 4 << 20,
		                                     .spill_directory = "/tmp"};
		must(gm_overlap_new(&options, &overlap, &failure));
		fill_rows(rows, 0, 2); /* even numbers in p=1, 3 and its multiples in p=2 */
		write_keys(store, "0.keys", &shape, rows, 1, ROWS);
		fill_rows(rows, 3, 3);
		write_keys(store, "1.keys", &shape, rows, 2, ROWS);
		must(gm_overlap_load(overlap, "0.keys", &failure));
		must(gm_overlap_load(overlap, "1.keys", &failure));
		fill_rows(rows, 1, 2);
		assert_false(ask(overlap, store, "odd", "p=1", rows));
		assert_false(ask(overlap, store, "odd again", "p=1", rows)); /* its own keys of before do not count */
		assert_true(ask(overlap, store, "odd in the other", "p=2", rows));
		assert_false(ask(overlap, store, "odd in a third", "p=3", rows));
		rows[ROWS - 1].number = 100;
		assert_true(ask(overlap, store, "the last is shared", "p=1", rows));
		fill_rows(rows, 0, 0); /* nulls */
		assert_false(ask(overlap, store, "no keys", "p=1", rows));
		bool overlaps;
		assert_int_equal(gm_overlap_ask(overlap, "absent", "p=1", 1000, &overlaps, &failure), GM_CHANGED);
		assert_int_equal(gm_overlap_load(overlap, "absent", &failure), GM_NOT_FOUND);
		gm_overlap_free(overlap);
		gm_store_close(store);
	}
	gm_overlap_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(exactly_when_a_key_is_shared)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
