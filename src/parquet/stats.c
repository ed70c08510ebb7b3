#include "parquet/stats.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are copied as they lie in memory");

size_t gm_plain_size(enum gm_type type)
{
	switch (type) {
	case GM_TYPE_BOOLEAN: return 1;
	case GM_TYPE_INT:
	case GM_TYPE_DATE: return 4;
	case GM_TYPE_STRING: return 0;
	case GM_TYPE_BIGINT:
	case GM_TYPE_DOUBLE:
	case GM_TYPE_TIMESTAMP: return 8;
	}
	return 0;
}

double gm_double_of_bits(int64_t bits)
{
	double value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

static int compare_bytes(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	uint32_t common = a_len < b_len ? a_len : b_len;
	int order = common == 0 ? 0 : memcmp(a, b, common);
	if (order != 0) return order;
	return (a_len > b_len) - (a_len < b_len);
}

int gm_bound_compare(enum gm_type type, const struct gm_bound *a, const struct gm_bound *b)
{
	if (type == GM_TYPE_STRING) return compare_bytes(a->bytes, a->len, b->bytes, b->len);
	if (type == GM_TYPE_DOUBLE) {
		double x = gm_double_of_bits(a->number), y = gm_double_of_bits(b->number);
		return (x > y) - (x < y);
	}
	return (a->number > b->number) - (a->number < b->number);
}

void gm_bounds_merge(struct gm_bounds *bounds, enum gm_type type, const struct gm_bounds *other)
{
	bounds->nans += other->nans;
	if (!other->any) return;
	if (!bounds->any || gm_bound_compare(type, &other->min, &bounds->min) < 0) bounds->min = other->min;
	if (!bounds->any || gm_bound_compare(type, &other->max, &bounds->max) > 0) bounds->max = other->max;
	bounds->any = true;
}

void gm_bounds_add(struct gm_bounds *bounds, enum gm_type type, struct gm_bound value)
{
	bool nan = type == GM_TYPE_DOUBLE && __builtin_isnan(gm_double_of_bits(value.number));
	struct gm_bounds one = {.any = !nan, .min = value, .max = value, .nans = nan};
	gm_bounds_merge(bounds, type, &one);
}

static void add_i64(struct gm_bounds *bounds, const uint8_t *plain, size_t count)
{
	int64_t min = INT64_MAX, max = INT64_MIN;
	for (size_t i = 0; i < count; i++) {
		int64_t value;
		memcpy(&value, plain + i * sizeof value, sizeof value);
		min = value < min ? value : min;
		max = value > max ? value : max;
	}
	struct gm_bounds these = {.any = true, .min.number = min, .max.number = max};
	gm_bounds_merge(bounds, GM_TYPE_BIGINT, &these);
}

static void add_i32(struct gm_bounds *bounds, const uint8_t *plain, size_t count)
{
	int32_t min = INT32_MAX, max = INT32_MIN;
	for (size_t i = 0; i < count; i++) {
		int32_t value;
		memcpy(&value, plain + i * sizeof value, sizeof value);
		min = value < min ? value : min;
		max = value > max ? value : max;
	}
	struct gm_bounds these = {.any = true, .min.number = min, .max.number = max};
	gm_bounds_merge(bounds, GM_TYPE_INT, &these);
}

static void add_f64(struct gm_bounds *bounds, const uint8_t *plain, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t bits;
		memcpy(&bits, plain + i * sizeof bits, sizeof bits);
		gm_bounds_add(bounds, GM_TYPE_DOUBLE, (struct gm_bound){.number = bits});
	}
}

static void add_booleans(struct gm_bounds *bounds, const uint8_t *plain, size_t count)
{
	bool some_true = memchr(plain, 1, count) != NULL, some_false = memchr(plain, 0, count) != NULL;
	struct gm_bounds these = {.any = true, .min.number = !some_false, .max.number = some_true};
	gm_bounds_merge(bounds, GM_TYPE_BOOLEAN, &these);
}

/* Up to eight bytes as a number that sorts as they do; eight can always be read. */
static uint64_t prefix_of(const uint8_t *bytes, uint32_t len)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof word);
	word = __builtin_bswap64(word);
	if (len >= sizeof word) return word;
	return len == 0 ? 0 : word & ~UINT64_C(0) << (64 - 8 * len);
}

