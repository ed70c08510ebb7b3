#include "parquet/distinct.h"
#include "parquet/encode.h"
#include "parquet/scratch.h"
#include "parquet/stats.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	FIRST_CHECK = 4096, /* values before the first verdict; then at every doubling */
	FIRST_SLOTS = 1024,
	SLACK = 16, /* behind plain.len */
};

void gm_distinct_init(struct gm_distinct *distinct)
{
	*distinct = (struct gm_distinct){0};
	gm_buf_init(&distinct->plain, INT32_MAX);
	/* Makes collisions unpredictable for whoever writes the input. It has no influence on any result. */
	distinct->seed = (uint64_t)(uintptr_t)distinct * UINT64_C(0x9E3779B97F4A7C15);
}

void gm_distinct_release(struct gm_distinct *distinct)
{
	for (unsigned i = 0; i < GM_DISTINCT_MAPS; i++) {
		free(distinct->map[i].local);
		free(distinct->map[i].touched);
	}
	free(distinct->index);
	free(distinct->start);
	free(distinct->slots);
	free(distinct->spare);
	gm_buf_release(&distinct->plain);
}

static bool fail(struct gm_distinct *distinct, enum gm_distinct_state state)
{
	distinct->state = state;
	return false;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

int64_t gm_distinct_number(const struct gm_distinct *distinct, uint32_t entry)
{
	const uint8_t *at = distinct->plain.data + (size_t)entry * distinct->size;
	if (distinct->size == sizeof(int32_t)) {
		int32_t value;
		memcpy(&value, at, sizeof value);
		return value;
	}
	int64_t value;
	memcpy(&value, at, sizeof value);
	return value;
}

static struct gm_string entry_string(const struct gm_distinct *distinct, uint32_t entry)
{
	uint32_t start = distinct->start[entry], end = distinct->start[entry + 1];
	return (struct gm_string){distinct->plain.data + start + sizeof(uint32_t),
	                          end - start - (uint32_t)sizeof(uint32_t)};
}

/* Room for an entry of so many bytes in PLAIN form. */
static bool reserve_entry(struct gm_distinct *distinct, size_t bytes)
{
	if (bytes > distinct->limits.bytes || distinct->plain.len > distinct->limits.bytes - bytes)
		return fail(distinct, GM_DISTINCT_TOO_LARGE);
	if (gm_buf_reserve(&distinct->plain, bytes + SLACK, NULL) != GM_OK) return fail(distinct, GM_DISTINCT_NO_MEMORY);
	return true;
}

static bool add_string(struct gm_distinct *distinct, struct gm_string value)
{
	if (!reserve_entry(distinct, sizeof value.len + (size_t)value.len)) return false;
	if (!GM_SCRATCH_GROW(distinct->start, distinct->start_cap, (size_t)distinct->entries + 2))
		return fail(distinct, GM_DISTINCT_NO_MEMORY);
	uint8_t *at = distinct->plain.data + distinct->plain.len;
	memcpy(at, &value.len, sizeof value.len);
	if (value.len > 0) memcpy(at + sizeof value.len, value.bytes, value.len);
	distinct->start[distinct->entries] = (uint32_t)distinct->plain.len;
	distinct->plain.len += sizeof value.len + value.len;
	distinct->start[++distinct->entries] = (uint32_t)distinct->plain.len;
	return true;
}

static bool add_number(struct gm_distinct *distinct, int64_t value)
{
	if (!reserve_entry(distinct, distinct->size)) return false;
	if (distinct->size == sizeof(int32_t) && value != (int32_t)value) return fail(distinct, GM_DISTINCT_BAD_VALUE);
	memcpy(distinct->plain.data + distinct->plain.len, &value, distinct->size);
	distinct->plain.len += distinct->size;
	distinct->entries++;
	return true;
}

/* --- Hashing ------------------------------------------------------------------------------------------------------ */

static uint32_t hash_string(const struct gm_distinct *distinct, struct gm_string value)
{
	return (uint32_t)XXH3_64bits_withSeed(value.bytes, value.len, distinct->seed);
}

static uint32_t hash_number(const struct gm_distinct *distinct, int64_t value)
{
	uint64_t mixed = ((uint64_t)value ^ distinct->seed) * UINT64_C(0x9E3779B97F4A7C15);
	mixed = (mixed ^ mixed >> 32) * UINT64_C(0xD6E8FEB86659FD93);
	return (uint32_t)(mixed >> 32);
}

/* An empty table of `size` slots; the one so far becomes the spare. */
static bool swap_slots(struct gm_distinct *distinct, size_t size)
{
	if (!GM_SCRATCH_GROW(distinct->spare, distinct->spare_cap, size)) return fail(distinct, GM_DISTINCT_NO_MEMORY);
	struct gm_distinct_slot *slots = distinct->spare;
	size_t cap = distinct->spare_cap;
	distinct->spare = distinct->slots;
	distinct->spare_cap = distinct->slots_cap;
	distinct->slots = slots;
	distinct->slots_cap = cap;
	distinct->mask = (uint32_t)(size - 1);
	memset(slots, 0, size * sizeof *slots);
	return true;
}

static void insert_slot(struct gm_distinct *distinct, struct gm_distinct_slot slot)
{
	uint32_t at = slot.hash & distinct->mask;
	while (distinct->slots[at].local != 0) at = (at + 1) & distinct->mask;
	distinct->slots[at] = slot;
}

/* At most half of the slots are taken. */
static bool make_slot(struct gm_distinct *distinct)
{
	uint32_t old_mask = distinct->mask;
	if (distinct->entries < old_mask / 2) return true;
	if (!swap_slots(distinct, ((size_t)old_mask + 1) * 2)) return false;
	for (uint32_t i = 0; i <= old_mask; i++) {
		if (distinct->spare[i].local != 0) insert_slot(distinct, distinct->spare[i]);
	}
	return true;
}

/* From the second source of strings on, entries are told apart by hashing. */
static bool start_hashing(struct gm_distinct *distinct)
{
	if (distinct->hashed) return true;
	size_t size = FIRST_SLOTS;
	while (size / 2 <= distinct->entries) size *= 2;
	if (!swap_slots(distinct, size)) return false;
	for (uint32_t i = 0; i < distinct->entries; i++)
		insert_slot(distinct, (struct gm_distinct_slot){hash_string(distinct, entry_string(distinct, i)), i + 1});
	return distinct->hashed = true;
}

/* The entry of a string + 1, new or known; 0 on failure. */
static uint32_t find_string(struct gm_distinct *distinct, struct gm_string value)
{
	if (!make_slot(distinct)) return 0;
	uint32_t hash = hash_string(distinct, value), at = hash & distinct->mask;
	for (; distinct->slots[at].local != 0; at = (at + 1) & distinct->mask) {
		if (distinct->slots[at].hash != hash) continue;
		struct gm_string entry = entry_string(distinct, distinct->slots[at].local - 1);
		if (entry.len == value.len && memcmp(entry.bytes, value.bytes, value.len) == 0)
			return distinct->slots[at].local;
	}
	if (!add_string(distinct, value)) return 0;
	distinct->slots[at] = (struct gm_distinct_slot){hash, distinct->entries};
	return distinct->entries;
}

static uint32_t find_number(struct gm_distinct *distinct, int64_t value)
{
	uint32_t hash = hash_number(distinct, value), at = hash & distinct->mask;
	for (; distinct->slots[at].local != 0; at = (at + 1) & distinct->mask) {
		uint32_t local = distinct->slots[at].local;
		if (distinct->slots[at].hash == hash && gm_distinct_number(distinct, local - 1) == value) return local;
	}
	if (!add_number(distinct, value)) return 0;
	distinct->slots[at] = (struct gm_distinct_slot){hash, distinct->entries};
	return make_slot(distinct) ? distinct->entries : 0;
}

/* --- Codes of dictionaries ---------------------------------------------------------------------------------------- */

static void forget(struct gm_distinct_map *map)
{
	for (size_t i = 0; i < map->touched_count; i++) map->local[map->touched[i]] = 0;
	if (map->local != NULL) map->local[GM_DICT_NULL] = 0;
	map->touched_count = 0;
	map->dict = NULL;
}

/* The map of a dictionary; when there are too many, one is given up (its strings would only be hashed again). */
static struct gm_distinct_map *map_of(struct gm_distinct *distinct, const struct gm_dict *dict)
{
	if (distinct->last != NULL && distinct->last->dict == dict) return distinct->last;
	struct gm_distinct_map *map = NULL;
	for (unsigned i = 0; i < distinct->maps && map == NULL; i++) {
		if (distinct->map[i].dict == dict) map = &distinct->map[i];
	}
	if (map == NULL) {
		if (distinct->maps > 0 && !start_hashing(distinct)) return NULL; /* also if the first gave only nulls so far */
		if (distinct->maps < GM_DISTINCT_MAPS) {
			map = &distinct->map[distinct->maps++];
		} else {
			map = &distinct->map[distinct->victim++ % GM_DISTINCT_MAPS];
			forget(map);
		}
		map->dict = dict;
	}
	return distinct->last = map;
}

/* Makes map->local reach as far as a code, or as several codes whose bits are or-ed: its size is a power of two. */
static bool cover(struct gm_distinct *distinct, struct gm_distinct_map *map, uint32_t bits)
{
	size_t old_cap = map->local_cap;
	if (bits < old_cap) return true;
	if (!GM_SCRATCH_GROW(map->local, map->local_cap, (size_t)bits + 1)) return fail(distinct, GM_DISTINCT_NO_MEMORY);
	memset(map->local + old_cap, 0, (map->local_cap - old_cap) * sizeof *map->local);
	return true;
}

/* The dictionary itself is not asked how many codes it has: its writer may be adding to it just now. */
static bool cover_codes(struct gm_distinct *distinct, struct gm_distinct_map *map, const struct gm_slice *slice,
                        uint32_t from, uint32_t count)
{
	const uint32_t *codes = slice->vec->codes;
	uint32_t bits = 0;
	if (slice->rows == NULL) {
		codes += slice->first + from;
		for (uint32_t i = 0; i < count; i++) bits |= codes[i];
	} else {
		for (uint32_t i = from; i < from + count; i++) bits |= codes[slice->rows[i]];
	}
	if (!cover(distinct, map, bits)) return false;
	map->local[GM_DICT_NULL] = 1; /* a null passes as known: what it writes is overwritten by the next value */
	return true;
}

static __attribute__((noinline)) uint32_t new_code(struct gm_distinct *distinct, struct gm_distinct_map *map,
                                                   uint32_t code)
{
	struct gm_string value;
	value.bytes = gm_dict_get(map->dict, code, &value.len);
	if (!GM_SCRATCH_GROW(map->touched, map->touched_cap, map->touched_count + 1)) {
		(void)fail(distinct, GM_DISTINCT_NO_MEMORY);
		return 0;
	}
	uint32_t local;
	if (distinct->hashed)
		local = find_string(distinct, value);
	else
		local = add_string(distinct, value) ? distinct->entries : 0;
	if (local == 0) return 0;
	map->touched[map->touched_count++] = code;
	return map->local[code] = local;
}

/* rows is NULL or the slice's; inlined for both. */
static inline __attribute__((always_inline)) bool number_codes(struct gm_distinct *distinct,
                                                               struct gm_distinct_map *map, const uint32_t *codes,
                                                               const uint32_t *rows, uint32_t count)
{
	uint32_t *index = distinct->index;
	const uint32_t *local = map->local;
	size_t n = distinct->count;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t code = rows != NULL ? codes[rows[i]] : codes[i], entry = local[code];
		if (__builtin_expect(entry == 0, 0)) {
			entry = new_code(distinct, map, code);
			if (entry == 0) return false;
		}
		index[n] = entry - 1;
		n += code != GM_DICT_NULL;
	}
	distinct->count = n;
	return true;
}

