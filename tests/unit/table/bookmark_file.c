/* The base file of a bookmark: read and written as its description says, refused when anything in it is wrong. */
#include "table/bookmark_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "bookmark_build.h"
#include "../must.h"

static void put(struct gm_store *store, const void *bytes, size_t n)
{
	must(gm_store_put(store, "b/9", bytes, n, false, &failure));
}

struct seen {
	const struct gm_bookmark_entry *expected;
	size_t count, at;
};

static enum gm_code expect(void *context, const struct gm_bookmark_entry *entry, struct gm_error *error)
{
	(void)error;
	struct seen *seen = context;
	assert_true(seen->at < seen->count);
	const struct gm_bookmark_entry *expected = &seen->expected[seen->at++];
	assert_string_equal(entry->key, expected->key);
	assert_true(entry->size == expected->size && entry->mtime_us == expected->mtime_us);
	assert_true(entry->etag_hash == expected->etag_hash && entry->run == expected->run);
	return GM_OK;
}

static enum gm_code ignore(void *context, const struct gm_bookmark_entry *entry, struct gm_error *error)
{
	(void)context;
	(void)entry;
	(void)error;
	return GM_OK;
}

/* What opening and a whole pass come to. */
static enum gm_code read_all(struct gm_store *store)
{
	struct gm_bookmark *bookmark;
	enum gm_code rc = gm_bookmark_open(store, "b/9", &bookmark, &failure);
	if (rc == GM_OK) rc = gm_bookmark_each(bookmark, ignore, NULL, &failure);
	gm_bookmark_free(bookmark);
	return rc;
}

/* --- The description ---------------------------------------------------------------------------------------------- */

/* Entries as they may be, in order; the file holds them in two blocks. */
static const struct gm_bookmark_entry sample[] = {
    {"/_gristmill/j/quarantine/00000002/00000.ndjson.gz", 77, INT64_C(1900000000000000), 0, 4},
    {"2024/03/10/22/stream-1-a.gz", 123456, INT64_C(1710108084000000), UINT64_C(0xfedcba9876543210), 2},
    {"2024/03/10/22/stream-1-b.gz", 0, INT64_C(1710108083999999), 1, 2},
    {"2024/03/10/22/stream-1-b.gz2", UINT64_MAX, INT64_MIN, 0, 9},
    {"2024/03/11/00/stream-1-c.gz", 127, INT64_MAX, UINT64_MAX, 4},
    {"x", 128, -1, 7, 2},
    {"\xc3\xa4/\xf0\x9f\x98\x80", 16384, 0, 8, 3},
};
enum { SAMPLES = sizeof sample / sizeof sample[0], FIRST_BLOCK = 3 };
static const uint64_t sample_runs[][2] = {{2, 4}, {6, 6}, {9, 9}};

static void free_columns(struct build columns[6])
{
	for (int i = 0; i < 6; i++) free(columns[i].bytes);
}

static size_t shared(const char *a, const char *b)
{
	size_t n = 0;
	while (a[n] != '\0' && a[n] == b[n]) n++;
	return n;
}

/* Entries as the columns of one block. */
static void build_entries(struct build columns[6], const struct gm_bookmark_entry *entries, size_t count)
{
	memset(columns, 0, 6 * sizeof *columns);
	for (size_t i = 0; i < count; i++) {
		const struct gm_bookmark_entry *e = &entries[i];
		const struct gm_bookmark_entry before = i > 0 ? e[-1] : (struct gm_bookmark_entry){.key = ""};
		size_t common = shared(before.key, e->key);
		build_varint(&columns[0], common);
		build_varint(&columns[0], strlen(e->key) - common);
		build_bytes(&columns[1], e->key + common, strlen(e->key) - common);
		build_varint(&columns[2], e->size);
		build_zigzag(&columns[3], (int64_t)((uint64_t)e->mtime_us - (uint64_t)before.mtime_us));
		build_zigzag(&columns[4], (int64_t)(e->run - before.run));
		build_number(&columns[5], e->etag_hash, 8);
	}
}

static void build_entries_block(struct build *file, const struct gm_bookmark_entry *entries, size_t count)
{
	struct build columns[6];
	build_entries(columns, entries, count);
	build_block(file, (uint32_t)count, columns);
	free_columns(columns);
}

static struct build build_sample(size_t first_block)
{
	struct build file = {0};
	build_head(&file, SAMPLES - 1, 1, INT64_MAX, -77, sample_runs, 3);
	if (first_block > 0) build_entries_block(&file, sample, first_block);
	build_entries_block(&file, sample + first_block, SAMPLES - first_block);
	build_trailer(&file, first_block > 0 ? 2 : 1, SAMPLES);
	return file;
}

static int set_up(void **state)
{
	must(gm_store_open_memory((struct gm_store **)state, &failure));
	return 0;
}

