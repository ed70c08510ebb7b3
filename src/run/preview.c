/* preview.c - the first rows a run would write, as text, with nothing written anywhere. */
#include "run/plan.h"
#include "run/run.h"

#include "column/text.h"

#include <stdlib.h>

enum { CHUNK_WINDOW_BYTES = 256 * 1024 };

struct preview {
	const struct gm_job *job;
	struct gm_store *source;
	struct gm_chunk_pool *pool;
	struct gm_shredder *shredder;
	struct gm_deriver *deriver;
	struct gm_store_reader *reader;
	gm_row_fn *row;
	void *context;
	uint64_t left;
	bool stopped, ended; /* by the caller; the listing, because enough is seen */
	struct gm_balance *balance;
	/* One entry per column, then per partition column. */
	size_t count;
	const char **names, **values;
	size_t *bytes;
	char (*numbers)[GM_VALUE_TEXT_BYTES];
};

static enum gm_code read_source(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct preview *preview = context;
	return gm_store_reader_read(preview->reader, into, bytes, got, err);
}

static enum gm_code count_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                 bool last, struct gm_error *err)
{
	(void)context, (void)reject, (void)data, (void)bytes, (void)last, (void)err;
	return GM_OK;
}

static enum gm_code count_rejected_row(void *context, struct gm_chunk *chunk, uint32_t row, enum gm_reason reason,
                                       const char *column, const char *detail, struct gm_error *err)
{
	struct preview *preview = context;
	(void)chunk, (void)row, (void)reason, (void)column, (void)detail, (void)err;
	preview->balance->quarantined++;
	return GM_OK;
}

static enum gm_code show_row(struct preview *preview, const struct gm_chunk *chunk, uint32_t row,
                             struct gm_arena *arena, struct gm_error *err)
{
	const struct gm_job *job = preview->job;
	struct gm_partition_value *parts;
	size_t part_count;
	uint32_t len;
	for (size_t i = 0; i < job->column_count; i++)
		gm_vec_text(&chunk->vec[gm_program_column_slot(job->program, i)], row, preview->numbers[i], &preview->values[i],
		            &preview->bytes[i]);
	const uint8_t *path = gm_vec_string(&chunk->partition, row, &len);
	gm_arena_reset(arena);
	GM_TRY(gm_partition_parse((const char *)path, len, arena, &parts, &part_count, err));
	for (size_t i = 0; i < part_count && job->column_count + i < preview->count; i++) {
		preview->values[job->column_count + i] = parts[i].value;
		preview->bytes[job->column_count + i] = parts[i].value != NULL ? strlen(parts[i].value) : 0;
	}
	preview->stopped = !preview->row(preview->context, preview->names, preview->values, preview->bytes, preview->count);
	return GM_OK;
}

static enum gm_code show_chunk(struct preview *preview, struct gm_chunk *chunk, struct gm_error *err)
{
	struct gm_arena arena;
	enum gm_code rc = gm_deriver_run(preview->deriver, chunk, count_rejected_row, preview, err);
	gm_arena_init(&arena, 4096);
	for (uint32_t row = 0; rc == GM_OK && row < chunk->rows && preview->left > 0 && !preview->stopped; row++) {
		preview->balance->filtered += chunk->fate[row] == GM_FATE_FILTERED;
		if (chunk->fate[row] != GM_FATE_KEEP) continue;
		preview->left--;
		preview->balance->rows_written++;
		rc = show_row(preview, chunk, row, &arena, err);
	}
	gm_arena_release(&arena);
	return rc;
}

