/* reader.h - reads Parquet files, ours and those of others: for duplicates, checkpoints of the log, and proof.
 *
 * The input is hostile: no size, count, offset or index in it is believed before it is checked, and nothing is
 * allocated on its word alone. What the format allows and this reader does not know is refused by name (UNSUPPORTED);
 * what the format does not allow is CORRUPT, with the offset. A column chunk is read batch by batch, in memory that
 * depends on its largest page and on the size of the batch asked for, not on the chunk: the page as stored, the page
 * decompressed, the dictionary, the batch. docs/parquet.md lists what is read and what is refused. */
#ifndef GM_PARQUET_READER_H
#define GM_PARQUET_READER_H

#include "column/vec.h"
#include "parquet/bloom.h"

/* Where a file's bytes come from. */
struct gm_parquet_input {
	/* Exactly `bytes` bytes at offset, which lie within the file; CORRUPT or the store's failure otherwise. Called by
	 * every thread that reads. */
	enum gm_code (*read)(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err);
	void *context;
	uint64_t bytes; /* of the file */
};

enum gm_parquet_physical {
	GM_PHYSICAL_BOOLEAN,
	GM_PHYSICAL_INT32,
	GM_PHYSICAL_INT64,
	GM_PHYSICAL_INT96,
	GM_PHYSICAL_FLOAT,
	GM_PHYSICAL_DOUBLE,
	GM_PHYSICAL_BYTE_ARRAY,
	GM_PHYSICAL_FIXED,
};
struct gm_parquet_leaf {
	const char *const *path; /* names from below the root down to the leaf */
	uint8_t depth, max_definition, max_repetition;
	enum gm_parquet_physical physical;
	/* The type that batches of this leaf have: timestamps of any unit and INT96 become microseconds, all integers 64
	 * bits, FLOAT a double, BYTE_ARRAY of whatever annotation a string of its bytes. readable false: it has none
	 * here, and gm_parquet_column_open refuses it. */
	bool readable;
	enum gm_type type;
	/* The PLAIN form that the file stores is that of the type here, with nothing converted: what was hashed for bloom
	 * filters is then known. */
	bool as_stored;
	const char *described; /* "INT64 (TIMESTAMP(NANOS))": for messages */
};
/* What the footer says about a column chunk; checked for sense, not for truth. */
struct gm_parquet_chunk_info {
	uint64_t values; /* nulls included */
	uint64_t compressed_bytes, uncompressed_bytes;
	bool has_nulls, has_bounds; /* are the next ones told? bounds only where the order is defined */
	uint64_t nulls;
	/* In the PLAIN form of the leaf's type, whatever the file stores: 4 bytes for int and date, 8 for bigint, timestamp
	 * and double, 1 for boolean; a string without its length, perhaps cut. NaN is never a bound, but may be a value. */
	const uint8_t *min, *max;
	uint32_t min_bytes, max_bytes;
	uint64_t bloom_offset; /* 0: no bloom filter */
};
struct gm_parquet_group_info {
	uint64_t rows;
	const struct gm_parquet_chunk_info *chunks; /* per leaf */
};
struct gm_parquet_file_info {
	uint64_t rows;
	const struct gm_parquet_leaf *leaves;
	size_t leaf_count;
	const struct gm_parquet_group_info *groups;
	size_t group_count;
	const char *created_by; /* "" if not told */
};

struct gm_parquet_reader; /* a file's footer; may be read by several threads, which each open their own columns */

/* Reads and checks the footer. memory_bytes bounds what it, a page, or a bloom filter may take: more is refused with
 * UNSUPPORTED, naming the size. CORRUPT: not a Parquet file, or damaged. */
enum gm_code gm_parquet_reader_open(const struct gm_parquet_input *input, size_t memory_bytes,
                                    struct gm_parquet_reader **out, struct gm_error *err) GM_CHECK;
void gm_parquet_reader_free(struct gm_parquet_reader *reader); /* NULL is allowed */
const struct gm_parquet_file_info *gm_parquet_reader_info(const struct gm_parquet_reader *reader);
/* The leaf with this path; SIZE_MAX: none. Names are compared byte by byte. */
size_t gm_parquet_reader_find(const struct gm_parquet_reader *reader, const char *const *path, size_t depth);
/* A value of the footer's key-value metadata; NULL: none. */
const char *gm_parquet_reader_meta(const struct gm_parquet_reader *reader, const char *key);

/* Some slots of a column, in order. Flat columns: vec has one row per slot, nulls included, and the level arrays are
 * NULL. Nested columns (max_repetition > 0, or max_definition > 1): `definition` and `repetition` have `slots` levels,
 * and vec has only the `values` that are defined. Strings are PLAIN or DICT. All of it lives until the next call. */
struct gm_parquet_batch {
	struct gm_vec vec;
	uint32_t slots, values;
	const uint8_t *definition, *repetition;
};
struct gm_parquet_column_reader;
enum gm_code gm_parquet_column_open(const struct gm_parquet_reader *reader, size_t group, size_t leaf,
                                    struct gm_parquet_column_reader **out, struct gm_error *err) GM_CHECK;
/* At most max_slots of the next, often fewer: a batch ends where a page does. batch->slots 0: the end, where everything
 * that the footer told of the chunk's size has proved true. After a failure only closing is left. */
enum gm_code gm_parquet_column_next(struct gm_parquet_column_reader *column, uint32_t max_slots,
                                    struct gm_parquet_batch *batch, struct gm_error *err) GM_CHECK;
void gm_parquet_column_close(struct gm_parquet_column_reader *column); /* NULL is allowed */

/* The bloom filter of a column chunk, freed with gm_bloom_release; NOT_FOUND: it has none. */
enum gm_code gm_parquet_bloom_read(const struct gm_parquet_reader *reader, size_t group, size_t leaf,
                                   struct gm_bloom *bloom, struct gm_error *err) GM_CHECK;

#endif
