/* The pieces of reading, against the specification's own examples, our encoders, and the codecs' own libraries. */
#include "model.h"
#include "parquet/decode.h"
#include "parquet/decompress.h"
#include "parquet/encode.h"
#include "parquet/read.h"

#include <lz4.h>
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

/* --- Thrift ------------------------------------------------------------------------------------------------------- */

static void test_thrift_reads_what_is_written(void **state)
{
	(void)state;
	struct gm_buf out;
	struct gm_thrift t;
	struct gm_thrift_in in;
	struct gm_thrift_field field = {0}, item, inner = {0};
	struct gm_error err;
	gm_buf_init(&out, 1000);
	gm_thrift_begin(&t, &out, NULL);
	gm_thrift_i32(&t, 1, -7);
	gm_thrift_i64(&t, 3, INT64_MIN);
	gm_thrift_bool(&t, 4, true);
	gm_thrift_bool(&t, 5, false);
	gm_thrift_string(&t, 25, "ab");
	gm_thrift_struct(&t, 26);
	gm_thrift_i8(&t, 1, -2);
	gm_thrift_end(&t);
	gm_thrift_list(&t, 27, GM_THRIFT_I32, 20);
	for (int i = 0; i < 20; i++) gm_thrift_element_int(&t, i);
	gm_thrift_choice(&t, 300, 3);
	assert_int_equal(gm_thrift_finish(&t), GM_OK);

	gm_thrift_open(&in, "test", out.data, out.len, 0, &err);
	assert_true(gm_thrift_next(&in, &field) && field.id == 1);
	assert_int_equal(gm_thrift_get_i32(&in, &field), -7);
	assert_true(gm_thrift_next(&in, &field) && field.id == 3);
	assert_true(gm_thrift_get_i64(&in, &field) == INT64_MIN);
	assert_true(gm_thrift_next(&in, &field) && field.id == 4 && gm_thrift_get_bool(&in, &field));
	assert_true(gm_thrift_next(&in, &field) && field.id == 5 && !gm_thrift_get_bool(&in, &field));
	assert_true(gm_thrift_next(&in, &field) && field.id == 25);
	struct gm_bytes text = gm_thrift_get_binary(&in, &field);
	assert_int_equal(text.len, 2);
	assert_memory_equal(text.data, "ab", 2);
	assert_true(gm_thrift_next(&in, &field) && field.id == 26 && gm_thrift_get_struct(&in, &field));
	assert_true(gm_thrift_next(&in, &inner) && inner.id == 1);
	assert_int_equal(gm_thrift_get_i8(&in, &inner), -2);
	assert_false(gm_thrift_next(&in, &inner));
	assert_true(gm_thrift_next(&in, &field) && field.id == 27);
	assert_int_equal(gm_thrift_get_list(&in, &field, GM_THRIFT_I32, &item), 20);
	for (int i = 0; i < 20; i++) assert_int_equal(gm_thrift_get_i32(&in, &item), i);
	assert_true(gm_thrift_next(&in, &field) && field.id == 300);
	assert_int_equal(gm_thrift_get_choice(&in, &field), 3);
	assert_false(gm_thrift_next(&in, &field));
	assert_int_equal(gm_thrift_close(&in), GM_OK);
	assert_ptr_equal(in.at, in.end);

	/* Cut anywhere, it is cut, and everything skipped ends where everything read does. */
	for (size_t n = 0; n <= out.len; n++) {
		gm_thrift_open(&in, "test", out.data, n, 1000, &err);
		field = (struct gm_thrift_field){0};
		while (gm_thrift_next(&in, &field)) gm_thrift_skip(&in, &field);
		assert_int_equal(gm_thrift_close(&in), n < out.len ? GM_CORRUPT : GM_OK);
		assert_int_equal(in.cut, n < out.len);
		if (n < out.len) assert_true(err.offset >= 1000 && err.offset <= 1000 + n);
	}
	gm_buf_release(&out);
}

