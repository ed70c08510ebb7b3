/* why_scan.c - looks for a key in an object: its records are read as a run reads them, with the job as it is now.
 *
 * A span that the shredder rejects may yet hold the key: a record without a required column, say. It is read once more
 * by a second shredder, for which nothing is required and nothing is an error. */
#include "run/replay.h"
#include "run/why_internal.h"

#include <stdlib.h>

enum { DICTIONARIES_SHARE = 10, DERIVED_SHARE = 16, WINDOW_BYTES = 512 * 1024 };

struct gm_why_scan {
	struct gm_why *why;
	struct gm_chunk_pool *pool;
	struct gm_shredder *shredder, *lenient;
	struct gm_deriver *deriver;
	struct gm_vec_rows *columns; /* of the chunk in hand */
	struct gm_store_reader *reader;
	struct gm_replay *replay;
	const struct gm_input *input; /* in hand */
	gm_why_match_fn *each;
	void *context;
	const char *reasons[GM_CHUNK_ROWS]; /* of the rows of the chunk in hand that were rejected */
	struct gm_buf partition;
	/* A rejected span: what of it has come, and where the second shredder is in it. */
	struct gm_buf span;
	size_t span_read;
	bool span_lost; /* it is too long to be kept */
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for reading objects");
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

/* The leaves of the job, none of them required. */
static enum gm_code new_lenient(struct gm_why_scan *scan, const struct gm_shred_options *options, struct gm_error *err)
{
	size_t count;
	const struct gm_shred_leaf *leaves = gm_program_leaves(scan->why->job->program, &count);
	struct gm_shred_leaf *copy = calloc(count + 1, sizeof *copy);
	if (copy == NULL) return out_of_memory(err);
	for (size_t i = 0; i < count; i++) {
		copy[i] = leaves[i];
		copy[i].required = false;
		copy[i].on_error = GM_ON_ERROR_NULL;
	}
	enum gm_code rc = gm_shredder_new(copy, count, options, scan->pool, &scan->lenient, err);
	free(copy);
	return rc;
}

static enum gm_code init(struct gm_why_scan *scan, struct gm_error *err)
{
	size_t count;
	const struct gm_job *job = scan->why->job;
	const struct gm_shred_leaf *leaves = gm_program_leaves(job->program, &count);
	struct gm_shred_options options = {.max_record_bytes = job->source.max_record_bytes,
	                                   .window_bytes = WINDOW_BYTES,
	                                   .dict_bytes_max = scan->why->memory_bytes / DICTIONARIES_SHARE};
	gm_buf_init(&scan->span, job->source.max_record_bytes);
	gm_buf_init(&scan->partition, (size_t)1 << 20);
	scan->pool = gm_chunk_pool_new();
	scan->columns = calloc(job->table.unique_count + 1, sizeof *scan->columns);
	if (scan->pool == NULL || scan->columns == NULL) return out_of_memory(err);
	GM_TRY(gm_shredder_new(leaves, count, &options, scan->pool, &scan->shredder, err));
	GM_TRY(new_lenient(scan, &options, err));
	GM_TRY(gm_replay_new(&scan->replay, err));
	return gm_deriver_new(job, scan->why->memory_bytes / DERIVED_SHARE, &scan->deriver, err);
}

void gm_why_scan_set_now(struct gm_why_scan *scan, int64_t now_us)
{
	gm_deriver_set_now(scan->deriver, now_us);
}

enum gm_code gm_why_scan_new(struct gm_why *why, struct gm_why_scan **out, struct gm_error *err)
{
	struct gm_why_scan *scan = calloc(1, sizeof *scan);
	*out = NULL;
	if (scan == NULL) return out_of_memory(err);
	scan->why = why;
	enum gm_code rc = init(scan, err);
	if (rc == GM_OK)
		*out = scan;
	else
		gm_why_scan_free(scan);
	return rc;
}

void gm_why_scan_free(struct gm_why_scan *scan)
{
	if (scan == NULL) return;
	gm_shredder_free(scan->shredder);
	gm_shredder_free(scan->lenient);
	gm_replay_free(scan->replay);
	gm_deriver_free(scan->deriver);
	gm_chunk_pool_free(scan->pool);
	gm_buf_release(&scan->span);
	gm_buf_release(&scan->partition);
	free(scan->columns);
	free(scan);
}

static bool is_replay(const struct gm_why_scan *scan)
{
	return gm_replay_key(scan->input->key) != NULL;
}

static const char *object_of(const struct gm_why_scan *scan)
{
	const char *object = is_replay(scan) ? gm_replay_object(scan->replay) : NULL;
	return object != NULL ? object : scan->input->key;
}

/* --- Chunks ------------------------------------------------------------------------------------------------------- */

static enum gm_code note_reason(void *context, struct gm_chunk *chunk, uint32_t row, enum gm_reason reason,
                                const char *column, const char *detail, struct gm_error *err)
{
	struct gm_why_scan *scan = context;
	(void)chunk, (void)column, (void)detail, (void)err;
	if (row < GM_CHUNK_ROWS) scan->reasons[row] = gm_reason_code(reason);
	return GM_OK;
}

/* Derives a chunk; true in *any: some of its rows have the key, those that why->match says. */
static enum gm_code compare(struct gm_why_scan *scan, struct gm_chunk *chunk, bool *any, struct gm_error *err)
{
	const struct gm_job *job = scan->why->job;
	memset(scan->reasons, 0, sizeof scan->reasons);
	GM_TRY(gm_deriver_run(scan->deriver, chunk, note_reason, scan, err));
	for (size_t i = 0; i < scan->why->key_count; i++) {
		uint32_t slot = gm_program_column_slot(job->program, job->table.unique_by[i]);
		scan->columns[i] = (struct gm_vec_rows){&chunk->vec[slot], 0};
	}
	*any = gm_why_compare(scan->why, scan->columns, chunk->rows);
	return GM_OK;
}

static enum gm_code tell_row(struct gm_why_scan *scan, const struct gm_chunk *chunk, uint32_t row, struct gm_error *err)
{
	struct gm_why_match match = {.object = object_of(scan),
	                             .record = chunk->record[row],
	                             .offset = chunk->offset[row],
	                             .fate = (enum gm_fate)chunk->fate[row],
	                             .partition = "",
	                             .reason = scan->reasons[row] != NULL ? scan->reasons[row] : ""};
	if (match.fate == GM_FATE_KEEP && chunk->partition.repr == GM_REPR_DICT) {
		uint32_t len;
		const uint8_t *path = gm_vec_string(&chunk->partition, row, &len);
		scan->partition.len = 0;
		GM_TRY(gm_buf_append(&scan->partition, path, len, err));
		GM_TRY(gm_buf_append(&scan->partition, "", 1, err));
		match.partition = (const char *)scan->partition.data;
	}
	return scan->each(scan->context, &match, err);
}

static enum gm_code look_into(struct gm_why_scan *scan, struct gm_chunk *chunk, struct gm_error *err)
{
	bool any;
	GM_TRY(compare(scan, chunk, &any, err));
	for (uint32_t row = 0; any && row < chunk->rows; row++)
		if (scan->why->match[row] != 0) GM_TRY(tell_row(scan, chunk, row, err));
	return GM_OK;
}

/* --- Rejected spans ----------------------------------------------------------------------------------------------- */

static enum gm_code read_span(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct gm_why_scan *scan = context;
	size_t left = scan->span.len - scan->span_read;
	(void)err;
	*got = left < bytes ? left : bytes;
	if (*got > 0) memcpy(into, scan->span.data + scan->span_read, *got);
	scan->span_read += *got;
	return GM_OK;
}

static enum gm_code ignore_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                  bool last, struct gm_error *err)
{
	(void)context, (void)reject, (void)data, (void)bytes, (void)last, (void)err;
	return GM_OK;
}

