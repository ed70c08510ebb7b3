/* expr_step.h - the steps of a program over the rows of a chunk. */
#ifndef GM_JOB_EXPR_STEP_H
#define GM_JOB_EXPR_STEP_H

#include "job/expr_eval.h"
#include "job/expr_memo.h"

/* A node's values for the rows of the chunk at hand. */
struct gm_expr_vector {
	struct gm_vec vec;
	uint64_t dict_id; /* of a DICT vec: a number that no other dictionary ever has */
	uint32_t *errors; /* per row a message's code, 0: none; NULL: none at all. Where there is one the row is null. */
};

struct gm_expr_step_state {
	struct gm_dict *dict; /* results that are strings */
	uint64_t dict_id;
	uint64_t *values; /* results that are numbers: the bits of ref i at values[i - 1] */
	uint32_t value_count, value_cap;
	struct gm_memo memo;
	struct gm_buf bytes;            /* of a PLAIN result */
	uint32_t plain_rows, plain_new; /* of PLAIN inputs: rows, and results that were new to `dict` */
};

struct gm_expr_source_dict {
	struct gm_dict *dict; /* a reference */
	uint64_t id;
	bool used; /* by the chunk at hand */
};

struct gm_expr_runner {
	const struct gm_program *program;
	struct gm_expr_machine machine;
	struct gm_expr_step_state *states; /* one per step */
	struct gm_expr_vector *vectors;    /* one per node */
	struct gm_arena arena;             /* of the chunk at hand */
	uint64_t last_dict_id;
	struct gm_expr_source_dict *sources; /* one per leaf at most, and as many of the last chunk */
	size_t source_count, source_cap;
	uint64_t chunk_bytes; /* of strings made for the chunk at hand */
	uint64_t *key;        /* room for a block of narrow keys, or for the widest step's */
	uint32_t key_words;
	uint64_t *signature; /* room for the widest step's */
	size_t memory_bytes; /* for all of it: no memo by code grows beyond; the owner sets it, and resets what is larger */
	bool starved;        /* since the last reset: a memo had no room, and rows were evaluated each */
};

enum gm_code gm_expr_runner_init(struct gm_expr_runner *runner, const struct gm_program *program,
                                 struct gm_error *err) GM_CHECK;
void gm_expr_runner_release(struct gm_expr_runner *runner);
/* Forgets all results and dictionaries; failures of earlier chunks lose their meaning. */
enum gm_code gm_expr_runner_reset(struct gm_expr_runner *runner, struct gm_error *err) GM_CHECK;
size_t gm_expr_runner_memory_bytes(const struct gm_expr_runner *runner);

/* Starts a chunk: the vectors of leaves. */
enum gm_code gm_expr_runner_begin(struct gm_expr_runner *runner, const struct gm_chunk *chunk,
                                  struct gm_error *err) GM_CHECK;
/* Runs one step. Its vector lives until the next chunk; what it allocates comes from chunk->arena if the step has a
 * slot or is the path. */
enum gm_code gm_expr_step_run(struct gm_expr_runner *runner, size_t step, struct gm_chunk *chunk,
                              struct gm_error *err) GM_CHECK;

#endif
