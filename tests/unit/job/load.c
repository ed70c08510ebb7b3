/* What a job file means: every key read, defaults, ${NAME}, places, the resolved form. What is refused: load_cases.c.
 */
#include "job/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

static struct gm_job *load_with(const char *text, const struct gm_job_options *options)
{
	struct gm_error err = {0};
	struct gm_job *job = NULL;
	enum gm_code rc = gm_job_parse("test.yaml", text, strlen(text), options, &job, &err);
	if (rc != GM_OK) fail_msg("%d:%d: %s (%s)", err.line, err.column, err.message, err.hint);
	assert_non_null(job);
	return job;
}

static struct gm_job *load(const char *text)
{
	return load_with(text, NULL);
}

static enum gm_code load_error(const char *text, const struct gm_job_options *options, struct gm_error *err)
{
	struct gm_job *job = NULL;
	enum gm_code rc = gm_job_parse("test.yaml", text, strlen(text), options, &job, err);
	gm_job_free(job);
	return rc;
}

/* One column of the given text. */
#define JOB_WITH(column) "job: t\nsource: {location: in}\ntable: {location: out}\ncolumns:\n" column

static const char *const full =
    "version: 1\n"
    "job: full\n"
    "id: full-2\n"
    "source: {location: s3://b/in/, format: json, max_record: 1MiB, on_change: reprocess, lookback: 36h, "
    "plan_objects: 7, plan_bytes: 1MiB}\n"
    "table:\n"
    "  location: s3://b/out/\n"
    "  database: db\n"
    "  name: tab\n"
    "  comment: 'a table: yes'\n"
    "  partition_by:\n"
    "    - {name: p, type: string, expr: s, comment: part}\n"
    "  unique_by: [n, s]\n"
    "  unique_within: partition\n"
    "  compression: zstd\n"
    "  compression_level: 7\n"
    "  file_size: 1G\n"
    "  layout: hive\n"
    "where: n > 1\n"
    "columns:\n"
    "  - {name: s, type: string, from: a.b, on_error: quarantine, comment: text}\n"
    "  - name: n\n"
    "    type: bigint\n"
    "    from: [a, \"b.c\", '']\n"
    "    required: true\n"
    "    on_error: fail\n"
    "  - {name: t, type: timestamp, from: t, unit: us, default: 1970-01-02T00:00:00.5Z}\n"
    "catalog: {type: glue, format: hive, partitions: projection}\n";

static void all_keys(void **state)
{
	(void)state;
	struct gm_job *job = load(full);
	assert_string_equal(job->path, "test.yaml");
	assert_string_equal(job->name, "full");
	assert_string_equal(job->id, "full-2");
	assert_string_equal(job->source.location, "s3://b/in/");
	assert_int_equal(job->source.max_record_bytes, 1 << 20);
	assert_int_equal(job->source.on_change, GM_ON_CHANGE_REPROCESS);
	assert_true(job->source.lookback_us == INT64_C(36) * 3600 * 1000000);
	assert_int_equal(job->source.plan_objects, 7);
	assert_int_equal(job->source.plan_bytes, 1 << 20);
	assert_string_equal(job->table.location, "s3://b/out/");
	assert_string_equal(job->table.database, "db");
	assert_string_equal(job->table.name, "tab");
	assert_string_equal(job->table.comment, "a table: yes");
	assert_int_equal(job->table.partition_count, 1);
	assert_string_equal(job->table.partitions[0].name, "p");
	assert_string_equal(job->table.partitions[0].expr, "s");
	assert_string_equal(job->table.partitions[0].comment, "part");
	assert_int_equal(job->table.unique_count, 2);
	assert_int_equal(job->table.unique_by[0], 1);
	assert_int_equal(job->table.unique_by[1], 0);
	assert_int_equal(job->table.compression, GM_COMPRESSION_ZSTD);
	assert_int_equal(job->table.compression_level, 7);
	assert_true(job->table.file_bytes == UINT64_C(1) << 30);
	assert_string_equal(job->where, "n > 1");
	assert_int_equal(job->where_place.line, 18);
	assert_int_equal(job->where_place.column, 8);
	assert_int_equal(job->catalog.type, GM_CATALOG_GLUE);
	assert_int_equal(job->column_count, 3);
	gm_job_free(job);
}

