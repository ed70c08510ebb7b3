/* identity.c - a job without state on a table that another job has filled from the same source.
 *
 * A job's identity is its id. One that was renamed, or copied, begins with no state, and would process all objects
 * again. So it is refused until the user decides: to adopt what the other job has processed, which is a commit of
 * its own, or to process everything as a job beside it. */
#include "run/runner.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- Other jobs --------------------------------------------------------------------------------------------------- */

/* The job of a transaction; NULL: it is no job's. */
static const char *job_of(const char *app_id)
{
	char prefix[GM_APP_BYTES];
	gm_app_id(prefix, "");
	size_t n = strlen(prefix);
	return strncmp(app_id, prefix, n) == 0 && app_id[n] != '\0' ? app_id + n : NULL;
}

/* Where a job's last committed plan says that it reads from; "" if that cannot be known: the plan is older than the
 * log. free() it. */
static enum gm_code source_of(struct gm_runner *runner, const char *job_id, uint64_t head, char **source,
                              struct gm_error *err)
{
	struct gm_layout layout;
	struct gm_plan *plan;
	GM_TRY(gm_layout_init(&layout, job_id, err));
	GM_TRY(gm_plan_read(runner->table, &layout, head, &plan, err));
	*source = plan->source[0] != '\0' ? gm_store_canonical(plan->source) : strdup("");
	gm_plan_free(plan);
	if (*source == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the source of job %s", job_id);
	return GM_OK;
}

static enum gm_code reads_same(struct gm_runner *runner, const char *job_id, uint64_t head, bool *same,
                               struct gm_error *err)
{
	char *theirs, *ours;
	GM_TRY(source_of(runner, job_id, head, &theirs, err));
	ours = gm_store_canonical(runner->job->source.location);
	enum gm_code rc = ours != NULL ? GM_OK : gm_error_set(err, GM_NOMEM, "out of memory for the source's location");
	*same = rc == GM_OK && (theirs[0] == '\0' || strcmp(theirs, ours) == 0);
	free(theirs);
	free(ours);
	return rc;
}

static enum gm_code refuse(const struct gm_runner *runner, const char *other, uint64_t head, struct gm_error *err)
{
	(void)gm_error_set(err, GM_USAGE,
	                   "job %s has no state on this table, but job %s has processed objects of the same source, up to "
	                   "run %" PRIu64,
	                   runner->job->id, other, head);
	(void)gm_error_hint(err, GM_USAGE, "--adopt %s takes over what it has processed; --new processes everything again",
	                    other);
	return gm_error_object(err, GM_USAGE, runner->job->path, strlen(runner->job->path));
}

/* OK: no other job has processed objects of our source. */
static enum gm_code check_alone(struct gm_runner *runner, struct gm_error *err)
{
	const struct gm_delta_log *log = runner->history.log;
	for (size_t i = 0; log != NULL && i < gm_delta_txn_count(log); i++) {
		struct gm_delta_txn_action txn = gm_delta_txn_at(log, i);
		const char *other = job_of(txn.app_id);
		bool same;
		if (other == NULL || strcmp(other, runner->job->id) == 0 || txn.version <= 0) continue;
		GM_TRY(reads_same(runner, other, (uint64_t)txn.version, &same, err));
		if (same) return refuse(runner, other, (uint64_t)txn.version, err);
	}
	return GM_OK;
}

/* --- Adopting ----------------------------------------------------------------------------------------------------- */

/* Is there a plan on our chain that adopts the job? Asked when the same command is given again. */
static enum gm_code has_adopted(struct gm_runner *runner, const char *id, bool *adopted, struct gm_error *err)
{
	*adopted = false;
	for (uint64_t n = runner->history.head; n > 0 && !*adopted;) {
		struct gm_plan *plan;
		GM_TRY(gm_plan_read(runner->table, &runner->layout, n, &plan, err));
		*adopted = plan->kind == GM_PLAN_ADOPT && strcmp(plan->adopts, id) == 0;
		n = plan->parent;
		gm_plan_free(plan);
	}
	return GM_OK;
}

static enum gm_code check_adoptable(struct gm_runner *runner, const char *id, uint64_t head, struct gm_error *err)
{
	bool same;
	if (strcmp(id, runner->job->id) == 0) GM_FAIL(err, GM_USAGE, "job %s cannot adopt itself", id);
	if (head == 0) {
		(void)gm_error_set(err, GM_USAGE, "no job %s has committed anything to this table", id);
		return gm_error_hint(err, GM_USAGE, "without --adopt, run names the job that has processed the same source");
	}
	GM_TRY(reads_same(runner, id, head, &same, err));
	if (!same)
		gm_runner_notice(runner,
		                 "job %s has read its objects from another place; they are known by their names below it", id);
	return GM_OK;
}

/* Commits that what the other job has processed up to its run `head` is processed. LOST: we have state meanwhile. */
static enum gm_code commit_adoption(struct gm_runner *runner, const char *id, uint64_t head, struct gm_error *err)
{
	char who[GM_WHO_BYTES];
	struct gm_plan_request request = gm_runner_request(runner);
	struct gm_plan *plan;
	gm_runner_who(who);
	GM_TRY(gm_plan_empty(&request, GM_PLAN_ADOPT, &plan, err));
	plan->adopts = id;
	plan->ends = head;
	plan->reason = runner->options.reason != NULL ? runner->options.reason : "";
	plan->who = who;
	enum gm_code rc = gm_runner_change(runner, &runner->layout, plan, err);
	if (rc == GM_OK) gm_runner_notice(runner, "adopted what job %s has processed up to its run %" PRIu64, id, head);
	gm_plan_free(plan);
	return rc;
}

static enum gm_code adopt(struct gm_runner *runner, bool *acted, struct gm_error *err)
{
	const char *id = runner->options.adopt;
	bool adopted;
	if (runner->history.head > 0) {
		GM_TRY(has_adopted(runner, id, &adopted, err));
		if (adopted) return GM_OK;
		(void)gm_error_set(err, GM_USAGE, "job %s has state on this table: it cannot adopt that of job %s",
		                   runner->job->id, id);
		return gm_error_hint(err, GM_USAGE, "a job adopts another's state only before its own first run");
	}
	uint64_t head = gm_history_head(runner->history.log, id);
	GM_TRY(check_adoptable(runner, id, head, err));
	enum gm_code rc = commit_adoption(runner, id, head, err);
	*acted = rc == GM_OK || rc == GM_LOST;
	return *acted ? GM_OK : rc;
}

/* --- Before a plan ------------------------------------------------------------------------------------------------ */

enum gm_code gm_runner_identify(struct gm_runner *runner, bool *acted, struct gm_error *err)
{
	const struct gm_history *history = &runner->history;
	*acted = false;
	if (runner->options.adopt != NULL && runner->options.as_new)
		GM_FAIL(err, GM_USAGE, "a job is new or adopts another's state, not both");
	if (runner->options.adopt != NULL && runner->options.dry_run)
		GM_FAIL(err, GM_USAGE, "adopting is a commit: a dry run cannot do it");
	if (runner->options.adopt != NULL) return adopt(runner, acted, err);
	if (history->head > 0 || history->last_plan > 0 || runner->options.as_new) return GM_OK;
	return check_alone(runner, err);
}
