/* suggest.h - "did you mean ...?": the nearest of some words to one that was not understood. */
#ifndef GM_JOB_SUGGEST_H
#define GM_JOB_SUGGEST_H

#include <stddef.h>

/* Offer every valid word, then ask for the best. The words must outlive the struct. */
struct gm_suggest {
	const char *wanted;
	size_t bytes;
	const char *best;
	size_t distance; /* of best; starts at the first one that is too far */
};
void gm_suggest_init(struct gm_suggest *suggest, const char *wanted, size_t bytes);
void gm_suggest_offer(struct gm_suggest *suggest, const char *word);
/* NULL when none of them is near enough to be what was meant. */
const char *gm_suggest_best(const struct gm_suggest *suggest);

#endif
