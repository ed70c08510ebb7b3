/* quarantine.c - see quarantine.h for the format.
 *
 * Bytes must be the same for the same records, however they are cut into pieces on their way here: whether an entry is
 * text or base64 depends on its length and content alone, and deflate is fed from a buffer that is always full.
 * gzip: level 6, no name, no time, operating system "unknown". Entries up to SMALL_BYTES are held until they are whole;
 * larger ones are written as base64 while they come. */
#include "table/quarantine.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>

enum {
	SMALL_BYTES = 256 << 10,
	TEXT_BYTES = 32 << 10, /* uncompressed, collected before they are deflated */
	DEFLATED_BYTES = 32 << 10,
	LEVEL = 6,
	GZIP_WINDOW = 15 + 16,
	MEMORY_LEVEL = 8,
	OS_UNKNOWN = 255,
};

struct gm_quarantine {
	struct gm_store *store;
	char *final_key, *work_prefix;
	struct gm_staged *staged; /* NULL before the first entry and after the end */
	bool deflating;           /* `stream` is open */
	z_stream stream;
	gz_header header;
	XXH3_state_t *hash; /* of the compressed bytes */
	uint64_t bytes;     /* compressed */
	/* the entry at hand */
	bool in_entry, large; /* large: its head is written, base64 follows */
	struct gm_buf small;  /* its bytes while it is not large */
	uint64_t entry_bytes;
	uint8_t carry[3]; /* large: bytes that do not make a base64 group yet */
	size_t carried;
	size_t used; /* of text */
	uint8_t text[TEXT_BYTES];
	uint8_t deflated[DEFLATED_BYTES];
};

/* --- gzip --------------------------------------------------------------------------------------------------------- */

static enum gm_code start(struct gm_quarantine *quarantine, struct gm_error *err)
{
	if (quarantine->staged != NULL) return GM_OK;
	if (quarantine->hash == NULL) quarantine->hash = XXH3_createState();
	if (quarantine->hash == NULL || XXH3_128bits_reset(quarantine->hash) != XXH_OK)
		GM_FAIL(err, GM_NOMEM, "out of memory for the quarantine");
	if (!quarantine->deflating) {
		int rc = deflateInit2(&quarantine->stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
		if (rc != Z_OK) GM_FAIL(err, rc == Z_MEM_ERROR ? GM_NOMEM : GM_BUG, "deflate cannot start (%d)", rc);
		quarantine->deflating = true;
	}
	quarantine->header.os = OS_UNKNOWN;
	if (deflateSetHeader(&quarantine->stream, &quarantine->header) != Z_OK) GM_FAIL(err, GM_BUG, "no gzip header");
	return gm_store_stage_open(quarantine->store, quarantine->final_key, quarantine->work_prefix, &quarantine->staged,
	                           err);
}

/* Deflates the text collected. */
static enum gm_code deflate_text(struct gm_quarantine *quarantine, int flush, struct gm_error *err)
{
	z_stream *stream = &quarantine->stream;
	int rc;
	stream->next_in = quarantine->text;
	stream->avail_in = (uInt)quarantine->used;
	quarantine->used = 0;
	do {
		stream->next_out = quarantine->deflated;
		stream->avail_out = DEFLATED_BYTES;
		rc = deflate(stream, flush);
		if (rc == Z_STREAM_ERROR) GM_FAIL(err, GM_BUG, "deflate lost its state");
		size_t bytes = DEFLATED_BYTES - stream->avail_out;
		GM_TRY(gm_store_stage_append(quarantine->store, quarantine->staged, quarantine->deflated, bytes, err));
		(void)XXH3_128bits_update(quarantine->hash, quarantine->deflated, bytes);
		quarantine->bytes += bytes;
	} while (flush == Z_FINISH ? rc != Z_STREAM_END : stream->avail_out == 0);
	return GM_OK;
}

static enum gm_code add_text(struct gm_quarantine *quarantine, const void *text, size_t bytes, struct gm_error *err)
{
	const uint8_t *from = text;
	while (bytes > 0) {
		if (quarantine->used == TEXT_BYTES) GM_TRY(deflate_text(quarantine, Z_NO_FLUSH, err));
		size_t n = TEXT_BYTES - quarantine->used < bytes ? TEXT_BYTES - quarantine->used : bytes;
		memcpy(quarantine->text + quarantine->used, from, n);
		quarantine->used += n;
		from += n;
		bytes -= n;
	}
	return GM_OK;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static enum gm_code add_word(struct gm_quarantine *quarantine, const char *word, struct gm_error *err)
{
	return add_text(quarantine, word, strlen(word), err);
}

static enum gm_code add_escaped(struct gm_quarantine *quarantine, uint8_t byte, struct gm_error *err)
{
	char text[8];
	switch (byte) {
	case '"': return add_text(quarantine, "\\\"", 2, err);
	case '\\': return add_text(quarantine, "\\\\", 2, err);
	case '\n': return add_text(quarantine, "\\n", 2, err);
	case '\r': return add_text(quarantine, "\\r", 2, err);
	case '\t': return add_text(quarantine, "\\t", 2, err);
	default: (void)snprintf(text, sizeof text, "\\u%04x", byte); return add_text(quarantine, text, 6, err);
	}
}

/* A JSON string, with its quotes, of well-formed UTF-8. */
static enum gm_code add_string(struct gm_quarantine *quarantine, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	size_t plain = 0; /* where what needs no escape begins */
	GM_TRY(add_text(quarantine, "\"", 1, err));
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\') continue;
		GM_TRY(add_text(quarantine, bytes + plain, i - plain, err));
		GM_TRY(add_escaped(quarantine, bytes[i], err));
		plain = i + 1;
	}
	GM_TRY(add_text(quarantine, bytes + plain, n - plain, err));
	return add_text(quarantine, "\"", 1, err);
}

/* Whole groups of three bytes, or at the end of a value one or two. */
static enum gm_code add_base64(struct gm_quarantine *quarantine, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		unsigned group = (unsigned)bytes[i] << 16;
		if (left > 1) group |= (unsigned)bytes[i + 1] << 8;
		if (left > 2) group |= bytes[i + 2];
		char text[4] = {digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
		                left > 2 ? digits[group & 63] : '='};
		GM_TRY(add_text(quarantine, text, sizeof text, err));
	}
	return GM_OK;
}

