/* bounds.h - the bounds that are told of a column's values: by the log of a file, by the footer of a row group.
 *
 * Bounds may be wider than the values, and those of strings cut. The log tells times in milliseconds, and writers cut
 * the microseconds off the maximum, too: so that is taken to the end of its millisecond, as readers do. NaN is
 * outside no bound. */
#ifndef GM_RUN_BOUNDS_H
#define GM_RUN_BOUNDS_H

#include "parquet/reader.h"

#include <jansson.h>

struct gm_bound {
	bool is_set;
	int64_t i64;
	double f64;
	const uint8_t *bytes; /* where they were told */
	size_t len;
};
struct gm_bounds {
	enum gm_type type;
	struct gm_bound min, max;
	bool has_nulls;
	uint64_t nulls;
};

/* stats: of an add, parsed; NULL: none. */
void gm_bounds_from_log(const json_t *stats, const char *name, enum gm_type type, struct gm_bounds *out);
void gm_bounds_from_group(const struct gm_parquet_chunk_info *chunk, enum gm_type type, struct gm_bounds *out);
/* Are they of the kind that the vec holds, and is any set? */
bool gm_bounds_fit(const struct gm_bounds *bounds, const struct gm_vec *vec);
/* Where a value that is not null lies, if they fit: below 0 under the minimum, above 0 over the maximum. */
int gm_bounds_place(const struct gm_bounds *bounds, const struct gm_vec *vec, uint32_t row);

#endif
