/* writer.c - puts encoded columns into a file.
 *
 * A file is, in this order:
 *   "PAR1"
 *   row groups: of each column the dictionary page, if there is one, and the data pages (column.c, page.h);
 *               behind the columns the bloom filters of this row group (bloom.h)
 *   column indexes, then offset indexes, of all chunks in the order of row groups and columns (index.c)
 *   footer (footer.c), its length as u32, "PAR1"
 * Every number in the file is little-endian. The footer's metadata has one entry of its own, gristmill.content_hash:
 * XXH3-128 of every byte before the footer, as 32 hexadecimal digits.
 *
 * After a row group has been given to the sink only its line in the footer and its page index stay in memory. */
#include "base/stopwatch.h"
#include "parquet/encode.h"
#include "parquet/file.h"
#include "parquet/scratch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const char magic[4] = {'P', 'A', 'R', '1'};

enum {
	ARENA_BLOCK_BYTES = 16 * 1024,
	DEFAULT_PAGE_ROWS = 20000,
	DEFAULT_PAGE_BYTES = 1 << 20,
	DEFAULT_DICT_BYTES = 1 << 20,
	COMPACT_DICT_BYTES = 8 << 20,
	MAX_PAGE_BYTES = 1 << 30,
};

/* --- Life --------------------------------------------------------------------------------------------------------- */

