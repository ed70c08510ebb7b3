/* keytable.h - the newest keys of a keyset, in memory: a hash table that is in the order of its keys.
 *
 * It is made of groups of up to GM_KEYGROUP_KEYS keys. A key's home is its share of the range of all hashes (high *
 * homes >> 64), which grows with the key. Where the home is full, the largest of its keys and the new one goes on to the
 * next group, and so on. So all keys of a group are smaller than those of the next, and within it they lie as they came:
 * mostly a new key is appended where it belongs and nothing is moved, and yet the table is written to a run, merged, or
 * grown by one pass, and a search ends at the first group with room. There is no wrap-around: some groups follow the
 * last home, of which the very last never has a key: the sentinel of every search.
 *
 * A byte of each key, its tag, stands apart with those of its group: a key is compared with all of them at once, and met
 * in full where they are equal. The tags of a million keys stay in the cache, so that a key that is new costs one line of
 * memory: the one it is written to. */
#ifndef GM_TABLE_KEYTABLE_H
#define GM_TABLE_KEYTABLE_H

#include "column/vec.h"
#include "table/keyset.h"

enum { GM_KEYGROUP_KEYS = 15 };

struct gm_keytags {
	_Alignas(16) uint8_t tag[GM_KEYGROUP_KEYS];
	uint8_t used;
};

struct gm_keytable {
	struct gm_keytags *tags;      /* of each group */
	struct gm_key_entry *entries; /* GM_KEYGROUP_KEYS each */
	size_t homes, homes_max;
	size_t used; /* keys */
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

/* How many homes have room in so many bytes; 0: none. */
size_t gm_keytable_homes(size_t bytes);
/* An empty table with room for homes_max homes (> 0), which begins with a part of them. False: out of memory. */
bool gm_keytable_init(struct gm_keytable *table, size_t homes_max);
void gm_keytable_release(struct gm_keytable *table);
/* False: so full that searches would become long. Then it is to grow, or to be emptied. */
bool gm_keytable_has_room(const struct gm_keytable *table, size_t more);
/* A multiple of the homes. False, and nothing has happened: that would be more than homes_max, or keys that are no hashes
 * crowd somewhere. */
bool gm_keytable_grow(struct gm_keytable *table);
/* Adds what is not there; returns how far it came: less than the batch if there is no room at a key, which happens when
 * keys that are no hashes crowd at the end. */
size_t gm_keytable_add(struct gm_keytable *table, const struct gm_key_batch *batch);
/* Forgets all keys and goes on with so many homes, at most homes_max: from now on it does not grow. */
void gm_keytable_clear(struct gm_keytable *table, size_t homes);

/* For reading keys in their order: the keys of groups from *group on, in ascending order; as many as fit into `room`
 * entries (at least GM_KEYGROUP_KEYS). 0: that was all. */
size_t gm_keytable_read(const struct gm_keytable *table, size_t *group, struct gm_key_entry *into, size_t room);

#endif
