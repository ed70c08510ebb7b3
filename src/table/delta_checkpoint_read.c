/* Reading a checkpoint: the Parquet file that delta_rows.c describes, as ours or as Spark, delta-rs, Trino and others
 * write it. Columns are found by their names; one that is missing is null in every row; how maps and lists call their
 * inner groups does not matter. Only the columns of what is wanted are read, row group by row group, all of them side
 * by side.
 *
 * A checkpoint of the second kind says so in a row of its own (checkpointMetadata) and keeps files elsewhere
 * (sidecar): it is refused. */
#include "table/delta_internal.h"

#include "parquet/reader.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_SLOTS = 4096, PATH_DEPTH = 3 };
static const size_t whole_bytes_max = (size_t)8 << 20;

/* --- Fields ------------------------------------------------------------------------------------------------------- */

enum shape { TEXT, NUMBER, FLAG, MAP, LIST };
enum field {
	ADD_PATH,
	ADD_PARTITION,
	ADD_SIZE,
	ADD_TIME,
	ADD_VECTOR,
	ADD_DATA_CHANGE,
	ADD_STATS,
	ADD_TAGS,
	REMOVE_PATH,
	REMOVE_VECTOR,
	REMOVE_TIME,
	REMOVE_DATA_CHANGE,
	REMOVE_EXTENDED,
	REMOVE_PARTITION,
	REMOVE_SIZE,
	TXN_APP_ID,
	TXN_VERSION,
	TXN_UPDATED,
	META_ID,
	META_NAME,
	META_DESCRIPTION,
	META_PROVIDER,
	META_OPTIONS,
	META_SCHEMA,
	META_COLUMNS,
	META_CREATED,
	META_CONFIGURATION,
	PROTOCOL_READER,
	PROTOCOL_WRITER,
	PROTOCOL_READER_FEATURES,
	PROTOCOL_WRITER_FEATURES,
	SECOND_KIND,
	SIDECAR,
	FIELDS,
};
enum { DETAIL = GM_DELTA_WANT_DETAILS, ALWAYS = 0 };

