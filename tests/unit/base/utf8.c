#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../mix.h"
#include "base/utf8.h"

/* Expected values: Unicode 14, tables 3-7 to 3-11, and CPython's bytes.decode("utf-8", "replace"). X stands for U+FFFD.
 */
static const struct {
	const char *bytes, *mended;
} ill_formed[] = {
    {"\x80", "X"},
    {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "XXXXXXXXA"},
    {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "XXXXXXXXA"},
    {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "XXXXXAXXB"},
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "XXXXA"},
    {"\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", "aXXXbXcXXd"},
    {"\xF4\x8F\xBF\xBF\xF4\x90\x80\x80", "\xF4\x8F\xBF\xBFXXXX"},
    {"\xC2", "X"},
    {"\xE2\x82", "X"},
    {"\xF0\x9F\x98", "X"},
    {"\xF0\x9F\x98\xF0\x9F\x98\x80", "X\xF0\x9F\x98\x80"},
    {"\xC1\xBF\xF5\x80", "XXXX"},
};

static void mend_of(const char *bytes, size_t n, struct gm_buf *out, uint64_t *replaced)
{
	out->len = 0;
	*replaced = 0;
	assert_int_equal(gm_utf8_mend((const uint8_t *)bytes, n, out, replaced, NULL), GM_OK);
}

static void test_maximal_subparts(void **state)
{
	(void)state;
	struct gm_buf out;
	gm_buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof ill_formed / sizeof ill_formed[0]; i++) {
		char expected[100];
		size_t n = 0;
		uint64_t replaced, marks = 0;
		for (const char *c = ill_formed[i].mended; *c != '\0'; c++) {
			if (*c == 'X') {
				memcpy(expected + n, "\xEF\xBF\xBD", 3);
				n += 3;
				marks++;
			} else {
				expected[n++] = *c;
			}
		}
		mend_of(ill_formed[i].bytes, strlen(ill_formed[i].bytes), &out, &replaced);
		assert_int_equal(out.len, n);
		assert_memory_equal(out.data, expected, n);
		assert_int_equal(replaced, marks);
		assert_int_equal(gm_utf8_valid_prefix(out.data, out.len), out.len);
	}
	gm_buf_release(&out);
}

static void test_every_scalar_value(void **state)
{
	(void)state;
	for (uint32_t code_point = 0; code_point <= 0x10FFFF; code_point++) {
		if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
		uint8_t bytes[4];
		size_t used, n = gm_utf8_encode(code_point, bytes);
		assert_int_equal(n, code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4);
		assert_int_equal(gm_utf8_decode(bytes, n, &used), code_point);
		assert_int_equal(used, n);
		assert_int_equal(gm_utf8_valid_prefix(bytes, n), n);
		if (n > 1) assert_int_equal(gm_utf8_valid_prefix(bytes, n - 1), 0);
	}
}

/* The definition of well-formedness the other way round: a sequence is good if it is what its value is encoded as. */
static void test_three_bytes_of_all_kinds(void **state)
{
	(void)state;
	for (uint32_t word = 0xC00000; word <= 0xFFFFFF; word++) {
		const uint8_t bytes[3] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word};
		if (bytes[2] == 0xC0) word |= 0x3E; /* thin out what cannot continue anything */
		uint32_t two = (bytes[0] & 0x1Fu) << 6 | (bytes[1] & 0x3F);
		uint32_t three = (bytes[0] & 0xFu) << 12 | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3F);
		bool follows = (bytes[1] & 0xC0) == 0x80, both = follows && (bytes[2] & 0xC0) == 0x80;
		bool good2 = bytes[0] < 0xE0 && follows && two >= 0x80;
		bool good3 = (bytes[0] & 0xF0) == 0xE0 && both && three >= 0x800 && (three < 0xD800 || three > 0xDFFF);
		size_t used;
		uint32_t code_point = gm_utf8_decode(bytes, 3, &used);
		assert_int_equal(code_point, good2 ? two : good3 ? three : GM_REPLACEMENT);
		if (good2 || good3) assert_int_equal(used, good2 ? 2 : 3);
	}
}

static void test_prefix_ends_anywhere(void **state)
{
	(void)state;
	uint8_t text[100];
	for (size_t n = 0; n <= sizeof text; n++) {
		for (size_t bad = 0; bad < n; bad++) {
			memset(text, 'a', sizeof text);
			text[bad] = 0xFF;
			assert_int_equal(gm_utf8_valid_prefix(text, n), bad);
			if (bad == 0) continue;
			memcpy(text + bad - 1, "\xC3\xA9", 2);
			assert_int_equal(gm_utf8_valid_prefix(text, n), n);
		}
	}
}

