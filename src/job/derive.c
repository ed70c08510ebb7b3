/* Deriving: the steps of the program over a chunk, then what each row's failures and nulls mean.
 *
 * A row is judged once. `where` comes first: a row that it filters is never rejected, whatever its columns did; a row
 * for which `where` itself fails is rejected. Then columns in order, then partitions, then the path: the first one
 * whose policy (on_error, required, not_after) rejects the row does, or ends the run. Values that became null by policy
 * count only in rows that are kept. */
#include "job/derive.h"

#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/expr_step.h"

struct gm_deriver {
	const struct gm_program *program;
	struct gm_expr_runner runner;
	int64_t now_us;
	struct gm_dict *root; /* the path of a table without partitions: "" */
	uint64_t nulled;
	uint8_t *suspected; /* 1: a row of the chunk at hand that needs judging */
	uint32_t suspect_cap;
};

static enum gm_code no_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for deriving columns");
}

enum gm_code gm_deriver_new(const struct gm_job *job, size_t memory_bytes, struct gm_deriver **out,
                            struct gm_error *err)
{
	*out = NULL;
	struct gm_deriver *deriver = calloc(1, sizeof *deriver);
	if (deriver == NULL) return no_memory(err);
	deriver->program = job->program;
	deriver->now_us = INT64_MAX;
	deriver->root = gm_dict_new();
	enum gm_code code = deriver->root != NULL ? GM_OK : no_memory(err);
	const uint8_t *empty = (const uint8_t *)"";
	if (code == GM_OK && gm_dict_put(deriver->root, empty, 0, gm_dict_hash(empty, 0)) == 0) code = no_memory(err);
	if (code == GM_OK) code = gm_expr_runner_init(&deriver->runner, job->program, err);
	if (code != GM_OK) {
		gm_deriver_free(deriver);
		return code;
	}
	deriver->runner.memory_bytes = memory_bytes;
	*out = deriver;
	return GM_OK;
}

void gm_deriver_free(struct gm_deriver *deriver)
{
	if (deriver == NULL) return;
	gm_expr_runner_release(&deriver->runner);
	gm_dict_unref(deriver->root);
	free(deriver->suspected);
	free(deriver);
}

void gm_deriver_set_now(struct gm_deriver *deriver, int64_t now_us)
{
	deriver->now_us = now_us;
}

uint64_t gm_deriver_nulled(const struct gm_deriver *deriver)
{
	return deriver->nulled;
}

/* --- Chunk -------------------------------------------------------------------------------------------------------- */

static const struct gm_expr_vector *vector_of(const struct gm_deriver *deriver, const struct gm_expr_node *node)
{
	return &deriver->runner.vectors[node->index];
}

static enum gm_code run_steps(struct gm_deriver *deriver, struct gm_chunk *chunk, bool lazy, struct gm_error *err)
{
	const struct gm_program *program = deriver->program;
	for (size_t i = 0; i < program->step_count; i++)
		if (program->steps[i].lazy == lazy) GM_TRY(gm_expr_step_run(&deriver->runner, i, chunk, err));
	return GM_OK;
}

/* Hands the results to the chunk. Nothing fails in here: a chunk has all of its dictionaries or none. */
static void fill_slots(struct gm_deriver *deriver, struct gm_chunk *chunk)
{
	const struct gm_program *program = deriver->program;
	for (size_t i = 0; i < program->step_count; i++) {
		const struct gm_expr_step *step = &program->steps[i];
		if (step->slot == UINT32_MAX) continue;
		struct gm_vec *vec = &chunk->vec[step->slot];
		*vec = vector_of(deriver, step->node)->vec;
		if (vec->repr == GM_REPR_DICT) vec->dict = gm_dict_ref(vec->dict);
	}
	if (program->path == NULL) return;
	chunk->partition = vector_of(deriver, program->path)->vec;
	chunk->partition.dict = gm_dict_ref(chunk->partition.dict);
}

static enum gm_code fill_root(struct gm_deriver *deriver, struct gm_chunk *chunk, struct gm_error *err)
{
	if (deriver->program->path != NULL) return GM_OK;
	uint32_t *codes = gm_arena_alloc(&chunk->arena, (chunk->rows + 1) * sizeof *codes);
	if (codes == NULL) return no_memory(err);
	for (uint32_t row = 0; row < chunk->rows; row++) codes[row] = 1;
	chunk->partition = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT, .codes = codes};
	chunk->partition.dict = gm_dict_ref(deriver->root);
	return GM_OK;
}

/* --- Suspects ----------------------------------------------------------------------------------------------------- */

static enum gm_code clear_suspects(struct gm_deriver *deriver, uint32_t rows, struct gm_error *err)
{
	if (rows > deriver->suspect_cap) {
		free(deriver->suspected);
		deriver->suspect_cap = 0;
		deriver->suspected = calloc(rows, 1);
		if (deriver->suspected == NULL) return no_memory(err);
		deriver->suspect_cap = rows;
	}
	if (rows > 0) memset(deriver->suspected, 0, rows);
	return GM_OK;
}