/* kind: the action it belongs to; NOTHING: it is always looked at. */
static const struct {
	const char *path[PATH_DEPTH];
	enum shape shape;
	enum gm_delta_kind kind;
	unsigned detail;
} fields[FIELDS] = {
    [ADD_PATH] = {{"add", "path"}, TEXT, GM_DELTA_ADD, ALWAYS},
    [ADD_PARTITION] = {{"add", "partitionValues"}, MAP, GM_DELTA_ADD, ALWAYS},
    [ADD_SIZE] = {{"add", "size"}, NUMBER, GM_DELTA_ADD, ALWAYS},
    [ADD_TIME] = {{"add", "modificationTime"}, NUMBER, GM_DELTA_ADD, ALWAYS},
    [ADD_VECTOR] = {{"add", "deletionVector", "storageType"}, TEXT, GM_DELTA_ADD, ALWAYS},
    [ADD_DATA_CHANGE] = {{"add", "dataChange"}, FLAG, GM_DELTA_ADD, DETAIL},
    [ADD_STATS] = {{"add", "stats"}, TEXT, GM_DELTA_ADD, DETAIL},
    [ADD_TAGS] = {{"add", "tags"}, MAP, GM_DELTA_ADD, DETAIL},
    [REMOVE_PATH] = {{"remove", "path"}, TEXT, GM_DELTA_REMOVE, ALWAYS},
    [REMOVE_VECTOR] = {{"remove", "deletionVector", "storageType"}, TEXT, GM_DELTA_REMOVE, ALWAYS},
    [REMOVE_TIME] = {{"remove", "deletionTimestamp"}, NUMBER, GM_DELTA_REMOVE, DETAIL},
    [REMOVE_DATA_CHANGE] = {{"remove", "dataChange"}, FLAG, GM_DELTA_REMOVE, DETAIL},
    [REMOVE_EXTENDED] = {{"remove", "extendedFileMetadata"}, FLAG, GM_DELTA_REMOVE, DETAIL},
    [REMOVE_PARTITION] = {{"remove", "partitionValues"}, MAP, GM_DELTA_REMOVE, DETAIL},
    [REMOVE_SIZE] = {{"remove", "size"}, NUMBER, GM_DELTA_REMOVE, DETAIL},
    [TXN_APP_ID] = {{"txn", "appId"}, TEXT, GM_DELTA_TXN, ALWAYS},
    [TXN_VERSION] = {{"txn", "version"}, NUMBER, GM_DELTA_TXN, ALWAYS},
    [TXN_UPDATED] = {{"txn", "lastUpdated"}, NUMBER, GM_DELTA_TXN, ALWAYS},
    [META_ID] = {{"metaData", "id"}, TEXT, GM_DELTA_METADATA, ALWAYS},
    [META_NAME] = {{"metaData", "name"}, TEXT, GM_DELTA_METADATA, ALWAYS},
    [META_DESCRIPTION] = {{"metaData", "description"}, TEXT, GM_DELTA_METADATA, ALWAYS},
    [META_PROVIDER] = {{"metaData", "format", "provider"}, TEXT, GM_DELTA_METADATA, ALWAYS},
    [META_OPTIONS] = {{"metaData", "format", "options"}, MAP, GM_DELTA_METADATA, ALWAYS},
    [META_SCHEMA] = {{"metaData", "schemaString"}, TEXT, GM_DELTA_METADATA, ALWAYS},
    [META_COLUMNS] = {{"metaData", "partitionColumns"}, LIST, GM_DELTA_METADATA, ALWAYS},
    [META_CREATED] = {{"metaData", "createdTime"}, NUMBER, GM_DELTA_METADATA, ALWAYS},
    [META_CONFIGURATION] = {{"metaData", "configuration"}, MAP, GM_DELTA_METADATA, ALWAYS},
    [PROTOCOL_READER] = {{"protocol", "minReaderVersion"}, NUMBER, GM_DELTA_PROTOCOL, ALWAYS},
    [PROTOCOL_WRITER] = {{"protocol", "minWriterVersion"}, NUMBER, GM_DELTA_PROTOCOL, ALWAYS},
    [PROTOCOL_READER_FEATURES] = {{"protocol", "readerFeatures"}, LIST, GM_DELTA_PROTOCOL, ALWAYS},
    [PROTOCOL_WRITER_FEATURES] = {{"protocol", "writerFeatures"}, LIST, GM_DELTA_PROTOCOL, ALWAYS},
    [SECOND_KIND] = {{"checkpointMetadata", "version"}, NUMBER, GM_DELTA_NOTHING, ALWAYS},
    [SIDECAR] = {{"sidecar", "path"}, TEXT, GM_DELTA_NOTHING, ALWAYS},
};

/* A column while a row group is read. */
struct cursor {
	struct gm_parquet_column_reader *reader;
	struct gm_parquet_batch batch;
	uint32_t slot, value; /* next of the batch */
	uint8_t max_definition;
	bool open;
};
/* One slot: a value, or how far it is defined. */
struct slot {
	uint8_t definition, repetition;
	bool defined;
	uint32_t value; /* index into the batch's vec */
};
/* A field's leaves (a map has keys and values), and what it holds in the row at hand. */
struct cell {
	size_t leaf, value_leaf; /* SIZE_MAX: the column is missing, or not wanted */
	struct cursor cursor, values;
	bool present;
	int64_t number; /* FLAG: 0 or 1 */
	struct gm_delta_pair text;
	struct gm_delta_pairs pairs; /* of a LIST only the values */
	size_t room;
};
struct reading {
	struct gm_store *table;
	const char *key;
	const struct gm_parquet_file_info *info;
	struct gm_parquet_reader *reader;
	unsigned wanted;
	size_t memory_bytes;
	uint64_t bytes;      /* of the file */
	struct gm_buf whole; /* the file, if it is held in memory */
	struct cell cells[FIELDS];
	struct gm_arena arena; /* of one row */
	gm_delta_action_fn *each;
	void *context;
};

static size_t depth_of(enum field field)
{
	return fields[field].path[2] != NULL ? 3 : 2;
}

static bool has_prefix(const struct gm_parquet_leaf *leaf, enum field field, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		if (i >= leaf->depth || strcmp(leaf->path[i], fields[field].path[i]) != 0) return false;
	return true;
}

