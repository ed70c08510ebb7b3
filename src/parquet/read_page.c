/* read_page.c - page headers and bodies (page.h describes version 1).
 *
 * A page of version 2 has its levels in front, never compressed and without lengths, since its header tells them; only
 * the values behind them are compressed, unless the header says that they are not. The CRC is that of all bytes behind
 * the header, as they are stored. */
#include "parquet/read_page.h"
#include "parquet/encode.h"

#include <isa-l/crc.h>
#include <string.h>

/* Bytes read at once, if a page does not ask for more; what a header may take: writers of old put whole strings into
 * its statistics. */
static const size_t ahead_bytes = (size_t)256 * 1024, header_max_bytes = (size_t)16 * 1024 * 1024;

/* A PageHeader with that of its type; -1 for what is not told. */
struct page_header {
	int32_t type, uncompressed_bytes, compressed_bytes;
	bool has_crc;
	uint32_t crc;
	int32_t slots, encoding, definition_encoding, repetition_encoding;
	int32_t definition_bytes, repetition_bytes; /* version 2 */
	bool stored;                                /* version 2: values are not compressed */
};

void gm_page_source_init(struct gm_page_source *source, const struct gm_parquet_reader *reader,
                         const struct gm_read_chunk *chunk, const struct gm_parquet_leaf *leaf)
{
	*source = (struct gm_page_source){.reader = reader, .chunk = chunk, .leaf = leaf, .at = chunk->start};
	size_t most = reader->memory_bytes < SIZE_MAX / 2 ? reader->memory_bytes : SIZE_MAX / 2;
	gm_buf_init(&source->window, most + ahead_bytes + GM_READ_SLACK);
	gm_buf_init(&source->body, most + GM_READ_SLACK);
	source->window_start = chunk->start;
}

void gm_page_source_release(struct gm_page_source *source)
{
	gm_buf_release(&source->window);
	gm_buf_release(&source->body);
	gm_decompressor_release(&source->decompressor);
}

/* --- Bytes -------------------------------------------------------------------------------------------------------- */

static uint64_t chunk_left(const struct gm_page_source *source)
{
	return source->chunk->end - source->at;
}

static size_t ready(const struct gm_page_source *source)
{
	return (size_t)(source->window_start + source->window.len - source->at);
}

static const uint8_t *next_bytes(const struct gm_page_source *source)
{
	return source->window.data + (source->at - source->window_start);
}

/* Makes `bytes` bytes from `at` on ready, which the chunk has. */
static enum gm_code want(struct gm_page_source *source, size_t bytes, struct gm_error *err)
{
	size_t have = ready(source);
	if (bytes <= have) return GM_OK;
	size_t more = bytes - have, ahead = ahead_bytes < more ? more : ahead_bytes;
	if (chunk_left(source) - have < ahead) ahead = (size_t)(chunk_left(source) - have);
	if (have > 0) memmove(source->window.data, next_bytes(source), have);
	source->window.len = have;
	source->window_start = source->at;
	GM_TRY(gm_buf_reserve(&source->window, ahead + GM_READ_SLACK, err));
	GM_TRY(gm_read_bytes(source->reader, source->at + have, source->window.data + have, ahead, err));
	source->window.len += ahead;
	return GM_OK;
}

/* --- Headers ------------------------------------------------------------------------------------------------------ */

static void read_data_header(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct page_header *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		switch (member.id) {
		case 1: out->slots = gm_thrift_get_i32(in, &member); break;
		case 2: out->encoding = gm_thrift_get_i32(in, &member); break;
		case 3: out->definition_encoding = gm_thrift_get_i32(in, &member); break;
		case 4: out->repetition_encoding = gm_thrift_get_i32(in, &member); break;
		default: gm_thrift_skip(in, &member);
		}
	}
}

static void read_dictionary_header(struct gm_thrift_in *in, const struct gm_thrift_field *field,
                                   struct page_header *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		switch (member.id) {
		case 1: out->slots = gm_thrift_get_i32(in, &member); break;
		case 2: out->encoding = gm_thrift_get_i32(in, &member); break;
		default: gm_thrift_skip(in, &member);
		}
	}
}

static void read_v2_header(struct gm_thrift_in *in, const struct gm_thrift_field *field, struct page_header *out)
{
	struct gm_thrift_field member = {0};
	if (!gm_thrift_get_struct(in, field)) return;
	while (gm_thrift_next(in, &member)) {
		switch (member.id) {
		case 1: out->slots = gm_thrift_get_i32(in, &member); break;
		case 4: out->encoding = gm_thrift_get_i32(in, &member); break;
		case 5: out->definition_bytes = gm_thrift_get_i32(in, &member); break;
		case 6: out->repetition_bytes = gm_thrift_get_i32(in, &member); break;
		case 7: out->stored = !gm_thrift_get_bool(in, &member); break;
		default: gm_thrift_skip(in, &member);
		}
	}
	out->definition_encoding = out->repetition_encoding = GM_FORMAT_RLE;
}

