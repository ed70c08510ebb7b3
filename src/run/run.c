/* run.c - a run from its plan to its commit: see docs/guarantees.md for what each step promises. */
#include "run/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
	REPLANS = 3, /* how often an input may change under a run's hands before the run fails */
	DEFAULT_QUARANTINE_RECORDS = 100,
};
static const double default_quarantine_percent = 1.0;
static const uint64_t default_memory_bytes = (uint64_t)256 << 20;
static const uint64_t worker_bytes = (uint64_t)40 << 20;
static const uint64_t program_bytes = (uint64_t)20 << 20; /* code, libraries, and scratch that no share covers */
static const uint64_t least_memory_bytes = (uint64_t)32 << 20;
static const char secret_key[] = "_gristmill/hash-key";

struct runner {
	const struct gm_job *job;
	struct gm_run_options options;
	struct gm_run_result *result;
	struct gm_layout layout;
	struct gm_store *source, *table; /* table NULL: a dry run on a table that does not exist yet */
	struct gm_engine *engine;        /* of the plan in hand */
	uint8_t secret[GM_KEY_SECRET_BYTES];
	struct timespec start;
	uint64_t objects_total, bytes_total;
	struct gm_engine_progress done; /* of the plan in hand */
	bool claimed;                   /* the plan in hand is the one that must be published and committed */
	const char *phase;
	char scratch[4096]; /* local folder for spill files */
};

/* --- Talking ------------------------------------------------------------------------------------------------------ */

static double seconds_since(const struct timespec *start)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void tick(void *context)
{
	struct runner *runner = context;
	if (runner->options.progress == NULL) return;
	if (runner->engine != NULL) gm_engine_progress(runner->engine, &runner->done);
	const struct gm_engine_progress done = runner->done;
	struct gm_progress progress = {.phase = runner->phase,
	                               .objects_done = done.objects,
	                               .objects = runner->objects_total,
	                               .bytes_done = done.bytes,
	                               .bytes = runner->bytes_total,
	                               .bytes_raw = done.bytes_raw,
	                               .records = done.records,
	                               .seconds = seconds_since(&runner->start)};
	runner->options.progress(runner->options.context, &progress);
}

static void enter_phase(struct runner *runner, const char *phase)
{
	runner->phase = phase;
	tick(runner);
}

static void notice(const struct runner *runner, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void notice(const struct runner *runner, const char *format, ...)
{
	char line[1024];
	va_list args;
	if (runner->options.notice == NULL) return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof line, format, args);
	va_end(args);
	runner->options.notice(runner->options.context, line);
}

/* --- Limits ------------------------------------------------------------------------------------------------------- */

static uint64_t quarantine_limit(const struct gm_run_options *options, uint64_t records_read)
{
	double percent = options->quarantine_set ? options->quarantine_percent : default_quarantine_percent;
	uint64_t records = options->quarantine_set ? options->quarantine_records : DEFAULT_QUARANTINE_RECORDS;
	uint64_t share = (uint64_t)((double)records_read * percent / 100.0);
	return share > records ? share : records;
}

