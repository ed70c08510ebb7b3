/* dict.c - see dict.h.
 *
 * An entry has an address, a number that fits in a slot: a multiple of UNIT_BYTES in a space of stretches of
 * STRETCH_BYTES, each of which lies somewhere in memory. A block of memory is one stretch, or several that follow each
 * other, for a value that is longer than one or to make a block of huge pages. No entry has address 0, for every block
 * begins with a header; the first block is shorter than its stretch. */
#include "column/dict.h"

#include "base/vector.h"

#include <stdlib.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	FIRST_SLOTS = 64,
	SLOTS_AT_ONCE = FIRST_SLOTS, /* of those that move when there must be more */
	FIRST_BLOCK_BYTES = 4096,
	UNIT_BYTES = 8,
	STRETCH_BYTES = 64 * 1024,
	STRETCH_UNITS = STRETCH_BYTES / UNIT_BYTES,
	HUGE_BYTES = 2 * 1024 * 1024, /* a huge page */
	HUGE_FROM = 2 * HUGE_BYTES,   /* so that what is left of the last one is a small part of all */
	LARGE_SLOTS = 1024,           /* dictionaries from here on are out of the nearest cache: worth asking ahead */
	AHEAD = 24,                   /* values between the steps of a look-up */
	RECENT_BITS = 9, /* many more places than values that come often: what shares one is looked up each time */
	RECENTS = 1 << RECENT_BITS,
};

struct gm_dict_slot {
	uint32_t hash, address; /* address 0: free */
};

struct gm_dict_block {
	struct gm_dict_block *next;
	size_t bytes;
};

/* What stands at an address, in front of the value. */
struct entry {
	uint32_t code, len;
};

/* A value's first and last bytes: with the length, all there is of a value of up to sixteen. */
struct ends {
	uint64_t first, last;
};

/* One of RECENTS places, which the ends and the length choose: whatever was last seen there. */
struct gm_dict_recent {
	struct ends ends;
	uint32_t len, code; /* code 0: nothing yet */
	const uint8_t *bytes;
};

/* --- Memory ------------------------------------------------------------------------------------------------------- */

