/* CAST. What Trino accepts, but for one thing: texts that are not exactly a value of the type are refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/time.h"
#include "job/expr_eval.h"

static enum gm_code refuse(const struct gm_value *value, enum gm_type type, struct gm_error *err)
{
	char text[48];
	size_t n = 0;
	for (uint32_t i = 0; i < value->len && n < sizeof text - 8; i++) {
		uint8_t c = value->bytes[i];
		text[n++] = c >= 0x20 && c < 0x7F ? (char)c : '?';
	}
	text[n] = '\0';
	const char *more = value->len > n ? "..." : "";
	GM_FAIL(err, GM_VALUE, "the text '%s%s' is not %s", text, more, gm_type_name(type));
}

static enum gm_code out_of_range(enum gm_type type, struct gm_error *err)
{
	GM_FAIL(err, GM_VALUE, "the number does not fit %s", gm_type_name(type));
}

/* [+-]digits, all of it, within 64 bits. */
static bool parse_integer(const uint8_t *bytes, size_t n, int64_t *out)
{
	bool negative = n > 0 && bytes[0] == '-';
	size_t i = n > 0 && (bytes[0] == '-' || bytes[0] == '+');
	int64_t value = 0;
	if (i == n) return false;
	for (; i < n; i++) {
		if (bytes[i] < '0' || bytes[i] > '9') return false;
		int64_t digit = bytes[i] - '0';
		if (__builtin_mul_overflow(value, 10, &value)) return false;
		if (__builtin_sub_overflow(value, digit, &value)) return false; /* downwards: the smallest has no positive */
	}
	*out = value;
	return negative || !__builtin_sub_overflow(0, value, out);
}

static size_t skip_digits(const uint8_t *bytes, size_t n, size_t at)
{
	while (at < n && bytes[at] >= '0' && bytes[at] <= '9') at++;
	return at;
}

/* [+-]digits[.digits][e[+-]digits], digits on one side of the point at least: all of it. */
static bool is_decimal(const uint8_t *bytes, size_t n)
{
	size_t i = n > 0 && (bytes[0] == '-' || bytes[0] == '+');
	size_t start = i;
	i = skip_digits(bytes, n, i);
	size_t digits = i - start;
	if (i < n && bytes[i] == '.') {
		start = ++i;
		i = skip_digits(bytes, n, i);
		digits += i - start;
	}
	if (digits == 0) return false;
	if (i < n && (bytes[i] == 'e' || bytes[i] == 'E')) {
		i++;
		if (i < n && (bytes[i] == '-' || bytes[i] == '+')) i++;
		start = i;
		i = skip_digits(bytes, n, i);
		if (i == start) return false;
	}
	return i == n;
}

static bool parse_double(const uint8_t *bytes, size_t n, double *out)
{
	enum { LONGEST = 400 };
	char text[LONGEST + 1];
	if (n > LONGEST || !is_decimal(bytes, n)) return false;
	memcpy(text, bytes, n);
	text[n] = '\0';
	char *end;
	*out = strtod(text, &end);
	return *end == '\0' && isfinite(*out);
}

static bool parse_boolean(const uint8_t *bytes, size_t n, bool *out)
{
	static const char *const words[] = {"false", "true", "f", "t", "0", "1"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strlen(words[i]) != n || strncasecmp(words[i], (const char *)bytes, n) != 0) continue;
		*out = i % 2 == 1;
		return true;
	}
	return false;
}

static enum gm_code from_string(const struct gm_value *value, enum gm_type type, struct gm_value *result,
                                struct gm_error *err)
{
	bool known = false;
	switch (type) {
	case GM_TYPE_BOOLEAN: known = parse_boolean(value->bytes, value->len, &result->boolean); break;
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT:
		known = parse_integer(value->bytes, value->len, &result->i64);
		if (type == GM_TYPE_INT) known = known && result->i64 >= INT32_MIN && result->i64 <= INT32_MAX;
		break;
	case GM_TYPE_DOUBLE: known = parse_double(value->bytes, value->len, &result->f64); break;
	case GM_TYPE_DATE: known = gm_date_parse_iso((const char *)value->bytes, value->len, &result->i64); break;
	case GM_TYPE_TIMESTAMP:
		known = gm_time_parse_iso((const char *)value->bytes, value->len, &result->i64);
		known = known && result->i64 >= GM_TIME_MIN && result->i64 <= GM_TIME_MAX;
		break;
	case GM_TYPE_STRING: break;
	}
	return known ? GM_OK : refuse(value, type, err);
}

/* The shortest decimal digits that read back as the value, laid out as Java (and so Trino) does: 0.001 <= x < 10^7
 * plainly with at least one digit behind the point, else as d.dddE-n. */
