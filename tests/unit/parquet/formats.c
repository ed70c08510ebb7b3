/* The pieces of the format, against the specification's own examples, decoders written from its text, and zlib. */
#include "base/cpu.h"
#include "model.h"
#include "parquet/bloom.h"
#include "parquet/encode.h"
#include "parquet/page.h"
#include "parquet/stats.h"
#include "parquet/thrift.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zlib.h>

#include <cmocka.h>

/* --- Thrift ------------------------------------------------------------------------------------------------------- */

static void test_thrift_bytes(void **state)
{
	(void)state;
	struct gm_buf out;
	struct gm_thrift t;
	gm_buf_init(&out, 1000);
	gm_thrift_begin(&t, &out, NULL);
	gm_thrift_i32(&t, 1, -1);
	gm_thrift_i64(&t, 3, 300);
	gm_thrift_bool(&t, 4, true);
	gm_thrift_bool(&t, 5, false);
	gm_thrift_string(&t, 25, "ab");
	gm_thrift_struct(&t, 26);
	gm_thrift_i8(&t, 1, -2);
	gm_thrift_i16(&t, 2, INT16_MIN);
	gm_thrift_end(&t);
	gm_thrift_list(&t, 27, GM_THRIFT_I32, 2);
	gm_thrift_element_int(&t, 1);
	gm_thrift_element_int(&t, INT64_MIN);
	gm_thrift_list(&t, 28, GM_THRIFT_TRUE, 15);
	for (int i = 0; i < 15; i++) gm_thrift_element_bool(&t, i == 0);
	gm_thrift_choice(&t, 29, 3);
	assert_int_equal(gm_thrift_finish(&t), GM_OK);
	static const uint8_t
	    expected[] = {0x15, 0x01,                                     /* 1: i32 -1 */
	                  0x26, 0xD8, 0x04,                               /* 3: i64 300 -> 600 */
	                  0x11, 0x12,                                     /* 4: true, 5: false */
	                  0x08, 0x32, 0x02, 'a',  'b',                    /* 25: the step of 20 does not fit */
	                  0x1C, 0x13, 0xFE, 0x14, 0xFF, 0xFF, 0x03, 0x00, /* 26: struct */
	                  0x19, 0x25, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	                  0x01, 0x19, 0xF1, 0x0F, 1,    2,    2,    2,    2,    2,    2,    2,
	                  2,    2,    2,    2,    2,    2,    2,    0x1C, 0x3C, 0x00, 0x00, /* 29: { 3: {} } */
	                  0x00};
	assert_int_equal(out.len, sizeof expected);
	assert_memory_equal(out.data, expected, sizeof expected);
	gm_buf_release(&out);
}

static void test_thrift_keeps_its_failure(void **state)
{
	(void)state;
	struct gm_buf out;
	struct gm_thrift t;
	gm_buf_init(&out, 64);
	gm_thrift_begin(&t, &out, NULL);
	for (int16_t i = 1; i < 20; i++) gm_thrift_string(&t, i, "too long");
	gm_thrift_i32(&t, 21, 1);
	assert_int_not_equal(gm_thrift_finish(&t), GM_OK);
	gm_buf_release(&out);
}

/* --- Hybrid runs -------------------------------------------------------------------------------------------------- */

static uint64_t read_varint(const uint8_t **at)
{
	uint64_t value = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = *(*at)++;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if (byte < 0x80) return value;
	}
}

static void decode_hybrid(const uint8_t *at, const uint8_t *end, unsigned width, size_t n, uint32_t *out)
{
	size_t have = 0;
	while (have < n) {
		assert_true(at < end);
		uint64_t header = read_varint(&at);
		if (header & 1) {
			uint64_t values = (header >> 1) * 8;
			assert_true(values > 0 && have + values < n + 8);
			for (uint64_t i = 0; i < values; i++) {
				uint32_t value = 0;
				for (unsigned bit = 0; bit < width; bit++) {
					uint64_t position = i * width + bit;
					value |= (uint32_t)(at[position / 8] >> position % 8 & 1) << bit;
				}
				if (have < n)
					out[have++] = value;
				else
					assert_int_equal(value, 0);
			}
			at += (header >> 1) * width;
		} else {
			uint64_t run = header >> 1;
			uint32_t value = 0;
			for (unsigned i = 0; i < (width + 7) / 8; i++) value |= (uint32_t)*at++ << 8 * i;
			assert_true(run > 0 && have + run <= n);
			while (run-- > 0) out[have++] = value;
		}
	}
	assert_ptr_equal(at, end);
}

