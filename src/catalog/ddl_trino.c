/* Trino: a table of the Hive connector, whose partition columns come last in the list of columns and carry their
 * projection as properties, or a Delta table, which is registered by a procedure. The catalogs of the two connectors
 * are taken to be called hive and delta. Types have names of their own:
 *
 *     string varchar   int integer   float real   binary varbinary   timestamp timestamp(3)
 *     array<T> array(T)   map<K,V> map(K,V)   struct<n:T,...> row("n" T,...)
 *
 * A timestamp has the precision that hive.timestamp-precision says, by default milliseconds, and CREATE TABLE takes no
 * other. */
#include "catalog/ddl.h"

#include "catalog/sql_text.h"

#include <string.h>

static enum gm_code put(const struct gm_ddl *ddl, const char *text, struct gm_error *err)
{
	return gm_ddl_put(ddl, text, err);
}

static enum gm_code put_literal(const struct gm_ddl *ddl, const char *text, struct gm_error *err)
{
	return gm_sql_literal(ddl->out, text, err);
}

/* --- Types -------------------------------------------------------------------------------------------------------- */

static enum gm_code put_word(const struct gm_ddl *ddl, const char *word, size_t bytes, struct gm_error *err)
{
	static const char *const names[][2] = {{"string", "varchar"},   {"int", "integer"}, {"float", "real"},
	                                       {"binary", "varbinary"}, {"struct", "row"},  {"timestamp", "timestamp(3)"}};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i][0]) == bytes && memcmp(names[i][0], word, bytes) == 0) return put(ddl, names[i][1], err);
	return gm_buf_append(ddl->out, word, bytes, err);
}

