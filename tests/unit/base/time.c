#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"

/* Against the C library's own calendar, over all years that tables hold and a little beyond. */
static void test_every_day(void **state)
{
	(void)state;
	for (int64_t days = -750000; days < 2950000; days++) {
		struct gm_civil civil;
		time_t seconds = (time_t)(days * 86400);
		struct tm tm;
		assert_non_null(gmtime_r(&seconds, &tm));
		gm_civil_from_days(days, &civil);
		if (civil.year != tm.tm_year + 1900 || civil.month != tm.tm_mon + 1 || civil.day != tm.tm_mday)
			fail_msg("day %lld", (long long)days);
		assert_int_equal(gm_days_from_civil(civil.year, civil.month, civil.day), days);
		assert_int_equal(gm_weekday(days), (tm.tm_wday + 6) % 7);
		assert_in_range(civil.day, 1, gm_days_in_month(civil.year, civil.month));
	}
}

static void test_iso_weeks(void **state)
{
	(void)state;
	for (int64_t days = -100000; days < 100000; days++) {
		time_t seconds = (time_t)(days * 86400);
		struct tm tm;
		char week[8], year[8];
		int32_t week_year, number = gm_iso_week(days, &week_year);
		assert_non_null(gmtime_r(&seconds, &tm));
		assert_int_not_equal(strftime(week, sizeof week, "%V", &tm), 0);
		assert_int_not_equal(strftime(year, sizeof year, "%G", &tm), 0);
		assert_int_equal(number, atoi(week));
		assert_int_equal(week_year, atoi(year));
	}
}

static void test_ends_of_time(void **state)
{
	(void)state;
	static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, GM_TIME_MIN - 1, GM_TIME_MIN, -1, 0,
	                                1,         GM_TIME_MAX,   GM_TIME_MAX + 1, INT64_MAX};
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		struct gm_civil civil;
		int64_t back;
		gm_civil_from_us(times[i], &civil);
		assert_true(gm_us_from_civil(&civil, &back));
		assert_int_equal(back, times[i]);
	}
	struct gm_civil civil;
	int64_t us;
	gm_civil_from_us(INT64_MAX, &civil);
	civil.microsecond++;
	assert_false(gm_us_from_civil(&civil, &us));
	gm_civil_from_us(INT64_MIN, &civil);
	civil.microsecond--;
	assert_false(gm_us_from_civil(&civil, &us));
	gm_civil_from_us(GM_TIME_MIN - 1, &civil);
	assert_int_equal(civil.year, 0);
	gm_civil_from_us(GM_TIME_MAX + 1, &civil);
	assert_int_equal(civil.year, 10000);
}

static void test_format(void **state)
{
	(void)state;
	static const struct {
		int64_t us;
		int digits;
		const char *text;
	} cases[] = {
	    {1710108084084000, 6, "2024-03-10T22:01:24.084000Z"},
	    {1710108084084999, 3, "2024-03-10T22:01:24.084Z"},
	    {1710108084084999, 0, "2024-03-10T22:01:24Z"},
	    {-1, 6, "1969-12-31T23:59:59.999999Z"},
	    {-1, 1, "1969-12-31T23:59:59.9Z"},
	    {GM_TIME_MIN, 0, "0001-01-01T00:00:00Z"},
	    {GM_TIME_MIN - 1, 6, "0000-12-31T23:59:59.999999Z"},
	    {GM_TIME_MAX + 1, 0, "+10000-01-01T00:00:00Z"},
	    {INT64_MAX, 6, "+294247-01-10T04:00:54.775807Z"},
	    {INT64_MIN, 6, "-290308-12-21T19:59:05.224192Z"},
	};
	char text[GM_TIME_TEXT_BYTES];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(gm_time_format_iso(cases[i].us, cases[i].digits, text), strlen(cases[i].text));
		assert_string_equal(text, cases[i].text);
	}
	assert_int_equal(gm_date_format_iso(19792, text), 10);
	assert_string_equal(text, "2024-03-10");
}

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {
	    {"2024-03-10T22:01:24.084Z", 1710108084084000},
	    {"2024-03-10t22:01:24.084z", 1710108084084000},
	    {"2024-03-10 22:01:24.0849999", 1710108084084999},
	    {"2024-03-10T22:01:24.08400000000000000000009", 1710108084084000},
	    {"2024-03-11T00:01:24.084+02:00", 1710108084084000},
	    {"2024-03-11T00:01:24.084+02", 1710108084084000},
	    {"2024-03-10T16:31:24.084-0530", 1710108084084000},
	    {"2024-03-10T22:01", 1710108060000000},
	    {"2024-03-10T22Z", 1710108000000000},
	    {"2024-03-10", 1710028800000000},
	    {"2024-03", 1709251200000000},
	    {"2024", 1704067200000000},
	    {"2024-02-29", 1709164800000000},
	    {"0001-01-01", GM_TIME_MIN},
	    {"9999-12-31T23:59:59.999999Z", GM_TIME_MAX},
	};
	static const char *const bad[] = {
	    "",
	    "2",
	    "202",
	    "2024-",
	    "2024-3",
	    "2024-13",
	    "2024-00",
	    "2024-02-30",
	    "2023-02-29",
	    "2024-03-00",
	    "2024-03-10T",
	    "2024-03-10T24:00",
	    "2024-03-10T22:60",
	    "2024-03-10T22:01:60",
	    "2024-03-10T22:01:24.",
	    "2024-03-10T22:01:24,5",
	    "2024-03-10T22:01:24+",
	    "2024-03-10T22:01:24+2",
	    "2024-03-10T22:01:24+02:",
	    "2024-03-10T22:01:24+02:0",
	    "2024-03-10T22:01:24+24:00",
	    "2024-03-10T22:01:24+02:60",
	    "2024-03-10T22:01:24Zx",
	    "2024-03-10Z",
	    " 2024-03-10",
	    "2024-03-10 ",
	    "20240310",
	    "+2024-03-10",
	    "-001-03-10",
	    "2024-03-10  22:01",
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		int64_t us = 0;
		if (!gm_time_parse_iso(good[i].text, strlen(good[i].text), &us)) fail_msg("%s", good[i].text);
		assert_int_equal(us, good[i].us);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int64_t us;
		if (gm_time_parse_iso(bad[i], strlen(bad[i]), &us)) fail_msg("%s was taken", bad[i]);
	}
	int64_t days;
	assert_true(gm_date_parse_iso("2024-03-10", 10, &days));
	assert_int_equal(days, 19792);
	assert_false(gm_date_parse_iso("2024-03", 7, &days));
	assert_false(gm_date_parse_iso("2024-03-1x", 10, &days));
	assert_false(gm_date_parse_iso("2024-02-30", 10, &days));
}

