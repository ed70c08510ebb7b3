/* read_column.c - a column chunk as batches: levels and values of its pages, joined.
 *
 * A slot is a place in the column: a value, or a null somewhere on the way to it. Its definition level says how much of
 * the path is there, the maximum being a value; its repetition level, at which list it goes on, 0 being a new row.
 * Nothing is expanded beyond a batch, since a page of few bytes may stand for 2^31 slots.
 *
 * A batch never reaches over the end of a page. */
#include "parquet/encode.h"
#include "parquet/read_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gm_parquet_column_reader {
	const struct gm_parquet_reader *reader;
	const struct gm_parquet_leaf *leaf;
	size_t group, leaf_number;
	bool flat, failed;
	uint64_t slots_left; /* of the chunk, that of the current page included */
	uint64_t rows;       /* begun so far, of a nested column */
	uint32_t page_left;  /* slots */
	bool in_page;
	struct gm_page_source source;
	struct gm_dictionary_in dictionary;
	struct gm_hybrid_in definition, repetition;
	struct gm_values_in values;
	struct gm_values_out out;
	struct gm_buf definition_levels, repetition_levels; /* of the batch; of a flat column its nulls */
};

/* --- Opening ------------------------------------------------------------------------------------------------------ */

/* Puts where it happened in front of a message. */
static enum gm_code in_context(const struct gm_parquet_column_reader *column, enum gm_code rc, struct gm_error *err)
{
	char path[200] = "", text[sizeof err->message];
	if (err == NULL || rc == GM_NOMEM) return rc;
	size_t at = 0;
	for (unsigned i = 0; i < column->leaf->depth && at < sizeof path; i++) {
		int n = snprintf(path + at, sizeof path - at, i > 0 ? ".%s" : "%s", column->leaf->path[i]);
		at += n > 0 ? (size_t)n : 0;
	}
	(void)snprintf(text, sizeof text, "column %s, row group %zu: %.280s", path, column->group, err->message);
	memcpy(err->message, text, sizeof text);
	if (rc == GM_CORRUPT && err->offset == UINT64_MAX) err->offset = column->source.page_offset;
	return rc;
}

/* What can be said before any page is read. */
static enum gm_code check_column(const struct gm_parquet_column_reader *column, struct gm_error *err)
{
	const struct gm_parquet_group_info *group = &column->reader->info.groups[column->group];
	const struct gm_read_chunk *chunk = &column->reader->chunks[column->group][column->leaf_number];
	if (!column->leaf->readable)
		GM_FAIL(err, GM_UNSUPPORTED, "values of type %s are not supported", column->leaf->described);
	if (chunk->elsewhere) GM_FAIL(err, GM_UNSUPPORTED, "its values lie in another file");
	if (column->leaf->max_repetition == 0 && column->slots_left != group->rows)
		GM_FAIL(err, GM_CORRUPT, "it has %llu values in %llu rows", (unsigned long long)column->slots_left,
		        (unsigned long long)group->rows);
	return column->slots_left > 0 ? gm_decompress_check(chunk->codec, err) : GM_OK;
}

static void init_column(struct gm_parquet_column_reader *column)
{
	const struct gm_parquet_reader *reader = column->reader;
	const struct gm_parquet_leaf *leaf = column->leaf;
	size_t memory = reader->memory_bytes;
	column->flat = leaf->max_repetition == 0 && leaf->max_definition <= 1;
	column->slots_left = reader->info.groups[column->group].chunks[column->leaf_number].values;
	gm_page_source_init(&column->source, reader, &reader->chunks[column->group][column->leaf_number], leaf);
	gm_dictionary_init(&column->dictionary, memory);
	gm_values_init(&column->values, reader->kinds[column->leaf_number], memory);
	gm_values_out_init(&column->out, memory);
	gm_buf_init(&column->definition_levels, SIZE_MAX);
	gm_buf_init(&column->repetition_levels, SIZE_MAX);
}