static void all_column_keys(void **state)
{
	(void)state;
	struct gm_job *job = load(full);
	const struct gm_column *s = &job->columns[0], *n = &job->columns[1], *t = &job->columns[2];
	assert_string_equal(s->name, "s");
	assert_int_equal(s->type, GM_TYPE_STRING);
	assert_int_equal(s->from_len, 2);
	assert_string_equal(s->from[0], "a");
	assert_string_equal(s->from[1], "b");
	assert_int_equal(s->from_bytes[1], 1);
	assert_int_equal(s->on_error, GM_ON_ERROR_QUARANTINE);
	assert_string_equal(s->comment, "text");
	assert_false(s->required);
	assert_null(s->expr);
	assert_null(s->fallback);
	assert_int_equal(n->type, GM_TYPE_BIGINT);
	assert_int_equal(n->from_len, 3);
	assert_string_equal(n->from[1], "b.c");
	assert_int_equal(n->from_bytes[2], 0);
	assert_true(n->required);
	assert_int_equal(n->on_error, GM_ON_ERROR_FAIL);
	assert_string_equal(n->comment, "");
	assert_int_equal(n->place.line, 21);
	assert_int_equal(n->place.column, 11);
	assert_int_equal(t->unit, GM_UNIT_US);
	assert_true(t->fallback_value.i64 == INT64_C(86400500000));
	gm_job_free(job);
}

static void defaults(void **state)
{
	(void)state;
	struct gm_job *job = load(JOB_WITH("  - {name: t, type: timestamp, from: t}\n"));
	assert_string_equal(job->id, "t");
	assert_int_equal(job->source.max_record_bytes, 32 << 20);
	assert_int_equal(job->source.on_change, GM_ON_CHANGE_FAIL);
	assert_true(job->source.lookback_us == 0);
	assert_int_equal(job->source.plan_objects, 5000);
	assert_true(job->source.plan_bytes == UINT64_C(16) << 30);
	assert_int_equal(job->table.file_bytes, 128 << 20);
	assert_int_equal(job->table.compression, GM_COMPRESSION_ZSTD);
	assert_int_equal(job->table.encoding, GM_ENCODING_STANDARD);
	assert_int_equal(job->table.compression_level, 1);
	assert_string_equal(job->table.database, "");
	assert_string_equal(job->table.name, "");
	assert_string_equal(job->table.comment, "");
	assert_int_equal(job->table.partition_count, 0);
	assert_int_equal(job->table.unique_count, 0);
	assert_null(job->where);
	assert_int_equal(job->catalog.type, GM_CATALOG_NONE);
	assert_int_equal(job->columns[0].unit, GM_UNIT_MS);
	assert_int_equal(job->columns[0].on_error, GM_ON_ERROR_NULL);
	assert_false(job->columns[0].required);
	gm_job_free(job);
}

static void fallbacks(void **state)
{
	(void)state;
	static const struct {
		const char *type, *text;
		int64_t i64;
	} cases[] = {
	    {"boolean", "true", 1},
	    {"boolean", "false", 0},
	    {"int", "-2147483648", INT32_MIN},
	    {"bigint", "9223372036854775807", INT64_MAX},
	    {"bigint", "-9223372036854775808", INT64_MIN},
	    {"date", "1970-01-01", 0},
	    {"date", "2024-02-29", 19782},
	    {"date", "0001-01-01", -719162},
	    {"timestamp", "1969-12-31T23:59:59.999999Z", -1},
	    {"timestamp", "9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[512];
		(void)snprintf(text, sizeof text, JOB_WITH("  - {name: t, type: %s, from: t, default: '%s'}\n"), cases[i].type,
		               cases[i].text);
		struct gm_job *job = load(text);
		assert_string_equal(job->columns[0].fallback, cases[i].text);
		assert_true(job->columns[0].fallback_value.i64 == cases[i].i64);
		gm_job_free(job);
	}
	struct gm_job *job = load(JOB_WITH("  - {name: d, type: double, from: d, default: -2.5e-3}\n"
	                                   "  - {name: s, type: string, from: s, default: ''}\n"));
	assert_true(job->columns[0].fallback_value.f64 == -2.5e-3);
	assert_string_equal(job->columns[1].fallback, "");
	assert_int_equal(job->columns[1].fallback_bytes, 0);
	gm_job_free(job);
}

static void fallbacks_refused(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"int", "2147483648"},
	    {"int", "1.0"},
	    {"bigint", "9223372036854775808"},
	    {"bigint", ""},
	    {"bigint", "-"},
	    {"bigint", "1 "},
	    {"double", "nan"},
	    {"double", "inf"},
	    {"double", "0x10"},
	    {"double", "1e"},
	    {"double", ""},
	    {"boolean", "TRUE"},
	    {"date", "2024-1-1"},
	    {"date", "2024-01-32"},
	    {"date", "0000-01-01"},
	    {"timestamp", "12:00:00"},
	    {"timestamp", "2024-01-01T24:00:00Z"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[512];
		struct gm_error err = {0};
		(void)snprintf(text, sizeof text, JOB_WITH("  - {name: t, type: %s, from: t, default: '%s'}\n"), cases[i][0],
		               cases[i][1]);
		if (load_error(text, NULL, &err) != GM_JOB) fail_msg("%s as %s", cases[i][1], cases[i][0]);
		assert_non_null(strstr(err.message, "does not fit"));
	}
}

