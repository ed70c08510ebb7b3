/* The table as those who query it see it: columns, partitions, and how their values can be computed. */
#include "catalog_fixture.h"

static struct gm_shape shape_of(const struct gm_job *job, struct gm_store *store, bool rows)
{
	struct gm_shape shape;
	must(gm_shape_read(job, store, rows, MEMORY, &shape, &failure));
	return shape;
}

/* --- Columns and partitions --------------------------------------------------------------------------------------- */

static void a_table_without_a_log_has_the_columns_of_the_job(void **state)
{
	(void)state;
	struct gm_job *job =
	    parse_job(JOB_HEAD "table: {location: 's3://b/p//', name: Tab, database: Base, comment: c, "
	                       "partition_by: [{name: day, type: date, expr: date(Time), comment: d}]}\n" COLUMNS);
	struct gm_store *empty = open_memory();
	for (int i = 0; i < 2; i++) { /* no place, and a place without a log */
		struct gm_shape shape = shape_of(job, i == 0 ? NULL : empty, true);
		assert_string_equal(shape.database, "base");
		assert_string_equal(shape.name, "tab");
		assert_string_equal(shape.comment, "c");
		assert_string_equal(shape.location, "s3://b/p/");
		assert_int_equal(shape.version, -1);
		assert_int_equal(shape.column_count, 2);
		assert_string_equal(shape.columns[0].name, "id");
		assert_string_equal(shape.columns[0].comment, "of the job");
		assert_string_equal(shape.columns[0].hive_type, "bigint");
		assert_string_equal(shape.columns[1].name, "time");
		assert_string_equal(shape.columns[1].spelt, "Time");
		assert_int_equal(shape.columns[1].type, GM_TYPE_TIMESTAMP);
		assert_int_equal(shape.partition_column_count, 1);
		assert_string_equal(shape.partition_columns[0].name, "day");
		assert_string_equal(shape.partition_columns[0].comment, "d");
		assert_int_equal(shape.partition_count, 0);
		assert_non_null(strstr(shape.unprojectable, "'day' has no values yet"));
		gm_shape_release(&shape);
	}
	gm_store_close(empty);
	gm_job_free(job);
}

/* clang-format off */
#define OF_OTHERS FIELD_("p", "\\\"string\\\"", "{\\\"comment\\\":\\\"others\\\"}")
#define OF_LOG    FIELD_("id", "\\\"long\\\"", "{\\\"comment\\\":\\\"of the log\\\"}")
#define OLD       FIELD("Old", "decimal(10,2)")
#define BAD       FIELD("bad", "decimal( 1,2)")
#define STRUCT(fields) "{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" fields "]}"
#define DEEP                                                                                                      \
	FIELD_("deep",                                                                                                \
	       "{\\\"type\\\":\\\"map\\\",\\\"keyType\\\":\\\"string\\\",\\\"valueType\\\":{\\\"type\\\":\\\"array\\\"," \
	       "\\\"elementType\\\":" STRUCT(FIELD("A", "short") "," FIELD("b", "timestamp_ntz")) "}}", "{}")
#define QUOTED FIELD_("quoted", STRUCT(FIELD("a b", "short")), "{}")
/* clang-format on */

static void the_log_knows_the_columns_of_all(void **state)
{
	(void)state;
	struct gm_job *job = job_of("[{name: p, type: string, expr: \"'x'\"}]");
	struct gm_store *store = open_memory();
	put_head(store, OF_OTHERS "," OF_LOG "," OLD "," DEEP "," FIELD("odd", "variant") "," BAD "," QUOTED, "[\"p\"]");
	struct gm_shape shape = shape_of(job, store, false);
	assert_string_equal(shape.comment, "of the log");
	assert_int_equal(shape.version, 0);
	assert_int_equal(shape.column_count, 3);
	assert_int_equal(shape.left_out, 3);
	assert_string_equal(shape.columns[0].comment, "of the job");
	assert_true(shape.columns[0].ours);
	assert_string_equal(shape.columns[1].name, "old");
	assert_string_equal(shape.columns[1].hive_type, "decimal(10,2)");
	assert_false(shape.columns[1].ours);
	assert_string_equal(shape.columns[2].hive_type, "map<string,array<struct<a:smallint,b:timestamp>>>");
	assert_string_equal(shape.partition_columns[0].comment, "others");
	gm_shape_release(&shape);
	gm_store_close(store);
	gm_job_free(job);
}

