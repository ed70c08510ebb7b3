/* settle.c - bringing plans to their end: claim, publish, commit, or end and close; ours, and those that others
 * left. */
#include "run/runner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static enum gm_code open_tip(const struct gm_runner *runner, struct gm_tip *tip, struct gm_error *err)
{
	gm_tip_init(tip, runner->table, runner->history.log, gm_runner_log_bytes(runner));
	enum gm_code rc = gm_tip_advance(tip, err);
	if (rc != GM_OK) gm_tip_release(tip);
	return rc;
}

static struct gm_commit commit_of(const struct gm_runner *runner, struct gm_tip *tip, const struct gm_layout *layout,
                                  const struct gm_plan *plan, const struct gm_manifest *manifests, uint64_t claim)
{
	return (struct gm_commit){.table = runner->table,
	                          .layout = layout,
	                          .plan = plan,
	                          .job_id = plan->job,
	                          .manifests = manifests,
	                          .claim = claim,
	                          .now_us = runner->env->now_us(runner->env->clock),
	                          .tip = tip,
	                          .scratch = runner->env->scratch,
	                          .memory_bytes = runner->options.memory_bytes / 8};
}

/* The state of a plan of any job. A parent that the log does not know even when it is read on, after the plan was read,
 * will never be known. */
static enum gm_code state_of(const struct gm_runner *runner, struct gm_tip *tip, const struct gm_layout *layout,
                             const struct gm_plan *plan, const char *job_id, enum gm_plan_state *state,
                             struct gm_error *err)
{
	for (int i = 0; i < 2; i++) {
		if (i > 0) GM_TRY(gm_tip_advance(tip, err));
		uint64_t head = gm_tip_head(tip, job_id);
		GM_TRY(gm_plan_state(runner->table, layout, head, plan->number, plan->parent, state, err));
		if (*state != GM_PLAN_AHEAD) return GM_OK;
	}
	return gm_history_forgotten(job_id, plan->parent, err);
}

/* --- Publish and commit ------------------------------------------------------------------------------------------- */

/* A staged file that is gone may have been swept because the plan is settled: the log is asked once more. */
static enum gm_code publish(struct gm_commit *commit, struct gm_error *err)
{
	struct gm_error again;
	enum gm_code rc = gm_publish(commit->table, commit->manifests, commit->plan->unit_count, err);
	if (rc == GM_OK) return GM_OK;
	enum gm_code seen = gm_commit_check(commit, &again);
	if (seen != GM_EXISTS && seen != GM_LOST) return rc;
	*err = again;
	return seen;
}

/* Publishes and commits a claimed plan of any job. The answers are gm_runner_finish's. */
static enum gm_code carry_out(struct gm_runner *runner, struct gm_tip *tip, const struct gm_layout *layout,
                              const struct gm_plan *plan, const struct gm_manifest *manifests, uint64_t claim,
                              struct gm_error *err)
{
	struct gm_commit commit = commit_of(runner, tip, layout, plan, manifests, claim);
	GM_TRY(gm_commit_init(&commit, err));
	enum gm_code rc = gm_commit_check(&commit, err);
	if (rc == GM_OK) rc = publish(&commit, err);
	enum gm_stage outer = gm_stage_enter(GM_STAGE_COMMIT);
	if (rc == GM_OK) rc = gm_commit_put(&commit, err);
	(void)gm_stage_enter(outer);
	if (rc == GM_OK) runner->result->version = tip->version + 1;
	gm_commit_release(&commit);
	return rc;
}

/* --- End ---------------------------------------------------------------------------------------------------------- */

void gm_runner_who(char who[GM_WHO_BYTES])
{
	char host[128] = "", user[96] = "";
	if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
	if (getlogin_r(user, sizeof user) != 0) (void)snprintf(user, sizeof user, "uid %u", (unsigned)getuid());
	(void)snprintf(who, GM_WHO_BYTES, "%s@%s", user, host);
}

struct highest {
	uint64_t number;
};

static enum gm_code note_highest(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct highest *highest = context;
	uint64_t n = gm_layout_number(info->key, ".json");
	(void)err;
	if (n > highest->number) highest->number = n;
	return GM_OK;
}

