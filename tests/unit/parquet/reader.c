/* The reader as a whole, on files of our writer: what went in comes out, and every allocation and every read fails
 * once. Files of other writers are the business of tests/test_parquet_reader.py. */
#include "nested.h"
#include "read_help.h"

#include "parquet/read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <xxhash.h>

#include <cmocka.h>

enum { MEMORY = 64 << 20 };

/* --- Failing allocations: linked with --wrap ---------------------------------------------------------------------- */

static uint64_t calls_until_failure; /* 0: never */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static bool fails(void)
{
	return calls_until_failure > 0 && --calls_until_failure == 0;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}

/* --- Help --------------------------------------------------------------------------------------------------------- */

static void must(enum gm_code rc, const struct gm_error *err)
{
	if (rc != GM_OK) fail_msg("%s: %s", gm_code_name(rc), err->message);
}

static struct gm_buf write_model(const struct model *model)
{
	struct gm_error err = {0};
	struct gm_buf file;
	struct presentation p;
	struct gm_parquet_writer *writer = NULL;
	struct gm_parquet_summary summary;
	gm_buf_init(&file, SIZE_MAX / 2);
	presentation_init(&p, PRESENT_MIXED, 1);
	must(model_write(model, &p, model_sink_buf, &file, &writer, &summary, &err), &err);
	gm_parquet_writer_free(writer);
	presentation_release(&p);
	return file;
}

static struct gm_parquet_reader *open_buf(const struct gm_buf *buf, struct memory_file *file)
{
	struct gm_parquet_reader *reader;
	struct gm_error err;
	*file = (struct memory_file){.data = buf->data, .bytes = buf->len};
	struct gm_parquet_input input = memory_input(file);
	must(gm_parquet_reader_open(&input, MEMORY, &reader, &err), &err);
	return reader;
}

static void check_value(const struct gm_vec *vec, uint32_t row, const struct model_value *expected)
{
	uint32_t len;
	assert_int_equal(gm_vec_is_null(vec, row), expected->null);
	if (expected->null) return;
	switch (vec->repr) {
	case GM_REPR_BOOL: assert_int_equal(vec->boolean[row], expected->i64); break;
	case GM_REPR_I64: assert_int_equal(vec->i64[row], expected->i64); break;
	case GM_REPR_F64: assert_memory_equal(&vec->f64[row], &expected->f64, sizeof expected->f64); break;
	default: {
		const uint8_t *bytes = gm_vec_string(vec, row, &len);
		assert_int_equal(len, expected->len);
		if (len > 0) assert_memory_equal(bytes, expected->bytes, len);
	}
	}
}

/* --- Round trip --------------------------------------------------------------------------------------------------- */

static void check_column(const struct gm_parquet_reader *reader, size_t group, size_t leaf,
                         const struct model_value *expected, uint64_t rows, uint32_t max_slots)
{
	struct gm_parquet_column_reader *column;
	struct gm_parquet_batch batch;
	struct gm_error err;
	uint64_t row = 0;
	must(gm_parquet_column_open(reader, group, leaf, &column, &err), &err);
	for (;;) {
		must(gm_parquet_column_next(column, max_slots, &batch, &err), &err);
		if (batch.slots == 0) break;
		assert_true(batch.slots <= max_slots && batch.definition == NULL && batch.repetition == NULL);
		uint32_t values = 0;
		for (uint32_t i = 0; i < batch.slots; i++) {
			assert_true(row < rows);
			values += !expected[row].null;
			check_value(&batch.vec, i, &expected[row++]);
		}
		assert_int_equal(batch.values, values);
	}
	assert_int_equal(row, rows);
	must(gm_parquet_column_next(column, max_slots, &batch, &err), &err); /* the end stays the end */
	assert_int_equal(batch.slots, 0);
	gm_parquet_column_close(column);
}