static void a_job_with_another_type_is_not_of_this_table(void **state)
{
	(void)state;
	struct gm_job *job = job_of("[]");
	struct gm_store *store = open_memory();
	struct gm_shape shape;
	put_head(store, FIELD("id", "string"), "[]");
	must_fail(gm_shape_read(job, store, false, MEMORY, &shape, &failure), GM_UNSUPPORTED,
	          "the column 'id' is string in the table and bigint in the job");
	gm_shape_release(&shape);
	gm_store_close(store);
	gm_job_free(job);
}

static void columns_that_differ_in_case_alone_are_refused(void **state)
{
	(void)state;
	struct gm_job *job = job_of("[]");
	struct gm_store *store = open_memory();
	struct gm_shape shape;
	put_head(store, FIELD("id", "long") "," FIELD("ID", "long"), "[]");
	must_fail(gm_shape_read(job, store, false, MEMORY, &shape, &failure), GM_UNSUPPORTED,
	          "columns 'id' and 'ID' differ in case alone");
	gm_shape_release(&shape);
	gm_store_close(store);
	gm_job_free(job);
}

static void partitions_are_those_with_live_files(void **state)
{
	(void)state;
	struct gm_job *job = job_of("[{name: p, type: string, expr: \"'x'\"}]");
	struct gm_store *store = open_memory();
	put_head(store, FIELD("id", "long") "," FIELD("p", "string"), "[\"p\"]");
	static const struct gm_delta_file files[] = {
	    {.path = "p=b/1", .partition = "p=b", .bytes = 5, .stats = "{\"numRecords\":3}", .data_change = true},
	    {.path = "p=a/2",
	     .partition = "p=a",
	     .bytes = 7,
	     .stats = "{\"maxValues\":{\"s\":\"\\u0000\"},\"numRecords\":4}", /* a text may have a NUL */
	     .data_change = true},
	    {.path = "p=b/3", .partition = "p=b", .bytes = 11, .stats = "{\"numRecords\":-1}", .data_change = true},
	    {.path = "b/4", .partition = "p=b", .bytes = 13, .stats = "no JSON", .data_change = true},
	    {.path = "p=b/c/5", .partition = "p=b", .bytes = 17, .stats = "{\"numRecords\":6}", .data_change = true},
	    {.path = "p=b/_6", .partition = "p=b", .bytes = 19, .data_change = true},
	    {.path = "p=gone/7", .partition = "p=gone", .bytes = 23, .data_change = true},
	};
	must(put_adds(store, 1, NULL, files, sizeof files / sizeof files[0], &failure));
	put_text(store, 2, REMOVE("p=gone/7"));
	for (int rows = 0; rows < 2; rows++) {
		struct gm_shape shape = shape_of(job, store, rows == 1);
		assert_string_equal(shape.location, "/t/");
		assert_int_equal(shape.version, 2);
		assert_int_equal(shape.partition_count, 2);
		assert_string_equal(shape.partitions[0].path, "p=a");
		assert_string_equal(shape.partitions[0].values[0].value, "a");
		assert_int_equal(shape.partitions[0].files, 1);
		assert_int_equal(shape.partitions[0].rows, rows == 1 ? 4 : 0);
		assert_string_equal(shape.partitions[1].path, "p=b");
		assert_int_equal(shape.partitions[1].files, 5);
		assert_int_equal(shape.partitions[1].bytes, 5 + 11 + 13 + 17 + 19);
		assert_int_equal(shape.partitions[1].rows, rows == 1 ? 9 : 0);
		assert_int_equal(shape.files, 6);
		assert_int_equal(shape.bytes, 72);
		assert_int_equal(shape.rows, rows == 1 ? 13 : 0);
		assert_int_equal(shape.rows_unknown, rows == 1 ? 3 : 0);
		assert_int_equal(shape.misplaced, 3);
		assert_string_equal(shape.partition_columns[0].projection->values, "a,b");
		gm_shape_release(&shape);
	}
	gm_store_close(store);
	gm_job_free(job);
}

