/* verify_source.c - the objects of a job's source: processed and unchanged, pending, or not yet processed. */
#include "run/source.h"
#include "run/verify_internal.h"

#include "base/time.h"

#include <inttypes.h>
#include <stdlib.h>

struct source {
	struct gm_verifier *verifier;
	struct gm_verify_job *job;
	struct gm_bookmark *bookmark;
	struct gm_plan **plans; /* unfinished */
	size_t plan_count;
	uint64_t found; /* objects that the bookmark knows */
};

static int compare_inputs(const void *a, const void *b)
{
	return strcmp(((const struct gm_input *)a)->key, ((const struct gm_input *)b)->key);
}

/* Inputs stand in the bytewise order of their keys. */
static bool is_pending(const struct source *source, const char *key)
{
	struct gm_input wanted = {.key = key};
	for (size_t i = 0; i < source->plan_count; i++) {
		const struct gm_plan *plan = source->plans[i];
		if (bsearch(&wanted, plan->inputs, plan->input_count, sizeof wanted, compare_inputs) != NULL) return true;
	}
	return false;
}

static void report_changed(struct source *source, const struct gm_object_info *info,
                           const struct gm_bookmark_entry *known)
{
	char then[GM_TIME_TEXT_BYTES], now[GM_TIME_TEXT_BYTES];
	struct gm_finding about = gm_verify_about(GM_FINDING_OBJECT_CHANGED, info->key);
	about.job = source->job->id;
	about.run = known->run;
	if (known->size != info->size) {
		gm_verify_report(source->verifier, &about,
		                 "it has %" PRIu64 " bytes; it had %" PRIu64 " when run %" PRIu64 " processed it", info->size,
		                 known->size, known->run);
		return;
	}
	(void)gm_time_format_iso(known->mtime_us, 6, then);
	(void)gm_time_format_iso(info->mtime_us, 6, now);
	if (known->mtime_us != info->mtime_us)
		gm_verify_report(source->verifier, &about, "it was written at %s; what run %" PRIu64 " processed, at %s", now,
		                 known->run, then);
	else
		gm_verify_report(source->verifier, &about, "it has another ETag than when run %" PRIu64 " processed it",
		                 known->run);
}

static enum gm_code note_object(void *context, const struct gm_object_info *info, const struct gm_bookmark_entry *known,
                                struct gm_error *err)
{
	struct source *source = context;
	struct gm_verify_result *result = source->verifier->result;
	bool changed = known != NULL && gm_source_is_changed(info, known);
	result->objects++;
	source->found += known != NULL;
	/* What the job wants processed again when it has changed is as good as new. */
	if (known == NULL || (changed && source->verifier->job->source.on_change == GM_ON_CHANGE_REPROCESS)) {
		if (is_pending(source, info->key))
			result->pending++;
		else
			result->unprocessed++;
	} else {
		result->processed++;
		if (changed) report_changed(source, info, known);
	}
	return gm_verify_pulse(source->verifier, err);
}

/* The plans that the next runs may finish. */
static enum gm_code load_pending(struct source *source, const struct gm_history *history, struct gm_error *err)
{
	source->plans = calloc(history->open_count + 1, sizeof(struct gm_plan *));
	if (source->plans == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for unfinished plans");
	for (size_t i = 0; i < history->open_count; i++) {
		struct gm_plan *plan;
		enum gm_code rc = gm_plan_read(source->verifier->table, &source->job->layout, history->open[i], &plan, err);
		if (gm_verify_is_finding(rc)) continue; /* of no run that was committed: the next run tells */
		GM_TRY(rc);
		if (plan->parent == history->head && plan->unit_count > 0)
			source->plans[source->plan_count++] = plan;
		else
			gm_plan_free(plan);
	}
	return GM_OK;
}

static enum gm_code compare_with_source(struct source *source, struct gm_error *err)
{
	struct gm_bookmark_summary summary;
	GM_TRY(gm_source_list(source->verifier->source, source->bookmark, NULL, note_object, source, err));
	GM_TRY(gm_bookmark_summarize(source->bookmark, &summary, err));
	source->verifier->result->gone = summary.objects > source->found ? summary.objects - source->found : 0;
	return GM_OK;
}

enum gm_code gm_verify_source(struct gm_verifier *verifier, struct gm_verify_job *job, const struct gm_history *history,
                              struct gm_error *err)
{
	struct source source = {.verifier = verifier, .job = job, .bookmark = history->bookmark};
	enum gm_code rc = load_pending(&source, history, err);
	if (rc == GM_OK) rc = compare_with_source(&source, err);
	for (size_t i = 0; i < source.plan_count; i++) gm_plan_free(source.plans[i]);
	free(source.plans);
	return rc;
}
