/* Files that no writer at hand makes, made by hand: one column, its pages as given. What is odd but allowed reads; what
 * is not known is refused by name; what is wrong is damage with a place. */
#include "parquet/read.h"
#include "read_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MEMORY = 1 << 20, PAGES_MAX = 4 };

struct made_page {
	int32_t type, encoding, slots;
	int32_t level_encoding; /* of version 1 */
	const uint8_t *body;
	size_t bytes;
	int32_t told_bytes; /* uncompressed; 0: as many as there are */
	const uint32_t *crc;
	size_t statistics; /* bytes of a bound in its header */
};
struct made {
	int32_t physical, converted, codec; /* converted: -1 for none */
	bool optional, orders, elsewhere;
	int groups_above; /* required groups around the column */
	int64_t rows, values;
	const char *old_min, *old_max, *min, *max; /* `bound_bytes` each */
	size_t bound_bytes;
	size_t page_count;
	struct made_page pages[PAGES_MAX];
	struct gm_buf file;
};

static struct made made_new(int32_t physical, bool optional, int64_t rows)
{
	struct made made = {
	    .physical = physical, .converted = -1, .optional = optional, .rows = rows, .values = rows, .orders = true};
	gm_buf_init(&made.file, 1 << 24);
	return made;
}

static void must(enum gm_code rc)
{
	assert_int_equal(rc, GM_OK);
}

/* --- Making ------------------------------------------------------------------------------------------------------- */

/* Strings as long as values may be: so did writers of old. */
static void put_statistics(struct gm_thrift *t, size_t bytes)
{
	if (bytes == 0) return;
	uint8_t *bound = calloc(bytes, 1);
	gm_thrift_struct(t, 5);
	gm_thrift_binary(t, 1, bound, bytes);
	gm_thrift_end(t);
	free(bound);
}

static void put_page(struct gm_buf *file, const struct made_page *page)
{
	struct gm_thrift t;
	int32_t told = page->told_bytes != 0 ? page->told_bytes : (int32_t)page->bytes;
	gm_thrift_begin(&t, file, NULL);
	gm_thrift_i32(&t, 1, page->type);
	gm_thrift_i32(&t, 2, told);
	gm_thrift_i32(&t, 3, (int32_t)page->bytes);
	if (page->crc != NULL) gm_thrift_i32(&t, 4, (int32_t)*page->crc);
	if (page->type == GM_FORMAT_DATA_PAGE || page->type == GM_FORMAT_DICTIONARY_PAGE) {
		gm_thrift_struct(&t, page->type == GM_FORMAT_DATA_PAGE ? 5 : 7);
		gm_thrift_i32(&t, 1, page->slots);
		gm_thrift_i32(&t, 2, page->encoding);
		if (page->type == GM_FORMAT_DATA_PAGE) {
			gm_thrift_i32(&t, 3, page->level_encoding);
			gm_thrift_i32(&t, 4, page->level_encoding);
			put_statistics(&t, page->statistics);
		}
		gm_thrift_end(&t);
	}
	must(gm_thrift_finish(&t));
	must(gm_buf_append(file, page->body, page->bytes, NULL));
}

static void put_bound(struct gm_thrift *t, int16_t field, const char *bound, size_t bytes)
{
	if (bound != NULL) gm_thrift_binary(t, field, bound, bytes);
}

static void put_element(struct gm_thrift *t, const char *name, bool root)
{
	gm_thrift_element_struct(t);
	if (!root) gm_thrift_i32(t, 3, GM_FORMAT_REQUIRED);
	gm_thrift_string(t, 4, name);
	gm_thrift_i32(t, 5, 1);
	gm_thrift_end(t);
}

static void put_schema(struct gm_thrift *t, const struct made *made)
{
	gm_thrift_list(t, 2, GM_THRIFT_STRUCT, (size_t)made->groups_above + 2);
	put_element(t, "root", true);
	for (int i = 0; i < made->groups_above; i++) put_element(t, "g", false);
	gm_thrift_element_struct(t);
	gm_thrift_i32(t, 1, made->physical);
	gm_thrift_i32(t, 3, made->optional ? GM_FORMAT_OPTIONAL : GM_FORMAT_REQUIRED);
	gm_thrift_string(t, 4, "c");
	if (made->converted >= 0) gm_thrift_i32(t, 6, made->converted);
	gm_thrift_end(t);
}

