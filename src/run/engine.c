#include "base/flag.h"
#include "base/parallel.h"
#include "run/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Shares of the memory budget; shredders' and derivers' are in worker.c. What is left is for windows, encoders and
 * the program itself. */
enum {
	QUEUE_SHARE = 16,
	PENDING_SHARE = 4,
	MORE_PENDING_SHARE = 6,
	LARGE_BUDGET_BYTES = 128 * 1024 * 1024,
	THREAD_BYTES = 16 * 1024 * 1024,
	GROUPS_SHARE = 8, /* and a sixth for duplicates: see dedupe.c */
	LARGE_SHARE = 32,
	SPARE_SHARE = 16, /* of encoded columns that are written, for the next ones */
};

enum {
	MAX_PARTITIONS = 10000, /* of a unit: each is a file, and a few kilobytes of its manifest */
	TICK_NS = 100 * 1000 * 1000,
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the work of a run");
}

static enum gm_code init_slots(struct gm_engine *engine, struct gm_error *err)
{
	const struct gm_job *job = engine->options.job;
	engine->column_count = job->column_count;
	engine->column_slots = malloc(job->column_count * sizeof *engine->column_slots);
	if (engine->column_slots == NULL) return out_of_memory(err);
	for (size_t i = 0; i < job->column_count; i++) engine->column_slots[i] = gm_program_column_slot(job->program, i);
	return GM_OK;
}

/* The more may wait, the less is spilled. A large budget leaves more for that: encoding a row group takes the same of
 * any, but each thread after the first has a window, blocks and an encoder of its own; of 256 MiB one such is left. */
static size_t pending_limit(uint64_t memory, int threads)
{
	uint64_t limit = memory / PENDING_SHARE, more = memory / MORE_PENDING_SHARE;
	uint64_t others = (uint64_t)(threads - 1) * THREAD_BYTES;
	if (memory >= 2 * (uint64_t)LARGE_BUDGET_BYTES && others > 0) others -= THREAD_BYTES;
	return (size_t)(memory < LARGE_BUDGET_BYTES || more < others ? limit : limit + more - others);
}

static enum gm_code init_parts(struct gm_engine *engine, struct gm_error *err)
{
	uint64_t memory = engine->options.memory_bytes;
	engine->queue_limit = (size_t)(memory / QUEUE_SHARE);
	engine->pending_limit = pending_limit(memory, engine->threads);
	engine->groups_limit = (size_t)(memory / GROUPS_SHARE);
	engine->large_limit = (size_t)(memory / LARGE_SHARE);
	engine->pool = gm_chunk_pool_new();
	engine->spare = gm_parquet_spare_new((size_t)(memory / SPARE_SHARE));
	engine->workers = calloc((size_t)engine->threads, sizeof *engine->workers);
	if (engine->pool == NULL || engine->spare == NULL || engine->workers == NULL) return out_of_memory(err);
	if (engine->options.job->table.unique_count > 0)
		GM_TRY(gm_dedupe_new(&engine->options, engine->column_slots, &engine->dedupe, err));
	for (int i = 0; i < engine->threads; i++) GM_TRY(gm_worker_init(&engine->workers[i], engine, err));
	return GM_OK;
}

enum gm_code gm_engine_new(const struct gm_engine_options *options, struct gm_engine **out, struct gm_error *err)
{
	struct gm_engine *engine = calloc(1, sizeof *engine);
	if (engine == NULL) return out_of_memory(err);
	engine->options = *options;
	engine->threads = options->threads;
	(void)pthread_mutex_init(&engine->lock, NULL);
	(void)pthread_cond_init(&engine->changed, NULL);
	(void)pthread_cond_init(&engine->idle, NULL);
	enum gm_code rc = init_slots(engine, err);
	if (rc == GM_OK) rc = init_parts(engine, err);
	if (rc != GM_OK) {
		gm_engine_free(engine);
		return rc;
	}
	*out = engine;
	return GM_OK;
}

