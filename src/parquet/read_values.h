/* read_values.h - the values of a page, in any encoding, as arrays of a vec. Nulls are not among them. */
#ifndef GM_PARQUET_READ_VALUES_H
#define GM_PARQUET_READ_VALUES_H

#include "parquet/decode.h"
#include "parquet/read_page.h"

/* The dictionary of a column chunk. */
struct gm_dictionary_in {
	bool loaded;
	uint32_t entries;
	struct gm_dict *strings;
	struct gm_buf codes;   /* u32 per entry, of strings */
	struct gm_buf numbers; /* i64 or double per entry */
};
void gm_dictionary_init(struct gm_dictionary_in *dictionary, size_t memory_bytes);
void gm_dictionary_release(struct gm_dictionary_in *dictionary);
enum gm_code gm_dictionary_load(struct gm_dictionary_in *dictionary, enum gm_read_kind kind,
                                const struct gm_page_in *page, size_t memory_bytes, struct gm_error *err) GM_CHECK;

/* Where reading the values of a page stands. */
struct gm_values_in {
	enum gm_read_kind kind;
	int32_t encoding;
	bool none; /* the page has no bytes of values */
	const struct gm_dictionary_in *dictionary;
	const uint8_t *at, *end;     /* PLAIN values; the bytes of strings with lengths apart */
	uint64_t position;           /* PLAIN booleans, BYTE_STREAM_SPLIT: values behind us */
	size_t count;                /* BYTE_STREAM_SPLIT: values */
	struct gm_hybrid_in hybrid;  /* indices, booleans */
	struct gm_diffs_in delta;    /* numbers, lengths; DELTA_BYTE_ARRAY: lengths of suffixes */
	struct gm_diffs_in prefixes; /* DELTA_BYTE_ARRAY */
	struct gm_buf previous;      /* DELTA_BYTE_ARRAY: the last value of the batch before */
};
/* The arrays that values are put into, reused from batch to batch. */
struct gm_values_out {
	struct gm_buf wide;   /* i64, double */
	struct gm_buf narrow; /* codes, ends */
	struct gm_buf flags;  /* booleans */
	struct gm_buf bytes;  /* of strings; not used where they lie in the page side by side */
};

void gm_values_init(struct gm_values_in *values, enum gm_read_kind kind, size_t memory_bytes);
void gm_values_release(struct gm_values_in *values);
void gm_values_out_init(struct gm_values_out *out, size_t memory_bytes);
void gm_values_out_release(struct gm_values_out *out);

/* Starts a page. */
enum gm_code gm_values_open(struct gm_values_in *values, const struct gm_dictionary_in *dictionary, int32_t encoding,
                            struct gm_page_part part, struct gm_error *err) GM_CHECK;
/* How many of the next n values may be read at once without their bytes becoming more than the limit; at least 1. */
size_t gm_values_fit(const struct gm_values_in *values, size_t n, size_t limit_bytes);
/* The next n values, into the first n places of arrays for `slots`; vec gets the representation. */
enum gm_code gm_values_read(struct gm_values_in *values, struct gm_values_out *out, size_t n, size_t slots,
                            struct gm_vec *vec, struct gm_error *err) GM_CHECK;
/* The page is done: CORRUPT when it has values that nobody asked for. */
enum gm_code gm_values_finish(const struct gm_values_in *values, struct gm_error *err) GM_CHECK;

#endif
