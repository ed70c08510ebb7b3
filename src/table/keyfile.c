/* keyfile.c - see keyfile.h. All numbers are little-endian.
 *
 *   "GMKY"  u32 format, 1     u64 tag of the secret that the keys are hashed with (gm_key_secret_tag)
 *   entries, 24 bytes each:   u64 low, u64 high of the key's hash (gm_key_hasher); u64 fingerprint (table/content.h)
 *   u64 number of entries     u64 XXH3-64 of everything before it
 *
 * The number stands at the end because the file is written while keys come; the checksum makes of a file that was cut
 * or damaged anywhere an error. The tag does so when a table's secret was lost and made anew: the hashes of then would
 * meet none of those of now, and duplicates would pass. */
#include "table/keyfile.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
	FORMAT = 1,
	HEAD_BYTES = 16,
	ENTRY_BYTES = 24,
	TAIL_BYTES = 16,
	BUFFER_ENTRIES = GM_CHUNK_ROWS,
};
static const char magic[4] = "GMKY";

struct gm_keyfile {
	struct gm_store *store;
	struct gm_staged *staged;
	XXH3_state_t *hash;
	uint64_t count;
	size_t used; /* of buffer */
	uint8_t buffer[BUFFER_ENTRIES * ENTRY_BYTES];
};

/* --- writing ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_keyfile_new(struct gm_store *store, uint64_t secret_tag, const char *final_key, const char *work_prefix,
                            struct gm_keyfile **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_keyfile *file = malloc(sizeof *file);
	if (file == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a key file");
	*file = (struct gm_keyfile){.store = store, .hash = XXH3_createState(), .used = HEAD_BYTES};
	memcpy(file->buffer, magic, sizeof magic);
	gm_put_le(file->buffer + sizeof magic, FORMAT, 4);
	gm_put_le(file->buffer + 8, secret_tag, 8);
	enum gm_code rc = GM_OK;
	if (file->hash == NULL || XXH3_64bits_reset(file->hash) != XXH_OK)
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a key file");
	if (rc == GM_OK) rc = gm_store_stage_open(store, final_key, work_prefix, &file->staged, err);
	if (rc != GM_OK) {
		gm_keyfile_free(file);
		return rc;
	}
	*out = file;
	return GM_OK;
}

void gm_keyfile_free(struct gm_keyfile *file)
{
	if (file == NULL) return;
	gm_store_stage_abandon(file->store, file->staged);
	(void)XXH3_freeState(file->hash);
	free(file);
}

static enum gm_code flush(struct gm_keyfile *file, struct gm_error *err)
{
	size_t bytes = file->used;
	file->used = 0;
	(void)XXH3_64bits_update(file->hash, file->buffer, bytes);
	return gm_store_stage_append(file->store, file->staged, file->buffer, bytes, err);
}

enum gm_code gm_keyfile_add(struct gm_keyfile *file, const struct gm_key_entry *entries, size_t count,
                            struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (sizeof file->buffer - file->used < ENTRY_BYTES) GM_TRY(flush(file, err));
		uint8_t *entry = file->buffer + file->used;
		gm_put_le(entry, entries[i].key.low, 8);
		gm_put_le(entry + 8, entries[i].key.high, 8);
		gm_put_le(entry + 16, entries[i].value, 8);
		file->used += ENTRY_BYTES;
	}
	file->count += count;
	return GM_OK;
}

enum gm_code gm_keyfile_finish(struct gm_keyfile *file, char token[GM_TOKEN_BYTES], struct gm_error *err)
{
	uint8_t tail[TAIL_BYTES];
	GM_TRY(flush(file, err));
	gm_put_le(tail, file->count, 8);
	(void)XXH3_64bits_update(file->hash, tail, 8);
	gm_put_le(tail + 8, XXH3_64bits_digest(file->hash), 8);
	GM_TRY(gm_store_stage_append(file->store, file->staged, tail, sizeof tail, err));
	struct gm_staged *staged = file->staged;
	file->staged = NULL; /* gone from here on, also on failure */
	return gm_store_stage_finish(file->store, staged, token, err);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct source {
	struct gm_store_reader *reader;
	XXH3_state_t *hash;
	struct gm_key_entry *entries;
	uint8_t *buffer;
};

static enum gm_code damaged(const char *how, struct gm_error *err)
{
	GM_FAIL(err, GM_CORRUPT, "a list of keys %s", how);
}

