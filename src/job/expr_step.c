#include "job/expr_step.h"

#include "job/expr_refs.h"

#include <stdlib.h>
#include <string.h>

enum {
	ARENA_BLOCK_BYTES = 64 * 1024,
	PLAIN_VERDICT_ROWS = 16384, /* rows of PLAIN inputs to see before their results may become PLAIN too */
	BYTES_KEPT = 1 << 20,
	KEY_WORDS = 512,       /* of keys that are looked up together */
	CHEAP_KEYS_MAX = 2048, /* inputs to remember of what is as cheap to evaluate */
};

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for the results of expressions");
}

/* --- Runner ------------------------------------------------------------------------------------------------------- */

enum gm_code gm_expr_runner_init(struct gm_expr_runner *runner, const struct gm_program *program, struct gm_error *err)
{
	*runner = (struct gm_expr_runner){.program = program};
	gm_arena_init(&runner->arena, ARENA_BLOCK_BYTES);
	size_t widest = 1;
	for (size_t i = 0; i < program->step_count; i++)
		if (program->steps[i].input_count > widest) widest = program->steps[i].input_count;
	runner->states = calloc(program->step_count + 1, sizeof *runner->states);
	runner->vectors = calloc(program->node_count + 1, sizeof *runner->vectors);
	runner->key_words = 2 * widest + 1 > KEY_WORDS ? (uint32_t)(2 * widest + 1) : KEY_WORDS;
	runner->key = calloc(runner->key_words, sizeof *runner->key);
	runner->signature = calloc(widest + 1, sizeof *runner->signature);
	runner->source_cap = 2 * program->leaf_count + 1;
	runner->sources = calloc(runner->source_cap, sizeof *runner->sources);
	bool have = runner->states != NULL && runner->vectors != NULL && runner->key != NULL && runner->signature != NULL &&
	            runner->sources != NULL;
	enum gm_code code = have ? gm_expr_machine_init(&runner->machine, program, err) : no_memory(err);
	for (size_t i = 0; code == GM_OK && i < program->step_count; i++) {
		gm_buf_init(&runner->states[i].bytes, UINT32_MAX);
		runner->states[i].memo.places = program->steps[i].places;
	}
	if (code != GM_OK) gm_expr_runner_release(runner);
	return code;
}

static void forget_results(struct gm_expr_step_state *state)
{
	gm_dict_unref(state->dict);
	state->dict = NULL;
	free(state->values);
	state->values = NULL;
	state->value_count = state->value_cap = 0;
	gm_memo_clear(&state->memo);
	if (state->bytes.cap > BYTES_KEPT) gm_buf_release(&state->bytes);
}

void gm_expr_runner_release(struct gm_expr_runner *runner)
{
	size_t steps = runner->states != NULL ? runner->program->step_count : 0;
	for (size_t i = 0; i < steps; i++) {
		forget_results(&runner->states[i]);
		gm_buf_release(&runner->states[i].bytes);
	}
	for (size_t i = 0; runner->sources != NULL && i < runner->source_count; i++) gm_dict_unref(runner->sources[i].dict);
	gm_expr_machine_release(&runner->machine);
	gm_arena_release(&runner->arena);
	free(runner->states);
	free(runner->vectors);
	free(runner->key);
	free(runner->signature);
	free(runner->sources);
	*runner = (struct gm_expr_runner){0};
}

enum gm_code gm_expr_runner_reset(struct gm_expr_runner *runner, struct gm_error *err)
{
	for (size_t i = 0; i < runner->program->step_count; i++) forget_results(&runner->states[i]);
	runner->starved = false;
	return gm_expr_machine_reset(&runner->machine, err);
}

size_t gm_expr_runner_memory_bytes(const struct gm_expr_runner *runner)
{
	size_t bytes = gm_expr_machine_memory_bytes(&runner->machine) + runner->arena.total_bytes;
	for (size_t i = 0; i < runner->program->step_count; i++) {
		const struct gm_expr_step_state *state = &runner->states[i];
		bytes += state->memo.memory_bytes + state->value_cap * sizeof *state->values + state->bytes.cap;
		if (state->dict != NULL) bytes += gm_dict_memory_bytes(state->dict);
	}
	return bytes;
}

/* --- Leaves ------------------------------------------------------------------------------------------------------- */

