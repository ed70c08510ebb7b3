/* index.c - the page index of a column chunk: the bounds of its pages (ColumnIndex) and where they lie (OffsetIndex).
 */
#include "parquet/file.h"
#include "parquet/format.h"
#include "parquet/thrift.h"

static const uint8_t *min_of(const struct gm_parquet_column_chunk *chunk, const struct gm_parquet_page *page)
{
	static const uint8_t none[1]; /* a chunk of nulls has no bounds at all */
	return chunk->bounds.data != NULL ? chunk->bounds.data + page->bounds_at : none;
}

static const uint8_t *max_of(const struct gm_parquet_column_chunk *chunk, const struct gm_parquet_page *page)
{
	return min_of(chunk, page) + page->min_len;
}

/* How minima and maxima of the pages follow each other; null pages do not count. */
static enum gm_format_order order_of(const struct gm_parquet_column_chunk *chunk, enum gm_type type)
{
	bool ascending = true, descending = true;
	const struct gm_parquet_page *before = NULL;
	for (size_t i = 0; i < chunk->page_count; i++) {
		const struct gm_parquet_page *page = &chunk->pages[i];
		if (!page->has_bounds) continue;
		if (before != NULL) {
			int min =
			    gm_written_compare(type, min_of(chunk, before), before->min_len, min_of(chunk, page), page->min_len);
			int max =
			    gm_written_compare(type, max_of(chunk, before), before->max_len, max_of(chunk, page), page->max_len);
			ascending = ascending && min <= 0 && max <= 0;
			descending = descending && min >= 0 && max >= 0;
		}
		before = page;
	}
	return ascending ? GM_FORMAT_ASCENDING : descending ? GM_FORMAT_DESCENDING : GM_FORMAT_UNORDERED;
}

enum gm_code gm_index_write_columns(const struct gm_parquet_column_chunk *chunk, enum gm_type type, struct gm_buf *out,
                                    uint32_t *bytes, struct gm_error *err)
{
	struct gm_thrift t;
	size_t start = out->len;
	*bytes = 0;
	if (chunk->no_index) return GM_OK;
	gm_thrift_begin(&t, out, err);
	gm_thrift_list(&t, 1, GM_THRIFT_TRUE, chunk->page_count);
	for (size_t i = 0; i < chunk->page_count; i++) gm_thrift_element_bool(&t, !chunk->pages[i].has_bounds);
	gm_thrift_list(&t, 2, GM_THRIFT_BINARY, chunk->page_count);
	for (size_t i = 0; i < chunk->page_count; i++)
		gm_thrift_element_binary(&t, min_of(chunk, &chunk->pages[i]), chunk->pages[i].min_len);
	gm_thrift_list(&t, 3, GM_THRIFT_BINARY, chunk->page_count);
	for (size_t i = 0; i < chunk->page_count; i++)
		gm_thrift_element_binary(&t, max_of(chunk, &chunk->pages[i]), chunk->pages[i].max_len);
	gm_thrift_i32(&t, 4, (int32_t)order_of(chunk, type));
	gm_thrift_list(&t, 5, GM_THRIFT_I64, chunk->page_count);
	for (size_t i = 0; i < chunk->page_count; i++) gm_thrift_element_int(&t, chunk->pages[i].nulls);
	if (type == GM_TYPE_DOUBLE) {
		gm_thrift_list(&t, 8, GM_THRIFT_I64, chunk->page_count);
		for (size_t i = 0; i < chunk->page_count; i++) gm_thrift_element_int(&t, (int64_t)chunk->pages[i].nans);
	}
	GM_TRY(gm_thrift_finish(&t));
	*bytes = (uint32_t)(out->len - start);
	return GM_OK;
}

enum gm_code gm_index_write_offsets(const struct gm_parquet_column_chunk *chunk, uint64_t start, struct gm_buf *out,
                                    uint32_t *bytes, struct gm_error *err)
{
	struct gm_thrift t;
	size_t begin = out->len;
	gm_thrift_begin(&t, out, err);
	gm_thrift_list(&t, 1, GM_THRIFT_STRUCT, chunk->page_count);
	for (size_t i = 0; i < chunk->page_count; i++) {
		gm_thrift_element_struct(&t);
		gm_thrift_i64(&t, 1, (int64_t)(start + chunk->pages[i].offset));
		gm_thrift_i32(&t, 2, (int32_t)chunk->pages[i].bytes);
		gm_thrift_i64(&t, 3, (int64_t)chunk->pages[i].first_row);
		gm_thrift_end(&t);
	}
	GM_TRY(gm_thrift_finish(&t));
	*bytes = (uint32_t)(out->len - begin);
	return GM_OK;
}