static enum gm_code skip_all(const uint8_t *bytes, size_t n, const uint8_t **at)
{
	struct gm_thrift_in in;
	struct gm_thrift_field field = {0};
	gm_thrift_open(&in, "test", bytes, n, 0, NULL);
	while (gm_thrift_next(&in, &field)) gm_thrift_skip(&in, &field);
	*at = in.at;
	return gm_thrift_close(&in);
}

static void test_thrift_skips_every_type(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0x17, 1,    2,    3, 4,    5,    6, 7,   8, /* double */
	                                0x1A, 0x25, 2,    4,                        /* set of two i32 */
	                                0x1B, 0x02, 0x85, 1, 'a',  2,    1, 'b', 4, /* map of two, binary to i32 */
	                                0x1B, 0x00,                                 /* an empty map has no types */
	                                0x19, 0x31, 1,    2, 0,                     /* list of three bools */
	                                0x19, 0x2C, 0x15, 2, 0x00, 0x00,            /* list of two structs */
	                                0x1B, 0x01, 0x5B, 2, 0x01, 0x55, 2, 2,      /* map of i32 to a map */
	                                0x1D, 0,    1,    2, 3,    4,    5, 6,   7, 8, 9, 10, 11, 12, 13, 14, 15, /* uuid */
	                                0x11, 0x12, 0x00};
	const uint8_t *at;
	assert_int_equal(skip_all(bytes, sizeof bytes, &at), GM_OK);
	assert_ptr_equal(at, bytes + sizeof bytes);
	for (size_t n = 0; n < sizeof bytes; n++) assert_int_equal(skip_all(bytes, n, &at), GM_CORRUPT);
	/* No type 14; lists within lists without end; more elements than bytes. */
	static const uint8_t unknown[] = {0x1E, 0, 0}, endless[] = {0x19, 0xF9, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0};
	assert_int_equal(skip_all(unknown, sizeof unknown, &at), GM_CORRUPT);
	assert_int_equal(skip_all(endless, sizeof endless, &at), GM_CORRUPT);
	uint8_t deep[2000];
	memset(deep, 0x1C, sizeof deep); /* structs in structs */
	assert_int_equal(skip_all(deep, sizeof deep, &at), GM_CORRUPT);
	memset(deep, 0x19, sizeof deep); /* lists in lists */
	assert_int_equal(skip_all(deep, sizeof deep, &at), GM_CORRUPT);
	memset(deep + 20, 0, sizeof deep - 20);
	memset(deep, 0x1C, 20);
	assert_int_equal(skip_all(deep, sizeof deep, &at), GM_OK);
}

static void test_thrift_refuses_other_types(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0x15, 2, 0}, large[] = {0x15, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0};
	struct gm_thrift_in in;
	struct gm_thrift_field field = {0};
	struct gm_error err;
	gm_thrift_open(&in, "footer", bytes, sizeof bytes, 50, &err);
	assert_true(gm_thrift_next(&in, &field));
	assert_int_equal(gm_thrift_get_i64(&in, &field), 0);
	assert_int_equal(gm_thrift_close(&in), GM_CORRUPT);
	assert_false(in.cut);
	assert_int_equal(err.offset, 51);
	assert_string_equal(err.message, "the footer is damaged: field 1 has type 5 instead of 6");
	field = (struct gm_thrift_field){0};
	gm_thrift_open(&in, "footer", large, sizeof large, 0, &err);
	assert_true(gm_thrift_next(&in, &field));
	assert_int_equal(gm_thrift_get_i32(&in, &field), 0);
	assert_int_equal(gm_thrift_close(&in), GM_CORRUPT);
}

/* --- Encodings ---------------------------------------------------------------------------------------------------- */

