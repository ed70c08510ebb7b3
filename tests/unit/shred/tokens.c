/* tokens.c - the small parts: byte scans against their portable forms, conversions against literal cases. Compiled for
 * each level of processor; where this one lacks it, the test does not apply. */
#include "shred/convert.h"
#include "shred/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t seed = 12345;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

static void test_scans_agree(void **state)
{
	(void)state;
	static uint8_t text[200 + GM_SLACK];
	static const uint8_t odd[] = {'"', '\\', 0, 1, 0x1F, 0x20, 0x7F, 0x80, 0xFF, '!', '#', '[', ']', '\n', '\r'};
	for (int round = 0; round < 200000; round++) {
		size_t n = rnd(120), start = rnd(40);
		for (size_t i = 0; i < start + n; i++)
			text[i] = rnd(40) == 0 ? odd[rnd(sizeof odd)] : (uint8_t)(' ' + 3 + rnd(50));
		memset(text + start + n, 0, GM_SLACK);
		size_t expected = start;
		uint32_t high = 0, portable = 0, expected_high = 0;
		while (text[expected] >= 0x20 && text[expected] != '"' && text[expected] != '\\')
			expected_high |= text[expected++] & 0x80;
		assert_ptr_equal(gm_scan_string(text + start, &high), text + expected);
		assert_ptr_equal(gm_scan_string_portable(text + start, &portable), text + expected);
		assert_int_equal(high != 0, expected_high != 0);
		assert_int_equal(portable != 0, expected_high != 0);
		const uint8_t *end = text + start + n, *line = text + start;
		while (line < end && *line != '\n' && *line != '\r') line++;
		assert_ptr_equal(gm_scan_line(text + start, end), line);
	}
}

/* What a copy must be, wherever its limit is: all that the scan passes, or so much of it that the limit is passed. */
static void check_copy(const uint8_t *from, const uint8_t *stop, size_t room,
                       const uint8_t *(*copy)(const uint8_t *, uint8_t **, const uint8_t *, uint32_t *))
{
	uint8_t out[200 + GM_COPY_SLACK];
	memset(out, 0xEE, sizeof out);
	uint8_t *to = out;
	uint32_t high = 0, expected_high = 0;
	const uint8_t *end = copy(from, &to, out + room, &high);
	size_t n = (size_t)(end - from);
	assert_int_equal(to - out, n);
	assert_true(end == stop || (end < stop && n > room));
	assert_memory_equal(out, from, n);
	for (size_t i = room + GM_COPY_SLACK + 1; i < sizeof out; i++) assert_int_equal(out[i], 0xEE);
	for (const uint8_t *p = from; p < stop; p++) expected_high |= *p & 0x80;
	if (end == stop) assert_int_equal(high != 0, expected_high != 0);
}

static void test_copies_agree(void **state)
{
	(void)state;
	static uint8_t text[200 + GM_SLACK];
	static const uint8_t odd[] = {'"', '\\', 0, 0x1F, 0x80, 0xFF};
	for (int round = 0; round < 100000; round++) {
		size_t n = rnd(120), start = rnd(40), stop = start;
		for (size_t i = 0; i < start + n; i++)
			text[i] = rnd(50) == 0 ? odd[rnd(sizeof odd)] : (uint8_t)(' ' + 3 + rnd(50));
		memset(text + start + n, 0, GM_SLACK);
		while (text[stop] >= 0x20 && text[stop] != '"' && text[stop] != '\\') stop++;
		size_t room = rnd(2) == 0 ? rnd(150) : 150;
		check_copy(text + start, text + stop, room, gm_copy_string);
		check_copy(text + start, text + stop, room, gm_copy_string_portable);
	}
}

