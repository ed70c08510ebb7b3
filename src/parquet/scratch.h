/* scratch.h - arrays that are reused from column to column and only ever grow. */
#ifndef GM_PARQUET_SCRATCH_H
#define GM_PARQUET_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Room for `need` elements; what is there stays. The new block, or NULL when memory is gone (the old one is untouched).
 */
static inline void *gm_scratch_grow(void *array, size_t *cap, size_t need, size_t element_bytes)
{
	if (need <= *cap) return array;
	size_t cap_new = *cap < 64 ? 64 : *cap;
	while (cap_new < need) {
		if (cap_new > SIZE_MAX / 2 / element_bytes) return NULL;
		cap_new *= 2;
	}
	void *grown = realloc(array, cap_new * element_bytes);
	if (grown != NULL) *cap = cap_new;
	return grown;
}

/* The same for an array variable; false when memory is gone. */
#define GM_SCRATCH_GROW(array, cap, need)                                            \
	__extension__({                                                                  \
		void *gm_grown_ = gm_scratch_grow((array), &(cap), (need), sizeof *(array)); \
		if (gm_grown_ != NULL) (array) = gm_grown_;                                  \
		gm_grown_ != NULL;                                                           \
	})

#endif