static void test_hybrid_example_of_the_specification(void **state)
{
	(void)state;
	/* "1 through 7 with a width of 3 bits": 10001000 11000110 11111010 */
	static const uint32_t values[] = {0, 1, 2, 3, 4, 5, 6, 7};
	static const uint8_t expected[] = {0x03, 0x88, 0xC6, 0xFA};
	uint8_t out[256];
	assert_ptr_equal(gm_hybrid_encode(out, values, 8, 3), out + 4);
	assert_memory_equal(out, expected, 4);
	assert_ptr_equal(gm_hybrid_encode(out, values, 0, 3), out);
}

static void check_hybrid(const uint32_t *values, size_t n, unsigned width)
{
	/* A block of exactly the promised size, so that the sanitizer sees a byte too many. */
	uint8_t *out = malloc(gm_hybrid_bound(n, width));
	uint32_t *back = malloc((n + 1) * sizeof *back);
	decode_hybrid(out, gm_hybrid_encode(out, values, n, width), width, n, back);
	assert_memory_equal(values, back, n * sizeof *back);
	if (width <= 8) {
		uint8_t *levels = malloc(n + 1);
		for (size_t i = 0; i < n; i++) levels[i] = (uint8_t)values[i];
		uint8_t *same = malloc(gm_hybrid_bound(n, width)), *end = gm_hybrid_encode(out, values, n, width);
		assert_int_equal(gm_hybrid_encode_bytes(same, levels, n, width) - same, end - out);
		assert_memory_equal(same, out, (size_t)(end - out));
		free(same);
		free(levels);
	}
	free(out);
	free(back);
}

static void test_hybrid_round_trip(void **state)
{
	(void)state;
	uint64_t random = 42;
	for (unsigned width = 1; width <= 32; width++) {
		uint32_t mask = width == 32 ? UINT32_MAX : (UINT32_C(1) << width) - 1;
		for (int turn = 0; turn < 60; turn++) {
			size_t n = model_below(&random, turn < 40 ? 70 : 3000);
			uint64_t stay = model_below(&random, 100);
			uint32_t *values = malloc((n + 1) * sizeof *values);
			for (size_t i = 0; i < n; i++)
				values[i] =
				    i > 0 && model_below(&random, 100) < stay ? values[i - 1] : (uint32_t)model_next(&random) & mask;
			check_hybrid(values, n, width);
			for (size_t i = 0; i < n; i++) values[i] = mask;
			check_hybrid(values, n, width);
			free(values);
		}
	}
	assert_int_equal(gm_bit_width(0), 0);
	assert_int_equal(gm_bit_width(1), 1);
	assert_int_equal(gm_bit_width(255), 8);
	assert_int_equal(gm_bit_width(256), 9);
	assert_int_equal(gm_bit_width(UINT32_MAX), 32);
}

static void test_hybrid_worst_case_fits_its_bound(void **state)
{
	(void)state;
	/* Runs as short as they get, between groups that are none. */
	for (unsigned width = 1; width <= 32; width++) {
		for (size_t run = 8; run <= 40; run += 8) {
			enum { N = 4000 };
			static uint32_t values[N];
			for (size_t i = 0; i < N; i++) values[i] = i % (run + 8) < run ? 1 : i % 2;
			check_hybrid(values, N, width);
		}
	}
}

static void test_booleans(void **state)
{
	(void)state;
	uint64_t random = 1;
	for (size_t n = 0; n < 100; n++) {
		uint8_t values[100], out[32] = {0};
		for (size_t i = 0; i < n; i++) values[i] = model_next(&random) & 1;
		assert_ptr_equal(gm_pack_booleans(out, values, n), out + (n + 7) / 8);
		for (size_t i = 0; i < n; i++) assert_int_equal(out[i / 8] >> i % 8 & 1, values[i]);
	}
}

/* --- Bounds ------------------------------------------------------------------------------------------------------- */

static void check_string_bound(const char *text, uint32_t limit, const char *min, const char *max)
{
	struct gm_bound bound = {.bytes = (const uint8_t *)text, .len = (uint32_t)strlen(text)};
	struct gm_written_bound out;
	assert_true(gm_bound_write(&out, GM_TYPE_STRING, &bound, false, limit));
	assert_int_equal(out.len, strlen(min));
	assert_memory_equal(out.bytes, min, out.len);
	assert_int_equal(out.exact, bound.len <= limit);
	assert_int_equal(gm_bound_write(&out, GM_TYPE_STRING, &bound, true, limit), max != NULL);
	if (max == NULL) return;
	assert_int_equal(out.len, strlen(max));
	assert_memory_equal(out.bytes, max, out.len);
}

