/* plan_table.c - what a plan's commit says of the table: its columns, partitions and name. */
#include "base/io.h"
#include "run/plan_internal.h"

#include <stdlib.h>

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the table's columns");
}

/* A random UUID (version 4): the log wants one for a table. */
static bool make_uuid(char out[37])
{
	char hex[33];
	if (!gm_io_random_hex(hex)) return false;
	hex[12] = '4';
	hex[16] = "89ab"[(unsigned char)hex[16] % 4];
	(void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
	return true;
}

/* Keeps a schema that gm_delta_* made in the plan. */
static enum gm_code keep_schema(struct gm_plan *plan, char *schema, const char **out, struct gm_error *err)
{
	*out = gm_arena_strndup(&plan->arena, schema, strlen(schema));
	free(schema);
	return *out != NULL ? GM_OK : out_of_memory(err);
}

enum gm_code gm_plan_new_table(struct gm_plan *plan, const struct gm_job *job, const struct gm_delta_field *fields,
                               const char *const *partitions, struct gm_error *err)
{
	char uuid[37], *schema;
	struct gm_delta_metadata *metadata = gm_arena_zalloc(&plan->arena, sizeof *metadata);
	if (metadata == NULL) return out_of_memory(err);
	if (!make_uuid(uuid)) GM_FAIL(err, GM_IO, "no random bytes can be had");
	*metadata = (struct gm_delta_metadata){.id = gm_arena_strndup(&plan->arena, uuid, strlen(uuid)),
	                                       .name = job->table.name,
	                                       .description = job->table.comment,
	                                       .partition_columns = partitions,
	                                       .partition_count = job->table.partition_count,
	                                       .configuration = "{}",
	                                       .created_ms = plan->created_us / 1000};
	if (metadata->id == NULL) return out_of_memory(err);
	GM_TRY(gm_delta_schema(fields, job->column_count + job->table.partition_count, &schema, err));
	GM_TRY(keep_schema(plan, schema, &metadata->schema, err));
	plan->metadata = metadata;
	return GM_OK;
}

/* A copy whose texts live in the plan. */
static enum gm_code copy_metadata(struct gm_plan *plan, const struct gm_delta_metadata *from,
                                  struct gm_delta_metadata *to, struct gm_error *err)
{
	*to = *from;
	const char **texts[] = {&to->id, &to->name, &to->description, &to->configuration};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		*texts[i] = gm_arena_strndup(&plan->arena, *texts[i], strlen(*texts[i]));
		if (*texts[i] == NULL) return out_of_memory(err);
	}
	return GM_OK;
}

enum gm_code gm_plan_merge_table(struct gm_plan *plan, const struct gm_delta_log *log,
                                 const struct gm_delta_field *fields, size_t count, const char *const *partitions,
                                 size_t partition_count, struct gm_error *err)
{
	bool changed;
	char *schema = NULL;
	const struct gm_delta_metadata *old = gm_delta_metadata(log);
	GM_TRY(gm_delta_schema_merge(old, fields, count, partitions, partition_count, &changed, &schema, err));
	if (!changed) return GM_OK;
	struct gm_delta_metadata *metadata = gm_arena_zalloc(&plan->arena, sizeof *metadata);
	if (metadata == NULL) {
		free(schema);
		return out_of_memory(err);
	}
	enum gm_code rc = copy_metadata(plan, old, metadata, err);
	metadata->partition_columns = partitions; /* the same names: the merge has compared them */
	metadata->partition_count = partition_count;
	GM_TRY(keep_schema(plan, schema, &metadata->schema, err));
	plan->metadata = metadata;
	return rc;
}

json_t *gm_plan_metadata_json(const struct gm_delta_metadata *metadata)
{
	json_t *partitions = json_array();
	int failed = partitions == NULL;
	for (size_t i = 0; failed == 0 && i < metadata->partition_count; i++)
		failed |= json_array_append_new(partitions, json_string(metadata->partition_columns[i]));
	if (failed != 0) {
		json_decref(partitions);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "id", metadata->id, "name", metadata->name, "description",
	                 metadata->description, "schema", metadata->schema, "configuration", metadata->configuration,
	                 "created_ms", (json_int_t)metadata->created_ms, "partition_columns", partitions);
}

enum gm_code gm_plan_read_metadata(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	const json_t *list;
	struct gm_delta_metadata *metadata = gm_arena_zalloc(&plan->arena, sizeof *metadata);
	if (metadata == NULL) return out_of_memory(err);
	GM_TRY(gm_plan_copy_text(plan, json, "id", &metadata->id, err));
	GM_TRY(gm_plan_copy_text(plan, json, "name", &metadata->name, err));
	GM_TRY(gm_plan_copy_text(plan, json, "description", &metadata->description, err));
	GM_TRY(gm_plan_copy_text(plan, json, "schema", &metadata->schema, err));
	GM_TRY(gm_plan_copy_text(plan, json, "configuration", &metadata->configuration, err));
	GM_TRY(gm_member_time(json, "created_ms", &metadata->created_ms, err));
	GM_TRY(gm_member_array(json, "partition_columns", &list, err));
	const char **names = gm_arena_alloc(&plan->arena, (json_array_size(list) + 1) * sizeof *names);
	if (names == NULL) return out_of_memory(err);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		if (name == NULL) GM_FAIL(err, GM_CORRUPT, "a partition column's name is no text");
		names[i] = gm_arena_strndup(&plan->arena, name, strlen(name));
		if (names[i] == NULL) return out_of_memory(err);
	}
	metadata->partition_columns = names;
	metadata->partition_count = json_array_size(list);
	plan->metadata = metadata;
	return GM_OK;
}
