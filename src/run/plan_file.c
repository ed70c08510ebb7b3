/* plan_file.c - plans/<n>.json: a plan as it is kept.
 *
 *     {"format":2, "plan":N, "parent":N, "kind":"run", "job":ID, "source":LOCATION, "version":V, "created_us":T,
 *      "full_us":T, "engine":TEXT, "job_hash":32 HEX, "file_bytes":N, "group_rows":N, "group_weight":N,
 *      "unique_by":[{"name":TEXT, "type":TEXT}...], "metadata":{...},
 *      "units":[{"inputs":[{"key":TEXT, "size":N, "mtime_us":T, "etag":TEXT}...]}...]}
 * A key that begins with "/_gristmill/" is a quarantine file of the table. Plans without units have, as their kind
 * needs them: "ends", "to_us", "keys", "adopts", "files", "reason", "who".
 *
 * Format 1 had no log: such a plan has no version, kind, or table, and is only read for what it processed. */
#include "run/plan_internal.h"

#include <stdlib.h>

static const char *const kinds[] = {"run", "end", "rewind", "forget", "adopt", "import"}; /* enum gm_plan_kind */

const char *gm_plan_kind_name(enum gm_plan_kind kind)
{
	return kinds[kind];
}

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the plan");
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* Appends and takes a value; false when memory is gone. */
static bool append(json_t *list, json_t *value)
{
	return value != NULL && json_array_append_new(list, value) == 0;
}

