/* expr_refs.h - the rows of a step to refs (see expr_memo.h), each of the ways by another kind of memo. */
#ifndef GM_JOB_EXPR_REFS_H
#define GM_JOB_EXPR_REFS_H

#include "job/expr_step.h"

#include <string.h>

/* A step at work on a chunk. */
struct gm_expr_work {
	struct gm_expr_runner *runner;
	const struct gm_expr_step *step;
	struct gm_expr_step_state *state;
	uint32_t rows;
	struct gm_error *err;
};

static inline const struct gm_expr_vector *gm_expr_input(const struct gm_expr_work *w, size_t i)
{
	return &w->runner->vectors[w->step->inputs[i]->index];
}

/* The bits by which a number that is not null is kept. */
static inline uint64_t gm_expr_bits(const struct gm_value *value)
{
	uint64_t bits;
	if (value->type == GM_TYPE_BOOLEAN) return value->boolean;
	memcpy(&bits, &value->i64, sizeof bits);
	return bits;
}

/* The step's node for the inputs of a row, in its scalar. */
enum gm_code gm_expr_eval_row(struct gm_expr_work *w, uint32_t row) GM_CHECK;
/* Counts what a string of the chunk's results takes; fails when it is too much. */
enum gm_code gm_expr_count_bytes(struct gm_expr_work *w, uint32_t bytes) GM_CHECK;
enum gm_code gm_expr_ensure_dict(struct gm_expr_work *w) GM_CHECK;

/* Sets refs[0 .. rows). */
typedef enum gm_code gm_refs_fn(struct gm_expr_work *w, uint32_t *refs);
gm_refs_fn gm_refs_constant; /* one result for all rows: no input, or one that is null throughout */
gm_refs_fn gm_refs_by_code;  /* one input, by its code in a dictionary */
gm_refs_fn gm_refs_by_day;   /* one timestamp, by its UTC day */
gm_refs_fn gm_refs_by_word;  /* one number, by its bits */
gm_refs_fn gm_refs_by_codes; /* several inputs, each by its code in a dictionary */
gm_refs_fn gm_refs_by_mix;   /* several inputs of any kind but PLAIN */
gm_refs_fn gm_refs_each;     /* no memo: each row is evaluated */

#endif
