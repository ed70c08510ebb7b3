/* Fingerprints of contents: equal exactly when the values are, however they are held and in whatever order. */
#include "table/content.h"
#include "../must.h"
#include "../mix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint8_t *secret(void)
{
	static uint8_t bytes[GM_KEY_SECRET_BYTES];
	for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i * 7 + i * 13 + (i >> 3) * 101 + 5);
	return bytes;
}

enum { COLUMNS = 6, ROWS = 600, CHOICES = 4 };
static const char *const names[COLUMNS] = {"text", "more text", "whole", "real", "truth", "moment"};
static const enum gm_type types[COLUMNS] = {GM_TYPE_STRING, GM_TYPE_STRING,  GM_TYPE_BIGINT,
                                            GM_TYPE_DOUBLE, GM_TYPE_BOOLEAN, GM_TYPE_TIMESTAMP};
/* choice[row][column]: which of a column's few values, 0 being null; what is compared with. */
static uint8_t choice[ROWS][COLUMNS];

static const char *const texts[CHOICES] = {NULL, "", "a", "a longer text that no short-cut for short ones takes"};
static const int64_t wholes[CHOICES] = {0, 0, 1, -1};
static const double reals[CHOICES] = {0, 0.0, 1.0, 4.9e-324};

static void *room(struct gm_chunk *chunk, size_t bytes)
{
	void *memory = gm_arena_zalloc(&chunk->arena, bytes * chunk->rows);
	assert_non_null(memory);
	return memory;
}

static void make_plain(struct gm_chunk *chunk, struct gm_vec *vec, size_t column)
{
	uint32_t end = 0;
	vec->repr = GM_REPR_PLAIN;
	vec->bytes = room(chunk, 64);
	vec->ends = room(chunk, sizeof *vec->ends);
	vec->null = room(chunk, 1);
	for (uint32_t row = 0; row < chunk->rows; row++) {
		const char *text = texts[choice[row][column]];
		vec->null[row] = text == NULL;
		size_t len = text != NULL ? strlen(text) : 0;
		if (len > 0) memcpy(vec->bytes + end, text, len);
		end += (uint32_t)len;
		vec->ends[row] = end;
	}
}

/* Under whatever codes, with strings between them that no row has. */
static void make_codes(struct gm_chunk *chunk, struct gm_vec *vec, size_t column, uint64_t random)
{
	char between[32];
	vec->repr = GM_REPR_DICT;
	vec->codes = room(chunk, sizeof *vec->codes);
	vec->dict = gm_dict_new();
	assert_non_null(vec->dict);
	for (uint32_t row = 0; row < chunk->rows; row++) {
		const char *text = texts[choice[row][column]];
		random = mix(random);
		uint32_t n = (uint32_t)snprintf(between, sizeof between, "%llx", (unsigned long long)random);
		if (random % 3 == 0) (void)gm_dict_put(vec->dict, (uint8_t *)between, n, gm_dict_hash((uint8_t *)between, n));
		if (text == NULL) continue;
		n = (uint32_t)strlen(text);
		vec->codes[row] = gm_dict_put(vec->dict, (const uint8_t *)text, n, gm_dict_hash((const uint8_t *)text, n));
		assert_int_not_equal(vec->codes[row], 0);
	}
}

static void make_numbers(struct gm_chunk *chunk, struct gm_vec *vec, size_t column, uint64_t random)
{
	vec->null = room(chunk, 1);
	vec->repr = vec->type == GM_TYPE_DOUBLE ? GM_REPR_F64 : vec->type == GM_TYPE_BOOLEAN ? GM_REPR_BOOL : GM_REPR_I64;
	if (vec->type == GM_TYPE_BIGINT && random % 2 == 0) vec->type = GM_TYPE_INT;
	if (vec->repr == GM_REPR_BOOL)
		vec->boolean = room(chunk, 1);
	else
		vec->i64 = room(chunk, sizeof *vec->i64);
	for (uint32_t row = 0; row < chunk->rows; row++) {
		uint8_t is = choice[row][column];
		random = mix(random);
		vec->null[row] = is == 0;
		if (vec->repr == GM_REPR_BOOL)
			vec->boolean[row] = is == 1;
		else if (vec->repr == GM_REPR_I64)
			vec->i64[row] = is == 0 ? (int64_t)random : wholes[is];
		else
			vec->f64[row] = is == 1 && random % 2 == 0 ? -0.0 : is == 3 && random % 2 == 0 ? nan("7") : reals[is];
		if (vec->repr == GM_REPR_F64 && is == 3) vec->f64[row] = random % 2 == 0 ? (double)NAN : -(double)NAN;
	}
}

