/* encode.h - Parquet's RLE / bit-packing hybrid.
 *
 * A sequence of runs. Each starts with a varint: (count << 1) and the value in ceil(width / 8) bytes for a repeated
 * value, or (groups << 1 | 1) and groups * width bytes holding eight values each, the first value in the lowest bits.
 * The last group is filled up with zeros; how many values there really are, the page header says. */
#ifndef GM_PARQUET_ENCODE_H
#define GM_PARQUET_ENCODE_H

#include <stddef.h>
#include <stdint.h>

/* Bits to hold values 0 .. max; 0 for max 0. */
unsigned gm_bit_width(uint32_t max);

/* Most bytes that encoding n values may touch (a little more than they may take). */
size_t gm_hybrid_bound(size_t n, unsigned width);
/* Both return the end of what they wrote; width is 1 .. 32, of bytes 1 .. 8, and every value fits it. What they write
 * is the same; bytes are faster. */
uint8_t *gm_hybrid_encode(uint8_t *out, const uint32_t *values, size_t n, unsigned width);
uint8_t *gm_hybrid_encode_bytes(uint8_t *out, const uint8_t *values, size_t n, unsigned width);
/* One run of n equal values. */
uint8_t *gm_hybrid_encode_run(uint8_t *out, uint32_t value, size_t n, unsigned width);

/* PLAIN booleans: one bit each, from bytes that are 0 or 1. May touch 8 bytes behind the end. */
uint8_t *gm_pack_booleans(uint8_t *out, const uint8_t *values, size_t n);

#endif
