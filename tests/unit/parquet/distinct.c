/* The way from slices to dictionary and pages, against the plainest forms of it: entries in the order of first use, the
 * places where pages end, counts and bounds one value at a time. Slices come as model.c cuts them. */
#include "model.h"
#include "parquet/chunk.h"
#include "parquet/distinct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- Entries ------------------------------------------------------------------------------------------------------ */

/* A value in PLAIN form, but for a string's length. */
static const uint8_t *plain_of(enum gm_type type, const struct model_value *value, size_t *len)
{
	*len = type == GM_TYPE_STRING ? value->len : gm_plain_size(type);
	if (type == GM_TYPE_STRING) return value->bytes;
	return type == GM_TYPE_DOUBLE ? (const uint8_t *)&value->f64 : (const uint8_t *)&value->i64;
}

/* Whatever the slices were: the entries are the values in the order of their first use, told apart by a dictionary of
 * the test's own. */
static void check_entries(const struct gm_distinct *distinct, const struct model *model)
{
	enum gm_type type = model->nodes[0].type;
	struct gm_dict *seen = gm_dict_new();
	size_t n = 0, at = 0;
	for (uint64_t row = 0; row < model->rows; row++) {
		const struct model_value *value = &model->columns[0].values[row];
		if (value->null) continue;
		size_t len;
		const uint8_t *bytes = plain_of(type, value, &len);
		uint32_t known = seen->count,
		         code = gm_dict_put(seen, bytes, (uint32_t)len, gm_dict_hash(bytes, (uint32_t)len));
		assert_true(code > 0);
		assert_int_equal(distinct->index[n++], code - 1);
		if (code <= known) continue;
		if (type == GM_TYPE_STRING) {
			assert_int_equal(distinct->start[code - 1], at);
			assert_memory_equal(distinct->plain.data + at, &value->len, sizeof value->len);
			at += sizeof value->len;
		}
		if (len > 0) assert_memory_equal(distinct->plain.data + at, bytes, len);
		at += len;
	}
	assert_int_equal(distinct->count, n);
	assert_int_equal(distinct->entries, seen->count);
	assert_int_equal(distinct->plain.len, at);
	gm_dict_unref(seen);
}

/* The same values in each presentation, by one distinct that has seen others before. */
static void check_column(struct gm_distinct *distinct, uint64_t rows, enum gm_type type, struct model_fill fill,
                         uint64_t seed)
{
	struct model model;
	struct gm_error err;
	uint64_t values = 0;
	model_init(&model, rows);
	(void)model_add(&model, "column", type, GM_OPTIONAL);
	model_fill(&model, 0, fill, &seed);
	for (uint64_t row = 0; row < rows; row++) values += !model.columns[0].values[row].null;
	for (enum presentation_style style = 0; style < PRESENT_STYLES; style++) {
		struct presentation p;
		presentation_init(&p, style, seed + style);
		struct gm_parquet_column_data data = model_present(&model, 0, 0, rows, &p);
		const struct gm_distinct_limits limits = {.bytes = 64 << 20, .judged_later = true};
		bool pays;
		assert_int_equal(gm_distinct_build(distinct, type, data.slices, data.slice_count, values, &limits, &pays, &err),
		                 GM_OK);
		assert_int_equal(pays, values > 0);
		if (pays) check_entries(distinct, &model);
		presentation_release(&p);
	}
	model_release(&model);
}

static void test_entries_stand_in_the_order_of_first_use(void **state)
{
	(void)state;
	static const enum gm_type types[] = {GM_TYPE_STRING, GM_TYPE_BIGINT, GM_TYPE_DATE, GM_TYPE_DOUBLE};
	static const struct model_fill fills[] = {
	    {.distinct = 5, .max_len = 20},
	    {.distinct = 1, .max_len = 20},
	    {.distinct = 40, .repeat_permille = 900, .null_permille = 500, .max_len = 90},
	    {.distinct = 1000, .null_permille = 970, .max_len = 9},
	    {.distinct = 1500, .null_permille = 30, .max_len = 40},
	    {.distinct = 3, .null_permille = 1000},
	};
	struct gm_distinct distinct;
	gm_distinct_init(&distinct);
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		for (size_t k = 0; k < sizeof fills / sizeof *fills; k++)
			for (uint64_t rows = 1; rows < 9000; rows = rows * 3 + k)
				check_column(&distinct, rows, types[i], fills[k], rows * 100 + k);
	gm_distinct_release(&distinct);
}

