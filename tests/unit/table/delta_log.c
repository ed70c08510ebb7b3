/* The Delta log without checkpoints: entries that are written and replayed; on a store in memory. */
#include "delta_fixture.h"

static const char *const two[] = {"year", "month"};
static const char *const one[] = {"p"};

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* Line by line what PROTOCOL.md asks for. */
static void an_entry_is_written_as_the_protocol_says(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_file files[] = {
	    add("year=2024/month=a%3Ab c/f \xc3\xa9.parquet", "year=2024/month=a%3Ab c", 10),
	    add("year=__HIVE_DEFAULT_PARTITION__/month=1/g.parquet", "year=__HIVE_DEFAULT_PARTITION__/month=1", 20)};
	files[1].stats = files[1].tags = NULL;
	struct gm_delta_metadata first = metadata(two, 2);
	first.description = "quo\"te";
	first.schema = "{\"type\":\"struct\",\"fields\":[]}";
	first.configuration = "{\"delta.appendOnly\":\"true\"}";
	struct gm_delta_text parameters[] = {{"mode", "Append"}, {"claim", "7"}}, metrics[] = {{"numFiles", "2"}};
	struct gm_delta_txn_action txns[] = {{"gristmill/j", 4}, {"other", -1}};
	struct gm_delta_commit commit = {.timestamp_ms = 1710108085000,
	                                 .operation = "WRITE",
	                                 .engine_info = "gristmill/0.1.0",
	                                 .parameters = parameters,
	                                 .parameter_count = 2,
	                                 .metrics = metrics,
	                                 .metric_count = 1,
	                                 .blind_append = true,
	                                 .protocol = true,
	                                 .metadata = &first,
	                                 .txns = txns,
	                                 .txn_count = 2,
	                                 .adds = files,
	                                 .add_count = 2};
	must(gm_delta_put(store, 0, &commit, &failure));
	char *text = text_of(store, "_delta_log/00000000000000000000.json");
	assert_string_equal(
	    text,
	    "{\"commitInfo\":{\"engineInfo\":\"gristmill/"
	    "0.1.0\",\"isBlindAppend\":true,\"isolationLevel\":\"Serializable\","
	    "\"operation\":\"WRITE\",\"operationMetrics\":{\"numFiles\":\"2\"},\"operationParameters\":{\"claim\":\"7\","
	    "\"mode\":\"Append\"},\"timestamp\":1710108085000}}\n"
	    "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
	    "{\"metaData\":{\"configuration\":{\"delta.appendOnly\":\"true\"},\"createdTime\":1710108000000,"
	    "\"description\":\"quo\\\"te\",\"format\":{\"options\":{},\"provider\":\"parquet\"},\"id\":\"" TABLE_ID
	    "\",\"name\":\"t\",\"partitionColumns\":[\"year\",\"month\"],"
	    "\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[]}\"}}\n"
	    "{\"txn\":{\"appId\":\"gristmill/j\",\"lastUpdated\":1710108085000,\"version\":4}}\n"
	    "{\"txn\":{\"appId\":\"other\",\"lastUpdated\":1710108085000,\"version\":-1}}\n"
	    "{\"add\":{\"dataChange\":true,\"modificationTime\":1710108084084,"
	    "\"partitionValues\":{\"month\":\"a:b c\",\"year\":\"2024\"},"
	    "\"path\":\"year=2024/month=a%253Ab%20c/f%20%C3%A9.parquet\",\"size\":10,"
	    "\"stats\":\"{\\\"numRecords\\\":1}\",\"tags\":{\"run\":\"1\"}}}\n"
	    "{\"add\":{\"dataChange\":true,\"modificationTime\":1710108084084,"
	    "\"partitionValues\":{\"month\":\"1\",\"year\":null},"
	    "\"path\":\"year=__HIVE_DEFAULT_PARTITION__/month=1/g.parquet\",\"size\":20}}\n");
	free(text);
	gm_store_close(store);
}