static void read_header(struct gm_thrift_in *in, struct page_header *out)
{
	struct gm_thrift_field field = {0};
	*out = (struct page_header){.type = -1,
	                            .uncompressed_bytes = -1,
	                            .compressed_bytes = -1,
	                            .slots = -1,
	                            .encoding = -1,
	                            .definition_encoding = -1,
	                            .repetition_encoding = -1,
	                            .definition_bytes = -1,
	                            .repetition_bytes = -1};
	while (gm_thrift_next(in, &field)) {
		switch (field.id) {
		case 1: out->type = gm_thrift_get_i32(in, &field); break;
		case 2: out->uncompressed_bytes = gm_thrift_get_i32(in, &field); break;
		case 3: out->compressed_bytes = gm_thrift_get_i32(in, &field); break;
		case 4:
			out->crc = (uint32_t)gm_thrift_get_i32(in, &field);
			out->has_crc = true;
			break;
		case 5: read_data_header(in, &field, out); break;
		case 7: read_dictionary_header(in, &field, out); break;
		case 8: read_v2_header(in, &field, out); break;
		default: gm_thrift_skip(in, &field);
		}
	}
}

/* Reads the header at `at`, with more and more of the bytes there until it fits, and steps behind it. */
static enum gm_code next_header(struct gm_page_source *source, struct page_header *header, struct gm_error *err)
{
	struct gm_thrift_in in;
	size_t most = source->reader->memory_bytes < header_max_bytes ? source->reader->memory_bytes : header_max_bytes;
	if (most < ahead_bytes) most = ahead_bytes;
	for (size_t bytes = ready(source) > 0 ? ready(source) : 1;;) {
		if (bytes > chunk_left(source)) bytes = (size_t)chunk_left(source);
		GM_TRY(want(source, bytes, err));
		gm_thrift_open(&in, "header of a page", next_bytes(source), ready(source), source->at, err);
		read_header(&in, header);
		if (in.rc == GM_OK) break;
		if (!in.cut || ready(source) == chunk_left(source)) return gm_thrift_close(&in);
		if (ready(source) >= most)
			GM_FAIL(err, GM_UNSUPPORTED, "the header of a page takes more than the %zu bytes it may", most);
		bytes = ready(source) * 2 < most ? ready(source) * 2 : most;
	}
	source->at += (uint64_t)(in.at - in.start);
	return GM_OK;
}

static enum gm_code check_header(const struct gm_page_source *source, const struct page_header *header,
                                 struct gm_error *err)
{
	uint64_t offset = source->page_offset;
	if (header->type < 0 || header->compressed_bytes < 0 || header->uncompressed_bytes < 0)
		return gm_read_corrupt(err, offset, "a page tells no type or no size");
	if ((uint64_t)header->compressed_bytes > chunk_left(source))
		return gm_read_corrupt(err, offset, "a page of %d bytes reaches beyond its column", header->compressed_bytes);
	size_t most = source->reader->memory_bytes;
	if ((size_t)header->compressed_bytes > most || (size_t)header->uncompressed_bytes > most)
		GM_FAIL(err, GM_UNSUPPORTED, "a page of %d bytes (%d compressed), more than the %zu that are allowed",
		        header->uncompressed_bytes, header->compressed_bytes, most);
	if (header->type == GM_FORMAT_INDEX_PAGE) return GM_OK;
	if (header->type > GM_FORMAT_DATA_PAGE_V2) GM_FAIL(err, GM_UNSUPPORTED, "page type %d is not known", header->type);
	if (header->slots < 0 || header->encoding < 0)
		return gm_read_corrupt(err, offset, "a page tells %d values, in encoding %d", header->slots, header->encoding);
	return GM_OK;
}

static enum gm_code check_crc(const struct gm_page_source *source, const struct page_header *header,
                              struct gm_error *err)
{
	if (!header->has_crc) return GM_OK;
	uint32_t crc = crc32_gzip_refl(0, next_bytes(source), (uint64_t)header->compressed_bytes);
	if (crc == header->crc) return GM_OK;
	return gm_read_corrupt(err, source->page_offset, "a page is damaged: its CRC is %08x, and %08x is told", crc,
	                       header->crc);
}

/* --- Bodies ------------------------------------------------------------------------------------------------------- */

/* The decompressed form of stored bytes of the window. */
static enum gm_code decompress(struct gm_page_source *source, int32_t codec, struct gm_page_part stored, size_t bytes,
                               struct gm_page_part *out, struct gm_error *err)
{
	if (codec == GM_FORMAT_UNCOMPRESSED && stored.bytes == bytes) {
		*out = stored;
		return GM_OK;
	}
	GM_TRY(gm_buf_reserve(&source->body, bytes + GM_READ_SLACK, err));
	GM_TRY(gm_decompress(&source->decompressor, codec, stored.data, stored.bytes, source->body.data, bytes, err));
	*out = (struct gm_page_part){source->body.data, bytes};
	return GM_OK;
}

static enum gm_code levels_end(const struct gm_page_source *source, struct gm_error *err)
{
	return gm_read_corrupt(err, source->page_offset, "the levels of a page take more bytes than it has");
}