static void an_unpartitioned_table_is_one_folder(void **state)
{
	(void)state;
	struct gm_job *job = job_of("[]");
	struct gm_store *store = open_memory();
	put_head(store, FIELD("id", "long"), "[]");
	static const struct gm_delta_file file = {.path = "1", .partition = "", .bytes = 5, .data_change = true};
	must(put_adds(store, 1, NULL, &file, 1, &failure));
	struct gm_shape shape = shape_of(job, store, false);
	assert_int_equal(shape.partition_count, 1);
	assert_string_equal(shape.partitions[0].path, "");
	assert_int_equal(shape.misplaced, 0);
	assert_string_equal(shape.unprojectable, "");
	gm_shape_release(&shape);
	gm_store_close(store);
	gm_job_free(job);
}

/* --- Projection --------------------------------------------------------------------------------------------------- */

/* The shape of a table of one partition column p of this type and expression, with these values as its folders spell
 * them. */
static struct gm_shape project(const char *name, const char *type, const char *expr, const char *const *values,
                               size_t count)
{
	char text[1000], fields[1000], columns[300];
	struct gm_delta_file *files = calloc(count + 1, sizeof *files);
	struct gm_arena arena;
	struct gm_store *store = open_memory();
	gm_arena_init(&arena, 4096);
	bool others = strcmp(type, "boolean") == 0; /* no job partitions by such a column */
	(void)snprintf(text, sizeof text, "[{name: %s, type: %s, expr: \"%s\"}]", others ? "other" : name,
	               others ? "string" : type, expr);
	struct gm_job *job = job_of(text);
	(void)snprintf(fields, sizeof fields, FIELD("id", "long") "," FIELD("%s", "%s"), name,
	               strcmp(type, "int") == 0      ? "integer"
	               : strcmp(type, "bigint") == 0 ? "long"
	                                             : type);
	(void)snprintf(columns, sizeof columns, "[\"%s\"]", name);
	put_head(store, fields, columns);
	for (size_t i = 0; i < count; i++) {
		files[i] = add(gm_arena_printf(&arena, "%s=%s/1", name, values[i]),
		               gm_arena_printf(&arena, "%s=%s", name, values[i]), 1);
	}
	if (count > 0) must(put_adds(store, 1, NULL, files, count, &failure));
	struct gm_shape shape = shape_of(job, store, false);
	gm_job_free(job);
	gm_store_close(store);
	gm_arena_release(&arena);
	free(files);
	return shape;
}
#define MONTH       "date_format(Time, '%m')"
#define YEAR        "date_format(Time, '%Y')"
#define YEAR_NUMBER "cast(year(Time) as int)"
#define VALUES(...) ((const char *const[]){__VA_ARGS__}), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void check_projection(struct gm_shape shape, enum gm_projection_type type, const char *text, unsigned digits,
                             uint64_t count)
{
	const struct gm_projection *projection = shape.partition_columns[0].projection;
	if (projection == NULL) fail_msg("%s: %s", text, shape.unprojectable);
	assert_string_equal(shape.unprojectable, "");
	assert_int_equal(projection->type, type);
	assert_string_equal(type == GM_PROJECTION_ENUM ? projection->values : projection->range, text);
	assert_int_equal(projection->digits, digits);
	assert_int_equal(projection->count, count);
	if (type == GM_PROJECTION_DATE) assert_string_equal(projection->format, "yyyy-MM-dd");
	gm_shape_release(&shape);
}

