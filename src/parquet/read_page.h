/* read_page.h - the pages of a column chunk, one after the other, checked and decompressed. */
#ifndef GM_PARQUET_READ_PAGE_H
#define GM_PARQUET_READ_PAGE_H

#include "parquet/decompress.h"
#include "parquet/read.h"

struct gm_page_source {
	const struct gm_parquet_reader *reader;
	const struct gm_read_chunk *chunk;
	const struct gm_parquet_leaf *leaf;
	uint64_t at;           /* of the next page in the file */
	uint64_t page_offset;  /* of the last one */
	struct gm_buf window;  /* bytes of the file, the next page's first among them */
	uint64_t window_start; /* in the file */
	struct gm_buf body;    /* decompressed */
	struct gm_decompressor decompressor;
};

/* A part of a page's body; GM_READ_SLACK bytes behind it are readable. */
struct gm_page_part {
	const uint8_t *data;
	size_t bytes;
};
struct gm_page_in {
	enum gm_format_page type; /* DATA_PAGE, DATA_PAGE_V2 or DICTIONARY_PAGE */
	uint32_t slots;           /* of a dictionary: its entries */
	int32_t encoding;
	bool bit_packed_repetition, bit_packed_definition;  /* else levels are hybrid runs */
	struct gm_page_part repetition, definition, values; /* levels that cannot be have no bytes */
};

void gm_page_source_init(struct gm_page_source *source, const struct gm_parquet_reader *reader,
                         const struct gm_read_chunk *chunk, const struct gm_parquet_leaf *leaf);
void gm_page_source_release(struct gm_page_source *source);
/* The next page with something for us; it lives until the next call. False in *more: the chunk ends. */
enum gm_code gm_page_source_next(struct gm_page_source *source, struct gm_page_in *page, bool *more,
                                 struct gm_error *err) GM_CHECK;

#endif
