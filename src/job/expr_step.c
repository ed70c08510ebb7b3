#include "job/expr_step.h"

#include "base/time.h"

#include <stdlib.h>
#include <string.h>

enum {
	ARENA_BLOCK_BYTES = 64 * 1024,
	PLAIN_VERDICT_ROWS = 16384, /* rows of PLAIN inputs to see before their results may become PLAIN too */
	BYTES_KEPT = 1 << 20,
	CHEAP_KEYS_MAX = 2048, /* inputs to remember of what is as cheap to evaluate */
};
/* What the expressions may make of one chunk's few thousand records. */
static const uint64_t chunk_bytes_max = (uint64_t)1 << 30;

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
	runner->key = calloc(2 * widest + 1, sizeof *runner->key);
	runner->signature = calloc(widest + 1, sizeof *runner->signature);
	runner->source_cap = 2 * program->leaf_count + 1;
	runner->sources = calloc(runner->source_cap, sizeof *runner->sources);
	bool have = runner->states != NULL && runner->vectors != NULL && runner->key != NULL && runner->signature != NULL &&
	            runner->sources != NULL;
	enum gm_code code = have ? gm_expr_machine_init(&runner->machine, program, err) : no_memory(err);
	for (size_t i = 0; code == GM_OK && i < program->step_count; i++) gm_buf_init(&runner->states[i].bytes, UINT32_MAX);
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

/* --- One row ------------------------------------------------------------------------------------------------------ */

/* A step at work. */
struct work {
	struct gm_expr_runner *runner;
	const struct gm_expr_step *step;
	struct gm_expr_step_state *state;
	uint32_t rows;
	struct gm_error *err;
};

static void load(const struct gm_expr_vector *vector, enum gm_type type, uint32_t row, struct gm_expr_scalar *out)
{
	const struct gm_vec *vec = &vector->vec;
	*out = (struct gm_expr_scalar){.value = {.type = type, .null = gm_vec_is_null(vec, row)}};
	if (vector->errors != NULL) out->error = vector->errors[row];
	if (out->value.null) return;
	switch (vec->repr) {
	case GM_REPR_BOOL: out->value.boolean = vec->boolean[row] != 0; break;
	case GM_REPR_I64: out->value.i64 = vec->i64[row]; break;
	case GM_REPR_F64: out->value.f64 = vec->f64[row]; break;
	case GM_REPR_DICT:
	case GM_REPR_PLAIN: out->value.bytes = gm_vec_string(vec, row, &out->value.len); break;
	case GM_REPR_NULL: break;
	}
}

static const struct gm_expr_vector *input(const struct work *w, size_t i)
{
	return &w->runner->vectors[w->step->inputs[i]->index];
}

/* The step's node for the inputs of a row, in its scalar. */
static enum gm_code eval_row(struct work *w, uint32_t row)
{
	struct gm_expr_machine *machine = &w->runner->machine;
	for (size_t i = 0; i < w->step->input_count; i++)
		load(input(w, i), w->step->inputs[i]->type, row, &machine->scalars[w->step->inputs[i]->index]);
	for (size_t i = 0; i < w->step->region_count; i++) GM_TRY(gm_expr_eval(machine, w->step->region[i], w->err));
	return GM_OK;
}

static enum gm_code count_bytes(struct work *w, uint32_t bytes)
{
	w->runner->chunk_bytes += bytes;
	if (w->runner->chunk_bytes <= chunk_bytes_max) return GM_OK;
	const struct gm_expr_node *node = w->step->node;
	return gm_expr_fail_code(node->source, node->offset, GM_VALUE, w->err,
	                         "the results for a few thousand records exceed 1 GiB");
}

static enum gm_code keep_string(struct work *w, const struct gm_value *value, uint32_t *ref)
{
	struct gm_expr_step_state *state = w->state;
	if (state->dict == NULL) {
		state->dict = gm_dict_new();
		if (state->dict == NULL) return no_memory(w->err);
		state->dict_id = ++w->runner->last_dict_id;
	}
	GM_TRY(count_bytes(w, value->len));
	*ref = gm_dict_put(state->dict, value->bytes, value->len,
	                   gm_dict_hash_seeded(value->bytes, value->len, gm_dict_seed(state)));
	return *ref != 0 ? GM_OK : no_memory(w->err);
}

