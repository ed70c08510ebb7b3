/* A run whose stores are far away: the same files and rows as beside them, from several readers and calls at once, from
 * uploads that nobody can read, whatever fails. */
#include "far_store.h"

#include "run/run.h"

#include <setjmp.h>
#include <stdarg.h>

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
enum { OBJECTS = 40, PARALLEL = 8, FILES = 7 };

static struct gm_error err;

struct place {
	struct gm_job *job;
	struct gm_store *source, *table;
	struct gm_run_env env;
	struct gm_run_options options;
};

static int64_t no_time(void *context)
{
	(void)context;
	return INT64_C(1700000000000000);
}

/* Half of the keys come with the next object, too, and one record in each is none. */
static void put_objects(struct gm_store *source, int first, int end)
{
	for (int number = first; number < end; number++) {
		char key[32], text[1024];
		int n = 0;
		for (int i = 0; i < 8; i++)
			n += snprintf(text + n, sizeof text - (size_t)n, "{\"k\":\"k%d\",\"p\":\"%d\"}\n", number * 4 + i, i % 4);
		n += snprintf(text + n, sizeof text - (size_t)n, "{\"k\":\n");
		(void)snprintf(key, sizeof key, "o%04d", number);
		assert_int_equal(gm_store_put(source, key, text, (size_t)n, false, &err), GM_OK);
	}
}

/* The same secret for all tables: what is hashed with it is to be compared. */
static void put_secret(struct gm_store *table)
{
	uint8_t secret[192];
	memset(secret, 7, sizeof secret);
	assert_int_equal(gm_store_put(table, "_gristmill/hash-key", secret, sizeof secret, true, &err), GM_OK);
}

/* Owns the stores from now on. */
static void open_place(struct place *place, struct gm_store *source, struct gm_store *table, int threads)
{
	*place = (struct place){.source = source, .table = table};
	place->options = (struct gm_run_options){
	    .threads = threads, .memory_bytes = (uint64_t)160 << 20, .quarantine_set = true, .quarantine_percent = 100};
	assert_int_equal(gm_job_parse("j.yaml", job_text, sizeof job_text - 1, NULL, &place->job, &err), GM_OK);
	place->job->table.file_bytes = 64; /* a few units */
	place->env = (struct gm_run_env){
	    .source = source, .table = table, .engine_id = "engine", .scratch = "/var/tmp", .now_us = no_time};
}

static void close_place(struct place *place)
{
	gm_store_close(place->source);
	gm_store_close(place->table);
	gm_job_free(place->job);
}

static enum gm_code run(struct place *place, struct gm_run_result *result)
{
	return gm_run_on(place->job, &place->env, &place->options, result, &err);
}

/* --- Keys of a store, as one text --------------------------------------------------------------------------------- */

static enum gm_code append_key(void *context, const struct gm_object_info *info, struct gm_error *error)
{
	return gm_buf_printf(context, error, "%s %llu\n", info->key, (unsigned long long)info->size);
}

/* Of the data files, quarantine and duplicates; the caller's to free(). */
static char *list(struct gm_store *store)
{
	static const char *const prefixes[] = {"part=", "_gristmill/j/quarantine/", "_gristmill/j/duplicates/"};
	struct gm_buf text;
	gm_buf_init(&text, 1 << 20);
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		assert_int_equal(gm_store_list(store, prefixes[i], append_key, &text, &err), GM_OK);
	assert_int_equal(gm_buf_append(&text, "", 1, &err), GM_OK);
	return (char *)text.data;
}

static char *files_of_a_near_run(void)
{
	struct gm_store *source, *table;
	struct gm_run_result result;
	struct place place;
	assert_int_equal(gm_store_open_memory(&source, &err), GM_OK);
	assert_int_equal(gm_store_open_memory(&table, &err), GM_OK);
	put_objects(source, 0, OBJECTS);
	put_secret(table);
	open_place(&place, source, table, 1);
	assert_int_equal(run(&place, &result), GM_OK);
	assert_int_equal(result.inputs, OBJECTS);
	assert_false(result.remote);
	assert_int_equal(result.requests.get + result.requests.put, 0);
	gm_run_result_clear(&result);
	char *files = list(table);
	close_place(&place);
	return files;
}

/* --- Tests -------------------------------------------------------------------------------------------------------- */

