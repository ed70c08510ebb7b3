/* decompress.c - codecs of Parquet pages.
 *
 * All but one are streams of their libraries. LZ4 (not LZ4_RAW) is what Hadoop writes: blocks of [u32 length
 * decompressed] and then pieces of [u32 length][LZ4 block] that make up that length, all big-endian. Some writers put a
 * bare LZ4 block under the same name, which is what everything is taken for that does not add up as frames. GZIP is any
 * number of members, or a zlib stream, one after the other. */
#include "parquet/decompress.h"
#include "parquet/format.h"
#include "parquet/read.h"

#include <brotli/decode.h>
#include <isa-l/igzip_lib.h>
#include <lz4.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

void gm_decompressor_release(struct gm_decompressor *decompressor)
{
	(void)ZSTD_freeDCtx(decompressor->zstd);
	free(decompressor->gzip);
	*decompressor = (struct gm_decompressor){0};
}

const char *gm_read_codec_name(int32_t codec)
{
	static const char *const names[] = {"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW"};
	return codec >= 0 && (size_t)codec < sizeof names / sizeof names[0] ? names[codec] : NULL;
}

enum gm_code gm_decompress_check(int32_t codec, struct gm_error *err)
{
	const char *name = gm_read_codec_name(codec);
	if (name == NULL) GM_FAIL(err, GM_UNSUPPORTED, "compression codec %d is not known", codec);
	if (codec == GM_FORMAT_LZO) GM_FAIL(err, GM_UNSUPPORTED, "compression with %s is not supported", name);
	return GM_OK;
}

static enum gm_code wrong(int32_t codec, const char *how, struct gm_error *err)
{
	GM_FAIL(err, GM_CORRUPT, "the page does not decompress as %s: %s", gm_read_codec_name(codec), how);
}

static enum gm_code copy(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes, struct gm_error *err)
{
	if (in_bytes != out_bytes) return wrong(GM_FORMAT_UNCOMPRESSED, "its two sizes differ", err);
	memcpy(out, in, in_bytes);
	return GM_OK;
}

static enum gm_code snappy(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes, struct gm_error *err)
{
	size_t told;
	if (snappy_uncompressed_length((const char *)in, in_bytes, &told) != SNAPPY_OK || told != out_bytes)
		return wrong(GM_FORMAT_SNAPPY, "it tells another size", err);
	if (snappy_uncompress((const char *)in, in_bytes, (char *)out, &told) != SNAPPY_OK || told != out_bytes)
		return wrong(GM_FORMAT_SNAPPY, "the stream is damaged", err);
	return GM_OK;
}

static enum gm_code zstd(struct gm_decompressor *decompressor, const uint8_t *in, size_t in_bytes, uint8_t *out,
                         size_t out_bytes, struct gm_error *err)
{
	if (decompressor->zstd == NULL) decompressor->zstd = ZSTD_createDCtx();
	if (decompressor->zstd == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for zstd");
	size_t got = ZSTD_decompressDCtx(decompressor->zstd, out, out_bytes, in, in_bytes);
	if (ZSTD_isError(got)) {
		if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation) GM_FAIL(err, GM_NOMEM, "out of memory for zstd");
		return wrong(GM_FORMAT_ZSTD, ZSTD_getErrorName(got), err);
	}
	return got == out_bytes ? GM_OK : wrong(GM_FORMAT_ZSTD, "it is shorter than told", err);
}

