/* verify_strays.c - what a reader of the folders sees that the table does not have. Such a reader takes every file in a
 * folder whose name begins with neither '_' nor '.'. */
#include "run/claim.h"
#include "run/verify_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct strays {
	struct gm_verifier *verifier;
	struct gm_verify_traces traces;
	struct gm_tip tip;
	struct gm_claim claim; /* the last one */
};

/* --- Whose it is -------------------------------------------------------------------------------------------------- */

static void report(const struct strays *strays, enum gm_finding_code code, const struct gm_verify_trace *trace,
                   const struct gm_verify_job *job, uint64_t run, const char *text)
{
	struct gm_finding about = gm_verify_about(code, trace->path);
	about.version = trace->version;
	if (job != NULL) {
		about.job = job->id;
		about.run = run;
	}
	gm_verify_report(strays->verifier, &about, "%s", text);
}

/* Do the books of a committed run name it? Then a commit has removed it that the log no longer tells of. */
static enum gm_code is_in_books(const struct strays *strays, const struct gm_verify_job *job, uint64_t run,
                                const char *path, bool *named, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	json_t *books;
	*named = false;
	gm_layout_key(&job->layout, key, "runs", run, ".json.zst");
	enum gm_code rc = gm_json_read(strays->verifier->table, key, &books, err);
	if (gm_verify_is_finding(rc)) return GM_OK;
	GM_TRY(rc);
	const json_t *files = json_object_get(books, "files");
	for (size_t i = 0; i < json_array_size(files) && !*named; i++) {
		const char *name = json_string_value(json_object_get(json_array_get(files, i), "path"));
		*named = name != NULL && strcmp(name, path) == 0;
	}
	json_decref(books);
	return GM_OK;
}

static enum gm_code judge_committed(const struct strays *strays, const struct gm_verify_trace *trace,
                                    const struct gm_verify_job *job, uint64_t run, struct gm_error *err)
{
	char text[256];
	bool named;
	GM_TRY(is_in_books(strays, job, run, trace->path, &named, err));
	if (named)
		(void)snprintf(text, sizeof text, "run %" PRIu64 " of job %s wrote it, and a commit removed it since", run,
		               job->id);
	else
		(void)snprintf(text, sizeof text,
		               "it is named like a file of run %" PRIu64 " of job %s, which has no such file", run, job->id);
	report(strays, named ? GM_FINDING_STRAY_REMOVED : GM_FINDING_STRAY_FOREIGN, trace, job, run, text);
	return GM_OK;
}

/* A file that is named like one of a run of ours. */
static enum gm_code judge_named(const struct strays *strays, const struct gm_verify_trace *trace,
                                const struct gm_verify_job *job, uint64_t run, struct gm_error *err)
{
	struct gm_plan *plan;
	enum gm_plan_state state;
	char text[256];
	struct gm_store *table = strays->verifier->table;
	enum gm_code rc = gm_plan_read(table, &job->layout, run, &plan, err);
	if (gm_verify_is_finding(rc)) {
		(void)snprintf(text, sizeof text,
		               "it is named like a file of run %" PRIu64 " of job %s, which has no readable plan", run,
		               job->id);
		report(strays, GM_FINDING_STRAY_FOREIGN, trace, job, run, text);
		return GM_OK;
	}
	GM_TRY(rc);
	uint64_t parent = plan->parent, head = gm_tip_head(&strays->tip, job->id);
	gm_plan_free(plan);
	rc = gm_plan_state(table, &job->layout, head, run, parent, &state, err);
	if (gm_verify_is_finding(rc)) return GM_OK; /* the chain is broken, which has been reported */
	GM_TRY(rc);
	if (state == GM_PLAN_COMMITTED) return judge_committed(strays, trace, job, run, err);
	if (state == GM_PLAN_DEAD) {
		(void)snprintf(text, sizeof text, "it is of run %" PRIu64 " of job %s, in whose place another was committed",
		               run, job->id);
		report(strays, GM_FINDING_STRAY_DEAD, trace, job, run, text);
		return GM_OK;
	}
	bool claimed = strays->claim.plan == run && strcmp(strays->claim.job, job->id) == 0;
	(void)snprintf(text, sizeof text, "it is of run %" PRIu64 " of job %s, which %s", run, job->id,
	               claimed ? "is being published, or died while it was" : "was not finished");
	report(strays, GM_FINDING_STRAY_CLAIMED, trace, job, run, text);
	return GM_OK;
}