static json_t *inputs_to_json(const struct gm_plan_unit *unit)
{
	json_t *list = json_array();
	for (size_t i = 0; i < unit->count; i++) {
		const struct gm_input *input = &unit->inputs[i];
		if (append(list, json_pack("{s:s, s:I, s:I, s:s}", "key", input->key, "size", (json_int_t)input->size,
		                           "mtime_us", (json_int_t)input->mtime_us, "etag", input->etag)))
			continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *units_to_json(const struct gm_plan *plan)
{
	json_t *units = json_array();
	for (size_t i = 0; i < plan->unit_count; i++) {
		json_t *inputs = inputs_to_json(&plan->units[i]);
		if (append(units, inputs != NULL ? json_pack("{s:o}", "inputs", inputs) : NULL)) continue;
		json_decref(units);
		return NULL;
	}
	return units;
}

static json_t *unique_to_json(const struct gm_plan *plan)
{
	json_t *list = json_array();
	for (size_t i = 0; i < plan->unique_count; i++) {
		const struct gm_delta_field *field = &plan->unique_by[i];
		if (append(list, json_pack("{s:s, s:s}", "name", field->name, "type", gm_type_name(field->type)))) continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *keys_to_json(const struct gm_plan *plan)
{
	json_t *list = json_array();
	for (size_t i = 0; i < plan->key_count; i++) {
		if (append(list, json_string(plan->keys[i]))) continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *imports_to_json(const struct gm_plan *plan)
{
	json_t *list = json_array();
	for (size_t i = 0; i < plan->import_count; i++) {
		const struct gm_delta_file *file = &plan->imports[i];
		if (append(list,
		           json_pack("{s:s, s:s, s:I, s:I, s:s}", "path", file->path, "partition", file->partition, "bytes",
		                     (json_int_t)file->bytes, "mtime_ms", (json_int_t)file->mtime_ms, "stats", file->stats)))
			continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

/* What only some kinds have. */
static bool add_state_change(json_t *json, const struct gm_plan *plan)
{
	int failed = 0;
	if (plan->kind == GM_PLAN_RUN) return true;
	failed |= json_object_set_new(json, "reason", json_string(plan->reason));
	failed |= json_object_set_new(json, "who", json_string(plan->who));
	if (plan->kind == GM_PLAN_END || plan->kind == GM_PLAN_ADOPT)
		failed |= json_object_set_new(json, "ends", json_integer((json_int_t)plan->ends));
	if (plan->kind == GM_PLAN_REWIND) failed |= json_object_set_new(json, "to_us", json_integer(plan->to_us));
	if (plan->kind == GM_PLAN_FORGET) failed |= json_object_set_new(json, "keys", keys_to_json(plan));
	if (plan->kind == GM_PLAN_ADOPT) failed |= json_object_set_new(json, "adopts", json_string(plan->adopts));
	if (plan->kind == GM_PLAN_IMPORT) failed |= json_object_set_new(json, "files", imports_to_json(plan));
	return failed == 0;
}

static json_t *plan_to_json(const struct gm_plan *plan)
{
	json_t *units = units_to_json(plan), *unique = unique_to_json(plan);
	json_t *json = json_pack("{s:i, s:I, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:o, s:o}",
	                         "format", GM_FORMAT, "plan", (json_int_t)plan->number, "parent", (json_int_t)plan->parent,
	                         "kind", kinds[plan->kind], "job", plan->job, "source", plan->source, "version",
	                         (json_int_t)plan->version, "created_us", (json_int_t)plan->created_us, "full_us",
	                         (json_int_t)plan->full_us, "engine", plan->engine, "job_hash", plan->job_hash,
	                         "file_bytes", (json_int_t)plan->file_bytes, "group_rows", (json_int_t)plan->group_rows,
	                         "group_weight", (json_int_t)plan->group_weight, "unique_by", unique, "units", units);
	if (json == NULL) return NULL;
	bool done = add_state_change(json, plan);
	if (done && plan->metadata != NULL)
		done = json_object_set_new(json, "metadata", gm_plan_metadata_json(plan->metadata)) == 0;
	if (done) return json;
	json_decref(json);
	return NULL;
}

enum gm_code gm_plan_write(struct gm_plan *plan, uint64_t number, struct gm_store *table,
                           const struct gm_layout *layout, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	plan->number = number;
	gm_layout_key(layout, key, "plans", number, ".json");
	json_t *json = plan_to_json(plan);
	if (json == NULL) return out_of_memory(err);
	enum gm_code rc = gm_json_write(table, key, json, err);
	json_decref(json);
	return rc;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_plan_copy_text(struct gm_plan *plan, const json_t *json, const char *member, const char **out,
                               struct gm_error *err)
{
	const char *text;
	GM_TRY(gm_member_string(json, member, &text, err));
	*out = gm_arena_strndup(&plan->arena, text, strlen(text));
	return *out != NULL ? GM_OK : out_of_memory(err);
}

static enum gm_code read_input(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	struct gm_input *input = &plan->inputs[plan->input_count];
	GM_TRY(gm_plan_copy_text(plan, json, "key", &input->key, err));
	GM_TRY(gm_plan_copy_text(plan, json, "etag", &input->etag, err));
	GM_TRY(gm_member_number(json, "size", &input->size, err));
	GM_TRY(gm_member_time(json, "mtime_us", &input->mtime_us, err));
	plan->bytes += input->size;
	plan->input_count++;
	return GM_OK;
}

static enum gm_code read_units(struct gm_plan *plan, const json_t *units, struct gm_error *err)
{
	size_t total = 0;
	const json_t *inputs;
	for (size_t i = 0; i < json_array_size(units); i++) {
		GM_TRY(gm_member_array(json_array_get(units, i), "inputs", &inputs, err));
		total += json_array_size(inputs);
	}
	plan->unit_count = json_array_size(units);
	plan->units = gm_arena_zalloc(&plan->arena, (plan->unit_count + 1) * sizeof *plan->units);
	plan->inputs = gm_arena_alloc(&plan->arena, (total + 1) * sizeof *plan->inputs);
	if (plan->units == NULL || plan->inputs == NULL) return out_of_memory(err);
	for (size_t i = 0; i < plan->unit_count; i++) {
		GM_TRY(gm_member_array(json_array_get(units, i), "inputs", &inputs, err));
		plan->units[i].inputs = &plan->inputs[plan->input_count];
		plan->units[i].count = json_array_size(inputs);
		for (size_t k = 0; k < plan->units[i].count; k++) GM_TRY(read_input(plan, json_array_get(inputs, k), err));
		gm_plan_hash_unit(plan, &plan->units[i]);
	}
	return GM_OK;
}

static enum gm_code type_of(const char *name, enum gm_type *type, struct gm_error *err)
{
	for (int i = GM_TYPE_BOOLEAN; i <= GM_TYPE_TIMESTAMP; i++) {
		*type = (enum gm_type)i;
		if (strcmp(gm_type_name(*type), name) == 0) return GM_OK;
	}
	GM_FAIL(err, GM_UNSUPPORTED, "a key column has the unknown type '%s'", name);
}

static enum gm_code read_unique(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	const json_t *list;
	GM_TRY(gm_member_array(json, "unique_by", &list, err));
	struct gm_delta_field *fields = gm_arena_zalloc(&plan->arena, (json_array_size(list) + 1) * sizeof *fields);
	if (fields == NULL) return out_of_memory(err);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *type;
		fields[i].comment = "";
		GM_TRY(gm_plan_copy_text(plan, json_array_get(list, i), "name", &fields[i].name, err));
		GM_TRY(gm_member_string(json_array_get(list, i), "type", &type, err));
		GM_TRY(type_of(type, &fields[i].type, err));
	}
	plan->unique_by = fields;
	plan->unique_count = json_array_size(list);
	return GM_OK;
}

static enum gm_code read_keys(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	const json_t *list;
	GM_TRY(gm_member_array(json, "keys", &list, err));
	const char **keys = gm_arena_alloc(&plan->arena, (json_array_size(list) + 1) * sizeof *keys);
	if (keys == NULL) return out_of_memory(err);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *key = json_string_value(json_array_get(list, i));
		if (key == NULL) GM_FAIL(err, GM_CORRUPT, "a key to forget is no text");
		keys[i] = gm_arena_strndup(&plan->arena, key, strlen(key));
		if (keys[i] == NULL) return out_of_memory(err);
	}
	plan->keys = keys;
	plan->key_count = json_array_size(list);
	return GM_OK;
}

static enum gm_code read_imports(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	const json_t *list;
	GM_TRY(gm_member_array(json, "files", &list, err));
	struct gm_delta_file *files = gm_arena_zalloc(&plan->arena, (json_array_size(list) + 1) * sizeof *files);
	if (files == NULL) return out_of_memory(err);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		GM_TRY(gm_plan_copy_text(plan, item, "path", &files[i].path, err));
		if (i > 0 && strcmp(files[i - 1].path, files[i].path) >= 0)
			GM_FAIL(err, GM_CORRUPT, "the files to import are not in order");
		GM_TRY(gm_plan_copy_text(plan, item, "partition", &files[i].partition, err));
		GM_TRY(gm_plan_copy_text(plan, item, "stats", &files[i].stats, err));
		GM_TRY(gm_member_number(item, "bytes", &files[i].bytes, err));
		GM_TRY(gm_member_time(item, "mtime_ms", &files[i].mtime_ms, err));
		files[i].data_change = true;
	}
	plan->imports = files;
	plan->import_count = json_array_size(list);
	return GM_OK;
}

static enum gm_code read_kind(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	const char *text;
	GM_TRY(gm_member_string(json, "kind", &text, err));
	size_t kind = 0;
	while (kind < sizeof kinds / sizeof kinds[0] && strcmp(kinds[kind], text) != 0) kind++;
	if (kind == sizeof kinds / sizeof kinds[0]) GM_FAIL(err, GM_UNSUPPORTED, "a plan of the unknown kind '%s'", text);
	plan->kind = (enum gm_plan_kind)kind;
	if (plan->kind == GM_PLAN_RUN) return GM_OK;
	GM_TRY(gm_plan_copy_text(plan, json, "reason", &plan->reason, err));
	GM_TRY(gm_plan_copy_text(plan, json, "who", &plan->who, err));
	if (plan->kind == GM_PLAN_END || plan->kind == GM_PLAN_ADOPT)
		GM_TRY(gm_member_number(json, "ends", &plan->ends, err));
	if (plan->kind == GM_PLAN_REWIND) return gm_member_time(json, "to_us", &plan->to_us, err);
	if (plan->kind == GM_PLAN_FORGET) return read_keys(plan, json, err);
	if (plan->kind == GM_PLAN_ADOPT) return gm_plan_copy_text(plan, json, "adopts", &plan->adopts, err);
	return plan->kind == GM_PLAN_IMPORT ? read_imports(plan, json, err) : GM_OK;
}

/* What came with format 2. */
static enum gm_code read_log_part(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	GM_TRY(read_kind(plan, json, err));
	GM_TRY(gm_plan_copy_text(plan, json, "job", &plan->job, err));
	GM_TRY(gm_plan_copy_text(plan, json, "source", &plan->source, err));
	GM_TRY(gm_member_time(json, "version", &plan->version, err));
	GM_TRY(gm_member_time(json, "full_us", &plan->full_us, err));
	GM_TRY(read_unique(plan, json, err));
	const json_t *metadata = json_object_get(json, "metadata");
	return metadata != NULL ? gm_plan_read_metadata(plan, metadata, err) : GM_OK;
}

static enum gm_code plan_from_json(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	const char *job_hash;
	const json_t *units;
	GM_TRY(gm_member_number(json, "plan", &plan->number, err));
	GM_TRY(gm_member_number(json, "parent", &plan->parent, err));
	GM_TRY(gm_member_time(json, "created_us", &plan->created_us, err));
	GM_TRY(gm_member_number(json, "file_bytes", &plan->file_bytes, err));
	GM_TRY(gm_member_number(json, "group_rows", &plan->group_rows, err));
	GM_TRY(gm_member_number(json, "group_weight", &plan->group_weight, err));
	GM_TRY(gm_plan_copy_text(plan, json, "engine", &plan->engine, err));
	GM_TRY(gm_member_string(json, "job_hash", &job_hash, err));
	GM_TRY(gm_member_array(json, "units", &units, err));
	if (plan->file_bytes == 0 || plan->group_rows == 0 || plan->group_weight == 0)
		GM_FAIL(err, GM_CORRUPT, "a size that decides where files end is 0");
	if (strlen(job_hash) >= sizeof plan->job_hash) GM_FAIL(err, GM_CORRUPT, "the hash \"job_hash\" is too long");
	memcpy(plan->job_hash, job_hash, strlen(job_hash) + 1);
	plan->version = -1;
	plan->job = plan->source = plan->adopts = plan->reason = plan->who = "";
	if (json_integer_value(json_object_get(json, "format")) > 1) GM_TRY(read_log_part(plan, json, err));
	return read_units(plan, units, err);
}

enum gm_code gm_plan_read(struct gm_store *table, const struct gm_layout *layout, uint64_t number, struct gm_plan **out,
                          struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	json_t *json = NULL;
	struct gm_plan *plan = gm_plan_new();
	*out = NULL;
	if (plan == NULL) return out_of_memory(err);
	gm_layout_key(layout, key, "plans", number, ".json");
	enum gm_code rc = gm_json_read(table, key, &json, err);
	if (rc == GM_OK) {
		rc = plan_from_json(plan, json, err);
		if (rc == GM_OK && (plan->number != number || plan->parent >= number))
			rc = gm_error_set(err, GM_CORRUPT, "it is not the plan that its name says");
		if (rc == GM_CORRUPT || rc == GM_UNSUPPORTED) (void)gm_error_object(err, rc, key, strlen(key));
	}
	json_decref(json);
	if (rc == GM_OK)
		*out = plan;
	else
		gm_plan_free(plan);
	return rc;
}
