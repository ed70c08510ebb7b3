#include "table/delta_internal.h"

#include <string.h>

enum gm_code gm_delta_read_checkpoint(struct gm_store *table, int64_t version, uint32_t parts, unsigned wanted,
                                      size_t memory_bytes, gm_delta_action_fn *each, void *context,
                                      struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	(void)table, (void)wanted, (void)memory_bytes, (void)each, (void)context;
	gm_delta_checkpoint_key(version, parts > 0, parts, key);
	(void)gm_error_set(err, GM_UNSUPPORTED, "checkpoints cannot be read yet");
	return gm_error_object(err, GM_UNSUPPORTED, key, strlen(key));
}

enum gm_code gm_delta_checkpoint_size(struct gm_store *table, int64_t version, size_t memory_bytes, uint64_t *count,
                                      uint64_t *bytes, struct gm_error *err)
{
	(void)table, (void)memory_bytes, (void)version;
	*count = *bytes = 0;
	GM_FAIL(err, GM_UNSUPPORTED, "checkpoints cannot be read yet");
}
