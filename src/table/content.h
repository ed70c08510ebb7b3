/* content.h - 63 bits of what a row says apart from its key: they tell a repeated delivery from a conflict.
 *
 * The fingerprint is over the columns that are read from the source (`from`), as the table holds them, without those
 * of the unique key, which are equal anyway. It does not depend on the order of the columns, nor on how a value is
 * held, so a row that is read back from a Parquet file, ours or not, has the fingerprint it had when it was written; a
 * column that the file lacks counts as null. Integers are equal whatever their width; 0.0 and -0.0 are, and all NaNs.
 */
#ifndef GM_TABLE_CONTENT_H
#define GM_TABLE_CONTENT_H

#include "column/vec.h"
#include "table/keyset.h"

struct gm_content_column {
	const char *name;
	uint32_t slot; /* in a chunk */
};

/* One thread's: it remembers the hashes of the dictionaries it saw last. Names are copied. column_count may be 0. */
struct gm_content_hasher;
enum gm_code gm_content_hasher_new(const uint8_t secret[GM_KEY_SECRET_BYTES], const struct gm_content_column *columns,
                                   size_t column_count, struct gm_content_hasher **out, struct gm_error *err) GM_CHECK;
void gm_content_hasher_free(struct gm_content_hasher *hasher); /* NULL is allowed */
/* Makes chunk->content in chunk->passing, for the rows that are to be kept; what the others get means nothing. On the
 * thread that adds to the chunk's dictionaries. */
enum gm_code gm_content_hasher_run(struct gm_content_hasher *hasher, struct gm_chunk *chunk,
                                   struct gm_error *err) GM_CHECK;

/* Row by row from elsewhere: start with 0 for each row, add the value of each column (`column` as given at birth; a
 * null adds nothing), then finish. */
uint64_t gm_content_value(const struct gm_content_hasher *hasher, size_t column, const struct gm_vec *vec,
                          uint32_t row);
/* The top bit is always set: so a fingerprint is larger than whatever else tells keys of the table from those of a run.
 */
enum { GM_CONTENT_BIT = 63 };
static inline uint64_t gm_content_finish(uint64_t sum)
{
	return sum | UINT64_C(1) << GM_CONTENT_BIT;
}

#endif
