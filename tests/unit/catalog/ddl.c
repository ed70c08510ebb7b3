/* Statements: how each dialect quotes, and what others' columns become in it. */
#include "catalog/ddl.h"
#include "catalog/sql_text.h"
#include "catalog_fixture.h"

typedef enum gm_code quote_fn(struct gm_buf *out, const char *text, struct gm_error *err);

static void check_quoted(quote_fn *quote, const char *text, const char *expected)
{
	struct gm_buf out;
	gm_buf_init(&out, 1000);
	must(quote(&out, text, &failure));
	must(gm_buf_append(&out, "", 1, &failure));
	assert_string_equal((const char *)out.data, expected);
	gm_buf_release(&out);
}

static enum gm_code backticks(struct gm_buf *out, const char *text, struct gm_error *err)
{
	return gm_sql_name(out, '`', text, err);
}

static void each_dialect_quotes_as_it_reads(void **state)
{
	(void)state;
	check_quoted(gm_sql_literal, "it's \\ \"x\"\n--;", "'it''s \\ \"x\"\n--;'");
	check_quoted(gm_sql_hive_literal, "it's \\ \"x\"\n\r\t--;", "'it\\'s \\\\ \"x\"\\n\\r\\t--;'");
	check_quoted(gm_sql_hive_literal, "\x01\x1b\x7f\xc3\xa9 $ {x} ${x}",
	             "'\\u0001\\u001b\\u007f\xc3\xa9 $ {x} \\u0024{x}'");
	check_quoted(gm_sql_hive_literal, "'''", "'\\'\\'\\''");
	check_quoted(backticks, "a`b\"", "`a``b\"`");
	check_quoted(gm_sql_remark, "one\ntwo\rthree", "-- one two three\n");
}

static char *write_ddl(const struct gm_job *job, struct gm_store *store, enum gm_dialect dialect)
{
	struct gm_shape shape;
	struct gm_buf out;
	gm_buf_init(&out, 1 << 20);
	must(gm_shape_read(job, store, false, MEMORY, &shape, &failure));
	must(gm_ddl_write(job, &shape, dialect, &out, &failure));
	must(gm_buf_append(&out, "", 1, &failure));
	gm_shape_release(&shape);
	return (char *)out.data;
}

static void check_holds(const struct gm_job *job, struct gm_store *store, enum gm_dialect dialect, const char *part)
{
	char *text = write_ddl(job, store, dialect);
	if (strstr(text, part) == NULL) fail_msg("no %s in: %s", part, text);
	free(text);
}

static void columns_of_others_have_types_in_each_dialect(void **state)
{
	(void)state;
	struct gm_job *job = job_of("[]");
	struct gm_store *store = open_memory();
	put_head(
	    store,
	    FIELD("b", "binary") "," FIELD("f", "float") "," FIELD("d", "decimal(10,2)") "," FIELD_(
	        "deep",
	        "{\\\"type\\\":\\\"map\\\",\\\"keyType\\\":\\\"string\\\",\\\"valueType\\\":{\\\"type\\\":\\\"array\\\","
	        "\\\"elementType\\\":{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" FIELD("string", "integer") "," FIELD(
	            "b", "timestamp") "]}}}",
	        "{}") "," FIELD("odd", "variant"),
	    "[]");
	const struct gm_delta_file file = {.path = "elsewhere/1", .partition = "", .bytes = 5, .data_change = true};
	must(put_adds(store, 1, NULL, &file, 1, &failure));
	static const char hive[] = "`b` binary,\n  `f` float,\n  `d` decimal(10,2),\n"
	                           "  `deep` map<string,array<struct<string:int,b:timestamp>>>\n)";
	check_holds(job, store, GM_DIALECT_ATHENA, hive);
	check_holds(job, store, GM_DIALECT_SPARK, hive);
	check_holds(job, store, GM_DIALECT_TRINO,
	            "\"b\" varbinary,\n  \"f\" real,\n  \"d\" decimal(10, 2),\n"
	            "  \"deep\" map(varchar, array(row(\"string\" integer, \"b\" timestamp(3))))\n)");
	for (int i = GM_DIALECT_ATHENA; i <= GM_DIALECT_DUCKDB; i++) {
		check_holds(job, store, (enum gm_dialect)i, "-- 1 column is left out");
		check_holds(job, store, (enum gm_dialect)i, "-- 1 file does not lie in the folder of the partition");
	}
	gm_store_close(store);
	gm_job_free(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_dialect_quotes_as_it_reads),
	    cmocka_unit_test(columns_of_others_have_types_in_each_dialect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
