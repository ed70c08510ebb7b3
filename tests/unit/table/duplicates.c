/* Lists of dropped duplicates and of conflicts: what was written comes back, and damage is told. */
#include "table/conflicts.h"
#include "table/duplicates.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <zlib.h>
#include <zstd.h>

static struct gm_duplicate entry_of(uint64_t i)
{
	return (struct gm_duplicate){
	    .key = {.low = i * 3, .high = ~i << 7}, .record = i << 33, .object = (uint32_t)i * 5, .flags = (uint32_t)i % 4};
}

static struct gm_kept_file write_list(struct gm_store *store, const char *key, uint64_t count)
{
	struct gm_duplicates *file;
	struct gm_kept_file kept;
	must(gm_duplicates_new(store, key, "w/", &file, &failure));
	for (uint64_t i = 0; i < count; i++) {
		struct gm_duplicate entry = entry_of(i);
		must(gm_duplicates_add(file, &entry, &failure));
	}
	must(gm_duplicates_finish(file, &kept, &failure));
	gm_duplicates_free(file);
	if (kept.token[0] != '\0') must(gm_store_publish(store, kept.token, key, &failure));
	return kept;
}

static enum gm_code check(void *context, const struct gm_duplicate *entries, size_t count, struct gm_error *err)
{
	uint64_t *next = context;
	(void)err;
	for (size_t i = 0; i < count; i++) {
		struct gm_duplicate expected = entry_of((*next)++);
		assert_memory_equal(&entries[i], &expected, sizeof expected);
	}
	return GM_OK;
}

static enum gm_code ignore(void *context, const struct gm_duplicate *entries, size_t count, struct gm_error *err)
{
	(void)context, (void)entries, (void)count, (void)err;
	return GM_OK;
}

static void what_is_written_comes_back(void **state)
{
	(void)state;
	static const uint64_t counts[] = {1, 2, 2047, 2048, 2049, 100000};
	struct gm_store *store;
	must(gm_store_open_memory(&store, &failure));
	assert_string_equal(write_list(store, "none", 0).token, "");
	assert_int_equal(gm_duplicates_read(store, "none", ignore, NULL, &failure), GM_NOT_FOUND);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		char key[64];
		uint64_t read = 0;
		struct gm_buf bytes;
		(void)snprintf(key, sizeof key, "%zu.zst", i);
		struct gm_kept_file kept = write_list(store, key, counts[i]);
		must(gm_duplicates_read(store, key, check, &read, &failure));
		assert_int_equal(read, counts[i]);
		gm_buf_init(&bytes, 64 << 20);
		must(gm_store_get(store, key, &bytes, &failure));
		assert_int_equal(bytes.len, kept.bytes);
		gm_buf_release(&bytes);
		(void)snprintf(key, sizeof key, "%zu again", i);
		struct gm_kept_file again = write_list(store, key, counts[i]);
		assert_memory_equal(again.hash, kept.hash, sizeof kept.hash);
	}
	gm_store_close(store);
}

static void put_le(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * i);
}

/* The format as duplicates.c describes it, written down again. */
static void the_bytes_are_those_of_the_description(void **state)
{
	(void)state;
	enum { BYTES = 8 + 2 * 32 };
	struct gm_store *store;
	uint8_t packed[500], expected[BYTES], found[BYTES + 1];
	size_t got;
	must(gm_store_open_memory(&store, &failure));
	(void)write_list(store, "d", 2);
	must(gm_store_read(store, "d", 0, packed, sizeof packed, &got, &failure));
	assert_int_equal(ZSTD_decompress(found, sizeof found, packed, got), BYTES);
	memcpy(expected, "GMDU\1\0\0\0", 8);
	for (size_t i = 0; i < 2; i++) {
		struct gm_duplicate entry = entry_of(i);
		put_le(expected + 8 + i * 32, entry.key.low, 8);
		put_le(expected + 16 + i * 32, entry.key.high, 8);
		put_le(expected + 24 + i * 32, entry.record, 8);
		put_le(expected + 32 + i * 32, entry.object, 4);
		put_le(expected + 36 + i * 32, entry.flags, 4);
	}
	assert_memory_equal(found, expected, BYTES);
	gm_store_close(store);
}

static void damage_is_told(void **state)
{
	(void)state;
	struct gm_store *store;
	uint8_t bytes[600] = {0};
	size_t size;
	must(gm_store_open_memory(&store, &failure));
	(void)write_list(store, "d", 5);
	must(gm_store_read(store, "d", 0, bytes, sizeof bytes, &size, &failure));
	for (size_t n = 0; n <= size + 3; n++) { /* cut, or with something behind it */
		if (n == size) continue;
		must(gm_store_put(store, "cut", bytes, n, false, &failure));
		assert_int_equal(gm_duplicates_read(store, "cut", ignore, NULL, &failure), GM_CORRUPT);
		assert_string_equal(failure.object, "cut");
	}
	for (size_t i = 0; i < size; i++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1 << bit);
			must(gm_store_put(store, "bent", bytes, size, false, &failure));
			uint64_t read = 0;
			/* A bit of zstd's that means nothing changes nothing; what differs is never taken for true. */
			enum gm_code code = gm_duplicates_read(store, "bent", ignore, NULL, &failure);
			if (code == GM_OK) must(gm_duplicates_read(store, "bent", check, &read, &failure));
			assert_true(code == GM_CORRUPT || code == GM_UNSUPPORTED || (code == GM_OK && read == 5));
			bytes[i] ^= (uint8_t)(1 << bit);
		}
	}
	uint8_t newer[8] = "GMDU\2\0\0", packed[100];
	size_t n = ZSTD_compress(packed, sizeof packed, newer, sizeof newer, 1);
	must(gm_store_put(store, "newer", packed, n, false, &failure));
	assert_int_equal(gm_duplicates_read(store, "newer", ignore, NULL, &failure), GM_UNSUPPORTED);
	assert_non_null(strstr(failure.message, "format 2"));
	gm_store_close(store);
}

