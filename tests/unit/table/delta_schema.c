/* Schemas, statistics, and which tables may be written to. */
#include "delta_fixture.h"

#include "base/time.h"

/* --- Schemas ------------------------------------------------------------------------------------------------------ */

static const struct gm_delta_field all_types[] = {
    {"b", "a flag", GM_TYPE_BOOLEAN},
    {"i", "", GM_TYPE_INT},
    {"l", "", GM_TYPE_BIGINT},
    {"d", "", GM_TYPE_DOUBLE},
    {"s", "say \"\xc3\xa9\"", GM_TYPE_STRING},
    {"t", "", GM_TYPE_DATE},
    {"at", "", GM_TYPE_TIMESTAMP},
};
enum { TYPES = sizeof all_types / sizeof all_types[0] };

static void types_have_the_names_of_the_protocol(void **state)
{
	(void)state;
	char *text;
	must(gm_delta_schema(all_types, TYPES, &text, &failure));
	assert_string_equal(
	    text,
	    "{\"fields\":[{\"metadata\":{\"comment\":\"a flag\"},\"name\":\"b\",\"nullable\":true,\"type\":\"boolean\"},"
	    "{\"metadata\":{},\"name\":\"i\",\"nullable\":true,\"type\":\"integer\"},"
	    "{\"metadata\":{},\"name\":\"l\",\"nullable\":true,\"type\":\"long\"},"
	    "{\"metadata\":{},\"name\":\"d\",\"nullable\":true,\"type\":\"double\"},"
	    "{\"metadata\":{\"comment\":\"say \\\"\xc3\xa9\\\"\"},\"name\":\"s\",\"nullable\":true,\"type\":\"string\"},"
	    "{\"metadata\":{},\"name\":\"t\",\"nullable\":true,\"type\":\"date\"},"
	    "{\"metadata\":{},\"name\":\"at\",\"nullable\":true,\"type\":\"timestamp\"}],\"type\":\"struct\"}");
	free(text);
}

/* The result of merging columns into a table with this schema, or NULL if nothing changes; must not fail. */
static char *merge(const char *schema, const struct gm_delta_field *fields, size_t count)
{
	struct gm_delta_metadata its = metadata(NULL, 0);
	bool changed;
	char *merged;
	its.schema = schema;
	must(gm_delta_schema_merge(&its, fields, count, NULL, 0, &changed, &merged, &failure));
	assert_int_equal(changed, merged != NULL);
	return merged;
}

static void equal_columns_change_nothing(void **state)
{
	(void)state;
	char *text;
	must(gm_delta_schema(all_types, TYPES, &text, &failure));
	assert_null(merge(text, all_types, TYPES));
	assert_null(merge(text, all_types, 1)); /* columns that the job has no longer stay */
	assert_null(merge(text, all_types, 0));
	struct gm_delta_field without = all_types[0];
	without.comment = "";
	assert_null(merge(text, &without, 1)); /* others' comments too */
	free(text);
}

#define FIELD(name, type, metadata) \
	"{\"name\":\"" name "\",\"type\":" type ",\"nullable\":true,\"metadata\":" metadata "}"
#define STRUCT(fields) "{\"type\":\"struct\",\"fields\":[" fields "]}"

static void new_columns_and_comments_are_added(void **state)
{
	(void)state;
	static const char table[] =
	    STRUCT(FIELD("old", "{\"type\":\"array\",\"elementType\":\"long\",\"containsNull\":true}",
	                 "{\"x\":1}") "," FIELD("s", "\"string\"", "{\"comment\":\"was\",\"y\":[2]}"));
	static const struct gm_delta_field fields[] = {{"new", "fresh", GM_TYPE_BIGINT}, {"s", "is", GM_TYPE_STRING}};
	char *merged = merge(table, fields, 2);
	assert_string_equal(
	    merged, "{\"fields\":[{\"metadata\":{\"x\":1},\"name\":\"old\",\"nullable\":true,\"type\":{\"containsNull\":"
	            "true,\"elementType\":\"long\",\"type\":\"array\"}},"
	            "{\"metadata\":{\"comment\":\"is\",\"y\":[2]},\"name\":\"s\",\"nullable\":true,\"type\":\"string\"},"
	            "{\"metadata\":{\"comment\":\"fresh\"},\"name\":\"new\",\"nullable\":true,\"type\":\"long\"}],"
	            "\"type\":\"struct\"}");
	assert_null(merge(merged, fields, 2));
	free(merged);
}

