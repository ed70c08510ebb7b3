#include "run/plan_shelf.h"

#include "base/parallel.h"

static void take_off(struct gm_plan_shelf *shelf, size_t at)
{
	shelf->inputs -= shelf->plan[at]->input_count;
	gm_plan_free(shelf->plan[at]);
	shelf->count--;
	memmove(&shelf->plan[at], &shelf->plan[at + 1], (shelf->count - at) * sizeof shelf->plan[0]);
}

/* The oldest go first: whoever walks along the chain comes from its newest end, and comes again to that. */
static void make_room(struct gm_plan_shelf *shelf, size_t inputs)
{
	while (shelf->count > 0 && (shelf->count == GM_SHELF_PLANS || shelf->inputs + inputs > GM_SHELF_INPUTS))
		take_off(shelf, shelf->count - 1);
}

static const struct gm_plan *put_on(struct gm_plan_shelf *shelf, struct gm_plan *plan)
{
	size_t at = 0;
	make_room(shelf, plan->input_count);
	while (at < shelf->count && shelf->plan[at]->number > plan->number) at++;
	memmove(&shelf->plan[at + 1], &shelf->plan[at], (shelf->count - at) * sizeof shelf->plan[0]);
	shelf->plan[at] = plan;
	shelf->count++;
	shelf->inputs += plan->input_count;
	return plan;
}

static const struct gm_plan *find(const struct gm_plan_shelf *shelf, uint64_t number)
{
	for (size_t i = 0; i < shelf->count; i++)
		if (shelf->plan[i]->number == number) return shelf->plan[i];
	return NULL;
}

enum gm_code gm_shelf_read(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                           uint64_t number, const struct gm_plan **out, struct gm_error *err)
{
	struct gm_plan *plan;
	*out = find(shelf, number);
	if (*out != NULL) return GM_OK;
	GM_TRY(gm_plan_read(table, layout, number, &plan, err));
	*out = put_on(shelf, plan);
	return GM_OK;
}

struct fetching {
	struct gm_store *table;
	const struct gm_layout *layout;
	uint64_t number[GM_SHELF_PLANS / 2];
	struct gm_plan *plan[GM_SHELF_PLANS / 2];
	size_t count;
};

static enum gm_code fetch_at(void *context, size_t index, struct gm_error *err)
{
	struct fetching *fetching = context;
	uint64_t number = fetching->number[index];
	if (gm_plan_read(fetching->table, fetching->layout, number, &fetching->plan[index], err) != GM_OK)
		fetching->plan[index] = NULL;
	return GM_OK;
}

void gm_shelf_fetch(struct gm_plan_shelf *shelf, struct gm_store *table, const struct gm_layout *layout,
                    const uint64_t *numbers, size_t count)
{
	struct gm_error ignored;
	struct fetching fetching = {.table = table, .layout = layout};
	if (!gm_store_is_remote(table)) return;
	for (size_t i = count; i > 0 && fetching.count < GM_SHELF_PLANS / 2; i--)
		if (find(shelf, numbers[i - 1]) == NULL) fetching.number[fetching.count++] = numbers[i - 1];
	(void)!gm_parallel(fetching.count, table->parallel, fetch_at, &fetching, &ignored);
	for (size_t i = 0; i < fetching.count; i++)
		if (fetching.plan[i] != NULL) (void)put_on(shelf, fetching.plan[i]);
}

void gm_shelf_clear(struct gm_plan_shelf *shelf)
{
	while (shelf->count > 0) take_off(shelf, shelf->count - 1);
}