static void test_packed_examples_of_the_specification(void **state)
{
	(void)state;
	/* 0 to 7 of three bits: the hybrid's order, and that of BIT_PACKED. */
	uint8_t hybrid[4 + GM_READ_SLACK] = {0x03, 0x88, 0xC6, 0xFA}, packed[3 + GM_READ_SLACK] = {0x05, 0x39, 0x77};
	struct gm_hybrid_in in;
	uint8_t out[8];
	gm_hybrid_open(&in, hybrid, 4, 3);
	assert_int_equal(gm_hybrid_read_levels(&in, out, 8), 8);
	for (int i = 0; i < 8; i++) assert_int_equal(out[i], i);
	assert_int_equal(gm_hybrid_read_levels(&in, out, 1), 0);
	gm_hybrid_open_bit_packed(&in, packed, 3, 3);
	assert_int_equal(gm_hybrid_read_levels(&in, out, 3), 3);
	assert_int_equal(gm_hybrid_read_levels(&in, out + 3, 6), 5);
	for (int i = 0; i < 8; i++) assert_int_equal(out[i], i);
}

static void check_hybrid(const uint32_t *values, size_t n, unsigned width, uint64_t *random)
{
	uint8_t *bytes = malloc(gm_hybrid_bound(n, width) + GM_READ_SLACK);
	uint32_t *back = malloc((n + 1) * sizeof *back);
	uint8_t *levels = malloc(n + 1);
	size_t len = (size_t)(gm_hybrid_encode(bytes, values, n, width) - bytes), have = 0;
	struct gm_hybrid_in in;
	gm_hybrid_open(&in, bytes, len, width);
	while (have < n) { /* in pieces of any size */
		size_t some = 1 + model_below(random, n - have);
		assert_int_equal(gm_hybrid_read(&in, back + have, some), some);
		have += some;
	}
	assert_memory_equal(values, back, n * sizeof *back);
	if (width <= 8) {
		gm_hybrid_open(&in, bytes, len, width);
		for (have = 0; have < n;) {
			size_t some = 1 + model_below(random, n - have);
			assert_int_equal(gm_hybrid_read_levels(&in, levels + have, some), some);
			have += some;
		}
		for (size_t i = 0; i < n; i++) assert_int_equal(levels[i], values[i]);
	}
	free(bytes);
	free(back);
	free(levels);
}

static void test_hybrid_of_every_width(void **state)
{
	(void)state;
	uint64_t random = 42;
	for (unsigned width = 1; width <= 32; width++) {
		uint32_t mask = width == 32 ? UINT32_MAX : (UINT32_C(1) << width) - 1;
		for (int turn = 0; turn < 60; turn++) {
			size_t n = 1 + model_below(&random, turn < 40 ? 70 : 3000);
			uint64_t stay = model_below(&random, 100);
			uint32_t *values = malloc(n * sizeof *values);
			for (size_t i = 0; i < n; i++)
				values[i] =
				    i > 0 && model_below(&random, 100) < stay ? values[i - 1] : (uint32_t)model_next(&random) & mask;
			check_hybrid(values, n, width, &random);
			free(values);
		}
	}
}

static void test_odd_runs(void **state)
{
	(void)state;
	struct gm_hybrid_in in;
	uint32_t out[40];
	/* Of no bits; of no length, which is passed over; a packed run cut behind its last value; a value that is cut. */
	uint8_t none[2 + GM_READ_SLACK] = {0x14, 0x05}, empty[6 + GM_READ_SLACK] = {0x00, 7, 0x01, 0x04, 9, 0},
	                 cut[3 + GM_READ_SLACK] = {0x05, 0x21, 0x43}, value[2 + GM_READ_SLACK] = {0x04, 1};
	gm_hybrid_open(&in, none, 2, 0);
	assert_int_equal(gm_hybrid_read(&in, out, 40), 10 + 16);
	for (int i = 0; i < 26; i++) assert_int_equal(out[i], 0);
	gm_hybrid_open(&in, empty, 6, 8);
	assert_int_equal(gm_hybrid_read(&in, out, 40), 2);
	assert_true(out[0] == 9 && out[1] == 9);
	gm_hybrid_open(&in, cut, 3, 4);
	assert_int_equal(gm_hybrid_read(&in, out, 40), 4);
	assert_true(out[0] == 1 && out[1] == 2 && out[2] == 3 && out[3] == 4);
	gm_hybrid_open(&in, value, 2, 16);
	assert_int_equal(gm_hybrid_read(&in, out, 40), 0);
	gm_hybrid_open(&in, value, 0, 16);
	assert_int_equal(gm_hybrid_read(&in, out, 40), 0);
}

