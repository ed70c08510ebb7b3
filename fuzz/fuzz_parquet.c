/* fuzz_parquet.c - any bytes as a Parquet file: the footer, every bloom filter, every column of every row group, in
 * batches of two sizes. What is read does not depend on the size of a batch.
 *
 * Corpus: tests/vectors/parquet-testing/data, tests/vectors/parquet-testing/bad_data. */
#include "parquet/reader.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MEMORY = 16 << 20,
	COLUMNS_MAX = 100,  /* of a file: tiny footers can tell thousands */
	SLOTS_MAX = 100000, /* of a column: few bytes can stand for billions */
};

struct bytes {
	const uint8_t *data;
	size_t n;
};

static enum gm_code give(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	(void)err;
	struct bytes *all = context;
	if (offset > all->n || bytes > all->n - offset) abort(); /* the reader promises to ask for nothing else */
	memcpy(into, all->data + offset, bytes);
	return GM_OK;
}

/* A failure that a file can cause, with a place in it if it is damage. */
static void check_failure(enum gm_code rc, const struct gm_error *err, size_t size)
{
	if (rc != GM_CORRUPT && rc != GM_UNSUPPORTED) abort();
	if (rc == GM_CORRUPT && err->offset > size) abort();
	if (err->message[0] == '\0') abort();
}

static uint64_t add(uint64_t sum, const void *bytes, size_t n)
{
	return XXH64(bytes, n, sum);
}

static uint64_t add_value(uint64_t sum, const struct gm_vec *vec, uint32_t row)
{
	uint32_t len;
	switch (vec->repr) {
	case GM_REPR_BOOL: return add(sum, &vec->boolean[row], 1);
	case GM_REPR_I64: return add(sum, &vec->i64[row], sizeof vec->i64[row]);
	case GM_REPR_F64: return add(sum, &vec->f64[row], sizeof vec->f64[row]);
	case GM_REPR_NULL: abort();
	default: break;
	}
	const uint8_t *bytes = gm_vec_string(vec, row, &len);
	return add(sum, bytes, len);
}

static uint64_t add_batch(uint64_t sum, const struct gm_parquet_leaf *leaf, const struct gm_parquet_batch *batch)
{
	uint32_t value = 0;
	for (uint32_t i = 0; i < batch->slots; i++) {
		bool defined =
		    batch->definition != NULL ? batch->definition[i] == leaf->max_definition : !gm_vec_is_null(&batch->vec, i);
		if (batch->definition != NULL) {
			if (batch->definition[i] > leaf->max_definition || batch->repetition[i] > leaf->max_repetition) abort();
			sum = add(sum, &batch->definition[i], 1);
			sum = add(sum, &batch->repetition[i], 1);
		}
		if (defined) sum = add_value(sum, &batch->vec, batch->definition != NULL ? value : i);
		value += defined;
		sum++;
	}
	if (value != batch->values) abort();
	return sum;
}

/* The columns up to *slots of them; *slots becomes what was read without failure. */
static uint64_t read_column(const struct gm_parquet_reader *reader, size_t group, size_t leaf, uint32_t max_slots,
                            uint64_t *slots, size_t size)
{
	struct gm_parquet_column_reader *column;
	struct gm_parquet_batch batch;
	struct gm_error err;
	uint64_t sum = 0, most = *slots;
	*slots = 0;
	enum gm_code rc = gm_parquet_column_open(reader, group, leaf, &column, &err);
	while (rc == GM_OK && *slots < most) {
		uint32_t ask = most - *slots < max_slots ? (uint32_t)(most - *slots) : max_slots;
		rc = gm_parquet_column_next(column, ask, &batch, &err);
		if (batch.slots > ask) abort();
		if (rc != GM_OK || batch.slots == 0) break;
		sum = add_batch(sum, &gm_parquet_reader_info(reader)->leaves[leaf], &batch);
		*slots += batch.slots;
	}
	if (rc != GM_OK) check_failure(rc, &err, size);
	gm_parquet_column_close(column);
	return sum;
}

static void read_chunk(const struct gm_parquet_reader *reader, size_t group, size_t leaf, size_t size)
{
	struct gm_bloom bloom;
	struct gm_error err;
	enum gm_code rc = gm_parquet_bloom_read(reader, group, leaf, &bloom, &err);
	if (rc == GM_OK) {
		(void)gm_bloom_may_have(&bloom, size * UINT64_C(0x9E3779B97F4A7C15));
		gm_bloom_release(&bloom);
	} else if (rc != GM_NOT_FOUND) {
		check_failure(rc, &err, size);
	}
	/* A failure may come earlier in large batches: so much as small ones give, large ones must. */
	uint64_t large = SLOTS_MAX;
	(void)read_column(reader, group, leaf, SLOTS_MAX, &large, size);
	uint64_t small = large, again = large;
	uint64_t first = read_column(reader, group, leaf, SLOTS_MAX, &again, size);
	uint64_t second = read_column(reader, group, leaf, 7, &small, size);
	if (again != large || small != large || first != second) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes all = {data, size};
	struct gm_parquet_input input = {give, &all, size};
	struct gm_parquet_reader *reader;
	struct gm_error err;
	enum gm_code rc = gm_parquet_reader_open(&input, MEMORY, &reader, &err);
	if (rc != GM_OK) {
		check_failure(rc, &err, size);
		return 0;
	}
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	size_t columns = 0;
	for (size_t g = 0; g < info->group_count; g++) {
		for (size_t i = 0; i < info->leaf_count && columns < COLUMNS_MAX; i++, columns++) {
			const struct gm_parquet_chunk_info *chunk = &info->groups[g].chunks[i];
			if (chunk->has_bounds) (void)add(add(0, chunk->min, chunk->min_bytes), chunk->max, chunk->max_bytes);
			read_chunk(reader, g, i, size);
		}
	}
	gm_parquet_reader_free(reader);
	return 0;
}
