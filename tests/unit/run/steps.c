/* A run in steps, the bookmark's changes and the status on stores in memory, with each call of the store failed
 * once: what failed can be repeated, what was told is true, and whoever only looks leaves no trace. */
#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char job_text[] = "job: j\n"
                               "source: {location: memory, format: json}\n"
                               "table:\n"
                               "  location: table\n"
                               "  partition_by: [{name: part, type: string, expr: p}]\n"
                               "  unique_by: [k]\n"
                               "columns:\n"
                               "  - {name: k, type: string, from: k, required: true}\n"
                               "  - {name: p, type: string, from: p}\n";

struct place {
	struct gm_job *job;
	struct gm_store *source, *table;
	struct gm_store *faulty; /* in front of table, and its owner; NULL: not yet */
	struct gm_run_env env;
	uint64_t calls; /* of faulty */
};

static struct gm_error err;

static int64_t no_time(void *context)
{
	(void)context;
	return INT64_C(1700000000000000);
}

static void put_object(struct gm_store *source, int number)
{
	char key[32], text[1024];
	int n = 0;
	for (int i = 0; i < 8; i++) /* half of the keys come with the next object, too */
		n += snprintf(text + n, sizeof text - (size_t)n, "{\"k\":\"k%d\",\"p\":\"%d\"}\n", number * 4 + i, i % 2);
	(void)snprintf(key, sizeof key, "o%d", number);
	assert_int_equal(gm_store_put(source, key, text, (size_t)n, false, &err), GM_OK);
}

static const struct gm_run_options options = {.threads = 1, .memory_bytes = (uint64_t)64 << 20, .reason = "why"};

/* A table with one run of two objects; four objects have come since. */
static void open_place(struct place *place)
{
	*place = (struct place){0};
	assert_int_equal(gm_job_parse("j.yaml", job_text, sizeof job_text - 1, NULL, &place->job, &err), GM_OK);
	place->job->table.file_bytes = 8; /* a unit for each object */
	assert_int_equal(gm_store_open_memory(&place->source, &err), GM_OK);
	assert_int_equal(gm_store_open_memory(&place->table, &err), GM_OK);
	place->env = (struct gm_run_env){.source = place->source,
	                                 .table = place->table,
	                                 .engine_id = "engine",
	                                 .scratch = "/var/tmp",
	                                 .now_us = no_time};
	for (int i = 0; i < 2; i++) put_object(place->source, i);
	struct gm_run_result result;
	assert_int_equal(gm_run_on(place->job, &place->env, &options, &result, &err), GM_OK);
	assert_true(result.committed);
	gm_run_result_clear(&result);
	for (int i = 2; i < 6; i++) put_object(place->source, i);
}

/* From now on the table's call number fail_at fails. */
static void arm(struct place *place, uint64_t fail_at, bool after)
{
	assert_int_equal(gm_store_open_faulty(place->table, fail_at, GM_IO, after, &place->calls, &place->faulty, &err),
	                 GM_OK);
	place->env.table = place->faulty;
}

/* No call fails any more; true if none has failed. */
static bool disarm(struct place *place, uint64_t fail_at)
{
	place->env.table = place->table;
	return place->calls < fail_at;
}

static void close_place(struct place *place)
{
	gm_store_close(place->source);
	gm_store_close(place->faulty != NULL ? place->faulty : place->table);
	gm_job_free(place->job);
}

/* --- Keys of a store, as one text --------------------------------------------------------------------------------- */

static enum gm_code append_key(void *context, const struct gm_object_info *info, struct gm_error *error)
{
	char line[GM_KEY_MAX_BYTES + 32];
	int n = snprintf(line, sizeof line, "%s %llu\n", info->key, (unsigned long long)info->size);
	return gm_buf_append(context, line, (size_t)n, error);
}

