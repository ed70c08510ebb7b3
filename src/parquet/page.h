/* page.h - turns the body of a page into what lies in the file: compact Thrift header, then the compressed body.
 *
 * A data page of version 1 has one body, compressed whole: repetition levels (if there can be any), definition levels
 * (if there can be any), values. Each kind of levels is a u32 length and a hybrid run; indices into the dictionary are
 * one byte of width and a hybrid run without length. The header's CRC-32 is that of the compressed body. */
#ifndef GM_PARQUET_PAGE_H
#define GM_PARQUET_PAGE_H

#include "parquet/format.h"
#include "parquet/writer.h"

#include <zstd.h>

struct gm_page_packer {
	enum gm_codec codec;
	int level;
	ZSTD_CCtx *zstd; /* made when first needed, then kept */
	bool searches;   /* zstd's search is not the level's own: see gm_page_search */
	struct gm_buf header;
};
struct gm_page_header {
	enum gm_format_page page;
	enum gm_format_encoding encoding; /* of the values */
	uint32_t slots;                   /* values, nulls included; of a dictionary its entries */
};

void gm_page_packer_init(struct gm_page_packer *packer);
void gm_page_packer_release(struct gm_page_packer *packer);
/* The codec of the pages to come. */
enum gm_code gm_page_packer_set(struct gm_page_packer *packer, enum gm_codec codec, int level,
                                struct gm_error *err) GM_CHECK;
/* Chooses how zstd looks for repetitions in the pages to come, until the codec is set again, by compressing the
 * beginning of the first of them in each of some ways: what the values are tells what there is to try. At level 1
 * alone, where time is what matters. */
enum gm_code gm_page_search(struct gm_page_packer *packer, bool strings, const uint8_t *body, size_t body_bytes,
                            struct gm_buf *scratch, struct gm_error *err) GM_CHECK;
/* How many bytes a body would take, compressed; `scratch` is overwritten. */
enum gm_code gm_page_try(struct gm_page_packer *packer, const uint8_t *body, size_t body_bytes, struct gm_buf *scratch,
                         size_t *bytes, struct gm_error *err) GM_CHECK;
/* Appends a page to out; *header_bytes is what was added to body_bytes to make its uncompressed size. */
enum gm_code gm_page_pack(struct gm_page_packer *packer, const struct gm_page_header *header, const uint8_t *body,
                          size_t body_bytes, struct gm_buf *out, size_t *header_bytes, struct gm_error *err) GM_CHECK;

#endif
