/* derive.h - from the leaves of a chunk to the table's columns, the rows' fates and their partitions.
 *
 * A program is a job's expressions, parsed, typed and checked: which leaves to shred, and in which order to evaluate
 * what. It is immutable. A deriver is one thread's state: memo tables (a function is called once per distinct input),
 * output dictionaries, compiled patterns, a SQLite connection. */
#ifndef GM_JOB_DERIVE_H
#define GM_JOB_DERIVE_H

#include "base/hive.h" /* the partitions that gm_deriver_run makes */
#include "job/job.h"

struct gm_program;

/* Compiles all expressions of the job into job->program (memory from job->arena). Errors: JOB with line, column, the
 * offending text and what was meant. Called by gm_job_load. */
enum gm_code gm_program_compile(struct gm_job *job, struct gm_error *err) GM_CHECK;
void gm_program_release(struct gm_program *program);

const struct gm_shred_leaf *gm_program_leaves(const struct gm_program *program, size_t *count);
uint32_t gm_program_extra_slots(const struct gm_program *program);
/* The chunk slot that holds column i of the job after gm_deriver_run. */
uint32_t gm_program_column_slot(const struct gm_program *program, size_t column);
/* How column i is evaluated: "leaf", "native", "sqlite"; for check. */
const char *gm_program_how(const struct gm_program *program, size_t column);

struct gm_deriver;
enum gm_code gm_deriver_new(const struct gm_job *job, size_t memory_bytes, struct gm_deriver **out,
                            struct gm_error *err) GM_CHECK;
void gm_deriver_free(struct gm_deriver *deriver);
/* What stands for "now" in what is derived from here on: when the plan was made, for all who work it. Before it is
 * told no time lies too far beyond it. */
void gm_deriver_set_now(struct gm_deriver *deriver, int64_t now_us);
/* A row that an expression's or column's policy rejects; called in row order. */
typedef enum gm_code gm_reject_row_fn(void *context, struct gm_chunk *chunk, uint32_t row, enum gm_reason reason,
                                      const char *column, const char *detail, struct gm_error *err);
/* Fills the extra slots, chunk->partition, and fate for rows that are filtered or rejected; a row that `where` filters
 * is never rejected. VALUE: an on_error: fail value or an expression's limit, naming expression and position. */
enum gm_code gm_deriver_run(struct gm_deriver *deriver, struct gm_chunk *chunk, gm_reject_row_fn *reject, void *context,
                            struct gm_error *err) GM_CHECK;
/* Values that became null by policy so far. */
uint64_t gm_deriver_nulled(const struct gm_deriver *deriver);

#endif
