/* expr_refs.c - see expr_refs.h.
 *
 * A step evaluates once for each distinct input. Most rows have an input that is known, and the rest come in no order,
 * so a block of rows is looked up without a branch for each, with a list of those whose input is new; these are
 * evaluated then. */
#include "job/expr_refs.h"

#include "base/time.h"

#include <stdlib.h>

enum {
	BATCH_BYTES = 16 * 1024, /* of results that wait for their codes */
	BATCH_VALUE_BYTES = BATCH_BYTES / 16,
	MEMO_ALWAYS_BYTES = 64 * 1024, /* a memo may grow by so much, whatever there is */
	KEY_BLOCK = 256,               /* rows whose keys are made and looked up together, if they are narrow */
};
/* Instead of a ref + 1: the result waits for its code. No ref is as large, for there are not so many messages. */
#define PENDING UINT32_MAX
/* What the expressions may make of one chunk's few thousand records. */
static const uint64_t chunk_bytes_max = (uint64_t)1 << 30;

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for the results of expressions");
}

/* --- One row ------------------------------------------------------------------------------------------------------ */

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

enum gm_code gm_expr_eval_row(struct gm_expr_work *w, uint32_t row)
{
	struct gm_expr_machine *machine = &w->runner->machine;
	for (size_t i = 0; i < w->step->input_count; i++)
		load(gm_expr_input(w, i), w->step->inputs[i]->type, row, &machine->scalars[w->step->inputs[i]->index]);
	for (size_t i = 0; i < w->step->region_count; i++) GM_TRY(gm_expr_eval(machine, w->step->region[i], w->err));
	return GM_OK;
}

/* The same for a code of the one input, a dictionary. */
static enum gm_code eval_code(struct gm_expr_work *w, uint32_t code)
{
	struct gm_expr_machine *machine = &w->runner->machine;
	const struct gm_expr_node *node = w->step->inputs[0];
	struct gm_value *value = &machine->scalars[node->index].value;
	*value = (struct gm_value){.type = node->type, .null = code == GM_DICT_NULL};
	machine->scalars[node->index].error = 0;
	if (code != GM_DICT_NULL) value->bytes = gm_dict_get(gm_expr_input(w, 0)->vec.dict, code, &value->len);
	for (size_t i = 0; i < w->step->region_count; i++) GM_TRY(gm_expr_eval(machine, w->step->region[i], w->err));
	return GM_OK;
}

enum gm_code gm_expr_count_bytes(struct gm_expr_work *w, uint32_t bytes)
{
	w->runner->chunk_bytes += bytes;
	if (w->runner->chunk_bytes <= chunk_bytes_max) return GM_OK;
	const struct gm_expr_node *node = w->step->node;
	return gm_expr_fail_code(node->source, node->offset, GM_VALUE, w->err,
	                         "the results for a few thousand records exceed 1 GiB");
}

enum gm_code gm_expr_ensure_dict(struct gm_expr_work *w)
{
	if (w->state->dict != NULL) return GM_OK;
	w->state->dict = gm_dict_new();
	if (w->state->dict == NULL) return no_memory(w->err);
	w->state->dict_id = ++w->runner->last_dict_id;
	return GM_OK;
}

static enum gm_code keep_string(struct gm_expr_work *w, const struct gm_value *value, uint32_t *ref)
{
	struct gm_expr_step_state *state = w->state;
	GM_TRY(gm_expr_ensure_dict(w));
	GM_TRY(gm_expr_count_bytes(w, value->len));
	*ref = gm_dict_put(state->dict, value->bytes, value->len,
	                   gm_dict_hash_seeded(value->bytes, value->len, gm_dict_seed(state)));
	return *ref != 0 ? GM_OK : no_memory(w->err);
}

static enum gm_code keep_number(struct gm_expr_work *w, uint64_t bits, uint32_t *ref)
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

static enum gm_code keep(struct gm_expr_work *w, const struct gm_expr_scalar *scalar, uint32_t *ref)
{
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
		return keep_number(w, gm_expr_bits(&scalar->value), ref);
	return GM_OK;
}

/* Evaluates for a row and keeps the result. */
static enum gm_code ref_of_row(struct gm_expr_work *w, uint32_t row, uint32_t *ref)
{
	GM_TRY(gm_expr_eval_row(w, row));
	return keep(w, &w->runner->machine.scalars[w->step->node->index], ref);
}

/* --- Rows to refs, by way of a memo ------------------------------------------------------------------------------- */

