/* What every store must do: each test runs against a directory, against memory, and through the fault injector at rest;
 * or, when a location is given as argument (s3://bucket/prefix), against folders of that. */
#include "common.h"
#include "base/io.h"

#include <pthread.h>

enum kind { DIRECTORY, MEMORY, WRAPPED, REMOTE };
static const char *remote; /* where the tests of REMOTE have their folders */

struct setting {
	enum kind kind;
	char *folder, location[512]; /* location: of REMOTE */
	struct gm_store *store;
};

static struct gm_store *store_of(void **state)
{
	return ((struct setting *)*state)->store;
}

static int open_store(void **state, enum kind kind)
{
	struct gm_store *inner = NULL;
	struct setting *setting = calloc(1, sizeof *setting);
	assert_non_null(setting);
	setting->kind = kind;
	if (kind == MEMORY) {
		must(gm_store_open_memory(&setting->store, &failure));
	} else if (kind == REMOTE) {
		char random[33];
		assert_true(gm_io_random_hex(random));
		(void)snprintf(setting->location, sizeof setting->location, "%s/%s", remote, random);
		must(gm_store_open(setting->location, NULL, false, &setting->store, &failure));
	} else {
		setting->folder = make_folder();
		must(gm_store_open(setting->folder, NULL, false, &inner, &failure));
		setting->store = inner;
		if (kind == WRAPPED) must(gm_store_open_faulty(inner, 0, GM_IO, false, NULL, &setting->store, &failure));
	}
	*state = setting;
	return 0;
}

static int open_directory(void **state)
{
	return open_store(state, DIRECTORY);
}

static int open_memory(void **state)
{
	return open_store(state, MEMORY);
}

static int open_wrapped(void **state)
{
	return open_store(state, WRAPPED);
}

static int open_remote(void **state)
{
	return open_store(state, REMOTE);
}

static int close_store(void **state)
{
	struct setting *setting = *state;
	gm_store_close(setting->store);
	if (setting->folder != NULL) drop_folder(setting->folder);
	free(setting);
	return 0;
}

static void what_was_put_is_read(void **state)
{
	struct gm_store *store = store_of(state);
	struct gm_object_info info;
	struct gm_arena arena;
	char piece[8];
	size_t got;
	gm_arena_init(&arena, 256);
	put_text(store, "a/b/c.txt", "hello, world");
	put_text(store, "empty", "");
	assert_string_equal(get_text(store, "a/b/c.txt"), "hello, world");
	assert_string_equal(get_text(store, "empty"), "");
	must(gm_store_stat(store, "a/b/c.txt", &info, &arena, &failure));
	bool there = false;
	must(gm_store_has(store, "a/b/c.txt", &there, &failure));
	assert_true(there);
	assert_string_equal(info.key, "a/b/c.txt");
	assert_true((info.etag[0] == '\0') == (store->parallel == 1)); /* what is far away has one */
	assert_int_equal(info.size, 12);
	must(gm_store_read(store, "a/b/c.txt", 7, piece, sizeof piece, &got, &failure));
	assert_int_equal(got, 5);
	assert_memory_equal(piece, "world", 5);
	must(gm_store_read(store, "a/b/c.txt", 12, piece, sizeof piece, &got, &failure));
	assert_int_equal(got, 0);
	must(gm_store_read(store, "a/b/c.txt", UINT64_MAX, piece, sizeof piece, &got, &failure));
	assert_int_equal(got, 0);
	gm_arena_release(&arena);
}

