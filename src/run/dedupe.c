/* dedupe.c - see dedupe.h.
 *
 * The set of keys knows of each key where it was first: of a row of a run, its fingerprint (table/content.h), whose top
 * bit is set; of a row of the table, its row group (table/existing.h). With the former a duplicate is compared at once;
 * with the latter it waits as a doubt until the unit's end (table/doubts.h). */
#include "run/dedupe.h"

#include "table/conflicts.h"
#include "table/doubts.h"
#include "table/duplicates.h"
#include "table/existing.h"
#include "table/keyfile.h"

#include <stdlib.h>

/* Shares of the memory budget, see engine.c: a sixth together. What reading a file of the table takes at a time comes
 * out of what is left for scratch; its limit is for files that are out of the ordinary. */
enum {
	KEYS_SHARE = 7,
	FILTERS_SHARE = 64,
	DOUBTS_SHARE = 128,
	READ_SHARE = 8,
	READ_BYTES_MIN = 16 << 20,
};

struct gm_dedupe {
	const struct gm_engine_options *options;
	struct gm_keyset *keys;
	const uint32_t *slots;        /* of the job's columns */
	struct gm_vec_rows *key_vecs; /* of the chunk in hand */
	struct gm_existing *existing; /* NULL: the table holds nothing */
	/* Those of the unique key, then those that are compared, as they are read from the table. */
	struct gm_rows_column *columns;
	size_t column_count;
	/* The unit in hand. */
	const struct gm_unit_spec *unit;
	struct gm_keyfile *keyfile;
	struct gm_ndjson *conflicts;
	struct gm_duplicates *duplicates;
	struct gm_doubts *doubts;
	uint64_t listed, table_listed; /* conflicts with rows of the run, and of the table */
	struct gm_unit_result *result; /* while doubts are settled */
	char samples[GM_CONFLICT_SAMPLES][768];
	size_t sample_count;
	/* Per row of a chunk. */
	uint8_t skip[GM_CHUNK_ROWS], duplicate[GM_CHUNK_ROWS];
	uint64_t found[GM_CHUNK_ROWS], values[GM_CHUNK_ROWS];
	struct gm_hash128 hashes[GM_CHUNK_ROWS];
	struct gm_key_entry entries[GM_CHUNK_ROWS];
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for finding duplicates");
}

/* --- life --------------------------------------------------------------------------------------------------------- */

/* What a row says is what was read, without the key. Columns that are made from others say nothing of their own, and
 * change with the job. */
static bool is_compared(const struct gm_job *job, size_t column)
{
	return job->columns[column].from_len > 0 && !gm_job_is_key(job, column);
}

static size_t content_columns(const struct gm_job *job, const uint32_t *slots, struct gm_content_column *columns)
{
	size_t count = 0;
	for (size_t i = 0; i < job->column_count; i++)
		if (is_compared(job, i))
			columns[count++] = (struct gm_content_column){.name = job->columns[i].name, .slot = slots[i]};
	return count;
}

enum gm_code gm_dedupe_hashers(const uint8_t *key_secret, const struct gm_job *job, const uint32_t *slots,
                               struct gm_key_hasher **keys, struct gm_content_hasher **contents, struct gm_error *err)
{
	size_t key_count = job->table.unique_count;
	uint32_t *key_slots = malloc(key_count * sizeof *key_slots);
	struct gm_content_column *columns = malloc(job->column_count * sizeof *columns);
	enum gm_code rc = GM_OK;
	if (key_slots == NULL || columns == NULL) {
		rc = out_of_memory(err);
		goto out;
	}
	for (size_t i = 0; i < key_count; i++) key_slots[i] = slots[job->table.unique_by[i]];
	GM_TRY_OUT(gm_key_hasher_new(key_secret, key_slots, key_count, keys, err));
	rc = gm_content_hasher_new(key_secret, columns, content_columns(job, slots, columns), contents, err);
out:
	free(key_slots);
	free(columns);
	return rc;
}

static enum gm_code new_keys(struct gm_dedupe *dedupe, struct gm_error *err)
{
	gm_keyset_free(dedupe->keys);
	dedupe->keys = NULL;
	return gm_keyset_new((size_t)(dedupe->options->memory_bytes / KEYS_SHARE), dedupe->options->scratch, &dedupe->keys,
	                     err);
}

