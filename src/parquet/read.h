/* read.h - a file being read: what its footer says, in the form that columns are opened from. Private to the reader.
 *
 * footer.c's counterpart is read_footer.c: metadata to this. read_schema.c makes leaves of the schema, read_stats.c
 * bounds of statistics. read_page.c gives the pages of a column chunk, decompressed; decode.c takes encoded numbers
 * apart; read_values.c makes values of them; read_column.c joins levels and values to batches. */
#ifndef GM_PARQUET_READ_H
#define GM_PARQUET_READ_H

#include "parquet/format.h"
#include "parquet/reader.h"
#include "parquet/thrift_read.h"

enum {
	GM_READ_DEPTH = 64,  /* of nested columns */
	GM_READ_SLACK = 32,  /* bytes behind a page's body that decoders may read, never believe */
	GM_READ_MAGIC = 4,   /* "PAR1" */
	GM_READ_TRAILER = 8, /* length of the footer, "PAR1" */
};

/* How stored values become those of a batch. */
enum gm_read_kind {
	GM_READ_REFUSED,
	GM_READ_BOOLEAN,
	GM_READ_INT32,
	GM_READ_UINT32, /* of 8, 16 or 32 bits */
	GM_READ_INT64,  /* timestamps in microseconds too */
	GM_READ_UINT64,
	GM_READ_MILLIS,
	GM_READ_NANOS,
	GM_READ_INT96,
	GM_READ_FLOAT,
	GM_READ_DOUBLE,
	GM_READ_STRING,
};

/* Where a column chunk lies. */
struct gm_read_chunk {
	uint64_t start, end; /* of its pages */
	int32_t codec;
	uint32_t bloom_bytes; /* of its bloom filter with the header; 0: not told */
	bool elsewhere;       /* in another file */
};
struct gm_read_meta {
	const char *key, *value;
	struct gm_read_meta *next;
};
struct gm_parquet_reader {
	struct gm_parquet_input input;
	size_t memory_bytes;
	struct gm_arena arena; /* everything below */
	size_t footer_bytes;
	uint64_t footer_start;
	const uint8_t *footer;
	const uint8_t *tail; /* the end of the file, which is not read again */
	uint64_t tail_start;
	struct gm_parquet_file_info info;
	const enum gm_read_kind *kinds;      /* per leaf */
	const struct gm_read_chunk **chunks; /* per group, per leaf */
	struct gm_read_meta *meta;
};

/* CORRUPT at a byte of the file. */
enum gm_code gm_read_corrupt(struct gm_error *err, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Memory of the footer's arena, zeroed; UNSUPPORTED when the footer takes more than the reader may. */
enum gm_code gm_read_alloc(struct gm_parquet_reader *reader, size_t count, size_t size, void *out,
                           struct gm_error *err) GM_CHECK;
/* A copy of a string of the metadata, which ends at a NUL that it might hold. */
enum gm_code gm_read_text(struct gm_parquet_reader *reader, struct gm_bytes bytes, const char **out,
                          struct gm_error *err) GM_CHECK;
/* Bytes of the file; CORRUPT when they do not lie in it. */
enum gm_code gm_read_bytes(const struct gm_parquet_reader *reader, uint64_t offset, void *into, size_t bytes,
                           struct gm_error *err) GM_CHECK;

/* read_footer.c: fills info, chunks and meta from the footer's bytes. */
enum gm_code gm_read_footer(struct gm_parquet_reader *reader, struct gm_error *err) GM_CHECK;
/* read_schema.c: the leaves of the list of schema elements that comes next in the metadata. */
enum gm_code gm_read_schema(struct gm_parquet_reader *reader, struct gm_thrift_in *in,
                            const struct gm_thrift_field *field, struct gm_error *err) GM_CHECK;

/* read_stats.c: the statistics of a column chunk. */
struct gm_read_stats {
	struct gm_bytes old_max, old_min, max, min;
	bool has_nulls;
	int64_t nulls;
};
void gm_read_stats(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct gm_read_stats *out);
/* Fills what chunk->values allows to say about nulls and bounds. order: gm_format_column_order; 0: not told. */
enum gm_code gm_read_bounds(struct gm_parquet_reader *reader, size_t leaf, const struct gm_read_stats *stats, int order,
                            struct gm_parquet_chunk_info *chunk, struct gm_error *err) GM_CHECK;

/* Converts 64-bit numbers in place as their kind needs; UNSUPPORTED at the first that has no place in the type. */
enum gm_code gm_read_convert(enum gm_read_kind kind, int64_t *numbers, size_t count, struct gm_error *err) GM_CHECK;
/* An INT96 in microseconds; false: out of their range. */
bool gm_read_int96(const uint8_t *bytes, int64_t *out);
/* "GZIP", "RLE_DICTIONARY", ...; NULL: not in the format. */
const char *gm_read_codec_name(int32_t codec);
const char *gm_read_encoding_name(int32_t encoding);

#endif