/* Large areas that are touched here and there cost a look at the page table each time; huge pages make that rare. */
static void *allocate(size_t bytes)
{
	if (bytes < HUGE_BYTES) return malloc(bytes);
	void *at = aligned_alloc(HUGE_BYTES, (bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
	if (at != NULL) (void)madvise(at, bytes, MADV_HUGEPAGE); /* a hint */
	return at;
}

static struct gm_dict_slot *new_slots(size_t count)
{
	struct gm_dict_slot *slots = allocate(count * sizeof *slots);
	if (slots != NULL) memset(slots, 0, count * sizeof *slots);
	return slots;
}

struct gm_dict *gm_dict_new(void)
{
	struct gm_dict *dict = calloc(1, sizeof *dict);
	if (dict == NULL) return NULL;
	dict->slots = new_slots(FIRST_SLOTS);
	if (dict->slots == NULL) {
		free(dict);
		return NULL;
	}
	dict->references = 1;
	dict->mask = FIRST_SLOTS - 1;
	dict->huge_from = HUGE_FROM;
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
	for (struct gm_dict_block *block = dict->blocks, *next; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	free(dict->stretch);
	free(dict->recent);
	free(dict->slots);
	free(dict);
}

/* The size of the block after those there are, for an entry of so many bytes. */
static size_t block_size(const struct gm_dict *dict, size_t bytes)
{
	size_t least = sizeof(struct gm_dict_block) + bytes;
	if (dict->blocks == NULL && least <= FIRST_BLOCK_BYTES) return FIRST_BLOCK_BYTES;
	size_t usual = dict->block_bytes < dict->huge_from ? STRETCH_BYTES : HUGE_BYTES;
	return least <= usual ? usual : (least + STRETCH_BYTES - 1) / STRETCH_BYTES * STRETCH_BYTES;
}

/* Gives the dictionary another block, with room for so many bytes. */
static bool add_block(struct gm_dict *dict, size_t bytes)
{
	size_t size = block_size(dict, bytes), stretches = (size + STRETCH_BYTES - 1) / STRETCH_BYTES;
	if (dict->stretches + stretches > UINT32_MAX / STRETCH_UNITS) return false;
	while (dict->stretches + stretches > dict->stretch_room) {
		uint8_t **grown = gm_grow(dict->stretch, dict->stretch_room, &dict->stretch_room, sizeof *grown);
		if (grown == NULL) return false;
		dict->stretch = grown;
	}
	struct gm_dict_block *block = allocate(size);
	if (block == NULL) return false;
	*block = (struct gm_dict_block){dict->blocks, size};
	dict->blocks = block;
	dict->block_bytes += size;
	dict->next = (uint8_t *)(block + 1);
	dict->room = size - sizeof *block;
	dict->next_address = (uint32_t)(dict->stretches * STRETCH_UNITS + sizeof *block / UNIT_BYTES);
	for (size_t i = 0; i < stretches; i++) dict->stretch[dict->stretches + i] = (uint8_t *)block + i * STRETCH_BYTES;
	dict->stretches += stretches;
	return true;
}

static inline uint8_t *at_address(const struct gm_dict *dict, uint32_t address)
{
	return dict->stretch[address / STRETCH_UNITS] + (size_t)(address % STRETCH_UNITS) * UNIT_BYTES;
}

size_t gm_dict_memory_bytes(const struct gm_dict *dict)
{
	size_t pages = (size_t)dict->count / GM_DICT_PAGE + 1;
	return sizeof *dict + ((size_t)dict->mask + 1) * sizeof *dict->slots + pages * GM_DICT_PAGE * sizeof(uint8_t *) +
	       dict->stretch_room * sizeof *dict->stretch + dict->block_bytes +
	       (dict->recent != NULL ? RECENTS * sizeof *dict->recent : 0);
}

/* --- Look-up ------------------------------------------------------------------------------------------------------ */

uint32_t gm_dict_hash(const uint8_t *value, uint32_t len)
{
	return (uint32_t)XXH3_64bits(value, len);
}

uint32_t gm_dict_hash_seeded(const uint8_t *value, uint32_t len, uint64_t seed)
{
	return (uint32_t)XXH3_64bits_withSeed(value, len, seed);
}

static inline uint64_t load8(const uint8_t *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof word);
	return word;
}

static inline uint32_t load4(const uint8_t *p)
{
	uint32_t word;
	memcpy(&word, p, sizeof word);
	return word;
}

#if GM_VECTOR_BYTES > 0

static inline gm_v differences(const uint8_t *a, const uint8_t *b, uint32_t at)
{
	return gm_v_xor(gm_v_load(a + at), gm_v_load(b + at));
}

/* Of at least a vector. Lengths are hard to foresee, so few of them make a difference: up to two vectors, up to
 * four. */
static inline bool same_vectors(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	const uint32_t step = GM_VECTOR_BYTES;
	gm_v differ = gm_v_or(differences(a, b, 0), differences(a, b, len - step));
	if (len > 2 * step) {
		differ = gm_v_or(differ, gm_v_or(differences(a, b, step), differences(a, b, len - 2 * step)));
		for (uint32_t i = 2 * step; i + 2 * step < len; i += 2 * step)
			differ = gm_v_or(differ, gm_v_or(differences(a, b, i), differences(a, b, i + step)));
	}
	return gm_v_is_zero(differ);
}

#endif

/* Equal bytes? All of them are compared, for the hashes agree and a difference is next to impossible; the last step
 * overlaps the one before. */
static inline bool same_bytes(const uint8_t *a, const uint8_t *b, uint32_t len)
{
#if GM_VECTOR_BYTES > 0
	if (len >= GM_VECTOR_BYTES) return same_vectors(a, b, len);
#endif
	if (len >= 8) {
		uint64_t differ = load8(a + len - 8) ^ load8(b + len - 8);
		for (uint32_t i = 0; i + 8 < len; i += 8) differ |= load8(a + i) ^ load8(b + i);
		return differ == 0;
	}
	if (len >= 4) return load4(a) == load4(b) && load4(a + len - 4) == load4(b + len - 4);
	return len == 0 || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
}

/* The slot that holds the value, or the free slot where it belongs; *code is 0 then. */
static inline struct gm_dict_slot *find_slot(const struct gm_dict *dict, const uint8_t *value, uint32_t len,
                                             uint32_t hash, uint32_t *code)
{
	for (uint32_t at = hash & dict->mask;; at = (at + 1) & dict->mask) {
		struct gm_dict_slot *slot = &dict->slots[at];
		*code = 0;
		if (slot->address == 0) return slot;
		if (slot->hash != hash) continue;
		struct entry entry;
		const uint8_t *bytes = at_address(dict, slot->address);
		memcpy(&entry, bytes, sizeof entry);
		*code = entry.code;
		if (entry.len == len && same_bytes(bytes + sizeof entry, value, len)) return slot;
	}
}

uint32_t gm_dict_find(const struct gm_dict *dict, const uint8_t *value, uint32_t len, uint32_t hash)
{
	uint32_t code;
	(void)find_slot(dict, value, len, hash, &code);
	return code;
}

/* --- New entries -------------------------------------------------------------------------------------------------- */

static struct gm_dict_slot *free_slot(struct gm_dict_slot *slots, uint32_t mask, uint32_t hash)
{
	uint32_t at = hash & mask;
	while (slots[at].address != 0) at = (at + 1) & mask;
	return &slots[at];
}

/* Puts the used ones of SLOTS_AT_ONCE slots into others. They are listed first, without a branch: which
 * are used is a matter of chance. */
static void move_slots(const struct gm_dict_slot *from, struct gm_dict_slot *slots, uint32_t mask)
{
	struct gm_dict_slot used[SLOTS_AT_ONCE];
	uint32_t count = 0;
	for (uint32_t i = 0; i < SLOTS_AT_ONCE; i++) {
		used[count] = from[i];
		count += from[i].address != 0;
	}
	for (uint32_t i = 0; i < count; i++) *free_slot(slots, mask, used[i].hash) = used[i];
}

static bool grow_slots(struct gm_dict *dict)
{
	size_t before = (size_t)dict->mask + 1, size = before * 2;
	struct gm_dict_slot *slots = new_slots(size);
	if (slots == NULL) return false;
	uint32_t mask = (uint32_t)(size - 1);
	for (size_t i = 0; i < before; i += SLOTS_AT_ONCE) move_slots(dict->slots + i, slots, mask);
	free(dict->slots);
	dict->slots = slots;
	dict->mask = mask;
	return true;
}

/* Copies the value behind the other entries, gives it the next code, and puts it into the slot where it belongs. */
static uint32_t add_entry(struct gm_dict *dict, struct gm_dict_slot *slot, const uint8_t *value, uint32_t len,
                          uint32_t hash)
{
	struct entry entry = {dict->count + 1, len};
	if (entry.code >= (uint32_t)GM_DICT_PAGE * GM_DICT_MAX_PAGES) return 0;
	const uint8_t ***page = &dict->page[entry.code / GM_DICT_PAGE];
	if (*page == NULL) *page = malloc(GM_DICT_PAGE * sizeof **page);
	if (*page == NULL) return 0;
	size_t bytes = (sizeof entry + (size_t)len + UNIT_BYTES - 1) / UNIT_BYTES * UNIT_BYTES;
	if (bytes > dict->room && !add_block(dict, bytes)) return 0;
	memcpy(dict->next, &entry, sizeof entry);
	if (len > 0) memcpy(dict->next + sizeof entry, value, len);
	(*page)[entry.code % GM_DICT_PAGE] = dict->next + offsetof(struct entry, len);
	*slot = (struct gm_dict_slot){hash, dict->next_address};
	dict->next += bytes;
	dict->room -= bytes;
	dict->next_address += (uint32_t)(bytes / UNIT_BYTES);
	dict->value_bytes += len;
	return dict->count = entry.code;
}

static inline uint32_t put(struct gm_dict *dict, const uint8_t *value, uint32_t len, uint32_t hash)
{
	uint32_t code;
	struct gm_dict_slot *slot = find_slot(dict, value, len, hash, &code);
	if (__builtin_expect(code != 0, 1)) return code;
	if (dict->count >= dict->mask / 2) {
		if (!grow_slots(dict)) return 0;
		slot = free_slot(dict->slots, dict->mask, hash);
	}
	return add_entry(dict, slot, value, len, hash);
}

uint32_t gm_dict_put(struct gm_dict *dict, const uint8_t *value, uint32_t len, uint32_t hash)
{
	return put(dict, value, len, hash);
}

/* Asks for the entry with that hash, and for its end. */
static inline void prefetch_entry(const struct gm_dict *dict, uint32_t len, uint32_t hash)
{
	uint32_t at = hash & dict->mask;
	while (dict->slots[at].hash != hash && dict->slots[at].address != 0) at = (at + 1) & dict->mask;
	if (dict->slots[at].address == 0) return;
	const uint8_t *entry = at_address(dict, dict->slots[at].address);
	__builtin_prefetch(entry);
	__builtin_prefetch(entry + sizeof(struct entry) + len);
}

/* The values of a batch that are not null, to be looked up. */
struct lookup {
	uint32_t count;
	uint32_t row[GM_DICT_BATCH], hash[GM_DICT_BATCH];
};

/* Lists the values, without a branch for each, as nulls come in no order. */
static void list_values(const struct gm_ref *values, uint32_t n, struct lookup *lookup)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < n; i++) {
		lookup->row[count] = i;
		count += values[i].bytes != NULL;
	}
	lookup->count = count;
}

