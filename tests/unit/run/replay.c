/* Quarantine files as inputs: which of them a replay takes, and what becomes of their entries. */
#include "run/manifest.h"
#include "run/quarantine_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "run/plan_internal.h"
#include "table/quarantine_reader.h"
#include "../must.h"

static const char yaml[] = "job: j\n"
                           "source: {location: ./in, format: json, max_record: 1MiB}\n"
                           "table: {location: ./table, unique_by: [id]}\n"
                           "columns:\n"
                           "  - {name: id, type: bigint, from: id, required: true}\n"
                           "  - {name: d, type: date, expr: \"cast(t as date)\", on_error: quarantine}\n"
                           "  - {name: t, type: string, from: d}\n"
                           "  - {name: s, type: string, from: s}\n";
static const char file_key[] = "_gristmill/j/quarantine/00000001/00000.ndjson.gz";
static const char again_key[] = "_gristmill/j/quarantine/00000002/00000.ndjson.gz";
static const char input_key[] = "/_gristmill/j/quarantine/00000001/00000.ndjson.gz";

struct fixture {
	struct gm_store *source, *table; /* the source is empty */
	struct gm_job *job;
	struct gm_quarantine *quarantine; /* that is being written */
	struct gm_balance balance;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	must(gm_store_open_memory(&f->source, &failure));
	must(gm_store_open_memory(&f->table, &failure));
	must(gm_job_parse("j.yaml", yaml, sizeof yaml - 1, NULL, &f->job, &failure));
	must(gm_quarantine_new(f->table, file_key, "_gristmill/j/work/00000001/", &f->quarantine, &failure));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	gm_quarantine_free(f->quarantine);
	gm_job_free(f->job);
	gm_store_close(f->source);
	gm_store_close(f->table);
	free(f);
	return 0;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

static void add(struct fixture *f, const char *object, uint64_t record, uint64_t offset, const void *bytes, size_t n)
{
	struct gm_reject reject = {
	    .reason = GM_REASON_DAMAGED, .record = record, .offset = offset, .column = "c", .detail = "d"};
	must(gm_quarantine_add(f->quarantine, object, &reject, bytes, n, true, &failure));
}

static void add_text(struct fixture *f, const char *object, uint64_t record, uint64_t offset, const char *text)
{
	add(f, object, record, offset, text, strlen(text));
}

static uint64_t publish(struct fixture *f)
{
	char token[GM_TOKEN_BYTES];
	uint64_t bytes, hash[2];
	must(gm_quarantine_finish(f->quarantine, token, &bytes, hash, &failure));
	must(gm_store_publish(f->table, token, file_key, &failure));
	return bytes;
}

/* Works a unit whose one input is `key`; what is rejected again is published under again_key. */
static enum gm_code replay(struct fixture *f, const char *key, int threads)
{
	static const uint8_t secret[GM_KEY_SECRET_BYTES] = {1};
	struct gm_engine *engine;
	struct gm_unit_result result;
	struct gm_arena arena;
	struct gm_object_info info = {0};
	struct gm_engine_options options = {.job = f->job,
	                                    .source = f->source,
	                                    .table = f->table,
	                                    .log_store = f->table,
	                                    .threads = threads,
	                                    .memory_bytes = (uint64_t)threads << 26,
	                                    .scratch = "/tmp",
	                                    .key_secret = secret};
	gm_arena_init(&arena, 1024);
	if (gm_store_stat(f->table, file_key, &info, &arena, &failure) != GM_OK) info.size = 1;
	struct gm_input input = {.key = key, .size = info.size, .mtime_us = info.mtime_us, .etag = ""};
	struct gm_unit_spec unit = {.inputs = &input,
	                            .input_count = 1,
	                            .output = {.job = f->job,
	                                       .table = f->table,
	                                       .work_prefix = "_gristmill/j/work/00000002/",
	                                       .job8 = "01234567",
	                                       .h16 = "0123456789abcdef",
	                                       .run = 2,
	                                       .engine = "e",
	                                       .file_bytes = 1 << 20},
	                            .group_rows = 1000,
	                            .group_weight = 1 << 20,
	                            .quarantine_key = again_key};
	must(gm_engine_new(&options, &engine, &failure));
	enum gm_code rc = gm_engine_work(engine, &unit, NULL, NULL, &result, &failure);
	if (rc == GM_OK) {
		f->balance = result.objects[0];
		must(gm_balance_check(&f->balance, key, &failure));
		if (result.quarantine_token[0] != '\0')
			must(gm_store_publish(f->table, result.quarantine_token, again_key, &failure));
		gm_unit_result_release(&result);
	}
	gm_engine_free(engine);
	gm_arena_release(&arena);
	return rc;
}

/* --- What was rejected again -------------------------------------------------------------------------------------- */

struct again {
	struct gm_store_reader *object;
	struct gm_quarantine_reader *reader;
};

static enum gm_code read_again(void *context, void *into, size_t bytes, size_t *got, struct gm_error *error)
{
	return gm_store_reader_read(((struct again *)context)->object, into, bytes, got, error);
}

static void open_again(struct fixture *f, struct again *again)
{
	must(gm_store_reader_open(f->table, again_key, &again->object, &failure));
	must(gm_quarantine_reader_new(&again->reader, &failure));
	gm_quarantine_reader_begin(again->reader, read_again, again);
}

static void expect_entry(struct again *again, const char *object, uint64_t record, uint64_t offset,
                         enum gm_reason reason, const char *raw)
{
	const struct gm_quarantine_head *head;
	char bytes[256];
	size_t got;
	must(gm_quarantine_reader_next(again->reader, &head, &failure));
	if (head == NULL) fail_msg("no entry at %llu of %s", (unsigned long long)offset, object);
	assert_string_equal(head->object, object);
	assert_int_equal(head->record, record);
	assert_int_equal(head->offset, offset);
	assert_string_equal(gm_reason_code(head->reason), gm_reason_code(reason));
	if (raw == NULL) return;
	must(gm_quarantine_reader_read(again->reader, bytes, sizeof bytes, &got, &failure));
	assert_int_equal(got, strlen(raw));
	assert_memory_equal(bytes, raw, got);
}

static void expect_end(struct again *again)
{
	const struct gm_quarantine_head *head;
	must(gm_quarantine_reader_next(again->reader, &head, &failure));
	assert_null(head);
	gm_quarantine_reader_free(again->reader);
	gm_store_reader_close(again->object);
}

/* --- Tests: entries ----------------------------------------------------------------------------------------------- */

/* Records that can be used now, several in one entry, duplicates, and what cannot be used still. */
static void every_entry_is_a_stream_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct again again;
	add_text(f, "a", 5, 100, "{\"id\":1}\n{\"id\":2}, {\"d\":\"2024-01-01\"}");
	add_text(f, "a", 6, 200, "{\"id\":3,\"s\":\"never closed");
	add_text(f, "b", 0, 0, "{\"id\":1}");
	add_text(f, "b", 1, 8, "{\"id\":4,\"d\":\"no date\"}{\"id\":5,\"d\":\"2024-01-01\"}");
	uint64_t stored = publish(f);
	must(replay(f, input_key, 1));
	assert_int_equal(f->balance.records_read, 7);
	assert_int_equal(f->balance.rows_written, 3); /* 1, 2, 5 */
	assert_int_equal(f->balance.duplicates, 1);
	assert_int_equal(f->balance.quarantined, 3);
	assert_int_equal(f->balance.bytes_in, stored);
	assert_int_equal(f->balance.bytes_raw, 37 + 25 + 8 + 22 + 25);
	open_again(f, &again);
	expect_entry(&again, "a", 5, 119, GM_REASON_REQUIRED, "{\"d\":\"2024-01-01\"}");
	expect_entry(&again, "a", 6, 200, GM_REASON_TRUNCATED, "{\"id\":3,\"s\":\"never closed");
	expect_entry(&again, "b", 1, 8, GM_REASON_EXPRESSION, "{\"id\":4,\"d\":\"no date\"}");
	expect_end(&again);
}