static bool add_codes(struct gm_distinct *distinct, const struct gm_slice *slice, uint32_t from, uint32_t count)
{
	const struct gm_vec *vec = slice->vec;
	struct gm_distinct_map *map = map_of(distinct, vec->dict);
	if (map == NULL || !cover_codes(distinct, map, slice, from, count)) return false;
	if (slice->rows == NULL) return number_codes(distinct, map, vec->codes + slice->first + from, NULL, count);
	return number_codes(distinct, map, vec->codes, slice->rows + from, count);
}

static bool add_plain_strings(struct gm_distinct *distinct, const struct gm_slice *slice, uint32_t from, uint32_t count)
{
	if (!start_hashing(distinct)) return false;
	for (uint32_t i = from; i < from + count; i++) {
		uint32_t row = gm_slice_row(slice, i);
		if (gm_vec_is_null(slice->vec, row)) continue;
		struct gm_string value;
		value.bytes = gm_vec_string(slice->vec, row, &value.len);
		uint32_t local = find_string(distinct, value);
		if (local == 0) return false;
		distinct->index[distinct->count++] = local - 1;
	}
	return true;
}

/* Numbers below this need no hashing either: counts, states, durations, days. */
enum { SMALL_NUMBERS = 1 << 16 };

static __attribute__((noinline)) uint32_t new_number(struct gm_distinct *distinct, struct gm_distinct_map *small,
                                                     int64_t value)
{
	if ((uint64_t)value >= SMALL_NUMBERS) return find_number(distinct, value);
	if (!cover(distinct, small, (uint32_t)value)) return 0;
	if (!GM_SCRATCH_GROW(small->touched, small->touched_cap, small->touched_count + 1)) {
		(void)fail(distinct, GM_DISTINCT_NO_MEMORY);
		return 0;
	}
	if (!add_number(distinct, value)) return 0;
	small->touched[small->touched_count++] = (uint32_t)value;
	return small->local[value] = distinct->entries;
}

