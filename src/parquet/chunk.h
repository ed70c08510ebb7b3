/* chunk.h - one encoded column of one row group: its pages as they go into the file, and what the footer and the page
 * index will say about them. */
#ifndef GM_PARQUET_CHUNK_H
#define GM_PARQUET_CHUNK_H

#include "parquet/bloom.h"
#include "parquet/format.h"
#include "parquet/stats.h"
#include "parquet/writer.h"

struct gm_parquet_page {
	uint64_t offset; /* of its header, from the start of the chunk */
	uint32_t bytes;  /* header included */
	uint32_t slots, nulls;
	uint64_t first_row, nans;
	bool has_bounds;
	size_t bounds_at; /* minimum and maximum, as the index writes them, side by side in chunk->bounds */
	uint32_t min_len, max_len;
};

struct gm_parquet_column_chunk {
	size_t leaf;
	uint64_t rows, slots, nulls, nans;
	struct gm_buf data;
	struct gm_parquet_spare *spare;   /* where the memory of data goes, or NULL */
	enum gm_format_encoding encoding; /* of the values of all data pages */
	uint64_t dictionary_bytes;        /* of the dictionary page at the start of data; 0: there is none */
	uint64_t uncompressed_bytes;      /* of all pages, headers included */
	struct gm_parquet_page *pages;
	size_t page_count, page_cap;
	struct gm_buf bounds;
	bool no_index; /* some page has no bounds that the format could express */
	bool has_bounds;
	struct gm_written_bound min, max;
	struct gm_bloom bloom;
};

#endif
