/* time.h - civil dates (proleptic Gregorian, UTC, no leap seconds) and their spelling.
 *
 * Times are int64 microseconds since 1970-01-01T00:00:00Z, dates are days since 1970-01-01; every int64 is a valid
 * time. Everything here is a pure function: no clock, no locale, no time zone files. */
#ifndef GM_BASE_TIME_H
#define GM_BASE_TIME_H

#include "base/arena.h"

#define GM_US_PER_SECOND INT64_C(1000000)
#define GM_US_PER_HOUR   INT64_C(3600000000)
#define GM_US_PER_DAY    INT64_C(86400000000)
/* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what tables hold. */
#define GM_TIME_MIN INT64_C(-62135596800000000)
#define GM_TIME_MAX INT64_C(253402300799999999)

struct gm_civil {
	int32_t year;
	int32_t month, day;           /* from 1 */
	int32_t hour, minute, second; /* 0..23, 0..59, 0..59 */
	int32_t microsecond;          /* 0..999999 */
};

/* Days since 1970 of a date; month 1..12, day any (the 32nd is the next month's first). */
int64_t gm_days_from_civil(int32_t year, int32_t month, int32_t day);
/* year, month and day of a date; the time of day is midnight. days within +-10^9. */
void gm_civil_from_days(int64_t days, struct gm_civil *civil);
void gm_civil_from_us(int64_t us, struct gm_civil *civil);
/* False if a field is out of range, the day is not in that month, or the time does not fit. */
bool gm_us_from_civil(const struct gm_civil *civil, int64_t *us);
int32_t gm_days_in_month(int32_t year, int32_t month);
/* The day of a time, rounded toward minus infinity. */
int64_t gm_days_from_us(int64_t us);
/* 0 = Monday .. 6 = Sunday. */
int32_t gm_weekday(int64_t days);
/* ISO 8601: week 1 holds the year's first Thursday. Returns 1..53 and that week's year. */
int32_t gm_iso_week(int64_t days, int32_t *week_year);

enum { GM_TIME_TEXT_BYTES = 40 };
/* "2024-03-10T22:01:24.084000Z" with `digits` (0..6) digits of the second's fraction, which is cut, not rounded. Years
 * beyond 9999 or before 0 get a sign. Returns the length; out is NUL-terminated. */
size_t gm_time_format_iso(int64_t us, int digits, char out[GM_TIME_TEXT_BYTES]);
/* "2024-03-10" */
size_t gm_date_format_iso(int64_t days, char out[GM_TIME_TEXT_BYTES]);

/* ISO 8601: YYYY[-MM[-DD]], then perhaps T, t or one space and HH[:MM[:SS[.f...]]], then perhaps a zone: Z, z, +HH,
 * +HHMM, +HH:MM (UTC without one). Digits past the microsecond are cut. False for all else. */
bool gm_time_parse_iso(const char *text, size_t n, int64_t *us);
/* "Tue, 24 Nov 2026 10:00:00 GMT", the form that HTTP prefers (RFC 9110, 5.6.7); no other. */
bool gm_time_parse_http(const char *text, int64_t *us);
/* YYYY-MM-DD exactly. */
bool gm_date_parse_iso(const char *text, size_t n, int64_t *days);

/* The patterns of date_format, as in MySQL and Trino: %a %b %c %d %e %f %H %h %I %i %j %k %l %M %m %p %r %S %s %T %v %W
 * %x %Y %y %%; an unknown letter stands for itself. */
/* VALUE if the pattern ends in a lone % or uses one of %D %U %u %V %w %X, which Trino refuses as well. */
enum gm_code gm_time_pattern_check(const uint8_t *pattern, size_t n, struct gm_error *err) GM_CHECK;
/* Whether what the pattern prints depends on the day alone. */
bool gm_time_pattern_day_grain(const uint8_t *pattern, size_t n);
/* Appends the time as the pattern says; fails as gm_time_pattern_check, or with out's limit. */
enum gm_code gm_time_format(int64_t us, const uint8_t *pattern, size_t n, struct gm_buf *out,
                            struct gm_error *err) GM_CHECK;

#endif