static enum gm_code check_limits(const struct runner *runner, const struct gm_manifest *manifests, size_t count,
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

static enum gm_code load_secret(struct runner *runner, struct gm_error *err)
{
	size_t got = 0;
	if (runner->table != NULL) {
		enum gm_code rc = gm_store_read(runner->table, secret_key, 0, runner->secret, sizeof runner->secret, &got, err);
		if (rc != GM_OK && rc != GM_NOT_FOUND) return rc;
		if (rc == GM_OK && got == sizeof runner->secret) return GM_OK;
		if (rc == GM_OK) {
			(void)gm_error_set(err, GM_CORRUPT, "the table's hash key is cut short");
			return gm_error_object(err, GM_CORRUPT, secret_key, sizeof secret_key - 1);
		}
	}
	if (getrandom(runner->secret, sizeof runner->secret, 0) != sizeof runner->secret)
		return gm_error_errno(err, errno, "getrandom", "cannot get random bytes");
	if (runner->table == NULL || runner->options.dry_run) return GM_OK;
	enum gm_code rc = gm_store_put(runner->table, secret_key, runner->secret, sizeof runner->secret, true, err);
	return rc == GM_EXISTS ? load_secret(runner, err) : rc;
}

static enum gm_code new_engine(struct runner *runner, struct gm_error *err)
{
	const struct gm_run_options *options = &runner->options;
	(void)snprintf(runner->scratch, sizeof runner->scratch, "/var/tmp");
	if (!options->dry_run && snprintf(runner->scratch, sizeof runner->scratch, "%s/_gristmill",
	                                  runner->table->location) >= (int)sizeof runner->scratch)
		GM_FAIL(err, GM_USAGE, "the table's path is too long");
	struct gm_engine_options engine = {.job = runner->job,
	                                   .source = runner->source,
	                                   .table = options->dry_run ? NULL : runner->table,
	                                   .threads = options->threads,
	                                   .memory_bytes = options->memory_bytes - program_bytes,
	                                   .scratch = runner->scratch,
	                                   .key_secret = runner->secret,
	                                   .stop = options->stop};
	return gm_engine_new(&engine, &runner->engine, err);
}

struct unit_keys {
	char work[GM_KEY_BYTES], manifest[GM_KEY_BYTES], keys[GM_KEY_BYTES], quarantine[GM_KEY_BYTES];
	char conflicts[GM_KEY_BYTES], duplicates[GM_KEY_BYTES];
	char job8[GM_JOB8_BYTES];
};

static void name_unit(const struct runner *runner, const struct gm_plan *plan, size_t unit, struct unit_keys *keys)
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
	gm_job8(runner->job->id, keys->job8);
}

/* Drops what a unit staged: for a unit whose manifest could not be written, or whose twin was first. */
static void discard_unit(struct runner *runner, const struct gm_unit_result *result)
{
	struct gm_error ignored;
	for (size_t i = 0; i < result->outputs.file_count; i++)
		(void)!gm_store_discard(runner->table, result->outputs.files[i].token, &ignored);
	if (result->quarantine_token[0] != '\0') (void)!gm_store_discard(runner->table, result->quarantine_token, &ignored);
	if (result->keys_token[0] != '\0') (void)!gm_store_discard(runner->table, result->keys_token, &ignored);
	if (result->conflicts.token[0] != '\0') (void)!gm_store_discard(runner->table, result->conflicts.token, &ignored);
	if (result->duplicates.token[0] != '\0') (void)!gm_store_discard(runner->table, result->duplicates.token, &ignored);
}

/* The key hashes first, the manifest last: it says that the unit is complete. */
static enum gm_code store_unit(struct runner *runner, const struct unit_keys *keys, const struct gm_unit_result *result,
                               const json_t *json, struct gm_error *err)
{
	if (result->keys_token[0] != '\0') {
		enum gm_code rc = gm_store_publish(runner->table, result->keys_token, keys->keys, err);
		if (rc != GM_OK && rc != GM_EXISTS) return rc;
		GM_TRY(gm_store_discard(runner->table, result->keys_token, err));
	}
	return gm_json_write(runner->table, keys->manifest, json, err);
}

/* Works a unit and leaves its manifest, in the table and parsed. */
static enum gm_code work_unit(struct runner *runner, const struct gm_plan *plan, size_t number,
                              struct gm_manifest *manifest, struct gm_error *err)
{
	struct unit_keys keys;
	struct gm_unit_result result;
	name_unit(runner, plan, number, &keys);
	struct gm_unit_spec unit = {.number = number,
	                            .inputs = plan->units[number].inputs,
	                            .input_count = plan->units[number].count,
	                            .output = {.job = runner->job,
	                                       .table = runner->options.dry_run ? NULL : runner->table,
	                                       .work_prefix = keys.work,
	                                       .job8 = keys.job8,
	                                       .h16 = plan->units[number].h16,
	                                       .run = plan->number,
	                                       .unit = number,
	                                       .file_bytes = plan->file_bytes},
	                            .group_rows = plan->group_rows,
	                            .group_weight = plan->group_weight,
	                            .quarantine_key = keys.quarantine,
	                            .keys_key = keys.keys,
	                            .conflicts_key = keys.conflicts,
	                            .duplicates_key = keys.duplicates};
	GM_TRY(gm_engine_work(runner->engine, &unit, tick, runner, &result, err));
	json_t *json = gm_manifest_json(runner->job, &unit, &result);
	enum gm_code rc = json != NULL ? GM_OK : gm_error_set(err, GM_NOMEM, "out of memory for a manifest");
	if (rc == GM_OK && !runner->options.dry_run) rc = store_unit(runner, &keys, &result, json, err);
	if (rc != GM_OK && !runner->options.dry_run) discard_unit(runner, &result);
	if (rc == GM_EXISTS) { /* a twin was first: its manifest counts */
		json_decref(json);
		json = NULL;
		rc = gm_json_read(runner->table, keys.manifest, &json, err);
	}
	if (rc == GM_OK) rc = gm_manifest_parse(json, manifest, err);
	json_decref(json);
	gm_unit_result_release(&result);
	return rc;
}