/* Expected values: what Trino's documentation says of date_format, for Sunday 2024-03-10 and the night of a New Year.
 */
static void test_patterns(void **state)
{
	(void)state;
	static const struct {
		int64_t us;
		const char *pattern, *text;
		bool day_grain;
	} cases[] = {
	    {1710108084084000, "%Y-%m-%d", "2024-03-10", true},
	    {1710108084084000, "%Y-%m-%d %H:%i:%s.%f", "2024-03-10 22:01:24.084000", false},
	    {1710108084084000, "%a %W %b %M %c %e %y %j", "Sun Sunday Mar March 3 10 24 070", true},
	    {1710108084084000, "%h %I %l %k %p %r %T %S", "10 10 10 22 PM 10:01:24 PM 22:01:24 24", false},
	    {1704067199999999, "%x-%v %j %H", "2023-52 365 23", false},
	    {1704067200000000, "%x-%v %h %l %k %p", "2024-01 12 12 0 AM", false},
	    {1710108084084000, "100%% %q\xC3\xA9%\xC3\xA9", "100% q\xC3\xA9\xC3\xA9", true},
	    {1710108084084000, "", "", true},
	    {GM_TIME_MIN, "%Y %y", "0001 01", true},
	};
	struct gm_buf out;
	gm_buf_init(&out, 200);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const uint8_t *pattern = (const uint8_t *)cases[i].pattern;
		size_t n = strlen(cases[i].pattern);
		out.len = 0;
		assert_int_equal(gm_time_format(cases[i].us, pattern, n, &out, NULL), GM_OK);
		assert_int_equal(out.len, strlen(cases[i].text));
		if (out.len > 0) assert_memory_equal(out.data, cases[i].text, out.len);
		assert_int_equal(gm_time_pattern_day_grain(pattern, n), cases[i].day_grain);
	}
	struct gm_error err;
	assert_int_equal(gm_time_format(0, (const uint8_t *)"%Y%", 3, &out, &err), GM_VALUE);
	assert_int_equal(gm_time_pattern_check((const uint8_t *)"%w", 2, &err), GM_VALUE);
	assert_string_equal(err.message, "%w is not supported in a date pattern");
	gm_buf_release(&out);
}

static void test_http_dates(void **state)
{
	static const char *const bad[] = {"",
	                                  "Tue, 24 Nov 2026 10:00:00",
	                                  "Tue, 24 Nov 2026 10:00:00 UTC",
	                                  "Tue, 24 Nov 2026 10:00:00 GMT ",
	                                  "Tue, 31 Nov 2026 10:00:00 GMT",
	                                  "Tue, 24 nov 2026 10:00:00 GMT",
	                                  "Tue, 24 Nov 2026 24:00:00 GMT",
	                                  "Tue, 24 Nov 2026 10:60:00 GMT",
	                                  "Tue, +4 Nov 2026 10:00:00 GMT",
	                                  "Tue, 24 Nov -026 10:00:00 GMT",
	                                  "Tuesday, 24-Nov-26 10:00:00 GMT"};
	int64_t us = 0;
	(void)state;
	assert_true(gm_time_parse_http("Sun, 06 Nov 1994 08:49:37 GMT", &us)); /* the example of RFC 9110 */
	assert_int_equal(us, INT64_C(784111777) * 1000000);
	assert_true(gm_time_parse_http("Thu, 01 Jan 1970 00:00:00 GMT", &us));
	assert_int_equal(us, 0);
	assert_true(gm_time_parse_http("Thu, 31 Dec 2026 23:59:59 GMT", &us));
	assert_int_equal(us, INT64_C(1798761599) * 1000000);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (gm_time_parse_http(bad[i], &us)) fail_msg("%s was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_day),  cmocka_unit_test(test_iso_weeks), cmocka_unit_test(test_ends_of_time),
	    cmocka_unit_test(test_format),     cmocka_unit_test(test_parse),     cmocka_unit_test(test_patterns),
	    cmocka_unit_test(test_http_dates),
	};
	return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
