#include "run/plan_internal.h"
#include "run/replay.h"

#include "base/utf8.h"

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

void gm_plan_hash_unit(const struct gm_plan *plan, struct gm_plan_unit *unit)
{
	XXH3_state_t state;
	XXH3_INITSTATE(&state);
	(void)XXH3_64bits_reset(&state);
	(void)XXH3_64bits_update(&state, plan->engine, strlen(plan->engine) + 1);
	(void)XXH3_64bits_update(&state, plan->job_hash, sizeof plan->job_hash);
	(void)XXH3_64bits_update(&state, &plan->parent, sizeof plan->parent);
	(void)XXH3_64bits_update(&state, &plan->version, sizeof plan->version);
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
	for (size_t i = 0; i < plan->unit_count; i++) gm_plan_hash_unit(plan, &plan->units[i]);
	return GM_OK;
}

/* Files end with a row group, so one must not be large beside a file. Values shrink to an eighth or so when they are
 * encoded: a group is then about a quarter of its file. */
static uint64_t group_weight(uint64_t file_bytes)
{
	uint64_t weight = file_bytes < most_group_weight / 2 ? file_bytes * 2 : most_group_weight;
	return weight < least_group_weight ? least_group_weight : weight;
}

struct gm_plan *gm_plan_new(void)
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

/* What the commit will say of the table: nothing where the log has it already. */
static enum gm_code describe_table(const struct gm_plan_request *request, struct gm_plan *plan, struct gm_error *err)
{
	const struct gm_job *job = request->job;
	size_t count = job->column_count + job->table.partition_count;
	struct gm_delta_field *fields = gm_arena_alloc(&plan->arena, (count + 1) * sizeof *fields);
	struct gm_delta_field *keys = gm_arena_alloc(&plan->arena, (job->table.unique_count + 1) * sizeof *keys);
	const char **partitions = gm_arena_alloc(&plan->arena, (job->table.partition_count + 1) * sizeof *partitions);
	if (fields == NULL || keys == NULL || partitions == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) {
		bool data = i < job->column_count;
		const struct gm_column *column = data ? &job->columns[i] : &job->table.partitions[i - job->column_count];
		fields[i] = (struct gm_delta_field){column->name, column->comment, column->type};
		if (!data) partitions[i - job->column_count] = column->name;
	}
	for (size_t i = 0; i < job->table.unique_count; i++) keys[i] = fields[job->table.unique_by[i]];
	plan->unique_by = keys;
	plan->unique_count = job->table.unique_count;
	if (request->log == NULL) return gm_plan_new_table(plan, job, fields, partitions, err);
	return gm_plan_merge_table(plan, request->log, fields, count, partitions, job->table.partition_count, err);
}

/* Where the inputs lie, in a form that other jobs can compare; a path that is no UTF-8 stays as the job has it. */
static enum gm_code name_source(const char *location, struct gm_plan *plan, struct gm_error *err)
{
	char *canonical = gm_store_canonical(location);
	if (canonical == NULL) return out_of_memory(err);
	size_t n = strlen(canonical);
	bool utf8 = gm_utf8_valid_prefix((const uint8_t *)canonical, n) == n;
	plan->source = utf8 ? gm_arena_strndup(&plan->arena, canonical, n) : location;
	free(canonical);
	return plan->source != NULL ? GM_OK : out_of_memory(err);
}

enum gm_code gm_plan_empty(const struct gm_plan_request *request, enum gm_plan_kind kind, struct gm_plan **out,
                           struct gm_error *err)
{
	struct gm_plan *plan = gm_plan_new();
	*out = NULL;
	if (plan == NULL) return out_of_memory(err);
	plan->kind = kind;
	plan->parent = request->parent;
	plan->version = request->log != NULL ? gm_delta_version(request->log) : -1;
	plan->created_us = request->now_us;
	/* What is forgotten, or taken over with the rest of a source, may lie in any folder. */
	bool anywhere = kind == GM_PLAN_REWIND || kind == GM_PLAN_FORGET || kind == GM_PLAN_ADOPT;
	plan->full_us = anywhere ? 0 : request->full_us;
	plan->engine = request->engine;
	plan->job = request->job->id;
	plan->adopts = plan->reason = plan->who = "";
	gm_hex128(request->job->hash, plan->job_hash);
	plan->file_bytes = request->job->table.file_bytes;
	plan->group_rows = group_rows;
	plan->group_weight = group_weight(plan->file_bytes);
	enum gm_code rc = name_source(request->job->source.location, plan, err);
	if (rc == GM_OK) rc = describe_table(request, plan, err);
	if (rc == GM_OK)
		*out = plan;
	else
		gm_plan_free(plan);
	return rc;
}

enum gm_code gm_plan_make(const struct gm_plan_request *request, struct gm_plan **out, struct gm_error *err)
{
	struct gm_plan *plan;
	*out = NULL;
	GM_TRY(gm_plan_empty(request, GM_PLAN_RUN, &plan, err));
	bool replay = request->replay != NULL;
	enum gm_code rc = replay ? gm_plan_list_replay(plan, request, err) : gm_plan_list(plan, request, err);
	if (rc == GM_OK && plan->input_count > 0) rc = cut_units(plan, err);
	if (rc == GM_OK && plan->input_count > 0)
		*out = plan;
	else
		gm_plan_free(plan);
	return rc;
}

bool gm_plan_is_ours(const struct gm_plan *plan, const struct gm_job *job, const char *engine)
{
	char hash[GM_HEX128_BYTES];
	gm_hex128(job->hash, hash);
	return plan->job[0] != '\0' && strcmp(plan->engine, engine) == 0 && strcmp(plan->job_hash, hash) == 0;
}

bool gm_plan_is_replay(const struct gm_plan *plan)
{
	return plan->input_count > 0 && gm_replay_key(plan->inputs[0].key) != NULL;
}