static bool add_numbers(struct gm_distinct *distinct, const struct gm_slice *slice, uint32_t from, uint32_t count)
{
	struct gm_distinct_map *small = &distinct->map[0]; /* there are no dictionaries of numbers */
	const struct gm_vec *vec = slice->vec;
	const void *values = vec->repr == GM_REPR_F64 ? (const void *)vec->f64 : (const void *)vec->i64;
	uint32_t *index = distinct->index + distinct->count;
	distinct->maps = 1;
	for (uint32_t i = from; i < from + count; i++) {
		uint32_t row = gm_slice_row(slice, i), local = 0;
		if (vec->null != NULL && vec->null[row] != 0) continue;
		int64_t value;
		memcpy(&value, (const uint8_t *)values + (size_t)row * sizeof value, sizeof value);
		if ((uint64_t)value < small->local_cap && (uint64_t)value < SMALL_NUMBERS) local = small->local[value];
		if (local == 0) local = new_number(distinct, small, value);
		if (local == 0) return false;
		*index++ = local - 1;
	}
	distinct->count = (size_t)(index - distinct->index);
	return true;
}

static bool add_rows(struct gm_distinct *distinct, const struct gm_slice *slice, uint32_t from, uint32_t count)
{
	switch (slice->vec->repr) {
	case GM_REPR_NULL:
	case GM_REPR_BOOL: return true;
	case GM_REPR_I64:
	case GM_REPR_F64: return add_numbers(distinct, slice, from, count);
	case GM_REPR_DICT: return add_codes(distinct, slice, from, count);
	case GM_REPR_PLAIN: return add_plain_strings(distinct, slice, from, count);
	}
	return true;
}