static void sizes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {{"4096", 4096},  {"4096B", 4096},        {"4k", 4096},       {"8KiB", 8192},
	             {"3M", 3145728}, {"128 MiB", 134217728}, {"1g", 1073741824}, {"16GiB", 17179869184}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[512];
		(void)snprintf(text, sizeof text,
		               "job: t\nsource: {location: in}\ntable: {location: out, file_size: %s}\n"
		               "columns: [{name: a, type: int, from: a}]\n",
		               cases[i].text);
		struct gm_job *job = load(text);
		assert_true(job->table.file_bytes == cases[i].bytes);
		gm_job_free(job);
	}
}

/* --- ${NAME} ---------------------------------------------------------------------------------------------------- */

static struct gm_job *load_comment(const char *comment, const struct gm_setting *settings, size_t count)
{
	char text[1024];
	const struct gm_job_options options = {.settings = settings, .setting_count = count};
	(void)snprintf(text, sizeof text, JOB_WITH("  - {name: a, type: int, from: a, comment: \"%s\"}\n"), comment);
	return load_with(text, &options);
}

static void variables(void **state)
{
	(void)state;
	static const struct gm_setting settings[] = {{"A", "one"}, {"EMPTY", ""}, {"ODD", "${A} $$"}};
	static const char *const cases[][2] = {
	    {"${A}", "one"},
	    {"<${A}${A}>", "<oneone>"},
	    {"${GM_TEST_UNSET:-two}", "two"},
	    {"${A:-two}", "one"},
	    {"${EMPTY}", ""},
	    {"${EMPTY:-three}", "three"},
	    {"${GM_TEST_UNSET:-}", ""},
	    {"${GM_TEST_UNSET:-s3://x:y/$$}", "s3://x:y/$"},
	    {"${ODD}", "${A} $$"}, /* a value is not read again */
	    {"$$", "$"},
	    {"$${A}", "${A}"},
	    {"^a$|b$1", "^a$|b$1"},
	    {"$", "$"},
	    {"${GM_TEST_ENV}", "from outside"},
	};
	assert_int_equal(setenv("GM_TEST_ENV", "from outside", 1), 0);
	assert_int_equal(setenv("A", "shadowed by --set", 1), 0);
	assert_int_equal(unsetenv("GM_TEST_UNSET"), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char all[512];
		(void)snprintf(all, sizeof all, "%s|${A}|${EMPTY}|${ODD}", cases[i][0]); /* so that every --set is used */
		struct gm_job *job = load_comment(all, settings, 3);
		const char *comment = job->columns[0].comment;
		size_t bytes = strlen(cases[i][1]);
		if (strncmp(comment, cases[i][1], bytes) != 0 || strcmp(comment + bytes, "|one||${A} $$") != 0)
			fail_msg("%s gave %s", cases[i][0], comment);
		gm_job_free(job);
	}
}

static void last_setting_counts(void **state)
{
	(void)state;
	static const struct gm_setting settings[] = {{"A", "one"}, {"A", "two"}};
	struct gm_job *job = load_comment("${A}", settings, 2);
	assert_string_equal(job->columns[0].comment, "two");
	gm_job_free(job);
}

/* What a variable holds is text, even where the same text in the file would be nothing or a list. */
static void variables_are_text(void **state)
{
	(void)state;
	static const struct gm_setting settings[] = {{"A", "null"}};
	struct gm_job *job = load_comment("${A}", settings, 1);
	assert_string_equal(job->columns[0].comment, "null");
	gm_job_free(job);
	static const struct gm_setting list[] = {{"A", "[x, y]"}};
	job = load_comment("${A}", list, 1);
	assert_string_equal(job->columns[0].comment, "[x, y]");
	gm_job_free(job);
}

