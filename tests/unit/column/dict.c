/* Dictionaries against a naive list, and the recycling of chunks. */
#include "column/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t put(struct gm_dict *dict, const char *value, uint32_t len)
{
	return gm_dict_put(dict, (const uint8_t *)value, len, gm_dict_hash((const uint8_t *)value, len));
}

static void codes_are_given_in_order_and_found_again(void **state)
{
	(void)state;
	enum { VALUES = 20000, BYTES = 12 };
	char(*model)[BYTES] = calloc(VALUES, BYTES);
	struct gm_dict *dict = gm_dict_new();
	assert_non_null(model);
	assert_non_null(dict);
	for (uint32_t i = 0; i < VALUES; i++) {
		uint32_t len = (uint32_t)snprintf(model[i], BYTES, "%x", i * 7U);
		assert_int_equal(put(dict, model[i], len), i + 1);
		uint32_t earlier = i / 2;
		assert_int_equal(put(dict, model[earlier], (uint32_t)strlen(model[earlier])), earlier + 1);
	}
	assert_int_equal(dict->count, VALUES);
	for (uint32_t i = 0; i < VALUES; i++) {
		uint32_t len;
		const uint8_t *value = gm_dict_get(dict, i + 1, &len);
		assert_int_equal(len, strlen(model[i]));
		assert_memory_equal(value, model[i], len);
	}
	assert_int_equal(gm_dict_find(dict, (const uint8_t *)"none", 4, gm_dict_hash((const uint8_t *)"none", 4)), 0);
	gm_dict_unref(dict);
	free(model);
}

static void empty_and_binary_values_are_values(void **state)
{
	(void)state;
	struct gm_dict *dict = gm_dict_new();
	assert_non_null(dict);
	assert_int_equal(put(dict, "", 0), 1);
	assert_int_equal(put(dict, "\0", 1), 2);
	assert_int_equal(put(dict, "\0\0", 2), 3);
	assert_int_equal(put(dict, "", 0), 1);
	assert_int_equal(dict->value_bytes, 3);
	gm_dict_unref(dict);
	gm_dict_unref(NULL);
}

static void equal_hashes_do_not_make_values_equal(void **state)
{
	(void)state;
	struct gm_dict *dict = gm_dict_new();
	assert_non_null(dict);
	assert_int_equal(gm_dict_put(dict, (const uint8_t *)"a", 1, 42), 1);
	assert_int_equal(gm_dict_put(dict, (const uint8_t *)"b", 1, 42), 2);
	assert_int_equal(gm_dict_put(dict, (const uint8_t *)"aa", 2, 42), 3);
	assert_int_equal(gm_dict_find(dict, (const uint8_t *)"b", 1, 42), 2);
	gm_dict_unref(dict);
}

/* Values from none to several stretches long, in a random order and often again; what makes dictionaries large. */
static void values_of_all_lengths_are_kept(void **state)
{
	(void)state;
	static const uint32_t lengths[] = {0,    1,    3,     7,     8,     9,     100,    4072,
	                                   4073, 4080, 65512, 65520, 65528, 65536, 131056, 200000};
	enum { LENGTHS = sizeof lengths / sizeof lengths[0], TURNS = 400, MOST = 200000 };
	uint8_t *text = malloc(MOST);
	struct gm_dict *dict = gm_dict_new();
	assert_non_null(text);
	assert_non_null(dict);
	size_t bytes = 0;
	for (uint32_t turn = 0; turn < TURNS; turn++) {
		uint32_t len = lengths[turn * 7 % LENGTHS], letter = turn / LENGTHS;
		memset(text, 'a' + (int)letter, len);
		uint32_t code = gm_dict_put(dict, text, len, gm_dict_hash(text, len));
		uint32_t found = 0;
		const uint8_t *value = gm_dict_get(dict, code, &found);
		assert_int_equal(found, len);
		assert_memory_equal(value, text, len);
		assert_int_equal(gm_dict_put(dict, text, len, gm_dict_hash(text, len)), code);
		assert_int_equal(gm_dict_find(dict, text, len, gm_dict_hash(text, len)), code);
		bytes += len;
	}
	assert_int_equal(dict->count, 1 + (LENGTHS - 1) * (TURNS / LENGTHS)); /* the empty one is always the same */
	assert_true(gm_dict_memory_bytes(dict) >= bytes);
	gm_dict_unref(dict);
	free(text);
}