static void suspect(struct gm_deriver *deriver, uint32_t row, bool *any)
{
	deriver->suspected[row] = 1;
	*any = true;
}

static void suspect_errors(struct gm_deriver *deriver, const struct gm_expr_vector *vector, uint32_t rows, bool *any)
{
	if (vector->errors == NULL) return;
	for (uint32_t row = 0; row < rows; row++)
		if (vector->errors[row] != 0) suspect(deriver, row, any);
}

static void suspect_nulls(struct gm_deriver *deriver, const struct gm_vec *vec, uint32_t rows, bool *any)
{
	if (vec->repr != GM_REPR_DICT && vec->repr != GM_REPR_NULL && vec->null == NULL) return;
	for (uint32_t row = 0; row < rows; row++)
		if (gm_vec_is_null(vec, row)) suspect(deriver, row, any);
}

/* The last time that a column with `not_after` may have. */
static int64_t limit_of(const struct gm_deriver *deriver, const struct gm_column *column)
{
	int64_t limit;
	return __builtin_add_overflow(deriver->now_us, column->not_after_us, &limit) ? INT64_MAX : limit;
}

static void suspect_late(struct gm_deriver *deriver, const struct gm_program_column *column, uint32_t rows, bool *any)
{
	const struct gm_vec *vec = &vector_of(deriver, column->output)->vec;
	int64_t limit = limit_of(deriver, column->column);
	if (vec->repr == GM_REPR_NULL) return;
	for (uint32_t row = 0; row < rows; row++)
		if (!gm_vec_is_null(vec, row) && vec->i64[row] > limit) suspect(deriver, row, any);
}

/* The shredder sees to a plain leaf that is required. */
static bool checks_required(const struct gm_program_column *column)
{
	return column->column->required && (column->result != NULL || column->column->fallback != NULL);
}

static void filter(struct gm_deriver *deriver, struct gm_chunk *chunk, bool *any)
{
	const struct gm_expr_node *where = deriver->program->where;
	if (where == NULL) return;
	const struct gm_expr_vector *vector = vector_of(deriver, where);
	for (uint32_t row = 0; row < chunk->rows; row++) {
		if (chunk->fate[row] != GM_FATE_KEEP) continue;
		bool failed = vector->errors != NULL && vector->errors[row] != 0;
		bool keep = !gm_vec_is_null(&vector->vec, row) && vector->vec.boolean[row] != 0;
		if (failed)
			suspect(deriver, row, any);
		else if (!keep)
			chunk->fate[row] = GM_FATE_FILTERED;
	}
}

static bool partitions_fail(const struct gm_deriver *deriver, const struct gm_chunk *chunk)
{
	if (deriver->program->check == NULL) return false;
	const struct gm_vec *vec = &vector_of(deriver, deriver->program->check)->vec;
	for (uint32_t row = 0; row < chunk->rows; row++)
		if (vec->boolean[row] != 0) return true;
	return false;
}

static enum gm_code find_suspects(struct gm_deriver *deriver, struct gm_chunk *chunk, bool *any, struct gm_error *err)
{
	const struct gm_program *program = deriver->program;
	*any = false;
	GM_TRY(clear_suspects(deriver, chunk->rows, err));
	filter(deriver, chunk, any);
	size_t columns = program->job->column_count;
	if (partitions_fail(deriver, chunk)) {
		GM_TRY(run_steps(deriver, chunk, true, err));
		columns = program->column_count;
	}
	for (size_t i = 0; i < columns; i++) {
		const struct gm_program_column *column = &program->columns[i];
		if (column->result != NULL) suspect_errors(deriver, vector_of(deriver, column->result), chunk->rows, any);
		bool partition = i >= program->job->column_count;
		if (checks_required(column) || (partition && column->column->required))
			suspect_nulls(deriver, &vector_of(deriver, column->output)->vec, chunk->rows, any);
		if (column->column->not_after_us > 0) suspect_late(deriver, column, chunk->rows, any);
	}
	if (program->path != NULL) suspect_errors(deriver, vector_of(deriver, program->path), chunk->rows, any);
	return GM_OK;
}

/* --- Judging ------------------------------------------------------------------------------------------------------ */

struct judge {
	struct gm_deriver *deriver;
	struct gm_chunk *chunk;
	gm_reject_row_fn *reject;
	void *context;
	bool partitions; /* the lazy steps have run */
	struct gm_error *err;
};

enum { DETAIL_BYTES = 512 };
static uint32_t error_at(const struct judge *j, const struct gm_expr_node *node, uint32_t row,
                         char detail[DETAIL_BYTES])
{
	const struct gm_expr_vector *vector = vector_of(j->deriver, node);
	uint32_t error = vector->errors != NULL ? vector->errors[row] : 0;
	uint32_t len = 0;
	detail[0] = '\0';
	if (error == 0) return 0;
	const uint8_t *message = gm_dict_get(j->deriver->runner.machine.messages, error, &len);
	if (len >= DETAIL_BYTES) len = DETAIL_BYTES - 1;
	memcpy(detail, message, len);
	detail[len] = '\0';
	return error;
}