static void absence_is_told(void **state)
{
	struct gm_store *store = store_of(state);
	struct gm_store_reader *reader;
	struct gm_object_info info;
	struct gm_arena arena;
	struct gm_buf buf;
	char piece[8];
	size_t got;
	put_text(store, "a/file", "x");
	gm_arena_init(&arena, 256);
	gm_buf_init(&buf, 100);
	static const char *const keys[] = {"no", "a", "a/no", "a/file/no"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		bool there = true;
		assert_int_equal(gm_store_stat(store, keys[i], &info, &arena, &failure), GM_NOT_FOUND);
		must(gm_store_has(store, keys[i], &there, &failure));
		assert_false(there);
		assert_int_equal(gm_store_read(store, keys[i], 0, piece, 8, &got, &failure), GM_NOT_FOUND);
		assert_int_equal(gm_store_reader_open(store, keys[i], &reader, &failure), GM_NOT_FOUND);
		assert_null(reader);
		assert_int_equal(gm_store_get(store, keys[i], &buf, &failure), GM_NOT_FOUND);
	}
	must(gm_store_remove(store, "no", &failure));
	must(gm_store_remove(store, "no/no", &failure));
	must(gm_store_remove_tree(store, "no/", &failure));
	assert_string_equal(list_text(store, "no/"), "");
	gm_arena_release(&arena);
	gm_buf_release(&buf);
}

static void put_if_absent_keeps_the_first(void **state)
{
	struct gm_store *store = store_of(state);
	put_text(store, "k", "first");
	assert_int_equal(gm_store_put(store, "k", "second", 6, true, &failure), GM_EXISTS);
	assert_string_equal(get_text(store, "k"), "first");
	must(gm_store_put(store, "k", "third", 5, false, &failure));
	assert_string_equal(get_text(store, "k"), "third");
	must(gm_store_remove(store, "k", &failure));
	put_text(store, "k", "fourth");
	assert_string_equal(get_text(store, "k"), "fourth");
	assert_string_equal(list_text(store, ""), "k");
}

static void keys_are_checked(void **state)
{
	struct gm_store *store = store_of(state);
	static const char *const bad[] = {"",       "/",           "/a",       "a/",      "a//b", ".",
	                                  "..",     "a/..",        "../a",     "a/../b",  "./a",  "a/./b",
	                                  ".x.tmp", "a/.tmp/b/..", "a/.1.tmp", ".1.tmp/b"};
	static const char *const good[] = {"a", "a/b", "...", ".a", "a/..b", "b..", "x.tmp", ".tmp", "a b/\xff\n=%"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(gm_store_key_valid(bad[i]));
		assert_int_equal(gm_store_put(store, bad[i], "x", 1, false, &failure), GM_USAGE);
		assert_int_equal(gm_store_remove(store, bad[i], &failure), GM_USAGE);
	}
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_true(gm_store_key_valid(good[i]));
	char longest[GM_KEY_MAX_BYTES + 2];
	for (size_t i = 0; i < sizeof longest; i++) longest[i] = i % 100 == 99 ? '/' : 'x';
	longest[GM_KEY_MAX_BYTES] = '\0';
	put_text(store, longest, "long");
	assert_string_equal(list_text(store, ""), longest);
	assert_string_equal(get_text(store, longest), "long");
	longest[GM_KEY_MAX_BYTES] = 'y';
	longest[GM_KEY_MAX_BYTES + 1] = '\0';
	assert_false(gm_store_key_valid(longest));
	static const char *const folders[] = {"", "/", "a", "../", "a/../", "//", "a//"};
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
		assert_int_equal(gm_store_remove_tree(store, folders[i], &failure), GM_USAGE);
	struct gm_buf keys;
	gm_buf_init(&keys, 100);
	assert_int_equal(gm_store_list(store, "../", join_keys, &keys, &failure), GM_USAGE);
	assert_int_equal(gm_store_list(store, "/", join_keys, &keys, &failure), GM_USAGE);
}

static void listing_is_in_the_order_of_whole_keys(void **state)
{
	struct gm_store *store = store_of(state);
	static const char *const keys[] = {"a/b", "a-b", "a.c",        "a0",  "a/b0/c", "a/b-",
	                                   "b",   "A",   "a/\xc3\xa4", "a/~", ".h"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) put_text(store, keys[i], "");
	assert_string_equal(list_text(store, ""), ".h|A|a-b|a.c|a/b|a/b-|a/b0/c|a/~|a/\xc3\xa4|a0|b");
	assert_string_equal(list_text(store, "a/"), "a/b|a/b-|a/b0/c|a/~|a/\xc3\xa4");
	assert_string_equal(list_text(store, "a/b"), "a/b|a/b-|a/b0/c");
	assert_string_equal(list_text(store, "a"), "a-b|a.c|a/b|a/b-|a/b0/c|a/~|a/\xc3\xa4|a0");
	assert_string_equal(list_text(store, "a/b0/"), "a/b0/c");
	assert_string_equal(list_text(store, "zz"), "");
	assert_string_equal(list_text(store, "a/x/y"), "");
}