/* A Hive type, word by word: what stands before ':' is the name of a field. */
static enum gm_code put_type(const struct gm_ddl *ddl, const char *type, struct gm_error *err)
{
	while (*type != '\0') {
		size_t n = strcspn(type, "<>,:");
		if (n > 0 && type[n] == ':') {
			GM_TRY(put(ddl, "\"", err));
			GM_TRY(gm_buf_append(ddl->out, type, n, err));
			GM_TRY(put(ddl, "\" ", err));
		} else if (n > 0) {
			GM_TRY(put_word(ddl, type, n, err));
		}
		type += n;
		if (*type == '<') GM_TRY(put(ddl, "(", err));
		if (*type == '>') GM_TRY(put(ddl, ")", err));
		if (*type == ',') GM_TRY(put(ddl, ", ", err));
		if (*type != '\0') type++;
	}
	return GM_OK;
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

/* ARRAY['a', 'b'] of "a,b" */
static enum gm_code put_array(const struct gm_ddl *ddl, const char *list, struct gm_error *err)
{
	GM_TRY(put(ddl, "ARRAY[", err));
	while (*list != '\0') { /* values of a projection hold neither commas nor quotes */
		size_t n = strcspn(list, ",");
		GM_TRY(gm_buf_printf(ddl->out, err, "'%.*s'%s", (int)n, list, list[n] == ',' ? ", " : ""));
		list += list[n] == ',' ? n + 1 : n;
	}
	return put(ddl, "]", err);
}

static enum gm_code put_projection(const struct gm_ddl *ddl, const struct gm_projection *projection,
                                   struct gm_error *err)
{
	static const char *const types[] = {
	    [GM_PROJECTION_ENUM] = "ENUM", [GM_PROJECTION_INTEGER] = "INTEGER", [GM_PROJECTION_DATE] = "DATE"};
	bool listed = projection->type == GM_PROJECTION_ENUM;
	GM_TRY(gm_buf_printf(ddl->out, err, " WITH (partition_projection_type = '%s', partition_projection_%s = ",
	                     types[projection->type], listed ? "values" : "range"));
	GM_TRY(put_array(ddl, listed ? projection->values : projection->range, err));
	if (projection->digits > 0)
		GM_TRY(gm_buf_printf(ddl->out, err, ", partition_projection_digits = %u", projection->digits));
	if (projection->type == GM_PROJECTION_DATE)
		GM_TRY(gm_buf_printf(ddl->out, err, ", partition_projection_format = '%s'", projection->format));
	return put(ddl, ")", err);
}

static enum gm_code put_column(const struct gm_ddl *ddl, const struct gm_shape_column *column, bool last,
                               struct gm_error *err)
{
	GM_TRY(put(ddl, "  ", err));
	GM_TRY(gm_sql_name(ddl->out, '"', column->name, err));
	GM_TRY(put(ddl, " ", err));
	GM_TRY(put_type(ddl, column->hive_type, err));
	if (column->comment[0] != '\0') {
		GM_TRY(put(ddl, " COMMENT ", err));
		GM_TRY(put_literal(ddl, column->comment, err));
	}
	if (ddl->projection && column->projection != NULL) GM_TRY(put_projection(ddl, column->projection, err));
	return put(ddl, last ? "\n" : ",\n", err);
}

/* --- Statements --------------------------------------------------------------------------------------------------- */

static enum gm_code put_schema(const struct gm_ddl *ddl, const char *catalog, struct gm_error *err)
{
	if (strcmp(ddl->database, "default") == 0) return GM_OK;
	GM_TRY(gm_buf_printf(ddl->out, err, "CREATE SCHEMA IF NOT EXISTS %s.", catalog));
	GM_TRY(gm_sql_name(ddl->out, '"', ddl->database, err));
	return put(ddl, ";\n", err);
}

/* The location as Trino writes it: of a directory as its local file system has it, whose root is taken to be "/". */
static enum gm_code put_location(const struct gm_ddl *ddl, struct gm_error *err)
{
	struct gm_buf text;
	gm_buf_init(&text, 64 << 10);
	enum gm_code rc = gm_buf_printf(&text, err, "%s%s", ddl->directory ? "local://" : "", ddl->shape->location);
	if (rc == GM_OK) rc = gm_buf_append(&text, "", 1, err);
	if (rc == GM_OK) rc = put_literal(ddl, (const char *)text.data, err);
	gm_buf_release(&text);
	return rc;
}

static enum gm_code put_properties(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	GM_TRY(put(ddl, "WITH (\n  external_location = ", err));
	GM_TRY(put_location(ddl, err));
	GM_TRY(put(ddl, ",\n  format = 'PARQUET'", err));
	for (size_t i = 0; i < shape->partition_column_count; i++) {
		GM_TRY(put(ddl, i > 0 ? ", " : ",\n  partitioned_by = ARRAY[", err));
		GM_TRY(put_literal(ddl, shape->partition_columns[i].name, err));
	}
	GM_TRY(put(ddl, gm_ddl_has_folders(ddl) ? "]" : "", err));
	if (ddl->projection) GM_TRY(put(ddl, ",\n  partition_projection_enabled = true", err));
	return put(ddl, "\n);\n", err);
}

static enum gm_code put_registration(const struct gm_ddl *ddl, struct gm_error *err)
{
	bool lower = true;
	for (size_t i = 0; i < ddl->shape->partition_column_count; i++)
		lower = lower && strcmp(ddl->shape->partition_columns[i].name, ddl->shape->partition_columns[i].spelt) == 0;
	GM_TRY(put(ddl, "CALL hive.system.sync_partition_metadata(schema_name => ", err));
	GM_TRY(put_literal(ddl, ddl->database, err));
	GM_TRY(put(ddl, ", table_name => ", err));
	GM_TRY(put_literal(ddl, ddl->name, err));
	return put(ddl, lower ? ", mode => 'FULL');\n" : ", mode => 'FULL', case_sensitive => false);\n", err);
}

static enum gm_code trino_hive(const struct gm_ddl *ddl, struct gm_error *err)
{
	const struct gm_shape *shape = ddl->shape;
	size_t all = shape->column_count + shape->partition_column_count;
	GM_TRY(put_schema(ddl, "hive", err));
	GM_TRY(gm_ddl_put_registered(ddl, err));
	GM_TRY(gm_ddl_put_remarks(ddl, err));
	GM_TRY(put(ddl, "CREATE TABLE IF NOT EXISTS hive.", err));
	GM_TRY(gm_ddl_put_name(ddl, '"', ddl->name, err));
	GM_TRY(put(ddl, " (\n", err));
	for (size_t i = 0; i < all; i++) GM_TRY(put_column(ddl, &shape->columns[i], i + 1 == all, err));
	GM_TRY(put(ddl, ")\n", err));
	if (shape->comment[0] != '\0') {
		GM_TRY(put(ddl, "COMMENT ", err));
		GM_TRY(put_literal(ddl, shape->comment, err));
		GM_TRY(put(ddl, "\n", err));
	}
	GM_TRY(put_properties(ddl, err));
	return gm_ddl_has_folders(ddl) && !ddl->projection ? put_registration(ddl, err) : GM_OK;
}

static enum gm_code trino_delta(const struct gm_ddl *ddl, struct gm_error *err)
{
	GM_TRY(gm_ddl_put_no_log(ddl, err));
	GM_TRY(put_schema(ddl, "delta", err));
	GM_TRY(put(ddl, "CALL delta.system.register_table(schema_name => ", err));
	GM_TRY(put_literal(ddl, ddl->database, err));
	GM_TRY(put(ddl, ", table_name => ", err));
	GM_TRY(put_literal(ddl, ddl->delta_name, err));
	GM_TRY(put(ddl, ", table_location => ", err));
	GM_TRY(put_location(ddl, err));
	return put(ddl, ");\n", err);
}

enum gm_code gm_ddl_trino(const struct gm_ddl *ddl, struct gm_error *err)
{
	if (ddl->hive) GM_TRY(trino_hive(ddl, err));
	return ddl->delta ? trino_delta(ddl, err) : GM_OK;
}