static void put_column(struct gm_thrift *t, const struct made *made, size_t pages_bytes)
{
	gm_thrift_element_struct(t);
	if (made->elsewhere) gm_thrift_string(t, 1, "other.parquet");
	gm_thrift_i64(t, 2, 0);
	gm_thrift_struct(t, 3);
	gm_thrift_i32(t, 1, made->physical);
	gm_thrift_list(t, 2, GM_THRIFT_I32, 0);
	gm_thrift_list(t, 3, GM_THRIFT_BINARY, (size_t)made->groups_above + 1);
	for (int i = 0; i < made->groups_above; i++) gm_thrift_element_binary(t, "g", 1);
	gm_thrift_element_binary(t, "c", 1);
	gm_thrift_i32(t, 4, made->codec);
	gm_thrift_i64(t, 5, made->values);
	gm_thrift_i64(t, 6, (int64_t)pages_bytes);
	gm_thrift_i64(t, 7, (int64_t)pages_bytes);
	gm_thrift_i64(t, 9, GM_READ_MAGIC);
	gm_thrift_struct(t, 12);
	put_bound(t, 1, made->old_max, made->bound_bytes);
	put_bound(t, 2, made->old_min, made->bound_bytes);
	put_bound(t, 5, made->max, made->bound_bytes);
	put_bound(t, 6, made->min, made->bound_bytes);
	gm_thrift_end(t);
	gm_thrift_end(t);
	gm_thrift_end(t);
}

static void make(struct made *made)
{
	struct gm_thrift t;
	struct gm_buf *file = &made->file;
	file->len = 0;
	must(gm_buf_append(file, "PAR1", 4, NULL));
	for (size_t i = 0; i < made->page_count; i++) put_page(file, &made->pages[i]);
	size_t footer = file->len;
	gm_thrift_begin(&t, file, NULL);
	gm_thrift_i32(&t, 1, 1);
	put_schema(&t, made);
	gm_thrift_i64(&t, 3, made->rows);
	gm_thrift_list(&t, 4, GM_THRIFT_STRUCT, 1);
	gm_thrift_element_struct(&t);
	gm_thrift_list(&t, 1, GM_THRIFT_STRUCT, 1);
	put_column(&t, made, footer - GM_READ_MAGIC);
	gm_thrift_i64(&t, 2, 1000);
	gm_thrift_i64(&t, 3, made->rows);
	gm_thrift_end(&t);
	if (made->orders) {
		gm_thrift_list(&t, 7, GM_THRIFT_STRUCT, 1);
		gm_thrift_element_struct(&t);
		gm_thrift_struct(&t, GM_FORMAT_TYPE_ORDER);
		gm_thrift_end(&t);
		gm_thrift_end(&t);
	}
	must(gm_thrift_finish(&t));
	uint32_t length = (uint32_t)(file->len - footer);
	must(gm_buf_append(file, &length, sizeof length, NULL));
	must(gm_buf_append(file, "PAR1", 4, NULL));
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static struct gm_parquet_reader *open_made(struct made *made, struct memory_file *file)
{
	struct gm_parquet_reader *reader;
	struct gm_error err;
	make(made);
	*file = (struct memory_file){.data = made->file.data, .bytes = made->file.len};
	struct gm_parquet_input input = memory_input(file);
	enum gm_code rc = gm_parquet_reader_open(&input, MEMORY, &reader, &err);
	if (rc != GM_OK) fail_msg("%s", err.message);
	return reader;
}

static void expect_failure(struct made *made, enum gm_code expected, const char *words)
{
	struct memory_file file;
	struct gm_error err = {0};
	uint64_t sum = 0;
	struct gm_parquet_reader *reader = open_made(made, &file);
	enum gm_code rc = read_column(reader, 0, 0, 100, &sum, &err);
	if (rc != expected || strstr(err.message, words) == NULL)
		fail_msg("%s: %s instead of %s: %s", gm_code_name(rc), err.message, gm_code_name(expected), words);
	if (rc == GM_CORRUPT) assert_true(err.offset <= made->file.len);
	gm_parquet_reader_free(reader);
	gm_buf_release(&made->file);
}

/* The whole column of up to 16 numbers, of which INT64_MIN stands for a null. */
static void expect_numbers(struct made *made, const int64_t *expected)
{
	struct memory_file file;
	struct gm_error err;
	struct gm_parquet_column_reader *column;
	struct gm_parquet_batch batch;
	struct gm_parquet_reader *reader = open_made(made, &file);
	uint32_t row = 0;
	must(gm_parquet_column_open(reader, 0, 0, &column, &err));
	for (;;) {
		enum gm_code rc = gm_parquet_column_next(column, 3, &batch, &err);
		if (rc != GM_OK) fail_msg("%s", err.message);
		if (batch.slots == 0) break;
		for (uint32_t i = 0; i < batch.slots; i++, row++) {
			assert_int_equal(gm_vec_is_null(&batch.vec, i), expected[row] == INT64_MIN);
			if (expected[row] != INT64_MIN) assert_int_equal(batch.vec.i64[i], expected[row]);
		}
	}
	assert_int_equal(row, made->rows);
	gm_parquet_column_close(column);
	gm_parquet_reader_free(reader);
	gm_buf_release(&made->file);
}

static const uint8_t numbers[] = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};
static const struct made_page three = {.type = GM_FORMAT_DATA_PAGE,
                                       .encoding = GM_FORMAT_PLAIN,
                                       .slots = 3,
                                       .level_encoding = GM_FORMAT_RLE,
                                       .body = numbers,
                                       .bytes = 12};

