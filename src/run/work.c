/* work.c - the units of a plan: each becomes staged files, key hashes, and a manifest that names them. */
#include "run/runner.h"
#include "run/secret.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DEFAULT_QUARANTINE_RECORDS = 100 };
static const double default_quarantine_percent = 1.0;
static const uint64_t program_bytes = (uint64_t)24 << 20; /* code, libraries, and scratch that no share covers */

/* --- Limits ------------------------------------------------------------------------------------------------------- */

static uint64_t quarantine_limit(const struct gm_run_options *options, uint64_t records_read)
{
	double percent = options->quarantine_set ? options->quarantine_percent : default_quarantine_percent;
	uint64_t records = options->quarantine_set ? options->quarantine_records : DEFAULT_QUARANTINE_RECORDS;
	uint64_t share = (uint64_t)((double)records_read * percent / 100.0);
	return share > records ? share : records;
}

enum gm_code gm_runner_check_limits(const struct gm_runner *runner, const struct gm_manifest *manifests, size_t count,
                                    struct gm_error *err)
{
	struct gm_balance total = {0};
	uint64_t rows = 0;
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < manifests[i].object_count; k++) {
			GM_TRY(gm_balance_check(&manifests[i].objects[k].balance, manifests[i].objects[k].key, err));
			gm_balance_add(&total, &manifests[i].objects[k].balance);
		}
		for (size_t k = 0; k < manifests[i].file_count; k++) rows += manifests[i].files[k].rows;
	}
	if (rows != total.rows_written)
		GM_FAIL(err, GM_UNBALANCED, "the files hold %" PRIu64 " rows, the books say %" PRIu64, rows,
		        total.rows_written);
	uint64_t limit = quarantine_limit(&runner->options, total.records_read);
	if (total.quarantined <= limit) return GM_OK;
	(void)gm_error_set(err, GM_QUARANTINE,
	                   "%" PRIu64 " of %" PRIu64 " records were rejected; the limit is %" PRIu64
	                   ", nothing was published",
	                   total.quarantined, total.records_read, limit);
	return gm_error_hint(err, GM_QUARANTINE,
	                     "mend the source or the job file, or raise the limit with --max-quarantine");
}

/* --- Work --------------------------------------------------------------------------------------------------------- */

static enum gm_code new_engine(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_delta_log *log,
                               struct gm_error *err)
{
	const struct gm_run_options *options = &runner->options;
	struct gm_engine_options engine = {.job = runner->job,
	                                   .source = runner->source,
	                                   .table = options->dry_run ? NULL : runner->table,
	                                   .threads = options->threads,
	                                   .memory_bytes = options->memory_bytes - program_bytes -
	                                                   gm_env_memory_bytes(runner->env, options),
	                                   .now_us = plan->created_us,
	                                   .scratch = runner->env->scratch,
	                                   .key_secret = runner->secret,
	                                   .log = log,
	                                   .log_store = runner->table,
	                                   .stop = options->stop};
	return gm_engine_new(&engine, &runner->engine, err);
}

struct unit_keys {
	char work[GM_KEY_BYTES], manifest[GM_KEY_BYTES], keys[GM_KEY_BYTES], quarantine[GM_KEY_BYTES];
	char conflicts[GM_KEY_BYTES], duplicates[GM_KEY_BYTES];
};

static void name_unit(const struct gm_runner *runner, const struct gm_plan *plan, size_t unit, struct unit_keys *keys)
{
	char suffix[64];
	gm_layout_key(&runner->layout, keys->work, "work", plan->number, "/");
	(void)snprintf(suffix, sizeof suffix, "/%05zu.json", unit);
	gm_layout_key(&runner->layout, keys->manifest, "work", plan->number, suffix);
	(void)snprintf(suffix, sizeof suffix, "/%05zu.keys", unit);
	gm_layout_key(&runner->layout, keys->keys, "work", plan->number, suffix);
	(void)snprintf(suffix, sizeof suffix, "/%05zu.ndjson.gz", unit);
	gm_layout_key(&runner->layout, keys->quarantine, "quarantine", plan->number, suffix);
	gm_layout_key(&runner->layout, keys->conflicts, "conflicts", plan->number, suffix);
	(void)snprintf(suffix, sizeof suffix, "/%05zu.zst", unit);
	gm_layout_key(&runner->layout, keys->duplicates, "duplicates", plan->number, suffix);
}