/* More entries than two bytes can number, and slots that are made more of again and again. */
static void test_many_entries(void **state)
{
	(void)state;
	static const struct model_fill fill = {
	    .distinct = 300000, .repeat_permille = 300, .null_permille = 100, .max_len = 30};
	struct gm_distinct distinct;
	gm_distinct_init(&distinct);
	check_column(&distinct, 260000, GM_TYPE_STRING, fill, 1);
	assert_true(distinct.entries > 65536);
	check_column(&distinct, 260000, GM_TYPE_BIGINT, fill, 2);
	assert_true(distinct.entries > 65536);
	gm_distinct_release(&distinct);
}

/* Small numbers have a table of their own, and neighbours beyond its end do not. */
static void test_numbers_around_the_small_ones(void **state)
{
	(void)state;
	enum { ROWS = 6000 };
	static const int64_t around[] = {0, 1, 65535, 65536, 65537, -1, INT64_MIN, INT64_MAX, 2, 64};
	struct gm_distinct distinct;
	struct model model;
	uint64_t random = 9;
	gm_distinct_init(&distinct);
	model_init(&model, ROWS);
	struct model_value *values = model_add(&model, "column", GM_TYPE_BIGINT, GM_REQUIRED);
	for (size_t i = 0; i < ROWS; i++) values[i] = (struct model_value){.i64 = around[model_below(&random, 10)]};
	for (enum presentation_style style = 0; style < PRESENT_STYLES; style++) {
		struct presentation p;
		struct gm_error err;
		bool pays;
		presentation_init(&p, style, style);
		struct gm_parquet_column_data data = model_present(&model, 0, 0, ROWS, &p);
		const struct gm_distinct_limits limits = {.bytes = 1 << 20};
		assert_int_equal(
		    gm_distinct_build(&distinct, GM_TYPE_BIGINT, data.slices, data.slice_count, ROWS, &limits, &pays, &err),
		    GM_OK);
		assert_true(pays);
		check_entries(&distinct, &model);
		presentation_release(&p);
	}
	model_release(&model);
	gm_distinct_release(&distinct);
}

/* --- Levels ------------------------------------------------------------------------------------------------------- */

static void test_defined_rows(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct model model;
		struct presentation p;
		uint64_t random = seed, rows = 1 + model_below(&random, 2000), nulls = 0;
		model_init(&model, rows);
		(void)model_add(&model, "column", seed % 2 == 0 ? GM_TYPE_STRING : GM_TYPE_BIGINT, GM_OPTIONAL);
		struct model_fill fill = {.distinct = 10, .null_permille = (unsigned)(seed % 5) * 250, .max_len = 10};
		model_fill(&model, 0, fill, &random);
		presentation_init(&p, seed % PRESENT_STYLES, seed);
		struct gm_parquet_column_data data = model_present(&model, 0, 0, rows, &p);
		uint8_t *defined = malloc(rows); /* the sanitizer sees a byte too many */
		uint64_t told = gm_slices_defined(data.slices, data.slice_count, defined);
		for (uint64_t row = 0; row < rows; row++) {
			if (told > 0) assert_int_equal(defined[row], !model.columns[0].values[row].null);
			nulls += model.columns[0].values[row].null;
		}
		assert_int_equal(told, nulls);
		assert_int_equal(gm_slices_nulls(data.slices, data.slice_count), nulls);
		if (told > 0) assert_int_equal(gm_count_byte(defined, rows, 0), nulls);
		free(defined);
		presentation_release(&p);
		model_release(&model);
	}
}

/* --- Pages of strings --------------------------------------------------------------------------------------------- */

/* A page ends before the row that would take it over page_rows rows or page_bytes bytes of values. */
static void check_page_ends(const struct model *model, const struct gm_parquet_column_chunk *chunk)
{
	uint64_t first = 0, bytes = 0, nulls = 0;
	size_t page = 0;
	for (uint64_t row = 0; row < model->rows; row++) {
		const struct model_value *value = &model->columns[0].values[row];
		uint64_t more = value->null ? 0 : sizeof value->len + (uint64_t)value->len;
		if (row - first == model->options.page_rows || (row > first && bytes + more > model->options.page_bytes)) {
			assert_true(page < chunk->page_count);
			assert_int_equal(chunk->pages[page].first_row, first);
			assert_int_equal(chunk->pages[page].slots, row - first);
			assert_int_equal(chunk->pages[page++].nulls, nulls);
			first = row;
			bytes = nulls = 0;
		}
		bytes += more;
		nulls += value->null;
	}
	assert_int_equal(chunk->page_count, page + 1);
	assert_int_equal(chunk->pages[page].first_row, first);
	assert_int_equal(chunk->pages[page].slots, model->rows - first);
	assert_int_equal(chunk->pages[page].nulls, nulls);
}

