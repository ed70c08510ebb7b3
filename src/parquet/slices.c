#include "parquet/slices.h"

#include <string.h>

uint64_t gm_slices_rows(const struct gm_slice *slices, size_t count)
{
	uint64_t rows = 0;
	for (size_t i = 0; i < count; i++) rows += slices[i].count;
	return rows;
}

static bool matches(enum gm_type type, enum gm_repr repr)
{
	if (repr == GM_REPR_NULL) return true;
	switch (type) {
	case GM_TYPE_BOOLEAN: return repr == GM_REPR_BOOL;
	case GM_TYPE_DOUBLE: return repr == GM_REPR_F64;
	case GM_TYPE_STRING: return repr == GM_REPR_DICT || repr == GM_REPR_PLAIN;
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT:
	case GM_TYPE_DATE:
	case GM_TYPE_TIMESTAMP: return repr == GM_REPR_I64;
	}
	return false;
}

bool gm_slices_match(const struct gm_slice *slices, size_t count, enum gm_type type)
{
	for (size_t i = 0; i < count; i++) {
		if (slices[i].vec->type != type || !matches(type, slices[i].vec->repr)) return false;
	}
	return true;
}

/* Representations that mark nulls by a byte per row. */
static void defined_by_mark(const struct gm_slice *slice, uint8_t *defined)
{
	const uint8_t *null = slice->vec->null;
	if (null == NULL)
		memset(defined, 1, slice->count);
	else if (slice->rows == NULL)
		for (uint32_t i = 0; i < slice->count; i++) defined[i] = null[slice->first + i] == 0;
	else
		for (uint32_t i = 0; i < slice->count; i++) defined[i] = null[slice->rows[i]] == 0;
}

static void defined_by_code(const struct gm_slice *slice, uint8_t *defined)
{
	const uint32_t *codes = slice->vec->codes;
	if (slice->rows == NULL)
		for (uint32_t i = 0; i < slice->count; i++) defined[i] = codes[slice->first + i] != GM_DICT_NULL;
	else
		for (uint32_t i = 0; i < slice->count; i++) defined[i] = codes[slice->rows[i]] != GM_DICT_NULL;
}

uint64_t gm_slices_defined(const struct gm_slice *slices, size_t count, uint8_t *defined)
{
	uint64_t nulls = 0;
	for (size_t i = 0; i < count; i++) {
		const struct gm_slice *slice = &slices[i];
		if (slice->count == 0) continue;
		if (slice->vec->repr == GM_REPR_NULL)
			memset(defined, 0, slice->count);
		else if (slice->vec->repr == GM_REPR_DICT)
			defined_by_code(slice, defined);
		else
			defined_by_mark(slice, defined);
		uint32_t ones = 0;
		for (uint32_t k = 0; k < slice->count; k++) ones += defined[k];
		nulls += slice->count - ones;
		defined += slice->count;
	}
	return nulls;
}

void gm_cursor_init(struct gm_cursor *cursor, const struct gm_slice *slices, size_t count)
{
	*cursor = (struct gm_cursor){.slice = slices, .end = slices + count};
}

/* Moves to a slice with rows left that is not all null; NULL at the end. */
static const struct gm_slice *current(struct gm_cursor *cursor)
{
	while (cursor->slice < cursor->end &&
	       (cursor->at == cursor->slice->count || cursor->slice->vec->repr == GM_REPR_NULL)) {
		cursor->slice++;
		cursor->at = 0;
	}
	return cursor->slice < cursor->end ? cursor->slice : NULL;
}

/* Copies elements of `size` bytes, constant where this is inlined, of as many rows as give up to max values. */
static inline __attribute__((always_inline)) size_t copy(struct gm_cursor *cursor, const uint8_t *from, uint8_t *out,
                                                         size_t max, size_t size)
{
	const struct gm_slice *slice = cursor->slice;
	const uint8_t *null = slice->vec->null;
	uint32_t at = cursor->at, end = slice->count;
	if (null == NULL && end - at > max) end = at + (uint32_t)max;
	size_t n = 0;
	if (null == NULL && slice->rows == NULL) {
		n = end - at;
		memcpy(out, from + (size_t)(slice->first + at) * size, n * size);
		at = end;
	} else {
		for (; at < end && n < max; at++) {
			uint32_t row = gm_slice_row(slice, at);
			memcpy(out + n * size, from + (size_t)row * size, size);
			n += null == NULL || null[row] == 0;
		}
	}
	cursor->at = at;
	return n;
}

size_t gm_cursor_numbers(struct gm_cursor *cursor, int64_t *out, size_t max)
{
	size_t n = 0;
	while (n < max && current(cursor) != NULL) {
		const struct gm_vec *vec = cursor->slice->vec;
		const void *from = vec->repr == GM_REPR_F64 ? (const void *)vec->f64 : (const void *)vec->i64;
		n += copy(cursor, from, (uint8_t *)(out + n), max - n, sizeof *out);
	}
	return n;
}

size_t gm_cursor_booleans(struct gm_cursor *cursor, uint8_t *out, size_t max)
{
	size_t n = 0;
	while (n < max && current(cursor) != NULL)
		n += copy(cursor, cursor->slice->vec->boolean, out + n, max - n, sizeof *out);
	return n;
}

/* Entries of a dictionary first, their lengths once all of them have been asked for. */
static size_t dictionary_strings(struct gm_cursor *cursor, struct gm_string *out, size_t max)
{
	const struct gm_slice *slice = cursor->slice;
	const struct gm_dict *dict = slice->vec->dict;
	const uint32_t *codes = slice->vec->codes;
	size_t n = 0;
	for (; cursor->at < slice->count && n < max; cursor->at++) {
		uint32_t code = codes[gm_slice_row(slice, cursor->at)];
		if (code == GM_DICT_NULL) continue;
		out[n].bytes = gm_dict_entry(dict, code);
		__builtin_prefetch(out[n].bytes);
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(&out[i].len, out[i].bytes, sizeof out[i].len);
		out[i].bytes += sizeof out[i].len;
	}
	return n;
}

static size_t plain_strings(struct gm_cursor *cursor, struct gm_string *out, size_t max)
{
	const struct gm_slice *slice = cursor->slice;
	size_t n = 0;
	for (; cursor->at < slice->count && n < max; cursor->at++) {
		uint32_t row = gm_slice_row(slice, cursor->at);
		if (gm_vec_is_null(slice->vec, row)) continue;
		out[n].bytes = gm_vec_string(slice->vec, row, &out[n].len);
		n++;
	}
	return n;
}

size_t gm_cursor_strings(struct gm_cursor *cursor, struct gm_string *out, size_t max)
{
	size_t n = 0;
	while (n < max && current(cursor) != NULL) {
		n += cursor->slice->vec->repr == GM_REPR_DICT ? dictionary_strings(cursor, out + n, max - n)
		                                              : plain_strings(cursor, out + n, max - n);
	}
	return n;
}