enum gm_code gm_refs_constant(struct gm_expr_work *w, uint32_t *refs)
{
	struct gm_memo *memo = &w->state->memo;
	if (memo->null_ref == 0 && w->rows > 0) {
		GM_TRY(ref_of_row(w, 0, refs));
		memo->null_ref = *refs + 1;
	}
	for (uint32_t row = 0; row < w->rows; row++) refs[row] = memo->null_ref - 1;
	return GM_OK;
}

/* What is known of the codes of a dictionary: refs + 1, one in so many words. */
struct known {
	uint32_t *refs;
	size_t stride;
};

static inline uint32_t *known_of(const struct known *known, uint32_t code)
{
	return &known->refs[code * known->stride];
}

/* Results that wait for their codes, so that the dictionary is asked for many at once. */
struct batch {
	uint32_t count, used;
	uint32_t *to[GM_DICT_BATCH]; /* where the ref + 1 goes: PENDING so far */
	struct gm_ref value[GM_DICT_BATCH];
	uint8_t bytes[BATCH_BYTES + GM_DICT_SLACK];
};

static enum gm_code flush_batch(struct gm_expr_work *w, struct batch *batch)
{
	uint32_t codes[GM_DICT_BATCH], some;
	uint64_t seed = gm_dict_seed(w->state);
	if (batch->count == 0) return GM_OK;
	GM_TRY(gm_expr_ensure_dict(w));
	if (!gm_dict_put_all(w->state->dict, batch->value, batch->count, seed, codes, &some)) return no_memory(w->err);
	for (uint32_t i = 0; i < batch->count; i++) *batch->to[i] = codes[i] + 1;
	batch->count = batch->used = 0;
	return GM_OK;
}

/* Evaluates for a code; *to becomes the ref + 1, at the latest when the batch is flushed. */
static enum gm_code learn(struct gm_expr_work *w, uint32_t code, struct batch *batch, uint32_t *to)
{
	GM_TRY(eval_code(w, code));
	const struct gm_expr_scalar *scalar = &w->runner->machine.scalars[w->step->node->index];
	const struct gm_value *value = &scalar->value;
	bool string = scalar->error == 0 && !value->null && value->type == GM_TYPE_STRING;
	bool large = string && value->len > BATCH_VALUE_BYTES;
	if (large || (string && value->len > BATCH_BYTES - batch->used)) GM_TRY(flush_batch(w, batch));
	if (large || !string) {
		uint32_t ref;
		GM_TRY(keep(w, scalar, &ref));
		*to = ref + 1;
		return GM_OK;
	}
	GM_TRY(gm_expr_count_bytes(w, value->len));
	uint8_t *bytes = batch->bytes + batch->used;
	memcpy(bytes, value->bytes, value->len);
	batch->value[batch->count] = (struct gm_ref){bytes, value->len};
	batch->to[batch->count++] = to;
	batch->used += value->len;
	*to = PENDING;
	return GM_OK;
}

/* Learns the codes of the rows that are listed; one may come several times. */
static enum gm_code learn_all(struct gm_expr_work *w, const uint8_t *missing, uint32_t count, const uint32_t *codes,
                              const struct known *known)
{
	struct batch batch;
	enum gm_code rc = GM_OK;
	batch.count = batch.used = 0;
	for (uint32_t i = 0; rc == GM_OK && i < count; i++) {
		uint32_t code = codes[missing[i]], *to = known_of(known, code);
		if (*to == 0) rc = learn(w, code, &batch, to);
	}
	if (rc == GM_OK) rc = flush_batch(w, &batch);
	for (uint32_t i = 0; i < batch.count; i++) *batch.to[i] = 0; /* only after a failure is there any */
	return rc;
}

static enum gm_code map_codes(struct gm_expr_work *w, const struct known *known, const uint32_t *restrict codes,
                              uint32_t *restrict refs)
{
	uint8_t missing[GM_DICT_BATCH];
	for (uint32_t first = 0, n; first < w->rows; first += n, codes += n, refs += n) {
		uint32_t count = 0;
		n = w->rows - first < GM_DICT_BATCH ? w->rows - first : GM_DICT_BATCH;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t stored = *known_of(known, codes[i]);
			refs[i] = stored - 1;
			missing[count] = (uint8_t)i;
			count += stored == 0;
		}
		if (count == 0) continue;
		GM_TRY(learn_all(w, missing, count, codes, known));
		for (uint32_t i = 0; i < count; i++) refs[missing[i]] = *known_of(known, codes[missing[i]]) - 1;
	}
	return GM_OK;
}

