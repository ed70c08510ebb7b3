/* duplicates.c - see duplicates.h. One zstd frame with a checksum; in it, all numbers little-endian:
 *
 *   "GMDU"  u32 format, 1
 *   entries, 32 bytes each:   u64 low, u64 high of the key's hash (gm_key_hasher); u64 record; u32 object; u32 flags
 *
 * The frame's end and checksum tell a file that was cut or damaged. The compressor is fed from a buffer that is always
 * full, so that the bytes follow from the entries alone. */
#include "table/duplicates.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
	FORMAT = 1,
	HEAD_BYTES = 8,
	ENTRY_BYTES = 32,
	TEXT_BYTES = 2048 * ENTRY_BYTES,
	PACKED_BYTES = 32 << 10,
	LEVEL = 3,
	WINDOW_LOG_MAX = 22, /* of a frame that is read: more than LEVEL makes */
	BATCH = TEXT_BYTES / ENTRY_BYTES,
};
static const char magic[4] = "GMDU";

struct gm_duplicates {
	struct gm_kept_writer writer; /* opened at the first entry */
	ZSTD_CCtx *zstd;
	size_t used; /* of text */
	uint8_t text[TEXT_BYTES];
	uint8_t packed[PACKED_BYTES];
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for a list of duplicates");
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_duplicates_new(struct gm_store *store, const char *final_key, const char *work_prefix,
                               struct gm_duplicates **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_duplicates *file = calloc(1, sizeof *file);
	if (file == NULL) return out_of_memory(err);
	enum gm_code rc = gm_kept_init(&file->writer, store, final_key, work_prefix, "a list of duplicates", err);
	if (rc != GM_OK) {
		gm_duplicates_free(file);
		return rc;
	}
	*out = file;
	return GM_OK;
}

void gm_duplicates_free(struct gm_duplicates *file)
{
	if (file == NULL) return;
	gm_kept_release(&file->writer);
	(void)ZSTD_freeCCtx(file->zstd);
	free(file);
}

static enum gm_code start(struct gm_duplicates *file, struct gm_error *err)
{
	if (file->zstd == NULL) file->zstd = ZSTD_createCCtx();
	if (file->zstd == NULL) return out_of_memory(err);
	if (ZSTD_isError(ZSTD_CCtx_setParameter(file->zstd, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(file->zstd, ZSTD_c_checksumFlag, 1)))
		GM_FAIL(err, GM_BUG, "zstd does not take its parameters");
	memcpy(file->text, magic, sizeof magic);
	gm_put_le(file->text + sizeof magic, FORMAT, 4);
	file->used = HEAD_BYTES;
	return gm_kept_open(&file->writer, err);
}

static enum gm_code pack(struct gm_duplicates *file, ZSTD_EndDirective end, struct gm_error *err)
{
	ZSTD_inBuffer in = {file->text, file->used, 0};
	size_t left;
	file->used = 0;
	do {
		ZSTD_outBuffer out = {file->packed, PACKED_BYTES, 0};
		left = ZSTD_compressStream2(file->zstd, &out, &in, end);
		if (ZSTD_isError(left)) GM_FAIL(err, GM_NOMEM, "compressing: %s", ZSTD_getErrorName(left));
		GM_TRY(gm_kept_append(&file->writer, file->packed, out.pos, err));
	} while (end == ZSTD_e_end ? left > 0 : in.pos < in.size);
	return GM_OK;
}

enum gm_code gm_duplicates_add(struct gm_duplicates *file, const struct gm_duplicate *entry, struct gm_error *err)
{
	uint8_t bytes[ENTRY_BYTES];
	if (file->writer.staged == NULL) GM_TRY(start(file, err));
	gm_put_le(bytes, entry->key.low, 8);
	gm_put_le(bytes + 8, entry->key.high, 8);
	gm_put_le(bytes + 16, entry->record, 8);
	gm_put_le(bytes + 24, entry->object, 4);
	gm_put_le(bytes + 28, entry->flags, 4);
	size_t n = TEXT_BYTES - file->used < ENTRY_BYTES ? TEXT_BYTES - file->used : ENTRY_BYTES;
	memcpy(file->text + file->used, bytes, n);
	file->used += n;
	if (n == ENTRY_BYTES) return GM_OK;
	GM_TRY(pack(file, ZSTD_e_continue, err));
	memcpy(file->text, bytes + n, ENTRY_BYTES - n);
	file->used = ENTRY_BYTES - n;
	return GM_OK;
}

enum gm_code gm_duplicates_finish(struct gm_duplicates *file, struct gm_kept_file *kept, struct gm_error *err)
{
	*kept = (struct gm_kept_file){0};
	if (file->writer.staged == NULL) return GM_OK;
	GM_TRY(pack(file, ZSTD_e_end, err));
	return gm_kept_finish(&file->writer, kept, err);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct source {
	struct gm_store_reader *reader;
	ZSTD_DCtx *zstd;
	ZSTD_inBuffer in;
	bool ended; /* the frame is complete */
	uint8_t packed[PACKED_BYTES];
	uint8_t text[TEXT_BYTES];
	struct gm_duplicate entries[BATCH];
};

static enum gm_code damaged(const char *how, struct gm_error *err)
{
	GM_FAIL(err, GM_CORRUPT, "a list of duplicates %s", how);
}

/* The next bytes of the text; *got < bytes only at its end, which is the frame's. */
static enum gm_code read_text(struct source *source, size_t bytes, size_t *got, struct gm_error *err)
{
	ZSTD_outBuffer out = {source->text, bytes, 0};
	while (out.pos < bytes && !source->ended) {
		if (source->in.pos == source->in.size) {
			source->in = (ZSTD_inBuffer){source->packed, 0, 0};
			GM_TRY(gm_store_reader_read(source->reader, source->packed, PACKED_BYTES, &source->in.size, err));
			if (source->in.size == 0) return damaged("is cut short", err);
		}
		size_t left = ZSTD_decompressStream(source->zstd, &out, &source->in);
		if (ZSTD_isError(left)) GM_FAIL(err, GM_CORRUPT, "a list of duplicates: %s", ZSTD_getErrorName(left));
		source->ended = left == 0;
	}
	*got = out.pos;
	return GM_OK;
}

static enum gm_code read_head(struct source *source, struct gm_error *err)
{
	size_t got;
	GM_TRY(read_text(source, HEAD_BYTES, &got, err));
	uint64_t format = gm_get_le(source->text + sizeof magic, 4);
	if (got < HEAD_BYTES || memcmp(source->text, magic, sizeof magic) != 0 || format == 0)
		return damaged("does not begin like one", err);
	if (format <= FORMAT) return GM_OK;
	GM_FAIL(err, GM_UNSUPPORTED, "a list of duplicates has format %" PRIu64 ", this version knows %d", format, FORMAT);
}

static enum gm_code read_all(struct source *source, gm_duplicates_fn *each, void *context, struct gm_error *err)
{
	GM_TRY(read_head(source, err));
	while (!source->ended) {
		size_t got;
		GM_TRY(read_text(source, TEXT_BYTES, &got, err));
		if (got % ENTRY_BYTES != 0) return damaged("ends within an entry", err);
		for (size_t i = 0; i < got / ENTRY_BYTES; i++) {
			const uint8_t *bytes = source->text + i * ENTRY_BYTES;
			source->entries[i] = (struct gm_duplicate){.key.low = gm_get_le(bytes, 8),
			                                           .key.high = gm_get_le(bytes + 8, 8),
			                                           .record = gm_get_le(bytes + 16, 8),
			                                           .object = (uint32_t)gm_get_le(bytes + 24, 4),
			                                           .flags = (uint32_t)gm_get_le(bytes + 28, 4)};
		}
		if (got > 0) GM_TRY(each(context, source->entries, got / ENTRY_BYTES, err));
	}
	return source->in.pos == source->in.size ? GM_OK : damaged("is longer than it says", err);
}

enum gm_code gm_duplicates_read(struct gm_store *store, const char *key, gm_duplicates_fn *each, void *context,
                                struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	struct source *source = calloc(1, sizeof *source);
	if (source == NULL) return out_of_memory(err);
	source->zstd = ZSTD_createDCtx();
	if (source->zstd == NULL) {
		rc = out_of_memory(err);
		goto out;
	}
	(void)ZSTD_DCtx_setParameter(source->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	GM_TRY_OUT(gm_store_reader_open(store, key, &source->reader, err));
	rc = read_all(source, each, context, err);
	if (rc == GM_CORRUPT || rc == GM_UNSUPPORTED) (void)gm_error_object(err, rc, key, strlen(key));
out:
	gm_store_reader_close(source->reader);
	(void)ZSTD_freeDCtx(source->zstd);
	free(source);
	return rc;
}
