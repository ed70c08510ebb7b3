/* table_fixture.h - a small table in memory, with files of our writer and a Delta log, and chunks to compare with it.
 *
 * A row is a number, which all key columns follow from, and a saying, which the columns to compare follow from. Number
 * 0 is a null key, number 1 an empty string. */
#ifndef TABLE_FIXTURE_H
#define TABLE_FIXTURE_H

#include "delta_fixture.h"
#include "parquet/writer.h"
#include "table/content.h"
#include "table/existing.h"
#include "../mix.h"

enum { FIELD_ID, FIELD_N, FIELD_AT, FIELD_TEXT, FIELD_NUM, FIELDS };
static const char *const field_names[FIELDS] = {"id", "n", "at", "text", "num"};
static const enum gm_type field_types[FIELDS] = {GM_TYPE_STRING, GM_TYPE_BIGINT, GM_TYPE_TIMESTAMP, GM_TYPE_STRING,
                                                 GM_TYPE_BIGINT};

struct row {
	uint32_t number, saying;
};

static inline const uint8_t *secret(void)
{
	static uint8_t bytes[GM_KEY_SECRET_BYTES];
	for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i * 7 + i * 13 + (i >> 3) * 101 + 5);
	return bytes;
}

static inline void fill_strings(struct gm_arena *arena, struct gm_vec *vec, const struct row *rows, uint32_t count,
                                bool is_key)
{
	uint32_t end = 0;
	vec->repr = GM_REPR_PLAIN;
	vec->bytes = gm_arena_alloc(arena, count * 40 + 1);
	vec->ends = gm_arena_alloc(arena, count * sizeof *vec->ends);
	vec->null = gm_arena_zalloc(arena, count + 1);
	assert_true(vec->bytes != NULL && vec->ends != NULL && vec->null != NULL);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t value = is_key ? rows[i].number : rows[i].saying;
		vec->null[i] = value == 0;
		if (value > 1)
			end +=
			    (uint32_t)sprintf((char *)vec->bytes + end, is_key ? "key %u of %u" : "say %u %u", value, value * 7919);
		vec->ends[i] = end;
	}
}

static inline void fill_numbers(struct gm_arena *arena, struct gm_vec *vec, const struct row *rows, uint32_t count,
                                int field)
{
	vec->repr = GM_REPR_I64;
	vec->i64 = gm_arena_alloc(arena, count * sizeof *vec->i64 + 1);
	vec->null = gm_arena_zalloc(arena, count + 1);
	assert_true(vec->i64 != NULL && vec->null != NULL);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t value = field == FIELD_NUM ? rows[i].saying : rows[i].number;
		vec->null[i] = value == 0;
		vec->i64[i] = field == FIELD_AT ? (int64_t)value * 1000003 - 50000000 : (int64_t)value * 37 - 100;
	}
}

static inline void fill_field(struct gm_arena *arena, struct gm_vec *vec, const struct row *rows, uint32_t count,
                              int field)
{
	*vec = (struct gm_vec){.type = field_types[field]};
	if (field_types[field] == GM_TYPE_STRING)
		fill_strings(arena, vec, rows, count, field == FIELD_ID);
	else
		fill_numbers(arena, vec, rows, count, field);
}

static inline enum gm_code sink_buf(void *context, const void *data, size_t bytes, struct gm_error *err)
{
	return gm_buf_append(context, data, bytes, err);
}

/* Which of the fields a file has, and whether its keys have bloom filters. */
struct file_shape {
	bool lacks[FIELDS], bloom;
};

/* A file of `groups` row groups, `count` rows each. */
static inline void make_file(struct gm_buf *file, const struct file_shape *shape, const struct row *rows, size_t groups,
                             uint32_t count)
{
	static const struct gm_parquet_options options = {.codec = GM_CODEC_ZSTD,
	                                                  .level = 1,
	                                                  .page_rows = 100,
	                                                  .page_bytes = 4096,
	                                                  .dict_bytes = 2048,
	                                                  .created_by = "x version 1.0.0 (build x)"};
	struct gm_parquet_node nodes[FIELDS];
	int fields[FIELDS];
	size_t n = 0;
	struct gm_parquet_writer *writer;
	struct gm_parquet_summary summary;
	struct gm_arena arena;
	for (int i = FIELDS - 1; i >= 0; i--) { /* in another order than the job's */
		if (shape->lacks[i]) continue;
		nodes[n] = (struct gm_parquet_node){.name = field_names[i],
		                                    .repetition = GM_OPTIONAL,
		                                    .type = field_types[i],
		                                    .bloom = shape->bloom && i <= FIELD_AT};
		fields[n++] = i;
	}
	gm_arena_init(&arena, 1 << 16);
	struct gm_parquet_encoder *encoder = gm_parquet_encoder_new(SIZE_MAX);
	must(gm_parquet_writer_new(nodes, n, &options, sink_buf, file, &writer, &failure));
	for (size_t g = 0; g < groups; g++) {
		struct gm_parquet_column_chunk *chunks[FIELDS];
		for (size_t i = 0; i < n; i++) {
			struct gm_vec vec;
			fill_field(&arena, &vec, rows + g * count, count, fields[i]);
			struct gm_slice slice = {.vec = &vec, .count = count};
			struct gm_parquet_column_data data = {.slices = &slice, .slice_count = 1};
			must(gm_parquet_encode(encoder, writer, i, &data, &chunks[i], &failure));
		}
		must(gm_parquet_append(writer, count, chunks, &failure));
		gm_arena_reset(&arena);
	}
	must(gm_parquet_finish(writer, &summary, &failure));
	gm_parquet_writer_free(writer);
	gm_parquet_encoder_free(encoder);
	gm_arena_release(&arena);
}