static enum gm_code keep_number(struct work *w, uint64_t bits, uint32_t *ref)
{
	struct gm_expr_step_state *state = w->state;
	if (state->value_count == state->value_cap) {
		uint32_t cap = state->value_cap == 0 ? 64 : state->value_cap * 2;
		uint64_t *values = cap < GM_REF_FAILED ? realloc(state->values, cap * sizeof *values) : NULL;
		if (values == NULL) return no_memory(w->err);
		state->values = values;
		state->value_cap = cap;
	}
	state->values[state->value_count++] = bits;
	*ref = state->value_count;
	return GM_OK;
}

static uint64_t bits_of(const struct gm_value *value)
{
	uint64_t bits;
	if (value->type == GM_TYPE_BOOLEAN) return value->boolean;
	memcpy(&bits, &value->i64, sizeof bits);
	return bits;
}

/* Evaluates for a row and keeps the result. */
static enum gm_code ref_of_row(struct work *w, uint32_t row, uint32_t *ref)
{
	GM_TRY(eval_row(w, row));
	const struct gm_expr_scalar *scalar = &w->runner->machine.scalars[w->step->node->index];
	*ref = GM_REF_NULL;
	if (scalar->error != 0)
		*ref = GM_REF_FAILED | scalar->error;
	else if (scalar->value.null)
		return GM_OK;
	else if (scalar->value.type == GM_TYPE_STRING)
		return keep_string(w, &scalar->value, ref);
	else if (scalar->value.type == GM_TYPE_BOOLEAN)
		*ref = 1 + scalar->value.boolean;
	else
		return keep_number(w, bits_of(&scalar->value), ref);
	return GM_OK;
}

/* --- Rows to refs, by way of a memo ------------------------------------------------------------------------------- */

/* One result for all rows: no input, or one that is null throughout. */
static enum gm_code run_constant(struct work *w, uint32_t *refs)
{
	struct gm_memo *memo = &w->state->memo;
	if (memo->null_ref == 0 && w->rows > 0) {
		GM_TRY(ref_of_row(w, 0, refs));
		memo->null_ref = *refs + 1;
	}
	for (uint32_t row = 0; row < w->rows; row++) refs[row] = memo->null_ref - 1;
	return GM_OK;
}

static enum gm_code run_codes(struct work *w, uint32_t *refs)
{
	const struct gm_expr_vector *vector = input(w, 0);
	struct gm_memo_codes *codes = gm_memo_codes_for(&w->state->memo, vector->dict_id);
	const uint32_t *restrict code = vector->vec.codes;
	for (uint32_t row = 0; row < w->rows; row++) {
		uint32_t stored = code[row] < codes->cap ? codes->refs[code[row]] : 0;
		if (__builtin_expect(stored != 0 && vector->errors == NULL, 1)) {
			refs[row] = stored - 1;
			continue;
		}
		bool failed = vector->errors != NULL && vector->errors[row] != 0;
		if (stored != 0 && !failed) {
			refs[row] = stored - 1;
			continue;
		}
		GM_TRY(ref_of_row(w, row, &refs[row]));
		if (!failed) GM_TRY(gm_memo_codes_put(&w->state->memo, codes, code[row], refs[row], w->err));
	}
	return GM_OK;
}

static enum gm_code run_null(struct work *w, uint32_t row, uint32_t *ref)
{
	struct gm_memo *memo = &w->state->memo;
	const struct gm_expr_vector *vector = input(w, 0);
	if (vector->errors != NULL && vector->errors[row] != 0) return ref_of_row(w, row, ref);
	if (memo->null_ref == 0) {
		GM_TRY(ref_of_row(w, row, ref));
		memo->null_ref = *ref + 1;
	}
	*ref = memo->null_ref - 1;
	return GM_OK;
}

