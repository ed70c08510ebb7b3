#include "base/time.h"

#include <stdio.h>
#include <string.h>

enum { DAYS_PER_ERA = 146097, /* 400 years */ DAYS_TO_1970 = 719468 /* from 0000-03-01 */ };

static int64_t floor_div(int64_t a, int64_t b)
{
	int64_t quotient = a / b;
	return a % b < 0 ? quotient - 1 : quotient;
}

/* Years are counted from March here, so that the leap day is the last of its year. */
int64_t gm_days_from_civil(int32_t year, int32_t month, int32_t day)
{
	int64_t from_march = (int64_t)year - (month <= 2);
	int64_t era = floor_div(from_march, 400);
	int64_t year_of_era = from_march - era * 400;
	int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

void gm_civil_from_days(int64_t days, struct gm_civil *civil)
{
	int64_t from_march = days + DAYS_TO_1970;
	int64_t era = floor_div(from_march, DAYS_PER_ERA);
	int64_t day_of_era = from_march - era * DAYS_PER_ERA;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153; /* 0 = March */
	*civil = (struct gm_civil){.day = (int32_t)(day_of_year - (153 * month + 2) / 5 + 1)};
	civil->month = (int32_t)(month < 10 ? month + 3 : month - 9);
	civil->year = (int32_t)(year_of_era + era * 400 + (civil->month <= 2));
}

int64_t gm_days_from_us(int64_t us)
{
	return floor_div(us, GM_US_PER_DAY);
}

void gm_civil_from_us(int64_t us, struct gm_civil *civil)
{
	int64_t days = gm_days_from_us(us);
	/* Unsigned: the start of the first day of all lies before INT64_MIN. */
	int64_t rest = (int64_t)((uint64_t)us - (uint64_t)days * (uint64_t)GM_US_PER_DAY);
	gm_civil_from_days(days, civil);
	civil->microsecond = (int32_t)(rest % GM_US_PER_SECOND);
	int32_t seconds = (int32_t)(rest / GM_US_PER_SECOND);
	civil->hour = seconds / 3600;
	civil->minute = seconds / 60 % 60;
	civil->second = seconds % 60;
}

int32_t gm_days_in_month(int32_t year, int32_t month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return days[month - 1] + (month == 2 && leap);
}

bool gm_us_from_civil(const struct gm_civil *civil, int64_t *us)
{
	if (civil->month < 1 || civil->month > 12 || civil->day < 1) return false;
	if (civil->day > gm_days_in_month(civil->year, civil->month)) return false;
	if (civil->hour < 0 || civil->hour > 23 || civil->minute < 0 || civil->minute > 59) return false;
	if (civil->second < 0 || civil->second > 59 || civil->microsecond < 0 || civil->microsecond > 999999) return false;
	int64_t days = gm_days_from_civil(civil->year, civil->month, civil->day);
	int64_t rest = (civil->hour * 3600 + civil->minute * 60 + civil->second) * GM_US_PER_SECOND + civil->microsecond;
	if (days < 0) { /* so that the start of the first day does not overflow */
		days++;
		rest -= GM_US_PER_DAY;
	}
	return !__builtin_mul_overflow(days, GM_US_PER_DAY, us) && !__builtin_add_overflow(*us, rest, us);
}

int32_t gm_weekday(int64_t days)
{
	int64_t from_thursday = days % 7; /* 1970-01-01 */
	return (int32_t)((from_thursday + 7 + 3) % 7);
}

int32_t gm_iso_week(int64_t days, int32_t *week_year)
{
	struct gm_civil thursday;
	int64_t at = days - gm_weekday(days) + 3;
	gm_civil_from_days(at, &thursday);
	*week_year = thursday.year;
	return (int32_t)((at - gm_days_from_civil(thursday.year, 1, 1)) / 7 + 1);
}

/* --- ISO 8601 ----------------------------------------------------------------------------------------------------- */

static int print_date(const struct gm_civil *civil, char *out, size_t room)
{
	const char *format = civil->year < 0 || civil->year > 9999 ? "%+05d-%02d-%02d" : "%04d-%02d-%02d";
	return snprintf(out, room, format, civil->year, civil->month, civil->day);
}

size_t gm_date_format_iso(int64_t days, char out[GM_TIME_TEXT_BYTES])
{
	struct gm_civil civil;
	gm_civil_from_days(days, &civil);
	return (size_t)print_date(&civil, out, GM_TIME_TEXT_BYTES);
}

size_t gm_time_format_iso(int64_t us, int digits, char out[GM_TIME_TEXT_BYTES])
{
	struct gm_civil civil;
	gm_civil_from_us(us, &civil);
	size_t n = (size_t)print_date(&civil, out, GM_TIME_TEXT_BYTES);
	n += (size_t)snprintf(out + n, GM_TIME_TEXT_BYTES - n, "T%02d:%02d:%02d.%06d", civil.hour, civil.minute,
	                      civil.second, civil.microsecond);
	n -= digits <= 0 ? 7 : digits >= 6 ? 0 : (size_t)(6 - digits);
	out[n++] = 'Z';
	out[n] = '\0';
	return n;
}

struct reader {
	const char *at, *end;
};

/* Exactly `count` digits. */
static bool read_number(struct reader *reader, int count, int32_t *value)
{
	if (reader->end - reader->at < count) return false;
	*value = 0;
	for (int i = 0; i < count; i++) {
		char c = *reader->at++;
		if (c < '0' || c > '9') return false;
		*value = *value * 10 + (c - '0');
	}
	return true;
}

static bool read_char(struct reader *reader, char c)
{
	if (reader->at == reader->end || *reader->at != c) return false;
	reader->at++;
	return true;
}

static bool read_date(struct reader *reader, struct gm_civil *civil)
{
	civil->month = civil->day = 1;
	if (!read_number(reader, 4, &civil->year)) return false;
	if (!read_char(reader, '-')) return true;
	if (!read_number(reader, 2, &civil->month)) return false;
	return !read_char(reader, '-') || read_number(reader, 2, &civil->day);
}

static bool read_fraction(struct reader *reader, int32_t *microsecond)
{
	int32_t scale = 100000;
	const char *start = reader->at;
	for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++, scale /= 10)
		*microsecond += (*reader->at - '0') * scale;
	return reader->at > start;
}

