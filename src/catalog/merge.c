#include "catalog/merge.h"

#include "catalog/projection.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the table's entry in the catalog");
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

/* --- Differences -------------------------------------------------------------------------------------------------- */

void gm_differences_init(struct gm_differences *differences)
{
	*differences = (struct gm_differences){.count = 0};
	gm_arena_init(&differences->arena, 4096);
}

void gm_differences_release(struct gm_differences *differences)
{
	gm_arena_release(&differences->arena);
	*differences = (struct gm_differences){.count = 0};
}

enum gm_code gm_differences_add(struct gm_differences *differences, struct gm_error *err, const char *format, ...)
{
	char line[512];
	va_list args;
	if (differences->count == sizeof differences->lines / sizeof differences->lines[0]) {
		differences->more++;
		return GM_OK;
	}
	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	const char *kept = gm_arena_strndup(&differences->arena, line, strlen(line));
	if (kept == NULL) return out_of_memory(err);
	differences->lines[differences->count++] = kept;
	return GM_OK;
}

/* --- Whose it is -------------------------------------------------------------------------------------------------- */

static enum gm_code foreign(const json_t *found, const char *what, struct gm_error *err)
{
	const char *name = text_of(found, "Name");
	(void)gm_error_set(err, GM_USAGE, "the catalog's entry is %s, not this table", what);
	(void)gm_error_hint(err, GM_USAGE, "give the table another name in the job file, or remove that entry");
	return gm_error_object(err, GM_USAGE, name, strlen(name));
}

static enum gm_code elsewhere(const json_t *found, const char *has, const char *location, struct gm_error *err)
{
	const char *name = text_of(found, "Name");
	(void)gm_error_set(err, GM_USAGE, "the catalog's entry describes the table at %.200s, not the one at %.200s", has,
	                   location);
	(void)gm_error_hint(
	    err, GM_USAGE,
	    "name the trial's table differently; if the table has moved for good, run 'gristmill catalog JOB "
	    "drop' with the old location, then sync");
	return gm_error_object(err, GM_USAGE, name, strlen(name));
}

enum gm_code gm_merge_check(const json_t *found, const char *location, struct gm_error *err)
{
	const json_t *parameters = json_object_get(found, "Parameters");
	const char *type = text_of(found, "TableType"), *provider = text_of(parameters, "spark.sql.sources.provider");
	const char *format = text_of(parameters, "table_type");
	const char *has = text_of(json_object_get(found, "StorageDescriptor"), "Location");
	if (json_object_get(found, "TargetTable") != NULL || json_object_get(found, "FederatedTable") != NULL)
		return foreign(found, "a link to another catalog's", err);
	if (type[0] != '\0' && strcmp(type, "EXTERNAL_TABLE") != 0 && strcmp(type, "MANAGED_TABLE") != 0)
		return foreign(found, "a view or of another kind", err);
	if (provider[0] != '\0' && strcasecmp(provider, "delta") != 0 && strcasecmp(provider, "parquet") != 0)
		return foreign(found, "a table in another format", err);
	if (format[0] != '\0' && strcasecmp(format, "delta") != 0) return foreign(found, "a table in another format", err);
	if (has[0] == '\0') return foreign(found, "a table without a location", err);
	if (!gm_entry_same_place(has, location)) return elsewhere(found, has, location, err);
	return GM_OK;
}

/* --- Members ------------------------------------------------------------------------------------------------------ */

static enum gm_code set_member(json_t *to, const char *name, json_t *value, struct gm_error *err)
{
	return json_object_set_new(to, name, value) == 0 ? GM_OK : out_of_memory(err);
}

/* The object that is a member; an empty one is put there if there is none. */
static enum gm_code open_object(json_t *of, const char *name, json_t **out, struct gm_error *err)
{
	*out = json_object_get(of, name);
	if (*out != NULL) return GM_OK;
	GM_TRY(set_member(of, name, json_object(), err));
	*out = json_object_get(of, name);
	return GM_OK;
}

