/* What is counted, and how it is told: the text is read back by a small reader of the format of its own. */
#include "../must.h"

#include "watch/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECOND = 1000000 };
static const int64_t T0 = INT64_C(1710028800) * SECOND;
static struct gm_buf text;

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static const char *render(struct gm_metrics *metrics, enum gm_metrics_form form, int64_t now_us)
{
	gm_buf_release(&text);
	gm_buf_init(&text, GM_METRICS_BYTES_MAX);
	must(gm_metrics_render(metrics, form, now_us, &text, &failure));
	must(gm_buf_append(&text, "", 1, &failure));
	text.len--;
	return (const char *)text.data;
}

/* The number behind `sample` in the text last rendered; -1: it is not there. */
static double value(const char *sample)
{
	char start[256];
	(void)snprintf(start, sizeof start, "\n%s ", sample);
	const char *at = strstr((const char *)text.data, start);
	return at != NULL ? strtod(at + strlen(start), NULL) : -1;
}

#define assert_value(sample, expected)                                                                      \
	do {                                                                                                    \
		double value_ = value(sample);                                                                      \
		if (value_ != (double)(expected)) fail_msg("%s is %f, not %f", sample, value_, (double)(expected)); \
	} while (0)

#define J          "{gristmill_job=\"tiny\"}"
#define JL(labels) "{gristmill_job=\"tiny\"," labels "}"

static struct gm_metrics *fresh(void)
{
	struct gm_metrics *metrics;
	must(gm_metrics_new("tiny", T0, &metrics, &failure));
	return metrics;
}

/* A run that had nothing to do but to look after the catalog. */
static void end_with_catalog(struct gm_metrics *metrics, bool synced, int64_t at_us)
{
	const struct gm_run_result result = {.version = -1,
	                                     .catalog.state = synced ? GM_CATALOG_SYNCED : GM_CATALOG_FAILED};
	gm_metrics_end_run(metrics, &result, GM_OK, at_us, at_us);
}

static const struct gm_file files[] = {{.path = "a", .rows = 60, .bytes = 1000},
                                       {.path = "b", .rows = 20, .bytes = 24}};
static const struct gm_run_result good = {
    .committed = true,
    .version = 7,
    .run_count = 1,
    .inputs = 3,
    .total = {.records_read = 100,
              .rows_written = 80,
              .duplicates = 12,
              .conflicts = 2,
              .filtered = 5,
              .quarantined = 3,
              .bytes_in = 5000,
              .bytes_raw = 90000},
    .files = files,
    .file_count = 2,
    .remote = true,
    .requests = {.list = 1,
                 .get = 2,
                 .head = 3,
                 .put = 4,
                 .delete_ = 5,
                 .multipart = 6,
                 .other = 7,
                 .retries = 8,
                 .bytes_in = 900,
                 .bytes_out = 90},
};

/* --- Counting ----------------------------------------------------------------------------------------------------- */

static void test_a_run_is_counted(void **state)
{
	struct gm_metrics *metrics = fresh();
	(void)state;
	gm_metrics_begin_run(metrics);
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_run_in_progress" J, 1);
	gm_metrics_end_run(metrics, &good, GM_OK, T0, T0 + 2 * SECOND);
	gm_metrics_end_run(metrics, &good, GM_OK, T0 + 10 * SECOND, T0 + 80 * SECOND);
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_run_in_progress" J, 0);
	assert_value("gristmill_runs_total" JL("result=\"ok\""), 2);
	assert_value("gristmill_runs_total" JL("result=\"failed\""), 0);
	assert_value("gristmill_objects_total" J, 6);
	assert_value("gristmill_records_total" JL("outcome=\"written\""), 160);
	assert_value("gristmill_records_total" JL("outcome=\"duplicate\""), 24);
	assert_value("gristmill_records_total" JL("outcome=\"filtered\""), 10);
	assert_value("gristmill_records_total" JL("outcome=\"quarantined\""), 6);
	assert_value("gristmill_record_conflicts_total" J, 4);
	assert_value("gristmill_source_bytes_total" J, 10000);
	assert_value("gristmill_source_raw_bytes_total" J, 180000);
	assert_value("gristmill_written_files_total" J, 4);
	assert_value("gristmill_written_bytes_total" J, 2048);
	assert_value("gristmill_requests_total" JL("service=\"s3\",kind=\"delete\""), 10);
	assert_value("gristmill_requests_total" JL("service=\"s3\",kind=\"other\""), 14);
	assert_value("gristmill_request_retries_total" JL("service=\"s3\""), 16);
	assert_value("gristmill_s3_received_bytes_total" J, 1800);
	assert_value("gristmill_s3_sent_bytes_total" J, 180);
	assert_value("gristmill_table_version" J, 7);
	assert_value("gristmill_last_run_duration_seconds" J, 70);
	assert_value("gristmill_last_run_timestamp_seconds" J, 1710028880);
	assert_value("gristmill_last_commit_timestamp_seconds" J, 1710028880);
	/* Buckets count what is at most their bound. */
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"1\""), 0);
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"5\""), 1);
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"60\""), 1);
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"300\""), 2);
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"+Inf\""), 2);
	assert_value("gristmill_run_duration_seconds_sum" J, 72);
	assert_value("gristmill_run_duration_seconds_count" J, 2);
	gm_metrics_free(metrics);
}