static void check_model(const struct model *model, const struct gm_buf *buf, uint32_t max_slots)
{
	struct memory_file file;
	struct gm_parquet_reader *reader = open_buf(buf, &file);
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	uint64_t row = 0;
	assert_int_equal(info->rows, model->rows);
	assert_int_equal(info->leaf_count, model->column_count);
	for (size_t g = 0, written = 0; g < model->group_count; g++) {
		uint64_t rows = model->group_rows[g];
		if (rows == 0) continue; /* left out by the writer */
		assert_int_equal(info->groups[written].rows, rows);
		for (size_t i = 0; i < model->column_count; i++) {
			assert_int_equal(info->leaves[i].type, model->nodes[i].type);
			assert_string_equal(info->leaves[i].path[0], model->nodes[i].name);
			check_column(reader, written, i, model->columns[i].values + row, rows, max_slots);
		}
		row += rows;
		written++;
	}
	assert_int_equal(row, model->rows);
	gm_parquet_reader_free(reader);
}

static void test_random_tables(void **state)
{
	(void)state;
	static const uint32_t batches[] = {4096, 1, 7, 100000};
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct model model;
		model_random(&model, seed);
		struct gm_buf file = write_model(&model);
		check_model(&model, &file, batches[seed % 4]);
		gm_buf_release(&file);
		model_release(&model);
	}
}

/* Repeats, then only new values: the writer decides once, so this is a dictionary of many and none at all. Every type,
 * in pages of some hundred rows. */
static void test_pages_groups_and_types(void **state)
{
	(void)state;
	uint64_t random = 5;
	for (int turn = 0; turn < 3; turn++) {
		struct model model;
		model_init(&model, 12000);
		model.options.page_rows = 700;
		model.options.codec = (enum gm_codec)turn;
		for (enum gm_type type = GM_TYPE_BOOLEAN; type <= GM_TYPE_TIMESTAMP; type++) {
			struct model_fill many = {.distinct = UINT64_MAX, .null_permille = 200, .max_len = 50, .wide = true};
			struct model_fill few = {.distinct = 30, .null_permille = 200, .max_len = 50};
			model_add(&model, "many", type, GM_OPTIONAL);
			model_fill(&model, model.column_count - 1, many, &random);
			model_add(&model, "few", type, GM_REQUIRED);
			few.null_permille = 0;
			model_fill(&model, model.column_count - 1, few, &random);
		}
		model_group(&model, 5000);
		struct gm_buf file = write_model(&model);
		check_model(&model, &file, 1000);
		gm_buf_release(&file);
		model_release(&model);
	}
}

static void test_nested_levels_add_up(void **state)
{
	(void)state;
	struct gm_buf buf;
	struct gm_error err;
	struct memory_file file;
	FILE *json = fopen("/dev/null", "w");
	assert_non_null(json);
	gm_buf_init(&buf, SIZE_MAX / 2);
	must(nested_write(3000, 7, 2, model_sink_buf, &buf, json, &err), &err);
	(void)fclose(json);
	struct gm_parquet_reader *reader = open_buf(&buf, &file);
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	assert_int_equal(info->leaf_count, 11);
	static const char *const path[] = {"items", "list", "element", "number"};
	size_t leaf = gm_parquet_reader_find(reader, path, 4);
	assert_int_equal(leaf, 3);
	assert_int_equal(gm_parquet_reader_find(reader, path, 3), SIZE_MAX);
	assert_int_equal(info->leaves[leaf].max_definition, 4);
	assert_int_equal(info->leaves[leaf].max_repetition, 1);
	for (size_t i = 0; i < info->leaf_count; i++) {
		/* The same for any size of batches. */
		uint64_t sums[3] = {0};
		static const uint32_t batches[] = {1, 13, 10000};
		for (int k = 0; k < 3; k++) must(read_column(reader, 0, i, batches[k], &sums[k], &err), &err);
		assert_true(sums[0] == sums[1] && sums[1] == sums[2]);
	}
	gm_parquet_reader_free(reader);
	gm_buf_release(&buf);
}