static void an_entry_is_never_overwritten(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_file file = add("p=1/a", "p=1", 1), other = add("p=1/b", "p=1", 1);
	put_first(store, one, 1, &file, 1);
	assert_int_equal(put_adds(store, 0, NULL, &other, 1, &failure), GM_EXISTS);
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	assert_true(gm_delta_has(log, "p=1/a") && !gm_delta_has(log, "p=1/b"));
	gm_delta_free(log);
	gm_store_close(store);
}

static void what_would_be_read_differently_is_not_written(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_file twice[] = {add("p=1/a", "p=1", 1), add("p=1/b", "p=1", 1), add("p=1/a", "p=1", 2)};
	must_fail(put_adds(store, 0, NULL, twice, 3, &failure), GM_BUG, "adds the file p=1/a twice");
	twice[1].path = "../a";
	must_fail(put_adds(store, 0, NULL, twice, 2, &failure), GM_BUG, "under the name ../a");
	twice[0].tags = "[1]";
	must_fail(put_adds(store, 0, NULL, twice, 1, &failure), GM_BUG, "tags is not a JSON object");
	twice[0].tags = NULL;
	twice[0].partition = "p";
	must_fail(put_adds(store, 0, NULL, twice, 1, &failure), GM_CORRUPT, "without '='");
	assert_false(entry_is_there(store, 0));
	gm_store_close(store);
}

/* --- Replay ------------------------------------------------------------------------------------------------------- */

static void a_table_begins(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_delta_log *log;
	assert_int_equal(gm_delta_open(store, GM_DELTA_NEWEST, MEMORY, &log, &failure), GM_NOT_FOUND);
	assert_null(log);
	int64_t version = 5;
	assert_int_equal(gm_delta_oldest(store, &version, &failure), GM_NOT_FOUND);
	struct gm_delta_file files[] = {add("year=2024/month=03/a.parquet", "year=2024/month=03", 10)};
	put_first(store, two, 2, files, 1);
	log = open_log(store, GM_DELTA_NEWEST);
	const struct gm_delta_metadata *its = gm_delta_metadata(log);
	assert_int_equal(gm_delta_version(log), 0);
	assert_int_equal(gm_delta_file_count(log), 1);
	assert_string_equal(its->id, TABLE_ID);
	assert_string_equal(its->name, "t");
	assert_string_equal(its->description, "");
	assert_string_equal(its->schema, SCHEMA);
	assert_string_equal(its->configuration, "{}");
	assert_int_equal(its->created_ms, 1710108000000);
	assert_int_equal(its->partition_count, 2);
	assert_string_equal(its->partition_columns[1], "month");
	must(gm_delta_check_writable(log, &failure));
	assert_false(gm_delta_checkpoint_due(log));
	gm_delta_free(log);
	gm_delta_free(NULL);
	must_fail(gm_delta_open(store, 1, MEMORY, &log, &failure), GM_NOT_FOUND, "no version 1: the newest is 0");
	gm_store_close(store);
}

static void the_newest_action_counts(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	put_text(store, 0, HEAD ADD("a", "\"1\"") ADD("b", "\"1\"") ADD("c", "\"2\""));
	put_text(store, 1, REMOVE("a") ADD("b", "\"3\"") REMOVE("never"));
	put_text(store, 2, ADD("a", "null"));
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	const struct gm_delta_file *files;
	size_t count;
	assert_int_equal(gm_delta_file_count(log), 3);
	must(gm_delta_partition(log, "p=1", &files, &count, &failure));
	assert_int_equal(count, 0);
	must(gm_delta_partition(log, "p=3", &files, &count, &failure));
	assert_int_equal(count, 1);
	assert_string_equal(files[0].path, "b");
	assert_string_equal(files[0].partition, "p=3");
	assert_int_equal(files[0].bytes, 7);
	assert_int_equal(files[0].mtime_ms, 9);
	must(gm_delta_partition(log, "p=__HIVE_DEFAULT_PARTITION__", &files, &count, &failure));
	assert_int_equal(count, 1);
	must(gm_delta_partition(log, "p=unheard", &files, &count, &failure));
	assert_int_equal(count, 0);
	assert_false(gm_delta_has(log, "never") || gm_delta_has(log, "unheard"));
	gm_delta_free(log);
	log = open_log(store, 1);
	assert_int_equal(gm_delta_file_count(log), 2);
	assert_false(gm_delta_has(log, "a"));
	gm_delta_free(log);
	gm_store_close(store);
}

