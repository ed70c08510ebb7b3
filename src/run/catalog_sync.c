/* catalog_sync.c - the catalog, once the table is as it should be: by itself, and at the end of a run. */
#include "catalog/sync.h"

#include "run/runner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LOG_SHARE = 4 }; /* of memory, for the log */
static const uint64_t default_memory_bytes = (uint64_t)256 << 20;

/* --- By itself ---------------------------------------------------------------------------------------------------- */

static enum gm_code check_job(const struct gm_job *job, struct gm_error *err)
{
	if (job->catalog.type == GM_CATALOG_NONE) {
		(void)gm_error_set(err, GM_USAGE, "the job has no catalog");
		(void)gm_error_hint(err, GM_USAGE, "give it one: catalog: {type: glue}");
		return gm_error_object(err, GM_USAGE, job->path, strlen(job->path));
	}
	if (gm_store_is_s3(job->table.location)) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "the table lies in a directory, of which the catalog is told nothing");
	return gm_error_object(err, GM_USAGE, job->table.location, strlen(job->table.location));
}

/* What a call works with. It must not move. */
struct visit {
	struct gm_opened opened;
	struct gm_catalog_options options;
	struct gm_glue *glue;
	struct gm_catalog_env env;
};

static enum gm_code open_visit(struct visit *visit, const struct gm_job *job, const struct gm_catalog_options *options,
                               struct gm_error *err)
{
	*visit = (struct visit){.glue = NULL};
	if (options != NULL) visit->options = *options;
	if (visit->options.memory_bytes == 0) visit->options.memory_bytes = default_memory_bytes;
	const struct gm_run_options run = {.memory_bytes = visit->options.memory_bytes};
	GM_TRY(check_job(job, err));
	GM_TRY(gm_env_open(&visit->opened, job, &run, 0, err));
	GM_TRY(gm_glue_open(job, visit->options.stop, &visit->glue, err));
	visit->env = (struct gm_catalog_env){.job = job,
	                                     .glue = visit->glue,
	                                     .table = visit->opened.env.table,
	                                     .log_bytes = (size_t)(visit->options.memory_bytes / LOG_SHARE),
	                                     .options = &visit->options};
	return GM_OK;
}

static void close_visit(struct visit *visit, uint64_t *requests, uint64_t *retries)
{
	if (visit->glue != NULL) gm_glue_counts(visit->glue, requests, retries);
	gm_glue_close(visit->glue);
	gm_env_close(&visit->opened);
}

typedef enum gm_code change_fn(const struct gm_catalog_env *env, struct gm_catalog_result *result,
                               struct gm_error *err);

static enum gm_code change(const struct gm_job *job, const struct gm_catalog_options *options, change_fn *doing,
                           struct gm_catalog_result *result, struct gm_error *err)
{
	struct gm_error unasked;
	struct visit visit;
	if (err == NULL) err = &unasked;
	*result = (struct gm_catalog_result){.state = GM_CATALOG_FAILED};
	enum gm_code rc = open_visit(&visit, job, options, err);
	if (rc == GM_OK) rc = doing(&visit.env, result, err);
	if (rc == GM_OK) result->state = GM_CATALOG_SYNCED;
	close_visit(&visit, &result->requests, &result->retries);
	return rc;
}

enum gm_code gm_catalog_sync(const struct gm_job *job, const struct gm_catalog_options *options,
                             struct gm_catalog_result *result, struct gm_error *err)
{
	return change(job, options, gm_catalog_sync_on, result, err);
}

enum gm_code gm_catalog_drop(const struct gm_job *job, const struct gm_catalog_options *options,
                             struct gm_catalog_result *result, struct gm_error *err)
{
	return change(job, options, gm_catalog_drop_on, result, err);
}

enum gm_code gm_catalog_read(const struct gm_job *job, const struct gm_catalog_options *options,
                             struct gm_catalog_view *out, struct gm_error *err)
{
	struct gm_error unasked;
	struct visit visit;
	if (err == NULL) err = &unasked;
	*out = (struct gm_catalog_view){.entry_count = 0};
	enum gm_code rc = open_visit(&visit, job, options, err);
	if (rc == GM_OK) rc = gm_catalog_read_on(&visit.env, out, err);
	close_visit(&visit, &out->requests, &out->retries);
	return rc;
}

/* --- At the end of a run ------------------------------------------------------------------------------------------ */

static void notice(const struct gm_run_options *options, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void notice(const struct gm_run_options *options, const char *format, ...)
{
	char line[1024];
	va_list args;
	if (options->notice == NULL) return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	options->notice(options->context, line);
}

static enum gm_code sync_after(const struct gm_job *job, const struct gm_run_env *env,
                               const struct gm_run_options *options, struct gm_catalog_result *result,
                               struct gm_error *err)
{
	const struct gm_catalog_options catalog = {
	    .stop = options->stop, .notice = options->notice, .context = options->context};
	uint64_t memory = options->memory_bytes > 0 ? options->memory_bytes : default_memory_bytes;
	struct gm_catalog_env work = {
	    .job = job, .table = env->table, .log_bytes = (size_t)(memory / LOG_SHARE), .options = &catalog};
	GM_TRY(gm_glue_open(job, options->stop, &work.glue, err));
	enum gm_code rc = gm_catalog_sync_on(&work, result, err);
	gm_glue_counts(work.glue, &result->requests, &result->retries);
	gm_glue_close(work.glue);
	return rc;
}

void gm_run_catalog_after(const struct gm_job *job, const struct gm_run_env *env, const struct gm_run_options *options,
                          struct gm_run_result *result)
{
	struct gm_catalog_result *catalog = &result->catalog;
	struct gm_error *err = &result->catalog_error;
	if (job->catalog.type == GM_CATALOG_NONE || options->dry_run || options->abandon || env->table == NULL) return;
	if (!gm_store_is_s3(job->table.location)) {
		catalog->state = GM_CATALOG_SKIPPED;
		notice(options, "the table lies in a directory: the catalog is told nothing of it");
		return;
	}
	enum gm_code rc = sync_after(job, env, options, catalog, err);
	result->requests = (struct gm_requests){.list = 0}; /* the log was read once more */
	gm_result_add_requests(result, env->source);
	gm_result_add_requests(result, env->table);
	catalog->state = rc == GM_OK ? GM_CATALOG_SYNCED : GM_CATALOG_FAILED;
	if (rc == GM_OK) {
		err->code = GM_OK;
		return;
	}
	notice(options, "the table is as it should be, but the catalog was not brought up to date: %s%s%s%s%s", err->object,
	       err->object[0] != '\0' ? ": " : "", err->message, err->hint[0] != '\0' ? "; " : "", err->hint);
	notice(options, "the next run tries again; at once: gristmill catalog %s sync", job->path);
}
