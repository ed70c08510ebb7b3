/* plan.h - what a run will do, written down before it does it.
 *
 * A plan names its parent (the run committed before it), the engine and the job it was made with, the sizes that decide
 * where files and row groups end, and its units: lists of source objects in plan order, the bytewise order of their
 * keys. Everything that decides an output byte is in it, so whoever resumes it makes the same bytes. */
#ifndef GM_RUN_PLAN_H
#define GM_RUN_PLAN_H

#include "run/engine.h"
#include "run/history.h"

struct gm_plan_unit {
	const struct gm_input *inputs;
	size_t count;
	char h16[17]; /* in the names of its files: engine, job, parent and the unit's inputs with their sizes */
};

struct gm_plan {
	struct gm_arena arena;
	uint64_t number, parent; /* parent 0: no run before */
	const char *engine;
	char job_hash[GM_HEX128_BYTES];
	uint64_t file_bytes, group_rows, group_weight;
	struct gm_plan_unit *units;
	size_t unit_count;
	struct gm_input *inputs; /* of all units */
	size_t input_count;
	uint64_t bytes; /* stored bytes of all inputs */
};

struct gm_plan_request {
	const struct gm_job *job;
	struct gm_store *source;
	const struct gm_history *history;
	uint64_t limit_objects; /* 0: all */
};

/* Lists the source, leaves out what is processed, hidden or temporary, and cuts units. *out == NULL: nothing is new.
 * The plan's number is not given yet. CHANGED: an object that was processed has other content now. */
enum gm_code gm_plan_make(const struct gm_plan_request *request, struct gm_plan **out, struct gm_error *err) GM_CHECK;
/* Gives the plan the number and writes it; EXISTS: the number is taken. */
enum gm_code gm_plan_write(struct gm_plan *plan, uint64_t number, struct gm_store *table,
                           const struct gm_layout *layout, struct gm_error *err) GM_CHECK;
enum gm_code gm_plan_read(struct gm_store *table, const struct gm_layout *layout, uint64_t number, struct gm_plan **out,
                          struct gm_error *err) GM_CHECK;
void gm_plan_free(struct gm_plan *plan); /* NULL is allowed */
/* Was it made by this engine for this job? */
bool gm_plan_is_ours(const struct gm_plan *plan, const struct gm_job *job);
/* Is a key of a source hidden or temporary: a part that begins with '.' or '_', or a name that says it is unfinished?
 */
bool gm_plan_skips(const char *key);

#endif
