#include "parquet/spare.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCKS = 64,
	LEAST_BYTES = 64 * 1024, /* smaller ones are reused by malloc */
};

struct block {
	size_t leaf, bytes;
	uint8_t *data;
};

struct gm_parquet_spare {
	pthread_mutex_t lock;
	size_t max_bytes, bytes, count;
	struct block blocks[BLOCKS]; /* the oldest first */
};

struct gm_parquet_spare *gm_parquet_spare_new(size_t max_bytes)
{
	struct gm_parquet_spare *spare = calloc(1, sizeof *spare);
	if (spare == NULL) return NULL;
	(void)pthread_mutex_init(&spare->lock, NULL);
	spare->max_bytes = max_bytes;
	return spare;
}

void gm_parquet_spare_free(struct gm_parquet_spare *spare)
{
	if (spare == NULL) return;
	for (size_t i = 0; i < spare->count; i++) free(spare->blocks[i].data);
	(void)pthread_mutex_destroy(&spare->lock);
	free(spare);
}

static struct block remove_block(struct gm_parquet_spare *spare, size_t i)
{
	struct block block = spare->blocks[i];
	spare->bytes -= block.bytes;
	spare->count--;
	memmove(&spare->blocks[i], &spare->blocks[i + 1], (spare->count - i) * sizeof block);
	return block;
}

void gm_parquet_spare_take(struct gm_parquet_spare *spare, size_t leaf, struct gm_buf *buf)
{
	(void)pthread_mutex_lock(&spare->lock);
	for (size_t i = spare->count; i-- > 0;) {
		if (spare->blocks[i].leaf != leaf) continue;
		struct block block = remove_block(spare, i);
		buf->data = block.data;
		buf->cap = block.bytes;
		break;
	}
	(void)pthread_mutex_unlock(&spare->lock);
}

void gm_parquet_spare_give(struct gm_parquet_spare *spare, size_t leaf, struct gm_buf *buf)
{
	if (buf->cap < LEAST_BYTES || buf->cap > spare->max_bytes) {
		gm_buf_release(buf);
		return;
	}
	(void)pthread_mutex_lock(&spare->lock);
	while (spare->count == BLOCKS || spare->bytes > spare->max_bytes - buf->cap) free(remove_block(spare, 0).data);
	spare->blocks[spare->count++] = (struct block){leaf, buf->cap, buf->data};
	spare->bytes += buf->cap;
	(void)pthread_mutex_unlock(&spare->lock);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}