static void variables_are_limited(void **state)
{
	(void)state;
	struct gm_error err = {0};
	char *huge = malloc(GM_LOAD_VALUE_MAX + 2), *text = malloc(1 << 20);
	assert_non_null(huge);
	assert_non_null(text);
	memset(huge, 'x', GM_LOAD_VALUE_MAX + 1);
	huge[GM_LOAD_VALUE_MAX + 1] = '\0';
	struct gm_setting settings[] = {{"A", huge}};
	const struct gm_job_options options = {.settings = settings, .setting_count = 1};
	assert_int_equal(load_error(JOB_WITH("  - {name: a, type: int, from: a, comment: '${A}'}\n"), &options, &err),
	                 GM_JOB);
	assert_string_equal(err.message, "the value has more than 65536 bytes after ${...} were replaced");
	assert_int_equal(err.line, 5);
	/* 2000 columns with 60 KB each */
	huge[60000] = '\0';
	size_t len = (size_t)snprintf(text, 1 << 20, JOB_WITH(""));
	for (int i = 0; i < 2000; i++)
		len +=
		    (size_t)snprintf(text + len, (1 << 20) - len, "  - {name: c%d, type: int, from: a, comment: '${A}'}\n", i);
	assert_int_equal(load_error(text, &options, &err), GM_JOB);
	assert_string_equal(err.message, "the values that ${...} made have more than 16 MiB in all");
	free(huge);
	free(text);
}

static void overrides(void **state)
{
	(void)state;
	/* neither needs a value for what it replaces; a missing section is fine when its one required key is given */
	static const char *const text = "job: t\nsource: {location: '${NOWHERE_TO_BE_FOUND}'}\n"
	                                "columns: [{name: a, type: int, from: a}]\n";
	struct gm_job_options options = {.source = "here", .table = "there"};
	struct gm_job *job = load_with(text, &options);
	assert_string_equal(job->source.location, "here");
	assert_string_equal(job->table.location, "there");
	assert_int_equal(job->table.file_bytes, 128 << 20);
	gm_job_free(job);
	struct gm_error err = {0};
	options.source = NULL;
	assert_int_equal(load_error(text, &options, &err), GM_JOB);
	options.source = "";
	assert_int_equal(load_error(text, &options, &err), GM_USAGE);
	options.source = "\xff";
	assert_int_equal(load_error(text, &options, &err), GM_USAGE);
	/* a --set for the value that --source replaces is not an error */
	static const struct gm_setting settings[] = {{"NOWHERE_TO_BE_FOUND", "x"}};
	options = (struct gm_job_options){.source = "here", .table = "there", .settings = settings, .setting_count = 1};
	gm_job_free(load_with(text, &options));
}

/* --- Places ----------------------------------------------------------------------------------------------------- */

/* Column a, whose entry begins in line 7, may use b and c. */
static void place_is(const char *column, int line, int at, bool whole)
{
	char text[1024];
	(void)snprintf(text, sizeof text,
	               JOB_WITH("  - {name: b, type: string, from: b}\n  - {name: c, type: string, from: c}\n%s"), column);
	struct gm_job *job = load(text);
	struct gm_place place = job->columns[2].expr_place;
	if (place.line != line || place.column != at || place.whole != whole)
		fail_msg("%s: found %d:%d %d", column, place.line, place.column, place.whole);
	gm_job_free(job);
}

static void places(void **state)
{
	(void)state;
	place_is("  - {name: a, type: string, expr: b || c}\n", 7, 35, false);
	place_is("  - {name: a, type: string, expr: \"b || c\"}\n", 7, 36, false);
	place_is("  - {name: a, type: string, expr: 'b || c'}\n", 7, 36, false);
	/* characters count, not bytes */
	place_is("  - {name: a, comment: \"\xC3\xA9\", type: string, expr: 'b || c'}\n", 7, 50, false);
	place_is("  - {name: a, type: string, expr: 'b || ''c'''}\n", 7, 36, true);
	place_is("  - {name: a, type: string, expr: \"b\\t|| c\"}\n", 7, 36, true);
	place_is("  - {name: a, type: string, expr: '${GM_TEST_UNSET:-b}'}\n", 7, 35, true);
	place_is("  - name: a\n    type: string\n    expr: b ||\n      c\n", 9, 11, true);
	place_is("  - name: a\n    type: string\n    expr: |\n      b ||\n      c\n", 9, 11, true);
	struct gm_place place = {.line = 3, .column = 10};
	assert_int_equal(gm_place_at(place,
	                             "a\xC3\xA9"
	                             "b",
	                             3)
	                     .column,
	                 12);
	place.whole = true;
	assert_int_equal(gm_place_at(place, "abc", 2).column, 10);
}