/* --- Footer ------------------------------------------------------------------------------------------------------- */

static void add_keys(struct model *model)
{
	model_init(model, 5000);
	struct model_value *key = model_add(model, "key", GM_TYPE_STRING, GM_OPTIONAL);
	struct model_value *number = model_add(model, "number", GM_TYPE_INT, GM_OPTIONAL);
	struct model_value *real = model_add(model, "real", GM_TYPE_DOUBLE, GM_OPTIONAL);
	for (uint64_t row = 0; row < model->rows; row++) {
		char text[32];
		int len = snprintf(text, sizeof text, "key-%05u", (unsigned)row);
		if (row % 10 != 0) key[row] = model_string(model, text, (size_t)len);
		number[row] = (struct model_value){.i64 = (int64_t)row - 100};
		real[row] = (struct model_value){.f64 = row == 7 ? __builtin_nan("") : 0.0};
	}
	model->nodes[0].bloom = true;
	model_group(model, 2000);
	/* Larger than what is read with the footer. */
	model->options.codec = GM_CODEC_NONE;
}

static void test_what_the_footer_says(void **state)
{
	(void)state;
	struct model model;
	struct memory_file file;
	struct gm_error err;
	struct gm_bloom bloom;
	add_keys(&model);
	struct gm_buf buf = write_model(&model);
	struct gm_parquet_reader *reader = open_buf(&buf, &file);
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	assert_int_equal(info->group_count, 3);
	assert_string_equal(info->created_by, model.options.created_by);
	assert_non_null(gm_parquet_reader_meta(reader, "gristmill.content_hash"));
	assert_null(gm_parquet_reader_meta(reader, "no such key"));
	assert_string_equal(info->leaves[0].described, "BYTE_ARRAY (STRING)");
	const struct gm_parquet_chunk_info *key = &info->groups[1].chunks[0], *number = key + 1, *real = key + 2;
	assert_true(key->has_nulls && key->nulls == 200 && key->values == 2000);
	assert_true(key->has_bounds && key->min_bytes == 9 && memcmp(key->min, "key-02001", 9) == 0);
	assert_true(key->max_bytes == 9 && memcmp(key->max, "key-03999", 9) == 0);
	int32_t low, high;
	assert_true(number->has_bounds && number->min_bytes == 4 && number->max_bytes == 4);
	memcpy(&low, number->min, 4);
	memcpy(&high, number->max, 4);
	assert_true(low == 1900 && high == 3899);
	/* Zeros of either sign are within the bounds. */
	static const uint8_t negative_zero[8] = {[7] = 0x80}, zero[8] = {0};
	assert_true(real->has_bounds && real->min_bytes == 8);
	assert_memory_equal(real->min, negative_zero, 8);
	assert_memory_equal(real->max, zero, 8);
	must(gm_parquet_bloom_read(reader, 1, 0, &bloom, &err), &err);
	unsigned wrong = 0;
	for (uint32_t row = 0; row < 5000; row++) {
		char text[32];
		size_t len = (size_t)snprintf(text, sizeof text, "key-%05u", (unsigned)row);
		bool found = gm_bloom_may_have(&bloom, XXH64(text, len, 0)), inside = row >= 2000 && row < 4000;
		if (inside && row % 10 != 0) assert_true(found);
		wrong += !inside && found;
	}
	assert_true(wrong < 100);
	gm_bloom_release(&bloom);
	assert_int_equal(gm_parquet_bloom_read(reader, 1, 1, &bloom, &err), GM_NOT_FOUND);
	gm_parquet_reader_free(reader);
	gm_buf_release(&buf);
	model_release(&model);
}

