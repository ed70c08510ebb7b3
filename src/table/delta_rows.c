/* The Parquet file of a checkpoint: one action a row. Each kind of action is a group, of which all but one are null in
 * a row; everything in them may be null, as Spark writes it.
 *
 *     txn       appId, version, lastUpdated
 *     add       path, partitionValues, size, modificationTime, dataChange, stats, tags
 *     remove    path, deletionTimestamp, dataChange, extendedFileMetadata, partitionValues, size
 *     metaData  id, name, description, format {provider, options}, schemaString, partitionColumns, createdTime,
 *               configuration
 *     protocol  minReaderVersion, minWriterVersion
 *
 * partitionValues, tags, options and configuration are maps of strings, partitionColumns is a list of them. Times are
 * milliseconds, as in the entries. Rows are gathered column by column, as the writer takes them, and go out in row
 * groups of bounded size. */
#include "table/delta_internal.h"

#include "parquet/writer.h"

#include <stdlib.h>

#define LEAF(name_, type_)                                          \
	{                                                               \
		.name = (name_), .repetition = GM_OPTIONAL, .type = (type_) \
	}
#define GROUP(name_, children_)                                             \
	{                                                                       \
		.name = (name_), .repetition = GM_OPTIONAL, .children = (children_) \
	}
#define MAP(name_)                                                                          \
	{.name = (name_), .repetition = GM_OPTIONAL, .logical = GM_LOGICAL_MAP, .children = 1}, \
	    {.name = "key_value", .repetition = GM_REPEATED, .children = 2},                    \
	    {.name = "key", .repetition = GM_REQUIRED, .type = GM_TYPE_STRING}, LEAF("value", GM_TYPE_STRING)
#define LIST(name_)                                                                          \
	{.name = (name_), .repetition = GM_OPTIONAL, .logical = GM_LOGICAL_LIST, .children = 1}, \
	    {.name = "list", .repetition = GM_REPEATED, .children = 1}, LEAF("element", GM_TYPE_STRING)

static const struct gm_parquet_node schema[] = {
    GROUP("txn", 3),
    LEAF("appId", GM_TYPE_STRING),
    LEAF("version", GM_TYPE_BIGINT),
    LEAF("lastUpdated", GM_TYPE_BIGINT),
    GROUP("add", 7),
    LEAF("path", GM_TYPE_STRING),
    MAP("partitionValues"),
    LEAF("size", GM_TYPE_BIGINT),
    LEAF("modificationTime", GM_TYPE_BIGINT),
    LEAF("dataChange", GM_TYPE_BOOLEAN),
    LEAF("stats", GM_TYPE_STRING),
    MAP("tags"),
    GROUP("remove", 6),
    LEAF("path", GM_TYPE_STRING),
    LEAF("deletionTimestamp", GM_TYPE_BIGINT),
    LEAF("dataChange", GM_TYPE_BOOLEAN),
    LEAF("extendedFileMetadata", GM_TYPE_BOOLEAN),
    MAP("partitionValues"),
    LEAF("size", GM_TYPE_BIGINT),
    GROUP("metaData", 8),
    LEAF("id", GM_TYPE_STRING),
    LEAF("name", GM_TYPE_STRING),
    LEAF("description", GM_TYPE_STRING),
    GROUP("format", 2),
    LEAF("provider", GM_TYPE_STRING),
    MAP("options"),
    LEAF("schemaString", GM_TYPE_STRING),
    LIST("partitionColumns"),
    LEAF("createdTime", GM_TYPE_BIGINT),
    MAP("configuration"),
    GROUP("protocol", 2),
    LEAF("minReaderVersion", GM_TYPE_INT),
    LEAF("minWriterVersion", GM_TYPE_INT),
};
enum { NODES = sizeof schema / sizeof schema[0] };

/* The leaves of `schema`, in its order. A map has two. */
enum leaf {
	TXN_APP_ID,
	TXN_VERSION,
	TXN_UPDATED,
	ADD_PATH,
	ADD_PARTITION,
	ADD_PARTITION_VALUE,
	ADD_SIZE,
	ADD_TIME,
	ADD_DATA_CHANGE,
	ADD_STATS,
	ADD_TAGS,
	ADD_TAGS_VALUE,
	REMOVE_PATH,
	REMOVE_TIME,
	REMOVE_DATA_CHANGE,
	REMOVE_EXTENDED,
	REMOVE_PARTITION,
	REMOVE_PARTITION_VALUE,
	REMOVE_SIZE,
	META_ID,
	META_NAME,
	META_DESCRIPTION,
	META_PROVIDER,
	META_OPTIONS,
	META_OPTIONS_VALUE,
	META_SCHEMA,
	META_COLUMNS,
	META_CREATED,
	META_CONFIGURATION,
	META_CONFIGURATION_VALUE,
	PROTOCOL_READER,
	PROTOCOL_WRITER,
	LEAVES,
};