static uint32_t order[COLUMNS]; /* column i lies in slot order[i] */

static void make_chunk(struct gm_chunk *chunk, uint64_t random)
{
	*chunk = (struct gm_chunk){.rows = ROWS, .slots = COLUMNS};
	gm_arena_init(&chunk->arena, 1 << 16);
	gm_arena_init(&chunk->passing, 1 << 16);
	chunk->vec = gm_arena_zalloc(&chunk->arena, COLUMNS * sizeof *chunk->vec);
	assert_non_null(chunk->vec);
	chunk->fate = room(chunk, 1);
	for (size_t i = 0; i < COLUMNS; i++) {
		struct gm_vec *vec = &chunk->vec[order[i]];
		random = mix(random);
		vec->type = types[i];
		if (types[i] != GM_TYPE_STRING)
			make_numbers(chunk, vec, i, random);
		else if (random % 2 == 0)
			make_plain(chunk, vec, i);
		else
			make_codes(chunk, vec, i, random);
	}
}

static void free_chunk(struct gm_chunk *chunk)
{
	for (size_t i = 0; i < COLUMNS; i++)
		if (chunk->vec[i].repr == GM_REPR_DICT) gm_dict_unref(chunk->vec[i].dict);
	gm_arena_release(&chunk->arena);
	gm_arena_release(&chunk->passing);
}

static struct gm_content_hasher *new_hasher(size_t turned)
{
	struct gm_content_hasher *hasher;
	struct gm_content_column columns[COLUMNS];
	for (size_t i = 0; i < COLUMNS; i++) {
		size_t column = (i + turned) % COLUMNS;
		columns[i] = (struct gm_content_column){.name = names[column], .slot = order[column]};
	}
	must(gm_content_hasher_new(secret(), columns, COLUMNS, &hasher, &failure));
	return hasher;
}

static void equal_exactly_when_the_values_are(void **state)
{
	(void)state;
	enum { TIMES = 24 };
	static uint64_t first[ROWS];
	uint64_t random = 1;
	for (size_t row = 0; row < ROWS; row++)
		for (size_t i = 0; i < COLUMNS; i++)
			choice[row][i] = (uint8_t)((random = mix(random)) % (types[i] == GM_TYPE_BOOLEAN ? 3 : CHOICES));
	for (size_t time = 0; time < TIMES; time++) {
		struct gm_chunk chunk;
		for (uint32_t i = 0; i < COLUMNS; i++) order[i] = (i + (uint32_t)time) % COLUMNS;
		struct gm_content_hasher *hasher = new_hasher(time);
		for (int twice = 0; twice < 2; twice++) { /* another dictionary, the same hasher */
			make_chunk(&chunk, random = mix(random));
			must(gm_content_hasher_run(hasher, &chunk, &failure));
			if (time == 0 && twice == 0) memcpy(first, chunk.content, sizeof first);
			assert_memory_equal(chunk.content, first, sizeof first);
			for (uint32_t row = 0; row < ROWS; row++) { /* row by row as well */
				uint64_t sum = 0;
				for (size_t i = 0; i < COLUMNS; i++)
					sum += gm_content_value(hasher, i, &chunk.vec[order[(i + time) % COLUMNS]], row);
				assert_int_equal(gm_content_finish(sum), first[row]);
			}
			free_chunk(&chunk);
		}
		gm_content_hasher_free(hasher);
	}
	for (size_t a = 0; a < ROWS; a++) {
		assert_int_equal(first[a] >> GM_CONTENT_BIT, 1);
		for (size_t b = 0; b < a; b++)
			assert_int_equal(first[a] == first[b], memcmp(choice[a], choice[b], COLUMNS) == 0);
	}
}

