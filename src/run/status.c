#include "run/status.h"

#include "run/source.h"
#include "run/upgrade.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DEFAULT_RUNS = 10 };

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the status");
}

const char *gm_status_text(struct gm_status_part *part, const char *text)
{
	return text[0] != '\0' ? gm_arena_strndup(part->arena, text, strlen(text)) : "";
}

/* --- The bookmark ------------------------------------------------------------------------------------------------- */

static enum gm_code read_bookmark(struct gm_status_part *part, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	struct gm_bookmark_summary summary;
	struct gm_object_info info;
	struct gm_arena arena;
	struct gm_status *status = part->status;
	struct gm_bookmark *bookmark = part->runner->history.bookmark;
	GM_TRY(gm_bookmark_summarize(bookmark, &summary, err));
	status->objects = summary.objects;
	status->changes = summary.since_base;
	status->newest_us = summary.newest_us;
	status->bookmark_run = gm_bookmark_base(bookmark);
	if (status->bookmark_run == 0) return GM_OK;
	gm_arena_init(&arena, 1024);
	gm_layout_key(&part->runner->layout, key, "bookmark", status->bookmark_run, "");
	enum gm_code rc = gm_store_stat(part->runner->table, key, &info, &arena, err);
	gm_arena_release(&arena);
	if (rc == GM_OK) status->bookmark_bytes = info.size;
	return rc;
}

/* --- The source --------------------------------------------------------------------------------------------------- */

static enum gm_code note_object(void *context, const struct gm_object_info *info, const struct gm_bookmark_entry *known,
                                struct gm_error *err)
{
	struct gm_status_part *part = context;
	struct gm_status *status = part->status;
	bool changed = known != NULL && gm_source_is_changed(info, known);
	(void)err;
	status->changed += changed;
	if (known != NULL && !(changed && part->runner->job->source.on_change == GM_ON_CHANGE_REPROCESS)) return GM_OK;
	if (status->waiting == 0 || info->mtime_us < status->waiting_oldest_us) status->waiting_oldest_us = info->mtime_us;
	status->waiting++;
	status->waiting_bytes += info->size;
	return GM_OK;
}

static enum gm_code list_source(struct gm_status_part *part, struct gm_error *err)
{
	struct gm_runner *runner = part->runner;
	struct gm_plan_request request = gm_runner_request(runner);
	struct gm_store *source = NULL;
	struct gm_source_range range = {0};
	GM_TRY(gm_plan_listed_since(&request, &range.since_us, err));
	if (range.since_us != INT64_MIN) part->status->listed_since_us = range.since_us;
	if (runner->source != NULL) return gm_source_list(runner->source, request.bookmark, &range, note_object, part, err);
	GM_TRY(gm_env_open_store(runner->job->source.location, &runner->job->source.access, &runner->options, false,
	                         &source, err));
	enum gm_code rc = gm_source_list(source, request.bookmark, &range, note_object, part, err);
	gm_store_close(source);
	return rc;
}

/* A source that cannot be read is part of the status, not a failure to tell it. */
static enum gm_code read_lag(struct gm_status_part *part, struct gm_error *err)
{
	struct gm_status *status = part->status;
	enum gm_code rc = list_source(part, &status->source_error);
	if (rc == GM_OK) {
		status->source_error = (struct gm_error){.offset = UINT64_MAX};
		return GM_OK;
	}
	if (rc != GM_NOMEM) return GM_OK;
	*err = status->source_error;
	return rc;
}

/* --- What stands in the way --------------------------------------------------------------------------------------- */

static enum gm_code tell_blocked(struct gm_status_part *part, const struct gm_error *why, struct gm_error *err)
{
	part->status->blocked = gm_status_text(part, why->message);
	part->status->blocked_advice = gm_status_text(part, why->hint);
	if (part->status->blocked == NULL || part->status->blocked_advice == NULL) return out_of_memory(err);
	return GM_OK;
}

/* Does the job want a run to fail where objects have changed? */
static enum gm_code find_changed(struct gm_status_part *part, struct gm_error *err)
{
	struct gm_error why;
	uint64_t changed = part->status->changed;
	if (changed == 0 || part->status->blocked[0] != '\0') return GM_OK;
	if (part->runner->job->source.on_change != GM_ON_CHANGE_FAIL) return GM_OK;
	(void)gm_error_set(&why, GM_CHANGED, "%" PRIu64 " object%s changed after processing, and source.on_change is fail",
	                   changed, changed == 1 ? " has" : "s have");
	(void)gm_error_hint(&why, GM_CHANGED, "run names the first of them and what can be done");
	return tell_blocked(part, &why, err);
}

