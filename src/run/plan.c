#include "run/plan_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Sizes that a plan pins. A unit's raw input makes about one file of the target size per partition it touches: access
 * logs shrink to a sixteenth. */
enum { SHRINKS_TO = 16 };
static const uint64_t group_rows = 250000;
static const uint64_t least_group_weight = (uint64_t)1 << 20, most_group_weight = (uint64_t)64 << 20;

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the plan");
}

/* --- Units -------------------------------------------------------------------------------------------------------- */

static void hash_unit(const struct gm_plan *plan, struct gm_plan_unit *unit)
{
	XXH3_state_t state;
	XXH3_INITSTATE(&state);
	(void)XXH3_64bits_reset(&state);
	(void)XXH3_64bits_update(&state, plan->engine, strlen(plan->engine) + 1);
	(void)XXH3_64bits_update(&state, plan->job_hash, sizeof plan->job_hash);
	(void)XXH3_64bits_update(&state, &plan->parent, sizeof plan->parent);
	for (size_t i = 0; i < unit->count; i++) {
		(void)XXH3_64bits_update(&state, unit->inputs[i].key, strlen(unit->inputs[i].key) + 1);
		(void)XXH3_64bits_update(&state, &unit->inputs[i].size, sizeof unit->inputs[i].size);
	}
	(void)snprintf(unit->h16, sizeof unit->h16, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(&state));
}

/* Cuts the inputs into units of about SHRINKS_TO target files of raw bytes. */
static enum gm_code cut_units(struct gm_plan *plan, struct gm_error *err)
{
	uint64_t unit_bytes = plan->file_bytes * SHRINKS_TO, bytes = 0;
	plan->units = gm_arena_zalloc(&plan->arena, (plan->input_count + 1) * sizeof *plan->units);
	if (plan->units == NULL) return out_of_memory(err);
	struct gm_plan_unit *unit = NULL;
	for (size_t i = 0; i < plan->input_count; i++) {
		if (unit == NULL || bytes >= unit_bytes) {
			unit = &plan->units[plan->unit_count++];
			unit->inputs = &plan->inputs[i];
			bytes = 0;
		}
		unit->count++;
		bytes += gm_plan_raw_estimate(&plan->inputs[i]);
	}
	for (size_t i = 0; i < plan->unit_count; i++) hash_unit(plan, &plan->units[i]);
	return GM_OK;
}

/* Files end with a row group, so one must not be large beside a file. Values shrink to an eighth or so when they are
 * encoded: a group is then about a quarter of its file. */
static uint64_t group_weight(uint64_t file_bytes)
{
	uint64_t weight = file_bytes < most_group_weight / 2 ? file_bytes * 2 : most_group_weight;
	return weight < least_group_weight ? least_group_weight : weight;
}

static struct gm_plan *plan_new(void)
{
	struct gm_plan *plan = calloc(1, sizeof *plan);
	if (plan != NULL) gm_arena_init(&plan->arena, 64 * 1024);
	return plan;
}

void gm_plan_free(struct gm_plan *plan)
{
	if (plan == NULL) return;
	gm_arena_release(&plan->arena);
	free(plan);
}

enum gm_code gm_plan_make(const struct gm_plan_request *request, struct gm_plan **out, struct gm_error *err)
{
	struct gm_plan *plan = plan_new();
	if (plan == NULL) return out_of_memory(err);
	plan->parent = request->history->last_run;
	plan->engine = gm_engine_id();
	gm_hex128(request->job->hash, plan->job_hash);
	plan->file_bytes = request->job->table.file_bytes;
	plan->group_rows = group_rows;
	plan->group_weight = group_weight(plan->file_bytes);
	enum gm_code rc = gm_plan_list(plan, request, err);
	if (rc == GM_OK && plan->input_count > 0) rc = cut_units(plan, err);
	if (rc == GM_OK && plan->input_count > 0) {
		*out = plan;
		return GM_OK;
	}
	gm_plan_free(plan);
	*out = NULL;
	return rc;
}

bool gm_plan_is_ours(const struct gm_plan *plan, const struct gm_job *job)
{
	char hash[GM_HEX128_BYTES];
	gm_hex128(job->hash, hash);
	return strcmp(plan->engine, gm_engine_id()) == 0 && strcmp(plan->job_hash, hash) == 0;
}

/* --- The file ----------------------------------------------------------------------------------------------------- */