static void check_refused(struct gm_shape shape, const char *why)
{
	if (strstr(shape.unprojectable, why) == NULL) fail_msg("%s: %s", why, shape.unprojectable);
	assert_null(shape.partition_columns[0].projection);
	gm_shape_release(&shape);
}

static void months_days_and_hours_are_known_beforehand(void **state)
{
	(void)state;
	check_projection(project("p", "string", MONTH, NULL, 0), GM_PROJECTION_INTEGER, "1,12", 2, 12);
	check_projection(project("p", "string", MONTH, VALUES("03")), GM_PROJECTION_INTEGER, "1,12", 2, 12);
	check_projection(project("p", "string", "(DATE_FORMAT(Time, '%d'))", VALUES("31", "01")), GM_PROJECTION_INTEGER,
	                 "1,31", 2, 31);
	check_projection(project("p", "string", "date_format(Time, '%H')", VALUES("00", "23")), GM_PROJECTION_INTEGER,
	                 "0,23", 2, 24);
	/* values that another writer put there */
	check_projection(project("p", "string", MONTH, VALUES("3", "12")), GM_PROJECTION_ENUM, "12,3", 0, 2);
	check_projection(project("p", "string", MONTH, VALUES("00", "12")), GM_PROJECTION_ENUM, "00,12", 0, 2);
	check_projection(project("p", "string", MONTH, VALUES("13")), GM_PROJECTION_ENUM, "13", 0, 1);
	check_projection(project("p", "string", MONTH, VALUES("1a")), GM_PROJECTION_ENUM, "1a", 0, 1);
	/* expressions that are not that */
	check_projection(project("p", "string", "date_format(Time, '%m') || ''", VALUES("03")), GM_PROJECTION_ENUM, "03", 0,
	                 1);
	check_projection(project("p", "string", "date_format(Time, '%mm')", VALUES("03m")), GM_PROJECTION_ENUM, "03m", 0,
	                 1);
}

static void strings_are_listed(void **state)
{
	(void)state;
	check_projection(project("p", "string", YEAR, VALUES("2025", "1970", "2024")), GM_PROJECTION_ENUM, "1970,2024,2025",
	                 0, 3);
	check_projection(project("p", "string", "'x'", VALUES("a b", "A-1_(x)+@~", "<;")), GM_PROJECTION_ENUM,
	                 "<;,A-1_(x)+@~,a b", 0, 3);
	check_refused(project("p", "string", YEAR, NULL, 0), "'p' has no values yet, for the table has no files");
}

static void days_are_a_range_unless_most_of_it_is_empty(void **state)
{
	(void)state;
	check_projection(project("p", "string", "'x'", VALUES("2024-03-10", "2024-02-28")), GM_PROJECTION_DATE,
	                 "2024-02-28,2024-03-10", 0, 12);
	check_projection(project("p", "string", "'x'", VALUES("1970-01-01", "2024-02-28")), GM_PROJECTION_ENUM,
	                 "1970-01-01,2024-02-28", 0, 2);
	/* a range of one day is none to Trino */
	check_projection(project("p", "string", "'x'", VALUES("2024-03-10")), GM_PROJECTION_ENUM, "2024-03-10", 0, 1);
	check_projection(project("p", "string", "'x'", VALUES("2024-02-29", "2024-02-30")), GM_PROJECTION_ENUM,
	                 "2024-02-29,2024-02-30", 0, 2);
	check_projection(project("p", "string", "'x'", VALUES("0000-01-01", "0000-01-02")), GM_PROJECTION_ENUM,
	                 "0000-01-01,0000-01-02", 0, 2);
}

