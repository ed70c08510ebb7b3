/* claim.h - which plan, of whichever job, is between publish and commit: one at a time in the whole table.
 *
 * claims/<k>.json names a job and a plan and is put if absent. The commit of a claimed plan carries k, as the
 * transaction of application "gristmill", so a search for the last claim begins there and not at 1. A claim is
 * *settled* when its plan is committed, or dead and closed; only then may the next be put. */
#ifndef GM_RUN_CLAIM_H
#define GM_RUN_CLAIM_H

#include "run/tip.h"

#define GM_CLAIM_APP "gristmill"

struct gm_claim {
	uint64_t k;    /* of the last claim; that of the newest commit if there is none after it */
	uint64_t plan; /* 0: no claim after the newest commit */
	char job[160]; /* its id */
};

/* The last claim, as seen from the tip. */
enum gm_code gm_claim_last(const struct gm_tip *tip, struct gm_claim *claim, struct gm_error *err) GM_CHECK;
/* EXISTS: another was first. */
enum gm_code gm_claim_put(struct gm_store *table, uint64_t k, const char *job_id, uint64_t plan,
                          struct gm_error *err) GM_CHECK;

#endif
