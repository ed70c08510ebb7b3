/* glue_check.c - what Glue's tables and partitions must look like. The shapes, with the members that are read or kept:
 *
 *     Table       Name, Description, Owner, TableType, VersionId: string; Retention: integer; LastAccessTime,
 *                 LastAnalyzedTime: number of seconds; PartitionKeys: [Column]; Parameters: {string: string};
 *                 StorageDescriptor
 *     Column      Name, Type, Comment: string; Parameters
 *     StorageDescriptor   Columns: [Column]; Location, InputFormat, OutputFormat: string; Parameters; SerdeInfo; others
 *     SerdeInfo   Name, SerializationLibrary: string; Parameters
 *     Partition   Values: [string]; StorageDescriptor; Parameters; LastAccessTime, LastAnalyzedTime
 *
 * All are optional but the names and the values. Services that stand in for Glue give null for what is not there, or for
 * times a text: those members go. */
#include "catalog/glue.h"

#include <string.h>

enum type { TEXT, NUMBER, PARAMETERS, OBJECT, COLUMNS };
struct member {
	const char *name;
	enum type type;
	bool required;
};
static const struct member table_members[] = {
    {"Name", TEXT, true},
    {"Description", TEXT, false},
    {"Owner", TEXT, false},
    {"TableType", TEXT, false},
    {"VersionId", TEXT, false},
    {"Retention", NUMBER, false},
    {"LastAccessTime", NUMBER, false},
    {"LastAnalyzedTime", NUMBER, false},
    {"PartitionKeys", COLUMNS, false},
    {"Parameters", PARAMETERS, false},
    {"StorageDescriptor", OBJECT, false},
    {"ViewOriginalText", TEXT, false},
    {"ViewExpandedText", TEXT, false},
    {"TargetTable", OBJECT, false},
    {"FederatedTable", OBJECT, false},
    {NULL, TEXT, false},
};
static const struct member partition_members[] = {
    {"Parameters", PARAMETERS, false},
    {"StorageDescriptor", OBJECT, false},
    {"LastAccessTime", NUMBER, false},
    {"LastAnalyzedTime", NUMBER, false},
    {NULL, TEXT, false},
};
static const struct member storage_members[] = {
    {"Columns", COLUMNS, false},       {"Location", TEXT, false},
    {"InputFormat", TEXT, false},      {"OutputFormat", TEXT, false},
    {"Parameters", PARAMETERS, false}, {"SerdeInfo", OBJECT, false},
    {"SkewedInfo", OBJECT, false},     {NULL, TEXT, false},
};
static const struct member serde_members[] = {
    {"Name", TEXT, false},
    {"SerializationLibrary", TEXT, false},
    {"Parameters", PARAMETERS, false},
    {NULL, TEXT, false},
};
static const struct member column_members[] = {
    {"Name", TEXT, true}, {"Type", TEXT, false}, {"Comment", TEXT, false}, {"Parameters", PARAMETERS, false},
    {NULL, TEXT, false},
};

static enum gm_code absurd(const char *shape, const char *member, struct gm_error *err)
{
	GM_FAIL(err, GM_CORRUPT, "the catalog's answer makes no sense: %s.%s is missing or of another type", shape, member);
}

static void drop_nulls(json_t *object)
{
	const char *name;
	json_t *value;
	void *next;
	json_object_foreach_safe(object, next, name, value)
	{
		if (json_is_null(value)) (void)json_object_del(object, name);
	}
}

static bool is_text_map(json_t *parameters)
{
	const char *name;
	json_t *value;
	if (!json_is_object(parameters)) return false;
	drop_nulls(parameters);
	json_object_foreach(parameters, name, value)
	{
		if (!json_is_string(value)) return false;
	}
	return true;
}

static enum gm_code check_columns(json_t *columns, const char *name, struct gm_error *err);

/* Without recursion but through the columns, which have none. */
static enum gm_code check_members(json_t *object, const char *shape, const struct member *members, struct gm_error *err)
{
	if (!json_is_object(object)) return absurd("it", shape, err);
	drop_nulls(object);
	for (const struct member *member = members; member->name != NULL; member++) {
		json_t *value = json_object_get(object, member->name);
		bool fits = !member->required;
		if (value != NULL) switch (member->type) {
			case TEXT: fits = json_is_string(value); break;
			case OBJECT: fits = json_is_object(value); break;
			case PARAMETERS: fits = is_text_map(value); break;
			case COLUMNS: fits = json_is_array(value); break;
			case NUMBER:
				fits = true;
				if (!json_is_number(value)) (void)json_object_del(object, member->name);
				break;
			}
		if (!fits) return absurd(shape, member->name, err);
		if (value != NULL && member->type == COLUMNS) GM_TRY(check_columns(value, member->name, err));
	}
	return GM_OK;
}

static enum gm_code check_columns(json_t *columns, const char *name, struct gm_error *err)
{
	size_t i;
	json_t *column;
	json_array_foreach(columns, i, column) GM_TRY(check_members(column, name, column_members, err));
	return GM_OK;
}

static enum gm_code check_storage(json_t *of, struct gm_error *err)
{
	json_t *storage = json_object_get(of, "StorageDescriptor");
	if (storage == NULL) return GM_OK;
	GM_TRY(check_members(storage, "StorageDescriptor", storage_members, err));
	json_t *serde = json_object_get(storage, "SerdeInfo");
	return serde != NULL ? check_members(serde, "SerdeInfo", serde_members, err) : GM_OK;
}

enum gm_code gm_glue_check_table(json_t *table, struct gm_error *err)
{
	GM_TRY(check_members(table, "Table", table_members, err));
	return check_storage(table, err);
}

enum gm_code gm_glue_check_partition(json_t *partition, size_t values, struct gm_error *err)
{
	GM_TRY(check_members(partition, "Partition", partition_members, err));
	const json_t *list = json_object_get(partition, "Values");
	bool fits = json_is_array(list) && json_array_size(list) == values;
	for (size_t i = 0; fits && i < values; i++) fits = json_is_string(json_array_get(list, i));
	if (!fits) return absurd("Partition", "Values", err);
	return check_storage(partition, err);
}
