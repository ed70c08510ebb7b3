/* window.h - the part of an object's inflated bytes that is in memory: a buffer that slides over them.
 *
 * It takes whole blocks, so what is read together depends on the object's bytes alone, not on how they arrived. It
 * holds what was left and a block of `size` bytes, and more, `max` and not quite a block, only while a single record
 * needs it, and only when whoever shares out the memory has let it. */
#ifndef GM_SHRED_WINDOW_H
#define GM_SHRED_WINDOW_H

#include "shred/blocks.h"
#include "shred/shred.h"

struct gm_window {
	uint8_t *data; /* len bytes, then a NUL and more up to GM_SLACK */
	size_t len;
	size_t pos;     /* bytes before it are done with */
	uint64_t base;  /* offset of data[0] in the object */
	uint8_t before; /* the byte before data[0] */
	bool ended;     /* nothing comes behind data[len] */
	bool damaged;   /* ... because the stream is damaged: `damage` says how */
	struct gm_error damage;
	size_t size, max;
	size_t target;    /* blocks are taken until it holds so many bytes */
	size_t cap;       /* of the allocation, without the slack */
	unsigned unused;  /* refills since more than `size` was the target */
	gm_room_fn *room; /* for more than `size`; NULL: nobody is asked */
	void *room_context;
};

/* Nothing is allocated before the first refill. size: the bytes of a block. */
void gm_window_init(struct gm_window *window, size_t size, size_t max);
void gm_window_release(struct gm_window *window);
/* The object is done with: what a large record took is given back. */
void gm_window_rest(struct gm_window *window);
/* Starts an object; base: where it begins in the object that it was cut out of, 0 if it is whole. */
void gm_window_begin(struct gm_window *window, uint64_t base);
/* Moves what lies behind pos to the front and takes the next block; with pos == 0 and a full window as many as double
 * it. Sets `ended` when the object is used up or damaged; other failures of the source are returned. */
enum gm_code gm_window_refill(struct gm_window *window, struct gm_blocks *blocks, struct gm_error *err) GM_CHECK;

#endif
