/* footer.c - FileMetaData: schema, row groups, metadata. Field numbers are those of parquet.thrift. */
#include "parquet/file.h"
#include "parquet/format.h"
#include "parquet/thrift.h"

static enum gm_format_type physical_type(enum gm_type type)
{
	switch (type) {
	case GM_TYPE_BOOLEAN: return GM_FORMAT_BOOLEAN;
	case GM_TYPE_INT:
	case GM_TYPE_DATE: return GM_FORMAT_INT32;
	case GM_TYPE_DOUBLE: return GM_FORMAT_DOUBLE;
	case GM_TYPE_STRING: return GM_FORMAT_BYTE_ARRAY;
	case GM_TYPE_BIGINT:
	case GM_TYPE_TIMESTAMP: return GM_FORMAT_INT64;
	}
	return GM_FORMAT_BYTE_ARRAY;
}

static enum gm_format_codec codec_of(const struct gm_parquet_writer *writer)
{
	switch (writer->options.codec) {
	case GM_CODEC_NONE: return GM_FORMAT_UNCOMPRESSED;
	case GM_CODEC_SNAPPY: return GM_FORMAT_SNAPPY;
	case GM_CODEC_ZSTD: return GM_FORMAT_ZSTD;
	}
	return GM_FORMAT_UNCOMPRESSED;
}

/* LogicalType { TIMESTAMP { isAdjustedToUTC, unit { MICROS } } } */
static void write_timestamp_type(struct gm_thrift *t)
{
	gm_thrift_struct(t, 10);
	gm_thrift_struct(t, GM_FORMAT_LOGICAL_TIMESTAMP);
	gm_thrift_bool(t, 1, true);
	gm_thrift_choice(t, 2, 2);
	gm_thrift_end(t);
	gm_thrift_end(t);
}

static void write_leaf_annotation(struct gm_thrift *t, enum gm_type type)
{
	switch (type) {
	case GM_TYPE_STRING:
		gm_thrift_i32(t, 6, GM_FORMAT_CONVERTED_UTF8);
		gm_thrift_choice(t, 10, GM_FORMAT_LOGICAL_STRING);
		break;
	case GM_TYPE_DATE:
		gm_thrift_i32(t, 6, GM_FORMAT_CONVERTED_DATE);
		gm_thrift_choice(t, 10, GM_FORMAT_LOGICAL_DATE);
		break;
	case GM_TYPE_TIMESTAMP:
		gm_thrift_i32(t, 6, GM_FORMAT_CONVERTED_TIMESTAMP_MICROS);
		write_timestamp_type(t);
		break;
	case GM_TYPE_BOOLEAN:
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT:
	case GM_TYPE_DOUBLE: break;
	}
}

static void write_group_annotation(struct gm_thrift *t, enum gm_parquet_logical logical)
{
	switch (logical) {
	case GM_LOGICAL_NONE: break;
	case GM_LOGICAL_LIST:
		gm_thrift_i32(t, 6, GM_FORMAT_CONVERTED_LIST);
		gm_thrift_choice(t, 10, GM_FORMAT_LOGICAL_LIST);
		break;
	case GM_LOGICAL_MAP:
		gm_thrift_i32(t, 6, GM_FORMAT_CONVERTED_MAP);
		gm_thrift_choice(t, 10, GM_FORMAT_LOGICAL_MAP);
		break;
	}
}

static void write_schema(struct gm_thrift *t, const struct gm_schema *schema)
{
	gm_thrift_list(t, 2, GM_THRIFT_STRUCT, schema->node_count + 1);
	gm_thrift_element_struct(t);
	gm_thrift_string(t, 4, "schema");
	gm_thrift_i32(t, 5, schema->top_count);
	gm_thrift_end(t);
	for (size_t i = 0; i < schema->node_count; i++) {
		const struct gm_parquet_node *node = &schema->nodes[i];
		gm_thrift_element_struct(t);
		if (node->children == 0) gm_thrift_i32(t, 1, (int32_t)physical_type(node->type));
		gm_thrift_i32(t, 3, (int32_t)node->repetition);
		gm_thrift_string(t, 4, node->name);
		if (node->children > 0) {
			gm_thrift_i32(t, 5, node->children);
			write_group_annotation(t, node->logical);
		} else {
			write_leaf_annotation(t, node->type);
		}
		gm_thrift_end(t);
	}
}

