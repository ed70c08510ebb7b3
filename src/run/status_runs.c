/* status_runs.c - the last commits of a job: from its plans, which are never deleted, and what the log says of them
 * while its entries are there; what was counted is in the books, too. */
#include "run/status.h"

#include "base/time.h"

#include <inttypes.h>
#include <stdlib.h>

enum { FIRST_SPAN = 64 }; /* log entries looked at first, from the newest back */

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the status");
}

/* --- From the plans ----------------------------------------------------------------------------------------------- */

static const char *detail_of(struct gm_status_part *part, const struct gm_plan *plan)
{
	char time[GM_TIME_TEXT_BYTES];
	switch (plan->kind) {
	case GM_PLAN_END: return gm_arena_printf(part->arena, "run %" PRIu64 " was given up", plan->ends);
	case GM_PLAN_REWIND:
		(void)gm_time_format_iso(plan->to_us, 6, time);
		return gm_arena_printf(part->arena, "to %s", time);
	case GM_PLAN_FORGET:
		return gm_arena_printf(part->arena, "%zu object%s", plan->key_count, plan->key_count == 1 ? "" : "s");
	case GM_PLAN_ADOPT:
		return gm_arena_printf(part->arena, "of job %s, up to its run %" PRIu64, plan->adopts, plan->ends);
	default: return "";
	}
}

static enum gm_code describe(struct gm_status_part *part, const struct gm_plan *plan, struct gm_status_run *run,
                             struct gm_error *err)
{
	*run = (struct gm_status_run){.run = plan->number,
	                              .what = gm_plan_kind_name(plan->kind),
	                              .detail = detail_of(part, plan),
	                              .who = gm_status_text(part, plan->who),
	                              .reason = gm_status_text(part, plan->reason),
	                              .version = -1,
	                              .time_us = plan->created_us,
	                              .objects = plan->input_count};
	return run->detail != NULL && run->who != NULL && run->reason != NULL ? GM_OK : out_of_memory(err);
}

/* The chain from the head down, newest first. */
static enum gm_code read_chain(struct gm_status_part *part, struct gm_status_run **out, struct gm_error *err)
{
	struct gm_status_run *runs = NULL;
	size_t count = 0, room = 0;
	for (uint64_t n = part->runner->history.head; n > 0 && count < part->runs; count++) {
		struct gm_plan *plan;
		if (count == room) {
			room = room == 0 ? 16 : room * 2;
			struct gm_status_run *grown = gm_arena_alloc(part->arena, room * sizeof *grown);
			if (grown == NULL) return out_of_memory(err);
			if (count > 0) memcpy(grown, runs, count * sizeof *grown);
			runs = grown;
		}
		GM_TRY(gm_plan_read(part->runner->table, &part->runner->layout, n, &plan, err));
		enum gm_code rc = describe(part, plan, &runs[count], err);
		n = plan->parent;
		gm_plan_free(plan);
		GM_TRY(rc);
	}
	*out = runs;
	part->status->runs = runs;
	part->status->run_count = count;
	return GM_OK;
}

/* --- From the log ------------------------------------------------------------------------------------------------- */

struct scan {
	struct gm_status *status;
	struct gm_status_run *runs; /* those of status */
	char app[GM_APP_BYTES];
	size_t found;
};

static uint64_t metric(const json_t *info, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(info, "operationMetrics"), name));
	return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/* The log is foreign input: what is not there counts as nothing. */
static void read_info(const struct gm_delta_entry *entry, struct gm_status_run *run)
{
	const char *text = entry->commit_info;
	json_error_t why;
	json_t *info = text != NULL ? gm_json_load(text, strlen(text), 0, &why) : NULL;
	const char *operation = json_string_value(json_object_get(info, "operation"));
	if (operation != NULL && strcmp(operation, "gristmill upgrade") == 0) run->what = "upgrade";
	run->files = metric(info, "numFiles");
	run->records_read = metric(info, "recordsRead");
	run->rows_written = metric(info, "numOutputRows");
	run->duplicates = metric(info, "duplicates");
	run->filtered = metric(info, "filtered");
	run->quarantined = metric(info, "quarantined");
	json_decref(info);
}

static enum gm_code note_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	struct scan *scan = context;
	(void)err;
	if (entry->version == scan->status->version) scan->status->version_us = entry->timestamp_ms * 1000;
	for (size_t i = 0; i < entry->txn_count; i++) {
		if (strcmp(entry->txns[i].app_id, scan->app) != 0) continue;
		for (size_t k = 0; k < scan->status->run_count; k++) {
			struct gm_status_run *run = &scan->runs[k];
			if ((int64_t)run->run != entry->txns[i].version || run->version >= 0) continue;
			run->version = entry->version;
			if (entry->timestamp_ms != 0) run->time_us = entry->timestamp_ms * 1000;
			read_info(entry, run);
			scan->found++;
		}
	}
	return GM_OK;
}

/* From the newest entries back, over more and more of them until all runs are found or the entries end. */
static enum gm_code scan_log(struct scan *scan, struct gm_store *table, struct gm_error *err)
{
	int64_t oldest, newest = scan->status->version, first = newest + 1;
	GM_TRY(gm_delta_oldest(table, &oldest, err));
	for (int64_t span = FIRST_SPAN; first > oldest && (scan->found < scan->status->run_count || first > newest);
	     span *= 4) {
		first = newest - span + 1 > oldest ? newest - span + 1 : oldest;
		enum gm_code rc = gm_delta_entries(table, first, note_entry, scan, err);
		if (rc != GM_OK && rc != GM_NOT_FOUND) return rc; /* the latter: they are being cleaned away */
	}
	return GM_OK;
}

/* --- From the books ----------------------------------------------------------------------------------------------- */

static uint64_t total(const json_t *books, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(json_object_get(books, "total"), name));
	return n > 0 ? (uint64_t)n : 0;
}

static enum gm_code read_books(struct gm_status_part *part, struct gm_status_run *run, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	json_t *books;
	const json_t *files;
	gm_layout_key(&part->runner->layout, key, "runs", run->run, ".json.zst");
	enum gm_code rc = gm_json_read(part->runner->table, key, &books, err);
	if (rc == GM_NOT_FOUND) return GM_OK;
	GM_TRY(rc);
	files = json_object_get(books, "files");
	for (size_t i = 0; i < json_array_size(files); i++)
		run->files += json_is_string(json_object_get(json_array_get(files, i), "partition"));
	run->records_read = total(books, "records_read");
	run->rows_written = total(books, "rows_written");
	run->duplicates = total(books, "duplicates");
	run->filtered = total(books, "filtered");
	run->quarantined = total(books, "quarantined");
	json_decref(books);
	return GM_OK;
}

enum gm_code gm_status_runs(struct gm_status_part *part, struct gm_error *err)
{
	struct scan scan = {.status = part->status};
	GM_TRY(read_chain(part, &scan.runs, err));
	if (part->runner->history.log == NULL) return GM_OK;
	gm_app_id(scan.app, part->runner->job->id);
	GM_TRY(scan_log(&scan, part->runner->table, err));
	for (size_t i = 0; i < part->status->run_count; i++) {
		struct gm_status_run *run = &scan.runs[i];
		bool untold = run->version < 0 || strcmp(run->what, "upgrade") == 0;
		if (run->objects > 0 && untold) GM_TRY(read_books(part, run, err));
	}
	return GM_OK;
}
