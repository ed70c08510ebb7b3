#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_c_literalCompressionMode; where a zstd has none, the level's own way is left */
#include "parquet/page.h"

#include "base/stopwatch.h"
#include "parquet/thrift.h"

#include <isa-l/crc.h>
#include <snappy-c.h>
#include <string.h>

enum {
	HEADER_MAX = 64, /* more than the fields below can take */
	SEARCHED_LEVEL = 1,
	LEAST_SEARCHED = 32 * 1024, /* a first page below this is not worth trying */
	STRINGS_TRIED = 128 * 1024, /* bytes of the first page */
	NUMBERS_TRIED = 32 * 1024,
	TOLERATED = 50, /* a quicker search may cost one in so many bytes; what it has to learn at first is a part of it */
};

void gm_page_packer_init(struct gm_page_packer *packer)
{
	*packer = (struct gm_page_packer){0};
	gm_buf_init(&packer->header, HEADER_MAX);
}

void gm_page_packer_release(struct gm_page_packer *packer)
{
	(void)ZSTD_freeCCtx(packer->zstd);
	gm_buf_release(&packer->header);
}

/* --- How zstd searches -------------------------------------------------------------------------------------------- */

/* Level 1 keeps 16,384 places it has seen, by seven bytes each, and looks at every one. In values that are random but
 * for where they begin (keys, tokens) that finds three equal digits far away, which take as many bits as they save, and
 * it takes half of the time. There only what the value before has in the same place is worth finding, and a few places
 * are enough for it. Which steps hit that depends on the length of the values. In sorted or slowly changing numbers
 * what repeats is near and short. Fields of 0 leave it to the level. */
struct search {
	int strategy, hash_log, min_match, step, literals;
};
static const struct search own_search = {0};
static const struct search string_searches[] = {
    {ZSTD_fast, 6, 5, 8, ZSTD_ps_enable},
    {ZSTD_fast, 6, 5, 3, ZSTD_ps_enable},
};
static const struct search number_searches[] = {{ZSTD_fast, 10, 5, 0, ZSTD_ps_enable}};

static bool set_search(struct gm_page_packer *packer, const struct search *search)
{
	const struct {
		ZSTD_cParameter parameter;
		int value;
	} values[] = {{ZSTD_c_strategy, search->strategy},
	              {ZSTD_c_hashLog, search->hash_log},
	              {ZSTD_c_minMatch, search->min_match},
	              {ZSTD_c_targetLength, search->step},
	              {ZSTD_c_literalCompressionMode, search->literals}};
	bool set = true;
	packer->searches = search != &own_search;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		set &= !ZSTD_isError(ZSTD_CCtx_setParameter(packer->zstd, values[i].parameter, values[i].value));
	return set;
}

enum gm_code gm_page_packer_set(struct gm_page_packer *packer, enum gm_codec codec, int level, struct gm_error *err)
{
	packer->codec = codec;
	packer->level = level;
	if (codec != GM_CODEC_ZSTD) return GM_OK;
	if (packer->zstd == NULL) packer->zstd = ZSTD_createCCtx();
	if (packer->zstd == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for zstd");
	if (packer->searches) (void)set_search(packer, &own_search);
	size_t rc = ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, level);
	if (ZSTD_isError(rc)) GM_FAIL(err, GM_BUG, "zstd refuses level %d: %s", level, ZSTD_getErrorName(rc));
	return GM_OK;
}

static size_t packed_bound(const struct gm_page_packer *packer, size_t bytes)
{
	switch (packer->codec) {
	case GM_CODEC_NONE: return bytes;
	case GM_CODEC_SNAPPY: return snappy_max_compressed_length(bytes);
	case GM_CODEC_ZSTD: return ZSTD_compressBound(bytes);
	}
	return bytes;
}

static enum gm_code compress(struct gm_page_packer *packer, const uint8_t *body, size_t bytes, uint8_t *out,
                             size_t *out_bytes, struct gm_error *err)
{
	switch (packer->codec) {
	case GM_CODEC_NONE:
		if (bytes > 0) memcpy(out, body, bytes);
		*out_bytes = bytes;
		break;
	case GM_CODEC_SNAPPY:
		if (snappy_compress((const char *)body, bytes, (char *)out, out_bytes) != SNAPPY_OK)
			GM_FAIL(err, GM_BUG, "snappy could not compress a page");
		break;
	case GM_CODEC_ZSTD:
		*out_bytes = ZSTD_compress2(packer->zstd, out, *out_bytes, body, bytes);
		/* The output has room for the worst case, so only memory can be short. */
		if (ZSTD_isError(*out_bytes)) GM_FAIL(err, GM_NOMEM, "zstd: %s", ZSTD_getErrorName(*out_bytes));
		break;
	}
	return GM_OK;
}