/* Many at once give the codes that one after the other would: from the first of a small dictionary on until it is
 * large, with values that come again at once and later, that differ in their middle alone, and nulls. */
static void many_values_are_put_as_one_by_one(void **state)
{
	(void)state;
	enum { TURNS = 400, ROWS = GM_DICT_BATCH, BYTES = 64 };
	static char text[ROWS][BYTES];
	static struct gm_ref values[ROWS];
	static uint32_t codes[ROWS];
	struct gm_dict *dict = gm_dict_new(), *model = gm_dict_new();
	assert_non_null(dict);
	assert_non_null(model);
	uint32_t random = 1, nulls = 0;
	for (uint32_t turn = 0; turn < TURNS; turn++) {
		uint32_t some, not_null = 0;
		for (uint32_t row = 0; row < ROWS; row++) {
			random = random * 1664525 + 1013904223;
			uint32_t number = (random >> 8) % (turn < TURNS / 2 ? 100 : 60000);
			static const char *const forms[] = {"%u", "%08x", "0123456789%04u0123456789",
			                                    "01234567%05u.................76543210"};
			int len = snprintf(text[row], BYTES, forms[random >> 28 & 3], number);
			bool null = (random >> 20 & 15) == 0;
			values[row] = null ? (struct gm_ref){0} : (struct gm_ref){(const uint8_t *)text[row], (uint32_t)len};
			if (random >> 20 == 1) values[row].len = 0; /* the empty string */
			codes[row] = UINT32_MAX;
			not_null += !null;
		}
		assert_true(gm_dict_put_all(dict, values, ROWS - turn % 7, 0, codes, &some));
		assert_true(some <= not_null);
		for (uint32_t row = 0; row < ROWS - turn % 7; row++) {
			struct gm_ref value = values[row];
			uint32_t hash = value.bytes != NULL ? gm_dict_hash(value.bytes, value.len) : 0;
			uint32_t code = value.bytes != NULL ? gm_dict_put(model, value.bytes, value.len, hash) : GM_DICT_NULL;
			assert_int_equal(codes[row], code);
			nulls += code == GM_DICT_NULL;
		}
		for (uint32_t row = ROWS - turn % 7; row < ROWS; row++) assert_int_equal(codes[row], UINT32_MAX);
	}
	assert_int_equal(dict->count, model->count);
	assert_true(dict->count > 30000 && nulls > 1000);
	gm_dict_unref(dict);
	gm_dict_unref(model);
}

/* Values that are alike but for one byte, whichever it is, and of all lengths: each twice in a row, with something else
 * behind it each time. */
static void values_that_differ_in_one_byte_are_told_apart(void **state)
{
	(void)state;
	enum { MOST = 150, BYTES = MOST + GM_DICT_SLACK };
	static uint8_t text[GM_DICT_BATCH][BYTES];
	static struct gm_ref values[GM_DICT_BATCH];
	static uint32_t codes[GM_DICT_BATCH];
	for (uint32_t len = 0; len <= MOST; len++) {
		struct gm_dict *dict = gm_dict_new();
		assert_non_null(dict);
		for (uint32_t turn = 0; turn < 3; turn++) {
			uint32_t rows = 0, some;
			for (uint32_t i = 0; i <= len && rows < GM_DICT_BATCH; i += 1 + len / 100) {
				for (uint32_t again = 0; again < 2; again++, rows++) {
					memset(text[rows], 'a', len);
					memset(text[rows] + len, 'a' + (int)(turn + again), BYTES - len);
					if (i < len) text[rows][i] = turn < 2 ? 'b' : 0;
					values[rows] = (struct gm_ref){text[rows], len};
				}
			}
			assert_true(gm_dict_put_all(dict, values, rows, 7, codes, &some));
			assert_int_equal(some, rows);
			for (uint32_t row = 0; row < rows; row++) {
				uint32_t found;
				const uint8_t *bytes = gm_dict_get(dict, codes[row], &found);
				assert_int_equal(found, len);
				assert_memory_equal(bytes, text[row], len);
			}
			if (turn < 2) assert_int_equal(dict->count, rows / 2);
		}
		gm_dict_unref(dict);
	}
}