/* RFC 8259, section 7. What follows a string must be of no matter, nor where the room ends. */
static void test_decode(void **state)
{
	(void)state;
	static const struct {
		const char *text, *decoded;
		size_t fault; /* decoded NULL: where it is */
	} cases[] = {
	    {"\"", "", 0},
	    {"plain\"", "plain", 0},
	    {"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 0},
	    {"\\u0041\\u00e9\\u20AC\\uFFFF\"", "A\xC3\xA9\xE2\x82\xAC\xEF\xBF\xBF", 0},
	    {"\\u007f\\u0080\\u07ff\\u0800\"", "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80", 0},
	    {"\\ud83d\\ude00\\uD800\\uDC00\\udbff\\udfff\"", "\xF0\x9F\x98\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 0},
	    {"\\ud83d\"", "\xEF\xBF\xBD", 0},
	    {"\\ude00\\ud83d\"", "\xEF\xBF\xBD\xEF\xBF\xBD", 0},
	    {"\\ud83d\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80", 0},
	    {"\\ud83d\\n\\ud83dx\\ud83d\\u0041\"",
	     "\xEF\xBF\xBD\n\xEF\xBF\xBDx\xEF\xBF\xBD"
	     "A",
	     0},
	    {"a\xC3\xA9\\n\xFF \"", "a\xC3\xA9\n\xFF ", 0},
	    {"\\x\"", NULL, 1},
	    {"ab\\", NULL, 3},
	    {"ab\\U0041\"", NULL, 3},
	    {"\\u004g\"", NULL, 5},
	    {"\\u@041\"", NULL, 2},
	    {"\\u00`1\"", NULL, 4},
	    {"\\u004\"", NULL, 5},
	    {"\\ud83d\\ude0\"", NULL, 11},
	    {"\\n\n\"", NULL, 2},
	    {"\\n plain", NULL, 8}};
	struct gm_json json;
	gm_json_init(&json);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t pad = 0; pad < 40; pad++) {
			uint8_t in[100 + GM_SLACK] = {0}, out[200];
			memset(in, 'p', pad);
			(void)snprintf((char *)in + pad, 100 - pad, "%s", cases[i].text);
			struct gm_json_text text = {.to = out, .limit = out + 100};
			const uint8_t *end = gm_json_decode(&json, in, &text);
			if (cases[i].decoded == NULL) {
				assert_null(end);
				assert_ptr_equal(json.fault_at, in + pad + cases[i].fault);
				continue;
			}
			size_t n = strlen(cases[i].decoded);
			assert_ptr_equal(end, in + pad + strlen(cases[i].text) - 1);
			assert_int_equal(text.to - out, pad + n);
			assert_memory_equal(out + pad, cases[i].decoded, n);
			/* In pieces: each has room for one byte. */
			uint8_t whole[100 + GM_JSON_SLACK];
			size_t have = 0;
			const uint8_t *p = in;
			do {
				text = (struct gm_json_text){.to = whole + have, .limit = whole + have};
				p = gm_json_decode(&json, p, &text);
				assert_non_null(p);
				have = (size_t)(text.to - whole);
			} while (p != end);
			assert_int_equal(have, pad + n);
			assert_memory_equal(whole, out, have);
		}
	}
	gm_json_release(&json);
}

static void test_match_key(void **state)
{
	(void)state;
	uint8_t a[64], b[64];
	for (int round = 0; round < 200000; round++) {
		uint64_t mask = rnd(4) == 0 ? (uint64_t)rnd(1 << 16) << 16 | rnd(1 << 16) : (UINT64_C(1) << rnd(33)) - 1;
		if (rnd(50) == 0) mask |= UINT64_C(1) << 62;
		for (size_t i = 0; i < sizeof a; i++) b[i] = a[i] = (uint8_t)rnd(256);
		for (uint32_t i = 0, n = rnd(3); i < n; i++) b[rnd(40)] ^= (uint8_t)(1u << rnd(8));
		bool expected = mask >> 32 == 0;
		for (size_t i = 0; i < 32; i++)
			if ((mask >> i & 1) != 0 && a[i] != b[i]) expected = false;
		assert_int_equal(gm_match_key(a, b, mask), expected);
		assert_int_equal(gm_match_key_portable(a, b, mask), expected);
	}
}

