/* Files of keys: what was written comes back, and whatever was cut or damaged is told. */
#include "table/keyfile.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const uint64_t TAG = 0x0123456789abcdef;

static struct gm_key_entry entry_of(uint64_t i)
{
	return (struct gm_key_entry){.key = {.low = i * 3, .high = ~i << 7}, .value = i << 40 | 5};
}

static void write_file(struct gm_store *store, const char *key, uint64_t count, size_t step)
{
	struct gm_keyfile *file;
	char token[GM_TOKEN_BYTES];
	struct gm_key_entry *entries = malloc(step * sizeof *entries);
	assert_non_null(entries);
	must(gm_keyfile_new(store, TAG, key, "w/", &file, &failure));
	for (uint64_t at = 0; at < count;) {
		size_t n = 0;
		while (n < step && at < count) entries[n++] = entry_of(at++);
		must(gm_keyfile_add(file, entries, n, &failure));
	}
	must(gm_keyfile_finish(file, token, &failure));
	gm_keyfile_free(file);
	must(gm_store_publish(store, token, key, &failure));
	must(gm_store_discard(store, token, &failure));
	free(entries);
}

static enum gm_code check(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	uint64_t *next = context;
	(void)err;
	assert_true(count > 0 && count <= GM_CHUNK_ROWS);
	for (size_t i = 0; i < count; i++) {
		struct gm_key_entry expected = entry_of((*next)++);
		assert_memory_equal(&entries[i], &expected, sizeof expected);
	}
	return GM_OK;
}

static enum gm_code ignore(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	(void)context, (void)entries, (void)count, (void)err;
	return GM_OK;
}

static void what_is_written_comes_back(void **state)
{
	(void)state;
	static const uint64_t counts[] = {0, 1, 4095, 4096, 4097, 30000};
	struct gm_store *store;
	must(gm_store_open_memory(&store, &failure));
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		for (size_t step = 1; step < 10000; step = step * 17 + 1) {
			char key[64];
			uint64_t read = 0;
			(void)snprintf(key, sizeof key, "%zu/%zu.keys", i, step);
			write_file(store, key, counts[i], step);
			must(gm_keyfile_read(store, TAG, key, check, &read, &failure));
			assert_int_equal(read, counts[i]);
		}
	}
	assert_int_equal(gm_keyfile_read(store, TAG, "none", ignore, NULL, &failure), GM_NOT_FOUND);
	gm_store_close(store);
}

static void put_le(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * i);
}

/* The format as keyfile.c describes it, written down again. */
static void the_bytes_are_those_of_the_description(void **state)
{
	(void)state;
	enum { BYTES = 16 + 2 * 24 + 16 };
	struct gm_store *store;
	uint8_t expected[BYTES], found[BYTES + 1];
	size_t got;
	must(gm_store_open_memory(&store, &failure));
	write_file(store, "k", 2, 2);
	must(gm_store_read(store, "k", 0, found, sizeof found, &got, &failure));
	assert_int_equal(got, BYTES);
	memcpy(expected, "GMKY\1\0\0\0", 8);
	put_le(expected + 8, TAG, 8);
	for (size_t i = 0; i < 2; i++) {
		struct gm_key_entry entry = entry_of(i);
		put_le(expected + 16 + i * 24, entry.key.low, 8);
		put_le(expected + 24 + i * 24, entry.key.high, 8);
		put_le(expected + 32 + i * 24, entry.value, 8);
	}
	put_le(expected + 64, 2, 8);
	put_le(expected + 72, XXH3_64bits(expected, 72), 8);
	assert_memory_equal(found, expected, BYTES);
	gm_store_close(store);
}

static void damage_is_told(void **state)
{
	(void)state;
	enum { BYTES = 16 + 3 * 24 + 16 };
	struct gm_store *store;
	uint8_t bytes[BYTES + 24] = {0};
	size_t got;
	must(gm_store_open_memory(&store, &failure));
	write_file(store, "k", 3, 3);
	must(gm_store_read(store, "k", 0, bytes, BYTES, &got, &failure));
	for (size_t n = 0; n <= BYTES + 24; n++) { /* cut, or with something behind it */
		if (n == BYTES) continue;
		must(gm_store_put(store, "cut", bytes, n, false, &failure));
		assert_int_equal(gm_keyfile_read(store, TAG, "cut", ignore, NULL, &failure), GM_CORRUPT);
		assert_string_equal(failure.object, "cut");
	}
	for (size_t i = 0; i < BYTES; i++) {
		bytes[i] ^= 0x10;
		must(gm_store_put(store, "bent", bytes, BYTES, false, &failure));
		enum gm_code code = gm_keyfile_read(store, TAG, "bent", ignore, NULL, &failure);
		assert_int_equal(code, i >= 4 && i < 8 ? GM_UNSUPPORTED : GM_CORRUPT);
		assert_string_equal(failure.object, "bent");
		bytes[i] ^= 0x10;
	}
	bytes[4] = 2;
	must(gm_store_put(store, "newer", bytes, BYTES, false, &failure));
	assert_int_equal(gm_keyfile_read(store, TAG, "newer", ignore, NULL, &failure), GM_UNSUPPORTED);
	assert_non_null(strstr(failure.message, "format 2"));
	gm_store_close(store);
}

/* Whoever lost a table's secret and made a new one must not compare hashes of both. */
static void another_secret_is_told(void **state)
{
	(void)state;
	uint8_t secrets[2][GM_KEY_SECRET_BYTES] = {{0}};
	struct gm_store *store;
	must(gm_store_open_memory(&store, &failure));
	write_file(store, "k", 3, 3);
	assert_int_equal(gm_keyfile_read(store, TAG + 1, "k", ignore, NULL, &failure), GM_CORRUPT);
	assert_string_equal(failure.object, "k");
	assert_non_null(strstr(failure.message, "another key"));
	for (size_t i = 0; i < GM_KEY_SECRET_BYTES; i++) {
		secrets[1][i] = 1;
		assert_true(gm_key_secret_tag(secrets[0]) != gm_key_secret_tag(secrets[1]));
		secrets[1][i] = 0;
	}
	gm_store_close(store);
}

static void what_is_not_finished_leaves_nothing(void **state)
{
	(void)state;
	struct gm_store *store;
	struct gm_keyfile *file;
	uint64_t read = 0;
	must(gm_store_open_memory(&store, &failure));
	must(gm_keyfile_new(store, TAG, "k", "w/", &file, &failure));
	gm_keyfile_free(file);
	gm_keyfile_free(NULL);
	assert_int_equal(gm_keyfile_read(store, TAG, "k", check, &read, &failure), GM_NOT_FOUND);
	gm_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_comes_back),
	    cmocka_unit_test(the_bytes_are_those_of_the_description),
	    cmocka_unit_test(damage_is_told),
	    cmocka_unit_test(another_secret_is_told),
	    cmocka_unit_test(what_is_not_finished_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