/* Rows some of which failed before: these are evaluated each, and not remembered. */
static enum gm_code map_failed_codes(struct gm_expr_work *w, const struct known *known, uint32_t *refs)
{
	const struct gm_expr_vector *vector = gm_expr_input(w, 0);
	for (uint32_t row = 0; row < w->rows; row++) {
		uint32_t *stored = known_of(known, vector->vec.codes[row]);
		bool failed = vector->errors[row] != 0;
		refs[row] = *stored - 1;
		if (*stored != 0 && !failed) continue;
		GM_TRY(ref_of_row(w, row, &refs[row]));
		if (!failed) *stored = refs[row] + 1;
	}
	return GM_OK;
}

static uint32_t largest_code(const uint32_t *codes, uint32_t rows)
{
	uint32_t largest = 0;
	for (uint32_t row = 0; row < rows; row++) largest = codes[row] > largest ? codes[row] : largest;
	return largest;
}

/* A memo is as long as the dictionary, however few of its codes a chunk has, and there is one for each step: all
 * together may not take more than what is there for them. */
static bool may_reach(const struct gm_expr_work *w, const struct gm_memo *memo, const struct gm_memo_codes *codes,
                      uint32_t code)
{
	struct gm_expr_runner *runner = w->runner;
	if (code < codes->cap) return true;
	size_t more = gm_memo_codes_more(memo, codes, code);
	if (more <= MEMO_ALWAYS_BYTES || gm_expr_runner_memory_bytes(runner) + more <= runner->memory_bytes) return true;
	runner->starved = true;
	return false;
}

enum gm_code gm_refs_by_code(struct gm_expr_work *w, uint32_t *refs)
{
	const struct gm_expr_vector *vector = gm_expr_input(w, 0);
	struct gm_memo *memo = &w->runner->states[w->step->by_code].memo;
	struct gm_memo_codes *codes = gm_memo_codes_for(memo, vector->dict_id);
	uint32_t largest = largest_code(vector->vec.codes, w->rows);
	if (!may_reach(w, memo, codes, largest)) return gm_refs_each(w, refs);
	GM_TRY(gm_memo_codes_reach(memo, codes, largest, w->err));
	struct known known = {codes->refs + w->step->place, memo->places};
	if (vector->errors != NULL) return map_failed_codes(w, &known, refs);
	return map_codes(w, &known, vector->vec.codes, refs);
}

static enum gm_code run_null(struct gm_expr_work *w, uint32_t row, uint32_t *ref)
{
	struct gm_memo *memo = &w->state->memo;
	const struct gm_expr_vector *vector = gm_expr_input(w, 0);
	if (vector->errors != NULL && vector->errors[row] != 0) return ref_of_row(w, row, ref);
	if (memo->null_ref == 0) {
		GM_TRY(ref_of_row(w, row, ref));
		memo->null_ref = *ref + 1;
	}
	*ref = memo->null_ref - 1;
	return GM_OK;
}

static inline enum gm_code run_key(struct gm_expr_work *w, uint32_t row, const uint64_t *key, uint32_t words,
                                   uint32_t *ref)
{
	uint32_t at, stored = gm_memo_keys_get(&w->state->memo.keys, key, words, &at);
	*ref = stored - 1;
	if (stored != 0) return GM_OK;
	GM_TRY(ref_of_row(w, row, ref));
	return gm_memo_keys_put(&w->state->memo, key, *ref, w->err);
}

/* Timestamps by their UTC day. Rows come in order of time, more or less: the last day is most often the next. */
enum gm_code gm_refs_by_day(struct gm_expr_work *w, uint32_t *refs)
{
	static const uint64_t signature[1] = {1};
	const struct gm_vec *vec = &gm_expr_input(w, 0)->vec;
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
			GM_TRY(run_key(w, row, &key, 1, &last));
			/* The first day of int64 begins before int64 does: its rows are looked up one by one. */
			known = !__builtin_mul_overflow(day, GM_US_PER_DAY, &last_start);
		}
		refs[row] = last;
	}
	return GM_OK;
}

/* Numbers by their bits. */
enum gm_code gm_refs_by_word(struct gm_expr_work *w, uint32_t *refs)
{
	static const uint64_t signature[1] = {2};
	const struct gm_vec *vec = &gm_expr_input(w, 0)->vec;
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
		GM_TRY(run_key(w, row, &key, 1, &refs[row]));
	}
	return GM_OK;
}