static enum gm_code name_columns(struct gm_dedupe *dedupe, struct gm_error *err)
{
	const struct gm_job *job = dedupe->options->job;
	dedupe->key_vecs = calloc(job->table.unique_count, sizeof *dedupe->key_vecs);
	dedupe->columns = calloc(job->column_count, sizeof *dedupe->columns);
	if (dedupe->key_vecs == NULL || dedupe->columns == NULL) return out_of_memory(err);
	for (size_t i = 0; i < job->table.unique_count; i++) {
		const struct gm_column *column = &job->columns[job->table.unique_by[i]];
		dedupe->columns[dedupe->column_count++] = (struct gm_rows_column){column->name, column->type};
	}
	for (size_t i = 0; i < job->column_count; i++) { /* as content_columns */
		const struct gm_column *column = &job->columns[i];
		if (is_compared(job, i))
			dedupe->columns[dedupe->column_count++] = (struct gm_rows_column){column->name, column->type};
	}
	return GM_OK;
}

static size_t read_bytes(const struct gm_engine_options *options)
{
	size_t bytes = (size_t)(options->memory_bytes / READ_SHARE);
	return bytes > READ_BYTES_MIN ? bytes : READ_BYTES_MIN;
}

static enum gm_code new_existing(struct gm_dedupe *dedupe, struct gm_error *err)
{
	const struct gm_engine_options *options = dedupe->options;
	struct gm_existing_options existing = {.table = options->log_store,
	                                       .log = options->log,
	                                       .key_secret = options->key_secret,
	                                       .keys = dedupe->columns,
	                                       .key_count = options->job->table.unique_count,
	                                       .filter_bytes = (size_t)(options->memory_bytes / FILTERS_SHARE),
	                                       .read_bytes = read_bytes(options),
	                                       .stop = options->stop};
	return options->log != NULL ? gm_existing_new(&existing, &dedupe->existing, err) : GM_OK;
}

enum gm_code gm_dedupe_new(const struct gm_engine_options *options, const uint32_t *slots, struct gm_dedupe **out,
                           struct gm_error *err)
{
	*out = NULL;
	struct gm_dedupe *dedupe = calloc(1, sizeof *dedupe);
	if (dedupe == NULL) return out_of_memory(err);
	dedupe->options = options;
	dedupe->slots = slots;
	enum gm_code rc = name_columns(dedupe, err);
	if (rc == GM_OK) rc = new_keys(dedupe, err);
	if (rc == GM_OK) rc = new_existing(dedupe, err);
	if (rc != GM_OK) {
		gm_dedupe_free(dedupe);
		return rc;
	}
	*out = dedupe;
	return GM_OK;
}

void gm_dedupe_free(struct gm_dedupe *dedupe)
{
	if (dedupe == NULL) return;
	gm_dedupe_end(dedupe);
	gm_keyset_free(dedupe->keys);
	gm_existing_free(dedupe->existing);
	free(dedupe->key_vecs);
	free(dedupe->columns);
	free(dedupe);
}

static enum gm_code load_entries(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	struct gm_dedupe *dedupe = context;
	for (size_t i = 0; i < count; i++) {
		dedupe->hashes[i] = entries[i].key;
		dedupe->values[i] = entries[i].value;
	}
	return gm_keyset_add(dedupe->keys, dedupe->hashes, dedupe->values, NULL, (uint32_t)count, dedupe->duplicate, NULL,
	                     err);
}

enum gm_code gm_dedupe_load(struct gm_dedupe *dedupe, const char *key, struct gm_error *err)
{
	uint64_t tag = gm_key_secret_tag(dedupe->options->key_secret);
	return gm_keyfile_read(dedupe->options->table, tag, key, load_entries, dedupe, err);
}

const char *gm_dedupe_sample(const struct gm_dedupe *dedupe, size_t i)
{
	return i < dedupe->sample_count ? dedupe->samples[i] : NULL;
}

/* --- a unit ------------------------------------------------------------------------------------------------------- */

static enum gm_code new_doubts(struct gm_dedupe *dedupe, struct gm_error *err)
{
	const struct gm_engine_options *options = dedupe->options;
	struct gm_doubts_options doubts = {.table = options->log_store,
	                                   .existing = dedupe->existing,
	                                   .key_secret = options->key_secret,
	                                   .columns = dedupe->columns,
	                                   .key_count = options->job->table.unique_count,
	                                   .column_count = dedupe->column_count,
	                                   .memory_bytes = (size_t)(options->memory_bytes / DOUBTS_SHARE),
	                                   .read_bytes = read_bytes(options),
	                                   .spill_directory = options->scratch,
	                                   .stop = options->stop};
	return gm_doubts_new(&doubts, &dedupe->doubts, err);
}