/* Does the manifest name what we staged? */
static bool names_ours(const struct gm_manifest *manifest, const struct gm_unit_result *result)
{
	/* In the order in which a manifest has its files: the first of them tells. */
	const char *const tokens[] = {result->outputs.file_count > 0 ? result->outputs.files[0].token : "",
	                              result->quarantine_token, result->conflicts.token, result->duplicates.token};
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
		if (tokens[i][0] != '\0') return manifest->file_count > 0 && strcmp(manifest->files[0].token, tokens[i]) == 0;
	return true; /* nothing is staged that could be dropped */
}

/* What is staged is durable before anything names it. Where it cannot be made so, nothing of it will be named. */
static enum gm_code settle(struct gm_runner *runner, const struct gm_unit_result *result, struct gm_error *err)
{
	enum gm_code rc = gm_store_settle(runner->table, err);
	if (rc != GM_OK) gm_unit_result_discard(result, runner->table);
	return rc;
}

/* Whoever was first, the list is the same for all that ask it. */
static enum gm_code store_keys(struct gm_runner *runner, const struct unit_keys *keys,
                               const struct gm_unit_result *result, struct gm_error *err)
{
	if (result->keys_token[0] == '\0') return GM_OK;
	enum gm_code rc = gm_store_publish(runner->table, result->keys_token, keys->keys, err);
	if (rc != GM_OK && rc != GM_EXISTS) return rc;
	if (rc == GM_OK && !gm_token_is_key(result->keys_token)) return GM_OK; /* an upload is used up */
	return gm_store_discard(runner->table, result->keys_token, err);
}

/* The key hashes first, the manifest last: it says that the unit is complete. A manifest that is there decides, also
 * when our put was not answered: if it names another's staging, ours is dropped. If there is none, ours stays where
 * it is, for the put may yet take effect. */
static enum gm_code store_unit(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                               const struct unit_keys *keys, const struct gm_unit_result *result, const json_t *json,
                               struct gm_manifest *manifest, struct gm_error *err)
{
	struct gm_error read;
	GM_TRY(settle(runner, result, err));
	GM_TRY(store_keys(runner, keys, result, err));
	enum gm_code rc = gm_json_write(runner->table, keys->manifest, json, err);
	if (rc == GM_OK) return gm_manifest_parse(json, manifest, err);
	if (gm_manifest_read(runner->table, &runner->layout, plan, number, manifest, &read) != GM_OK) {
		if (rc != GM_EXISTS) return rc;
		*err = read; /* of another plan of that number, perhaps, which somebody removed: this one is given up */
		return gm_runner_unusable(err->code, err);
	}
	if (!names_ours(manifest, result)) gm_unit_result_discard(result, runner->table);
	return GM_OK;
}

static struct gm_unit_spec spec_of(const struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                                   const struct unit_keys *keys)
{
	return (struct gm_unit_spec){.number = number,
	                             .inputs = plan->units[number].inputs,
	                             .input_count = plan->units[number].count,
	                             .output = {.job = runner->job,
	                                        .table = runner->options.dry_run ? NULL : runner->table,
	                                        .work_prefix = keys->work,
	                                        .job8 = runner->layout.job8,
	                                        .h16 = plan->units[number].h16,
	                                        .run = plan->number,
	                                        .unit = number,
	                                        .engine = runner->env->engine_id,
	                                        .file_bytes = plan->file_bytes},
	                             .group_rows = plan->group_rows,
	                             .group_weight = plan->group_weight,
	                             .quarantine_key = keys->quarantine,
	                             .keys_key = keys->keys,
	                             .conflicts_key = keys->conflicts,
	                             .duplicates_key = keys->duplicates};
}