static void test_string_bounds_are_cut(void **state)
{
	(void)state;
	check_string_bound("abc", 3, "abc", "abc");
	check_string_bound("abcd", 3, "abc", "abd");
	check_string_bound("ab\x7f"
	                   "d",
	                   3, "ab\x7f", "ac"); /* U+0080 would take a byte more */
	check_string_bound("ab\x7f"
	                   "d",
	                   4,
	                   "ab\x7f"
	                   "d",
	                   "ab\x7f"
	                   "d");
	check_string_bound("aé", 2, "a", "b"); /* not inside the é */
	check_string_bound("aéx", 3, "aé", "aê");
	check_string_bound("a\xdf\xbfx", 3, "a\xdf\xbf", "b");                  /* U+07FF + 1 takes three bytes */
	check_string_bound("\xed\x9f\xbfx", 3, "\xed\x9f\xbf", "\xee\x80\x80"); /* U+D7FF + 1: past the surrogates */
	check_string_bound("a\xf4\x8f\xbf\xbfx", 5, "a\xf4\x8f\xbf\xbf", "b");  /* nothing above U+10FFFF */
	check_string_bound("\xf4\x8f\xbf\xbfx", 4, "\xf4\x8f\xbf\xbf", NULL);
	check_string_bound("\xf0\x9d\x84\x9ex", 3, "", NULL);
	check_string_bound("\xff\xff\xff", 2, "\xff\xff", NULL); /* not UTF-8, still a bound */
	check_string_bound("\xc0\x80\xc0\x80", 2, "\xc0\x80", NULL);
	check_string_bound("", 0, "", "");
}

/* Whatever the bytes: the minimum is not above the value, the maximum not below; of UTF-8 they are UTF-8 again. */
static void test_string_bounds_are_bounds(void **state)
{
	(void)state;
	uint64_t random = 3;
	for (int turn = 0; turn < 200000; turn++) {
		static const uint8_t bytes[] = {'a',  0x00, 0x7F, 0x80, 0xBF, 0xC2, 0xDF, 0xE0,
		                                0xED, 0x9F, 0xEF, 0xF0, 0xF4, 0x8F, 0xFF, 0xC0};
		uint8_t text[24];
		uint32_t len = (uint32_t)model_below(&random, 24), limit = (uint32_t)model_below(&random, 12);
		for (uint32_t i = 0; i < len; i++) text[i] = bytes[model_below(&random, sizeof bytes)];
		struct gm_bound bound = {.bytes = text, .len = len};
		struct gm_written_bound out;
		assert_true(gm_bound_write(&out, GM_TYPE_STRING, &bound, false, limit));
		assert_true(out.len <= limit && gm_written_compare(GM_TYPE_STRING, out.bytes, out.len, text, len) <= 0);
		if (!gm_bound_write(&out, GM_TYPE_STRING, &bound, true, limit)) continue;
		int order = gm_written_compare(GM_TYPE_STRING, out.bytes, out.len, text, len);
		assert_true(out.len <= limit && (out.exact ? order == 0 : order > 0));
	}
}

static void test_double_bounds(void **state)
{
	(void)state;
	static const double values[] = {0.0, __builtin_nan(""), -0.0};
	struct gm_bounds bounds = {0};
	struct gm_written_bound min, max;
	gm_bounds_add_plain(&bounds, GM_TYPE_DOUBLE, (const uint8_t *)(values + 1), 1);
	assert_false(bounds.any);
	gm_bounds_add_plain(&bounds, GM_TYPE_DOUBLE, (const uint8_t *)values, 3);
	assert_true(bounds.any);
	assert_int_equal(bounds.nans, 2);
	assert_true(gm_bound_write(&min, GM_TYPE_DOUBLE, &bounds.min, false, 64));
	assert_true(gm_bound_write(&max, GM_TYPE_DOUBLE, &bounds.max, true, 64));
	static const uint8_t negative_zero[8] = {[7] = 0x80}, zero[8] = {0};
	assert_memory_equal(min.bytes, negative_zero, 8);
	assert_memory_equal(max.bytes, zero, 8);
}

/* --- Bloom filter ------------------------------------------------------------------------------------------------- */

/* filter_check of BloomFilter.md, word for word. */
static bool spec_check(const uint32_t *words, size_t bytes, uint64_t x)
{
	static const uint32_t salt[8] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
	                                 0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};
	uint64_t i = ((x >> 32) * (bytes / 32)) >> 32;
	for (unsigned w = 0; w < 8; w++) {
		uint32_t y = (uint32_t)x * salt[w];
		if ((words[i * 8 + w] >> (y >> 27) & 1) == 0) return false;
	}
	return true;
}