static void dates_are_a_range(void **state)
{
	(void)state;
	check_projection(project("p", "date", "date(Time)", VALUES("1970-01-01", "2024-02-28")), GM_PROJECTION_DATE,
	                 "1970-01-01,2024-02-28", 0, 19782);
	check_projection(project("p", "date", "date(Time)", VALUES("2024-02-29")), GM_PROJECTION_DATE,
	                 "2024-02-29,2024-03-01", 0, 2);
	check_projection(project("p", "date", "date(Time)", VALUES("9999-12-31")), GM_PROJECTION_DATE,
	                 "9999-12-30,9999-12-31", 0, 2);
	check_refused(project("p", "date", "date(Time)", VALUES("2024-2-28")), "values that are no days");
}

static void numbers_are_a_range(void **state)
{
	(void)state;
	check_projection(project("p", "int", YEAR_NUMBER, VALUES("2024", "-7", "10")), GM_PROJECTION_INTEGER, "-7,2024", 0,
	                 2032);
	check_projection(project("p", "bigint", "id", VALUES("2147483646")), GM_PROJECTION_INTEGER, "2147483646,2147483646",
	                 0, 1);
	check_refused(project("p", "bigint", "id", VALUES("1", "2147483647")),
	              "'2147483647', and Trino computes with 32 bits");
	check_refused(project("p", "bigint", "id", VALUES("-9223372036854775808")), "Trino computes with 32 bits");
	check_refused(project("p", "bigint", "id", VALUES("99999999999999999999")), "not how a number is written");
	check_refused(project("p", "int", YEAR_NUMBER, VALUES("007")), "not how a number is written");
	check_refused(project("p", "int", YEAR_NUMBER, NULL, 0), "'p' has no values yet");
}

static struct gm_shape project_many(const char *format, int first, int count)
{
	char(*text)[32] = calloc((size_t)count, sizeof *text);
	const char **values = calloc((size_t)count, sizeof *values);
	for (int i = 0; i < count; i++) {
		(void)snprintf(text[i], sizeof text[i], format, first + i);
		values[i] = text[i];
	}
	struct gm_shape shape = project("p", "string", "'x'", values, (size_t)count);
	free(values);
	free(text);
	return shape;
}

static void many_values_are_listed_only_as_numbers(void **state)
{
	(void)state;
	struct gm_shape shape = project_many("%d", 1, 1000);
	assert_int_equal(shape.partition_columns[0].projection->type, GM_PROJECTION_ENUM);
	gm_shape_release(&shape);
	check_projection(project_many("%04d", 1, 1001), GM_PROJECTION_INTEGER, "1,1001", 4, 1001);
	check_projection(project_many("%010d", 2147482646, 1001), GM_PROJECTION_INTEGER, "2147482646,2147483646", 10, 1001);
	check_refused(project_many("%d", 1, 1001), "too many values to list them: set catalog.partitions to register");
	check_refused(project_many("2%09d", 147482647, 1001), "too many values");
	check_refused(project_many("x%d", 1, 1001), "too many values");
}

static void what_no_engine_reads_alike_is_refused(void **state)
{
	(void)state;
	check_refused(project("p", "string", MONTH, VALUES("03", "__HIVE_DEFAULT_PARTITION__")),
	              "'p' is null in some rows");
	check_refused(project("p", "int", YEAR_NUMBER, VALUES("__HIVE_DEFAULT_PARTITION__")), "'p' is null in some rows");
	static const char *const values[] = {"a,b", " a", "a ", "a%2Fb", "a%0Ab", "a%27b", "a$b", "\xc3\xa9", "%2E"};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		check_refused(project("p", "string", "'x'", (const char *const[]){"fine", values[i]}, 2),
		              "cannot stand in a list and in a folder's name as it is: set catalog.partitions to register");
	struct gm_shape shape = project("p", "string", "'x'", VALUES("a%0A%1Bb"));
	assert_non_null(strstr(shape.unprojectable, "'a??b'")); /* one line, whatever the value */
	gm_shape_release(&shape);
	check_refused(project("Year", "string", YEAR, VALUES("2024")), "'Year' has capitals in its folders' names");
	check_refused(project("p", "boolean", "'x'", VALUES("true")), "of a type that is not projected");
}