/* Does the span in hand hold the key? A value that the job's expressions refuse is no reason to stop. */
static enum gm_code search_span(struct gm_why_scan *scan, bool *found, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	struct gm_chunk *chunk = NULL;
	scan->span_read = 0;
	*found = false;
	gm_shredder_begin(scan->lenient, read_span, ignore_reject, scan);
	do {
		uint32_t extra = gm_program_extra_slots(scan->why->job->program);
		rc = gm_shredder_next(scan->lenient, extra, &chunk, err);
		if (rc != GM_OK || chunk == NULL) break;
		rc = compare(scan, chunk, found, err);
		gm_chunk_unref(chunk);
	} while (rc == GM_OK && !*found);
	return rc == GM_VALUE ? GM_OK : rc;
}

enum gm_code gm_why_scan_span(struct gm_why_scan *scan, const void *bytes, size_t n, bool *found, struct gm_error *err)
{
	scan->span.len = 0;
	*found = false;
	if (n > scan->span.max_bytes) return GM_OK;
	GM_TRY(gm_buf_append(&scan->span, bytes, n, err));
	return search_span(scan, found, err);
}

static enum gm_code note_reject(void *context, const struct gm_reject *reject, const void *data, size_t bytes,
                                bool last, struct gm_error *err)
{
	struct gm_why_scan *scan = context;
	bool found = false;
	scan->span_lost = scan->span_lost || bytes > scan->span.max_bytes - scan->span.len;
	if (!scan->span_lost) GM_TRY(gm_buf_append(&scan->span, data, bytes, err));
	if (!last) return gm_why_pulse(scan->why, err);
	if (!scan->span_lost) GM_TRY(search_span(scan, &found, err));
	scan->span.len = 0;
	scan->span_lost = false;
	if (!found) return GM_OK;
	struct gm_why_match match = {.object = object_of(scan),
	                             .record = reject->record,
	                             .offset = reject->offset,
	                             .fate = GM_FATE_QUARANTINED,
	                             .partition = "",
	                             .reason = gm_reason_code(reject->reason)};
	return scan->each(scan->context, &match, err);
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

static enum gm_code read_source(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct gm_why_scan *scan = context;
	return gm_store_reader_read(scan->reader, into, bytes, got, err);
}

static enum gm_code next_chunk(struct gm_why_scan *scan, struct gm_chunk **chunk, struct gm_error *err)
{
	uint32_t extra = gm_program_extra_slots(scan->why->job->program);
	if (is_replay(scan)) return gm_replay_next(scan->replay, extra, chunk, err);
	return gm_shredder_next(scan->shredder, extra, chunk, err);
}

static enum gm_code read_records(struct gm_why_scan *scan, struct gm_error *err)
{
	enum gm_code rc;
	struct gm_chunk *chunk = NULL;
	scan->span.len = 0;
	scan->span_lost = false;
	if (is_replay(scan))
		gm_replay_begin(scan->replay, scan->shredder, read_source, note_reject, scan);
	else
		gm_shredder_begin(scan->shredder, read_source, note_reject, scan);
	do {
		rc = next_chunk(scan, &chunk, err);
		if (rc != GM_OK || chunk == NULL) break;
		rc = look_into(scan, chunk, err);
		gm_chunk_unref(chunk);
		if (rc == GM_OK) rc = gm_why_pulse(scan->why, err);
	} while (rc == GM_OK);
	if (rc == GM_OK) rc = gm_store_reader_check(scan->reader, err);
	return rc;
}

static enum gm_code open_input(struct gm_why_scan *scan, struct gm_error *err)
{
	const char *kept = gm_replay_key(scan->input->key);
	if (kept != NULL) return gm_store_reader_open(scan->why->table, kept, &scan->reader, err);
	return gm_store_reader_open(scan->why->source, scan->input->key, &scan->reader, err);
}

enum gm_code gm_why_scan_object(struct gm_why_scan *scan, const struct gm_input *input, gm_why_match_fn *each,
                                void *context, bool *read, struct gm_error *err)
{
	*read = false;
	scan->input = input;
	scan->each = each;
	scan->context = context;
	enum gm_code rc = open_input(scan, err);
	if (rc == GM_NOT_FOUND) return GM_OK;
	GM_TRY(rc);
	const struct gm_object_info *info = &scan->reader->info;
	/* The time of a quarantine file is not part of what it is. */
	if (info->size == input->size && (is_replay(scan) || info->mtime_us == input->mtime_us)) {
		rc = read_records(scan, err);
		*read = rc == GM_OK;
	}
	gm_store_reader_close(scan->reader);
	scan->reader = NULL;
	if (rc != GM_OK && err->object[0] == '\0') (void)gm_error_object(err, rc, input->key, strlen(input->key));
	return rc == GM_CHANGED || rc == GM_NOT_FOUND ? GM_OK : rc;
}