static void refuse_merge(const char *schema, const struct gm_delta_field *field, enum gm_code code, const char *text)
{
	struct gm_delta_metadata its = metadata(NULL, 0);
	bool changed;
	char *merged;
	its.schema = schema;
	must_fail(gm_delta_schema_merge(&its, field, 1, NULL, 0, &changed, &merged, &failure), code, text);
	assert_null(merged);
}

static void what_cannot_be_merged_is_refused_by_name(void **state)
{
	(void)state;
	static const struct gm_delta_field field = {"s", "", GM_TYPE_STRING};
	static const char required[] = STRUCT("{\"name\":\"r\",\"type\":\"long\",\"nullable\":false,\"metadata\":{}}");
	refuse_merge(STRUCT(FIELD("s", "\"long\"", "{}")), &field, GM_UNSUPPORTED,
	             "\"s\" is bigint in the table and string");
	refuse_merge(STRUCT(FIELD("s", "{\"type\":\"map\"}", "{}")), &field, GM_UNSUPPORTED, "\"s\" is map in the table");
	refuse_merge(STRUCT(FIELD("S", "\"string\"", "{}")), &field, GM_UNSUPPORTED, "differ in case alone");
	refuse_merge(required, &field, GM_UNSUPPORTED, "\"r\" must not be null");
	refuse_merge("not JSON", &field, GM_CORRUPT, "schemaString");
	refuse_merge("{\"type\":\"struct\"}", &field, GM_CORRUPT, "schemaString");
	refuse_merge(STRUCT("{\"name\":\"x\"}"), &field, GM_CORRUPT, "schemaString");
	refuse_merge(STRUCT("7"), &field, GM_CORRUPT, "schemaString");
}

static void the_partitioning_must_be_the_same(void **state)
{
	(void)state;
	static const char *const table[] = {"year", "month"}, *const other[] = {"month", "year"};
	struct gm_delta_metadata its = metadata(table, 2);
	bool changed;
	char *merged;
	must(gm_delta_schema_merge(&its, NULL, 0, table, 2, &changed, &merged, &failure));
	must_fail(gm_delta_schema_merge(&its, NULL, 0, other, 2, &changed, &merged, &failure), GM_UNSUPPORTED,
	          "partitioned by (year, month), the job by (month, year)");
	must_fail(gm_delta_schema_merge(&its, NULL, 0, table, 1, &changed, &merged, &failure), GM_UNSUPPORTED,
	          "the job by (year)");
}

/* --- Statistics --------------------------------------------------------------------------------------------------- */

static void check_stats(uint64_t rows, const struct gm_delta_column_stats *columns, size_t count, const char *expected)
{
	struct gm_buf text;
	gm_buf_init(&text, 100000);
	must(gm_delta_stats(rows, columns, count, &text, &failure));
	must(gm_buf_append(&text, "", 1, &failure));
	assert_string_equal((char *)text.data, expected);
	gm_buf_release(&text);
}

static struct gm_delta_column_stats numbers(enum gm_type type, int64_t min, int64_t max)
{
	return (struct gm_delta_column_stats){
	    .name = "c", .type = type, .nulls = 2, .has_bounds = true, .min_i64 = min, .max_i64 = max};
}

/* A column of which one bound cannot be told takes all of them with it: delta-rs would read it as "at most null". */
static void expect_bounds(char *expected, size_t room, const char *low, const char *high)
{
	char bounds[900] = "";
	if (low[0] != '\0' && high[0] != '\0')
		(void)snprintf(bounds, sizeof bounds, "\"maxValues\":{\"c\":%s},\"minValues\":{\"c\":%s},", high, low);
	(void)snprintf(expected, room, "{%s\"nullCount\":{\"c\":2},\"numRecords\":9}", bounds);
}

static void check_numbers(enum gm_type type, int64_t min, int64_t max, const char *low, const char *high)
{
	char expected[400];
	struct gm_delta_column_stats column = numbers(type, min, max);
	expect_bounds(expected, sizeof expected, low, high);
	check_stats(9, &column, 1, expected);
}

