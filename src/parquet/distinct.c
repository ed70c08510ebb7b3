#include "parquet/distinct.h"
#include "parquet/copy.h"
#include "parquet/encode.h"
#include "parquet/scratch.h"
#include "parquet/stats.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	FIRST_CHECK = 4096, /* values before the first verdict; then at every doubling */
	FIRST_SLOTS = 1024, /* a multiple of BATCH */
	SLACK = 16,         /* behind plain.len */
	GROUP = 8,
	BATCH = 256, /* values looked up together */
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

void gm_distinct_trim(struct gm_distinct *distinct, size_t bytes)
{
	size_t have = distinct->plain.cap + distinct->index_cap * sizeof *distinct->index +
	              distinct->start_cap * sizeof *distinct->start +
	              (distinct->slots_cap + distinct->spare_cap) * sizeof *distinct->slots;
	for (unsigned i = 0; i < GM_DISTINCT_MAPS; i++)
		have += (distinct->map[i].local_cap + distinct->map[i].touched_cap) * sizeof(uint32_t);
	if (have <= bytes) return;
	gm_distinct_release(distinct);
	gm_distinct_init(distinct);
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
static inline bool reserve_entry(struct gm_distinct *distinct, size_t bytes)
{
	if (bytes > distinct->limits.bytes || distinct->plain.len > distinct->limits.bytes - bytes)
		return fail(distinct, GM_DISTINCT_TOO_LARGE);
	if (bytes + SLACK > distinct->plain.cap - distinct->plain.len &&
	    gm_buf_reserve(&distinct->plain, bytes + SLACK, NULL) != GM_OK)
		return fail(distinct, GM_DISTINCT_NO_MEMORY);
	return true;
}

static bool add_string(struct gm_distinct *distinct, struct gm_string value)
{
	if (!reserve_entry(distinct, sizeof value.len + (size_t)value.len)) return false;
	if (!GM_SCRATCH_GROW(distinct->start, distinct->start_cap, (size_t)distinct->entries + 2))
		return fail(distinct, GM_DISTINCT_NO_MEMORY);
	uint8_t *at = distinct->plain.data + distinct->plain.len;
	memcpy(at, &value.len, sizeof value.len);
	gm_copy_short(at + sizeof value.len, value.bytes, value.len);
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

static inline void ask_for_slot(const struct gm_distinct *distinct, uint32_t hash)
{
	__builtin_prefetch(&distinct->slots[hash & distinct->mask], 1);
}

/* At most half of the slots are taken. */
static bool make_slot(struct gm_distinct *distinct)
{
	uint32_t old_mask = distinct->mask;
	if (distinct->entries < old_mask / 2) return true;
	if (!swap_slots(distinct, ((size_t)old_mask + 1) * 2)) return false;
	/* Which slots are taken is a coin's toss: those are gathered first, without a branch. */
	for (uint32_t i = 0; i <= old_mask;) {
		struct gm_distinct_slot taken[BATCH];
		uint32_t have = 0;
		for (uint32_t end = i + BATCH; i < end; i++) {
			taken[have] = distinct->spare[i];
			have += taken[have].local != 0;
		}
		for (uint32_t k = 0; k < have; k++) insert_slot(distinct, taken[k]);
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
	for (uint32_t i = 0, end; i < distinct->entries; i = end) {
		uint32_t hash[BATCH];
		end = distinct->entries - i < BATCH ? distinct->entries : i + BATCH;
		for (uint32_t k = i; k < end; k++) {
			hash[k - i] = hash_string(distinct, entry_string(distinct, k));
			ask_for_slot(distinct, hash[k - i]);
		}
		for (uint32_t k = i; k < end; k++) insert_slot(distinct, (struct gm_distinct_slot){hash[k - i], k + 1});
	}
	return distinct->hashed = true;
}

/* The entry of a string + 1, new or known; 0 on failure. */
static uint32_t find_string(struct gm_distinct *distinct, struct gm_string value, uint32_t hash)
{
	if (!make_slot(distinct)) return 0;
	uint32_t at = hash & distinct->mask;
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

static uint32_t find_number(struct gm_distinct *distinct, int64_t value, uint32_t hash)
{
	uint32_t at = hash & distinct->mask;
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

/* Codes of a slice: rows is NULL where they lie side by side. */
struct codes {
	const uint32_t *code, *rows;
	uint32_t count;
};

static inline __attribute__((always_inline)) uint32_t code_at(const struct codes *codes, const uint32_t *rows,
                                                              uint32_t i)
{
	return rows != NULL ? codes->code[rows[i]] : codes->code[i];
}

/* What is to be known before codes are numbered. */
struct survey {
	uint32_t bits, common; /* or-ed, and-ed */
};

static inline __attribute__((always_inline)) struct survey survey_codes(const struct codes *codes, const uint32_t *rows)
{
	uint32_t bits = 0, common = UINT32_MAX;
	for (uint32_t i = 0; i < codes->count; i++) {
		uint32_t code = code_at(codes, rows, i);
		bits |= code;
		common &= code;
	}
	return (struct survey){bits, common};
}

/* Values whose codes have no entry yet. They are looked up together, so that the memory they lie in, which nobody has
 * read for long, is on its way for all of them at once. */
struct missing {
	size_t at[BATCH]; /* in index */
	uint32_t code[BATCH];
	uint32_t count;
};

/* The strings of the missing codes; where entries are told apart by hashing, their hashes. */
static void fetch_missing(const struct gm_distinct *distinct, const struct gm_dict *dict, const struct missing *missing,
                          struct gm_string *value, uint32_t *hash)
{
	for (uint32_t i = 0; i < missing->count; i++)
		__builtin_prefetch(&dict->page[missing->code[i] / GM_DICT_PAGE][missing->code[i] % GM_DICT_PAGE]);
	for (uint32_t i = 0; i < missing->count; i++) {
		value[i].bytes = gm_dict_entry(dict, missing->code[i]);
		__builtin_prefetch(value[i].bytes);
		__builtin_prefetch(value[i].bytes + 48); /* the next line, if a usual entry reaches into it */
	}
	for (uint32_t i = 0; i < missing->count; i++) {
		memcpy(&value[i].len, value[i].bytes, sizeof value[i].len);
		value[i].bytes += sizeof value[i].len;
		if (!distinct->hashed) continue;
		hash[i] = hash_string(distinct, value[i]);
		ask_for_slot(distinct, hash[i]);
	}
}

static __attribute__((noinline)) bool resolve_codes(struct gm_distinct *distinct, struct gm_distinct_map *map,
                                                    struct missing *missing)
{
	struct gm_string value[BATCH];
	uint32_t hash[BATCH];
	if (!GM_SCRATCH_GROW(map->touched, map->touched_cap, map->touched_count + missing->count))
		return fail(distinct, GM_DISTINCT_NO_MEMORY);
	fetch_missing(distinct, map->dict, missing, value, hash);
	for (uint32_t i = 0; i < missing->count; i++) {
		uint32_t code = missing->code[i], local = map->local[code];
		if (local == 0) {
			if (distinct->hashed)
				local = find_string(distinct, value[i], hash[i]);
			else
				local = add_string(distinct, value[i]) ? distinct->entries : 0;
			if (local == 0) return false;
			map->touched[map->touched_count++] = code;
			map->local[code] = local;
		}
		distinct->index[missing->at[i]] = local - 1;
	}
	missing->count = 0;
	return true;
}

/* Of codes [from, to), those that have no entry; n is where the first one's entry goes. */
static __attribute__((noinline)) void note_missing(const struct gm_distinct_map *map, const struct codes *codes,
                                                   uint32_t from, uint32_t to, size_t n, struct missing *missing)
{
	uint32_t have = missing->count;
	for (uint32_t i = from; i < to; i++) {
		uint32_t code = code_at(codes, codes->rows, i);
		missing->at[have] = n;
		missing->code[have] = code;
		have += map->local[code] == 0;
		n += code != GM_DICT_NULL;
	}
	missing->count = have;
}

/* rows is codes->rows; inlined for all forms. Entries are taken GROUP at a time: 0 - 1 has the upper bit, which shows
 * that one of them is missing. A null passes as known: what it writes is overwritten by the next value. */
static inline __attribute__((always_inline)) bool number_codes(struct gm_distinct *distinct,
                                                               struct gm_distinct_map *map, const struct codes *codes,
                                                               const uint32_t *rows, bool nulls)
{
	const uint32_t *local = map->local, *code = codes->code, count = codes->count;
	uint32_t *index = distinct->index + distinct->count;
	struct missing missing;
	missing.count = 0;
	for (uint32_t i = 0, end; i < count; i = end) {
		uint32_t bits = 0, n = 0;
		end = count - i < GROUP ? count : i + GROUP;
		if (end - i == GROUP) {
			for (uint32_t k = 0; k < GROUP; k++) {
				uint32_t some = code[rows != NULL ? rows[i + k] : i + k];
				bits |= index[n] = local[some] - 1;
				n += !nulls || some != GM_DICT_NULL;
			}
		} else {
			for (uint32_t k = i; k < end; k++) {
				uint32_t some = code[rows != NULL ? rows[k] : k];
				bits |= index[n] = local[some] - 1;
				n += some != GM_DICT_NULL;
			}
		}
		if (__builtin_expect(bits >> 31, 0)) {
			note_missing(map, codes, i, end, (size_t)(index - distinct->index), &missing);
			if (missing.count > BATCH - GROUP && !resolve_codes(distinct, map, &missing)) return false;
		}
		index += n;
	}
	distinct->count = (size_t)(index - distinct->index);
	return missing.count == 0 || resolve_codes(distinct, map, &missing);
}

/* So many times the same code, which is no null. */
static bool repeat_code(struct gm_distinct *distinct, struct gm_distinct_map *map, uint32_t code, uint32_t count)
{
	struct missing missing = {.at = {distinct->count}, .code = {code}, .count = 1};
	if (map->local[code] == 0 && !resolve_codes(distinct, map, &missing)) return false;
	uint32_t entry = map->local[code] - 1;
	for (uint32_t i = 0; i < count; i++) distinct->index[distinct->count + i] = entry;
	distinct->count += count;
	return true;
}

/* The dictionary itself is not asked how many codes it has: its writer may be adding to it just now. */
static bool add_codes(struct gm_distinct *distinct, const struct gm_slice *slice, uint32_t from, uint32_t count)
{
	const uint32_t *rows = slice->rows != NULL ? slice->rows + from : NULL;
	struct codes codes = {slice->vec->codes + (rows != NULL ? 0 : slice->first + from), rows, count};
	struct gm_distinct_map *map = map_of(distinct, slice->vec->dict);
	if (map == NULL) return false;
	struct survey survey = rows != NULL ? survey_codes(&codes, rows) : survey_codes(&codes, NULL);
	if (survey.bits == GM_DICT_NULL) return true;
	if (!cover(distinct, map, survey.bits)) return false;
	if (survey.bits == survey.common) return repeat_code(distinct, map, survey.bits, count);
	map->local[GM_DICT_NULL] = 1;
	if (rows != NULL)
		return distinct->nulls ? number_codes(distinct, map, &codes, rows, true)
		                       : number_codes(distinct, map, &codes, rows, false);
	return distinct->nulls ? number_codes(distinct, map, &codes, NULL, true)
	                       : number_codes(distinct, map, &codes, NULL, false);
}

static bool add_plain_strings(struct gm_distinct *distinct, const struct gm_slice *slice, uint32_t from, uint32_t count)
{
	if (!start_hashing(distinct)) return false;
	for (uint32_t i = from; i < from + count; i++) {
		uint32_t row = gm_slice_row(slice, i);
		if (gm_vec_is_null(slice->vec, row)) continue;
		struct gm_string value;
		value.bytes = gm_vec_string(slice->vec, row, &value.len);
		uint32_t local = find_string(distinct, value, hash_string(distinct, value));
		if (local == 0) return false;
		distinct->index[distinct->count++] = local - 1;
	}
	return true;
}

/* Numbers below this need no hashing either: counts, states, durations, days. */
enum { SMALL_NUMBERS = 1 << 16 };

/* Numbers that are not known to be small ones with an entry, looked up together as missing codes are. */
struct missing_numbers {
	size_t at[BATCH]; /* in index */
	int64_t value[BATCH];
	uint32_t count;
};

static uint32_t find_small(struct gm_distinct *distinct, struct gm_distinct_map *small, int64_t value)
{
	if (!cover(distinct, small, (uint32_t)value)) return 0;
	if (small->local[value] != 0) return small->local[value];
	if (!GM_SCRATCH_GROW(small->touched, small->touched_cap, small->touched_count + 1)) {
		(void)fail(distinct, GM_DISTINCT_NO_MEMORY);
		return 0;
	}
	if (!add_number(distinct, value)) return 0;
	small->touched[small->touched_count++] = (uint32_t)value;
	return small->local[value] = distinct->entries;
}

/* The entry + 1 that stands in the first slot of a hash, if it is the value's; else 0. No branch depends on it: whether
 * values repeat is as hard to foretell as the values are. */
static inline uint32_t first_slot(const struct gm_distinct *distinct, int64_t value, uint32_t hash)
{
	uint32_t local = distinct->slots[hash & distinct->mask].local;
	return local * (uint32_t)(gm_distinct_number(distinct, local - (local != 0)) == value);
}

static __attribute__((noinline)) bool resolve_numbers(struct gm_distinct *distinct, struct gm_distinct_map *small,
                                                      struct missing_numbers *missing)
{
	uint32_t hash[BATCH], rest[BATCH], have = 0, *index = distinct->index;
	for (uint32_t i = 0; i < missing->count; i++) {
		hash[i] = hash_number(distinct, missing->value[i]);
		ask_for_slot(distinct, hash[i]);
	}
	if (!reserve_entry(distinct, 0)) return false; /* to read entry 0, which there may not be yet */
	for (uint32_t i = 0; i < missing->count; i++) {
		uint32_t local = first_slot(distinct, missing->value[i], hash[i]);
		index[missing->at[i]] = local - 1;
		rest[have] = i;
		have += local == 0;
	}
	for (uint32_t k = 0; k < have; k++) {
		uint32_t i = rest[k];
		int64_t value = missing->value[i];
		uint32_t local = (uint64_t)value < SMALL_NUMBERS ? find_small(distinct, small, value)
		                                                 : find_number(distinct, value, hash[i]);
		if (local == 0) return false;
		index[missing->at[i]] = local - 1;
	}
	missing->count = 0;
	return true;
}

/* Numbers from 0 on of which small->local tells the entry + 1, or 0. */
static inline uint64_t small_range(const struct gm_distinct_map *small)
{
	return small->local_cap < SMALL_NUMBERS ? small->local_cap : SMALL_NUMBERS;
}

/* Of the values [from, to), those that have no entry; index is where the first one's entry went. */
static inline __attribute__((always_inline)) void note_numbers(const int64_t *values, const uint32_t *rows,
                                                               const uint8_t *null, uint32_t from, uint32_t to,
                                                               const uint32_t *index, size_t n,
                                                               struct missing_numbers *missing)
{
	uint32_t have = missing->count;
	for (uint32_t i = from; i < to; i++) {
		uint32_t row = rows != NULL ? rows[i] : i, some = null == NULL || null[row] == 0;
		missing->at[have] = n;
		missing->value[have] = values[row];
		have += some & (uint32_t)(index[n] == UINT32_MAX);
		n += some;
	}
	missing->count = have;
}

/* rows and null are NULL or the slice's; inlined for all forms. What becomes of a value depends on no branch, as far as
 * possible: nulls and new values come as they like. As with codes, eight at a time: a missing entry - 1 has the upper
 * bit, and a null passes as known. */
static inline __attribute__((always_inline)) bool number_numbers(struct gm_distinct *distinct, const int64_t *values,
                                                                 const uint32_t *rows, const uint8_t *null,
                                                                 uint32_t count)
{
	struct gm_distinct_map *small = &distinct->map[0]; /* there are no dictionaries of numbers */
	uint32_t *index = distinct->index;
	size_t n = distinct->count;
	struct missing_numbers missing;
	missing.count = 0;
	for (uint32_t i = 0, end; i < count; i = end) {
		const uint32_t *local = small->local;
		uint64_t range = small_range(small);
		size_t first = n;
		uint32_t bits = 0;
		end = count - i < GROUP ? count : i + GROUP;
		for (uint32_t k = i; k < end; k++) {
			uint32_t row = rows != NULL ? rows[k] : k, some = null == NULL || null[row] == 0;
			uint64_t value = (uint64_t)values[row], at = value < range ? value : 0;
			uint32_t entry = local[at] * (uint32_t)(value < range) - 1;
			index[n] = entry;
			bits |= entry & (0 - some);
			n += some;
		}
		if (bits >> 31 == 0) continue;
		note_numbers(values, rows, null, i, end, index, first, &missing);
		if (missing.count > BATCH - GROUP && !resolve_numbers(distinct, small, &missing)) return false;
	}
	distinct->count = n;
	return resolve_numbers(distinct, small, &missing);
}

static bool add_numbers(struct gm_distinct *distinct, const struct gm_slice *slice, uint32_t from, uint32_t count)
{
	const struct gm_vec *vec = slice->vec;
	const int64_t *values = vec->repr == GM_REPR_F64 ? (const int64_t *)(const void *)vec->f64 : vec->i64;
	const uint8_t *null = vec->null;
	distinct->maps = 1;
	if (!cover(distinct, &distinct->map[0], 0)) return false;
	if (slice->rows != NULL) {
		const uint32_t *rows = slice->rows + from;
		return null == NULL ? number_numbers(distinct, values, rows, NULL, count)
		                    : number_numbers(distinct, values, rows, null, count);
	}
	values += slice->first + from;
	return null == NULL ? number_numbers(distinct, values, NULL, NULL, count)
	                    : number_numbers(distinct, values, NULL, null + slice->first + from, count);
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
	distinct->nulls = gm_slices_rows(slices, slice_count) != values;
	*pays = build(distinct, slices, slice_count);
	for (unsigned i = 0; i < distinct->maps; i++) forget(&distinct->map[i]);
	distinct->maps = distinct->victim = 0;
	distinct->last = NULL;
	if (distinct->state == GM_DISTINCT_NO_MEMORY) GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary");
	if (distinct->state == GM_DISTINCT_BAD_VALUE) GM_FAIL(err, GM_BUG, "a value does not fit 32 bits");
	return GM_OK;
}