/* Not the deprecated fields 1 and 2, whose order is signed for every type. */
static void write_statistics(struct gm_thrift *t, const struct gm_file_chunk *chunk, enum gm_type type)
{
	gm_thrift_struct(t, 12);
	gm_thrift_i64(t, 3, (int64_t)chunk->nulls);
	if (chunk->has_bounds) {
		gm_thrift_binary(t, 5, chunk->max, chunk->max_len);
		gm_thrift_binary(t, 6, chunk->min, chunk->min_len);
		gm_thrift_bool(t, 7, chunk->max_exact);
		gm_thrift_bool(t, 8, chunk->min_exact);
	}
	if (type == GM_TYPE_DOUBLE) gm_thrift_i64(t, 9, (int64_t)chunk->nans);
	gm_thrift_end(t);
}

static void write_encoding_stats(struct gm_thrift *t, enum gm_format_page page, enum gm_format_encoding encoding,
                                 uint32_t count)
{
	gm_thrift_element_struct(t);
	gm_thrift_i32(t, 1, (int32_t)page);
	gm_thrift_i32(t, 2, (int32_t)encoding);
	gm_thrift_i32(t, 3, (int32_t)count);
	gm_thrift_end(t);
}

/* All data pages of a chunk have one encoding; telling so lets readers skip by dictionary. */
static void write_encodings(struct gm_thrift *t, const struct gm_file_chunk *chunk)
{
	bool dictionary = chunk->dictionary_bytes > 0, levels_alike = chunk->encoding == GM_FORMAT_RLE;
	gm_thrift_list(t, 2, GM_THRIFT_I32, dictionary ? 3 : levels_alike ? 1 : 2);
	gm_thrift_element_int(t, dictionary ? GM_FORMAT_PLAIN : (int32_t)chunk->encoding);
	if (!levels_alike) gm_thrift_element_int(t, GM_FORMAT_RLE);
	if (dictionary) gm_thrift_element_int(t, (int32_t)chunk->encoding);
}

static void write_column_metadata(struct gm_thrift *t, const struct gm_parquet_writer *writer,
                                  const struct gm_schema_leaf *leaf, const struct gm_file_chunk *chunk)
{
	bool dictionary = chunk->dictionary_bytes > 0;
	gm_thrift_struct(t, 3);
	gm_thrift_i32(t, 1, (int32_t)physical_type(leaf->node->type));
	write_encodings(t, chunk);
	gm_thrift_list(t, 3, GM_THRIFT_BINARY, leaf->depth);
	for (uint8_t i = 0; i < leaf->depth; i++) gm_thrift_element_binary(t, leaf->path[i], strlen(leaf->path[i]));
	gm_thrift_i32(t, 4, (int32_t)codec_of(writer));
	gm_thrift_i64(t, 5, (int64_t)chunk->slots);
	gm_thrift_i64(t, 6, (int64_t)chunk->uncompressed_bytes);
	gm_thrift_i64(t, 7, (int64_t)chunk->compressed_bytes);
	gm_thrift_i64(t, 9, (int64_t)(chunk->start + chunk->dictionary_bytes));
	if (dictionary) gm_thrift_i64(t, 11, (int64_t)chunk->start);
	write_statistics(t, chunk, leaf->node->type);
	gm_thrift_list(t, 13, GM_THRIFT_STRUCT, dictionary ? 2 : 1);
	if (dictionary) write_encoding_stats(t, GM_FORMAT_DICTIONARY_PAGE, GM_FORMAT_PLAIN, 1);
	write_encoding_stats(t, GM_FORMAT_DATA_PAGE, chunk->encoding, chunk->pages);
	if (chunk->bloom_bytes > 0) {
		gm_thrift_i64(t, 14, (int64_t)chunk->bloom_start);
		gm_thrift_i32(t, 15, (int32_t)chunk->bloom_bytes);
	}
	gm_thrift_end(t);
}

/* Where the indexes of the next chunk begin. */
struct index_position {
	uint64_t column, offset;
};