static void two_columns(const char *first, const char *last, struct gm_shape *shape)
{
	struct gm_job *job = job_of(
	    "[{name: y, type: int, expr: cast(year(Time) as int)}, {name: m, type: string, expr: \"date_format(Time, "
	    "'%m')\"}, {name: d, type: string, expr: \"date_format(Time, '%d')\"}]");
	struct gm_store *store = open_memory();
	char a[64], b[64];
	put_head(store, FIELD("y", "integer") "," FIELD("m", "string") "," FIELD("d", "string"), "[\"y\",\"m\",\"d\"]");
	(void)snprintf(a, sizeof a, "y=%s/m=01/d=01", first);
	(void)snprintf(b, sizeof b, "y=%s/m=01/d=01", last);
	struct gm_delta_file files[] = {add("1", a, 1), add("2", b, 1)};
	must(put_adds(store, 1, NULL, files, 2, &failure));
	must(gm_shape_read(job, store, false, MEMORY, shape, &failure));
	gm_store_close(store);
	gm_job_free(job);
}

static void what_makes_very_many_partitions_is_told(void **state)
{
	(void)state;
	struct gm_shape shape;
	two_columns("2000", "2024", &shape);
	assert_string_equal(shape.unprojectable, "");
	assert_string_equal(shape.note, "");
	gm_shape_release(&shape);
	two_columns("1755", "2024", &shape); /* 270 x 372 */
	assert_string_equal(shape.unprojectable, "");
	assert_non_null(strstr(shape.note, "makes 100440 partitions, of which 2 exist"));
	gm_shape_release(&shape);
	two_columns("2024", "9999", &shape); /* one record with a bad clock */
	assert_non_null(strstr(shape.unprojectable, "makes 2967072 partitions, of which 2 exist"));
	gm_shape_release(&shape);
}

static void a_location_that_is_taken_for_a_template_is_refused(void **state)
{
	(void)state;
	struct gm_job *job =
	    parse_job(JOB_HEAD "table: {location: '/t/$${m}', partition_by: [{name: m, type: string, expr: "
	                       "\"date_format(Time, '%m')\"}]}\n" COLUMNS);
	struct gm_shape shape;
	must(gm_shape_read(job, NULL, false, MEMORY, &shape, &failure));
	assert_string_equal(shape.location, "/t/${m}/");
	assert_non_null(strstr(shape.unprojectable, "takes for a column"));
	gm_shape_release(&shape);
	gm_job_free(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_table_without_a_log_has_the_columns_of_the_job),
	    cmocka_unit_test(the_log_knows_the_columns_of_all),
	    cmocka_unit_test(a_job_with_another_type_is_not_of_this_table),
	    cmocka_unit_test(columns_that_differ_in_case_alone_are_refused),
	    cmocka_unit_test(partitions_are_those_with_live_files),
	    cmocka_unit_test(an_unpartitioned_table_is_one_folder),
	    cmocka_unit_test(months_days_and_hours_are_known_beforehand),
	    cmocka_unit_test(strings_are_listed),
	    cmocka_unit_test(days_are_a_range_unless_most_of_it_is_empty),
	    cmocka_unit_test(dates_are_a_range),
	    cmocka_unit_test(numbers_are_a_range),
	    cmocka_unit_test(many_values_are_listed_only_as_numbers),
	    cmocka_unit_test(what_no_engine_reads_alike_is_refused),
	    cmocka_unit_test(what_makes_very_many_partitions_is_told),
	    cmocka_unit_test(a_location_that_is_taken_for_a_template_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