/* Sets a text that is wanted and differs. */
static enum gm_code merge_text(json_t *to, const json_t *wanted, const char *name, const char *what,
                               struct gm_differences *differences, struct gm_error *err)
{
	const json_t *text = json_object_get(wanted, name);
	if (text == NULL || json_equal(text, json_object_get(to, name)) != 0) return GM_OK;
	GM_TRY(gm_differences_add(differences, err, "%s is %s, not %s", what, gm_catalog_show(text_of(to, name)).text,
	                          gm_catalog_show(json_string_value(text)).text));
	return set_member(to, name, json_incref((json_t *)text), err);
}

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static json_t *find_column(const json_t *columns, const char *name)
{
	json_t *column;
	size_t i;
	json_array_foreach(columns, i, column)
	{
		if (strcasecmp(text_of(column, "Name"), name) == 0) return column;
	}
	return NULL;
}

static enum gm_code other_type(const json_t *wanted, const char *has, struct gm_error *err)
{
	const char *name = text_of(wanted, "Name");
	(void)gm_error_set(err, GM_UNSUPPORTED, "column %s is %s in the catalog and %s in the table",
	                   gm_catalog_show(name).text, gm_catalog_show(has).text,
	                   gm_catalog_show(text_of(wanted, "Type")).text);
	(void)gm_error_hint(
	    err, GM_UNSUPPORTED,
	    "a column's type is never changed by itself; if the table is right, 'gristmill catalog JOB drop' "
	    "and then sync make the entry anew");
	return gm_error_object(err, GM_UNSUPPORTED, name, strlen(name));
}

/* Type and comment of a column that is there. */
static enum gm_code merge_column(json_t *column, const json_t *wanted, struct gm_differences *differences,
                                 struct gm_error *err)
{
	const char *has = text_of(column, "Type"), *name = text_of(wanted, "Name");
	const json_t *comment = json_object_get(wanted, "Comment");
	if (has[0] != '\0' && strcasecmp(has, text_of(wanted, "Type")) != 0) return other_type(wanted, has, err);
	if (has[0] == '\0') {
		GM_TRY(gm_differences_add(differences, err, "column %s has no type", gm_catalog_show(name).text));
		GM_TRY(set_member(column, "Type", json_incref(json_object_get(wanted, "Type")), err));
	}
	if (comment == NULL || json_equal(comment, json_object_get(column, "Comment")) != 0) return GM_OK;
	GM_TRY(gm_differences_add(differences, err, "the comment of column %s differs", gm_catalog_show(name).text));
	return set_member(column, "Comment", json_incref((json_t *)comment), err);
}

/* Where a new column goes: behind the last of those that are wanted. */
static size_t behind_ours(const json_t *columns, const json_t *wanted)
{
	const json_t *column;
	size_t i, at = 0;
	json_array_foreach(columns, i, column)
	{
		if (find_column(wanted, text_of(column, "Name")) != NULL) at = i + 1;
	}
	return at;
}

static enum gm_code merge_columns(json_t *storage, const json_t *wanted, struct gm_differences *differences,
                                  struct gm_error *err)
{
	json_t *columns = json_object_get(storage, "Columns"), *column;
	size_t i;
	if (columns == NULL) {
		GM_TRY(set_member(storage, "Columns", json_array(), err));
		columns = json_object_get(storage, "Columns");
	}
	size_t at = behind_ours(columns, wanted);
	json_array_foreach(wanted, i, column)
	{
		const char *name = text_of(column, "Name");
		json_t *has = find_column(columns, name);
		if (has != NULL) {
			GM_TRY(merge_column(has, column, differences, err));
			continue;
		}
		GM_TRY(gm_differences_add(differences, err, "column %s is missing", gm_catalog_show(name).text));
		/* Not a copy: json_copy loses members when memory ends, and tells nobody. */
		if (json_array_insert(columns, at++, column) != 0) return out_of_memory(err);
	}
	return GM_OK;
}

