/* Functions of time, as Trino's, over microseconds UTC: there is one time zone, and tables hold the years 1 to 9999. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "job/functions/result.h"

static enum gm_code timestamp(struct gm_value *result, int64_t us, const char *function, struct gm_error *err)
{
	if (us < GM_TIME_MIN || us > GM_TIME_MAX)
		GM_FAIL(err, GM_VALUE, "%s: the time lies outside the years 1 to 9999", function);
	*result = (struct gm_value){.type = GM_TYPE_TIMESTAMP, .i64 = us};
	return GM_OK;
}

/* A failure over a literal, which the checker finds before any run. */
static enum gm_code wrong_literal(enum gm_code code, struct gm_error *err)
{
	if (code == GM_VALUE && err != NULL) err->code = GM_JOB, err->column = 2;
	return code == GM_VALUE ? GM_JOB : code;
}

/* --- date_format -------------------------------------------------------------------------------------------------- */

struct format {
	size_t bytes;
	uint8_t pattern[];
};

static enum gm_code date_format_prepare(const struct gm_value *args, size_t count, void **state, bool *day_grain,
                                        struct gm_error *err)
{
	(void)count;
	GM_TRY(wrong_literal(gm_time_pattern_check(args[1].bytes, args[1].len, err), err));
	struct format *format = malloc(sizeof *format + args[1].len);
	if (format == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a date format");
	format->bytes = args[1].len;
	memcpy(format->pattern, args[1].bytes, args[1].len);
	*day_grain = gm_time_pattern_day_grain(format->pattern, format->bytes);
	*state = format;
	return GM_OK;
}

static enum gm_code date_format_call(void *state, struct gm_function_scratch *scratch, const struct gm_value *args,
                                     size_t count, struct gm_value *result, struct gm_error *err)
{
	const struct format *format = state;
	(void)count;
	GM_TRY(gm_time_format(args[0].i64, format->pattern, format->bytes, &scratch->out, err));
	return gm_result_out(result, scratch, err);
}

const struct gm_function_site gm_site_date_format = {
    .constant_args = 1 << 1, .prepare = date_format_prepare, .call = date_format_call, .release = free};

enum gm_code gm_fn_date_format(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                               struct gm_value *result, struct gm_error *err)
{
	(void)count;
	GM_TRY(gm_time_pattern_check(args[1].bytes, args[1].len, err));
	GM_TRY(gm_time_format(args[0].i64, args[1].bytes, args[1].len, &scratch->out, err));
	return gm_result_out(result, scratch, err);
}

/* --- date_trunc --------------------------------------------------------------------------------------------------- */

enum unit { UNIT_SECOND, UNIT_MINUTE, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_QUARTER, UNIT_YEAR, UNIT_NONE };
static const char *const unit_names[] = {"second", "minute", "hour", "day", "week", "month", "quarter", "year"};

static enum unit find_unit(const uint8_t *name, size_t bytes)
{
	for (enum unit unit = UNIT_SECOND; unit < UNIT_NONE; unit++) {
		if (strlen(unit_names[unit]) != bytes) continue;
		size_t same = 0;
		while (same < bytes && (name[same] | 0x20) == unit_names[unit][same]) same++;
		if (same == bytes) return unit;
	}
	return UNIT_NONE;
}

static enum gm_code unknown_unit(enum gm_code code, const struct gm_value *name, struct gm_error *err)
{
	(void)gm_error_set(err, code, "there is no unit '%.*s'", (int)(name->len < 20 ? name->len : 20), name->bytes);
	if (err != NULL) err->offset = 0, err->column = 1;
	return gm_error_hint(err, code, "units: second, minute, hour, day, week, month, quarter, year");
}

static int64_t floor_to(int64_t us, int64_t step)
{
	int64_t rest = us % step;
	return us - (rest < 0 ? rest + step : rest);
}

static int64_t truncate_to(enum unit unit, int64_t us)
{
	struct gm_civil civil;
	int64_t days = gm_days_from_us(us);
	switch (unit) {
	case UNIT_SECOND: return floor_to(us, GM_US_PER_SECOND);
	case UNIT_MINUTE: return floor_to(us, 60 * GM_US_PER_SECOND);
	case UNIT_HOUR: return floor_to(us, 3600 * GM_US_PER_SECOND);
	case UNIT_DAY: return days * GM_US_PER_DAY;
	case UNIT_WEEK: return (days - gm_weekday(days)) * GM_US_PER_DAY; /* weeks begin on Monday */
	default: break;
	}
	gm_civil_from_days(days, &civil);
	int32_t month = unit == UNIT_MONTH ? civil.month : unit == UNIT_QUARTER ? (civil.month - 1) / 3 * 3 + 1 : 1;
	return gm_days_from_civil(civil.year, month, 1) * GM_US_PER_DAY;
}

static enum gm_code date_trunc_prepare(const struct gm_value *args, size_t count, void **state, bool *day_grain,
                                       struct gm_error *err)
{
	(void)count;
	enum unit unit = find_unit(args[0].bytes, args[0].len), *kept;
	if (unit == UNIT_NONE) return unknown_unit(GM_JOB, &args[0], err);
	kept = malloc(sizeof *kept);
	if (kept == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a unit of time");
	*kept = unit;
	*day_grain = unit >= UNIT_DAY;
	*state = kept;
	return GM_OK;
}

static enum gm_code date_trunc_call(void *state, struct gm_function_scratch *scratch, const struct gm_value *args,
                                    size_t count, struct gm_value *result, struct gm_error *err)
{
	(void)scratch, (void)count;
	return timestamp(result, truncate_to(*(enum unit *)state, args[1].i64), "date_trunc", err);
}

const struct gm_function_site gm_site_date_trunc = {
    .constant_args = 1 << 0, .prepare = date_trunc_prepare, .call = date_trunc_call, .release = free};

enum gm_code gm_fn_date_trunc(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                              struct gm_value *result, struct gm_error *err)
{
	(void)scratch, (void)count;
	enum unit unit = find_unit(args[0].bytes, args[0].len);
	if (unit == UNIT_NONE) return unknown_unit(GM_VALUE, &args[0], err);
	return timestamp(result, truncate_to(unit, args[1].i64), "date_trunc", err);
}

/* --- Parts, and ways between times and numbers -------------------------------------------------------------------- */

enum gm_code gm_fn_year(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                        struct gm_value *result, struct gm_error *err)
{
	struct gm_civil civil;
	(void)scratch, (void)count, (void)err;
	gm_civil_from_us(args[0].i64, &civil);
	return gm_result_bigint(result, civil.year);
}

enum gm_code gm_fn_month(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                         struct gm_value *result, struct gm_error *err)
{
	struct gm_civil civil;
	(void)scratch, (void)count, (void)err;
	gm_civil_from_us(args[0].i64, &civil);
	return gm_result_bigint(result, civil.month);
}

enum gm_code gm_fn_day(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                       struct gm_value *result, struct gm_error *err)
{
	struct gm_civil civil;
	(void)scratch, (void)count, (void)err;
	gm_civil_from_us(args[0].i64, &civil);
	return gm_result_bigint(result, civil.day);
}

enum gm_code gm_fn_hour(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                        struct gm_value *result, struct gm_error *err)
{
	struct gm_civil civil;
	(void)scratch, (void)count, (void)err;
	gm_civil_from_us(args[0].i64, &civil);
	return gm_result_bigint(result, civil.hour);
}

enum gm_code gm_fn_date(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                        struct gm_value *result, struct gm_error *err)
{
	(void)scratch, (void)count, (void)err;
	*result = (struct gm_value){.type = GM_TYPE_DATE, .i64 = gm_days_from_us(args[0].i64)};
	return GM_OK;
}

/* Trino rounds to its time's precision, which is milliseconds; ours are microseconds. */
enum gm_code gm_fn_from_unixtime(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                 struct gm_value *result, struct gm_error *err)
{
	(void)scratch, (void)count;
	double us = round(args[0].f64 * 1e6);
	if (!(us >= (double)GM_TIME_MIN && us <= (double)GM_TIME_MAX))
		GM_FAIL(err, GM_VALUE, "from_unixtime: the time lies outside the years 1 to 9999");
	return timestamp(result, (int64_t)us, "from_unixtime", err);
}

enum gm_code gm_fn_to_unixtime(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                               struct gm_value *result, struct gm_error *err)
{
	(void)scratch, (void)count, (void)err;
	*result = (struct gm_value){.type = GM_TYPE_DOUBLE, .f64 = (double)args[0].i64 / 1e6};
	return GM_OK;
}

enum gm_code gm_fn_from_iso8601_timestamp(struct gm_function_scratch *scratch, const struct gm_value *args,
                                          size_t count, struct gm_value *result, struct gm_error *err)
{
	(void)scratch, (void)count;
	int64_t us;
	if (!gm_time_parse_iso((const char *)args[0].bytes, args[0].len, &us))
		GM_FAIL(err, GM_VALUE, "from_iso8601_timestamp: the text is not an ISO 8601 time");
	return timestamp(result, us, "from_iso8601_timestamp", err);
}
