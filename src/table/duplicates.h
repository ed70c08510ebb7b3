/* duplicates.h - every duplicate that a unit dropped, as a file: <unit>.zst, kept with the commit.
 *
 * It answers in which objects a key arrived. Entries whose winner came with the same run stand first, in plan order;
 * then those whose winner the table held, by its file. The format is described in duplicates.c. */
#ifndef GM_TABLE_DUPLICATES_H
#define GM_TABLE_DUPLICATES_H

#include "column/vec.h"
#include "table/kept_file.h"

enum {
	GM_DUPLICATE_CONFLICT = 1, /* it said something else than the row that was kept */
	GM_DUPLICATE_OF_TABLE = 2, /* the table held the row that was kept; else it came with the run */
};
struct gm_duplicate {
	struct gm_hash128 key;
	uint64_t record; /* its number in the object, from 0 */
	uint32_t object; /* its number in the unit, from 0 */
	uint32_t flags;
};

struct gm_duplicates; /* a file that is written; one thread */
/* Nothing is staged before the first entry. */
enum gm_code gm_duplicates_new(struct gm_store *store, const char *final_key, const char *work_prefix,
                               struct gm_duplicates **out, struct gm_error *err) GM_CHECK;
void gm_duplicates_free(struct gm_duplicates *file); /* abandons what is not finished; NULL is allowed */
enum gm_code gm_duplicates_add(struct gm_duplicates *file, const struct gm_duplicate *entry,
                               struct gm_error *err) GM_CHECK;
/* No token when there was no entry. Only once; then free. */
enum gm_code gm_duplicates_finish(struct gm_duplicates *file, struct gm_kept_file *kept, struct gm_error *err) GM_CHECK;

/* All entries in their order. CORRUPT, naming the file: cut short or damaged, which may show only after the last batch.
 * UNSUPPORTED: of a newer format. */
typedef enum gm_code gm_duplicates_fn(void *context, const struct gm_duplicate *entries, size_t count,
                                      struct gm_error *err);
enum gm_code gm_duplicates_read(struct gm_store *store, const char *key, gm_duplicates_fn *each, void *context,
                                struct gm_error *err) GM_CHECK;

#endif
