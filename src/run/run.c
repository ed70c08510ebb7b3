/* run.c - a run from its plan to its commit: see docs/table-layout.md for the protocol, docs/guarantees.md for what each
 * step promises. */
#include "run/upgrade.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	REPLANS = 8,     /* how often an input or the table may change under a run's hands before the run fails */
	CHAIN_RUNS = 10, /* committed runs after the bookmark's base before a new one is written */
	LOG_SHARE = 4,   /* of memory, for the log */
};
static const uint64_t default_memory_bytes = (uint64_t)256 << 20;
static const uint64_t worker_bytes = (uint64_t)40 << 20;
static const uint64_t least_memory_bytes = (uint64_t)32 << 20;

/* --- Talking ------------------------------------------------------------------------------------------------------ */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

void gm_runner_tick(void *context)
{
	struct gm_runner *runner = context;
	if (runner->options.progress == NULL) return;
	if (runner->engine != NULL) gm_engine_progress(runner->engine, &runner->done);
	const struct gm_engine_progress done = runner->done;
	struct gm_progress progress = {.phase = runner->phase,
	                               .objects_done = done.objects,
	                               .objects = runner->objects_total,
	                               .bytes_done = done.bytes,
	                               .bytes = runner->bytes_total,
	                               .bytes_raw = done.bytes_raw,
	                               .records = done.records,
	                               .seconds = seconds_since(&runner->start)};
	runner->options.progress(runner->options.context, &progress);
}

void gm_runner_phase(struct gm_runner *runner, const char *phase)
{
	runner->phase = phase;
	gm_runner_tick(runner);
}

void gm_runner_notice(const struct gm_runner *runner, const char *format, ...)
{
	char line[1024];
	va_list args;
	if (runner->options.notice == NULL) return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	runner->options.notice(runner->options.context, line);
}

size_t gm_runner_log_bytes(const struct gm_runner *runner)
{
	return (size_t)(runner->options.memory_bytes / LOG_SHARE);
}

/* --- Housekeeping ------------------------------------------------------------------------------------------------- */

/* Writes the bookmark anew when the runs since its base have become many: reading them is what a run begins with. */
static enum gm_code renew_bookmark(struct gm_runner *runner, struct gm_error *err)
{
	char key[GM_KEY_BYTES], work[GM_KEY_BYTES];
	const struct gm_history *history = &runner->history;
	if (history->runs_since_base < CHAIN_RUNS) return GM_OK;
	gm_layout_key(&runner->layout, key, "bookmark", history->head, "");
	gm_layout_key(&runner->layout, work, "work", history->head, "/");
	enum gm_code rc = gm_bookmark_write(history->bookmark, runner->table, key, work, err);
	return rc == GM_EXISTS ? GM_OK : rc;
}

/* What keeps reading quick. It can fail, or be left to the next run, without harm. */
static void keep_house(struct gm_runner *runner)
{
	struct gm_error err;
	int64_t now_ms = runner->env->now_us(runner->env->clock) / 1000;
	const struct gm_delta_log *log = runner->history.log;
	gm_runner_sweep(runner);
	if (renew_bookmark(runner, &err) != GM_OK)
		gm_runner_notice(runner, "could not write the bookmark: %s", err.message);
	if (log == NULL || !gm_delta_checkpoint_due(log)) return;
	enum gm_code rc = gm_delta_checkpoint(log, now_ms, &err);
	if (rc == GM_OK) rc = gm_delta_clean(log, now_ms, &err);
	if (rc != GM_OK) gm_runner_notice(runner, "could not write the log's checkpoint: %s", err.message);
}

/* --- Plans -------------------------------------------------------------------------------------------------------- */

/* The lowest open plan that this engine and job may finish; NULL: none. */
static enum gm_code find_resumable(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err)
{
	const struct gm_history *history = &runner->history;
	*out = NULL;
	for (size_t i = 0; i < history->open_count; i++) {
		struct gm_plan *plan;
		enum gm_code rc = gm_plan_read(runner->table, &runner->layout, history->open[i], &plan, err);
		if (rc == GM_UNSUPPORTED) continue; /* of a newer engine, which will finish it or find it dead */
		GM_TRY(rc);
		if (plan->parent == history->head && plan->unit_count > 0 &&
		    gm_plan_is_ours(plan, runner->job, runner->env->engine_id)) {
			*out = plan;
			return GM_OK;
		}
		gm_plan_free(plan);
	}
	return GM_OK;
}