void gm_engine_free(struct gm_engine *engine)
{
	if (engine == NULL) return;
	for (int i = 0; engine->workers != NULL && i < engine->threads; i++) gm_worker_release(&engine->workers[i]);
	free(engine->workers);
	gm_dedupe_free(engine->dedupe);
	gm_chunk_pool_free(engine->pool);
	gm_parquet_spare_free(engine->spare);
	free(engine->column_slots);
	(void)pthread_cond_destroy(&engine->idle);
	(void)pthread_cond_destroy(&engine->changed);
	(void)pthread_mutex_destroy(&engine->lock);
	free(engine);
}

const char *gm_engine_sample(const struct gm_engine *engine, size_t i)
{
	return i < engine->sample_count ? engine->samples[i] : NULL;
}

void gm_engine_progress(const struct gm_engine *engine, struct gm_engine_progress *progress)
{
	progress->objects = __atomic_load_n(&engine->progress.objects, __ATOMIC_RELAXED);
	progress->bytes = __atomic_load_n(&engine->progress.bytes, __ATOMIC_RELAXED);
	progress->bytes_raw = __atomic_load_n(&engine->progress.bytes_raw, __ATOMIC_RELAXED);
	progress->records = __atomic_load_n(&engine->progress.records, __ATOMIC_RELAXED);
}

enum gm_code gm_engine_load_keys(struct gm_engine *engine, const char *key, struct gm_error *err)
{
	return engine->dedupe != NULL ? gm_dedupe_load(engine->dedupe, key, err) : GM_OK;
}

const char *gm_engine_conflict(const struct gm_engine *engine, size_t i)
{
	return engine->dedupe != NULL ? gm_dedupe_sample(engine->dedupe, i) : NULL;
}

/* --- A unit ------------------------------------------------------------------------------------------------------- */

/* How many readers are open ahead of need: as many calls as pay to be in flight where the inputs are. */
static size_t readers_ahead(const struct gm_engine *engine)
{
	const struct gm_engine_options *options = &engine->options;
	bool replays = engine->unit->input_count > 0 && gm_replay_key(engine->unit->inputs[0].key) != NULL;
	const struct gm_store *store = replays ? options->log_store : options->source;
	return store != NULL ? store->parallel : 1;
}

static enum gm_code begin_unit(struct gm_engine *engine, const struct gm_unit_spec *unit, struct gm_unit_result *result,
                               struct gm_error *err)
{
	engine->unit = unit;
	engine->result = result;
	engine->next_object = engine->next_ahead = engine->head = engine->queued_bytes = engine->groups =
	    engine->group_bytes = engine->encoding_weight = 0;
	engine->collecting = engine->flushed = engine->stopped = false;
	engine->reading = 0;
	engine->first_group = engine->last_group = NULL;
	engine->code = GM_OK;
	engine->ahead_limit = readers_ahead(engine);
	struct gm_pending_limits limits = {.group_rows = unit->group_rows,
	                                   .group_weight = unit->group_weight,
	                                   .memory_bytes = engine->pending_limit,
	                                   .partitions = MAX_PARTITIONS};
	engine->objects = calloc(unit->input_count + 1, sizeof *engine->objects);
	result->objects = calloc(unit->input_count + 1, sizeof *result->objects);
	if (engine->objects == NULL || result->objects == NULL) return out_of_memory(err);
	GM_TRY(gm_spill_new(engine->options.scratch, engine->column_slots, engine->column_count, &engine->spill, err));
	GM_TRY(gm_pending_new(&limits, engine->spill, gm_collect_cut, engine, &engine->pending, err));
	if (engine->dedupe != NULL) GM_TRY(gm_dedupe_begin(engine->dedupe, unit, err));
	if (engine->options.table == NULL || unit->keys_only) return GM_OK;
	return gm_quarantine_new(engine->options.table, unit->quarantine_key, unit->output.work_prefix, &engine->quarantine,
	                         err);
}