/* The caller's to free(). */
static char *list(struct gm_store *store, const char *prefix)
{
	struct gm_buf text;
	gm_buf_init(&text, 1 << 20);
	assert_int_equal(gm_store_list(store, prefix, append_key, &text, &err), GM_OK);
	assert_int_equal(gm_buf_append(&text, "", 1, &err), GM_OK);
	return (char *)text.data;
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

static enum gm_code work_all(struct place *place, const struct gm_planned *planned, enum gm_work_part part)
{
	for (size_t i = planned->unit_count; i > 0; i--) {
		struct gm_run_result result;
		enum gm_step step;
		enum gm_code rc =
		    gm_run_work_on(place->job, &place->env, &options, planned->plan, i - 1, part, &step, &result, &err);
		gm_run_result_clear(&result);
		if (rc != GM_OK) return rc;
	}
	return GM_OK;
}

/* All three steps, the units last first; *committed: by these very steps. */
static enum gm_code take_steps(struct place *place, bool *committed)
{
	struct gm_planned planned;
	struct gm_run_result result;
	enum gm_step step;
	*committed = false;
	enum gm_code rc = gm_run_plan_on(place->job, &place->env, &options, &planned, &err);
	if (rc != GM_OK || planned.plan == 0) return rc;
	rc = work_all(place, &planned, GM_WORK_KEYS);
	if (rc == GM_OK) rc = work_all(place, &planned, GM_WORK_WRITE);
	if (rc == GM_OK) {
		rc = gm_run_commit_on(place->job, &place->env, &options, planned.plan, &step, &result, &err);
		*committed = rc == GM_OK && step == GM_STEP_DONE;
		gm_run_result_clear(&result);
	}
	gm_planned_clear(&planned);
	return rc;
}

static char *files_of_a_plain_run(void)
{
	struct place place;
	struct gm_run_result result;
	open_place(&place);
	assert_int_equal(gm_run_on(place.job, &place.env, &options, &result, &err), GM_OK);
	assert_int_equal(result.total.rows_written, 16);
	assert_int_equal(result.total.duplicates, 16);
	gm_run_result_clear(&result);
	char *files = list(place.table, "part=");
	close_place(&place);
	return files;
}

static void steps_can_be_repeated_after_any_failure(void **state)
{
	char *expected = files_of_a_plain_run();
	(void)state;
	for (int after = 0; after < 2; after++) {
		bool ended = false;
		for (uint64_t at = 1; !ended; at++) {
			struct place place;
			bool committed, again;
			open_place(&place);
			arm(&place, at, after != 0);
			enum gm_code rc = take_steps(&place, &committed);
			ended = disarm(&place, at);
			assert_true(ended ? committed : rc == GM_OK || rc == GM_IO);
			if (rc != GM_OK) assert_string_not_equal(err.message, "");
			assert_int_equal(take_steps(&place, &again), GM_OK);
			char *files = list(place.table, "part=");
			assert_string_equal(files, expected);
			free(files);
			close_place(&place);
		}
	}
	free(expected);
}

/* --- The bookmark ------------------------------------------------------------------------------------------------- */

static enum gm_code forget(struct place *place, const char *key, struct gm_bookmark_edited *edited)
{
	const char *const keys[] = {key};
	const struct gm_bookmark_edit edit = {.keys = keys, .key_count = 1};
	return gm_bookmark_change_on(place->job, &place->env, &edit, &options, edited, &err);
}

static void a_change_is_made_wholly_or_not(void **state)
{
	(void)state;
	for (int after = 0; after < 2; after++) {
		bool ended = false;
		for (uint64_t at = 1; !ended; at++) {
			struct place place;
			struct gm_bookmark_edited edited;
			struct gm_status status;
			open_place(&place);
			arm(&place, at, after != 0);
			enum gm_code rc = forget(&place, "o1", &edited);
			ended = disarm(&place, at);
			assert_int_equal(gm_status_on(place.job, &place.env, NULL, &status, &err), GM_OK);
			assert_true(status.objects == (rc == GM_OK ? 1 : 2) || (rc != GM_OK && status.objects == 1));
			assert_int_equal(status.waiting, 6 - status.objects);
			if (rc == GM_OK) assert_int_equal(edited.run, status.last_run);
			if (status.objects == 1) assert_string_equal(status.runs[0].reason, "why");
			gm_status_clear(&status);
			close_place(&place);
		}
	}
}

/* --- The status --------------------------------------------------------------------------------------------------- */

static void a_status_leaves_no_trace_and_tells_what_fails(void **state)
{
	bool ended = false;
	(void)state;
	for (uint64_t at = 1; !ended; at++) {
		struct place place;
		struct gm_planned planned;
		struct gm_status status;
		open_place(&place);
		assert_int_equal(gm_run_plan_on(place.job, &place.env, &options, &planned, &err), GM_OK);
		gm_planned_clear(&planned);
		char *before = list(place.table, "");
		arm(&place, at, false);
		enum gm_code rc = gm_status_on(place.job, &place.env, NULL, &status, &err);
		ended = disarm(&place, at);
		char *then = list(place.table, "");
		assert_string_equal(then, before);
		assert_true(rc == GM_IO || rc == GM_OK);
		if (ended) {
			assert_int_equal(rc, GM_OK);
			assert_int_equal(status.plan_count, 1);
			assert_string_equal(status.plans[0].state, "it is not finished");
		} else if (rc == GM_OK) { /* then it is said where it matters */
			assert_int_equal(status.plan_count, 1);
			assert_non_null(strstr(status.plans[0].state, "it cannot be looked at: "));
		}
		if (rc == GM_OK) {
			assert_int_equal(status.last_run, 1);
			assert_int_equal(status.waiting, 4);
		}
		gm_status_clear(&status);
		free(before);
		free(then);
		close_place(&place);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steps_can_be_repeated_after_any_failure),
	    cmocka_unit_test(a_change_is_made_wholly_or_not),
	    cmocka_unit_test(a_status_leaves_no_trace_and_tells_what_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