static enum gm_code read_exactly(struct source *source, size_t bytes, struct gm_error *err)
{
	size_t got;
	GM_TRY(gm_store_reader_read(source->reader, source->buffer, bytes, &got, err));
	return got == bytes ? GM_OK : damaged("is cut short", err);
}

static enum gm_code read_head(struct source *source, uint64_t secret_tag, struct gm_error *err)
{
	GM_TRY(read_exactly(source, HEAD_BYTES, err));
	if (memcmp(source->buffer, magic, sizeof magic) != 0) return damaged("does not begin like one", err);
	uint64_t format = gm_get_le(source->buffer + sizeof magic, 4);
	if (format == 0) return damaged("does not begin like one", err);
	if (format > FORMAT)
		GM_FAIL(err, GM_UNSUPPORTED, "a list of keys has format %" PRIu64 ", this version knows %d", format, FORMAT);
	if (gm_get_le(source->buffer + 8, 8) != secret_tag)
		return damaged("was hashed with another key than _gristmill/hash-key", err);
	(void)XXH3_64bits_update(source->hash, source->buffer, HEAD_BYTES);
	return GM_OK;
}

static enum gm_code read_entries(struct source *source, uint64_t count, gm_keyset_fn *each, void *context,
                                 struct gm_error *err)
{
	for (uint64_t done = 0; done < count;) {
		size_t n = count - done < BUFFER_ENTRIES ? (size_t)(count - done) : BUFFER_ENTRIES;
		GM_TRY(read_exactly(source, n * ENTRY_BYTES, err));
		(void)XXH3_64bits_update(source->hash, source->buffer, n * ENTRY_BYTES);
		for (size_t i = 0; i < n; i++) {
			const uint8_t *entry = source->buffer + i * ENTRY_BYTES;
			source->entries[i] = (struct gm_key_entry){
			    .key.low = gm_get_le(entry, 8), .key.high = gm_get_le(entry + 8, 8), .value = gm_get_le(entry + 16, 8)};
		}
		GM_TRY(each(context, source->entries, n, err));
		done += n;
	}
	return GM_OK;
}

static enum gm_code read_all(struct source *source, uint64_t secret_tag, gm_keyset_fn *each, void *context,
                             struct gm_error *err)
{
	uint64_t size = source->reader->info.size;
	if (size < HEAD_BYTES + TAIL_BYTES || (size - HEAD_BYTES - TAIL_BYTES) % ENTRY_BYTES != 0)
		return damaged("is cut short", err);
	uint64_t count = (size - HEAD_BYTES - TAIL_BYTES) / ENTRY_BYTES;
	GM_TRY(read_head(source, secret_tag, err));
	GM_TRY(read_entries(source, count, each, context, err));
	GM_TRY(read_exactly(source, TAIL_BYTES, err));
	if (gm_get_le(source->buffer, 8) != count) return damaged("is cut short", err);
	(void)XXH3_64bits_update(source->hash, source->buffer, 8);
	if (gm_get_le(source->buffer + 8, 8) != XXH3_64bits_digest(source->hash))
		return damaged("does not match its checksum", err);
	return GM_OK;
}

enum gm_code gm_keyfile_read(struct gm_store *store, uint64_t secret_tag, const char *key, gm_keyset_fn *each,
                             void *context, struct gm_error *err)
{
	struct source source = {.hash = XXH3_createState()};
	enum gm_code rc = GM_NOMEM;
	source.buffer = malloc((size_t)BUFFER_ENTRIES * ENTRY_BYTES);
	source.entries = malloc(BUFFER_ENTRIES * sizeof *source.entries);
	if (source.hash == NULL || source.buffer == NULL || source.entries == NULL ||
	    XXH3_64bits_reset(source.hash) != XXH_OK) {
		(void)gm_error_set(err, GM_NOMEM, "out of memory for reading keys");
		goto out;
	}
	GM_TRY_OUT(gm_store_reader_open(store, key, &source.reader, err));
	rc = read_all(&source, secret_tag, each, context, err);
	if (rc == GM_CORRUPT || rc == GM_UNSUPPORTED) (void)gm_error_object(err, rc, key, strlen(key));
out:
	gm_store_reader_close(source.reader);
	(void)XXH3_freeState(source.hash);
	free(source.buffer);
	free(source.entries);
	return rc;
}
