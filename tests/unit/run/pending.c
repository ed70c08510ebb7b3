/* Random chunks through pending and spill, against a naive list of rows per partition: every row once, in order, in
 * groups that end where the limits say, whatever the memory. */
#include "run/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SLOTS = 4, PARTITIONS = 7, GROUP_ROWS = 50, GROUP_WEIGHT = 4000 };

/* A row's values all follow from its number, so that a number is the whole model. */
struct model {
	uint64_t *rows[PARTITIONS];
	size_t count[PARTITIONS], seen[PARTITIONS];
	uint32_t *weights;
	struct gm_spill *spill;
	struct gm_spill_reader *reader;
	uint64_t groups;
};

static uint64_t random_state;
static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 20) % n;
}

static size_t text_of(uint64_t number, char text[64])
{
	return (size_t)snprintf(text, 64, "value %llu%s", (unsigned long long)(number / 3),
	                        number % 5 == 0 ? " long tail of it" : "");
}

static struct gm_chunk *make_chunk(struct gm_chunk_pool *pool, struct gm_dict *values, struct gm_dict *paths,
                                   uint64_t first, uint32_t rows, struct model *model, uint8_t *duplicate)
{
	struct gm_chunk *chunk = gm_chunk_take(pool, SLOTS, rows);
	assert_non_null(chunk);
	struct gm_arena *arena = &chunk->arena;
	chunk->rows = rows;
	chunk->fate = gm_arena_zalloc(arena, rows);
	chunk->weight = gm_arena_alloc(arena, rows * sizeof *chunk->weight);
	chunk->partition = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
	chunk->partition.codes = gm_arena_alloc(arena, rows * sizeof(uint32_t));
	chunk->partition.dict = gm_dict_ref(paths);
	chunk->vec[0] = (struct gm_vec){.type = GM_TYPE_BIGINT, .repr = GM_REPR_I64};
	chunk->vec[0].i64 = gm_arena_alloc(arena, rows * sizeof(int64_t));
	chunk->vec[1] = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
	chunk->vec[1].codes = gm_arena_alloc(arena, rows * sizeof(uint32_t));
	chunk->vec[1].dict = gm_dict_ref(values);
	chunk->vec[2] = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_PLAIN};
	chunk->vec[2].null = gm_arena_zalloc(arena, rows);
	chunk->vec[2].ends = gm_arena_alloc(arena, rows * sizeof(uint32_t));
	chunk->vec[2].bytes = gm_arena_alloc(arena, rows * 64);
	chunk->vec[3] = (struct gm_vec){.type = GM_TYPE_BOOLEAN, .repr = random_below(2) ? GM_REPR_BOOL : GM_REPR_NULL};
	chunk->vec[3].boolean = gm_arena_zalloc(arena, rows);
	uint32_t end = 0;
	for (uint32_t row = 0; row < rows; row++) {
		uint64_t number = first + row;
		char text[64], path[16];
		uint32_t len = (uint32_t)text_of(number, text), partition = random_below(3) ? 0 : random_below(PARTITIONS);
		uint32_t path_len = (uint32_t)snprintf(path, sizeof path, "p=%u", partition);
		chunk->vec[0].i64[row] = (int64_t)number;
		chunk->vec[1].codes[row] =
		    number % 4 == 0 ? 0 : gm_dict_put(values, (uint8_t *)text, len, gm_dict_hash((uint8_t *)text, len));
		chunk->vec[2].null[row] = number % 6 == 0;
		if (number % 6 != 0) {
			memcpy(chunk->vec[2].bytes + end, text, len);
			end += len;
		}
		chunk->vec[2].ends[row] = end;
		if (chunk->vec[3].repr == GM_REPR_BOOL) chunk->vec[3].boolean[row] = number % 2 == 0;
		chunk->partition.codes[row] =
		    gm_dict_put(paths, (uint8_t *)path, path_len, gm_dict_hash((uint8_t *)path, path_len));
		chunk->fate[row] = random_below(10) == 0 ? GM_FATE_FILTERED : GM_FATE_KEEP;
		duplicate[row] = random_below(12) == 0;
		chunk->weight[row] = model->weights[number] = 10 + random_below(random_below(50) == 0 ? 9000 : 100);
		if (chunk->fate[row] == GM_FATE_KEEP && !duplicate[row])
			model->rows[partition][model->count[partition]++] = number;
	}
	return chunk;
}