/* What lies behind `after` is what a full listing gives behind it, wherever it stands: at a key, between keys, in a
 * folder, at a folder's own name, before and behind the prefix. */
static void listing_begins_behind_a_key(void **state)
{
	struct gm_store *store = store_of(state);
	static const char *const keys[] = {"a-b", "a.c", "a/b",  "a/b-", "a/b.d/c", "a/b0/c",
	                                   "a/~", "a0",  "ab/x", "b",    "c/d/e"};
	enum { KEYS = sizeof keys / sizeof keys[0] };
	static const char *const others[] = {"",     "a",      "a/",     "a/b/", "a/b/b",  "a/b/c/d", "a/b00", "a/b0/",
	                                     "a/b1", "a/b0/d", "a/\xff", "ab",   "ab/",    "b/",      "c",     "c/d",
	                                     "c/e",  "c/d/f",  "d",      "\xff", "A/long", "a.",      "a,"};
	enum { OTHERS = sizeof others / sizeof others[0] };
	static const char *const prefixes[] = {"", "a", "a/", "a/b", "a/b0/", "c/"};
	for (size_t i = 0; i < KEYS; i++) put_text(store, keys[i], "");
	for (size_t p = 0; p < sizeof prefixes / sizeof prefixes[0]; p++)
		for (size_t i = 0; i < KEYS + OTHERS; i++) {
			const char *after = i < KEYS ? keys[i] : others[i - KEYS];
			struct gm_buf expected, got;
			gm_buf_init(&expected, 1000);
			gm_buf_init(&got, 1000);
			for (size_t k = 0; k < KEYS; k++) {
				struct gm_object_info info = {.key = keys[k]};
				bool below = strncmp(keys[k], prefixes[p], strlen(prefixes[p])) == 0;
				if (below && strcmp(keys[k], after) > 0) must(join_keys(&expected, &info, &failure));
			}
			must(gm_store_list_after(store, prefixes[p], after, NULL, join_keys, &got, &failure));
			must(gm_buf_append(&expected, "", 1, &failure));
			must(gm_buf_append(&got, "", 1, &failure));
			assert_string_equal((const char *)got.data, (const char *)expected.data);
			gm_buf_release(&expected);
			gm_buf_release(&got);
		}
	char long_key[GM_KEY_FREE_BYTES + 2];
	memset(long_key, 'a', sizeof long_key);
	long_key[GM_KEY_FREE_BYTES + 1] = '\0';
	struct gm_buf none;
	gm_buf_init(&none, 100);
	assert_int_equal(gm_store_list_after(store, "", long_key, NULL, join_keys, &none, &failure), GM_USAGE);
}

struct pruned {
	struct gm_buf keys;
	const char *out; /* folders to leave out, each with a blank behind it */
	char asked[1000];
};

static bool is_out(void *context, const char *folder)
{
	struct pruned *pruned = context;
	char word[100];
	(void)snprintf(word, sizeof word, "%s ", folder);
	assert_true(strlen(pruned->asked) + strlen(word) < sizeof pruned->asked);
	if (strstr(pruned->asked, word) == NULL) strcat(pruned->asked, word);
	return strstr(pruned->out, word) != NULL;
}

static enum gm_code join_kept(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	return join_keys(&((struct pruned *)context)->keys, info, err);
}