/* Cuts the levels of one kind off the front of the body of a page of version 1. */
static enum gm_code cut_levels(const struct gm_page_source *source, uint8_t max, int32_t encoding, uint32_t slots,
                               struct gm_page_part *body, struct gm_page_part *levels, bool *bit_packed,
                               struct gm_error *err)
{
	uint64_t bytes;
	*levels = (struct gm_page_part){body->data, 0};
	*bit_packed = encoding == GM_FORMAT_BIT_PACKED;
	if (max == 0) return GM_OK;
	if (encoding == GM_FORMAT_RLE) {
		uint32_t told;
		if (body->bytes < sizeof told) return levels_end(source, err);
		memcpy(&told, body->data, sizeof told);
		body->data += sizeof told;
		body->bytes -= sizeof told;
		bytes = told;
	} else if (encoding == GM_FORMAT_BIT_PACKED) {
		bytes = ((uint64_t)slots * gm_bit_width(max) + 7) / 8;
	} else {
		GM_FAIL(err, GM_UNSUPPORTED, "levels in encoding %d are not known", encoding);
	}
	if (bytes > body->bytes) return levels_end(source, err);
	*levels = (struct gm_page_part){body->data, (size_t)bytes};
	body->data += bytes;
	body->bytes -= (size_t)bytes;
	return GM_OK;
}

static enum gm_code take_v1(struct gm_page_source *source, const struct page_header *header, struct gm_page_part stored,
                            struct gm_page_in *page, struct gm_error *err)
{
	const struct gm_parquet_leaf *leaf = source->leaf;
	GM_TRY(decompress(source, source->chunk->codec, stored, (size_t)header->uncompressed_bytes, &page->values, err));
	if (header->type == GM_FORMAT_DICTIONARY_PAGE) return GM_OK;
	GM_TRY(cut_levels(source, leaf->max_repetition, header->repetition_encoding, page->slots, &page->values,
	                  &page->repetition, &page->bit_packed_repetition, err));
	return cut_levels(source, leaf->max_definition, header->definition_encoding, page->slots, &page->values,
	                  &page->definition, &page->bit_packed_definition, err);
}

static enum gm_code take_v2(struct gm_page_source *source, const struct page_header *header, struct gm_page_part stored,
                            struct gm_page_in *page, struct gm_error *err)
{
	if (header->definition_bytes < 0 || header->repetition_bytes < 0)
		return gm_read_corrupt(err, source->page_offset, "a page of version 2 does not tell the sizes of its levels");
	size_t repetition = (size_t)header->repetition_bytes, definition = (size_t)header->definition_bytes;
	size_t levels = repetition + definition, whole = (size_t)header->uncompressed_bytes;
	if (levels > stored.bytes || levels > whole) return levels_end(source, err);
	page->repetition = (struct gm_page_part){stored.data, repetition};
	page->definition = (struct gm_page_part){stored.data + repetition, definition};
	stored = (struct gm_page_part){stored.data + levels, stored.bytes - levels};
	page->values = (struct gm_page_part){stored.data, 0};
	/* Nothing but nulls: not every writer makes a stream of no bytes, or tells its size. */
	if (stored.bytes == 0) return GM_OK;
	/* Arrow before 3.0 wrote compressed pages and said that they were not: then their sizes differ. */
	bool as_it_is = header->stored && stored.bytes == whole - levels;
	int32_t codec = as_it_is ? GM_FORMAT_UNCOMPRESSED : source->chunk->codec;
	return decompress(source, codec, stored, whole - levels, &page->values, err);
}

static enum gm_code take_page(struct gm_page_source *source, const struct page_header *header, struct gm_page_in *page,
                              struct gm_error *err)
{
	size_t bytes = (size_t)header->compressed_bytes;
	GM_TRY(want(source, bytes, err));
	GM_TRY(check_crc(source, header, err));
	struct gm_page_part stored = {next_bytes(source), bytes};
	*page = (struct gm_page_in){
	    .type = (enum gm_format_page)header->type, .slots = (uint32_t)header->slots, .encoding = header->encoding};
	enum gm_code rc = header->type == GM_FORMAT_DATA_PAGE_V2 ? take_v2(source, header, stored, page, err)
	                                                         : take_v1(source, header, stored, page, err);
	source->at += bytes;
	return rc;
}

enum gm_code gm_page_source_next(struct gm_page_source *source, struct gm_page_in *page, bool *more,
                                 struct gm_error *err)
{
	struct page_header header;
	*more = false;
	while (chunk_left(source) > 0) {
		source->page_offset = source->at;
		GM_TRY(next_header(source, &header, err));
		GM_TRY(check_header(source, &header, err));
		bool empty = header.slots == 0 && header.type != GM_FORMAT_DICTIONARY_PAGE;
		if (header.type != GM_FORMAT_INDEX_PAGE && !empty) {
			*more = true;
			return take_page(source, &header, page, err);
		}
		if ((uint64_t)header.compressed_bytes > ready(source)) {
			source->window.len = 0;
			source->window_start = source->at + (uint64_t)header.compressed_bytes;
		}
		source->at += (uint64_t)header.compressed_bytes;
	}
	return GM_OK;
}
