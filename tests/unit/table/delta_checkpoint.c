/* Checkpoints, _last_checkpoint, and cleaning. That others read what is written is for tests/test_delta_log.py to
 * say. */
#include "delta_fixture.h"

#include <unistd.h>

#define CHECKPOINT(version) "0000000000000000000" version ".checkpoint.parquet"
#define LAST                "_delta_log/_last_checkpoint"

static const int64_t day_ms = 86400000;

static void checkpoint(struct gm_store *store, int64_t version, int64_t now_ms)
{
	struct gm_delta_log *log = open_log(store, version);
	must(gm_delta_checkpoint(log, now_ms, &failure));
	gm_delta_free(log);
}

static enum gm_code collect(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	return gm_buf_printf(context, err, "%s|%s|%" PRIu64 "|%" PRId64 "|%s|%s|%d\n", file->path, file->partition,
	                     file->bytes, file->mtime_ms, file->stats != NULL ? file->stats : "-",
	                     file->tags != NULL ? file->tags : "-", file->data_change);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The head, transaction and all files of a version, in the order of their paths; free it. */
static char *describe(struct gm_store *store, int64_t version)
{
	struct gm_delta_log *log = open_log(store, version);
	const struct gm_delta_metadata *its = gm_delta_metadata(log);
	struct gm_buf text, out;
	char *lines[4096];
	size_t count = 0;
	int64_t txn = -1;
	(void)gm_delta_txn(log, "app", &txn);
	gm_buf_init(&text, 10 << 20);
	gm_buf_init(&out, 10 << 20);
	must(gm_delta_each_file(log, collect, &text, &failure));
	must(gm_buf_append(&text, "", 1, &failure));
	for (char *line = strtok((char *)text.data, "\n"); line != NULL; line = strtok(NULL, "\n")) lines[count++] = line;
	qsort(lines, count, sizeof *lines, compare_lines);
	must(gm_buf_printf(&out, &failure,
	                   "%" PRId64 " %s %s %s %s %s %" PRId64 " %zu %" PRId64 " %" PRId64 " %" PRId64 "\n",
	                   gm_delta_version(log), its->id, its->name, its->description, its->schema, its->configuration,
	                   its->created_ms, its->partition_count, txn, log->head.reader, log->head.writer));
	for (size_t i = 0; i < its->partition_count; i++)
		must(gm_buf_printf(&out, &failure, "%s\n", its->partition_columns[i]));
	assert_int_equal(count, gm_delta_file_count(log));
	for (size_t i = 0; i < count; i++) must(gm_buf_printf(&out, &failure, "%s\n", lines[i]));
	gm_delta_free(log);
	gm_buf_release(&text);
	return (char *)out.data;
}

/* A log with something of everything. */
static struct gm_store *make_log(void)
{
	struct gm_store *store = open_memory();
	put_text(
	    store, 0,
	    PROTOCOL METADATA(
	        "[\"p\",\"q\"]",
	        "{\"delta.appendOnly\":\"false\",\"own\":\"\\u00e9\"}") "{\"txn\":{\"appId\":\"app\",\"version\":1,"
	                                                                "\"lastUpdated\":3}}\n{\"txn\":{\"appId\":\"b\","
	                                                                "\"version\":2}}\n"
	                                                                "{\"add\":{\"path\":\"x%20y\",\"partitionValues\":{"
	                                                                "\"q\":null,\"p\":\"a:b\"},\"size\":1,"
	                                                                "\"modificationTime\":2,\"dataChange\":false,"
	                                                                "\"stats\":\"{\\\"numRecords\\\":3}\",\"tags\":{"
	                                                                "\"t\":\"u\"}}}\n"
	                                                                "{\"add\":{\"path\":\"z\",\"partitionValues\":{"
	                                                                "\"p\":\"\",\"q\":\"2\"},\"size\":0,"
	                                                                "\"modificationTime\":0,"
	                                                                "\"tags\":{}}}\n" ADD("r", "\"1\""));
	put_text(store, 1, REMOVE("r") "{\"txn\":{\"appId\":\"app\",\"version\":5}}\n" ADD("s", "\"1\""));
	put_text(store, 2, REMOVE("never") ADD("z", "\"3\""));
	return store;
}

static void a_checkpoint_says_what_its_entries_say(void **state)
{
	(void)state;
	struct gm_store *store = make_log();
	char *before = describe(store, 2), *after;
	for (int round = 0; round < 3; round++) {
		/* From entries; from an older checkpoint and entries; from itself. */
		if (round < 2) checkpoint(store, round == 0 ? 1 : 2, 0);
		after = describe(store, 2);
		assert_string_equal(after, before);
		free(after);
		if (round == 1)
			for (int64_t v = 0; v <= 2; v++) remove_entry(store, v);
	}
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	int64_t version;
	assert_true(gm_delta_txn(log, "b", &version) && version == 2);
	assert_int_equal(log->checkpoint, 2);
	gm_delta_free(log);
	free(before);
	gm_store_close(store);
}

static void paths_stay_as_they_were_spelt(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_log *log;
	put_text(store, 0, HEAD ADD("a%2bb", "\"1\"") ADD("s3://b/f", "\"1\""));
	put_text(store, 1, REMOVE("s3://b/f") REMOVE("c+d"));
	checkpoint(store, 1, 0);
	remove_entry(store, 0);
	remove_entry(store, 1);
	log = open_log(store, GM_DELTA_NEWEST);
	assert_true(gm_delta_has(log, "a+b"));
	assert_non_null(gm_delta_state_find(&log->state, "/s3://b/f"));
	assert_non_null(gm_delta_state_find(&log->state, "c+d"));
	char *bytes = text_of(store, "_delta_log/" CHECKPOINT("1"));
	free(bytes);
	gm_delta_free(log);
	gm_store_close(store);
}

/* Removes are kept for a week, or as long as the table says. */
static void removes_expire(void **state)
{
	(void)state;
	static const struct {
		const char *properties;
		int64_t now_ms;
		bool kept;
	} cases[] = {{"{}", 11 + INT64_C(7) * 86400000 - 1, true},
	             {"{}", 11 + INT64_C(7) * 86400000, false},
	             {"{\"delta.deletedFileRetentionDuration\":\"interval 1 hour\"}", 11 + 3600000, false},
	             {"{\"delta.deletedFileRetentionDuration\":\"interval 1 hour\"}", 10 + 3600000, true},
	             {"{}", INT64_MIN, true}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct gm_store *store = open_memory();
		char text[2000];
		(void)snprintf(text, sizeof text, PROTOCOL METADATA("[\"p\"]", "%s") "%s", cases[i].properties,
		               ADD("a", "\"1\""));
		put_text(store, 0, text);
		put_text(store, 1, REMOVE("a") "{\"remove\":{\"path\":\"no time\"}}");
		checkpoint(store, 1, cases[i].now_ms);
		remove_entry(store, 0);
		remove_entry(store, 1);
		struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
		assert_int_equal(gm_delta_file_count(log), 0);
		assert_int_equal(gm_delta_knows(log, "a"), cases[i].kept);
		assert_int_equal(gm_delta_knows(log, "no time"), cases[i].now_ms == INT64_MIN);
		gm_delta_free(log);
		gm_store_close(store);
	}
}

/* --- _last_checkpoint --------------------------------------------------------------------------------------------- */

static void check_last(struct gm_store *store, const char *expected)
{
	char *text = text_of(store, LAST);
	assert_non_null(strstr(text, expected));
	free(text);
}

static void the_pointer_moves_forward_only(void **state)
{
	(void)state;
	struct gm_store *store = make_log();
	checkpoint(store, 1, 0);
	/* protocol, metaData, two txn, three adds, a remove. */
	check_last(store, "{\"numOfAddFiles\":3,\"size\":8,\"sizeInBytes\":");
	check_last(store, ",\"version\":1}");
	checkpoint(store, 2, 0);
	check_last(store, ",\"version\":2}");
	checkpoint(store, 1, 0);
	check_last(store, ",\"version\":2}");
	gm_store_close(store);
}

static void a_pointer_that_lies_is_put_right(void **state)
{
	(void)state;
	static const char *const lies[] = {"",
	                                   "garbage",
	                                   "[]",
	                                   "{\"version\":\"7\"}",
	                                   "{\"version\":1e30}",
	                                   "{\"version\":7}",
	                                   "{\"version\":7,\"parts\":2}",
	                                   "{\"version\":9223372036854775807,\"parts\":-1}",
	                                   "{\"version\":0,\"size\":1}"};
	struct gm_store *store = make_log();
	checkpoint(store, 2, 0);
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		must(gm_store_put(store, LAST, lies[i], strlen(lies[i]), false, &failure));
		gm_delta_free(open_log(store, GM_DELTA_NEWEST)); /* it is not even looked at */
		checkpoint(store, 2, 0);
		check_last(store, "{\"numOfAddFiles\":3,\"size\":9,\"sizeInBytes\":");
		check_last(store, ",\"version\":2}");
	}
	gm_store_close(store);
}