static void expect_row(const struct gm_vec vec[SLOTS], uint32_t row, uint64_t number)
{
	char text[64];
	uint32_t len;
	size_t text_len = text_of(number, text);
	assert_int_equal(vec[0].i64[row], number);
	assert_int_equal(gm_vec_is_null(&vec[1], row), number % 4 == 0);
	if (number % 4 != 0) {
		const uint8_t *value = gm_vec_string(&vec[1], row, &len);
		assert_int_equal(len, text_len);
		assert_memory_equal(value, text, len);
	}
	assert_int_equal(gm_vec_is_null(&vec[2], row), number % 6 == 0);
	if (number % 6 != 0) {
		const uint8_t *value = gm_vec_string(&vec[2], row, &len);
		assert_int_equal(len, text_len);
		assert_memory_equal(value, text, len);
	}
	if (!gm_vec_is_null(&vec[3], row)) assert_int_equal(vec[3].boolean[row], number % 2 == 0);
}

static void expect_segment(struct model *model, uint32_t partition, const struct gm_segment *segment)
{
	struct gm_vec vec[SLOTS];
	void *memory[SLOTS] = {NULL};
	struct gm_error err;
	static const enum gm_type types[SLOTS] = {GM_TYPE_BIGINT, GM_TYPE_STRING, GM_TYPE_STRING, GM_TYPE_BOOLEAN};
	for (size_t i = 0; i < SLOTS; i++) {
		vec[i].type = types[i];
		if (segment->chunk != NULL)
			vec[i] = segment->chunk->vec[i];
		else
			assert_int_equal(gm_spill_read(model->spill, model->reader, segment->spill_offset, i, segment->count,
			                               &vec[i], &memory[i], &err),
			                 GM_OK);
	}
	for (uint32_t i = 0; i < segment->count; i++) {
		uint32_t row = segment->rows != NULL ? segment->rows[i] : segment->first + i;
		expect_row(vec, row, model->rows[partition][model->seen[partition]++]);
	}
	for (size_t i = 0; i < SLOTS; i++) free(memory[i]);
}

/* The limits decide where a group ends, and nothing else. */
static void expect_limits(const struct model *model, uint32_t partition, uint64_t rows, bool last)
{
	uint64_t weight = 0;
	const uint64_t *number = model->rows[partition] + model->seen[partition];
	for (uint64_t i = 0; i < rows; i++) weight += model->weights[number[i]];
	assert_true(rows >= 1 && rows <= GROUP_ROWS);
	assert_true(weight <= GROUP_WEIGHT || rows == 1);
	if (!last) assert_true(rows == GROUP_ROWS || weight + model->weights[number[rows]] > GROUP_WEIGHT);
}

static enum gm_code take_group(void *context, struct gm_row_group *group, struct gm_error *err)
{
	(void)err;
	struct model *model = context;
	uint32_t partition = (uint32_t)strtoul(group->partition->path + 2, NULL, 10);
	expect_limits(model, partition, group->rows, group->last);
	for (size_t i = 0; i < group->segment_count; i++) expect_segment(model, partition, &group->segments[i]);
	model->groups++;
	gm_row_group_free(group);
	return GM_OK;
}

static void run_with(uint64_t seed, size_t memory_bytes, bool expect_spill)
{
	enum { CHUNKS = 60, MOST_ROWS = 300 };
	static const uint32_t slots[SLOTS] = {0, 1, 2, 3};
	struct model model = {.weights = calloc(CHUNKS * MOST_ROWS, sizeof(uint32_t))};
	for (size_t i = 0; i < PARTITIONS; i++) model.rows[i] = calloc(CHUNKS * MOST_ROWS, sizeof(uint64_t));
	struct gm_error err;
	struct gm_pending *pending;
	struct gm_pending_limits limits = {GROUP_ROWS, GROUP_WEIGHT, memory_bytes, PARTITIONS};
	random_state = seed * 0x9E3779B97F4A7C15U + 1;
	struct gm_chunk_pool *pool = gm_chunk_pool_new();
	struct gm_dict *values = gm_dict_new(), *paths = gm_dict_new();
	assert_int_equal(gm_spill_new("/tmp", slots, SLOTS, &model.spill, &err), GM_OK);
	model.reader = gm_spill_reader_new();
	assert_non_null(model.reader);
	assert_int_equal(gm_pending_new(&limits, model.spill, take_group, &model, &pending, &err), GM_OK);
	uint64_t number = 0, kept_total = 0;
	for (int i = 0; i < CHUNKS; i++) {
		uint8_t duplicate[MOST_ROWS];
		uint64_t kept;
		uint32_t rows = 1 + random_below(MOST_ROWS - 1);
		struct gm_chunk *chunk = make_chunk(pool, values, paths, number, rows, &model, duplicate);
		number += rows;
		assert_int_equal(gm_pending_add(pending, chunk, duplicate, &kept, &err), GM_OK);
		kept_total += kept;
		gm_chunk_unref(chunk);
	}
	assert_int_equal(gm_pending_flush(pending, &err), GM_OK);
	assert_int_equal(gm_pending_memory_bytes(pending), 0);
	uint64_t expected = 0;
	for (size_t i = 0; i < PARTITIONS; i++) {
		assert_int_equal(model.seen[i], model.count[i]);
		expected += model.count[i];
		free(model.rows[i]);
	}
	assert_int_equal(kept_total, expected);
	assert_true((gm_spill_bytes(model.spill) > 0) == expect_spill);
	gm_pending_free(pending);
	gm_spill_free(model.spill);
	gm_spill_reader_free(model.reader);
	gm_dict_unref(values);
	gm_dict_unref(paths);
	gm_chunk_pool_free(pool);
	free(model.weights);
}