static void bounds_of_numbers_and_times(void **state)
{
	(void)state;
	check_numbers(GM_TYPE_INT, -5, 7, "-5", "7");
	check_numbers(GM_TYPE_BIGINT, INT64_MIN, INT64_MAX, "-9223372036854775808", "9223372036854775807");
	check_numbers(GM_TYPE_BOOLEAN, 0, 1, "false", "true");
	check_numbers(GM_TYPE_BOOLEAN, 1, 1, "true", "true");
	check_numbers(GM_TYPE_DATE, -1, 19792, "\"1969-12-31\"", "\"2024-03-10\"");
	check_numbers(GM_TYPE_DATE, INT64_MIN, 2932897, "", "");
	/* Milliseconds: the minimum is rounded down, the maximum up. */
	check_numbers(GM_TYPE_TIMESTAMP, 1710108084084000, 1710108084084000, "\"2024-03-10T22:01:24.084Z\"",
	              "\"2024-03-10T22:01:24.084Z\"");
	check_numbers(GM_TYPE_TIMESTAMP, 1710108084084999, 1710108084084001, "\"2024-03-10T22:01:24.084Z\"",
	              "\"2024-03-10T22:01:24.085Z\"");
	check_numbers(GM_TYPE_TIMESTAMP, -1, -1, "\"1969-12-31T23:59:59.999Z\"", "\"1970-01-01T00:00:00.000Z\"");
	check_numbers(GM_TYPE_TIMESTAMP, GM_TIME_MIN, GM_TIME_MAX, "", "");
	check_numbers(GM_TYPE_TIMESTAMP, INT64_MIN, INT64_MAX, "", "");
}

static void check_doubles(double min, double max, const char *low, const char *high)
{
	char expected[400];
	struct gm_delta_column_stats column = numbers(GM_TYPE_DOUBLE, 0, 0);
	column.min_f64 = min;
	column.max_f64 = max;
	expect_bounds(expected, sizeof expected, low, high);
	check_stats(9, &column, 1, expected);
}

static void bounds_of_doubles(void **state)
{
	(void)state;
	check_doubles(-0.0, 0.1, "-0.0", "0.10000000000000001");
	check_doubles(-1e300, 5e-324, "-1.0000000000000001e300", "4.9406564584124654e-324");
	check_doubles(-__builtin_inf(), __builtin_nan(""), "", "");
}

static void check_strings(const char *min, size_t min_len, const char *max, size_t max_len, const char *low,
                          const char *high)
{
	char expected[1000];
	struct gm_delta_column_stats column = numbers(GM_TYPE_STRING, 0, 0);
	column.min_bytes = (const uint8_t *)min;
	column.max_bytes = (const uint8_t *)max;
	column.min_len = min_len;
	column.max_len = max_len;
	expect_bounds(expected, sizeof expected, low, high);
	check_stats(9, &column, 1, expected);
}

#define X31  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define E8   "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define LAST "\xf4\x8f\xbf\xbf" /* U+10FFFF */
#define L4   LAST LAST LAST LAST

static void strings_are_cut_at_32_characters(void **state)
{
	(void)state;
	check_strings("", 0, "a\0b", 3, "\"\"", "\"a\\u0000b\"");
	check_strings(X31 "y", 32, X31 "y", 32, "\"" X31 "y\"", "\"" X31 "y\"");
	check_strings(X31 "yz", 33, X31 "yz", 33, "\"" X31 "y\"", "\"" X31 "z\"");
	check_strings(E8 E8 E8 E8 "z", 65, E8 E8 E8 E8 "z", 65, "\"" E8 E8 E8 E8 "\"",
	              "\"" E8 E8 E8 "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xaa\"");
	/* The next character after U+D7FF is U+E000, after U+007F it has two bytes, after U+FFFF four. */
	check_strings("", 0, X31 "\xed\x9f\xbfz", 35, "\"\"", "\"" X31 "\xee\x80\x80\"");
	check_strings("", 0, X31 "\x7fz", 33, "\"\"", "\"" X31 "\xc2\x80\"");
	check_strings("", 0, X31 "\xef\xbf\xbfz", 35, "\"\"", "\"" X31 "\xf0\x90\x80\x80\"");
	/* After the last there is none: the one before it is raised, or there is no bound. */
	check_strings("", 0, X31 LAST "z", 36, "\"\"", "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy\"");
	check_strings("", 0, L4 L4 L4 L4 L4 L4 L4 L4 "z", 129, "\"\"", "");
	/* A bound that the file has cut inside a character. */
	check_strings("ab\xc3", 3, "ab\xc3", 3, "\"ab\"", "\"ac\"");
	check_strings("\xc3", 1, "\xc3", 1, "\"\"", "");
}

