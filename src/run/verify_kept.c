/* verify_kept.c - what a run keeps beside its data files: are they there, whole, and do they hold as many entries as
 * the books say? */
#include "run/verify_internal.h"

#include "shred/inflate.h"
#include "table/duplicates.h"

#include <inttypes.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { READ_BYTES = 64 * 1024 };

struct kept {
	struct gm_verifier *verifier;
	const struct gm_kept_claim *claim;
	struct gm_finding about;
	struct gm_store_reader *reader;
	uint64_t entries;
};

/* --- Hash --------------------------------------------------------------------------------------------------------- */

static enum gm_code hash_file(struct kept *kept, uint64_t hash[2], struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	XXH3_state_t *state = XXH3_createState();
	uint8_t *buffer = malloc(READ_BYTES);
	if (state == NULL || buffer == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a proof");
		goto out;
	}
	(void)XXH3_128bits_reset(state);
	GM_TRY_OUT(gm_store_reader_open(kept->verifier->table, kept->claim->path, &kept->reader, err));
	for (size_t got = 1; got > 0;) {
		GM_TRY_OUT(gm_store_reader_read(kept->reader, buffer, READ_BYTES, &got, err));
		(void)XXH3_128bits_update(state, buffer, got);
		GM_TRY_OUT(gm_verify_pulse(kept->verifier, err));
	}
	XXH128_hash_t digest = XXH3_128bits_digest(state);
	hash[0] = digest.low64;
	hash[1] = digest.high64;
out:
	gm_store_reader_close(kept->reader);
	kept->reader = NULL;
	free(buffer);
	(void)XXH3_freeState(state);
	return rc;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

static enum gm_code read_file(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct kept *kept = context;
	return gm_store_reader_read(kept->reader, into, bytes, got, err);
}

/* An entry is a line. */
static enum gm_code count_lines(struct kept *kept, struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	struct gm_inflate *inflate = gm_inflate_new();
	uint8_t *buffer = malloc(READ_BYTES);
	if (inflate == NULL || buffer == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for a proof");
		goto out;
	}
	GM_TRY_OUT(gm_store_reader_open(kept->verifier->table, kept->claim->path, &kept->reader, err));
	gm_inflate_begin(inflate, read_file, kept);
	for (size_t got = 1; got > 0;) {
		GM_TRY_OUT(gm_inflate_read(inflate, buffer, READ_BYTES, &got, err));
		for (size_t i = 0; i < got; i++) kept->entries += buffer[i] == '\n';
		GM_TRY_OUT(gm_verify_pulse(kept->verifier, err));
	}
out:
	gm_store_reader_close(kept->reader);
	kept->reader = NULL;
	gm_inflate_free(inflate);
	free(buffer);
	return rc;
}

static enum gm_code count_duplicates(void *context, const struct gm_duplicate *entries, size_t count,
                                     struct gm_error *err)
{
	struct kept *kept = context;
	(void)entries;
	kept->entries += count;
	return gm_verify_pulse(kept->verifier, err);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);
	return n >= k && strcmp(text + n - k, end) == 0;
}

static enum gm_code count_entries(struct kept *kept, struct gm_error *err)
{
	const char *path = kept->claim->path;
	if (ends_with(path, ".ndjson.gz")) return count_lines(kept, err);
	return gm_duplicates_read(kept->verifier->table, path, count_duplicates, kept, err);
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

static enum gm_code check_size(struct kept *kept, bool *same, struct gm_error *err)
{
	struct gm_arena arena;
	struct gm_object_info info;
	gm_arena_init(&arena, 1024);
	enum gm_code rc = gm_store_stat(kept->verifier->table, kept->claim->path, &info, &arena, err);
	gm_arena_release(&arena);
	GM_TRY(rc);
	*same = info.size == kept->claim->bytes;
	if (!*same)
		gm_verify_report(kept->verifier, &kept->about, "it has %" PRIu64 " bytes, the books say %" PRIu64, info.size,
		                 kept->claim->bytes);
	return GM_OK;
}

static enum gm_code check(struct kept *kept, struct gm_error *err)
{
	bool same;
	uint64_t hash[2] = {0};
	GM_TRY(check_size(kept, &same, err));
	if (!same || kept->verifier->options.quick) return GM_OK;
	GM_TRY(hash_file(kept, hash, err));
	if (hash[0] != kept->claim->hash[0] || hash[1] != kept->claim->hash[1]) {
		gm_verify_report(kept->verifier, &kept->about, "it holds other bytes than were written: its hash is another");
		return GM_OK;
	}
	if (kept->claim->entries == UINT64_MAX) return GM_OK;
	GM_TRY(count_entries(kept, err));
	if (kept->entries != kept->claim->entries)
		gm_verify_report(kept->verifier, &kept->about, "it has %" PRIu64 " entries, the books say %" PRIu64,
		                 kept->entries, kept->claim->entries);
	return GM_OK;
}

enum gm_code gm_verify_kept(struct gm_verifier *verifier, const struct gm_verify_job *job, uint64_t run,
                            const struct gm_kept_claim *claim, struct gm_error *err)
{
	struct kept kept = {
	    .verifier = verifier, .claim = claim, .about = gm_verify_about(GM_FINDING_KEPT_FILE, claim->path)};
	kept.about.job = job->id;
	kept.about.run = run;
	enum gm_code rc = check(&kept, err);
	if (!gm_verify_is_finding(rc)) return rc;
	gm_verify_report(verifier, &kept.about, "%s", rc == GM_NOT_FOUND ? "the file is gone" : err->message);
	return GM_OK;
}
