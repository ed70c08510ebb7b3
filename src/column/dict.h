/* dict.h - a growing set of distinct byte strings with small integer codes.
 *
 * Code 0 is null and never stored; the first string gets code 1. An entry is a little-endian u32 length followed by its
 * bytes: the PLAIN form of a Parquet BYTE_ARRAY. Entries never move and never change, so a reader on another thread may
 * look up any code it was handed (through a lock or queue) while the one writer goes on adding. The dictionary frees
 * itself when its last reference goes.
 *
 * Large dictionaries are as fast as memory is: a value costs one line of slots and one of its entry, both asked for
 * ahead by gm_dict_put_all. A slot is eight bytes, a hash and where the entry is; the entry's code stands before its
 * length. In small ones, which most columns of a log have, a value is recognised by its ends before it is hashed. */
#ifndef GM_COLUMN_DICT_H
#define GM_COLUMN_DICT_H

#include "base/arena.h"

#include <string.h>

enum {
	GM_DICT_PAGE = 4096,      /* codes of one page of entry pointers */
	GM_DICT_MAX_PAGES = 4096, /* so at most 16 Mi - 1 entries */
	GM_DICT_NULL = 0,
	GM_DICT_BATCH = 256,
	GM_DICT_SLACK = 8, /* readable bytes behind what gm_dict_put_all is given */
};

struct gm_dict_slot;
struct gm_dict_block;
struct gm_dict_recent;

struct gm_dict {
	int references; /* atomic */
	uint32_t count; /* codes given so far: 1 .. count */
	uint32_t mask;  /* slots - 1; at most half of them are used */
	struct gm_dict_slot *slots;
	struct gm_dict_recent *recent; /* NULL until it is of use */
	const uint8_t **page[GM_DICT_MAX_PAGES];
	uint64_t value_bytes; /* sum of the lengths of all entries */

	/* Where entries lie: the writer's alone. */
	struct gm_dict_block *blocks; /* the newest first */
	uint8_t **stretch;            /* by the upper bits of an address: see dict.c */
	size_t stretches, stretch_room;
	uint8_t *next; /* free: next .. next + room */
	size_t room;
	uint32_t next_address;
	size_t block_bytes; /* of all blocks */
	size_t huge_from; /* bytes from which on it grows by huge pages, which are quicker to reach; the owner may set it */
};

/* One reference for the caller; NULL when memory is gone. */
struct gm_dict *gm_dict_new(void);
struct gm_dict *gm_dict_ref(struct gm_dict *dict);
void gm_dict_unref(struct gm_dict *dict); /* NULL is allowed */

/* The hash gm_dict_put and gm_dict_find expect: the low 32 bits of XXH3-64, of all values of a dictionary with the same
 * seed. Whoever writes the input can make values that collide without a seed (0), which takes quadratic time, so what
 * comes from the input needs one that cannot be guessed. It has no influence on any code. */
uint32_t gm_dict_hash(const uint8_t *value, uint32_t len);
uint32_t gm_dict_hash_seeded(const uint8_t *value, uint32_t len, uint64_t seed);
/* A seed out of where the owner lies in memory, which is another place in each process. */
static inline uint64_t gm_dict_seed(const void *owner)
{
	return (uint64_t)(uintptr_t)owner * UINT64_C(0x9E3779B97F4A7C15);
}
/* The code of the value, adding it if new; 0 when memory (or the code space) is gone. Writer thread only. */
uint32_t gm_dict_put(struct gm_dict *dict, const uint8_t *value, uint32_t len, uint32_t hash);
/* The code of the value or 0. Writer thread only. */
uint32_t gm_dict_find(const struct gm_dict *dict, const uint8_t *value, uint32_t len, uint32_t hash);
/* Bytes this dictionary occupies: what counts against the budget. */
size_t gm_dict_memory_bytes(const struct gm_dict *dict);

struct gm_ref {
	const uint8_t *bytes; /* NULL, and then len 0: null */
	uint32_t len;
};

/* gm_dict_put for n values, at most GM_DICT_BATCH: codes[i] becomes that of values[i], hashed with the seed; *some is
 * how many were not null. GM_DICT_SLACK bytes must be readable behind each value. False when memory (or the code space)
 * is gone. Writer thread only. */
bool gm_dict_put_all(struct gm_dict *dict, const struct gm_ref *values, uint32_t n, uint64_t seed, uint32_t *codes,
                     uint32_t *some);

/* The entry of a code in 1 .. count: [u32 length][bytes]. */
static inline const uint8_t *gm_dict_entry(const struct gm_dict *dict, uint32_t code)
{
	return dict->page[code / GM_DICT_PAGE][code % GM_DICT_PAGE];
}
static inline const uint8_t *gm_dict_get(const struct gm_dict *dict, uint32_t code, uint32_t *len)
{
	const uint8_t *entry = gm_dict_entry(dict, code);
	memcpy(len, entry, sizeof *len);
	return entry + sizeof *len;
}

#endif