static enum gm_code reject(struct judge *j, uint32_t row, enum gm_reason reason, const char *column, const char *detail)
{
	j->chunk->fate[row] = GM_FATE_QUARANTINED;
	return j->reject(j->context, j->chunk, row, reason, column, detail, j->err);
}

static enum gm_code fail_run(struct judge *j, uint32_t row, const struct gm_program_column *column, const char *detail)
{
	char message[DETAIL_BYTES + 64];
	uint64_t record = j->chunk->record != NULL ? j->chunk->record[row] : row;
	(void)snprintf(message, sizeof message, "%.380s, in record %" PRIu64, detail, record);
	return gm_expr_fail_code(&column->source, column->result->offset, GM_VALUE, j->err, message);
}

static enum gm_code reject_late(struct judge *j, uint32_t row, const struct gm_column *column, int64_t us)
{
	char value[GM_TIME_TEXT_BYTES], limit[GM_TIME_TEXT_BYTES], detail[2 * GM_TIME_TEXT_BYTES + 64];
	(void)gm_time_format_iso(us, 6, value);
	(void)gm_time_format_iso(limit_of(j->deriver, column), 6, limit);
	(void)snprintf(detail, sizeof detail, "%s is later than %s", value, limit);
	return reject(j, row, GM_REASON_NOT_AFTER, column->name, detail);
}

/* One column of one row; *nulled counts what its policy made null. */
static enum gm_code judge_column(struct judge *j, uint32_t row, const struct gm_program_column *column,
                                 uint64_t *nulled)
{
	char detail[DETAIL_BYTES] = "";
	const struct gm_column *c = column->column;
	bool failed = column->result != NULL && error_at(j, column->result, row, detail) != 0;
	if (failed && c->on_error == GM_ON_ERROR_FAIL) return fail_run(j, row, column, detail);
	if (failed && c->on_error == GM_ON_ERROR_QUARANTINE) return reject(j, row, GM_REASON_EXPRESSION, c->name, detail);
	*nulled += failed;
	const struct gm_vec *vec = &vector_of(j->deriver, column->output)->vec;
	bool null = gm_vec_is_null(vec, row);
	if (null && c->required) return reject(j, row, GM_REASON_REQUIRED, c->name, detail);
	if (null || c->not_after_us == 0 || vec->i64[row] <= limit_of(j->deriver, c)) return GM_OK;
	return reject_late(j, row, c, vec->i64[row]);
}

static enum gm_code judge_row(struct judge *j, uint32_t row)
{
	const struct gm_program *program = j->deriver->program;
	char detail[DETAIL_BYTES];
	uint64_t nulled = 0;
	if (program->where != NULL && error_at(j, program->where, row, detail) != 0)
		return reject(j, row, GM_REASON_EXPRESSION, "where", detail);
	size_t columns = j->partitions ? program->column_count : program->job->column_count;
	for (size_t i = 0; i < columns; i++) {
		GM_TRY(judge_column(j, row, &program->columns[i], &nulled));
		if (j->chunk->fate[row] != GM_FATE_KEEP) return GM_OK;
	}
	if (program->path != NULL && error_at(j, program->path, row, detail) != 0)
		return reject(j, row, GM_REASON_EXPRESSION, "", detail);
	j->deriver->nulled += nulled;
	return GM_OK;
}

enum gm_code gm_deriver_run(struct gm_deriver *deriver, struct gm_chunk *chunk, gm_reject_row_fn *reject_row,
                            void *context, struct gm_error *err)
{
	bool any;
	if (deriver->runner.starved || gm_expr_runner_memory_bytes(&deriver->runner) > deriver->runner.memory_bytes)
		GM_TRY(gm_expr_runner_reset(&deriver->runner, err));
	size_t before = gm_expr_runner_memory_bytes(&deriver->runner);
	GM_TRY(gm_expr_runner_begin(&deriver->runner, chunk, err));
	GM_TRY(run_steps(deriver, chunk, false, err));
	size_t after = gm_expr_runner_memory_bytes(&deriver->runner);
	chunk->dictionary_bytes += after > before ? after - before : 0;
	GM_TRY(find_suspects(deriver, chunk, &any, err));
	GM_TRY(fill_root(deriver, chunk, err));
	fill_slots(deriver, chunk);
	if (!any) return GM_OK;
	struct judge judge = {.deriver = deriver,
	                      .chunk = chunk,
	                      .reject = reject_row,
	                      .context = context,
	                      .partitions = partitions_fail(deriver, chunk),
	                      .err = err};
	for (uint32_t row = 0; row < chunk->rows; row++)
		if (deriver->suspected[row] != 0 && chunk->fate[row] == GM_FATE_KEEP) GM_TRY(judge_row(&judge, row));
	return GM_OK;
}