static void test_bounds_and_beyond(void **state)
{
	struct gm_metrics *metrics = fresh();
	(void)state;
	gm_metrics_end_run(metrics, &good, GM_OK, T0, T0 + SECOND);                  /* on the bound: in it */
	gm_metrics_end_run(metrics, &good, GM_OK, T0, T0 + INT64_C(14401) * SECOND); /* above all of them */
	gm_metrics_end_run(metrics, &good, GM_OK, T0, T0 - SECOND);                  /* the clock was set back */
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"1\""), 2);
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"14400\""), 2);
	assert_value("gristmill_run_duration_seconds_bucket" JL("le=\"+Inf\""), 3);
	assert_value("gristmill_run_duration_seconds_sum" J, 14402);
	gm_metrics_free(metrics);
}

/* How a run ended, and what that does to the times. */
static void test_results(void **state)
{
	static const struct {
		enum gm_code code;
		bool committed, success;
		const char *result;
	} cases[] = {
	    {GM_OK, true, true, "ok"},
	    {GM_OK, false, true, "nothing"},
	    {GM_QUARANTINE, false, false, "quarantine"},
	    {GM_QUARANTINE, true, false, "quarantine"},
	    {GM_INTERRUPTED, false, false, "interrupted"},
	    {GM_IO, false, false, "failed"},
	    {GM_NOMEM, true, false, "failed"},
	    {GM_LOST, false, false, "failed"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char sample[128];
		struct gm_metrics *metrics = fresh();
		struct gm_run_result result = {.version = -1, .committed = cases[i].committed};
		gm_metrics_end_run(metrics, &result, cases[i].code, T0, T0 + SECOND);
		render(metrics, GM_METRICS_SERVED, T0);
		(void)snprintf(sample, sizeof sample, "gristmill_runs_total" JL("result=\"%s\""), cases[i].result);
		assert_value(sample, 1);
		(void)snprintf(sample, sizeof sample, "gristmill_last_run_result" JL("result=\"%s\""), cases[i].result);
		assert_value(sample, 1);
		assert_value("gristmill_last_run_success" J, cases[i].success);
		assert_value("gristmill_last_success_timestamp_seconds" J, cases[i].success ? 1710028801 : -1);
		assert_value("gristmill_last_commit_timestamp_seconds" J, cases[i].committed ? 1710028801 : -1);
		assert_value("gristmill_table_version" J, -1);
		/* A look that finds nothing is no run to be measured: it would hide the others. */
		assert_value("gristmill_run_duration_seconds_count" J, strcmp(cases[i].result, "nothing") != 0);
		gm_metrics_free(metrics);
	}
}

/* What was read and not published is not in the counters. */
static void test_what_is_refused_is_not_counted(void **state)
{
	struct gm_metrics *metrics = fresh();
	struct gm_run_result result = good;
	(void)state;
	result.inputs = 5;
	result.refused_inputs = 2;
	result.total = (struct gm_balance){.rows_written = 130, .quarantined = 53, .bytes_in = 6000, .bytes_raw = 99000};
	result.refused = (struct gm_balance){.rows_written = 50, .quarantined = 50, .bytes_in = 1000, .bytes_raw = 9000};
	gm_metrics_end_run(metrics, &result, GM_QUARANTINE, T0, T0);
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_objects_total" J, 3);
	assert_value("gristmill_records_total" JL("outcome=\"written\""), 80);
	assert_value("gristmill_records_total" JL("outcome=\"quarantined\""), 3);
	assert_value("gristmill_source_bytes_total" J, 5000);
	assert_value("gristmill_source_raw_bytes_total" J, 90000);
	gm_metrics_free(metrics);
}

static void test_lag_grows_by_itself(void **state)
{
	struct gm_metrics *metrics = fresh();
	(void)state;
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_lag_seconds" J, -1); /* nobody has looked yet: that is not 0 */
	assert_value("gristmill_waiting_objects" J, -1);
	gm_metrics_set_waiting(metrics, 4, T0);
	render(metrics, GM_METRICS_SERVED, T0 + 90 * SECOND + SECOND / 2);
	assert_value("gristmill_lag_seconds" J, 90.5);
	assert_value("gristmill_waiting_objects" J, 4);
	render(metrics, GM_METRICS_SERVED, T0 - SECOND); /* a clock that is behind the source's */
	assert_value("gristmill_lag_seconds" J, 0);
	gm_metrics_set_waiting(metrics, 0, 0);
	render(metrics, GM_METRICS_SERVED, T0 + 90 * SECOND);
	assert_value("gristmill_lag_seconds" J, 0);
	assert_value("gristmill_waiting_objects" J, 0);
	gm_metrics_free(metrics);
}

static void test_everything_else_is_counted(void **state)
{
	struct gm_metrics *metrics = fresh();
	const struct gm_metrics_queue more = {.received = 5, .deleted = 4, .extended = 3, .poison = 1};
	(void)state;
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_catalog_in_sync" J, -1);
	gm_metrics_add_queue(metrics, &more);
	gm_metrics_add_queue(metrics, &more);
	gm_metrics_add_wake(metrics, GM_METRICS_WAKE_MESSAGE);
	gm_metrics_add_requests(metrics, GM_METRICS_REQUEST_SQS_RECEIVE, 9);
	gm_metrics_add_retries(metrics, GM_METRICS_SERVICE_GLUE, 2);
	gm_metrics_end_run(metrics, &(struct gm_run_result){.version = 12, .committed = true}, GM_OK, T0 - SECOND,
	                   T0 - SECOND);
	end_with_catalog(metrics, true, T0);
	end_with_catalog(metrics, false, T0 + SECOND);
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_queue_messages_received_total" J, 10);
	assert_value("gristmill_queue_messages_deleted_total" J, 8);
	assert_value("gristmill_queue_visibility_extensions_total" J, 6);
	assert_value("gristmill_queue_messages_poison_total" J, 2);
	assert_value("gristmill_wakeups_total" JL("reason=\"message\""), 1);
	assert_value("gristmill_wakeups_total" JL("reason=\"interval\""), 0);
	assert_value("gristmill_requests_total" JL("service=\"sqs\",kind=\"receive\""), 9);
	assert_value("gristmill_request_retries_total" JL("service=\"glue\""), 2);
	assert_value("gristmill_table_version" J, 12);
	assert_value("gristmill_last_commit_timestamp_seconds" J, 1710028799);
	assert_value("gristmill_catalog_in_sync" J, 0);
	assert_value("gristmill_catalog_last_sync_timestamp_seconds" J, 1710028800);
	gm_metrics_free(metrics);
}

static void test_the_process_is_told(void **state)
{
	struct gm_metrics *metrics;
	struct timespec now;
	(void)state;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	must(gm_metrics_new("tiny", (int64_t)now.tv_sec * SECOND, &metrics, &failure));
	int before = dup(0); /* an open file more */
	render(metrics, GM_METRICS_SERVED, T0);
	double files_before = value("process_open_fds");
	(void)close(before);
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("process_open_fds", files_before - 1);
	assert_true(value("process_cpu_seconds_total") > 0);
	assert_true(value("process_resident_memory_bytes") > 100000);
	assert_true(value("process_max_fds") >= value("process_open_fds"));
	/* This test was started within the last ten minutes, and not in the future. */
	assert_true(value("process_start_time_seconds") > (double)now.tv_sec - 600);
	assert_true(value("process_start_time_seconds") < (double)now.tv_sec + 2);
	gm_metrics_free(metrics);
}

/* --- The text ----------------------------------------------------------------------------------------------------- */

/* By the format's grammar: a head before the samples of each name, no name twice, no sample twice. */
static void check_grammar(const char *whole)
{
	static char seen[512][256], heads[128][128];
	size_t seen_count = 0, head_count = 0;
	char family[128] = "";
	for (const char *line = whole; *line != '\0';) {
		const char *end = strchr(line, '\n');
		char name[128], type[32], sample[256];
		assert_non_null(end);
		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
			for (size_t i = 0; i < head_count; i++) assert_string_not_equal(heads[i], family);
			(void)strcpy(heads[head_count++], family);
			assert_int_equal(sscanf(end + 1, "# TYPE %127s %31s", name, type), 2);
			assert_string_equal(name, family);
			assert_int_equal(strcmp(type, "counter") == 0,
			                 strlen(family) > 6 && strcmp(family + strlen(family) - 6, "_total") == 0);
			end = strchr(end + 1, '\n');
		} else {
			const char *space = strrchr(line, ' ');
			space = memrchr(line, ' ', (size_t)(end - line));
			(void)snprintf(sample, sizeof sample, "%.*s", (int)(space - line), line);
			assert_int_equal(strncmp(sample, family, strlen(family)), 0);
			for (size_t i = 0; i < seen_count; i++) assert_string_not_equal(seen[i], sample);
			(void)strcpy(seen[seen_count++], sample);
			char *rest;
			(void)strtod(space + 1, &rest);
			assert_ptr_equal(rest, end);
		}
		line = end + 1;
	}
	assert_true(head_count > 15 && seen_count > 40);
}