static void folders_can_be_left_out(void **state)
{
	struct gm_store *store = store_of(state);
	static const char *const keys[] = {"2023/01/a", "2023/b", "2023-c",      "20230",       "2024/01/d", "2024/02/e",
	                                   "2024/02/f", "2024/g", "2024/02/x/h", "z/2023/01/i", "z/j",       "2022/k"};
	static const struct {
		const char *prefix, *out, *kept, *asked;
	} cases[] = {
	    {"", "2023/ 2024/02/ ", "2022/k|2023-c|20230|2024/01/d|2024/g|z/2023/01/i|z/j",
	     "2022/ 2023/ 2024/ 2024/01/ 2024/02/ z/ z/2023/ z/2023/01/ "},
	    {"", "2022/ 2023/ 2024/ z/ ", "2023-c|20230", "2022/ 2023/ 2024/ z/ "},
	    {"2024/", "2024/ 2024/02/x/ ", "2024/01/d|2024/02/e|2024/02/f|2024/g", "2024/01/ 2024/02/ 2024/02/x/ "},
	    {"2024/0", "2024/01/ ", "2024/02/e|2024/02/f|2024/02/x/h", "2024/01/ 2024/02/ 2024/02/x/ "},
	    {"202", "2024/ ", "2022/k|2023-c|2023/01/a|2023/b|20230", "2022/ 2023/ 2023/01/ 2024/ "},
	    {"nothing/", "", "", ""},
	};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) put_text(store, keys[i], "");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pruned pruned = {.out = cases[i].out};
		gm_buf_init(&pruned.keys, 1000);
		must(gm_store_list_pruned(store, cases[i].prefix, is_out, join_kept, &pruned, &failure));
		must(gm_buf_append(&pruned.keys, "", 1, &failure));
		assert_string_equal((const char *)pruned.keys.data, cases[i].kept);
		assert_string_equal(pruned.asked, cases[i].asked);
		gm_buf_release(&pruned.keys);
	}
}

static enum gm_code stop_at_two(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	int *seen = context;
	assert_non_null(info->key);
	if (++*seen == 2) GM_FAIL(err, GM_INTERRUPTED, "enough");
	return GM_OK;
}

static void a_listing_ends_when_told_to(void **state)
{
	int seen = 0;
	for (char key[] = "d/a"; key[2] < 'h'; key[2]++) put_text(store_of(state), key, "");
	assert_int_equal(gm_store_list(store_of(state), "", stop_at_two, &seen, &failure), GM_INTERRUPTED);
	assert_int_equal(seen, 2);
}

static void readers_read_on(void **state)
{
	enum { BYTES = 300000 };
	struct gm_store *store = store_of(state);
	struct gm_store_reader *reader, *other;
	uint8_t *data = malloc(BYTES), *back = malloc(BYTES);
	assert_non_null(data);
	assert_non_null(back);
	for (size_t i = 0; i < BYTES; i++) data[i] = (uint8_t)(i * 7 + i / 251);
	must(gm_store_put(store, "big", data, BYTES, true, &failure));
	must(gm_store_reader_open(store, "big", &reader, &failure));
	must(gm_store_reader_open(store, "big", &other, &failure));
	assert_int_equal(reader->info.size, BYTES);
	assert_string_equal(reader->info.key, "big");
	size_t total = 0, got, step = 1;
	do {
		size_t want = step < BYTES - total ? step : BYTES - total + 1;
		if (want > BYTES - total) want = BYTES - total > 0 ? BYTES - total : 1;
		must(gm_store_reader_read(reader, back + (total < BYTES ? total : 0), want, &got, &failure));
		total += got;
		step = step * 3 + 1;
	} while (got > 0);
	assert_int_equal(total, BYTES);
	assert_memory_equal(data, back, BYTES);
	must(gm_store_reader_check(reader, &failure));
	must(gm_store_reader_read(other, back, 10, &got, &failure));
	assert_memory_equal(data, back, 10);
	gm_store_reader_close(reader);
	gm_store_reader_close(other);
	gm_store_reader_close(NULL);
	free(data);
	free(back);
}