static enum gm_code set_options(struct gm_parquet_writer *writer, const struct gm_parquet_options *options,
                                struct gm_error *err)
{
	if (options->created_by == NULL) GM_FAIL(err, GM_BUG, "a Parquet file must say what wrote it");
	if (options->page_bytes > MAX_PAGE_BYTES || options->dict_bytes > MAX_PAGE_BYTES)
		GM_FAIL(err, GM_BUG, "pages and dictionaries are limited to %d bytes", MAX_PAGE_BYTES);
	writer->options = *options;
	if (options->page_rows == 0) writer->options.page_rows = DEFAULT_PAGE_ROWS;
	if (options->page_bytes == 0) writer->options.page_bytes = DEFAULT_PAGE_BYTES;
	if (options->dict_bytes == 0)
		writer->options.dict_bytes = options->profile == GM_PROFILE_COMPACT ? COMPACT_DICT_BYTES : DEFAULT_DICT_BYTES;
	writer->options.created_by = gm_arena_strndup(&writer->arena, options->created_by, strlen(options->created_by));
	if (writer->options.created_by == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a Parquet writer");
	return GM_OK;
}

static enum gm_code start_writer(struct gm_parquet_writer *writer, const struct gm_parquet_node *nodes,
                                 size_t node_count, const struct gm_parquet_options *options, struct gm_error *err)
{
	GM_TRY(set_options(writer, options, err));
	GM_TRY(gm_schema_build(&writer->schema, nodes, node_count, &writer->arena, err));
	writer->stats = gm_arena_zalloc(&writer->arena, writer->schema.leaf_count * sizeof *writer->stats);
	writer->hash = XXH3_createState();
	if (writer->stats == NULL || writer->hash == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a Parquet writer");
	(void)XXH3_128bits_reset(writer->hash);
	return GM_OK;
}

enum gm_code gm_parquet_writer_new(const struct gm_parquet_node *nodes, size_t node_count,
                                   const struct gm_parquet_options *options, gm_sink_fn *sink, void *context,
                                   struct gm_parquet_writer **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_parquet_writer *writer = calloc(1, sizeof *writer);
	if (writer == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a Parquet writer");
	writer->sink = sink;
	writer->context = context;
	writer->meta_end = &writer->meta;
	gm_arena_init(&writer->arena, ARENA_BLOCK_BYTES);
	gm_buf_init(&writer->column_indexes, INT32_MAX);
	gm_buf_init(&writer->offset_indexes, INT32_MAX);
	enum gm_code rc = start_writer(writer, nodes, node_count, options, err);
	if (rc != GM_OK) {
		gm_parquet_writer_free(writer);
		return rc;
	}
	*out = writer;
	return GM_OK;
}

void gm_parquet_writer_free(struct gm_parquet_writer *writer)
{
	if (writer == NULL) return;
	(void)XXH3_freeState(writer->hash);
	gm_buf_release(&writer->column_indexes);
	gm_buf_release(&writer->offset_indexes);
	free(writer->groups);
	gm_arena_release(&writer->arena);
	free(writer);
}

enum gm_code gm_parquet_writer_meta(struct gm_parquet_writer *writer, const char *key, const char *value,
                                    struct gm_error *err)
{
	struct gm_file_meta *meta = gm_arena_zalloc(&writer->arena, sizeof *meta);
	if (meta != NULL) {
		meta->key = gm_arena_strndup(&writer->arena, key, strlen(key));
		meta->value = gm_arena_strndup(&writer->arena, value, strlen(value));
	}
	if (meta == NULL || meta->key == NULL || meta->value == NULL)
		GM_FAIL(err, GM_NOMEM, "out of memory for file metadata");
	*writer->meta_end = meta;
	writer->meta_end = &meta->next;
	return GM_OK;
}

uint64_t gm_parquet_bytes(const struct gm_parquet_writer *writer)
{
	return writer->bytes;
}

/* --- Row groups --------------------------------------------------------------------------------------------------- */

static enum gm_code emit(struct gm_parquet_writer *writer, const void *data, size_t bytes, struct gm_error *err)
{
	if (bytes == 0) return GM_OK;
	GM_TRY(writer->sink(writer->context, data, bytes, err));
	writer->bytes += bytes;
	return GM_OK;
}

/* What lies before the footer is hashed. */
static enum gm_code emit_hashed(struct gm_parquet_writer *writer, const void *data, size_t bytes, struct gm_error *err)
{
	enum gm_stage outer = gm_stage_enter(GM_STAGE_CHECKSUM);
	if (bytes > 0) (void)XXH3_128bits_update(writer->hash, data, bytes);
	(void)gm_stage_enter(outer);
	return emit(writer, data, bytes, err);
}

static enum gm_code emit_magic(struct gm_parquet_writer *writer, struct gm_error *err)
{
	return writer->bytes == 0 ? emit_hashed(writer, magic, sizeof magic, err) : GM_OK;
}

static enum gm_code keep_bound(struct gm_parquet_writer *writer, const struct gm_written_bound *bound,
                               const uint8_t **bytes, struct gm_error *err)
{
	uint8_t *copy = gm_arena_alloc(&writer->arena, bound->len);
	if (copy == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for file metadata");
	memcpy(copy, bound->bytes, bound->len);
	*bytes = copy;
	return GM_OK;
}

static enum gm_code append_chunk(struct gm_parquet_writer *writer, struct gm_file_chunk *out,
                                 const struct gm_parquet_column_chunk *chunk, struct gm_error *err)
{
	*out = (struct gm_file_chunk){.start = writer->bytes,
	                              .encoding = chunk->encoding,
	                              .dictionary_bytes = chunk->dictionary_bytes,
	                              .uncompressed_bytes = chunk->uncompressed_bytes,
	                              .compressed_bytes = chunk->data.len,
	                              .slots = chunk->slots,
	                              .nulls = chunk->nulls,
	                              .nans = chunk->nans,
	                              .pages = (uint32_t)chunk->page_count,
	                              .has_bounds = chunk->has_bounds,
	                              .min_exact = chunk->min.exact,
	                              .max_exact = chunk->max.exact,
	                              .min_len = chunk->min.len,
	                              .max_len = chunk->max.len};
	if (chunk->has_bounds) {
		GM_TRY(keep_bound(writer, &chunk->min, &out->min, err));
		GM_TRY(keep_bound(writer, &chunk->max, &out->max, err));
	}
	enum gm_type type = writer->schema.leaves[chunk->leaf].node->type;
	GM_TRY(gm_index_write_columns(chunk, type, &writer->column_indexes, &out->column_index_bytes, err));
	GM_TRY(gm_index_write_offsets(chunk, writer->bytes, &writer->offset_indexes, &out->offset_index_bytes, err));
	return emit_hashed(writer, chunk->data.data, chunk->data.len, err);
}

static enum gm_code append_bloom(struct gm_parquet_writer *writer, struct gm_file_chunk *out,
                                 const struct gm_parquet_column_chunk *chunk, struct gm_error *err)
{
	struct gm_buf header;
	if (chunk->bloom.words == NULL) return GM_OK;
	gm_buf_init(&header, 64);
	enum gm_code rc = gm_footer_write_bloom_header((uint32_t)chunk->bloom.bytes, &header, err);
	out->bloom_start = writer->bytes;
	out->bloom_bytes = (uint32_t)(header.len + chunk->bloom.bytes);
	if (rc == GM_OK) rc = emit_hashed(writer, header.data, header.len, err);
	gm_buf_release(&header);
	if (rc == GM_OK) rc = emit_hashed(writer, chunk->bloom.words, chunk->bloom.bytes, err);
	return rc;
}

static void set_value(struct gm_vec_value *value, enum gm_type type, const uint8_t *bytes, uint32_t len, bool exact)
{
	*value = (struct gm_vec_value){.exact = exact, .bytes = bytes, .len = len};
	if (type == GM_TYPE_STRING) return;
	value->bytes = NULL;
	value->len = 0;
	if (type == GM_TYPE_DOUBLE) {
		memcpy(&value->f64, bytes, sizeof value->f64);
	} else if (len == sizeof(int32_t)) {
		int32_t narrow;
		memcpy(&narrow, bytes, sizeof narrow);
		value->i64 = narrow;
	} else {
		memcpy(&value->i64, bytes, len);
	}
}

static int compare_values(enum gm_type type, const struct gm_vec_value *a, const struct gm_vec_value *b)
{
	struct gm_bound x = {.number = a->i64, .bytes = a->bytes, .len = a->len};
	struct gm_bound y = {.number = b->i64, .bytes = b->bytes, .len = b->len};
	if (type == GM_TYPE_DOUBLE) return (a->f64 > b->f64) - (a->f64 < b->f64);
	return gm_bound_compare(type, &x, &y);
}

/* Widens the bounds of the whole file. Of equal bounds an exact one is the truth about both. */
static void merge_stats(struct gm_parquet_column_stats *stats, enum gm_type type, const struct gm_file_chunk *chunk)
{
	bool first = stats->values == 0;
	uint64_t values = chunk->slots - chunk->nulls - chunk->nans;
	stats->nulls += chunk->nulls;
	stats->nans += chunk->nans;
	if (values == 0) return;
	stats->values += values;
	stats->has_bounds = chunk->has_bounds && (first || stats->has_bounds);
	if (!stats->has_bounds) return;
	struct gm_vec_value min, max;
	set_value(&min, type, chunk->min, chunk->min_len, chunk->min_exact);
	set_value(&max, type, chunk->max, chunk->max_len, chunk->max_exact);
	int min_order = first ? -1 : compare_values(type, &min, &stats->min);
	int max_order = first ? 1 : compare_values(type, &max, &stats->max);
	if (min_order < 0 || (min_order == 0 && min.exact)) stats->min = min;
	if (max_order > 0 || (max_order == 0 && max.exact)) stats->max = max;
}

static enum gm_code append(struct gm_parquet_writer *writer, uint64_t rows, struct gm_parquet_column_chunk **chunks,
                           struct gm_error *err)
{
	size_t count = writer->schema.leaf_count;
	if (writer->failed || writer->finished)
		GM_FAIL(err, GM_BUG, "a Parquet file that failed or is finished was appended to");
	for (size_t i = 0; i < count; i++) {
		if (chunks[i] == NULL || chunks[i]->leaf != i || chunks[i]->rows != rows)
			GM_FAIL(err, GM_BUG, "column %zu of a row group is missing or has not %" PRIu64 " rows", i, rows);
	}
	if (rows == 0) return GM_OK;
	writer->failed = true; /* until all of it is with the sink */
	struct gm_file_chunk *metas = gm_arena_zalloc(&writer->arena, count * sizeof *metas);
	if (metas == NULL || !GM_SCRATCH_GROW(writer->groups, writer->group_cap, writer->group_count + 1))
		GM_FAIL(err, GM_NOMEM, "out of memory for file metadata");
	GM_TRY(emit_magic(writer, err));
	for (size_t i = 0; i < count; i++) GM_TRY(append_chunk(writer, &metas[i], chunks[i], err));
	for (size_t i = 0; i < count; i++) GM_TRY(append_bloom(writer, &metas[i], chunks[i], err));
	for (size_t i = 0; i < count; i++) merge_stats(&writer->stats[i], writer->schema.leaves[i].node->type, &metas[i]);
	writer->groups[writer->group_count++] = (struct gm_file_group){rows, metas};
	writer->rows += rows;
	writer->failed = false;
	return GM_OK;
}

enum gm_code gm_parquet_append(struct gm_parquet_writer *writer, uint64_t rows, struct gm_parquet_column_chunk **chunks,
                               struct gm_error *err)
{
	enum gm_code rc = append(writer, rows, chunks, err);
	for (size_t i = 0; i < writer->schema.leaf_count; i++) {
		gm_parquet_column_chunk_free(chunks[i]);
		chunks[i] = NULL;
	}
	return rc;
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

static enum gm_code write_end(struct gm_parquet_writer *writer, struct gm_parquet_summary *summary,
                              struct gm_buf *footer, struct gm_error *err)
{
	GM_TRY(emit_magic(writer, err));
	uint64_t column_indexes = writer->bytes, offset_indexes = column_indexes + writer->column_indexes.len;
	GM_TRY(emit_hashed(writer, writer->column_indexes.data, writer->column_indexes.len, err));
	GM_TRY(emit_hashed(writer, writer->offset_indexes.data, writer->offset_indexes.len, err));
	XXH128_hash_t hash = XXH3_128bits_digest(writer->hash);
	summary->content_hash[0] = hash.high64;
	summary->content_hash[1] = hash.low64;
	char text[33];
	(void)snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
	GM_TRY(gm_parquet_writer_meta(writer, "gristmill.content_hash", text, err));
	GM_TRY(gm_footer_write(writer, column_indexes, offset_indexes, footer, err));
	uint32_t len = (uint32_t)footer->len;
	GM_TRY(gm_buf_append(footer, &len, sizeof len, err));
	GM_TRY(gm_buf_append(footer, magic, sizeof magic, err));
	return emit(writer, footer->data, footer->len, err);
}

enum gm_code gm_parquet_finish(struct gm_parquet_writer *writer, struct gm_parquet_summary *summary,
                               struct gm_error *err)
{
	*summary = (struct gm_parquet_summary){0};
	if (writer->failed || writer->finished)
		GM_FAIL(err, GM_BUG, "a Parquet file that failed or is finished was finished");
	writer->finished = true;
	struct gm_buf footer;
	gm_buf_init(&footer, INT32_MAX);
	enum gm_code rc = write_end(writer, summary, &footer, err);
	gm_buf_release(&footer);
	if (rc != GM_OK) return rc;
	summary->rows = writer->rows;
	summary->bytes = writer->bytes;
	summary->columns = writer->stats;
	summary->column_count = writer->schema.leaf_count;
	return GM_OK;
}
