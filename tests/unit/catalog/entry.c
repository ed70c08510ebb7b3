/* What an entry says, and how it joins what the catalog has. */
#include "shape_by_hand.h"

#include "base/utf8.h"

static const char *text_at(const json_t *json, const char *first, const char *second)
{
	const json_t *member = json_object_get(json, first);
	return json_string_value(second != NULL ? json_object_get(member, second) : member);
}

static json_t *entry_of(const struct gm_entry *entry, const struct gm_shape *shape)
{
	json_t *input;
	must(gm_entry_table(entry, shape, &input, &failure));
	return input;
}

static json_t *storage_of(const json_t *entry)
{
	return json_object_get(entry, "StorageDescriptor");
}

/* An answer of Glue: single quotes stand for double ones. */
static json_t *answer(const char *text)
{
	char buffer[8192];
	size_t n = strlen(text);
	json_t *json;
	assert_true(n < sizeof buffer);
	for (size_t i = 0; i <= n; i++) buffer[i] = text[i] == '\'' ? '"' : text[i];
	must(gm_json_parse(buffer, n, JSON_DECODE_ANY, &json, &failure));
	return json;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

/* Athena User Guide, "Supported types for partition projection": the properties of each type. */
static void projection_has_the_properties_of_its_type(void **state)
{
	static const struct {
		const char *name, *value;
	} expected[] = {
	    {"projection.enabled", "true"},           {"projection.year.type", "enum"},
	    {"projection.year.values", "2024,2025"},  {"projection.month.type", "integer"},
	    {"projection.month.range", "1,12"},       {"projection.month.digits", "2"},
	    {"projection.day.type", "date"},          {"projection.day.range", "2024-03-10,2024-04-01"},
	    {"projection.day.format", "yyyy-MM-dd"},  {"projection.day.interval", "1"},
	    {"projection.day.interval.unit", "DAYS"},
	};
	(void)state;
	struct gm_shape shape = shape_by_hand();
	json_t *input = entry_of(&hive, &shape);
	const json_t *parameters = json_object_get(input, "Parameters");
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
		assert_string_equal(json_string_value(json_object_get(parameters, expected[i].name)), expected[i].value);
	assert_int_equal(json_object_size(parameters), sizeof expected / sizeof expected[0] + 6);
	json_decref(input);
}

static void a_table_without_partitions_has_no_projection(void **state)
{
	(void)state;
	struct gm_shape shape = shape_by_hand();
	shape.partition_count = 0;
	shape.unprojectable = "no values are known yet";
	json_t *input = entry_of(&hive, &shape);
	assert_null(json_object_get(json_object_get(input, "Parameters"), "projection.enabled"));
	assert_int_equal(json_array_size(json_object_get(input, "PartitionKeys")), 3);
	json_decref(input);
}

static void what_cannot_be_computed_is_refused(void **state)
{
	(void)state;
	struct gm_shape shape = shape_by_hand();
	json_t *input;
	shape.unprojectable = "partition column 'day' is null in some rows";
	assert_int_equal(gm_entry_table(&hive, &shape, &input, &failure), GM_UNSUPPORTED);
	assert_non_null(strstr(failure.message, "'day' is null"));
	assert_non_null(strstr(failure.hint, "register"));
	json_decref(entry_of(&registered, &shape));
	json_decref(entry_of(&delta, &shape));
}

static void a_location_that_is_no_text_is_refused(void **state)
{
	static const char *const bad[] = {"s3://lake/\xff/", "s3://lake/\n/"};
	(void)state;
	struct gm_shape shape = shape_by_hand();
	json_t *input;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		shape.location = bad[i];
		assert_int_equal(gm_entry_table(&delta, &shape, &input, &failure), GM_USAGE);
		assert_null(input);
	}
}