static void a_checkpoint_is_not_overwritten(void **state)
{
	(void)state;
	struct gm_store *store = make_log();
	checkpoint(store, 2, 0);
	char *before = text_of(store, "_delta_log/" CHECKPOINT("2"));
	struct gm_object_info info, again;
	struct gm_arena arena;
	gm_arena_init(&arena, 100);
	must(gm_store_stat(store, "_delta_log/" CHECKPOINT("2"), &info, &arena, &failure));
	checkpoint(store, 2, INT64_MAX);
	must(gm_store_stat(store, "_delta_log/" CHECKPOINT("2"), &again, &arena, &failure));
	assert_int_equal(info.mtime_us, again.mtime_us);
	gm_arena_release(&arena);
	free(before);
	gm_store_close(store);
}

/* --- Checkpoints that are of no use ------------------------------------------------------------------------------- */

static void a_damaged_checkpoint_is_done_without(void **state)
{
	(void)state;
	struct gm_store *store = make_log();
	char *before = describe(store, 2);
	checkpoint(store, 1, 0);
	checkpoint(store, 2, 0);
	char *good = text_of(store, "_delta_log/" CHECKPOINT("2"));
	for (size_t n = 0; n < 200; n += 20) {
		put_bytes(store, CHECKPOINT("2"), good, n);
		struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
		assert_int_equal(log->checkpoint, 1);
		gm_delta_free(log);
	}
	char *after = describe(store, 2);
	assert_string_equal(before, after);
	free(after);
	/* Without entry 2 there is nothing else to build on. */
	remove_entry(store, 2);
	assert_int_equal(open_fails(store), GM_CORRUPT);
	assert_string_equal(failure.object, "_delta_log/" CHECKPOINT("2"));
	free(good);
	free(before);
	gm_store_close(store);
}