static void the_first_columns_are_told_of(void **state)
{
	(void)state;
	struct gm_delta_column_stats columns[40];
	char names[40][8];
	struct gm_buf text;
	for (int i = 0; i < 40; i++) {
		(void)snprintf(names[i], sizeof names[i], "c%d", i);
		columns[i] = numbers(GM_TYPE_INT, i, i);
		columns[i].name = names[i];
	}
	columns[1].has_bounds = false; /* all of its values are null */
	columns[1].nulls = 9;
	gm_buf_init(&text, 100000);
	must(gm_delta_stats(9, columns, 40, &text, &failure));
	json_t *json = json_loadb((char *)text.data, text.len, 0, NULL);
	assert_int_equal(json_object_size(json_object_get(json, "nullCount")), 32);
	assert_int_equal(json_object_size(json_object_get(json, "minValues")), 31);
	assert_non_null(json_object_get(json_object_get(json, "maxValues"), "c31"));
	assert_null(json_object_get(json_object_get(json, "maxValues"), "c32"));
	json_decref(json);
	/* A value without a bound: there are no bounds, but what is told of nulls stays. */
	columns[1].nulls = 8;
	text.len = 0;
	must(gm_delta_stats(9, columns, 40, &text, &failure));
	json = json_loadb((char *)text.data, text.len, 0, NULL);
	assert_int_equal(json_object_size(json_object_get(json, "nullCount")), 32);
	assert_null(json_object_get(json, "minValues"));
	assert_null(json_object_get(json, "maxValues"));
	json_decref(json);
	gm_buf_release(&text);
	check_stats(0, columns, 0, "{\"maxValues\":{},\"minValues\":{},\"nullCount\":{},\"numRecords\":0}");
}

/* --- May we write? ------------------------------------------------------------------------------------------------ */

static void check_writable(const char *text, const char *refused)
{
	struct gm_store *store = open_memory();
	put_text(store, 0, text);
	struct gm_delta_log *log = open_log(store, GM_DELTA_NEWEST);
	if (refused == NULL)
		must(gm_delta_check_writable(log, &failure));
	else
		must_fail(gm_delta_check_writable(log, &failure), GM_UNSUPPORTED, refused);
	gm_delta_free(log);
	gm_store_close(store);
}

static void check_property(const char *name, const char *value, bool allowed)
{
	char text[1000];
	(void)snprintf(text, sizeof text, PROTOCOL METADATA("[]", "{\"%s\":\"%s\"}"), name, value);
	check_writable(text, allowed ? NULL : name);
}

static void properties_that_ask_too_much_are_refused_by_name(void **state)
{
	(void)state;
	static const char *const switches[] = {"delta.enableDeletionVectors",
	                                       "delta.enableChangeDataFeed",
	                                       "delta.enableRowTracking",
	                                       "delta.enableInCommitTimestamps",
	                                       "delta.enableTypeWidening",
	                                       "delta.enableIcebergCompatV1",
	                                       "delta.enableIcebergCompatV2",
	                                       "delta.randomizeFilePrefixes",
	                                       "delta.compatibility.symlinkFormatManifest.enabled"};
	for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
		check_property(switches[i], "true", false);
		check_property(switches[i], "false", true);
	}
	check_property("delta.setTransactionRetentionDuration", "interval 365 days", false);
	check_property("delta.constraints.positive", "x > 0", false);
	check_property("delta.columnMapping.mode", "name", false);
	check_property("delta.columnMapping.mode", "none", true);
	check_property("delta.checkpointPolicy", "v2", false);
	check_property("delta.checkpointPolicy", "classic", true);
	check_property("delta.universalFormat.enabledFormats", "iceberg", false);
	check_property("delta.feature.clustering", "supported", false);
}

static void properties_that_we_honour_must_make_sense(void **state)
{
	(void)state;
	check_property("delta.appendOnly", "true", true);
	check_property("delta.checkpointInterval", "25", true);
	check_property("delta.checkpointInterval", "0", false);
	check_property("delta.checkpointInterval", "-1", false);
	check_property("delta.checkpointInterval", "99999999999999999999", false);
	check_property("delta.logRetentionDuration", "interval 30 days", true);
	check_property("delta.logRetentionDuration", "INTERVAL 1 week 2 Hours 3 minutes", true);
	check_property("delta.logRetentionDuration", "7 day", true);
	check_property("delta.logRetentionDuration", "interval 1 month", false);
	check_property("delta.logRetentionDuration", "interval 99999999999999 weeks", false);
	check_property("delta.logRetentionDuration", "interval", false);
	check_property("delta.logRetentionDuration", "30", false);
	check_property("delta.deletedFileRetentionDuration", "interval -1 days", false);
	check_property("delta.dataSkippingNumIndexedCols", "-1", true);
	check_property("owner", "me", true);
}