static int tear_down(void **state)
{
	gm_store_close(*state);
	return 0;
}

static void a_file_of_the_description_is_read(void **state)
{
	struct gm_store *store = *state;
	struct gm_bookmark *bookmark;
	struct gm_bookmark_summary summary;
	const struct gm_bookmark_entry *entry;
	struct build file = build_sample(FIRST_BLOCK);
	put(store, file.bytes, file.n);
	must(gm_bookmark_open(store, "b/9", &bookmark, &failure));
	assert_int_equal(gm_bookmark_base(bookmark), 9);
	assert_int_equal(gm_bookmark_full(bookmark), -77);
	for (uint64_t run = 0; run < 12; run++)
		assert_int_equal(gm_bookmark_has_run(bookmark, run), (run >= 2 && run <= 4) || run == 6 || run == 9);
	must(gm_bookmark_summarize(bookmark, &summary, &failure));
	assert_true(summary.objects == 6 && summary.replayed == 1 && summary.newest_us == INT64_MAX && summary.runs == 5);
	for (int pass = 0; pass < 3; pass++) {
		struct seen seen = {sample, SAMPLES, 0};
		must(gm_bookmark_each(bookmark, expect, &seen, &failure));
		assert_int_equal(seen.at, SAMPLES);
		for (size_t i = (size_t)pass; i < SAMPLES; i += 2) {
			must(gm_bookmark_find(bookmark, sample[i].key, &entry, &failure));
			assert_non_null(entry);
			assert_true(entry->size == sample[i].size);
		}
	}
	gm_bookmark_free(bookmark);
	free(file.bytes);
}

static void a_file_is_written_as_described(void **state)
{
	struct gm_store *store = *state;
	struct gm_bookmark *bookmark;
	struct gm_buf written;
	struct build file = build_sample(0);
	must(gm_bookmark_open(NULL, NULL, &bookmark, &failure));
	for (uint64_t run = 2; run <= 9; run++) {
		if (run == 5 || run == 7 || run == 8) continue;
		must(gm_bookmark_run(bookmark, run, &failure));
		for (size_t i = 0; i < SAMPLES; i++)
			if (sample[i].run == run) must(gm_bookmark_add(bookmark, &sample[i], &failure));
	}
	gm_bookmark_set_full(bookmark, -77);
	must(gm_bookmark_write(bookmark, store, "b/9", "w/", &failure));
	gm_buf_init(&written, 1 << 20);
	must(gm_store_get(store, "b/9", &written, &failure));
	assert_int_equal(written.len, file.n);
	assert_memory_equal(written.data, file.bytes, file.n);
	gm_buf_release(&written);
	gm_bookmark_free(bookmark);
	free(file.bytes);
}

/* Many blocks: some full of entries, some of bytes. */
static void long_files_come_back(void **state)
{
	enum { MANY = 30000 };
	struct gm_store *store = *state;
	struct gm_bookmark *bookmark;
	char(*keys)[GM_BOOKMARK_KEY_MAX + 1] = calloc(MANY, sizeof *keys);
	struct gm_bookmark_entry *entries = calloc(MANY, sizeof *entries);
	assert_true(keys != NULL && entries != NULL);
	must(gm_bookmark_open(NULL, NULL, &bookmark, &failure));
	must(gm_bookmark_run(bookmark, 1, &failure));
	for (size_t i = 0; i < MANY; i++) {
		size_t n = (size_t)snprintf(keys[i], 20, "%08zu", i);
		if (i > MANY / 2 && i % 3 == 0) memset(keys[i] + n, 'a' + (int)(i % 26), 200 + i % 800);
		entries[i] = (struct gm_bookmark_entry){keys[i], i, (int64_t)(i * i), i << 40, 1};
		must(gm_bookmark_add(bookmark, &entries[i], &failure));
	}
	must(gm_bookmark_write(bookmark, store, "b/9", "w/", &failure));
	gm_bookmark_free(bookmark);
	must(gm_bookmark_open(store, "b/9", &bookmark, &failure));
	struct seen seen = {entries, MANY, 0};
	must(gm_bookmark_each(bookmark, expect, &seen, &failure));
	assert_int_equal(seen.at, MANY);
	gm_bookmark_free(bookmark);
	free(entries);
	free(keys);
}

/* --- Damage ------------------------------------------------------------------------------------------------------- */

static void expect_damage(struct gm_store *store, const struct build *file, const char *why)
{
	put(store, file->bytes, file->n);
	failure = (struct gm_error){0};
	enum gm_code rc = read_all(store);
	if (rc != GM_CORRUPT) fail_msg("%s: %s %s", why, gm_code_name(rc), failure.message);
	assert_string_equal(failure.object, "b/9");
	if (strstr(failure.message, why) == NULL) fail_msg("\"%s\" is not in \"%s\"", why, failure.message);
}

