/* blocks.h - the inflated bytes of an object in blocks of one size: inflated when they are asked for, or before that by
 * a thread that has nothing better to do.
 *
 * Inflating is a chain: no byte comes before all bytes in front of it. So is reading records, since nobody knows where
 * one begins that has not read to the end of the one before. Together they are more than half of all work, so that an
 * object worked by one thread alone would keep all others waiting. Here the chains come apart: while one thread, the
 * reader, looks at a block, a helper inflates the next ones.
 *
 * Whoever inflates does so alone; at most AHEAD_BLOCKS blocks are ready, and the reader finds them in order. When none
 * is ready and nobody is at it, the reader inflates the next block itself, straight to where it wants it: without
 * helpers nothing is copied and nothing more is allocated.
 *
 * Which bytes make a block follows from the object alone: each is as long as the first, except for the last. This
 * matters for damaged objects, where how many bytes can be saved depends on the pieces that a decoder was asked for.
 * Whatever ends the object, its end, damage or a failure of its source, is met by the reader behind the bytes in front
 * of it, whoever met it first. */
#ifndef GM_SHRED_BLOCKS_H
#define GM_SHRED_BLOCKS_H

#include "shred/inflate.h"

struct gm_blocks; /* reusable from object to object */
struct gm_blocks *gm_blocks_new(size_t block_bytes);
void gm_blocks_free(struct gm_blocks *blocks);
/* Starts an object, with nobody at the one before; plain: an excerpt, whose bytes are as they are, whatever they begin
 * with, and which nobody inflates ahead. Helpers call the source from their threads, but never two of them at once. */
void gm_blocks_begin(struct gm_blocks *blocks, bool plain, gm_source_fn *source, void *context);

/* For the reader. The next block; a shorter one is the last, and there is always one that is. CORRUPT with
 * gm_blocks_damaged: the object is damaged behind the *got bytes, which are good. Any other failure: of the source. */
enum gm_code gm_blocks_read(struct gm_blocks *blocks, uint8_t *into, size_t *got, struct gm_error *err) GM_CHECK;
bool gm_blocks_damaged(const struct gm_blocks *blocks);
/* Bytes taken from the source for the blocks read so far, and the bytes of these. */
uint64_t gm_blocks_bytes_in(const struct gm_blocks *blocks);
uint64_t gm_blocks_bytes_out(const struct gm_blocks *blocks);
/* Would reading wait for a helper? */
bool gm_blocks_busy(struct gm_blocks *blocks);

/* For helpers, in any thread. True: there is something to inflate ahead, and the caller must call gm_blocks_inflate.
 * Nothing is ahead of the first block: whoever begins an object may end at once. */
bool gm_blocks_claim(struct gm_blocks *blocks);
void gm_blocks_inflate(struct gm_blocks *blocks);

#endif