enum gm_code gm_dedupe_begin(struct gm_dedupe *dedupe, const struct gm_unit_spec *unit, struct gm_error *err)
{
	struct gm_store *table = dedupe->options->table;
	const char *work = unit->output.work_prefix;
	dedupe->unit = unit;
	dedupe->listed = dedupe->table_listed = 0;
	if (unit->keys_only) GM_TRY(new_keys(dedupe, err));
	if (dedupe->existing != NULL && !unit->keys_only) GM_TRY(new_doubts(dedupe, err));
	if (table == NULL) return GM_OK;
	uint64_t tag = gm_key_secret_tag(dedupe->options->key_secret);
	if (unit->keys_key != NULL) GM_TRY(gm_keyfile_new(table, tag, unit->keys_key, work, &dedupe->keyfile, err));
	if (unit->keys_only) return GM_OK;
	if (unit->conflicts_key != NULL) GM_TRY(gm_ndjson_new(table, unit->conflicts_key, work, &dedupe->conflicts, err));
	if (unit->duplicates_key != NULL)
		GM_TRY(gm_duplicates_new(table, unit->duplicates_key, work, &dedupe->duplicates, err));
	return GM_OK;
}

void gm_dedupe_end(struct gm_dedupe *dedupe)
{
	gm_keyfile_free(dedupe->keyfile);
	gm_ndjson_free(dedupe->conflicts);
	gm_duplicates_free(dedupe->duplicates);
	gm_doubts_free(dedupe->doubts);
	dedupe->doubts = NULL;
	dedupe->keyfile = NULL;
	dedupe->conflicts = NULL;
	dedupe->duplicates = NULL;
	dedupe->unit = NULL;
}

/* Appends the keys of the rows that are new to the unit's key file. */
static enum gm_code keep_keys(struct gm_dedupe *dedupe, const struct gm_chunk *chunk, struct gm_error *err)
{
	size_t n = 0;
	if (dedupe->keyfile == NULL) return GM_OK;
	for (uint32_t row = 0; row < chunk->rows; row++)
		if (dedupe->skip[row] == 0 && dedupe->duplicate[row] == 0)
			dedupe->entries[n++] = (struct gm_key_entry){chunk->key[row], chunk->content[row]};
	return gm_keyfile_add(dedupe->keyfile, dedupe->entries, n, err);
}

static enum gm_code keep_conflict(struct gm_dedupe *dedupe, const struct gm_conflict *conflict, uint64_t *listed,
                                  struct gm_error *err)
{
	if (dedupe->sample_count < GM_CONFLICT_SAMPLES)
		gm_conflict_say(conflict, dedupe->samples[dedupe->sample_count++], sizeof dedupe->samples[0]);
	if (dedupe->conflicts == NULL || *listed == GM_CONFLICTS_LISTED) return GM_OK;
	(*listed)++;
	return gm_conflict_write(dedupe->conflicts, conflict, err);
}

/* A row that says something else than the one of the run that was kept. */
static enum gm_code keep_run_conflict(struct gm_dedupe *dedupe, const struct gm_chunk *chunk, uint32_t object,
                                      uint32_t row, struct gm_error *err)
{
	const struct gm_job *job = dedupe->options->job;
	struct gm_conflict conflict = {.object = dedupe->unit->inputs[object].key,
	                               .record = chunk->record[row],
	                               .offset = chunk->offset[row],
	                               .key = dedupe->key_vecs,
	                               .key_count = job->table.unique_count,
	                               .row = row};
	conflict.partition = gm_vec_string(&chunk->partition, row, &conflict.partition_bytes);
	return keep_conflict(dedupe, &conflict, &dedupe->listed, err);
}

static enum gm_code keep_doubt(struct gm_dedupe *dedupe, const struct gm_chunk *chunk, uint32_t object, uint32_t row,
                               struct gm_error *err)
{
	struct gm_doubt doubt = {.key = chunk->key[row],
	                         .content = chunk->content[row],
	                         .winner = dedupe->found[row],
	                         .record = chunk->record[row],
	                         .offset = chunk->offset[row],
	                         .object = object};
	return gm_doubts_add(dedupe->doubts, &doubt, err);
}

static enum gm_code keep_duplicate(struct gm_dedupe *dedupe, const struct gm_chunk *chunk, uint32_t object,
                                   uint32_t row, struct gm_dedupe_counts *counts, struct gm_error *err)
{
	counts->duplicates++;
	if (gm_existing_is(dedupe->found[row])) return keep_doubt(dedupe, chunk, object, row, err);
	bool conflict = chunk->content[row] != dedupe->found[row];
	struct gm_duplicate entry = {.key = chunk->key[row],
	                             .record = chunk->record[row],
	                             .object = object,
	                             .flags = conflict ? GM_DUPLICATE_CONFLICT : 0};
	counts->conflicts += conflict;
	if (dedupe->duplicates != NULL) GM_TRY(gm_duplicates_add(dedupe->duplicates, &entry, err));
	return conflict ? keep_run_conflict(dedupe, chunk, object, row, err) : GM_OK;
}

