/* key_filter.h - what a row group's footer says about which keys it may hold: bounds and bloom filters. */
#ifndef GM_TABLE_KEY_FILTER_H
#define GM_TABLE_KEY_FILTER_H

#include "table/parquet_rows.h"

struct gm_key_filter;
/* Of the file's first key_count columns, all of which it has: bounds alone, which came with the footer. *out NULL:
 * nothing is known, or nothing that excludes. */
enum gm_code gm_key_filter_read(const struct gm_rows_file *file, size_t group, size_t key_count,
                                struct gm_key_filter **out, struct gm_error *err) GM_CHECK;
/* Are there bloom filters that have not been read? */
bool gm_key_filter_has_more(const struct gm_key_filter *filter);
/* Reads them: of the file and group that the filter is of. */
enum gm_code gm_key_filter_read_more(struct gm_key_filter *filter, const struct gm_rows_file *file, size_t group,
                                     struct gm_error *err) GM_CHECK;
void gm_key_filter_free(struct gm_key_filter *filter); /* NULL is allowed */
size_t gm_key_filter_bytes(const struct gm_key_filter *filter);
/* May the row group hold the key of this row, none of whose columns is null? False is certain. */
bool gm_key_filter_may_have(const struct gm_key_filter *filter, const struct gm_vec_rows *columns, uint32_t row);

#endif