/* The examples of Encodings.md, in blocks of the size that the format asks for. */
static void test_deltas_of_the_specification(void **state)
{
	(void)state;
	uint8_t one[10 + GM_READ_SLACK] = {0x80, 0x01, 4, 5, 2, 2, 0, 0, 0};
	uint8_t two[18 + GM_READ_SLACK] = {0x80, 0x01, 4, 8, 14, 3, 2, 0, 0, 0, 0xC0, 0x3F, 0, 0, 0, 0, 0, 0};
	static const int64_t values[] = {7, 5, 3, 1, 2, 3, 4, 5};
	struct gm_diffs_in in;
	int64_t out[10];
	assert_true(gm_diffs_open(&in, one, 10));
	assert_ptr_equal(gm_diffs_end(&in), one + 10);
	assert_int_equal(gm_diffs_read(&in, out, 10), 5);
	for (int i = 0; i < 5; i++) assert_int_equal(out[i], i + 1);
	assert_true(gm_diffs_open(&in, two, 18));
	assert_ptr_equal(gm_diffs_end(&in), two + 18);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(gm_diffs_read(&in, out, 1), 1);
		assert_int_equal(out[0], values[i]);
	}
	assert_int_equal(gm_diffs_read(&in, out, 1), 0);
	/* Cut, nothing beyond the end is read. */
	for (size_t n = 0; n < 18; n++) {
		if (!gm_diffs_open(&in, two, n)) continue;
		assert_null(gm_diffs_end(&in));
		assert_true(gm_diffs_read(&in, out, 8) < 8);
	}
	static const uint8_t wrong[][6] = {
	    {0x08, 1, 5, 2}, {0x80, 0x01, 0, 5, 2}, {0x80, 0x01, 3, 5, 2}, {0x80, 0x01, 8, 5, 2}, {0, 1, 5, 2}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_false(gm_diffs_open(&in, wrong[i], 6));
}

