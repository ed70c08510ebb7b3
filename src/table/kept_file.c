#include "table/kept_file.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum gm_code gm_kept_init(struct gm_kept_writer *writer, struct gm_store *store, const char *final_key,
                          const char *work_prefix, const char *what, struct gm_error *err)
{
	writer->store = store;
	writer->final_key = strdup(final_key);
	writer->work_prefix = strdup(work_prefix);
	writer->hash = XXH3_createState();
	if (writer->final_key == NULL || writer->work_prefix == NULL || writer->hash == NULL ||
	    XXH3_128bits_reset(writer->hash) != XXH_OK)
		GM_FAIL(err, GM_NOMEM, "out of memory for %s", what);
	return GM_OK;
}

void gm_kept_release(struct gm_kept_writer *writer)
{
	gm_store_stage_abandon(writer->store, writer->staged);
	(void)XXH3_freeState(writer->hash);
	free(writer->final_key);
	free(writer->work_prefix);
}

enum gm_code gm_kept_open(struct gm_kept_writer *writer, struct gm_error *err)
{
	return gm_store_stage_open(writer->store, writer->final_key, writer->work_prefix, &writer->staged, err);
}

enum gm_code gm_kept_append(struct gm_kept_writer *writer, const void *bytes, size_t n, struct gm_error *err)
{
	GM_TRY(gm_store_stage_append(writer->store, writer->staged, bytes, n, err));
	(void)XXH3_128bits_update(writer->hash, bytes, n);
	writer->bytes += n;
	return GM_OK;
}

enum gm_code gm_kept_finish(struct gm_kept_writer *writer, struct gm_kept_file *kept, struct gm_error *err)
{
	struct gm_staged *staged = writer->staged;
	writer->staged = NULL; /* gone from here on, also on failure */
	GM_TRY(gm_store_stage_finish(writer->store, staged, kept->token, err));
	XXH128_hash_t digest = XXH3_128bits_digest(writer->hash);
	kept->bytes = writer->bytes;
	kept->hash[0] = digest.low64;
	kept->hash[1] = digest.high64;
	return GM_OK;
}