static bool is_manifest_of(const struct gm_plan_unit *unit, const struct gm_manifest *manifest)
{
	if (manifest->object_count != unit->count) return false;
	for (size_t i = 0; i < unit->count; i++)
		if (strcmp(manifest->objects[i].key, unit->inputs[i].key) != 0) return false;
	return true;
}

/* The manifest that an earlier attempt left of a unit. */
static enum gm_code read_manifest(struct runner *runner, const struct gm_plan *plan, size_t number,
                                  struct gm_manifest *manifest, struct gm_error *err)
{
	struct unit_keys keys;
	json_t *json = NULL;
	name_unit(runner, plan, number, &keys);
	GM_TRY(gm_json_read(runner->table, keys.manifest, &json, err));
	enum gm_code rc = gm_manifest_parse(json, manifest, err);
	json_decref(json);
	if (rc == GM_OK && !is_manifest_of(&plan->units[number], manifest)) {
		gm_manifest_release(manifest);
		rc = gm_error_set(err, GM_CORRUPT, "the manifest does not match its plan");
	}
	return rc == GM_CORRUPT ? gm_error_object(err, rc, keys.manifest, strlen(keys.manifest)) : rc;
}

/* As read_manifest; its keys are loaded for the units that follow. NOT_FOUND: there is none. */
static enum gm_code resume_unit(struct runner *runner, const struct gm_plan *plan, size_t number,
                                struct gm_manifest *manifest, struct gm_error *err)
{
	struct unit_keys keys;
	enum gm_code rc = GM_OK;
	if (runner->options.dry_run) return GM_NOT_FOUND;
	GM_TRY(read_manifest(runner, plan, number, manifest, err));
	name_unit(runner, plan, number, &keys);
	if (number + 1 < plan->unit_count) rc = gm_engine_load_keys(runner->engine, keys.keys, err);
	if (rc == GM_NOT_FOUND) /* the caller takes NOT_FOUND for "no manifest" */
		rc = gm_error_set(err, GM_CORRUPT, "the key file of finished unit %zu is gone", number);
	if (rc != GM_OK) {
		gm_manifest_release(manifest);
		return rc;
	}
	notice(runner, "unit %zu of run %" PRIu64 " was finished by an earlier attempt", number, plan->number);
	return GM_OK;
}

/* A claimed plan was worked and judged by whoever claimed it, perhaps with another version of the program or the job:
 * the manifests are all that it takes to finish it. */
static enum gm_code read_manifests(struct runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                                   size_t *done, struct gm_error *err)
{
	for (*done = 0; *done < plan->unit_count; (*done)++) {
		enum gm_code rc = read_manifest(runner, plan, *done, &manifests[*done], err);
		if (rc == GM_NOT_FOUND) /* it named files that may be visible already, and nothing else does */
			GM_FAIL(err, GM_CORRUPT, "the manifest of unit %zu of run %" PRIu64 ", which was being published, is gone",
			        *done, plan->number);
		GM_TRY(rc);
	}
	return GM_OK;
}