/* Makes the keys of rows first .. first + n, `words` each. */
typedef void key_fn(const struct gm_expr_work *w, uint32_t first, uint32_t n, uint32_t words, uint64_t *key);

/* Looks the keys of some rows up; lists those that are missing and returns how many. */
static inline uint32_t look_up(const struct gm_memo_keys *keys, uint32_t n, const uint64_t *key, uint32_t words,
                               uint32_t *refs, uint16_t *missing)
{
	uint32_t count = 0, at;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t stored = gm_memo_keys_get(keys, key + (size_t)i * words, words, &at);
		refs[i] = stored - 1;
		missing[count] = (uint16_t)i;
		count += stored == 0;
	}
	return count;
}

/* A block of rows by their keys: look all of them up, then evaluate for what is missing. */
static enum gm_code run_key_block(struct gm_expr_work *w, uint32_t first, uint32_t n, const uint64_t *key,
                                  uint32_t *refs)
{
	const struct gm_memo_keys *keys = &w->state->memo.keys;
	uint32_t words = keys->words, count;
	uint16_t missing[KEY_BLOCK];
	if (words == 1)
		count = look_up(keys, n, key, 1, refs, missing);
	else
		count = look_up(keys, n, key, words, refs, missing);
	for (uint32_t i = 0; i < count; i++)
		GM_TRY(run_key(w, first + missing[i], key + (size_t)missing[i] * words, words, &refs[missing[i]]));
	return GM_OK;
}

/* Several inputs, by a key that is made of all of them; `form` tells one kind of key from another. */
static enum gm_code run_keys(struct gm_expr_work *w, uint64_t form, uint32_t words, key_fn *make, uint32_t *refs)
{
	size_t count = w->step->input_count;
	uint64_t *key = w->runner->key, *signature = w->runner->signature;
	signature[0] = form;
	for (size_t i = 0; i < count; i++)
		signature[i + 1] = gm_expr_input(w, i)->vec.repr == GM_REPR_DICT ? gm_expr_input(w, i)->dict_id : 0;
	GM_TRY(gm_memo_keys_for(&w->state->memo, words, signature, count + 1, w->err));
	uint32_t room = w->runner->key_words, block = (size_t)words * KEY_BLOCK <= room ? KEY_BLOCK : room / words;
	for (uint32_t first = 0; first < w->rows; first += block) {
		uint32_t n = w->rows - first < block ? w->rows - first : block;
		memset(key, 0, (size_t)n * words * sizeof *key);
		make(w, first, n, words, key);
		GM_TRY(run_key_block(w, first, n, key, refs + first));
	}
	return GM_OK;
}

/* Codes in dictionaries: two to a word. */
static void make_pairs(const struct gm_expr_work *w, uint32_t first, uint32_t n, uint32_t words, uint64_t *key)
{
	for (size_t i = 0; i < w->step->input_count; i++) {
		const struct gm_vec *vec = &gm_expr_input(w, i)->vec;
		if (vec->repr != GM_REPR_DICT) continue;
		const uint32_t *codes = vec->codes + first;
		uint32_t shift = i % 2 * 32;
		for (uint32_t row = 0; row < n; row++) key[(size_t)row * words + i / 2] |= (uint64_t)codes[row] << shift;
	}
}

enum gm_code gm_refs_by_codes(struct gm_expr_work *w, uint32_t *refs)
{
	return run_keys(w, 3, (uint32_t)(w->step->input_count + 1) / 2, make_pairs, refs);
}

/* Anything but PLAIN: a word each, and two bits each for null and failed. */
static void make_mixed(const struct gm_expr_work *w, uint32_t first, uint32_t n, uint32_t words, uint64_t *key)
{
	size_t count = w->step->input_count;
	for (uint32_t row = first; row < first + n; row++, key += words) {
		for (size_t i = 0; i < count; i++) {
			const struct gm_expr_vector *vector = gm_expr_input(w, i);
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
	}
}

enum gm_code gm_refs_by_mix(struct gm_expr_work *w, uint32_t *refs)
{
	size_t count = w->step->input_count;
	return run_keys(w, 4, (uint32_t)(count + (count + 31) / 32), make_mixed, refs);
}

enum gm_code gm_refs_each(struct gm_expr_work *w, uint32_t *refs)
{
	for (uint32_t row = 0; row < w->rows; row++) GM_TRY(ref_of_row(w, row, &refs[row]));
	return GM_OK;
}
