/* read_help.h - a file in memory for the reader, and everything in it touched. */
#ifndef GM_TEST_PARQUET_READ_HELP_H
#define GM_TEST_PARQUET_READ_HELP_H

#include "model.h"
#include "parquet/reader.h"

/* Set `data` and `bytes`; the rest is counted, or fails when asked to. */
struct memory_file {
	const uint8_t *data;
	uint64_t bytes, reads, fail_at; /* the read with this number fails, counting from 1; 0: none */
};
struct gm_parquet_input memory_input(struct memory_file *file);

/* Reads every batch of every column, and each byte of every value. What was seen is summed up in *sum, so that
 * nothing is optimized away. Stops at the first failure, except UNSUPPORTED types. */
enum gm_code read_everything(const struct gm_parquet_input *input, size_t memory_bytes, uint32_t max_slots,
                             uint64_t *sum, struct gm_error *err);
enum gm_code read_column(const struct gm_parquet_reader *reader, size_t group, size_t leaf, uint32_t max_slots,
                         uint64_t *sum, struct gm_error *err);

#endif