/* A store may tell at the first read that it is another object. */
static enum gm_code read_as(struct gm_store *store, const struct gm_object_info *expected)
{
	struct gm_store_reader *reader;
	char piece[8];
	size_t got;
	enum gm_code code = gm_store_reader_open_as(store, expected, &reader, &failure);
	if (code == GM_OK) code = gm_store_reader_read(reader, piece, sizeof piece, &got, &failure);
	if (code == GM_OK) code = gm_store_reader_check(reader, &failure);
	gm_store_reader_close(reader);
	return code;
}

static void readers_open_what_was_listed(void **state)
{
	struct gm_store *store = store_of(state);
	struct gm_store_reader *reader;
	struct gm_object_info info;
	struct gm_arena arena;
	char piece[8];
	size_t got;
	gm_arena_init(&arena, 256);
	put_text(store, "k", "first");
	must(gm_store_stat(store, "k", &info, &arena, &failure));
	must(gm_store_reader_open_as(store, &info, &reader, &failure));
	must(gm_store_reader_read(reader, piece, sizeof piece, &got, &failure));
	must(gm_store_reader_check(reader, &failure));
	assert_int_equal(got, 5);
	gm_store_reader_close(reader);
	struct gm_object_info other = info;
	other.mtime_us += 2000000;
	other.etag = "";
	assert_int_equal(read_as(store, &other), GM_CHANGED);
	other.mtime_us = info.mtime_us;
	other.size++;
	assert_int_equal(read_as(store, &other), GM_CHANGED);
	must(gm_store_put(store, "k", "other text", 10, false, &failure));
	assert_int_equal(read_as(store, &info), GM_CHANGED);
	must(gm_store_remove(store, "k", &failure));
	assert_int_equal(read_as(store, &info), GM_NOT_FOUND);
	gm_arena_release(&arena);
}

