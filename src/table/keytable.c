#include "table/keytable.h"

#include "base/vector.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	HOMES_MIN = 128, /* at least, of a new table, if there is room: small sets stay small */
	GROWTH = 4,      /* a table that grows is read and written as a whole: rarely */
	SLACK = 16,      /* groups behind the last home; random keys crowd at the end by far less than these hold */
	FIRST = 64,      /* groups that wait while a table grows */
	/* Keys a group, on average: when the table grows, if it can, and when it is full. */
	GROWN = 11,
	FULL = 13,
	PREFETCH = 24,       /* keys ahead: the tags */
	PREFETCH_ENTRY = 10, /* and the entry that these point to */
	HUGE_PAGE = 2 << 20,
	ENTRIES_BYTES = GM_KEYGROUP_KEYS * sizeof(struct gm_key_entry), /* of a group */
};

static inline size_t home_of(struct gm_hash128 key, size_t homes)
{
	return (size_t)(((unsigned __int128)key.high * homes) >> 64);
}

/* The order takes the top of `high`, so a tag is what has least to do with it. */
static inline uint8_t tag_of(struct gm_hash128 key)
{
	return (uint8_t)key.low;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

#if GM_VECTOR_BYTES > 0
enum { HIT_BITS = GM_VECTOR_BITS ? 1 : 4 }; /* a tag */

/* Which of a group's keys have the tag. What is read behind the tags is masked. */
static inline uint64_t hits_of(const struct gm_keytags *tags, uint8_t tag)
{
	uint64_t hits = gm_v_hits(gm_v_equal(gm_v_load((const uint8_t *)tags), gm_v_splat(tag)));
	return hits & ((UINT64_C(1) << tags->used * HIT_BITS) - 1);
}
#else
enum { HIT_BITS = 1 };

static inline uint64_t hits_of(const struct gm_keytags *tags, uint8_t tag)
{
	uint64_t hits = 0;
	for (unsigned i = 0; i < tags->used; i++) hits |= (uint64_t)(tags->tag[i] == tag) << i;
	return hits;
}
#endif

static inline size_t first_hit(uint64_t hits)
{
	return (size_t)__builtin_ctzll(hits) / HIT_BITS;
}

static inline struct gm_key_entry *entries_of(const struct gm_keytable *table, size_t group)
{
	return table->entries + group * GM_KEYGROUP_KEYS;
}

/* NULL: not there. */
static inline struct gm_key_entry *find_in_group(const struct gm_keytable *table, size_t group, struct gm_hash128 key)
{
	for (uint64_t hits = hits_of(&table->tags[group], tag_of(key)); hits != 0;) {
		size_t i = first_hit(hits);
		struct gm_key_entry *entry = entries_of(table, group) + i;
		if (gm_key_equal(entry->key, key)) return entry;
		hits &= ~(((UINT64_C(1) << HIT_BITS) - 1) << i * HIT_BITS);
	}
	return NULL;
}

static inline void append(struct gm_keytable *table, size_t group, struct gm_key_entry entry)
{
	struct gm_keytags *tags = &table->tags[group];
	entries_of(table, group)[tags->used] = entry;
	tags->tag[tags->used++] = tag_of(entry.key);
}

/* Makes the entry one of a full group's; returns what was the largest of both. */
static struct gm_key_entry displace(struct gm_keytable *table, size_t group, struct gm_key_entry entry)
{
	struct gm_key_entry *entries = entries_of(table, group);
	size_t largest = 0;
	for (size_t i = 1; i < GM_KEYGROUP_KEYS; i++)
		if (gm_key_less(entries[largest].key, entries[i].key)) largest = i;
	struct gm_key_entry out = entries[largest];
	if (!gm_key_less(entry.key, out.key)) return entry;
	entries[largest] = entry;
	table->tags[group].tag[largest] = tag_of(entry.key);
	return out;
}

/* Puts the entry where it belongs: all groups from its home to before `last` are full, and `last` has room. */
static inline void insert(struct gm_keytable *table, size_t home, size_t last, struct gm_key_entry entry)
{
	for (size_t group = home; group < last; group++) entry = displace(table, group, entry);
	append(table, last, entry);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

size_t gm_keytable_homes(size_t bytes)
{
	size_t groups = bytes / (sizeof(struct gm_keytags) + ENTRIES_BYTES);
	return groups > SLACK ? groups - SLACK : 0;
}

static size_t whole_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (bytes + page - 1) / page * page;
}

/* Addresses for the largest table this may be. They cost nothing before they are touched, and a table that grows stays
 * where it is: no page is ever cleared twice. */
bool gm_keytable_init(struct gm_keytable *table, size_t homes_max)
{
	const size_t tag_bytes = whole_pages((homes_max + SLACK) * sizeof *table->tags);
	const size_t bytes = tag_bytes + whole_pages((homes_max + SLACK) * ENTRIES_BYTES);
	*table = (struct gm_keytable){.homes = homes_max, .homes_max = homes_max, .memory_bytes = bytes};
	while (table->homes / GROWTH >= HOMES_MIN) table->homes /= GROWTH;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) return false;
	table->memory = memory;
	table->tags = memory;
	table->entries = (struct gm_key_entry *)((char *)memory + tag_bytes);
	return true;
}