enum {
	GROUP_ROWS = 50000,
	GROUP_BYTES = 32 << 20,
};

/* What a leaf holds of the rows at hand. */
struct column {
	enum gm_type type;
	struct gm_buf definition, repetition; /* a byte a slot */
	struct gm_buf values;                 /* bytes of strings, int64_t, or a byte each */
	struct gm_buf ends;                   /* uint32_t, of strings */
	uint32_t count;                       /* values */
};
struct gm_delta_rows {
	struct column columns[LEAVES];
	struct gm_parquet_writer *writer;
	struct gm_parquet_encoder *encoder;
	uint64_t rows; /* waiting */
	size_t bytes;  /* waiting */
};

/* --- Columns ------------------------------------------------------------------------------------------------------ */

static enum gm_code put_levels(struct column *column, uint8_t repetition, uint8_t definition, struct gm_error *err)
{
	GM_TRY(gm_buf_append(&column->repetition, &repetition, 1, err));
	return gm_buf_append(&column->definition, &definition, 1, err);
}

/* text NULL: null, which has one level less than a value. */
static enum gm_code put_string(struct gm_delta_rows *rows, enum leaf leaf, uint8_t repetition, uint8_t definition,
                               const char *text, size_t bytes, struct gm_error *err)
{
	struct column *column = &rows->columns[leaf];
	GM_TRY(put_levels(column, repetition, (uint8_t)(definition - (text == NULL)), err));
	if (text == NULL) return GM_OK;
	GM_TRY(gm_buf_append(&column->values, text, bytes, err));
	uint32_t end = (uint32_t)column->values.len;
	column->count++;
	rows->bytes += bytes + sizeof end;
	return gm_buf_append(&column->ends, &end, sizeof end, err);
}

static enum gm_code put_text(struct gm_delta_rows *rows, enum leaf leaf, const char *text, struct gm_error *err)
{
	return put_string(rows, leaf, 0, 2, text, text != NULL ? strlen(text) : 0, err);
}

static enum gm_code put_int(struct gm_delta_rows *rows, enum leaf leaf, bool present, int64_t value,
                            struct gm_error *err)
{
	struct column *column = &rows->columns[leaf];
	GM_TRY(put_levels(column, 0, present ? 2 : 1, err));
	if (!present) return GM_OK;
	column->count++;
	return gm_buf_append(&column->values, &value, sizeof value, err);
}

static enum gm_code put_bool(struct gm_delta_rows *rows, enum leaf leaf, bool value, struct gm_error *err)
{
	struct column *column = &rows->columns[leaf];
	uint8_t byte = value;
	GM_TRY(put_levels(column, 0, 2, err));
	column->count++;
	return gm_buf_append(&column->values, &byte, 1, err);
}

/* A map, whose keys are this leaf and its values the next; `above`: definition level of the group it is in. */
static enum gm_code put_map(struct gm_delta_rows *rows, enum leaf leaf, uint8_t above,
                            const struct gm_delta_pairs *pairs, struct gm_error *err)
{
	uint8_t empty = (uint8_t)(above + pairs->present);
	if (pairs->count == 0) {
		GM_TRY(put_levels(&rows->columns[leaf], 0, empty, err));
		return put_levels(&rows->columns[leaf + 1], 0, empty, err);
	}
	for (size_t i = 0; i < pairs->count; i++) {
		const struct gm_delta_pair *pair = &pairs->pair[i];
		GM_TRY(put_string(rows, leaf, i > 0, (uint8_t)(above + 2), pair->name, strlen(pair->name), err));
		GM_TRY(put_string(rows, leaf + 1, i > 0, (uint8_t)(above + 3), pair->value, pair->bytes, err));
	}
	return GM_OK;
}

static enum gm_code put_list(struct gm_delta_rows *rows, enum leaf leaf, const char *const *texts, size_t count,
                             struct gm_error *err)
{
	if (count == 0) return put_levels(&rows->columns[leaf], 0, 2, err);
	for (size_t i = 0; i < count; i++) GM_TRY(put_string(rows, leaf, i > 0, 4, texts[i], strlen(texts[i]), err));
	return GM_OK;
}

/* The groups of the other kinds are null in this row. */
static enum gm_code put_others(struct gm_delta_rows *rows, enum leaf first, enum leaf last, struct gm_error *err)
{
	for (int leaf = 0; leaf < LEAVES; leaf++)
		if (leaf < (int)first || leaf > (int)last) GM_TRY(put_levels(&rows->columns[leaf], 0, 0, err));
	return GM_OK;
}