static enum gm_code work_units(struct runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                               size_t *done, struct gm_error *err)
{
	for (*done = 0; *done < plan->unit_count; (*done)++) {
		enum gm_code rc = resume_unit(runner, plan, *done, &manifests[*done], err);
		if (rc == GM_NOT_FOUND) rc = work_unit(runner, plan, *done, &manifests[*done], err);
		GM_TRY(rc);
	}
	return GM_OK;
}

/* --- Results ------------------------------------------------------------------------------------------------------ */

struct result_memory {
	struct gm_arena arena;
	struct gm_file *files;
	size_t file_room;
	struct gm_object_balance *objects;
	size_t object_room;
};

static void *grow(void *array, size_t *room, size_t count, size_t bytes_each)
{
	if (count < *room) return array;
	size_t more = *room == 0 ? 64 : *room * 2;
	void *grown = realloc(array, more * bytes_each);
	if (grown != NULL) *room = more;
	return grown;
}

static enum gm_code add_file(struct gm_run_result *result, const struct gm_manifest_file *file, struct gm_error *err)
{
	struct result_memory *memory = result->memory;
	void *grown = grow(memory->files, &memory->file_room, result->file_count, sizeof *memory->files);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	memory->files = grown;
	result->files = memory->files;
	struct gm_partition_value *values;
	struct gm_file *to = &memory->files[result->file_count];
	*to = (struct gm_file){.path = gm_arena_strndup(&memory->arena, file->path, strlen(file->path)),
	                       .rows = file->rows,
	                       .bytes = file->bytes};
	if (to->path == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	GM_TRY(gm_partition_parse(file->partition, strlen(file->partition), &memory->arena, &values, &to->partition_count,
	                          err));
	to->partition = values;
	result->file_count++;
	return GM_OK;
}

static enum gm_code add_object(struct gm_run_result *result, const struct gm_object_balance *object,
                               struct gm_error *err)
{
	struct result_memory *memory = result->memory;
	void *grown = grow(memory->objects, &memory->object_room, result->object_count, sizeof *memory->objects);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	memory->objects = grown;
	result->objects = memory->objects;
	memory->objects[result->object_count] = (struct gm_object_balance){
	    .key = gm_arena_strndup(&memory->arena, object->key, strlen(object->key)), .balance = object->balance};
	if (memory->objects[result->object_count].key == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the result");
	result->object_count++;
	gm_balance_add(&result->total, &object->balance);
	return GM_OK;
}

static enum gm_code add_books(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                              struct gm_error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < manifests[i].object_count; k++)
			GM_TRY(add_object(result, &manifests[i].objects[k], err));
	result->inputs = result->object_count;
	return GM_OK;
}

static enum gm_code add_files(struct gm_run_result *result, const struct gm_manifest *manifests, size_t count,
                              struct gm_error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < manifests[i].file_count; k++)
			if (manifests[i].files[k].partition != NULL) GM_TRY(add_file(result, &manifests[i].files[k], err));
	return GM_OK;
}

void gm_run_result_clear(struct gm_run_result *result)
{
	struct result_memory *memory = result->memory;
	if (memory != NULL) {
		gm_arena_release(&memory->arena);
		free(memory->files);
		free(memory->objects);
		free(memory);
	}
	*result = (struct gm_run_result){0};
}

/* --- Plans -------------------------------------------------------------------------------------------------------- */

/* Closes the plans that the history has overtaken. What cannot be swept now is said and left for the next run. */
static void sweep_dead(struct runner *runner, const struct gm_history *history)
{
	for (size_t i = 0; i < history->open_count; i++) {
		struct gm_plan *plan;
		struct gm_error err;
		if (gm_plan_read(runner->table, &runner->layout, history->open[i], &plan, &err) != GM_OK) continue;
		bool dead = plan->parent < history->last_run;
		gm_plan_free(plan);
		if (!dead) continue;
		enum gm_code rc = gm_close_plan(runner->table, &runner->layout, history->open[i], &err);
		if (rc == GM_OK)
			notice(runner, "swept what run %" PRIu64 " had left unfinished", history->open[i]);
		else if (rc != GM_LOST)
			notice(runner, "could not sweep unfinished run %" PRIu64 ": %s", history->open[i], err.message);
	}
}