/* A value counts in its column, and as what it is. */
static void names_and_types_count(void **state)
{
	(void)state;
	static const struct gm_content_column columns[2] = {{"a", 0}, {"b", 1}};
	struct gm_content_hasher *hasher;
	int64_t number[1] = {1};
	uint8_t truth[1] = {1};
	struct gm_vec whole = {.type = GM_TYPE_BIGINT, .repr = GM_REPR_I64, .i64 = number};
	struct gm_vec date = {.type = GM_TYPE_DATE, .repr = GM_REPR_I64, .i64 = number};
	struct gm_vec moment = {.type = GM_TYPE_TIMESTAMP, .repr = GM_REPR_I64, .i64 = number};
	struct gm_vec boolean = {.type = GM_TYPE_BOOLEAN, .repr = GM_REPR_BOOL, .boolean = truth};
	struct gm_vec none = {.type = GM_TYPE_BIGINT, .repr = GM_REPR_NULL};
	must(gm_content_hasher_new(secret(), columns, 2, &hasher, &failure));
	uint64_t seen[5] = {gm_content_value(hasher, 0, &whole, 0), gm_content_value(hasher, 1, &whole, 0),
	                    gm_content_value(hasher, 0, &date, 0), gm_content_value(hasher, 0, &moment, 0),
	                    gm_content_value(hasher, 0, &boolean, 0)};
	for (size_t a = 0; a < 5; a++)
		for (size_t b = 0; b < a; b++) assert_int_not_equal(seen[a], seen[b]);
	assert_int_equal(gm_content_value(hasher, 0, &none, 0), 0);
	gm_content_hasher_free(hasher);
	gm_content_hasher_free(NULL);
	must(gm_content_hasher_new(secret(), NULL, 0, &hasher, &failure));
	gm_content_hasher_free(hasher);
}

/* Rows that are not kept may hold anything; a dictionary may have more codes than are remembered. */
static void codes_without_end(void **state)
{
	(void)state;
	enum { MANY = 140000 };
	static const struct gm_content_column columns[1] = {{"a", 0}};
	static uint32_t codes[GM_CHUNK_ROWS];
	static uint8_t fate[GM_CHUNK_ROWS];
	static uint64_t expected[MANY];
	struct gm_vec vec = {.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
	struct gm_content_hasher *hasher;
	vec.dict = gm_dict_new();
	vec.codes = codes;
	must(gm_content_hasher_new(secret(), columns, 1, &hasher, &failure));
	for (uint32_t i = 0; i < MANY; i++) {
		uint8_t text[4];
		memcpy(text, &i, sizeof text);
		assert_int_equal(gm_dict_put(vec.dict, text, sizeof text, gm_dict_hash(text, sizeof text)), i + 1);
		codes[0] = i + 1;
		expected[i] = gm_content_finish(gm_content_value(hasher, 0, &vec, 0));
	}
	for (uint32_t at = 0; at < MANY; at += GM_CHUNK_ROWS) {
		struct gm_chunk chunk = {.rows = GM_CHUNK_ROWS, .slots = 1, .vec = &vec, .fate = fate};
		gm_arena_init(&chunk.arena, 1 << 16);
		gm_arena_init(&chunk.passing, 1 << 16);
		for (uint32_t i = 0; i < GM_CHUNK_ROWS; i++) {
			fate[i] = at + i >= MANY || i % 7 == 3 ? GM_FATE_FILTERED : GM_FATE_KEEP;
			codes[i] = fate[i] == GM_FATE_KEEP ? at + i + 1 : UINT32_MAX - i;
		}
		must(gm_content_hasher_run(hasher, &chunk, &failure));
		for (uint32_t i = 0; i < GM_CHUNK_ROWS; i++)
			if (fate[i] == GM_FATE_KEEP) assert_int_equal(chunk.content[i], expected[at + i]);
		gm_arena_release(&chunk.arena);
		gm_arena_release(&chunk.passing);
	}
	gm_content_hasher_free(hasher);
	gm_dict_unref(vec.dict);
}

/* A dictionary may be a good part of the budget: nobody holds one that is out of use. */
static void dictionaries_are_let_go(void **state)
{
	(void)state;
	static const struct gm_content_column columns[2] = {{"a", 0}, {"b", 0}};
	static uint32_t codes[1] = {1};
	static uint8_t fate[1] = {GM_FATE_KEEP};
	struct gm_vec vec = {.type = GM_TYPE_STRING, .repr = GM_REPR_DICT, .codes = codes};
	struct gm_chunk chunk = {.rows = 1, .slots = 1, .vec = &vec, .fate = fate};
	struct gm_content_hasher *hasher;
	struct gm_dict *dicts[2] = {gm_dict_new(), gm_dict_new()};
	must(gm_content_hasher_new(secret(), columns, 2, &hasher, &failure));
	gm_arena_init(&chunk.passing, 1 << 12);
	for (size_t i = 0; i < 2; i++) {
		vec.dict = dicts[i];
		assert_int_equal(gm_dict_put(dicts[i], (const uint8_t *)"x", 1, 1), 1);
		must(gm_content_hasher_run(hasher, &chunk, &failure));
	}
	assert_int_equal(dicts[0]->references, 1);
	vec = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_NULL};
	for (size_t i = 0; i < 2; i++) must(gm_content_hasher_run(hasher, &chunk, &failure));
	assert_int_equal(dicts[1]->references, 1);
	gm_content_hasher_free(hasher);
	gm_arena_release(&chunk.passing);
	for (size_t i = 0; i < 2; i++) gm_dict_unref(dicts[i]);
}

