/* writer.h - writes Parquet files. What the bytes look like is described at the head of writer.c.
 *
 * The caller hands over whole row groups: for each leaf column the slices that hold its rows, in order. The bytes
 * depend on the values alone: not on how rows are cut into slices, on representation (dictionary or plain), or on
 * threads. Encoding a column is separate from appending it to the file, so that columns can be encoded on several
 * threads. */
#ifndef GM_PARQUET_WRITER_H
#define GM_PARQUET_WRITER_H

#include "column/vec.h"

/* How values are encoded. STANDARD: PLAIN and dictionaries, which every reader knows. COMPACT: the delta encodings too,
 * and dictionaries in an order and of a size that make files smaller. */
enum gm_parquet_profile { GM_PROFILE_STANDARD, GM_PROFILE_COMPACT };

enum gm_codec { GM_CODEC_NONE, GM_CODEC_SNAPPY, GM_CODEC_ZSTD };

/* A node of the schema in depth-first order, as in the format. A flat table is a list of leaves with children == 0. */
enum gm_parquet_repetition { GM_REQUIRED, GM_OPTIONAL, GM_REPEATED };
enum gm_parquet_logical { GM_LOGICAL_NONE, GM_LOGICAL_LIST, GM_LOGICAL_MAP };
struct gm_parquet_node {
	const char *name;
	enum gm_parquet_repetition repetition;
	enum gm_type type;               /* of a leaf */
	enum gm_parquet_logical logical; /* of a group */
	int children;                    /* 0: a leaf */
	bool bloom;                      /* of a leaf: a bloom filter per column chunk */
};

struct gm_parquet_options {
	enum gm_codec codec;
	int level; /* of zstd */
	enum gm_parquet_profile profile;
	uint32_t page_rows;     /* 20000 */
	uint32_t page_bytes;    /* 1 MiB, of encoded values before compression */
	uint32_t dict_bytes;    /* 1 MiB, compact 8 MiB: a larger dictionary page is not written */
	const char *created_by; /* must parse as "name version 1.2.3 (build x)" */
};

/* Levels of nested columns: one per value slot; NULL slices of levels mean a flat column, whose definition levels
 * follow from its nulls. */
struct gm_parquet_levels {
	const uint8_t *definition, *repetition;
	uint64_t count;
};
struct gm_parquet_column_data {
	const struct gm_slice *slices;
	size_t slice_count;
	struct gm_parquet_levels levels; /* count 0 for flat columns; else the slices hold only defined values, one per slot
	                                    with the maximum definition level */
};

struct gm_parquet_encoder;      /* scratch of one thread: reused, so that encoding allocates nothing once warm */
struct gm_parquet_column_chunk; /* one encoded column of one row group */
struct gm_parquet_writer;

/* Receives the file's bytes in order. */
typedef enum gm_code gm_sink_fn(void *context, const void *data, size_t bytes, struct gm_error *err);

/* Facts of a finished file; strings and arrays live as long as the writer. */
struct gm_parquet_column_stats {
	bool has_bounds; /* false without values, or when a row group's bounds could not be told */
	uint64_t nulls, nans;
	uint64_t values; /* neither null nor NaN */
	struct gm_vec_value {
		int64_t i64;
		double f64;
		const uint8_t *bytes;
		uint32_t len;
		bool exact;
	} min, max; /* strings: at most 256 bytes; if not exact, below resp. above every value */
};
struct gm_parquet_summary {
	uint64_t rows, bytes;
	uint64_t content_hash[2]; /* XXH3-128, high half first, of every byte before the footer: kept in the footer and in
	                             the manifest */
	const struct gm_parquet_column_stats *columns; /* per leaf */
	size_t column_count;
};

enum gm_code gm_parquet_writer_new(const struct gm_parquet_node *nodes, size_t node_count,
                                   const struct gm_parquet_options *options, gm_sink_fn *sink, void *context,
                                   struct gm_parquet_writer **out, struct gm_error *err) GM_CHECK;
/* NULL is allowed. An unfinished file is the sink's owner's to drop. */
void gm_parquet_writer_free(struct gm_parquet_writer *writer);
/* Key-value metadata of the footer; copied. */
enum gm_code gm_parquet_writer_meta(struct gm_parquet_writer *writer, const char *key, const char *value,
                                    struct gm_error *err) GM_CHECK;

/* kept_bytes: how much of what a column's dictionary took is kept for the next one. */
struct gm_parquet_encoder *gm_parquet_encoder_new(size_t kept_bytes);
void gm_parquet_encoder_free(struct gm_parquet_encoder *encoder);
/* Encodes leaf number `leaf` of one row group. Only reads the writer, so different columns may run at once. */
enum gm_code gm_parquet_encode(struct gm_parquet_encoder *encoder, const struct gm_parquet_writer *writer, size_t leaf,
                               const struct gm_parquet_column_data *data, struct gm_parquet_column_chunk **out,
                               struct gm_error *err) GM_CHECK;
void gm_parquet_column_chunk_free(struct gm_parquet_column_chunk *chunk);
/* Appends a row group of all leaves in order; takes and frees the chunks, also on failure. After a failure the file is
 * lost: only gm_parquet_writer_free is left. A group of no rows is left out. */
enum gm_code gm_parquet_append(struct gm_parquet_writer *writer, uint64_t rows, struct gm_parquet_column_chunk **chunks,
                               struct gm_error *err) GM_CHECK;
/* Bytes given to the sink so far. */
uint64_t gm_parquet_bytes(const struct gm_parquet_writer *writer);
/* Page index and footer (bloom filters went out with their row groups). */
enum gm_code gm_parquet_finish(struct gm_parquet_writer *writer, struct gm_parquet_summary *summary,
                               struct gm_error *err) GM_CHECK;

#endif