/* --- Row groups --------------------------------------------------------------------------------------------------- */

static enum gm_code encode(struct gm_delta_rows *rows, size_t leaf, struct gm_parquet_column_chunk **out,
                           struct gm_error *err)
{
	static uint8_t none[1]; /* strings that are all empty */
	struct column *column = &rows->columns[leaf];
	struct gm_vec vec = {.type = column->type};
	if (column->type == GM_TYPE_STRING) {
		vec.repr = GM_REPR_PLAIN;
		vec.bytes = column->values.data != NULL ? column->values.data : none;
		vec.ends = (uint32_t *)(void *)column->ends.data;
	} else if (column->type == GM_TYPE_BOOLEAN) {
		vec.repr = GM_REPR_BOOL;
		vec.boolean = column->values.data;
	} else {
		vec.repr = GM_REPR_I64;
		vec.i64 = (int64_t *)(void *)column->values.data;
	}
	struct gm_slice slice = {.vec = &vec, .count = column->count};
	struct gm_parquet_column_data data = {.slices = &slice, .slice_count = column->count > 0};
	data.levels = (struct gm_parquet_levels){column->definition.data, column->repetition.data, column->definition.len};
	return gm_parquet_encode(rows->encoder, rows->writer, leaf, &data, out, err);
}

static enum gm_code flush(struct gm_delta_rows *rows, struct gm_error *err)
{
	struct gm_parquet_column_chunk *chunks[LEAVES] = {0};
	enum gm_code rc = GM_OK;
	if (rows->rows == 0) return GM_OK;
	for (size_t i = 0; i < LEAVES; i++) GM_TRY_OUT(encode(rows, i, &chunks[i], err));
	GM_TRY_OUT(gm_parquet_append(rows->writer, rows->rows, chunks, err));
	for (size_t i = 0; i < LEAVES; i++) {
		struct column *column = &rows->columns[i];
		column->definition.len = column->repetition.len = column->values.len = column->ends.len = 0;
		column->count = 0;
	}
	rows->rows = 0;
	rows->bytes = 0;
out:
	for (size_t i = 0; i < LEAVES; i++) gm_parquet_column_chunk_free(chunks[i]);
	return rc;
}

/* A row is complete. */
static enum gm_code end_row(struct gm_delta_rows *rows, struct gm_error *err)
{
	rows->rows++;
	return rows->rows >= GROUP_ROWS || rows->bytes >= GROUP_BYTES ? flush(rows, err) : GM_OK;
}

