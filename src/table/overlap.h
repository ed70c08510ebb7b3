/* overlap.h - does a file that somebody else added hold a key that a plan's units brought? Asked by whoever commits.
 *
 * The keys of the units are loaded from their key files, in bounded memory; of the file only the key columns are read.
 */
#ifndef GM_TABLE_OVERLAP_H
#define GM_TABLE_OVERLAP_H

#include "table/parquet_rows.h"

struct gm_overlap_options {
	struct gm_store *table;
	const uint8_t *key_secret; /* GM_KEY_SECRET_BYTES */
	const struct gm_rows_column *keys;
	size_t key_count;
	size_t memory_bytes;
	const char *spill_directory;
};

struct gm_overlap;
/* The options' arrays must outlive it; the secret is copied. */
enum gm_code gm_overlap_new(const struct gm_overlap_options *options, struct gm_overlap **out,
                            struct gm_error *err) GM_CHECK;
void gm_overlap_free(struct gm_overlap *overlap); /* NULL is allowed */
/* Loads a unit's key file. */
enum gm_code gm_overlap_load(struct gm_overlap *overlap, const char *key_file, struct gm_error *err) GM_CHECK;
/* Is a key of the file, which belongs to the partition, among those loaded? Fails as gm_rows_file_open. */
enum gm_code gm_overlap_ask(struct gm_overlap *overlap, const char *path, const char *partition, uint64_t bytes,
                            bool *overlaps, struct gm_error *err) GM_CHECK;

#endif
