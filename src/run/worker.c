/* worker.c - what a thread does: its turn of encoding, collecting or shredding. */
#include "base/flag.h"
#include "run/engine_internal.h"

#include <stdlib.h>

/* Shares of the memory budget, see engine.c. Dictionaries may be alive twice: the ones in use, and those before them
 * that waiting chunks still refer to. */
enum { DICTIONARIES_SHARE = 10, DERIVED_SHARE = 16, ENCODER_SHARE = 16 };

/* A row group below this is encoded by one worker in one go. */
static const uint64_t small_group_rows = 16 * 1024;
/* Of the budget for each thread, to inflate ahead. */
static const uint64_t ahead_bytes_min = 64 * 1024 * 1024;

void gm_engine_fail(struct gm_engine *engine, enum gm_code code, const struct gm_error *err)
{
	(void)pthread_mutex_lock(&engine->lock);
	if (engine->code == GM_OK) {
		engine->code = code;
		engine->error = *err;
	}
	engine->stopped = true;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
}

/* A signal, or a failure elsewhere: whoever asks gives up, and the first failure is what is told. */
static enum gm_code check_stop(const struct gm_worker *worker, struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	(void)pthread_mutex_lock(&engine->lock);
	bool stopped = engine->stopped;
	(void)pthread_mutex_unlock(&engine->lock);
	if (stopped || gm_flag_is_set(engine->options.stop))
		GM_FAIL(err, GM_INTERRUPTED, "stopped before the run was complete");
	return GM_OK;
}

/* --- Encoding and collecting -------------------------------------------------------------------------------------- */

struct task {
	struct gm_row_group *group;
	size_t leaf, leaves;
	size_t object;
	struct gm_shredder *reader; /* to be inflated for */
};

/* May the first group that waits be encoded? Columns that were spilled are read back in whole, and a column may be all
 * that a group holds: groups are begun one at a time unless they are small. With the lock. */
static bool may_encode(const struct gm_engine *engine)
{
	const struct gm_row_group *group = engine->first_group;
	if (group == NULL || group->next_leaf > 0 || engine->encoding_weight == 0) return group != NULL;
	return engine->encoding_weight + group->weight <= engine->groups_limit;
}

/* The first group's next leaf, or all leaves of a small group. With the lock. */
static void take_leaves(struct gm_engine *engine, struct task *task)
{
	struct gm_row_group *group = engine->first_group;
	if (group->next_leaf == 0) engine->encoding_weight += group->weight;
	task->group = group;
	task->leaf = group->next_leaf;
	task->leaves = group->rows < small_group_rows ? engine->column_count - group->next_leaf : 1;
	group->next_leaf += task->leaves;
	if (group->next_leaf < engine->column_count) return;
	engine->first_group = group->next;
	if (engine->first_group == NULL) engine->last_group = NULL;
}

static enum gm_code encode(struct gm_worker *worker, const struct task *task, struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	struct gm_partition *partition = task->group->partition;
	for (size_t i = 0; i < task->leaves; i++) GM_TRY(gm_encode_leaf(worker, task->group, task->leaf + i, err));
	(void)pthread_mutex_lock(&engine->lock);
	task->group->done_leaves += task->leaves;
	bool complete = task->group->done_leaves == engine->column_count;
	if (complete) {
		engine->encoding_weight -= task->group->weight;
		(void)pthread_cond_broadcast(&engine->changed);
	}
	(void)pthread_mutex_unlock(&engine->lock);
	return complete ? gm_encode_finish(engine, partition, err) : GM_OK;
}

static enum gm_code collect(struct gm_worker *worker, struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	enum gm_stage outer = gm_stage_enter(GM_STAGE_ROUTE);
	enum gm_code rc = gm_collect(engine, err);
	(void)gm_stage_enter(outer);
	(void)pthread_mutex_lock(&engine->lock);
	engine->collecting = false;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
	return rc;
}