static enum gm_code into_buf(void *context, const void *data, size_t bytes, struct gm_error *err)
{
	return gm_buf_append(context, data, bytes, err);
}

/* A file with the head, or some adds, or both; put under this name. */
static void put_rows(struct gm_store *store, const char *name, const struct gm_delta_log *head, int first, int last)
{
	struct gm_delta_rows *rows;
	struct gm_buf bytes;
	uint64_t count, size;
	gm_buf_init(&bytes, 10 << 20);
	must(gm_delta_rows_new(into_buf, &bytes, &rows, &failure));
	if (head != NULL) must(gm_delta_rows_head(rows, &head->head, &failure));
	for (int i = first; i < last; i++) {
		char path[32];
		struct gm_delta_pair p = {"p", "1", 1};
		struct gm_delta_file_action file = {.uri = path, .partition = {&p, 1, true}, .bytes = 1, .data_change = true};
		(void)snprintf(path, sizeof path, "f%d", i);
		must(gm_delta_rows_add(rows, &file, &failure));
	}
	must(gm_delta_rows_finish(rows, &count, &size, &failure));
	assert_int_equal(size, bytes.len);
	gm_delta_rows_free(rows);
	put_bytes(store, name, bytes.data, bytes.len);
	gm_buf_release(&bytes);
}

#define PART(part, parts) "00000000000000000007.checkpoint.000000000" part ".000000000" parts ".parquet"

static void a_checkpoint_in_parts_needs_all_of_them(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	put_text(store, 0, HEAD);
	struct gm_delta_log *head = open_log(store, 0), *log;
	put_rows(store, PART("2", "3"), head, 0, 0);
	put_rows(store, PART("3", "3"), NULL, 10, 15);
	put_rows(store, PART("1", "2"), NULL, 0, 1);
	put_rows(store, PART("1", "4"), NULL, 0, 1);
	log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_version(log), 0);
	gm_delta_free(log);
	put_rows(store, PART("1", "3"), NULL, 0, 10);
	log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_version(log), 7);
	assert_int_equal(gm_delta_file_count(log), 15);
	gm_delta_free(log);
	/* The same file in two parts. */
	put_rows(store, PART("3", "3"), NULL, 9, 15);
	assert_int_equal(open_fails(store), GM_CORRUPT);
	assert_string_equal(failure.object, "_delta_log/" PART("3", "3"));
	gm_delta_free(head);
	gm_store_close(store);
}

