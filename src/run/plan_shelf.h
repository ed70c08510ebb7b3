/* plan_shelf.h - plans that have been read and are kept at hand, for they never change: a run asks for those on the
 * chain several times, and each time is a journey where the table is far away. The shelf is small; what has no room is
 * read again. One thread's, and one job's. */
#ifndef GM_RUN_PLAN_SHELF_H
#define GM_RUN_PLAN_SHELF_H

#include "run/plan.h"

enum {
	GM_SHELF_PLANS = 32,
	GM_SHELF_INPUTS = 50000, /* of all plans together, but for the one that was asked for last */
};

struct gm_plan_shelf {
	struct gm_plan *plan[GM_SHELF_PLANS]; /* by descending numbers */
	size_t count, inputs;
};

/* The plan, from the shelf or from the table, as gm_plan_read. It lives until the next call. */
enum gm_code gm_shelf_read(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                           uint64_t number, const struct gm_plan **out, struct gm_error *err) GM_CHECK;
/* Fetches those of the plans that are not on it, several at once where the table is far away, and as far as there is
 * room; what fails is asked for again, and told, when it is read. */
void gm_shelf_fetch(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                    const uint64_t *numbers, size_t count);
/* Empties it. */
void gm_shelf_clear(struct gm_plan_shelf *shelf);

#endif
