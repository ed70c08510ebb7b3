/* verify_chain.c - a job's committed runs, from its head along the parents: plans, books, bookmark, source. */
#include "run/verify_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct chain {
	struct gm_verifier *verifier;
	struct gm_verify_job *job;
	struct gm_verify_objects objects;
	bool has_keys; /* its newest plan with units has been found */
};

static struct gm_finding about_plan(const struct chain *chain, enum gm_finding_code code, uint64_t run,
                                    char key[GM_KEY_BYTES])
{
	gm_layout_key(&chain->job->layout, key, "plans", run, ".json");
	struct gm_finding about = gm_verify_about(code, key);
	about.job = chain->job->id;
	about.run = run;
	return about;
}

/* --- Runs of format 1 --------------------------------------------------------------------------------------------- */

struct old_runs {
	struct gm_store *table;
	uint64_t first;
};

static enum gm_code note_run(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct old_runs *old = context;
	uint64_t n = gm_layout_number(info->key, ".json.zst");
	(void)err;
	if (n > 0 && old->first == 0) old->first = n;
	return GM_OK;
}

/* Has the job runs that were committed before there was a log, which no run has taken over yet? */
static enum gm_code find_old_runs(struct gm_verifier *verifier, struct gm_verify_job *job, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	json_t *books;
	struct old_runs old = {.table = verifier->table};
	if (gm_history_head(verifier->log, job->id) > 0) return GM_OK;
	(void)snprintf(prefix, sizeof prefix, "%sruns/", job->layout.job);
	GM_TRY(gm_store_list(verifier->table, prefix, note_run, &old, err));
	if (old.first == 0) return GM_OK;
	gm_layout_key(&job->layout, prefix, "runs", old.first, ".json.zst");
	enum gm_code rc = gm_json_read(verifier->table, prefix, &books, err);
	if (gm_verify_is_finding(rc)) return GM_OK; /* nothing says that it was committed */
	GM_TRY(rc);
	job->is_old = json_integer_value(json_object_get(books, "format")) <= 1;
	json_decref(books);
	if (!job->is_old) return GM_OK;
	struct gm_finding about = gm_verify_about(GM_FINDING_OLD_FORMAT, prefix);
	about.job = job->id;
	gm_verify_report(verifier, &about, "the runs of job %s are from before there was a log; they were not looked at",
	                 job->id);
	return GM_OK;
}

/* --- The chain ---------------------------------------------------------------------------------------------------- */

static void check_against_commit(struct chain *chain, const struct gm_plan *plan, const struct gm_verify_commit *commit)
{
	char key[GM_KEY_BYTES];
	bool upgrade = !commit->has_books && commit->parent == 0; /* takes over older runs, and names no parent */
	if (upgrade || plan->parent == commit->parent) return;
	struct gm_finding about = about_plan(chain, GM_FINDING_PLAN_DAMAGED, plan->number, key);
	about.version = commit->version;
	gm_verify_report(chain->verifier, &about,
	                 "it names the parent %" PRIu64 "; version %" PRId64 " committed it with %" PRIu64, plan->parent,
	                 commit->version, commit->parent);
}

static enum gm_code check_plan(struct chain *chain, const struct gm_plan *plan, struct gm_error *err)
{
	const struct gm_verify_commit *commit = gm_verify_find_commit(chain->job, plan->number);
	if (commit != NULL) {
		((struct gm_verify_commit *)commit)->seen = true;
		check_against_commit(chain, plan, commit);
	}
	if (plan->unit_count > 0) {
		GM_TRY(gm_verify_books(chain->verifier, chain->job, plan, commit, err));
		if (!chain->has_keys && plan->unique_count > 0)
			GM_TRY(gm_verify_keys_note(chain->verifier, plan->unique_by, plan->unique_count, err));
		chain->has_keys = chain->has_keys || plan->job[0] != '\0';
	}
	return gm_verify_objects_plan(&chain->objects, plan, err);
}

static enum gm_code walk(struct chain *chain, struct gm_error *err)
{
	for (uint64_t n = chain->job->head; n > 0;) {
		char key[GM_KEY_BYTES];
		struct gm_plan *plan;
		enum gm_code rc = gm_plan_read(chain->verifier->table, &chain->job->layout, n, &plan, err);
		if (gm_verify_is_finding(rc)) {
			struct gm_finding about = about_plan(chain, GM_FINDING_PLAN_DAMAGED, n, key);
			gm_verify_report(chain->verifier, &about, "%s", err->message);
			chain->job->broken_at = n;
			return GM_OK;
		}
		GM_TRY(rc);
		rc = check_plan(chain, plan, err);
		n = plan->parent;
		gm_plan_free(plan);
		GM_TRY(rc);
		GM_TRY(gm_verify_pulse(chain->verifier, err));
	}
	return GM_OK;
}

