/* keyset.h - the exact set of keys seen so far, in bounded memory.
 *
 * Keys are 128-bit keyed hashes of partition and unique key (see gm_key_hasher). The newest live in a table (see
 * keytable.h); when that is full it is sorted and written to a run file, with a bloom filter that stays in memory
 * while the budget allows. A lookup asks the table, then each run (bloom, then one page by interpolation/fences). Runs
 * are merged so that their number stays logarithmic. Each key carries 64 bits of its first owner's. Order of insertion
 * decides who was first; the answer is independent of memory. */
#ifndef GM_TABLE_KEYSET_H
#define GM_TABLE_KEYSET_H

#include "column/vec.h"

enum { GM_KEY_SECRET_BYTES = 192 };
/* Tells secrets apart: hashes made with one mean nothing beside those made with another. */
uint64_t gm_key_secret_tag(const uint8_t secret[GM_KEY_SECRET_BYTES]);

/* Hashes partition path and key columns to chunk->key; sets chunk->no_key for rows with a null or empty key, and for
 * those that are not to be kept: it can be the `skip` of gm_keyset_add. Both arrays are made in chunk->passing. One
 * thread. slots NULL: it never sees a chunk. */
struct gm_key_hasher;
enum gm_code gm_key_hasher_new(const uint8_t secret[GM_KEY_SECRET_BYTES], const uint32_t *slots, size_t slot_count,
                               struct gm_key_hasher **out, struct gm_error *err) GM_CHECK;
void gm_key_hasher_free(struct gm_key_hasher *hasher);
enum gm_code gm_key_hasher_run(struct gm_key_hasher *hasher, struct gm_chunk *chunk, struct gm_error *err) GM_CHECK;
/* The same for `rows` rows of one partition that lie in no chunk: row i is row first + i of each column's vec, whose
 * type is the job's. */
struct gm_vec_rows {
	const struct gm_vec *vec;
	uint32_t first;
};
void gm_key_hasher_rows(struct gm_key_hasher *hasher, const struct gm_vec_rows *columns, uint32_t rows,
                        struct gm_hash128 partition, struct gm_hash128 *keys, uint8_t *no_key);
struct gm_hash128 gm_key_hasher_partition(const struct gm_key_hasher *hasher, const char *path, size_t bytes);

/* A key of the set, and the value that says where it comes from. */
struct gm_key_entry {
	struct gm_hash128 key;
	uint64_t value;
};

struct gm_keyset;
/* spill_directory: a local folder for run files, unlinked at once. Less than 128 KiB of memory is taken as that much.
 */
enum gm_code gm_keyset_new(size_t memory_bytes, const char *spill_directory, struct gm_keyset **out,
                           struct gm_error *err) GM_CHECK;
void gm_keyset_free(struct gm_keyset *set);
/* duplicate[i] = 1 if keys[i] was in the set already or stands earlier in keys; then found[i] is the value of the one
 * that is there (found may be NULL). Others are added with values[i] (values NULL: with 0). skip[i] != 0 (skip may be
 * NULL): not asked, not added. One thread. After a failure the set may hold some of the keys: end the run. */
enum gm_code gm_keyset_add(struct gm_keyset *set, const struct gm_hash128 *keys, const uint64_t *values,
                           const uint8_t *skip, uint32_t count, uint8_t *duplicate, uint64_t *found,
                           struct gm_error *err) GM_CHECK;
/* Adds keys whose claim is older than that of keys added in turn: where a key is there already, the smaller value
 * stays. So what the set says in the end does not depend on the order of puts and adds. */
enum gm_code gm_keyset_put(struct gm_keyset *set, const struct gm_hash128 *keys, const uint8_t *skip, uint32_t count,
                           uint64_t value, struct gm_error *err) GM_CHECK;
uint64_t gm_keyset_count(const struct gm_keyset *set);
/* All keys in ascending order of (high, low), in batches. */
typedef enum gm_code gm_keyset_fn(void *context, const struct gm_key_entry *entries, size_t count,
                                  struct gm_error *err);
enum gm_code gm_keyset_each(struct gm_keyset *set, gm_keyset_fn *each, void *context, struct gm_error *err) GM_CHECK;

#endif