/* With the lock. */
static void wait_for_change(struct gm_engine *engine)
{
	enum gm_stage outer = gm_stage_enter(GM_STAGE_IDLE);
	(void)pthread_cond_wait(&engine->changed, &engine->lock);
	(void)gm_stage_enter(outer);
}

/* Does what else there is to do until `enough`; a worker that waits may be the only one that can. */
typedef bool enough_fn(const struct gm_worker *worker, size_t bytes);
static enum gm_code work_until(struct gm_worker *worker, enough_fn *enough, size_t bytes, struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	enum gm_code rc = GM_OK;
	(void)pthread_mutex_lock(&engine->lock);
	while (rc == GM_OK && !engine->stopped && !enough(worker, bytes)) {
		struct task task;
		bool encodes = may_encode(engine);
		if (encodes) {
			take_leaves(engine, &task);
		} else if (gm_collect_ready(engine)) {
			engine->collecting = true;
		} else {
			wait_for_change(engine);
			continue;
		}
		(void)pthread_mutex_unlock(&engine->lock);
		enum gm_stage outer = gm_stage_enter(encodes ? GM_STAGE_ENCODE : GM_STAGE_ROUTE);
		rc = encodes ? encode(worker, &task, err) : collect(worker, err);
		(void)gm_stage_enter(outer);
		(void)pthread_mutex_lock(&engine->lock);
	}
	(void)pthread_mutex_unlock(&engine->lock);
	if (rc == GM_OK) return GM_OK;
	gm_engine_fail(engine, rc, err); /* told here, for it must not be named after the object in hand */
	return gm_error_set(err, GM_INTERRUPTED, "stopped before the run was complete");
}

/* Is the queue short enough for a span that may be larger than memory? The oldest object's worker only waits while
 * somebody else collects or encodes: what fills the queue may be later objects, which cannot go before it is done. */
static bool queue_has_room(const struct gm_worker *worker, size_t bytes)
{
	const struct gm_engine *engine = worker->engine;
	(void)bytes;
	if (engine->queued_bytes <= engine->queue_limit) return true;
	return worker->object == engine->head && !engine->collecting && engine->groups == 0 && !gm_collect_ready(engine);
}

/* Large records are for the worker of the oldest object, one at a time; the others share what is left for them. */
static bool large_has_room(const struct gm_worker *worker, size_t bytes)
{
	const struct gm_engine *engine = worker->engine;
	return worker->object == engine->head || engine->large_bytes - worker->large_bytes + bytes <= engine->large_limit;
}

