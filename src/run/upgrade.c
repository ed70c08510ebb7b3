#include "run/upgrade.h"

#include <inttypes.h>
#include <stdlib.h>

struct upgrade {
	struct gm_runner *runner;
	struct gm_arena arena;
	uint64_t last_run;
	struct gm_delta_file *files;
	size_t count, room;
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the files of older runs");
}

static enum gm_code note_run(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct upgrade *upgrade = context;
	uint64_t n = gm_layout_number(info->key, ".json.zst");
	(void)err;
	if (n > upgrade->last_run) upgrade->last_run = n;
	return GM_OK;
}

static enum gm_code add_file(struct upgrade *upgrade, const json_t *json, int64_t mtime_ms, struct gm_error *err)
{
	const char *path, *partition = json_string_value(json_object_get(json, "partition"));
	uint64_t rows;
	if (partition == NULL) return GM_OK; /* a quarantine file */
	struct gm_delta_file *grown = gm_grow(upgrade->files, upgrade->count, &upgrade->room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	upgrade->files = grown;
	struct gm_delta_file *file = &upgrade->files[upgrade->count];
	*file = (struct gm_delta_file){.mtime_ms = mtime_ms, .data_change = true};
	GM_TRY(gm_member_string(json, "path", &path, err));
	GM_TRY(gm_member_number(json, "bytes", &file->bytes, err));
	GM_TRY(gm_member_number(json, "rows", &rows, err));
	file->path = gm_arena_strndup(&upgrade->arena, path, strlen(path));
	file->partition = gm_arena_strndup(&upgrade->arena, partition, strlen(partition));
	file->stats = gm_arena_printf(&upgrade->arena, "{\"numRecords\":%" PRIu64 "}", rows);
	if (file->path == NULL || file->partition == NULL || file->stats == NULL) return out_of_memory(err);
	upgrade->count++;
	return GM_OK;
}

/* The files of a run; *format is that of its books. */
static enum gm_code read_run(struct upgrade *upgrade, uint64_t number, json_int_t *format, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	json_t *json;
	struct gm_plan *plan;
	const json_t *files = NULL;
	gm_layout_key(&upgrade->runner->layout, key, "runs", number, ".json.zst");
	enum gm_code rc = gm_json_read(upgrade->runner->table, key, &json, err);
	if (rc == GM_NOT_FOUND) return GM_OK; /* numbers have gaps */
	GM_TRY(rc);
	*format = json_integer_value(json_object_get(json, "format"));
	rc = gm_plan_read(upgrade->runner->table, &upgrade->runner->layout, number, &plan, err);
	if (rc == GM_OK) {
		rc = gm_member_array(json, "files", &files, err);
		for (size_t i = 0; rc == GM_OK && i < json_array_size(files); i++)
			rc = add_file(upgrade, json_array_get(files, i), plan->created_us / 1000, err);
		gm_plan_free(plan);
	}
	json_decref(json);
	return rc == GM_CORRUPT ? gm_error_object(err, rc, key, strlen(key)) : rc;
}

/* EXISTS: somebody put that version meanwhile. */
static enum gm_code put(struct upgrade *upgrade, const struct gm_delta_log *log, struct gm_error *err)
{
	char app[GM_APP_BYTES];
	struct gm_runner *runner = upgrade->runner;
	int64_t now_us = runner->env->now_us(runner->env->clock);
	struct gm_plan_request request = {
	    .job = runner->job, .log = log, .engine = runner->env->engine_id, .now_us = now_us};
	struct gm_plan *plan;
	GM_TRY(gm_plan_empty(&request, GM_PLAN_RUN, &plan, err)); /* for what it says of the table */
	const struct gm_delta_text parameters[] = {{"job", runner->job->id}};
	gm_app_id(app, runner->job->id);
	struct gm_delta_txn_action txn = {app, (int64_t)upgrade->last_run};
	struct gm_delta_commit commit = {.timestamp_ms = now_us / 1000,
	                                 .operation = "gristmill upgrade",
	                                 .engine_info = "gristmill/" GM_VERSION,
	                                 .parameters = parameters,
	                                 .parameter_count = 1,
	                                 .protocol = log == NULL,
	                                 .metadata = plan->metadata,
	                                 .txns = &txn,
	                                 .txn_count = 1,
	                                 .adds = upgrade->files,
	                                 .add_count = upgrade->count};
	enum gm_code rc = gm_delta_put(runner->table, plan->version + 1, &commit, err);
	gm_plan_free(plan);
	return rc;
}

static enum gm_code read_runs(struct upgrade *upgrade, bool *old, struct gm_error *err)
{
	json_int_t format = 0;
	*old = true;
	for (uint64_t n = 1; *old && n <= upgrade->last_run; n++) {
		GM_TRY(read_run(upgrade, n, &format, err));
		*old = format <= 1;
	}
	return GM_OK;
}

/* *old: the job has runs, all of them of format 1. */
static enum gm_code find_runs(struct upgrade *upgrade, bool *old, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	*old = false;
	(void)snprintf(prefix, sizeof prefix, "%sruns/", upgrade->runner->layout.job);
	GM_TRY(gm_store_list(upgrade->runner->table, prefix, note_run, upgrade, err));
	return upgrade->last_run > 0 ? read_runs(upgrade, old, err) : GM_OK;
}

static enum gm_code upgrade_job(struct upgrade *upgrade, bool *acted, struct gm_error *err)
{
	struct gm_runner *runner = upgrade->runner;
	enum gm_code rc;
	GM_TRY(find_runs(upgrade, acted, err));
	if (!*acted) return GM_OK;
	do {
		struct gm_delta_log *log;
		GM_TRY(gm_history_log(runner->table, -1, gm_runner_log_bytes(runner), &log, err));
		bool known = gm_history_head(log, runner->job->id) > 0;
		rc = known ? GM_OK : put(upgrade, log, err);
		gm_delta_free(log);
	} while (rc == GM_EXISTS);
	if (rc == GM_OK)
		gm_runner_notice(runner, "committed what older runs of job %s had published: %zu files", runner->job->id,
		                 upgrade->count);
	return rc;
}

enum gm_code gm_upgrade(struct gm_runner *runner, bool *acted, struct gm_error *err)
{
	struct upgrade upgrade = {.runner = runner};
	gm_arena_init(&upgrade.arena, 64 * 1024);
	enum gm_code rc = upgrade_job(&upgrade, acted, err);
	gm_arena_release(&upgrade.arena);
	free(upgrade.files);
	return rc;
}

enum gm_code gm_upgrade_is_due(struct gm_runner *runner, bool *due, struct gm_error *err)
{
	*due = false;
	if (runner->history.head > 0) return GM_OK;
	struct upgrade upgrade = {.runner = runner};
	gm_arena_init(&upgrade.arena, 64 * 1024);
	enum gm_code rc = find_runs(&upgrade, due, err);
	gm_arena_release(&upgrade.arena);
	free(upgrade.files);
	return rc;
}
