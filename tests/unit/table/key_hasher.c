/* Key hashes: equal exactly when partition and key are equal, however the values are held. */
#include "table/keyset.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const uint8_t *secret(void)
{
	static uint8_t bytes[GM_KEY_SECRET_BYTES];
	for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i * 7 + i * 13 + (i >> 3) * 101 + 5);
	return bytes;
}

/* A chunk built by hand: rows of strings (NULL: null) in columns, as plain text or as dictionaries. */
static struct gm_chunk *make_chunk(uint32_t slots, uint32_t rows)
{
	struct gm_chunk *chunk = calloc(1, sizeof *chunk);
	assert_non_null(chunk);
	gm_arena_init(&chunk->arena, 4096);
	gm_arena_init(&chunk->passing, 4096);
	chunk->rows = rows;
	chunk->slots = slots;
	chunk->vec = gm_arena_zalloc(&chunk->arena, slots * sizeof *chunk->vec);
	chunk->fate = gm_arena_zalloc(&chunk->arena, rows);
	assert_true(chunk->vec != NULL && chunk->fate != NULL);
	return chunk;
}

static void free_chunk(struct gm_chunk *chunk)
{
	for (uint32_t i = 0; i < chunk->slots; i++) {
		if (chunk->vec[i].repr == GM_REPR_DICT) gm_dict_unref(chunk->vec[i].dict);
	}
	if (chunk->partition.repr == GM_REPR_DICT) gm_dict_unref(chunk->partition.dict);
	gm_arena_release(&chunk->arena);
	gm_arena_release(&chunk->passing);
	free(chunk);
}

static void set_dict(struct gm_chunk *chunk, struct gm_vec *vec, const char *const *values)
{
	*vec = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
	vec->dict = gm_dict_new();
	vec->codes = gm_arena_zalloc(&chunk->arena, chunk->rows * sizeof *vec->codes);
	assert_true(vec->dict != NULL && vec->codes != NULL);
	for (uint32_t i = 0; i < chunk->rows; i++) {
		if (values[i] == NULL) continue;
		uint32_t len = (uint32_t)strlen(values[i]);
		const uint8_t *bytes = (const uint8_t *)values[i];
		vec->codes[i] = gm_dict_put(vec->dict, bytes, len, gm_dict_hash(bytes, len));
		assert_int_not_equal(vec->codes[i], 0);
	}
}

static void set_plain(struct gm_chunk *chunk, struct gm_vec *vec, const char *const *values)
{
	*vec = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_PLAIN};
	vec->ends = gm_arena_zalloc(&chunk->arena, chunk->rows * sizeof *vec->ends);
	vec->null = gm_arena_zalloc(&chunk->arena, chunk->rows);
	vec->bytes = gm_arena_zalloc(&chunk->arena, 4096);
	assert_true(vec->ends != NULL && vec->null != NULL && vec->bytes != NULL);
	uint32_t end = 0;
	for (uint32_t i = 0; i < chunk->rows; i++) {
		size_t n = values[i] != NULL ? strlen(values[i]) : 0;
		if (n > 0) memcpy(vec->bytes + end, values[i], n);
		end += (uint32_t)n;
		vec->ends[i] = end;
		vec->null[i] = values[i] == NULL;
	}
}

static void set_numbers(struct gm_chunk *chunk, struct gm_vec *vec, enum gm_type type, const int64_t *values)
{
	*vec = (struct gm_vec){.type = type, .repr = GM_REPR_I64};
	vec->i64 = gm_arena_zalloc(&chunk->arena, chunk->rows * sizeof *vec->i64);
	assert_non_null(vec->i64);
	memcpy(vec->i64, values, chunk->rows * sizeof *values);
}

static struct gm_key_hasher *make_hasher(const uint32_t *slots, size_t count)
{
	struct gm_key_hasher *hasher;
	must(gm_key_hasher_new(secret(), slots, count, &hasher, &failure));
	return hasher;
}

static bool same(struct gm_hash128 a, struct gm_hash128 b)
{
	return a.low == b.low && a.high == b.high;
}

/* Every pair of rows: same hash exactly if `group` says that they are the same. */
static void check_groups(const struct gm_chunk *chunk, const int *group)
{
	for (uint32_t i = 0; i < chunk->rows; i++) {
		assert_int_equal(chunk->no_key[i], group[i] < 0);
		for (uint32_t j = 0; j < i; j++) {
			if (group[i] >= 0 && group[j] >= 0)
				assert_int_equal(same(chunk->key[i], chunk->key[j]), group[i] == group[j]);
		}
	}
}

