/* slices.h - reads the values of a column out of the slices that hold its rows, nulls left out. */
#ifndef GM_PARQUET_SLICES_H
#define GM_PARQUET_SLICES_H

#include "column/vec.h"

struct gm_string {
	const uint8_t *bytes;
	uint32_t len;
};

/* Rows in all slices. */
uint64_t gm_slices_rows(const struct gm_slice *slices, size_t count);
/* Whether each vec is of the type and in a representation that the type can have. */
bool gm_slices_match(const struct gm_slice *slices, size_t count, enum gm_type type);
uint64_t gm_slices_nulls(const struct gm_slice *slices, size_t count);
/* Per row 1 for a value, 0 for a null; nothing is written if there are none. Returns the number of nulls. */
uint64_t gm_slices_defined(const struct gm_slice *slices, size_t count, uint8_t *defined);

/* How many of n bytes are `byte`. */
size_t gm_count_byte(const uint8_t *bytes, size_t n, uint8_t byte);

static inline uint32_t gm_slice_row(const struct gm_slice *slice, uint32_t i)
{
	return slice->rows != NULL ? slice->rows[i] : slice->first + i;
}

/* Where reading stands. */
struct gm_cursor {
	const struct gm_slice *slice, *end;
	uint32_t at; /* row of the current slice */
};
void gm_cursor_init(struct gm_cursor *cursor, const struct gm_slice *slices, size_t count);
/* The next values, as many as there are up to max; less than max only at the end. Numbers of I64 vecs, bits of F64
 * vecs. */
size_t gm_cursor_numbers(struct gm_cursor *cursor, int64_t *out, size_t max);
size_t gm_cursor_booleans(struct gm_cursor *cursor, uint8_t *out, size_t max);
/* Strings stay where they are. Meant to be called for some hundreds at a time: the memory they lie in is fetched ahead.
 */
size_t gm_cursor_strings(struct gm_cursor *cursor, struct gm_string *out, size_t max);

#endif