/* --- Odd, but allowed --------------------------------------------------------------------------------------------- */

static void test_bit_packed_levels(void **state)
{
	(void)state;
	/* Ten levels from the highest bit on: value, null, value, nulls, value. */
	static const uint8_t body[] = {0xA0, 0x40, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};
	static const int64_t null = INT64_MIN, expected[] = {1, null, 2, null, null, null, null, null, null, 3};
	struct made made = made_new(GM_FORMAT_INT32, true, 10);
	made.page_count = 1;
	made.pages[0] = three;
	made.pages[0].slots = 10;
	made.pages[0].level_encoding = GM_FORMAT_BIT_PACKED;
	made.pages[0].body = body;
	made.pages[0].bytes = sizeof body;
	expect_numbers(&made, expected);
}

static void test_pages_without_values_are_passed_over(void **state)
{
	(void)state;
	static const int64_t expected[] = {1, 2, 3, 1, 2, 3};
	enum { LARGE = 600000 }; /* more than is read at once */
	struct made made = made_new(GM_FORMAT_INT32, false, 6);
	uint8_t *large = calloc(LARGE, 1);
	made.page_count = 4;
	made.pages[0] = (struct made_page){.type = GM_FORMAT_INDEX_PAGE, .body = large, .bytes = LARGE};
	made.pages[1] = three;
	made.pages[2] = (struct made_page){.type = GM_FORMAT_DATA_PAGE, .body = numbers};
	made.pages[3] = three;
	expect_numbers(&made, expected);
	free(large);
}

static void test_headers_may_be_long(void **state)
{
	(void)state;
	static const int64_t expected[] = {1, 2, 3, 1, 2, 3, 1, 2, 3};
	struct made made = made_new(GM_FORMAT_INT32, false, 9);
	made.page_count = 3;
	made.pages[0] = made.pages[1] = made.pages[2] = three;
	made.pages[1].statistics = MEMORY - 100;
	expect_numbers(&made, expected);
	gm_buf_init(&made.file, 1 << 24);
	made.pages[1].statistics = 2 * MEMORY;
	expect_failure(&made, GM_UNSUPPORTED, "header of a page takes more than the 1048576 bytes");
}

