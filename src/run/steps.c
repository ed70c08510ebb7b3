/* steps.c - a run in pieces that can be carried out apart: make a plan, work a unit of it, commit it.
 *
 * Nothing is shared but table and source: what one step must know of the others lies in the plan, the units' manifests
 * and their key lists. So each begins by reading how things stand, and ends well when it finds that others did its
 * work. */
#include "run/profile.h"
#include "run/runner.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- Plan --------------------------------------------------------------------------------------------------------- */

static enum gm_code describe_plan(struct gm_runner *runner, const struct gm_plan *plan, struct gm_planned *out,
                                  struct gm_error *err)
{
	struct gm_unit_state *states;
	*out = (struct gm_planned){.plan = plan->number,
	                           .parent = plan->parent,
	                           .version = plan->version,
	                           .resumed = runner->resumed,
	                           .objects = plan->input_count,
	                           .bytes = plan->bytes};
	GM_TRY(gm_units_list(runner->table, &runner->layout, plan, &states, err));
	out->units = calloc(plan->unit_count + 1, sizeof *out->units);
	out->unit_count = out->units != NULL ? plan->unit_count : 0;
	for (size_t i = 0; i < out->unit_count; i++) {
		const struct gm_plan_unit *unit = &plan->units[i];
		out->units[i] = (struct gm_planned_unit){unit->count, 0, states[i].keys, states[i].done};
		for (size_t k = 0; k < unit->count; k++) out->units[i].bytes += unit->inputs[k].size;
	}
	free(states);
	if (out->units == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the units of a plan");
	return GM_OK;
}

static enum gm_code make_plan(struct gm_runner *runner, struct gm_planned *out, struct gm_error *err)
{
	struct gm_plan *plan;
	gm_runner_phase(runner, GM_PHASE_PLAN);
	GM_TRY(gm_runner_next_plan(runner, &plan, err));
	if (plan == NULL) {
		out->version = runner->result->version;
		return GM_OK;
	}
	enum gm_code rc = describe_plan(runner, plan, out, err);
	gm_plan_free(plan);
	return rc;
}

enum gm_code gm_run_plan_on(const struct gm_job *job, const struct gm_run_env *env,
                            const struct gm_run_options *options, struct gm_planned *out, struct gm_error *err)
{
	struct gm_runner runner;
	struct gm_run_result result;
	*out = (struct gm_planned){.version = -1};
	enum gm_code rc = gm_runner_open(&runner, job, env, options, &result, err);
	if (rc == GM_OK) rc = make_plan(&runner, out, err);
	gm_runner_close(&runner);
	out->remote = result.remote;
	out->requests = result.requests;
	gm_run_result_clear(&result);
	if (rc != GM_OK) gm_planned_clear(out);
	return rc;
}

void gm_planned_clear(struct gm_planned *planned)
{
	free(planned->units);
	*planned = (struct gm_planned){.version = -1};
}

/* --- The plan in hand --------------------------------------------------------------------------------------------- */

static enum gm_code read_plan(struct gm_runner *runner, uint64_t number, struct gm_plan **out, struct gm_error *err)
{
	enum gm_code rc = gm_plan_read(runner->table, &runner->layout, number, out, err);
	if (rc == GM_NOT_FOUND) {
		rc = gm_error_set(err, rc, "job %s has no plan %" PRIu64 " on this table", runner->job->id, number);
		return gm_error_hint(err, rc, "'gristmill plan' makes one and tells its number");
	}
	GM_TRY(rc);
	if ((*out)->unit_count > 0) return GM_OK;
	gm_plan_free(*out);
	*out = NULL;
	GM_FAIL(err, GM_USAGE, "plan %" PRIu64 " has no units: it changes the job's state and is committed with it",
	        number);
}

/* Only whoever has the plan's own logic makes its bytes, or says whether its limits are held. */
static enum gm_code check_ours(const struct gm_runner *runner, const struct gm_plan *plan, struct gm_error *err)
{
	if (gm_plan_is_ours(plan, runner->job, runner->env->engine_id)) return GM_OK;
	bool engine = strcmp(plan->engine, runner->env->engine_id) != 0;
	(void)gm_error_set(err, GM_UNSUPPORTED, "plan %" PRIu64 " was made %s%s", plan->number,
	                   engine ? "by " : "with another version of the job file", engine ? plan->engine : "");
	return gm_error_hint(err, GM_UNSUPPORTED, "use that, or plan again: the plan stays until another is committed");
}

/* Has the plan come to its end? GM_STEP_DONE: it has not. The log is read anew. */
static enum gm_code ask_step(struct gm_runner *runner, const struct gm_plan *plan, enum gm_step *step,
                             struct gm_error *err)
{
	enum gm_plan_state state;
	gm_delta_free(runner->history.log);
	runner->history.log = NULL;
	GM_TRY(gm_history_log(runner->table, plan->version, gm_runner_log_bytes(runner), &runner->history.log, err));
	runner->history.head = gm_history_head(runner->history.log, runner->job->id);
	runner->result->version = runner->history.log != NULL ? gm_delta_version(runner->history.log) : -1;
	GM_TRY(
	    gm_plan_state(runner->table, &runner->layout, runner->history.head, plan->number, plan->parent, &state, err));
	*step = state == GM_PLAN_COMMITTED ? GM_STEP_COMMITTED : state == GM_PLAN_DEAD ? GM_STEP_DEAD : GM_STEP_DONE;
	return state == GM_PLAN_AHEAD ? gm_history_forgotten(runner->job->id, plan->parent, err) : GM_OK;
}

/* After a failure: what the step means if the plan has been settled by others; else the failure, and a plan that cannot
 * be finished is ended. */
static enum gm_code judge(struct gm_runner *runner, const struct gm_plan *plan, enum gm_code rc, enum gm_step *step,
                          struct gm_error *err)
{
	rc = gm_runner_look_behind(runner, plan, rc, err);
	if (rc == GM_LOST || rc == GM_EXISTS) {
		struct gm_error why = *err;
		GM_TRY(ask_step(runner, plan, step, err));
		if (*step != GM_STEP_DONE) return GM_OK;
		*err = why;
	}
	if (!gm_runner_is_hopeless(plan, rc)) return rc;
	gm_runner_give_up(runner, plan, err);
	if (rc == GM_CHANGED) (void)gm_error_hint(err, rc, "the plan was given up: plan again");
	return rc;
}

/* --- Work --------------------------------------------------------------------------------------------------------- */

static enum gm_code work_open_unit(struct gm_runner *runner, const struct gm_plan *plan, uint64_t unit,
                                   enum gm_work_part part, enum gm_step *step, struct gm_error *err)
{
	struct gm_manifest manifest = {0};
	bool before = false;
	GM_TRY(check_ours(runner, plan, err));
	enum gm_code rc = gm_runner_work_unit(runner, plan, unit, part, &manifest, &before, err);
	if (rc != GM_OK) return judge(runner, plan, rc, step, err);
	if (before) *step = GM_STEP_BEFORE;
	if (part == GM_WORK_KEYS) return GM_OK;
	rc = gm_result_add_books(runner->result, &manifest, 1, err);
	if (rc == GM_OK) rc = gm_result_add_files(runner->result, &manifest, 1, err);
	gm_manifest_release(&manifest);
	return rc;
}

static enum gm_code work(struct gm_runner *runner, uint64_t number, uint64_t unit, enum gm_work_part part,
                         enum gm_step *step, struct gm_error *err)
{
	struct gm_plan *plan;
	GM_TRY(read_plan(runner, number, &plan, err));
	enum gm_code rc = GM_OK;
	if (unit >= plan->unit_count)
		rc = gm_error_set(err, GM_USAGE, "plan %" PRIu64 " has %zu units, numbered from 0: there is no unit %" PRIu64,
		                  number, plan->unit_count, unit);
	if (rc == GM_OK) rc = ask_step(runner, plan, step, err);
	if (rc == GM_OK && *step == GM_STEP_DONE) rc = work_open_unit(runner, plan, unit, part, step, err);
	gm_plan_free(plan);
	return rc;
}

enum gm_code gm_run_work_on(const struct gm_job *job, const struct gm_run_env *env,
                            const struct gm_run_options *options, uint64_t plan, uint64_t unit, enum gm_work_part part,
                            enum gm_step *step, struct gm_run_result *result, struct gm_error *err)
{
	struct gm_runner runner;
	*step = GM_STEP_DONE;
	enum gm_code rc = gm_runner_open(&runner, job, env, options, result, err);
	if (rc == GM_OK) rc = work(&runner, plan, unit, part, step, err);
	gm_runner_close(&runner);
	return rc;
}

/* --- Commit ------------------------------------------------------------------------------------------------------- */

static enum gm_code check_worked(const struct gm_plan *plan, const struct gm_unit_state *states, struct gm_error *err)
{
	char lacking[GM_LACKING_BYTES];
	if (gm_units_lacking(states, plan->unit_count, GM_UNIT_MANIFEST, lacking) == 0) return GM_OK;
	(void)gm_error_set(err, GM_NOT_FOUND, "plan %" PRIu64 " has units that are not worked yet: %s", plan->number,
	                   lacking);
	return gm_error_hint(err, GM_NOT_FOUND, "'gristmill work' works them");
}

static enum gm_code read_manifests(struct gm_runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                                   size_t *done, struct gm_error *err)
{
	struct gm_unit_state *states;
	GM_TRY(gm_units_list(runner->table, &runner->layout, plan, &states, err));
	enum gm_code rc = check_worked(plan, states, err);
	free(states);
	while (rc == GM_OK && *done < plan->unit_count) {
		rc = gm_runner_unusable(gm_manifest_read(runner->table, &runner->layout, plan, *done, &manifests[*done], err),
		                        err);
		*done += rc == GM_OK;
	}
	return rc;
}

static enum gm_code commit_open(struct gm_runner *runner, const struct gm_plan *plan, enum gm_step *step,
                                struct gm_error *err)
{
	size_t done = 0;
	struct gm_error ignored;
	GM_TRY(check_ours(runner, plan, err));
	struct gm_manifest *manifests = calloc(plan->unit_count + 1, sizeof *manifests);
	if (manifests == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a run");
	enum gm_code rc = read_manifests(runner, plan, manifests, &done, err);
	if (rc == GM_OK) {
		rc = gm_runner_check_limits(runner, manifests, done, err);
		if (rc == GM_OK)
			rc = gm_runner_finish(runner, plan, manifests, err);
		else if (rc == GM_QUARANTINE && gm_result_add_refused(runner->result, manifests, done, &ignored) != GM_OK)
			rc = gm_error_set(err, GM_NOMEM, "out of memory for the result");
	}
	for (size_t i = 0; i < done; i++) gm_manifest_release(&manifests[i]);
	free(manifests);
	return rc == GM_OK ? rc : judge(runner, plan, rc, step, err);
}

/* What a run does when it looks for its next plan: removes what was staged, renews what keeps reading quick. */
static void tidy_up(struct gm_runner *runner)
{
	struct gm_error err;
	int64_t version = runner->result->version;
	if (gm_runner_look_around(runner, &err) != GM_OK)
		gm_runner_notice(runner, "could not tidy up after the commit: %s", err.message);
	if (runner->result->version < version) runner->result->version = version;
}

static enum gm_code commit(struct gm_runner *runner, uint64_t number, enum gm_step *step, struct gm_error *err)
{
	struct gm_plan *plan;
	GM_TRY(read_plan(runner, number, &plan, err));
	/* It finishes what is claimed, which may be this very plan. */
	enum gm_code rc = gm_runner_look_around(runner, err);
	if (rc == GM_OK) rc = ask_step(runner, plan, step, err);
	if (rc == GM_OK && *step == GM_STEP_DONE) rc = commit_open(runner, plan, step, err);
	gm_plan_free(plan);
	if (rc == GM_OK && runner->result->committed) {
		*step = GM_STEP_DONE;
		tidy_up(runner);
	}
	return rc;
}

enum gm_code gm_run_commit_on(const struct gm_job *job, const struct gm_run_env *env,
                              const struct gm_run_options *options, uint64_t plan, enum gm_step *step,
                              struct gm_run_result *result, struct gm_error *err)
{
	struct gm_runner runner;
	*step = GM_STEP_DONE;
	enum gm_code rc = gm_runner_open(&runner, job, env, options, result, err);
	if (rc == GM_OK) rc = commit(&runner, plan, step, err);
	gm_runner_close(&runner);
	return rc;
}

/* --- On the job's own stores -------------------------------------------------------------------------------------- */

enum gm_code gm_run_plan(const struct gm_job *job, const struct gm_run_options *options, struct gm_planned *out,
                         struct gm_error *err)
{
	struct gm_run_options checked = *options;
	struct gm_opened opened;
	*out = (struct gm_planned){.version = -1};
	GM_TRY(gm_run_check_options(&checked, err)); /* before the table's folder is made */
	enum gm_code rc = gm_env_open(&opened, job, &checked, GM_ENV_SOURCE | GM_ENV_CREATE, err);
	if (rc == GM_OK) rc = gm_run_plan_on(job, &opened.env, &checked, out, err);
	gm_env_close(&opened);
	return rc;
}

enum gm_code gm_run_work(const struct gm_job *job, const struct gm_run_options *options, uint64_t plan, uint64_t unit,
                         enum gm_work_part part, enum gm_step *step, struct gm_run_result *result, struct gm_error *err)
{
	struct gm_profiling profiling;
	struct gm_opened opened;
	*step = GM_STEP_DONE;
	*result = (struct gm_run_result){.version = -1};
	gm_profile_begin(&profiling, options->profile);
	enum gm_code rc = gm_env_open(&opened, job, options, GM_ENV_SOURCE | GM_ENV_TABLE, err);
	if (rc == GM_OK) rc = gm_run_work_on(job, &opened.env, options, plan, unit, part, step, result, err);
	gm_env_close(&opened);
	gm_profile_end(&profiling, &result->profile);
	return rc;
}

enum gm_code gm_run_commit(const struct gm_job *job, const struct gm_run_options *options, uint64_t plan,
                           enum gm_step *step, struct gm_run_result *result, struct gm_error *err)
{
	struct gm_opened opened;
	*step = GM_STEP_DONE;
	*result = (struct gm_run_result){.version = -1};
	enum gm_code rc = gm_env_open(&opened, job, options, GM_ENV_TABLE, err);
	if (rc == GM_OK) rc = gm_run_commit_on(job, &opened.env, options, plan, step, result, err);
	if (rc == GM_OK) gm_run_catalog_after(job, &opened.env, options, result);
	gm_env_close(&opened);
	return rc;
}
