/* runner.h - what the steps of a run share: run.c decides what to do next, work.c does a plan's units, settle.c brings
 * plans to their end, result.c tells. */
#ifndef GM_RUN_RUNNER_H
#define GM_RUN_RUNNER_H

#include "run/commit.h"
#include "run/publish.h"
#include "run/run.h"

#include <time.h>

struct gm_runner {
	const struct gm_job *job;
	struct gm_run_options options;
	struct gm_run_result *result;
	struct gm_layout layout;
	const struct gm_run_env *env;
	struct gm_store *source, *table; /* those of env */
	struct gm_history history;       /* as it was when the plan in hand was found */
	struct gm_engine *engine;        /* of the plan in hand */
	uint8_t secret[GM_KEY_SECRET_BYTES];
	struct timespec start;
	uint64_t objects_total, bytes_total;
	struct gm_engine_progress done; /* of the plan in hand */
	const char *phase;
};

/* run.c */
void gm_runner_tick(void *runner);
void gm_runner_phase(struct gm_runner *runner, const char *phase);
void gm_runner_notice(const struct gm_runner *runner, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t gm_runner_log_bytes(const struct gm_runner *runner); /* the log's share of memory */

/* work.c: works the units of a plan that have no manifest yet, and checks the limits. manifests: room for one per unit;
 * *done of them are filled, also on failure. */
enum gm_code gm_runner_work(struct gm_runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                            size_t *done, struct gm_error *err) GM_CHECK;

/* settle.c */
/* Claims, publishes and commits a plan whose units are done. OK: we committed it. EXISTS: another runner did. LOST: it is
 * dead, another was committed in its place. CHANGED: it cannot be finished any more; it is still to be ended. */
enum gm_code gm_runner_finish(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_manifest *manifests,
                              struct gm_error *err) GM_CHECK;
/* Finishes the plan that is claimed and not settled, whosever it is; *acted: there was one, so look again. */
enum gm_code gm_runner_settle(struct gm_runner *runner, bool *acted, struct gm_error *err) GM_CHECK;
/* Commits a plan without units and with the same parent, and closes the plan. LOST: it was settled otherwise. */
enum gm_code gm_runner_end(struct gm_runner *runner, const struct gm_layout *layout, const struct gm_plan *plan,
                           const char *reason, struct gm_error *err) GM_CHECK;
/* Commits a plan without units, under the next free number: OK also when another runner did. LOST: another plan with its
 * parent is committed. */
enum gm_code gm_runner_change(struct gm_runner *runner, const struct gm_layout *layout, struct gm_plan *plan,
                              struct gm_error *err) GM_CHECK;
void gm_runner_who(char who[256]); /* "user@host", for the record */
/* The plan that the next run will have to finish first. */
struct gm_pending_plan {
	uint64_t number; /* 0: none */
	char job[160];
	bool claimed; /* being published: it blocks all jobs */
};
enum gm_code gm_runner_pending(struct gm_runner *runner, struct gm_pending_plan *pending,
                               struct gm_error *err) GM_CHECK;
/* Closes the plans that the history has overtaken and tidies what settled ones left. What cannot be swept now is told
 * and left for the next run. */
void gm_runner_sweep(struct gm_runner *runner);
/* Has the plan been settled meanwhile, so that a failure with it means nothing? */
enum gm_code gm_runner_is_over(const struct gm_runner *runner, const struct gm_plan *plan, bool *over,
                               struct gm_error *err) GM_CHECK;

/* import.c: puts files into the log that others put into the partitions' folders. *imported: some were; look again. */
enum gm_code gm_runner_import(struct gm_runner *runner, bool *imported, struct gm_error *err) GM_CHECK;

/* result.c: the books and files of a plan's manifests go into the result. */
enum gm_code gm_result_init(struct gm_run_result *result, struct gm_error *err) GM_CHECK;
enum gm_code gm_result_add_books(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                 struct gm_error *err) GM_CHECK;
enum gm_code gm_result_add_files(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                                 struct gm_error *err) GM_CHECK;
void gm_result_add_run(struct gm_run_result *result, uint64_t run);

#endif
