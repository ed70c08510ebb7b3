/* parquet_rows.h - rows of some flat columns of a Parquet file in the table, ours or not, side by side.
 *
 * Columns are found by name and must have the job's type, however the file stores it: integers of 32 or 64 bits,
 * timestamps of any unit, strings of any annotation. A column that the file lacks is null in every row. */
#ifndef GM_TABLE_PARQUET_ROWS_H
#define GM_TABLE_PARQUET_ROWS_H

#include "parquet/reader.h"
#include "store/store.h"
#include "table/keyset.h"

struct gm_rows_column {
	const char *name;
	enum gm_type type;
};

struct gm_rows_file;
/* bytes: of the file, as the log says. columns must outlive the file. memory_bytes bounds a footer, page or filter.
 * CHANGED: there is no such file any more. UNSUPPORTED names file, column and both types. Errors name the file. */
enum gm_code gm_rows_file_open(struct gm_store *store, const char *path, uint64_t bytes,
                               const struct gm_rows_column *columns, size_t column_count, size_t memory_bytes,
                               struct gm_rows_file **out, struct gm_error *err) GM_CHECK;
void gm_rows_file_close(struct gm_rows_file *file); /* NULL is allowed */
const struct gm_parquet_file_info *gm_rows_file_info(const struct gm_rows_file *file);
/* The leaf of a column; SIZE_MAX: the file lacks it. */
size_t gm_rows_file_leaf(const struct gm_rows_file *file, size_t column);
/* As gm_parquet_bloom_read. */
enum gm_code gm_rows_file_bloom(const struct gm_rows_file *file, size_t group, size_t leaf, struct gm_bloom *bloom,
                                struct gm_error *err) GM_CHECK;

/* The rows of a row group, of `count` columns from the file's column `first` on. The file must stay open. */
struct gm_rows;
enum gm_code gm_rows_open(const struct gm_rows_file *file, size_t group, size_t first, size_t count,
                          struct gm_rows **out, struct gm_error *err) GM_CHECK;
void gm_rows_close(struct gm_rows *rows); /* NULL is allowed */
/* The next rows, at most GM_CHUNK_ROWS, 0 at the end: row i of each column is row first + i of its vec. They live until
 * the next call. */
enum gm_code gm_rows_next(struct gm_rows *rows, uint32_t *count, const struct gm_vec_rows **columns,
                          struct gm_error *err) GM_CHECK;

#endif