static enum gm_code append_double(struct gm_buf *out, double value, struct gm_error *err)
{
	char text[40];
	int precision = 0;
	if (isnan(value)) return gm_buf_printf(out, err, "NaN");
	if (isinf(value)) return gm_buf_printf(out, err, value < 0 ? "-Infinity" : "Infinity");
	do {
		(void)snprintf(text, sizeof text, "%.*e", precision, value);
	} while (strtod(text, NULL) != value && ++precision < 17);
	char digits[24];
	size_t n = 0;
	char *at = text;
	for (; *at != 'e'; at++)
		if (*at >= '0' && *at <= '9') digits[n++] = *at;
	int exponent = (int)strtol(at + 1, NULL, 10);
	while (n > 1 && digits[n - 1] == '0') n--;
	digits[n] = '\0';
	if (signbit(value)) GM_TRY(gm_buf_append(out, "-", 1, err));
	if (value == 0) return gm_buf_printf(out, err, "0.0");
	if (exponent < -3 || exponent >= 7)
		return gm_buf_printf(out, err, "%c.%sE%d", digits[0], n > 1 ? digits + 1 : "0", exponent);
	if (exponent < 0) return gm_buf_printf(out, err, "0.%.*s%s", -exponent - 1, "000", digits);
	size_t whole = (size_t)exponent + 1;
	if (n > whole) return gm_buf_printf(out, err, "%.*s.%s", (int)whole, digits, digits + whole);
	return gm_buf_printf(out, err, "%s%.*s.0", digits, (int)(whole - n), "000000");
}

static enum gm_code append_timestamp(struct gm_buf *out, int64_t us, struct gm_error *err)
{
	char text[GM_TIME_TEXT_BYTES];
	size_t n = gm_time_format_iso(us, 6, text);
	char *t = memchr(text, 'T', n);
	if (t != NULL) *t = ' ';
	return gm_buf_append(out, text, n - 1, err); /* without the Z */
}

static enum gm_code to_string(const struct gm_value *value, struct gm_buf *out, struct gm_value *result,
                              struct gm_error *err)
{
	char text[GM_TIME_TEXT_BYTES];
	switch (value->type) {
	case GM_TYPE_BOOLEAN: GM_TRY(gm_buf_printf(out, err, value->boolean ? "true" : "false")); break;
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT: GM_TRY(gm_buf_printf(out, err, "%lld", (long long)value->i64)); break;
	case GM_TYPE_DOUBLE: GM_TRY(append_double(out, value->f64, err)); break;
	case GM_TYPE_DATE: GM_TRY(gm_buf_append(out, text, gm_date_format_iso(value->i64, text), err)); break;
	case GM_TYPE_TIMESTAMP: GM_TRY(append_timestamp(out, value->i64, err)); break;
	case GM_TYPE_STRING: break;
	}
	result->bytes = out->data;
	result->len = (uint32_t)out->len;
	return GM_OK;
}

/* To the nearest, halves away from zero. */
static enum gm_code double_to_integer(double value, enum gm_type type, struct gm_value *result, struct gm_error *err)
{
	double rounded = round(value);
	if (!(rounded >= -9223372036854775808.0 && rounded < 9223372036854775808.0)) return out_of_range(type, err);
	result->i64 = (int64_t)rounded;
	return GM_OK;
}

static enum gm_code from_number(const struct gm_value *value, enum gm_type type, struct gm_value *result,
                                struct gm_error *err)
{
	bool is_double = value->type == GM_TYPE_DOUBLE;
	int64_t integer = value->type == GM_TYPE_BOOLEAN ? value->boolean : value->i64;
	switch (type) {
	case GM_TYPE_BOOLEAN: result->boolean = is_double ? value->f64 != 0 : integer != 0; return GM_OK;
	case GM_TYPE_DOUBLE: result->f64 = is_double ? value->f64 : (double)integer; return GM_OK;
	default: break;
	}
	result->i64 = integer;
	if (is_double) GM_TRY(double_to_integer(value->f64, type, result, err));
	bool fits = type == GM_TYPE_BIGINT || (result->i64 >= INT32_MIN && result->i64 <= INT32_MAX);
	return fits ? GM_OK : out_of_range(type, err);
}

enum gm_code gm_expr_cast(const struct gm_value *value, enum gm_type type, struct gm_function_scratch *scratch,
                          struct gm_value *result, struct gm_error *err)
{
	*result = (struct gm_value){.type = type};
	if (type == GM_TYPE_STRING) return to_string(value, &scratch->out, result, err);
	if (value->type == GM_TYPE_STRING) return from_string(value, type, result, err);
	if (value->type == GM_TYPE_DATE || value->type == GM_TYPE_TIMESTAMP) {
		bool to_date = value->type == GM_TYPE_TIMESTAMP && type == GM_TYPE_DATE;
		bool to_time = value->type == GM_TYPE_DATE && type == GM_TYPE_TIMESTAMP;
		result->i64 = value->i64;
		if (to_date) result->i64 = gm_days_from_us(value->i64);
		if (to_time) result->i64 = value->i64 * GM_US_PER_DAY;
		return GM_OK;
	}
	return from_number(value, type, result, err);
}