static void rows_arrive_once_and_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) run_with(seed, (size_t)1 << 30, false);
}

static void so_they_do_through_the_spill_file(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) run_with(seed, 1, true);
	for (uint64_t seed = 1; seed <= 20; seed++) run_with(seed, 500000, true);
}

static enum gm_code drop_group(void *context, struct gm_row_group *group, struct gm_error *err)
{
	(void)context, (void)err;
	gm_row_group_free(group);
	return GM_OK;
}

/* Rows of no columns: what becomes of their chunks. */
struct fixture {
	struct gm_chunk_pool *pool;
	struct gm_dict *paths;
	struct gm_spill *spill;
	struct gm_pending *pending;
};

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){.pool = gm_chunk_pool_new(), .paths = gm_dict_new()};
}

static void fixture_open(struct fixture *f, const struct gm_pending_limits *limits, gm_group_fn *cut, void *context)
{
	struct gm_error err;
	assert_int_equal(gm_spill_new("/tmp", NULL, 0, &f->spill, &err), GM_OK);
	assert_int_equal(gm_pending_new(limits, f->spill, cut, context, &f->pending, &err), GM_OK);
}

static void fixture_add(struct fixture *f, struct gm_chunk *chunk)
{
	struct gm_error err;
	uint64_t kept;
	assert_int_equal(gm_pending_add(f->pending, chunk, NULL, &kept, &err), GM_OK);
}

static void fixture_flush(struct fixture *f)
{
	struct gm_error err;
	assert_int_equal(gm_pending_flush(f->pending, &err), GM_OK);
	assert_int_equal(gm_pending_memory_bytes(f->pending), 0);
}

static void fixture_close(struct fixture *f)
{
	gm_pending_free(f->pending);
	gm_spill_free(f->spill);
	gm_dict_unref(f->paths);
	gm_chunk_pool_free(f->pool);
}

/* In a log whose rows are nearly all of one partition, but for one in the middle of each chunk. */
static struct gm_chunk *make_late_chunk(struct fixture *f, uint32_t rows)
{
	struct gm_chunk *chunk = gm_chunk_take(f->pool, 0, rows);
	assert_non_null(chunk);
	chunk->rows = rows;
	chunk->fate = gm_arena_zalloc(&chunk->passing, rows);
	chunk->weight = gm_arena_zalloc(&chunk->passing, rows * sizeof *chunk->weight);
	chunk->partition = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT, .dict = gm_dict_ref(f->paths)};
	chunk->partition.codes = gm_arena_alloc(&chunk->arena, rows * sizeof(uint32_t));
	for (uint32_t row = 0; row < rows; row++) {
		const uint8_t *path = (const uint8_t *)(row == rows / 2 ? "p=1" : "p=0");
		chunk->partition.codes[row] = gm_dict_put(f->paths, path, 3, gm_dict_hash(path, 3));
	}
	return chunk;
}