static enum gm_code run_key(struct work *w, uint32_t row, const uint64_t *key, uint32_t *ref)
{
	uint32_t at, stored = gm_memo_keys_get(&w->state->memo.keys, key, &at);
	*ref = stored - 1;
	if (stored != 0) return GM_OK;
	GM_TRY(ref_of_row(w, row, ref));
	return gm_memo_keys_put(&w->state->memo, key, *ref, w->err);
}

/* Timestamps by their UTC day. Rows come in order of time, more or less: the last day is most often the next. */
static enum gm_code run_days(struct work *w, uint32_t *refs)
{
	static const uint64_t signature[1] = {1};
	const struct gm_vec *vec = &input(w, 0)->vec;
	GM_TRY(gm_memo_keys_for(&w->state->memo, 1, signature, 1, w->err));
	uint32_t last = 0;
	int64_t last_start = 0;
	bool known = false;
	for (uint32_t row = 0; row < w->rows; row++) {
		if (vec->null != NULL && vec->null[row] != 0) {
			GM_TRY(run_null(w, row, &refs[row]));
			continue;
		}
		uint64_t into_day = (uint64_t)vec->i64[row] - (uint64_t)last_start;
		if (!known || into_day >= (uint64_t)GM_US_PER_DAY) {
			int64_t day = gm_days_from_us(vec->i64[row]);
			uint64_t key = (uint64_t)day;
			GM_TRY(run_key(w, row, &key, &last));
			/* The first day of int64 begins before int64 does: its rows are looked up one by one. */
			known = !__builtin_mul_overflow(day, GM_US_PER_DAY, &last_start);
		}
		refs[row] = last;
	}
	return GM_OK;
}

/* Numbers by their bits. */
static enum gm_code run_words(struct work *w, uint32_t *refs)
{
	static const uint64_t signature[1] = {2};
	const struct gm_vec *vec = &input(w, 0)->vec;
	GM_TRY(gm_memo_keys_for(&w->state->memo, 1, signature, 1, w->err));
	for (uint32_t row = 0; row < w->rows; row++) {
		uint64_t key;
		if (vec->null != NULL && vec->null[row] != 0) {
			GM_TRY(run_null(w, row, &refs[row]));
			continue;
		}
		if (vec->repr == GM_REPR_BOOL)
			key = vec->boolean[row];
		else
			memcpy(&key, &vec->i64[row], sizeof key); /* f64 lies in the same place */
		GM_TRY(run_key(w, row, &key, &refs[row]));
	}
	return GM_OK;
}

/* Several inputs, each by its code in a dictionary: two to a word. */
static enum gm_code run_code_pairs(struct work *w, uint32_t *refs)
{
	size_t count = w->step->input_count;
	uint32_t words = (uint32_t)(count + 1) / 2;
	uint64_t *key = w->runner->key, *signature = w->runner->signature;
	signature[0] = 3;
	for (size_t i = 0; i < count; i++)
		signature[i + 1] = input(w, i)->vec.repr == GM_REPR_DICT ? input(w, i)->dict_id : 0;
	GM_TRY(gm_memo_keys_for(&w->state->memo, words, signature, count + 1, w->err));
	for (uint32_t row = 0; row < w->rows; row++) {
		memset(key, 0, words * sizeof *key);
		for (size_t i = 0; i < count; i++) {
			const struct gm_vec *vec = &input(w, i)->vec;
			if (vec->repr == GM_REPR_DICT) key[i / 2] |= (uint64_t)vec->codes[row] << (i % 2 * 32);
		}
		GM_TRY(run_key(w, row, key, &refs[row]));
	}
	return GM_OK;
}