static void test_few_bytes_stand_for_billions(void **state)
{
	(void)state;
	/* One run of nulls. */
	static const uint8_t body[] = {6, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0};
	struct made made = made_new(GM_FORMAT_INT32, true, INT32_MAX);
	struct memory_file file;
	struct gm_error err;
	struct gm_parquet_column_reader *column;
	struct gm_parquet_batch batch;
	made.page_count = 1;
	made.pages[0] = three;
	made.pages[0].slots = INT32_MAX;
	made.pages[0].body = body;
	made.pages[0].bytes = sizeof body;
	struct gm_parquet_reader *reader = open_made(&made, &file);
	must(gm_parquet_column_open(reader, 0, 0, &column, &err));
	for (int i = 0; i < 100; i++) {
		must(gm_parquet_column_next(column, 1000, &batch, &err));
		assert_true(batch.slots == 1000 && batch.values == 0 && gm_vec_is_null(&batch.vec, 999));
	}
	gm_parquet_column_close(column);
	gm_parquet_reader_free(reader);
	gm_buf_release(&made.file);
}

/* --- Refused by name ---------------------------------------------------------------------------------------------- */

static void expect_unsupported(struct made made, const char *words)
{
	made.page_count = made.page_count > 0 ? made.page_count : 1;
	expect_failure(&made, GM_UNSUPPORTED, words);
}

static void test_what_is_not_known_is_named(void **state)
{
	(void)state;
	struct made plain = made_new(GM_FORMAT_INT32, false, 3), made;
	plain.pages[0] = three;
	made = plain;
	made.codec = GM_FORMAT_LZO;
	expect_unsupported(made, "LZO");
	made = plain;
	made.codec = 17;
	expect_unsupported(made, "codec 17");
	made = plain;
	made.pages[0].encoding = 10;
	expect_unsupported(made, "encoding ALP");
	made = plain;
	made.pages[0].encoding = 77;
	expect_unsupported(made, "encoding 77");
	made = plain;
	made.pages[0].encoding = GM_FORMAT_DELTA_BYTE_ARRAY;
	expect_unsupported(made, "encoding DELTA_BYTE_ARRAY");
	made = plain;
	made.pages[0].type = 9;
	expect_unsupported(made, "page type 9");
	made = plain;
	made.elsewhere = true;
	expect_unsupported(made, "another file");
	made = plain;
	made.optional = true;
	made.pages[0].level_encoding = GM_FORMAT_PLAIN;
	expect_unsupported(made, "levels in encoding 0");
	made = plain;
	made.pages[0].told_bytes = INT32_MAX;
	expect_unsupported(made, "a page of 2147483647 bytes");
	made = plain;
	made.converted = GM_FORMAT_CONVERTED_DECIMAL;
	expect_unsupported(made, "DECIMAL");
	made = plain;
	made.converted = GM_FORMAT_CONVERTED_TIMESTAMP_MILLIS; /* of 32 bits */
	expect_unsupported(made, "INT32 (TIMESTAMP(MILLIS))");
}

static void test_depth_is_limited(void **state)
{
	(void)state;
	static const int64_t expected[] = {1, 2, 3};
	struct gm_error err;
	struct gm_parquet_reader *reader;
	struct made made = made_new(GM_FORMAT_INT32, false, 3);
	made.page_count = 1;
	made.pages[0] = three;
	made.groups_above = GM_READ_DEPTH - 1;
	expect_numbers(&made, expected);
	made.groups_above++;
	make(&made);
	struct memory_file file = {.data = made.file.data, .bytes = made.file.len};
	struct gm_parquet_input input = memory_input(&file);
	assert_int_equal(gm_parquet_reader_open(&input, MEMORY, &reader, &err), GM_UNSUPPORTED);
	assert_non_null(strstr(err.message, "nested"));
	gm_buf_release(&made.file);
}

/* --- Damage ------------------------------------------------------------------------------------------------------- */

static void expect_corrupt(struct made made, const char *words)
{
	made.page_count = made.page_count > 0 ? made.page_count : 1;
	expect_failure(&made, GM_CORRUPT, words);
}