static void free_items(struct gm_object_work *object)
{
	for (struct gm_item *item = object->first, *next; item != NULL; item = next) {
		next = item->next;
		gm_chunk_unref(item->chunk);
		free(item);
	}
}

static void free_groups(struct gm_engine *engine, struct gm_partition *partition)
{
	for (struct gm_row_group *group = partition->first_group, *later; group != NULL; group = later) {
		later = group->later;
		for (size_t i = 0; group->columns != NULL && i < engine->column_count; i++)
			gm_parquet_column_chunk_free(group->columns[i]);
		gm_row_group_free(group);
	}
	gm_output_abandon(partition);
}

/* Frees all that a unit leaves in the engine, whether it ended well or not. */
static void end_unit(struct gm_engine *engine)
{
	for (size_t i = 0; engine->objects != NULL && i < engine->unit->input_count; i++) {
		free_items(&engine->objects[i]);
		gm_store_reader_close(engine->objects[i].reader);
	}
	free(engine->objects);
	engine->objects = NULL;
	if (engine->pending != NULL) {
		size_t count;
		struct gm_partition **partitions = gm_pending_partitions(engine->pending, &count);
		for (size_t i = 0; i < count; i++) free_groups(engine, partitions[i]);
	}
	gm_pending_free(engine->pending);
	engine->pending = NULL;
	gm_spill_free(engine->spill);
	engine->spill = NULL;
	gm_quarantine_free(engine->quarantine);
	engine->quarantine = NULL;
	if (engine->dedupe != NULL) gm_dedupe_end(engine->dedupe);
	for (int i = 0; i < engine->threads; i++) {
		gm_store_reader_close(engine->workers[i].reader);
		engine->workers[i].reader = NULL;
		engine->workers[i].object = (size_t)GM_NO_OBJECT;
	}
}

static struct timespec next_tick(void)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += TICK_NS;
	if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
	return until;
}

static void wait_for_workers(struct gm_engine *engine, gm_tick_fn *tick, void *context)
{
	struct timespec until = next_tick();
	(void)pthread_mutex_lock(&engine->lock);
	while (engine->running > 0) {
		if (pthread_cond_timedwait(&engine->idle, &engine->lock, &until) != ETIMEDOUT) continue;
		(void)pthread_mutex_unlock(&engine->lock);
		if (tick != NULL) tick(context);
		if (gm_flag_is_set(engine->options.stop)) {
			struct gm_error err;
			gm_engine_fail(engine, gm_error_set(&err, GM_INTERRUPTED, "stopped before the run was complete"), &err);
		}
		until = next_tick();
		(void)pthread_mutex_lock(&engine->lock);
	}
	(void)pthread_mutex_unlock(&engine->lock);
}

static enum gm_code run_workers(struct gm_engine *engine, gm_tick_fn *tick, void *context, struct gm_error *err)
{
	int started = 0;
	engine->watch = gm_stopwatch_mine();
	engine->running = (size_t)engine->threads;
	for (; started < engine->threads; started++)
		if (pthread_create(&engine->workers[started].thread, NULL, gm_worker_main, &engine->workers[started]) != 0)
			break;
	if (started < engine->threads) {
		(void)gm_error_set(err, GM_NOMEM, "thread %d of %d could not be started", started + 1, engine->threads);
		gm_engine_fail(engine, GM_NOMEM, err);
		(void)pthread_mutex_lock(&engine->lock);
		engine->running -= (size_t)(engine->threads - started);
		(void)pthread_mutex_unlock(&engine->lock);
	}
	wait_for_workers(engine, tick, context);
	for (int i = 0; i < started; i++) (void)pthread_join(engine->workers[i].thread, NULL);
	if (engine->code != GM_OK) *err = engine->error;
	return engine->code;
}

/* Of all rows that were to be kept, duplicates or not: whoever commits asks whether others were there meanwhile. The
 * partitions stand in order since the flush. */
