/* secret.h - the table's hash key, _gristmill/hash-key: random bytes that all hashes of keys are made with, so that
 * nobody who only writes records can make two keys collide.
 *
 * It is made by the first run. Whoever loses it loses no rows: key lists say which secret they were made with, those of
 * another are not used, and what unfinished runs had worked is worked again. */
#ifndef GM_RUN_SECRET_H
#define GM_RUN_SECRET_H

#include "store/store.h"
#include "table/keyset.h"

/* NOT_FOUND: the table has none. CORRUPT: it is no key. */
enum gm_code gm_secret_read(struct gm_store *table, uint8_t secret[GM_KEY_SECRET_BYTES], struct gm_error *err) GM_CHECK;
/* The table's secret, which is made if there is none. table NULL, or not to be written to: one that is kept nowhere.
 * It is the first that is put into a table. So before it is made the store is probed, unless single_writer: UNSUPPORTED
 * if the store does not hold what everything after that relies on. A table that has one has been probed. */
enum gm_code gm_secret_get(struct gm_store *table, bool writable, bool single_writer,
                           uint8_t secret[GM_KEY_SECRET_BYTES], struct gm_error *err) GM_CHECK;

#endif
