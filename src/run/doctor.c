/* doctor.c - source, table, catalog and queue, each as a run would reach it, and what it says when it is tried. */
#include "aws/sqs.h"
#include "catalog/sync.h"
#include "run/runner.h"

#include <stdio.h>
#include <string.h>

enum { VISIBILITY_SECONDS = 60 /* of a queue: under that, watching it is a matter of many requests */ };

struct visit {
	gm_health_fn *step;
	void *context;
	const char *place, *location;
	uint64_t faults;
};

static void tell(struct visit *visit, enum gm_health health, const char *what, const char *text, const char *advice)
{
	struct gm_health_step step = {.place = visit->place,
	                              .location = visit->location,
	                              .what = what,
	                              .health = health,
	                              .text = text,
	                              .advice = advice};
	visit->faults += health == GM_HEALTH_FAULT;
	visit->step(visit->context, &step);
}

static void note_step(void *context, const struct gm_store_step *step)
{
	static const enum gm_health healths[] = {
	    [GM_HEALTH_GOOD] = GM_HEALTHY, [GM_HEALTH_NOTE] = GM_HEALTH_HINT, [GM_HEALTH_BAD] = GM_HEALTH_FAULT};
	tell(context, healths[step->health], step->what, step->text, step->advice);
}

/* work_prefix: where it may write; NULL: nowhere. */
static enum gm_code look_at(struct visit *visit, const struct gm_job_access *access,
                            const struct gm_run_options *options, const char *work_prefix, struct gm_error *err)
{
	struct gm_store *store;
	enum gm_code rc = gm_env_open_store(visit->location, access, options, false, &store, err);
	if (rc == GM_NOMEM) return rc;
	if (rc == GM_NOT_FOUND && work_prefix != NULL) {
		tell(visit, GM_HEALTH_HINT, "open", "the folder is not there yet", "the first run makes it");
		return GM_OK;
	}
	if (rc != GM_OK) {
		tell(visit, GM_HEALTH_FAULT, "open", err->message, err->hint);
		return GM_OK;
	}
	(void)gm_store_diagnose(store, work_prefix, note_step, visit);
	gm_store_close(store);
	return GM_OK;
}

/* Looks, and takes no message away from whoever waits for it. */
static enum gm_code look_at_queue(struct visit *visit, const struct gm_job_access *access, struct gm_error *err)
{
	const struct gm_aws_options aws = {.profile = access->profile,
	                                   .region = access->region,
	                                   .ca_file = access->ca_file,
	                                   .timeout_us = access->timeout_us};
	struct gm_sqs_queue found = {.waiting = 0};
	struct gm_sqs *sqs = NULL;
	char text[128];
	enum gm_code rc = gm_sqs_open(visit->location, &aws, access->endpoint, &sqs, err);
	if (rc == GM_OK) tell(visit, GM_HEALTHY, "credentials", gm_sqs_describe(sqs), "");
	if (rc == GM_OK) rc = gm_sqs_look(sqs, &found, err);
	gm_sqs_close(sqs);
	if (rc == GM_NOMEM) return rc;
	(void)snprintf(text, sizeof text, "it is there; messages stay hidden for %u s, and about %llu wait",
	               found.visibility_seconds, (unsigned long long)found.waiting);
	if (rc != GM_OK)
		tell(visit, GM_HEALTH_FAULT, "look", err->message, err->hint);
	else if (found.visibility_seconds < VISIBILITY_SECONDS)
		tell(visit, GM_HEALTH_HINT, "look", text, "five minutes cost fewer requests: set its VisibilityTimeout");
	else
		tell(visit, GM_HEALTHY, "look", text, "");
	return GM_OK;
}

/* --- The catalog -------------------------------------------------------------------------------------------------- */