/* Differences of 64 bits, which may begin at any bit of a byte. */
static void test_wide_deltas_wrap_around(void **state)
{
	(void)state;
	for (unsigned width = 50; width <= 64; width++) {
		uint8_t bytes[10 + 32 * 8 + GM_READ_SLACK] = {0x80, 0x01, 4, 33, 0, 0};
		uint64_t random = width, mask = width < 64 ? (UINT64_C(1) << width) - 1 : UINT64_MAX, last = 0;
		uint64_t values[32];
		bytes[6] = (uint8_t)width;
		for (unsigned i = 0; i < 32; i++) {
			values[i] = model_next(&random) & mask;
			for (unsigned bit = 0; bit < width; bit++) {
				unsigned at = i * width + bit;
				bytes[10 + at / 8] |= (uint8_t)((values[i] >> bit & 1) << at % 8);
			}
		}
		struct gm_diffs_in in;
		int64_t out[33];
		assert_true(gm_diffs_open(&in, bytes, 10 + 4 * width));
		assert_int_equal(gm_diffs_read(&in, out, 33), 33);
		for (unsigned i = 0; i < 32; i++) assert_true((uint64_t)out[i + 1] == (last += values[i]));
	}
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

static void check_int96(int64_t nanos, int32_t day, bool fits, int64_t expected)
{
	uint8_t bytes[12];
	int64_t out;
	memcpy(bytes, &nanos, 8);
	memcpy(bytes + 8, &day, 4);
	assert_int_equal(gm_read_int96(bytes, &out), fits);
	if (fits) assert_int_equal(out, expected);
}

static void test_conversions(void **state)
{
	(void)state;
	struct gm_error err;
	check_int96(0, 2440588, true, 0);
	check_int96(1999, 2440588, true, 1);
	check_int96(-1, 2440588, true, -1);
	check_int96(0, 2440587, true, INT64_C(-86400000000));
	check_int96(0, INT32_MAX, false, 0);
	check_int96(0, INT32_MIN, false, 0);
	int64_t numbers[] = {-1, 0, 999, -1000, -1001, INT64_MIN};
	assert_int_equal(gm_read_convert(GM_READ_NANOS, numbers, 6, &err), GM_OK);
	static const int64_t floored[] = {-1, 0, 0, -1, -2, INT64_MIN / 1000 - 1};
	assert_memory_equal(numbers, floored, sizeof floored);
	int64_t millis[] = {-1, INT64_MAX / 1000, INT64_MIN / 1000}, wide[] = {INT64_MAX / 1000 + 1};
	assert_int_equal(gm_read_convert(GM_READ_MILLIS, millis, 3, &err), GM_OK);
	assert_true(millis[0] == -1000 && millis[1] == INT64_MAX / 1000 * 1000);
	assert_int_equal(gm_read_convert(GM_READ_MILLIS, wide, 1, &err), GM_UNSUPPORTED);
	int64_t narrow[] = {-1, INT32_MAX, INT32_MIN}, large[] = {5, -2};
	assert_int_equal(gm_read_convert(GM_READ_UINT32, narrow, 3, &err), GM_OK);
	assert_true(narrow[0] == UINT32_MAX && narrow[1] == INT32_MAX && narrow[2] == INT64_C(1) << 31);
	assert_int_equal(gm_read_convert(GM_READ_UINT64, large, 2, &err), GM_UNSUPPORTED);
	assert_non_null(strstr(err.message, "18446744073709551614"));
}

/* --- Codecs ------------------------------------------------------------------------------------------------------- */

enum { TEXT = 5000, ROOM = 2 * TEXT };

static void check_codec(int32_t codec, const uint8_t *in, size_t in_bytes, const uint8_t *text, size_t bytes)
{
	struct gm_decompressor decompressor = {0};
	struct gm_error err;
	uint8_t *out = malloc(bytes + 1), *exact = malloc(in_bytes);
	memcpy(exact, in, in_bytes);
	for (int turn = 0; turn < 2; turn++) {
		memset(out, 0, bytes);
		enum gm_code rc = gm_decompress(&decompressor, codec, exact, in_bytes, out, bytes, &err);
		if (rc != GM_OK) fail_msg("codec %d: %s", codec, err.message);
		assert_memory_equal(out, text, bytes);
		/* Another size than told, in either direction, and a stream that is cut. */
		assert_int_equal(gm_decompress(&decompressor, codec, exact, in_bytes, out, bytes - 1, &err), GM_CORRUPT);
		uint8_t *more = malloc(bytes + 1);
		assert_int_equal(gm_decompress(&decompressor, codec, exact, in_bytes, more, bytes + 1, &err), GM_CORRUPT);
		free(more);
		assert_int_equal(gm_decompress(&decompressor, codec, exact, in_bytes - 1, out, bytes, &err), GM_CORRUPT);
		assert_int_equal(gm_decompress(&decompressor, codec, exact, in_bytes, out, 0, &err), GM_OK);
	}
	gm_decompressor_release(&decompressor);
	free(exact);
	free(out);
}

static size_t deflate_to(const uint8_t *text, size_t n, int window_bits, uint8_t *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)n, .next_out = out, .avail_out = ROOM};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t bytes = (size_t)z.total_out;
	(void)deflateEnd(&z);
	return bytes;
}

static size_t put_big_endian(uint8_t *out, size_t value)
{
	for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> (24 - 8 * i));
	return 4;
}

/* One of Hadoop's blocks, of so many pieces. */
static size_t hadoop_block(const uint8_t *text, size_t n, size_t pieces, uint8_t *out)
{
	size_t at = put_big_endian(out, n), step = n / pieces;
	for (size_t i = 0; i < pieces; i++) {
		size_t bytes = i + 1 < pieces ? step : n - step * (pieces - 1);
		int got =
		    LZ4_compress_default((const char *)text + i * step, (char *)out + at + 4, (int)bytes, (int)(ROOM - at - 4));
		assert_true(got > 0);
		put_big_endian(out + at, (size_t)got);
		at += 4 + (size_t)got;
	}
	return at;
}