/* --- Limits ----------------------------------------------------------------------------------------------------- */

static void limits(void **state)
{
	(void)state;
	struct gm_error err = {0};
	size_t room = GM_LOAD_FILE_MAX + 100, len;
	char *text = malloc(room);
	assert_non_null(text);
	len = (size_t)snprintf(text, room, JOB_WITH(""));
	for (int i = 0; i < 2000; i++)
		len += (size_t)snprintf(text + len, room - len, "  - {name: c%d, type: int, from: a}\n", i);
	struct gm_job *job = load(text);
	assert_int_equal(job->column_count, 2000);
	gm_job_free(job);
	(void)snprintf(text + len, room - len, "  - {name: more, type: int, from: a}\n");
	assert_int_equal(load_error(text, NULL, &err), GM_JOB);
	assert_string_equal(err.message, "'columns' has 2001 entries, at most 2000 are allowed");

	len = (size_t)snprintf(text, room, "columns: [");
	for (int i = 0; i < 200000; i++) len += (size_t)snprintf(text + len, room - len, "x,");
	assert_int_equal(load_error(text, NULL, &err), GM_JOB);
	assert_string_equal(err.message, "the file has more than 200000 values");

	memset(text, '#', room - 1);
	text[room - 1] = '\0';
	assert_int_equal(load_error(text, NULL, &err), GM_JOB);
	assert_string_equal(err.message, "a job file has at most 4 MiB");

	memset(text, '[', room - 1);
	text[1 << 20] = '\0';
	assert_int_equal(load_error(text, NULL, &err), GM_JOB);
	free(text);
}

static void files(void **state)
{
	(void)state;
	struct gm_error err = {0};
	struct gm_job *job;
	assert_int_equal(gm_job_load("/nonexistent/job.yaml", NULL, &job, &err), GM_NOT_FOUND);
	assert_null(job);
	assert_string_equal(err.object, "/nonexistent/job.yaml");
	assert_int_equal(gm_job_load("/", NULL, &job, &err), GM_IO);
	assert_int_equal(gm_job_load("/dev/null", NULL, &job, &err), GM_JOB);
	assert_string_equal(err.message, "the file is empty");
	assert_int_equal(gm_job_load("/dev/zero", NULL, &job, &err), GM_JOB);
	gm_job_free(NULL);
}

static void durations(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t hours;
	} cases[] = {{"1h", 1}, {"25h", 25}, {"1d", 24}, {"007d", 168}, {"3650d", 3650 * 24}, {"87600h", 3650 * 24}};
	static const char *const bad[] = {"7",
	                                  "d",
	                                  "7 d",
	                                  "7D",
	                                  "7m",
	                                  "-7d",
	                                  "7.5d",
	                                  "1d12h",
	                                  "3651d",
	                                  "87601h",
	                                  "0d",
	                                  "\"\"",
	                                  "7dd",
	                                  "9999999999999999999d",
	                                  "106751991167301d"};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[512];
		(void)snprintf(text, sizeof text,
		               "job: t\nsource: {location: in, lookback: %s}\ntable: {location: out}\n"
		               "columns:\n  - {name: a, type: string, from: a}\n",
		               cases[i].text);
		struct gm_job *job = load(text);
		assert_true(job->source.lookback_us == cases[i].hours * INT64_C(3600000000));
		gm_job_free(job);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[512];
		struct gm_error err = {0};
		(void)snprintf(text, sizeof text,
		               "job: t\nsource: {location: in, lookback: %s}\ntable: {location: out}\n"
		               "columns:\n  - {name: a, type: string, from: a}\n",
		               bad[i]);
		if (load_error(text, NULL, &err) != GM_JOB) fail_msg("%s was accepted", bad[i]);
		assert_int_equal(err.line, 2);
	}
}

/* --- The resolved form ------------------------------------------------------------------------------------------ */