static void test_digits(void **state)
{
	(void)state;
	for (int round = 0; round < 200000; round++) {
		uint8_t text[9] = {0};
		uint64_t value = 0;
		uint32_t n = 0;
		for (int i = 0; i < 8; i++) text[i] = (uint8_t)(rnd(6) == 0 ? rnd(256) : '0' + rnd(10));
		while (n < 8 && text[n] >= '0' && text[n] <= '9') value = value * 10 + text[n++] - '0';
		assert_int_equal(gm_count_digits(gm_load8(text)), n);
		if (n > 0) assert_int_equal(gm_digits_value(gm_load8(text), n), value);
	}
}

static const uint8_t *bytes(const char *text)
{
	return (const uint8_t *)text;
}

static void test_integers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool exact, floored;
		int64_t value;
	} cases[] = {{"0", true, true, 0},
	             {"-0", true, true, 0},
	             {"-0.0e5", true, true, 0},
	             {"0e999999999999999999999", true, true, 0},
	             {"12", true, true, 12},
	             {"12.0", true, true, 12},
	             {"1.2e1", true, true, 12},
	             {"120e-1", true, true, 12},
	             {"12.5", false, true, 12},
	             {"-12.5", false, true, -13},
	             {"0.5", false, true, 0},
	             {"-0.5", false, true, -1},
	             {"-1e-30", false, true, -1},
	             {"1e-99999999999999999999", false, true, 0},
	             {"1e99999999999999999999", false, false, 0},
	             {"9223372036854775807", true, true, INT64_MAX},
	             {"9223372036854775808", false, false, 0},
	             {"-9223372036854775808", true, true, INT64_MIN},
	             {"-9223372036854775809", false, false, 0},
	             {"9223372036854775807.9", false, true, INT64_MAX},
	             {"-9223372036854775808.1", false, false, 0},
	             {"-9223372036854775807.1", false, true, INT64_MIN},
	             {"9.223372036854775807e18", true, true, INT64_MAX},
	             {"922337203685477580700e-2", true, true, INT64_MAX},
	             {"922337203685477580701e-2", false, true, INT64_MAX},
	             {"1e18", true, true, 1000000000000000000},
	             {"1e19", false, false, 0},
	             {"0.000001e6", true, true, 1},
	             {"100000000000000000000000000000e-29", true, true, 1},
	             {"18446744073709551616", false, false, 0},
	             {"1e400", false, false, 0},
	             {"0.00000000000000000000000000000000000000012e40", false, true, 1},
	             {"123e-3", false, true, 0},
	             {"-123e-3", false, true, -1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint8_t *p = bytes(cases[i].text), *end = p + strlen(cases[i].text);
		int64_t value = 77;
		assert_int_equal(gm_number_to_integer(p, end, false, &value), cases[i].exact);
		assert_int_equal(value, cases[i].exact ? cases[i].value : 77);
		value = 77;
		assert_int_equal(gm_number_to_integer(p, end, true, &value), cases[i].floored);
		assert_int_equal(value, cases[i].floored ? cases[i].value : 77);
	}
}

static void test_texts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		int64_t value;
	} cases[] = {{"12", true, 12},
	             {"+12", true, 12},
	             {"-12", true, -12},
	             {" \t\n\v\f\r12\r\f\v\n\t ", true, 12},
	             {"00012", true, 12},
	             {"", false, 0},
	             {" ", false, 0},
	             {"+", false, 0},
	             {"-", false, 0},
	             {"+-1", false, 0},
	             {"1 2", false, 0},
	             {"12.0", false, 0},
	             {"1e1", false, 0},
	             {"0x10", false, 0},
	             {"\xC2\xA0"
	              "12",
	              false, 0},
	             {"\xD9\xA1", false, 0},
	             {"- 1", false, 0},
	             {"9223372036854775807", true, INT64_MAX},
	             {"9223372036854775808", false, 0},
	             {"-9223372036854775808", true, INT64_MIN},
	             {"-9223372036854775809", false, 0},
	             {"99999999999999999999999", false, 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t value = 0;
		const uint8_t *p = bytes(cases[i].text);
		assert_int_equal(gm_text_to_integer(p, p + strlen(cases[i].text), &value), cases[i].good);
		assert_int_equal(value, cases[i].value);
	}
	bool yes = true;
	assert_true(gm_text_to_boolean(bytes("FaLsE"), bytes("FaLsE") + 5, &yes) && !yes);
	assert_true(gm_text_to_boolean(bytes("TRUE"), bytes("TRUE") + 4, &yes) && yes);
	assert_false(gm_text_to_boolean(bytes("true "), bytes("true ") + 5, &yes));
	assert_false(gm_text_to_boolean(bytes("1"), bytes("1") + 1, &yes));
	assert_false(gm_text_to_boolean(bytes(""), bytes(""), &yes));
}