static void the_newest_transaction_counts(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	int64_t version = 77;
	put_text(store, 0, HEAD "{\"txn\":{\"appId\":\"a\",\"version\":9}}\n{\"txn\":{\"appId\":\"\",\"version\":1}}\n");
	put_text(store, 1, "{\"txn\":{\"appId\":\"a\",\"version\":-9223372036854775808,\"lastUpdated\":3}}\n");
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	assert_true(gm_delta_txn(log, "a", &version));
	assert_true(version == INT64_MIN);
	assert_true(gm_delta_txn(log, "", &version));
	assert_int_equal(version, 1);
	assert_false(gm_delta_txn(log, "b", &version));
	assert_int_equal(version, 1);
	assert_int_equal(gm_delta_txn_count(log), 2);
	assert_string_equal(gm_delta_txn_at(log, 0).app_id, "a");
	assert_true(gm_delta_txn_at(log, 0).version == INT64_MIN);
	assert_string_equal(gm_delta_txn_at(log, 1).app_id, "");
	assert_int_equal(gm_delta_txn_at(log, 1).version, 1);
	gm_delta_free(log);
	gm_store_close(store);
}

/* partitionValues is a map in any order, the metadata may come after the files, and another one may follow. */
static void partitions_follow_the_columns_of_the_metadata(void **state)
{
	(void)state;
	static const char text[] =
	    PROTOCOL "{\"add\":{\"path\":\"f\",\"partitionValues\":{\"b\":\"x/y\",\"a\":\"1\",\"z\":\"9\"},\"size\":1,"
	             "\"modificationTime\":1,\"dataChange\":true}}\n"
	             "{\"add\":{\"path\":\"g\",\"partitionValues\":{\"a\":\"\"},\"size\":1,\"modificationTime\":1}}\n"
	             "{\"add\":{\"path\":\"h\",\"size\":1,\"modificationTime\":1}}\n" METADATA("[\"b\",\"a\"]", "{}");
	struct gm_store *store = open_memory();
	const struct gm_delta_file *files;
	size_t count;
	put_text(store, 0, text);
	put_text(store, 1, METADATA("[\"a\"]", "{}"));
	struct gm_delta_log *log = open_log(store, 0);
	must(gm_delta_partition(log, "b=x%2Fy/a=1", &files, &count, &failure));
	assert_int_equal(count, 1);
	must(
	    gm_delta_partition(log, "b=__HIVE_DEFAULT_PARTITION__/a=__HIVE_DEFAULT_PARTITION__", &files, &count, &failure));
	assert_int_equal(count, 2);
	assert_string_equal(files[0].path, "g");
	assert_string_equal(files[1].path, "h");
	gm_delta_free(log);
	log = open_log(store, 1);
	must(gm_delta_partition(log, "a=1", &files, &count, &failure));
	assert_int_equal(count, 1);
	gm_delta_free(log);
	gm_store_close(store);
}

static void an_unpartitioned_table_has_one_partition(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	const struct gm_delta_file *files;
	size_t count;
	struct gm_delta_file file = add("a.parquet", "", 1);
	put_first(store, NULL, 0, &file, 1);
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	must(gm_delta_partition(log, "", &files, &count, &failure));
	assert_int_equal(count, 1);
	assert_string_equal(files[0].partition, "");
	gm_delta_free(log);
	gm_store_close(store);
}

