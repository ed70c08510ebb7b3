/* key_filter.c - see key_filter.h.
 *
 * Bounds are in the PLAIN form of the type that the leaf is read as; those of a string may be cut, which only widens
 * them. A bloom filter holds hashes of the PLAIN form that the file stores, so it can be asked where that is the form
 * of the type here (as_stored), or for integers where only the width differs. Of doubles neither is used: -0.0 and NaN
 * make them treacherous; of booleans there is nothing to gain. Each column alone must say maybe. */
#include "table/key_filter.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { BOUND_BYTES_MAX = 1024 }; /* longer ones are not kept */

struct column {
	struct gm_bloom bloom; /* words NULL: none */
	bool has_bloom;        /* the file has one, whether it was read or not */
	bool narrow;           /* the file stores 4 bytes */
	bool has_bounds;
	int64_t min, max;
	uint8_t *text; /* of a string: its minimum, then its maximum */
	uint32_t min_bytes, max_bytes;
};

struct gm_key_filter {
	size_t column_count, bytes;
	bool has_more; /* bloom filters to be read */
	struct column columns[];
};

static int64_t get_number(const uint8_t *in, size_t bytes)
{
	uint64_t value = gm_get_le(in, bytes);
	return bytes == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

static bool is_number(enum gm_type type)
{
	return type == GM_TYPE_INT || type == GM_TYPE_BIGINT || type == GM_TYPE_DATE || type == GM_TYPE_TIMESTAMP;
}

static size_t plain_bytes(enum gm_type type)
{
	return type == GM_TYPE_INT || type == GM_TYPE_DATE ? 4 : 8;
}

static enum gm_code read_bounds(const struct gm_parquet_chunk_info *info, enum gm_type type, struct column *column,
                                struct gm_error *err)
{
	if (!info->has_bounds) return GM_OK;
	if (is_number(type)) {
		size_t n = plain_bytes(type);
		if (info->min_bytes != n || info->max_bytes != n) return GM_OK;
		column->min = get_number(info->min, n);
		column->max = get_number(info->max, n);
		column->has_bounds = true;
		return GM_OK;
	}
	if (type != GM_TYPE_STRING || info->min_bytes > BOUND_BYTES_MAX || info->max_bytes > BOUND_BYTES_MAX) return GM_OK;
	column->text = malloc((size_t)info->min_bytes + info->max_bytes + 1);
	if (column->text == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the bounds of a row group");
	if (info->min_bytes > 0) memcpy(column->text, info->min, info->min_bytes);
	if (info->max_bytes > 0) memcpy(column->text + info->min_bytes, info->max, info->max_bytes);
	column->min_bytes = info->min_bytes;
	column->max_bytes = info->max_bytes;
	column->has_bounds = true;
	return GM_OK;
}

static enum gm_code read_column(const struct gm_rows_file *file, size_t group, size_t leaf_index, struct column *column,
                                struct gm_error *err)
{
	const struct gm_parquet_file_info *info = gm_rows_file_info(file);
	const struct gm_parquet_leaf *leaf = &info->leaves[leaf_index];
	const struct gm_parquet_chunk_info *chunk = &info->groups[group].chunks[leaf_index];
	column->has_bloom =
	    chunk->bloom_offset != 0 && leaf->as_stored && (is_number(leaf->type) || leaf->type == GM_TYPE_STRING);
	column->narrow = is_number(leaf->type) && plain_bytes(leaf->type) == 4;
	return read_bounds(chunk, leaf->type, column, err);
}

enum gm_code gm_key_filter_read(const struct gm_rows_file *file, size_t group, size_t key_count,
                                struct gm_key_filter **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_key_filter *filter = calloc(1, sizeof *filter + key_count * sizeof *filter->columns);
	if (filter == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the filters of a row group");
	filter->column_count = key_count;
	filter->bytes = sizeof *filter + key_count * sizeof *filter->columns;
	bool excludes = false;
	for (size_t i = 0; i < key_count; i++) {
		struct column *column = &filter->columns[i];
		enum gm_code rc = read_column(file, group, gm_rows_file_leaf(file, i), column, err);
		if (rc != GM_OK) {
			gm_key_filter_free(filter);
			return rc;
		}
		filter->bytes += column->min_bytes + column->max_bytes;
		filter->has_more |= column->has_bloom;
		excludes |= column->has_bounds || column->has_bloom;
	}
	if (excludes)
		*out = filter;
	else
		gm_key_filter_free(filter);
	return GM_OK;
}

bool gm_key_filter_has_more(const struct gm_key_filter *filter)
{
	return filter->has_more;
}

enum gm_code gm_key_filter_read_more(struct gm_key_filter *filter, const struct gm_rows_file *file, size_t group,
                                     struct gm_error *err)
{
	for (size_t i = 0; i < filter->column_count; i++) {
		struct column *column = &filter->columns[i];
		if (!column->has_bloom || column->bloom.words != NULL) continue;
		enum gm_code rc = gm_rows_file_bloom(file, group, gm_rows_file_leaf(file, i), &column->bloom, err);
		/* One that this version cannot read or hold is as good as none. */
		if (rc != GM_NOT_FOUND && rc != GM_UNSUPPORTED) GM_TRY(rc);
		filter->bytes += column->bloom.bytes;
	}
	filter->has_more = false;
	return GM_OK;
}

void gm_key_filter_free(struct gm_key_filter *filter)
{
	if (filter == NULL) return;
	for (size_t i = 0; i < filter->column_count; i++) {
		gm_bloom_release(&filter->columns[i].bloom);
		free(filter->columns[i].text);
	}
	free(filter);
}

size_t gm_key_filter_bytes(const struct gm_key_filter *filter)
{
	return filter->bytes;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static int compare(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	uint32_t n = a_len < b_len ? a_len : b_len;
	int order = n > 0 ? memcmp(a, b, n) : 0;
	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static bool may_have_string(const struct column *column, const uint8_t *text, uint32_t len)
{
	if (column->has_bounds && (compare(text, len, column->text, column->min_bytes) < 0 ||
	                           compare(text, len, column->text + column->min_bytes, column->max_bytes) > 0))
		return false;
	return column->bloom.words == NULL || gm_bloom_may_have(&column->bloom, XXH64(text, len, 0));
}

static bool may_have_number(const struct column *column, int64_t value)
{
	uint8_t plain[8];
	size_t n = column->narrow ? 4 : 8;
	if (column->has_bounds && (value < column->min || value > column->max)) return false;
	if (column->bloom.words == NULL) return true;
	if (column->narrow && value != (int32_t)value) return false;
	for (size_t i = 0; i < n; i++) plain[i] = (uint8_t)((uint64_t)value >> (8 * i));
	return gm_bloom_may_have(&column->bloom, XXH64(plain, n, 0));
}

bool gm_key_filter_may_have(const struct gm_key_filter *filter, const struct gm_vec_rows *columns, uint32_t row)
{
	for (size_t i = 0; i < filter->column_count; i++) {
		const struct gm_vec *vec = columns[i].vec;
		uint32_t at = columns[i].first + row, len;
		switch (vec->repr) {
		case GM_REPR_DICT:
		case GM_REPR_PLAIN: {
			const uint8_t *text = gm_vec_string(vec, at, &len);
			if (!may_have_string(&filter->columns[i], text, len)) return false;
			break;
		}
		case GM_REPR_I64:
			if (!may_have_number(&filter->columns[i], vec->i64[at])) return false;
			break;
		default: break;
		}
	}
	return true;
}
