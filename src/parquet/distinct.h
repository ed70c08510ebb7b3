/* distinct.h - finds the distinct values of a column chunk and decides whether a dictionary pays.
 *
 * Entries are numbered in the order of their first use, and the verdict is a function of the values in their order
 * alone, so that neither slices nor representations nor the dictionaries that strings came from leave a trace in the
 * file. When all strings come from one gm_dict, its codes are renumbered through an array and nothing is hashed; with
 * several, each string is hashed once for each dictionary that holds it. */
#ifndef GM_PARQUET_DISTINCT_H
#define GM_PARQUET_DISTINCT_H

#include "parquet/slices.h"

enum { GM_DISTINCT_MAPS = 16 };

/* From the codes of one gm_dict to entries. */
struct gm_distinct_map {
	const struct gm_dict *dict;
	uint32_t *local; /* per code: entry + 1, or 0 */
	size_t local_cap;
	uint32_t *touched; /* codes with an entry: to be forgotten at the end */
	size_t touched_count, touched_cap;
};
struct gm_distinct_slot {
	uint32_t hash, local; /* entry + 1, or 0: free */
};
enum gm_distinct_state { GM_DISTINCT_GOING, GM_DISTINCT_TOO_LARGE, GM_DISTINCT_BAD_VALUE, GM_DISTINCT_NO_MEMORY };

struct gm_distinct_limits {
	size_t bytes;      /* of the entries in PLAIN form */
	bool judged_later; /* whether a dictionary pays is for the caller to find out, unless nearly all values are new */
};

struct gm_distinct {
	/* The result. */
	uint32_t *index; /* entry of each value */
	size_t count;    /* values so far */
	uint32_t entries;
	bool contested;      /* most values are new: it pays only if indices do not hide what these have in common */
	struct gm_buf plain; /* entries in PLAIN form; readable 8 bytes beyond the end */
	uint32_t *start;     /* where each string begins in plain, and the end; not used for numbers */

	/* The way there. */
	size_t size; /* of a number in PLAIN form; 0: strings */
	struct gm_distinct_limits limits;
	size_t index_cap, start_cap;
	bool nulls;    /* whether there are any in the slices */
	size_t summed; /* values whose size is in sum_bytes */
	uint64_t sum_bytes;
	bool hashed; /* slots know all entries */
	struct gm_distinct_slot *slots, *spare;
	size_t slots_cap, spare_cap;
	uint32_t mask;
	uint64_t seed;
	struct gm_distinct_map map[GM_DISTINCT_MAPS], *last;
	unsigned maps, victim;
	enum gm_distinct_state state;
};

void gm_distinct_init(struct gm_distinct *distinct);
void gm_distinct_release(struct gm_distinct *distinct);
/* Gives the memory back if it is more than that; the result ends. */
void gm_distinct_trim(struct gm_distinct *distinct, size_t bytes);
/* Numbers the `values` non-null values of the slices. *pays: the result stands until the next call; else there is none.
 * type is not BOOLEAN; the slices match it. */
enum gm_code gm_distinct_build(struct gm_distinct *distinct, enum gm_type type, const struct gm_slice *slices,
                               size_t slice_count, uint64_t values, const struct gm_distinct_limits *limits, bool *pays,
                               struct gm_error *err) GM_CHECK;
/* The number of an entry of an int, bigint, date or timestamp; the bits of a double. */
int64_t gm_distinct_number(const struct gm_distinct *distinct, uint32_t entry);

#endif