static void paths_are_compared_unescaped(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	put_text(store, 0, HEAD ADD("p=a%253Ab/f%20%C3%A9+%", "\"a:b\"") ADD("p=1/x", "\"1\""));
	put_text(store, 1, REMOVE("p%3D1/%78"));
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_file_count(log), 1);
	assert_true(gm_delta_has(log, "p=a%3Ab/f \xc3\xa9+%"));
	gm_delta_free(log);
	gm_store_close(store);
}

static enum gm_code collect(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	return gm_buf_printf(context, err, "%s|%s|%" PRIu64 "|%" PRId64 "|%s|%s|%d\n", file->path, file->partition,
	                     file->bytes, file->mtime_ms, file->stats != NULL ? file->stats : "-",
	                     file->tags != NULL ? file->tags : "-", file->data_change);
}

static void every_file_tells_all_that_the_log_knows(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_buf text;
	put_text(store, 0,
	         HEAD ADD("old", "\"1\"")
	             ADD("gone", "\"1\"") "{\"add\":{\"path\":\"full\",\"partitionValues\":{\"p\":\"1\"},"
	                                  "\"size\":9007199254740993,\"modificationTime\":-5,"
	                                  "\"dataChange\":false,\"stats\":\"{\\\"a\\\":1}\","
	                                  "\"tags\":{\"b\":\"2\",\"a\":\"\\u00e9\"}}}\n");
	put_text(store, 1, REMOVE("gone") ADD("old", "\"2\""));
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	gm_buf_init(&text, 10000);
	must(gm_delta_each_file(log, collect, &text, &failure));
	must(gm_buf_append(&text, "", 1, &failure));
	assert_string_equal((char *)text.data, "full|p=1|9007199254740993|-5|{\"a\":1}|{\"a\":\"\xc3\xa9\",\"b\":\"2\"}|0\n"
	                                       "old|p=2|7|9|-|-|1\n");
	gm_buf_release(&text);
	/* What it was read from must still be there. */
	remove_entry(store, 0);
	gm_buf_init(&text, 10000);
	must_fail(gm_delta_each_file(log, collect, &text, &failure), GM_CHANGED, "cleaned away");
	put_text(store, 0, HEAD);
	must_fail(gm_delta_each_file(log, collect, &text, &failure), GM_CHANGED, "replaced");
	gm_buf_release(&text);
	gm_delta_free(log);
	gm_store_close(store);
}

/* --- Changes ------------------------------------------------------------------------------------------------------ */

static enum gm_code collect_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	GM_TRY(gm_buf_printf(context, err, "%" PRId64 " %" PRId64 " %s%s%s", entry->version, entry->timestamp_ms,
	                     entry->commit_info != NULL ? entry->commit_info : "-", entry->metadata ? " metadata" : "",
	                     entry->protocol ? " protocol" : ""));
	for (size_t i = 0; i < entry->txn_count; i++)
		GM_TRY(gm_buf_printf(context, err, " %s:%" PRId64, entry->txns[i].app_id, entry->txns[i].version));
	for (size_t i = 0; i < entry->add_count; i++)
		GM_TRY(gm_buf_printf(context, err, " +%s(%s)", entry->adds[i].path, entry->adds[i].partition));
	for (size_t i = 0; i < entry->remove_count; i++)
		GM_TRY(gm_buf_printf(context, err, " -%s(%s)", entry->removes[i].path,
		                     entry->removes[i].partition != NULL ? entry->removes[i].partition : "?"));
	return gm_buf_append(context, "\n", 1, err);
}

static void check_changes(struct gm_store *store, int64_t first, const char *expected)
{
	struct gm_buf text;
	gm_buf_init(&text, 10000);
	must(gm_delta_entries(store, first, collect_entry, &text, &failure));
	must(gm_buf_append(&text, "", 1, &failure));
	assert_string_equal((char *)text.data, expected);
	gm_buf_release(&text);
}