static void look_at_database(struct visit *visit, struct gm_glue *glue)
{
	struct gm_error err;
	enum gm_code rc = gm_glue_get_database(glue, &err);
	if (rc == GM_OK)
		tell(visit, GM_HEALTHY, "database", "it is there", "");
	else if (rc == GM_NOT_FOUND)
		tell(visit, GM_HEALTH_HINT, "database", "it is not there yet", "the first run makes it");
	else
		tell(visit, GM_HEALTH_FAULT, "database", err.message, err.hint);
}

static void look_at_entry(struct visit *visit, const struct gm_catalog_entry *entry)
{
	char text[1024];
	size_t partitions = entry->partitions_missing + entry->partitions_stale + entry->partitions_extra;
	if (entry->refused[0] != '\0') {
		(void)snprintf(text, sizeof text, "%s: %s", entry->name, entry->refused);
		tell(visit, GM_HEALTH_FAULT, "entry", text, entry->advice);
		return;
	}
	if (entry->current) {
		(void)snprintf(text, sizeof text, "%s (%s) says what the table's log says", entry->name, entry->format);
		tell(visit, GM_HEALTHY, "entry", text, "");
		return;
	}
	const char *what = partitions > 0 ? "not all partitions are as the table has them" : "it differs";
	if (entry->difference_count > 0) what = entry->differences[0];
	if (entry->has == NULL) what = "it is not there yet";
	(void)snprintf(text, sizeof text, "%s (%s): %s", entry->name, entry->format, what);
	tell(visit, GM_HEALTH_HINT, "entry", text, "the next run mends it, or 'gristmill catalog JOB sync'");
}

/* As a run would leave it, were it to end now. */
static enum gm_code look_at_entries(struct visit *visit, const struct gm_job *job, struct gm_error *err)
{
	struct gm_catalog_view view;
	struct gm_error why;
	enum gm_code rc = gm_catalog_read(job, NULL, &view, &why);
	for (size_t i = 0; i < view.entry_count; i++) look_at_entry(visit, &view.entries[i]);
	gm_catalog_view_clear(&view);
	if (rc == GM_NOMEM) {
		*err = why;
		return rc;
	}
	if (rc != GM_OK) tell(visit, GM_HEALTH_FAULT, "entry", why.message, why.hint);
	return GM_OK;
}

static enum gm_code look_at_catalog(struct visit *visit, const struct gm_job *job, struct gm_error *err)
{
	struct gm_glue *glue;
	char text[512];
	if (!gm_store_is_s3(job->table.location)) {
		tell(visit, GM_HEALTH_HINT, "table", "the table lies in a directory: the catalog is told nothing of it", "");
		return GM_OK;
	}
	enum gm_code rc = gm_glue_open(job, NULL, &glue, err);
	if (rc == GM_NOMEM) return rc;
	if (rc != GM_OK) {
		tell(visit, GM_HEALTH_FAULT, "open", err->message, err->hint);
		return GM_OK;
	}
	(void)snprintf(text, sizeof text, "%s, in %s", gm_glue_describe(glue), gm_glue_region(glue));
	tell(visit, GM_HEALTHY, "credentials", text, "");
	look_at_database(visit, glue);
	gm_glue_close(glue);
	return look_at_entries(visit, job, err);
}

enum gm_code gm_doctor(const struct gm_job *job, const struct gm_run_options *options, gm_health_fn *step,
                       void *context, uint64_t *faults, struct gm_error *err)
{
	struct visit visit = {.step = step, .context = context, .place = "source", .location = job->source.location};
	enum gm_code rc = look_at(&visit, &job->source.access, options, NULL, err);
	visit.place = "table";
	visit.location = job->table.location;
	if (rc == GM_OK) rc = look_at(&visit, &job->table.access, options, "_gristmill/", err);
	visit.place = "catalog";
	visit.location = job->table.database;
	if (rc == GM_OK && job->catalog.type == GM_CATALOG_GLUE) rc = look_at_catalog(&visit, job, err);
	visit.place = "queue";
	visit.location = job->watch.queue;
	if (rc == GM_OK && job->watch.queue != NULL) rc = look_at_queue(&visit, &job->watch.access, err);
	*faults = visit.faults;
	return rc;
}
