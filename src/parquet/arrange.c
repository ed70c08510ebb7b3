#include "parquet/arrange.h"
#include "parquet/scratch.h"

#include <string.h>

enum {
	COMMON_SHARE = 2048, /* of so many values a common entry is more than one */
	WORD = 8,
	MORE = WORD + 1, /* bytes behind the word */
	SHORT = 16,      /* so many are sorted by insertion */
	SLACK = 16,      /* readable behind the entries, as in a gm_distinct */
	/* The smallest of three parts is sorted at once and the others wait, so two ranges wait for each third of a range:
	 * of 2^32 items at most 42. */
	WAITING_MAX = 64,
};

struct range {
	struct gm_arrange_item *items;
	uint32_t count;
	size_t depth; /* of the items' words in their strings */
};

void gm_arrange_init(struct gm_arrange *arrange)
{
	*arrange = (struct gm_arrange){0};
	gm_buf_init(&arrange->plain, INT32_MAX);
}

void gm_arrange_release(struct gm_arrange *arrange)
{
	free(arrange->items);
	free(arrange->uses);
	free(arrange->rank);
	free(arrange->start);
	gm_buf_release(&arrange->plain);
}

/* --- Sorting ------------------------------------------------------------------------------------------------------ */

/* The bytes of an entry from `depth` on, which its string reaches. */
static struct gm_string tail_of(const struct gm_distinct *distinct, uint32_t entry, size_t depth)
{
	size_t from = distinct->start[entry] + sizeof(uint32_t) + depth;
	return (struct gm_string){distinct->plain.data + from, distinct->start[entry + 1] - (uint32_t)from};
}

/* Words of strings sort as their bytes do; what a string does not have counts as zero, and `rest` tells these apart. */
static void load_word(const struct gm_distinct *distinct, struct gm_arrange_item *item, size_t depth)
{
	if (distinct->size != 0) {
		item->word = (uint64_t)gm_distinct_number(distinct, item->entry) ^ UINT64_C(1) << 63;
		item->rest = WORD;
		return;
	}
	struct gm_string tail = tail_of(distinct, item->entry, depth);
	uint64_t word;
	memcpy(&word, tail.bytes, sizeof word);
	word = __builtin_bswap64(word);
	if (tail.len < WORD) word = tail.len == 0 ? 0 : word & ~UINT64_C(0) << (64 - 8 * tail.len);
	item->word = word;
	item->rest = tail.len < MORE ? tail.len : MORE;
}

static inline bool word_below(const struct gm_arrange_item *a, const struct gm_arrange_item *b)
{
	return a->word != b->word ? a->word < b->word : a->rest < b->rest;
}

static bool is_below(const struct gm_distinct *distinct, const struct gm_arrange_item *a,
                     const struct gm_arrange_item *b, size_t depth)
{
	if (a->word != b->word || a->rest != MORE || b->rest != MORE) return word_below(a, b);
	struct gm_string x = tail_of(distinct, a->entry, depth + WORD), y = tail_of(distinct, b->entry, depth + WORD);
	int order = memcmp(x.bytes, y.bytes, x.len < y.len ? x.len : y.len);
	return order != 0 ? order < 0 : x.len < y.len;
}

static void sort_short(const struct gm_distinct *distinct, const struct range *range)
{
	struct gm_arrange_item *items = range->items;
	for (uint32_t i = 1; i < range->count; i++) {
		struct gm_arrange_item item = items[i];
		uint32_t at = i;
		for (; at > 0 && is_below(distinct, &item, &items[at - 1], range->depth); at--) items[at] = items[at - 1];
		items[at] = item;
	}
}

static struct gm_arrange_item median(const struct gm_arrange_item *a, const struct gm_arrange_item *b,
                                     const struct gm_arrange_item *c)
{
	if (word_below(b, a)) {
		const struct gm_arrange_item *swap = a;
		a = b;
		b = swap;
	}
	if (!word_below(c, b)) return *b;
	return word_below(c, a) ? *a : *c;
}

/* Splits a range into what is below, equal to and above some item of it. Which one must not be known to whoever writes
 * the input; it has no influence on the result. */
static void split(const struct range *range, uint64_t *random, struct range parts[3])
{
	struct gm_arrange_item *items = range->items;
	uint32_t pick[3];
	for (unsigned i = 0; i < 3; i++) {
		*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		pick[i] = (uint32_t)((*random >> 32) * range->count >> 32);
	}
	struct gm_arrange_item pivot = median(&items[pick[0]], &items[pick[1]], &items[pick[2]]);
	uint32_t below = 0, at = 0, above = range->count;
	while (at < above) {
		struct gm_arrange_item item = items[at];
		if (word_below(&item, &pivot)) {
			items[at++] = items[below];
			items[below++] = item;
		} else if (word_below(&pivot, &item)) {
			items[at] = items[--above];
			items[above] = item;
		} else {
			at++;
		}
	}
	parts[0] = (struct range){items, below, range->depth};
	parts[1] = (struct range){items + below, above - below, range->depth + WORD};
	parts[2] = (struct range){items + above, range->count - above, range->depth};
}

