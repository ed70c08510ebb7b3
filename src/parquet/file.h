/* file.h - a file being written: what gm_parquet_encode reads and gm_parquet_append changes. */
#ifndef GM_PARQUET_FILE_H
#define GM_PARQUET_FILE_H

#include "parquet/chunk.h"
#include "parquet/schema.h"

/* What the footer says about a column chunk. Offsets are the file's. */
struct gm_file_chunk {
	uint64_t start; /* of the first page */
	enum gm_format_encoding encoding;
	uint64_t dictionary_bytes, uncompressed_bytes, compressed_bytes;
	uint64_t slots, nulls, nans;
	uint64_t bloom_start;
	uint32_t bloom_bytes; /* 0: none */
	uint32_t pages;
	uint32_t column_index_bytes; /* 0: none; in the order of chunks, one behind the other */
	uint32_t offset_index_bytes;
	bool has_bounds, min_exact, max_exact;
	uint32_t min_len, max_len;
	const uint8_t *min, *max;
};
struct gm_file_group {
	uint64_t rows;
	struct gm_file_chunk *chunks; /* per leaf */
};
struct gm_file_meta {
	const char *key, *value;
	struct gm_file_meta *next;
};

struct gm_parquet_writer {
	struct gm_parquet_options options;
	struct gm_schema schema;
	struct gm_arena arena; /* everything that is kept for the footer */
	gm_sink_fn *sink;
	void *context;
	void *hash; /* XXH3_state_t */
	uint64_t bytes, rows;
	bool failed, finished;
	struct gm_file_group *groups;
	size_t group_count, group_cap;
	struct gm_buf column_indexes, offset_indexes;
	struct gm_file_meta *meta, **meta_end;
	struct gm_parquet_column_stats *stats; /* per leaf, of the whole file */
};

/* index.c: serialize the indexes of a chunk that begins at byte `start` of the file. A chunk whose bounds cannot all be
 * told gets no column index: *bytes is 0. */
enum gm_code gm_index_write_columns(const struct gm_parquet_column_chunk *chunk, enum gm_type type, struct gm_buf *out,
                                    uint32_t *bytes, struct gm_error *err) GM_CHECK;
enum gm_code gm_index_write_offsets(const struct gm_parquet_column_chunk *chunk, uint64_t start, struct gm_buf *out,
                                    uint32_t *bytes, struct gm_error *err) GM_CHECK;
/* footer.c: the FileMetaData, for page indexes that begin at the given bytes of the file. */
enum gm_code gm_footer_write(const struct gm_parquet_writer *writer, uint64_t column_indexes, uint64_t offset_indexes,
                             struct gm_buf *out, struct gm_error *err) GM_CHECK;
/* The header of a bloom filter. */
enum gm_code gm_footer_write_bloom_header(uint32_t bytes, struct gm_buf *out, struct gm_error *err) GM_CHECK;

#endif
