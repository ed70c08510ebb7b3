#include "table/parquet_rows.h"

#include <stdlib.h>
#include <string.h>

struct gm_rows_file {
	struct gm_store *store;
	char *path;
	struct gm_parquet_reader *reader;
	const struct gm_rows_column *columns;
	size_t column_count;
	size_t leaves[]; /* per column */
};

/* One column of the rows at hand. */
struct cursor {
	struct gm_parquet_column_reader *reader; /* NULL: the file lacks it */
	struct gm_vec vec;                       /* of the batch at hand, with the job's type */
	uint32_t next, count;                    /* rows of the batch given out, and all */
};

struct gm_rows {
	const struct gm_rows_file *file;
	uint64_t left;  /* rows of the group */
	uint32_t given; /* rows given out last */
	size_t column_count;
	struct gm_vec_rows *columns;
	struct cursor cursors[];
};

/* --- files -------------------------------------------------------------------------------------------------------- */

static enum gm_code name_file(const struct gm_rows_file *file, enum gm_code rc, struct gm_error *err)
{
	if (err != NULL && (err->object[0] == '\0' || rc == GM_CORRUPT || rc == GM_UNSUPPORTED)) {
		uint64_t offset = err->offset;
		(void)gm_error_object(err, rc, file->path, strlen(file->path));
		err->offset = offset;
	}
	return rc;
}

static enum gm_code read_store(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	const struct gm_rows_file *file = context;
	size_t got;
	enum gm_code rc = gm_store_read(file->store, file->path, offset, into, bytes, &got, err);
	if (rc == GM_NOT_FOUND) {
		(void)gm_error_set(err, GM_CHANGED, "a file that the table's log names is gone");
		return gm_error_object(err, GM_CHANGED, file->path, strlen(file->path));
	}
	GM_TRY(rc);
	if (got == bytes) return GM_OK;
	GM_FAIL(err, GM_CORRUPT, "a file of the table is shorter than its log says");
}

static enum gm_type family(enum gm_type type)
{
	return type == GM_TYPE_INT ? GM_TYPE_BIGINT : type;
}

static enum gm_code find_leaf(struct gm_rows_file *file, size_t column, struct gm_error *err)
{
	const struct gm_rows_column *wanted = &file->columns[column];
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(file->reader);
	file->leaves[column] = SIZE_MAX;
	for (size_t i = 0; i < info->leaf_count; i++) {
		const struct gm_parquet_leaf *leaf = &info->leaves[i];
		if (strcmp(leaf->path[0], wanted->name) != 0) continue;
		bool flat = leaf->depth == 1 && leaf->max_repetition == 0 && leaf->max_definition <= 1;
		if (!flat || !leaf->readable || family(leaf->type) != family(wanted->type))
			GM_FAIL(err, GM_UNSUPPORTED, "column \"%s\" is %s%s in this file, the job says %s", wanted->name,
			        flat ? "" : "nested: ", leaf->described, gm_type_name(wanted->type));
		file->leaves[column] = i;
		return GM_OK;
	}
	return GM_OK;
}

enum gm_code gm_rows_file_open(struct gm_store *store, const char *path, uint64_t bytes,
                               const struct gm_rows_column *columns, size_t column_count, size_t memory_bytes,
                               struct gm_rows_file **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_rows_file *file = calloc(1, sizeof *file + column_count * sizeof *file->leaves);
	if (file != NULL) file->path = strdup(path);
	if (file == NULL || file->path == NULL) {
		free(file);
		GM_FAIL(err, GM_NOMEM, "out of memory for reading a file of the table");
	}
	file->store = store;
	file->columns = columns;
	file->column_count = column_count;
	struct gm_parquet_input input = {.read = read_store, .context = file, .bytes = bytes};
	enum gm_code rc = gm_parquet_reader_open(&input, memory_bytes, &file->reader, err);
	for (size_t i = 0; rc == GM_OK && i < column_count; i++) rc = find_leaf(file, i, err);
	if (rc != GM_OK) {
		rc = name_file(file, rc, err);
		gm_rows_file_close(file);
		return rc;
	}
	*out = file;
	return GM_OK;
}