/* Objects that are ignored are in each listing: they are told with the last. */
static void tell_changes(const struct gm_runner *runner, const struct gm_plan_listing *listing, bool last)
{
	bool ignored = runner->job->source.on_change == GM_ON_CHANGE_IGNORE && listing->changed > 0;
	last = last || runner->options.dry_run || runner->options.limit_objects > 0;
	if (ignored && last)
		gm_runner_notice(runner, "objects that changed after they had been processed, and are ignored: %" PRIu64,
		                 listing->changed);
	if (listing->reprocessed > 0)
		gm_runner_notice(runner, "objects that changed, and are processed again: %" PRIu64, listing->reprocessed);
}

static enum gm_code make_plan(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err)
{
	struct gm_plan_listing listing;
	const struct gm_history *history = &runner->history;
	struct gm_plan_request request = {.job = runner->job,
	                                  .source = runner->source,
	                                  .bookmark = history->bookmark,
	                                  .log = history->log,
	                                  .parent = history->head,
	                                  .limit_objects = runner->options.limit_objects,
	                                  .engine = runner->env->engine_id,
	                                  .now_us = runner->env->now_us(runner->env->clock),
	                                  .full_us = history->full_us,
	                                  .listing = &listing};
	GM_TRY(gm_plan_make(&request, out, err));
	tell_changes(runner, &listing, *out == NULL);
	if (*out == NULL) return GM_OK;
	if (runner->options.dry_run) {
		(*out)->number = history->last_plan + 1;
		return GM_OK;
	}
	return gm_plan_write(*out, history->last_plan + 1, runner->table, &runner->layout, err);
}

/* EXISTS: somebody else planned, or files of others were put into the log: look around again. */
static enum gm_code plan_anew(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err)
{
	bool imported = false;
	if (!runner->options.dry_run) GM_TRY(gm_runner_import(runner, &imported, err));
	return imported ? GM_EXISTS : make_plan(runner, out, err);
}

/* The history anew, with everything that others left brought to its end. */
static enum gm_code look_around(struct gm_runner *runner, struct gm_error *err)
{
	bool acted = false;
	do {
		gm_history_release(&runner->history);
		if (runner->table == NULL) return gm_history_empty(&runner->history, err);
		GM_TRY(gm_history_load(runner->table, runner->job->id, gm_runner_log_bytes(runner), &runner->history, err));
		runner->result->version = runner->history.log != NULL ? gm_delta_version(runner->history.log) : -1;
		if (runner->history.log != NULL) GM_TRY(gm_delta_check_writable(runner->history.log, err));
		if (runner->options.dry_run) return GM_OK;
		GM_TRY(gm_runner_settle(runner, &acted, err));
	} while (acted);
	keep_house(runner);
	return GM_OK;
}

/* The plan to work on: an unfinished one, or a new one; NULL: nothing is new. */
static enum gm_code next_plan(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err)
{
	enum gm_code rc;
	do {
		*out = NULL;
		GM_TRY(look_around(runner, err));
		rc = GM_OK;
		if (!runner->options.dry_run) rc = find_resumable(runner, out, err);
		if (rc == GM_OK && *out != NULL)
			gm_runner_notice(runner, "resuming run %" PRIu64 ", which was not finished", (*out)->number);
		else if (rc == GM_OK)
			rc = plan_anew(runner, out, err);
		if (rc != GM_OK) {
			gm_plan_free(*out);
			*out = NULL;
		}
	} while (rc == GM_EXISTS);
	return rc;
}