/* Glue's limits: 255 bytes for a column's comment, 2,048 for a table's; control characters in neither. */
static void comments_are_cut_between_characters(void **state)
{
	char text[6001];
	(void)state;
	struct gm_shape shape = shape_by_hand();
	struct gm_shape_column one = columns[0];
	shape.columns = &one;
	shape.column_count = 1;
	for (size_t n = 240; n <= 270; n++) {
		for (size_t width = 1; width <= 4; width++) {
			static const char *const letters[] = {"", "a", "\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x90\x84"};
			size_t bytes = 0;
			for (; bytes + width <= n; bytes += width) memcpy(text + bytes, letters[width], width);
			text[bytes] = '\0';
			one.comment = text;
			json_t *input = entry_of(&hive, &shape);
			const json_t *column = json_array_get(json_object_get(storage_of(input), "Columns"), 0);
			const char *comment = text_at(column, "Comment", NULL);
			size_t has = strlen(comment);
			assert_int_equal(gm_utf8_valid_prefix((const uint8_t *)comment, has), has);
			if (bytes <= 255)
				assert_string_equal(comment, text);
			else
				assert_true(has <= 255 && has >= 252 - width && strcmp(comment + has - 3, "\xE2\x80\xA6") == 0);
			json_decref(input);
		}
	}
	memset(text, 'x', 6000);
	text[6000] = '\0';
	text[1] = '\n';
	text[2] = 1;
	shape.comment = one.comment = text;
	json_t *input = entry_of(&hive, &shape);
	const char *description = text_at(input, "Description", NULL);
	assert_int_equal(strlen(description), 2048);
	assert_memory_equal(description, "x\n x", 4);
	assert_memory_equal(text_at(json_array_get(json_object_get(storage_of(input), "Columns"), 0), "Comment", NULL),
	                    "x  x", 4);
	json_decref(input);
}

static void a_partition_has_unescaped_values_and_the_folder_as_it_is(void **state)
{
	static const struct gm_partition_value odd[] = {{"year", "a/b"}, {"month", "50%"}, {"day", NULL}};
	(void)state;
	struct gm_shape shape = shape_by_hand();
	const struct gm_shape_partition partition = {.path = "year=a%2Fb/month=50%25/day=__HIVE_DEFAULT_PARTITION__",
	                                             .values = odd,
	                                             .files = 3,
	                                             .bytes = 4,
	                                             .rows = 5};
	json_t *table = entry_of(&registered, &shape), *input;
	json_t *names = gm_entry_partition_columns(json_object_get(storage_of(table), "Columns"));
	must(gm_entry_partition(&registered, &shape, &partition, names, &input, &failure));
	json_t *expected = answer("['a/b', '50%', '__HIVE_DEFAULT_PARTITION__']");
	assert_true(json_equal(json_object_get(input, "Values"), expected));
	assert_string_equal(text_at(storage_of(input), "Location", NULL),
	                    LOCATION "year=a%2Fb/month=50%25/day=__HIVE_DEFAULT_PARTITION__/");
	assert_string_equal(text_at(input, "Parameters", "numRows"), "5");
	json_decref(expected);
	json_decref(input);
	shape.rows_unknown = 1; /* then a number would be too small */
	must(gm_entry_partition(&registered, &shape, &partition, names, &input, &failure));
	assert_null(text_at(input, "Parameters", "numRows"));
	json_decref(input);
	json_decref(names);
	json_decref(table);
}

static void places_are_told_apart(void **state)
{
	(void)state;
	assert_true(gm_entry_same_place("s3://lake/t", "s3a://lake/t//"));
	assert_false(gm_entry_same_place("s3://lake/t", "s3://lake/t2"));
	assert_false(gm_entry_same_place("s3://lake/t/", "s3://lake/"));
	assert_true(gm_entry_is_inside("s3n://lake/t/day=1/", "s3://lake/t/"));
	assert_true(gm_entry_is_inside("s3://lake/t", "s3://lake/t/"));
	assert_false(gm_entry_is_inside("s3://lake/t2/day=1", "s3://lake/t/"));
	assert_false(gm_entry_is_inside("", "s3://lake/t/"));
}

/* --- Merging ------------------------------------------------------------------------------------------------------ */