/* Asks the filter of a row group for its first key, and for one that it surely lacks. Tells the reads that took. */
static uint64_t ask_bloom(const struct gm_parquet_reader *reader, size_t group, const struct memory_file *file)
{
	struct gm_error err;
	struct gm_bloom bloom;
	char text[32];
	uint64_t before = file->reads;
	size_t len = (size_t)snprintf(text, sizeof text, "key-%05u", (unsigned)(group * 2000 + 1));
	must(gm_parquet_bloom_read(reader, group, 0, &bloom, &err), &err);
	assert_int_equal(bloom.bytes, gm_bloom_bytes(group < 2 ? 1800 : 900));
	assert_true(gm_bloom_may_have(&bloom, XXH64(text, len, 0)));
	size_t set = 0;
	for (size_t i = 0; i < bloom.bytes / sizeof *bloom.words; i++) set += bloom.words[i] != 0;
	assert_true(set > 0);
	gm_bloom_release(&bloom);
	return file->reads - before;
}

/* Each read may be a request over a network: the end of the file is read once, a filter of told size once. */
static void test_reads_are_few(void **state)
{
	(void)state;
	struct model model;
	struct memory_file file;
	add_keys(&model);
	struct gm_buf buf = write_model(&model);
	struct gm_parquet_reader *reader = open_buf(&buf, &file);
	assert_true(buf.len > 64 * 1024);
	assert_int_equal(file.reads, 1);
	assert_int_equal(ask_bloom(reader, 0, &file), 1);
	assert_int_equal(ask_bloom(reader, 2, &file), 0);
	/* Writers may tell no size, or a wrong one: the filter is the same. */
	struct gm_read_chunk *chunk = (struct gm_read_chunk *)(uintptr_t)&reader->chunks[0][0];
	uint32_t told = chunk->bloom_bytes;
	static const uint32_t wrong[] = {0, 1, 63, 64, 65, 1000, 60000, UINT32_MAX};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		chunk->bloom_bytes = wrong[i];
		assert_in_range(ask_bloom(reader, 0, &file), 1, 2);
	}
	chunk->bloom_bytes = told - 1;
	assert_int_equal(ask_bloom(reader, 0, &file), 2);
	chunk->bloom_bytes = told + 1;
	assert_int_equal(ask_bloom(reader, 0, &file), 1);
	gm_parquet_reader_free(reader);
	gm_buf_release(&buf);
	model_release(&model);
}

static void test_misuse_is_refused(void **state)
{
	(void)state;
	struct model model;
	struct memory_file file;
	struct gm_error err;
	struct gm_bloom bloom;
	struct gm_parquet_column_reader *column;
	add_keys(&model);
	struct gm_buf buf = write_model(&model);
	struct gm_parquet_reader *reader = open_buf(&buf, &file);
	assert_int_equal(gm_parquet_column_open(reader, 3, 0, &column, &err), GM_BUG);
	assert_null(column);
	assert_int_equal(gm_parquet_column_open(reader, 0, 3, &column, &err), GM_BUG);
	assert_int_equal(gm_parquet_bloom_read(reader, 3, 0, &bloom, &err), GM_BUG);
	gm_parquet_column_close(NULL);
	gm_parquet_reader_free(NULL);
	gm_parquet_reader_free(reader);
	gm_buf_release(&buf);
	model_release(&model);
}

/* --- Failures ----------------------------------------------------------------------------------------------------- */

/* A file with everything that allocates: pages of all kinds, dictionaries, a bloom filter, nested columns. */
static struct gm_buf write_small(bool nested)
{
	struct model model;
	struct gm_buf buf;
	struct gm_error err;
	if (!nested) {
		add_keys(&model);
		buf = write_model(&model);
		model_release(&model);
		return buf;
	}
	FILE *json = fopen("/dev/null", "w");
	assert_non_null(json);
	gm_buf_init(&buf, SIZE_MAX / 2);
	must(nested_write(300, 50, 4, model_sink_buf, &buf, json, &err), &err);
	(void)fclose(json);
	return buf;
}

