/* sorter.h - sorts records of one size in bounded memory: what does not fit goes to a temporary file in sorted runs.
 *
 * One thread. After a failure only freeing is left. */
#ifndef GM_TABLE_SORTER_H
#define GM_TABLE_SORTER_H

#include "base/error.h"

/* < 0: a comes first. Records that are equal may come in any order. */
typedef int gm_sorter_fn(const void *a, const void *b, void *context);

struct gm_sorter;
/* Nothing is allocated before the first record. Memory for less than 1,024 records is taken as that much. */
enum gm_code gm_sorter_new(size_t record_bytes, gm_sorter_fn *compare, void *context, size_t memory_bytes,
                           const char *spill_directory, struct gm_sorter **out, struct gm_error *err) GM_CHECK;
void gm_sorter_free(struct gm_sorter *sorter); /* NULL is allowed */
enum gm_code gm_sorter_add(struct gm_sorter *sorter, const void *record, struct gm_error *err) GM_CHECK;
uint64_t gm_sorter_count(const struct gm_sorter *sorter);
/* After the last record: the next in order, NULL at the end; it lives until the next call. */
enum gm_code gm_sorter_next(struct gm_sorter *sorter, const void **record, struct gm_error *err) GM_CHECK;

#endif
