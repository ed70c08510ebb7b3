#include "shred/convert.h"

#include "base/time.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

static bool is_digit(uint8_t byte)
{
	return (uint8_t)(byte - '0') <= 9;
}

static bool is_text_space(uint8_t byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void trim(const uint8_t **p, const uint8_t **end)
{
	while (*p < *end && is_text_space(**p)) ++*p;
	while (*p < *end && is_text_space((*end)[-1])) --*end;
}

static bool with_sign(uint64_t magnitude, bool negative, int64_t *out)
{
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)) return false;
	*out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

/* A decimal as written: digits (with at most one point among them) times ten to the exponent. */
struct decimal {
	const uint8_t *digits, *end; /* without sign and exponent */
	int64_t point;               /* how many of the digits stand before the decimal point, exponent applied */
	bool negative;
};

/* Exponents are cut off at a value that no text in memory can make up for with digits. */
static const int64_t exponent_limit = INT64_C(1) << 50;

static int64_t read_exponent(const uint8_t *p, const uint8_t *end)
{
	bool negative = *p == '-';
	if (*p == '-' || *p == '+') p++;
	int64_t value = 0;
	for (; p < end; p++)
		if (value < exponent_limit) value = value * 10 + (*p - '0');
	return negative ? -value : value;
}

static struct decimal read_decimal(const uint8_t *p, const uint8_t *end)
{
	struct decimal decimal = {.negative = *p == '-'};
	if (*p == '-' || *p == '+') p++;
	decimal.digits = p;
	while (p < end && is_digit(*p)) p++;
	decimal.point = p - decimal.digits;
	if (p < end && *p == '.')
		for (p++; p < end && is_digit(*p);) p++;
	decimal.end = p;
	if (p < end) decimal.point += read_exponent(p + 1, end);
	return decimal;
}

bool gm_number_to_integer(const uint8_t *p, const uint8_t *end, bool floor, int64_t *out)
{
	struct decimal decimal = read_decimal(p, end);
	uint64_t magnitude = 0;
	int64_t index = 0;
	bool fraction = false;
	for (p = decimal.digits; p < decimal.end; p++) {
		if (*p == '.') continue;
		if (index++ >= decimal.point) {
			fraction |= *p != '0';
		} else if (__builtin_mul_overflow(magnitude, (uint64_t)10, &magnitude) ||
		           __builtin_add_overflow(magnitude, (uint64_t)(*p - '0'), &magnitude)) {
			return false;
		}
	}
	/* Zeros that the exponent adds behind the last digit. */
	for (; magnitude != 0 && index < decimal.point; index++)
		if (__builtin_mul_overflow(magnitude, (uint64_t)10, &magnitude)) return false;
	if (fraction && !floor) return false;
	if (fraction && decimal.negative && __builtin_add_overflow(magnitude, (uint64_t)1, &magnitude)) return false;
	return with_sign(magnitude, decimal.negative, out);
}

bool gm_text_to_integer(const uint8_t *p, const uint8_t *end, int64_t *out)
{
	trim(&p, &end);
	bool negative = p < end && *p == '-';
	if (p < end && (*p == '-' || *p == '+')) p++;
	if (p == end) return false;
	uint64_t magnitude = 0;
	for (; p < end; p++) {
		if (!is_digit(*p) || __builtin_mul_overflow(magnitude, (uint64_t)10, &magnitude) ||
		    __builtin_add_overflow(magnitude, (uint64_t)(*p - '0'), &magnitude))
			return false;
	}
	return with_sign(magnitude, negative, out);
}

/* Up to 15 digits and a power of ten up to 22 are both exact in a double, so that one operation rounds once. */
static bool small_double(const struct decimal *decimal, double *out)
{
	static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
	                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	if (decimal->end - decimal->digits > 16) return false;
	uint64_t value = 0;
	int64_t count = 0;
	for (const uint8_t *p = decimal->digits; p < decimal->end; p++) {
		if (*p == '.') continue;
		value = value * 10 + (uint64_t)(*p - '0');
		count++;
	}
	int64_t scale = decimal->point - count;
	if (count > 15 || scale < -22 || scale > 22) return false;
	double result = scale < 0 ? (double)value / powers[-scale] : (double)value * powers[scale];
	*out = decimal->negative ? -result : result;
	return true;
}

bool gm_number_to_double(const uint8_t *p, const uint8_t *end, locale_t c, double *out)
{
	struct decimal decimal = read_decimal(p, end);
	if (small_double(&decimal, out)) return true;
	double value = strtod_l((const char *)p, NULL, c);
	if (isinf(value)) return false;
	*out = value;
	return true;
}

bool gm_text_to_double(const uint8_t *p, const uint8_t *end, locale_t c, double *out)
{
	trim(&p, &end);
	const uint8_t *at = p;
	if (at < end && (*at == '-' || *at == '+')) at++;
	const uint8_t *digits = at;
	while (at < end && is_digit(*at)) at++;
	if (at == digits) return false;
	if (at < end && *at == '.') {
		digits = ++at;
		while (at < end && is_digit(*at)) at++;
		if (at == digits) return false;
	}
	if (at < end && (*at | 0x20) == 'e') {
		at++;
		if (at < end && (*at == '-' || *at == '+')) at++;
		digits = at;
		while (at < end && is_digit(*at)) at++;
		if (at == digits) return false;
	}
	return at == end && gm_number_to_double(p, end, c, out);
}

bool gm_text_to_boolean(const uint8_t *p, const uint8_t *end, bool *out)
{
	size_t n = (size_t)(end - p);
	bool yes = n == 4 && strncasecmp((const char *)p, "true", 4) == 0;
	if (!yes && (n != 5 || strncasecmp((const char *)p, "false", 5) != 0)) return false;
	*out = yes;
	return true;
}

bool gm_text_to_date(const uint8_t *p, const uint8_t *end, int64_t *out)
{
	int64_t days;
	if (!gm_date_parse_iso((const char *)p, (size_t)(end - p), &days)) return false;
	if (days < GM_TIME_MIN / GM_US_PER_DAY || days > GM_TIME_MAX / GM_US_PER_DAY) return false;
	*out = days;
	return true;
}