static enum gm_code other_keys(const json_t *found, const json_t *wanted, size_t at, struct gm_error *err)
{
	const json_t *has = json_array_get(json_object_get(found, "PartitionKeys"), at);
	const json_t *should = json_array_get(json_object_get(wanted, "PartitionKeys"), at);
	const char *name = text_of(found, "Name");
	if (has == NULL || should == NULL)
		(void)gm_error_set(err, GM_UNSUPPORTED, "the catalog's entry has %zu partition columns and should have %zu",
		                   json_array_size(json_object_get(found, "PartitionKeys")),
		                   json_array_size(json_object_get(wanted, "PartitionKeys")));
	else
		(void)gm_error_set(err, GM_UNSUPPORTED, "partition column %zu is %s %s in the catalog and %s %s in the table",
		                   at + 1, gm_catalog_show(text_of(has, "Name")).text,
		                   gm_catalog_show(text_of(has, "Type")).text, gm_catalog_show(text_of(should, "Name")).text,
		                   gm_catalog_show(text_of(should, "Type")).text);
	(void)gm_error_hint(
	    err, GM_UNSUPPORTED,
	    "partition columns of an entry cannot be changed: 'gristmill catalog JOB drop' and then sync make "
	    "it anew");
	return gm_error_object(err, GM_UNSUPPORTED, name, strlen(name));
}

static enum gm_code merge_keys(json_t *found, const json_t *wanted, struct gm_differences *differences,
                               struct gm_error *err)
{
	json_t *has = json_object_get(found, "PartitionKeys"), *should = json_object_get(wanted, "PartitionKeys");
	size_t count = json_array_size(has);
	if (json_array_size(should) > count) count = json_array_size(should);
	for (size_t i = 0; i < count; i++) {
		json_t *key = json_array_get(has, i);
		const json_t *column = json_array_get(should, i);
		if (key == NULL || column == NULL || strcasecmp(text_of(key, "Name"), text_of(column, "Name")) != 0 ||
		    strcasecmp(text_of(key, "Type"), text_of(column, "Type")) != 0)
			return other_keys(found, wanted, i, err);
		GM_TRY(merge_column(key, column, differences, err));
	}
	return GM_OK;
}

/* --- The rest ----------------------------------------------------------------------------------------------------- */

static enum gm_code merge_serde(json_t *storage, const json_t *wanted, struct gm_differences *differences,
                                struct gm_error *err)
{
	json_t *serde, *parameters, *value;
	const char *name;
	GM_TRY(open_object(storage, "SerdeInfo", &serde, err));
	GM_TRY(merge_text(serde, wanted, "SerializationLibrary", "the SerDe", differences, err));
	GM_TRY(open_object(serde, "Parameters", &parameters, err));
	json_object_foreach(json_object_get(wanted, "Parameters"), name, value)
	{
		const char *has = json_string_value(json_object_get(parameters, name));
		bool path = strcmp(name, "path") == 0;
		if (has != NULL && (!path || gm_entry_same_place(has, json_string_value(value)))) continue;
		GM_TRY(gm_differences_add(differences, err, "the SerDe parameter '%s' is missing or another", name));
		GM_TRY(set_member(parameters, name, json_incref(value), err));
	}
	return GM_OK;
}

static enum gm_code merge_storage(json_t *found, const json_t *wanted, struct gm_differences *differences,
                                  struct gm_error *err)
{
	json_t *storage;
	const json_t *should = json_object_get(wanted, "StorageDescriptor");
	GM_TRY(open_object(found, "StorageDescriptor", &storage, err));
	GM_TRY(merge_columns(storage, json_object_get(should, "Columns"), differences, err));
	GM_TRY(merge_text(storage, should, "InputFormat", "the input format", differences, err));
	GM_TRY(merge_text(storage, should, "OutputFormat", "the output format", differences, err));
	return merge_serde(storage, json_object_get(should, "SerdeInfo"), differences, err);
}