static enum gm_code write_header(struct gm_page_packer *packer, const struct gm_page_header *header,
                                 size_t uncompressed, size_t compressed, uint32_t crc, struct gm_error *err)
{
	struct gm_thrift t;
	packer->header.len = 0;
	gm_thrift_begin(&t, &packer->header, err);
	gm_thrift_i32(&t, 1, (int32_t)header->page);
	gm_thrift_i32(&t, 2, (int32_t)uncompressed);
	gm_thrift_i32(&t, 3, (int32_t)compressed);
	gm_thrift_i32(&t, 4, (int32_t)crc);
	gm_thrift_struct(&t, header->page == GM_FORMAT_DICTIONARY_PAGE ? 7 : 5);
	gm_thrift_i32(&t, 1, (int32_t)header->slots);
	gm_thrift_i32(&t, 2, (int32_t)header->encoding);
	if (header->page == GM_FORMAT_DATA_PAGE) {
		gm_thrift_i32(&t, 3, GM_FORMAT_RLE);
		gm_thrift_i32(&t, 4, GM_FORMAT_RLE);
	}
	gm_thrift_end(&t);
	return gm_thrift_finish(&t);
}

enum gm_code gm_page_try(struct gm_page_packer *packer, const uint8_t *body, size_t body_bytes, struct gm_buf *scratch,
                         size_t *bytes, struct gm_error *err)
{
	*bytes = body_bytes;
	if (packer->codec == GM_CODEC_NONE || body_bytes == 0) return GM_OK;
	*bytes = packed_bound(packer, body_bytes);
	scratch->len = 0;
	GM_TRY(gm_buf_reserve(scratch, *bytes, err));
	enum gm_stage outer = gm_stage_enter(GM_STAGE_COMPRESS);
	enum gm_code rc = compress(packer, body, body_bytes, scratch->data, bytes, err);
	(void)gm_stage_enter(outer);
	return rc;
}

enum gm_code gm_page_search(struct gm_page_packer *packer, bool strings, const uint8_t *body, size_t body_bytes,
                            struct gm_buf *scratch, struct gm_error *err)
{
	if (packer->codec != GM_CODEC_ZSTD || packer->level != SEARCHED_LEVEL || body_bytes < LEAST_SEARCHED) return GM_OK;
	const struct search *searches = strings ? string_searches : number_searches, *best = &own_search;
	size_t count = strings ? sizeof string_searches / sizeof *searches : sizeof number_searches / sizeof *searches;
	size_t most = strings ? STRINGS_TRIED : NUMBERS_TRIED, tried = body_bytes < most ? body_bytes : most, least;
	GM_TRY(gm_page_try(packer, body, tried, scratch, &least, err));
	least += least / TOLERATED;
	for (size_t i = 0; i < count; i++) {
		size_t bytes;
		if (!set_search(packer, &searches[i])) continue;
		GM_TRY(gm_page_try(packer, body, tried, scratch, &bytes, err));
		if (bytes > least) continue;
		least = bytes;
		best = &searches[i];
	}
	(void)set_search(packer, best);
	return GM_OK;
}

enum gm_code gm_page_pack(struct gm_page_packer *packer, const struct gm_page_header *header, const uint8_t *body,
                          size_t body_bytes, struct gm_buf *out, size_t *header_bytes, struct gm_error *err)
{
	if (body_bytes > INT32_MAX || header->slots > INT32_MAX)
		GM_FAIL(err, GM_VALUE, "a row is too large for a Parquet page (2 GiB)");
	/* The header's size depends on the compressed size. Mostly it is that of the page before: compress behind as much,
	 * and move what was compressed only where that was wrong. */
	size_t room = packed_bound(packer, body_bytes), expected = packer->header.len;
	GM_TRY(gm_buf_reserve(out, room + HEADER_MAX, err));
	uint8_t *packed = out->data + out->len + expected;
	enum gm_stage outer = gm_stage_enter(GM_STAGE_COMPRESS);
	enum gm_code rc = compress(packer, body, body_bytes, packed, &room, err);
	gm_stage_bytes(GM_STAGE_COMPRESS, body_bytes);
	(void)gm_stage_enter(outer);
	GM_TRY(rc);
	if (room > INT32_MAX) GM_FAIL(err, GM_VALUE, "a row is too large for a Parquet page (2 GiB)");
	(void)gm_stage_enter(GM_STAGE_CHECKSUM);
	uint32_t crc = crc32_gzip_refl(0, packed, room);
	(void)gm_stage_enter(outer);
	GM_TRY(write_header(packer, header, body_bytes, room, crc, err));
	*header_bytes = packer->header.len;
	if (*header_bytes != expected) memmove(out->data + out->len + *header_bytes, packed, room);
	memcpy(out->data + out->len, packer->header.data, *header_bytes);
	out->len += *header_bytes + room;
	return GM_OK;
}