static void resolved(void **state)
{
	(void)state;
	struct gm_job *job = load(full);
	assert_string_equal(
	    job->resolved,
	    "{\"columns\":[{\"from\":[\"a\",\"b\"],\"name\":\"s\",\"on_error\":\"quarantine\",\"required\":false,\"type\":"
	    "\"string\"},"
	    "{\"from\":[\"a\",\"b.c\",\"\"],\"name\":\"n\",\"on_error\":\"fail\",\"required\":true,\"type\":\"bigint\"},"
	    "{\"default\":\"1970-01-02T00:00:00.5Z\",\"from\":[\"t\"],\"name\":\"t\",\"on_error\":\"null\",\"required\":"
	    "false,"
	    "\"type\":\"timestamp\",\"unit\":\"us\"}],\"id\":\"full-2\",\"job\":\"full\",\"resolved\":1,"
	    "\"source\":{\"format\":\"json\",\"max_record\":1048576},"
	    "\"table\":{\"compression\":\"zstd\",\"compression_level\":7,\"file_size\":1073741824,\"layout\":\"hive\","
	    "\"partition_by\":[{\"expr\":\"s\",\"name\":\"p\",\"type\":\"string\"}],\"unique_by\":[\"n\",\"s\"],"
	    "\"unique_within\":\"partition\"},\"where\":\"n > 1\"}");
	XXH128_hash_t hash = XXH3_128bits(job->resolved, strlen(job->resolved));
	assert_true(job->hash[0] == hash.low64 && job->hash[1] == hash.high64);
	gm_job_free(job);
}

static bool same_hash(const char *a, const char *b)
{
	struct gm_job *first = load(a), *second = load(b);
	bool same = memcmp(first->hash, second->hash, sizeof first->hash) == 0;
	gm_job_free(first);
	gm_job_free(second);
	return same;
}

static void hash_follows_meaning(void **state)
{
	(void)state;
	static const char *const base = JOB_WITH("  - {name: a, type: timestamp, from: a}\n");
	assert_true(same_hash(base, "version: 1\nid: t\njob: t\nsource: {location: elsewhere, max_record: 32768KiB}\n"
	                            "table: {location: too, name: x, database: y, comment: z, compression: zstd}\n"
	                            "columns:\n- name: 'a'\n  type: timestamp\n  unit: ms\n  comment: c\n  from: [a]\n"
	                            "  on_error: null\n"
	                            "catalog: {type: glue, format: delta, partitions: register, catalog_id: '1'}\n"
	                            "watch: {every: 5m, on_failure: mail}\n"));
	assert_true(same_hash(base, "job: t\nsource: {location: in, on_change: ignore, lookback: 7d, plan_objects: 1, "
	                            "plan_bytes: 1G}\ntable: {location: out}\ncolumns:\n"
	                            "  - {name: a, type: timestamp, from: a}\n"));
#define ENCODED(word)                                                              \
	"job: t\nsource: {location: in}\ntable: {location: out, encoding: " word "}\n" \
	"columns:\n  - {name: a, type: timestamp, from: a}\n"
	assert_true(same_hash(base, ENCODED("standard")));
	assert_false(same_hash(base, ENCODED("compact")));
	assert_false(same_hash(base, JOB_WITH("  - {name: b, type: timestamp, from: a}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: bigint, from: a}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: timestamp, from: b}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: timestamp, from: a, unit: s}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: timestamp, from: a, required: true}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: timestamp, from: a, on_error: fail}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: timestamp, from: a, not_after: 2d}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: timestamp, from: a, default: 2024-01-01}\n")));
	assert_false(same_hash(base, JOB_WITH("  - {name: a, type: timestamp, from: a}\nwhere: a is not null\n")));
	static const char *const date = JOB_WITH("  - {name: a, type: date, from: a, expr: date(a)}\n");
	assert_true(same_hash(date, JOB_WITH("  - {name: a, type: date, from: a, unit: ms, expr: date(a)}\n")));
	assert_false(same_hash(date, JOB_WITH("  - {name: a, type: date, from: a, unit: s, expr: date(a)}\n")));
	assert_false(same_hash(base, "id: u\n" JOB_WITH("  - {name: a, type: timestamp, from: a}\n")));
}

/* --- The shipped jobs, and help --------------------------------------------------------------------------------- */

static void shipped(void **state)
{
	(void)state;
	static const char *const paths[] = {GM_SOURCE_DIR "/jobs/access-record.yaml",
	                                    GM_SOURCE_DIR "/jobs/access-record-by-date.yaml",
	                                    GM_SOURCE_DIR "/tests/jobs/access-record-sql.yaml"};
	for (size_t i = 0; i < 3; i++) {
		struct gm_error err = {0};
		struct gm_job *job;
		char *text = NULL;
		const struct gm_job_options options = {.source = "in", .table = "out"};
		if (gm_job_load(paths[i], &options, &job, &err) != GM_OK)
			fail_msg("%s:%d:%d: %s (%s)", paths[i], err.line, err.column, err.message, err.hint);
		assert_int_equal(job->column_count, i == 2 ? 28 : 26); /* the one in SQL has two helpers */
		assert_string_equal(job->columns[0].name, "session_id");
		assert_string_equal(job->columns[25].name, "entity_id");
		assert_int_equal(job->table.partition_count, i == 1 ? 1 : 3);
		assert_int_equal(job->table.unique_count, 1);
		for (size_t k = 0; k < 26; k++) assert_true(strlen(job->columns[k].comment) > 10);
		assert_int_equal(gm_job_describe(job, false, &text, &err), GM_OK);
		assert_non_null(strstr(text, "\nnormalized_method_signature  string     "));
		free(text);
		assert_int_equal(gm_job_describe(job, true, &text, &err), GM_OK);
		assert_non_null(strstr(text, "\"comment\":\"HTTP method"));
		free(text);
		gm_job_free(job);
	}
}