static void distance_changes_no_byte(void **state)
{
	char *expected = files_of_a_near_run();
	(void)state;
	for (int threads = 1; threads <= 3; threads += 2) {
		struct far_store *source = far_open(PARALLEL), *table = far_open(PARALLEL);
		struct gm_run_result result;
		struct place place;
		put_objects(&source->store, 0, OBJECTS);
		put_secret(&table->store);
		open_place(&place, &source->store, &table->store, threads);
		if (threads == 1) place.options.memory_bytes = (uint64_t)32 << 20; /* the least there is */
		assert_int_equal(run(&place, &result), GM_OK);
		gm_run_result_clear(&result);
		char *files = list(&table->store);
		assert_string_equal(files, expected);
		free(files);
		/* Opened ahead, but no more than pays; each once. */
		assert_true(source->most_open > threads);
		assert_true(source->most_open <= threads + PARALLEL);
		assert_int_equal(source->counts.get, OBJECTS);
		assert_true(table->settles > 0);
		close_place(&place);
	}
	free(expected);
}

static enum gm_code count_key(void *context, const struct gm_object_info *info, struct gm_error *error)
{
	(void)info;
	(void)error;
	++*(size_t *)context;
	return GM_OK;
}

/* Each call of the table fails once, of one thread so that it is the same call each time. No upload is forgotten that a
 * run which did not die could have dropped. */
static void any_call_may_fail(void **state)
{
	char *expected = files_of_a_near_run();
	(void)state;
	for (int after = 0; after < 2; after++) {
		bool ended = false;
		for (uint64_t at = 1; !ended; at++) {
			struct far_store *source = far_open(PARALLEL), *table = far_open(PARALLEL);
			struct gm_store *faulty;
			struct gm_run_result result;
			struct place place;
			uint64_t calls;
			put_objects(&source->store, 0, OBJECTS);
			put_secret(&table->store);
			assert_int_equal(gm_store_open_faulty(&table->store, at, GM_IO, after != 0, &calls, &faulty, &err), GM_OK);
			open_place(&place, &source->store, faulty, 1);
			enum gm_code rc = run(&place, &result);
			ended = calls < at;
			assert_true(rc == GM_OK || (!ended && rc == GM_IO));
			gm_run_result_clear(&result);
			place.env.table = &table->store; /* no call fails any more */
			assert_int_equal(run(&place, &result), GM_OK);
			gm_run_result_clear(&result);
			char *files = list(&table->store);
			assert_string_equal(files, expected);
			free(files);
			size_t uploads = 0;
			assert_int_equal(gm_store_list(table->uploads, "", count_key, &uploads, &err), GM_OK);
			assert_true(uploads <= (ended ? 0 : FILES)); /* of a unit whose manifest may yet come */
			close_place(&place);
		}
	}
	free(expected);
}

/* Each call of the source fails once: what fails ahead of need is tried again when it is needed. */
static void reading_may_fail(void **state)
{
	char *expected = files_of_a_near_run();
	(void)state;
	bool ended = false;
	for (uint64_t at = 1; !ended; at += 3) {
		struct far_store *source = far_open(PARALLEL), *table = far_open(PARALLEL);
		struct gm_store *faulty;
		struct gm_run_result result;
		struct place place;
		uint64_t calls;
		put_objects(&source->store, 0, OBJECTS);
		put_secret(&table->store);
		assert_int_equal(gm_store_open_faulty(&source->store, at, GM_IO, false, &calls, &faulty, &err), GM_OK);
		open_place(&place, faulty, &table->store, 2);
		enum gm_code rc = run(&place, &result);
		ended = calls < at;
		assert_true(rc == GM_OK || (!ended && rc == GM_IO));
		gm_run_result_clear(&result);
		place.env.source = &source->store;
		rc = run(&place, &result);
		if (rc != GM_OK) fail_msg("call %d: %s: %s", (int)at, err.message, err.object);
		gm_run_result_clear(&result);
		char *files = list(&table->store);
		assert_string_equal(files, expected);
		free(files);
		close_place(&place);
	}
	free(expected);
}

/* Keys that no directory could have are read, and known afterwards. */
static void keys_of_others_are_inputs(void **state)
{
	static const char *const keys[] = {"//y", "/x", "a//b", "d/"};
	enum { KEYS = sizeof keys / sizeof keys[0] };
	struct far_store *source = far_open(PARALLEL), *table = far_open(PARALLEL);
	struct gm_run_result result;
	struct place place;
	(void)state;
	for (int i = 0; i < KEYS; i++) {
		char text[64];
		int n = snprintf(text, sizeof text, "{\"k\":\"%d\",\"p\":\"x\"}\n", i);
		assert_int_equal(far_put(&source->store, keys[i], text, (size_t)n, false, &err), GM_OK);
	}
	assert_int_equal(far_put(&source->store, "marker/", "", 0, false, &err), GM_OK);
	open_place(&place, &source->store, &table->store, 2);
	assert_int_equal(run(&place, &result), GM_OK);
	assert_int_equal(result.inputs, KEYS);
	assert_int_equal(result.total.rows_written, KEYS);
	gm_run_result_clear(&result);
	assert_int_equal(run(&place, &result), GM_OK);
	assert_false(result.committed);
	gm_run_result_clear(&result);
	close_place(&place);
}