static void one_column(void **state)
{
	(void)state;
	enum { ROWS = 11 };
	static const char *const keys[ROWS] = {"a", "b", "a", NULL, "", "p1", "p2", "a", "b", "p2", "a"};
	static const char *const paths[ROWS] = {"p1", "p1", "p1", "p1", "p1", "p2", "p1", "p2", "p2", "p1", "p1"};
	static const int group[ROWS] = {0, 1, 0, -1, -1, 2, 3, 4, 5, 3, -1};
	static const uint32_t slot = 1;
	struct gm_hash128 first[ROWS];
	struct gm_key_hasher *hasher = make_hasher(&slot, 1);
	for (int plain = 0; plain < 2; plain++) {
		struct gm_chunk *chunk = make_chunk(2, ROWS);
		(plain != 0 ? set_plain : set_dict)(chunk, &chunk->vec[1], keys);
		set_dict(chunk, &chunk->partition, paths);
		chunk->fate[10] = GM_FATE_FILTERED;
		must(gm_key_hasher_run(hasher, chunk, &failure));
		check_groups(chunk, group);
		if (plain == 0) memcpy(first, chunk->key, sizeof first);
		assert_memory_equal(first, chunk->key, sizeof first);
		free_chunk(chunk);
	}
	gm_key_hasher_free(hasher);
	/* The documented form: sum of the hashes of key and path under two parts of the secret. */
	XXH128_hash_t key = XXH3_128bits_withSecret("a", 1, secret(), 136);
	XXH128_hash_t path = XXH3_128bits_withSecret("p1", 2, secret() + 56, 136);
	assert_true(first[0].low == key.low64 + path.low64 && first[0].high == key.high64 + path.high64);
}

static void several_columns(void **state)
{
	(void)state;
	enum { ROWS = 8 };
	static const char *const left[ROWS] = {"ab", "a", "", "ab", "ab", NULL, "c", "ab"};
	static const char *const right[ROWS] = {"c", "bc", "abc", "c", "c", "c", "ab", "c"};
	static const int64_t numbers[ROWS] = {1, 1, 1, 1, 2, 1, 1, 0};
	static const int group[ROWS] = {0, 1, -1, 0, 2, -1, 3, 4};
	static const uint32_t slots[3] = {2, 0, 1};
	struct gm_key_hasher *hasher = make_hasher(slots, 3);
	struct gm_chunk *chunk = make_chunk(3, ROWS);
	set_dict(chunk, &chunk->vec[2], left);
	set_plain(chunk, &chunk->vec[0], right);
	set_numbers(chunk, &chunk->vec[1], GM_TYPE_BIGINT, numbers);
	must(gm_key_hasher_run(hasher, chunk, &failure)); /* and no partition: a table of one */
	check_groups(chunk, group);
	chunk->vec[1] = (struct gm_vec){.type = GM_TYPE_BIGINT, .repr = GM_REPR_NULL};
	must(gm_key_hasher_run(hasher, chunk, &failure));
	for (uint32_t i = 0; i < ROWS; i++) assert_int_equal(chunk->no_key[i], 1);
	free_chunk(chunk);
	gm_key_hasher_free(hasher);
}

static void numbers_of_every_kind(void **state)
{
	(void)state;
	enum { ROWS = 6 };
	static double doubles[ROWS] = {0.0, -0.0, 1.5, 0, 0, -1.5};
	static const int double_groups[ROWS] = {0, 0, 1, 2, 2, 3};
	static uint8_t booleans[ROWS] = {0, 1, 0, 1, 1, 0}, nulls[ROWS] = {0, 0, 0, 0, 0, 1};
	static const int boolean_groups[ROWS] = {0, 1, 0, 1, 1, -1};
	static const uint32_t slot = 0;
	uint64_t nan_bits[2] = {0x7ff8000000000001U, 0xfff0000000000abcU};
	memcpy(&doubles[3], nan_bits, sizeof nan_bits);
	struct gm_key_hasher *hasher = make_hasher(&slot, 1);
	struct gm_chunk *chunk = make_chunk(1, ROWS);
	chunk->vec[0] = (struct gm_vec){.type = GM_TYPE_DOUBLE, .repr = GM_REPR_F64, .f64 = doubles};
	must(gm_key_hasher_run(hasher, chunk, &failure));
	check_groups(chunk, double_groups);
	chunk->vec[0] = (struct gm_vec){.type = GM_TYPE_BOOLEAN, .repr = GM_REPR_BOOL, .boolean = booleans, .null = nulls};
	must(gm_key_hasher_run(hasher, chunk, &failure));
	check_groups(chunk, boolean_groups);
	free_chunk(chunk);
	gm_key_hasher_free(hasher);
}

