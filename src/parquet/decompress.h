/* decompress.h - the body of a page, out of any codec of the format but LZO. */
#ifndef GM_PARQUET_DECOMPRESS_H
#define GM_PARQUET_DECOMPRESS_H

#include "base/arena.h"

/* What decoders keep from page to page; zero it at first. */
struct gm_decompressor {
	void *zstd, *gzip;
};
void gm_decompressor_release(struct gm_decompressor *decompressor);

/* Whether pages of this codec can be decompressed; UNSUPPORTED by name if not. */
enum gm_code gm_decompress_check(int32_t codec, struct gm_error *err) GM_CHECK;
/* Exactly out_bytes out of exactly in_bytes; CORRUPT when they are not that, NOMEM. */
enum gm_code gm_decompress(struct gm_decompressor *decompressor, int32_t codec, const uint8_t *in, size_t in_bytes,
                           uint8_t *out, size_t out_bytes, struct gm_error *err) GM_CHECK;

#endif
