#include "watch/metrics_internal.h"

#include "base/utf8.h"
#include "watch/process.h"

#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES_MAX = 1024 };

/* --- Life --------------------------------------------------------------------------------------------------------- */

/* The label that all of a job's metrics have. It is not called `job`: that is Prometheus's own word for what it
 * scrapes, and it would rename ours. */
static enum gm_code append_escaped(struct gm_buf *label, const char *text, struct gm_error *err)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '"')
			GM_TRY(gm_buf_printf(label, err, "\\%c", *text));
		else if (*text == '\n')
			GM_TRY(gm_buf_append(label, "\\n", 2, err));
		else
			GM_TRY(gm_buf_append(label, text, 1, err));
	}
	return GM_OK;
}

static enum gm_code make_label(struct gm_buf *label, const char *job_id, struct gm_error *err)
{
	struct gm_buf mended;
	gm_buf_init(&mended, LABEL_BYTES_MAX);
	enum gm_code rc = gm_utf8_mend((const uint8_t *)job_id, strlen(job_id), &mended, NULL, err);
	if (rc == GM_OK) rc = gm_buf_append(&mended, "", 1, err);
	if (rc == GM_OK) rc = gm_buf_printf(label, err, "gristmill_job=\"");
	if (rc == GM_OK) rc = append_escaped(label, (const char *)mended.data, err);
	if (rc == GM_OK) rc = gm_buf_append(label, "\"", 2, err); /* with the NUL */
	gm_buf_release(&mended);
	return rc;
}