/* --- The verdict -------------------------------------------------------------------------------------------------- */

/* Bytes of all values so far in PLAIN form. */
static uint64_t plain_bytes(struct gm_distinct *distinct)
{
	if (distinct->size != 0) return (uint64_t)distinct->count * distinct->size;
	const uint32_t *start = distinct->start;
	for (; distinct->summed < distinct->count; distinct->summed++) {
		uint32_t entry = distinct->index[distinct->summed];
		distinct->sum_bytes += start[entry + 1] - start[entry];
	}
	return distinct->sum_bytes;
}

/* Does a dictionary save a tenth, before compression? And do values repeat at all: where most of them are new,
 * indices only hide from the compressor what the strings have in common, which the caller finds out. At first many are
 * new in any case; then only what looks like a unique key is given up. */
static bool pays_so_far(struct gm_distinct *distinct, bool at_end)
{
	size_t count = distinct->count, entries = distinct->entries;
	if (entries == 0) return false;
	distinct->contested = entries > count / 2;
	if (count >= FIRST_CHECK && entries >= count - count / 16) return false;
	if (!at_end || distinct->limits.judged_later) return true;
	if (count < FIRST_CHECK) distinct->contested = false;
	unsigned width = gm_bit_width(distinct->entries - 1);
	uint64_t encoded = distinct->plain.len + (uint64_t)count * (width == 0 ? 1 : width) / 8;
	/* A string takes at least the 4 bytes of its length: often that alone settles it. */
	if (distinct->size == 0 && encoded * 10 < (uint64_t)count * sizeof(uint32_t) * 9) return true;
	return encoded * 10 < plain_bytes(distinct) * 9;
}

