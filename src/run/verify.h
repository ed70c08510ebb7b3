/* verify.h - the proof of a table on stores that are open already: what gm_verify does once it has opened them. */
#ifndef GM_RUN_VERIFY_H
#define GM_RUN_VERIFY_H

#include "job/job.h"
#include "store/store.h"

/* As gm_verify; job and source are both given or both NULL. result is cleared first. */
enum gm_code gm_verify_on(const struct gm_job *job, struct gm_store *table, struct gm_store *source,
                          const struct gm_verify_options *options, struct gm_verify_result *result,
                          struct gm_error *err) GM_CHECK;

#endif