/* Several inputs of any kind but PLAIN: a word each, and two bits each for null and failed. */
static enum gm_code run_mixed(struct work *w, uint32_t *refs)
{
	size_t count = w->step->input_count;
	uint32_t words = (uint32_t)(count + (count + 31) / 32);
	uint64_t *key = w->runner->key, *signature = w->runner->signature;
	signature[0] = 4;
	for (size_t i = 0; i < count; i++)
		signature[i + 1] = input(w, i)->vec.repr == GM_REPR_DICT ? input(w, i)->dict_id : 0;
	GM_TRY(gm_memo_keys_for(&w->state->memo, words, signature, count + 1, w->err));
	for (uint32_t row = 0; row < w->rows; row++) {
		memset(key, 0, words * sizeof *key);
		for (size_t i = 0; i < count; i++) {
			const struct gm_expr_vector *vector = input(w, i);
			const struct gm_vec *vec = &vector->vec;
			uint64_t *state = &key[count + i / 32];
			if (vector->errors != NULL && vector->errors[row] != 0) {
				*state |= UINT64_C(2) << (i % 32 * 2);
				key[i] = vector->errors[row];
			} else if (gm_vec_is_null(vec, row)) {
				*state |= UINT64_C(1) << (i % 32 * 2);
			} else if (vec->repr == GM_REPR_DICT) {
				key[i] = vec->codes[row];
			} else if (vec->repr == GM_REPR_BOOL) {
				key[i] = vec->boolean[row];
			} else {
				memcpy(&key[i], &vec->i64[row], sizeof key[i]);
			}
		}
		GM_TRY(run_key(w, row, key, &refs[row]));
	}
	return GM_OK;
}

static enum gm_code run_each(struct work *w, uint32_t *refs)
{
	for (uint32_t row = 0; row < w->rows; row++) GM_TRY(ref_of_row(w, row, &refs[row]));
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
static enum gm_code split_errors(struct work *w, uint32_t *refs, uint32_t **errors)
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

static enum gm_code set_nulls(struct work *w, const uint32_t *refs, struct gm_arena *arena, struct gm_vec *vec)
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

static enum gm_code refs_to_numbers(struct work *w, const uint32_t *refs, struct gm_arena *arena, struct gm_vec *vec)
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
	for (uint32_t row = 0; row < w->rows; row++) {
		numbers[row] = 0;
		if (refs[row] != GM_REF_NULL) memcpy(&numbers[row], &w->state->values[refs[row] - 1], sizeof *numbers);
	}
	vec->i64 = numbers;
	return GM_OK;
}

static enum gm_code ensure_dict(struct work *w)
{
	if (w->state->dict != NULL) return GM_OK;
	w->state->dict = gm_dict_new();
	if (w->state->dict == NULL) return no_memory(w->err);
	w->state->dict_id = ++w->runner->last_dict_id;
	return GM_OK;
}

/* Where the arrays of the step's vector live: with the chunk if they leave with it. */
static struct gm_arena *arena_of(const struct work *w, struct gm_chunk *chunk)
{
	bool leaves = w->step->slot != UINT32_MAX || w->step->node->op == GM_EXPR_PATH;
	return leaves ? &chunk->arena : &w->runner->arena;
}

/* Runs by way of refs. */
static enum gm_code run_refs(struct work *w, enum gm_code (*rows)(struct work *, uint32_t *), struct gm_arena *arena,
                             struct gm_expr_vector *vector)
{
	bool codes = w->step->node->type == GM_TYPE_STRING;
	uint32_t *refs = gm_arena_alloc(codes ? arena : &w->runner->arena, (w->rows + 1) * sizeof *refs);
	if (refs == NULL) return no_memory(w->err);
	GM_TRY(rows(w, refs));
	GM_TRY(split_errors(w, refs, &vector->errors));
	if (!codes) return refs_to_numbers(w, refs, arena, &vector->vec);
	GM_TRY(ensure_dict(w));
	vector->vec.codes = refs;
	vector->vec.dict = w->state->dict;
	vector->dict_id = w->state->dict_id;
	return GM_OK;
}

/* --- Steps without memo ------------------------------------------------------------------------------------------- */

static enum gm_code note_error(struct work *w, uint32_t row, uint32_t error, struct gm_expr_vector *vector)
{
	if (vector->errors == NULL) vector->errors = gm_arena_zalloc(&w->runner->arena, w->rows * sizeof *vector->errors);
	if (vector->errors == NULL) return no_memory(w->err);
	vector->errors[row] = error;
	return GM_OK;
}