static void test_dates(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		int64_t days;
	} cases[] = {{"1970-01-01", true, 0},       {"2024-03-10", true, 19792}, {"0001-01-01", true, -719162},
	             {"9999-12-31", true, 2932896}, {"0000-12-31", false, 0},    {"2023-02-29", false, 0},
	             {"2024-02-29", true, 19782},   {"1900-02-29", false, 0},    {"2000-02-29", true, 11016},
	             {"2024-13-01", false, 0},      {"2024-00-01", false, 0},    {"2024-01-00", false, 0},
	             {"2024-01-32", false, 0},      {"2024-1-01", false, 0},     {" 2024-01-01", false, 0},
	             {"2024-01-01T", false, 0},     {"2024/01/01", false, 0},    {"20240101", false, 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t days = 0;
		const uint8_t *p = bytes(cases[i].text);
		assert_int_equal(gm_text_to_date(p, p + strlen(cases[i].text), &days), cases[i].good);
		assert_int_equal(days, cases[i].days);
	}
}

/* Shortest and longest spellings read back as the same bits; sums of random bits as well. */
static void test_doubles(void **state)
{
	(void)state;
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	for (int round = 0; round < 200000; round++) {
		char text[64];
		uint64_t bits = (uint64_t)rnd(1 << 22) << 42 | (uint64_t)rnd(1 << 22) << 20 | rnd(1 << 20);
		double value, got;
		memcpy(&value, &bits, 8);
		if (value != value || value - value != 0) continue;
		if (rnd(2) == 0) value = (double)rnd(100000) / 100;
		(void)snprintf(text, sizeof text, rnd(2) == 0 ? "%.17g" : "%.17e", value);
		assert_true(gm_number_to_double(bytes(text), bytes(text) + strlen(text), c, &got));
		assert_memory_equal(&got, &value, 8);
	}
	static const struct {
		const char *text;
		bool good;
		double value;
	} cases[] = {{"1e308", true, 1e308},
	             {"1.8e308", false, 0},
	             {"-1.8e308", false, 0},
	             {"1e-400", true, 0},
	             {"5e-324", true, 5e-324},
	             {"9007199254740993", true, 9007199254740992.0},
	             {" +1.5e3\n", true, 1500},
	             {"007", true, 7},
	             {"", false, 0},
	             {"nan", false, 0},
	             {"inf", false, 0},
	             {"0x1p3", false, 0},
	             {".5", false, 0},
	             {"5.", false, 0},
	             {"1e", false, 0},
	             {"1 ", true, 1},
	             {"--1", false, 0},
	             {"1e22", true, 1e22},
	             {"1e23", true, 1e23},
	             {"123456789012345e22", true, 123456789012345e22},
	             {"0.1", true, 0.1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double got = 0;
		const uint8_t *p = bytes(cases[i].text);
		assert_int_equal(gm_text_to_double(p, p + strlen(cases[i].text), c, &got), cases[i].good);
		assert_true(got == cases[i].value);
	}
	freelocale(c);
}

int main(void)
{
#ifdef GM_CPU_LEVEL
	if (!gm_cpu_supports(GM_AT_LEVEL(GM_CPU))) return 77;
#endif
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scans_agree), cmocka_unit_test(test_copies_agree), cmocka_unit_test(test_decode),
	    cmocka_unit_test(test_match_key),   cmocka_unit_test(test_digits),       cmocka_unit_test(test_integers),
	    cmocka_unit_test(test_texts),       cmocka_unit_test(test_dates),        cmocka_unit_test(test_doubles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