static void a_checkpoint_of_the_second_kind_is_refused_by_name(void **state)
{
	(void)state;
	struct gm_store *store = make_log();
	put_bytes(store, "00000000000000000002.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json", "{", 1);
	gm_delta_free(open_log(store, GM_DELTA_NEWEST)); /* the entries say all that is needed */
	remove_entry(store, 0);
	assert_int_equal(open_fails(store), GM_UNSUPPORTED);
	assert_non_null(strstr(failure.message, "version 2"));
	assert_non_null(strstr(failure.message, "v2Checkpoint"));
	gm_store_close(store);
}

static void many_row_groups_are_read(void **state)
{
	(void)state;
	enum { FILES = 120000 };
	struct gm_store *store = open_memory();
	put_text(store, 0, HEAD);
	struct gm_delta_log *log = open_log(store, 0);
	put_rows(store, CHECKPOINT("5"), log, 0, FILES);
	gm_delta_free(log);
	log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_file_count(log), FILES);
	assert_true(gm_delta_has(log, "f0") && gm_delta_has(log, "f119999") && !gm_delta_has(log, "f120000"));
	const struct gm_delta_file *files;
	size_t count;
	must(gm_delta_partition(log, "p=1", &files, &count, &failure));
	assert_int_equal(count, FILES);
	assert_string_equal(files[1].path, "f1");
	assert_string_equal(files[2].path, "f10");
	gm_delta_free(log);
	gm_store_close(store);
}

/* --- Cleaning ----------------------------------------------------------------------------------------------------- */

/* The store's clock counts microseconds, one a put: this makes it go on by so many milliseconds. */
static void wait_ms(struct gm_store *store, int ms)
{
	for (int i = 0; i < ms * 1000; i++) must(gm_store_put(store, "clock", "", 0, false, &failure));
}

static void clean(struct gm_store *store, int64_t now_ms)
{
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	must(gm_delta_clean(log, now_ms, &failure));
	gm_delta_free(log);
}

/* Entries 0 .. 9, one a millisecond and a bit, checkpoints at 2, 5 and 8. */
static struct gm_store *make_history(const char *properties)
{
	struct gm_store *store = open_memory();
	char text[2000];
	(void)snprintf(text, sizeof text, PROTOCOL METADATA("[\"p\"]", "%s") "%s", properties, ADD("a", "\"1\""));
	for (int64_t v = 0; v <= 9; v++) {
		put_text(store, v, v == 0 ? text : "{}");
		wait_ms(store, 1);
		if (v == 2 || v == 5 || v == 8) checkpoint(store, v, 0);
	}
	return store;
}

static int64_t oldest_of(struct gm_store *store)
{
	int64_t oldest;
	must(gm_delta_oldest(store, &oldest, &failure));
	return oldest;
}

static void what_is_old_is_removed_up_to_a_checkpoint(void **state)
{
	(void)state;
	struct gm_store *store = make_history("{}");
	char *before = describe(store, 9);
	put_bytes(store, "00000000000000000001.crc", "", 0);
	put_bytes(store, "00000000000000000006.crc", "", 0);
	put_bytes(store, "00000000000000000005.00000000000000000006.compacted.json", "", 0);
	put_bytes(store, "00000000000000000006.00000000000000000007.compacted.json", "", 0);
	/* Entry 1 is put after 1 ms: nothing may go while it is younger than 30 days, nor before a checkpoint is as old. */
	clean(store, 30 * day_ms);
	assert_int_equal(oldest_of(store), 0);
	clean(store, 30 * day_ms + 2);
	assert_int_equal(oldest_of(store), 0);
	clean(store, 30 * day_ms + 3);
	assert_int_equal(oldest_of(store), 2);
	assert_true(is_there(store, CHECKPOINT("2")) && !is_there(store, "00000000000000000001.crc"));
	clean(store, 30 * day_ms + 8);
	assert_int_equal(oldest_of(store), 5);
	assert_true(!is_there(store, CHECKPOINT("2")) && is_there(store, CHECKPOINT("5")));
	assert_false(is_there(store, "00000000000000000005.00000000000000000006.compacted.json"));
	assert_true(is_there(store, "00000000000000000006.00000000000000000007.compacted.json"));
	assert_true(is_there(store, "00000000000000000006.crc"));
	clean(store, 1000 * day_ms);
	assert_int_equal(oldest_of(store), 8);
	assert_true(is_there(store, CHECKPOINT("8")) && !is_there(store, CHECKPOINT("5")));
	char *after = describe(store, 9);
	assert_string_equal(after, before);
	free(after);
	free(before);
	gm_store_close(store);
}

