/* existing.h - the keys that the table held when the plan was made, as far as the rows at hand may be equal to them.
 *
 * Before a chunk's keys are added to the set of keys, whatever of the table might be one of them is put there. Of a
 * partition that is touched for the first time the footers are read; a row group is loaded, which is to read its key
 * columns and nothing else, as soon as its bounds and bloom filters do not exclude some key of a chunk. So decisions
 * are exact, and the cost grows with the partitions touched, not with the table; the keys are in the set's memory, and
 * spill with it.
 *
 * A key of the table has as its value in the set the number of its row group here, which is smaller than any
 * fingerprint (table/content.h): the table's row wins, whenever it was loaded; and of several in one partition, which
 * only others write, the one in the first file by its path, whatever was loaded first. */
#ifndef GM_TABLE_EXISTING_H
#define GM_TABLE_EXISTING_H

#include "table/content.h"
#include "table/delta.h"
#include "table/parquet_rows.h"

struct gm_existing_options {
	struct gm_store *table;
	const struct gm_delta_log *log;    /* at the version that counts */
	const uint8_t *key_secret;         /* GM_KEY_SECRET_BYTES */
	const struct gm_rows_column *keys; /* the columns of the unique key, in its order */
	size_t key_count;
	size_t filter_bytes;      /* that filters may take for longer than a chunk */
	size_t read_bytes;        /* that a footer, a page or a filter of a file may take */
	const volatile int *stop; /* may be NULL; not 0: INTERRUPTED */
};

struct gm_existing;
enum gm_code gm_existing_new(const struct gm_existing_options *options, struct gm_existing **out,
                             struct gm_error *err) GM_CHECK;
void gm_existing_free(struct gm_existing *existing); /* NULL is allowed */
/* Puts into the set what may be equal to a key of the chunk; skip[row] != 0: that row has none. `columns`: those of the
 * unique key. After a failure the set may hold some keys: end the run. */
enum gm_code gm_existing_load(struct gm_existing *existing, const struct gm_chunk *chunk,
                              const struct gm_vec_rows *columns, const uint8_t *skip, struct gm_keyset *set,
                              struct gm_error *err) GM_CHECK;

/* Is this value of the set a row group of the table? */
static inline bool gm_existing_is(uint64_t value)
{
	return value >> GM_CONTENT_BIT == 0;
}
/* Where it lies; strings live as long as the log and this. */
struct gm_existing_place {
	const char *path, *partition;
	uint64_t bytes; /* of the file */
	uint32_t group;
};
struct gm_existing_place gm_existing_place(const struct gm_existing *existing, uint64_t value);
/* Rows of row groups loaded, and row groups met, so far: for tests and figures. */
struct gm_existing_counts {
	uint64_t files_opened, groups_met, groups_loaded, rows_loaded;
};
struct gm_existing_counts gm_existing_counts(const struct gm_existing *existing);

#endif