static enum gm_code merge(const struct gm_entry *entry, struct gm_shape *shape, json_t *found, json_t **input,
                          struct gm_differences *differences)
{
	json_t *wanted = entry_of(entry, shape);
	gm_differences_init(differences);
	must(gm_glue_check_table(found, &failure));
	enum gm_code rc = gm_merge_table(found, wanted, entry, shape, input, differences, &failure);
	json_decref(wanted);
	return rc;
}

static size_t count_differences(const struct gm_entry *entry, struct gm_shape *shape, json_t *found, json_t **input)
{
	struct gm_differences differences;
	must(merge(entry, shape, found, input, &differences));
	size_t count = differences.count;
	gm_differences_release(&differences);
	return count;
}

static void what_we_have_written_does_not_differ(void **state)
{
	const struct gm_entry *const entries[] = {&hive, &registered, &delta};
	(void)state;
	struct gm_shape shape = shape_by_hand();
	for (size_t i = 0; i < 3; i++) {
		json_t *wanted = entry_of(entries[i], &shape), *input;
		json_t *found = json_deep_copy(wanted);
		(void)json_object_set_new(found, "VersionId", json_string("7"));
		(void)json_object_set_new(found, "CreateTime", json_real(1.7e9));
		(void)json_object_set_new(found, "ViewOriginalText", json_null());
		assert_int_equal(count_differences(entries[i], &shape, found, &input), 0);
		assert_true(json_equal(input, wanted)); /* and what Glue alone knows is not sent back */
		json_decref(found);
		json_decref(input);
		json_decref(wanted);
	}
}

/* From every kind of entry to every other one whose partition columns are the same, and then no further. */
static void merging_comes_to_rest(void **state)
{
	const struct gm_entry *const entries[] = {&hive, &registered};
	(void)state;
	struct gm_shape shape = shape_by_hand();
	for (size_t from = 0; from < 2; from++) {
		for (size_t to = 0; to < 2; to++) {
			json_t *found = entry_of(entries[from], &shape), *first, *second;
			assert_int_equal(count_differences(entries[to], &shape, found, &first) > 0, from != to);
			assert_int_equal(count_differences(entries[to], &shape, first, &second), 0);
			json_decref(found);
			json_decref(first);
			json_decref(second);
		}
	}
}

static void new_columns_come_behind_ours_and_none_moves(void **state)
{
	static const char *const names[] = {"S", "id", "new", "extra"};
	static struct gm_shape_column more[] = {COLUMN("id", "bigint", ""), COLUMN("new", "int", ""),
	                                        COLUMN("s", "string", "")};
	(void)state;
	struct gm_shape shape = shape_by_hand();
	json_t *found = entry_of(&hive, &shape), *input;
	json_t *theirs =
	    answer("[{'Name': 'S', 'Type': 'STRING'}, {'Name': 'id', 'Type': 'bigint', 'Parameters': {'a': 'b'}}, "
	           "{'Name': 'extra', 'Type': 'map<int,int>', 'Comment': 'theirs'}]");
	(void)json_object_set_new(storage_of(found), "Columns", theirs);
	shape.columns = more;
	shape.column_count = 3;
	assert_int_equal(count_differences(&hive, &shape, found, &input), 1);
	const json_t *merged = json_object_get(storage_of(input), "Columns");
	assert_int_equal(json_array_size(merged), 4);
	for (size_t i = 0; i < 4; i++) assert_string_equal(text_at(json_array_get(merged, i), "Name", NULL), names[i]);
	assert_string_equal(text_at(json_array_get(merged, 1), "Parameters", "a"), "b");
	json_decref(found);
	json_decref(input);
}

