#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/unicode.h"

/* What CPython 3.11 answers to str.lower(). */
static const struct {
	const char *text, *lower;
} lower_cases[] = {
    {"", ""},
    {"ABCxyz[@`{", "abcxyz[@`{"},
    {"\xC4\xB0", "i\xCC\x87"},    /* I with dot */
    {"\xE2\x84\xAA", "k"},        /* Kelvin sign */
    {"\xC8\xBA", "\xE2\xB1\xA5"}, /* grows from 2 bytes to 3 */
    {"\xCE\xA3", "\xCF\x83"},     /* a sigma alone */
    {"A\xCE\xA3", "a\xCF\x82"},   /* one that ends a word */
    {"A\xCE\xA3"
     "B",
     "a\xCF\x83"
     "b"},                        /* and one that does not */
    {"A\xCE\xA3'", "a\xCF\x82'"}, /* Case_Ignorable behind */
    {"A\xCE\xA3'B", "a\xCF\x83'b"},
    {"A'\xCC\x81\xCE\xA3 B", "a'\xCC\x81\xCF\x82 b"}, /* and before */
    {"1\xCE\xA3", "1\xCF\x83"},                       /* a digit is not Cased */
    {"\xCE\xA3\xCE\xA3", "\xCF\x83\xCF\x82"},         /* each is Cased for the other */
    {"A.\xCE\xA3", "a.\xCF\x82"},                     /* a full stop is Case_Ignorable */
    {"\xF0\x90\x90\x80", "\xF0\x90\x90\xA8"},         /* beyond the first plane */
};

static void test_lower(void **state)
{
	(void)state;
	struct gm_buf out;
	gm_buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof lower_cases / sizeof lower_cases[0]; i++) {
		const uint8_t *text = (const uint8_t *)lower_cases[i].text;
		for (int general = 0; general < 2; general++) {
			out.len = 0;
			enum gm_code rc = (general != 0 ? gm_unicode_lower_general
			                                : gm_unicode_lower)(text, strlen(lower_cases[i].text), &out, NULL);
			assert_int_equal(rc, GM_OK);
			assert_int_equal(out.len, strlen(lower_cases[i].lower));
			if (out.len > 0) assert_memory_equal(out.data, lower_cases[i].lower, out.len);
		}
	}
	gm_buf_release(&out);
}

static void test_white_space(void **state)
{
	(void)state;
	static const uint32_t ranges[][2] = {
	    {0x09, 0x0D},     {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
	    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
	};
	size_t range = 0, count = sizeof ranges / sizeof ranges[0];
	for (uint32_t code_point = 0; code_point <= 0x10FFFF; code_point++) {
		while (range < count && code_point > ranges[range][1]) range++;
		bool space = range < count && code_point >= ranges[range][0];
		assert_int_equal(gm_unicode_is_space(code_point), space);
	}
}

static void test_words_and_digits(void **state)
{
	(void)state;
	static const struct {
		uint32_t code_point;
		bool word;
		int digit;
	} cases[] = {
	    {'_', true, -1},      {'0', true, 0},        {'9', true, 9},      {'z', true, -1},      {'-', false, -1},
	    {0x660, true, 0},     {0x669, true, 9},      {0x966, true, 0},    {0xFF15, true, 5},    {0x1D7FF, true, 9},
	    {0xB2, true, -1},     {0xBD, true, -1},      {0x2160, true, -1},  {0x2460, true, -1},   {0x3007, true, -1},
	    {0x4E00, true, -1},   {0x203F, false, -1},   {0x301, false, -1},  {0x903, false, -1},   {0xFFFD, false, -1},
	    {0x1F600, false, -1}, {0x10FFFF, false, -1}, {0xD800, false, -1}, {0x11F50, false, -1}, /* assigned in 15.0 */
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(gm_unicode_is_word(cases[i].code_point), cases[i].word);
		assert_int_equal(gm_unicode_digit_value(cases[i].code_point), cases[i].digit);
		assert_int_equal(gm_unicode_is_digit(cases[i].code_point), cases[i].digit >= 0);
	}
}

static void test_simple_case(void **state)
{
	(void)state;
	/* UnicodeData.txt 14.0.0, fields 12 and 13. */
	static const uint32_t cases[][3] = {
	    {'A', 'A', 'a'},        {'a', 'A', 'a'},          {'[', '[', '['},          {0xDF, 0xDF, 0xDF},
	    {0x1E9E, 0x1E9E, 0xDF}, {0x130, 0x130, 'i'},      {0x131, 'I', 0x131},      {0x17F, 'S', 0x17F},
	    {0x1C5, 0x1C4, 0x1C6},  {0x1FB3, 0x1FBC, 0x1FB3}, {0x1FBC, 0x1FBC, 0x1FB3}, {0x3C2, 0x3A3, 0x3C2},
	    {0x149, 0x149, 0x149},  {0x390, 0x390, 0x390},    {0xFB00, 0xFB00, 0xFB00}, {0xB5, 0x39C, 0xB5},
	    {0xFF, 0x178, 0xFF},    {0x10D0, 0x1C90, 0x10D0}, {0xAB70, 0x13A0, 0xAB70}, {0x13A0, 0x13A0, 0xAB70},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(gm_unicode_simple_upper(cases[i][0]), cases[i][1]);
		assert_int_equal(gm_unicode_simple_lower(cases[i][0]), cases[i][2]);
	}
}

static void test_ascii_case(void **state)
{
	(void)state;
	uint8_t text[300], lower[300], upper[300];
	for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)i;
	for (size_t n = 0; n <= sizeof text; n++) {
		assert_int_equal(gm_ascii_lower(lower, text, n), n <= 128);
		assert_int_equal(gm_ascii_upper(upper, text, n), n <= 128);
		for (size_t i = 0; i < n; i++) {
			uint8_t byte = (uint8_t)i;
			assert_int_equal(lower[i], byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
			assert_int_equal(upper[i], byte >= 'a' && byte <= 'z' ? byte - 32 : byte);
		}
	}
	assert_false(gm_ascii_lower(text, text, sizeof text)); /* in place */
	assert_memory_equal(text, lower, sizeof text);
}

static void test_length(void **state)
{
	(void)state;
	assert_int_equal(gm_utf8_length((const uint8_t *)"", 0), 0);
	assert_int_equal(gm_utf8_length((const uint8_t *)"a\xC3\xA9\xF0\x9F\x98\x80z", 8), 4);
	assert_int_equal(gm_utf8_length((const uint8_t *)"a\xF0\x9Fz\x80", 5), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lower),       cmocka_unit_test(test_white_space), cmocka_unit_test(test_words_and_digits),
	    cmocka_unit_test(test_simple_case), cmocka_unit_test(test_ascii_case),  cmocka_unit_test(test_length),
	};
	return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