/* Would a run refuse to plan? */
static enum gm_code find_blocked(struct gm_status_part *part, struct gm_error *err)
{
	struct gm_error why;
	bool acted;
	const struct gm_delta_log *log = part->runner->history.log;
	enum gm_code rc = log != NULL ? gm_delta_check_writable(log, &why) : GM_OK;
	if (rc == GM_OK) rc = gm_runner_identify(part->runner, &acted, &why);
	if (rc == GM_OK) return GM_OK;
	if (rc != GM_NOMEM) return tell_blocked(part, &why, err);
	*err = why;
	return rc;
}

/* --- Everything --------------------------------------------------------------------------------------------------- */

static enum gm_code tell_older(struct gm_status_part *part, struct gm_error *err)
{
	struct gm_error why;
	(void)gm_error_set(&why, GM_OK, "the table is of an older format, whose runs the log does not know yet");
	(void)gm_error_hint(&why, GM_OK, "the next run takes them over; until then it cannot be told what is processed");
	return tell_blocked(part, &why, err);
}

static enum gm_code read_parts(struct gm_status_part *part, struct gm_error *err)
{
	GM_TRY(gm_status_runs(part, err));
	GM_TRY(read_bookmark(part, err));
	GM_TRY(gm_status_plans(part, err));
	GM_TRY(find_blocked(part, err));
	GM_TRY(read_lag(part, err));
	return find_changed(part, err);
}

static enum gm_code read_status(struct gm_status_part *part, struct gm_error *err)
{
	struct gm_runner *runner = part->runner;
	struct gm_status *status = part->status;
	status->table_exists = runner->table != NULL;
	if (runner->table == NULL) {
		GM_TRY(gm_history_empty(&runner->history, err));
		return read_lag(part, err);
	}
	size_t log_bytes = gm_runner_log_bytes(runner);
	enum gm_code rc = gm_history_load(runner->table, runner->job->id, log_bytes, NULL, &runner->history, err);
	if (rc == GM_OK || rc == GM_CORRUPT) {
		struct gm_error why;
		bool older = false;
		if (gm_upgrade_is_due(runner, &older, &why) == GM_OK && older) return tell_older(part, err);
	}
	GM_TRY(rc);
	status->version = runner->history.log != NULL ? gm_delta_version(runner->history.log) : -1;
	status->last_run = runner->history.head;
	return read_parts(part, err);
}

enum gm_code gm_status_on(const struct gm_job *job, const struct gm_run_env *env,
                          const struct gm_status_options *options, struct gm_status *out, struct gm_error *err)
{
	struct gm_run_options run_options = {.memory_bytes = options != NULL ? options->memory_bytes : 0, .dry_run = true};
	struct gm_run_result result;
	struct gm_runner runner;
	*out = (struct gm_status){.version = -1, .blocked = "", .blocked_advice = "", .source_error.offset = UINT64_MAX};
	struct gm_arena *arena = malloc(sizeof *arena);
	if (arena == NULL) return out_of_memory(err);
	gm_arena_init(arena, 16 * 1024);
	out->memory = arena;
	struct gm_status_part part = {&runner, arena, out,
	                              options != NULL && options->runs > 0 ? options->runs : DEFAULT_RUNS};
	enum gm_code rc = gm_runner_open(&runner, job, env, &run_options, &result, err);
	if (rc == GM_OK) rc = read_status(&part, err);
	gm_runner_close(&runner);
	gm_run_result_clear(&result);
	return rc;
}

enum gm_code gm_status_read(const struct gm_job *job, const struct gm_status_options *options, struct gm_status *out,
                            struct gm_error *err)
{
	struct gm_opened opened;
	*out = (struct gm_status){.version = -1, .blocked = "", .blocked_advice = ""};
	enum gm_code rc = gm_env_open(&opened, job, NULL, 0, err);
	if (rc == GM_OK) rc = gm_status_on(job, &opened.env, options, out, err);
	gm_env_close(&opened);
	return rc;
}

void gm_status_clear(struct gm_status *status)
{
	struct gm_arena *arena = status->memory;
	if (arena != NULL) gm_arena_release(arena);
	free(arena);
	*status = (struct gm_status){.version = -1};
}