static enum gm_code gzip(struct gm_decompressor *decompressor, const uint8_t *in, size_t in_bytes, uint8_t *out,
                         size_t out_bytes, struct gm_error *err)
{
	if (decompressor->gzip == NULL) decompressor->gzip = malloc(sizeof(struct inflate_state));
	struct inflate_state *state = decompressor->gzip;
	if (state == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for gzip");
	if (in_bytes > UINT32_MAX || out_bytes > UINT32_MAX) return wrong(GM_FORMAT_GZIP, "it is too large", err);
	uint32_t in_left = (uint32_t)in_bytes, out_left = (uint32_t)out_bytes;
	while (in_left > 0) {
		isal_inflate_init(state);
		state->crc_flag = in[in_bytes - in_left] == 0x1F ? ISAL_GZIP : ISAL_ZLIB;
		state->next_in = (uint8_t *)(uintptr_t)(in + (in_bytes - in_left));
		state->avail_in = in_left;
		state->next_out = out + (out_bytes - out_left);
		state->avail_out = out_left;
		if (isal_inflate(state) != ISAL_DECOMP_OK) return wrong(GM_FORMAT_GZIP, "the stream is damaged", err);
		if (state->block_state != ISAL_BLOCK_FINISH) return wrong(GM_FORMAT_GZIP, "it is cut, or too long", err);
		in_left = state->avail_in;
		out_left = state->avail_out;
	}
	return out_left == 0 ? GM_OK : wrong(GM_FORMAT_GZIP, "it is shorter than told", err);
}

static enum gm_code brotli(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes, struct gm_error *err)
{
	BrotliDecoderState *state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
	if (state == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for brotli");
	BrotliDecoderResult result = BrotliDecoderDecompressStream(state, &in_bytes, &in, &out_bytes, &out, NULL);
	BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(state);
	BrotliDecoderDestroyInstance(state);
	if (result == BROTLI_DECODER_RESULT_SUCCESS && in_bytes == 0 && out_bytes == 0) return GM_OK;
	if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES)
		GM_FAIL(err, GM_NOMEM, "out of memory for brotli");
	if (result == BROTLI_DECODER_RESULT_ERROR) return wrong(GM_FORMAT_BROTLI, "the stream is damaged", err);
	return wrong(GM_FORMAT_BROTLI, "it has another size than told", err);
}

static bool lz4_block(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	if (in_bytes > INT32_MAX || out_bytes > INT32_MAX) return false;
	int got = LZ4_decompress_safe((const char *)in, (char *)out, (int)in_bytes, (int)out_bytes);
	return got >= 0 && (size_t)got == out_bytes;
}

static enum gm_code lz4_raw(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes, struct gm_error *err)
{
	return lz4_block(in, in_bytes, out, out_bytes) ? GM_OK : wrong(GM_FORMAT_LZ4_RAW, "the block is damaged", err);
}

static uint32_t big_endian(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The pieces of one of Hadoop's blocks, which make up `bytes`; the end of what they took, NULL: they do not. */
static const uint8_t *hadoop_pieces(const uint8_t *in, const uint8_t *end, uint8_t *out, size_t bytes)
{
	while (bytes > 0) {
		if (end - in < 4) return NULL;
		uint32_t piece = big_endian(in);
		in += 4;
		if (piece > (size_t)(end - in) || piece > INT32_MAX) return NULL;
		size_t room = bytes < INT32_MAX ? bytes : INT32_MAX;
		int got = LZ4_decompress_safe((const char *)in, (char *)out, (int)piece, (int)room);
		if (got <= 0) return NULL;
		in += piece;
		out += got;
		bytes -= (size_t)got;
	}
	return in;
}

static bool hadoop(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
	const uint8_t *end = in + in_bytes;
	while (end - in >= 4) {
		uint32_t bytes = big_endian(in);
		if (bytes > out_bytes) return false;
		in = hadoop_pieces(in + 4, end, out, bytes);
		if (in == NULL) return false;
		out += bytes;
		out_bytes -= bytes;
	}
	return in == end && out_bytes == 0;
}

static enum gm_code lz4(const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes, struct gm_error *err)
{
	if (hadoop(in, in_bytes, out, out_bytes) || lz4_block(in, in_bytes, out, out_bytes)) return GM_OK;
	return wrong(GM_FORMAT_LZ4, "neither as frames of Hadoop nor as a block", err);
}

enum gm_code gm_decompress(struct gm_decompressor *decompressor, int32_t codec, const uint8_t *in, size_t in_bytes,
                           uint8_t *out, size_t out_bytes, struct gm_error *err)
{
	if (out_bytes == 0) return GM_OK; /* of which some writers make a stream, and some no bytes at all */
	switch (codec) {
	case GM_FORMAT_UNCOMPRESSED: return copy(in, in_bytes, out, out_bytes, err);
	case GM_FORMAT_SNAPPY: return snappy(in, in_bytes, out, out_bytes, err);
	case GM_FORMAT_GZIP: return gzip(decompressor, in, in_bytes, out, out_bytes, err);
	case GM_FORMAT_BROTLI: return brotli(in, in_bytes, out, out_bytes, err);
	case GM_FORMAT_LZ4: return lz4(in, in_bytes, out, out_bytes, err);
	case GM_FORMAT_ZSTD: return zstd(decompressor, in, in_bytes, out, out_bytes, err);
	case GM_FORMAT_LZ4_RAW: return lz4_raw(in, in_bytes, out, out_bytes, err);
	default: return gm_decompress_check(codec, err);
	}
}
