/* The dialects that come from Hive.
 *
 * Athena takes one statement at a time, in this order of clauses (Athena User Guide, "CREATE TABLE"):
 *
 *     CREATE EXTERNAL TABLE IF NOT EXISTS `db`.`t` (`column` type COMMENT '', ...) COMMENT '' PARTITIONED BY (...)
 *     STORED AS PARQUET LOCATION 's3://bucket/prefix/' TBLPROPERTIES ('name' = 'value', ...)
 *
 * and of a Delta table only the location and 'table_type' = 'DELTA': the columns come from its log. What it says goes
 * to Glue, where the comment of a column has at most 255 bytes and one line, that of a table 2,048.
 *
 * Spark has columns and partition columns in one list, and keeps the case of names. */
#include "catalog/ddl.h"

#include "catalog/sql_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_COMMENT_BYTES = 255, TABLE_COMMENT_BYTES = 2048, PARTITIONS_AT_ONCE = 100 };

static enum gm_code put(const struct gm_ddl *ddl, const char *text, struct gm_error *err)
{
	return gm_ddl_put(ddl, text, err);
}

static enum gm_code put_literal(const struct gm_ddl *ddl, const char *text, struct gm_error *err)
{
	return gm_sql_hive_literal(ddl->out, text, err);
}

static enum gm_code put_database(const struct gm_ddl *ddl, struct gm_error *err)
{
	if (strcmp(ddl->database, "default") == 0) return GM_OK;
	GM_TRY(put(ddl, "CREATE DATABASE IF NOT EXISTS ", err));
	GM_TRY(gm_sql_name(ddl->out, '`', ddl->database, err));
	return put(ddl, ";\n", err);
}

/* "COMMENT '...'", of at most so many bytes and without half a character; 0: all of it. */
static enum gm_code put_comment(const struct gm_ddl *ddl, const char *comment, size_t most, struct gm_error *err)
{
	char text[TABLE_COMMENT_BYTES + 1];
	if (comment[0] == '\0') return GM_OK;
	GM_TRY(put(ddl, "COMMENT ", err));
	if (most == 0) return put_literal(ddl, comment, err);
	size_t n = strlen(comment);
	bool cut = n > most;
	if (cut) n = most - strlen("...");
	while (cut && n > 0 && ((unsigned char)comment[n] & 0xC0) == 0x80) n--;
	for (size_t i = 0; i < n; i++) text[i] = (unsigned char)comment[i] < 0x20 || comment[i] == 0x7F ? ' ' : comment[i];
	memcpy(text + n, cut ? "..." : "", cut ? 4 : 1);
	return put_literal(ddl, text, err);
}

/* "  `name` type COMMENT '...'" for each column, separated by commas. */
static enum gm_code put_columns(const struct gm_ddl *ddl, const struct gm_shape_column *columns, size_t count,
                                bool spelt, size_t comment_bytes, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		GM_TRY(put(ddl, i > 0 ? ",\n  " : "  ", err));
		GM_TRY(gm_sql_name(ddl->out, '`', spelt ? columns[i].spelt : columns[i].name, err));
		GM_TRY(put(ddl, " ", err));
		GM_TRY(put(ddl, columns[i].hive_type, err));
		GM_TRY(put(ddl, columns[i].comment[0] != '\0' ? " " : "", err));
		GM_TRY(put_comment(ddl, columns[i].comment, comment_bytes, err));
	}
	return GM_OK;
}

/* --- Athena ------------------------------------------------------------------------------------------------------- */

static enum gm_code put_property(const struct gm_ddl *ddl, const char *column, const char *what, const char *value,
                                 struct gm_error *err)
{
	char name[512];
	(void)snprintf(name, sizeof name, "projection.%s.%s", column, what);
	GM_TRY(put(ddl, ",\n  ", err));
	GM_TRY(put_literal(ddl, name, err));
	GM_TRY(put(ddl, " = ", err));
	return put_literal(ddl, value, err);
}

