/* DuckDB has no tables of foreign files, but views over functions that read them. Of folders it would guess the types
 * of their values, and "03" would become 3: they are said. Files are told by a pattern, so that what the log and our
 * own state keep beside the data is not taken for data; the pattern's own signs in the table's location are put into
 * brackets. Files differ in their columns where the job has got new ones: they are joined by name. */
#include "catalog/ddl.h"

#include "catalog/sql_text.h"

#include <string.h>

static enum gm_code put(const struct gm_ddl *ddl, const char *text, struct gm_error *err)
{
	return gm_ddl_put(ddl, text, err);
}

static const char *type_name(const struct gm_shape_column *column)
{
	switch (column->type) {
	case GM_TYPE_INT: return "INTEGER";
	case GM_TYPE_BIGINT: return "BIGINT";
	case GM_TYPE_DATE: return "DATE";
	default: return "VARCHAR";
	}
}

/* A location as part of a pattern. */
static enum gm_code put_escaped(struct gm_buf *out, const char *text, struct gm_error *err)
{
	for (; *text != '\0'; text++) {
		bool sign = strchr("*?[", *text) != NULL;
		GM_TRY(gm_buf_printf(out, err, sign ? "[%c]" : "%c", *text));
	}
	return GM_OK;
}

static enum gm_code put_pattern(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	struct gm_buf text;
	enum gm_code rc;
	gm_buf_init(&text, 64 << 10);
	GM_TRY_OUT(put_escaped(&text, shape->location, err));
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		GM_TRY_OUT(put_escaped(&text, shape->partition_columns[i].spelt, err));
		GM_TRY_OUT(gm_buf_printf(&text, err, "=*/"));
	}
	GM_TRY_OUT(gm_buf_printf(&text, err, "*.parquet"));
	GM_TRY_OUT(gm_buf_append(&text, "", 1, err));
	rc = gm_sql_literal(ddl->out, (const char *)text.data, err);
out:
	gm_buf_release(&text);
	return rc;
}

static enum gm_code put_types(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	if (!gm_ddl_has_folders(ddl)) return put(ddl, ",\n  hive_partitioning = false", err);
	GM_TRY(put(ddl, ",\n  hive_partitioning = true", err));
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		GM_TRY(put(ddl, i > 0 ? ", " : ",\n  hive_types = {", err));
		GM_TRY(gm_sql_literal(ddl->out, shape->partition_columns[i].spelt, err));
		GM_TRY(put(ddl, ": ", err));
		GM_TRY(put(ddl, type_name(&shape->partition_columns[i]), err));
	}
	return put(ddl, "}", err);
}

static enum gm_code put_view(const struct gm_ddl *ddl, const char *name, struct gm_error *err)
{
	if (strcmp(ddl->database, "default") == 0) return gm_sql_name(ddl->out, '"', name, err);
	return gm_ddl_put_name(ddl, '"', name, err);
}

static enum gm_code put_comment(const struct gm_ddl *ddl, const char *name, const char *column, const char *comment,
                                struct gm_error *err)
{
	if (comment[0] == '\0') return GM_OK;
	GM_TRY(put(ddl, column != NULL ? "COMMENT ON COLUMN " : "COMMENT ON VIEW ", err));
	GM_TRY(put_view(ddl, name, err));
	if (column != NULL) GM_TRY(put(ddl, ".", err));
	if (column != NULL) GM_TRY(gm_sql_name(ddl->out, '"', column, err));
	GM_TRY(put(ddl, " IS ", err));
	GM_TRY(gm_sql_literal(ddl->out, comment, err));
	return put(ddl, ";\n", err);
}

static enum gm_code put_comments(const struct gm_ddl *ddl, const char *name, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	GM_TRY(put_comment(ddl, name, NULL, shape->comment, err));
	for (size_t i = 0; i < shape->column_count + shape->partition_column_count; i++)
		GM_TRY(put_comment(ddl, name, shape->columns[i].spelt, shape->columns[i].comment, err));
	return GM_OK;
}

/* Partition columns last and in their order, as elsewhere: DuckDB sorts them by name. */
static enum gm_code put_select(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	if (!gm_ddl_has_folders(ddl)) return put(ddl, "SELECT *", err);
	GM_TRY(put(ddl, "SELECT * EXCLUDE (", err));
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < shape->partition_column_count; i++) {
			GM_TRY(put(ddl, i > 0 ? ", " : "", err));
			GM_TRY(gm_sql_name(ddl->out, '"', shape->partition_columns[i].spelt, err));
		}
		GM_TRY(put(ddl, pass == 0 ? "), " : "", err));
	}
	return GM_OK;
}

static enum gm_code duckdb_hive(const struct gm_ddl *ddl, struct gm_error *err)
{
	GM_TRY(gm_ddl_put_remarks(ddl, err));
	if (strchr(ddl->shape->location, '\\') != NULL)
		GM_TRY(put(ddl, "-- DuckDB takes the backslash in the location for a slash, and finds nothing\n", err));
	GM_TRY(put(ddl, "CREATE OR REPLACE VIEW ", err));
	GM_TRY(put_view(ddl, ddl->name, err));
	GM_TRY(put(ddl, " AS ", err));
	GM_TRY(put_select(ddl, err));
	GM_TRY(put(ddl, " FROM read_parquet(\n  ", err));
	GM_TRY(put_pattern(ddl, err));
	GM_TRY(put_types(ddl, err));
	GM_TRY(put(ddl, ",\n  union_by_name = true\n);\n", err));
	return put_comments(ddl, ddl->name, err);
}

static enum gm_code duckdb_delta(const struct gm_ddl *ddl, struct gm_error *err)
{
	GM_TRY(put(ddl, "CREATE OR REPLACE VIEW ", err));
	GM_TRY(put_view(ddl, ddl->delta_name, err));
	GM_TRY(put(ddl, " AS SELECT * FROM delta_scan(", err));
	GM_TRY(gm_sql_literal(ddl->out, ddl->shape->location, err));
	GM_TRY(put(ddl, ");\n", err));
	return put_comments(ddl, ddl->delta_name, err);
}

enum gm_code gm_ddl_duckdb(const struct gm_ddl *ddl, struct gm_error *err)
{
	if (ddl->shape->files == 0)
		GM_TRY(put(ddl, "-- there are no files yet, and DuckDB makes no view of none: to be run after the first run\n",
		           err));
	if (strcmp(ddl->database, "default") != 0) {
		GM_TRY(put(ddl, "CREATE SCHEMA IF NOT EXISTS ", err));
		GM_TRY(gm_sql_name(ddl->out, '"', ddl->database, err));
		GM_TRY(put(ddl, ";\n", err));
	}
	if (ddl->hive) GM_TRY(duckdb_hive(ddl, err));
	return ddl->delta ? duckdb_delta(ddl, err) : GM_OK;
}