/* Has it the first n keys, and few of the next n? */
static void check_bloom(const struct gm_bloom *bloom, uint32_t n)
{
	unsigned wrong = 0;
	for (uint32_t i = 0; i < 2 * n; i++) {
		char text[32];
		size_t len = (size_t)snprintf(text, sizeof text, "key-%u", i);
		bool found = spec_check(bloom->words, bloom->bytes, XXH64(text, len, 0));
		if (i < n) assert_true(found);
		wrong += i >= n && found;
	}
	assert_true(wrong < n / 100);
}

static void test_bloom(void **state)
{
	(void)state;
	enum { N = 50000 };
	struct gm_bloom bloom;
	struct gm_error err;
	struct gm_buf plain;
	assert_int_equal(gm_bloom_bytes(0), 32);
	assert_int_equal(gm_bloom_bytes(1000000), 2 << 20);
	assert_true(gm_bloom_bytes(UINT64_C(1) << 40) <= 128 << 20);
	gm_buf_init(&plain, 1 << 24);
	for (uint32_t i = 0; i < N; i++) {
		char text[32];
		uint32_t len = (uint32_t)snprintf(text, sizeof text, "key-%u", i);
		assert_int_equal(gm_buf_append(&plain, &len, 4, &err), GM_OK);
		assert_int_equal(gm_buf_append(&plain, text, len, &err), GM_OK);
	}
	enum gm_cpu_level own = gm_cpu_level();
	for (enum gm_cpu_level level = 0; level < GM_CPU_COUNT; level++) {
		if (!gm_cpu_supports(level)) continue;
		gm_cpu_force(level);
		assert_int_equal(gm_bloom_init(&bloom, N, &err), GM_OK);
		gm_bloom_add_plain(&bloom, GM_TYPE_STRING, plain.data, N);
		check_bloom(&bloom, N);
		gm_bloom_release(&bloom);
	}
	gm_cpu_force(own);
	gm_buf_release(&plain);
}

/* --- Pages -------------------------------------------------------------------------------------------------------- */