static void report_unseen(const struct chain *chain)
{
	for (size_t i = 0; i < chain->job->commit_count; i++) {
		char object[64];
		const struct gm_verify_commit *commit = &chain->job->commits[i];
		if (commit->seen) continue;
		(void)snprintf(object, sizeof object, "_delta_log/%020" PRId64 ".json", commit->version);
		struct gm_finding about = gm_verify_about(GM_FINDING_LOG_ORDER, object);
		about.job = chain->job->id;
		about.run = commit->run;
		about.version = commit->version;
		gm_verify_report(chain->verifier, &about,
		                 "it commits run %" PRIu64 " of job %s, which is not on the chain of the job's runs",
		                 commit->run, chain->job->id);
	}
}

/* --- A job -------------------------------------------------------------------------------------------------------- */

/* Why the job's history cannot be loaded, unless the walk came upon the plan that is to blame. */
static void report_history(const struct chain *chain, const struct gm_error *why)
{
	enum gm_finding_code code = GM_FINDING_LOG_FORGOT;
	bool of_plan = strstr(why->object, "/plans/") != NULL;
	if (of_plan && chain->job->broken_at > 0) return;
	if (of_plan) code = GM_FINDING_PLAN_DAMAGED;
	if (strstr(why->object, "/bookmark/") != NULL) code = GM_FINDING_BOOKMARK;
	struct gm_finding about = gm_verify_about(code, why->object);
	about.job = chain->job->id;
	gm_verify_report(chain->verifier, &about, "%s", why->message);
}

/* history NULL: it could not be loaded, for this reason. */
static enum gm_code prove_chain(struct chain *chain, const struct gm_history *history, const struct gm_error *why,
                                struct gm_error *err)
{
	GM_TRY(walk(chain, err));
	if (history == NULL) report_history(chain, why);
	if (chain->job->broken_at > 0) return GM_OK;
	report_unseen(chain);
	if (history == NULL) return GM_OK;
	GM_TRY(gm_verify_objects_compare(&chain->objects, chain->job, history, err));
	bool is_asked = chain->verifier->job != NULL && strcmp(chain->verifier->job->id, chain->job->id) == 0;
	return is_asked ? gm_verify_source(chain->verifier, chain->job, history, err) : GM_OK;
}

static enum gm_code prove_job(struct gm_verifier *verifier, struct gm_verify_job *job, struct gm_error *err)
{
	struct chain chain = {.verifier = verifier, .job = job};
	struct gm_history history = {0};
	struct gm_error why;
	GM_TRY(find_old_runs(verifier, job, err));
	if (job->is_old) return GM_OK;
	job->head = gm_history_head(verifier->log, job->id);
	enum gm_code rc =
	    gm_history_load(verifier->table, job->id, verifier->memory_bytes / GM_VERIFY_LOG_SHARE, NULL, &history, &why);
	bool loaded = rc == GM_OK;
	if (!loaded && !gm_verify_is_finding(rc)) {
		*err = why;
		return rc;
	}
	if (loaded) job->head = history.head; /* perhaps newer; and the bookmark is that of this head */
	gm_delta_free(history.log);
	history.log = NULL;
	rc = gm_verify_objects_init(&chain.objects, verifier, err);
	if (rc == GM_OK) rc = prove_chain(&chain, loaded ? &history : NULL, &why, err);
	gm_verify_objects_release(&chain.objects);
	gm_history_release(&history);
	return rc;
}

/* The source of a job that has done nothing yet: all of it is new. */
static enum gm_code prove_new_job(struct gm_verifier *verifier, struct gm_error *err)
{
	struct gm_verify_job job = {.id = verifier->job->id};
	struct gm_history history;
	GM_TRY(gm_history_empty(&history, err));
	enum gm_code rc = gm_verify_source(verifier, &job, &history, err);
	gm_history_release(&history);
	return rc;
}

enum gm_code gm_verify_chains(struct gm_verifier *verifier, struct gm_error *err)
{
	for (size_t i = 0; i < verifier->job_count; i++) GM_TRY(prove_job(verifier, &verifier->jobs[i], err));
	if (verifier->job == NULL || gm_verify_find_job(verifier, verifier->job->id) != NULL) return GM_OK;
	return prove_new_job(verifier, err);
}