/* Works a unit and leaves its manifest, in the table and parsed. */
static enum gm_code work_unit(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                              struct gm_manifest *manifest, struct gm_error *err)
{
	struct unit_keys keys;
	struct gm_unit_result result;
	name_unit(runner, plan, number, &keys);
	struct gm_unit_spec unit = spec_of(runner, plan, number, &keys);
	GM_TRY(gm_engine_work(runner->engine, &unit, gm_runner_tick, runner, &result, err));
	enum gm_stage outer = gm_stage_enter(GM_STAGE_SYNC);
	json_t *json = gm_manifest_json(runner->job, plan, &unit, &result);
	enum gm_code rc = json != NULL ? GM_OK : gm_error_set(err, GM_NOMEM, "out of memory for a manifest");
	if (rc == GM_OK && runner->options.dry_run)
		rc = gm_manifest_parse(json, manifest, err);
	else if (rc == GM_OK)
		rc = store_unit(runner, plan, number, &keys, &result, json, manifest, err);
	json_decref(json);
	gm_unit_result_release(&result);
	(void)gm_stage_enter(outer);
	return rc;
}

/* Makes a unit's key list, and nothing else. */
static enum gm_code work_keys(struct gm_runner *runner, const struct gm_plan *plan, size_t number, struct gm_error *err)
{
	struct unit_keys keys;
	struct gm_unit_result result;
	name_unit(runner, plan, number, &keys);
	struct gm_unit_spec unit = spec_of(runner, plan, number, &keys);
	unit.keys_only = true;
	GM_TRY(gm_engine_work(runner->engine, &unit, gm_runner_tick, runner, &result, err));
	enum gm_stage outer = gm_stage_enter(GM_STAGE_SYNC);
	enum gm_code rc = settle(runner, &result, err);
	if (rc == GM_OK) rc = store_keys(runner, &keys, &result, err);
	(void)gm_stage_enter(outer);
	gm_unit_result_release(&result);
	return rc;
}

enum gm_code gm_runner_unusable(enum gm_code rc, struct gm_error *err)
{
	if (rc != GM_CORRUPT) return rc;
	err->code = GM_CHANGED;
	return GM_CHANGED;
}

/* The manifest that an earlier attempt left of a unit; its keys are loaded for the units that follow. NOT_FOUND:
 * there is none. */
static enum gm_code resume_unit(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                                struct gm_manifest *manifest, struct gm_error *err)
{
	struct unit_keys keys;
	enum gm_code rc = GM_OK;
	bool fresh = runner->fresh == plan->number;
	runner->fresh = 0; /* when the first unit is worked, others may have come */
	if (runner->options.dry_run || fresh) return GM_NOT_FOUND;
	rc = gm_manifest_read(runner->table, &runner->layout, plan, number, manifest, err);
	if (rc != GM_OK) return gm_runner_unusable(rc, err);
	name_unit(runner, plan, number, &keys);
	if (number + 1 < plan->unit_count) rc = gm_engine_load_keys(runner->engine, keys.keys, err);
	if (rc == GM_NOT_FOUND) { /* the caller takes NOT_FOUND for "no manifest" */
		rc = gm_error_set(err, GM_CORRUPT, "the list of keys of a finished unit is gone");
		(void)gm_error_object(err, rc, keys.keys, strlen(keys.keys));
	}
	rc = gm_runner_unusable(rc, err);
	if (rc != GM_OK) {
		gm_manifest_release(manifest);
		return rc;
	}
	gm_runner_notice(runner, "unit %zu of run %" PRIu64 " was finished by an earlier attempt", number, plan->number);
	return GM_OK;
}

static enum gm_code work_units(struct gm_runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                               size_t *done, struct gm_error *err)
{
	for (*done = 0; *done < plan->unit_count; (*done)++) {
		enum gm_code rc = resume_unit(runner, plan, *done, &manifests[*done], err);
		if (rc == GM_NOT_FOUND) rc = work_unit(runner, plan, *done, &manifests[*done], err);
		GM_TRY(rc);
	}
	return GM_OK;
}

