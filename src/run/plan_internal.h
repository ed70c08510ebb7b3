/* plan_internal.h - what the files of a plan share. */
#ifndef GM_RUN_PLAN_INTERNAL_H
#define GM_RUN_PLAN_INTERNAL_H

#include "run/plan.h"

/* What the object is worth when units are cut. Only the plan knows it by its name: reading tells by magic bytes. */
uint64_t gm_plan_raw_estimate(const struct gm_input *input);
/* Lists the source and gives the plan its inputs; none: nothing is new. */
enum gm_code gm_plan_list(struct gm_plan *plan, const struct gm_plan_request *request, struct gm_error *err) GM_CHECK;

#endif