/* A string in a page, with the number that tells it from most others at once. */
struct candidate {
	struct gm_bound bound;
	uint64_t prefix;
};

/* The order of two strings of a page with the same prefix. What they share is often longer ("https://www."), and short
 * enough that a call would cost more than this loop. */
static int compare_rest(const struct gm_bound *a, const struct gm_bound *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	for (uint32_t at = 8; at < common; at += 8) {
		uint64_t x = prefix_of(a->bytes + at, common - at), y = prefix_of(b->bytes + at, common - at);
		if (x != y) return x < y ? -1 : 1;
	}
	return (a->len > b->len) - (a->len < b->len);
}

static bool is_below(const struct candidate *a, const struct candidate *b)
{
	if (a->prefix != b->prefix) return a->prefix < b->prefix;
	return compare_rest(&a->bound, &b->bound) < 0;
}

static struct candidate candidate_at(const uint8_t *plain)
{
	struct candidate value = {0};
	memcpy(&value.bound.len, plain, sizeof value.bound.len);
	value.bound.bytes = plain + sizeof value.bound.len;
	value.prefix = prefix_of(value.bound.bytes, value.bound.len);
	return value;
}

/* The least and the greatest string so far. */
struct extremes {
	struct candidate min, max;
};

static inline void widen(struct extremes *extremes, const struct candidate *value, bool first)
{
	if (first || is_below(value, &extremes->min)) extremes->min = *value;
	if (first || is_below(&extremes->max, value)) extremes->max = *value;
}

static void merge_extremes(struct gm_bounds *bounds, const struct extremes *extremes)
{
	struct gm_bounds these = {.any = true, .min = extremes->min.bound, .max = extremes->max.bound};
	gm_bounds_merge(bounds, GM_TYPE_STRING, &these);
}

static void add_strings(struct gm_bounds *bounds, const uint8_t *plain, size_t count)
{
	struct extremes extremes;
	for (size_t i = 0; i < count; i++) {
		struct candidate value = candidate_at(plain);
		widen(&extremes, &value, i == 0);
		plain = value.bound.bytes + value.bound.len;
	}
	merge_extremes(bounds, &extremes);
}

void gm_bounds_add_strings(struct gm_bounds *bounds, const uint8_t *plain, const uint32_t *start,
                           const uint32_t *chosen, size_t count)
{
	struct extremes extremes;
	if (count == 0) return;
	for (size_t i = 0; i < count; i++) __builtin_prefetch(plain + start[chosen[i]]);
	for (size_t i = 0; i < count; i++) {
		struct candidate value = candidate_at(plain + start[chosen[i]]);
		widen(&extremes, &value, i == 0);
	}
	merge_extremes(bounds, &extremes);
}

