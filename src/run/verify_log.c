/* verify_log.c - the table's log: whether it is whole, and what it says of runs. */
#include "run/claim.h"
#include "run/verify_internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- The files of the log ----------------------------------------------------------------------------------------- */

static enum gm_code report_fault(void *context, enum gm_delta_fault fault, const char *object, const char *what,
                                 struct gm_error *err)
{
	static const enum gm_finding_code codes[] = {[GM_DELTA_HOLE] = GM_FINDING_LOG_GAP,
	                                             [GM_DELTA_CHECKPOINT_DAMAGED] = GM_FINDING_CHECKPOINT_DAMAGED,
	                                             [GM_DELTA_CHECKPOINT_WRONG] = GM_FINDING_CHECKPOINT_WRONG};
	struct gm_verifier *verifier = context;
	struct gm_finding about = gm_verify_about(codes[fault], object);
	(void)err;
	gm_verify_report(verifier, &about, "%s", what);
	return gm_verify_pulse(verifier, err);
}

/* What it is that cannot be opened has been reported, if it is a hole. */
static void report_damage(struct gm_verifier *verifier, uint64_t faults_before, const struct gm_error *why)
{
	verifier->result->complete = false;
	if (verifier->result->faults > faults_before) return;
	struct gm_finding about =
	    gm_verify_about(GM_FINDING_LOG_DAMAGED, why->object[0] != '\0' ? why->object : "_delta_log");
	gm_verify_report(verifier, &about, "%s", why->message);
}

enum gm_code gm_verify_log(struct gm_verifier *verifier, struct gm_error *err)
{
	struct gm_delta_proof proof;
	size_t share = verifier->memory_bytes / GM_VERIFY_LOG_SHARE;
	uint64_t before = verifier->result->faults;
	GM_TRY(gm_delta_prove(verifier->table, !verifier->options.quick, share * 2, report_fault, verifier, &proof, err));
	verifier->result->checkpoints = proof.checkpoints;
	verifier->first_entry = proof.first;
	GM_TRY(gm_verify_pulse(verifier, err));
	enum gm_code rc = gm_delta_open(verifier->table, GM_DELTA_NEWEST, share, &verifier->log, err);
	if (rc == GM_NOT_FOUND) return GM_OK;
	if (gm_verify_is_finding(rc)) {
		report_damage(verifier, before, err);
		return GM_OK;
	}
	GM_TRY(rc);
	verifier->result->version = gm_delta_version(verifier->log);
	verifier->result->files = verifier->files_total = gm_delta_file_count(verifier->log);
	return GM_OK;
}

/* --- Entry by entry ----------------------------------------------------------------------------------------------- */

static uint64_t number_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));
	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static enum gm_code read_info(const struct gm_delta_entry *entry, struct gm_verify_commit *commit, struct gm_error *err)
{
	struct gm_error ignored;
	json_t *info = NULL;
	if (entry->commit_info != NULL)
		GM_TRY(gm_json_parse(entry->commit_info, strlen(entry->commit_info), 0, &info, err));
	const json_t *parameters = json_object_get(info, "operationParameters");
	const json_t *metrics = json_object_get(info, "operationMetrics");
	commit->parent = number_of(parameters, "parent");
	commit->has_books = gm_member_hash(parameters, "books", commit->books, &ignored) == GM_OK;
	commit->files = number_of(metrics, "numFiles");
	commit->rows = number_of(metrics, "numOutputRows");
	commit->bytes = number_of(metrics, "numOutputBytes");
	commit->read = number_of(metrics, "recordsRead");
	commit->duplicates = number_of(metrics, "duplicates");
	commit->filtered = number_of(metrics, "filtered");
	commit->quarantined = number_of(metrics, "quarantined");
	commit->objects = number_of(metrics, "objects");
	json_decref(info);
	return GM_OK;
}

static enum gm_code keep_commit(struct gm_verify_job *job, uint64_t run, const struct gm_delta_entry *entry,
                                struct gm_error *err)
{
	struct gm_verify_commit *grown = gm_grow(job->commits, job->commit_count, &job->commit_room, sizeof *grown);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the table's commits");
	job->commits = grown;
	struct gm_verify_commit *commit = &job->commits[job->commit_count++];
	*commit = (struct gm_verify_commit){.run = run, .version = entry->version, .adds = entry->add_count};
	for (size_t i = 0; i < entry->add_count; i++) commit->add_bytes += entry->adds[i].bytes;
	return read_info(entry, commit, err);
}

/* A transaction of a job of ours. The one before is known unless it lies in what was cleaned away. */
static enum gm_code note_run(struct gm_verifier *verifier, const char *id, const struct gm_delta_entry *entry,
                             int64_t run, struct gm_error *err)
{
	struct gm_verify_job *job = gm_verify_find_job(verifier, id);
	char object[64];
	if (job == NULL) GM_TRY(gm_verify_add_job(verifier, id, &job, err));
	(void)snprintf(object, sizeof object, "_delta_log/%020" PRId64 ".json", entry->version);
	struct gm_finding about = gm_verify_about(GM_FINDING_LOG_ORDER, object);
	about.job = job->id;
	about.run = run > 0 ? (uint64_t)run : 0;
	about.version = entry->version;
	if (run <= 0 || (uint64_t)run <= job->last_txn) {
		gm_verify_report(verifier, &about, "run %" PRId64 " of job %s is committed after run %" PRIu64, run, job->id,
		                 job->last_txn);
		return GM_OK;
	}
	GM_TRY(keep_commit(job, (uint64_t)run, entry, err));
	const struct gm_verify_commit *commit = &job->commits[job->commit_count - 1];
	bool first = job->last_txn == 0 && verifier->first_entry > 0;
	/* Commits that take over older runs (see upgrade.h) do not name a parent. */
	if (!first && commit->parent != job->last_txn && (commit->has_books || commit->parent > 0))
		gm_verify_report(verifier, &about, "run %" PRId64 " of job %s has parent %" PRIu64 " and follows run %" PRIu64,
		                 run, job->id, commit->parent, job->last_txn);
	job->last_txn = (uint64_t)run;
	return GM_OK;
}

static enum gm_code note_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	static const char prefix[] = GM_CLAIM_APP "/";
	struct gm_verifier *verifier = context;
	if (verifier->log == NULL || entry->version > gm_delta_version(verifier->log)) return GM_OK;
	verifier->result->commits++;
	for (size_t i = 0; i < entry->txn_count; i++) {
		const char *app = entry->txns[i].app_id;
		if (strncmp(app, prefix, sizeof prefix - 1) != 0) continue;
		GM_TRY(note_run(verifier, app + sizeof prefix - 1, entry, entry->txns[i].version, err));
	}
	return gm_verify_pulse(verifier, err);
}

enum gm_code gm_verify_entries(struct gm_verifier *verifier, struct gm_error *err)
{
	if (verifier->first_entry < 0) return GM_OK;
	enum gm_code rc = gm_delta_entries(verifier->table, verifier->first_entry, note_entry, verifier, err);
	if (rc == GM_NOT_FOUND || rc == GM_CHANGED) return GM_OK; /* cleaned away meanwhile, with what it said */
	if (!gm_verify_is_finding(rc)) return rc;
	struct gm_finding about =
	    gm_verify_about(GM_FINDING_LOG_DAMAGED, err->object[0] != '\0' ? err->object : "_delta_log");
	gm_verify_report(verifier, &about, "%s", err->message);
	return GM_OK;
}