static bool read_time_of_day(struct reader *reader, struct gm_civil *civil)
{
	if (!read_number(reader, 2, &civil->hour)) return false;
	if (!read_char(reader, ':')) return true;
	if (!read_number(reader, 2, &civil->minute)) return false;
	if (!read_char(reader, ':')) return true;
	if (!read_number(reader, 2, &civil->second)) return false;
	return !read_char(reader, '.') || read_fraction(reader, &civil->microsecond);
}

static bool read_zone(struct reader *reader, int64_t *offset_us)
{
	*offset_us = 0;
	if (reader->at == reader->end || read_char(reader, 'Z') || read_char(reader, 'z')) return true;
	bool minus = read_char(reader, '-');
	int32_t hours, minutes = 0;
	if (!minus && !read_char(reader, '+')) return false;
	if (!read_number(reader, 2, &hours)) return false;
	if (read_char(reader, ':') || reader->at < reader->end) {
		if (!read_number(reader, 2, &minutes)) return false;
	}
	if (hours > 23 || minutes > 59) return false;
	*offset_us = (minus ? -1 : 1) * (hours * 3600 + minutes * 60) * GM_US_PER_SECOND;
	return true;
}

bool gm_time_parse_iso(const char *text, size_t n, int64_t *us)
{
	struct reader reader = {text, text + n};
	struct gm_civil civil = {0};
	int64_t offset_us = 0;
	if (!read_date(&reader, &civil)) return false;
	if (read_char(&reader, 'T') || read_char(&reader, 't') || read_char(&reader, ' ')) {
		if (!read_time_of_day(&reader, &civil) || !read_zone(&reader, &offset_us)) return false;
	}
	if (reader.at != reader.end || !gm_us_from_civil(&civil, us)) return false;
	*us -= offset_us; /* four digits of a year: far from any overflow */
	return true;
}

/* A number of n digits; -1: it is none. */
static int32_t fixed_number(const char *text, size_t n)
{
	int32_t number = 0;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9') return -1;
		number = number * 10 + (text[i] - '0');
	}
	return number;
}

bool gm_time_parse_http(const char *text, int64_t *us)
{
	static const char form[] = "___, __ ___ ____ __:__:__ GMT", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct gm_civil civil = {0};
	if (strlen(text) != sizeof form - 1) return false;
	for (size_t i = 0; form[i] != '\0'; i++)
		if (form[i] != '_' && form[i] != text[i]) return false;
	while (civil.month < 12 && memcmp(text + 8, months + 3 * civil.month, 3) != 0) civil.month++;
	civil.month++; /* 13: there is no such month */
	civil.day = fixed_number(text + 5, 2);
	civil.year = fixed_number(text + 12, 4);
	civil.hour = fixed_number(text + 17, 2);
	civil.minute = fixed_number(text + 20, 2);
	civil.second = fixed_number(text + 23, 2);
	return civil.year >= 0 && gm_us_from_civil(&civil, us);
}

bool gm_date_parse_iso(const char *text, size_t n, int64_t *days)
{
	struct reader reader = {text, text + n};
	struct gm_civil civil = {0};
	int64_t us;
	if (n != 10 || !read_date(&reader, &civil) || reader.at != reader.end || !gm_us_from_civil(&civil, &us))
		return false;
	*days = gm_days_from_us(us);
	return true;
}

