/* commit.h - from a plan whose units are done to the next version of the log.
 *
 *   books    runs/<n>.json.zst, put if absent, the same bytes from every runner
 *   commit   the next version of the log, put if absent: its files, the job's transaction, the claim's, the totals, and
 *            the hash of the books. From then on the run counts.
 *
 * A commit is put only if the job's newest transaction is still the plan's parent, and if nothing that came after the
 * version the plan was made at is at odds with it: other columns, a removed file in a partition of ours, a key of ours
 * in a partition of ours. A lost answer is settled by reading on: the plan on the chain means success, whoever put it.
 */
#ifndef GM_RUN_COMMIT_H
#define GM_RUN_COMMIT_H

#include "run/claim.h"
#include "run/manifest.h"

/* A plan that is to be committed, or judged. */
struct gm_commit {
	struct gm_store *table;
	const struct gm_layout *layout;
	const struct gm_plan *plan;
	const char *job_id;
	const struct gm_manifest *manifests; /* one for each unit */
	uint64_t claim;                      /* 0: a plan without units */
	int64_t now_us;
	struct gm_tip *tip;
	const char *scratch; /* local folder for spill files */
	size_t memory_bytes; /* for comparing keys */
	/* Private. */
	int64_t checked; /* entries up to this version are not at odds with the plan */
	const char **partitions;
	size_t partition_count;
	struct gm_overlap *overlap; /* NULL: nothing was compared yet */
	struct gm_rows_column *key_columns;
};

/* tip: opened at a version that is not older than the plan's. */
enum gm_code gm_commit_init(struct gm_commit *commit, struct gm_error *err) GM_CHECK;
void gm_commit_release(struct gm_commit *commit);
/* Follows the log. OK: the plan may be committed. EXISTS: it is. LOST: it is dead. CHANGED: something that was
 * committed since the plan was made is at odds with it; the message says what. */
enum gm_code gm_commit_check(struct gm_commit *commit, struct gm_error *err) GM_CHECK;
/* Puts the books, checks, and puts the next version, again and again until one of gm_commit_check's answers is found;
 * OK: we committed it. */
enum gm_code gm_commit_put(struct gm_commit *commit, struct gm_error *err) GM_CHECK;
/* overlap.c: does the file hold a key that the plan's units hold, too? Or can that not be told? */
enum gm_code gm_commit_overlaps(struct gm_commit *commit, const struct gm_delta_file *file, bool *overlaps,
                                struct gm_error *err) GM_CHECK;
void gm_commit_forget_keys(struct gm_commit *commit);
/* The hash of a run's books that its commit carries. */
enum gm_code gm_books_hash(const json_t *books, char hex[GM_HEX128_BYTES], struct gm_error *err) GM_CHECK;

#endif