static void the_table_says_how_long(void **state)
{
	(void)state;
	static const struct {
		const char *properties;
		int64_t days, oldest;
	} cases[] = {{"{\"delta.logRetentionDuration\":\"interval 10 days\"}", 10, 5},
	             {"{\"delta.logRetentionDuration\":\"interval 10 days\"}", 9, 0},
	             {"{\"delta.logRetentionDuration\":\"interval 1 hour\"}", 7, 5}, /* never under a week */
	             {"{\"delta.logRetentionDuration\":\"interval 1 hour\"}", 6, 0},
	             {"{\"delta.logRetentionDuration\":\"interval 200 weeks\"}", 1000, 0},
	             {"{\"delta.enableExpiredLogCleanup\":\"false\"}", 1000, 0},
	             {"{\"delta.enableExpiredLogCleanup\":\"TRUE\"}", 30, 5}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct gm_store *store = make_history(cases[i].properties);
		clean(store, cases[i].days * day_ms + 8);
		assert_int_equal(oldest_of(store), cases[i].oldest);
		gm_store_close(store);
	}
}

static void a_history_is_not_hung_on_a_damaged_checkpoint(void **state)
{
	(void)state;
	struct gm_store *store = make_history("{}");
	put_bytes(store, CHECKPOINT("5"), "PAR1", 4);
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	must_fail(gm_delta_clean(log, 30 * day_ms + 8, &failure), GM_CORRUPT, "");
	assert_string_equal(failure.object, "_delta_log/" CHECKPOINT("5"));
	gm_delta_free(log);
	assert_int_equal(oldest_of(store), 0);
	gm_store_close(store);
}

/* A commit that was put below the history, by one who slept, is none of it; and holes are not made larger. */
static void what_lies_below_the_history_goes_with_it(void **state)
{
	(void)state;
	struct gm_store *store = make_history("{}");
	clean(store, 30 * day_ms + 8);
	put_text(store, 3, "{}");
	assert_int_equal(oldest_of(store), 5);
	gm_delta_free(open_log(store, GM_DELTA_NEWEST));
	clean(store, 1000 * day_ms);
	assert_false(entry_is_there(store, 3));
	assert_int_equal(oldest_of(store), 8);
	gm_store_close(store);
}

static void what_dead_writers_left_is_swept(void **state)
{
	(void)state;
	struct gm_store *store = make_log();
	must(gm_store_put(store, "_gristmill/log/1.staged", "x", 1, false, &failure));
	must(gm_store_put(store, "_gristmill/log/2.staged", "x", 1, false, &failure));
	clean(store, day_ms - 1);
	struct gm_buf buf;
	gm_buf_init(&buf, 10);
	must(gm_store_get(store, "_gristmill/log/1.staged", &buf, &failure));
	clean(store, day_ms + 1);
	assert_int_equal(gm_store_get(store, "_gristmill/log/1.staged", &buf, &failure), GM_NOT_FOUND);
	assert_int_equal(gm_store_get(store, "_gristmill/log/2.staged", &buf, &failure), GM_NOT_FOUND);
	gm_buf_release(&buf);
	gm_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_checkpoint_says_what_its_entries_say),
	    cmocka_unit_test(paths_stay_as_they_were_spelt),
	    cmocka_unit_test(removes_expire),
	    cmocka_unit_test(the_pointer_moves_forward_only),
	    cmocka_unit_test(a_pointer_that_lies_is_put_right),
	    cmocka_unit_test(a_checkpoint_is_not_overwritten),
	    cmocka_unit_test(a_damaged_checkpoint_is_done_without),
	    cmocka_unit_test(a_checkpoint_in_parts_needs_all_of_them),
	    cmocka_unit_test(a_checkpoint_of_the_second_kind_is_refused_by_name),
	    cmocka_unit_test(many_row_groups_are_read),
	    cmocka_unit_test(what_is_old_is_removed_up_to_a_checkpoint),
	    cmocka_unit_test(the_table_says_how_long),
	    cmocka_unit_test(a_history_is_not_hung_on_a_damaged_checkpoint),
	    cmocka_unit_test(what_lies_below_the_history_goes_with_it),
	    cmocka_unit_test(what_dead_writers_left_is_swept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