static void sweep_stray(struct runner *runner, const struct gm_history *history)
{
	struct gm_error err;
	for (size_t i = 0; i < history->stray_count; i++)
		if (gm_clear_work(runner->table, &runner->layout, history->stray[i], &err) != GM_OK)
			notice(runner, "could not remove the work folder of run %" PRIu64 ": %s", history->stray[i], err.message);
}

/* The lowest open plan that this engine and job may finish; NULL: none. */
static enum gm_code find_resumable(struct runner *runner, const struct gm_history *history, struct gm_plan **out,
                                   struct gm_error *err)
{
	*out = NULL;
	for (size_t i = 0; i < history->open_count; i++) {
		struct gm_plan *plan;
		enum gm_code rc = gm_plan_read(runner->table, &runner->layout, history->open[i], &plan, err);
		if (rc == GM_UNSUPPORTED) continue; /* of a newer engine, which will finish it or find it dead */
		GM_TRY(rc);
		if (plan->parent == history->last_run && plan->unit_count > 0 && gm_plan_is_ours(plan, runner->job)) {
			*out = plan;
			return GM_OK;
		}
		gm_plan_free(plan);
	}
	return GM_OK;
}

/* The plan that was claimed and is not committed, whosever it is; or an unfinished one of ours. NULL: none. */
static enum gm_code find_unfinished(struct runner *runner, const struct gm_history *history, struct gm_plan **out,
                                    struct gm_error *err)
{
	sweep_dead(runner, history);
	sweep_stray(runner, history);
	runner->claimed = history->claimed != 0;
	if (runner->claimed) return gm_plan_read(runner->table, &runner->layout, history->claimed, out, err);
	return find_resumable(runner, history, out, err);
}