static enum gm_code put_projection(const struct gm_ddl *ddl, const struct gm_shape_column *column, struct gm_error *err)
{
	static const char *const types[] = {
	    [GM_PROJECTION_ENUM] = "enum", [GM_PROJECTION_INTEGER] = "integer", [GM_PROJECTION_DATE] = "date"};
	const struct gm_projection *projection = column->projection;
	char digits[16];
	GM_TRY(put_property(ddl, column->name, "type", types[projection->type], err));
	if (projection->type == GM_PROJECTION_ENUM)
		return put_property(ddl, column->name, "values", projection->values, err);
	GM_TRY(put_property(ddl, column->name, "range", projection->range, err));
	(void)snprintf(digits, sizeof digits, "%u", projection->digits);
	if (projection->digits > 0) GM_TRY(put_property(ddl, column->name, "digits", digits, err));
	if (projection->type != GM_PROJECTION_DATE) return GM_OK;
	return put_property(ddl, column->name, "format", projection->format, err);
}

static enum gm_code put_properties(const struct gm_ddl *ddl, struct gm_error *err)
{
	GM_TRY(put(ddl, "TBLPROPERTIES (\n  'classification' = 'parquet'", err));
	if (ddl->projection) GM_TRY(put(ddl, ",\n  'projection.enabled' = 'true'", err));
	for (size_t i = 0; ddl->projection && i < ddl->shape->partition_column_count; i++)
		GM_TRY(put_projection(ddl, &ddl->shape->partition_columns[i], err));
	return put(ddl, "\n);\n", err);
}

/* One partition by its folder, whose name is not the one that Athena would look for. */
static enum gm_code put_partition(const struct gm_ddl *ddl, const struct gm_shape_partition *partition,
                                  struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	char *folder = NULL;
	GM_TRY(put(ddl, "\n  PARTITION (", err));
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		const char *value = partition->values[i].value;
		GM_TRY(put(ddl, i > 0 ? ", " : "", err));
		GM_TRY(gm_sql_name(ddl->out, '`', shape->partition_columns[i].name, err));
		GM_TRY(put(ddl, " = ", err));
		GM_TRY(put_literal(ddl, value != NULL ? value : "__HIVE_DEFAULT_PARTITION__", err));
	}
	GM_TRY(put(ddl, ") LOCATION ", err));
	if (asprintf(&folder, "%s%s/", shape->location, partition->path) < 0)
		GM_FAIL(err, GM_NOMEM, "out of memory for a statement");
	enum gm_code rc = put_literal(ddl, folder, err);
	free(folder);
	return rc;
}

/* MSCK REPAIR TABLE finds folders whose names are in lower case; others must be told. */
static enum gm_code put_registration(const struct gm_ddl *ddl, struct gm_error *err)
{
	bool lower = true;
	for (size_t i = 0; i < ddl->shape->partition_column_count; i++)
		lower = lower && strcmp(ddl->shape->partition_columns[i].name, ddl->shape->partition_columns[i].spelt) == 0;
	for (size_t i = 0; !lower && i < ddl->shape->partition_count; i++) {
		if (i % PARTITIONS_AT_ONCE == 0) {
			GM_TRY(put(ddl, i > 0 ? ";\nALTER TABLE " : "ALTER TABLE ", err));
			GM_TRY(gm_ddl_put_name(ddl, '`', ddl->name, err));
			GM_TRY(put(ddl, " ADD IF NOT EXISTS", err));
		}
		GM_TRY(put_partition(ddl, &ddl->shape->partitions[i], err));
	}
	if (!lower) return ddl->shape->partition_count > 0 ? put(ddl, ";\n", err) : GM_OK;
	GM_TRY(put(ddl, "MSCK REPAIR TABLE ", err));
	GM_TRY(gm_ddl_put_name(ddl, '`', ddl->name, err));
	return put(ddl, ";\n", err);
}

static enum gm_code athena_hive(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	GM_TRY(gm_ddl_put_registered(ddl, err));
	GM_TRY(gm_ddl_put_remarks(ddl, err));
	GM_TRY(put(ddl, "CREATE EXTERNAL TABLE IF NOT EXISTS ", err));
	GM_TRY(gm_ddl_put_name(ddl, '`', ddl->name, err));
	GM_TRY(put(ddl, " (\n", err));
	GM_TRY(put_columns(ddl, shape->columns, shape->column_count, false, COLUMN_COMMENT_BYTES, err));
	GM_TRY(put(ddl, shape->comment[0] != '\0' ? "\n)\n" : "\n)", err));
	GM_TRY(put_comment(ddl, shape->comment, TABLE_COMMENT_BYTES, err));
	if (gm_ddl_has_folders(ddl)) {
		GM_TRY(put(ddl, "\nPARTITIONED BY (\n", err));
		GM_TRY(put_columns(ddl, shape->partition_columns, shape->partition_column_count, false, COLUMN_COMMENT_BYTES,
		                   err));
		GM_TRY(put(ddl, "\n)", err));
	}
	GM_TRY(put(ddl, "\nSTORED AS PARQUET\nLOCATION ", err));
	GM_TRY(put_literal(ddl, shape->location, err));
	GM_TRY(put(ddl, "\n", err));
	GM_TRY(put_properties(ddl, err));
	return gm_ddl_has_folders(ddl) && !ddl->projection ? put_registration(ddl, err) : GM_OK;
}