static void test_page_crc_is_zlibs(void **state)
{
	(void)state;
	struct gm_page_packer packer;
	struct gm_buf out;
	struct gm_error err;
	size_t header_bytes;
	static const uint8_t body[] = "the body of a page, the body of a page, the body of a page";
	gm_page_packer_init(&packer);
	gm_buf_init(&out, 1000);
	assert_int_equal(gm_page_packer_set(&packer, GM_CODEC_NONE, 0, &err), GM_OK);
	struct gm_page_header header = {GM_FORMAT_DATA_PAGE, GM_FORMAT_PLAIN, 7};
	assert_int_equal(gm_page_pack(&packer, &header, body, sizeof body, &out, &header_bytes, &err), GM_OK);
	assert_int_equal(out.len, header_bytes + sizeof body);
	assert_memory_equal(out.data + header_bytes, body, sizeof body);
	/* Fields 1 to 4: type, two sizes below 64, CRC. */
	static const uint8_t start[] = {0x15, 0x00, 0x15, sizeof body * 2, 0x15, sizeof body * 2, 0x15};
	assert_memory_equal(out.data, start, sizeof start);
	const uint8_t *crc_at = out.data + sizeof start;
	uint64_t zigzag = read_varint(&crc_at);
	uint32_t crc = (uint32_t)(zigzag >> 1 ^ (~(zigzag & 1) + 1));
	assert_int_equal(crc, (uint32_t)crc32(0, body, sizeof body));
	gm_buf_release(&out);
	gm_page_packer_release(&packer);
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

enum page_kind { RANDOM_KEYS, TEXT, RISING_NUMBERS, RANDOM_BYTES, ZEROS, SHORT_KEYS, PAGE_KINDS };

/* About half a mebibyte of values; SHORT_KEYS: too few to try anything. */
static void fill_page(struct gm_buf *page, enum page_kind kind)
{
	uint64_t random = kind + 1;
	int64_t number = 0;
	struct gm_error err;
	size_t bytes = kind == SHORT_KEYS ? 4096 : 512 << 10;
	page->len = 0;
	while (page->len < bytes) {
		char value[48];
		size_t n = 8;
		if (kind == RANDOM_KEYS || kind == SHORT_KEYS) {
			unsigned part[4];
			for (unsigned i = 0; i < 4; i++) part[i] = (unsigned)next_random(&random) & 0xFFFF;
			n = 4 + (size_t)snprintf(value + 4, sizeof value - 4, "%04x%04x-%04x-4%03x-8%03x-%04x%08x", part[0],
			                         part[1], part[2], part[3] & 0xFFF, part[0] & 0xFFF, part[1] ^ part[2],
			                         (unsigned)next_random(&random));
			memcpy(value, &(uint32_t){(uint32_t)n - 4}, 4);
		} else if (kind == TEXT) {
			n = (size_t)snprintf(value, sizeof value, "GET /repo/v1/entity/%u ", (unsigned)next_random(&random) % 5000);
		} else {
			if (kind == RISING_NUMBERS) number += 1000 * (int64_t)(next_random(&random) % 300);
			if (kind == RANDOM_BYTES) number = (int64_t)(next_random(&random) << 33 ^ next_random(&random));
			memcpy(value, &number, sizeof number);
		}
		assert_int_equal(gm_buf_append(page, value, n, &err), GM_OK);
	}
}

static size_t tried_bytes(struct gm_page_packer *packer, const struct gm_buf *page)
{
	struct gm_buf scratch;
	struct gm_error err;
	size_t bytes;
	gm_buf_init(&scratch, SIZE_MAX / 2);
	assert_int_equal(gm_page_try(packer, page->data, page->len, &scratch, &bytes, &err), GM_OK);
	gm_buf_release(&scratch);
	return bytes;
}

static void check_body(struct gm_page_packer *packer, const struct gm_buf *page)
{
	struct gm_buf out;
	struct gm_error err;
	size_t header_bytes;
	struct gm_page_header header = {GM_FORMAT_DATA_PAGE, GM_FORMAT_PLAIN, 7};
	uint8_t *back = malloc(page->len);
	assert_non_null(back);
	gm_buf_init(&out, SIZE_MAX / 2);
	assert_int_equal(gm_page_pack(packer, &header, page->data, page->len, &out, &header_bytes, &err), GM_OK);
	assert_int_equal(ZSTD_decompress(back, page->len, out.data + header_bytes, out.len - header_bytes), page->len);
	assert_memory_equal(back, page->data, page->len);
	gm_buf_release(&out);
	free(back);
}

/* What is chosen takes no more than what is tolerated, comes back, and ends with the chunk; other levels are left. */
static void test_search(void **state)
{
	(void)state;
	struct gm_buf page, scratch;
	struct gm_error err;
	gm_buf_init(&page, SIZE_MAX / 2);
	gm_buf_init(&scratch, SIZE_MAX / 2);
	for (unsigned i = 0; i < 3 * PAGE_KINDS; i++) {
		enum page_kind kind = i % PAGE_KINDS;
		int level = i < 2 * PAGE_KINDS ? 1 : 3;
		bool strings = i < PAGE_KINDS;
		struct gm_page_packer packer;
		gm_page_packer_init(&packer);
		fill_page(&page, kind);
		assert_int_equal(gm_page_packer_set(&packer, GM_CODEC_ZSTD, level, &err), GM_OK);
		size_t usual = tried_bytes(&packer, &page);
		assert_int_equal(gm_page_search(&packer, strings, page.data, page.len, &scratch, &err), GM_OK);
		size_t chosen = tried_bytes(&packer, &page);
		assert_true(chosen <= usual + usual / 50);
		if (level == 3 || kind == SHORT_KEYS) assert_int_equal(chosen, usual);
		if (level == 1 && kind == (strings ? RANDOM_KEYS : RISING_NUMBERS)) assert_int_not_equal(chosen, usual);
		check_body(&packer, &page);
		assert_int_equal(gm_page_packer_set(&packer, GM_CODEC_ZSTD, level, &err), GM_OK);
		assert_int_equal(tried_bytes(&packer, &page), usual);
		gm_page_packer_release(&packer);
	}
	gm_buf_release(&page);
	gm_buf_release(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_thrift_bytes),
	    cmocka_unit_test(test_thrift_keeps_its_failure),
	    cmocka_unit_test(test_hybrid_example_of_the_specification),
	    cmocka_unit_test(test_hybrid_round_trip),
	    cmocka_unit_test(test_hybrid_worst_case_fits_its_bound),
	    cmocka_unit_test(test_booleans),
	    cmocka_unit_test(test_string_bounds_are_cut),
	    cmocka_unit_test(test_string_bounds_are_bounds),
	    cmocka_unit_test(test_double_bounds),
	    cmocka_unit_test(test_bloom),
	    cmocka_unit_test(test_page_crc_is_zlibs),
	    cmocka_unit_test(test_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