enum gm_code gm_parquet_column_open(const struct gm_parquet_reader *reader, size_t group, size_t leaf,
                                    struct gm_parquet_column_reader **out, struct gm_error *err)
{
	*out = NULL;
	if (group >= reader->info.group_count || leaf >= reader->info.leaf_count)
		GM_FAIL(err, GM_BUG, "there is no row group %zu or column %zu", group, leaf);
	struct gm_parquet_column_reader *column = calloc(1, sizeof *column);
	if (column == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for reading a column");
	column->reader = reader;
	column->leaf = &reader->info.leaves[leaf];
	column->group = group;
	column->leaf_number = leaf;
	init_column(column);
	enum gm_code rc = check_column(column, err);
	if (rc != GM_OK) {
		rc = in_context(column, rc, err);
		gm_parquet_column_close(column);
		return rc;
	}
	*out = column;
	return GM_OK;
}

void gm_parquet_column_close(struct gm_parquet_column_reader *column)
{
	if (column == NULL) return;
	gm_page_source_release(&column->source);
	gm_dictionary_release(&column->dictionary);
	gm_values_release(&column->values);
	gm_values_out_release(&column->out);
	gm_buf_release(&column->definition_levels);
	gm_buf_release(&column->repetition_levels);
	free(column);
}

/* --- Pages -------------------------------------------------------------------------------------------------------- */

static void open_levels(struct gm_hybrid_in *levels, bool bit_packed, struct gm_page_part part, uint8_t max)
{
	if (bit_packed)
		gm_hybrid_open_bit_packed(levels, part.data, part.bytes, gm_bit_width(max));
	else
		gm_hybrid_open(levels, part.data, part.bytes, gm_bit_width(max));
}

static enum gm_code begin_page(struct gm_parquet_column_reader *column, const struct gm_page_in *page,
                               struct gm_error *err)
{
	if (page->slots > column->slots_left)
		GM_FAIL(err, GM_CORRUPT, "a page has %u values, and the column %llu more", page->slots,
		        (unsigned long long)column->slots_left);
	open_levels(&column->repetition, page->bit_packed_repetition, page->repetition, column->leaf->max_repetition);
	open_levels(&column->definition, page->bit_packed_definition, page->definition, column->leaf->max_definition);
	GM_TRY(gm_values_open(&column->values, &column->dictionary, page->encoding, page->values, err));
	column->page_left = page->slots;
	column->in_page = true;
	return GM_OK;
}

/* Makes page_left > 0, unless the chunk has ended. */
static enum gm_code next_page(struct gm_parquet_column_reader *column, struct gm_error *err)
{
	while (column->slots_left > 0 && column->page_left == 0) {
		struct gm_page_in page;
		bool more;
		GM_TRY(gm_page_source_next(&column->source, &page, &more, err));
		if (!more)
			GM_FAIL(err, GM_CORRUPT, "its pages end %llu values before it does",
			        (unsigned long long)column->slots_left);
		if (page.type == GM_FORMAT_DICTIONARY_PAGE)
			GM_TRY(
			    gm_dictionary_load(&column->dictionary, column->values.kind, &page, column->reader->memory_bytes, err));
		else
			GM_TRY(begin_page(column, &page, err));
	}
	return GM_OK;
}

/* A page or the chunk may be behind us: what was told about it must have been true. */
static enum gm_code check_end(struct gm_parquet_column_reader *column, struct gm_error *err)
{
	if (column->page_left > 0 || !column->in_page) return GM_OK;
	column->in_page = false;
	GM_TRY(gm_values_finish(&column->values, err));
	uint64_t rows = column->reader->info.groups[column->group].rows;
	if (column->slots_left == 0 && column->leaf->max_repetition > 0 && column->rows != rows)
		GM_FAIL(err, GM_CORRUPT, "it has %llu rows instead of %llu", (unsigned long long)column->rows,
		        (unsigned long long)rows);
	return GM_OK;
}

/* --- Levels ------------------------------------------------------------------------------------------------------- */

/* The next n levels of one kind; where the maximum is 0 all are. */
static enum gm_code read_levels(struct gm_hybrid_in *levels, uint8_t max, struct gm_buf *into, uint32_t n,
                                struct gm_error *err)
{
	uint8_t highest = 0;
	into->len = 0;
	GM_TRY(gm_buf_reserve(into, n, err));
	if (max == 0) {
		memset(into->data, 0, n);
		return GM_OK;
	}
	if (gm_hybrid_read_levels(levels, into->data, n) != n)
		GM_FAIL(err, GM_CORRUPT, "a page has fewer levels than values");
	for (uint32_t i = 0; i < n; i++) highest = into->data[i] > highest ? into->data[i] : highest;
	if (highest > max) GM_FAIL(err, GM_CORRUPT, "a level is %d, beyond %d", highest, max);
	return GM_OK;
}

static uint32_t count_values(const struct gm_parquet_column_reader *column, uint32_t n)
{
	const uint8_t *levels = column->definition_levels.data;
	uint8_t max = column->leaf->max_definition;
	uint32_t values = 0;
	for (uint32_t i = 0; i < n; i++) values += levels[i] == max;
	return values;
}

/* Levels of the next n slots, or of the first ones, as many as their values fit into a batch. */
static enum gm_code read_both_levels(struct gm_parquet_column_reader *column, uint32_t *n, uint32_t *values,
                                     struct gm_error *err)
{
	const struct gm_parquet_leaf *leaf = column->leaf;
	struct gm_hybrid_in definition = column->definition;
	GM_TRY(read_levels(&column->definition, leaf->max_definition, &column->definition_levels, *n, err));
	*values = count_values(column, *n);
	uint32_t fit = (uint32_t)gm_values_fit(&column->values, *values, column->reader->memory_bytes);
	if (fit < *values) {
		/* Up to the slot of the first value too many, whose levels are read again next time. */
		const uint8_t *levels = column->definition_levels.data;
		uint32_t seen = 0, slots = 0;
		while (seen < fit || levels[slots] != leaf->max_definition) seen += levels[slots++] == leaf->max_definition;
		column->definition = definition;
		GM_TRY(read_levels(&column->definition, leaf->max_definition, &column->definition_levels, slots, err));
		*n = slots;
		*values = fit;
	}
	if (column->flat) return GM_OK;
	return read_levels(&column->repetition, leaf->max_repetition, &column->repetition_levels, *n, err);
}

static enum gm_code count_rows(struct gm_parquet_column_reader *column, uint32_t n, struct gm_error *err)
{
	const uint8_t *levels = column->repetition_levels.data;
	if (column->leaf->max_repetition == 0) return GM_OK;
	if (column->rows == 0 && levels[0] != 0) GM_FAIL(err, GM_CORRUPT, "it begins in the middle of a row");
	for (uint32_t i = 0; i < n; i++) column->rows += levels[i] == 0;
	return GM_OK;
}

/* --- Batches ------------------------------------------------------------------------------------------------------ */

/* Moves the values at the front of an array to the slots that are not null, from the last one on. */
#define SPREAD(array, filler)                                  \
	for (uint32_t i = slots, k = values; i-- > 0 && k <= i;) { \
		if (null[i])                                           \
			(array)[i] = (filler);                             \
		else                                                   \
			(array)[i] = (array)[--k];                         \
	}

/* Ends: a null ends where the value before it does. */
static void spread_ends(const uint8_t *null, uint32_t *ends, uint32_t slots, uint32_t values)
{
	for (uint32_t i = slots, k = values; i-- > 0 && k <= i;) {
		if (null[i])
			ends[i] = k > 0 ? ends[k - 1] : 0;
		else
			ends[i] = ends[--k];
	}
}

static void spread(struct gm_vec *vec, const uint8_t *null, uint32_t slots, uint32_t values)
{
	switch (vec->repr) {
	case GM_REPR_BOOL: SPREAD(vec->boolean, 0) break;
	case GM_REPR_I64: SPREAD(vec->i64, 0) break;
	case GM_REPR_F64: SPREAD(vec->f64, 0) break;
	case GM_REPR_DICT: SPREAD(vec->codes, GM_DICT_NULL) break;
	case GM_REPR_PLAIN: spread_ends(null, vec->ends, slots, values); break;
	case GM_REPR_NULL: break;
	}
}

/* Gives the values of a flat column their rows. */
static void add_nulls(struct gm_parquet_column_reader *column, struct gm_parquet_batch *batch)
{
	if (batch->values == batch->slots) return;
	uint8_t *null = column->definition_levels.data;
	for (uint32_t i = 0; i < batch->slots; i++) null[i] ^= 1;
	spread(&batch->vec, null, batch->slots, batch->values);
	if (batch->vec.repr != GM_REPR_DICT) batch->vec.null = null;
}

static enum gm_code next_batch(struct gm_parquet_column_reader *column, uint32_t max_slots,
                               struct gm_parquet_batch *batch, struct gm_error *err)
{
	GM_TRY(next_page(column, err));
	uint32_t n = max_slots < column->page_left ? max_slots : column->page_left, values;
	if (n == 0) return GM_OK;
	GM_TRY(read_both_levels(column, &n, &values, err));
	if (!column->flat) GM_TRY(count_rows(column, n, err));
	GM_TRY(gm_values_read(&column->values, &column->out, values, column->flat ? n : values, &batch->vec, err));
	batch->slots = n;
	batch->values = values;
	if (column->flat) {
		add_nulls(column, batch);
	} else {
		batch->definition = column->definition_levels.data;
		batch->repetition = column->repetition_levels.data;
	}
	column->page_left -= n;
	column->slots_left -= n;
	return check_end(column, err);
}

enum gm_code gm_parquet_column_next(struct gm_parquet_column_reader *column, uint32_t max_slots,
                                    struct gm_parquet_batch *batch, struct gm_error *err)
{
	*batch = (struct gm_parquet_batch){.vec.type = column->leaf->type};
	if (column->failed) GM_FAIL(err, GM_BUG, "a column is read on behind its failure");
	enum gm_code rc = next_batch(column, max_slots, batch, err);
	if (rc == GM_OK) return GM_OK;
	column->failed = true;
	batch->slots = batch->values = 0;
	return in_context(column, rc, err);
}