static void test_pages_of_strings_end_where_they_should(void **state)
{
	(void)state;
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct model model;
		struct presentation p;
		struct gm_parquet_writer *writer;
		struct gm_parquet_column_chunk *chunk;
		struct gm_buf file;
		struct gm_error err;
		uint64_t random = seed;
		model_init(&model, 6000);
		model.options.dict_bytes = 1; /* no dictionary */
		model.options.page_rows = (uint32_t)(1 + model_below(&random, seed % 2 == 0 ? 700 : 5000));
		model.options.page_bytes = (uint32_t)(64 + model_below(&random, 40000));
		(void)model_add(&model, "column", GM_TYPE_STRING, GM_OPTIONAL);
		struct model_fill fill = {.distinct = 5000,
		                          .null_permille = (unsigned)model_below(&random, 1000),
		                          .max_len = seed % 3 == 0 ? 900 : 40};
		model_fill(&model, 0, fill, &random);
		presentation_init(&p, seed % PRESENT_STYLES, seed);
		gm_buf_init(&file, 1 << 20);
		struct gm_parquet_column_data data = model_present(&model, 0, 0, model.rows, &p);
		assert_int_equal(gm_parquet_writer_new(model.nodes, 1, &model.options, model_sink_buf, &file, &writer, &err),
		                 GM_OK);
		assert_int_equal(gm_parquet_encode(encoder, writer, 0, &data, &chunk, &err), GM_OK);
		assert_int_equal(chunk->dictionary_bytes, 0);
		check_page_ends(&model, chunk);
		gm_parquet_column_chunk_free(chunk);
		gm_parquet_writer_free(writer);
		gm_buf_release(&file);
		presentation_release(&p);
		model_release(&model);
	}
	gm_parquet_encoder_free(encoder);
}

/* --- Bounds ------------------------------------------------------------------------------------------------------- */

static void test_bounds_of_strings_apart(void **state)
{
	(void)state;
	static const char *const words[] = {"",         "a",        "https://www.a", "https://www.b", "https://www.ab",
	                                    "\xC3\xA4", "zzzzzzzzz"};
	enum { WORDS = sizeof words / sizeof *words };
	uint8_t plain[512] = {0};
	uint32_t start[WORDS], at = 0;
	for (uint32_t i = 0; i < WORDS; i++) {
		uint32_t len = (uint32_t)strlen(words[i]);
		start[i] = at;
		memcpy(plain + at, &len, sizeof len);
		memcpy(plain + at + sizeof len, words[i], len);
		at += (uint32_t)sizeof len + len;
	}
	for (unsigned set = 0; set < 1u << WORDS; set++) {
		uint32_t chosen[WORDS];
		size_t count = 0;
		struct gm_bounds bounds = {0}, expected = {0};
		for (uint32_t i = 0; i < WORDS; i++) {
			if ((set >> i & 1) == 0) continue;
			chosen[count++] = i;
			gm_bounds_add_plain(&expected, GM_TYPE_STRING, plain + start[i], 1);
		}
		gm_bounds_add_strings(&bounds, plain, start, chosen, count);
		assert_int_equal(bounds.any, set != 0);
		if (set == 0) continue;
		assert_int_equal(gm_bound_compare(GM_TYPE_STRING, &bounds.min, &expected.min), 0);
		assert_int_equal(gm_bound_compare(GM_TYPE_STRING, &bounds.max, &expected.max), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_entries_stand_in_the_order_of_first_use), cmocka_unit_test(test_many_entries),
	    cmocka_unit_test(test_numbers_around_the_small_ones),           cmocka_unit_test(test_defined_rows),
	    cmocka_unit_test(test_pages_of_strings_end_where_they_should),  cmocka_unit_test(test_bounds_of_strings_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
