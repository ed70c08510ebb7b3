#include "read_help.h"

#include <xxhash.h>

static enum gm_code read_memory(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	struct memory_file *file = context;
	if (offset > file->bytes || bytes > file->bytes - offset)
		return gm_error_set(err, GM_BUG, "%zu bytes at %llu of %llu are asked for", bytes, (unsigned long long)offset,
		                    (unsigned long long)file->bytes);
	if (++file->reads == file->fail_at) return gm_error_set(err, GM_IO, "this read fails");
	memcpy(into, file->data + offset, bytes);
	return GM_OK;
}

struct gm_parquet_input memory_input(struct memory_file *file)
{
	return (struct gm_parquet_input){.read = read_memory, .context = file, .bytes = file->bytes};
}

static uint64_t sum_vec(const struct gm_vec *vec, uint32_t rows, uint64_t sum)
{
	for (uint32_t row = 0; row < rows; row++) {
		uint32_t len;
		if (gm_vec_is_null(vec, row)) {
			sum++;
			continue;
		}
		switch (vec->repr) {
		case GM_REPR_BOOL: sum = XXH64(&vec->boolean[row], 1, sum); break;
		case GM_REPR_I64: sum = XXH64(&vec->i64[row], sizeof vec->i64[row], sum); break;
		case GM_REPR_F64: sum = XXH64(&vec->f64[row], sizeof vec->f64[row], sum); break;
		default: {
			const uint8_t *bytes = gm_vec_string(vec, row, &len);
			sum = XXH64(bytes, len, sum);
		}
		}
	}
	return sum;
}

/* What must hold of any batch, however damaged the file. */
static bool batch_is_sound(const struct gm_parquet_leaf *leaf, const struct gm_parquet_batch *batch, uint32_t max_slots)
{
	uint32_t values = 0;
	if (batch->slots > max_slots || batch->values > batch->slots || batch->vec.type != leaf->type) return false;
	bool flat = leaf->max_repetition == 0 && leaf->max_definition <= 1;
	if (batch->slots == 0) return batch->values == 0;
	if (flat != (batch->definition == NULL) || flat != (batch->repetition == NULL)) return false;
	for (uint32_t i = 0; i < batch->slots; i++) {
		if (flat) {
			values += !gm_vec_is_null(&batch->vec, i);
			continue;
		}
		if (batch->definition[i] > leaf->max_definition || batch->repetition[i] > leaf->max_repetition) return false;
		values += batch->definition[i] == leaf->max_definition;
	}
	return values == batch->values;
}

enum gm_code read_column(const struct gm_parquet_reader *reader, size_t group, size_t leaf, uint32_t max_slots,
                         uint64_t *sum, struct gm_error *err)
{
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	struct gm_parquet_column_reader *column;
	struct gm_parquet_batch batch = {0};
	uint64_t slots = 0;
	GM_TRY(gm_parquet_column_open(reader, group, leaf, &column, err));
	enum gm_code rc;
	do {
		rc = gm_parquet_column_next(column, max_slots, &batch, err);
		if (rc != GM_OK) break;
		if (!batch_is_sound(&info->leaves[leaf], &batch, max_slots)) {
			rc = gm_error_set(err, GM_BUG, "a batch contradicts itself");
			break;
		}
		*sum = sum_vec(&batch.vec, batch.definition != NULL ? batch.values : batch.slots, *sum);
		slots += batch.slots;
	} while (batch.slots > 0 && slots < 1000000);
	gm_parquet_column_close(column);
	return rc;
}

enum gm_code read_everything(const struct gm_parquet_input *input, size_t memory_bytes, uint32_t max_slots,
                             uint64_t *sum, struct gm_error *err)
{
	struct gm_parquet_reader *reader;
	enum gm_code rc = gm_parquet_reader_open(input, memory_bytes, &reader, err);
	if (rc != GM_OK) return rc;
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	for (size_t g = 0; g < info->group_count && rc == GM_OK; g++) {
		for (size_t i = 0; i < info->leaf_count && rc == GM_OK; i++) {
			const struct gm_parquet_chunk_info *chunk = &info->groups[g].chunks[i];
			struct gm_bloom bloom;
			if (chunk->has_bounds) {
				*sum = XXH64(chunk->min, chunk->min_bytes, *sum);
				*sum = XXH64(chunk->max, chunk->max_bytes, *sum);
			}
			rc = gm_parquet_bloom_read(reader, g, i, &bloom, err);
			if (rc == GM_OK) *sum += gm_bloom_may_have(&bloom, *sum);
			if (rc == GM_OK) gm_bloom_release(&bloom);
			if (rc == GM_OK || rc == GM_NOT_FOUND || rc == GM_UNSUPPORTED)
				rc = read_column(reader, g, i, max_slots, sum, err);
			if (rc == GM_UNSUPPORTED) rc = GM_OK;
		}
	}
	gm_parquet_reader_free(reader);
	return rc;
}