static void test_counts_must_add_up(void **state)
{
	(void)state;
	struct made plain = made_new(GM_FORMAT_INT32, false, 3), made;
	plain.pages[0] = three;
	made = plain;
	made.values = 4;
	expect_corrupt(made, "4 values in 3 rows");
	made = plain;
	made.pages[0].slots = 2;
	expect_corrupt(made, "more values");
	made = plain;
	made.rows = made.values = 4;
	made.pages[0].slots = 4;
	expect_corrupt(made, "fewer values");
	made = plain;
	made.pages[0].slots = 4;
	expect_corrupt(made, "has 4 values, and the column 3 more");
	made = plain;
	made.pages[0].slots = -3;
	expect_corrupt(made, "tells -3 values");
	made = plain;
	made.rows = made.values = 7;
	made.page_count = 2;
	made.pages[1] = three;
	expect_corrupt(made, "pages end 1 values before");
	made = plain;
	made.pages[0].told_bytes = -1;
	expect_corrupt(made, "no size");
	made = plain;
	made.pages[0].told_bytes = 13;
	expect_corrupt(made, "sizes differ");
	uint32_t crc = 1;
	made = plain;
	made.pages[0].crc = &crc;
	expect_corrupt(made, "CRC");
}

static void test_levels_must_be_there(void **state)
{
	(void)state;
	/* A length beyond the page; levels beyond the maximum; fewer of them than slots. */
	static const uint8_t beyond[] = {9, 0, 0, 0, 6, 1, 1, 0, 0, 0}, high[] = {2, 0, 0, 0, 6, 2, 1, 0, 0, 0},
	                     few[] = {2, 0, 0, 0, 4, 1, 1, 0, 0, 0};
	struct made plain = made_new(GM_FORMAT_INT32, true, 3), made;
	plain.pages[0] = three;
	plain.pages[0].bytes = sizeof beyond;
	made = plain;
	made.pages[0].body = beyond;
	expect_corrupt(made, "levels of a page take more bytes");
	made = plain;
	made.pages[0].body = high;
	expect_corrupt(made, "a level is 2, beyond 1");
	made = plain;
	made.pages[0].body = few;
	expect_corrupt(made, "fewer levels");
}

static void test_dictionaries_must_fit(void **state)
{
	(void)state;
	static const uint8_t indices[] = {2, 6, 2}, wide[] = {33, 6, 2};
	static const int64_t expected[] = {3, 3, 3};
	const struct made_page dictionary = {.type = GM_FORMAT_DICTIONARY_PAGE, .slots = 3, .body = numbers, .bytes = 12};
	struct made plain = made_new(GM_FORMAT_INT32, false, 3), made;
	plain.page_count = 2;
	plain.pages[0] = dictionary;
	plain.pages[1] = three;
	plain.pages[1].encoding = GM_FORMAT_RLE_DICTIONARY;
	plain.pages[1].body = indices;
	plain.pages[1].bytes = sizeof indices;
	made = plain;
	expect_numbers(&made, expected);
	made = plain;
	made.pages[0].slots = 2;
	expect_corrupt(made, "index lies beyond the 2 entries");
	made = plain;
	made.pages[0].slots = 4;
	expect_corrupt(made, "does not hold the 4 values");
	made = plain;
	made.pages[1].body = wide;
	expect_corrupt(made, "indices of 33 bits");
	made = plain;
	made.page_count = 3;
	made.pages[2] = made.pages[1];
	made.pages[1] = dictionary;
	expect_corrupt(made, "two dictionaries");
	made = plain;
	made.page_count = 1;
	made.pages[0] = made.pages[1];
	expect_corrupt(made, "no dictionary");
}

/* --- Bounds ------------------------------------------------------------------------------------------------------- */

static void check_bounds(struct made made, const void *min, const void *max, size_t bytes)
{
	struct memory_file file;
	made.page_count = 1;
	made.pages[0] = three;
	struct gm_parquet_reader *reader = open_made(&made, &file);
	const struct gm_parquet_chunk_info *chunk = &gm_parquet_reader_info(reader)->groups[0].chunks[0];
	assert_int_equal(chunk->has_bounds, min != NULL);
	if (min != NULL) {
		assert_true(chunk->min_bytes == bytes && chunk->max_bytes == bytes);
		assert_memory_equal(chunk->min, min, bytes);
		assert_memory_equal(chunk->max, max, bytes);
	}
	gm_parquet_reader_free(reader);
	gm_buf_release(&made.file);
}

