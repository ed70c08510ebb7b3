/* metrics_text.c - Prometheus's text exposition format, version 0.0.4 (Prometheus documentation, "Exposition formats").
 *
 * Lines that end in '\n', grouped by metric:
 *
 *     # HELP name what it is          '\' and line breaks are escaped, of which our texts have none
 *     # TYPE name counter             or gauge, or histogram; once, before the first sample
 *     name{label="value",...} number  in a value '\', '"' and line breaks are escaped; no time stands behind the
 *                                     number: it is as of now, and the textfile collector would refuse it
 *
 * The node exporter refuses a metric that two files explain in different words, as two versions of gristmill on one
 * machine may leave them: so the texts of the file form are part of the format, and a test pins them.
 *
 * A histogram has samples name_bucket{le="bound"}, which each count what is not above the bound, up to le="+Inf";
 * name_sum; and name_count. Names follow "Metric and label naming": base units, _total behind a counter, one meaning
 * whatever the labels, so that a sum over them means something. */
#include "watch/metrics_internal.h"
#include "watch/process.h"

#include "base/time.h"

#include <inttypes.h>
#include <string.h>

/* Everything that can be told, as of one moment. */
struct view {
	struct gm_metrics_figures of;
	struct gm_process process;
	int64_t start_us, lag_us;
};

enum kind {
	NUMBER,       /* uint64_t */
	SIGNED,       /* int64_t; below 0: not known */
	MICROSECONDS, /* int64_t, told in seconds; below 0: not known */
	HISTOGRAM,    /* of how long runs take */
	BUILD         /* 1, with the version as a label */
};
struct family {
	const char *served, *file; /* its name in either form; NULL: it is not told there */
	const char *help;
	enum kind kind;
	size_t offset;             /* in a struct view */
	const char *const *labels; /* of an array of numbers, one each; NULL: it is one number */
	size_t count;
	bool standard; /* of every process, without the job's label */
};

#define X(name, reason) "reason=\"" reason "\"",
static const char *const wakes[] = {GM_METRICS_WAKES(X)};
#undef X
#define X(name, service, kind) "service=\"" service "\",kind=\"" kind "\"",
static const char *const requests[] = {GM_METRICS_REQUESTS(X)};
#undef X
#define X(name, service) "service=\"" service "\"",
static const char *const services[] = {GM_METRICS_SERVICES(X)};
#undef X
#define X(name, result) "result=\"" result "\"",
static const char *const results[] = {GM_METRICS_RESULTS(X)};
#undef X
static const char *const outcomes[] = {
    [GM_METRICS_WRITTEN] = "outcome=\"written\"",
    [GM_METRICS_DUPLICATE] = "outcome=\"duplicate\"",
    [GM_METRICS_FILTERED] = "outcome=\"filtered\"",
    [GM_METRICS_QUARANTINED] = "outcome=\"quarantined\"",
};