static void changes_are_told_entry_by_entry(void **state)
{
	(void)state;
	static const char zero[] = "0 8 {\"timestamp\":8} metadata protocol a:1 +x(p=1)\n";
	static const char two_to_three[] =
	    "2 0 - metadata +y(q=2/p=1)\n"
	    "3 0 {\"timestamp\":\"late\"} -x(q=__HIVE_DEFAULT_PARTITION__/p=1) -s3://b/x(?)\n";
	struct gm_store *store = open_memory();
	put_text(store, 0,
	         "{\"commitInfo\":{\"timestamp\":8}}\n" HEAD
	         "{\"txn\":{\"appId\":\"a\",\"version\":1}}\n" ADD("x", "\"1\""));
	put_text(store, 1, "{\"unheard\":{\"of\":[1,2]}}\n\n{}\n{\"commitInfo\":{\"n\":123456789012345678901234567890}}");
	put_text(store, 2,
	         "{\"add\":{\"path\":\"y\",\"partitionValues\":{\"p\":\"1\",\"q\":\"2\"},\"size\":1,\"modificationTime\":1}"
	         "}\n" METADATA("[\"q\",\"p\"]", "{}"));
	put_text(
	    store, 3,
	    "{\"commitInfo\":{\"timestamp\":\"late\"}}\r\n{\"remove\":{\"path\":\"x\",\"partitionValues\":{\"p\":\"1\"}}}\n"
	    "{\"remove\":{\"path\":\"s3://b/x\"},\"add\":null}\n");
	check_changes(store, 2, two_to_three);
	char all[1000];
	(void)snprintf(all, sizeof all, "%s1 0 {\"n\":1.2345678901234568e29}\n%s", zero, two_to_three);
	check_changes(store, 0, all);
	check_changes(store, -3, all);
	check_changes(store, 4, "");
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	assert_int_equal(gm_delta_file_count(log), 1);
	gm_delta_free(log);
	gm_store_close(store);
}

static enum gm_code refuse_second(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	++*(int *)context;
	if (entry->version == 1) GM_FAIL(err, GM_LOST, "seen enough");
	return GM_OK;
}

static void changes_end_where_the_caller_says(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	int calls = 0;
	check_changes(store, 0, "");
	put_text(store, 0, HEAD);
	put_text(store, 1, ADD("x", "\"1\""));
	put_text(store, 2, "not read");
	must_fail(gm_delta_entries(store, 0, refuse_second, &calls, &failure), GM_LOST, "seen enough");
	assert_int_equal(calls, 2);
	struct gm_buf text;
	gm_buf_init(&text, 1000);
	must_fail(gm_delta_entries(store, 0, collect_entry, &text, &failure), GM_CORRUPT, "JSON");
	gm_buf_release(&text);
	gm_store_close(store);
}

/* --- Size --------------------------------------------------------------------------------------------------------- */

static void a_large_entry_takes_the_memory_of_its_files(void **state)
{
	(void)state;
	enum { FILES = 20000 };
	struct gm_store *store = open_memory();
	struct gm_delta_file *files = calloc(FILES, sizeof *files);
	char(*paths)[64] = calloc(FILES, sizeof *paths);
	assert_true(files != NULL && paths != NULL);
	for (size_t i = 0; i < FILES; i++) {
		(void)snprintf(paths[i], sizeof paths[i], "p=%zu/part-%08zu-0123456789abcdef.zstd.parquet", i % 7, i);
		files[i] = add(paths[i], "p=1", i);
	}
	put_first(store, one, 1, files, FILES);
	struct gm_delta_log *log;
	must(gm_delta_open(store, GM_DELTA_NEWEST, 8 << 20, &log, &failure));
	assert_int_equal(gm_delta_file_count(log), FILES);
	size_t used = gm_dict_memory_bytes(log->state.paths) + log->state.record_room * sizeof *log->state.records;
	assert_true(used / FILES < 200);
	gm_delta_free(log);
	must_fail(gm_delta_open(store, GM_DELTA_NEWEST, 1 << 20, &log, &failure), GM_NOMEM, "more files than");
	assert_true(strstr(failure.hint, "--memory") != NULL);
	free(paths);
	free(files);
	gm_store_close(store);
}