void gm_rows_file_close(struct gm_rows_file *file)
{
	if (file == NULL) return;
	gm_parquet_reader_free(file->reader);
	free(file->path);
	free(file);
}

const struct gm_parquet_file_info *gm_rows_file_info(const struct gm_rows_file *file)
{
	return gm_parquet_reader_info(file->reader);
}

size_t gm_rows_file_leaf(const struct gm_rows_file *file, size_t column)
{
	return file->leaves[column];
}

enum gm_code gm_rows_file_bloom(const struct gm_rows_file *file, size_t group, size_t leaf, struct gm_bloom *bloom,
                                struct gm_error *err)
{
	enum gm_code rc = gm_parquet_bloom_read(file->reader, group, leaf, bloom, err);
	return rc != GM_OK && rc != GM_NOT_FOUND ? name_file(file, rc, err) : rc;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_rows_open(const struct gm_rows_file *file, size_t group, size_t first, size_t count,
                          struct gm_rows **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_rows *rows = calloc(1, sizeof *rows + count * sizeof *rows->cursors);
	if (rows != NULL) rows->columns = calloc(count + 1, sizeof *rows->columns);
	if (rows == NULL || rows->columns == NULL) {
		free(rows);
		GM_FAIL(err, GM_NOMEM, "out of memory for reading a file of the table");
	}
	rows->file = file;
	rows->column_count = count;
	rows->left = gm_parquet_reader_info(file->reader)->groups[group].rows;
	for (size_t i = 0; i < count; i++) {
		struct cursor *cursor = &rows->cursors[i];
		size_t leaf = file->leaves[first + i];
		cursor->vec = (struct gm_vec){.type = file->columns[first + i].type, .repr = GM_REPR_NULL};
		if (leaf == SIZE_MAX) continue;
		enum gm_code rc = gm_parquet_column_open(file->reader, group, leaf, &cursor->reader, err);
		if (rc == GM_OK) continue;
		gm_rows_close(rows);
		return name_file(file, rc, err);
	}
	*out = rows;
	return GM_OK;
}

void gm_rows_close(struct gm_rows *rows)
{
	if (rows == NULL) return;
	for (size_t i = 0; i < rows->column_count; i++) gm_parquet_column_close(rows->cursors[i].reader);
	free(rows->columns);
	free(rows);
}

/* More rows of a column whose batch is used up. */
static enum gm_code refill(struct gm_rows *rows, struct cursor *cursor, struct gm_error *err)
{
	struct gm_parquet_batch batch;
	enum gm_type type = cursor->vec.type;
	cursor->next = 0;
	if (cursor->reader == NULL) {
		cursor->count = rows->left < GM_CHUNK_ROWS ? (uint32_t)rows->left : GM_CHUNK_ROWS;
		return GM_OK;
	}
	GM_TRY(gm_parquet_column_next(cursor->reader, GM_CHUNK_ROWS, &batch, err));
	if (batch.slots > rows->left) GM_FAIL(err, GM_CORRUPT, "a column has more values than its row group has rows");
	if (batch.slots == 0 && rows->left > 0)
		GM_FAIL(err, GM_CORRUPT, "a column has fewer values than its row group has rows");
	cursor->count = batch.slots;
	cursor->vec = batch.vec;
	cursor->vec.type = type;
	return GM_OK;
}

enum gm_code gm_rows_next(struct gm_rows *rows, uint32_t *count, const struct gm_vec_rows **columns,
                          struct gm_error *err)
{
	uint32_t most = rows->left - rows->given < GM_CHUNK_ROWS ? (uint32_t)(rows->left - rows->given) : GM_CHUNK_ROWS;
	rows->left -= rows->given;
	for (size_t i = 0; i < rows->column_count; i++) {
		struct cursor *cursor = &rows->cursors[i];
		cursor->next += rows->given;
		if (cursor->next == cursor->count) {
			enum gm_code rc = refill(rows, cursor, err);
			if (rc != GM_OK) return name_file(rows->file, rc, err);
		}
		if (cursor->count - cursor->next < most) most = cursor->count - cursor->next;
		rows->columns[i] = (struct gm_vec_rows){.vec = &cursor->vec, .first = cursor->next};
	}
	*count = rows->given = most;
	*columns = rows->columns;
	return GM_OK;
}
