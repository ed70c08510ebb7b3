#include "column/dict.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	FIRST_SLOTS = 64,
	FIRST_BLOCK_BYTES = 4096,
	BLOCK_BYTES = 256 * 1024,
};

struct gm_dict *gm_dict_new(void)
{
	struct gm_dict *dict = calloc(1, sizeof *dict);
	if (dict == NULL) return NULL;
	dict->slots = calloc(FIRST_SLOTS, sizeof *dict->slots);
	if (dict->slots == NULL) {
		free(dict);
		return NULL;
	}
	dict->references = 1;
	dict->mask = FIRST_SLOTS - 1;
	gm_arena_init(&dict->bytes, FIRST_BLOCK_BYTES);
	return dict;
}

struct gm_dict *gm_dict_ref(struct gm_dict *dict)
{
	__atomic_add_fetch(&dict->references, 1, __ATOMIC_RELAXED);
	return dict;
}

void gm_dict_unref(struct gm_dict *dict)
{
	if (dict == NULL || __atomic_sub_fetch(&dict->references, 1, __ATOMIC_ACQ_REL) != 0) return;
	for (size_t i = 0; i < GM_DICT_MAX_PAGES && dict->page[i] != NULL; i++) free(dict->page[i]);
	gm_arena_release(&dict->bytes);
	free(dict->slots);
	free(dict);
}

uint32_t gm_dict_hash(const uint8_t *value, uint32_t len)
{
	return (uint32_t)XXH3_64bits(value, len);
}

uint32_t gm_dict_hash_seeded(const uint8_t *value, uint32_t len, uint64_t seed)
{
	return (uint32_t)XXH3_64bits_withSeed(value, len, seed);
}

/* Equal bytes? Eight at a time: entries and most values are short, and a call to memcmp costs more than this loop. */
static inline bool bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	while (len >= 8) {
		uint64_t x, y;
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		if (x != y) return false;
		a += 8, b += 8, len -= 8;
	}
	while (len > 0) {
		if (*a++ != *b++) return false;
		len--;
	}
	return true;
}

/* The slot that holds the value, or the free slot where it belongs. */
static inline struct gm_dict_slot *find_slot(const struct gm_dict *dict, const uint8_t *value, uint32_t len,
                                             uint32_t hash)
{
	for (uint32_t at = hash & dict->mask;; at = (at + 1) & dict->mask) {
		struct gm_dict_slot *slot = &dict->slots[at];
		if (slot->code == 0) return slot;
		if (slot->hash != hash) continue;
		uint32_t entry_len;
		const uint8_t *entry = gm_dict_get(dict, slot->code, &entry_len);
		if (entry_len == len && bytes_equal(entry, value, len)) return slot;
	}
}

static bool grow_slots(struct gm_dict *dict)
{
	size_t size = ((size_t)dict->mask + 1) * 2;
	struct gm_dict_slot *slots = calloc(size, sizeof *slots);
	if (slots == NULL) return false;
	uint32_t mask = (uint32_t)(size - 1);
	for (size_t i = 0; i <= dict->mask; i++) {
		if (dict->slots[i].code == 0) continue;
		uint32_t at = dict->slots[i].hash & mask;
		while (slots[at].code != 0) at = (at + 1) & mask;
		slots[at] = dict->slots[i];
	}
	free(dict->slots);
	dict->slots = slots;
	dict->mask = mask;
	return true;
}

/* Copies the value behind the other entries and gives it the next code. */
static uint32_t add_entry(struct gm_dict *dict, const uint8_t *value, uint32_t len)
{
	uint32_t code = dict->count + 1;
	if (code >= (uint32_t)GM_DICT_PAGE * GM_DICT_MAX_PAGES) return 0;
	const uint8_t ***page = &dict->page[code / GM_DICT_PAGE];
	if (*page == NULL) *page = malloc(GM_DICT_PAGE * sizeof **page);
	if (*page == NULL) return 0;
	/* Small dictionaries stay small; a growing one gets blocks worth their overhead. */
	if (dict->bytes.total_bytes > BLOCK_BYTES / 4) dict->bytes.block_bytes = BLOCK_BYTES;
	uint8_t *entry = gm_arena_alloc(&dict->bytes, sizeof len + (size_t)len);
	if (entry == NULL) return 0;
	memcpy(entry, &len, sizeof len);
	if (len > 0) memcpy(entry + sizeof len, value, len);
	(*page)[code % GM_DICT_PAGE] = entry;
	dict->value_bytes += len;
	return dict->count = code;
}

uint32_t gm_dict_put(struct gm_dict *dict, const uint8_t *value, uint32_t len, uint32_t hash)
{
	struct gm_dict_slot *slot = find_slot(dict, value, len, hash);
	if (slot->code != 0) return slot->code;
	if (dict->count >= dict->mask / 2) {
		if (!grow_slots(dict)) return 0;
		slot = find_slot(dict, value, len, hash);
	}
	uint32_t code = add_entry(dict, value, len);
	if (code != 0) *slot = (struct gm_dict_slot){hash, code};
	return code;
}

uint32_t gm_dict_find(const struct gm_dict *dict, const uint8_t *value, uint32_t len, uint32_t hash)
{
	return find_slot(dict, value, len, hash)->code;
}

size_t gm_dict_memory_bytes(const struct gm_dict *dict)
{
	size_t pages = (size_t)dict->count / GM_DICT_PAGE + 1;
	return sizeof *dict + ((size_t)dict->mask + 1) * sizeof *dict->slots + pages * GM_DICT_PAGE * sizeof(uint8_t *) +
	       dict->bytes.total_bytes;
}