/* What says only that something is missing is not lost: it stays as it was. */
static void notices_stay(void **state)
{
	struct fixture *f = *state;
	struct again again;
	add_text(f, "a", 5, 100, "");
	add_text(f, "a", 6, 100, " \n");
	add_text(f, "b", 0, 0, "{\"id\":1}");
	(void)publish(f);
	must(replay(f, input_key, 1));
	assert_int_equal(f->balance.records_read, 3);
	assert_int_equal(f->balance.rows_written, 1);
	assert_int_equal(f->balance.bytes_raw, 10);
	open_again(f, &again);
	expect_entry(&again, "a", 5, 100, GM_REASON_DAMAGED, "");
	expect_entry(&again, "a", 6, 100, GM_REASON_DAMAGED, "");
	expect_end(&again);
}

/* One span of many windows, which is kept as base64: its rows, what deriving rejects of them, a record too large. */
static void a_span_may_be_larger_than_a_window(void **state)
{
	enum { RECORDS = 60000, LARGE = 1500000 };
	struct fixture *f = *state;
	struct gm_buf span;
	struct again again;
	uint64_t bad[3] = {0};
	gm_buf_init(&span, (size_t)64 << 20);
	for (int i = 0; i < RECORDS; i++) {
		if (i % 25000 == 7) bad[i / 25000] = span.len;
		must(gm_buf_printf(&span, &failure, "{\"id\":%d,\"s\":\"some text to fill it\",\"d\":\"%s\"}\n", i,
		                   i % 25000 == 7 ? "never" : "2024-01-01"));
	}
	uint64_t large = span.len;
	must(gm_buf_printf(&span, &failure, "{\"id\":%d,\"s\":\"", RECORDS));
	must(gm_buf_reserve(&span, LARGE, &failure));
	memset(span.data + span.len, 'x', LARGE);
	span.len += LARGE;
	must(gm_buf_printf(&span, &failure, "\"}\n"));
	add(f, "big.gz", 3, 1000, span.data, span.len);
	(void)publish(f);
	for (int threads = 1; threads <= 3; threads += 2) {
		if (threads > 1) must(gm_store_remove(f->table, again_key, &failure));
		must(replay(f, input_key, threads));
		assert_int_equal(f->balance.records_read, RECORDS + 1);
		assert_int_equal(f->balance.rows_written, RECORDS - 3);
		assert_int_equal(f->balance.quarantined, 4);
		assert_int_equal(f->balance.bytes_raw, span.len);
		open_again(f, &again);
		for (int i = 0; i < 3; i++) expect_entry(&again, "big.gz", 3, 1000 + bad[i], GM_REASON_EXPRESSION, NULL);
		expect_entry(&again, "big.gz", 3, 1000 + large, GM_REASON_TOO_LARGE, NULL);
		expect_end(&again);
	}
	gm_buf_release(&span);
}