/* Work, limits, publish, commit. LOST: another runner did it, or another plan came first. */
static enum gm_code run_plan(struct gm_runner *runner, const struct gm_plan *plan, struct gm_error *err)
{
	size_t done = 0;
	struct gm_manifest *manifests = calloc(plan->unit_count + 1, sizeof *manifests);
	if (manifests == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a run");
	enum gm_code rc = gm_runner_work(runner, plan, manifests, &done, err);
	bool told = rc == GM_QUARANTINE || (rc == GM_OK && runner->options.dry_run);
	if (told && gm_result_add_books(runner->result, manifests, done, rc == GM_OK ? err : NULL) != GM_OK) rc = GM_NOMEM;
	if (rc == GM_OK && runner->options.dry_run) rc = gm_result_add_files(runner->result, manifests, done, err);
	if (rc == GM_OK && !runner->options.dry_run) rc = gm_runner_finish(runner, plan, manifests, err);
	for (size_t i = 0; i < done; i++) gm_manifest_release(&manifests[i]);
	free(manifests);
	return rc;
}

/* Was what failed in vain, because another runner has finished this plan, or another plan, and swept our work? */
static bool is_overtaken(struct gm_runner *runner, const struct gm_plan *plan, enum gm_code rc)
{
	if (rc == GM_LOST || rc == GM_EXISTS) return true;
	if (rc == GM_OK || runner->options.dry_run) return false;
	if (rc == GM_NOMEM || rc == GM_INTERRUPTED || rc == GM_UNBALANCED || rc == GM_BUG) return false;
	return gm_runner_is_over(runner, plan);
}

/* After a failure that trying the same plan again cannot mend. */
static void give_up(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_error *why)
{
	struct gm_error err;
	if (runner->options.dry_run) return;
	enum gm_code rc = gm_runner_end(runner, &runner->layout, plan, why->message, &err);
	if (rc != GM_OK && rc != GM_LOST)
		gm_runner_notice(runner, "could not give up run %" PRIu64 ": %s", plan->number, err.message);
}

/* A plan worked, published and committed; OK also when it is to be planned again. */
static enum gm_code do_plan(struct gm_runner *runner, const struct gm_plan *plan, int *replans, struct gm_error *err)
{
	enum gm_code rc = run_plan(runner, plan, err);
	if (is_overtaken(runner, plan, rc)) {
		gm_runner_notice(runner, "run %" PRIu64 " was overtaken by another runner; planning again", plan->number);
		return GM_OK;
	}
	if (rc == GM_QUARANTINE || rc == GM_CHANGED) give_up(runner, plan, err);
	if (rc != GM_CHANGED || ++*replans > REPLANS || runner->options.dry_run) return rc;
	gm_runner_notice(runner, "%s%s%s; planning again", err->object, err->object[0] != '\0' ? ": " : "", err->message);
	return GM_OK;
}

static enum gm_code run_all(struct gm_runner *runner, struct gm_error *err)
{
	int replans = 0;
	if (runner->table != NULL && !runner->options.dry_run) GM_TRY(gm_upgrade(runner, err));
	for (;;) {
		struct gm_plan *plan;
		gm_runner_phase(runner, "plan");
		GM_TRY(next_plan(runner, &plan, err));
		if (plan == NULL) return GM_OK;
		uint64_t committed = runner->result->run_count;
		enum gm_code rc = do_plan(runner, plan, &replans, err);
		gm_plan_free(plan);
		GM_TRY(rc);
		bool once = runner->options.dry_run || runner->options.limit_objects > 0;
		if (once && (runner->options.dry_run || runner->result->run_count > committed)) return GM_OK;
	}
}

/* --- Giving up ---------------------------------------------------------------------------------------------------- */

/* The plan that stands in the way: the claimed one, whosever it is, or the lowest unfinished one of this job. */
static enum gm_code find_pending(struct gm_runner *runner, struct gm_layout *layout, struct gm_plan **out,
                                 struct gm_error *err)
{
	struct gm_pending_plan pending;
	GM_TRY(gm_runner_pending(runner, &pending, err));
	*out = NULL;
	if (pending.number == 0) return GM_OK;
	GM_TRY(gm_layout_init(layout, pending.job, err));
	return gm_plan_read(runner->table, layout, pending.number, out, err);
}

static enum gm_code abandon(struct gm_runner *runner, struct gm_error *err)
{
	struct gm_layout layout;
	struct gm_plan *plan;
	GM_TRY(gm_history_load(runner->table, runner->job->id, gm_runner_log_bytes(runner), &runner->history, err));
	GM_TRY(find_pending(runner, &layout, &plan, err));
	if (plan == NULL) {
		gm_runner_notice(runner, "there is no unfinished run to give up");
		return GM_OK;
	}
	const char *reason = runner->options.reason != NULL ? runner->options.reason : "given up by hand";
	enum gm_code rc = gm_runner_end(runner, &layout, plan, reason, err);
	if (rc == GM_OK) {
		runner->result->abandoned = plan->number;
		gm_runner_notice(runner, "gave up run %" PRIu64 " of job %s", plan->number, plan->job);
	}
	gm_plan_free(plan);
	return rc;
}

/* --- The call ----------------------------------------------------------------------------------------------------- */

static enum gm_code check_options(struct gm_run_options *options, struct gm_error *err)
{
	if (options->threads <= 0) {
		long processors = sysconf(_SC_NPROCESSORS_ONLN);
		options->threads = processors < 1 ? 1 : processors > 256 ? 256 : (int)processors;
	}
	if (options->memory_bytes == 0) options->memory_bytes = default_memory_bytes;
	/* A worker's windows and scratch do not shrink with the budget: a small one gets fewer workers. */
	uint64_t most = options->memory_bytes / worker_bytes;
	if (most < (uint64_t)options->threads) options->threads = most < 1 ? 1 : (int)most;
	if (options->memory_bytes >= least_memory_bytes) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "%" PRIu64 " bytes of memory are too few", options->memory_bytes);
	return gm_error_hint(err, GM_USAGE, "give at least 32M");
}