static enum gm_code copy_partitions(struct gm_engine *engine, struct gm_unit_result *result, struct gm_error *err)
{
	size_t count;
	struct gm_arena *arena = &result->outputs.arena;
	struct gm_partition **partitions = gm_pending_partitions(engine->pending, &count);
	const char **paths = gm_arena_alloc(arena, (count + 1) * sizeof *paths);
	if (paths == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) {
		paths[i] = gm_arena_strndup(arena, partitions[i]->path, strlen(partitions[i]->path));
		if (paths[i] == NULL) return out_of_memory(err);
	}
	result->partitions = paths;
	result->partition_count = count;
	return GM_OK;
}

static enum gm_code finish_unit(struct gm_engine *engine, struct gm_unit_result *result, struct gm_error *err)
{
	for (size_t i = 0; i < engine->unit->input_count; i++) {
		const struct gm_object_work *work = &engine->objects[i];
		result->objects[i] = work->balance;
		result->objects[i].rows_written = work->collected_rows;
		result->objects[i].duplicates = work->counts.duplicates;
		result->objects[i].conflicts = work->counts.conflicts;
	}
	gm_outputs_sort(&result->outputs);
	GM_TRY(copy_partitions(engine, result, err));
	if (engine->quarantine != NULL)
		GM_TRY(gm_quarantine_finish(engine->quarantine, result->quarantine_token, &result->quarantine_bytes,
		                            result->quarantine_hash, err));
	return engine->dedupe != NULL ? gm_dedupe_finish(engine->dedupe, result, err) : GM_OK;
}

enum gm_code gm_engine_work(struct gm_engine *engine, const struct gm_unit_spec *unit, gm_tick_fn *tick, void *context,
                            struct gm_unit_result *result, struct gm_error *err)
{
	*result = (struct gm_unit_result){0};
	GM_TRY(gm_outputs_init(&result->outputs, &unit->output, err));
	enum gm_code rc = begin_unit(engine, unit, result, err);
	if (rc == GM_OK) rc = run_workers(engine, tick, context, err);
	enum gm_stage outer = gm_stage_enter(GM_STAGE_SYNC);
	if (rc == GM_OK) rc = finish_unit(engine, result, err);
	(void)gm_stage_enter(outer);
	end_unit(engine);
	if (rc == GM_OK) return GM_OK;
	/* Staged files lie in the work folder and go with that; what is uploaded elsewhere only we know. */
	if (engine->options.table != NULL && gm_store_is_remote(engine->options.table))
		gm_unit_result_discard(result, engine->options.table);
	gm_unit_result_release(result);
	return rc;
}

struct discarding {
	struct gm_store *table;
	const struct gm_unit_result *result;
};

/* What the unit staged beside its data files. */
enum { KEPT_TOKENS = 4 };

static enum gm_code discard_at(void *context, size_t index, struct gm_error *err)
{
	const struct discarding *discarding = context;
	const struct gm_unit_result *result = discarding->result;
	const char *const kept[KEPT_TOKENS] = {result->quarantine_token, result->conflicts.token, result->duplicates.token,
	                                       result->keys_token};
	const char *token = index < KEPT_TOKENS ? kept[index] : result->outputs.files[index - KEPT_TOKENS].token;
	if (token[0] != '\0') (void)!gm_store_discard(discarding->table, token, err);
	return GM_OK;
}

void gm_unit_result_discard(const struct gm_unit_result *result, struct gm_store *table)
{
	struct gm_error ignored;
	struct discarding discarding = {table, result};
	size_t count = KEPT_TOKENS + result->outputs.file_count;
	(void)!gm_parallel(count, table->parallel, discard_at, &discarding, &ignored);
}

void gm_unit_result_release(struct gm_unit_result *result)
{
	gm_outputs_release(&result->outputs);
	free(result->objects);
	*result = (struct gm_unit_result){0};
}