static void chunks_are_recycled_and_drop_their_dictionaries(void **state)
{
	(void)state;
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_dict *dict = gm_dict_new();
	assert_non_null(pool);
	assert_non_null(dict);
	struct gm_chunk *first = gm_chunk_take(pool, 3, 100);
	assert_non_null(first);
	first->vec[1].repr = GM_REPR_DICT;
	first->vec[1].dict = gm_dict_ref(dict);
	assert_int_equal(dict->references, 2);
	assert_ptr_equal(gm_chunk_ref(first), first);
	gm_chunk_unref(first);
	assert_int_equal(dict->references, 2);
	gm_chunk_unref(first);
	assert_int_equal(dict->references, 1);
	struct gm_chunk *second = gm_chunk_take(pool, 5, 100);
	assert_ptr_equal(second, first);
	assert_int_equal(second->vec[4].repr, GM_REPR_NULL);
	gm_chunk_unref(second);
	gm_chunk_pool_free(pool);
	gm_dict_unref(dict);
}

/* Takes a chunk, fills it with so many bytes a row, and says that it is built. */
static struct gm_chunk *filled_chunk(struct gm_chunk_pool *pool, uint32_t rows, size_t bytes_each)
{
	struct gm_chunk *chunk = gm_chunk_take(pool, 1, rows);
	assert_non_null(chunk);
	chunk->rows = rows;
	assert_non_null(gm_arena_alloc(&chunk->arena, rows * bytes_each));
	gm_chunk_built(chunk);
	return chunk;
}

static void what_is_left_of_an_object_takes_little_memory(void **state)
{
	(void)state;
	enum { ROWS = 1000, EACH = 200, LEFT = 50 };
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	assert_non_null(pool);
	for (unsigned i = 0; i < 100; i++) gm_chunk_unref(filled_chunk(pool, ROWS, EACH));
	struct gm_chunk *small = filled_chunk(pool, LEFT, EACH), *whole = filled_chunk(pool, ROWS, EACH);
	assert_true(gm_chunk_lasting_bytes(whole) >= ROWS * EACH);
	assert_true(gm_chunk_lasting_bytes(small) < 3 * LEFT * EACH);
	gm_chunk_unref(small);
	struct gm_chunk *next = filled_chunk(pool, ROWS, EACH); /* not that block */
	assert_true(gm_chunk_lasting_bytes(next) >= ROWS * EACH);
	gm_chunk_unref(whole);
	gm_chunk_unref(next);
	gm_chunk_pool_free(pool);
}

static void what_passes_goes_to_the_next_chunk(void **state)
{
	(void)state;
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	assert_non_null(pool);
	struct gm_chunk *first = gm_chunk_take(pool, 1, 100);
	assert_non_null(first);
	size_t lasting = gm_chunk_lasting_bytes(first);
	first->content = gm_arena_alloc(&first->passing, 100 * sizeof *first->content);
	uint64_t *content = first->content;
	assert_non_null(content);
	assert_true(gm_chunk_memory_bytes(first) > lasting);
	gm_chunk_passed(first);
	assert_null(first->content);
	assert_int_equal(gm_chunk_memory_bytes(first), lasting);
	gm_chunk_passed(first); /* nothing is left */
	struct gm_chunk *second = gm_chunk_take(pool, 1, 100);
	assert_ptr_equal(gm_arena_alloc(&second->passing, 100 * sizeof *second->content), content);
	gm_chunk_unref(first);
	gm_chunk_unref(second); /* as it is, that has not passed */
	gm_chunk_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(codes_are_given_in_order_and_found_again),
	    cmocka_unit_test(empty_and_binary_values_are_values),
	    cmocka_unit_test(equal_hashes_do_not_make_values_equal),
	    cmocka_unit_test(values_of_all_lengths_are_kept),
	    cmocka_unit_test(many_values_are_put_as_one_by_one),
	    cmocka_unit_test(values_that_differ_in_one_byte_are_told_apart),
	    cmocka_unit_test(chunks_are_recycled_and_drop_their_dictionaries),
	    cmocka_unit_test(what_is_left_of_an_object_takes_little_memory),
	    cmocka_unit_test(what_passes_goes_to_the_next_chunk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
