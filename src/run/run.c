/* run.c - a run from its plan to its commit: see docs/table-layout.md for the protocol, docs/guarantees.md for what
 * each step promises. */
#include "base/flag.h"
#include "base/time.h"
#include "run/profile.h"
#include "run/upgrade.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	REPLANS = 8, /* how often an input or the table may change under a run's hands before the run fails */
	/* Committed runs after the bookmark's base, and objects in them, before a new one is written. */
	CHAIN_RUNS = 10,
	CHAIN_OBJECTS = 20000,
	LOG_SHARE = 4,      /* of memory, for the log */
	ABANDONED_DAYS = 7, /* after which an upload that nobody completed is taken for dead */
};

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

void gm_runner_phase(struct gm_runner *runner, enum gm_phase phase)
{
	static const char *const names[] = {"plan", "work", "publish"};
	static const enum gm_stage stages[] = {GM_STAGE_PLAN, GM_STAGE_REST, GM_STAGE_PUBLISH};
	(void)gm_stage_enter(stages[phase]);
	runner->phase = names[phase];
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

struct older {
	struct gm_store *table;
	uint64_t than;
};

static enum gm_code remove_older(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	const struct older *older = context;
	uint64_t n = gm_layout_number(info->key, "");
	return n > 0 && n < older->than ? gm_store_remove(older->table, info->key, err) : GM_OK;
}

/* What the history does not list (see history.c) is listed and swept when a bookmark is written. */
static enum gm_code sweep_below(struct gm_runner *runner, struct gm_error *err)
{
	struct gm_history below = runner->history;
	below.open = below.stray = NULL; /* the history's stay its own */
	enum gm_code rc = gm_history_look_below(runner->table, runner->job->id, &below, err);
	if (rc == GM_OK) gm_runner_sweep(runner, &below);
	free(below.open);
	free(below.stray);
	return rc;
}

/* Writes the bookmark anew when the runs since its base have become many: reading them is what a run begins with. */
static enum gm_code renew_bookmark(struct gm_runner *runner, struct gm_error *err)
{
	char key[GM_KEY_BYTES], work[GM_KEY_BYTES];
	const struct gm_history *history = &runner->history;
	if (history->runs_since_base < CHAIN_RUNS && gm_bookmark_since_base(history->bookmark) < CHAIN_OBJECTS)
		return GM_OK;
	gm_layout_key(&runner->layout, key, "bookmark", history->head, "");
	gm_layout_key(&runner->layout, work, "work", history->head, "/");
	enum gm_code rc = gm_bookmark_write(history->bookmark, runner->table, key, work, err);
	if (rc != GM_OK && rc != GM_EXISTS) return rc;
	GM_TRY(sweep_below(runner, err));
	/* The one before stays for whoever is reading it; a runner that misses an older one starts over. */
	struct older older = {runner->table, history->bookmark_base};
	(void)snprintf(work, sizeof work, "%sbookmark/", runner->layout.job);
	return gm_store_list(runner->table, work, remove_older, &older, err);
}

static bool is_own_file(void *context, const char *key)
{
	struct gm_file_name name;
	(void)context;
	return strncmp(key, "_gristmill/", strlen("_gristmill/")) == 0 || gm_file_name_parse(key, &name);
}

/* Uploads of runners that died before a manifest named them: no plan knows of them. One that a sleeper still means to
 * complete after a week is worked again. */
static void sweep_uploads(struct gm_runner *runner)
{
	struct gm_error err;
	uint64_t swept = 0;
	if (gm_store_sweep(runner->table, ABANDONED_DAYS * GM_US_PER_DAY, is_own_file, NULL, &swept, &err) != GM_OK)
		gm_runner_notice(runner, "could not sweep abandoned uploads: %s", err.message);
	if (swept > 0) gm_runner_notice(runner, "abandoned uploads that were swept: %" PRIu64, swept);
}

/* What keeps reading quick. It can fail, or be left to the next run, without harm. */
static void keep_house(struct gm_runner *runner)
{
	struct gm_error err;
	int64_t now_ms = runner->env->now_us(runner->env->clock) / 1000;
	const struct gm_delta_log *log = runner->history.log;
	gm_runner_sweep(runner, &runner->history);
	if (renew_bookmark(runner, &err) != GM_OK)
		gm_runner_notice(runner, "could not write the bookmark: %s", err.message);
	if (log == NULL || !gm_delta_checkpoint_due(log)) return;
	sweep_uploads(runner);
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
		if (rc == GM_CORRUPT && history->open[i] > history->head)
			gm_runner_notice(runner, "%s: %s; what it planned is planned again", err->object, err->message);
		if (rc == GM_CORRUPT) continue; /* nothing of it is published, or its claim would have been settled */
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

static enum gm_code go_on(void *context, struct gm_error *err)
{
	const struct gm_runner *runner = context;
	gm_runner_tick(context);
	if (gm_flag_is_set(runner->options.stop))
		GM_FAIL(err, GM_INTERRUPTED, "stopped before all of the source was listed");
	return GM_OK;
}

struct gm_plan_request gm_runner_request(const struct gm_runner *runner)
{
	const struct gm_history *history = &runner->history;
	return (struct gm_plan_request){.job = runner->job,
	                                .source = runner->source,
	                                .bookmark = history->bookmark,
	                                .log = history->log,
	                                .parent = history->head,
	                                .limit_objects = runner->options.limit_objects,
	                                .engine = runner->env->engine_id,
	                                .now_us = runner->env->now_us(runner->env->clock),
	                                .full_us = history->full_us,
	                                .replay = runner->options.replay ? &runner->replay : NULL};
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

/* Where the next plan goes on: listing all of a large source for each plan would cost the square of its objects. */
static void note_end(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_plan_listing *listing)
{
	runner->after[0] = '\0';
	runner->left = listing->left;
	if (plan == NULL || listing->left == 0 || runner->options.replay) return;
	(void)snprintf(runner->after, sizeof runner->after, "%s", plan->inputs[plan->input_count - 1].key);
}

/* Nothing is new only if it was looked for everywhere: behind the plan before, then in all of the source. */
static enum gm_code list_plan(struct gm_runner *runner, struct gm_plan_listing *listing, struct gm_plan **out,
                              struct gm_error *err)
{
	struct gm_plan_request request = gm_runner_request(runner);
	request.listing = listing;
	request.after = runner->after[0] != '\0' ? runner->after : NULL;
	request.go_on = go_on;
	request.go_on_context = runner;
	GM_TRY(gm_plan_make(&request, out, err));
	if (*out == NULL && request.after != NULL) {
		request.after = NULL;
		GM_TRY(gm_plan_make(&request, out, err));
	}
	note_end(runner, *out, listing);
	return GM_OK;
}

/* EXISTS: files of others were put into the log, look around again. Looking for them means to list the whole table: far
 * away that is done once, and only when there is something to be planned. */
static enum gm_code import_files(struct gm_runner *runner, bool planned, struct gm_error *err)
{
	bool imported = false, far = gm_store_is_remote(runner->table);
	if (far ? !planned || runner->looked_for_files : planned) return GM_OK;
	GM_TRY(gm_runner_import(runner, &imported, err));
	runner->looked_for_files = !imported; /* one commit holds so many of them: there may be more */
	if (!imported) return GM_OK;
	runner->after[0] = '\0';
	return GM_EXISTS;
}

static enum gm_code make_plan(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err)
{
	struct gm_plan_listing listing;
	const struct gm_history *history = &runner->history;
	GM_TRY(list_plan(runner, &listing, out, err));
	tell_changes(runner, &listing, *out == NULL);
	if (*out == NULL) return GM_OK;
	if (runner->options.dry_run) {
		(*out)->number = history->last_plan + 1;
		return GM_OK;
	}
	GM_TRY(import_files(runner, true, err));
	if (gm_runner_begins_table(runner)) GM_TRY(gm_runner_secret(runner, err));
	enum gm_code rc = gm_plan_write(*out, history->last_plan + 1, runner->table, &runner->layout, err);
	if (rc != GM_OK) runner->after[0] = '\0';
	if (rc == GM_OK) runner->fresh = (*out)->number;
	return rc;
}

/* EXISTS: somebody else planned, or files of others were put into the log: look around again. */
static enum gm_code plan_anew(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err)
{
	if (!runner->options.dry_run) GM_TRY(import_files(runner, false, err));
	return make_plan(runner, out, err);
}

static enum gm_code load_history(struct gm_runner *runner, struct gm_error *err)
{
	gm_history_release(&runner->history);
	return gm_history_load(runner->table, runner->job->id, gm_runner_log_bytes(runner), &runner->shelf,
	                       &runner->history, err);
}

/* Reads the history. A job that the log does not know may have runs of an older format, which kept none: plans that the
 * log should know then look like damage. That is asked once. */
static enum gm_code read_history(struct gm_runner *runner, struct gm_error *err)
{
	struct gm_error why;
	bool acted = false;
	enum gm_code rc = load_history(runner, err);
	bool unknown = rc == GM_CORRUPT || (rc == GM_OK && runner->history.head == 0);
	if (!unknown || runner->upgraded || runner->options.dry_run) return rc;
	runner->upgraded = true;
	enum gm_code upgraded = gm_upgrade(runner, &acted, &why);
	if (upgraded != GM_OK && rc == GM_OK) *err = why;
	if (upgraded != GM_OK) return rc == GM_OK ? upgraded : rc;
	return acted ? load_history(runner, err) : rc;
}

enum gm_code gm_runner_look_around(struct gm_runner *runner, struct gm_error *err)
{
	bool acted = false;
	do {
		if (runner->table == NULL) {
			gm_history_release(&runner->history);
			return gm_history_empty(&runner->history, err);
		}
		GM_TRY(read_history(runner, err));
		runner->result->version = runner->history.log != NULL ? gm_delta_version(runner->history.log) : -1;
		if (runner->history.log != NULL) GM_TRY(gm_delta_check_writable(runner->history.log, err));
		if (runner->options.dry_run) return GM_OK;
		GM_TRY(gm_runner_settle(runner, &acted, err));
	} while (acted);
	keep_house(runner);
	return GM_OK;
}

enum gm_code gm_runner_next_plan(struct gm_runner *runner, struct gm_plan **out, struct gm_error *err)
{
	enum gm_code rc;
	do {
		bool acted = true;
		*out = NULL;
		while (acted) {
			GM_TRY(gm_runner_look_around(runner, err));
			GM_TRY(gm_runner_identify(runner, &acted, err));
		}
		rc = GM_OK;
		if (!runner->options.dry_run) rc = find_resumable(runner, out, err);
		runner->resumed = *out != NULL;
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

/* Is it a replay that somebody began and an ordinary run has taken up? It is not the run's failure if it fails. */
static bool is_foreign_replay(const struct gm_runner *runner, const struct gm_plan *plan)
{
	return gm_plan_is_replay(plan) && !runner->options.replay;
}

/* Work, limits, publish, commit. LOST: another runner did it, or another plan came first. */
static enum gm_code run_plan(struct gm_runner *runner, const struct gm_plan *plan, struct gm_error *err)
{
	size_t done = 0;
	struct gm_manifest *manifests = calloc(plan->unit_count + 1, sizeof *manifests);
	if (manifests == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a run");
	enum gm_code rc = gm_runner_work(runner, plan, manifests, &done, err);
	if (rc == GM_QUARANTINE && !is_foreign_replay(runner, plan) &&
	    gm_result_add_refused(runner->result, manifests, done, NULL) != GM_OK)
		rc = gm_error_set(err, GM_NOMEM, "out of memory for the result");
	if (rc == GM_OK && runner->options.dry_run) rc = gm_result_add_books(runner->result, manifests, done, err);
	if (rc == GM_OK && runner->options.dry_run) rc = gm_result_add_files(runner->result, manifests, done, err);
	if (rc == GM_OK && !runner->options.dry_run) rc = gm_runner_finish(runner, plan, manifests, err);
	for (size_t i = 0; i < done; i++) gm_manifest_release(&manifests[i]);
	free(manifests);
	return rc;
}

enum gm_code gm_runner_look_behind(struct gm_runner *runner, const struct gm_plan *plan, enum gm_code rc,
                                   struct gm_error *err)
{
	struct gm_error why;
	bool over;
	if (rc == GM_OK || rc == GM_LOST || rc == GM_EXISTS || runner->options.dry_run) return rc;
	if (rc == GM_NOMEM || rc == GM_INTERRUPTED || rc == GM_UNBALANCED || rc == GM_BUG) return rc;
	enum gm_code asked = gm_runner_is_over(runner, plan, &over, &why);
	if (asked == GM_OK) return over ? GM_LOST : rc;
	if (rc != GM_CORRUPT && rc != GM_NOT_FOUND && rc != GM_CHANGED) return rc;
	*err = why;
	return asked;
}

bool gm_runner_is_hopeless(const struct gm_plan *plan, enum gm_code rc)
{
	if (rc == GM_QUARANTINE || rc == GM_CHANGED) return true;
	/* A replay is somebody's attempt: it must not be taken up for ever. */
	return gm_plan_is_replay(plan) && (rc == GM_CORRUPT || rc == GM_UNSUPPORTED || rc == GM_VALUE);
}

void gm_runner_give_up(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_error *why)
{
	struct gm_error err;
	if (runner->options.dry_run) return;
	enum gm_code rc = gm_runner_end(runner, &runner->layout, plan, why->message, &err);
	if (rc != GM_OK && rc != GM_LOST)
		gm_runner_notice(runner, "could not give up run %" PRIu64 ": %s", plan->number, err.message);
}

/* A file of the table is gone. If the newest log does not name it any more, somebody removed it by a commit, and
 * planning again helps; else it is damage, which planning again would meet each time. The log is read after the file
 * was missed: who removes both does it in the log first. */
static enum gm_code look_for_file(struct gm_runner *runner, enum gm_code rc, struct gm_error *err)
{
	struct gm_delta_log *log;
	struct gm_error ignored;
	bool there;
	if (rc != GM_CHANGED || runner->table == NULL || err->object[0] == '\0') return rc;
	if (gm_store_has(runner->table, err->object, &there, &ignored) != GM_OK || there) return rc;
	if (gm_history_log(runner->table, runner->result->version, gm_runner_log_bytes(runner), &log, &ignored) != GM_OK)
		return rc;
	bool named = log != NULL && gm_delta_has(log, err->object);
	gm_delta_free(log);
	if (!named) return rc;
	err->code = GM_CORRUPT;
	return gm_error_hint(err, GM_CORRUPT,
	                     "restore the file from a copy of the table, or remove it from the log by a commit; gristmill "
	                     "verify names all that is missing");
}

/* A plan worked, published and committed; OK also when it is to be planned again. */
static enum gm_code do_plan(struct gm_runner *runner, const struct gm_plan *plan, int *replans, struct gm_error *err)
{
	enum gm_code rc = gm_runner_look_behind(runner, plan, run_plan(runner, plan, err), err);
	rc = look_for_file(runner, rc, err);
	if (rc == GM_LOST || rc == GM_EXISTS) {
		gm_runner_notice(runner, "run %" PRIu64 " was overtaken by another runner; planning again", plan->number);
		return GM_OK;
	}
	if (!gm_runner_is_hopeless(plan, rc)) return rc;
	gm_runner_give_up(runner, plan, err);
	bool again = rc == GM_CHANGED || is_foreign_replay(runner, plan);
	if (!again || ++*replans > REPLANS || runner->options.dry_run) return rc;
	gm_runner_notice(runner, "%s%s%s; planning again", err->object, err->object[0] != '\0' ? ": " : "", err->message);
	return GM_OK;
}

/* What there is to replay, as of now. *any: the job has committed runs. */
static enum gm_code choose_replay(struct gm_runner *runner, bool *any, struct gm_error *err)
{
	const struct gm_run_options *options = &runner->options;
	GM_TRY(gm_runner_look_around(runner, err));
	for (size_t i = 0; i < options->replay_run_count; i++) {
		uint64_t run = options->replay_runs[i];
		if (gm_bookmark_has_run(runner->history.bookmark, run)) continue;
		(void)gm_error_set(err, GM_USAGE, "run %" PRIu64 " of job %s is not committed", run, runner->job->id);
		return gm_error_hint(err, GM_USAGE, "'gristmill quarantine JOB list' shows the runs that rejected records");
	}
	runner->replay = (struct gm_replay_choice){.table = runner->table,
	                                           .layout = &runner->layout,
	                                           .until = runner->history.head,
	                                           .runs = options->replay_runs,
	                                           .run_count = options->replay_run_count};
	*any = runner->history.head > 0;
	return GM_OK;
}

/* Where looking around is a journey of many stops: after a plan that took all that was new, the source alone is asked
 * for more. Whatever else there may be to do, what others left or a checkpoint, the next run finds. */
static enum gm_code is_all_done(struct gm_runner *runner, const struct gm_plan *plan, bool *done, struct gm_error *err)
{
	struct gm_plan_listing listing;
	struct gm_plan *more = NULL;
	*done = false;
	if (!gm_store_is_remote(runner->table) || runner->resumed || runner->left > 0) return GM_OK;
	if (runner->options.replay) return GM_OK;
	GM_TRY(gm_history_note_run(&runner->history, plan, err));
	enum gm_stage outer = gm_stage_enter(GM_STAGE_PLAN);
	enum gm_code rc = list_plan(runner, &listing, &more, err);
	(void)gm_stage_enter(outer);
	*done = rc == GM_INTERRUPTED; /* what had been listed before is committed */
	if (*done) return GM_OK;
	GM_TRY(rc);
	*done = more == NULL;
	if (*done) tell_changes(runner, &listing, true);
	gm_plan_free(more);
	runner->after[0] = '\0';
	return GM_OK;
}

static enum gm_code run_all(struct gm_runner *runner, struct gm_error *err)
{
	int replans = 0;
	bool any = true;
	if (runner->options.replay) GM_TRY(choose_replay(runner, &any, err));
	while (any) {
		struct gm_plan *plan;
		gm_runner_phase(runner, GM_PHASE_PLAN);
		GM_TRY(gm_runner_next_plan(runner, &plan, err));
		if (plan == NULL) return GM_OK;
		uint64_t committed = runner->result->run_count;
		bool done = false;
		enum gm_code rc = do_plan(runner, plan, &replans, err);
		if (rc == GM_OK && runner->result->run_count == committed + 1) rc = is_all_done(runner, plan, &done, err);
		gm_plan_free(plan);
		GM_TRY(rc);
		if (done) return GM_OK;
		if (runner->result->run_count == committed) runner->after[0] = '\0'; /* its objects are new again */
		bool once = runner->options.dry_run || runner->options.limit_objects > 0;
		if (once && (runner->options.dry_run || runner->result->run_count > committed)) return GM_OK;
	}
	return GM_OK;
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
	GM_TRY(gm_plan_read(runner->table, layout, pending.number, out, err));
	if (!pending.claimed) return GM_OK;
	enum gm_code rc = gm_plan_check_closable(runner->table, layout, pending.number, (*out)->unit_count, err);
	if (rc != GM_OK) gm_plan_free(*out);
	return rc;
}

static enum gm_code abandon(struct gm_runner *runner, struct gm_error *err)
{
	struct gm_layout layout;
	struct gm_plan *plan;
	GM_TRY(load_history(runner, err));
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

enum gm_code gm_runner_open(struct gm_runner *runner, const struct gm_job *job, const struct gm_run_env *env,
                            const struct gm_run_options *options, struct gm_run_result *result, struct gm_error *err)
{
	*runner = (struct gm_runner){.job = job,
	                             .options = *options,
	                             .result = result,
	                             .env = env,
	                             .source = env->source,
	                             .table = env->table,
	                             .phase = "plan"};
	(void)clock_gettime(CLOCK_MONOTONIC, &runner->start);
	GM_TRY(gm_result_init(result, err));
	GM_TRY(gm_run_check_options(&runner->options, err));
	return gm_layout_init(&runner->layout, job->id, err);
}

void gm_runner_close(struct gm_runner *runner)
{
	(void)gm_stage_enter(GM_STAGE_REST);
	gm_history_release(&runner->history);
	gm_shelf_clear(&runner->shelf);
	explicit_bzero(runner->secret, sizeof runner->secret);
	runner->result->seconds = seconds_since(&runner->start);
	gm_result_add_requests(runner->result, runner->source);
	gm_result_add_requests(runner->result, runner->table);
}

enum gm_code gm_run_on(const struct gm_job *job, const struct gm_run_env *env, const struct gm_run_options *options,
                       struct gm_run_result *result, struct gm_error *err)
{
	struct gm_runner runner;
	enum gm_code rc = gm_runner_open(&runner, job, env, options, result, err);
	if (rc == GM_OK) rc = options->abandon ? abandon(&runner, err) : run_all(&runner, err);
	gm_runner_close(&runner);
	return rc;
}

enum gm_code gm_run(const struct gm_job *job, const struct gm_run_options *options, struct gm_run_result *result,
                    struct gm_error *err)
{
	struct gm_run_options checked = *options;
	struct gm_profiling profiling;
	struct gm_opened opened;
	*result = (struct gm_run_result){.version = -1};
	GM_TRY(gm_run_check_options(&checked, err)); /* before the table's folder is made */
	gm_profile_begin(&profiling, options->profile);
	unsigned table = options->dry_run ? 0 : options->replay ? GM_ENV_TABLE : GM_ENV_CREATE;
	enum gm_code rc = gm_env_open(&opened, job, &checked, GM_ENV_SOURCE | table, err);
	if (rc == GM_OK) rc = gm_run_on(job, &opened.env, &checked, result, err);
	/* What was committed before a failure is there. */
	bool stopped = gm_flag_is_set(options->stop);
	(void)gm_stage_enter(GM_STAGE_CATALOG);
	if (rc == GM_OK || (result->committed && !stopped)) gm_run_catalog_after(job, &opened.env, &checked, result);
	(void)gm_stage_enter(GM_STAGE_REST);
	gm_env_close(&opened);
	gm_profile_end(&profiling, &result->profile);
	return rc;
}
