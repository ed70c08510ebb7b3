/* kept_file.h - the staging of a file that a unit leaves beside its data files: its bytes, their count and hash.
 *
 * What compresses feeds it. Nothing is staged before it is opened. */
#ifndef GM_TABLE_KEPT_FILE_H
#define GM_TABLE_KEPT_FILE_H

#include "store/store.h"

struct gm_kept_file {
	char token[GM_TOKEN_BYTES]; /* "": there is none */
	uint64_t bytes, hash[2];    /* of the file as stored; XXH3-128: low, high */
};

struct gm_kept_writer {
	struct gm_store *store;
	char *final_key, *work_prefix;
	struct gm_staged *staged; /* NULL before it is opened and after the end */
	struct XXH3_state_s *hash;
	uint64_t bytes;
};

/* Zero the writer before; on failure, too, release it. `what` is the file for a message: "a list of duplicates". */
enum gm_code gm_kept_init(struct gm_kept_writer *writer, struct gm_store *store, const char *final_key,
                          const char *work_prefix, const char *what, struct gm_error *err) GM_CHECK;
void gm_kept_release(struct gm_kept_writer *writer); /* abandons what is not finished */
enum gm_code gm_kept_open(struct gm_kept_writer *writer, struct gm_error *err) GM_CHECK;
enum gm_code gm_kept_append(struct gm_kept_writer *writer, const void *bytes, size_t n, struct gm_error *err) GM_CHECK;
/* Once, after it was opened. */
enum gm_code gm_kept_finish(struct gm_kept_writer *writer, struct gm_kept_file *kept, struct gm_error *err) GM_CHECK;

#endif
