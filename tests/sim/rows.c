/* rows.c - the rows of a data file: first found in its bytes, then read with the product's reader, which must agree.
 *
 * The jobs write files that are not compressed. Their key column is PLAIN, or a dictionary that is PLAIN: each value
 * once, four bytes of length, then the value. Nothing else in a file looks like that: statistics, bounds and metadata
 * have lengths of one byte before them. So the distinct keys of a file need no reader of ours; that each stands in one
 * row follows from the number of rows, which is in the books as well. The other values are read by the product: n says
 * which record of a key was kept. */
#include "sim/sim.h"

#include "parquet/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 7, LENGTH_BYTES = 4, MEMORY_BYTES = 1 << 22 };

static bool parse_key(const uint8_t *text, unsigned *key)
{
	*key = 0;
	if (text[0] != 'k') return false;
	for (int i = 1; i < KEY_BYTES; i++) {
		if (text[i] < '0' || text[i] > '9') return false;
		*key = *key * 10 + (unsigned)(text[i] - '0');
	}
	return *key < SIM_KEYS;
}

static bool key_at(const uint8_t *at, unsigned *key)
{
	static const uint8_t length[LENGTH_BYTES] = {KEY_BYTES, 0, 0, 0};
	return memcmp(at, length, sizeof length) == 0 && parse_key(at + LENGTH_BYTES, key);
}

static bool partition_of(const char *path, unsigned *part)
{
	static const char folder[] = "part=";
	if (strncmp(path, folder, sizeof folder - 1) != 0) return false;
	*part = (unsigned)(path[sizeof folder - 1] - 'a');
	return *part < SIM_PARTS && path[sizeof folder] == '/';
}

/* --- With the product's reader ------------------------------------------------------------------------------------ */

struct bytes {
	const uint8_t *data;
	size_t count;
};

static enum gm_code read_bytes(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	const struct bytes *file = context;
	if (offset > file->count || bytes > file->count - offset) GM_FAIL(err, GM_CORRUPT, "beyond the file's end");
	memcpy(into, file->data + offset, bytes);
	return GM_OK;
}

/* The column of a file with one row group: its values go to `take`, row by row. */
static bool read_column(const struct gm_parquet_reader *reader, const char *name,
                        bool (*take)(struct sim_row *row, const struct gm_vec *vec, uint32_t i), struct sim_row *rows,
                        size_t count, struct gm_error *err)
{
	struct gm_parquet_column_reader *column;
	struct gm_parquet_batch batch;
	size_t leaf = gm_parquet_reader_find(reader, &name, 1), at = 0;
	bool good = true;
	if (leaf == SIZE_MAX || gm_parquet_column_open(reader, 0, leaf, &column, err) != GM_OK) return false;
	while (good && at < count && gm_parquet_column_next(column, 64, &batch, err) == GM_OK && batch.slots > 0)
		for (uint32_t i = 0; good && i < batch.slots; i++)
			good = at < count && !gm_vec_is_null(&batch.vec, i) && take(&rows[at++], &batch.vec, i);
	gm_parquet_column_close(column);
	return good && at == count;
}

static bool take_key(struct sim_row *row, const struct gm_vec *vec, uint32_t i)
{
	uint32_t bytes;
	unsigned key;
	const uint8_t *text = gm_vec_string(vec, i, &bytes);
	if (bytes != KEY_BYTES || !parse_key(text, &key)) return false;
	row->row = (uint16_t)(row->row + key * SIM_PARTS);
	return true;
}

static bool take_part(struct sim_row *row, const struct gm_vec *vec, uint32_t i)
{
	uint32_t bytes;
	const uint8_t *text = gm_vec_string(vec, i, &bytes);
	return bytes == 1 && text[0] == 'a' + row->row % SIM_PARTS;
}

static bool take_content(struct sim_row *row, const struct gm_vec *vec, uint32_t i)
{
	row->other = vec->i64[i] % 2 != 0;
	return vec->i64[i] / 2 == row->row;
}

static bool take_twice(struct sim_row *row, const struct gm_vec *vec, uint32_t i)
{
	return vec->i64[i] == 2 * (2 * row->row + row->other);
}

static void take_meta(const struct gm_parquet_reader *reader, const char *key, char *to, size_t room)
{
	const char *value = gm_parquet_reader_meta(reader, key);
	(void)snprintf(to, room, "%s", value != NULL ? value : "");
}

/* Rows with their partition given: keys and contents are filled in. */
static bool read_rows(const uint8_t *data, size_t bytes, struct sim_rows *out)
{
	struct sim_row *rows = out->rows;
	size_t count = out->count;
	struct gm_error err;
	struct bytes file = {data, bytes};
	struct gm_parquet_input input = {read_bytes, &file, bytes};
	struct gm_parquet_reader *reader;
	static const char *const twice = "twice";
	if (gm_parquet_reader_open(&input, MEMORY_BYTES, &reader, &err) != GM_OK) return false;
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	bool good = info->rows == count && info->group_count == 1 &&
	            read_column(reader, "k", take_key, rows, count, &err) &&
	            read_column(reader, "p", take_part, rows, count, &err) &&
	            read_column(reader, "n", take_content, rows, count, &err);
	out->twice = gm_parquet_reader_find(reader, &twice, 1) != SIZE_MAX;
	if (good && out->twice) good = read_column(reader, twice, take_twice, rows, count, &err);
	take_meta(reader, "gristmill.engine", out->engine, sizeof out->engine);
	take_meta(reader, "gristmill.job_hash", out->job_hash, sizeof out->job_hash);
	gm_parquet_reader_free(reader);
	return good;
}

/* --- Both --------------------------------------------------------------------------------------------------------- */

/* Every key that the bytes hold is a row that was read. */
static bool agree(const uint8_t *data, size_t bytes, unsigned part, const struct sim_row *rows, size_t count)
{
	bool seen[SIM_ROWS] = {false};
	unsigned key;
	size_t found = 0;
	for (size_t i = 0; i < count; i++) seen[rows[i].row] = true;
	for (size_t at = 4; at + LENGTH_BYTES + KEY_BYTES <= bytes; at++) {
		if (!key_at(data + at, &key)) continue;
		if (!seen[key * SIM_PARTS + part]) return false;
		found++;
		at += LENGTH_BYTES + KEY_BYTES - 1;
	}
	return found == count;
}

static size_t count_keys(const uint8_t *data, size_t bytes)
{
	size_t count = 0;
	unsigned key;
	for (size_t at = 4; at + LENGTH_BYTES + KEY_BYTES <= bytes; at++) count += key_at(data + at, &key);
	return count;
}

bool sim_rows_read(struct sim *sim, const char *path, const uint8_t *data, size_t bytes, struct sim_rows *out)
{
	unsigned part;
	*out = (struct sim_rows){0};
	if (!partition_of(path, &part)) {
		sim_violation(sim, "%s lies in no partition of the jobs", path);
		return false;
	}
	out->count = bytes > 12 ? count_keys(data, bytes - 4) : 0;
	out->rows = calloc(out->count + 1, sizeof *out->rows);
	if (out->rows == NULL) abort();
	for (size_t i = 0; i < out->count; i++) out->rows[i].row = (uint16_t)part;
	if (out->count > 0 && read_rows(data, bytes, out) && agree(data, bytes, part, out->rows, out->count)) return true;
	free(out->rows);
	sim_violation(sim, "%s is visible and not what a run writes", path);
	return false;
}