/* The table as the plan found it, whatever was committed since: its rows are compared with that. */
static enum gm_code open_log(struct gm_runner *runner, const struct gm_plan *plan, const struct gm_delta_log **log,
                             struct gm_error *err)
{
	*log = NULL;
	if (plan->version < 0 || runner->job->table.unique_count == 0) return GM_OK;
	*log = runner->history.log;
	if (*log != NULL && gm_delta_version(*log) == plan->version) return GM_OK;
	GM_TRY(gm_delta_open(runner->table, plan->version, gm_runner_log_bytes(runner), &runner->plan_log, err));
	*log = runner->plan_log;
	return GM_OK;
}

enum gm_code gm_runner_secret(struct gm_runner *runner, struct gm_error *err)
{
	if (runner->has_secret) return GM_OK;
	bool single_writer = runner->job->table.access.single_writer;
	GM_TRY(gm_secret_get(runner->table, !runner->options.dry_run, single_writer, runner->secret, err));
	runner->has_secret = true;
	return GM_OK;
}

static enum gm_code begin_work(struct gm_runner *runner, const struct gm_plan *plan, uint64_t objects, uint64_t bytes,
                               struct gm_error *err)
{
	runner->objects_total = objects;
	runner->bytes_total = bytes;
	runner->done = (struct gm_engine_progress){0};
	const struct gm_delta_log *log;
	GM_TRY(open_log(runner, plan, &log, err));
	GM_TRY(gm_runner_secret(runner, err));
	GM_TRY(new_engine(runner, plan, log, err));
	gm_runner_phase(runner, GM_PHASE_WORK);
	return GM_OK;
}

static void end_work(struct gm_runner *runner)
{
	struct gm_engine *engine = runner->engine;
	if (engine != NULL) {
		gm_runner_tick(runner);
		for (size_t i = 0; gm_engine_sample(engine, i) != NULL; i++)
			gm_runner_notice(runner, "quarantined: %s", gm_engine_sample(engine, i));
		for (size_t i = 0; gm_engine_conflict(engine, i) != NULL; i++)
			gm_runner_notice(runner, "conflict: %s", gm_engine_conflict(engine, i));
	}
	gm_engine_free(engine);
	runner->engine = NULL;
	gm_delta_free(runner->plan_log);
	runner->plan_log = NULL;
}

enum gm_code gm_runner_work(struct gm_runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                            size_t *done, struct gm_error *err)
{
	enum gm_code rc = begin_work(runner, plan, plan->input_count, plan->bytes, err);
	if (rc == GM_OK) rc = work_units(runner, plan, manifests, done, err);
	end_work(runner);
	if (rc == GM_OK) rc = gm_runner_check_limits(runner, manifests, *done, err);
	return rc;
}

/* --- One unit alone ----------------------------------------------------------------------------------------------- */

struct unit_states {
	struct gm_unit_state *at;
	size_t count;
};

/* "<unit>.json" is a manifest, "<unit>.keys" a key list; what is staged has other names. */
static enum gm_code note_unit(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct unit_states *states = context;
	const char *name = strrchr(info->key, '/');
	char *end;
	(void)err;
	name = name != NULL ? name + 1 : info->key;
	size_t digits = strspn(name, "0123456789");
	if (digits < 5 || digits > 9) return GM_OK;
	unsigned long unit = strtoul(name, &end, 10);
	if (unit >= states->count) return GM_OK;
	states->at[unit].done |= strcmp(end, ".json") == 0;
	states->at[unit].keys |= strcmp(end, ".keys") == 0;
	return GM_OK;
}