static bool is_inside(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || (n > 0 && folder[n - 1] == '/'));
}

/* A table below its own source would be read as input; a source below its table would be taken for data. */
static enum gm_code check_apart(const struct gm_job *job, struct gm_error *err)
{
	char *source = realpath(job->source.location, NULL), *table = realpath(job->table.location, NULL);
	bool nested = source != NULL && table != NULL && (is_inside(source, table) || is_inside(table, source));
	free(source);
	free(table);
	if (!nested) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "source and table must not lie one inside the other");
	return gm_error_object(err, GM_USAGE, job->table.location, strlen(job->table.location));
}

/* Fills a runner; gm_runner_close gives back what it holds, not the stores. */
static enum gm_code open_runner(struct gm_runner *runner, const struct gm_job *job, const struct gm_run_env *env,
                                const struct gm_run_options *options, struct gm_run_result *result,
                                struct gm_error *err)
{
	*runner = (struct gm_runner){.job = job,
	                             .options = *options,
	                             .result = result,
	                             .env = env,
	                             .source = env->source,
	                             .table = env->table,
	                             .phase = "plan"};
	(void)clock_gettime(CLOCK_MONOTONIC, &runner->start);
	GM_TRY(check_options(&runner->options, err));
	return gm_layout_init(&runner->layout, job->id, err);
}

enum gm_code gm_run_on(const struct gm_job *job, const struct gm_run_env *env, const struct gm_run_options *options,
                       struct gm_run_result *result, struct gm_error *err)
{
	struct gm_runner runner;
	GM_TRY(gm_result_init(result, err));
	enum gm_code rc = open_runner(&runner, job, env, options, result, err);
	if (rc == GM_OK) rc = options->abandon ? abandon(&runner, err) : run_all(&runner, err);
	gm_history_release(&runner.history);
	explicit_bzero(runner.secret, sizeof runner.secret);
	result->seconds = seconds_since(&runner.start);
	return rc;
}

static int64_t wall_clock_us(void *context)
{
	struct timespec now;
	(void)context;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum gm_code open_stores(const struct gm_job *job, bool dry_run, struct gm_run_env *env, struct gm_error *err)
{
	GM_TRY(gm_store_open(job->source.location, false, &env->source, err));
	enum gm_code rc = gm_store_open(job->table.location, !dry_run, &env->table, err);
	if (rc == GM_NOT_FOUND && dry_run) rc = GM_OK;
	GM_TRY(rc);
	return check_apart(job, err);
}

static enum gm_code name_scratch(const struct gm_run_env *env, bool dry_run, char *scratch, size_t room,
                                 struct gm_error *err)
{
	(void)snprintf(scratch, room, "/var/tmp");
	if (!dry_run && snprintf(scratch, room, "%s/_gristmill", env->table->location) >= (int)room)
		GM_FAIL(err, GM_USAGE, "the table's path is too long");
	return GM_OK;
}

enum gm_code gm_run(const struct gm_job *job, const struct gm_run_options *options, struct gm_run_result *result,
                    struct gm_error *err)
{
	char scratch[4096];
	struct gm_run_env env = {.engine_id = gm_engine_id(), .scratch = scratch, .now_us = wall_clock_us};
	struct gm_run_options checked = *options;
	*result = (struct gm_run_result){0};
	enum gm_code rc = check_options(&checked, err); /* before the table's folder is made */
	if (rc == GM_OK) rc = open_stores(job, options->dry_run, &env, err);
	if (rc == GM_OK) rc = name_scratch(&env, options->dry_run, scratch, sizeof scratch, err);
	if (rc == GM_OK) rc = gm_run_on(job, &env, &checked, result, err);
	gm_store_close(env.source);
	gm_store_close(env.table);
	return rc;
}