/* The number of a dictionary that the chunk brings. A reference keeps its address from being another's. */
static uint64_t source_id(struct gm_expr_runner *runner, struct gm_dict *dict)
{
	for (size_t i = 0; i < runner->source_count; i++) {
		if (runner->sources[i].dict != dict) continue;
		runner->sources[i].used = true;
		return runner->sources[i].id;
	}
	/* There is room: what the last chunk did not use is gone, and there are two places per leaf. */
	runner->sources[runner->source_count++] =
	    (struct gm_expr_source_dict){gm_dict_ref(dict), ++runner->last_dict_id, true};
	return runner->last_dict_id;
}

/* Lets go of dictionaries that neither this chunk nor the one before used, or that nobody else holds. */
static void forget_sources(struct gm_expr_runner *runner, const struct gm_chunk *chunk)
{
	size_t kept = 0;
	for (size_t i = 0; i < runner->source_count; i++) {
		struct gm_expr_source_dict *source = &runner->sources[i];
		bool keep = source->used && __atomic_load_n(&source->dict->references, __ATOMIC_ACQUIRE) > 1;
		for (size_t j = 0; !keep && j < runner->program->leaf_count; j++)
			keep = chunk->vec[j].repr == GM_REPR_DICT && chunk->vec[j].dict == source->dict;
		source->used = false;
		if (keep)
			runner->sources[kept++] = *source;
		else
			gm_dict_unref(source->dict);
	}
	runner->source_count = kept;
}

enum gm_code gm_expr_runner_begin(struct gm_expr_runner *runner, const struct gm_chunk *chunk, struct gm_error *err)
{
	const struct gm_program *program = runner->program;
	if (chunk->slots < program->leaf_count + program->extra_slots)
		GM_FAIL(err, GM_BUG, "a chunk has %u slots, the job needs %zu", chunk->slots,
		        program->leaf_count + program->extra_slots);
	gm_arena_reset(&runner->arena);
	runner->chunk_bytes = 0;
	forget_sources(runner, chunk);
	for (size_t i = 0; i < program->node_count; i++) {
		const struct gm_expr_node *node = program->nodes[i];
		if (node->op != GM_EXPR_LEAF) continue;
		const struct gm_vec *vec = &chunk->vec[node->slot];
		struct gm_expr_vector *vector = &runner->vectors[i];
		*vector = (struct gm_expr_vector){.vec = *vec};
		if (vec->repr == GM_REPR_DICT) vector->dict_id = source_id(runner, vec->dict);
	}
	return GM_OK;
}

/* --- Refs to vectors ---------------------------------------------------------------------------------------------- */

static enum gm_repr repr_of(enum gm_type type)
{
	switch (type) {
	case GM_TYPE_BOOLEAN: return GM_REPR_BOOL;
	case GM_TYPE_DOUBLE: return GM_REPR_F64;
	case GM_TYPE_STRING: return GM_REPR_DICT;
	default: return GM_REPR_I64;
	}
}

/* Takes failures out of refs; they become null. */
static enum gm_code split_errors(struct gm_expr_work *w, uint32_t *refs, uint32_t **errors)
{
	uint32_t any = 0;
	*errors = NULL;
	for (uint32_t row = 0; row < w->rows; row++) any |= refs[row];
	if ((any & GM_REF_FAILED) == 0) return GM_OK;
	*errors = gm_arena_alloc(&w->runner->arena, w->rows * sizeof **errors);
	if (*errors == NULL) return no_memory(w->err);
	for (uint32_t row = 0; row < w->rows; row++) {
		bool failed = (refs[row] & GM_REF_FAILED) != 0;
		(*errors)[row] = failed ? refs[row] & ~GM_REF_FAILED : 0;
		if (failed) refs[row] = GM_REF_NULL;
	}
	return GM_OK;
}

static enum gm_code set_nulls(struct gm_expr_work *w, const uint32_t *refs, struct gm_arena *arena, struct gm_vec *vec)
{
	uint32_t nulls = 0;
	for (uint32_t row = 0; row < w->rows; row++) nulls += refs[row] == GM_REF_NULL;
	vec->null = NULL;
	if (nulls == 0) return GM_OK;
	vec->null = gm_arena_alloc(arena, w->rows);
	if (vec->null == NULL) return no_memory(w->err);
	for (uint32_t row = 0; row < w->rows; row++) vec->null[row] = refs[row] == GM_REF_NULL;
	return GM_OK;
}