/* Three steps, AHEAD values apart: ask for the slot, ask for the entry, look. */
static bool put_large(struct gm_dict *dict, const struct gm_ref *values, uint64_t seed, struct lookup *lookup,
                      uint32_t *codes)
{
	const uint32_t *rows = lookup->row;
	uint32_t *hashes = lookup->hash, n = lookup->count;
	for (uint32_t i = 0; i < n; i++)
		hashes[i] = (uint32_t)XXH3_64bits_withSeed(values[rows[i]].bytes, values[rows[i]].len, seed);
	for (uint32_t i = 0; i < n && i < 2 * AHEAD; i++) __builtin_prefetch(&dict->slots[hashes[i] & dict->mask]);
	for (uint32_t i = 0; i < n && i < AHEAD; i++) prefetch_entry(dict, values[rows[i]].len, hashes[i]);
	for (uint32_t i = 0; i < n; i++) {
		if (i + 2 * AHEAD < n) __builtin_prefetch(&dict->slots[hashes[i + 2 * AHEAD] & dict->mask]);
		if (i + AHEAD < n) prefetch_entry(dict, values[rows[i + AHEAD]].len, hashes[i + AHEAD]);
		struct gm_ref value = values[rows[i]];
		codes[rows[i]] = put(dict, value.bytes, value.len, hashes[i]);
		if (codes[rows[i]] == 0) return false;
	}
	return true;
}