static void a_newer_format_is_refused_by_name(void **state)
{
	struct gm_store *store = *state;
	struct build file = {0};
	build_header(&file, 2, "whatever", 8);
	put(store, file.bytes, file.n);
	assert_int_equal(read_all(store), GM_UNSUPPORTED);
	assert_string_equal(failure.object, "b/9");
	assert_non_null(strstr(failure.message, "format 2"));
	free(file.bytes);
}

/* Every byte changed in several ways, every length but the right one. A changed number of the format may look newer. */
static void every_byte_counts(void **state)
{
	struct gm_store *store = *state;
	struct build file = build_sample(FIRST_BLOCK);
	static const uint8_t flips[] = {1, 0x80, 0x55, 0xff};
	for (size_t i = 0; i < file.n; i++) {
		for (size_t k = 0; k < sizeof flips; k++) {
			file.bytes[i] ^= flips[k];
			put(store, file.bytes, file.n);
			enum gm_code rc = read_all(store);
			bool of_format = i >= 8 && i < 12;
			if (rc != GM_CORRUPT && !(of_format && rc == GM_UNSUPPORTED))
				fail_msg("byte %zu ^ %x: %s", i, flips[k], gm_code_name(rc));
			assert_string_equal(failure.object, "b/9");
			file.bytes[i] ^= flips[k];
		}
	}
	for (size_t n = 0; n < file.n; n++) {
		put(store, file.bytes, n);
		assert_int_equal(read_all(store), GM_CORRUPT);
	}
	build_number(&file, 0, 1);
	expect_damage(store, &file, "follows its end");
	free(file.bytes);
}

/* A file around one block with the columns given. */
static void expect_bad_block(struct gm_store *store, const struct build columns[6], uint32_t entries, const char *why)
{
	struct build file = {0};
	static const uint64_t runs[][2] = {{1, 3}};
	build_head(&file, entries, 0, 0, 0, runs, 1);
	build_block(&file, entries, columns);
	build_trailer(&file, 1, entries);
	expect_damage(store, &file, why);
	free(file.bytes);
}

/* Columns of two good entries, "ab" and "ac", of run 1. */
static void good_columns(struct build columns[6])
{
	static const struct gm_bookmark_entry good[2] = {{.key = "ab", .run = 1}, {.key = "ac", .run = 1}};
	build_entries(columns, good, 2);
}

/* Puts other bytes in a column's place. */
static void expect_bad_column(struct gm_store *store, int column, const char *bytes, size_t n)
{
	struct build columns[6];
	good_columns(columns);
	columns[column].n = 0;
	build_bytes(&columns[column], bytes, n);
	expect_bad_block(store, columns, 2, "an entry cannot be read");
	free_columns(columns);
}