static enum gm_code show_object(struct preview *preview, const char *key, struct gm_error *err)
{
	GM_TRY(gm_store_reader_open(preview->source, key, &preview->reader, err));
	gm_shredder_begin(preview->shredder, read_source, count_reject, preview);
	enum gm_code rc;
	struct gm_chunk *chunk;
	do {
		chunk = NULL;
		rc = gm_shredder_next(preview->shredder, gm_program_extra_slots(preview->job->program), &chunk, err);
		if (rc == GM_OK && chunk != NULL) rc = show_chunk(preview, chunk, err);
		gm_chunk_unref(chunk);
	} while (rc == GM_OK && chunk != NULL && preview->left > 0 && !preview->stopped);
	const struct gm_shred_books *books = gm_shredder_books(preview->shredder);
	preview->balance->records_read += books->read;
	preview->balance->quarantined += books->quarantined;
	preview->balance->bytes_raw += books->bytes_raw;
	preview->balance->bytes_in += books->bytes_in;
	gm_store_reader_close(preview->reader);
	preview->reader = NULL;
	return rc;
}

static enum gm_code note_object(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct preview *preview = context;
	if (gm_plan_skips(info)) return GM_OK;
	enum gm_code rc = show_object(preview, info->key, err);
	/* Enough is seen: the rest of the source is not even listed. */
	preview->ended = rc == GM_OK && (preview->left == 0 || preview->stopped);
	return preview->ended ? GM_EXISTS : rc;
}

static enum gm_code init(struct preview *preview, const struct gm_run_options *options, struct gm_error *err)
{
	const struct gm_job *job = preview->job;
	size_t leaf_count;
	const struct gm_shred_leaf *leaves = gm_program_leaves(job->program, &leaf_count);
	uint64_t memory = options != NULL && options->memory_bytes > 0 ? options->memory_bytes : (uint64_t)256 << 20;
	struct gm_shred_options shred = {.max_record_bytes = job->source.max_record_bytes,
	                                 .window_bytes = CHUNK_WINDOW_BYTES,
	                                 .dict_bytes_max = (size_t)memory / 6};
	preview->count = job->column_count + job->table.partition_count;
	preview->names = calloc(preview->count + 1, sizeof *preview->names);
	preview->values = calloc(preview->count + 1, sizeof *preview->values);
	preview->bytes = calloc(preview->count + 1, sizeof *preview->bytes);
	preview->numbers = calloc(preview->count + 1, sizeof *preview->numbers);
	preview->pool = gm_chunk_pool_new();
	if (preview->names == NULL || preview->values == NULL || preview->bytes == NULL || preview->numbers == NULL ||
	    preview->pool == NULL)
		GM_FAIL(err, GM_NOMEM, "out of memory for a preview");
	for (size_t i = 0; i < job->column_count; i++) preview->names[i] = job->columns[i].name;
	for (size_t i = 0; i < job->table.partition_count; i++)
		preview->names[job->column_count + i] = job->table.partitions[i].name;
	GM_TRY(gm_shredder_new(leaves, leaf_count, &shred, preview->pool, &preview->shredder, err));
	GM_TRY(gm_deriver_new(job, (size_t)memory / 12, &preview->deriver, err));
	gm_deriver_set_now(preview->deriver, gm_env_wall_clock_us(NULL));
	return gm_env_open_store(job->source.location, &job->source.access, options, false, &preview->source, err);
}

enum gm_code gm_preview(const struct gm_job *job, uint64_t rows, const struct gm_run_options *options, gm_row_fn *row,
                        void *context, struct gm_balance *balance, struct gm_error *err)
{
	struct gm_balance ignored;
	struct preview preview = {
	    .job = job, .row = row, .context = context, .left = rows, .balance = balance != NULL ? balance : &ignored};
	*preview.balance = (struct gm_balance){0};
	enum gm_code rc = init(&preview, options, err);
	if (rc == GM_OK && rows > 0) rc = gm_store_list(preview.source, "", note_object, &preview, err);
	if (rc == GM_EXISTS && preview.ended) rc = GM_OK;
	gm_store_close(preview.source);
	gm_shredder_free(preview.shredder);
	gm_deriver_free(preview.deriver);
	gm_chunk_pool_free(preview.pool);
	free(preview.names);
	free(preview.values);
	free(preview.bytes);
	free(preview.numbers);
	return rc;
}