static enum gm_code large_record(void *context, size_t bytes, struct gm_error *err)
{
	struct gm_worker *worker = context;
	struct gm_engine *engine = worker->engine;
	if (bytes > 0) {
		GM_TRY(work_until(worker, large_has_room, bytes, err));
		GM_TRY(check_stop(worker, err)); /* which ends the waiting, too */
	}
	(void)pthread_mutex_lock(&engine->lock);
	engine->large_bytes += bytes - worker->large_bytes;
	worker->large_bytes = bytes;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
	return GM_OK;
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_worker_init(struct gm_worker *worker, struct gm_engine *engine, struct gm_error *err)
{
	const struct gm_job *job = engine->options.job;
	size_t leaf_count;
	const struct gm_shred_leaf *leaves = gm_program_leaves(job->program, &leaf_count);
	size_t share = (size_t)(engine->options.memory_bytes / (unsigned)engine->threads);
	struct gm_shred_options options = {.max_record_bytes = job->source.max_record_bytes,
	                                   .window_bytes = 512 * 1024,
	                                   .dict_bytes_max = share / DICTIONARIES_SHARE,
	                                   .room = large_record,
	                                   .room_context = worker};
	worker->engine = engine;
	worker->object = (size_t)GM_NO_OBJECT;
	GM_TRY(gm_shredder_new(leaves, leaf_count, &options, engine->pool, &worker->shredder, err));
	GM_TRY(gm_deriver_new(job, share / DERIVED_SHARE, &worker->deriver, err));
	gm_deriver_set_now(worker->deriver, engine->options.now_us);
	worker->encoder = gm_parquet_encoder_new(share / ENCODER_SHARE);
	worker->spilled = gm_spill_reader_new();
	if (worker->encoder == NULL || worker->spilled == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a worker");
	return job->table.unique_count > 0 ? gm_dedupe_hashers(engine->options.key_secret, job, engine->column_slots,
	                                                       &worker->hasher, &worker->content, err)
	                                   : GM_OK;
}

void gm_worker_release(struct gm_worker *worker)
{
	gm_shredder_free(worker->shredder);
	gm_deriver_free(worker->deriver);
	gm_key_hasher_free(worker->hasher);
	gm_content_hasher_free(worker->content);
	gm_parquet_encoder_free(worker->encoder);
	gm_spill_reader_free(worker->spilled);
	gm_store_reader_close(worker->reader);
	gm_replay_free(worker->replay);
	free(worker->slices);
	free(worker->loaded);
	free(worker->loaded_vecs);
}

/* --- Shredding ---------------------------------------------------------------------------------------------------- */

static void enqueue(struct gm_engine *engine, size_t object, struct gm_item *item)
{
	struct gm_object_work *work = &engine->objects[object];
	(void)pthread_mutex_lock(&engine->lock);
	*(work->last != NULL ? &work->last->next : &work->first) = item;
	work->last = item;
	engine->queued_bytes += item->bytes;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
}

static enum gm_code changed_input(const struct gm_input *input, struct gm_error *err)
{
	const char *file = gm_replay_key(input->key), *key = file != NULL ? file : input->key;
	(void)gm_error_set(err, GM_CHANGED, "the object is not what it was when the run was planned");
	(void)gm_error_object(err, GM_CHANGED, key, strlen(key));
	if (file != NULL) return GM_CHANGED;
	return gm_error_hint(err, GM_CHANGED, "write inputs under a temporary name and rename them when they are complete");
}

static bool is_another(enum gm_code rc)
{
	return rc == GM_CHANGED || rc == GM_NOT_FOUND;
}

static enum gm_code read_source(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct gm_worker *worker = context;
	GM_TRY(check_stop(worker, err)); /* an object that gives no row, whatever its size, is one turn */
	enum gm_stage outer = gm_stage_enter(GM_STAGE_READ);
	enum gm_code rc = gm_store_reader_read(worker->reader, into, bytes, got, err);
	gm_stage_bytes(GM_STAGE_READ, *got);
	(void)gm_stage_enter(outer);
	if (is_another(rc)) return changed_input(&worker->engine->unit->inputs[worker->object], err);
	GM_TRY(rc);
	__atomic_add_fetch(&worker->engine->progress.bytes, *got, __ATOMIC_RELAXED);
	return GM_OK;
}

static void copy_text(char *to, size_t room, const char *from)
{
	size_t n = from != NULL ? strnlen(from, room - 1) : 0;
	if (n > 0) memcpy(to, from, n);
	to[n] = '\0';
}

static enum gm_code reject_span(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                bool last, struct gm_error *err)
{
	struct gm_worker *worker = context;
	GM_TRY(check_stop(worker, err)); /* an object that is all rejects is one turn */
	const char *object = worker->replaying ? gm_replay_object(worker->replay) : NULL;
	size_t name_bytes = object != NULL ? strlen(object) + 1 : 0;
	struct gm_item *item = malloc(sizeof *item + bytes + name_bytes);
	if (item == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a rejected record of %zu bytes", bytes);
	*item = (struct gm_item){
	    .bytes = sizeof *item + bytes + name_bytes, .reject = *reject, .last = last, .data_bytes = bytes};
	if (object != NULL) item->object = memcpy(item->data + bytes, object, name_bytes);
	copy_text(item->column, sizeof item->column, reject->column);
	copy_text(item->detail, sizeof item->detail, reject->detail);
	if (bytes > 0) memcpy(item->data, data, bytes);
	enqueue(worker->engine, worker->object, item);
	return work_until(worker, queue_has_room, 0, err);
}

static enum gm_code reject_row(void *context, struct gm_chunk *chunk, uint32_t row, enum gm_reason reason,
                               const char *column, const char *detail, struct gm_error *err)
{
	struct gm_worker *worker = context;
	struct gm_reject reject = {.reason = reason,
	                           .record = chunk->record[row],
	                           .offset = chunk->offset[row],
	                           .damage_offset = chunk->offset[row],
	                           .column = column,
	                           .detail = detail};
	worker->rejected.quarantined++;
	worker->rejected.quarantined_bytes += chunk->length[row];
	return reject_span(worker, &reject, gm_shredder_raw(worker->shredder, chunk, row), chunk->length[row], true, err);
}

/* What a message about the object in hand names. */
static enum gm_code name_object(const struct gm_worker *worker, enum gm_code rc, struct gm_error *err)
{
	if (rc == GM_INTERRUPTED) return rc; /* it has no part in that */
	const char *key = worker->engine->unit->inputs[worker->object].key, *file = gm_replay_key(key);
	const char *object = worker->replaying ? gm_replay_object(worker->replay) : NULL;
	if (file != NULL) key = rc == GM_VALUE && object != NULL ? object : file;
	return err->object[0] == '\0' ? gm_error_object(err, rc, key, strlen(key)) : rc;
}

/* A quarantine file's key comes from a plan, which is input: it must not lead out of the table. */
static enum gm_code open_input(const struct gm_engine *engine, const struct gm_input *input,
                               struct gm_store_reader **out, struct gm_error *err)
{
	const char *file = gm_replay_key(input->key);
	struct gm_object_info expected = {file != NULL ? file : input->key, input->size, input->mtime_us, input->etag};
	if (file == NULL) return gm_store_reader_open_as(engine->options.source, &expected, out, err);
	if (engine->options.log_store != NULL && gm_store_key_valid(file))
		return gm_store_reader_open_as(engine->options.log_store, &expected, out, err);
	(void)gm_error_set(err, GM_CORRUPT, "the plan names an input that is no quarantine file");
	return gm_error_object(err, GM_CORRUPT, input->key, strlen(input->key));
}

/* Whatever the object is, its rejects come to reject_span. */
static enum gm_code begin_reading(struct gm_worker *worker, const struct gm_input *input, struct gm_error *err)
{
	worker->replaying = gm_replay_key(input->key) != NULL;
	if (!worker->replaying) {
		gm_shredder_begin(worker->shredder, read_source, reject_span, worker);
		return GM_OK;
	}
	if (worker->replay == NULL) GM_TRY(gm_replay_new(&worker->replay, err));
	gm_replay_begin(worker->replay, worker->shredder, read_source, reject_span, worker);
	return GM_OK;
}

/* Opens an object before a worker is free for it: a store that is far away begins to fetch it. A failure is nobody's
 * yet; whoever takes the object opens it again, and meets it if it is still there. */
static void open_ahead(struct gm_engine *engine, size_t object)
{
	struct gm_error ignored;
	struct gm_store_reader *reader = NULL;
	if (open_input(engine, &engine->unit->inputs[object], &reader, &ignored) != GM_OK) reader = NULL;
	(void)pthread_mutex_lock(&engine->lock);
	engine->objects[object].reader = reader;
	engine->objects[object].opening = false;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
}

static const struct gm_shred_books *books_of(const struct gm_worker *worker)
{
	return worker->replaying ? gm_replay_books(worker->replay) : gm_shredder_books(worker->shredder);
}

static enum gm_code open_object(struct gm_worker *worker, size_t object, struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	const struct gm_input *input = &engine->unit->inputs[object];
	if (worker->reader == NULL) {
		enum gm_code rc = open_input(engine, input, &worker->reader, err);
		if (is_another(rc)) return changed_input(input, err);
		GM_TRY(rc);
	}
	worker->rejected = (struct gm_balance){0};
	worker->nulled_before = gm_deriver_nulled(worker->deriver);
	return begin_reading(worker, input, err);
}

/* The object is read to its end: its books, as far as the worker knows them. */
static enum gm_code end_object(struct gm_worker *worker, struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	struct gm_object_work *work = &engine->objects[worker->object];
	enum gm_code rc = gm_store_reader_check(worker->reader, err);
	gm_store_reader_close(worker->reader);
	worker->reader = NULL;
	if (is_another(rc)) return changed_input(&engine->unit->inputs[worker->object], err);
	GM_TRY(rc);
	const struct gm_shred_books *books = books_of(worker);
	struct gm_balance *balance = &work->balance;
	balance->records_read = books->read;
	balance->quarantined = books->quarantined + worker->rejected.quarantined;
	balance->bytes_in = books->bytes_in;
	balance->bytes_raw = books->bytes_raw;
	balance->record_bytes = books->record_bytes - worker->rejected.quarantined_bytes;
	balance->separator_bytes = books->separator_bytes;
	balance->quarantined_bytes = books->quarantined_bytes + worker->rejected.quarantined_bytes;
	balance->duplicate_keys = books->duplicate_keys;
	balance->invalid_utf8 = books->invalid_utf8;
	balance->converted_null = books->converted_null + gm_deriver_nulled(worker->deriver) - worker->nulled_before;
	(void)pthread_mutex_lock(&engine->lock);
	work->ended = true;
	worker->object = (size_t)GM_NO_OBJECT;
	engine->reading--;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
	return GM_OK;
}

static enum gm_code next_chunk(struct gm_worker *worker, struct gm_chunk **out, struct gm_error *err)
{
	uint32_t slots = gm_program_extra_slots(worker->engine->options.job->program);
	uint64_t raw_before = books_of(worker)->bytes_raw;
	(void)gm_stage_enter(GM_STAGE_SHRED);
	enum gm_code rc = worker->replaying ? gm_replay_next(worker->replay, slots, out, err)
	                                    : gm_shredder_next(worker->shredder, slots, out, err);
	gm_stage_bytes(GM_STAGE_SHRED, books_of(worker)->bytes_raw - raw_before);
	return rc;
}

/* What a chunk is made to know of its rows: derived columns, fates and partitions, what duplicates are told by. */
static enum gm_code work_out(struct gm_worker *worker, struct gm_chunk *chunk, struct gm_error *err)
{
	(void)gm_stage_enter(GM_STAGE_DERIVE);
	GM_TRY(gm_deriver_run(worker->deriver, chunk, reject_row, worker, err));
	(void)gm_stage_enter(GM_STAGE_HASH);
	if (worker->hasher != NULL) GM_TRY(gm_key_hasher_run(worker->hasher, chunk, err));
	return worker->content != NULL ? gm_content_hasher_run(worker->content, chunk, err) : GM_OK;
}

/* A chunk of the object in hand: shredded, derived, hashed, queued. */
static enum gm_code shred(struct gm_worker *worker, struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	struct gm_chunk *chunk = NULL;
	uint64_t raw_before = books_of(worker)->bytes_raw;
	enum gm_code rc = next_chunk(worker, &chunk, err);
	if (rc == GM_OK && chunk == NULL) return end_object(worker, err);
	if (rc == GM_OK) rc = work_out(worker, chunk, err);
	struct gm_item *item = rc == GM_OK ? malloc(sizeof *item) : NULL;
	if (rc == GM_OK && item == NULL) rc = gm_error_set(err, GM_NOMEM, "out of memory for a chunk");
	if (rc != GM_OK) {
		gm_chunk_unref(chunk);
		return name_object(worker, rc, err);
	}
	gm_chunk_built(chunk);
	uint64_t filtered = 0;
	for (uint32_t row = 0; row < chunk->rows; row++) filtered += chunk->fate[row] == GM_FATE_FILTERED;
	engine->objects[worker->object].balance.filtered += filtered;
	__atomic_add_fetch(&engine->progress.records, chunk->rows, __ATOMIC_RELAXED);
	__atomic_add_fetch(&engine->progress.bytes_raw, books_of(worker)->bytes_raw - raw_before, __ATOMIC_RELAXED);
	*item = (struct gm_item){.chunk = chunk, .bytes = gm_chunk_memory_bytes(chunk)};
	enqueue(engine, worker->object, item);
	return GM_OK;
}

/* --- Turns -------------------------------------------------------------------------------------------------------- */

enum turn { TURN_WAIT, TURN_ENCODE, TURN_COLLECT, TURN_AHEAD, TURN_OPEN, TURN_SHRED, TURN_INFLATE, TURN_LEAVE };

/* Is an object to be opened that no worker is free for yet? With the lock. */
static bool ahead_is_due(struct gm_engine *engine)
{
	if (engine->ahead_limit <= 1) return false;
	if (engine->next_ahead < engine->next_object) engine->next_ahead = engine->next_object;
	return engine->next_ahead < engine->unit->input_count &&
	       engine->next_ahead - engine->next_object < engine->ahead_limit;
}

/* May the next object be taken? With the lock. */
static bool may_open(const struct gm_engine *engine, bool room)
{
	size_t next = engine->next_object;
	return next < engine->unit->input_count && !engine->objects[next].opening && (room || next == engine->head);
}

/* Takes the next object, if one may be taken. With the lock. */
static bool take_object(struct gm_worker *worker, bool room, struct task *task)
{
	struct gm_engine *engine = worker->engine;
	if (!may_open(engine, room)) return false;
	task->object = engine->next_object++;
	worker->object = task->object;
	worker->reader = engine->objects[task->object].reader;
	engine->objects[task->object].reader = NULL;
	engine->reading++;
	return true;
}

/* May the worker go on with its object? The oldest goes on whatever waits, unless somebody is about to make room: its
 * chunks may be large. With the lock. */
static bool may_shred(const struct gm_worker *worker, bool room)
{
	const struct gm_engine *engine = worker->engine;
	bool needed = worker->object == engine->head && engine->groups == 0 && !engine->collecting;
	return worker->object != (size_t)GM_NO_OBJECT && (room || needed) && !gm_shredder_busy(worker->shredder);
}

/* Are there fewer objects left than workers? Then the objects are what all wait for: whoever has one stays with it, and
 * the others do everything else. With the lock. */
static bool objects_are_scarce(const struct gm_engine *engine)
{
	return engine->next_object == engine->unit->input_count && engine->reading < engine->threads;
}

/* Claims a block to be inflated ahead, for the oldest object if that wants one. A small budget has no room for blocks
 * that wait, and none has it beside a large record. With the lock. */
static bool claim_block(const struct gm_engine *engine, struct task *task)
{
	if (engine->options.memory_bytes / (unsigned)engine->threads < ahead_bytes_min || engine->large_bytes > 0)
		return false;
	for (int any = 0; any < 2; any++) {
		for (int i = 0; i < engine->threads; i++) {
			const struct gm_worker *reader = &engine->workers[i];
			if (reader->object == (size_t)GM_NO_OBJECT || (any == 0 && reader->object != engine->head)) continue;
			task->reader = reader->shredder;
			if (gm_shredder_claim_ahead(task->reader)) return true;
		}
	}
	return false;
}

/* What to do next; with the lock. */
static enum turn choose(struct gm_worker *worker, struct task *task)
{
	struct gm_engine *engine = worker->engine;
	if (engine->stopped) return TURN_LEAVE;
	bool room = engine->queued_bytes < engine->queue_limit;
	if (room && objects_are_scarce(engine)) {
		if (may_shred(worker, room)) return TURN_SHRED;
		if (claim_block(engine, task)) return TURN_INFLATE;
	}
	if (may_encode(engine)) {
		take_leaves(engine, task);
		return TURN_ENCODE;
	}
	if (gm_collect_ready(engine)) {
		engine->collecting = true;
		return TURN_COLLECT;
	}
	if (engine->flushed && engine->groups == 0) return TURN_LEAVE;
	if (ahead_is_due(engine)) {
		task->object = engine->next_ahead++;
		engine->objects[task->object].opening = true;
		return TURN_AHEAD;
	}
	if (may_shred(worker, room)) return TURN_SHRED;
	if (worker->object == (size_t)GM_NO_OBJECT && take_object(worker, room, task)) return TURN_OPEN;
	return claim_block(engine, task) ? TURN_INFLATE : TURN_WAIT;
}

static void inflate_ahead(struct gm_engine *engine, struct gm_shredder *reader)
{
	gm_shredder_inflate_ahead(reader);
	(void)pthread_mutex_lock(&engine->lock);
	(void)pthread_cond_broadcast(&engine->changed); /* its reader may have waited for it */
	(void)pthread_mutex_unlock(&engine->lock);
}

static enum gm_code carry_out(struct gm_worker *worker, enum turn turn, const struct task *task, struct gm_error *err)
{
	/* What is claimed is inflated, stopped or not: its reader waits for it. */
	if (turn != TURN_INFLATE) GM_TRY(check_stop(worker, err));
	switch (turn) {
	case TURN_ENCODE: return encode(worker, task, err);
	case TURN_COLLECT: return collect(worker, err);
	case TURN_AHEAD: open_ahead(worker->engine, task->object); return GM_OK;
	case TURN_OPEN: return open_object(worker, task->object, err);
	case TURN_INFLATE: inflate_ahead(worker->engine, task->reader); return GM_OK;
	default: return shred(worker, err);
	}
}

/* A turn may end in any stage. */
static enum gm_code do_turn(struct gm_worker *worker, enum turn turn, const struct task *task, struct gm_error *err)
{
	static const enum gm_stage stages[] = {
	    [TURN_ENCODE] = GM_STAGE_ENCODE, [TURN_COLLECT] = GM_STAGE_ROUTE, [TURN_AHEAD] = GM_STAGE_READ,
	    [TURN_OPEN] = GM_STAGE_READ,     [TURN_SHRED] = GM_STAGE_SHRED,   [TURN_INFLATE] = GM_STAGE_INFLATE,
	    [TURN_LEAVE] = GM_STAGE_REST};
	enum gm_stage outer = gm_stage_enter(stages[turn]);
	enum gm_code rc = carry_out(worker, turn, task, err);
	(void)gm_stage_enter(outer);
	return rc;
}

void *gm_worker_main(void *context)
{
	struct gm_worker *worker = context;
	struct gm_engine *engine = worker->engine;
	struct gm_error err;
	struct gm_stopwatch_hand hand;
	gm_stopwatch_join(engine->watch, &hand, GM_STAGE_REST);
	for (;;) {
		struct task task;
		(void)pthread_mutex_lock(&engine->lock);
		enum turn turn;
		while ((turn = choose(worker, &task)) == TURN_WAIT) wait_for_change(engine);
		if (turn == TURN_LEAVE) break;
		(void)pthread_mutex_unlock(&engine->lock);
		enum gm_code rc = do_turn(worker, turn, &task, &err);
		if (rc != GM_OK) gm_engine_fail(engine, rc, &err);
	}
	if (--engine->running == 0) (void)pthread_cond_broadcast(&engine->idle);
	(void)pthread_mutex_unlock(&engine->lock);
	gm_stopwatch_leave(&hand);
	return NULL;
}