static enum gm_code judge(const struct strays *strays, const struct gm_verify_trace *trace, struct gm_error *err)
{
	const struct gm_verify_job *job;
	uint64_t run;
	char text[128];
	if (trace->version > strays->verifier->result->version && trace->added) return GM_OK; /* it came while we looked */
	if (trace->version >= 0 && trace->added) {
		(void)snprintf(text, sizeof text, "version %" PRId64 " of the table added it, and none removed it",
		               trace->version);
		report(strays, GM_FINDING_FILE_LOST, trace, NULL, 0, text);
		return GM_OK;
	}
	if (trace->version >= 0) {
		(void)snprintf(text, sizeof text, "version %" PRId64 " of the table removed it", trace->version);
		report(strays, GM_FINDING_STRAY_REMOVED, trace, NULL, 0, text);
		return GM_OK;
	}
	if (strays->verifier->log != NULL && gm_delta_knows(strays->verifier->log, trace->path)) {
		report(strays, GM_FINDING_STRAY_REMOVED, trace, NULL, 0, "an earlier version of the table removed it");
		return GM_OK;
	}
	if (gm_verify_name(strays->verifier, trace->path, &job, &run) && job != NULL)
		return job->is_old ? GM_OK : judge_named(strays, trace, job, run, err);
	report(strays, GM_FINDING_STRAY_FOREIGN, trace, NULL, 0, "neither a commit nor a run of gristmill names it");
	return GM_OK;
}

/* --- What is there ------------------------------------------------------------------------------------------------ */

/* What is committed is known first, what commits added last: a run that commits in between has added its files, and is
 * not yet known to be committed. */
static enum gm_code judge_all(struct strays *strays, struct gm_error *err)
{
	if (strays->traces.count == 0) return GM_OK;
	enum gm_code rc = gm_tip_advance(&strays->tip, err);
	if (rc == GM_OK) rc = gm_claim_last(&strays->tip, &strays->claim, err);
	if (!gm_verify_is_finding(rc)) GM_TRY(rc);
	GM_TRY(gm_verify_traces_ask(&strays->traces, strays->verifier, err));
	for (size_t i = 0; i < strays->traces.count; i++) GM_TRY(judge(strays, &strays->traces.at[i], err));
	gm_verify_traces_empty(&strays->traces);
	return GM_OK;
}

/* In a folder, or where an unpartitioned table has its files; at the top of a partitioned one only what looks like
 * data. */
static bool is_visible(const struct gm_verifier *verifier, const char *key)
{
	bool partitioned = verifier->log == NULL || gm_delta_metadata(verifier->log)->partition_count > 0;
	size_t n = strlen(key);
	if (gm_is_hidden(key)) return false;
	return strchr(key, '/') != NULL || !partitioned || (n > 8 && strcmp(key + n - 8, ".parquet") == 0);
}

static enum gm_code note_object(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct strays *strays = context;
	const struct gm_verifier *verifier = strays->verifier;
	bool full;
	GM_TRY(gm_verify_pulse(strays->verifier, err));
	if (!is_visible(verifier, info->key)) return GM_OK;
	if (verifier->log != NULL && gm_delta_has(verifier->log, info->key)) return GM_OK;
	GM_TRY(gm_verify_traces_add(&strays->traces, info->key, info->size, &full, err));
	return full ? judge_all(strays, err) : GM_OK;
}

enum gm_code gm_verify_strays(struct gm_verifier *verifier, struct gm_error *err)
{
	struct strays strays = {.verifier = verifier};
	GM_TRY(gm_verify_traces_init(&strays.traces, err));
	gm_tip_init(&strays.tip, verifier->table, verifier->log, verifier->memory_bytes / GM_VERIFY_LOG_SHARE);
	enum gm_code rc = gm_store_list_pruned(verifier->table, "", gm_is_hidden_folder, note_object, &strays, err);
	if (rc == GM_OK) rc = judge_all(&strays, err);
	gm_tip_release(&strays.tip);
	gm_verify_traces_release(&strays.traces);
	return rc;
}