/* Largest first. */
static void order_parts(struct range parts[3])
{
	for (unsigned i = 1; i < 3; i++)
		for (unsigned k = i; k > 0 && parts[k].count > parts[k - 1].count; k--) {
			struct range swap = parts[k];
			parts[k] = parts[k - 1];
			parts[k - 1] = swap;
		}
}

/* Quicksort by words: those that are equal are told apart by the words behind them. */
static void sort(const struct gm_distinct *distinct, struct gm_arrange_item *items, uint32_t count)
{
	struct range waiting[WAITING_MAX] = {{items, count, 0}};
	uint64_t random = distinct->seed;
	size_t n = 1;
	while (n > 0) {
		struct range range = waiting[--n], parts[3];
		if (range.count <= SHORT) {
			sort_short(distinct, &range);
			continue;
		}
		split(&range, &random, parts);
		/* Entries are all different: where strings end here, there is one. */
		if (parts[1].items[0].rest != MORE) parts[1].count = 0;
		for (uint32_t i = 0; i < parts[1].count; i++) load_word(distinct, &parts[1].items[i], parts[1].depth);
		order_parts(parts);
		for (unsigned i = 0; i < 3; i++)
			if (parts[i].count > 1) waiting[n++] = parts[i];
	}
}

/* --- The new order ------------------------------------------------------------------------------------------------ */

static bool make_room(struct gm_arrange *arrange, const struct gm_distinct *distinct)
{
	size_t entries = distinct->entries;
	return GM_SCRATCH_GROW(arrange->items, arrange->items_cap, entries) &&
	       GM_SCRATCH_GROW(arrange->uses, arrange->uses_cap, entries) &&
	       GM_SCRATCH_GROW(arrange->rank, arrange->rank_cap, entries) &&
	       GM_SCRATCH_GROW(arrange->start, arrange->start_cap, entries + 1);
}

static void count_uses(struct gm_arrange *arrange, const struct gm_distinct *distinct)
{
	memset(arrange->uses, 0, distinct->entries * sizeof *arrange->uses);
	for (size_t i = 0; i < distinct->count; i++) arrange->uses[distinct->index[i]]++;
}

/* Sorts the items: common ones first. */
static void order_entries(struct gm_arrange *arrange, const struct gm_distinct *distinct)
{
	const uint32_t *uses = arrange->uses;
	size_t least = distinct->count / COMMON_SHARE > 0 ? distinct->count / COMMON_SHARE : 1;
	uint32_t common = 0, other = distinct->entries;
	for (uint32_t entry = 0; entry < distinct->entries; entry++) {
		struct gm_arrange_item item = {(uint64_t)(UINT32_MAX - uses[entry]) << 32 | entry, entry, WORD};
		if (uses[entry] <= least) {
			load_word(distinct, &item, 0);
			arrange->items[--other] = item;
		} else {
			arrange->items[common++] = item;
		}
	}
	sort(distinct, arrange->items, common);
	sort(distinct, arrange->items + common, distinct->entries - common);
}

/* Copies the entries in their new order, and makes the copy the dictionary. */
static enum gm_code move_entries(struct gm_arrange *arrange, struct gm_distinct *distinct, struct gm_error *err)
{
	struct gm_buf *plain = &arrange->plain;
	plain->len = 0;
	GM_TRY(gm_buf_reserve(plain, distinct->plain.len + SLACK, err));
	for (uint32_t i = 0; i < distinct->entries; i++) {
		uint32_t entry = arrange->items[i].entry;
		size_t from = (size_t)entry * distinct->size, bytes = distinct->size;
		if (bytes == 0) {
			from = distinct->start[entry];
			bytes = distinct->start[entry + 1] - from;
			arrange->start[i] = (uint32_t)plain->len;
		}
		memcpy(plain->data + plain->len, distinct->plain.data + from, bytes);
		plain->len += bytes;
		arrange->rank[entry] = i;
	}
	struct gm_buf swap = distinct->plain;
	distinct->plain = *plain;
	*plain = swap;
	if (distinct->size != 0) return GM_OK;
	arrange->start[distinct->entries] = (uint32_t)distinct->plain.len;
	uint32_t *start = distinct->start;
	size_t cap = distinct->start_cap;
	distinct->start = arrange->start;
	distinct->start_cap = arrange->start_cap;
	arrange->start = start;
	arrange->start_cap = cap;
	return GM_OK;
}

enum gm_code gm_arrange_entries(struct gm_arrange *arrange, struct gm_distinct *distinct, struct gm_error *err)
{
	if (!make_room(arrange, distinct)) GM_FAIL(err, GM_NOMEM, "out of memory for a dictionary");
	count_uses(arrange, distinct);
	order_entries(arrange, distinct);
	GM_TRY(move_entries(arrange, distinct, err));
	for (size_t i = 0; i < distinct->count; i++) distinct->index[i] = arrange->rank[distinct->index[i]];
	return GM_OK;
}