static void test_both_forms_are_well_formed(void **state)
{
	struct gm_metrics *metrics = fresh();
	(void)state;
	gm_metrics_set_waiting(metrics, 1, T0);
	end_with_catalog(metrics, true, T0);
	gm_metrics_end_run(metrics, &good, GM_OK, T0, T0 + SECOND);
	check_grammar(render(metrics, GM_METRICS_SERVED, T0));
	check_grammar(render(metrics, GM_METRICS_FILE, T0));
	assert_null(strstr((const char *)text.data, "\nprocess_")); /* in a file they would be the node exporter's */
	assert_null(strstr((const char *)text.data, "_total"));
	assert_value("gristmill_last_run_objects" J, 3);
	assert_true(value("gristmill_last_run_peak_resident_memory_bytes" J) > 100000);
	gm_metrics_free(metrics);
}

static void test_labels_are_escaped(void **state)
{
	struct gm_metrics *metrics;
	(void)state;
	must(gm_metrics_new("a\\b\"c\nd\xFF", T0, &metrics, &failure));
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_objects_total{gristmill_job=\"a\\\\b\\\"c\\nd\xEF\xBF\xBD\"}", 0);
	gm_metrics_free(metrics);
	char longest[2000];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(gm_metrics_new(longest, T0, &metrics, &failure), GM_VALUE);
	assert_null(metrics);
}