static bool build(struct gm_distinct *distinct, const struct gm_slice *slices, size_t slice_count)
{
	size_t check_at = FIRST_CHECK;
	for (size_t i = 0; i < slice_count; i++) {
		uint32_t from = 0;
		while (from < slices[i].count) {
			size_t left = slices[i].count - from, room = check_at - distinct->count;
			uint32_t count = (uint32_t)(left < room ? left : room);
			if (!add_rows(distinct, &slices[i], from, count)) return false;
			from += count;
			if (distinct->count < check_at) continue;
			if (!pays_so_far(distinct, false)) return false;
			check_at *= 2;
		}
	}
	return pays_so_far(distinct, true);
}

static enum gm_code reset(struct gm_distinct *distinct, enum gm_type type, uint64_t values,
                          const struct gm_distinct_limits *limits, struct gm_error *err)
{
	distinct->size = gm_plain_size(type);
	distinct->limits = *limits;
	distinct->count = distinct->summed = 0;
	distinct->entries = 0;
	distinct->sum_bytes = 0;
	distinct->plain.len = 0;
	distinct->hashed = false;
	distinct->state = GM_DISTINCT_GOING;
	/* One more: see cover_codes. */
	bool ready = GM_SCRATCH_GROW(distinct->index, distinct->index_cap, values + 1);
	if (distinct->size != 0) ready = ready && swap_slots(distinct, FIRST_SLOTS);
	if (!ready) GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary");
	return GM_OK;
}

enum gm_code gm_distinct_build(struct gm_distinct *distinct, enum gm_type type, const struct gm_slice *slices,
                               size_t slice_count, uint64_t values, const struct gm_distinct_limits *limits, bool *pays,
                               struct gm_error *err)
{
	GM_TRY(reset(distinct, type, values, limits, err));
	*pays = build(distinct, slices, slice_count);
	for (unsigned i = 0; i < distinct->maps; i++) forget(&distinct->map[i]);
	distinct->maps = distinct->victim = 0;
	distinct->last = NULL;
	if (distinct->state == GM_DISTINCT_NO_MEMORY) GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary");
	if (distinct->state == GM_DISTINCT_BAD_VALUE) GM_FAIL(err, GM_BUG, "a value does not fit 32 bits");
	return GM_OK;
}