static void refusals_say_what_differs(void **state)
{
	static const struct {
		const char *member, *value, *said;
		enum gm_code code;
	} cases[] = {
	    {"TableType", "'VIRTUAL_VIEW'", "view", GM_USAGE},
	    {"TargetTable", "{'Name': 'x'}", "link", GM_USAGE},
	    {"FederatedTable", "{}", "link", GM_USAGE},
	    {"Parameters", "{'table_type': 'ICEBERG'}", "format", GM_USAGE},
	    {"Parameters", "{'spark.sql.sources.provider': 'csv'}", "format", GM_USAGE},
	    {"StorageDescriptor", "{}", "location", GM_USAGE},
	    {"StorageDescriptor", "{'Location': 's3://other/t/'}", "s3://other/t/", GM_USAGE},
	    {"StorageDescriptor", "{'Location': 's3://lake/t', 'Columns': [{'Name': 'ID', 'Type': 'int'}]}",
	     "'id' is 'int' in the catalog and 'bigint' in the table", GM_UNSUPPORTED},
	    {"PartitionKeys", "[]", "has 0 partition columns and should have 3", GM_UNSUPPORTED},
	    {"PartitionKeys", "[{'Name': 'year', 'Type': 'int'}]", "'year' 'int'", GM_UNSUPPORTED},
	    {"PartitionKeys", "[{'Name': 'year', 'Type': 'string'}, {'Name': 'day', 'Type': 'date'}]", "'day' 'date'",
	     GM_UNSUPPORTED},
	};
	(void)state;
	struct gm_shape shape = shape_by_hand();
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct gm_differences differences;
		json_t *found = entry_of(&hive, &shape), *input;
		(void)json_object_set_new(found, cases[i].member, answer(cases[i].value));
		assert_int_equal(merge(&hive, &shape, found, &input, &differences), cases[i].code);
		assert_null(input);
		if (strstr(failure.message, cases[i].said) == NULL) fail_msg("case %zu: %s", i, failure.message);
		assert_true(failure.hint[0] != '\0' && failure.object[0] != '\0');
		gm_differences_release(&differences);
		json_decref(found);
	}
}

static void what_others_wrote_stays(void **state)
{
	(void)state;
	struct gm_shape shape = shape_by_hand();
	shape.comment = "";
	json_t *input;
	json_t *found = answer(
	    "{'Name': 't', 'Owner': 'them', 'Retention': 3, 'Description': 'theirs', 'LastAccessTime': 17, "
	    "'Parameters': {'k': 'v', 'comment': 'theirs', 'projection.other.type': 'injected', 'external': 'no', "
	    "'projection.year.interval': '1', 'storage.location.template': 's3://x/${year}', 'EXTERNAL': 'true'}, "
	    "'PartitionKeys': [{'Name': 'year', 'Type': 'string'}, {'Name': 'month', 'Type': 'string', 'Comment': "
	    "'theirs'}, "
	    "{'Name': 'day', 'Type': 'date'}], 'StorageDescriptor': {'Location': 's3://lake/t', 'BucketColumns': ['a'], "
	    "'Parameters': {'x': 'y'}, 'SerdeInfo': {'Name': 'n', 'Parameters': {'serialization.format': '9', 'z': ''}}}}");
	assert_true(count_differences(&hive, &shape, found, &input) > 5);
	const json_t *parameters = json_object_get(input, "Parameters"), *storage = storage_of(input);
	const json_t *serde = json_object_get(storage, "SerdeInfo");
	assert_string_equal(text_at(input, "Owner", NULL), "them");
	assert_string_equal(text_at(input, "Description", NULL), "theirs");
	assert_int_equal(json_integer_value(json_object_get(input, "Retention")), 3);
	assert_int_equal(json_integer_value(json_object_get(input, "LastAccessTime")), 17);
	assert_string_equal(text_at(parameters, "k", NULL), "v");
	assert_string_equal(text_at(parameters, "comment", NULL), "theirs");
	assert_string_equal(text_at(parameters, "EXTERNAL", NULL), "true");
	assert_string_equal(text_at(parameters, "projection.other.type", NULL), "injected");
	assert_null(text_at(parameters, "projection.year.interval", NULL));
	assert_null(text_at(parameters, "storage.location.template", NULL));
	assert_string_equal(text_at(storage, "Parameters", "x"), "y");
	assert_string_equal(text_at(storage, "Location", NULL), "s3://lake/t");
	assert_int_equal(json_array_size(json_object_get(storage, "BucketColumns")), 1);
	assert_string_equal(text_at(serde, "Name", NULL), "n");
	assert_string_equal(text_at(serde, "Parameters", "serialization.format"), "9");
	assert_string_equal(text_at(serde, "Parameters", "z"), "");
	const json_t *key = json_array_get(json_object_get(input, "PartitionKeys"), 0);
	assert_string_equal(text_at(key, "Comment", NULL), "of the record");
	json_decref(found);
	json_decref(input);
}