static void a_damaged_file_is_named(void **state)
{
	struct fixture *f = *state;
	struct gm_buf file;
	add_text(f, "a", 5, 100, "{\"id\":1}");
	(void)publish(f);
	gm_buf_init(&file, 1 << 20);
	must(gm_store_get(f->table, file_key, &file, &failure));
	file.data[file.len / 2] ^= 1;
	must(gm_store_put(f->table, file_key, file.data, file.len, false, &failure));
	gm_buf_release(&file);
	assert_int_equal(replay(f, input_key, 1), GM_CORRUPT);
	assert_string_equal(failure.object, file_key);
}

static void a_file_that_is_gone_is_a_change(void **state)
{
	assert_int_equal(replay(*state, input_key, 1), GM_CHANGED);
	assert_string_equal(failure.object, file_key);
}

static void an_input_cannot_lead_out_of_the_table(void **state)
{
	assert_int_equal(replay(*state, "/_gristmill/../../secret", 1), GM_CORRUPT);
	assert_string_equal(failure.object, "/_gristmill/../../secret");
	assert_int_equal(replay(*state, "/_gristmill//etc/passwd", 1), GM_CORRUPT);
	/* These are keys of the source, which has none that it could not write. */
	assert_int_equal(replay(*state, "/../secret", 1), GM_USAGE);
	assert_int_equal(replay(*state, "//etc/passwd", 1), GM_USAGE);
}