static void test_every_allocation_fails_once(void **state)
{
	(void)state;
	for (int nested = 0; nested < 2; nested++) {
		struct gm_buf buf = write_small(nested != 0);
		for (uint64_t at = 1;; at++) {
			struct memory_file file = {.data = buf.data, .bytes = buf.len};
			struct gm_parquet_input input = memory_input(&file);
			struct gm_error err;
			uint64_t sum = 0;
			calls_until_failure = at;
			enum gm_code rc = read_everything(&input, MEMORY, 1000, &sum, &err);
			bool fired = calls_until_failure == 0;
			calls_until_failure = 0;
			if (!fired) {
				must(rc, &err);
				assert_true(at > 20);
				break;
			}
			if (rc != GM_NOMEM) fail_msg("allocation %d: %s: %s", (int)at, gm_code_name(rc), err.message);
		}
		gm_buf_release(&buf);
	}
}

static void test_every_read_fails_once(void **state)
{
	(void)state;
	struct gm_buf buf = write_small(false);
	for (uint64_t at = 1;; at++) {
		struct memory_file file = {.data = buf.data, .bytes = buf.len, .fail_at = at};
		struct gm_parquet_input input = memory_input(&file);
		struct gm_error err;
		uint64_t sum = 0;
		enum gm_code rc = read_everything(&input, MEMORY, 1000, &sum, &err);
		if (file.reads < at) {
			must(rc, &err);
			assert_true(at > 6);
			break;
		}
		assert_int_equal(rc, GM_IO);
	}
	gm_buf_release(&buf);
}

static void test_a_failed_column_stays_failed(void **state)
{
	(void)state;
	struct gm_buf buf = write_small(false);
	struct memory_file file;
	struct gm_error err;
	struct gm_parquet_batch batch;
	struct gm_parquet_column_reader *column;
	struct gm_parquet_reader *reader = open_buf(&buf, &file);
	must(gm_parquet_column_open(reader, 0, 0, &column, &err), &err);
	file.fail_at = file.reads + 1;
	assert_int_equal(gm_parquet_column_next(column, 10, &batch, &err), GM_IO);
	assert_non_null(strstr(err.message, "column key, row group 0: this read fails"));
	assert_int_equal(batch.slots, 0);
	assert_int_equal(gm_parquet_column_next(column, 10, &batch, &err), GM_BUG);
	gm_parquet_column_close(column);
	gm_parquet_reader_free(reader);
	gm_buf_release(&buf);
}

static void test_memory_limits_are_held(void **state)
{
	(void)state;
	struct gm_buf buf = write_small(false);
	struct gm_error err;
	uint64_t sum = 0;
	/* Whatever the limit: read, or refused with its reason. */
	for (size_t memory = 1; memory < 1 << 20; memory += memory / 7 + 1) {
		struct memory_file file = {.data = buf.data, .bytes = buf.len};
		struct gm_parquet_input input = memory_input(&file);
		struct gm_parquet_reader *reader;
		enum gm_code rc = gm_parquet_reader_open(&input, memory, &reader, &err);
		assert_true(rc == GM_OK || rc == GM_UNSUPPORTED);
		if (rc != GM_OK) continue;
		rc = read_column(reader, 0, 0, 100, &sum, &err);
		assert_true(rc == GM_OK || rc == GM_UNSUPPORTED);
		gm_parquet_reader_free(reader);
	}
	gm_buf_release(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random_tables),
	    cmocka_unit_test(test_pages_groups_and_types),
	    cmocka_unit_test(test_nested_levels_add_up),
	    cmocka_unit_test(test_what_the_footer_says),
	    cmocka_unit_test(test_reads_are_few),
	    cmocka_unit_test(test_misuse_is_refused),
	    cmocka_unit_test(test_every_allocation_fails_once),
	    cmocka_unit_test(test_every_read_fails_once),
	    cmocka_unit_test(test_a_failed_column_stays_failed),
	    cmocka_unit_test(test_memory_limits_are_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