enum gm_code gm_metrics_new(const char *job_id, int64_t now_us, struct gm_metrics **out, struct gm_error *err)
{
	struct gm_buf label;
	struct gm_metrics *metrics = calloc(1, sizeof *metrics);
	*out = NULL;
	if (metrics == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for metrics");
	gm_buf_init(&label, LABEL_BYTES_MAX);
	enum gm_code rc = make_label(&label, job_id, err);
	if (rc == GM_OK && pthread_mutex_init(&metrics->lock, NULL) != 0)
		rc = gm_error_set(err, GM_NOMEM, "out of memory for metrics");
	if (rc != GM_OK) {
		gm_buf_release(&label);
		free(metrics);
		return rc;
	}
	metrics->label = (char *)label.data;
	metrics->start_us = gm_process_start_us(now_us);
	struct gm_metrics_figures *figures = &metrics->figures;
	figures->last_run_us = figures->last_success_us = figures->last_commit_us = GM_METRICS_UNKNOWN;
	figures->last_duration_us = figures->version = GM_METRICS_UNKNOWN;
	figures->waiting = figures->oldest_us = GM_METRICS_UNKNOWN;
	figures->in_sync = figures->catalog_us = GM_METRICS_UNKNOWN;
	*out = metrics;
	return GM_OK;
}

void gm_metrics_free(struct gm_metrics *metrics)
{
	if (metrics == NULL) return;
	(void)pthread_mutex_destroy(&metrics->lock);
	free(metrics->label);
	free(metrics);
}

static struct gm_metrics_figures *lock(struct gm_metrics *metrics)
{
	(void)pthread_mutex_lock(&metrics->lock);
	return &metrics->figures;
}

static void unlock(struct gm_metrics *metrics)
{
	(void)pthread_mutex_unlock(&metrics->lock);
}

void gm_metrics_take(struct gm_metrics *metrics, struct gm_metrics_figures *figures)
{
	*figures = *lock(metrics);
	unlock(metrics);
}

/* --- Runs --------------------------------------------------------------------------------------------------------- */

static enum gm_metrics_result result_of(const struct gm_run_result *result, enum gm_code code)
{
	switch (code) {
	case GM_OK: return result->committed ? GM_METRICS_RESULT_OK : GM_METRICS_RESULT_NOTHING;
	case GM_QUARANTINE: return GM_METRICS_RESULT_QUARANTINE;
	case GM_INTERRUPTED: return GM_METRICS_RESULT_INTERRUPTED;
	default: return GM_METRICS_RESULT_FAILED;
	}
}

/* What was published, which also a run that failed in the end may have done. */
static void add_balance(struct gm_metrics_figures *figures, const struct gm_run_result *result)
{
	const struct gm_balance *all = &result->total, *refused = &result->refused;
	figures->objects += result->inputs - result->refused_inputs;
	figures->records[GM_METRICS_WRITTEN] += all->rows_written - refused->rows_written;
	figures->records[GM_METRICS_DUPLICATE] += all->duplicates - refused->duplicates;
	figures->records[GM_METRICS_FILTERED] += all->filtered - refused->filtered;
	figures->records[GM_METRICS_QUARANTINED] += all->quarantined - refused->quarantined;
	figures->conflicts += all->conflicts - refused->conflicts;
	figures->source_bytes += all->bytes_in - refused->bytes_in;
	figures->source_raw_bytes += all->bytes_raw - refused->bytes_raw;
	figures->written_files += result->file_count;
	for (size_t i = 0; i < result->file_count; i++) figures->written_bytes += result->files[i].bytes;
}

static void add_requests(struct gm_metrics_figures *figures, const struct gm_requests *requests)
{
	figures->requests[GM_METRICS_REQUEST_S3_LIST] += requests->list;
	figures->requests[GM_METRICS_REQUEST_S3_GET] += requests->get;
	figures->requests[GM_METRICS_REQUEST_S3_HEAD] += requests->head;
	figures->requests[GM_METRICS_REQUEST_S3_PUT] += requests->put;
	figures->requests[GM_METRICS_REQUEST_S3_DELETE] += requests->delete_;
	figures->requests[GM_METRICS_REQUEST_S3_MULTIPART] += requests->multipart;
	figures->requests[GM_METRICS_REQUEST_S3_OTHER] += requests->other;
	figures->retries[GM_METRICS_SERVICE_S3] += requests->retries;
	figures->received_bytes += requests->bytes_in;
	figures->sent_bytes += requests->bytes_out;
}

static void add_duration(struct gm_metrics_figures *figures, int64_t us)
{
#define X(bound) INT64_C(bound) * 1000000,
	static const int64_t bounds_us[] = {GM_METRICS_BOUNDS(X)};
#undef X
	size_t bucket = 0;
	while (bucket < GM_METRICS_BUCKETS && us > bounds_us[bucket]) bucket++;
	figures->longer[bucket]++;
	figures->duration_us += us;
}

void gm_metrics_begin_run(struct gm_metrics *metrics)
{
	lock(metrics)->running = 1;
	unlock(metrics);
}

/* What the run did to the catalog, if it was to do anything. */
static void add_catalog(struct gm_metrics_figures *figures, const struct gm_catalog_result *catalog, int64_t ended_us)
{
	figures->requests[GM_METRICS_REQUEST_GLUE_ANY] += catalog->requests;
	figures->retries[GM_METRICS_SERVICE_GLUE] += catalog->retries;
	if (catalog->state != GM_CATALOG_SYNCED && catalog->state != GM_CATALOG_FAILED) return;
	figures->in_sync = catalog->state == GM_CATALOG_SYNCED;
	if (catalog->state == GM_CATALOG_SYNCED) figures->catalog_us = ended_us;
}

void gm_metrics_end_run(struct gm_metrics *metrics, const struct gm_run_result *result, enum gm_code code,
                        int64_t started_us, int64_t ended_us)
{
	enum gm_metrics_result how = result_of(result, code);
	int64_t us = ended_us > started_us ? ended_us - started_us : 0; /* a wall clock may be set back */
	struct gm_metrics_figures *figures = lock(metrics);
	add_balance(figures, result);
	if (result->remote) add_requests(figures, &result->requests);
	add_catalog(figures, &result->catalog, ended_us);
	if (how != GM_METRICS_RESULT_NOTHING) add_duration(figures, us);
	figures->runs[how]++;
	figures->running = 0;
	memset(figures->last, 0, sizeof figures->last);
	figures->last[how] = 1;
	figures->succeeded = code == GM_OK;
	figures->last_run_us = ended_us;
	figures->last_duration_us = us;
	if (code == GM_OK) figures->last_success_us = ended_us;
	if (result->committed) figures->last_commit_us = ended_us;
	if (result->version >= 0) figures->version = result->version;
	unlock(metrics);
}

/* --- Everything else ---------------------------------------------------------------------------------------------- */

void gm_metrics_set_waiting(struct gm_metrics *metrics, uint64_t objects, int64_t oldest_us)
{
	struct gm_metrics_figures *figures = lock(metrics);
	figures->waiting = objects < INT64_MAX ? (int64_t)objects : INT64_MAX;
	figures->oldest_us = oldest_us;
	unlock(metrics);
}

void gm_metrics_add_wake(struct gm_metrics *metrics, enum gm_metrics_wake reason)
{
	lock(metrics)->wakes[reason]++;
	unlock(metrics);
}

void gm_metrics_add_queue(struct gm_metrics *metrics, const struct gm_metrics_queue *more)
{
	struct gm_metrics_queue *queue = &lock(metrics)->queue;
	queue->received += more->received;
	queue->deleted += more->deleted;
	queue->extended += more->extended;
	queue->poison += more->poison;
	unlock(metrics);
}

void gm_metrics_add_requests(struct gm_metrics *metrics, enum gm_metrics_request kind, uint64_t count)
{
	lock(metrics)->requests[kind] += count;
	unlock(metrics);
}

void gm_metrics_add_retries(struct gm_metrics *metrics, enum gm_metrics_service service, uint64_t count)
{
	lock(metrics)->retries[service] += count;
	unlock(metrics);
}
