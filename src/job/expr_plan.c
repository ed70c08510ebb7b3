#include "job/expr_node.h"

#include <stdlib.h>
#include <string.h>

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for the job's expressions");
}

/* --- Bases -------------------------------------------------------------------------------------------------------- */

static void find_base(struct gm_expr_node *node)
{
	node->base = node->op == GM_EXPR_LEAF ? node : NULL;
	node->base_day = false;
	for (size_t i = 0; i < node->argc; i++) {
		struct gm_expr_node *arg = node->args[i], *base = arg->base;
		bool day = arg->base_day;
		if (base == NULL) continue;
		if (node->day_grain && arg->type == GM_TYPE_TIMESTAMP) {
			base = arg;
			day = true;
		}
		if (node->base != NULL && (node->base != base || node->base_day != day)) {
			node->base = node; /* inputs meet here: a pivot */
			node->base_day = false;
			return;
		}
		node->base = base;
		node->base_day = day;
	}
}

static bool is_pivot(const struct gm_expr_node *node)
{
	return node->base == node && node->op != GM_EXPR_LEAF;
}

static void mark(struct gm_expr_node *node, bool lazy)
{
	if (node->vector) return;
	node->vector = true;
	node->lazy = lazy;
}

/* Marks what those need that are marked: their arguments have smaller indices. */
static void mark_inputs(struct gm_program *program, bool lazy)
{
	for (size_t i = program->node_count; i-- > 0;) {
		struct gm_expr_node *node = program->nodes[i];
		if (!node->vector || node->lazy != lazy) continue;
		if (!is_pivot(node)) {
			if (node->base != NULL) mark(node->base, lazy);
			continue;
		}
		for (size_t j = 0; j < node->argc; j++)
			if (node->args[j]->base != NULL) mark(node->args[j], lazy);
	}
}