static void write_chunk(struct gm_thrift *t, const struct gm_parquet_writer *writer, const struct gm_schema_leaf *leaf,
                        const struct gm_file_chunk *chunk, struct index_position *at)
{
	gm_thrift_element_struct(t);
	gm_thrift_i64(t, 2, 0); /* file_offset: deprecated, but required */
	write_column_metadata(t, writer, leaf, chunk);
	gm_thrift_i64(t, 4, (int64_t)at->offset);
	gm_thrift_i32(t, 5, (int32_t)chunk->offset_index_bytes);
	if (chunk->column_index_bytes > 0) {
		gm_thrift_i64(t, 6, (int64_t)at->column);
		gm_thrift_i32(t, 7, (int32_t)chunk->column_index_bytes);
	}
	gm_thrift_end(t);
	at->offset += chunk->offset_index_bytes;
	at->column += chunk->column_index_bytes;
}

static void write_group(struct gm_thrift *t, const struct gm_parquet_writer *writer, size_t number,
                        struct index_position *at)
{
	const struct gm_file_group *group = &writer->groups[number];
	uint64_t uncompressed = 0, compressed = 0;
	gm_thrift_element_struct(t);
	gm_thrift_list(t, 1, GM_THRIFT_STRUCT, writer->schema.leaf_count);
	for (size_t i = 0; i < writer->schema.leaf_count; i++) {
		write_chunk(t, writer, &writer->schema.leaves[i], &group->chunks[i], at);
		uncompressed += group->chunks[i].uncompressed_bytes;
		compressed += group->chunks[i].compressed_bytes;
	}
	gm_thrift_i64(t, 2, (int64_t)uncompressed);
	gm_thrift_i64(t, 3, (int64_t)group->rows);
	gm_thrift_i64(t, 5, (int64_t)group->chunks[0].start);
	gm_thrift_i64(t, 6, (int64_t)compressed);
	if (number <= INT16_MAX) gm_thrift_i16(t, 7, (int16_t)number);
	gm_thrift_end(t);
}

static void write_meta(struct gm_thrift *t, const struct gm_file_meta *meta)
{
	size_t count = 0;
	for (const struct gm_file_meta *m = meta; m != NULL; m = m->next) count++;
	if (count == 0) return;
	gm_thrift_list(t, 5, GM_THRIFT_STRUCT, count);
	for (const struct gm_file_meta *m = meta; m != NULL; m = m->next) {
		gm_thrift_element_struct(t);
		gm_thrift_string(t, 1, m->key);
		gm_thrift_string(t, 2, m->value);
		gm_thrift_end(t);
	}
}

enum gm_code gm_footer_write(const struct gm_parquet_writer *writer, uint64_t column_indexes, uint64_t offset_indexes,
                             struct gm_buf *out, struct gm_error *err)
{
	struct gm_thrift t;
	struct index_position at = {column_indexes, offset_indexes};
	gm_thrift_begin(&t, out, err);
	gm_thrift_i32(&t, 1, 1); /* version: "for maximum compatibility always 1" */
	write_schema(&t, &writer->schema);
	gm_thrift_i64(&t, 3, (int64_t)writer->rows);
	gm_thrift_list(&t, 4, GM_THRIFT_STRUCT, writer->group_count);
	for (size_t i = 0; i < writer->group_count; i++) write_group(&t, writer, i, &at);
	write_meta(&t, writer->meta);
	gm_thrift_string(&t, 6, writer->options.created_by);
	/* Without an order for each leaf the bounds would have no defined meaning. */
	gm_thrift_list(&t, 7, GM_THRIFT_STRUCT, writer->schema.leaf_count);
	for (size_t i = 0; i < writer->schema.leaf_count; i++) {
		gm_thrift_element_struct(&t);
		gm_thrift_struct(&t, 1);
		gm_thrift_end(&t);
		gm_thrift_end(&t);
	}
	return gm_thrift_finish(&t);
}

enum gm_code gm_footer_write_bloom_header(uint32_t bytes, struct gm_buf *out, struct gm_error *err)
{
	struct gm_thrift t;
	gm_thrift_begin(&t, out, err);
	gm_thrift_i32(&t, 1, (int32_t)bytes);
	gm_thrift_choice(&t, 2, 1); /* split block */
	gm_thrift_choice(&t, 3, 1); /* XXH64 */
	gm_thrift_choice(&t, 4, 1); /* not compressed */
	return gm_thrift_finish(&t);
}