/* By the definition, one sequence after the other; a U+FFFD that stands in the text is no fault. */
static size_t slow_prefix(const uint8_t *bytes, size_t n)
{
	size_t i = 0;
	while (i < n) {
		size_t used;
		uint32_t code_point = gm_utf8_decode(bytes + i, n - i, &used);
		if (code_point == GM_REPLACEMENT && (used < 3 || memcmp(bytes + i, "\xEF\xBF\xBD", 3) != 0)) break;
		i += used;
	}
	return i;
}

/* Every pair of a lead and what follows it, and what may come then, over the end of a vector and within one. */
static void test_every_lead_within_long_text(void **state)
{
	(void)state;
	static const uint8_t then[] = {'a', 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xE1};
	uint8_t text[100];
	memset(text, 'a', sizeof text);
	for (uint32_t pair = 0x8000; pair <= 0xFFFF; pair++) {
		for (size_t k = 0; k < sizeof then * sizeof then; k++) {
			size_t at = 29 + (pair + k) % 5;
			memset(text + 28, 'a', 12);
			text[at] = (uint8_t)(pair >> 8);
			text[at + 1] = (uint8_t)pair;
			text[at + 2] = then[k % sizeof then];
			text[at + 3] = then[k / sizeof then];
			size_t n = k % 7 == 0 ? at + 1 + k % 4 : sizeof text;
			if (gm_utf8_valid_prefix(text, n) == slow_prefix(text, n)) continue;
			fail_msg("%02x %02x %02x %02x at %zu of %zu", text[at], text[at + 1], text[at + 2], text[at + 3], at, n);
		}
	}
}

static uint32_t below(uint32_t limit)
{
	static uint64_t turn;
	return (uint32_t)(mix(turn++) >> 32) % limit;
}

static size_t add_random_code_point(uint8_t *out)
{
	static const uint32_t edges[] = {0x7F,   0x80,   0x7FF,  0x800,   0xFFF,   0x1000,  0xD7FF,
	                                 0xE000, 0xFFFD, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0x10FFFF};
	uint32_t kind = below(8);
	if (kind == 0) return gm_utf8_encode(edges[below(sizeof edges / sizeof *edges)], out);
	if (kind == 1) return gm_utf8_encode(0x4E00 + below(20000), out);
	if (kind == 2) return gm_utf8_encode(0x1F300 + below(700), out);
	if (kind < 5) return gm_utf8_encode(0xC0 + below(0x500), out);
	out[0] = (uint8_t)(' ' + below(90));
	return 1;
}

static void test_random_text(void **state)
{
	(void)state;
	uint8_t text[400];
	for (int round = 0; round < 40000; round++) {
		size_t n = 0, want = below(300);
		while (n < want) n += add_random_code_point(text + n);
		for (uint32_t faults = below(3); n > 0 && faults > 0; faults--) text[below((uint32_t)n)] = (uint8_t)below(256);
		size_t expected = slow_prefix(text, n);
		if (gm_utf8_valid_prefix(text, n) != expected)
			fail_msg("round %d: %zu of %zu", round, gm_utf8_valid_prefix(text, n), expected);
	}
}

static void test_limit(void **state)
{
	(void)state;
	struct gm_buf out;
	struct gm_error err;
	gm_buf_init(&out, 64);
	uint8_t bad[22];
	memset(bad, 0xFF, sizeof bad);
	assert_int_equal(gm_utf8_mend(bad, 21, &out, NULL, &err), GM_OK);
	assert_int_equal(out.len, 63);
	out.len = 0;
	assert_int_equal(gm_utf8_mend(bad, 22, &out, NULL, &err), GM_VALUE);
	gm_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_maximal_subparts),
	    cmocka_unit_test(test_every_scalar_value),
	    cmocka_unit_test(test_three_bytes_of_all_kinds),
	    cmocka_unit_test(test_prefix_ends_anywhere),
	    cmocka_unit_test(test_every_lead_within_long_text),
	    cmocka_unit_test(test_random_text),
	    cmocka_unit_test(test_limit),
	};
	int failed = 0;
	for (enum gm_cpu_level level = 0; level < GM_CPU_COUNT; level++) {
		if (!gm_cpu_supports(level)) continue;
		gm_cpu_force(level);
		failed += cmocka_run_group_tests_name(gm_cpu_level_name(level), tests, NULL, NULL);
	}
	return failed;
}