#define AT(member)    offsetof(struct view, member)
#define LABELS(array) (array), sizeof(array) / sizeof(array)[0]
static const struct family families[] = {
    {"gristmill_build_info", "gristmill_build_info", "The version of gristmill, as a label; always 1.", BUILD, 0, NULL,
     0, false},
    /* What waits. */
    {"gristmill_lag_seconds", NULL, "Age of the oldest object that is known to wait; 0 if none does.", MICROSECONDS,
     AT(lag_us), NULL, 0, false},
    {"gristmill_waiting_objects", NULL, "Objects of the source that are known to wait.", SIGNED, AT(of.waiting), NULL,
     0, false},
    {"gristmill_wakeups_total", NULL, "Times that the process began to look for work, by reason.", NUMBER, AT(of.wakes),
     LABELS(wakes), false},
    /* Runs. */
    {"gristmill_runs_total", NULL, "Runs that have ended, by how.", NUMBER, AT(of.runs), LABELS(results), false},
    {"gristmill_run_in_progress", NULL, "1 while a run goes on.", NUMBER, AT(of.running), NULL, 0, false},
    {"gristmill_run_duration_seconds", NULL, "How long runs took that had something to do.", HISTOGRAM, 0, NULL, 0,
     false},
    {"gristmill_last_run_success", "gristmill_last_run_success",
     "1 if the last run came to its end, 0 if it failed or was stopped.", NUMBER, AT(of.succeeded), NULL, 0, false},
    {"gristmill_last_run_result", "gristmill_last_run_result", "1 for how the last run ended.", NUMBER, AT(of.last),
     LABELS(results), false},
    {"gristmill_last_run_duration_seconds", "gristmill_last_run_duration_seconds", "How long the last run took.",
     MICROSECONDS, AT(of.last_duration_us), NULL, 0, false},
    {"gristmill_last_run_timestamp_seconds", "gristmill_last_run_timestamp_seconds", "When the last run ended.",
     MICROSECONDS, AT(of.last_run_us), NULL, 0, false},
    {"gristmill_last_success_timestamp_seconds", "gristmill_last_success_timestamp_seconds",
     "When the last run ended that came to its end.", MICROSECONDS, AT(of.last_success_us), NULL, 0, false},
    {"gristmill_last_commit_timestamp_seconds", "gristmill_last_commit_timestamp_seconds",
     "When the last run ended that committed something.", MICROSECONDS, AT(of.last_commit_us), NULL, 0, false},
    {"gristmill_table_version", "gristmill_table_version", "The table's version, as last seen.", SIGNED, AT(of.version),
     NULL, 0, false},
    /* What was published. */
    {"gristmill_objects_total", "gristmill_last_run_objects", "Objects of the source that were processed.", NUMBER,
     AT(of.objects), NULL, 0, false},
    {"gristmill_records_total", "gristmill_last_run_records",
     "Records that were read, by what became of them; a duplicate is not written again.", NUMBER, AT(of.records),
     LABELS(outcomes), false},
    {"gristmill_record_conflicts_total", "gristmill_last_run_record_conflicts",
     "Duplicates that say something else than the row that was kept.", NUMBER, AT(of.conflicts), NULL, 0, false},
    {"gristmill_source_bytes_total", "gristmill_last_run_source_bytes",
     "Size of the objects that were processed, as they are stored.", NUMBER, AT(of.source_bytes), NULL, 0, false},
    {"gristmill_source_raw_bytes_total", "gristmill_last_run_source_raw_bytes",
     "Size of the objects that were processed, inflated.", NUMBER, AT(of.source_raw_bytes), NULL, 0, false},
    {"gristmill_written_files_total", "gristmill_last_run_written_files", "Data files that were published.", NUMBER,
     AT(of.written_files), NULL, 0, false},
    {"gristmill_written_bytes_total", "gristmill_last_run_written_bytes", "Size of the data files that were published.",
     NUMBER, AT(of.written_bytes), NULL, 0, false},
    /* Services. */
    {"gristmill_requests_total", "gristmill_last_run_requests",
     "Requests to services, by kind; retries are among them.", NUMBER, AT(of.requests), LABELS(requests), false},
    {"gristmill_request_retries_total", "gristmill_last_run_request_retries",
     "Requests that were made again after a fault.", NUMBER, AT(of.retries), LABELS(services), false},
    {"gristmill_s3_received_bytes_total", "gristmill_last_run_s3_received_bytes", "Bodies that came from S3.", NUMBER,
     AT(of.received_bytes), NULL, 0, false},
    {"gristmill_s3_sent_bytes_total", "gristmill_last_run_s3_sent_bytes", "Bodies that went to S3.", NUMBER,
     AT(of.sent_bytes), NULL, 0, false},
    {"gristmill_queue_messages_received_total", NULL, "Messages of the queue, also those that came again.", NUMBER,
     AT(of.queue.received), NULL, 0, false},
    {"gristmill_queue_messages_deleted_total", NULL, "Messages deleted, after the commit of what they told of.", NUMBER,
     AT(of.queue.deleted), NULL, 0, false},
    {"gristmill_queue_visibility_extensions_total", NULL, "Times that a message was kept from others for longer.",
     NUMBER, AT(of.queue.extended), NULL, 0, false},
    {"gristmill_queue_messages_poison_total", NULL, "Messages that nobody can read, kept aside.", NUMBER,
     AT(of.queue.poison), NULL, 0, false},
    {"gristmill_catalog_in_sync", "gristmill_catalog_in_sync",
     "1 if the catalog was left right by the last synchronisation, 0 if it failed.", SIGNED, AT(of.in_sync), NULL, 0,
     false},
    {"gristmill_catalog_last_sync_timestamp_seconds", "gristmill_catalog_last_sync_timestamp_seconds",
     "When the catalog was last left right.", MICROSECONDS, AT(of.catalog_us), NULL, 0, false},
    /* The process. */
    {NULL, "gristmill_last_run_cpu_seconds", "CPU time of the process that ran it, user and system.", MICROSECONDS,
     AT(process.cpu_us), NULL, 0, false},
    {NULL, "gristmill_last_run_peak_resident_memory_bytes", "Largest resident memory of the process that ran it.",
     SIGNED, AT(process.peak_bytes), NULL, 0, false},
    {"process_cpu_seconds_total", NULL, "Total user and system CPU time spent in seconds.", MICROSECONDS,
     AT(process.cpu_us), NULL, 0, true},
    {"process_resident_memory_bytes", NULL, "Resident memory size in bytes.", SIGNED, AT(process.resident_bytes), NULL,
     0, true},
    {"process_start_time_seconds", NULL, "Start time of the process since unix epoch in seconds.", MICROSECONDS,
     AT(start_us), NULL, 0, true},
    {"process_open_fds", NULL, "Number of open file descriptors.", SIGNED, AT(process.open_files), NULL, 0, true},
    {"process_max_fds", NULL, "Maximum number of open file descriptors.", SIGNED, AT(process.files_max), NULL, 0, true},
};

/* --- Lines -------------------------------------------------------------------------------------------------------- */

struct writer {
	const struct gm_metrics *metrics;
	const struct view *view;
	struct gm_buf *out;
	struct gm_error *err;
};

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);
	return n >= k && memcmp(text + n - k, end, k) == 0;
}