static void mark_vectors(struct gm_program *program)
{
	size_t columns = program->job->column_count;
	for (size_t i = 0; i < columns; i++) {
		mark(program->columns[i].output, false);
		if (program->columns[i].result != NULL) mark(program->columns[i].result, false);
	}
	if (program->where != NULL) mark(program->where, false);
	if (program->path != NULL) mark(program->path, false);
	if (program->check != NULL) mark(program->check, false);
	mark_inputs(program, false);
	for (size_t i = columns; i < program->column_count; i++) {
		mark(program->columns[i].output, true);
		if (program->columns[i].result != NULL) mark(program->columns[i].result, true);
	}
	mark_inputs(program, true);
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

/* Collects the nodes between a step's inputs and its node, in order of their indices. `seen[i]` holds the number of the
 * step that saw node i last. */
struct region {
	struct gm_expr_node **nodes, **stack;
	size_t count;
	uint32_t *seen;
};

static void collect(struct region *region, const struct gm_expr_step *step, uint32_t number)
{
	size_t depth = 0;
	bool pivot = is_pivot(step->node);
	region->count = 0;
	region->stack[depth++] = step->node;
	region->seen[step->node->index] = number;
	while (depth > 0) {
		struct gm_expr_node *node = region->stack[--depth];
		region->nodes[region->count++] = node;
		for (size_t i = 0; i < node->argc; i++) {
			struct gm_expr_node *arg = node->args[i];
			bool input = pivot ? arg->base != NULL : arg == step->node->base;
			if (input || arg->op == GM_EXPR_CONST || region->seen[arg->index] == number) continue;
			region->seen[arg->index] = number;
			region->stack[depth++] = arg;
		}
	}
}

static int by_index(const void *a, const void *b)
{
	const struct gm_expr_node *const *left = a, *const *right = b;
	return ((*left)->index > (*right)->index) - ((*left)->index < (*right)->index);
}

/* Evaluating such a node costs hardly more than looking up what it gave before. */
static bool is_cheap(const struct gm_expr_node *node)
{
	if (node->type == GM_TYPE_STRING) return false;
	switch (node->op) {
	case GM_EXPR_CALL:
	case GM_EXPR_SQL:
	case GM_EXPR_LIKE:
	case GM_EXPR_PATH: return false;
	case GM_EXPR_CAST: return node->args[0]->type != GM_TYPE_STRING;
	case GM_EXPR_IN: return node->argc <= 8;
	default: return true;
	}
}

static enum gm_code set_inputs(struct gm_program *program, struct gm_expr_step *step, struct gm_error *err)
{
	struct gm_expr_node *node = step->node;
	size_t room = is_pivot(node) ? node->argc : 1;
	step->inputs = gm_arena_alloc(&program->job->arena, room * sizeof(struct gm_expr_node *));
	if (step->inputs == NULL) return no_memory(err);
	if (node->base == NULL) return GM_OK;
	if (!is_pivot(node)) {
		step->inputs[step->input_count++] = node->base;
		step->day = node->base_day;
		return GM_OK;
	}
	for (size_t i = 0; i < node->argc; i++) {
		bool known = node->args[i]->base == NULL;
		for (size_t j = 0; j < step->input_count; j++) known = known || step->inputs[j] == node->args[i];
		if (!known) step->inputs[step->input_count++] = node->args[i];
	}
	return GM_OK;
}

/* Steps over one and the same input have the memo for its codes in common, so that what a code gave for the one is near
 * what it gave for the next. Lazy ones hardly ever run: they would only be in the way. */
static void share_memo(struct gm_program *program, struct gm_expr_step *step)
{
	struct gm_expr_node *input = step->input_count == 1 && !step->lazy ? step->inputs[0] : NULL;
	step->by_code = (size_t)(step - program->steps);
	if (input != NULL && input->first_step == 0) input->first_step = (uint32_t)step->by_code + 1;
	if (input != NULL) step->by_code = input->first_step - 1;
	step->place = program->steps[step->by_code].places++;
}

static enum gm_code make_step(struct gm_program *program, struct gm_expr_node *node, struct region *region,
                              struct gm_error *err)
{
	uint32_t number = (uint32_t)program->step_count + 1;
	struct gm_expr_step *step = &program->steps[program->step_count];
	*step = (struct gm_expr_step){.node = node, .slot = UINT32_MAX, .lazy = node->lazy, .cheap = true};
	GM_TRY(set_inputs(program, step, err));
	share_memo(program, step);
	collect(region, step, number);
	qsort(region->nodes, region->count, sizeof(struct gm_expr_node *), by_index);
	step->region_count = region->count;
	step->region = gm_arena_alloc(&program->job->arena, region->count * sizeof(struct gm_expr_node *));
	if (step->region == NULL) return no_memory(err);
	memcpy(step->region, region->nodes, region->count * sizeof(struct gm_expr_node *));
	for (size_t i = 0; i < region->count; i++) step->cheap = step->cheap && is_cheap(region->nodes[i]);
	program->step_count++;
	return GM_OK;
}

/* Outputs that are no leaves get the slots behind the leaves. */
static void set_slots(struct gm_program *program)
{
	uint32_t next = (uint32_t)program->leaf_count;
	for (size_t i = 0; i < program->column_count; i++) {
		struct gm_expr_node *node = program->columns[i].output;
		bool table = i < program->job->column_count; /* partition values are in the path alone */
		if (!table || node->op == GM_EXPR_LEAF || node->slot != UINT32_MAX) continue;
		node->slot = next++;
	}
	program->extra_slots = next - (uint32_t)program->leaf_count;
	for (size_t i = 0; i < program->step_count; i++) program->steps[i].slot = program->steps[i].node->slot;
}

enum gm_code gm_expr_plan(struct gm_program *program, struct gm_error *err)
{
	size_t count = program->node_count + 1;
	struct gm_arena *arena = &program->job->arena;
	struct region region = {.nodes = gm_arena_alloc(arena, count * sizeof(struct gm_expr_node *)),
	                        .stack = gm_arena_alloc(arena, count * sizeof(struct gm_expr_node *)),
	                        .seen = gm_arena_zalloc(arena, count * sizeof *region.seen)};
	program->steps = gm_arena_alloc(arena, count * sizeof *program->steps);
	if (region.nodes == NULL || region.stack == NULL || region.seen == NULL || program->steps == NULL)
		return no_memory(err);
	for (size_t i = 0; i < program->node_count; i++) {
		find_base(program->nodes[i]);
		if (program->nodes[i]->op != GM_EXPR_LEAF) program->nodes[i]->slot = UINT32_MAX;
	}
	mark_vectors(program);
	for (size_t i = 0; i < program->node_count; i++) {
		struct gm_expr_node *node = program->nodes[i];
		if (node->vector && node->op != GM_EXPR_LEAF) GM_TRY(make_step(program, node, &region, err));
	}
	set_slots(program);
	return GM_OK;
}