/* The numbers of refs, 0 for null. Nulls come in no order: no branch for each. */
static void fill_numbers(const struct gm_expr_step_state *state, const uint32_t *refs, uint32_t rows, int64_t *numbers)
{
	static const uint64_t none[1] = {0};
	const uint64_t *values = state->value_count > 0 ? state->values : none;
	for (uint32_t row = 0; row < rows; row++) {
		uint64_t some = refs[row] != GM_REF_NULL;
		uint64_t bits = values[refs[row] - some] & (0 - some);
		memcpy(&numbers[row], &bits, sizeof bits);
	}
}

static enum gm_code refs_to_numbers(struct gm_expr_work *w, const uint32_t *refs, struct gm_arena *arena,
                                    struct gm_vec *vec)
{
	GM_TRY(set_nulls(w, refs, arena, vec));
	if (vec->repr == GM_REPR_BOOL) {
		vec->boolean = gm_arena_alloc(arena, w->rows);
		if (vec->boolean == NULL) return no_memory(w->err);
		for (uint32_t row = 0; row < w->rows; row++) vec->boolean[row] = refs[row] == 2;
		return GM_OK;
	}
	int64_t *numbers = gm_arena_alloc(arena, w->rows * sizeof *numbers); /* doubles by their bits */
	if (numbers == NULL) return no_memory(w->err);
	fill_numbers(w->state, refs, w->rows, numbers);
	vec->i64 = numbers;
	return GM_OK;
}

/* Where the arrays of the step's vector live: with the chunk if they leave with it. */
static struct gm_arena *arena_of(const struct gm_expr_work *w, struct gm_chunk *chunk)
{
	bool leaves = w->step->slot != UINT32_MAX || w->step->node->op == GM_EXPR_PATH;
	return leaves ? &chunk->arena : &w->runner->arena;
}

/* Runs by way of refs. */
static enum gm_code run_refs(struct gm_expr_work *w, gm_refs_fn *rows, struct gm_arena *arena,
                             struct gm_expr_vector *vector)
{
	bool codes = w->step->node->type == GM_TYPE_STRING;
	uint32_t *refs = gm_arena_alloc(codes ? arena : &w->runner->arena, (w->rows + 1) * sizeof *refs);
	if (refs == NULL) return no_memory(w->err);
	GM_TRY(rows(w, refs));
	GM_TRY(split_errors(w, refs, &vector->errors));
	if (!codes) return refs_to_numbers(w, refs, arena, &vector->vec);
	GM_TRY(gm_expr_ensure_dict(w));
	vector->vec.codes = refs;
	vector->vec.dict = w->state->dict;
	vector->dict_id = w->state->dict_id;
	return GM_OK;
}

/* --- Steps without memo ------------------------------------------------------------------------------------------- */

static enum gm_code note_error(struct gm_expr_work *w, uint32_t row, uint32_t error, struct gm_expr_vector *vector)
{
	if (vector->errors == NULL) vector->errors = gm_arena_zalloc(&w->runner->arena, w->rows * sizeof *vector->errors);
	if (vector->errors == NULL) return no_memory(w->err);
	vector->errors[row] = error;
	return GM_OK;
}

