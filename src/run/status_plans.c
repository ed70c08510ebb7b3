/* status_plans.c - the plans that are neither committed nor dead: whose they are, how far they have come, what they
 * wait for, and what to do about them. */
#include "run/status.h"

#include <inttypes.h>
#include <stdlib.h>

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the status");
}

/* --- How far it has come ------------------------------------------------------------------------------------------ */

/* Is a file that a manifest names still to be had, staged or published? */
static enum gm_code is_there(struct gm_store *table, const struct gm_manifest_file *file, bool *there,
                             struct gm_error *err)
{
	uint64_t bytes;
	enum gm_code rc = gm_store_staged_size(table, file->token, &bytes, err);
	*there = rc == GM_OK;
	return rc == GM_NOT_FOUND ? gm_store_has(table, file->path, there, err) : rc;
}

/* The first file of the plan's worked units that is neither staged nor published; "" if there is none. */
static enum gm_code find_gone(struct gm_status_part *part, const struct gm_layout *layout, const struct gm_plan *plan,
                              const struct gm_unit_state *states, const char **gone, struct gm_error *err)
{
	struct gm_store *table = part->runner->table;
	*gone = "";
	for (size_t i = 0; i < plan->unit_count && (*gone)[0] == '\0'; i++) {
		struct gm_manifest manifest;
		if (!states[i].done) continue;
		GM_TRY(gm_manifest_read(table, layout, plan, i, &manifest, err));
		enum gm_code rc = GM_OK;
		bool there = true;
		size_t k = 0;
		for (; rc == GM_OK && there && k < manifest.file_count; k++)
			rc = is_there(table, &manifest.files[k], &there, err);
		if (rc == GM_OK && !there) *gone = gm_status_text(part, manifest.files[k - 1].path);
		gm_manifest_release(&manifest);
		GM_TRY(rc);
		if (*gone == NULL) return out_of_memory(err);
	}
	return GM_OK;
}

/* --- How it stands ------------------------------------------------------------------------------------------------ */

struct view {
	const struct gm_plan *plan;
	const struct gm_unit_state *states;
	const char *gone; /* a file that is */
	bool second;      /* a lower plan of ours comes first */
};

static const char run_anew[] = "run again: that gives it up and plans its objects anew";

/* Files may be visible that only the manifest which is gone would have named. */
static enum gm_code judge_lacking(struct gm_status_part *part, const struct gm_layout *layout, const char *lacking,
                                  struct gm_status_plan *plan, struct gm_error *err)
{
	struct gm_error why;
	enum gm_code rc = gm_plan_check_closable(part->runner->table, layout, plan->plan, plan->units, &why);
	plan->state = gm_arena_printf(part->arena, "it was being published, and the manifest is gone of unit %s", lacking);
	plan->advice = "restore the manifest from a copy of the table; or give the run up: gristmill run JOB --abandon";
	if (rc == GM_OK) return GM_OK;
	if (rc != GM_CORRUPT) {
		*err = why;
		return rc;
	}
	plan->state = gm_arena_printf(part->arena, "it was being published; %s: %s", why.object, why.message);
	if (why.hint[0] != '\0') plan->advice = gm_status_text(part, why.hint);
	return plan->advice != NULL ? GM_OK : out_of_memory(err);
}

static enum gm_code judge_claimed(struct gm_status_part *part, const struct gm_layout *layout, const struct view *view,
                                  struct gm_status_plan *plan, struct gm_error *err)
{
	char lacking[GM_LACKING_BYTES];
	if (gm_units_lacking(view->states, plan->units, GM_UNIT_MANIFEST, lacking) > 0)
		return judge_lacking(part, layout, lacking, plan, err);
	plan->state = "it is being published; until it is committed no other plan of this table can be";
	plan->advice = "if nobody is at it any more, run again: the next run of any job finishes it";
	if (view->gone[0] == '\0') return GM_OK;
	plan->state = gm_arena_printf(part->arena, "it was being published, and a staged file is gone: %s", view->gone);
	plan->advice = run_anew;
	return GM_OK;
}

static void judge_foreign(struct gm_status_part *part, const struct view *view, struct gm_status_plan *plan)
{
	bool engine = strcmp(view->plan->engine, part->runner->env->engine_id) != 0;
	plan->state = engine ? "it was made by another version of gristmill: this one leaves it alone"
	                     : "it was made with another version of the job file: this one leaves it alone";
	plan->advice = "nothing: the next commit makes it dead, or its own version finishes it first";
}

static void judge_ours(struct gm_status_part *part, const struct view *view, struct gm_status_plan *plan)
{
	plan->advice = "run again: that takes it up; or give it up: gristmill run JOB --abandon";
	if (view->second) {
		plan->state = "another plan comes first, and makes it dead";
		plan->advice = "nothing";
	} else if (view->gone[0] != '\0') {
		plan->state = gm_arena_printf(part->arena, "a staged file is gone: %s", view->gone);
		plan->advice = run_anew;
	} else if (plan->units_done == plan->units) {
		plan->state = "all its units are worked; it is to be published";
	} else {
		plan->state = "it is not finished";
	}
}

static enum gm_code judge(struct gm_status_part *part, const struct gm_layout *layout, const struct gm_plan *plan,
                          bool second, struct gm_status_plan *out, struct gm_error *err)
{
	struct gm_unit_state *states;
	struct view view = {.plan = plan, .second = second};
	GM_TRY(gm_units_list(part->runner->table, layout, plan, &states, err));
	for (size_t i = 0; i < plan->unit_count; i++) out->units_done += states[i].done;
	view.states = states;
	enum gm_code rc = find_gone(part, layout, plan, states, &view.gone, err);
	if (rc == GM_OK) {
		if (out->claimed)
			rc = judge_claimed(part, layout, &view, out, err);
		else if (out->ours)
			judge_ours(part, &view, out);
		else
			judge_foreign(part, &view, out);
	}
	free(states);
	return rc;
}