/* A name or sentence, which should be UTF-8 but may hold what a file name or a record holds. */
static enum gm_code add_field(struct gm_quarantine *quarantine, const char *name, const char *value,
                              struct gm_error *err)
{
	struct gm_buf mended;
	size_t n = value != NULL ? strlen(value) : 0;
	gm_buf_init(&mended, 3 * n); /* a bad byte becomes three at most */
	enum gm_code rc = gm_utf8_mend((const uint8_t *)value, n, &mended, NULL, err);
	if (rc == GM_OK) rc = add_word(quarantine, name, err);
	if (rc == GM_OK) rc = add_string(quarantine, mended.data, mended.len, err);
	gm_buf_release(&mended);
	return rc;
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

/* The line up to the bytes, which follow. */
static enum gm_code add_head(struct gm_quarantine *quarantine, const char *object, const struct gm_reject *reject,
                             bool text, struct gm_error *err)
{
	char numbers[80];
	size_t object_bytes = strlen(object);
	GM_TRY(add_field(quarantine, "{\"object\":", object, err));
	if (gm_utf8_valid_prefix((const uint8_t *)object, object_bytes) < object_bytes) { /* the name itself, not lost */
		GM_TRY(add_word(quarantine, ",\"object_base64\":\"", err));
		GM_TRY(add_base64(quarantine, (const uint8_t *)object, object_bytes, err));
		GM_TRY(add_word(quarantine, "\"", err));
	}
	(void)snprintf(numbers, sizeof numbers, ",\"offset\":%" PRIu64 ",\"record\":%" PRIu64, reject->offset,
	               reject->record);
	GM_TRY(add_word(quarantine, numbers, err));
	GM_TRY(add_field(quarantine, ",\"reason\":", gm_reason_code(reject->reason), err));
	GM_TRY(add_field(quarantine, ",\"column\":", reject->column, err));
	GM_TRY(add_field(quarantine, ",\"detail\":", reject->detail, err));
	return add_word(quarantine, text ? ",\"encoding\":\"utf-8\",\"raw\":" : ",\"encoding\":\"base64\",\"raw\":\"", err);
}

static enum gm_code add_tail(struct gm_quarantine *quarantine, struct gm_error *err)
{
	char numbers[40];
	(void)snprintf(numbers, sizeof numbers, ",\"bytes\":%" PRIu64 "}\n", quarantine->entry_bytes);
	return add_word(quarantine, numbers, err);
}

/* More bytes of a large entry: what makes no group of three waits in `carry`. */
static enum gm_code add_large(struct gm_quarantine *quarantine, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	while (quarantine->carried > 0 && quarantine->carried < 3 && n > 0) {
		quarantine->carry[quarantine->carried++] = *bytes++;
		n--;
	}
	if (quarantine->carried == 3) {
		GM_TRY(add_base64(quarantine, quarantine->carry, 3, err));
		quarantine->carried = 0;
	}
	if (n == 0) return GM_OK; /* and some may wait still */
	size_t whole = n - n % 3;
	GM_TRY(add_base64(quarantine, bytes, whole, err));
	quarantine->carried = n - whole;
	memcpy(quarantine->carry, bytes + whole, n - whole);
	return GM_OK;
}

/* The entry at hand is complete. */
static enum gm_code end_entry(struct gm_quarantine *quarantine, const char *object, const struct gm_reject *reject,
                              struct gm_error *err)
{
	const uint8_t *bytes = quarantine->small.data;
	size_t n = quarantine->small.len;
	if (quarantine->large) {
		GM_TRY(add_base64(quarantine, quarantine->carry, quarantine->carried, err));
		GM_TRY(add_word(quarantine, "\"", err));
	} else if (gm_utf8_valid_prefix(bytes, n) == n) {
		GM_TRY(add_head(quarantine, object, reject, true, err));
		GM_TRY(add_string(quarantine, bytes, n, err));
	} else {
		GM_TRY(add_head(quarantine, object, reject, false, err));
		GM_TRY(add_base64(quarantine, bytes, n, err));
		GM_TRY(add_word(quarantine, "\"", err));
	}
	quarantine->in_entry = quarantine->large = false;
	quarantine->small.len = quarantine->carried = 0;
	return add_tail(quarantine, err);
}

enum gm_code gm_quarantine_add(struct gm_quarantine *quarantine, const char *object, const struct gm_reject *reject,
                               const void *data, size_t bytes, bool last, struct gm_error *err)
{
	GM_TRY(start(quarantine, err));
	if (!quarantine->in_entry) quarantine->entry_bytes = 0;
	quarantine->in_entry = true;
	quarantine->entry_bytes += bytes;
	if (!quarantine->large && bytes > SMALL_BYTES - quarantine->small.len) {
		quarantine->large = true;
		GM_TRY(add_head(quarantine, object, reject, false, err));
		GM_TRY(add_large(quarantine, quarantine->small.data, quarantine->small.len, err));
		quarantine->small.len = 0;
	}
	if (quarantine->large)
		GM_TRY(add_large(quarantine, data, bytes, err));
	else
		GM_TRY(gm_buf_append(&quarantine->small, data, bytes, err));
	return last ? end_entry(quarantine, object, reject, err) : GM_OK;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_quarantine_new(struct gm_store *store, const char *final_key, const char *work_prefix,
                               struct gm_quarantine **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_quarantine *quarantine = calloc(1, sizeof *quarantine);
	if (quarantine == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the quarantine");
	quarantine->store = store;
	quarantine->final_key = strdup(final_key);
	quarantine->work_prefix = strdup(work_prefix);
	gm_buf_init(&quarantine->small, SMALL_BYTES);
	if (quarantine->final_key == NULL || quarantine->work_prefix == NULL) {
		gm_quarantine_free(quarantine);
		GM_FAIL(err, GM_NOMEM, "out of memory for the quarantine");
	}
	*out = quarantine;
	return GM_OK;
}

void gm_quarantine_free(struct gm_quarantine *quarantine)
{
	if (quarantine == NULL) return;
	gm_store_stage_abandon(quarantine->store, quarantine->staged);
	if (quarantine->deflating) (void)deflateEnd(&quarantine->stream);
	(void)XXH3_freeState(quarantine->hash);
	gm_buf_release(&quarantine->small);
	free(quarantine->final_key);
	free(quarantine->work_prefix);
	free(quarantine);
}

enum gm_code gm_quarantine_finish(struct gm_quarantine *quarantine, char token[GM_TOKEN_BYTES], uint64_t *bytes,
                                  uint64_t hash[2], struct gm_error *err)
{
	token[0] = '\0';
	*bytes = hash[0] = hash[1] = 0;
	if (quarantine->staged == NULL) return GM_OK;
	if (quarantine->in_entry) GM_FAIL(err, GM_BUG, "a quarantine entry has no end");
	GM_TRY(deflate_text(quarantine, Z_FINISH, err));
	struct gm_staged *staged = quarantine->staged;
	quarantine->staged = NULL; /* gone from here on, also on failure */
	GM_TRY(gm_store_stage_finish(quarantine->store, staged, token, err));
	XXH128_hash_t digest = XXH3_128bits_digest(quarantine->hash);
	*bytes = quarantine->bytes;
	hash[0] = digest.low64;
	hash[1] = digest.high64;
	return GM_OK;
}
