#include "run/bounds.h"

#include "base/bytes.h"
#include "base/time.h"

#include <string.h>

enum { US_PER_MS = 1000 };

/* --- What is said ------------------------------------------------------------------------------------------------- */

static void log_bound(const json_t *value, enum gm_type type, bool upper, struct gm_bound *out)
{
	const char *text = json_string_value(value);
	*out = (struct gm_bound){0};
	switch (type) {
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT:
		out->is_set = json_is_integer(value);
		out->i64 = json_integer_value(value);
		return;
	case GM_TYPE_DOUBLE:
		out->is_set = json_is_number(value);
		out->f64 = json_number_value(value);
		return;
	case GM_TYPE_STRING:
		out->is_set = text != NULL;
		out->bytes = (const uint8_t *)text;
		out->len = json_string_length(value);
		return;
	case GM_TYPE_DATE: out->is_set = text != NULL && gm_date_parse_iso(text, strlen(text), &out->i64); return;
	case GM_TYPE_TIMESTAMP:
		out->is_set = text != NULL && gm_time_parse_iso(text, strlen(text), &out->i64);
		if (out->is_set && upper && out->i64 < INT64_MAX - US_PER_MS) out->i64 += US_PER_MS - 1;
		return;
	default: return;
	}
}

void gm_bounds_from_log(const json_t *stats, const char *name, enum gm_type type, struct gm_bounds *out)
{
	const json_t *nulls = json_object_get(json_object_get(stats, "nullCount"), name);
	*out = (struct gm_bounds){.type = type, .has_nulls = json_is_integer(nulls)};
	out->nulls = (uint64_t)json_integer_value(nulls);
	log_bound(json_object_get(json_object_get(stats, "minValues"), name), type, false, &out->min);
	log_bound(json_object_get(json_object_get(stats, "maxValues"), name), type, true, &out->max);
}

static void group_bound(const uint8_t *bytes, size_t n, enum gm_type type, struct gm_bound *out)
{
	*out = (struct gm_bound){.is_set = bytes != NULL, .bytes = bytes, .len = n};
	switch (type) {
	case GM_TYPE_STRING: return;
	case GM_TYPE_INT:
	case GM_TYPE_DATE:
		out->is_set = out->is_set && n == 4;
		if (out->is_set) out->i64 = (int32_t)gm_get_le(bytes, n);
		return;
	case GM_TYPE_BIGINT:
	case GM_TYPE_TIMESTAMP:
		out->is_set = out->is_set && n == 8;
		if (out->is_set) out->i64 = (int64_t)gm_get_le(bytes, n);
		return;
	case GM_TYPE_DOUBLE:
		out->is_set = out->is_set && n == 8;
		if (out->is_set) memcpy(&out->f64, bytes, sizeof out->f64);
		return;
	default: out->is_set = false;
	}
}

void gm_bounds_from_group(const struct gm_parquet_chunk_info *chunk, enum gm_type type, struct gm_bounds *out)
{
	*out = (struct gm_bounds){.type = type, .has_nulls = chunk->has_nulls, .nulls = chunk->nulls};
	if (!chunk->has_bounds) return;
	group_bound(chunk->min, chunk->min_bytes, type, &out->min);
	group_bound(chunk->max, chunk->max_bytes, type, &out->max);
}

/* --- What is there ------------------------------------------------------------------------------------------------ */

static int compare_bytes(const uint8_t *a, size_t n, const uint8_t *b, size_t m)
{
	int order = n == 0 || m == 0 ? 0 : memcmp(a, b, n < m ? n : m);
	return order != 0 ? order : n < m ? -1 : n > m;
}

bool gm_bounds_fit(const struct gm_bounds *bounds, const struct gm_vec *vec)
{
	if (!bounds->min.is_set && !bounds->max.is_set) return false;
	switch (vec->repr) {
	case GM_REPR_I64:
		return bounds->type == GM_TYPE_INT || bounds->type == GM_TYPE_BIGINT || bounds->type == GM_TYPE_DATE ||
		       bounds->type == GM_TYPE_TIMESTAMP;
	case GM_REPR_F64: return bounds->type == GM_TYPE_DOUBLE;
	case GM_REPR_DICT:
	case GM_REPR_PLAIN: return bounds->type == GM_TYPE_STRING;
	default: return false;
	}
}

int gm_bounds_place(const struct gm_bounds *bounds, const struct gm_vec *vec, uint32_t row)
{
	const struct gm_bound *min = &bounds->min, *max = &bounds->max;
	if (vec->repr == GM_REPR_I64) {
		if (min->is_set && vec->i64[row] < min->i64) return -1;
		return max->is_set && vec->i64[row] > max->i64;
	}
	if (vec->repr == GM_REPR_F64) { /* NaN is outside no bound */
		if (min->is_set && vec->f64[row] < min->f64) return -1;
		return max->is_set && vec->f64[row] > max->f64;
	}
	if (vec->repr == GM_REPR_DICT || vec->repr == GM_REPR_PLAIN) {
		uint32_t len;
		const uint8_t *text = gm_vec_string(vec, row, &len);
		if (min->is_set && compare_bytes(text, len, min->bytes, min->len) < 0) return -1;
		return max->is_set && compare_bytes(text, len, max->bytes, max->len) > 0;
	}
	return 0;
}