static void help(void **state)
{
	(void)state;
	struct gm_error err;
	char *text;
	assert_int_equal(gm_job_help(&text, &err), GM_OK);
	for (size_t i = 0; i < gm_key_count; i++) {
		if (strstr(text, gm_keys[i].name) == NULL) fail_msg("no word of %s", gm_keys[i].name);
		if (strstr(text, gm_keys[i].help) == NULL) fail_msg("no help for %s", gm_keys[i].name);
	}
	assert_non_null(strstr(text, "\n  lower(string) -> string\n"));        /* native */
	assert_non_null(strstr(text, "\n  coalesce(any, any, ...) -> any\n")); /* part of the language */
	assert_non_null(strstr(text, "\n  sqrt(double) -> double\n"));         /* by SQLite */
	free(text);
}

/* --- How S3 is reached ------------------------------------------------------------------------------------------- */

#define COLUMNS "columns:\n  - {name: a, type: string, from: a}\n"

static void places_in_s3_are_told_apart(void **state)
{
	(void)state;
	struct gm_job *job = load("job: t\n"
	                          "source:\n"
	                          "  location: s3://in/x\n"
	                          "  profile: reader\n"
	                          "  region: eu-west-1\n"
	                          "  path_style: true\n"
	                          "  timeout: 90s\n"
	                          "  requester_pays: true\n"
	                          "  version_ids: true\n"
	                          "table:\n"
	                          "  location: s3://out/y\n"
	                          "  endpoint: http://127.0.0.1:9000\n"
	                          "  ca_file: ca.pem\n"
	                          "  path_style: false\n"
	                          "  timeout: 2m\n"
	                          "  encryption: aws:kms\n"
	                          "  kms_key: alias/k\n"
	                          "  single_writer: true\n" COLUMNS);
	const struct gm_job_access *source = &job->source.access, *table = &job->table.access;
	assert_string_equal(source->profile, "reader");
	assert_string_equal(source->region, "eu-west-1");
	assert_null(source->endpoint);
	assert_int_equal(source->path_style, GM_PATH_STYLE_TRUE);
	assert_true(source->timeout_us == INT64_C(90000000));
	assert_true(source->requester_pays && source->version_ids && !source->single_writer);
	assert_null(table->profile);
	assert_string_equal(table->endpoint, "http://127.0.0.1:9000");
	assert_string_equal(table->ca_file, "ca.pem");
	assert_int_equal(table->path_style, GM_PATH_STYLE_FALSE);
	assert_true(table->timeout_us == INT64_C(120000000));
	assert_int_equal(table->encryption, GM_ENCRYPTION_KMS);
	assert_string_equal(table->kms_key, "alias/k");
	assert_true(table->single_writer);
	/* Where data lies changes no byte. */
	struct gm_job *plain = load("job: t\nsource: {location: s3://in/x}\ntable: {location: s3://out/y}\n" COLUMNS);
	assert_memory_equal(job->hash, plain->hash, sizeof job->hash);
	assert_int_equal(plain->table.access.path_style, GM_PATH_STYLE_AUTO);
	assert_int_equal(plain->table.access.encryption, GM_ENCRYPTION_BUCKET);
	gm_job_free(plain);
	gm_job_free(job);
}

