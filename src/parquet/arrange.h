/* arrange.h - puts the entries of a dictionary into an order that compresses well.
 *
 * First the common entries, the most frequent one in front, so that most indices are small numbers; then all others
 * sorted, so that a compressor finds beside each what it shares with its neighbours. The order is a function of the
 * values alone, as that of gm_distinct is. */
#ifndef GM_PARQUET_ARRANGE_H
#define GM_PARQUET_ARRANGE_H

#include "parquet/distinct.h"

struct gm_arrange_item {
	uint64_t word; /* what is compared: eight bytes of a string, from the current depth on; a number */
	uint32_t entry;
	uint32_t rest; /* bytes of the string from that depth on; more than eight are MORE */
};
/* Scratch, reused. */
struct gm_arrange {
	struct gm_arrange_item *items;
	size_t items_cap;
	uint32_t *uses, *rank;
	size_t uses_cap, rank_cap;
	struct gm_buf plain; /* change places with those of the dictionary */
	uint32_t *start;
	size_t start_cap;
};

void gm_arrange_init(struct gm_arrange *arrange);
void gm_arrange_release(struct gm_arrange *arrange);
/* Renumbers the entries of a finished dictionary. */
enum gm_code gm_arrange_entries(struct gm_arrange *arrange, struct gm_distinct *distinct,
                                struct gm_error *err) GM_CHECK;

#endif