/* The plan to work on: an unfinished one, or a new one; NULL: nothing is new. */
static enum gm_code next_plan(struct runner *runner, struct gm_plan **out, struct gm_error *err)
{
	enum gm_code rc;
	do {
		struct gm_history history = {0};
		*out = NULL;
		if (runner->table != NULL) {
			GM_TRY(gm_history_load(runner->table, &runner->layout, &history, err));
		} else {
			history.keys = gm_dict_new();
			if (history.keys == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the plan");
		}
		rc = GM_OK;
		if (!runner->options.dry_run) rc = find_unfinished(runner, &history, out, err);
		if (rc == GM_OK && *out != NULL) {
			notice(runner, "resuming run %" PRIu64 ", which was not finished", (*out)->number);
		} else if (rc == GM_OK) {
			struct gm_plan_request request = {runner->job, runner->source, &history, runner->options.limit_objects};
			rc = gm_plan_make(&request, out, err);
			uint64_t number = (history.last_plan > history.last_run ? history.last_plan : history.last_run) + 1;
			if (rc == GM_OK && *out != NULL && runner->options.dry_run)
				(*out)->number = number;
			else if (rc == GM_OK && *out != NULL)
				rc = gm_plan_write(*out, number, runner->table, &runner->layout, err);
		}
		gm_history_release(&history);
		if (rc != GM_OK) {
			gm_plan_free(*out);
			*out = NULL;
		}
	} while (rc == GM_EXISTS);
	return rc;
}

/* LOST: another runner committed the plan first, or another plan. */
static enum gm_code finish_plan(struct runner *runner, const struct gm_plan *plan, const struct gm_manifest *manifests,
                                struct gm_error *err)
{
	struct gm_error ignored;
	enter_phase(runner, "publish");
	GM_TRY(gm_claim(runner->table, &runner->layout, plan, err));
	runner->claimed = true;
	GM_TRY(gm_publish(runner->table, manifests, plan->unit_count, err));
	enum gm_code rc = gm_commit(runner->table, &runner->layout, plan, manifests, err);
	if (rc != GM_OK && rc != GM_EXISTS) return rc;
	if (gm_clear_work(runner->table, &runner->layout, plan->number, &ignored) != GM_OK)
		notice(runner, "could not remove the work folder of run %" PRIu64 ": %s", plan->number, ignored.message);
	if (rc == GM_EXISTS) return GM_LOST;
	if (plan->unit_count == 0) return GM_OK; /* the end of a plan that was given up */
	if (runner->result->run_count < sizeof runner->result->runs / sizeof runner->result->runs[0])
		runner->result->runs[runner->result->run_count] = plan->number;
	runner->result->run_count++;
	runner->result->committed = true;
	return GM_OK;
}

/* Was what failed in vain, because another runner has finished this plan, or another plan, and swept our work? */
static bool is_overtaken(const struct runner *runner, const struct gm_plan *plan, enum gm_code rc)
{
	if (rc == GM_OK || rc == GM_LOST || runner->options.dry_run) return rc == GM_LOST;
	if (rc == GM_NOMEM || rc == GM_INTERRUPTED || rc == GM_UNBALANCED || rc == GM_BUG) return false;
	return gm_plan_is_over(runner->table, &runner->layout, plan);
}

static enum gm_code work_plan(struct runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                              size_t *done, struct gm_error *err)
{
	runner->objects_total = plan->input_count;
	runner->bytes_total = plan->bytes;
	runner->done = (struct gm_engine_progress){0};
	enum gm_code rc = new_engine(runner, err);
	if (rc == GM_OK) {
		enter_phase(runner, "work");
		rc = work_units(runner, plan, manifests, done, err);
		tick(runner);
	}
	for (size_t i = 0; runner->engine != NULL && gm_engine_sample(runner->engine, i) != NULL; i++)
		notice(runner, "quarantined: %s", gm_engine_sample(runner->engine, i));
	for (size_t i = 0; runner->engine != NULL && gm_engine_conflict(runner->engine, i) != NULL; i++)
		notice(runner, "conflict: %s", gm_engine_conflict(runner->engine, i));
	gm_engine_free(runner->engine);
	runner->engine = NULL;
	if (rc == GM_OK) rc = add_books(runner->result, manifests, *done, err);
	if (rc == GM_OK) rc = check_limits(runner, manifests, *done, err);
	return rc;
}

static enum gm_code take_claimed(struct runner *runner, const struct gm_plan *plan, struct gm_manifest *manifests,
                                 size_t *done, struct gm_error *err)
{
	GM_TRY(read_manifests(runner, plan, manifests, done, err));
	return add_books(runner->result, manifests, *done, err);
}

/* Work, limits, publish, commit. LOST: another runner did it, or another plan came first. */
static enum gm_code run_plan(struct runner *runner, const struct gm_plan *plan, struct gm_error *err)
{
	size_t done = 0;
	struct gm_manifest *manifests = calloc(plan->unit_count + 1, sizeof *manifests);
	if (manifests == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a run");
	const struct gm_run_result before = *runner->result;
	enum gm_code rc = runner->claimed ? take_claimed(runner, plan, manifests, &done, err)
	                                  : work_plan(runner, plan, manifests, &done, err);
	if (rc == GM_OK && !runner->options.dry_run) rc = finish_plan(runner, plan, manifests, err);
	if (rc == GM_OK) rc = add_files(runner->result, manifests, done, err);
	if (is_overtaken(runner, plan, rc)) rc = GM_LOST;
	if (rc == GM_LOST || rc == GM_CHANGED) { /* what is done is not done by us, or will be done again */
		runner->result->object_count = before.object_count;
		runner->result->inputs = before.inputs;
		runner->result->total = before.total;
	}
	for (size_t i = 0; i < done; i++) gm_manifest_release(&manifests[i]);
	free(manifests);
	return rc;
}

/* After a failure that trying the same plan again cannot mend. */
static void give_up(struct runner *runner, const struct gm_plan *plan)
{
	struct gm_error err;
	uint64_t number;
	if (runner->options.dry_run) return;
	enum gm_code rc = gm_end_plan(runner->table, &runner->layout, plan, runner->claimed, &number, &err);
	if (rc == GM_OK) rc = gm_close_plan(runner->table, &runner->layout, plan->number, &err);
	if (rc != GM_OK && rc != GM_LOST)
		notice(runner, "could not give up run %" PRIu64 ": %s", plan->number, err.message);
}

static enum gm_code run_all(struct runner *runner, struct gm_error *err)
{
	int replans = 0;
	for (;;) {
		struct gm_plan *plan;
		enter_phase(runner, "plan");
		GM_TRY(next_plan(runner, &plan, err));
		if (plan == NULL) return GM_OK;
		enum gm_code rc = run_plan(runner, plan, err);
		if (rc == GM_QUARANTINE || rc == GM_CHANGED) give_up(runner, plan);
		if (rc == GM_LOST)
			notice(runner, "run %" PRIu64 " was overtaken by another runner; planning again", plan->number);
		gm_plan_free(plan);
		if (rc == GM_LOST) continue;
		if (rc == GM_CHANGED && ++replans <= REPLANS && !runner->options.dry_run) {
			notice(runner, "%s: %s; planning again", err->object, err->message);
			continue;
		}
		GM_TRY(rc);
		if (runner->options.dry_run || runner->options.limit_objects > 0) return GM_OK;
	}
}

/* --- The call ----------------------------------------------------------------------------------------------------- */

static enum gm_code check_options(struct gm_run_options *options, struct gm_error *err)
{
	if (options->threads <= 0) {
		long processors = sysconf(_SC_NPROCESSORS_ONLN);
		options->threads = processors < 1 ? 1 : processors > 256 ? 256 : (int)processors;
	}
	if (options->memory_bytes == 0) options->memory_bytes = default_memory_bytes;
	/* A worker's windows and scratch do not shrink with the budget: a small one gets fewer workers. */
	uint64_t most = options->memory_bytes / worker_bytes;
	if (most < (uint64_t)options->threads) options->threads = most < 1 ? 1 : (int)most;
	if (options->memory_bytes >= least_memory_bytes) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "%" PRIu64 " bytes of memory are too few", options->memory_bytes);
	return gm_error_hint(err, GM_USAGE, "give at least 32M");
}

static bool is_inside(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || (n > 0 && folder[n - 1] == '/'));
}