enum gm_code gm_delta_rows_new(gm_sink_fn *sink, void *context, struct gm_delta_rows **out, struct gm_error *err)
{
	struct gm_parquet_options options = {
	    .codec = GM_CODEC_ZSTD, .level = 1, .created_by = "gristmill version " GM_VERSION " (build " GM_VERSION ")"};
	struct gm_delta_rows *rows = calloc(1, sizeof *rows);
	*out = NULL;
	if (rows == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a checkpoint");
	size_t leaf = 0;
	for (size_t i = 0; i < NODES; i++) {
		if (schema[i].children > 0) continue;
		struct column *column = &rows->columns[leaf++];
		column->type = schema[i].type;
		gm_buf_init(&column->definition, INT32_MAX);
		gm_buf_init(&column->repetition, INT32_MAX);
		gm_buf_init(&column->values, INT32_MAX);
		gm_buf_init(&column->ends, INT32_MAX);
	}
	rows->encoder = gm_parquet_encoder_new(SIZE_MAX);
	enum gm_code code = GM_OK;
	if (rows->encoder == NULL) code = gm_error_set(err, GM_NOMEM, "out of memory for a checkpoint");
	if (code == GM_OK) code = gm_parquet_writer_new(schema, NODES, &options, sink, context, &rows->writer, err);
	if (code == GM_OK)
		*out = rows;
	else
		gm_delta_rows_free(rows);
	return code;
}

void gm_delta_rows_free(struct gm_delta_rows *rows)
{
	if (rows == NULL) return;
	for (size_t i = 0; i < LEAVES; i++) {
		gm_buf_release(&rows->columns[i].definition);
		gm_buf_release(&rows->columns[i].repetition);
		gm_buf_release(&rows->columns[i].values);
		gm_buf_release(&rows->columns[i].ends);
	}
	gm_parquet_encoder_free(rows->encoder);
	gm_parquet_writer_free(rows->writer);
	free(rows);
}

enum gm_code gm_delta_rows_finish(struct gm_delta_rows *rows, uint64_t *count, uint64_t *bytes, struct gm_error *err)
{
	struct gm_parquet_summary summary;
	GM_TRY(flush(rows, err));
	GM_TRY(gm_parquet_finish(rows->writer, &summary, err));
	*count = summary.rows;
	*bytes = summary.bytes;
	return GM_OK;
}

/* --- Actions ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_delta_rows_app(struct gm_delta_rows *rows, const struct gm_delta_app *app, struct gm_error *err)
{
	GM_TRY(put_others(rows, TXN_APP_ID, TXN_UPDATED, err));
	GM_TRY(put_text(rows, TXN_APP_ID, app->id, err));
	GM_TRY(put_int(rows, TXN_VERSION, true, app->version, err));
	GM_TRY(put_int(rows, TXN_UPDATED, app->has_updated, app->updated_ms, err));
	return end_row(rows, err);
}

enum gm_code gm_delta_rows_add(struct gm_delta_rows *rows, const struct gm_delta_file_action *add, struct gm_error *err)
{
	struct gm_delta_pairs partition = add->partition;
	partition.present = true;
	GM_TRY(put_others(rows, ADD_PATH, ADD_TAGS_VALUE, err));
	GM_TRY(put_text(rows, ADD_PATH, add->uri, err));
	GM_TRY(put_map(rows, ADD_PARTITION, 1, &partition, err));
	GM_TRY(put_int(rows, ADD_SIZE, true, (int64_t)add->bytes, err));
	GM_TRY(put_int(rows, ADD_TIME, true, add->time_ms, err));
	GM_TRY(put_bool(rows, ADD_DATA_CHANGE, add->data_change, err));
	GM_TRY(put_text(rows, ADD_STATS, add->stats, err));
	GM_TRY(put_map(rows, ADD_TAGS, 1, &add->tags, err));
	return end_row(rows, err);
}

enum gm_code gm_delta_rows_remove(struct gm_delta_rows *rows, const struct gm_delta_file_action *remove,
                                  struct gm_error *err)
{
	GM_TRY(put_others(rows, REMOVE_PATH, REMOVE_SIZE, err));
	GM_TRY(put_text(rows, REMOVE_PATH, remove->uri, err));
	GM_TRY(put_int(rows, REMOVE_TIME, remove->time_ms != 0, remove->time_ms, err));
	GM_TRY(put_bool(rows, REMOVE_DATA_CHANGE, remove->data_change, err));
	GM_TRY(put_bool(rows, REMOVE_EXTENDED, remove->extended, err));
	GM_TRY(put_map(rows, REMOVE_PARTITION, 1, &remove->partition, err));
	GM_TRY(put_int(rows, REMOVE_SIZE, remove->has_bytes, (int64_t)remove->bytes, err));
	return end_row(rows, err);
}

static enum gm_code put_metadata(struct gm_delta_rows *rows, const struct gm_delta_head *head, struct gm_error *err)
{
	const struct gm_delta_metadata *public = &head->public;
	struct gm_delta_pairs options = {.present = true};
	int64_t created;
	bool has_created;
	GM_TRY(gm_delta_member_int(head->metadata, "createdTime", false, &created, &has_created, err));
	GM_TRY(put_text(rows, META_ID, public->id, err));
	GM_TRY(put_text(rows, META_NAME, public->name[0] != '\0' ? public->name : NULL, err));
	GM_TRY(put_text(rows, META_DESCRIPTION, public->description[0] != '\0' ? public->description : NULL, err));
	GM_TRY(put_string(rows, META_PROVIDER, 0, 3, head->provider, strlen(head->provider), err));
	GM_TRY(put_map(rows, META_OPTIONS, 2, &options, err));
	GM_TRY(put_text(rows, META_SCHEMA, public->schema, err));
	GM_TRY(put_list(rows, META_COLUMNS, public->partition_columns, public->partition_count, err));
	GM_TRY(put_int(rows, META_CREATED, has_created, created, err));
	return put_map(rows, META_CONFIGURATION, 1, &head->properties, err);
}

enum gm_code gm_delta_rows_head(struct gm_delta_rows *rows, const struct gm_delta_head *head, struct gm_error *err)
{
	GM_TRY(put_others(rows, PROTOCOL_READER, PROTOCOL_WRITER, err));
	GM_TRY(put_int(rows, PROTOCOL_READER, true, head->reader, err));
	GM_TRY(put_int(rows, PROTOCOL_WRITER, true, head->writer, err));
	GM_TRY(end_row(rows, err));
	GM_TRY(put_others(rows, META_ID, META_CONFIGURATION_VALUE, err));
	GM_TRY(put_metadata(rows, head, err));
	return end_row(rows, err);
}