/* Numbers and booleans, evaluated row by row. */
static enum gm_code run_direct(struct work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
{
	struct gm_vec *vec = &vector->vec;
	const struct gm_expr_scalar *scalar = &w->runner->machine.scalars[w->step->node->index];
	size_t width = vec->repr == GM_REPR_BOOL ? 1 : sizeof(int64_t);
	uint8_t *values = gm_arena_alloc(arena, (w->rows + 1) * width);
	uint8_t *null = gm_arena_zalloc(arena, w->rows + 1);
	if (values == NULL || null == NULL) return no_memory(w->err);
	bool any_null = false;
	for (uint32_t row = 0; row < w->rows; row++) {
		GM_TRY(eval_row(w, row));
		bool is_null = scalar->value.null || scalar->error != 0;
		uint64_t bits = is_null ? 0 : bits_of(&scalar->value);
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
static enum gm_code run_plain(struct work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
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
		GM_TRY(eval_row(w, row));
		null[row] = scalar->value.null || scalar->error != 0;
		any_null = any_null || null[row] != 0;
		if (scalar->error != 0) GM_TRY(note_error(w, row, scalar->error, vector));
		if (null[row] == 0) {
			GM_TRY(count_bytes(w, scalar->value.len));
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
static enum gm_code run_from_plain(struct work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
{
	struct gm_expr_step_state *state = w->state;
	bool mostly_new = state->plain_rows >= PLAIN_VERDICT_ROWS && state->plain_new > state->plain_rows / 2;
	if (mostly_new && w->step->node->op != GM_EXPR_PATH) return run_plain(w, arena, vector);
	uint32_t before = state->dict != NULL ? state->dict->count : 0;
	GM_TRY(run_refs(w, run_each, arena, vector));
	if (state->plain_rows >= PLAIN_VERDICT_ROWS) return GM_OK;
	state->plain_rows += w->rows;
	state->plain_new += state->dict->count - before;
	return GM_OK;
}

static enum gm_code run_step(struct work *w, struct gm_arena *arena, struct gm_expr_vector *vector)
{
	const struct gm_expr_step *step = w->step;
	bool string = step->node->type == GM_TYPE_STRING, plain = false, codes = true, failed = false;
	for (size_t i = 0; i < step->input_count; i++) {
		const struct gm_expr_vector *in = input(w, i);
		plain = plain || in->vec.repr == GM_REPR_PLAIN;
		codes = codes && (in->vec.repr == GM_REPR_DICT || in->vec.repr == GM_REPR_NULL);
		failed = failed || in->errors != NULL;
	}
	if (plain) return string ? run_from_plain(w, arena, vector) : run_direct(w, arena, vector);
	bool one = step->input_count == 1;
	enum gm_repr first = one ? input(w, 0)->vec.repr : GM_REPR_NULL;
	if (step->input_count == 0 || (one && first == GM_REPR_NULL)) return run_refs(w, run_constant, arena, vector);
	if (one && first == GM_REPR_DICT) return run_refs(w, run_codes, arena, vector);
	/* A memo that stays small, and so in the cache, beats even a comparison. */
	bool repeats = w->state->memo.keys.count < CHEAP_KEYS_MAX;
	if (step->cheap && !step->day && !repeats) return run_direct(w, arena, vector);
	if (one) return run_refs(w, step->day ? run_days : run_words, arena, vector);
	return run_refs(w, codes && !failed ? run_code_pairs : run_mixed, arena, vector);
}

enum gm_code gm_expr_step_run(struct gm_expr_runner *runner, size_t step, struct gm_chunk *chunk, struct gm_error *err)
{
	struct work w = {.runner = runner,
	                 .step = &runner->program->steps[step],
	                 .state = &runner->states[step],
	                 .rows = chunk->rows,
	                 .err = err};
	struct gm_expr_vector *vector = &runner->vectors[w.step->node->index];
	enum gm_type type = w.step->node->type;
	*vector = (struct gm_expr_vector){.vec = {.type = type, .repr = repr_of(type)}};
	return run_step(&w, arena_of(&w, chunk), vector);
}