/* Writes the plan under the next free number. EXISTS: it was taken meanwhile. */
static enum gm_code write_next(struct gm_store *table, const struct gm_layout *layout, struct gm_plan *plan,
                               struct gm_error *err)
{
	char prefix[GM_KEY_BYTES], after[GM_KEY_BYTES];
	struct highest highest = {plan->parent};
	(void)snprintf(prefix, sizeof prefix, "%splans/", layout->job);
	gm_layout_from(layout, after, "plans", plan->parent);
	GM_TRY(gm_store_list_after(table, prefix, after, NULL, note_highest, &highest, err));
	return gm_plan_write(plan, highest.number + 1, table, layout, err);
}

/* A plan without units is committed like any other, only without claim and files. OK: it is committed, by whomever. */
enum gm_code gm_runner_change(struct gm_runner *runner, const struct gm_layout *layout, struct gm_plan *plan,
                              struct gm_error *err)
{
	struct gm_tip tip;
	enum gm_code rc;
	GM_TRY(open_tip(runner, &tip, err));
	do {
		rc = gm_tip_advance(&tip, err);
		if (rc == GM_OK && gm_tip_head(&tip, plan->job) != plan->parent)
			rc = gm_error_set(err, GM_LOST, "another run was committed meanwhile");
		if (rc == GM_OK) rc = write_next(runner->table, layout, plan, err);
	} while (rc == GM_EXISTS);
	if (rc == GM_OK) {
		struct gm_commit commit = commit_of(runner, &tip, layout, plan, NULL, 0);
		rc = gm_commit_init(&commit, err);
		if (rc == GM_OK) rc = gm_commit_put(&commit, err);
		gm_commit_release(&commit);
	}
	if (rc == GM_OK || rc == GM_EXISTS) runner->result->version = tip.version + (rc == GM_OK);
	gm_tip_release(&tip);
	return rc == GM_EXISTS ? GM_OK : rc;
}

enum gm_code gm_runner_end(struct gm_runner *runner, const struct gm_layout *layout, const struct gm_plan *plan,
                           const char *reason, struct gm_error *err)
{
	char who[GM_WHO_BYTES];
	struct gm_plan end = *plan;
	GM_TRY(gm_plan_check_closable(runner->table, layout, plan->number, 0, err));
	gm_runner_who(who);
	end.kind = GM_PLAN_END;
	end.unit_count = end.input_count = 0;
	end.ends = plan->number;
	end.full_us = 0; /* what the plan found is to be found again */
	end.reason = reason;
	end.who = who;
	end.engine = runner->env->engine_id;
	end.created_us = runner->env->now_us(runner->env->clock);
	GM_TRY(gm_runner_change(runner, layout, &end, err));
	return gm_plan_close(runner->table, layout, plan->number, err);
}

/* --- Finish ------------------------------------------------------------------------------------------------------- */

/* It names files that may be visible already, and nothing else does. */
static enum gm_code manifest_is_gone(const struct gm_layout *layout, uint64_t number, size_t unit, struct gm_error *err)
{
	char key[GM_KEY_BYTES], suffix[32];
	(void)snprintf(suffix, sizeof suffix, "/%05zu.json", unit);
	gm_layout_key(layout, key, "work", number, suffix);
	(void)gm_error_set(err, GM_CORRUPT, "the manifest of a run that was being published is gone");
	return gm_error_object(err, GM_CORRUPT, key, strlen(key));
}

static enum gm_code read_manifests(const struct gm_runner *runner, const struct gm_layout *layout,
                                   const struct gm_plan *plan, struct gm_manifest *manifests, size_t *done,
                                   struct gm_error *err)
{
	for (*done = 0; *done < plan->unit_count; (*done)++) {
		enum gm_code rc = gm_manifest_read(runner->table, layout, plan, *done, &manifests[*done], err);
		if (rc == GM_NOT_FOUND) rc = manifest_is_gone(layout, plan->number, *done, err);
		if (rc == GM_CORRUPT)
			(void)gm_error_hint(err, rc,
			                    "restore it from a copy of the table; or give the run up: gristmill run JOB --abandon");
		GM_TRY(rc);
	}
	return GM_OK;
}