/* Versions so many that not all are listed, with a checkpoint near the end, far from it, damaged or without one:
 * whoever knows of a version, whichever, finds the same as by a listing of all. */
static void a_long_log_is_read_from_near_its_end(void **state)
{
	enum { VERSIONS = 200 };
	static const int64_t had[] = {-1, 0, 5, 100, 150, VERSIONS - 2, VERSIONS - 1};
	(void)state;
	for (int place = 0; place < 4; place++) {
		struct gm_store *store = open_memory();
		int64_t checkpoint = place == 1 ? 20 : VERSIONS - 10;
		put_text(store, 0, HEAD ADD("f0", "\"1\""));
		for (int64_t v = 1; v < VERSIONS; v++) {
			char text[256];
			(void)snprintf(text, sizeof text, "{\"txn\":{\"appId\":\"a\",\"version\":%d}}\n" ADD("f%d", "\"1\""),
			               (int)v, (int)v);
			put_text(store, v, text);
			if (place == 3 || v != checkpoint) continue;
			struct gm_delta_log *log = open_log(store, v);
			must(gm_delta_checkpoint(log, 0, &failure));
			gm_delta_free(log);
			char name[64];
			(void)snprintf(name, sizeof name, "%020d.checkpoint.parquet", (int)v);
			if (place == 2) put_bytes(store, name, "damaged", 7);
		}
		for (size_t i = 0; i < sizeof had / sizeof had[0]; i++) {
			struct gm_delta_log *log;
			int64_t version;
			must(gm_delta_open_since(store, had[i], MEMORY, &log, &failure));
			assert_int_equal(gm_delta_version(log), VERSIONS - 1);
			assert_int_equal(gm_delta_file_count(log), VERSIONS);
			assert_true(gm_delta_txn(log, "a", &version) && version == VERSIONS - 1);
			gm_delta_free(log);
			char expected[256];
			(void)snprintf(expected, sizeof expected, "%d 0 - a:%d +f%d(p=1)\n", VERSIONS - 1, VERSIONS - 1,
			               VERSIONS - 1);
			check_changes(store, VERSIONS - 1, expected);
		}
		bool certain;
		must(gm_delta_is_history(store, VERSIONS - 1, &certain, &failure));
		assert_true(certain);
		must(gm_delta_is_history(store, checkpoint, &certain, &failure));
		assert_int_equal(certain, place == 3);
		gm_store_close(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_entry_is_written_as_the_protocol_says),
	    cmocka_unit_test(an_entry_is_never_overwritten),
	    cmocka_unit_test(what_would_be_read_differently_is_not_written),
	    cmocka_unit_test(a_table_begins),
	    cmocka_unit_test(the_newest_action_counts),
	    cmocka_unit_test(the_newest_transaction_counts),
	    cmocka_unit_test(partitions_follow_the_columns_of_the_metadata),
	    cmocka_unit_test(an_unpartitioned_table_has_one_partition),
	    cmocka_unit_test(paths_are_compared_unescaped),
	    cmocka_unit_test(every_file_tells_all_that_the_log_knows),
	    cmocka_unit_test(changes_are_told_entry_by_entry),
	    cmocka_unit_test(changes_end_where_the_caller_says),
	    cmocka_unit_test(a_large_entry_takes_the_memory_of_its_files),
	    cmocka_unit_test(a_long_log_is_read_from_near_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