static double seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Not a judgement, a figure to look at: 16 columns of strings and 6 of numbers. */
static void twenty_two_columns(void **state)
{
	(void)state;
	enum { ALL = 22, STRINGS = 16, DISTINCT = 5000, TIMES = 300 };
	static uint32_t codes[STRINGS][GM_CHUNK_ROWS];
	static int64_t numbers[GM_CHUNK_ROWS];
	static uint8_t fate[GM_CHUNK_ROWS];
	struct gm_content_column columns[ALL];
	struct gm_vec vecs[ALL];
	struct gm_content_hasher *hasher;
	struct gm_dict *dict = gm_dict_new();
	for (uint64_t i = 0; i < DISTINCT; i++)
		assert_int_not_equal(gm_dict_put(dict, (uint8_t *)&i, sizeof i, gm_dict_hash((uint8_t *)&i, sizeof i)), 0);
	for (size_t c = 0; c < ALL; c++) {
		columns[c] = (struct gm_content_column){.name = "c", .slot = (uint32_t)c};
		vecs[c] = (struct gm_vec){.type = GM_TYPE_BIGINT, .repr = GM_REPR_I64, .i64 = numbers};
		if (c >= STRINGS) continue;
		vecs[c] = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
		vecs[c].dict = dict;
		vecs[c].codes = codes[c];
		for (uint64_t i = 0; i < GM_CHUNK_ROWS; i++) /* few values, or many */
			codes[c][i] = (uint32_t)(mix(c << 32 | i) % (c < STRINGS / 2 ? 20 : DISTINCT) + 1);
	}
	must(gm_content_hasher_new(secret(), columns, ALL, &hasher, &failure));
	struct gm_chunk chunk = {.rows = GM_CHUNK_ROWS, .slots = ALL, .vec = vecs, .fate = fate};
	gm_arena_init(&chunk.arena, 1 << 16);
	gm_arena_init(&chunk.passing, 1 << 16);
	double from = seconds();
	for (int i = 0; i < TIMES; i++) {
		gm_arena_reset(&chunk.passing);
		must(gm_content_hasher_run(hasher, &chunk, &failure));
	}
	print_message("%.1f ns a row of %d columns\n", (seconds() - from) * 1e9 / TIMES / GM_CHUNK_ROWS, ALL);
	gm_arena_release(&chunk.arena);
	gm_arena_release(&chunk.passing);
	gm_content_hasher_free(hasher);
	gm_dict_unref(dict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_exactly_when_the_values_are),
	    cmocka_unit_test(names_and_types_count),
	    cmocka_unit_test(codes_without_end),
	    cmocka_unit_test(dictionaries_are_let_go),
	    cmocka_unit_test(twenty_two_columns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