static void versions_and_features_are_refused_by_name(void **state)
{
	(void)state;
#define WRITER(text) "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":" text "}}\n" METADATA("[]", "{}")
	check_writable(WRITER("1"), NULL);
	check_writable(WRITER("2"), NULL);
	check_writable(WRITER("3"), "writer version 3");
	check_writable(WRITER("7,\"writerFeatures\":[\"appendOnly\",\"rowTracking\"]"), "feature rowTracking");
	check_writable(WRITER("7,\"writerFeatures\":[\"appendOnly\",\"invariants\"]"), "writer version 7");
	check_writable(PROTOCOL "{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"orc\"},\"schemaString\":\"{}\","
	                        "\"partitionColumns\":[],\"configuration\":{}}}",
	               "file format orc");
}

static void check_column(const char *type, const char *refused)
{
	char text[1000];
	json_t *schema = json_string(type);
	char *string = json_dumps(schema, JSON_ENCODE_ANY);
	(void)snprintf(text, sizeof text,
	               PROTOCOL "{\"metaData\":{\"id\":\"x\",\"format\":{\"provider\":\"parquet\"},\"schemaString\":%s,"
	                        "\"partitionColumns\":[],\"configuration\":{}}}",
	               string);
	check_writable(text, refused);
	free(string);
	json_decref(schema);
}

static void columns_that_need_an_engine_are_refused_by_name(void **state)
{
	(void)state;
	check_column(STRUCT(FIELD("a", "\"long\"", "{\"comment\":\"x\",\"delta.columnMapping.id\":1}")), NULL);
	check_column(STRUCT(FIELD("a", "\"long\"", "{\"delta.invariants\":\"{}\"}")),
	             "column \"a\" with its delta.invariants");
	check_column(STRUCT(FIELD("a", "\"long\"", "{\"delta.generationExpression\":\"b\"}")),
	             "delta.generationExpression");
	check_column(STRUCT(FIELD("a", "\"long\"", "{\"delta.identity.start\":1}")), "delta.identity.start");
	check_column(STRUCT(FIELD("a", "\"long\"", "{\"CURRENT_DEFAULT\":\"7\"}")), "CURRENT_DEFAULT");
	check_column(STRUCT(FIELD("a", "\"long\"", "{\"delta.typeChanges\":[]}")), "delta.typeChanges");
	/* Inside an array of maps of structs. */
	check_column(
	    STRUCT(
	        FIELD("a",
	              "{\"type\":\"array\",\"elementType\":{\"type\":\"map\",\"keyType\":\"string\",\"valueType\":" STRUCT(
	                  FIELD("deep", "\"long\"", "{\"delta.invariants\":\"{}\"}")) "}}",
	              "{}")),
	    "column \"deep\" with its delta.invariants");
}

static void checkpoints_are_due_at_the_interval(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	put_text(store, 0, PROTOCOL METADATA("[]", "{\"delta.checkpointInterval\":\"3\"}"));
	for (int64_t v = 1; v <= 20; v++) put_text(store, v, v == 9 ? METADATA("[]", "{}") : "{}");
	for (int64_t v = 0; v <= 20; v++) {
		struct gm_delta_log *log = open_log(store, v);
		assert_int_equal(gm_delta_checkpoint_due(log), v >= (v < 9 ? 3 : 10));
		if (v < 9) assert_string_equal(gm_delta_property(log, "delta.checkpointInterval"), "3");
		if (v >= 9) assert_null(gm_delta_property(log, "delta.checkpointInterval"));
		gm_delta_free(log);
	}
	gm_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(types_have_the_names_of_the_protocol),
	    cmocka_unit_test(equal_columns_change_nothing),
	    cmocka_unit_test(new_columns_and_comments_are_added),
	    cmocka_unit_test(what_cannot_be_merged_is_refused_by_name),
	    cmocka_unit_test(the_partitioning_must_be_the_same),
	    cmocka_unit_test(bounds_of_numbers_and_times),
	    cmocka_unit_test(bounds_of_doubles),
	    cmocka_unit_test(strings_are_cut_at_32_characters),
	    cmocka_unit_test(the_first_columns_are_told_of),
	    cmocka_unit_test(properties_that_ask_too_much_are_refused_by_name),
	    cmocka_unit_test(properties_that_we_honour_must_make_sense),
	    cmocka_unit_test(versions_and_features_are_refused_by_name),
	    cmocka_unit_test(columns_that_need_an_engine_are_refused_by_name),
	    cmocka_unit_test(checkpoints_are_due_at_the_interval),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
