#include "table/keytable.h"

#include "base/vector.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	GROUPS_MIN = 128, /* at least, of a new index, if there is room: small sets stay small */
	GROWTH = 4,
	/* Keys of two groups, on average: when the index grows, if it can, and when it is full. */
	GROWN = 18,
	FULL = 21,
	PREFETCH = 24,      /* keys ahead: the group */
	PREFETCH_ENTRY = 8, /* and an entry that has the tag */
	HUGE_PAGE = 2 << 20,
	SORT_MIN = 24, /* fewer entries are sorted by insertion */
	KEY_BYTES = sizeof(struct gm_hash128),
};

/* Keys are hashes, and could be taken as they are. Multiplied those that are none are only a little slower. */
static inline size_t home_of(const struct gm_keytable *table, struct gm_hash128 key)
{
	uint64_t hash = (key.high ^ key.low) * UINT64_C(0x9E3779B97F4A7C15);
	return (size_t)(((unsigned __int128)hash * table->group_count) >> 64);
}

static inline uint8_t tag_of(struct gm_hash128 key)
{
	return (uint8_t)key.low;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

#if GM_VECTOR_BYTES > 0
enum { HIT_BITS = GM_VECTOR_BITS ? 1 : 4 }; /* a tag */

/* Which of a group's keys have the tag. What is read behind the tags is masked. */
static inline uint64_t hits_of(const struct gm_keygroup *group, uint8_t tag)
{
	uint64_t hits = gm_v_hits(gm_v_equal(gm_v_load((const uint8_t *)group), gm_v_splat(tag)));
	return hits & ((UINT64_C(1) << group->used * HIT_BITS) - 1);
}
#else
enum { HIT_BITS = 1 };

static inline uint64_t hits_of(const struct gm_keygroup *group, uint8_t tag)
{
	uint64_t hits = 0;
	for (unsigned i = 0; i < group->used; i++) hits |= (uint64_t)(group->tag[i] == tag) << i;
	return hits;
}
#endif

static inline size_t first_hit(uint64_t hits)
{
	return (size_t)__builtin_ctzll(hits) / HIT_BITS;
}

static inline size_t next_group(const struct gm_keytable *table, size_t group)
{
	return group + 1 < table->group_count ? group + 1 : 0;
}

/* NULL: not there. */
static inline struct gm_key_entry *find_in_group(const struct gm_keytable *table, const struct gm_keygroup *group,
                                                 struct gm_hash128 key)
{
	for (uint64_t hits = hits_of(group, tag_of(key)); hits != 0;) {
		size_t i = first_hit(hits);
		struct gm_key_entry *entry = &table->entries[group->place[i]];
		if (gm_key_equal(entry->key, key)) return entry;
		hits &= ~(((UINT64_C(1) << HIT_BITS) - 1) << i * HIT_BITS);
	}
	return NULL;
}

static inline void append(struct gm_keygroup *group, uint8_t tag, size_t place)
{
	group->tag[group->used] = tag;
	group->place[group->used++] = (uint32_t)place;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static size_t whole_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (bytes + page - 1) / page * page;
}

/* How many entries have room in so many bytes, with their index. */
static size_t most_entries(size_t bytes)
{
	size_t most = bytes / (2 * sizeof(struct gm_keygroup) + FULL * sizeof(struct gm_key_entry)) * FULL;
	return most < UINT32_MAX ? most : UINT32_MAX;
}

/* Addresses for the largest table this may be. They cost nothing before they are touched. */
bool gm_keytable_init(struct gm_keytable *table, size_t bytes)
{
	const size_t most = most_entries(bytes), groups = most / FULL * 2;
	const size_t group_bytes = whole_pages(groups * sizeof *table->groups);
	bytes = group_bytes + whole_pages(most * sizeof *table->entries);
	*table = (struct gm_keytable){.group_count = groups, .group_max = groups, .used_max = most, .memory_bytes = bytes};
	while (table->group_count / GROWTH >= GROUPS_MIN) table->group_count /= GROWTH;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) return false;
	table->memory = memory;
	table->groups = memory;
	table->entries = (struct gm_key_entry *)((char *)memory + group_bytes);
	return true;
}

void gm_keytable_release(struct gm_keytable *table)
{
	if (table->memory != NULL) (void)munmap(table->memory, table->memory_bytes);
	*table = (struct gm_keytable){0};
}

void gm_keytable_clear(struct gm_keytable *table, size_t bytes)
{
	size_t most = (bytes - table->group_max * sizeof *table->groups) / sizeof *table->entries;
	if (most < table->used_max) table->used_max = most;
	size_t kept = whole_pages(table->used_max * sizeof *table->entries);
	size_t old = whole_pages(table->used * sizeof *table->entries);
	if (kept < old) (void)madvise((char *)table->entries + kept, old - kept, MADV_DONTNEED);
	table->used = 0;
	gm_keytable_index(table);
}

/* --- the index ---------------------------------------------------------------------------------------------------- */

void gm_keytable_index(struct gm_keytable *table)
{
	memset(table->groups, 0, table->group_count * sizeof *table->groups);
	for (size_t i = 0; i < table->used; i++) {
		if (i + PREFETCH < table->used)
			__builtin_prefetch(&table->groups[home_of(table, table->entries[i + PREFETCH].key)], 1);
		struct gm_hash128 key = table->entries[i].key;
		size_t group = home_of(table, key);
		while (table->groups[group].used == GM_KEYGROUP_KEYS) group = next_group(table, group);
		append(&table->groups[group], tag_of(key), i);
	}
}