void gm_bounds_add_plain(struct gm_bounds *bounds, enum gm_type type, const uint8_t *plain, size_t count)
{
	if (count == 0) return;
	switch (type) {
	case GM_TYPE_BOOLEAN: add_booleans(bounds, plain, count); break;
	case GM_TYPE_INT:
	case GM_TYPE_DATE: add_i32(bounds, plain, count); break;
	case GM_TYPE_BIGINT:
	case GM_TYPE_TIMESTAMP: add_i64(bounds, plain, count); break;
	case GM_TYPE_DOUBLE: add_f64(bounds, plain, count); break;
	case GM_TYPE_STRING: add_strings(bounds, plain, count); break;
	}
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static bool is_continuation(uint8_t byte)
{
	return (byte & 0xC0) == 0x80;
}

/* Where the last code point of a well-formed text begins. */
static uint32_t last_code_point(const uint8_t *bytes, uint32_t len)
{
	uint32_t at = len - 1;
	while (at > 0 && len - at < 4 && is_continuation(bytes[at])) at--;
	return at;
}

/* The longest prefix of at most `limit` bytes, limit < len, that does not split a code point. */
static uint32_t cut(const uint8_t *bytes, uint32_t limit)
{
	uint32_t at = limit;
	while (at > 0 && limit - at < 3 && is_continuation(bytes[at])) at--;
	/* Four continuation bytes in a row are no UTF-8: such a string may be cut anywhere. */
	return is_continuation(bytes[at]) ? limit : at;
}

static uint32_t decode(const uint8_t *bytes, uint32_t len)
{
	if (len == 1) return bytes[0];
	uint32_t code_point = bytes[0] & (0x7Fu >> len);
	for (uint32_t i = 1; i < len; i++) code_point = code_point << 6 | (bytes[i] & 0x3Fu);
	return code_point;
}

static uint32_t encode(uint32_t code_point, uint8_t out[4])
{
	if (code_point < 0x80) {
		out[0] = (uint8_t)code_point;
		return 1;
	}
	uint32_t len = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
	for (uint32_t i = len - 1; i > 0; i--, code_point >>= 6) out[i] = (uint8_t)(0x80 | (code_point & 0x3F));
	out[0] = (uint8_t)(0xF0u << (4 - len) | code_point);
	return len;
}

static bool is_lead_of(uint8_t lead, uint32_t len)
{
	if (len == 1) return lead < 0x80;
	return len == 2 ? (lead & 0xE0) == 0xC0 : len == 3 ? (lead & 0xF0) == 0xE0 : (lead & 0xF8) == 0xF0;
}

/* The next code point after the one in bytes[0..len), encoded; 0 when there is none, or when the bytes are not UTF-8
 * and so do not sort as their value does. */
static uint32_t raise_code_point(const uint8_t *bytes, uint32_t len, uint8_t out[4])
{
	uint32_t next = decode(bytes, len) + 1;
	if (next == 0xD800) next = 0xE000; /* surrogates are not characters */
	if (next > 0x10FFFF) return 0;
	uint32_t raised = encode(next, out);
	return memcmp(out, bytes, raised < len ? raised : len) > 0 ? raised : 0;
}

/* Turns a prefix into a text above every string that begins with it: raises the last code point that can be raised
 * within `limit` bytes and drops what follows. 0 when there is none. */
static uint32_t raise_last(uint8_t *bytes, uint32_t len, uint32_t limit)
{
	while (len > 0) {
		uint32_t at = last_code_point(bytes, len), size = len - at;
		uint8_t raised[4];
		uint32_t raised_len = is_lead_of(bytes[at], size) ? raise_code_point(bytes + at, size, raised) : 0;
		if (raised_len > 0 && at + raised_len <= limit) {
			memcpy(bytes + at, raised, raised_len);
			return at + raised_len;
		}
		len = at;
	}
	return 0;
}

static bool write_string(struct gm_written_bound *out, const struct gm_bound *bound, bool is_max, uint32_t limit)
{
	out->exact = bound->len <= limit;
	out->len = out->exact ? bound->len : cut(bound->bytes, limit);
	if (out->len > 0) memcpy(out->bytes, bound->bytes, out->len);
	if (out->exact || !is_max) return true;
	out->len = raise_last(out->bytes, out->len, limit);
	return out->len > 0;
}

static void write_double(struct gm_written_bound *out, const struct gm_bound *bound, bool is_max)
{
	double value = gm_double_of_bits(bound->number);
	if (value == 0) value = is_max ? 0.0 : -0.0;
	memcpy(out->bytes, &value, sizeof value);
}

bool gm_bound_write(struct gm_written_bound *out, enum gm_type type, const struct gm_bound *bound, bool is_max,
                    uint32_t limit)
{
	if (type == GM_TYPE_STRING) return write_string(out, bound, is_max, limit);
	out->exact = true;
	out->len = (uint32_t)gm_plain_size(type);
	if (type == GM_TYPE_DOUBLE)
		write_double(out, bound, is_max);
	else
		memcpy(out->bytes, &bound->number, out->len);
	return true;
}

static struct gm_bound read_written(enum gm_type type, const uint8_t *bytes, uint32_t len)
{
	struct gm_bound bound = {.bytes = bytes, .len = len};
	if (type == GM_TYPE_INT || type == GM_TYPE_DATE) {
		int32_t value;
		memcpy(&value, bytes, sizeof value);
		bound.number = value;
	} else if (type != GM_TYPE_STRING) {
		memcpy(&bound.number, bytes, len);
	}
	return bound;
}

int gm_written_compare(enum gm_type type, const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	struct gm_bound x = read_written(type, a, a_len), y = read_written(type, b, b_len);
	return gm_bound_compare(type, &x, &y);
}