/* Rows are not counted where nothing else has changed: then what the catalog says of them is right. */
static void rows_that_were_not_counted_stay(void **state)
{
	(void)state;
	struct gm_shape shape = shape_by_hand();
	json_t *found = entry_of(&hive, &shape), *input;
	struct gm_entry uncounted = hive;
	uncounted.rows = false;
	shape.rows = 0;
	assert_int_equal(count_differences(&uncounted, &shape, found, &input), 0);
	assert_string_equal(text_at(input, "Parameters", "numRows"), "7");
	json_decref(input);
	shape.rows_unknown = 1; /* counted, and of one file not known */
	assert_int_equal(count_differences(&hive, &shape, found, &input), 1);
	assert_null(text_at(input, "Parameters", "numRows"));
	json_decref(input);
	json_decref(found);
}

static void many_differences_are_counted(void **state)
{
	(void)state;
	struct gm_differences differences;
	gm_differences_init(&differences);
	for (int i = 0; i < 100; i++) must(gm_differences_add(&differences, &failure, "difference %d", i));
	assert_int_equal(differences.count + differences.more, 100);
	assert_string_equal(differences.lines[differences.count - 1], "difference 63");
	gm_differences_release(&differences);
}

static void requests_stay_small_with_many_columns(void **state)
{
	static const size_t counts[] = {0, 1, 40, 1000, 20000};
	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		json_t *wide = json_array();
		size_t fit;
		for (size_t k = 0; k < counts[i]; k++)
			(void)json_array_append_new(wide,
			                            json_pack("{s:s, s:s}", "Name",
			                                      "a name of two hundred bytes is not what a column mostly has, but "
			                                      "it may have one, and then a thousand of them in a hundred "
			                                      "partitions make a request that nobody takes, so there are fewer",
			                                      "Type", "string"));
		must(gm_glue_fitting(wide, 100, &fit, &failure));
		struct gm_buf text;
		gm_buf_init(&text, SIZE_MAX);
		must(gm_json_text(wide, &text, &failure));
		assert_true(fit >= 1 && fit <= 100 && (fit == 1 || fit * text.len <= 16 << 20));
		assert_int_equal(fit == 100, counts[i] <= 40);
		gm_buf_release(&text);
		json_decref(wide);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(projection_has_the_properties_of_its_type),
	    cmocka_unit_test(a_table_without_partitions_has_no_projection),
	    cmocka_unit_test(what_cannot_be_computed_is_refused),
	    cmocka_unit_test(a_location_that_is_no_text_is_refused),
	    cmocka_unit_test(comments_are_cut_between_characters),
	    cmocka_unit_test(a_partition_has_unescaped_values_and_the_folder_as_it_is),
	    cmocka_unit_test(places_are_told_apart),
	    cmocka_unit_test(what_we_have_written_does_not_differ),
	    cmocka_unit_test(merging_comes_to_rest),
	    cmocka_unit_test(new_columns_come_behind_ours_and_none_moves),
	    cmocka_unit_test(refusals_say_what_differs),
	    cmocka_unit_test(what_others_wrote_stays),
	    cmocka_unit_test(rows_that_were_not_counted_stay),
	    cmocka_unit_test(many_differences_are_counted),
	    cmocka_unit_test(requests_stay_small_with_many_columns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
