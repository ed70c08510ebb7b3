/* keyfile.h - the keys that a unit of work brought, as a file: <unit>.keys, next to its manifest until the commit.
 *
 * Later units of the plan, on this machine or another, load it to know what is a duplicate and of what; a commit asks
 * it whether somebody else added one of its keys meanwhile. Entries stand in plan order, each key once. The format is
 * described in keyfile.c. */
#ifndef GM_TABLE_KEYFILE_H
#define GM_TABLE_KEYFILE_H

#include "store/store.h"
#include "table/keyset.h"

struct gm_keyfile; /* one that is written; one thread */
/* secret_tag: gm_key_secret_tag of the secret that the keys are hashed with. */
enum gm_code gm_keyfile_new(struct gm_store *store, uint64_t secret_tag, const char *final_key, const char *work_prefix,
                            struct gm_keyfile **out, struct gm_error *err) GM_CHECK;
void gm_keyfile_free(struct gm_keyfile *file); /* abandons what is not finished; NULL is allowed */
enum gm_code gm_keyfile_add(struct gm_keyfile *file, const struct gm_key_entry *entries, size_t count,
                            struct gm_error *err) GM_CHECK;
/* Only once; then free. A file without entries is a file, too. */
enum gm_code gm_keyfile_finish(struct gm_keyfile *file, char token[GM_TOKEN_BYTES], struct gm_error *err) GM_CHECK;

/* All entries in their order, in batches of at most GM_CHUNK_ROWS. CORRUPT, naming the file: cut short or damaged,
 * which may show only after the last batch; or hashed with another secret. UNSUPPORTED: of a newer format. */
enum gm_code gm_keyfile_read(struct gm_store *store, uint64_t secret_tag, const char *key, gm_keyset_fn *each,
                             void *context, struct gm_error *err) GM_CHECK;

#endif