void gm_keytable_release(struct gm_keytable *table)
{
	if (table->memory != NULL) (void)munmap(table->memory, table->memory_bytes);
	*table = (struct gm_keytable){0};
}

/* Nearly every access to a large table misses the TLB with 4 KiB pages, and hits with huge ones. */
static void ask_for_huge_pages(struct gm_keytable *table)
{
	size_t bytes = whole_pages((table->homes + SLACK) * ENTRIES_BYTES);
	if (bytes >= 2 * HUGE_PAGE) (void)madvise(table->entries, bytes, MADV_HUGEPAGE);
}

void gm_keytable_clear(struct gm_keytable *table, size_t homes)
{
	size_t kept = whole_pages((homes + SLACK) * ENTRIES_BYTES),
	       old = whole_pages((table->homes + SLACK) * ENTRIES_BYTES);
	if (kept < old) (void)madvise((char *)table->entries + kept, old - kept, MADV_DONTNEED);
	table->homes = table->homes_max = homes;
	table->used = 0;
	ask_for_huge_pages(table);
	memset(table->tags, 0, (homes + SLACK) * sizeof *table->tags);
}

/* --- growing ------------------------------------------------------------------------------------------------------ */

/* A group on its way out of a smaller table. */
struct group {
	size_t used;
	struct gm_key_entry entry[GM_KEYGROUP_KEYS];
};

static void take_out(struct gm_keytable *table, size_t group, struct group *out)
{
	out->used = table->tags[group].used;
	memcpy(out->entry, entries_of(table, group), sizeof out->entry);
	table->tags[group].used = 0;
}

static void put_back(struct gm_keytable *table, const struct group *group)
{
	for (size_t i = 0; i < group->used; i++) {
		size_t home = home_of(group->entry[i].key, table->homes), last = home;
		while (table->tags[last].used == GM_KEYGROUP_KEYS) last++;
		insert(table, home, last, group->entry[i]);
	}
}

/* A key is at most as far from its home as there are full groups before it. From FIRST on, are all so near that their
 * new homes are not before their old places? */
static bool can_grow(const struct gm_keytable *table)
{
	if (table->homes > table->homes_max / GROWTH) return false;
	for (size_t i = 0, full = 0; i < table->homes + SLACK; i++) {
		if (i >= FIRST && full > FIRST / GROWTH * (GROWTH - 1)) return false;
		full = table->tags[i].used == GM_KEYGROUP_KEYS ? full + 1 : 0;
	}
	return true;
}

