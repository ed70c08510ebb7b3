/* stats.h - bounds of pages and column chunks.
 *
 * The order of each type is the one column_orders promises: integers, dates and times by value, strings by unsigned
 * bytes, false before true. Doubles: NaN never becomes a bound but is counted; a minimum of zero is written as -0.0
 * and a maximum of zero as +0.0, since the two compare equal. Strings are cut for writing, and what was cut is marked
 * as inexact: a minimum is cut at a code point; a maximum is cut there and its last code point is raised by one. */
#ifndef GM_PARQUET_STATS_H
#define GM_PARQUET_STATS_H

#include "column/vec.h"

enum {
	GM_BOUND_INDEX_BYTES = 64,                      /* of a string bound in the page index */
	GM_BOUND_CHUNK_BYTES = 256,                     /* in the statistics of a column chunk */
	GM_BOUND_KEPT_BYTES = GM_BOUND_CHUNK_BYTES + 8, /* enough of a string to write its bound later */
};

/* A bound: of a string the bytes, of everything else the number (a double by its bits). */
struct gm_bound {
	int64_t number;
	const uint8_t *bytes;
	uint32_t len;
};
struct gm_bounds {
	bool any; /* else no value has been seen, or only NaN */
	struct gm_bound min, max;
	uint64_t nans;
};

/* How a type's values look in PLAIN form: bytes each, 0 for strings; booleans count as one byte each here. */
size_t gm_plain_size(enum gm_type type);
double gm_double_of_bits(int64_t bits);

/* Widens the bounds by `count` values in PLAIN form (booleans: bytes that are 0 or 1). String bounds point into
 * `plain`, which must be readable 8 bytes beyond its end. */
void gm_bounds_add_plain(struct gm_bounds *bounds, enum gm_type type, const uint8_t *plain, size_t count);
/* The same for strings that lie apart: those at plain + start[chosen[i]]. */
void gm_bounds_add_strings(struct gm_bounds *bounds, const uint8_t *plain, const uint32_t *start,
                           const uint32_t *chosen, size_t count);
/* One value: of a string its PLAIN form. */
void gm_bounds_add(struct gm_bounds *bounds, enum gm_type type, struct gm_bound value);
void gm_bounds_merge(struct gm_bounds *bounds, enum gm_type type, const struct gm_bounds *other);
/* The order of two non-NaN bounds: < 0, 0, > 0. */
int gm_bound_compare(enum gm_type type, const struct gm_bound *a, const struct gm_bound *b);

/* A bound as it is written. limit is for strings: at most that many bytes. Returns false when there is no such
 * bound: the maximum of a string that cannot be raised. */
struct gm_written_bound {
	uint8_t bytes[GM_BOUND_KEPT_BYTES];
	uint32_t len;
	bool exact;
};
bool gm_bound_write(struct gm_written_bound *out, enum gm_type type, const struct gm_bound *bound, bool is_max,
                    uint32_t limit);
/* The order of two bounds as written. */
int gm_written_compare(enum gm_type type, const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len);

#endif