static json_t *inputs_to_json(const struct gm_plan_unit *unit)
{
	json_t *list = json_array();
	for (size_t i = 0; i < unit->count; i++) {
		const struct gm_input *input = &unit->inputs[i];
		json_t *object = json_pack("{s:s, s:I, s:I, s:s}", "key", input->key, "size", (json_int_t)input->size,
		                           "mtime_us", (json_int_t)input->mtime_us, "etag", input->etag);
		if (object == NULL || json_array_append_new(list, object) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *plan_to_json(const struct gm_plan *plan)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	json_t *units = json_array();
	for (size_t i = 0; i < plan->unit_count; i++) {
		json_t *inputs = inputs_to_json(&plan->units[i]);
		json_t *unit = inputs != NULL ? json_pack("{s:o}", "inputs", inputs) : NULL;
		if (unit == NULL || json_array_append_new(units, unit) != 0) {
			json_decref(units);
			return NULL;
		}
	}
	return json_pack("{s:i, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "format", GM_FORMAT, "plan",
	                 (json_int_t)plan->number, "parent", (json_int_t)plan->parent, "engine", plan->engine, "job_hash",
	                 plan->job_hash, "created_us", (json_int_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, "file_bytes",
	                 (json_int_t)plan->file_bytes, "group_rows", (json_int_t)plan->group_rows, "group_weight",
	                 (json_int_t)plan->group_weight, "units", units);
}

enum gm_code gm_plan_write(struct gm_plan *plan, uint64_t number, struct gm_store *table,
                           const struct gm_layout *layout, struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	plan->number = number;
	gm_layout_key(layout, key, "plans", number, ".json");
	json_t *json = plan_to_json(plan);
	enum gm_code rc = gm_json_write(table, key, json, err);
	json_decref(json);
	return rc;
}

static enum gm_code read_input(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	struct gm_input *input = &plan->inputs[plan->input_count];
	const char *key, *etag;
	GM_TRY(gm_member_string(json, "key", &key, err));
	GM_TRY(gm_member_string(json, "etag", &etag, err));
	GM_TRY(gm_member_number(json, "size", &input->size, err));
	GM_TRY(gm_member_time(json, "mtime_us", &input->mtime_us, err));
	input->key = gm_arena_strndup(&plan->arena, key, strlen(key));
	input->etag = gm_arena_strndup(&plan->arena, etag, strlen(etag));
	if (input->key == NULL || input->etag == NULL) return out_of_memory(err);
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
		hash_unit(plan, &plan->units[i]);
	}
	return GM_OK;
}

static enum gm_code plan_from_json(struct gm_plan *plan, const json_t *json, struct gm_error *err)
{
	const char *engine, *job_hash;
	const json_t *units;
	GM_TRY(gm_member_number(json, "plan", &plan->number, err));
	GM_TRY(gm_member_number(json, "parent", &plan->parent, err));
	GM_TRY(gm_member_number(json, "file_bytes", &plan->file_bytes, err));
	GM_TRY(gm_member_number(json, "group_rows", &plan->group_rows, err));
	GM_TRY(gm_member_number(json, "group_weight", &plan->group_weight, err));
	GM_TRY(gm_member_string(json, "engine", &engine, err));
	GM_TRY(gm_member_string(json, "job_hash", &job_hash, err));
	GM_TRY(gm_member_array(json, "units", &units, err));
	if (plan->file_bytes == 0 || plan->group_rows == 0 || plan->group_weight == 0)
		GM_FAIL(err, GM_CORRUPT, "a size that decides where files end is 0");
	if (strlen(job_hash) >= sizeof plan->job_hash) GM_FAIL(err, GM_CORRUPT, "the hash \"job_hash\" is too long");
	memcpy(plan->job_hash, job_hash, strlen(job_hash) + 1);
	plan->engine = gm_arena_strndup(&plan->arena, engine, strlen(engine));
	if (plan->engine == NULL) return out_of_memory(err);
	return read_units(plan, units, err);
}

enum gm_code gm_plan_read(struct gm_store *table, const struct gm_layout *layout, uint64_t number, struct gm_plan **out,
                          struct gm_error *err)
{
	char key[GM_KEY_BYTES];
	json_t *json = NULL;
	struct gm_plan *plan = plan_new();
	if (plan == NULL) return out_of_memory(err);
	gm_layout_key(layout, key, "plans", number, ".json");
	enum gm_code rc = gm_json_read(table, key, &json, err);
	if (rc == GM_OK) {
		rc = plan_from_json(plan, json, err);
		if (rc == GM_OK && (plan->number != number || plan->parent >= number))
			rc = gm_error_set(err, GM_CORRUPT, "it is not the plan that its name says");
		if (rc == GM_CORRUPT) (void)gm_error_object(err, rc, key, strlen(key));
	}
	json_decref(json);
	if (rc == GM_OK)
		*out = plan;
	else
		gm_plan_free(plan);
	return rc;
}