/* --- Tests: which files ------------------------------------------------------------------------------------------- */

static void put(struct fixture *f, const char *key)
{
	must(gm_store_put(f->table, key, "x", 1, false, &failure));
}

/* Keys of the plan's inputs behind the common part; the caller releases. */
static void expect_inputs(struct fixture *f, struct gm_bookmark *bookmark, const struct gm_replay_choice *choice,
                          const char *expected)
{
	char got[512] = "";
	struct gm_plan *plan;
	struct gm_plan_request request = {
	    .job = f->job, .bookmark = bookmark, .parent = 7, .engine = "e", .now_us = 5, .full_us = 3, .replay = choice};
	must(gm_plan_make(&request, &plan, &failure));
	for (size_t i = 0; plan != NULL && i < plan->input_count; i++) {
		const char *key = plan->inputs[i].key, *start = "/_gristmill/j/quarantine/";
		assert_int_equal(strncmp(key, start, strlen(start)), 0);
		(void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", key + strlen(start));
	}
	assert_string_equal(got, expected);
	if (plan == NULL) return;
	assert_true(gm_plan_is_replay(plan));
	assert_int_equal(plan->kind, GM_PLAN_RUN);
	assert_true(plan->unit_count > 0);
	assert_int_equal(plan->full_us, 3); /* the source was not listed */
	gm_plan_free(plan);
}

static void only_files_of_committed_runs_count(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = {"00000001/00000.ndjson.gz", "00000001/00001.ndjson.gz",
	                                   "00000002/00000.ndjson.gz", "00000003/00000.ndjson.gz",
	                                   "00000005/00000.ndjson.gz",
	                                   /* not ours */
	                                   "00000001/notes.txt", "00000001/00000.ndjson.gz.bak", "1/00000.ndjson.gz",
	                                   "00000001/x/00000.ndjson.gz", "00000001/.ndjson.gz"};
	char key[GM_KEY_BYTES];
	struct gm_bookmark *bookmark;
	struct gm_layout layout;
	static const uint64_t runs[] = {2, 1};
	must(gm_layout_init(&layout, "j", &failure));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		(void)snprintf(key, sizeof key, "%squarantine/%s", layout.job, keys[i]);
		put(f, key);
	}
	must(gm_bookmark_open(NULL, NULL, &bookmark, &failure));
	must(gm_bookmark_run(bookmark, 1, &failure));
	must(gm_bookmark_run(bookmark, 2, &failure));
	struct gm_replay_choice choice = {.table = f->table, .layout = &layout, .until = 5};
	expect_inputs(f, bookmark, &choice, "00000001/00000.ndjson.gz 00000001/00001.ndjson.gz 00000002/00000.ndjson.gz ");
	must(gm_bookmark_run(bookmark, 5, &failure)); /* 3 was never committed */
	struct gm_bookmark_entry entry = {.key = "/_gristmill/j/quarantine/00000001/00001.ndjson.gz", .run = 5};
	must(gm_bookmark_add(bookmark, &entry, &failure));
	expect_inputs(f, bookmark, &choice, "00000001/00000.ndjson.gz 00000002/00000.ndjson.gz 00000005/00000.ndjson.gz ");
	choice.until = 4;
	expect_inputs(f, bookmark, &choice, "00000001/00000.ndjson.gz 00000002/00000.ndjson.gz ");
	choice.runs = runs;
	choice.run_count = 1;
	expect_inputs(f, bookmark, &choice, "00000002/00000.ndjson.gz ");
	choice.run_count = 2;
	choice.until = 1;
	expect_inputs(f, bookmark, &choice, "00000001/00000.ndjson.gz ");
	choice.until = 0;
	expect_inputs(f, bookmark, &choice, "");
	gm_bookmark_free(bookmark);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_entry_is_a_stream_of_its_own, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(notices_stay, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_span_may_be_larger_than_a_window, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_damaged_file_is_named, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_file_that_is_gone_is_a_change, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(an_input_cannot_lead_out_of_the_table, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(only_files_of_committed_runs_count, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