static void test_the_longest_label_fits(void **state)
{
	struct gm_metrics *metrics;
	char longest[129];
	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	must(gm_metrics_new(longest, T0, &metrics, &failure));
	gm_metrics_set_waiting(metrics, UINT64_MAX, T0);
	render(metrics, GM_METRICS_SERVED, INT64_MAX);
	assert_true(text.len < GM_METRICS_BYTES_MAX);
	/* What does not fit leaves the buffer as it was. */
	struct gm_buf small;
	gm_buf_init(&small, 1000);
	must(gm_buf_append(&small, "kept", 4, &failure));
	assert_int_equal(gm_metrics_render(metrics, GM_METRICS_SERVED, T0, &small, &failure), GM_VALUE);
	assert_int_equal(small.len, 4);
	gm_buf_release(&small);
	gm_metrics_free(metrics);
}

static void *count_much(void *context)
{
	const struct gm_metrics_queue one = {.received = 1};
	for (int i = 0; i < 2000; i++) {
		gm_metrics_add_queue(context, &one);
		gm_metrics_end_run(context, &good, GM_OK, T0, T0 + SECOND);
	}
	return NULL;
}

static void test_threads_count_and_read(void **state)
{
	struct gm_metrics *metrics = fresh();
	pthread_t threads[4];
	(void)state;
	for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, count_much, metrics), 0);
	for (int i = 0; i < 20; i++) {
		render(metrics, GM_METRICS_SERVED, T0);
		/* One moment: all figures of a run, or none of them. */
		assert_true(value("gristmill_objects_total" J) * 100 ==
		            3 * (value("gristmill_records_total" JL("outcome=\"written\"")) * 100 / 80));
	}
	for (size_t i = 0; i < 4; i++) (void)pthread_join(threads[i], NULL);
	render(metrics, GM_METRICS_SERVED, T0);
	assert_value("gristmill_queue_messages_received_total" J, 8000);
	assert_value("gristmill_objects_total" J, 24000);
	gm_metrics_free(metrics);
}