/* A chunk waits until the last of its rows has left, in however many pieces the others did. */
static void a_late_row_keeps_its_chunk_in_the_books(void **state)
{
	enum { CHUNKS = 8, ROWS = 100 };
	(void)state;
	struct fixture f;
	struct gm_pending_limits limits = {ROWS - 1, UINT64_MAX, SIZE_MAX, 2};
	size_t waiting = 0;
	fixture_init(&f);
	fixture_open(&f, &limits, drop_group, NULL);
	for (int i = 0; i < CHUNKS; i++) {
		struct gm_chunk *chunk = make_late_chunk(&f, ROWS);
		fixture_add(&f, chunk);
		/* The group of the chunk before has been cut; of this one, both partitions' rows wait. */
		waiting += gm_chunk_lasting_bytes(chunk);
		assert_int_equal(gm_pending_memory_bytes(f.pending), waiting);
		gm_chunk_unref(chunk);
	}
	fixture_flush(&f);
	fixture_close(&f);
}

/* Late rows do not keep the chunks they came with for as long as there is memory. */
static void late_rows_let_their_chunks_go(void **state)
{
	enum { CHUNKS = 100, ROWS = 2000, CHUNKS_IN_MEMORY = 80, GROUP_CHUNKS = 4 };
	(void)state;
	struct fixture f;
	fixture_init(&f);
	struct gm_chunk *chunk = make_late_chunk(&f, ROWS);
	size_t bytes = gm_chunk_lasting_bytes(chunk);
	struct gm_pending_limits limits = {GROUP_CHUNKS * ROWS, UINT64_MAX, CHUNKS_IN_MEMORY * bytes, 2};
	gm_chunk_unref(chunk);
	fixture_open(&f, &limits, drop_group, NULL);
	for (int i = 0; i < CHUNKS; i++) {
		chunk = make_late_chunk(&f, ROWS);
		fixture_add(&f, chunk);
		assert_true(gm_pending_memory_bytes(f.pending) <= (CHUNKS_IN_MEMORY / 4 + 2 * GROUP_CHUNKS) * bytes);
		gm_chunk_unref(chunk);
	}
	fixture_flush(&f);
	fixture_close(&f);
}

enum { SCATTERED_PATHS = 40 };

/* Rows of most partitions, of any one in four chunks of five. */
static struct gm_chunk *make_scattered_chunk(struct fixture *f, uint32_t rows)
{
	struct gm_chunk *chunk = make_late_chunk(f, rows);
	for (uint32_t row = 0; row < rows; row++) {
		char path[16];
		uint32_t len = (uint32_t)snprintf(path, sizeof path, "p=%u", random_below(SCATTERED_PATHS));
		chunk->partition.codes[row] = gm_dict_put(f->paths, (uint8_t *)path, len, gm_dict_hash((uint8_t *)path, len));
	}
	return chunk;
}

static enum gm_code count_spilled(void *context, struct gm_row_group *group, struct gm_error *err)
{
	size_t *most = context, spilled = 0;
	for (size_t i = 0; i < group->segment_count; i++) spilled += group->segments[i].chunk == NULL;
	*most = spilled > *most ? spilled : *most;
	return drop_group(NULL, group, err);
}

/* Where every chunk has rows of most partitions, the last few that are not spilled hold nearly all of them: then these
 * are spilled as well, and rows lie in few pieces in the file, not in one for each chunk that came when memory was
 * short. */
static void scattered_rows_are_spilled_together(void **state)
{
	enum { CHUNKS = 160, ROWS = 60, CHUNKS_IN_MEMORY = 32, ROUNDS = CHUNKS / CHUNKS_IN_MEMORY };
	(void)state;
	struct fixture f;
	size_t most = 0;
	random_state = 5;
	fixture_init(&f);
	struct gm_chunk *chunk = make_scattered_chunk(&f, ROWS);
	struct gm_pending_limits limits = {SIZE_MAX, UINT64_MAX, CHUNKS_IN_MEMORY * gm_chunk_lasting_bytes(chunk),
	                                   SCATTERED_PATHS + 2};
	gm_chunk_unref(chunk);
	fixture_open(&f, &limits, count_spilled, &most);
	for (int i = 0; i < CHUNKS; i++) {
		chunk = make_scattered_chunk(&f, ROWS);
		fixture_add(&f, chunk);
		assert_true(gm_pending_memory_bytes(f.pending) <= limits.memory_bytes);
		gm_chunk_unref(chunk);
	}
	fixture_flush(&f);
	assert_in_range(most, 2, ROUNDS);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_arrive_once_and_in_order),           cmocka_unit_test(so_they_do_through_the_spill_file),
	    cmocka_unit_test(a_late_row_keeps_its_chunk_in_the_books), cmocka_unit_test(late_rows_let_their_chunks_go),
	    cmocka_unit_test(scattered_rows_are_spilled_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