static enum gm_code remove_parameters(json_t *parameters, const json_t *wanted, const struct gm_entry *entry,
                                      const struct gm_shape *shape, struct gm_differences *differences,
                                      struct gm_error *err)
{
	const char *name;
	json_t *value;
	void *next;
	json_object_foreach_safe(parameters, next, name, value)
	{
		if (!gm_entry_owns(entry, shape, name) || json_object_get(wanted, name) != NULL) continue;
		GM_TRY(gm_differences_add(differences, err, "parameter %s no longer applies", gm_catalog_show(name).text));
		(void)json_object_del(parameters, name);
	}
	return GM_OK;
}

/* Engines spell these as they like, and none minds. */
static bool is_same_parameter(const char *name, const char *has, const char *should)
{
	bool any_case = strcmp(name, "EXTERNAL") == 0 || strcmp(name, "table_type") == 0 ||
	                strcmp(name, "classification") == 0 || strcmp(name, "spark.sql.sources.provider") == 0;
	return any_case ? strcasecmp(has, should) == 0 : strcmp(has, should) == 0;
}

static enum gm_code merge_parameters(json_t *found, const json_t *wanted, const struct gm_entry *entry,
                                     const struct gm_shape *shape, struct gm_differences *differences,
                                     struct gm_error *err)
{
	json_t *parameters, *value;
	const char *name;
	GM_TRY(open_object(found, "Parameters", &parameters, err));
	GM_TRY(remove_parameters(parameters, wanted, entry, shape, differences, err));
	json_object_foreach((json_t *)wanted, name, value)
	{
		const char *has = json_string_value(json_object_get(parameters, name)), *should = json_string_value(value);
		if (has != NULL && is_same_parameter(name, has, should)) continue;
		GM_TRY(gm_differences_add(differences, err, "parameter '%s' is %s, not %s", name,
		                          has != NULL ? gm_catalog_show(has).text : "missing", gm_catalog_show(should).text));
		GM_TRY(set_member(parameters, name, json_incref(value), err));
	}
	return GM_OK;
}

/* What of a Table a TableInput may have. */
static enum gm_code copy_input(const json_t *found, const char *name, json_t **input, struct gm_error *err)
{
	static const char *const names[] = {
	    "Description",       "Owner",         "Retention",  "LastAccessTime",   "LastAnalyzedTime", "TableType",
	    "StorageDescriptor", "PartitionKeys", "Parameters", "ViewOriginalText", "ViewExpandedText"};
	json_t *made = json_pack("{s:s}", "Name", name);
	for (size_t i = 0; made != NULL && i < sizeof names / sizeof names[0]; i++) {
		json_t *value = json_object_get(found, names[i]);
		bool empty = json_is_string(value) && json_string_length(value) == 0;
		if (value == NULL || empty || json_object_set(made, names[i], value) == 0) continue;
		json_decref(made);
		made = NULL;
	}
	*input = made;
	return made != NULL ? GM_OK : out_of_memory(err);
}

enum gm_code gm_merge_table(json_t *found, const json_t *wanted, const struct gm_entry *entry,
                            const struct gm_shape *shape, json_t **input, struct gm_differences *differences,
                            struct gm_error *err)
{
	*input = NULL;
	GM_TRY(gm_merge_check(found, shape->location, err));
	GM_TRY(merge_keys(found, wanted, differences, err));
	GM_TRY(merge_storage(found, wanted, differences, err));
	GM_TRY(merge_text(found, wanted, "TableType", "the table's type", differences, err));
	GM_TRY(merge_text(found, wanted, "Description", "the description", differences, err));
	GM_TRY(merge_parameters(found, json_object_get(wanted, "Parameters"), entry, shape, differences, err));
	return copy_input(found, entry->name, input, err);
}