static enum gm_code check_leaf(const struct gm_parquet_leaf *leaf, enum field field, struct gm_error *err)
{
	bool number = leaf->type == GM_TYPE_INT || leaf->type == GM_TYPE_BIGINT;
	bool fits = fields[field].shape == NUMBER ? number
	            : fields[field].shape == FLAG ? leaf->type == GM_TYPE_BOOLEAN
	                                          : leaf->type == GM_TYPE_STRING;
	if (leaf->readable && fits) return GM_OK;
	GM_FAIL(err, GM_CORRUPT, "the checkpoint's column %s.%s is %s", fields[field].path[0], fields[field].path[1],
	        leaf->described);
}

/* Which leaves hold a field. */
static enum gm_code find_leaves(struct reading *reading, enum field field, struct gm_error *err)
{
	struct cell *cell = &reading->cells[field];
	size_t depth = depth_of(field);
	cell->leaf = cell->value_leaf = SIZE_MAX;
	if (fields[field].kind != GM_DELTA_NOTHING && (reading->wanted & 1u << fields[field].kind) == 0) return GM_OK;
	if ((fields[field].detail & ~reading->wanted) != 0) return GM_OK;
	for (size_t i = 0; i < reading->info->leaf_count; i++) {
		const struct gm_parquet_leaf *leaf = &reading->info->leaves[i];
		bool nested = fields[field].shape == MAP || fields[field].shape == LIST;
		if (!has_prefix(leaf, field, depth)) continue;
		if (nested ? leaf->max_repetition != 1 : leaf->depth != depth || leaf->max_repetition != 0)
			GM_FAIL(err, GM_CORRUPT, "the checkpoint's column %s.%s has the wrong shape", fields[field].path[0],
			        fields[field].path[1]);
		GM_TRY(check_leaf(leaf, field, err));
		bool value = fields[field].shape == MAP && strcmp(leaf->path[leaf->depth - 1], "value") == 0;
		*(value ? &cell->value_leaf : &cell->leaf) = i;
	}
	if (fields[field].shape == MAP && (cell->leaf == SIZE_MAX) != (cell->value_leaf == SIZE_MAX))
		GM_FAIL(err, GM_CORRUPT, "the checkpoint's map %s.%s has no keys or no values", fields[field].path[0],
		        fields[field].path[1]);
	return GM_OK;
}

/* --- Slots -------------------------------------------------------------------------------------------------------- */

static enum gm_code open_cursor(struct reading *reading, struct cursor *cursor, size_t group, size_t leaf,
                                struct gm_error *err)
{
	*cursor = (struct cursor){0};
	if (leaf == SIZE_MAX) return GM_OK;
	cursor->max_definition = reading->info->leaves[leaf].max_definition;
	GM_TRY(gm_parquet_column_open(reading->reader, group, leaf, &cursor->reader, err));
	cursor->open = true;
	return GM_OK;
}

static void close_cursor(struct cursor *cursor)
{
	gm_parquet_column_close(cursor->reader);
	*cursor = (struct cursor){0};
}

/* Makes the next slot one of the batch; *end: there is none. */
static enum gm_code refill(struct cursor *cursor, bool *end, struct gm_error *err)
{
	*end = false;
	if (cursor->slot < cursor->batch.slots) return GM_OK;
	GM_TRY(gm_parquet_column_next(cursor->reader, BATCH_SLOTS, &cursor->batch, err));
	cursor->slot = cursor->value = 0;
	*end = cursor->batch.slots == 0;
	return GM_OK;
}

static struct slot take_slot(struct cursor *cursor)
{
	const struct gm_parquet_batch *batch = &cursor->batch;
	struct slot slot = {.definition = cursor->max_definition};
	if (batch->definition == NULL) {
		slot.value = cursor->slot;
		slot.defined = !gm_vec_is_null(&batch->vec, cursor->slot);
		if (!slot.defined) slot.definition = 0;
	} else {
		slot.definition = batch->definition[cursor->slot];
		slot.repetition = batch->repetition != NULL ? batch->repetition[cursor->slot] : 0;
		slot.defined = slot.definition == cursor->max_definition;
		slot.value = cursor->value;
		cursor->value += slot.defined;
	}
	cursor->slot++;
	return slot;
}