/* --- The file ----------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/gm-metrics-XXXXXX", path[64];

static void read_back(void)
{
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	gm_buf_release(&text);
	gm_buf_init(&text, GM_METRICS_BYTES_MAX);
	must(gm_buf_reserve(&text, GM_METRICS_BYTES_MAX, &failure));
	text.len = fread(text.data, 1, GM_METRICS_BYTES_MAX - 1, file);
	text.data[text.len] = '\0';
	(void)fclose(file);
}

static void put_file(const char *content)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void write_one(enum gm_code code, bool committed, int64_t now_us)
{
	struct gm_metrics *metrics = fresh();
	const struct gm_run_result result = {.version = -1, .committed = committed};
	gm_metrics_end_run(metrics, &result, code, now_us, now_us);
	must(gm_metrics_write_file(metrics, now_us, path, &failure));
	gm_metrics_free(metrics);
	read_back();
}

static void test_a_failure_keeps_the_last_success(void **state)
{
	(void)state;
	(void)unlink(path);
	write_one(GM_IO, false, T0);
	assert_value("gristmill_last_success_timestamp_seconds" J, -1);
	write_one(GM_OK, true, T0 + SECOND / 4);
	write_one(GM_OK, false, T0 + 2 * SECOND);
	assert_value("gristmill_last_success_timestamp_seconds" J, 1710028802);
	assert_value("gristmill_last_commit_timestamp_seconds" J, 1710028800.25);
	write_one(GM_QUARANTINE, false, T0 + 3 * SECOND);
	write_one(GM_IO, false, T0 + 4 * SECOND);
	assert_value("gristmill_last_run_timestamp_seconds" J, 1710028804);
	assert_value("gristmill_last_success_timestamp_seconds" J, 1710028802);
	assert_value("gristmill_last_commit_timestamp_seconds" J, 1710028800.25);
	assert_value("gristmill_last_run_success" J, 0);
}

static void test_a_failure_keeps_the_last_synchronisation(void **state)
{
	struct gm_metrics *metrics = fresh();
	(void)state;
	(void)unlink(path);
	end_with_catalog(metrics, true, T0);
	must(gm_metrics_write_file(metrics, T0, path, &failure));
	gm_metrics_free(metrics);
	metrics = fresh();
	end_with_catalog(metrics, false, T0 + SECOND);
	must(gm_metrics_write_file(metrics, T0 + SECOND, path, &failure));
	gm_metrics_free(metrics);
	read_back();
	assert_value("gristmill_catalog_in_sync" J, 0);
	assert_value("gristmill_catalog_last_sync_timestamp_seconds" J, 1710028800);
}

static void test_only_our_own_past_is_believed(void **state)
{
	static const char *const strange[] = {
	    "",
	    "\n",
	    "\ngristmill_last_success_timestamp_seconds{gristmill_job=\"other\"} 1710028800.000000\n",
	    "\n#gristmill_last_success_timestamp_seconds" J " 1710028800.000000\n",
	    "\ngristmill_last_success_timestamp_seconds" J " 1710028800.0000001\n",
	    "\ngristmill_last_success_timestamp_seconds" J " 1710028800.000000",
	    "\ngristmill_last_success_timestamp_seconds" J " 1710028800\n",
	    "\ngristmill_last_success_timestamp_seconds" J " -171002880.000000\n",
	    "\ngristmill_last_success_timestamp_seconds" J " 1710028800.000000 5\n",
	    "\ngristmill_last_success_timestamp_seconds" J " 99999999999999999999999.000000\n",
	    "\ngristmill_last_success_timestamp_seconds" J " 1710028801.000001\n", /* not yet */
	    "\ngristmill_last_success_timestamp_seconds" J " NaN\n",
	};
	(void)state;
	for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
		put_file(strange[i]);
		write_one(GM_IO, false, T0 + SECOND);
		assert_value("gristmill_last_success_timestamp_seconds" J, -1);
	}
	put_file("\ngristmill_last_success_timestamp_seconds" J " 1710028801.000000\n");
	write_one(GM_IO, false, T0 + SECOND);
	assert_value("gristmill_last_success_timestamp_seconds" J, 1710028801);
	FILE *file = fopen(path, "w");
	for (int i = 0; i < 100000; i++) (void)fprintf(file, "filler %d\n", i);
	(void)fclose(file);
	write_one(GM_IO, false, T0 + SECOND);
	assert_value("gristmill_last_run_success" J, 0);
}