static enum gm_code write_head(const struct writer *w, const struct family *family, const char *name)
{
	const char *type = family->kind == HISTOGRAM ? "histogram" : ends_in(name, "_total") ? "counter" : "gauge";
	return gm_buf_printf(w->out, w->err, "# HELP %s %s\n# TYPE %s %s\n", name, family->help, name, type);
}

/* name and suffix, the job's label, and what further labels there are. */
static enum gm_code write_name(const struct writer *w, const char *name, const char *suffix, const char *labels)
{
	const char *comma = labels[0] != '\0' ? "," : "";
	return gm_buf_printf(w->out, w->err, "%s%s{%s%s%s} ", name, suffix, w->metrics->label, comma, labels);
}

static enum gm_code write_seconds(const struct writer *w, int64_t us)
{
	return gm_buf_printf(w->out, w->err, "%" PRId64 ".%06" PRId64 "\n", us / GM_US_PER_SECOND, us % GM_US_PER_SECOND);
}

static enum gm_code write_histogram(const struct writer *w, const char *name)
{
#define X(bound) "le=\"" #bound "\"",
	static const char *const bounds[] = {GM_METRICS_BOUNDS(X) "le=\"+Inf\""};
#undef X
	uint64_t count = 0;
	for (size_t i = 0; i <= GM_METRICS_BUCKETS; i++) {
		count += w->view->of.longer[i];
		GM_TRY(write_name(w, name, "_bucket", bounds[i]));
		GM_TRY(gm_buf_printf(w->out, w->err, "%" PRIu64 "\n", count));
	}
	GM_TRY(write_name(w, name, "_sum", ""));
	GM_TRY(write_seconds(w, w->view->of.duration_us));
	GM_TRY(write_name(w, name, "_count", ""));
	return gm_buf_printf(w->out, w->err, "%" PRIu64 "\n", count);
}

static enum gm_code write_numbers(const struct writer *w, const struct family *family, const char *name)
{
	const uint64_t *numbers = (const uint64_t *)(const void *)((const char *)w->view + family->offset);
	size_t count = family->labels != NULL ? family->count : 1;
	for (size_t i = 0; i < count; i++) {
		GM_TRY(write_name(w, name, "", family->labels != NULL ? family->labels[i] : ""));
		GM_TRY(gm_buf_printf(w->out, w->err, "%" PRIu64 "\n", numbers[i]));
	}
	return GM_OK;
}

static enum gm_code write_signed(const struct writer *w, const struct family *family, const char *name, int64_t number)
{
	if (family->standard)
		GM_TRY(gm_buf_printf(w->out, w->err, "%s ", name));
	else
		GM_TRY(write_name(w, name, "", ""));
	if (family->kind == MICROSECONDS) return write_seconds(w, number);
	return gm_buf_printf(w->out, w->err, "%" PRId64 "\n", number);
}

static enum gm_code write_build(const struct writer *w, const char *name)
{
	return gm_buf_printf(w->out, w->err, "%s{%s,version=\"%s\"} 1\n", name, w->metrics->label, gm_version());
}

static enum gm_code write_family(const struct writer *w, const struct family *family, const char *name)
{
	int64_t number = 0;
	bool is_signed = family->kind == SIGNED || family->kind == MICROSECONDS;
	if (is_signed) memcpy(&number, (const char *)w->view + family->offset, sizeof number);
	if (number < 0) return GM_OK; /* not known: a head without samples would say nothing either */
	GM_TRY(write_head(w, family, name));
	switch (family->kind) {
	case NUMBER: return write_numbers(w, family, name);
	case HISTOGRAM: return write_histogram(w, name);
	case BUILD: return write_build(w, name);
	default: return write_signed(w, family, name, number);
	}
}

/* --- The whole ---------------------------------------------------------------------------------------------------- */

static int64_t lag_of(const struct gm_metrics_figures *of, int64_t now_us)
{
	if (of->waiting == 0) return 0;
	if (of->waiting < 0 || of->oldest_us == GM_METRICS_UNKNOWN) return GM_METRICS_UNKNOWN;
	/* A clock of the source's that is ahead of ours is no lag. */
	return of->oldest_us < now_us ? now_us - of->oldest_us : 0;
}

enum gm_code gm_metrics_render(struct gm_metrics *metrics, enum gm_metrics_form form, int64_t now_us,
                               struct gm_buf *out, struct gm_error *err)
{
	struct view view = {.start_us = metrics->start_us};
	const struct writer w = {metrics, &view, out, err};
	size_t before = out->len;
	gm_metrics_take(metrics, &view.of);
	gm_process_read(&view.process);
	view.lag_us = lag_of(&view.of, now_us);
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
		const char *name = form == GM_METRICS_SERVED ? families[i].served : families[i].file;
		enum gm_code rc = name != NULL ? write_family(&w, &families[i], name) : GM_OK;
		if (rc == GM_OK) continue;
		out->len = before;
		return rc;
	}
	return GM_OK;
}