static void entries_that_cannot_be_are_refused(void **state)
{
	struct gm_store *store = *state;
	static const struct {
		int column;
		const char *bytes;
		size_t n;
	} cases[] = {
	    {0, "\0\2\1", 3},                                          /* a length is missing */
	    {0, "\0\2\1\1\1", 5},                                      /* one too many */
	    {0, "\1\2\1\1", 4},                                        /* a block's first with something in common */
	    {0, "\0\2\3\1", 4},                                        /* more in common than there is */
	    {0, "\0\2\1\0", 4},                                        /* nothing behind it */
	    {0, "\0\2\1\2", 4},                                        /* more text than there is */
	    {0, "\0\2\1\x80\0", 5},                                    /* a longer form of 0 */
	    {0, "\0\2\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\2", 13},   /* more than 64 bits */
	    {0, "\0\2\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 13},   /* 2^64 - 1 */
	    {1, "ab", 2},                                              /* text is missing */
	    {1, "abcd", 4},                                            /* too much */
	    {1, "abb", 3},                                             /* not ascending */
	    {1, "aba", 3},                                             /* falling */
	    {1, "a\0c", 3},                                            /* a NUL */
	    {1, "\xff\x41\x42", 3},                                    /* not UTF-8 */
	    {2, "\1", 1},                                              /* a size is missing */
	    {2, "\1\1\1", 3},                                          /* one too many */
	    {2, "\1\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, /* more than 64 bits */
	    {3, "\1", 1},
	    {3, "\1\1\1", 3},
	    {3, "\1\x80", 2}, /* the same for times */
	    {4, "\0\0", 2},   /* run 0 */
	    {4, "\2\6", 2},   /* run 4, which is not on the chain */
	    {4, "\2\1\0", 3},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect_bad_column(store, cases[i].column, cases[i].bytes, cases[i].n);
}

static void blocks_that_cannot_be_are_refused(void **state)
{
	struct gm_store *store = *state;
	struct build columns[6], file = {0};
	static const struct gm_bookmark_entry falling[2] = {{.key = "b", .run = 1}, {.key = "a", .run = 1}};
	static const struct gm_bookmark_entry longer[2] = {{.key = "b", .run = 1}, {.key = "b", .run = 1}};
	static const uint64_t runs[][2] = {{1, 1}};
	good_columns(columns);
	expect_bad_block(store, columns, 1, "a block has a wrong size");
	expect_bad_block(store, columns, 3, "a block has a wrong size");
	for (int i = 0; i < GM_BOOKMARK_BLOCK_MAX; i++) build_varint(&columns[2], 0);
	expect_bad_block(store, columns, 2, "a block has a wrong size");
	free_columns(columns);
	good_columns(columns); /* a key that is longer than any */
	columns[0].n = columns[1].n = 0;
	build_bytes(&columns[0], "\0\1\1\x80\x08", 5);
	for (int i = 0; i < 1025; i++) build_bytes(&columns[1], "x", 1);
	expect_bad_block(store, columns, 2, "an entry cannot be read");
	free_columns(columns);
	for (int k = 0; k < 2; k++) { /* the first of a block is less than, or is, the last of the one before */
		file.n = 0;
		build_head(&file, 2, 0, 0, 0, runs, 1);
		for (int i = 0; i < 2; i++) build_entries_block(&file, k == 0 ? &falling[i] : &longer[i], 1);
		build_trailer(&file, 2, 2);
		expect_damage(store, &file, "an entry cannot be read");
	}
	/* A frame that says more, or less, than the block does. */
	for (int k = -1; k <= 1; k += 2) {
		file.n = 0;
		build_head(&file, 2, 0, 0, 0, runs, 1);
		size_t from = file.n;
		good_columns(columns);
		build_block(&file, 2, columns);
		free_columns(columns);
		file.bytes[from + 4 + 8] = (uint8_t)(file.bytes[from + 4 + 8] + k);
		file.n -= 8;
		build_check(&file, from);
		build_trailer(&file, 1, 2);
		expect_damage(store, &file, "a block cannot be decompressed");
	}
	free(file.bytes);
}

static void headers_that_cannot_be_are_refused(void **state)
{
	struct gm_store *store = *state;
	static const struct {
		const char *ranges;
		size_t n;
	} cases[] = {
	    {"\0", 1},                                              /* no run */
	    {"\1\0\0", 3},                                          /* run 0 */
	    {"\2\1\1", 3},                                          /* a range is missing */
	    {"\2\1\1\1\1", 5},                                      /* two that are one */
	    {"\2\1\1\0\1", 5},                                      /* two that meet */
	    {"\1\1\1\1", 4},                                        /* too much */
	    {"\1\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 12},     /* beyond 2^64 */
	    {"\2\2\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0", 14}, /* the same */
	    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1\1", 12},     /* as many as there cannot be */
	    {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1\1\1", 13}, /* no number */
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct build head = {0}, file = {0};
		for (int k = 0; k < 4; k++) build_number(&head, 0, 8);
		build_bytes(&head, cases[i].ranges, cases[i].n);
		build_header(&file, 1, head.bytes, head.n);
		build_trailer(&file, 0, 0);
		put(store, file.bytes, file.n);
		assert_int_equal(read_all(store), GM_CORRUPT);
		free(head.bytes);
		free(file.bytes);
	}
	struct build file = {0};
	build_header(&file, 0, "", 0);
	expect_damage(store, &file, "no format number");
	file.n = 0;
	build_header(&file, 1, "", 0);
	expect_damage(store, &file, "its header has a wrong size");
	memcpy(file.bytes + 12, "\xff\xff\xff\xff", 4);
	expect_damage(store, &file, "its header has a wrong size");
	free(file.bytes);
}

static void a_file_holds_what_it_says(void **state)
{
	struct gm_store *store = *state;
	for (int i = 0; i < 6; i++) {
		struct build file = {0};
		build_head(&file, SAMPLES - 1 - (i == 0), 1 + (i == 1), INT64_MAX - (i == 2), 0, sample_runs, 3);
		build_entries_block(&file, sample, SAMPLES);
		build_trailer(&file, 1 + (i == 3), SAMPLES + (i == 4));
		if (i < 5)
			expect_damage(store, &file, "does not hold what it says");
		else { /* and is whole, if all is as it says */
			put(store, file.bytes, file.n);
			must(read_all(store));
		}
		free(file.bytes);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_file_of_the_description_is_read, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_file_is_written_as_described, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(long_files_come_back, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_newer_format_is_refused_by_name, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_byte_counts, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(entries_that_cannot_be_are_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(blocks_that_cannot_be_are_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(headers_that_cannot_be_are_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_file_holds_what_it_says, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