/* Nearly every access to a large table misses the TLB with 4 KiB pages, and hits with huge ones. */
static void ask_for_huge_pages(struct gm_keytable *table)
{
	size_t groups = table->group_count * sizeof *table->groups;
	size_t entries = table->group_count / 2 * FULL * sizeof *table->entries;
	if (groups >= HUGE_PAGE) (void)madvise(table->groups, whole_pages(groups), MADV_HUGEPAGE);
	if (entries >= 2 * HUGE_PAGE) (void)madvise(table->entries, whole_pages(entries), MADV_HUGEPAGE);
}

bool gm_keytable_reserve(struct gm_keytable *table, size_t more)
{
	const size_t wanted = table->used + more, old = table->group_count;
	if (wanted > table->used_max) return false;
	while (wanted > table->group_count / 2 * GROWN && table->group_count <= table->group_max / GROWTH)
		table->group_count *= GROWTH;
	if (table->group_count != old) {
		ask_for_huge_pages(table);
		gm_keytable_index(table);
	}
	return wanted <= table->group_count / 2 * FULL;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

/* The key's entry, or NULL if it was added. */
static inline struct gm_key_entry *add_one(struct gm_keytable *table, struct gm_hash128 key, uint64_t value)
{
	for (size_t at = home_of(table, key);; at = next_group(table, at)) {
		struct gm_keygroup *group = &table->groups[at];
		struct gm_key_entry *entry = find_in_group(table, group, key);
		if (entry != NULL) return entry;
		if (group->used == GM_KEYGROUP_KEYS) continue;
		append(group, tag_of(key), table->used);
		table->entries[table->used++] = (struct gm_key_entry){.key = key, .value = value};
		return NULL;
	}
}

/* What a key that comes soon will touch: first its group, then an entry that has its tag. (A function that does nothing
 * but prefetch is taken for one without effect, unless it is inlined early.) */
__attribute__((always_inline)) static inline void ask_ahead(const struct gm_keytable *table,
                                                            const struct gm_key_batch *batch, size_t i)
{
	if (i + PREFETCH < batch->count) __builtin_prefetch(&table->groups[home_of(table, batch->keys[i + PREFETCH])], 1);
	if (i + PREFETCH_ENTRY >= batch->count) return;
	struct gm_hash128 key = batch->keys[i + PREFETCH_ENTRY];
	const struct gm_keygroup *group = &table->groups[home_of(table, key)];
	uint64_t hits = hits_of(group, tag_of(key));
	if (hits != 0) __builtin_prefetch(&table->entries[group->place[first_hit(hits)]]);
}

void gm_keytable_add(struct gm_keytable *table, const struct gm_key_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		ask_ahead(table, batch, i);
		if (batch->duplicate[i] != 0 || (batch->skip != NULL && batch->skip[i] != 0)) continue;
		uint64_t value = batch->values != NULL ? batch->values[i] : batch->value;
		struct gm_key_entry *there = add_one(table, batch->keys[i], value);
		if (there == NULL) continue;
		batch->duplicate[i] = 1;
		if (batch->lower && value < there->value) there->value = value;
		if (batch->found != NULL) batch->found[i] = there->value;
	}
}

/* --- sorting ------------------------------------------------------------------------------------------------------ */

/* Of (high, low) the byte number 0 .. KEY_BYTES-1, the most significant first. */
static inline uint8_t byte_of(struct gm_hash128 key, unsigned number)
{
	uint64_t half = number < 8 ? key.high : key.low;
	return (uint8_t)(half >> (56 - number % 8 * 8));
}

static void insertion_sort(struct gm_key_entry *entries, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct gm_key_entry entry = entries[i];
		size_t at = i;
		for (; at > 0 && gm_key_less(entry.key, entries[at - 1].key); at--) entries[at] = entries[at - 1];
		entries[at] = entry;
	}
}

/* By the byte first, in place: each entry goes to the next place of its byte, whose entry goes on. Then what is equal
 * so far, by the bytes that follow. As deep as a key has bytes. */
static void sort_by(struct gm_key_entry *entries, size_t count, unsigned byte)
{
	if (count < SORT_MIN || byte == KEY_BYTES) {
		insertion_sort(entries, count);
		return;
	}
	size_t next[256], end[256] = {0}, sum = 0;
	for (size_t i = 0; i < count; i++) end[byte_of(entries[i].key, byte)]++;
	for (size_t b = 0; b < 256; b++) {
		next[b] = sum;
		end[b] = sum += end[b];
	}
	for (size_t b = 0; b < 256; b++) {
		while (next[b] < end[b]) {
			struct gm_key_entry entry = entries[next[b]];
			uint8_t to = byte_of(entry.key, byte);
			struct gm_key_entry *place = &entries[next[to]++];
			if (to == b) continue;
			entries[next[b]] = *place;
			*place = entry;
		}
	}
	for (size_t b = 0, from = 0; b < 256; from = end[b++]) sort_by(entries + from, end[b] - from, byte + 1);
}

void gm_keytable_sort(struct gm_keytable *table)
{
	sort_by(table->entries, table->used, 0);
}