/* A store that lets two writers win is found out before anything is put, once, and not where there is one writer. */
static void a_new_table_is_probed(void **state)
{
	(void)state;
	for (int single_writer = 0; single_writer < 2; single_writer++) {
		struct far_store *source = far_open(PARALLEL), *table = far_open(PARALLEL);
		struct gm_run_result result;
		struct place place;
		open_place(&place, &source->store, &table->store, 1);
		place.job->table.access.single_writer = single_writer != 0;
		assert_int_equal(run(&place, &result), GM_OK); /* there is nothing to put */
		gm_run_result_clear(&result);
		assert_int_equal(table->probes, 0);
		for (int i = 0; i < 2; i++) {
			put_objects(&source->store, i, i + 1);
			table->refuses = i == 0 && single_writer == 0;
			if (table->refuses) {
				assert_int_equal(run(&place, &result), GM_UNSUPPORTED);
				gm_run_result_clear(&result);
				assert_int_equal(table->counts.put, 0);
				table->refuses = false;
				table->probes = 0;
			}
			assert_int_equal(run(&place, &result), GM_OK);
			gm_run_result_clear(&result);
			assert_int_equal(table->probes, single_writer != 0 ? 0 : 1);
		}
		close_place(&place);
	}
}

static void requests_are_told(void **state)
{
	struct far_store *source = far_open(PARALLEL), *table = far_open(PARALLEL);
	struct gm_run_result result;
	struct place place;
	(void)state;
	put_objects(&source->store, 0, OBJECTS);
	source->counts = (struct gm_store_counts){0};
	open_place(&place, &source->store, &table->store, 1);
	assert_int_equal(run(&place, &result), GM_OK);
	const struct gm_store_counts *a = &source->counts, *b = &table->counts;
	assert_true(result.remote);
	assert_int_equal(result.requests.list, a->list + b->list);
	assert_int_equal(result.requests.get, a->get + b->get);
	assert_int_equal(result.requests.put, b->put);
	assert_int_equal(result.requests.delete_, b->delete_);
	assert_int_equal(result.requests.multipart, b->multipart);
	assert_true(a->get == OBJECTS && b->put > 0 && b->multipart > 0);
	gm_run_result_clear(&result);
	close_place(&place);
}

static bool has(struct far_store *table, const char *key)
{
	bool there;
	assert_int_equal(gm_store_has(table->objects, key, &there, &err), GM_OK);
	return there;
}

/* Commits so many runs of an object each. */
static void run_often(struct place *place, int first, int end)
{
	for (int i = first; i < end; i++) {
		struct gm_run_result result;
		put_objects(place->source, i, i + 1);
		assert_int_equal(run(place, &result), GM_OK);
		assert_true(result.committed);
		gm_run_result_clear(&result);
	}
}

/* What is left of runs below the oldest bookmark is looked for when a bookmark is written: a file that a sleeper
 * staged, and a dead plan whose closing failed. */
static void old_leftovers_are_swept_in_time(void **state)
{
	static const char closed[] = "_gristmill/j/plans/00000001.closed", staged[] = "_gristmill/j/work/00000002/x.staged";
	struct far_store *source = far_open(PARALLEL), *table = far_open(PARALLEL);
	struct gm_run_result result;
	struct gm_planned planned;
	struct place place;
	(void)state;
	open_place(&place, &source->store, &table->store, 1);
	put_objects(&source->store, 0, 1);
	assert_int_equal(gm_run_plan_on(place.job, &place.env, &place.options, &planned, &err), GM_OK);
	gm_planned_clear(&planned);
	place.options.abandon = true;
	assert_int_equal(run(&place, &result), GM_OK);
	assert_int_equal(result.abandoned, 1);
	gm_run_result_clear(&result);
	place.options.abandon = false;
	assert_true(has(table, closed));
	run_often(&place, 1, 32);
	assert_int_equal(gm_store_remove(table->objects, closed, &err), GM_OK);
	assert_int_equal(gm_store_put(table->objects, staged, "x", 1, true, &err), GM_OK);
	run_often(&place, 32, 33);
	assert_false(has(table, closed));
	assert_true(has(table, staged));
	run_often(&place, 33, 43);
	assert_true(has(table, closed));
	assert_false(has(table, staged));
	close_place(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(distance_changes_no_byte),
	    cmocka_unit_test(any_call_may_fail),
	    cmocka_unit_test(reading_may_fail),
	    cmocka_unit_test(keys_of_others_are_inputs),
	    cmocka_unit_test(a_new_table_is_probed),
	    cmocka_unit_test(requests_are_told),
	    cmocka_unit_test(old_leftovers_are_swept_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