/* A table below its own source would be read as input; a source below its table would be taken for data. */
static enum gm_code check_apart(const struct gm_job *job, struct gm_error *err)
{
	char *source = realpath(job->source.location, NULL), *table = realpath(job->table.location, NULL);
	bool nested = source != NULL && table != NULL && (is_inside(source, table) || is_inside(table, source));
	free(source);
	free(table);
	if (!nested) return GM_OK;
	(void)gm_error_set(err, GM_USAGE, "source and table must not lie one inside the other");
	return gm_error_object(err, GM_USAGE, job->table.location, strlen(job->table.location));
}

static enum gm_code open_stores(struct runner *runner, struct gm_error *err)
{
	const struct gm_job *job = runner->job;
	GM_TRY(gm_store_open(job->source.location, false, &runner->source, err));
	enum gm_code rc = gm_store_open(job->table.location, !runner->options.dry_run, &runner->table, err);
	if (rc == GM_NOT_FOUND && runner->options.dry_run) rc = GM_OK;
	GM_TRY(rc);
	return check_apart(job, err);
}

enum gm_code gm_run(const struct gm_job *job, const struct gm_run_options *options, struct gm_run_result *result,
                    struct gm_error *err)
{
	struct runner runner = {.job = job, .options = *options, .result = result, .phase = "plan"};
	*result = (struct gm_run_result){.memory = calloc(1, sizeof(struct result_memory))};
	if (result->memory == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a run");
	gm_arena_init(&((struct result_memory *)result->memory)->arena, 16 * 1024);
	(void)clock_gettime(CLOCK_MONOTONIC, &runner.start);
	enum gm_code rc = check_options(&runner.options, err);
	if (rc == GM_OK) rc = gm_layout_init(&runner.layout, job->id, err);
	if (rc == GM_OK) rc = open_stores(&runner, err);
	if (rc == GM_OK) rc = load_secret(&runner, err);
	if (rc == GM_OK) rc = run_all(&runner, err);
	gm_store_close(runner.source);
	gm_store_close(runner.table);
	explicit_bzero(runner.secret, sizeof runner.secret);
	result->seconds = seconds_since(&runner.start);
	return rc;
}
