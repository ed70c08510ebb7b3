/* The table's schema, in the form that Spark gave it:
 *
 *     {"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{"comment":"..."}}, ...]}
 *
 * A type is a name, or an object for arrays, maps and structs, which only others' tables have. Columns are nullable
 * even where a job says "required": that is the job's rule for its rows, and another job's may be another. */
#include "table/delta_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *type_name(enum gm_type type)
{
	switch (type) {
	case GM_TYPE_BOOLEAN: return "boolean";
	case GM_TYPE_INT: return "integer";
	case GM_TYPE_BIGINT: return "long";
	case GM_TYPE_DOUBLE: return "double";
	case GM_TYPE_STRING: return "string";
	case GM_TYPE_DATE: return "date";
	case GM_TYPE_TIMESTAMP: return "timestamp";
	}
	return "";
}

/* NULL: memory is gone. */
static json_t *field_json(const struct gm_delta_field *field)
{
	json_t *metadata = field->comment[0] != '\0' ? json_pack("{s:s}", "comment", field->comment) : json_object();
	return json_pack("{s:s, s:s, s:b, s:o}", "name", field->name, "type", type_name(field->type), "nullable", 1,
	                 "metadata", metadata);
}

static enum gm_code schema_text(const json_t *schema, char **out, struct gm_error *err)
{
	struct gm_buf text;
	gm_buf_init(&text, (size_t)1 << 30);
	enum gm_code code = gm_json_text(schema, &text, err);
	if (code == GM_OK) code = gm_buf_append(&text, "", 1, err);
	if (code == GM_OK) {
		*out = (char *)text.data;
		text.data = NULL;
	}
	gm_buf_release(&text);
	return code;
}

enum gm_code gm_delta_schema(const struct gm_delta_field *fields, size_t count, char **out, struct gm_error *err)
{
	json_t *list = json_array();
	int failed = list == NULL;
	*out = NULL;
	for (size_t i = 0; i < count && failed == 0; i++) failed = json_array_append_new(list, field_json(&fields[i]));
	json_t *schema = json_pack("{s:s, s:o}", "type", "struct", "fields", list);
	enum gm_code code = schema_text(failed == 0 ? schema : NULL, out, err);
	json_decref(schema);
	return code;
}

/* --- Merging ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_delta_schema_parse(const char *text, json_t **schema, json_t **fields, struct gm_error *err)
{
	json_t *field;
	size_t i;
	enum gm_code code = gm_delta_json(text, strlen(text), 0, schema, err);
	*fields = json_object_get(*schema, "fields");
	if (code == GM_NOMEM) return code;
	bool fits = json_is_array(*fields);
	if (fits)
		json_array_foreach(*fields, i, field) fits =
		    fits && json_is_string(json_object_get(field, "name")) && json_object_get(field, "type") != NULL;
	if (fits) return GM_OK;
	json_decref(*schema);
	*schema = *fields = NULL;
	GM_FAIL(err, GM_CORRUPT, "the table's schemaString is not a schema");
}

/* The field of this name. Names that differ in case alone are one for Spark and Hive: they are refused. */
static enum gm_code find_field(json_t *fields, const char *name, json_t **out, struct gm_error *err)
{
	json_t *field;
	size_t i;
	*out = NULL;
	json_array_foreach(fields, i, field)
	{
		const char *other = json_string_value(json_object_get(field, "name"));
		if (strcmp(other, name) == 0) {
			*out = field;
			return GM_OK;
		}
		if (strcasecmp(other, name) == 0) {
			(void)gm_error_set(
			    err, GM_UNSUPPORTED,
			    "the table has a column \"%.100s\", the job a column \"%.100s\": they differ in case alone", other,
			    name);
			return gm_error_hint(err, GM_UNSUPPORTED, "spell the column as the table does");
		}
	}
	return GM_OK;
}

/* A type as job files write it, where they know it. */
static const char *name_for_people(const char *name)
{
	for (int type = GM_TYPE_BOOLEAN; type <= GM_TYPE_TIMESTAMP; type++)
		if (strcmp(name, type_name((enum gm_type)type)) == 0) return gm_type_name((enum gm_type)type);
	return name;
}