/* Puts the file into the store; returns its bytes. */
static inline uint64_t put_file(struct gm_store *store, const char *path, const struct file_shape *shape,
                                const struct row *rows, size_t groups, uint32_t count)
{
	struct gm_buf file;
	gm_buf_init(&file, 64 << 20);
	make_file(&file, shape, rows, groups, count);
	must(gm_store_put(store, path, file.data, file.len, true, &failure));
	uint64_t bytes = file.len;
	gm_buf_release(&file);
	return bytes;
}

static inline struct gm_delta_log *commit_files(struct gm_store *store, const struct gm_delta_file *adds, size_t count)
{
	static const char *const columns[] = {"p"};
	put_first(store, columns, 1, adds, count);
	return open_log(store, GM_DELTA_NEWEST);
}

/* A chunk of rows, each in the partition "p=<partition[i]>"; key_fields: those of the unique key. */
static inline void make_chunk(struct gm_chunk *chunk, const struct row *rows, const uint32_t *partition, uint32_t count)
{
	*chunk = (struct gm_chunk){.rows = count, .slots = FIELDS};
	gm_arena_init(&chunk->arena, 1 << 16);
	gm_arena_init(&chunk->passing, 1 << 16);
	chunk->vec = gm_arena_zalloc(&chunk->arena, FIELDS * sizeof *chunk->vec);
	chunk->fate = gm_arena_zalloc(&chunk->arena, count + 1);
	assert_true(chunk->vec != NULL && chunk->fate != NULL);
	for (int i = 0; i < FIELDS; i++) fill_field(&chunk->arena, &chunk->vec[i], rows, count, i);
	struct gm_vec *paths = &chunk->partition;
	*paths = (struct gm_vec){.type = GM_TYPE_STRING, .repr = GM_REPR_DICT};
	paths->dict = gm_dict_new();
	paths->codes = gm_arena_alloc(&chunk->arena, (count + 1) * sizeof *paths->codes);
	assert_true(paths->dict != NULL && paths->codes != NULL);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t path[32];
		uint32_t n = (uint32_t)sprintf((char *)path, "p=%u", partition[i]);
		paths->codes[i] = gm_dict_put(paths->dict, path, n, gm_dict_hash(path, n));
	}
}

static inline void free_chunk(struct gm_chunk *chunk)
{
	gm_dict_unref(chunk->partition.dict);
	gm_arena_release(&chunk->arena);
	gm_arena_release(&chunk->passing);
}

/* The unique key of a scenario, and the columns to read: key first, then those to compare. */
struct shape {
	int keys[2];
	size_t key_count;
	struct gm_rows_column columns[FIELDS];
	size_t column_count;
};

static inline struct shape make_shape(const int *keys, size_t count)
{
	struct shape shape = {.key_count = count};
	for (size_t i = 0; i < count; i++) {
		shape.keys[i] = keys[i];
		shape.columns[shape.column_count++] = (struct gm_rows_column){field_names[keys[i]], field_types[keys[i]]};
	}
	for (int i = FIELD_TEXT; i < FIELDS; i++)
		shape.columns[shape.column_count++] = (struct gm_rows_column){field_names[i], field_types[i]};
	return shape;
}

/* The hashers that a worker would have. */
static inline void hash_chunk(const struct shape *shape, struct gm_chunk *chunk)
{
	static const struct gm_content_column contents[] = {{"text", FIELD_TEXT}, {"num", FIELD_NUM}};
	struct gm_key_hasher *keys;
	struct gm_content_hasher *content;
	uint32_t slots[2] = {(uint32_t)shape->keys[0], (uint32_t)shape->keys[1]};
	must(gm_key_hasher_new(secret(), slots, shape->key_count, &keys, &failure));
	must(gm_content_hasher_new(secret(), contents, 2, &content, &failure));
	must(gm_key_hasher_run(keys, chunk, &failure));
	must(gm_content_hasher_run(content, chunk, &failure));
	gm_key_hasher_free(keys);
	gm_content_hasher_free(content);
}

#endif