static void test_codecs(void **state)
{
	(void)state;
	uint8_t text[TEXT], packed[2 * ROOM];
	uint64_t random = 1;
	for (size_t i = 0; i < TEXT; i++) text[i] = (uint8_t)('a' + model_below(&random, 5));
	check_codec(GM_FORMAT_UNCOMPRESSED, text, TEXT, text, TEXT);
	size_t n = sizeof packed;
	assert_int_equal(snappy_compress((const char *)text, TEXT, (char *)packed, &n), SNAPPY_OK);
	check_codec(GM_FORMAT_SNAPPY, packed, n, text, TEXT);
	n = ZSTD_compress(packed, sizeof packed, text, TEXT / 2, 1);
	n += ZSTD_compress(packed + n, sizeof packed - n, text + TEXT / 2, TEXT - TEXT / 2, 3); /* two frames */
	check_codec(GM_FORMAT_ZSTD, packed, n, text, TEXT);
	n = deflate_to(text, TEXT, 15 + 16, packed);
	check_codec(GM_FORMAT_GZIP, packed, n, text, TEXT);
	n = deflate_to(text, TEXT / 3, 15 + 16, packed);
	n += deflate_to(text + TEXT / 3, TEXT - TEXT / 3, 15 + 16, packed + n); /* two members */
	check_codec(GM_FORMAT_GZIP, packed, n, text, TEXT);
	check_codec(GM_FORMAT_GZIP, packed, deflate_to(text, TEXT, 15, packed), text, TEXT); /* zlib's own header */
	n = (size_t)LZ4_compress_default((const char *)text, (char *)packed, TEXT, sizeof packed);
	check_codec(GM_FORMAT_LZ4_RAW, packed, n, text, TEXT);
	check_codec(GM_FORMAT_LZ4, packed, n, text, TEXT);
	check_codec(GM_FORMAT_LZ4, packed, hadoop_block(text, TEXT, 1, packed), text, TEXT);
	check_codec(GM_FORMAT_LZ4, packed, hadoop_block(text, TEXT, 3, packed), text, TEXT);
	n = hadoop_block(text, TEXT / 2, 1, packed);
	n += hadoop_block(text + TEXT / 2, TEXT - TEXT / 2, 2, packed + n);
	check_codec(GM_FORMAT_LZ4, packed, n, text, TEXT);
	/* As the brotli command makes of "hello". */
	static const uint8_t brotli[] = {0x0B, 0x02, 0x80, 'h', 'e', 'l', 'l', 'o', 0x03};
	check_codec(GM_FORMAT_BROTLI, brotli, sizeof brotli, (const uint8_t *)"hello", 5);
}

static void test_unknown_codecs_are_refused_by_name(void **state)
{
	(void)state;
	struct gm_error err;
	assert_int_equal(gm_decompress_check(GM_FORMAT_LZO, &err), GM_UNSUPPORTED);
	assert_non_null(strstr(err.message, "LZO"));
	assert_int_equal(gm_decompress_check(8, &err), GM_UNSUPPORTED);
	assert_int_equal(gm_decompress_check(-1, &err), GM_UNSUPPORTED);
	assert_int_equal(gm_decompress_check(GM_FORMAT_LZ4_RAW, &err), GM_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_thrift_reads_what_is_written),
	    cmocka_unit_test(test_thrift_skips_every_type),
	    cmocka_unit_test(test_thrift_refuses_other_types),
	    cmocka_unit_test(test_packed_examples_of_the_specification),
	    cmocka_unit_test(test_hybrid_of_every_width),
	    cmocka_unit_test(test_odd_runs),
	    cmocka_unit_test(test_deltas_of_the_specification),
	    cmocka_unit_test(test_wide_deltas_wrap_around),
	    cmocka_unit_test(test_conversions),
	    cmocka_unit_test(test_codecs),
	    cmocka_unit_test(test_unknown_codecs_are_refused_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