static enum gm_code next_slot(struct cursor *cursor, struct slot *slot, struct gm_error *err)
{
	bool end;
	GM_TRY(refill(cursor, &end, err));
	if (end) GM_FAIL(err, GM_CORRUPT, "the checkpoint has a column with too few values");
	*slot = take_slot(cursor);
	return GM_OK;
}

/* Does the row go on in this column? */
static enum gm_code goes_on(struct cursor *cursor, bool *more, struct gm_error *err)
{
	bool end;
	GM_TRY(refill(cursor, &end, err));
	*more = !end && cursor->batch.repetition != NULL && cursor->batch.repetition[cursor->slot] > 0;
	return GM_OK;
}

/* --- Cells -------------------------------------------------------------------------------------------------------- */

static enum gm_code copy_text(struct reading *reading, const struct cursor *cursor, uint32_t row,
                              struct gm_delta_pair *out, struct gm_error *err)
{
	uint32_t bytes;
	const uint8_t *text = gm_vec_string(&cursor->batch.vec, row, &bytes);
	out->value = gm_arena_strndup(&reading->arena, (const char *)text, bytes);
	out->bytes = bytes;
	if (out->value == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a row of a checkpoint");
	if (reading->arena.taken_bytes <= reading->memory_bytes) return GM_OK;
	GM_FAIL(err, GM_NOMEM, "a row of the checkpoint takes more than the %zu bytes of memory given",
	        reading->memory_bytes);
}

static enum gm_code read_scalar(struct reading *reading, struct cell *cell, enum shape shape, struct gm_error *err)
{
	struct slot slot;
	GM_TRY(next_slot(&cell->cursor, &slot, err));
	cell->present = slot.defined;
	if (!slot.defined) return GM_OK;
	if (shape == TEXT) return copy_text(reading, &cell->cursor, slot.value, &cell->text, err);
	const struct gm_vec *vec = &cell->cursor.batch.vec;
	cell->number = shape == FLAG ? vec->boolean[slot.value] : vec->i64[slot.value];
	return GM_OK;
}

static enum gm_code add_pair(struct reading *reading, struct cell *cell, const struct gm_delta_pair *pair,
                             struct gm_error *err)
{
	if (cell->pairs.count == cell->room) {
		size_t room = cell->room == 0 ? 8 : cell->room * 2;
		struct gm_delta_pair *grown = gm_arena_alloc(&reading->arena, room * sizeof *grown);
		if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a row of a checkpoint");
		if (cell->pairs.count > 0) memcpy(grown, cell->pairs.pair, cell->pairs.count * sizeof *grown);
		cell->pairs.pair = grown;
		cell->room = room;
	}
	cell->pairs.pair[cell->pairs.count++] = *pair;
	return GM_OK;
}

/* One entry of a map or list: nothing if it is null or empty. */
static enum gm_code read_element(struct reading *reading, struct cell *cell, bool map, struct gm_error *err)
{
	struct slot key, value;
	struct gm_delta_pair pair = {.name = ""}, name;
	GM_TRY(next_slot(&cell->cursor, &key, err));
	/* An empty one is defined but for its repeated group. */
	if (key.definition + 1 >= cell->cursor.max_definition) cell->pairs.present = true;
	if (!map) {
		if (!key.defined) return GM_OK;
		GM_TRY(copy_text(reading, &cell->cursor, key.value, &pair, err));
		return add_pair(reading, cell, &pair, err);
	}
	GM_TRY(next_slot(&cell->values, &value, err));
	if (value.repetition != key.repetition) GM_FAIL(err, GM_CORRUPT, "the checkpoint has a map of unequal columns");
	if (!key.defined) return GM_OK;
	GM_TRY(copy_text(reading, &cell->cursor, key.value, &name, err));
	if (value.defined) GM_TRY(copy_text(reading, &cell->values, value.value, &pair, err));
	if (strlen(name.value) != name.bytes) GM_FAIL(err, GM_CORRUPT, "the checkpoint has a name that holds a NUL");
	pair.name = name.value;
	return add_pair(reading, cell, &pair, err);
}

static enum gm_code read_elements(struct reading *reading, struct cell *cell, bool map, struct gm_error *err)
{
	bool more;
	do {
		GM_TRY(read_element(reading, cell, map, err));
		GM_TRY(goes_on(&cell->cursor, &more, err));
	} while (more);
	cell->present = cell->pairs.present;
	return GM_OK;
}

static enum gm_code read_cell(struct reading *reading, enum field field, struct gm_error *err)
{
	struct cell *cell = &reading->cells[field];
	enum shape shape = fields[field].shape;
	cell->present = false;
	cell->number = 0;
	cell->room = 0;
	cell->text = (struct gm_delta_pair){0};
	cell->pairs = (struct gm_delta_pairs){0};
	if (!cell->cursor.open) return GM_OK;
	if (shape == MAP || shape == LIST) return read_elements(reading, cell, shape == MAP, err);
	return read_scalar(reading, cell, shape, err);
}

/* --- Actions ------------------------------------------------------------------------------------------------------ */

/* A text that must (may) be there, as a C string. */
static enum gm_code text_of(const struct reading *reading, enum field field, bool required, const char **out,
                            struct gm_error *err)
{
	const struct cell *cell = &reading->cells[field];
	*out = cell->text.value;
	if (cell->present ? strlen(*out) == cell->text.bytes : !required) return GM_OK;
	GM_FAIL(err, GM_CORRUPT, "the checkpoint's %s.%s is %s", fields[field].path[0], fields[field].path[1],
	        cell->present ? "no text: it holds a NUL" : "missing");
}

static enum gm_code number_of(const struct reading *reading, enum field field, int64_t *out, struct gm_error *err)
{
	*out = reading->cells[field].number;
	if (reading->cells[field].present) return GM_OK;
	GM_FAIL(err, GM_CORRUPT, "the checkpoint's %s.%s is missing", fields[field].path[0], fields[field].path[1]);
}

static enum gm_code give_file(struct reading *reading, bool add, struct gm_error *err)
{
	const struct cell *cells = reading->cells;
	struct gm_delta_action action = {.kind = add ? GM_DELTA_ADD : GM_DELTA_REMOVE};
	struct gm_delta_file_action *file = &action.file;
	int64_t bytes = cells[REMOVE_SIZE].number;
	if (cells[add ? ADD_VECTOR : REMOVE_VECTOR].present)
		GM_FAIL(err, GM_UNSUPPORTED, "a file has a deletion vector, which this version cannot read");
	GM_TRY(text_of(reading, add ? ADD_PATH : REMOVE_PATH, true, &file->uri, err));
	GM_TRY(gm_delta_file_locate(file, &reading->arena, err));
	file->partition = cells[add ? ADD_PARTITION : REMOVE_PARTITION].pairs;
	file->has_bytes = add || cells[REMOVE_SIZE].present;
	file->time_ms = cells[REMOVE_TIME].number;
	if (add) {
		GM_TRY(number_of(reading, ADD_SIZE, &bytes, err));
		GM_TRY(number_of(reading, ADD_TIME, &file->time_ms, err));
		GM_TRY(text_of(reading, ADD_STATS, false, &file->stats, err));
		file->tags = cells[ADD_TAGS].pairs;
	}
	if (bytes < 0) GM_FAIL(err, GM_CORRUPT, "the checkpoint has a file of negative size");
	file->bytes = (uint64_t)bytes;
	const struct cell *change = &cells[add ? ADD_DATA_CHANGE : REMOVE_DATA_CHANGE];
	file->data_change = !change->present || change->number != 0;
	file->extended = cells[REMOVE_EXTENDED].number != 0;
	return reading->each(reading->context, &action, err);
}

static enum gm_code give_app(struct reading *reading, struct gm_error *err)
{
	struct gm_delta_action action = {.kind = GM_DELTA_TXN};
	GM_TRY(text_of(reading, TXN_APP_ID, true, &action.app.id, err));
	GM_TRY(number_of(reading, TXN_VERSION, &action.app.version, err));
	action.app.has_updated = reading->cells[TXN_UPDATED].present;
	action.app.updated_ms = reading->cells[TXN_UPDATED].number;
	return reading->each(reading->context, &action, err);
}

/* A field as JSON; NULL: memory is gone. */
static json_t *cell_json(const struct cell *cell, enum shape shape)
{
	/* A list that is null is an empty one: where there is one at all it must be there. */
	if (!cell->present && shape != LIST) return json_null();
	if (shape == NUMBER) return json_integer((json_int_t)cell->number);
	if (shape == TEXT) return json_stringn(cell->text.value, cell->text.bytes);
	json_t *out = shape == MAP ? json_object() : json_array();
	int failed = out == NULL;
	for (size_t i = 0; i < cell->pairs.count && failed == 0; i++) {
		const struct gm_delta_pair *pair = &cell->pairs.pair[i];
		json_t *value = pair->value != NULL ? json_stringn(pair->value, pair->bytes) : json_null();
		failed = shape == MAP ? json_object_set_new(out, pair->name, value) : json_array_append_new(out, value);
	}
	if (failed == 0) return out;
	json_decref(out);
	return NULL;
}

/* metaData and protocol, which there is one of each, go the way that those of an entry go. */
static enum gm_code give_json(struct reading *reading, enum gm_delta_kind kind, enum field first, enum field last,
                              struct gm_error *err)
{
	struct gm_delta_action action = {.kind = kind};
	json_t *json = json_object(), *format = json_object();
	int failed = json == NULL || format == NULL;
	for (int field = (int)first; field <= (int)last && failed == 0; field++) {
		json_t *value = cell_json(&reading->cells[field], fields[field].shape);
		bool inner = fields[field].path[2] != NULL;
		failed = json_object_set_new(inner ? format : json, fields[field].path[inner ? 2 : 1], value);
	}
	if (failed == 0 && kind == GM_DELTA_METADATA) failed = json_object_set(json, "format", format);
	action.json = json;
	enum gm_code code = failed == 0 ? reading->each(reading->context, &action, err)
	                                : gm_error_set(err, GM_NOMEM, "out of memory for a row of a checkpoint");
	json_decref(format);
	json_decref(json);
	return code;
}

static enum gm_code give_row(struct reading *reading, struct gm_error *err)
{
	const struct cell *cells = reading->cells;
	if (cells[SECOND_KIND].present || cells[SIDECAR].present)
		GM_FAIL(err, GM_UNSUPPORTED,
		        "it is a checkpoint of the second kind (v2Checkpoint), which this version cannot read");
	if (cells[ADD_PATH].present) return give_file(reading, true, err);
	if (cells[REMOVE_PATH].present) return give_file(reading, false, err);
	if (cells[TXN_APP_ID].present) return give_app(reading, err);
	if (cells[META_ID].present) return give_json(reading, GM_DELTA_METADATA, META_ID, META_CONFIGURATION, err);
	if (!cells[PROTOCOL_READER].present) return GM_OK;
	return give_json(reading, GM_DELTA_PROTOCOL, PROTOCOL_READER, PROTOCOL_WRITER_FEATURES, err);
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

static enum gm_code check_end(struct cursor *cursor, struct gm_error *err)
{
	bool end = true;
	if (cursor->open) GM_TRY(refill(cursor, &end, err));
	if (!end) GM_FAIL(err, GM_CORRUPT, "the checkpoint has a column with too many values");
	return GM_OK;
}

static enum gm_code read_group(struct reading *reading, size_t group, struct gm_error *err)
{
	for (int f = 0; f < FIELDS; f++) {
		GM_TRY(open_cursor(reading, &reading->cells[f].cursor, group, reading->cells[f].leaf, err));
		GM_TRY(open_cursor(reading, &reading->cells[f].values, group, reading->cells[f].value_leaf, err));
	}
	for (uint64_t row = 0; row < reading->info->groups[group].rows; row++) {
		gm_arena_reset(&reading->arena);
		for (int f = 0; f < FIELDS; f++) GM_TRY(read_cell(reading, (enum field)f, err));
		GM_TRY(give_row(reading, err));
	}
	for (int f = 0; f < FIELDS; f++) {
		GM_TRY(check_end(&reading->cells[f].cursor, err));
		GM_TRY(check_end(&reading->cells[f].values, err));
	}
	return GM_OK;
}

static void close_group(struct reading *reading)
{
	for (int f = 0; f < FIELDS; f++) {
		close_cursor(&reading->cells[f].cursor);
		close_cursor(&reading->cells[f].values);
	}
}

static enum gm_code read_groups(struct reading *reading, struct gm_error *err)
{
	enum gm_code code = GM_OK;
	for (int f = 0; f < FIELDS; f++) GM_TRY(find_leaves(reading, (enum field)f, err));
	for (size_t group = 0; group < reading->info->group_count && code == GM_OK; group++) {
		code = read_group(reading, group, err);
		close_group(reading);
	}
	return code;
}

static enum gm_code read_bytes(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	const struct reading *reading = context;
	size_t got;
	if (reading->whole.data != NULL) {
		if (offset > reading->whole.len || bytes > reading->whole.len - offset)
			GM_FAIL(err, GM_CORRUPT, "the checkpoint is shorter than it says");
		memcpy(into, reading->whole.data + offset, bytes);
		return GM_OK;
	}
	GM_TRY(gm_store_read(reading->table, reading->key, offset, into, bytes, &got, err));
	if (got == bytes) return GM_OK;
	GM_FAIL(err, GM_CHANGED, "the checkpoint became shorter while it was read");
}

/* How large it is; where each look would be a journey and it is small, all of it at once. */
static enum gm_code find_bytes(struct reading *reading, struct gm_error *err)
{
	struct gm_object_info info;
	struct gm_arena arena;
	size_t most = reading->memory_bytes / 4 < whole_bytes_max ? reading->memory_bytes / 4 : whole_bytes_max;
	gm_buf_init(&reading->whole, most);
	if (gm_store_is_remote(reading->table)) {
		enum gm_code code = gm_store_get(reading->table, reading->key, &reading->whole, err);
		reading->bytes = reading->whole.len;
		if (code != GM_VALUE) return code;
	}
	gm_arena_init(&arena, 1024);
	enum gm_code code = gm_store_stat(reading->table, reading->key, &info, &arena, err);
	gm_arena_release(&arena);
	reading->bytes = info.size;
	return code;
}

static void close_file(struct reading *reading)
{
	gm_parquet_reader_free(reading->reader);
	gm_buf_release(&reading->whole);
}

static enum gm_code open_file(struct reading *reading, struct gm_error *err)
{
	GM_TRY(find_bytes(reading, err));
	struct gm_parquet_input input = {read_bytes, reading, reading->bytes};
	GM_TRY(gm_parquet_reader_open(&input, reading->memory_bytes, &reading->reader, err));
	reading->info = gm_parquet_reader_info(reading->reader);
	return GM_OK;
}

/* A checkpoint that is none, or that we cannot read, is named. */
static enum gm_code blame(enum gm_code code, const char *key, struct gm_error *err)
{
	if (err == NULL || (code != GM_CORRUPT && code != GM_UNSUPPORTED && code != GM_NOMEM)) return code;
	return err->object[0] != '\0' ? code : gm_error_object(err, code, key, strlen(key));
}

enum gm_code gm_delta_read_checkpoint(struct gm_store *table, int64_t version, uint32_t parts, unsigned wanted,
                                      size_t memory_bytes, gm_delta_action_fn *each, void *context,
                                      struct gm_error *err)
{
	enum gm_code code = GM_OK;
	for (uint32_t part = parts > 0; part <= parts && code == GM_OK; part++) {
		char key[GM_DELTA_KEY_BYTES];
		struct reading reading = {.table = table,
		                          .key = key,
		                          .wanted = wanted,
		                          .memory_bytes = gm_delta_line_bytes_max(memory_bytes),
		                          .each = each,
		                          .context = context};
		gm_delta_checkpoint_key(version, part, parts, key);
		gm_arena_init(&reading.arena, 16 * 1024);
		code = open_file(&reading, err);
		if (code == GM_OK) code = read_groups(&reading, err);
		code = blame(code, key, err);
		close_file(&reading);
		gm_arena_release(&reading.arena);
	}
	return code;
}

enum gm_code gm_delta_checkpoint_size(struct gm_store *table, int64_t version, size_t memory_bytes, uint64_t *count,
                                      uint64_t *bytes, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	struct reading reading = {.table = table, .key = key, .memory_bytes = gm_delta_line_bytes_max(memory_bytes)};
	gm_delta_checkpoint_key(version, 0, 0, key);
	enum gm_code code = blame(open_file(&reading, err), key, err);
	if (code == GM_OK) *count = reading.info->rows;
	*bytes = reading.bytes;
	close_file(&reading);
	return code;
}
