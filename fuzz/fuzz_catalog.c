/* fuzz_catalog.c - any bytes as what Glue answers: a Table, or a Partition if they begin with 'p'.
 *
 * A table that is believed is merged with each kind of entry of ours. What comes of it is refused with a reason, or
 * differs from nothing when it is merged again; and every parameter and column of somebody else's is still there. */
#include "catalog/merge.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
	if (!right) abort();
}

#define COLUMN(n, t, c)                                                           \
	{                                                                             \
		.name = (n), .spelt = (n), .hive_type = (t), .comment = (c), .ours = true \
	}
static const struct gm_projection years = {.type = GM_PROJECTION_ENUM, .values = "2024,2025", .count = 2};
static const struct gm_projection months = {.type = GM_PROJECTION_INTEGER, .range = "1,12", .digits = 2, .count = 12};
static struct gm_shape_column columns[] = {COLUMN("id", "bigint", "a number"), COLUMN("s", "string", "")};
static struct gm_shape_column keys[] = {COLUMN("year", "string", "of the record"), COLUMN("month", "string", "")};
static const struct gm_partition_value march[] = {{"year", "2024"}, {"month", "03"}};
static struct gm_shape_partition partitions[] = {
    {.path = "year=2024/month=03", .values = march, .files = 2, .bytes = 300, .rows = 7}};
static const struct gm_entry entries[] = {
    {.kind = GM_ENTRY_HIVE, .name = "t", .projection = true, .rows = true},
    {.kind = GM_ENTRY_HIVE, .name = "t", .rows = true},
    {.kind = GM_ENTRY_DELTA, .name = "t"},
};

static struct gm_shape shape_of(void)
{
	keys[0].projection = &years;
	keys[1].projection = &months;
	return (struct gm_shape){.database = "d",
	                         .name = "t",
	                         .comment = "what a row is",
	                         .location = "s3://lake/t/",
	                         .columns = columns,
	                         .column_count = 2,
	                         .partition_columns = keys,
	                         .partition_column_count = 2,
	                         .partitions = partitions,
	                         .partition_count = 1,
	                         .files = 2,
	                         .bytes = 300,
	                         .rows = 7,
	                         .unprojectable = "",
	                         .note = ""};
}

static const json_t *columns_of(const json_t *table)
{
	return json_object_get(json_object_get(table, "StorageDescriptor"), "Columns");
}

static void check_kept(const json_t *before, const json_t *after, const json_t *wanted, const struct gm_entry *entry,
                       const struct gm_shape *shape)
{
	const json_t *ours = json_object_get(wanted, "Parameters"), *kept = json_object_get(after, "Parameters");
	const char *name;
	json_t *value;
	json_object_foreach(json_object_get(before, "Parameters"), name, value)
	{
		bool foreign = json_object_get(ours, name) == NULL && !gm_entry_owns(entry, shape, name);
		check(!foreign || json_equal(value, json_object_get(kept, name)) == 1);
	}
	size_t at = 0, i;
	json_array_foreach(columns_of(before), i, value)
	{
		const json_t *same = json_object_get(value, "Name");
		while (at < json_array_size(columns_of(after)) &&
		       json_equal(same, json_object_get(json_array_get(columns_of(after), at), "Name")) == 0)
			at++;
		check(at++ < json_array_size(columns_of(after)));
	}
}

static enum gm_code merge(json_t *found, const json_t *wanted, const struct gm_entry *entry,
                          const struct gm_shape *shape, json_t **input, size_t *differences)
{
	struct gm_differences lines;
	struct gm_error err = {.message = ""};
	gm_differences_init(&lines);
	enum gm_code rc = gm_merge_table(found, wanted, entry, shape, input, &lines, &err);
	*differences = lines.count;
	gm_differences_release(&lines);
	check(rc == GM_OK || rc == GM_USAGE || rc == GM_UNSUPPORTED);
	check(rc == GM_OK || err.message[0] != '\0');
	return rc;
}

static void merge_with(const json_t *found, const struct gm_entry *entry)
{
	struct gm_shape shape = shape_of();
	struct gm_error err;
	json_t *wanted, *input = NULL, *again = NULL, *copy = json_deep_copy(found);
	size_t differences;
	check(gm_entry_table(entry, &shape, &wanted, &err) == GM_OK);
	if (merge(copy, wanted, entry, &shape, &input, &differences) == GM_OK) {
		check_kept(found, input, wanted, entry, &shape);
		check(gm_glue_check_table(input, &err) == GM_OK);
		check(merge(input, wanted, entry, &shape, &again, &differences) == GM_OK && differences == 0);
	}
	json_decref(copy);
	json_decref(input);
	json_decref(again);
	json_decref(wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gm_error err = {.message = ""};
	json_t *json;
	bool partition = size > 0 && data[0] == 'p';
	if (gm_json_parse((const char *)data + partition, size - partition, 0, &json, &err) != GM_OK) return 0;
	if (partition) {
		enum gm_code rc = gm_glue_check_partition(json, 2, &err);
		check(rc == GM_OK || rc == GM_CORRUPT);
	} else if (gm_glue_check_table(json, &err) == GM_OK) {
		for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) merge_with(json, &entries[i]);
	}
	json_decref(json);
	return 0;
}
