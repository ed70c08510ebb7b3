/* run.h - a run on stores that are open already: what gm_run does once it has opened them. */
#ifndef GM_RUN_RUN_H
#define GM_RUN_RUN_H

#include "job/job.h"
#include "store/store.h"

/* What a run works with and does not own. */
struct gm_run_env {
	struct gm_store *source, *table;  /* table NULL: a dry run on a table that does not exist yet */
	const char *engine_id;            /* whatever can change a file's bytes */
	const char *scratch;              /* local folder for spill files */
	int64_t (*now_us)(void *context); /* the time that a plan notes */
	void *clock;                      /* its context */
};

/* As gm_run, on the stores of env; result is cleared first and the caller's to clear. */
enum gm_code gm_run_on(const struct gm_job *job, const struct gm_run_env *env, const struct gm_run_options *options,
                       struct gm_run_result *result, struct gm_error *err) GM_CHECK;

#endif