/* In place, from back to front, so that no key comes to a group that still waits; but for the first groups, which are
 * kept aside. What is behind the old table has never been written to. */
bool gm_keytable_grow(struct gm_keytable *table)
{
	struct group first[FIRST], group;
	const size_t old = table->homes + SLACK;
	if (!can_grow(table)) return false;
	table->homes *= GROWTH;
	ask_for_huge_pages(table);
	for (size_t i = 0; i < FIRST; i++) take_out(table, i, &first[i]);
	for (size_t i = old; i-- > FIRST;) {
		take_out(table, i, &group);
		put_back(table, &group);
	}
	for (size_t i = 0; i < FIRST; i++) put_back(table, &first[i]);
	return true;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

bool gm_keytable_has_room(const struct gm_keytable *table, size_t more)
{
	bool grows = table->homes <= table->homes_max / GROWTH;
	return table->used + more <= table->homes * (grows ? GROWN : FULL);
}

/* False: there is no room. *there is the key's entry, or NULL if it was added. */
static inline bool add_one(struct gm_keytable *table, struct gm_hash128 key, uint64_t value,
                           struct gm_key_entry **there)
{
	size_t home = home_of(key, table->homes), last = home;
	for (;; last++) {
		*there = find_in_group(table, last, key);
		if (*there != NULL) return true;
		if (table->tags[last].used < GM_KEYGROUP_KEYS) break;
	}
	if (last == table->homes + SLACK - 1) return false;
	insert(table, home, last, (struct gm_key_entry){.key = key, .value = value});
	table->used++;
	return true;
}

/* What a key that comes soon will touch: first its group's tags, then the entry that these point to. (A function that
 * does nothing but prefetch is taken for one without effect, unless it is inlined early.) */
__attribute__((always_inline)) static inline void ask_ahead(const struct gm_keytable *table,
                                                            const struct gm_key_batch *batch, size_t i)
{
	if (i + PREFETCH < batch->count)
		__builtin_prefetch(&table->tags[home_of(batch->keys[i + PREFETCH], table->homes)], 1);
	if (i + PREFETCH_ENTRY >= batch->count) return;
	struct gm_hash128 key = batch->keys[i + PREFETCH_ENTRY];
	size_t group = home_of(key, table->homes);
	uint64_t hits = hits_of(&table->tags[group], tag_of(key));
	__builtin_prefetch(entries_of(table, group) + (hits != 0 ? first_hit(hits) : table->tags[group].used), 1);
}

size_t gm_keytable_add(struct gm_keytable *table, const struct gm_key_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		ask_ahead(table, batch, i);
		if (batch->duplicate[i] != 0 || (batch->skip != NULL && batch->skip[i] != 0)) continue;
		uint64_t value = batch->values != NULL ? batch->values[i] : batch->value;
		struct gm_key_entry *there;
		if (!add_one(table, batch->keys[i], value, &there)) return i;
		if (there == NULL) continue;
		batch->duplicate[i] = 1;
		if (batch->lower && value < there->value) there->value = value;
		if (batch->found != NULL) batch->found[i] = there->value;
	}
	return batch->count;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* A handful of entries: insertion sort. */
static void sort(struct gm_key_entry *entries, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct gm_key_entry entry = entries[i];
		size_t at = i;
		for (; at > 0 && gm_key_less(entry.key, entries[at - 1].key); at--) entries[at] = entries[at - 1];
		entries[at] = entry;
	}
}

size_t gm_keytable_read(const struct gm_keytable *table, size_t *group, struct gm_key_entry *into, size_t room)
{
	size_t have = 0;
	for (; *group < table->homes + SLACK && room - have >= GM_KEYGROUP_KEYS; ++*group) {
		size_t used = table->tags[*group].used;
		memcpy(into + have, entries_of(table, *group), used * sizeof *into);
		sort(into + have, used);
		have += used;
	}
	return have;
}