/* --- conflicts ---------------------------------------------------------------------------------------------------- */

static json_t *write_conflict(const struct gm_conflict *conflict)
{
	struct gm_store *store;
	struct gm_ndjson *file;
	struct gm_kept_file kept;
	uint8_t packed[8192], text[16384];
	size_t got;
	json_error_t error;
	must(gm_store_open_memory(&store, &failure));
	must(gm_ndjson_new(store, "c", "w/", &file, &failure));
	must(gm_conflict_write(file, conflict, &failure));
	must(gm_ndjson_finish(file, &kept, &failure));
	gm_ndjson_free(file);
	must(gm_store_read(store, kept.token, 0, packed, sizeof packed, &got, &failure));
	z_stream stream = {.next_in = packed, .avail_in = (uInt)got, .next_out = text, .avail_out = sizeof text};
	assert_int_equal(inflateInit2(&stream, 31), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	(void)inflateEnd(&stream);
	assert_int_equal(text[stream.total_out - 1], '\n');
	json_t *json = json_loadb((char *)text, stream.total_out - 1, 0, &error);
	if (json == NULL) fail_msg("%s: %.*s", error.text, (int)stream.total_out, (char *)text);
	gm_store_close(store);
	return json;
}

static void conflicts_are_told_in_full(void **state)
{
	(void)state;
	static uint8_t text[] = "a\"\xc3\xa9"; /* and, cut off, the rest of a long one */
	static uint8_t long_text[3000];
	uint32_t ends[1] = {sizeof text - 1}, long_ends[1] = {sizeof long_text};
	int64_t time[1] = {1710108084084000}, number[1] = {-7}, day[1] = {19792};
	uint8_t truth[1] = {1};
	double real[1] = {0.5};
	for (size_t i = 0; i + 2 < sizeof long_text; i += 3) memcpy(long_text + i, "\xe2\x82\xac", 3);
	struct gm_vec vecs[] = {{.type = GM_TYPE_STRING, .repr = GM_REPR_PLAIN},
	                        {.type = GM_TYPE_TIMESTAMP, .repr = GM_REPR_I64, .i64 = time},
	                        {.type = GM_TYPE_BIGINT, .repr = GM_REPR_I64, .i64 = number},
	                        {.type = GM_TYPE_DATE, .repr = GM_REPR_I64, .i64 = day},
	                        {.type = GM_TYPE_BOOLEAN, .repr = GM_REPR_BOOL, .boolean = truth},
	                        {.type = GM_TYPE_DOUBLE, .repr = GM_REPR_F64, .f64 = real},
	                        {.type = GM_TYPE_STRING, .repr = GM_REPR_PLAIN}};
	enum { KEYS = sizeof vecs / sizeof vecs[0] };
	vecs[0].bytes = text;
	vecs[0].ends = ends;
	vecs[6].bytes = long_text;
	vecs[6].ends = long_ends;
	struct gm_vec_rows key[KEYS];
	for (size_t i = 0; i < KEYS; i++) key[i] = (struct gm_vec_rows){&vecs[i], 0};
	struct gm_conflict conflict = {.object = "o\xff",
	                               .record = 3,
	                               .offset = UINT64_C(1) << 40,
	                               .partition = (const uint8_t *)"p=1",
	                               .partition_bytes = 3,
	                               .key = key,
	                               .key_count = KEYS};
	json_t *told = write_conflict(&conflict);
	json_t *expected =
	    json_pack("{s:s, s:s, s:i, s:I, s:s, s:[s, s, i, s, b, f], s:s}", "object", "o\xef\xbf\xbd", "object_base64",
	              "b/8=", "record", 3, "offset", (json_int_t)1 << 40, "partition", "p=1", "key", "a\"\xc3\xa9",
	              "2024-03-10T22:01:24.084000Z", -7, "2024-03-10", 1, 0.5, "winner", "run");
	assert_non_null(expected);
	assert_int_equal(json_array_append_new(json_object_get(expected, "key"),
	                                       json_stringn((char *)long_text, GM_CONFLICT_TEXT_BYTES / 3 * 3)),
	                 0);
	if (!json_equal(told, expected)) fail_msg("%s", json_dumps(told, 0));
	json_decref(told);
	json_decref(expected);
	conflict.winner = "p=1/f";
	conflict.key_count = 1;
	told = write_conflict(&conflict);
	assert_string_equal(json_string_value(json_object_get(told, "winner")), "p=1/f");
	json_decref(told);
	char line[200], less[20];
	gm_conflict_say(&conflict, line, sizeof line);
	assert_string_equal(line,
	                    "o\xff: record 3 at byte 1099511627776: key \"a\"\xc3\xa9\" says something else than the row "
	                    "that was kept, in p=1/f");
	gm_conflict_say(&conflict, less, sizeof less);
	assert_memory_equal(less, line, sizeof less - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_comes_back),
	    cmocka_unit_test(the_bytes_are_those_of_the_description),
	    cmocka_unit_test(damage_is_told),
	    cmocka_unit_test(conflicts_are_told_in_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
