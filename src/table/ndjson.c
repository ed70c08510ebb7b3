#include "table/ndjson.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
	TEXT_BYTES = 32 << 10, /* uncompressed, collected before they are deflated */
	DEFLATED_BYTES = 32 << 10,
	LEVEL = 6,
	GZIP_WINDOW = 15 + 16,
	MEMORY_LEVEL = 8,
	OS_UNKNOWN = 255,
};

struct gm_ndjson {
	struct gm_kept_writer writer; /* opened at the first text */
	bool deflating;               /* `stream` is open */
	z_stream stream;
	gz_header header;
	size_t used; /* of text */
	uint8_t text[TEXT_BYTES];
	uint8_t deflated[DEFLATED_BYTES];
};

/* --- gzip --------------------------------------------------------------------------------------------------------- */

static enum gm_code start(struct gm_ndjson *file, struct gm_error *err)
{
	if (file->writer.staged != NULL) return GM_OK;
	if (!file->deflating) {
		int rc = deflateInit2(&file->stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
		if (rc != Z_OK) GM_FAIL(err, rc == Z_MEM_ERROR ? GM_NOMEM : GM_BUG, "deflate cannot start (%d)", rc);
		file->deflating = true;
	}
	file->header.os = OS_UNKNOWN;
	if (deflateSetHeader(&file->stream, &file->header) != Z_OK) GM_FAIL(err, GM_BUG, "no gzip header");
	return gm_kept_open(&file->writer, err);
}

/* Deflates the text collected. */
static enum gm_code deflate_text(struct gm_ndjson *file, int flush, struct gm_error *err)
{
	z_stream *stream = &file->stream;
	int rc;
	stream->next_in = file->text;
	stream->avail_in = (uInt)file->used;
	file->used = 0;
	do {
		stream->next_out = file->deflated;
		stream->avail_out = DEFLATED_BYTES;
		rc = deflate(stream, flush);
		if (rc == Z_STREAM_ERROR) GM_FAIL(err, GM_BUG, "deflate lost its state");
		size_t bytes = DEFLATED_BYTES - stream->avail_out;
		GM_TRY(gm_kept_append(&file->writer, file->deflated, bytes, err));
	} while (flush == Z_FINISH ? rc != Z_STREAM_END : stream->avail_out == 0);
	return GM_OK;
}

enum gm_code gm_ndjson_add(struct gm_ndjson *file, const void *text, size_t bytes, struct gm_error *err)
{
	const uint8_t *from = text;
	GM_TRY(start(file, err));
	while (bytes > 0) {
		if (file->used == TEXT_BYTES) GM_TRY(deflate_text(file, Z_NO_FLUSH, err));
		size_t n = TEXT_BYTES - file->used < bytes ? TEXT_BYTES - file->used : bytes;
		memcpy(file->text + file->used, from, n);
		file->used += n;
		from += n;
		bytes -= n;
	}
	return GM_OK;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_ndjson_word(struct gm_ndjson *file, const char *text, struct gm_error *err)
{
	return gm_ndjson_add(file, text, strlen(text), err);
}

static enum gm_code add_escaped(struct gm_ndjson *file, uint8_t byte, struct gm_error *err)
{
	char text[8];
	switch (byte) {
	case '"': return gm_ndjson_add(file, "\\\"", 2, err);
	case '\\': return gm_ndjson_add(file, "\\\\", 2, err);
	case '\n': return gm_ndjson_add(file, "\\n", 2, err);
	case '\r': return gm_ndjson_add(file, "\\r", 2, err);
	case '\t': return gm_ndjson_add(file, "\\t", 2, err);
	default: (void)snprintf(text, sizeof text, "\\u%04x", byte); return gm_ndjson_add(file, text, 6, err);
	}
}

enum gm_code gm_ndjson_string(struct gm_ndjson *file, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	size_t plain = 0; /* where what needs no escape begins */
	GM_TRY(gm_ndjson_add(file, "\"", 1, err));
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\') continue;
		GM_TRY(gm_ndjson_add(file, bytes + plain, i - plain, err));
		GM_TRY(add_escaped(file, bytes[i], err));
		plain = i + 1;
	}
	GM_TRY(gm_ndjson_add(file, bytes + plain, n - plain, err));
	return gm_ndjson_add(file, "\"", 1, err);
}

enum gm_code gm_ndjson_mended(struct gm_ndjson *file, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	struct gm_buf mended;
	gm_buf_init(&mended, 3 * n); /* a bad byte becomes three at most */
	enum gm_code rc = gm_utf8_mend(bytes, n, &mended, NULL, err);
	if (rc == GM_OK) rc = gm_ndjson_string(file, mended.data, mended.len, err);
	gm_buf_release(&mended);
	return rc;
}

enum gm_code gm_ndjson_base64(struct gm_ndjson *file, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		unsigned group = (unsigned)bytes[i] << 16;
		if (left > 1) group |= (unsigned)bytes[i + 1] << 8;
		if (left > 2) group |= bytes[i + 2];
		char text[4] = {digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
		                left > 2 ? digits[group & 63] : '='};
		GM_TRY(gm_ndjson_add(file, text, sizeof text, err));
	}
	return GM_OK;
}

enum gm_code gm_ndjson_object(struct gm_ndjson *file, const char *key, struct gm_error *err)
{
	const uint8_t *bytes = (const uint8_t *)key;
	size_t n = strlen(key);
	GM_TRY(gm_ndjson_word(file, "\"object\":", err));
	GM_TRY(gm_ndjson_mended(file, bytes, n, err));
	if (gm_utf8_valid_prefix(bytes, n) == n) return GM_OK;
	GM_TRY(gm_ndjson_word(file, ",\"object_base64\":\"", err));
	GM_TRY(gm_ndjson_base64(file, bytes, n, err));
	return gm_ndjson_word(file, "\"", err);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_ndjson_new(struct gm_store *store, const char *final_key, const char *work_prefix,
                           struct gm_ndjson **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_ndjson *file = calloc(1, sizeof *file);
	if (file == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a file of JSON lines");
	enum gm_code rc = gm_kept_init(&file->writer, store, final_key, work_prefix, "a file of JSON lines", err);
	if (rc != GM_OK) {
		gm_ndjson_free(file);
		return rc;
	}
	*out = file;
	return GM_OK;
}

void gm_ndjson_free(struct gm_ndjson *file)
{
	if (file == NULL) return;
	gm_kept_release(&file->writer);
	if (file->deflating) (void)deflateEnd(&file->stream);
	free(file);
}

enum gm_code gm_ndjson_finish(struct gm_ndjson *file, struct gm_kept_file *kept, struct gm_error *err)
{
	*kept = (struct gm_kept_file){0};
	if (file->writer.staged == NULL) return GM_OK;
	GM_TRY(deflate_text(file, Z_FINISH, err));
	return gm_kept_finish(&file->writer, kept, err);
}
