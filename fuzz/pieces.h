/* pieces.h - bytes that are handed over a few at a time. */
#ifndef GM_FUZZ_PIECES_H
#define GM_FUZZ_PIECES_H

#include "base/error.h"

#include <string.h>

struct pieces {
	const uint8_t *data;
	size_t n, pos, step;
};

static enum gm_code give(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	(void)err;
	struct pieces *p = context;
	size_t n = p->n - p->pos;
	if (n > bytes) n = bytes;
	if (n > p->step) n = p->step;
	memcpy(into, p->data + p->pos, n);
	p->pos += n;
	*got = n;
	return GM_OK;
}

#endif
