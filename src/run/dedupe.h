/* dedupe.h - which rows of a unit are duplicates, of what, and what is kept about them.
 *
 * A row is a duplicate when its key, in its partition, was seen before: in the table as the plan found it, in an
 * earlier unit, or earlier in plan order. The table's row always wins, then the first in plan order. A duplicate whose
 * content is not its winner's is a conflict: counted, and listed up to GM_CONFLICTS_LISTED of a unit for each of the
 * two kinds of winner.
 *
 * All calls come from one thread at a time: the one that collects. */
#ifndef GM_RUN_DEDUPE_H
#define GM_RUN_DEDUPE_H

#include "run/engine.h"
#include "table/content.h"

enum {
	GM_CONFLICTS_LISTED = 10000,
	GM_CONFLICT_SAMPLES = 5,
};

/* What each worker hashes chunks with, for gm_dedupe_chunk. */
enum gm_code gm_dedupe_hashers(const uint8_t *key_secret, const struct gm_job *job, const uint32_t *slots,
                               struct gm_key_hasher **keys, struct gm_content_hasher **contents,
                               struct gm_error *err) GM_CHECK;

struct gm_dedupe;
/* slots: of the job's columns in a chunk. Options and slots must outlive it. */
enum gm_code gm_dedupe_new(const struct gm_engine_options *options, const uint32_t *slots, struct gm_dedupe **out,
                           struct gm_error *err) GM_CHECK;
void gm_dedupe_free(struct gm_dedupe *dedupe); /* NULL is allowed */
/* Loads the keys that a finished unit left. */
enum gm_code gm_dedupe_load(struct gm_dedupe *dedupe, const char *key, struct gm_error *err) GM_CHECK;
/* The unit must live until its end. */
enum gm_code gm_dedupe_begin(struct gm_dedupe *dedupe, const struct gm_unit_spec *unit, struct gm_error *err) GM_CHECK;
/* *duplicate (per row, until the next call) says which rows are to be dropped. Adds to the object's counts: of
 * conflicts those with rows of the run; those with rows of the table come with gm_dedupe_finish. */
struct gm_dedupe_counts {
	uint64_t duplicates, conflicts;
};
enum gm_code gm_dedupe_chunk(struct gm_dedupe *dedupe, const struct gm_chunk *chunk, uint32_t object,
                             struct gm_dedupe_counts *counts, const uint8_t **duplicate, struct gm_error *err) GM_CHECK;
/* The end of the unit's input: adds the conflicts with rows of the table to result->objects, and finishes what is kept.
 */
enum gm_code gm_dedupe_finish(struct gm_dedupe *dedupe, struct gm_unit_result *result, struct gm_error *err) GM_CHECK;
/* Forgets the unit in hand and what is staged, if it was not finished. */
void gm_dedupe_end(struct gm_dedupe *dedupe);
/* The first few conflicts of the units so far, a line for people each; NULL past the last. */
const char *gm_dedupe_sample(const struct gm_dedupe *dedupe, size_t i);

#endif
