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

/* Without a selection of rows both loops become vector instructions: the pointer is moved, since an index that adds
 * `first` could wrap around. */
static uint64_t count_marks(const struct gm_slice *slice, const uint8_t *null)
{
	uint32_t nulls = 0;
	if (slice->rows == NULL) {
		null += slice->first;
		for (uint32_t i = 0; i < slice->count; i++) nulls += null[i] != 0;
	} else {
		for (uint32_t i = 0; i < slice->count; i++) nulls += null[slice->rows[i]] != 0;
	}
	return nulls;
}

static uint64_t count_null_codes(const struct gm_slice *slice, const uint32_t *codes)
{
	uint32_t nulls = 0;
	if (slice->rows == NULL) {
		codes += slice->first;
		for (uint32_t i = 0; i < slice->count; i++) nulls += codes[i] == GM_DICT_NULL;
	} else {
		for (uint32_t i = 0; i < slice->count; i++) nulls += codes[slice->rows[i]] == GM_DICT_NULL;
	}
	return nulls;
}

/* Counts that fit a byte become vector instructions of bytes. */
size_t gm_count_byte(const uint8_t *bytes, size_t n, uint8_t byte)
{
	size_t count = 0;
	while (n > 0) {
		uint8_t some = 0, step = n < UINT8_MAX ? (uint8_t)n : UINT8_MAX;
		for (uint8_t i = 0; i < step; i++) some = (uint8_t)(some + (bytes[i] == byte));
		count += some;
		bytes += step;
		n -= step;
	}
	return count;
}

/* Both without and with a selection of rows; vector instructions again where there is none, since the compiler sees
 * that what is written is not what is read. */
static void define_by_codes(const struct gm_slice *slice, const uint32_t *restrict codes, uint8_t *restrict defined)
{
	const uint32_t *rows = slice->rows, count = slice->count;
	if (rows == NULL) {
		codes += slice->first;
		for (uint32_t i = 0; i < count; i++) defined[i] = codes[i] != GM_DICT_NULL;
	} else {
		for (uint32_t i = 0; i < count; i++) defined[i] = codes[rows[i]] != GM_DICT_NULL;
	}
}

static void define_by_marks(const struct gm_slice *slice, const uint8_t *restrict null, uint8_t *restrict defined)
{
	const uint32_t *rows = slice->rows, count = slice->count;
	if (rows == NULL) {
		null += slice->first;
		for (uint32_t i = 0; i < count; i++) defined[i] = null[i] == 0;
	} else {
		for (uint32_t i = 0; i < count; i++) defined[i] = null[rows[i]] == 0;
	}
}

/* Asks for the codes of a slice. Nobody has read them since they were made, and slices are too short for the processor
 * to find out by itself what comes next. */
static void ask_ahead(const struct gm_slice *slice)
{
	if (slice->vec->repr != GM_REPR_DICT || slice->rows != NULL) return;
	const uint8_t *codes = (const uint8_t *)(slice->vec->codes + slice->first);
	for (size_t i = 0; i < slice->count * sizeof(uint32_t); i += 64) __builtin_prefetch(codes + i);
}

static uint64_t slice_nulls(const struct gm_slice *slice)
{
	const struct gm_vec *vec = slice->vec;
	if (vec->repr == GM_REPR_NULL) return slice->count;
	if (vec->repr == GM_REPR_DICT) return count_null_codes(slice, vec->codes);
	return vec->null != NULL ? count_marks(slice, vec->null) : 0;
}

uint64_t gm_slices_nulls(const struct gm_slice *slices, size_t count)
{
	uint64_t nulls = 0;
	for (size_t i = 0; i < count; i++) nulls += slice_nulls(&slices[i]);
	return nulls;
}

/* Returns the number of nulls. */
static uint64_t define(const struct gm_slice *slice, uint8_t *defined)
{
	const struct gm_vec *vec = slice->vec;
	if (vec->repr == GM_REPR_DICT) {
		define_by_codes(slice, vec->codes, defined);
	} else if (vec->repr != GM_REPR_NULL && vec->null != NULL) {
		define_by_marks(slice, vec->null, defined);
	} else {
		memset(defined, vec->repr != GM_REPR_NULL, slice->count);
		return vec->repr == GM_REPR_NULL ? slice->count : 0;
	}
	return slice->count - gm_count_byte(defined, slice->count, 1);
}

uint64_t gm_slices_defined(const struct gm_slice *slices, size_t count, uint8_t *defined)
{
	uint64_t nulls = 0, rows = 0;
	for (size_t i = 0; i < count; i++) {
		if (i + 1 < count) ask_ahead(&slices[i + 1]);
		/* Most columns have no null at all, and are only read; with the first null, what is before it is made up. */
		if (nulls > 0 || slice_nulls(&slices[i]) > 0) {
			if (nulls == 0) memset(defined, 1, rows);
			nulls += define(&slices[i], defined + rows);
		}
		rows += slices[i].count;
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
		__builtin_prefetch(out[n].bytes + 48); /* the next line, if a usual entry reaches into it */
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(&out[i].len, out[i].bytes, sizeof out[i].len);
		out[i].bytes += sizeof out[i].len;
	}
	return n;
}

/* What is written for a null is overwritten by the next value. */
static size_t plain_strings(struct gm_cursor *cursor, struct gm_string *out, size_t max)
{
	const struct gm_slice *slice = cursor->slice;
	const uint32_t *rows = slice->rows, *ends = slice->vec->ends;
	const uint8_t *bytes = slice->vec->bytes, *null = slice->vec->null;
	uint32_t at = cursor->at, first = slice->first, count = slice->count;
	size_t n = 0;
	for (; at < count && n < max; at++) {
		uint32_t row = rows != NULL ? rows[at] : first + at, start = row == 0 ? 0 : ends[row - 1];
		out[n] = (struct gm_string){bytes + start, ends[row] - start};
		n += null == NULL || null[row] == 0;
	}
	cursor->at = at;
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