/* Numbers and booleans, evaluated row by row. */
static enum gm_code run_direct(struct gm_expr_work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
{
	struct gm_vec *vec = &vector->vec;
	const struct gm_expr_scalar *scalar = &w->runner->machine.scalars[w->step->node->index];
	size_t width = vec->repr == GM_REPR_BOOL ? 1 : sizeof(int64_t);
	uint8_t *values = gm_arena_alloc(arena, (w->rows + 1) * width);
	uint8_t *null = gm_arena_zalloc(arena, w->rows + 1);
	if (values == NULL || null == NULL) return no_memory(w->err);
	bool any_null = false;
	for (uint32_t row = 0; row < w->rows; row++) {
		GM_TRY(gm_expr_eval_row(w, row));
		bool is_null = scalar->value.null || scalar->error != 0;
		uint64_t bits = is_null ? 0 : gm_expr_bits(&scalar->value);
		null[row] = is_null;
		any_null = any_null || is_null;
		if (scalar->error != 0) GM_TRY(note_error(w, row, scalar->error, vector));
		if (width == 1)
			values[row] = (uint8_t)bits;
		else
			memcpy(values + row * width, &bits, sizeof bits);
	}
	vec->null = any_null ? null : NULL;
	vec->boolean = values; /* i64 and f64 lie in the same place */
	return GM_OK;
}

/* Strings from PLAIN inputs, most of them new: side by side. */
static enum gm_code run_plain(struct gm_expr_work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
{
	struct gm_vec *vec = &vector->vec;
	struct gm_buf *bytes = &w->state->bytes;
	const struct gm_expr_scalar *scalar = &w->runner->machine.scalars[w->step->node->index];
	uint32_t *ends = gm_arena_alloc(arena, (w->rows + 1) * sizeof *ends);
	uint8_t *null = gm_arena_zalloc(arena, w->rows + 1);
	if (ends == NULL || null == NULL) return no_memory(w->err);
	bool any_null = false;
	bytes->len = 0;
	for (uint32_t row = 0; row < w->rows; row++) {
		GM_TRY(gm_expr_eval_row(w, row));
		null[row] = scalar->value.null || scalar->error != 0;
		any_null = any_null || null[row] != 0;
		if (scalar->error != 0) GM_TRY(note_error(w, row, scalar->error, vector));
		if (null[row] == 0) {
			GM_TRY(gm_expr_count_bytes(w, scalar->value.len));
			GM_TRY(gm_buf_append(bytes, scalar->value.bytes, scalar->value.len, w->err));
		}
		ends[row] = (uint32_t)bytes->len;
	}
	vec->repr = GM_REPR_PLAIN;
	vec->null = any_null ? null : NULL;
	vec->ends = ends;
	vec->bytes = gm_arena_alloc(arena, bytes->len + 1);
	if (vec->bytes == NULL) return no_memory(w->err);
	if (bytes->len > 0) memcpy(vec->bytes, bytes->data, bytes->len);
	return GM_OK;
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

/* Strings from PLAIN inputs: a dictionary as long as they repeat. */
static enum gm_code run_from_plain(struct gm_expr_work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
{
	struct gm_expr_step_state *state = w->state;
	bool mostly_new = state->plain_rows >= PLAIN_VERDICT_ROWS && state->plain_new > state->plain_rows / 2;
	if (mostly_new && w->step->node->op != GM_EXPR_PATH) return run_plain(w, arena, vector);
	uint32_t before = state->dict != NULL ? state->dict->count : 0;
	GM_TRY(run_refs(w, gm_refs_each, arena, vector));
	if (state->plain_rows >= PLAIN_VERDICT_ROWS) return GM_OK;
	state->plain_rows += w->rows;
	state->plain_new += state->dict->count - before;
	return GM_OK;
}

static enum gm_code run_step(struct gm_expr_work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
{
	const struct gm_expr_step *step = w->step;
	bool string = step->node->type == GM_TYPE_STRING, plain = false, codes = true, failed = false;
	for (size_t i = 0; i < step->input_count; i++) {
		const struct gm_expr_vector *in = gm_expr_input(w, i);
		plain = plain || in->vec.repr == GM_REPR_PLAIN;
		codes = codes && (in->vec.repr == GM_REPR_DICT || in->vec.repr == GM_REPR_NULL);
		failed = failed || in->errors != NULL;
	}
	if (plain) return string ? run_from_plain(w, arena, vector) : run_direct(w, arena, vector);
	bool one = step->input_count == 1;
	enum gm_repr first = one ? gm_expr_input(w, 0)->vec.repr : GM_REPR_NULL;
	if (step->input_count == 0 || (one && first == GM_REPR_NULL)) return run_refs(w, gm_refs_constant, arena, vector);
	if (one && first == GM_REPR_DICT) return run_refs(w, gm_refs_by_code, arena, vector);
	/* A memo that stays small, and so in the cache, beats even a comparison. */
	bool repeats = w->state->memo.keys.count < CHEAP_KEYS_MAX;
	if (step->cheap && !step->day && !repeats) return run_direct(w, arena, vector);
	if (one) return run_refs(w, step->day ? gm_refs_by_day : gm_refs_by_word, arena, vector);
	return run_refs(w, codes && !failed ? gm_refs_by_codes : gm_refs_by_mix, arena, vector);
}

enum gm_code gm_expr_step_run(struct gm_expr_runner *runner, size_t step, struct gm_chunk *chunk, struct gm_error *err)
{
	struct gm_expr_work w = {.runner = runner,
	                         .step = &runner->program->steps[step],
	                         .state = &runner->states[step],
	                         .rows = chunk->rows,
	                         .err = err};
	struct gm_expr_vector *vector = &runner->vectors[w.step->node->index];
	enum gm_type type = w.step->node->type;
	*vector = (struct gm_expr_vector){.vec = {.type = type, .repr = repr_of(type)}};
	return run_step(&w, arena_of(&w, chunk), vector);
}
