/* quarantine.c - see quarantine.h for the format.
 *
 * Bytes must be the same for the same records, however they are cut into pieces on their way here: whether an entry is
 * text or base64 depends on its length and content alone. Entries up to SMALL_BYTES are held until they are whole;
 * larger ones are written as base64 while they come. */
#include "table/quarantine.h"

#include "base/utf8.h"
#include "table/ndjson.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_BYTES = GM_QUARANTINE_TEXT_BYTES };

struct gm_quarantine {
	struct gm_ndjson *file;
	/* the entry at hand */
	bool in_entry, large; /* large: its head is written, base64 follows */
	struct gm_buf small;  /* its bytes while it is not large */
	uint64_t entry_bytes;
	uint8_t carry[3]; /* large: bytes that do not make a base64 group yet */
	size_t carried;
};

/* A sentence, which should be UTF-8 but may hold what a record holds. */
static enum gm_code add_field(struct gm_quarantine *quarantine, const char *name, const char *value,
                              struct gm_error *err)
{
	GM_TRY(gm_ndjson_word(quarantine->file, name, err));
	return gm_ndjson_mended(quarantine->file, (const uint8_t *)value, value != NULL ? strlen(value) : 0, err);
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

/* The line up to the bytes, which follow. */
static enum gm_code add_head(struct gm_quarantine *quarantine, const char *object, const struct gm_reject *reject,
                             bool text, struct gm_error *err)
{
	char numbers[80];
	GM_TRY(gm_ndjson_word(quarantine->file, "{", err));
	GM_TRY(gm_ndjson_object(quarantine->file, object, err));
	(void)snprintf(numbers, sizeof numbers, ",\"offset\":%" PRIu64 ",\"record\":%" PRIu64, reject->offset,
	               reject->record);
	GM_TRY(gm_ndjson_word(quarantine->file, numbers, err));
	GM_TRY(add_field(quarantine, ",\"reason\":", gm_reason_code(reject->reason), err));
	GM_TRY(add_field(quarantine, ",\"column\":", reject->column, err));
	GM_TRY(add_field(quarantine, ",\"detail\":", reject->detail, err));
	return gm_ndjson_word(quarantine->file,
	                      text ? ",\"encoding\":\"utf-8\",\"raw\":" : ",\"encoding\":\"base64\",\"raw\":\"", err);
}

static enum gm_code add_tail(struct gm_quarantine *quarantine, struct gm_error *err)
{
	char numbers[40];
	(void)snprintf(numbers, sizeof numbers, ",\"bytes\":%" PRIu64 "}\n", quarantine->entry_bytes);
	return gm_ndjson_word(quarantine->file, numbers, err);
}

/* More bytes of a large entry: what makes no group of three waits in `carry`. */
static enum gm_code add_large(struct gm_quarantine *quarantine, const uint8_t *bytes, size_t n, struct gm_error *err)
{
	while (quarantine->carried > 0 && quarantine->carried < 3 && n > 0) {
		quarantine->carry[quarantine->carried++] = *bytes++;
		n--;
	}
	if (quarantine->carried == 3) {
		GM_TRY(gm_ndjson_base64(quarantine->file, quarantine->carry, 3, err));
		quarantine->carried = 0;
	}
	if (n == 0) return GM_OK; /* and some may wait still */
	size_t whole = n - n % 3;
	GM_TRY(gm_ndjson_base64(quarantine->file, bytes, whole, err));
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
		GM_TRY(gm_ndjson_base64(quarantine->file, quarantine->carry, quarantine->carried, err));
		GM_TRY(gm_ndjson_word(quarantine->file, "\"", err));
	} else if (gm_utf8_valid_prefix(bytes, n) == n) {
		GM_TRY(add_head(quarantine, object, reject, true, err));
		GM_TRY(gm_ndjson_string(quarantine->file, bytes, n, err));
	} else {
		GM_TRY(add_head(quarantine, object, reject, false, err));
		GM_TRY(gm_ndjson_base64(quarantine->file, bytes, n, err));
		GM_TRY(gm_ndjson_word(quarantine->file, "\"", err));
	}
	quarantine->in_entry = quarantine->large = false;
	quarantine->small.len = quarantine->carried = 0;
	return add_tail(quarantine, err);
}

enum gm_code gm_quarantine_add(struct gm_quarantine *quarantine, const char *object, const struct gm_reject *reject,
                               const void *data, size_t bytes, bool last, struct gm_error *err)
{
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
	gm_buf_init(&quarantine->small, SMALL_BYTES);
	enum gm_code rc = gm_ndjson_new(store, final_key, work_prefix, &quarantine->file, err);
	if (rc != GM_OK) {
		gm_quarantine_free(quarantine);
		return rc;
	}
	*out = quarantine;
	return GM_OK;
}

void gm_quarantine_free(struct gm_quarantine *quarantine)
{
	if (quarantine == NULL) return;
	gm_ndjson_free(quarantine->file);
	gm_buf_release(&quarantine->small);
	free(quarantine);
}

enum gm_code gm_quarantine_finish(struct gm_quarantine *quarantine, char token[GM_TOKEN_BYTES], uint64_t *bytes,
                                  uint64_t hash[2], struct gm_error *err)
{
	struct gm_kept_file kept;
	if (quarantine->in_entry) GM_FAIL(err, GM_BUG, "a quarantine entry has no end");
	GM_TRY(gm_ndjson_finish(quarantine->file, &kept, err));
	memcpy(token, kept.token, sizeof kept.token);
	*bytes = kept.bytes;
	hash[0] = kept.hash[0];
	hash[1] = kept.hash[1];
	return GM_OK;
}
