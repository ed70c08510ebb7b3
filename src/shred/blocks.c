#include "shred/blocks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD_BLOCKS = 8 };

struct block {
	uint8_t *data; /* NULL: nobody was ahead so far */
	size_t len;
	enum gm_code code; /* what came behind these bytes, and the error that says so */
	struct gm_error err;
	bool damaged;
	uint64_t bytes_in; /* taken from the source by its end */
};

struct gm_blocks {
	size_t block_bytes;
	struct gm_inflate *inflate; /* of whoever has set `inflating` */

	/* The reader's. */
	bool damaged;
	uint64_t bytes_in, bytes_out;

	pthread_mutex_t lock;
	pthread_cond_t inflated; /* `inflating` became false */
	bool inflating;
	bool begun; /* the first block is inflated */
	bool ended; /* the last one is */
	bool alone; /* nobody gets ahead: it is an excerpt, or there was no memory for it */
	size_t first, count;
	struct block ahead[AHEAD_BLOCKS]; /* a ring; those from first on are ready */
};

struct gm_blocks *gm_blocks_new(size_t block_bytes)
{
	struct gm_blocks *blocks = calloc(1, sizeof *blocks);
	if (blocks == NULL) return NULL;
	blocks->block_bytes = block_bytes;
	blocks->ended = true;
	(void)pthread_mutex_init(&blocks->lock, NULL);
	(void)pthread_cond_init(&blocks->inflated, NULL);
	blocks->inflate = gm_inflate_new();
	if (blocks->inflate != NULL) return blocks;
	gm_blocks_free(blocks);
	return NULL;
}

void gm_blocks_free(struct gm_blocks *blocks)
{
	if (blocks == NULL) return;
	for (size_t i = 0; i < AHEAD_BLOCKS; i++) free(blocks->ahead[i].data);
	gm_inflate_free(blocks->inflate);
	(void)pthread_cond_destroy(&blocks->inflated);
	(void)pthread_mutex_destroy(&blocks->lock);
	free(blocks);
}

void gm_blocks_begin(struct gm_blocks *blocks, bool plain, gm_source_fn *source, void *context)
{
	(void)pthread_mutex_lock(&blocks->lock);
	(plain ? gm_inflate_begin_plain : gm_inflate_begin)(blocks->inflate, source, context);
	blocks->damaged = blocks->begun = blocks->ended = false;
	blocks->alone = plain;
	blocks->bytes_in = blocks->bytes_out = 0;
	blocks->first = blocks->count = 0;
	(void)pthread_mutex_unlock(&blocks->lock);
}

/* Inflates the next block to where it is to be. */
static void inflate(struct gm_blocks *blocks, struct block *block, uint8_t *into)
{
	size_t got = 1;
	block->len = 0;
	block->code = GM_OK;
	while (block->code == GM_OK && got > 0 && block->len < blocks->block_bytes) {
		block->code =
		    gm_inflate_read(blocks->inflate, into + block->len, blocks->block_bytes - block->len, &got, &block->err);
		block->len += got;
	}
	block->damaged = block->code != GM_OK && gm_inflate_damaged(blocks->inflate);
	block->bytes_in = gm_inflate_bytes_in(blocks->inflate);
}

/* With the lock. */
static void end_inflating(struct gm_blocks *blocks, const struct block *block)
{
	blocks->inflating = false;
	blocks->begun = true;
	blocks->ended = block->code != GM_OK || block->len < blocks->block_bytes;
	(void)pthread_cond_signal(&blocks->inflated);
}

enum gm_code gm_blocks_read(struct gm_blocks *blocks, uint8_t *into, size_t *got, struct gm_error *err)
{
	struct block own, *block = &own;
	(void)pthread_mutex_lock(&blocks->lock);
	while (blocks->count == 0 && blocks->inflating) (void)pthread_cond_wait(&blocks->inflated, &blocks->lock);
	bool ready = blocks->count > 0;
	if (!ready) blocks->inflating = true;
	(void)pthread_mutex_unlock(&blocks->lock);
	if (ready) {
		block = &blocks->ahead[blocks->first]; /* nobody else's until it is taken */
		memcpy(into, block->data, block->len);
	} else {
		inflate(blocks, block, into);
	}
	enum gm_code code = block->code;
	if (code != GM_OK && err != NULL) *err = block->err;
	*got = block->len;
	blocks->damaged = block->damaged;
	blocks->bytes_in = block->bytes_in;
	blocks->bytes_out += block->len;
	(void)pthread_mutex_lock(&blocks->lock);
	if (!ready) {
		end_inflating(blocks, block);
	} else {
		blocks->first = (blocks->first + 1) % AHEAD_BLOCKS;
		blocks->count--;
	}
	(void)pthread_mutex_unlock(&blocks->lock);
	return code;
}

bool gm_blocks_damaged(const struct gm_blocks *blocks)
{
	return blocks->damaged;
}

uint64_t gm_blocks_bytes_in(const struct gm_blocks *blocks)
{
	return blocks->bytes_in;
}

uint64_t gm_blocks_bytes_out(const struct gm_blocks *blocks)
{
	return blocks->bytes_out;
}

bool gm_blocks_busy(struct gm_blocks *blocks)
{
	(void)pthread_mutex_lock(&blocks->lock);
	bool busy = blocks->count == 0 && blocks->inflating;
	(void)pthread_mutex_unlock(&blocks->lock);
	return busy;
}

bool gm_blocks_claim(struct gm_blocks *blocks)
{
	(void)pthread_mutex_lock(&blocks->lock);
	bool claimed =
	    blocks->begun && !blocks->ended && !blocks->inflating && !blocks->alone && blocks->count < AHEAD_BLOCKS;
	if (claimed) blocks->inflating = true;
	(void)pthread_mutex_unlock(&blocks->lock);
	return claimed;
}

void gm_blocks_inflate(struct gm_blocks *blocks)
{
	(void)pthread_mutex_lock(&blocks->lock);
	struct block *block = &blocks->ahead[(blocks->first + blocks->count) % AHEAD_BLOCKS];
	(void)pthread_mutex_unlock(&blocks->lock);
	if (block->data == NULL) block->data = malloc(blocks->block_bytes);
	bool have = block->data != NULL;
	if (have) inflate(blocks, block, block->data);
	(void)pthread_mutex_lock(&blocks->lock);
	if (have) {
		blocks->count++;
		end_inflating(blocks, block);
	} else {
		blocks->alone = true;
		blocks->inflating = false;
		(void)pthread_cond_signal(&blocks->inflated);
	}
	(void)pthread_mutex_unlock(&blocks->lock);
}