/* --- date_format -------------------------------------------------------------------------------------------------- */

enum gm_code gm_time_pattern_check(const uint8_t *pattern, size_t n, struct gm_error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (pattern[i] != '%') continue;
		if (++i == n) GM_FAIL(err, GM_VALUE, "a date pattern ends in a lone %%");
		if (memchr("DUuVwX", pattern[i], 6) != NULL)
			GM_FAIL(err, GM_VALUE, "%%%c is not supported in a date pattern", pattern[i]);
	}
	return GM_OK;
}

bool gm_time_pattern_day_grain(const uint8_t *pattern, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		if (pattern[i] != '%') continue;
		if (memchr("fHhIiklprSsT", pattern[++i], 12) != NULL) return false;
	}
	return true;
}

static enum gm_code append_name(const char *name, size_t n, struct gm_buf *out, struct gm_error *err)
{
	return gm_buf_append(out, name, n > 0 ? n : strlen(name), err);
}

static enum gm_code append_number(int32_t number, int digits, struct gm_buf *out, struct gm_error *err)
{
	char text[16];
	int n = snprintf(text, sizeof text, "%0*d", digits, number);
	return gm_buf_append(out, text, (size_t)n, err);
}

static enum gm_code append_clock(const struct gm_civil *civil, int32_t hour, struct gm_buf *out, struct gm_error *err)
{
	char text[48];
	int n = snprintf(text, sizeof text, "%02d:%02d:%02d", hour, civil->minute, civil->second);
	return gm_buf_append(out, text, (size_t)n, err);
}

/* One directive of a pattern that gm_time_pattern_check has seen. */
static enum gm_code append_directive(const struct gm_civil *civil, uint8_t letter, struct gm_buf *out,
                                     struct gm_error *err)
{
	static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
	                                     "July",    "August",   "September", "October", "November", "December"};
	static const char *const weekdays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
	                                       "Friday", "Saturday", "Sunday"};
	int64_t days = gm_days_from_civil(civil->year, civil->month, civil->day);
	int32_t hour12 = civil->hour % 12 == 0 ? 12 : civil->hour % 12, week_year;
	int32_t week = gm_iso_week(days, &week_year);
	const char *half = civil->hour < 12 ? "AM" : "PM";
	switch (letter) {
	case 'Y': return append_number(civil->year, 4, out, err);
	case 'y': return append_number((civil->year % 100 + 100) % 100, 2, out, err);
	case 'm': return append_number(civil->month, 2, out, err);
	case 'c': return append_number(civil->month, 1, out, err);
	case 'd': return append_number(civil->day, 2, out, err);
	case 'e': return append_number(civil->day, 1, out, err);
	case 'H': return append_number(civil->hour, 2, out, err);
	case 'k': return append_number(civil->hour, 1, out, err);
	case 'h':
	case 'I': return append_number(hour12, 2, out, err);
	case 'l': return append_number(hour12, 1, out, err);
	case 'i': return append_number(civil->minute, 2, out, err);
	case 'S':
	case 's': return append_number(civil->second, 2, out, err);
	case 'f': return append_number(civil->microsecond, 6, out, err);
	case 'j': return append_number((int32_t)(days - gm_days_from_civil(civil->year, 1, 1)) + 1, 3, out, err);
	case 'v': return append_number(week, 2, out, err);
	case 'x': return append_number(week_year, 4, out, err);
	case 'p': return append_name(half, 2, out, err);
	case 'T': return append_clock(civil, civil->hour, out, err);
	case 'r':
		GM_TRY(append_clock(civil, hour12, out, err));
		GM_TRY(gm_buf_append(out, " ", 1, err));
		return append_name(half, 2, out, err);
	case 'M': return append_name(months[civil->month - 1], 0, out, err);
	case 'b': return append_name(months[civil->month - 1], 3, out, err);
	case 'W': return append_name(weekdays[gm_weekday(days)], 0, out, err);
	case 'a': return append_name(weekdays[gm_weekday(days)], 3, out, err);
	default: return gm_buf_append(out, &letter, 1, err);
	}
}

enum gm_code gm_time_format(int64_t us, const uint8_t *pattern, size_t n, struct gm_buf *out, struct gm_error *err)
{
	struct gm_civil civil;
	GM_TRY(gm_time_pattern_check(pattern, n, err));
	gm_civil_from_us(us, &civil);
	for (size_t i = 0; i < n; i++) {
		if (pattern[i] == '%')
			GM_TRY(append_directive(&civil, pattern[++i], out, err));
		else
			GM_TRY(gm_buf_append(out, pattern + i, 1, err));
	}
	return GM_OK;
}
