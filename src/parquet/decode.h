/* decode.h - takes encoded numbers apart: the counterpart of encode.h, for any writer's bytes.
 *
 * Each decoder is a place in a run of bytes and gives numbers until these end; nothing is allocated. GM_READ_SLACK
 * bytes behind the end must be readable: they are loaded by whole words, and never believed. */
#ifndef GM_PARQUET_DECODE_H
#define GM_PARQUET_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The RLE / bit-packing hybrid; or, of levels in old files, nothing but packed values, the first in the highest bits
 * (BIT_PACKED). */
struct gm_hybrid_in {
	const uint8_t *at, *end;
	unsigned width; /* 0 .. 32 */
	bool packed;    /* the current run is, else it repeats `value` */
	bool high_first;
	uint32_t value;
	uint64_t left; /* values of the current run */
	uint64_t bit;  /* of a packed run: where its next value begins, from `at` on */
};
void gm_hybrid_open(struct gm_hybrid_in *in, const uint8_t *bytes, size_t n, unsigned width);
void gm_hybrid_open_bit_packed(struct gm_hybrid_in *in, const uint8_t *bytes, size_t n, unsigned width);
/* The next n values; fewer are returned where the bytes end or make no sense. */
size_t gm_hybrid_read(struct gm_hybrid_in *in, uint32_t *out, size_t n);
/* The same for widths up to 8. */
size_t gm_hybrid_read_levels(struct gm_hybrid_in *in, uint8_t *out, size_t n);

/* DELTA_BINARY_PACKED: a header (varints: values of a block, miniblocks of a block, number of values, zigzag first
 * value), then blocks: zigzag least difference, a byte of width for each miniblock, the miniblocks. Each holds,
 * bit-packed, the differences of neighbours less the least one. All sums wrap around. */
struct gm_diffs_in {
	const uint8_t *at, *end;
	uint64_t left; /* values still to come */
	uint64_t last; /* the value given last, modulo 2^64 */
	bool first;    /* `last` has not been given yet */
	uint32_t miniblock_values, miniblocks;
	const uint8_t *widths; /* of this block */
	uint32_t miniblock;    /* of this block */
	uint64_t least;
	unsigned width;
	uint32_t miniblock_left; /* values */
	uint64_t bit;            /* of the next value, from `packed` on */
	const uint8_t *packed;
};
/* False: the header makes no sense. */
bool gm_diffs_open(struct gm_diffs_in *in, const uint8_t *bytes, size_t n);
/* The next n; fewer where they end. Of INT32 columns the low 32 bits count. */
size_t gm_diffs_read(struct gm_diffs_in *in, int64_t *out, size_t n);
/* Where the bytes of a freshly opened decoder end, and others' begin; NULL: beyond `end`. */
const uint8_t *gm_diffs_end(const struct gm_diffs_in *in);

/* PLAIN booleans: n bytes that are 0 or 1, from bit number `from` on. */
void gm_unpack_booleans(const uint8_t *bits, uint64_t from, uint8_t *out, size_t n);
/* BYTE_STREAM_SPLIT: values from .. from + n of `count`, each `size` bytes. */
void gm_join_streams(const uint8_t *streams, size_t count, size_t size, size_t from, uint8_t *out, size_t n);

#endif