/* --- Values that come again and again ----------------------------------------------------------------------------- */

/* Values of less than eight bytes are both ends in one: no branch tells their lengths apart, which are hard to
 * foresee. */
static inline struct ends ends_of(const uint8_t *value, uint32_t len)
{
	static const uint64_t masks[8] = {0,
	                                  UINT64_C(0xFF),
	                                  UINT64_C(0xFFFF),
	                                  UINT64_C(0xFFFFFF),
	                                  UINT64_C(0xFFFFFFFF),
	                                  UINT64_C(0xFFFFFFFFFF),
	                                  UINT64_C(0xFFFFFFFFFFFF),
	                                  UINT64_C(0xFFFFFFFFFFFFFF)};
	if (len >= 8) return (struct ends){load8(value), load8(value + len - 8)};
	uint64_t all = load8(value) & masks[len];
	return (struct ends){all, all};
}

/* Of longer values more than the ends counts: those of user agents and URLs are alike. */
static inline struct gm_dict_recent *place_of(const struct gm_dict *dict, struct ends ends, const uint8_t *value,
                                              uint32_t len)
{
	uint64_t mixed = (ends.first ^ (ends.last << 29 | ends.last >> 35) ^ len) * UINT64_C(0x9E3779B97F4A7C15);
	if (len > 32) {
		const uint8_t *end = value + len;
		mixed ^= (load8(value + 8) ^ load8(end - 16) << 1) * UINT64_C(0x9FB21C651E98DF25);
		mixed ^= (load8(value + 16) ^ load8(end - 24) << 1) * UINT64_C(0xD6E8FEB86659FD93);
		mixed ^= (load8(value + 24) ^ load8(end - 32) << 1) * UINT64_C(0xC2B2AE3D27D4EB4F);
	}
	return &dict->recent[mixed >> (64 - RECENT_BITS)];
}

static inline uint32_t put_recent(struct gm_dict *dict, struct gm_ref value, uint64_t seed)
{
	struct ends ends = ends_of(value.bytes, value.len);
	struct gm_dict_recent *recent = place_of(dict, ends, value.bytes, value.len);
	uint64_t differ = (recent->ends.first ^ ends.first) | (recent->ends.last ^ ends.last) | (recent->len ^ value.len);
	bool known = differ == 0 && recent->code != 0;
	if (known && (value.len <= 16 || same_bytes(recent->bytes + 8, value.bytes + 8, value.len - 16)))
		return recent->code;
	uint32_t code = put(dict, value.bytes, value.len, (uint32_t)XXH3_64bits_withSeed(value.bytes, value.len, seed));
	if (code != 0) *recent = (struct gm_dict_recent){ends, value.len, code, gm_dict_entry(dict, code) + 4};
	return code;
}

static bool put_small(struct gm_dict *dict, const struct gm_ref *values, uint64_t seed, const struct lookup *lookup,
                      uint32_t *codes)
{
	if (dict->recent == NULL) dict->recent = calloc(RECENTS, sizeof *dict->recent);
	if (dict->recent == NULL) return false;
	for (uint32_t i = 0; i < lookup->count; i++) {
		uint32_t row = lookup->row[i];
		codes[row] = put_recent(dict, values[row], seed);
		if (codes[row] == 0) return false;
	}
	return true;
}

bool gm_dict_put_all(struct gm_dict *dict, const struct gm_ref *values, uint32_t n, uint64_t seed, uint32_t *codes,
                     uint32_t *some)
{
	struct lookup lookup;
	list_values(values, n, &lookup);
	*some = lookup.count;
	memset(codes, 0, n * sizeof *codes);
	bool large = dict->mask >= LARGE_SLOTS;
	return large ? put_large(dict, values, seed, &lookup, codes) : put_small(dict, values, seed, &lookup, codes);
}