static bool is_own(const struct gm_runner *runner, const char *job_id)
{
	return strcmp(job_id, runner->job->id) == 0;
}

static void tell_untidy(const struct gm_runner *runner, uint64_t number, const struct gm_error *why)
{
	gm_runner_notice(runner, "could not tidy up after run %" PRIu64 ": %s", number, why->message);
}

/* Behind the commit. */
static void tidy(struct gm_runner *runner, const struct gm_layout *layout, const struct gm_plan *plan,
                 const struct gm_manifest *manifests)
{
	struct gm_error err;
	if (gm_plan_tidy_named(runner->table, layout, plan, manifests, &err) != GM_OK)
		tell_untidy(runner, plan->number, &err);
}

static enum gm_code account(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_manifest *manifests,
                            struct gm_error *err)
{
	gm_result_add_run(runner->result, plan->number);
	GM_TRY(gm_result_add_books(runner->result, manifests, plan->unit_count, err));
	return gm_result_add_files(runner->result, manifests, plan->unit_count, err);
}

/* Finishes a claimed plan from its manifests, which needs nothing of its job's logic; ends it if that cannot be
 * done. */
static enum gm_code finish_claimed(struct gm_runner *runner, struct gm_tip *tip, const struct gm_layout *layout,
                                   const struct gm_plan *plan, uint64_t claim, struct gm_error *err)
{
	size_t done = 0;
	struct gm_manifest *manifests = calloc(plan->unit_count + 1, sizeof *manifests);
	if (manifests == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a run");
	gm_runner_phase(runner, GM_PHASE_PUBLISH);
	gm_runner_notice(runner, "finishing run %" PRIu64 " of job %s, which was being published", plan->number, plan->job);
	enum gm_code rc = read_manifests(runner, layout, plan, manifests, &done, err);
	if (rc == GM_OK) rc = carry_out(runner, tip, layout, plan, manifests, claim, err);
	if (rc == GM_OK) tidy(runner, layout, plan, manifests);
	if (rc == GM_OK && is_own(runner, plan->job)) rc = account(runner, plan, manifests, err);
	for (size_t i = 0; i < done; i++) gm_manifest_release(&manifests[i]);
	free(manifests);
	if (rc == GM_LOST) return gm_plan_close(runner->table, layout, plan->number, err);
	if (rc == GM_CHANGED) {
		gm_runner_notice(runner, "run %" PRIu64 " of job %s cannot be finished: %s%s%s", plan->number, plan->job,
		                 err->object, err->object[0] != '\0' ? ": " : "", err->message);
		struct gm_error why = *err;
		rc = gm_runner_end(runner, layout, plan, why.message, err);
		if (rc == GM_LOST) rc = GM_OK; /* settled otherwise, perhaps committed: look again */
	}
	return rc == GM_EXISTS ? GM_OK : rc;
}

static enum gm_code read_claimed_plan(const struct gm_runner *runner, const struct gm_layout *layout,
                                      const struct gm_claim *claim, struct gm_plan **out, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	enum gm_code rc = gm_plan_read(runner->table, layout, claim->plan, out, err);
	if (rc == GM_NOT_FOUND) {
		gm_layout_key(layout, key, "plans", claim->plan, ".json");
		rc = gm_error_set(err, GM_CORRUPT, "the plan of a run that was being published is gone");
		(void)gm_error_object(err, rc, key, strlen(key));
	}
	if (rc == GM_CORRUPT)
		(void)gm_error_hint(err, rc, "restore the file from a copy of the table: no other run can be published before");
	return rc;
}

/* Brings what a claim names to its end. *acted: it was not settled. */
static enum gm_code settle(struct gm_runner *runner, struct gm_tip *tip, const struct gm_claim *claim, bool *acted,
                           struct gm_error *err)
{
	struct gm_layout layout;
	struct gm_plan *plan;
	enum gm_plan_state state;
	bool closed = false;
	*acted = false;
	GM_TRY(gm_layout_init(&layout, claim->job, err));
	GM_TRY(read_claimed_plan(runner, &layout, claim, &plan, err));
	enum gm_code rc = state_of(runner, tip, &layout, plan, claim->job, &state, err);
	if (rc == GM_OK && state == GM_PLAN_DEAD)
		rc = gm_plan_is_closed(runner->table, &layout, plan->number, &closed, err);
	if (rc == GM_OK) *acted = state == GM_PLAN_OPEN || (state == GM_PLAN_DEAD && !closed);
	if (rc == GM_OK && state == GM_PLAN_OPEN) rc = finish_claimed(runner, tip, &layout, plan, claim->k, err);
	if (rc == GM_OK && state == GM_PLAN_DEAD && !closed) rc = gm_plan_close(runner->table, &layout, plan->number, err);
	gm_plan_free(plan);
	return rc;
}

enum gm_code gm_runner_settle(struct gm_runner *runner, bool *acted, struct gm_error *err)
{
	struct gm_tip tip;
	struct gm_claim claim;
	*acted = false;
	/* The log has just been read. That there is no claim behind the last one that it knows is true whatever was
	 * committed since; only where there is one the log is read on. */
	gm_tip_init(&tip, runner->table, runner->history.log, gm_runner_log_bytes(runner));
	enum gm_code rc = gm_claim_last(&tip, &claim, err);
	if (rc == GM_OK && claim.plan != 0) {
		rc = gm_tip_advance(&tip, err);
		if (rc == GM_OK) rc = gm_claim_last(&tip, &claim, err);
		if (rc == GM_OK && claim.plan != 0) rc = settle(runner, &tip, &claim, acted, err);
	}
	gm_tip_release(&tip);
	return rc;
}

/* Is the plan that a claim names still to be finished? */
static enum gm_code is_unsettled(struct gm_runner *runner, struct gm_tip *tip, const struct gm_claim *claim,
                                 bool *unsettled, struct gm_error *err)
{
	struct gm_layout layout;
	struct gm_plan *plan;
	enum gm_plan_state state;
	GM_TRY(gm_layout_init(&layout, claim->job, err));
	GM_TRY(read_claimed_plan(runner, &layout, claim, &plan, err));
	enum gm_code rc = state_of(runner, tip, &layout, plan, claim->job, &state, err);
	*unsettled = rc == GM_OK && state == GM_PLAN_OPEN;
	gm_plan_free(plan);
	return rc;
}

enum gm_code gm_runner_claimed(struct gm_runner *runner, struct gm_claim *claim, bool *claimed, struct gm_error *err)
{
	struct gm_tip tip;
	*claimed = false;
	GM_TRY(open_tip(runner, &tip, err));
	enum gm_code rc = gm_claim_last(&tip, claim, err);
	if (rc == GM_OK && claim->plan != 0) rc = is_unsettled(runner, &tip, claim, claimed, err);
	gm_tip_release(&tip);
	return rc;
}

enum gm_code gm_runner_pending(struct gm_runner *runner, struct gm_pending_plan *pending, struct gm_error *err)
{
	struct gm_claim claim;
	*pending = (struct gm_pending_plan){0};
	GM_TRY(gm_runner_claimed(runner, &claim, &pending->claimed, err));
	if (pending->claimed) {
		pending->number = claim.plan;
		memcpy(pending->job, claim.job, sizeof pending->job);
		return GM_OK;
	}
	(void)snprintf(pending->job, sizeof pending->job, "%s", runner->job->id);
	for (size_t i = 0; pending->number == 0 && i < runner->history.open_count; i++) {
		struct gm_plan *plan;
		enum gm_code rc = gm_plan_read(runner->table, &runner->layout, runner->history.open[i], &plan, err);
		if (rc == GM_UNSUPPORTED) continue; /* of a newer version, which looks after it */
		if (rc == GM_CORRUPT) continue;     /* nobody will take it up */
		GM_TRY(rc);
		if (plan->parent == runner->history.head && plan->unit_count > 0) pending->number = plan->number;
		gm_plan_free(plan);
	}
	return GM_OK;
}

/* Puts the next claim for the plan, once the last one is settled. */
static enum gm_code acquire(struct gm_runner *runner, struct gm_tip *tip, const struct gm_plan *plan, uint64_t *k,
                            struct gm_error *err)
{
	for (;;) {
		struct gm_claim claim;
		bool acted = false;
		GM_TRY(gm_tip_advance(tip, err));
		GM_TRY(gm_claim_last(tip, &claim, err));
		*k = claim.k;
		if (claim.plan == plan->number && is_own(runner, claim.job)) return GM_OK;
		if (claim.plan != 0) GM_TRY(settle(runner, tip, &claim, &acted, err));
		if (acted) continue;
		enum gm_code rc = gm_claim_put(runner->table, ++*k, plan->job, plan->number, err);
		if (rc != GM_EXISTS) return rc;
	}
}

enum gm_code gm_runner_finish(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_manifest *manifests,
                              struct gm_error *err)
{
	struct gm_tip tip;
	uint64_t claim;
	gm_runner_phase(runner, GM_PHASE_PUBLISH);
	gm_tip_init(&tip, runner->table, runner->history.log,
	            gm_runner_log_bytes(runner)); /* acquire reads on from there */
	enum gm_code rc = acquire(runner, &tip, plan, &claim, err);
	if (rc == GM_OK) rc = carry_out(runner, &tip, &runner->layout, plan, manifests, claim, err);
	gm_tip_release(&tip);
	if (rc == GM_OK) tidy(runner, &runner->layout, plan, manifests);
	return rc == GM_OK ? account(runner, plan, manifests, err) : rc;
}

/* --- Sweep -------------------------------------------------------------------------------------------------------- */

/* An open plan below the head is dead, also when it cannot be read: the chain has gone past it. */
static enum gm_code is_dead(struct gm_runner *runner, uint64_t number, bool *dead, bool *units, struct gm_error *err)
{
	struct gm_plan *plan;
	enum gm_plan_state state;
	uint64_t head = runner->history.head;
	*dead = number < head;
	*units = true;
	enum gm_code rc = gm_plan_read(runner->table, &runner->layout, number, &plan, err);
	if (rc == GM_CORRUPT) return GM_OK; /* told where a plan is looked for */
	GM_TRY(rc);
	*units = plan->unit_count > 0;
	rc = gm_plan_state(runner->table, &runner->layout, head, plan->number, plan->parent, &state, err);
	*dead = rc == GM_OK && state == GM_PLAN_DEAD;
	gm_plan_free(plan);
	return rc;
}

static enum gm_code close_if_dead(struct gm_runner *runner, uint64_t number, bool *closed, struct gm_error *err)
{
	bool dead, units;
	*closed = false;
	GM_TRY(is_dead(runner, number, &dead, &units, err));
	if (!dead) return GM_OK;
	GM_TRY(gm_plan_close(runner->table, &runner->layout, number, err));
	*closed = units;
	/* The history in hand does not know it as settled: the next run would be the first to tidy up. */
	return gm_plan_tidy(runner->table, &runner->layout, number, err);
}

void gm_runner_sweep(struct gm_runner *runner, const struct gm_history *history)
{
	struct gm_error err;
	for (size_t i = 0; i < history->open_count; i++) {
		bool closed;
		enum gm_code rc = close_if_dead(runner, history->open[i], &closed, &err);
		if (rc != GM_OK)
			gm_runner_notice(runner, "could not look after unfinished run %" PRIu64 ": %s%s%s", history->open[i],
			                 err.object, err.object[0] != '\0' ? ": " : "", err.message);
		else if (closed)
			gm_runner_notice(runner, "swept what run %" PRIu64 " had left unfinished", history->open[i]);
	}
	for (size_t i = 0; i < history->stray_count; i++)
		if (gm_plan_tidy(runner->table, &runner->layout, history->stray[i], &err) != GM_OK)
			tell_untidy(runner, history->stray[i], &err);
}

enum gm_code gm_runner_is_over(struct gm_runner *runner, const struct gm_plan *plan, bool *over, struct gm_error *err)
{
	struct gm_tip tip;
	enum gm_plan_state state;
	*over = false;
	GM_TRY(open_tip(runner, &tip, err));
	enum gm_code rc = state_of(runner, &tip, &runner->layout, plan, plan->job, &state, err);
	gm_tip_release(&tip);
	*over = rc == GM_OK && (state == GM_PLAN_COMMITTED || state == GM_PLAN_DEAD);
	return rc;
}