static enum gm_code check_type(const json_t *field, const struct gm_delta_field *wanted, struct gm_error *err)
{
	const json_t *type = json_object_get(field, "type");
	const char *name = json_is_string(type) ? json_string_value(type)
	                                        : json_string_value(json_object_get(type, "type")); /* "array", ... */
	if (name != NULL && strcmp(name, type_name(wanted->type)) == 0) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "the column \"%.100s\" is %.100s in the table and %s in the job",
	                   wanted->name, name != NULL ? name_for_people(name) : "of no known type",
	                   gm_type_name(wanted->type));
	return gm_error_hint(err, GM_UNSUPPORTED, "write to another table, or give the column another name");
}

/* The comment of a job's column replaces the table's; where the job has none, another's stays. */
static enum gm_code merge_comment(json_t *field, const struct gm_delta_field *wanted, bool *changed,
                                  struct gm_error *err)
{
	json_t *metadata = json_object_get(field, "metadata");
	if (wanted->comment[0] == '\0') return GM_OK;
	if (!json_is_object(metadata)) {
		metadata = json_object();
		if (json_object_set_new(field, "metadata", metadata) != 0)
			GM_FAIL(err, GM_NOMEM, "out of memory for the table's schema");
	}
	const char *comment = json_string_value(json_object_get(metadata, "comment"));
	if (comment != NULL && strcmp(comment, wanted->comment) == 0) return GM_OK;
	*changed = true;
	if (json_object_set_new(metadata, "comment", json_string(wanted->comment)) == 0) return GM_OK;
	GM_FAIL(err, GM_NOMEM, "out of memory for the table's schema");
}

static enum gm_code merge_field(json_t *fields, const struct gm_delta_field *wanted, bool *changed,
                                struct gm_error *err)
{
	json_t *field;
	GM_TRY(find_field(fields, wanted->name, &field, err));
	if (field != NULL) {
		GM_TRY(check_type(field, wanted, err));
		return merge_comment(field, wanted, changed, err);
	}
	*changed = true;
	if (json_array_append_new(fields, field_json(wanted)) == 0) return GM_OK;
	GM_FAIL(err, GM_NOMEM, "out of memory for the table's schema");
}

static enum gm_code check_nullable(const json_t *fields, struct gm_error *err)
{
	json_t *field;
	size_t i;
	json_array_foreach(fields, i, field)
	{
		if (!json_is_false(json_object_get(field, "nullable"))) continue;
		GM_FAIL(err, GM_UNSUPPORTED,
		        "the table's column \"%.100s\" must not be null, which this version cannot promise",
		        json_string_value(json_object_get(field, "name")));
	}
	return GM_OK;
}

static enum gm_code check_partitioning(const struct gm_delta_metadata *metadata, const char *const *columns,
                                       size_t count, struct gm_error *err)
{
	bool same = metadata->partition_count == count;
	for (size_t i = 0; i < count && same; i++) same = strcmp(metadata->partition_columns[i], columns[i]) == 0;
	if (same) return GM_OK;
	char table[200] = "", job[200] = "";
	for (size_t i = 0; i < metadata->partition_count && strlen(table) < 150; i++)
		(void)snprintf(table + strlen(table), sizeof table - strlen(table), "%s%.40s", i > 0 ? ", " : "",
		               metadata->partition_columns[i]);
	for (size_t i = 0; i < count && strlen(job) < 150; i++)
		(void)snprintf(job + strlen(job), sizeof job - strlen(job), "%s%.40s", i > 0 ? ", " : "", columns[i]);
	(void)gm_error_set(err, GM_UNSUPPORTED, "the table is partitioned by (%s), the job by (%s)", table, job);
	return gm_error_hint(err, GM_UNSUPPORTED, "write to another table");
}

enum gm_code gm_delta_schema_merge(const struct gm_delta_metadata *metadata, const struct gm_delta_field *fields,
                                   size_t count, const char *const *partition_columns, size_t partition_count,
                                   bool *changed, char **schema, struct gm_error *err)
{
	json_t *table, *table_fields;
	enum gm_code rc;
	*changed = false;
	*schema = NULL;
	GM_TRY(check_partitioning(metadata, partition_columns, partition_count, err));
	GM_TRY(gm_delta_schema_parse(metadata->schema, &table, &table_fields, err));
	GM_TRY_OUT(check_nullable(table_fields, err));
	for (size_t i = 0; i < count; i++) GM_TRY_OUT(merge_field(table_fields, &fields[i], changed, err));
	if (*changed) rc = schema_text(table, schema, err);
out:
	json_decref(table);
	return rc;
}
