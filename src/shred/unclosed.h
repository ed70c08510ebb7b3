/* unclosed.h - which brackets of a broken document were never closed.
 *
 * Behind a broken document reading resumes at a line that begins with a bracket, and that may lie inside the document.
 * If that bracket is one of those still open where the document broke, what begins there breaks at the same byte. To
 * read it for that takes quadratic time when there are many, so they are listed in one pass, and what stands in the
 * list is broken without being read. Brackets that are not in the list are read like any other. */
#ifndef GM_SHRED_UNCLOSED_H
#define GM_SHRED_UNCLOSED_H

#include "base/error.h"

struct gm_unclosed_bracket {
	uint32_t offset; /* from the document's start */
	uint32_t depth;
};

struct gm_unclosed {
	uint64_t start;   /* the document's offset in the object */
	uint64_t fault;   /* where it broke */
	const char *what; /* how; NULL: the object ends there */
	struct gm_unclosed_bracket *brackets;
	size_t next, count, room;
};

/* All zero is an empty list. */
void gm_unclosed_release(struct gm_unclosed *unclosed);
void gm_unclosed_clear(struct gm_unclosed *unclosed);
/* Lists the brackets in p..fault that stay open, the outermost first, as many as the list takes. p is at the document's
 * first byte, `start` its offset in the object; it is valid up to the fault, but for a string that may hold the fault.
 */
enum gm_code gm_unclosed_list(struct gm_unclosed *unclosed, const uint8_t *p, const uint8_t *fault, uint64_t start,
                              const char *what, struct gm_error *err) GM_CHECK;
/* Whether a bracket at that offset is in the list. Offsets must not go down from call to call. */
static inline bool gm_unclosed_at(struct gm_unclosed *unclosed, uint64_t offset)
{
	while (unclosed->next < unclosed->count) {
		uint64_t listed = unclosed->start + unclosed->brackets[unclosed->next].offset;
		if (listed >= offset) return listed == offset;
		unclosed->next++;
	}
	return false;
}

#endif
