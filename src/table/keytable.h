/* keytable.h - the newest keys of a keyset, in memory: entries as they came, and an index to them.
 *
 * The entries are one array, to which new ones are appended. The index is a hash table of groups, a line of the cache
 * each: of up to GM_KEYGROUP_KEYS keys the places in the array, and a byte of each, its tag. A key is compared with all
 * tags of a group at once, and with an entry where they are equal; the search goes on to the next group while one is
 * full. So a key that is new costs one line out of a fifth of the memory, and what grows is the index alone: it is made
 * anew. */
#ifndef GM_TABLE_KEYTABLE_H
#define GM_TABLE_KEYTABLE_H

#include "column/vec.h"
#include "table/keyset.h"

enum { GM_KEYGROUP_KEYS = 12 };

struct gm_keygroup {
	_Alignas(64) uint8_t tag[GM_KEYGROUP_KEYS];
	uint8_t used;
	uint32_t place[GM_KEYGROUP_KEYS];
};

struct gm_keytable {
	struct gm_keygroup *groups;
	size_t group_count, group_max;
	struct gm_key_entry *entries;
	size_t used, used_max; /* entries */
	void *memory;
	size_t memory_bytes; /* addresses reserved */
};

static inline bool gm_key_less(struct gm_hash128 a, struct gm_hash128 b)
{
	return a.high != b.high ? a.high < b.high : a.low < b.low;
}
static inline bool gm_key_equal(struct gm_hash128 a, struct gm_hash128 b)
{
	return a.high == b.high && a.low == b.low;
}

/* Keys that are looked up together. Those with skip[i] or duplicate[i] set are not asked; where keys[i] is there,
 * duplicate[i] is set, and found[i] is its value. */
struct gm_key_batch {
	const struct gm_hash128 *keys;
	const uint64_t *values; /* of those that are added; NULL: `value` for all of them */
	const uint8_t *skip;    /* NULL: none */
	size_t count;
	uint8_t *duplicate;
	uint64_t *found; /* NULL: not asked for */
	uint64_t value;
	bool lower; /* a key that is there gets `value` if that is smaller than its own */
};

/* An empty table of at most so many bytes, of which it touches what its keys need. False: out of memory. */
bool gm_keytable_init(struct gm_keytable *table, size_t bytes);
void gm_keytable_release(struct gm_keytable *table);
/* Room for so many keys more; false: there is none in its bytes. */
bool gm_keytable_reserve(struct gm_keytable *table, size_t more);
/* Adds what is not there. There must be room for the whole batch. */
void gm_keytable_add(struct gm_keytable *table, const struct gm_key_batch *batch);
/* Brings the entries into ascending order. The index is worth nothing then, until the table is indexed or cleared. */
void gm_keytable_sort(struct gm_keytable *table);
void gm_keytable_index(struct gm_keytable *table);
/* Forgets all keys and goes on with so many bytes, if these are fewer than it had. */
void gm_keytable_clear(struct gm_keytable *table, size_t bytes);

#endif