static void a_directory_is_not_reached_by_s3(void **state)
{
	(void)state;
	static const char *const source_keys[] = {
	    "profile: p", "region: r",   "endpoint: e",       "path_style: auto",
	    "ca_file: f", "timeout: 5s", "version_ids: true", "requester_pays: false"};
	static const char *const table_keys[] = {"profile: p", "encryption: AES256", "kms_key: k", "single_writer: false"};
	for (size_t i = 0; i < 8 + 4; i++) {
		char text[512];
		struct gm_error err = {0};
		const char *key = i < 8 ? source_keys[i] : table_keys[i - 8];
		(void)snprintf(text, sizeof text,
		               "job: t\nsource: {location: in%s%s}\ntable: {location: \"file:///out\"%s%s}\n" COLUMNS,
		               i < 8 ? ", " : "", i < 8 ? key : "", i < 8 ? "" : ", ", i < 8 ? "" : key);
		if (load_error(text, NULL, &err) != GM_JOB) fail_msg("%s was accepted", key);
		assert_int_equal(err.line, i < 8 ? 2 : 3);
		char name[32];
		(void)snprintf(name, sizeof name, "'%.*s'", (int)strcspn(key, ":"), key);
		assert_non_null(strstr(err.message, name));
	}
	/* Another location by an option: the keys are for the one that it replaces. */
	static const char far[] = "job: t\nsource: {location: s3://in, region: r}\ntable: {location: out}\n" COLUMNS;
	const struct gm_job_options options = {.source = "in"};
	struct gm_job *job;
	struct gm_error err;
	assert_int_equal(gm_job_parse("j.yaml", far, sizeof far - 1, &options, &job, &err), GM_OK);
	gm_job_free(job);
}

static void a_key_needs_its_encryption(void **state)
{
	(void)state;
	struct gm_error err = {0};
	assert_int_equal(
	    load_error("job: t\nsource: {location: in}\ntable: {location: s3://out, kms_key: k}\n" COLUMNS, NULL, &err),
	    GM_JOB);
	assert_non_null(strstr(err.message, "kms_key"));
	/* What ${NAME:-} leaves empty is not given. */
	gm_job_free(
	    load("job: t\nsource: {location: in}\ntable: {location: s3://out, kms_key: \"\", region: \"\"}\n" COLUMNS));
}

/* The guide names every key of the table in a row that begins with it, below the heading of its section, and no other.
 */
static void guide(void **state)
{
	(void)state;
	static char text[1 << 20];
	FILE *file = fopen(GM_SOURCE_DIR "/docs/job-files.md", "rb");
	assert_non_null(file);
	size_t n = fread(text, 1, sizeof text - 1, file), rows = 0;
	(void)fclose(file);
	text[n] = '\0';
	for (size_t i = 0; i < gm_key_count; i++) {
		char heading[128], row[128];
		const char *section = gm_section_name(gm_keys[i].section);
		(void)snprintf(heading, sizeof heading, "\n### %s%s%s\n", *section == '\0' ? "Top level" : "`", section,
		               *section == '\0' ? "" : "`");
		(void)snprintf(row, sizeof row, "\n| `%s` |", gm_keys[i].name);
		const char *at = strstr(text, heading);
		if (at == NULL) {
			fail_msg("the guide has no heading %s", heading);
			return;
		}
		const char *end = strstr(at + 2, "\n### "), *found = strstr(at, row);
		if (found == NULL || (end != NULL && found > end)) fail_msg("the guide does not explain %s %s", section, row);
	}
	char *example = strstr(text, "```yaml\njob: visits\n");
	assert_non_null(example);
	example += strlen("```yaml\n");
	char *close = strstr(example, "```");
	assert_non_null(close);
	*close = '\0';
	gm_job_free(load(example)); /* the first example is a job that loads */
	*close = '`';
	const char *from = strstr(text, "\n## Every key\n"), *to = strstr(text, "\n## Expressions");
	assert_non_null(from);
	assert_non_null(to);
	for (const char *p = from; (p = strstr(p, "\n| `")) != NULL && p < to; p++) rows++;
	assert_int_equal(rows, gm_key_count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_keys),
	    cmocka_unit_test(all_column_keys),
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(fallbacks),
	    cmocka_unit_test(fallbacks_refused),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(durations),
	    cmocka_unit_test(places_in_s3_are_told_apart),
	    cmocka_unit_test(a_directory_is_not_reached_by_s3),
	    cmocka_unit_test(a_key_needs_its_encryption),
	    cmocka_unit_test(variables),
	    cmocka_unit_test(last_setting_counts),
	    cmocka_unit_test(variables_are_text),
	    cmocka_unit_test(variables_are_limited),
	    cmocka_unit_test(overrides),
	    cmocka_unit_test(places),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(files),
	    cmocka_unit_test(resolved),
	    cmocka_unit_test(hash_follows_meaning),
	    cmocka_unit_test(shipped),
	    cmocka_unit_test(help),
	    cmocka_unit_test(guide),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