static enum gm_code athena_delta(const struct gm_ddl *ddl, struct gm_error *err)
{
	GM_TRY(gm_ddl_put_no_log(ddl, err));
	GM_TRY(put(ddl, "CREATE EXTERNAL TABLE IF NOT EXISTS ", err));
	GM_TRY(gm_ddl_put_name(ddl, '`', ddl->delta_name, err));
	GM_TRY(put(ddl, "\nLOCATION ", err));
	GM_TRY(put_literal(ddl, ddl->shape->location, err));
	return put(ddl, "\nTBLPROPERTIES ('table_type' = 'DELTA');\n", err);
}

enum gm_code gm_ddl_athena(const struct gm_ddl *ddl, struct gm_error *err)
{
	if (ddl->directory) GM_TRY(put(ddl, "-- Athena reads S3 alone, and this table lies in a directory\n", err));
	GM_TRY(put_database(ddl, err));
	if (ddl->hive) GM_TRY(athena_hive(ddl, err));
	return ddl->delta ? athena_delta(ddl, err) : GM_OK;
}

/* --- Spark -------------------------------------------------------------------------------------------------------- */

static enum gm_code spark_hive(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	GM_TRY(gm_ddl_put_remarks(ddl, err));
	GM_TRY(put(ddl, "CREATE TABLE IF NOT EXISTS ", err));
	GM_TRY(gm_ddl_put_name(ddl, '`', ddl->name, err));
	GM_TRY(put(ddl, " (\n", err));
	GM_TRY(put_columns(ddl, shape->columns, shape->column_count, true, 0, err));
	if (gm_ddl_has_folders(ddl) && shape->column_count > 0) GM_TRY(put(ddl, ",\n", err));
	GM_TRY(put_columns(ddl, shape->partition_columns, shape->partition_column_count, true, 0, err));
	GM_TRY(put(ddl, "\n)\nUSING PARQUET\n", err));
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		GM_TRY(put(ddl, i > 0 ? ", " : "PARTITIONED BY (", err));
		GM_TRY(gm_sql_name(ddl->out, '`', shape->partition_columns[i].spelt, err));
	}
	GM_TRY(put(ddl, gm_ddl_has_folders(ddl) ? ")\nLOCATION " : "LOCATION ", err));
	GM_TRY(put_literal(ddl, shape->location, err));
	GM_TRY(put(ddl, shape->comment[0] != '\0' ? "\n" : "", err));
	GM_TRY(put_comment(ddl, shape->comment, 0, err));
	GM_TRY(put(ddl, ";\n", err));
	if (!gm_ddl_has_folders(ddl)) return GM_OK;
	GM_TRY(put(ddl, "-- to be repeated when there are new partitions\nALTER TABLE ", err));
	GM_TRY(gm_ddl_put_name(ddl, '`', ddl->name, err));
	return put(ddl, " RECOVER PARTITIONS;\n", err);
}

static enum gm_code spark_delta(const struct gm_ddl *ddl, struct gm_error *err)
{
	GM_TRY(gm_ddl_put_no_log(ddl, err));
	GM_TRY(put(ddl, "CREATE TABLE IF NOT EXISTS ", err));
	GM_TRY(gm_ddl_put_name(ddl, '`', ddl->delta_name, err));
	GM_TRY(put(ddl, "\nUSING DELTA\nLOCATION ", err));
	GM_TRY(put_literal(ddl, ddl->shape->location, err));
	return put(ddl, ";\n", err);
}

enum gm_code gm_ddl_spark(const struct gm_ddl *ddl, struct gm_error *err)
{
	GM_TRY(put_database(ddl, err));
	if (ddl->hive) GM_TRY(spark_hive(ddl, err));
	return ddl->delta ? spark_delta(ddl, err) : GM_OK;
}