/* A pair of objects is compared by ETag where both have one, else by size and mtime. */
static void objects_are_compared(void **state)
{
	(void)state;
	static const struct {
		struct gm_object_info a, b;
		bool same;
	} cases[] = {
	    {{"k", 1, 2, ""}, {"k", 1, 2, ""}, true},    {{"k", 1, 2, ""}, {"k", 1, 3, ""}, false},
	    {{"k", 1, 2, ""}, {"k", 2, 2, ""}, false},   {{"k", 1, 2, "x"}, {"k", 1, 3, "x"}, true},
	    {{"k", 1, 2, "x"}, {"k", 1, 2, "y"}, false}, {{"k", 1, 2, "x"}, {"k", 1, 2, ""}, true},
	    {{"k", 1, 2, ""}, {"k", 1, 3, "x"}, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(gm_object_same(&cases[i].a, &cases[i].b), cases[i].same);
}

static void get_respects_the_limit(void **state)
{
	struct gm_buf buf;
	gm_buf_init(&buf, 6);
	put_text(store_of(state), "k", "12345");
	must(gm_buf_append(&buf, "ab", 2, &failure));
	assert_int_equal(gm_store_get(store_of(state), "k", &buf, &failure), GM_VALUE);
	assert_int_equal(buf.len, 2);
	buf.len = 1;
	must(gm_store_get(store_of(state), "k", &buf, &failure));
	assert_int_equal(buf.len, 6);
	assert_memory_equal(buf.data, "a12345", 6);
	gm_buf_release(&buf);
}

static void staged_objects_appear_only_when_published(void **state)
{
	struct gm_store *store = store_of(state);
	char token[GM_TOKEN_BYTES], second[GM_TOKEN_BYTES];
	stage_text(store, "year=2024/f.parquet", "data", token);
	must(gm_store_settle(store, &failure));
	assert_string_equal(list_text(store, "year"), "");
	assert_string_equal(list_text(store, ""), token); /* in the work folder, for whoever sweeps it */
	assert_memory_equal(token, "_gristmill/j/work/1/", 20);
	uint64_t bytes = 0;
	must(gm_store_staged_size(store, token, &bytes, &failure));
	assert_int_equal(bytes, 4);
	assert_true(gm_token_is_key(token));
	must(gm_store_publish(store, token, "year=2024/f.parquet", &failure));
	assert_string_equal(get_text(store, "year=2024/f.parquet"), "data");
	must(gm_store_publish(store, token, "year=2024/f.parquet", &failure)); /* the same again: done already */
	stage_text(store, "year=2024/f.parquet", "other", second);
	assert_string_not_equal(token, second);
	assert_int_equal(gm_store_publish(store, second, "year=2024/f.parquet", &failure), GM_EXISTS);
	assert_string_equal(get_text(store, "year=2024/f.parquet"), "data");
	must(gm_store_discard(store, token, &failure));
	must(gm_store_discard(store, token, &failure));
	must(gm_store_discard(store, second, &failure));
	assert_int_equal(gm_store_publish(store, second, "year=2024/g.parquet", &failure), GM_NOT_FOUND);
	assert_int_equal(gm_store_staged_size(store, second, &bytes, &failure), GM_NOT_FOUND);
	assert_string_equal(list_text(store, ""), "year=2024/f.parquet");
	assert_string_equal(get_text(store, "year=2024/f.parquet"), "data");
}

static void staged_bytes_are_all_there(void **state)
{
	enum { TOTAL = 1 << 20 };
	struct gm_store *store = store_of(state);
	struct gm_staged *staged;
	struct gm_buf buf;
	char token[GM_TOKEN_BYTES];
	uint8_t *data = malloc(TOTAL);
	assert_non_null(data);
	for (size_t i = 0; i < TOTAL; i++) data[i] = (uint8_t)(i ^ (i >> 8) ^ (i >> 16));
	must(gm_store_stage_open(store, "f", "w/", &staged, &failure));
	unsigned seed = 7;
	for (size_t at = 0, n; at < TOTAL; at += n) {
		seed = seed * 1664525U + 1013904223U;
		n = (seed >> 8) % ((seed >> 4) % 3 == 0 ? 200000 : 3000);
		if (n > TOTAL - at) n = TOTAL - at;
		must(gm_store_stage_append(store, staged, data + at, n, &failure));
	}
	must(gm_store_stage_finish(store, staged, token, &failure));
	must(gm_store_publish(store, token, "f", &failure));
	gm_buf_init(&buf, TOTAL);
	must(gm_store_get(store, "f", &buf, &failure));
	assert_int_equal(buf.len, TOTAL);
	assert_memory_equal(buf.data, data, TOTAL);
	gm_buf_release(&buf);
	free(data);
}

/* What is too large for one request is staged in parts, and whoever has the token publishes it; a machine that knows
 * nothing of it reads it back, in memory for a small part of it. */
static void large_objects_are_published_by_others(void **state)
{
	enum { LARGE = 17 << 20, PIECE = 123457 };
	const struct setting *setting = *state;
	const struct gm_store_options small = {.path_style = -1, .memory_bytes = 4 << 20};
	struct gm_store *mine = setting->store, *other = mine;
	struct gm_store_reader *reader;
	struct gm_staged *staged;
	char token[GM_TOKEN_BYTES];
	uint8_t *data = malloc(LARGE), piece[PIECE];
	uint64_t bytes;
	size_t at = 0, got = 1;
	assert_non_null(data);
	for (size_t i = 0; i < LARGE; i++) data[i] = (uint8_t)(i ^ (i >> 8) ^ (i >> 16));
	if (setting->kind == REMOTE) must(gm_store_open(setting->location, &small, false, &other, &failure));
	must(gm_store_stage_open(mine, "y=1/f", "w/", &staged, &failure));
	must(gm_store_stage_append(mine, staged, data, LARGE, &failure));
	must(gm_store_stage_finish(mine, staged, token, &failure));
	must(gm_store_settle(mine, &failure));
	assert_string_equal(list_text(mine, "y"), "");
	must(gm_store_staged_size(other, token, &bytes, &failure));
	assert_int_equal(bytes, LARGE);
	must(gm_store_publish(other, token, "y=1/f", &failure));
	must(gm_store_publish(mine, token, "y=1/f", &failure)); /* it is done already */
	must(gm_store_publish(other, token, "y=1/f", &failure));
	must(gm_store_discard(mine, token, &failure));
	must(gm_store_discard(other, token, &failure));
	must(gm_store_reader_open(other, "y=1/f", &reader, &failure));
	for (; got > 0; at += got) {
		must(gm_store_reader_read(reader, piece, PIECE, &got, &failure));
		assert_true(at + got <= LARGE);
		assert_memory_equal(piece, data + at, got);
	}
	assert_int_equal(at, LARGE);
	must(gm_store_reader_check(reader, &failure));
	gm_store_reader_close(reader);
	if (other != mine) gm_store_close(other);
	free(data);
}

static void abandoned_objects_leave_nothing(void **state)
{
	struct gm_store *store = store_of(state);
	struct gm_staged *staged;
	must(gm_store_stage_open(store, "f", "w/1/", &staged, &failure));
	must(gm_store_stage_append(store, staged, "x", 1, &failure));
	gm_store_stage_abandon(store, staged);
	gm_store_stage_abandon(store, NULL);
	assert_string_equal(list_text(store, ""), "");
	assert_int_equal(gm_store_stage_open(store, "f", "w", &staged, &failure), GM_USAGE);
	assert_int_equal(gm_store_stage_open(store, "f", "", &staged, &failure), GM_USAGE);
	assert_int_equal(gm_store_stage_open(store, "../f", "w/", &staged, &failure), GM_USAGE);
	assert_null(staged);
}

static void many_are_removed(void **state)
{
	struct gm_store *store = store_of(state);
	static const char *const keys[] = {"a", "b/c", "no", "b/d"}, *const bad[] = {"e", "../e"};
	put_text(store, "a", "");
	put_text(store, "b/c", "");
	put_text(store, "b/d", "");
	put_text(store, "e", "");
	must(gm_store_remove_many(store, keys, 4, &failure));
	must(gm_store_remove_many(store, keys, 0, &failure));
	assert_int_equal(gm_store_remove_many(store, bad, 2, &failure), GM_USAGE);
	assert_string_equal(list_text(store, ""), "e");
}

/* Nothing to ask of a service, and put-if-absent holds. */
static void it_is_near(void **state)
{
	struct gm_store *store = store_of(state);
	struct gm_store_counts counts = {.list = 7};
	must(gm_store_probe(store, "_gristmill/probe/", &failure));
	assert_int_equal(gm_store_probe(store, "_gristmill", &failure), GM_USAGE);
	gm_store_add_counts(store, &counts);
	assert_int_equal(counts.list, 7);
	assert_int_equal(counts.get + counts.head + counts.put + counts.bytes_in + counts.bytes_out, 0);
	assert_int_equal(store->parallel, 1);
	assert_false(store->free_keys);
}

/* Keys that others choose are read and listed where the store has them, and never written. */
static void free_keys_are_read_only(void **state)
{
	(void)state;
	static const char *const keys[] = {"./x", "/x", "a//b", "x/"};
	struct gm_store *store;
	char longest[GM_KEY_FREE_BYTES + 2];
	memset(longest, 'y', sizeof longest);
	longest[GM_KEY_FREE_BYTES] = '\0';
	must(gm_store_open_memory(&store, &failure));
	store->free_keys = true;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		must(store->ops->put(store, keys[i], "12", 2, false, &failure));
		assert_string_equal(get_text(store, keys[i]), "12");
		assert_int_equal(gm_store_put(store, keys[i], "x", 1, false, &failure), GM_USAGE);
		assert_int_equal(gm_store_remove(store, keys[i], &failure), GM_USAGE);
	}
	must(store->ops->put(store, longest, "", 0, false, &failure));
	assert_string_equal(get_text(store, longest), "");
	assert_string_equal(list_text(store, "a//"), "a//b");
	assert_string_equal(list_text(store, "/"), "/x");
	longest[GM_KEY_FREE_BYTES] = 'y';
	longest[GM_KEY_FREE_BYTES + 1] = '\0';
	bool there;
	assert_int_equal(gm_store_has(store, longest, &there, &failure), GM_USAGE);
	assert_int_equal(gm_store_has(store, "", &there, &failure), GM_USAGE);
	gm_store_close(store);
}

static void trees_are_removed(void **state)
{
	struct gm_store *store = store_of(state);
	put_text(store, "w/1/a", "");
	put_text(store, "w/1/b/c/d", "");
	put_text(store, "w/1/b/c/e", "");
	put_text(store, "w/1/b/f", "");
	put_text(store, "w/10", "");
	put_text(store, "w/1.x", "");
	must(gm_store_remove_tree(store, "w/1/", &failure));
	assert_string_equal(list_text(store, ""), "w/1.x|w/10");
	must(gm_store_remove_tree(store, "w/1/", &failure));
}

/* Of many writers of one key exactly one succeeds, and the object is whole. */
struct racer {
	struct gm_store *store;
	char text[64];
	int won[50];
};

static void *race(void *argument)
{
	struct racer *racer = argument;
	struct gm_error err;
	for (int i = 0; i < 50; i++) {
		char key[32];
		(void)snprintf(key, sizeof key, "race/%d/key", i);
		enum gm_code code = gm_store_put(racer->store, key, racer->text, strlen(racer->text), true, &err);
		racer->won[i] = code == GM_OK ? 1 : code == GM_EXISTS ? 0 : -100;
	}
	return NULL;
}

static void one_writer_wins(void **state)
{
	enum { RACERS = 4 };
	struct racer racers[RACERS];
	pthread_t threads[RACERS];
	for (int i = 0; i < RACERS; i++) {
		racers[i].store = store_of(state);
		(void)snprintf(racers[i].text, sizeof racers[i].text, "written by %d", i);
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int key = 0; key < 50; key++) {
		int winners = 0, winner = 0;
		char name[32];
		for (int i = 0; i < RACERS; i++) {
			winners += racers[i].won[key];
			if (racers[i].won[key] == 1) winner = i;
		}
		assert_int_equal(winners, 1);
		(void)snprintf(name, sizeof name, "race/%d/key", key);
		assert_string_equal(get_text(store_of(state), name), racers[winner].text);
	}
}

#define ON_ALL(test)                                                     \
	cmocka_unit_test_setup_teardown(test, open_directory, close_store),  \
	    cmocka_unit_test_setup_teardown(test, open_memory, close_store), \
	    cmocka_unit_test_setup_teardown(test, open_wrapped, close_store)
#define ON_REMOTE(test) cmocka_unit_test_setup_teardown(test, open_remote, close_store)
/* Those that a store elsewhere must pass as well. */
#define EVERYWHERE(ON)                                                                                             \
	ON(what_was_put_is_read), ON(absence_is_told), ON(put_if_absent_keeps_the_first),                              \
	    ON(listing_is_in_the_order_of_whole_keys), ON(listing_begins_behind_a_key), ON(folders_can_be_left_out),   \
	    ON(a_listing_ends_when_told_to), ON(readers_read_on), ON(readers_open_what_was_listed),                    \
	    ON(get_respects_the_limit), ON(staged_objects_appear_only_when_published), ON(staged_bytes_are_all_there), \
	    ON(large_objects_are_published_by_others), ON(abandoned_objects_leave_nothing), ON(many_are_removed),      \
	    ON(trees_are_removed), ON(one_writer_wins)

int main(int count, char **arguments)
{
	const struct CMUnitTest here[] = {EVERYWHERE(ON_ALL), ON_ALL(it_is_near), ON_ALL(keys_are_checked),
	                                  cmocka_unit_test(objects_are_compared),
	                                  cmocka_unit_test(free_keys_are_read_only)};
	const struct CMUnitTest there[] = {EVERYWHERE(ON_REMOTE)};
	if (count < 2) return cmocka_run_group_tests(here, NULL, NULL);
	remote = arguments[1];
	return cmocka_run_group_tests(there, NULL, NULL);
}