enum gm_code gm_units_list(struct gm_store *table, const struct gm_layout *layout, const struct gm_plan *plan,
                           struct gm_unit_state **out, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	struct unit_states states = {calloc(plan->unit_count + 1, sizeof *states.at), plan->unit_count};
	*out = NULL;
	if (states.at == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the units of a plan");
	gm_layout_key(layout, prefix, "work", plan->number, "/");
	enum gm_code rc = gm_store_list(table, prefix, note_unit, &states, err);
	if (rc == GM_OK)
		*out = states.at;
	else
		free(states.at);
	return rc;
}

size_t gm_units_lacking(const struct gm_unit_state *states, size_t count, enum gm_unit_part part,
                        char text[GM_LACKING_BYTES])
{
	enum { SHOWN = 16 };
	size_t used = 0, lacking = 0;
	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		if ((part == GM_UNIT_KEYS ? states[i].keys : states[i].done) || ++lacking > SHOWN) continue;
		used += (size_t)snprintf(text + used, GM_LACKING_BYTES - used, "%s%zu", used > 0 ? ", " : "", i);
	}
	if (lacking > SHOWN) (void)snprintf(text + used, GM_LACKING_BYTES - used, " and %zu more", lacking - SHOWN);
	return lacking;
}

/* Duplicates are decided in plan order: a unit must know the keys of all before it. */
static enum gm_code load_earlier_keys(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                                      struct gm_error *err)
{
	struct unit_keys keys;
	for (size_t i = 0; i < number; i++) {
		name_unit(runner, plan, i, &keys);
		GM_TRY(gm_runner_unusable(gm_engine_load_keys(runner->engine, keys.keys, err), err));
	}
	return GM_OK;
}

static enum gm_code write_unit(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                               struct gm_manifest *manifest, struct gm_error *err)
{
	GM_TRY(load_earlier_keys(runner, plan, number, err));
	return work_unit(runner, plan, number, manifest, err);
}

static enum gm_code check_earlier_keys(const struct gm_plan *plan, const struct gm_unit_state *states, size_t number,
                                       struct gm_error *err)
{
	char lacking[GM_LACKING_BYTES];
	if (gm_units_lacking(states, number, GM_UNIT_KEYS, lacking) == 0) return GM_OK;
	(void)gm_error_set(err, GM_NOT_FOUND,
	                   "unit %zu of plan %" PRIu64 " needs the key lists of earlier units that have none: %s", number,
	                   plan->number, lacking);
	return gm_error_hint(err, GM_NOT_FOUND, "work these units first, or make their lists with --keys");
}

/* May the unit be worked now? *before: it was done before. */
static enum gm_code check_unit(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                               enum gm_work_part part, bool *before, struct gm_error *err)
{
	bool keyed = runner->job->table.unique_count > 0;
	struct gm_unit_state *states;
	enum gm_code rc = GM_OK;
	GM_TRY(gm_units_list(runner->table, &runner->layout, plan, &states, err));
	*before = states[number].done || (part == GM_WORK_KEYS && (states[number].keys || !keyed));
	if (!*before && part == GM_WORK_WRITE && keyed && !states[number].keys) {
		rc = gm_error_set(err, GM_NOT_FOUND, "unit %zu of plan %" PRIu64 " has no key list", number, plan->number);
		(void)gm_error_hint(err, rc, "make it with --keys; without --keys and --write both are done at once");
	}
	if (rc == GM_OK && !*before && part != GM_WORK_KEYS && keyed) rc = check_earlier_keys(plan, states, number, err);
	free(states);
	return rc;
}

enum gm_code gm_runner_work_unit(struct gm_runner *runner, const struct gm_plan *plan, size_t number,
                                 enum gm_work_part part, struct gm_manifest *manifest, bool *before,
                                 struct gm_error *err)
{
	uint64_t bytes = 0;
	const struct gm_plan_unit *unit = &plan->units[number];
	GM_TRY(check_unit(runner, plan, number, part, before, err));
	if (*before && part == GM_WORK_KEYS) return GM_OK;
	if (*before)
		return gm_runner_unusable(gm_manifest_read(runner->table, &runner->layout, plan, number, manifest, err), err);
	for (size_t i = 0; i < unit->count; i++) bytes += unit->inputs[i].size;
	enum gm_code rc = begin_work(runner, plan, unit->count, bytes, err);
	if (rc == GM_OK)
		rc = part == GM_WORK_KEYS ? work_keys(runner, plan, number, err)
		                          : write_unit(runner, plan, number, manifest, err);
	end_work(runner);
	return rc;
}