/* --- Which there are ---------------------------------------------------------------------------------------------- */

static enum gm_code describe(struct gm_status_part *part, const struct gm_layout *layout, const struct gm_plan *plan,
                             bool second, struct gm_status_plan *out, struct gm_error *err)
{
	out->engine = gm_status_text(part, plan->engine);
	out->created_us = plan->created_us;
	out->ours = strcmp(plan->job, part->runner->job->id) == 0 &&
	            gm_plan_is_ours(plan, part->runner->job, part->runner->env->engine_id);
	out->objects = plan->input_count;
	out->bytes = plan->bytes;
	out->units = plan->unit_count;
	if (out->engine == NULL) return out_of_memory(err);
	return judge(part, layout, plan, second, out, err);
}

/* What cannot be read is told in its place: a damaged plan is what somebody asks the status for. */
static enum gm_code tell_unreadable(struct gm_status_part *part, const struct gm_error *why, struct gm_status_plan *out,
                                    struct gm_error *err)
{
	out->state = gm_arena_printf(part->arena, "it cannot be looked at: %s%s%s", why->object,
	                             why->object[0] != '\0' ? ": " : "", why->message);
	if (why->code == GM_UNSUPPORTED)
		out->advice = "leave it to the version that made it, or use that";
	else if (!out->claimed && why->code == GM_CORRUPT)
		out->advice = run_anew; /* nothing of it can be published */
	else
		out->advice = gm_status_text(part, why->hint);
	return out->state != NULL && out->advice != NULL ? GM_OK : out_of_memory(err);
}

/* Is there one among the plans before it that will be committed in its place? */
static bool comes_second(const struct gm_status_plan *plans, size_t count, const char *job_id)
{
	for (size_t i = 0; i < count; i++)
		if (plans[i].ours || (plans[i].claimed && strcmp(plans[i].job, job_id) == 0)) return true;
	return false;
}

/* Adds what a plan says of itself, if it is one that waits. */
static enum gm_code add_plan(struct gm_status_part *part, struct gm_status_plan *plans, const char *job_id,
                             uint64_t number, bool claimed, struct gm_error *err)
{
	struct gm_error why;
	struct gm_layout layout;
	struct gm_plan *plan = NULL;
	size_t at = part->status->plan_count;
	struct gm_status_plan *out = &plans[at];
	bool second = comes_second(plans, at, job_id);
	*out = (struct gm_status_plan){
	    .plan = number, .job = gm_status_text(part, job_id), .engine = "", .claimed = claimed, .state = ""};
	if (out->job == NULL) return out_of_memory(err);
	GM_TRY(gm_layout_init(&layout, job_id, err));
	enum gm_code rc = gm_plan_read(part->runner->table, &layout, number, &plan, &why);
	if (rc == GM_OK && !claimed && (plan->unit_count == 0 || plan->parent != part->runner->history.head)) {
		gm_plan_free(plan); /* its parent is not the last run: dead, or about to be found so */
		return GM_OK;
	}
	if (rc == GM_CORRUPT && !claimed && number < part->runner->history.head) return GM_OK; /* dead, too */
	if (rc == GM_OK) rc = describe(part, &layout, plan, second, out, &why);
	gm_plan_free(plan);
	if (rc == GM_NOMEM) *err = why;
	if (rc == GM_NOMEM) return rc;
	if (rc != GM_OK) GM_TRY(tell_unreadable(part, &why, out, err));
	if (out->state == NULL) return out_of_memory(err);
	part->status->plan_count++;
	return GM_OK;
}

/* The plan that is claimed; *claim: which, if there is one. */
static enum gm_code add_claimed(struct gm_status_part *part, struct gm_status_plan *plans, struct gm_claim *claim,
                                struct gm_error *err)
{
	bool claimed;
	struct gm_error why;
	*claim = (struct gm_claim){0};
	enum gm_code rc = gm_runner_claimed(part->runner, claim, &claimed, &why);
	if (rc != GM_OK && (rc == GM_NOMEM || claim->plan == 0)) {
		*err = why;
		return rc;
	}
	if (rc == GM_OK && !claimed) claim->plan = 0;
	if (claim->plan == 0) return GM_OK;
	if (rc == GM_OK) return add_plan(part, plans, claim->job, claim->plan, true, err);
	struct gm_status_plan *out = &plans[part->status->plan_count++];
	*out = (struct gm_status_plan){
	    .plan = claim->plan, .job = gm_status_text(part, claim->job), .engine = "", .claimed = true};
	return out->job != NULL ? tell_unreadable(part, &why, out, err) : out_of_memory(err);
}

enum gm_code gm_status_plans(struct gm_status_part *part, struct gm_error *err)
{
	const struct gm_history *history = &part->runner->history;
	struct gm_claim claim;
	struct gm_status_plan *plans = gm_arena_zalloc(part->arena, (history->open_count + 2) * sizeof *plans);
	if (plans == NULL) return out_of_memory(err);
	part->status->plans = plans;
	GM_TRY(add_claimed(part, plans, &claim, err));
	for (size_t i = 0; i < history->open_count; i++) {
		uint64_t number = history->open[i];
		bool told = claim.plan == number && strcmp(claim.job, part->runner->job->id) == 0;
		if (!told) GM_TRY(add_plan(part, plans, part->runner->job->id, number, false, err));
	}
	return GM_OK;
}