enum gm_code gm_dedupe_chunk(struct gm_dedupe *dedupe, const struct gm_chunk *chunk, uint32_t object,
                             struct gm_dedupe_counts *counts, const uint8_t **duplicate, struct gm_error *err)
{
	const struct gm_job *job = dedupe->options->job;
	for (size_t i = 0; i < job->table.unique_count; i++)
		dedupe->key_vecs[i] = (struct gm_vec_rows){&chunk->vec[dedupe->slots[job->table.unique_by[i]]], 0};
	for (uint32_t row = 0; row < chunk->rows; row++)
		dedupe->skip[row] = chunk->no_key[row] != 0 || chunk->fate[row] != GM_FATE_KEEP;
	if (dedupe->existing != NULL && !dedupe->unit->keys_only)
		GM_TRY(gm_existing_load(dedupe->existing, chunk, dedupe->key_vecs, dedupe->skip, dedupe->keys, err));
	GM_TRY(gm_keyset_add(dedupe->keys, chunk->key, chunk->content, dedupe->skip, chunk->rows, dedupe->duplicate,
	                     dedupe->found, err));
	for (uint32_t row = 0; row < chunk->rows && !dedupe->unit->keys_only; row++)
		if (dedupe->duplicate[row] != 0) GM_TRY(keep_duplicate(dedupe, chunk, object, row, counts, err));
	*duplicate = dedupe->duplicate;
	return keep_keys(dedupe, chunk, err);
}

/* --- the end of a unit -------------------------------------------------------------------------------------------- */

static enum gm_code settled(void *context, const struct gm_doubt *doubt, bool conflict, struct gm_error *err)
{
	struct gm_dedupe *dedupe = context;
	struct gm_duplicate entry = {.key = doubt->key,
	                             .record = doubt->record,
	                             .object = doubt->object,
	                             .flags = GM_DUPLICATE_OF_TABLE | (conflict ? GM_DUPLICATE_CONFLICT : 0)};
	dedupe->result->objects[doubt->object].conflicts += conflict;
	return dedupe->duplicates != NULL ? gm_duplicates_add(dedupe->duplicates, &entry, err) : GM_OK;
}

static bool wants_conflict(void *context)
{
	const struct gm_dedupe *dedupe = context;
	return dedupe->sample_count < GM_CONFLICT_SAMPLES ||
	       (dedupe->conflicts != NULL && dedupe->table_listed < GM_CONFLICTS_LISTED);
}

static enum gm_code keep_table_conflict(void *context, const struct gm_doubt *doubt,
                                        const struct gm_existing_place *place, const struct gm_vec_rows *key,
                                        uint32_t row, struct gm_error *err)
{
	struct gm_dedupe *dedupe = context;
	struct gm_conflict conflict = {.object = dedupe->unit->inputs[doubt->object].key,
	                               .record = doubt->record,
	                               .offset = doubt->offset,
	                               .partition = (const uint8_t *)place->partition,
	                               .partition_bytes = (uint32_t)strlen(place->partition),
	                               .key = key,
	                               .key_count = dedupe->options->job->table.unique_count,
	                               .row = row,
	                               .winner = place->path};
	return keep_conflict(dedupe, &conflict, &dedupe->table_listed, err);
}

static enum gm_code finish_kept(struct gm_dedupe *dedupe, struct gm_unit_result *result, struct gm_error *err)
{
	if (dedupe->keyfile != NULL) GM_TRY(gm_keyfile_finish(dedupe->keyfile, result->keys_token, err));
	if (dedupe->conflicts != NULL) GM_TRY(gm_ndjson_finish(dedupe->conflicts, &result->conflicts, err));
	if (dedupe->duplicates != NULL) GM_TRY(gm_duplicates_finish(dedupe->duplicates, &result->duplicates, err));
	return GM_OK;
}

enum gm_code gm_dedupe_finish(struct gm_dedupe *dedupe, struct gm_unit_result *result, struct gm_error *err)
{
	struct gm_doubts_told told = {
	    .settled = settled, .wanted = wants_conflict, .conflict = keep_table_conflict, .context = dedupe};
	dedupe->result = result;
	if (dedupe->doubts != NULL) GM_TRY(gm_doubts_settle(dedupe->doubts, &told, err));
	return finish_kept(dedupe, result, err);
}