static struct made with_bounds(int32_t physical, int32_t converted, bool old, const void *min, const void *max,
                               size_t bytes)
{
	struct made made = made_new(physical, false, 3);
	made.converted = converted;
	made.bound_bytes = bytes;
	*(old ? &made.old_min : &made.min) = min;
	*(old ? &made.old_max : &made.max) = max;
	return made;
}

static void test_bounds_count_where_their_order_is_known(void **state)
{
	(void)state;
	static const int32_t low = -5, high = 7;
	static const int64_t milli = -1, millis = 2, micro = -1000, micros = 2000, below = -1;
	static const double nan = __builtin_nan(""), one = 1.0;
	struct made made;
	/* Signed numbers: the old ones too, and without column_orders. */
	check_bounds(with_bounds(GM_FORMAT_INT32, -1, false, &low, &high, 4), &low, &high, 4);
	check_bounds(with_bounds(GM_FORMAT_INT32, -1, true, &low, &high, 4), &low, &high, 4);
	made = with_bounds(GM_FORMAT_INT32, -1, false, &low, &high, 4);
	made.orders = false;
	check_bounds(made, &low, &high, 4);
	/* Strings and unsigned numbers: only where the order is told. */
	check_bounds(with_bounds(GM_FORMAT_BYTE_ARRAY, -1, false, "ab",
	                         "\xFF"
	                         "b",
	                         2),
	             "ab",
	             "\xFF"
	             "b",
	             2);
	check_bounds(with_bounds(GM_FORMAT_BYTE_ARRAY, -1, true, "ab", "ac", 2), NULL, NULL, 0);
	made = with_bounds(GM_FORMAT_BYTE_ARRAY, -1, false, "ab", "ac", 2);
	made.orders = false;
	check_bounds(made, NULL, NULL, 0);
	check_bounds(with_bounds(GM_FORMAT_INT32, GM_FORMAT_CONVERTED_UINT_8 + 2, true, &low, &high, 4), NULL, NULL, 0);
	static const int64_t seven = 7, unsigned_low = (uint32_t)-5;
	check_bounds(with_bounds(GM_FORMAT_INT32, GM_FORMAT_CONVERTED_UINT_8 + 2, false, &high, &low, 4), &seven,
	             &unsigned_low, 8);
	/* In the form of the type, not of the file. */
	check_bounds(with_bounds(GM_FORMAT_INT64, GM_FORMAT_CONVERTED_TIMESTAMP_MILLIS, false, &milli, &millis, 8), &micro,
	             &micros, 8);
	/* What cannot be. */
	check_bounds(with_bounds(GM_FORMAT_INT32, -1, false, &high, &low, 4), NULL, NULL, 0);
	check_bounds(with_bounds(GM_FORMAT_INT32, -1, false, &low, &high, 3), NULL, NULL, 0);
	check_bounds(with_bounds(GM_FORMAT_DOUBLE, -1, false, &one, &nan, 8), NULL, NULL, 0);
	check_bounds(with_bounds(GM_FORMAT_INT64, GM_FORMAT_CONVERTED_UINT_8 + 3, false, &millis, &below, 8), NULL, NULL,
	             0);
	check_bounds(with_bounds(GM_FORMAT_INT96, -1, false, "123456789012", "123456789012", 12), NULL, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bit_packed_levels),
	    cmocka_unit_test(test_pages_without_values_are_passed_over),
	    cmocka_unit_test(test_headers_may_be_long),
	    cmocka_unit_test(test_few_bytes_stand_for_billions),
	    cmocka_unit_test(test_what_is_not_known_is_named),
	    cmocka_unit_test(test_depth_is_limited),
	    cmocka_unit_test(test_counts_must_add_up),
	    cmocka_unit_test(test_levels_must_be_there),
	    cmocka_unit_test(test_dictionaries_must_fit),
	    cmocka_unit_test(test_bounds_count_where_their_order_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