static void test_what_is_no_file_is_left_alone(void **state)
{
	struct gm_metrics *metrics = fresh();
	char other[80];
	struct stat is;
	(void)state;
	(void)unlink(path);
	(void)snprintf(other, sizeof other, "%s/link", folder);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(gm_metrics_write_file(metrics, T0, path, &failure), GM_USAGE);
	assert_int_equal(lstat(path, &is), 0);
	assert_true(S_ISLNK(is.st_mode));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(gm_metrics_write_file(metrics, T0, path, &failure), GM_USAGE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(gm_metrics_write_file(metrics, T0, folder, &failure), GM_USAGE);
	assert_int_equal(gm_metrics_write_file(metrics, T0, "/tmp/", &failure), GM_IO);
	(void)snprintf(other, sizeof other, "%s/none/x.prom", folder);
	assert_int_equal(gm_metrics_write_file(metrics, T0, other, &failure), GM_NOT_FOUND);
	assert_string_equal(failure.object, other);
	/* Nothing is left behind, and everybody may read it. */
	mode_t before = umask(077);
	must(gm_metrics_write_file(metrics, T0, path, &failure));
	(void)umask(before);
	assert_int_equal(stat(path, &is), 0);
	assert_int_equal(is.st_mode & 0777, 0644);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_non_null(mkdtemp(strcpy(folder, "/tmp/gm-metrics-XXXXXX")));
	gm_metrics_free(metrics);
}

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL) return -1;
	(void)snprintf(path, sizeof path, "%s/x.prom", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	gm_buf_release(&text);
	(void)unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_run_is_counted),
	    cmocka_unit_test(test_bounds_and_beyond),
	    cmocka_unit_test(test_results),
	    cmocka_unit_test(test_what_is_refused_is_not_counted),
	    cmocka_unit_test(test_lag_grows_by_itself),
	    cmocka_unit_test(test_everything_else_is_counted),
	    cmocka_unit_test(test_the_process_is_told),
	    cmocka_unit_test(test_both_forms_are_well_formed),
	    cmocka_unit_test(test_labels_are_escaped),
	    cmocka_unit_test(test_the_longest_label_fits),
	    cmocka_unit_test(test_threads_count_and_read),
	    cmocka_unit_test(test_a_failure_keeps_the_last_success),
	    cmocka_unit_test(test_a_failure_keeps_the_last_synchronisation),
	    cmocka_unit_test(test_only_our_own_past_is_believed),
	    cmocka_unit_test(test_what_is_no_file_is_left_alone),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
