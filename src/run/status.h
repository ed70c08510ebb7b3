/* status.h - what the parts of a job's status share: status.c reads the table, the bookmark and the source,
 * status_runs.c the commits, status_plans.c the plans that are not settled. None of them writes. */
#ifndef GM_RUN_STATUS_H
#define GM_RUN_STATUS_H

#include "run/runner.h"

struct gm_status_part {
	struct gm_runner *runner; /* its history is loaded */
	struct gm_arena *arena;   /* of the status: what it points to lives here */
	struct gm_status *status;
	uint64_t runs; /* how many are asked for */
};

/* A text of the arena; "" when it is empty, NULL when memory is gone. */
const char *gm_status_text(struct gm_status_part *part, const char *text);

enum gm_code gm_status_runs(struct gm_status_part *part, struct gm_error *err) GM_CHECK;
enum gm_code gm_status_plans(struct gm_status_part *part, struct gm_error *err) GM_CHECK;

#endif