/* Chunks with their own dictionaries, freed one after the other: an address used again must not bring back old hashes.
 */
static void partitions_are_not_confused(void **state)
{
	(void)state;
	static const char *const keys[2] = {"k", "k"};
	static const uint32_t slot = 0;
	struct gm_hash128 one = {0}, two = {0};
	struct gm_key_hasher *hasher = make_hasher(&slot, 1);
	for (int i = 0; i < 50; i++) {
		const char *const paths[2] = {i % 2 == 0 ? "year=1" : "year=2", i % 2 == 0 ? "year=2" : "year=1"};
		struct gm_chunk *chunk = make_chunk(1, 2);
		set_plain(chunk, &chunk->vec[0], keys);
		set_dict(chunk, &chunk->partition, paths);
		must(gm_key_hasher_run(hasher, chunk, &failure));
		if (i == 0) {
			one = chunk->key[0];
			two = chunk->key[1];
			assert_false(same(one, two));
		}
		assert_true(same(chunk->key[i % 2], one) && same(chunk->key[1 - i % 2], two));
		free_chunk(chunk);
	}
	gm_key_hasher_free(hasher);
}

/* More partitions than are remembered, in a wild order. */
static void any_number_of_partitions(void **state)
{
	(void)state;
	enum { PARTITIONS = 70000, ROWS = 1000 };
	static const uint32_t slot = 0;
	static char names[ROWS][16];
	const char *keys[ROWS], *paths[ROWS];
	struct gm_key_hasher *hasher = make_hasher(&slot, 1), *fresh;
	struct gm_dict *dict = gm_dict_new();
	assert_non_null(dict);
	for (unsigned i = 0; i < PARTITIONS; i++) {
		char name[16];
		uint32_t len = (uint32_t)snprintf(name, sizeof name, "p=%u", i);
		assert_int_not_equal(gm_dict_put(dict, (uint8_t *)name, len, gm_dict_hash((uint8_t *)name, len)), 0);
	}
	for (unsigned round = 0; round < 3; round++) {
		struct gm_chunk *shared = make_chunk(1, ROWS), *own = make_chunk(1, ROWS);
		shared->partition = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
		shared->partition.dict = gm_dict_ref(dict);
		shared->partition.codes = gm_arena_zalloc(&shared->arena, ROWS * sizeof(uint32_t));
		assert_non_null(shared->partition.codes);
		for (unsigned i = 0; i < ROWS; i++) {
			unsigned number = (i * 7919U + round * 31) % PARTITIONS;
			(void)snprintf(names[i], sizeof names[i], "p=%u", number);
			shared->partition.codes[i] = number + 1;
			paths[i] = names[i];
			keys[i] = "k";
		}
		set_plain(shared, &shared->vec[0], keys);
		set_plain(own, &own->vec[0], keys);
		set_dict(own, &own->partition, paths);
		fresh = make_hasher(&slot, 1);
		must(gm_key_hasher_run(hasher, shared, &failure));
		must(gm_key_hasher_run(fresh, own, &failure));
		assert_memory_equal(shared->key, own->key, ROWS * sizeof *own->key);
		free_chunk(shared);
		free_chunk(own);
		gm_key_hasher_free(fresh);
	}
	gm_dict_unref(dict);
	gm_key_hasher_free(hasher);
	gm_key_hasher_free(NULL);
	assert_int_equal(gm_key_hasher_new(secret(), &slot, 0, &hasher, &failure), GM_BUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_column),
	    cmocka_unit_test(several_columns),
	    cmocka_unit_test(numbers_of_every_kind),
	    cmocka_unit_test(partitions_are_not_confused),
	    cmocka_unit_test(any_number_of_partitions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
