/* run.h - a run on stores that are open already: what gm_run does once it has opened them. */
#ifndef GM_RUN_RUN_H
#define GM_RUN_RUN_H

#include "job/job.h"
#include "store/store.h"

/* What a run works with and does not own. */
struct gm_run_env {
	struct gm_store *source, *table;  /* table NULL: a dry run on a table that does not exist yet */
	const char *engine_id;            /* whatever can change a file's bytes */
	const char *scratch;              /* local folder for spill files */
	int64_t (*now_us)(void *context); /* the time that a plan notes */
	void *clock;                      /* its context */
};

/* What gm_env_open opened; it must not move, for the environment points into it. */
struct gm_opened {
	struct gm_run_env env;
	char scratch[4096];
};
enum {
	GM_ENV_SOURCE = 1, /* the source */
	GM_ENV_TABLE = 2,  /* the table must be there; without it env.table is NULL for one that is not */
	GM_ENV_CREATE = 4, /* the table is made if it is not there */
};
/* options may be NULL, as the members that count may be 0: memory_bytes and scratch. gm_env_close, also after a
 * failure. */
enum gm_code gm_env_open(struct gm_opened *opened, const struct gm_job *job, const struct gm_run_options *options,
                         unsigned wanted, struct gm_error *err) GM_CHECK;
int64_t gm_env_wall_clock_us(void *unused);
/* One store alone. access: NULL for a location that no job describes. */
enum gm_code gm_env_open_store(const char *location, const struct gm_job_access *access,
                               const struct gm_run_options *options, bool create, struct gm_store **out,
                               struct gm_error *err) GM_CHECK;
/* The bytes of options->memory_bytes that the stores take for themselves. */
uint64_t gm_env_memory_bytes(const struct gm_run_env *env, const struct gm_run_options *options);
void gm_env_close(struct gm_opened *opened);
/* Puts defaults where options hold 0. */
enum gm_code gm_run_check_options(struct gm_run_options *options, struct gm_error *err) GM_CHECK;

/* As gm_run, on the stores of env; result is cleared first and the caller's to clear. */
enum gm_code gm_run_on(const struct gm_job *job, const struct gm_run_env *env, const struct gm_run_options *options,
                       struct gm_run_result *result, struct gm_error *err) GM_CHECK;

/* The same of gm_run_plan, gm_run_work and gm_run_commit. */
enum gm_code gm_run_plan_on(const struct gm_job *job, const struct gm_run_env *env,
                            const struct gm_run_options *options, struct gm_planned *out,
                            struct gm_error *err) GM_CHECK;
enum gm_code gm_run_work_on(const struct gm_job *job, const struct gm_run_env *env,
                            const struct gm_run_options *options, uint64_t plan, uint64_t unit, enum gm_work_part part,
                            enum gm_step *step, struct gm_run_result *result, struct gm_error *err) GM_CHECK;
enum gm_code gm_run_commit_on(const struct gm_job *job, const struct gm_run_env *env,
                              const struct gm_run_options *options, uint64_t plan, enum gm_step *step,
                              struct gm_run_result *result, struct gm_error *err) GM_CHECK;

/* Brings the job's catalog up to date with the table of env, and notes in result what came of it: a failure is told by a
 * notice and fails nothing. Does nothing where the job has no catalog or nothing was to be stored. After all else. */
void gm_run_catalog_after(const struct gm_job *job, const struct gm_run_env *env, const struct gm_run_options *options,
                          struct gm_run_result *result);

/* The same of gm_bookmark_change; env->source may be NULL. */
enum gm_code gm_bookmark_change_on(const struct gm_job *job, const struct gm_run_env *env,
                                   const struct gm_bookmark_edit *edit, const struct gm_run_options *options,
                                   struct gm_bookmark_edited *result, struct gm_error *err) GM_CHECK;

/* The same of gm_status_read. env->source NULL: it is opened by the job's location; env->table NULL: there is none. */
enum gm_code gm_status_on(const struct gm_job *job, const struct gm_run_env *env,
                          const struct gm_status_options *options, struct gm_status *out,
                          struct gm_error *err) GM_CHECK;

#endif
